//! The loss of a language model: softmax and cross-entropy against the next token.

use super::{Builder, Signal};
use crate::error::{Error, Result};
use crate::op::{self, Matrix, Op, Role, SlotId};

/// Softmax and cross-entropy.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxXent {
    /// Whether positions have weights of their own.
    pub weighted: bool,
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
    /// Writes the loss of the scores in `input`; their gradient takes their place when training.
    ///
    /// # Errors
    /// The scores are not rows.
    pub fn write(&self, builder: &mut Builder, input: Signal) -> Result<Matrix> {
        let Signal::Rows(logits) = input else {
            return Err(Error::internal("the loss needs rows of scores"));
        };
        let Positions {
            ids,
            first,
            weights,
            losses,
        } = self.positions(builder);
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
        Ok(losses)
    }

    /// Adds the slots of losses, weights and targets.
    pub(super) fn positions(&self, builder: &mut Builder) -> Positions {
        let shape = builder.all_rows();
        let slot = builder.plan.add("losses", &shape, Role::Activation);
        builder.plan.io.losses = Some(slot);
        if self.weighted {
            builder.plan.recipes.weights = Some(builder.plan.add("weights", &shape, Role::Numbers));
        }
        let (ids, first) = if self.apart {
            let bound = builder.plan.slot(builder.ids).bound;
            let slot = builder.plan.add_words("targets", &shape, bound);
            builder.plan.recipes.targets = Some(slot);
            (slot, 0)
        } else {
            (builder.ids, builder.window[1])
        };
        let rows = builder.pieces * builder.rows();
        let row = |slot| Matrix {
            slot,
            offset: 0,
            rows: 1,
            cols: rows,
            stride: rows,
            row_count: None,
        };
        Positions {
            ids,
            first,
            weights: builder.plan.recipes.weights.map(row),
            losses: row(slot),
        }
    }
}
