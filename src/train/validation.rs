//! What a run is measured on while it trains: the rest of its text, or examples that are held out.

use super::evaluate::{Evaluation, Evaluator};
use super::examples::{FieldEvaluator, Metric};
use super::settings::BestBy;
use crate::error::Result;
use crate::exec::Engine;
use crate::op::Plan;

/// What a run is measured on.
#[derive(Debug)]
pub(super) enum Validation {
    /// A text.
    Text(Box<Evaluator>),
    /// Examples, and by what models are compared.
    Fields(Box<FieldEvaluator>, BestBy),
}

impl Validation {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        match self {
            Validation::Text(evaluator) => evaluator.plan(),
            Validation::Fields(evaluator, _) => evaluator.plan(),
        }
    }

    /// What the model that `trained` trains reaches.
    ///
    /// # Errors
    /// A lost device.
    pub async fn run(&mut self, trained: &mut Engine) -> Result<Evaluation> {
        match self {
            Validation::Text(evaluator) => evaluator.run_shared(trained).await,
            Validation::Fields(evaluator, by) => {
                let found = evaluator.run_shared(trained).await?;
                let count = found.losses.iter().map(|loss| loss.count).sum();
                let whole = Evaluation::of(found.nats * count as f64, count);
                Ok(Evaluation {
                    metric: Some(Metric::of(&found, *by)?),
                    ..whole
                })
            }
        }
    }
}
