//! Softmax and cross-entropy over rows of scores, with the gradient left in place of the scores.

use super::{Access, Cost, Hyper, Matrix, Operand, Operation, Segment, SlotId, area, bytes};
use crate::cell::real::Real;
use crate::cell::simd::SIDE;

/// losses `[R]` = weight * (log sum exp(row) - goal . row); with `gradient`, scores = (softmax - goal) * weight * scale. The
/// goal is one-hot; smoothed (Szegedy et al. 2016, as in PyTorch), it is 1 - s at the target and s / V more at every symbol.
#[derive(Clone, Debug)]
pub struct SoftmaxXent {
    /// The name in the plan.
    pub name: String,
    /// The scores [R, V], replaced by their gradient where `gradient`.
    pub logits: Matrix,
    /// The slot of token ids, or of targets alone; row r's target is word `first + r`.
    pub ids: SlotId,
    /// Where the targets start: B among the inputs, since they are one step ahead; 0 in a slot of their own.
    pub first: usize,
    /// Weights of the rows `[R]`, 1 where absent.
    pub weights: Option<SlotId>,
    /// The slot of hyper-parameters, which holds `scale`.
    pub hyper: SlotId,
    /// The loss of every row [1, R], in nats.
    pub losses: Matrix,
    /// s: the share of the goal that all symbols have alike.
    pub smoothing: f64,
    /// Whether the gradient is made.
    pub gradient: bool,
    /// The position in the minibatch, in rows, of its first row: segments of a minibatch share all that lies between operations.
    pub at: usize,
}

/// Logits further below the largest have no gradient: e^-46 = 1e-20 is 0 beside 1, but would soon make subnormal numbers,
/// which take a CPU a hundred times as long.
pub const LOWEST: f64 = -46.0;

/// The largest score of a row, and the sum of the exponentials of all beside it.
#[inline(always)]
pub(super) fn exponentials<F: Real>(row: &[F]) -> (F, F) {
    let (chunks, rest) = row.as_chunks::<SIDE>();
    let larger = |a: F, b: F| if b > a { b } else { a };
    let mut lanes = [row[0]; SIDE];
    for chunk in chunks {
        for i in 0..SIDE {
            lanes[i] = larger(lanes[i], chunk[i]);
        }
    }
    let mut max = row[0];
    for x in lanes.iter().chain(rest) {
        max = larger(max, *x);
    }
    let mut lanes = [F::ZERO; SIDE];
    for chunk in chunks {
        for i in 0..SIDE {
            lanes[i] += (chunk[i] - max).exp();
        }
    }
    let mut sum = F::ZERO;
    for x in rest {
        sum += (*x - max).exp();
    }
    for lane in lanes {
        sum += lane;
    }
    (max, sum)
}

impl SoftmaxXent {
    /// Its part of the losses.
    pub fn own_losses(&self) -> Matrix {
        self.losses.columns(self.at, self.logits.rows)
    }

    /// The plain code for one row; returns its loss.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, row: &mut [F], target: usize, weight: F, scale: F) -> F {
        let (max, sum) = exponentials(row);
        // A row may hold a NaN that no comparison saw; the sum carries it into the loss.
        let score = row[target];
        let mut loss = weight * (max + sum.ln() - score);
        let smoothing = F::of(self.smoothing);
        let each = F::of(self.smoothing / row.len() as f64);
        if self.smoothing > 0.0 {
            let mut all = F::ZERO;
            for x in row.iter() {
                all += *x;
            }
            loss += weight * (smoothing * score - each * all);
        }
        if self.gradient {
            let factor = weight * scale;
            let share = factor / sum;
            let lowest = F::of(LOWEST);
            for x in row.iter_mut() {
                let below = *x - max;
                *x = if below < lowest {
                    F::ZERO
                } else {
                    below.exp() * share
                };
            }
            if self.smoothing > 0.0 {
                for x in row.iter_mut() {
                    *x = *x - factor * each;
                }
            }
            row[target] = row[target] - factor * (F::ONE - smoothing);
        }
        loss
    }
}

