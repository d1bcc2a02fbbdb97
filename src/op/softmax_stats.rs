//! What softmax and cross-entropy must know of a row of scores, gathered chunk of the vocabulary by chunk: running maximum,
//! sum of exponentials, and the target's score.

use super::softmax_xent::exponentials;
use super::{Access, Cost, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same};
use crate::cell::real::Real;

/// stats [R, 4] = (m, sum exp(x - m), score of the target, -) over all chunks so far, m the largest score; after the last
/// chunk losses `[R]` = weight * (m + log sum - score).
#[derive(Clone, Debug)]
pub struct SoftmaxStats {
    /// The name in the plan.
    pub name: String,
    /// The scores [R, C] of symbols `from .. from + C`.
    pub logits: Matrix,
    /// The first symbol of the chunk.
    pub from: usize,
    /// The slot of token ids, or of targets alone; row r's target is word `first + r`.
    pub ids: SlotId,
    /// Where the targets of these rows start.
    pub first: usize,
    /// Weights of the rows [1, R], 1 where absent.
    pub weights: Option<Matrix>,
    /// What is known of every row.
    pub stats: Matrix,
    /// The loss of every row [1, R], in nats, where this is the last chunk.
    pub losses: Option<Matrix>,
}

impl SoftmaxStats {
    /// Columns of `stats`.
    pub const STATS: usize = 4;

    /// The plain code for one row of the chunk.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, row: &[F], target: usize, stats: &mut [F]) {
        let (mut max, mut sum) = exponentials(row);
        if self.from > 0 {
            // A NaN that no comparison saw is in one of the sums.
            let (before, here) = (stats[0], max);
            max = if here > before { here } else { before };
            sum = stats[1] * (before - max).exp() + sum * (here - max).exp();
        }
        (stats[0], stats[1]) = (max, sum);
        // Every target lies in exactly one chunk.
        if (self.from..self.from + row.len()).contains(&target) {
            stats[2] = row[target - self.from];
        }
    }

    /// The loss of a row after the last chunk.
    #[inline(always)]
    pub fn loss<F: Real>(stats: &[F], weight: F) -> F {
        weight * (stats[0] + stats[1].ln() - stats[2])
    }
}

impl Operation for SoftmaxStats {
    const KIND: &'static str = "softmax_stats";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let ids = Operand::slot(self.ids, self.first + self.logits.rows);
        // The target's score is that of one chunk, and one column is spare.
        let access = if self.from > 0 {
            Access::Update
        } else {
            Access::WriteSome
        };
        let stats = Operand::read(&mut self.stats).with(access).sum();
        let mut operands = vec![Operand::read(&mut self.logits).rows(), ids, stats];
        // Weights are looked at where the losses are made.
        operands.extend(self.weights.as_mut().map(Operand::read));
        let losses = self.losses.as_mut();
        operands.extend(losses.map(|losses| Operand::write(losses).row_result().sum()));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 3.0 * area(&self.logits) as f64,
            bytes: bytes(area(&self.logits) + 2 * area(&self.stats)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let rows = self.logits.rows;
        same(
            "stats",
            (rows, Self::STATS),
            (self.stats.rows, self.stats.cols),
        )?;
        for (what, row) in [("losses", self.losses), ("weights", self.weights)] {
            if let Some(row) = row {
                same(what, (1, rows), (row.rows, row.cols))?;
            }
        }
        Ok(())
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.logits.rows, self.logits.cols)
    }

    fn sum_length(&self) -> usize {
        self.logits.cols
    }

    fn place(&mut self, segment: Segment) {
        self.first += segment.first;
        for row in self.weights.iter_mut().chain(&mut self.losses) {
            row.offset += segment.first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SoftmaxXent;

    fn matrix(cols: usize) -> Matrix {
        Matrix::new(SlotId(0), 1, cols)
    }

    fn stats(row: &[f64], target: usize, cuts: &[usize]) -> f64 {
        let mut stats = [f64::NAN; 4];
        for ends in cuts.windows(2) {
            let op = SoftmaxStats {
                name: "stats".into(),
                logits: matrix(ends[1] - ends[0]),
                from: ends[0],
                ids: SlotId(0),
                first: 0,
                weights: None,
                stats: matrix(4),
                losses: None,
            };
            op.plain_row(&row[ends[0]..ends[1]], target, &mut stats);
        }
        SoftmaxStats::loss(&stats, 1.0)
    }

    fn whole(row: &[f64], target: usize) -> f64 {
        let op = SoftmaxXent {
            name: "loss".into(),
            logits: matrix(row.len()),
            ids: SlotId(0),
            first: 0,
            weights: None,
            hyper: SlotId(0),
            losses: matrix(1),
            smoothing: 0.0,
            gradient: false,
            at: 0,
        };
        op.plain_row(&mut row.to_vec(), target, 1.0, 1.0)
    }

    #[test]
    fn any_cut_gives_the_loss_of_the_whole_row() {
        let rising = [0.0, 1.0, 30.0, 700.0, 1e4, 1e4];
        let falling = [1e30, 1e4, 5.0, 0.0, -1e30, 4.0];
        for row in [rising, falling] {
            for target in 0..6 {
                let want = whole(&row, target);
                for cuts in [
                    &[0, 6][..],
                    &[0, 1, 6],
                    &[0, 3, 4, 6],
                    &[0, 1, 2, 3, 4, 5, 6],
                ] {
                    let got = stats(&row, target, cuts);
                    let close = (got - want).abs() <= 1e-14 * want.abs();
                    assert!(close, "{row:?} {target} {cuts:?}: {got}, want {want}");
                }
            }
        }
    }

    #[test]
    fn a_bad_score_in_any_chunk_reaches_the_loss() {
        for bad in [f64::NAN, f64::INFINITY] {
            for place in 0..4 {
                let mut row = [1.0, 2.0, 3.0, 4.0];
                row[place] = bad;
                assert!(!stats(&row, 1, &[0, 2, 4]).is_finite(), "{bad} at {place}");
            }
        }
    }
}
