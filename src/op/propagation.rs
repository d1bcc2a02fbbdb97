//! Pascanu's regulariser: a step back through time should keep the length of the gradient.
//!
//! Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks" (2013), section 3.3.

use super::{Access, Cost, Matrix, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// losses `[R]` = each row's share of weight * mean of (|v| / |g| - 1)^2, and pull [R, H] its derivative by v.
///
/// Row r = (t, b): g = dE/dh_t, what comes from above and, v of the next step, from later; v = dE/dh_{t-1} that goes
/// through step t. Rows with g = 0 are counted in the mean as 0.
#[derive(Clone, Debug)]
pub struct Propagation {
    /// The name in the plan.
    pub name: String,
    /// What the mean is multiplied by.
    pub weight: f64,
    /// B: the row of the next step is so many rows further.
    pub batch: usize,
    /// The gradient from above.
    pub upstream: Matrix,
    /// What every step sends to the one before, v.
    pub sent: Matrix,
    /// The derivative by v; g is held fixed.
    pub pull: Matrix,
    /// The share of every row [1, R].
    pub losses: Matrix,
    /// The position in the minibatch, in rows, of its first row: segments of a minibatch share all that lies between operations.
    pub at: usize,
}

impl Propagation {
    /// The weight over the number of rows.
    pub fn factor(&self) -> f64 {
        self.weight / self.sent.rows as f64
    }

    /// Its part of the losses.
    pub fn own_losses(&self) -> Matrix {
        self.losses.columns(self.at, self.sent.rows)
    }

    /// The plain code for row `r`, whose derivative goes to `pull`; returns its share.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, r: usize, upstream: &[F], sent: &[F], pull: &mut [F]) -> F {
        let cols = self.sent.cols;
        let row = |r: usize| &sent[r * self.sent.stride..][..cols];
        let (v, above) = (row(r), &upstream[r * self.upstream.stride..][..cols]);
        let later = (r + self.batch < self.sent.rows).then(|| row(r + self.batch));
        let (mut g, mut length) = (F::ZERO, F::ZERO);
        for i in 0..cols {
            let total = later.map_or(above[i], |later| above[i] + later[i]);
            g += total * total;
            length += v[i] * v[i];
        }
        let (g, length) = (g.sqrt(), length.sqrt());
        // Where nothing arrives, nothing can be kept.
        if g == F::ZERO {
            pull[..cols].fill(F::ZERO);
            return F::ZERO;
        }
        let factor = F::of(self.factor());
        let off = length / g - F::ONE;
        // d|v| = v / |v|; at v = 0 the length has no slope.
        let slope = (factor + factor) * off / g;
        for (pull, v) in pull.iter_mut().zip(v) {
            *pull = if length > F::ZERO {
                slope * (*v / length)
            } else {
                F::ZERO
            };
        }
        factor * (off * off)
    }
}

impl Operation for Propagation {
    const KIND: &'static str = "propagation";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let own = self.own_losses();
        vec![
            Operand::read(&mut self.upstream).sum(),
            Operand::read(&mut self.sent).sum(),
            Operand::write(&mut self.pull).sum(),
            Operand::within(&mut self.losses, own)
                .with(Access::Write)
                .row_result()
                .sum(),
        ]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 6.0 * area(&self.sent) as f64,
            bytes: bytes(3 * area(&self.sent) + self.sent.rows),
        }
    }

    fn check(&self) -> Result<(), String> {
        let shape = |m: &Matrix| (m.rows, m.cols);
        same("gradient", shape(&self.sent), shape(&self.upstream))?;
        same("derivative", shape(&self.sent), shape(&self.pull))?;
        super::covers("losses", self.at + self.sent.rows, &self.losses)
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.sent.rows, self.sent.cols)
    }

    fn sum_length(&self) -> usize {
        self.sent.cols
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, 0]
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.first;
        self.weight /= segment.count as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    fn op(steps: usize, batch: usize, cols: usize) -> Propagation {
        let rows = steps * batch;
        let matrix = |rows, cols| Matrix::new(SlotId(0), rows, cols);
        Propagation {
            name: "propagation".into(),
            weight: 0.6,
            batch,
            upstream: matrix(rows, cols),
            sent: matrix(rows, cols),
            pull: matrix(rows, cols),
            losses: matrix(1, rows),
            at: 0,
        }
    }

    #[test]
    fn values_and_derivatives_are_those_of_the_definition() {
        // Step 1 gets (0, 2) and sends (3, 4): (5 / 2 - 1)^2; step 0 gets (-3, 0) + (3, 4) and sends (0, 2): (2 / 4 - 1)^2.
        let op = op(2, 1, 2);
        let (above, sent) = ([-3.0, 0.0, 0.0, 2.0], [0.0, 2.0, 3.0, 4.0]);
        let mut pull = [f64::NAN; 2];
        let loss = op.plain_row(0, &above, &sent, &mut pull);
        assert!((loss - 0.3 * 0.25).abs() < 1e-15, "{loss}");
        // 2 * 0.3 * (-1/2) / 4 along (0, 1).
        assert!(
            pull[0] == 0.0 && (pull[1] + 0.075).abs() < 1e-15,
            "{pull:?}"
        );
        let loss = op.plain_row(1, &above, &sent, &mut pull);
        assert!((loss - 0.3 * 2.25).abs() < 1e-15, "{loss}");
        for (got, want) in pull.iter().zip([0.45 * 0.6, 0.45 * 0.8]) {
            assert!((got - want).abs() < 1e-15, "{pull:?}");
        }
    }

    #[test]
    fn rows_without_a_gradient_are_skipped_and_rows_that_send_none_have_no_slope() {
        let op = op(1, 2, 2);
        let (above, sent) = ([0.0, 0.0, 1.0, 1.0], [1.0, 2.0, 0.0, 0.0]);
        let mut pull = [f64::NAN; 2];
        assert_eq!(op.plain_row(0, &above, &sent, &mut pull), 0.0);
        assert_eq!(pull, [0.0, 0.0]);
        pull = [f64::NAN; 2];
        assert_eq!(op.plain_row(1, &above, &sent, &mut pull), 0.3);
        assert_eq!(pull, [0.0, 0.0]);
    }
}
