//! The loss on a text that is not trained on: the same figure whatever the batch size.

use std::sync::Arc;

use serde::Serialize;

use crate::data::{Carry, Segments, Tokens};
use crate::error::{Error, Result};
use crate::exec::{Device, Engine, Inputs};
use crate::model::{Dims, Mode, Spec};
use crate::op::{Control, Hyper, Plan};

/// Steps of a window: long, so that products over all its rows are large.
const STEPS: usize = 128;

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The mean loss of the predictions, in nats.
    pub nats: f64,
    /// The same in bits.
    pub bits: f64,
    /// e to the loss.
    pub perplexity: f64,
    /// How many predictions were counted.
    pub count: usize,
}

/// Evaluates models of one specification on one text.
#[derive(Debug)]
pub struct Evaluator {
    segments: Segments,
    dims: Dims,
    plan: Arc<Plan>,
    engine: Option<Engine>,
}

impl Evaluator {
    /// For the text `tokens`, at most `batch` segments of it side by side.
    ///
    /// # Errors
    /// A text of fewer than two tokens; sizes that do not fit together.
    pub fn new(spec: &Spec, tokens: Tokens, batch: usize) -> Result<Evaluator> {
        let segments = Segments::new(tokens)?;
        let dims = Dims {
            steps: STEPS.min(segments.predictions()),
            batch: batch.min(segments.max_batch()),
        };
        let plan = Arc::new(spec.plan(dims, Mode::Evaluate)?);
        Ok(Evaluator {
            segments,
            dims,
            plan,
            engine: None,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The mean loss under flat `parameters`.
    ///
    /// # Errors
    /// A lost device.
    pub async fn run(&mut self, device: &Device, parameters: &[f32]) -> Result<Evaluation> {
        let engine = match &mut self.engine {
            Some(engine) => engine,
            none => none.insert(Engine::new(device, self.plan.clone()).await?),
        };
        let Some(slot) = self.plan.io.parameters else {
            return Err(Error::internal("the plan has no parameters"));
        };
        engine.write(slot, parameters).await?;
        // The sum is taken in f64, in the order of the windows.
        let (mut loss, mut count) = (0.0, 0);
        for minibatch in self.segments.batches(self.dims.steps, self.dims.batch)? {
            let minibatch = minibatch?;
            count += minibatch.counted();
            let inputs = Inputs {
                ids: &minibatch.ids,
                targets: None,
                weights: minibatch.weights.as_deref(),
                starts: None,
                control: Control {
                    reset: u32::from(minibatch.carry == Carry::Reset),
                    ..Control::default()
                },
                hyper: Hyper::default(),
            };
            engine.run(&inputs).await?;
            let outcomes = engine.outcomes(false).await?;
            loss += outcomes.iter().map(|o| o.report.loss).sum::<f64>();
        }
        let outcomes = engine.outcomes(true).await?;
        loss += outcomes.iter().map(|o| o.report.loss).sum::<f64>();
        let nats = loss / count as f64;
        Ok(Evaluation {
            nats,
            bits: nats / std::f64::consts::LN_2,
            perplexity: nats.exp(),
            count,
        })
    }
}
