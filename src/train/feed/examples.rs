//! Examples of a model's fields as sequences of which minibatches are made.

use std::sync::Arc;

use super::batch::{Batch, ExampleBatch};
use super::sequences::Sequences;
use crate::data::SequenceLengths;
use crate::error::Result;
use crate::op::Plan;
use crate::task::{Column, Minibatch, Weighting};
use crate::train::examples::ExampleSet;

/// Examples, and the plan that their minibatches are laid out for.
#[derive(Clone, Debug)]
pub struct PackedExamples {
    /// The examples.
    pub set: ExampleSet,
    /// The plan.
    pub plan: Arc<Plan>,
    /// How the rows of the losses count.
    pub weighting: Weighting,
}

impl PackedExamples {
    /// These columns as a step of training reads them.
    ///
    /// # Errors
    /// Internal: columns that do not fit the plan.
    pub fn laid(&self, columns: &[Column]) -> Result<Minibatch> {
        Minibatch::new(&self.plan, columns, &self.weighting)
    }
}

impl Sequences for PackedExamples {
    fn lengths(&self) -> &dyn SequenceLengths {
        &self.set
    }

    fn predictions(&self) -> u64 {
        self.set.predictions()
    }

    fn minibatch(&self, sequences: &[u32]) -> Result<Batch> {
        Ok(Batch::Examples(ExampleBatch {
            minibatch: self.laid(&self.set.columns(sequences)?)?,
            examples: sequences.to_vec(),
        }))
    }
}
