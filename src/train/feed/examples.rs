//! Examples of a model's fields as sequences of which minibatches are made.

use std::sync::Arc;

use super::batch::Batch;
use super::sequences::Sequences;
use crate::data::Lengths;
use crate::error::Result;
use crate::op::Plan;
use crate::task::{Minibatch, Weighting};
use crate::train::examples::ExampleSet;

/// Examples, and the plan that their minibatches are laid out for.
#[derive(Debug)]
pub struct PackedExamples {
    /// The examples.
    pub set: ExampleSet,
    /// The plan.
    pub plan: Arc<Plan>,
    /// How the rows of the losses count.
    pub weighting: Weighting,
}

impl Sequences for PackedExamples {
    fn lengths(&self) -> &dyn Lengths {
        &self.set
    }

    fn predictions(&self) -> u64 {
        self.set.predictions()
    }

    fn minibatch(&self, sequences: &[u32]) -> Result<Batch> {
        let columns = self.set.columns(sequences)?;
        let minibatch = Minibatch::new(&self.plan, &columns, &self.weighting)?;
        Ok(Batch::Examples(minibatch))
    }
}
