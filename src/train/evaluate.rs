//! The loss on a text that is not trained on: the same figure whatever the batch size.

use std::sync::Arc;

use serde::Serialize;

use super::feed::Batch;
use crate::data::{BatchSize, Body, Carry, LineBatches, Lines, Packed, Segments};
use crate::error::{Error, Result};
use crate::exec::{Device, Engine, Inputs};
use crate::model::{Dims, Mode, Spec};
use crate::op::{Control, Hyper, Packing, Plan};

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

/// Predictions of a minibatch of lines, at least; a longer line is a minibatch of its own.
const TOKENS: usize = 4096;

/// What is read.
#[derive(Debug)]
enum Text {
    Segments {
        segments: Segments,
        dims: Dims,
    },
    Lines {
        lines: Lines,
        batches: LineBatches,
        packing: Packing,
    },
}

/// Evaluates models of one specification on one text.
#[derive(Debug)]
pub struct Evaluator {
    text: Text,
    plan: Arc<Plan>,
    engine: Option<Engine>,
}

impl Evaluator {
    /// For the text `text`; of a stream, at most `batch` segments side by side.
    ///
    /// # Errors
    /// A text without a prediction; sizes that do not fit together.
    pub fn new(spec: &Spec, text: impl Into<Body>, batch: usize) -> Result<Evaluator> {
        let mut spec = spec.clone();
        let (text, dims) = match text.into() {
            Body::Stream(tokens) => {
                let segments = Segments::new(tokens)?;
                let dims = Dims {
                    steps: STEPS.min(segments.predictions()),
                    batch: batch.min(segments.max_batch()),
                };
                spec.packed = 0;
                (Text::Segments { segments, dims }, dims)
            }
            Body::Lines(lines) if lines.is_empty() => {
                return Err(Error::data("the text to evaluate has no line with a token"));
            }
            Body::Lines(lines) => {
                let size = BatchSize::Tokens(TOKENS);
                let packing = super::feed::room(&lines, size);
                spec.packed = packing.rows;
                let batches = LineBatches::sorted(&lines, size);
                let text = Text::Lines {
                    lines,
                    batches,
                    packing,
                };
                (text, packing.into())
            }
        };
        let plan = Arc::new(spec.plan(dims, Mode::Evaluate)?);
        Ok(Evaluator {
            text,
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
        let mut copy = parameters.to_vec();
        self.borrow(device, &mut copy).await
    }

    /// The same with parameters that are lent: the processor needs no copy of them, and an adapter leaves none behind.
    ///
    /// # Errors
    /// As [`Evaluator::run`]; the parameters are back by then.
    pub async fn borrow(
        &mut self,
        device: &Device,
        parameters: &mut Vec<f32>,
    ) -> Result<Evaluation> {
        if self.engine.is_none() {
            self.engine = Some(Engine::new(device, self.plan.clone()).await?);
        }
        let (Some(engine), Some(slot)) = (&mut self.engine, self.plan.io.parameters) else {
            return Err(Error::internal("the plan has no parameters"));
        };
        if parameters.len() != self.plan.slot(slot).len() {
            return Err(Error::internal(format!(
                "parameters: expected {}, found {}",
                self.plan.slot(slot).len(),
                parameters.len()
            )));
        }
        engine.put(slot, std::mem::take(parameters)).await?;
        let found = evaluate(engine, &self.text).await;
        if let Device::Cpu = device {
            *parameters = engine.lend(slot).await?;
        }
        found
    }
}

/// The mean loss of the model that an executor holds.
async fn evaluate(engine: &mut Engine, text: &Text) -> Result<Evaluation> {
    // The sum is taken in f64, in the order of the windows.
    let (mut loss, mut count) = (0.0, 0);
    let windows: Box<dyn Iterator<Item = Result<Batch>> + Send> = match text {
        Text::Segments { segments, dims } => {
            let windows = segments.batches(dims.steps, dims.batch)?;
            Box::new(windows.map(|w| w.map(Batch::from)))
        }
        Text::Lines {
            lines,
            batches,
            packing,
        } => Box::new(batches.iter().map(|batch| {
            let packed = Packed::new(lines, batch)?;
            Ok(Batch::packed(packed, packing))
        })),
    };
    for window in windows {
        let window = window?;
        count += window.counted;
        let inputs = Inputs {
            ids: &window.ids,
            targets: window.targets.as_deref(),
            weights: window.weights.as_deref(),
            starts: window.starts.as_deref(),
            control: Control {
                reset: u32::from(window.carry == Carry::Reset),
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
    Ok(Evaluation::of(loss, count))
}

impl Evaluation {
    /// From the sum of the losses of `count` predictions, in nats.
    pub(super) fn of(loss: f64, count: usize) -> Evaluation {
        let nats = loss / count as f64;
        Evaluation {
            nats,
            bits: nats / std::f64::consts::LN_2,
            perplexity: nats.exp(),
            count,
        }
    }
}
