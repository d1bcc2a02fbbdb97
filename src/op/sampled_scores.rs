//! What sampled softmax does to the scores of candidates before the loss: each is lowered by the log of how often its
//! symbol is expected among them, and targets of other rows count for nothing.

use super::{Cost, Matrix, Operand, Operation, Segment, SlotId, area, bytes};
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
    pub columns: SlotId,
}

impl SampledScores {
    /// A score so low that it has neither probability nor gradient.
    pub const NOTHING: f64 = -1e30;

    /// The plain code for one row.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, row: &mut [F], target: usize, corrections: &[F]) {
        for (column, (x, by)) in row.iter_mut().zip(corrections).enumerate() {
            *x = if column < self.samples || column == target {
                *x - *by
            } else {
                F::of(Self::NOTHING)
            };
        }
    }
}

impl Operation for SampledScores {
    const KIND: &'static str = "sampled_scores";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let (rows, cols) = (self.scores.rows, self.scores.cols);
        vec![
            // Scores that stand for nothing are beyond f16.
            Operand::update(&mut self.scores).sum(),
            Operand::slot(self.corrections, cols),
            Operand::slot(self.columns, rows),
        ]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.scores) as f64,
            bytes: bytes(2 * area(&self.scores)),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.samples <= self.scores.cols {
            Ok(())
        } else {
            Err(format!(
                "{} samples in {} columns",
                self.samples, self.scores.cols
            ))
        }
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.scores.rows, self.scores.cols)
    }

    fn sum_length(&self) -> usize {
        4
    }

    fn place(&mut self, _: Segment) {}
}
