//! Softmax and cross-entropy over rows of scores, with the gradient left in place of the scores.

use super::gather::words;
use super::{Cost, Matrix, SlotId, area, bytes};
use crate::cell::real::Real;

/// losses [R] = weight * (log sum exp(row) - row[target]); with `gradient`, scores = (softmax - onehot) * weight * scale.
#[derive(Clone, Debug)]
pub struct SoftmaxXent {
    /// The name in the plan.
    pub name: String,
    /// The scores [R, V], replaced by their gradient where `gradient`.
    pub logits: Matrix,
    /// The slot of token ids; row r's target is word `first + r`.
    pub ids: SlotId,
    /// Where the targets start: B, since they are one step ahead.
    pub first: usize,
    /// Weights of the rows [R], 1 where absent.
    pub weights: Option<SlotId>,
    /// The slot of hyper-parameters, which holds `scale`.
    pub hyper: SlotId,
    /// The loss of every row [1, R], in nats.
    pub losses: Matrix,
    /// Whether the gradient is made.
    pub gradient: bool,
}

impl SoftmaxXent {
    pub(super) const KIND: &'static str = "softmax_xent";

    pub(super) fn reads(&self) -> Vec<Matrix> {
        let rows = self.logits.rows;
        let mut reads = vec![
            self.logits,
            words(self.ids, self.first + rows),
            words(self.hyper, super::Hyper::NUMBERS),
        ];
        reads.extend(self.weights.map(|w| words(w, rows)));
        reads
    }

    pub(super) fn writes(&self) -> Vec<Matrix> {
        let mut writes = vec![self.losses];
        if self.gradient {
            writes.push(self.logits);
        }
        writes
    }

    pub(super) fn cost(&self) -> Cost {
        Cost {
            flops: 5.0 * area(&self.logits) as f64,
            bytes: bytes(area(&self.logits) * if self.gradient { 2 } else { 1 }),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        super::same(
            "losses",
            (1, self.logits.rows),
            (self.losses.rows, self.losses.cols),
        )
    }

    pub(super) fn shape(&self) -> String {
        format!("{} x {}", self.logits.rows, self.logits.cols)
    }

    /// The plain code for one row; returns its loss.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, row: &mut [F], target: usize, weight: F, scale: F) -> F {
        let mut max = row[0];
        for x in row.iter() {
            if *x > max {
                max = *x;
            }
        }
        let mut sum = F::ZERO;
        for x in row.iter() {
            sum += (*x - max).exp();
        }
        // A row may hold a NaN that no comparison saw; the sum carries it into the loss.
        let loss = weight * (max + sum.ln() - row[target]);
        if self.gradient {
            let factor = weight * scale;
            let share = factor / sum;
            for x in row.iter_mut() {
                *x = (*x - max).exp() * share;
            }
            row[target] = row[target] - factor;
        }
        loss
    }
}
