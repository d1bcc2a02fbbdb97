//! What sampled softmax does to the scores of candidates before the loss: each is lowered by the log of how often its
//! symbol is expected among them, and targets of other rows count for nothing.

use super::gather::words;
use super::{Cost, Matrix, SlotId, area, bytes};
use crate::cell::real::Real;

/// scores [R, N] -= corrections `[N]`; those from column `samples` on, which are there as targets alone, are
/// [`SampledScores::NOTHING`] in rows with another target. A target that was drawn as well has one column, so that it is
/// never its own rival.
#[derive(Clone, Debug)]
pub struct SampledScores {
    /// The name in the plan.
    pub name: String,
    /// The scores.
    pub scores: Matrix,
    /// How many of the columns were drawn.
    pub samples: usize,
    /// The slot of the columns' corrections.
    pub corrections: SlotId,
    /// The slot with the column of each row's target.
    pub targets: SlotId,
}

impl SampledScores {
    pub(super) const KIND: &'static str = "sampled_scores";
    /// A score so low that it has neither probability nor gradient.
    pub const NOTHING: f64 = -1e30;

    pub(super) fn reads(&self) -> Vec<Matrix> {
        vec![
            self.scores,
            words(self.corrections, self.scores.cols),
            words(self.targets, self.scores.rows),
        ]
    }

    pub(super) fn writes(&self) -> Vec<Matrix> {
        vec![self.scores]
    }

    pub(super) fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.scores) as f64,
            bytes: bytes(2 * area(&self.scores)),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.samples <= self.scores.cols {
            true => Ok(()),
            false => Err(format!(
                "{} samples in {} columns",
                self.samples, self.scores.cols
            )),
        }
    }

    pub(super) fn shape(&self) -> String {
        format!("{} x {}", self.scores.rows, self.scores.cols)
    }

    /// The plain code for one row.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, row: &mut [F], target: usize, corrections: &[F]) {
        for (column, (x, by)) in row.iter_mut().zip(corrections).enumerate() {
            *x = match column < self.samples || column == target {
                true => *x - *by,
                false => F::of(Self::NOTHING),
            };
        }
    }
}
