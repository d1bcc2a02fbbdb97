//! The loss of a language model: softmax and cross-entropy against the next token.

use super::{Axis, Builder, Value};
use crate::error::Result;
use crate::op::{self, Bound, LossRows, Matrix, Op, Recipe, SlotId};

/// Softmax and cross-entropy.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// The number of the loss among those of the plan.
    pub loss: usize,
    /// The field that is predicted.
    pub field: usize,
    /// How many symbols or classes it has.
    pub symbols: usize,
    /// Whether positions have weights of their own.
    pub weighted: bool,
    /// The share of the goal that all symbols have alike, in training.
    pub smoothing: f64,
    /// The slot of the token ids whose next ones are the targets; else these have a slot of their own.
    pub next: Option<SlotId>,
}

/// Where targets, weights and losses of the positions lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positions {
    /// The slot with the targets.
    pub ids: SlotId,
    /// The word of the first position's target.
    pub first: usize,
    /// The positions' weights [1, R].
    pub weights: Option<Matrix>,
    /// The losses [1, R].
    pub losses: Matrix,
}

impl Positions {
    /// What the host must know of them.
    pub fn rows(&self) -> LossRows {
        LossRows {
            targets: self.ids,
            first: self.first,
            weights: self.weights.map(|weights| weights.slot),
        }
    }
}

impl CrossEntropy {
    /// Writes the loss of `scores`; their gradient takes their place when training.
    ///
    /// # Errors
    /// The scores are not rows.
    pub fn write(&self, builder: &mut Builder, scores: Value) -> Result<Matrix> {
        let logits = builder.rows(scores)?;
        let Positions {
            ids,
            first,
            weights,
            losses,
        } = self.positions(builder, builder.axis(scores));
        builder.push(Op::SoftmaxXent(op::SoftmaxXent {
            name: self.name("loss"),
            logits,
            ids,
            first,
            weights: weights.map(|w| w.slot),
            hyper: builder.hyper,
            losses,
            smoothing: if builder.training {
                self.smoothing
            } else {
                0.0
            },
            gradient: builder.training,
            at: 0,
        }));
        builder.give(scores, logits);
        Ok(losses)
    }

    /// What something of this loss is called.
    pub(super) fn name(&self, what: &str) -> String {
        match self.loss {
            0 => what.into(),
            n => format!("{what}.{n}"),
        }
    }

    /// Adds the slots of losses, weights and targets.
    pub(super) fn positions(&self, builder: &mut Builder, axis: Axis) -> Positions {
        let (losses, weights) = builder.losses(axis, self.weighted);
        let (ids, first) = match self.next {
            Some(ids) => (ids, axis.leading[1]),
            None => {
                let (loss, field) = (self.loss, self.field);
                let recipe = Recipe::Targets { field, loss };
                let (bound, plan) = (Bound::Below(self.symbols), &mut builder.plan);
                let slot = plan.add_words(self.name("targets"), &axis.all_rows(), bound);
                plan.recipes.slots.push((slot, recipe));
                (slot, 0)
            }
        };
        Positions {
            ids,
            first,
            weights,
            losses,
        }
    }
}
