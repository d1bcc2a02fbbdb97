//! The gradient of softmax and cross-entropy over a chunk of the vocabulary, in place of the scores.

use super::softmax_xent::LOWEST;
use super::{
    Cost, Hyper, Matrix, Operand, Operation, Segment, SlotId, SoftmaxStats, area, bytes, same,
};
use crate::cell::real::Real;

/// scores = (softmax - onehot) * weight * scale, given the maximum and the sum of exponentials of the whole rows.
#[derive(Clone, Debug)]
pub struct SoftmaxGradient {
    /// The name in the plan.
    pub name: String,
    /// The scores [R, C] of symbols `from .. from + C`, replaced by their gradient.
    pub logits: Matrix,
    /// The first symbol of the chunk.
    pub from: usize,
    /// The slot of token ids, or of targets alone; row r's target is word `first + r`.
    pub ids: SlotId,
    /// Where the targets of these rows start.
    pub first: usize,
    /// Weights of the rows [1, R], 1 where absent.
    pub weights: Option<Matrix>,
    /// The slot of hyper-parameters, which holds `scale`.
    pub hyper: SlotId,
    /// What [`SoftmaxStats`] found over all chunks [R, 4].
    pub stats: Matrix,
}

impl SoftmaxGradient {
    /// The plain code for one row of the chunk, whose weight times scale is `factor`.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, row: &mut [F], target: usize, stats: &[F], factor: F) {
        let (max, share) = (stats[0], factor / stats[1]);
        let lowest = F::of(LOWEST);
        for x in row.iter_mut() {
            let below = *x - max;
            *x = if below < lowest {
                F::ZERO
            } else {
                below.exp() * share
            };
        }
        if (self.from..self.from + row.len()).contains(&target) {
            row[target - self.from] = row[target - self.from] - factor;
        }
    }
}

impl Operation for SoftmaxGradient {
    const KIND: &'static str = "softmax_gradient";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let ids = Operand::slot(self.ids, self.first + self.logits.rows);
        let mut operands = vec![
            Operand::update(&mut self.logits).rows(),
            Operand::read(&mut self.stats).sum(),
            ids,
            Operand::slot(self.hyper, Hyper::NUMBERS),
        ];
        operands.extend(self.weights.as_mut().map(Operand::read));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 3.0 * area(&self.logits) as f64,
            bytes: bytes(2 * area(&self.logits)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let rows = self.logits.rows;
        let stats = (self.stats.rows, self.stats.cols);
        same("stats", (rows, SoftmaxStats::STATS), stats)?;
        match self.weights {
            Some(w) => same("weights", (1, rows), (w.rows, w.cols)),
            None => Ok(()),
        }
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.logits.rows, self.logits.cols)
    }

    fn sum_length(&self) -> usize {
        4
    }

    fn place(&mut self, segment: Segment) {
        self.first += segment.first;
        self.weights
            .iter_mut()
            .for_each(|w| w.offset += segment.first);
    }
}
