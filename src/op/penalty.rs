//! Penalties on activations: what they add to the objective and to the gradient of the activations.
//!
//! Sources: Merity, McCann, Socher, "Revisiting activation regularization for language RNNs" (2017); Krueger, Memisevic,
//! "Regularizing RNNs by stabilizing activations" (2015).

use super::{Access, Cost, Hyper, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same};
use crate::cell::real::Real;

/// What is penalised of rows h `[T * B, H]`, always as a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Large values: the mean of h^2 over all elements (Merity's AR).
    Activation,
    /// Changes: the mean of (h_t - h_{t+1})^2 over all elements of neighbouring steps (Merity's TAR).
    Temporal,
    /// Changes of length: the mean of (|h_t| - |h_{t+1}|)^2 over all rows of neighbouring steps (Krueger).
    Norm,
}

/// losses `[R]` = each row's share of weight * mean; grad [R, H] += its derivative. A pair counts for its earlier row.
#[derive(Clone, Debug)]
pub struct Penalty {
    /// The name in the plan.
    pub name: String,
    /// What is penalised.
    pub form: Form,
    /// What the mean is multiplied by.
    pub weight: f64,
    /// B: the row of the next step is so many rows further.
    pub batch: usize,
    /// The activations.
    pub from: Matrix,
    /// Their gradient, added to.
    pub grad: Matrix,
    /// The share of every row [1, R].
    pub losses: Matrix,
    /// Where gradients are multiplied by a factor: the slot of hyper-parameters, which holds it.
    pub scaled: Option<SlotId>,
    /// The position in the minibatch, in rows, of its first row: segments of a minibatch share all that lies between operations.
    pub at: usize,
}

impl Penalty {
    /// The weight over the number of terms in the mean; 0 where there is none, as for pairs of a single step.
    pub fn factor(&self) -> f64 {
        let Matrix { rows, cols, .. } = self.from;
        let pairs = rows.saturating_sub(self.batch);
        match self.form {
            Form::Activation => self.weight / (rows * cols) as f64,
            _ if pairs == 0 => 0.0,
            Form::Temporal => self.weight / (pairs * cols) as f64,
            Form::Norm => self.weight / pairs as f64,
        }
    }

    /// The rows of the steps before and after row `r`; itself where there is none, since its difference from itself is 0.
    fn neighbours(&self, r: usize) -> [usize; 2] {
        let before = if r >= self.batch { r - self.batch } else { r };
        let after = r + self.batch;
        [before, if after < self.from.rows { after } else { r }]
    }

    /// Its part of the losses.
    pub fn own_losses(&self) -> Matrix {
        self.losses.columns(self.at, self.from.rows)
    }

    /// The plain code for row `r`, whose gradient is `grad`, multiplied by `scale`; returns its share.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, r: usize, from: &[F], grad: &mut [F], scale: F) -> F {
        let row = |r: usize| &from[r * self.from.stride..][..self.from.cols];
        let [before, after] = self.neighbours(r).map(row);
        let own = row(r);
        let factor = F::of(self.factor());
        let twice = (factor + factor) * scale;
        let square = |h: &[F]| h.iter().fold(F::ZERO, |sum, x| x.mul_add(*x, sum));
        match self.form {
            Form::Activation => {
                for (g, h) in grad.iter_mut().zip(own) {
                    *g += twice * *h;
                }
                factor * square(own)
            }
            Form::Temporal => {
                let mut sum = F::ZERO;
                for (i, g) in grad[..own.len()].iter_mut().enumerate() {
                    let step = own[i] - after[i];
                    sum += step * step;
                    // d/dh_t of both pairs that h_t is in.
                    *g += twice * (step + (own[i] - before[i]));
                }
                factor * sum
            }
            Form::Norm => {
                let [own_norm, before, after] = [own, before, after].map(|h| square(h).sqrt());
                let step = own_norm - after;
                // d|h| = h / |h|; at h = 0 the length has no slope and nothing is added.
                if own_norm > F::ZERO {
                    let along = twice * (step + (own_norm - before)) / own_norm;
                    for (g, h) in grad.iter_mut().zip(own) {
                        *g += along * *h;
                    }
                }
                factor * (step * step)
            }
        }
    }
}