impl Operation for SoftmaxXent {
    const KIND: &'static str = "softmax_xent";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let (rows, own) = (self.logits.rows, self.own_losses());
        let access = if self.gradient {
            Access::Update
        } else {
            Access::Read
        };
        let mut operands = vec![
            Operand::read(&mut self.logits).with(access).rows(),
            Operand::slot(self.ids, self.first + self.at + rows),
            Operand::slot(self.hyper, Hyper::NUMBERS),
            Operand::within(&mut self.losses, own)
                .with(Access::Write)
                .row_result()
                .sum(),
        ];
        let weights = self.weights;
        operands.extend(weights.map(|w| Operand::slot(w, self.at + rows)));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 5.0 * area(&self.logits) as f64,
            bytes: bytes(area(&self.logits) * if self.gradient { 2 } else { 1 }),
        }
    }

    fn check(&self) -> Result<(), String> {
        super::covers("losses", self.at + self.logits.rows, &self.losses)
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.logits.rows, self.logits.cols)
    }

    fn sum_length(&self) -> usize {
        self.logits.cols
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, 0]
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(vocab: usize) -> SoftmaxXent {
        let matrix = |cols| Matrix::new(SlotId(0), 1, cols);
        SoftmaxXent {
            name: "loss".into(),
            logits: matrix(vocab),
            ids: SlotId(0),
            first: 0,
            weights: None,
            hyper: SlotId(0),
            losses: matrix(1),
            smoothing: 0.0,
            gradient: true,
            at: 0,
        }
    }

    fn extremes<F: Real>(tolerance: f64) {
        let sizes = [0.0, 1e-30, 1.0, 50.0, 88.7, 104.0, 1e4, 1e30];
        for big in sizes {
            for row in [[big, -big, 0.0], [-big, -big, -big], [big, big, 1.0]] {
                for target in 0..3 {
                    let mut gradient = row.map(F::of);
                    let loss = op(3)
                        .plain_row(&mut gradient, target, F::ONE, F::of(0.5))
                        .f64();
                    let gradient = gradient.map(|x| x.f64());
                    let what =
                        format!("{row:?} target {target}: loss {loss}, gradient {gradient:?}");
                    assert!(loss.is_finite() && loss >= -tolerance, "{what}");
                    // scale * (p - 1 at the target): within 0.5 of zero, and the sum is zero.
                    let sum: f64 = gradient.iter().sum();
                    assert!(sum.abs() <= tolerance, "{what}");
                    assert!(
                        gradient.iter().all(|g| g.abs() <= 0.5 + tolerance),
                        "{what}"
                    );
                    assert!(gradient[target] <= tolerance, "{what}");
                }
            }
        }
    }

    #[test]
    fn scores_up_to_1e30_stay_finite() {
        // A few units in the last place of numbers of size 1.
        extremes::<f32>(1e-6);
        extremes::<f64>(1e-15);
    }

    #[test]
    fn equal_scores_cost_ln_v_and_a_weight_scales_loss_and_gradient() {
        let mut row = [7.0; 5];
        let loss = op(5).plain_row(&mut row, 2, 3.0, 0.1);
        assert!((loss - 3.0 * 5f64.ln()).abs() < 1e-14);
        for (k, got) in row.into_iter().enumerate() {
            let want = 0.3 * (0.2 - if k == 2 { 1.0 } else { 0.0 });
            assert!((got - want).abs() < 1e-15, "{k}: {got}");
        }
    }

    #[test]
    fn a_nan_or_an_infinite_score_reaches_the_loss() {
        for bad in [f64::NAN, f64::INFINITY] {
            for place in 0..3 {
                let mut row = [1.0, 2.0, 3.0];
                row[place] = bad;
                assert!(
                    !op(3).plain_row(&mut row, 1, 1.0, 1.0).is_finite(),
                    "{bad} at {place}"
                );
                let mut row = [1.0f32, 2.0, 3.0];
                row[place] = bad as f32;
                assert!(
                    !op(3).plain_row(&mut row, 1, 1.0, 1.0).is_finite(),
                    "{bad} at {place}, f32"
                );
            }
        }
    }
}
