//! A scan's stages as the CPU runs them: dense products with packed weights, then the cell's program.

use super::super::product::View;
use crate::cell::Stage;
use crate::cell::eval::ProgramEvaluator;
use crate::cell::real::Real;
use crate::cell::reduction::Reduction;
use crate::cell::stage::{Load, TermOperand};
use crate::op::Scan;

/// One product of a stage: `deep` times H neighbouring elements of an operand, `wide` neighbouring sums of H columns.
#[derive(Clone, Copy, Debug)]
pub struct DenseProduct {
    pub operand: TermOperand,
    pub source: usize,
    /// The weight's first row and column.
    weight: (usize, usize),
    /// Blocks along k: neighbouring operands.
    pub deep: usize,
    /// Blocks along n: neighbouring sums.
    pub wide: usize,
    /// The first sum that it makes.
    pub sum: usize,
    /// Whether it adds to the sum.
    pub accumulate: bool,
    /// Which of the packed weights.
    pub packed: usize,
}

/// A stage prepared to run.
pub struct PreparedStage {
    /// The attentions that run before it.
    pub attentions: Vec<usize>,
    pub products: Vec<DenseProduct>,
    pub evaluator: ProgramEvaluator,
    pub sums: usize,
    /// The sums without a term.
    pub empty: Vec<usize>,
    pub reductions: Vec<Reduction>,
    /// The masks that the program reads.
    pub masks: Vec<usize>,
}

impl PreparedStage {
    /// The stage, whose weights are packed behind `before` others.
    pub fn new(scan: &Scan, stage: &Stage, before: &mut usize) -> PreparedStage {
        let h = scan.hidden;
        let mut products: Vec<DenseProduct> = Vec::new();
        for fused in stage.products() {
            products.extend(fused.dense().map(|feeds| {
                let from = feeds[0].block * h;
                *before += 1;
                DenseProduct {
                    operand: fused.operand,
                    source: feeds[0].source,
                    weight: if fused.transposed {
                        (from, 0)
                    } else {
                        (0, from)
                    },
                    deep: fused.blocks,
                    wide: feeds.len(),
                    sum: feeds[0].sum,
                    accumulate: feeds[0].accumulates,
                    packed: *before - 1,
                }
            }));
        }
        let evaluator = ProgramEvaluator::new(&stage.program);
        let mask = |load| match load {
            Load::Mask(m) => Some(m),
            _ => None,
        };
        PreparedStage {
            attentions: stage.attentions.clone(),
            products,
            sums: stage.sums.len(),
            empty: (0..stage.sums.len())
                .filter(|s| stage.sums[*s].terms.is_empty())
                .collect(),
            reductions: stage.reductions.clone(),
            masks: evaluator.loads().filter_map(mask).collect(),
            evaluator,
        }
    }

    /// Values per row and unit that are made before the program runs.
    pub fn width(&self) -> usize {
        self.sums + self.masks.len()
    }
}

impl DenseProduct {
    /// The part of a weight that it multiplies, [deep H, wide H], of a scan's weights and, where they lie transposed, from
    /// one of their columns to the next.
    pub fn weight<'a, F: Real>(
        &self,
        op: &Scan,
        (weights, turned): (&[&'a [F]], &[Option<usize>]),
    ) -> View<'a, F> {
        let (row, column) = self.weight;
        let weight = match turned[self.source] {
            Some(stride) => View::transposed(weights[self.source], stride),
            None => {
                let stride = op.weights[self.source].map_or(0, |w| w.stride);
                View::rows(weights[self.source], stride)
            }
        };
        weight.from(row, column)
    }
}
