//! The loss of a language model: softmax and cross-entropy against the next token.

use super::{Axis, Builder, Value};
use crate::error::Result;
use crate::op::{self, Matrix, Op, SlotId};

/// Softmax and cross-entropy.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxXent {
    /// Whether positions have weights of their own.
    pub weighted: bool,
    /// The slot of the token ids that are predicted.
    pub ids: SlotId,
    /// Whether targets have a slot of their own instead of being the next inputs.
    pub apart: bool,
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

impl SoftmaxXent {
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
            name: "loss".into(),
            logits,
            ids,
            first,
            weights: weights.map(|w| w.slot),
            hyper: builder.hyper,
            losses,
            gradient: builder.training,
            at: 0,
        }));
        builder.give(scores, logits);
        Ok(losses)
    }

    /// Adds the slots of losses, weights and targets.
    pub(super) fn positions(&self, builder: &mut Builder, axis: Axis) -> Positions {
        let (losses, weights) = builder.losses(axis, self.weighted);
        let plan = &mut builder.plan;
        let (ids, first) = if self.apart {
            let bound = plan.slot(self.ids).bound;
            let slot = plan.add_words("targets", &axis.all_rows(), bound);
            plan.recipes.targets = Some(slot);
            (slot, 0)
        } else {
            (self.ids, axis.leading[1])
        };
        Positions {
            ids,
            first,
            weights,
            losses,
        }
    }
}