impl Operation for Penalty {
    const KIND: &'static str = "penalty";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let own = self.own_losses();
        let mut operands = vec![
            Operand::read(&mut self.from),
            Operand::update(&mut self.grad),
            Operand::within(&mut self.losses, own)
                .with(Access::Write)
                .row_result()
                .sum(),
        ];
        let scaled = self.scaled;
        operands.extend(scaled.map(|h| Operand::slot(h, Hyper::NUMBERS)));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 6.0 * area(&self.from) as f64,
            bytes: bytes(3 * area(&self.from) + self.from.rows),
        }
    }

    fn check(&self) -> Result<(), String> {
        let shape = |m: &Matrix| (m.rows, m.cols);
        same("gradient", shape(&self.from), shape(&self.grad))?;
        super::covers("losses", self.at + self.from.rows, &self.losses)
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.from.rows, self.from.cols)
    }

    fn sum_length(&self) -> usize {
        self.from.cols
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, 0]
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.first;
        // Means over a segment become parts of the mean over all.
        self.weight /= segment.count as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    fn op(form: Form, steps: usize, batch: usize, cols: usize) -> Penalty {
        let matrix = |rows, cols| Matrix::new(SlotId(0), rows, cols);
        Penalty {
            name: "penalty".into(),
            form,
            weight: 0.7,
            batch,
            from: matrix(steps * batch, cols),
            grad: matrix(steps * batch, cols),
            losses: matrix(1, steps * batch),
            scaled: None,
            at: 0,
        }
    }

    /// The sum of the losses and the gradient.
    fn run(op: &Penalty, h: &[f64]) -> (f64, Vec<f64>) {
        let mut grad = vec![0.0; h.len()];
        let rows = grad.chunks_mut(op.from.cols).enumerate();
        let loss = rows.map(|(r, grad)| op.plain_row(r, h, grad, 1.0)).sum();
        (loss, grad)
    }

    const FORMS: [Form; 3] = [Form::Activation, Form::Temporal, Form::Norm];

    #[test]
    fn values_are_those_of_the_definitions() {
        // Two rows of a batch, never paired with one another: row 0 goes (3, 4), (0, 0), row 1 stays (1, 0).
        let h = [3.0, 4.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let want = [0.7 * 27.0 / 8.0, 0.7 * 25.0 / 4.0, 0.7 * 25.0 / 2.0];
        for (form, want) in FORMS.into_iter().zip(want) {
            let (loss, _) = run(&op(form, 2, 2, 2), &h);
            assert!((loss - want).abs() < 1e-14, "{form:?}: {loss}, want {want}");
        }
    }

    #[test]
    fn gradients_are_finite_differences_of_the_values() {
        let h: Vec<f64> = (0..24).map(|i| (f64::from(i) * 1.7).sin()).collect();
        for form in FORMS {
            let op = op(form, 4, 2, 3);
            let (_, grad) = run(&op, &h);
            for i in 0..h.len() {
                let at = |by: f64| {
                    let mut h = h.clone();
                    h[i] += by;
                    run(&op, &h).0
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((grad[i] - slope).abs() < 1e-9, "{form:?} [{i}]");
            }
        }
    }

    #[test]
    fn one_step_has_no_pairs_and_a_row_of_zeros_no_slope() {
        for form in [Form::Temporal, Form::Norm] {
            let (loss, grad) = run(&op(form, 1, 2, 2), &[1.0, 2.0, 3.0, 4.0]);
            assert_eq!((loss, grad), (0.0, vec![0.0; 4]), "{form:?}");
        }
        let (loss, grad) = run(&op(Form::Norm, 2, 1, 2), &[0.0, 0.0, 3.0, 4.0]);
        assert!((loss - 0.7 * 25.0).abs() < 1e-12);
        assert_eq!(grad[..2], [0.0, 0.0]);
        assert!(grad[2] > 0.0 && grad.iter().all(|g| g.is_finite()));
    }
}
