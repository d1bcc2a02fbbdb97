//! The loss on a text that is not trained on: the same figure whatever the batch size.

use std::sync::Arc;

use serde::Serialize;

use super::examples::Metric;
use super::feed::TextBatch;
use crate::data::{BatchSize, Dataset, LineBatches, Lines, PackedSequences, Segments, StateCarry};
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::{Dims, Mode, Spec};
use crate::op::{Packing, Plan};
use crate::task::Inputs;

/// Steps of a segment: long, so that products over all its rows are large.
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
    /// Where they were looked at: the predictions of symbols that are unknown, and the others.
    pub unknown: Option<Unknown>,
    /// Of a model of fields: by what models are compared.
    #[serde(skip)]
    pub metric: Option<Metric>,
}

/// How much of a text is unknown to a vocabulary that has a symbol for that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Unknown {
    /// Predictions of the unknown symbol, of all that were counted.
    pub count: usize,
    /// The mean loss of the other predictions, in nats; none where there is no other.
    pub known_nats: Option<f64>,
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
    unknown: Option<u32>,
}

impl Evaluator {
    /// For the text `text`; of a stream, at most `batch` segments side by side.
    ///
    /// # Errors
    /// A text without a prediction; sizes that do not fit together.
    pub fn new(spec: &Spec, text: impl Into<Dataset>, batch: usize) -> Result<Evaluator> {
        let mut spec = spec.clone();
        let (text, dims) = match text.into() {
            Dataset::Stream(tokens) => {
                let segments = Segments::new(tokens)?;
                let dims = Dims {
                    steps: STEPS.min(segments.predictions()),
                    batch: batch.min(segments.max_batch()),
                };
                spec.packed = 0;
                (Text::Segments { segments, dims }, dims)
            }
            Dataset::Lines(lines) if lines.is_empty() => {
                return Err(Error::data("the text to evaluate has no line with a token"));
            }
            Dataset::Lines(lines) => {
                let size = BatchSize::Tokens(TOKENS);
                let packing = super::feed::capacity(&lines, size);
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
            unknown: None,
        })
    }

    /// Looks at the predictions of `unknown`, the symbol that stands for unknown ones, and of all others apart. A text
    /// that has some is read twice.
    #[must_use]
    pub fn apart(mut self, unknown: Option<u32>) -> Evaluator {
        self.unknown = unknown;
        self
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The mean loss under flat `parameters`.
    ///
    /// # Errors
    /// Parameters that do not fit the plan; a lost device.
    pub async fn run(&mut self, device: &Device, parameters: &[f32]) -> Result<Evaluation> {
        let Some(slot) = self.plan.io.parameters else {
            return Err(Error::internal("the plan has no parameters"));
        };
        let mut engine = match self.engine.take() {
            Some(engine) => engine,
            None => Engine::new(device, self.plan.clone()).await?,
        };
        engine.write(slot, parameters).await?;
        let found = apart(&mut engine, &self.text, self.unknown).await;
        self.engine = Some(engine);
        found
    }

    /// The mean loss of the model that `trained` trains, whose parameters are read where they lie. An evaluator does this for
    /// one executor, or [`Evaluator::run`].
    ///
    /// # Errors
    /// Parameters that do not fit the plan; a lost device.
    pub async fn run_shared(&mut self, trained: &mut Engine) -> Result<Evaluation> {
        let engine = match &mut self.engine {
            Some(engine) => engine,
            none => none.insert(trained.share(self.plan.clone()).await?),
        };
        apart(engine, &self.text, self.unknown).await
    }
}

/// The mean loss of the model that an executor holds, and how much of the text is `unknown`.
async fn apart(engine: &mut Engine, text: &Text, unknown: Option<u32>) -> Result<Evaluation> {
    let all = evaluate(engine, text, unknown, false).await?;
    let mut found = Evaluation::of(all.loss, all.count);
    if unknown.is_some() {
        let known = match all.unknown {
            0 => all,
            _ => evaluate(engine, text, unknown, true).await?,
        };
        found.unknown = Some(Unknown {
            count: all.unknown,
            known_nats: (known.count > 0).then(|| known.loss / known.count as f64),
        });
    }
    Ok(found)
}

/// The losses of a text.
#[derive(Clone, Copy)]
struct TextLoss {
    /// In nats, over all predictions that count.
    loss: f64,
    /// How many these are.
    count: usize,
    /// How many of them are of the unknown symbol.
    unknown: usize,
}

/// The loss of the model that an executor holds; `without` the predictions of the `unknown` symbol.
async fn evaluate(
    engine: &mut Engine,
    text: &Text,
    unknown: Option<u32>,
    without: bool,
) -> Result<TextLoss> {
    // The sum is taken in f64, in the order of the minibatches.
    let (mut loss, mut count, mut met) = (0.0, 0, 0);
    let batches: Box<dyn Iterator<Item = Result<TextBatch>> + Send> = match text {
        Text::Segments { segments, dims } => {
            let batches = segments.batches(dims.steps, dims.batch)?;
            Box::new(batches.map(|b| b.map(TextBatch::from)))
        }
        Text::Lines {
            lines,
            batches,
            packing,
        } => Box::new(batches.iter().map(|batch| {
            let packed = PackedSequences::new(lines, batch)?;
            Ok(TextBatch::packed(packed, packing))
        })),
    };
    for batch in batches {
        let mut batch = batch?;
        if let Some(unknown) = unknown {
            if without {
                batch.leave_out(unknown)
            } else {
                met += batch.predictions_of(unknown)
            }
        }
        count += batch.counted;
        let inputs = Inputs::new(&batch.ids)
            .targets(batch.targets.as_deref())
            .weights(batch.weights.as_deref())
            .starts(batch.starts.as_deref())
            .reset(batch.carry == StateCarry::Reset);
        engine.run(&inputs).await?;
        let outcomes = engine.outcomes(false).await?;
        loss += outcomes.iter().map(|o| o.report.loss).sum::<f64>();
    }
    let outcomes = engine.outcomes(true).await?;
    loss += outcomes.iter().map(|o| o.report.loss).sum::<f64>();
    Ok(TextLoss {
        loss,
        count,
        unknown: met,
    })
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
            unknown: None,
            metric: None,
        }
    }

    /// A number that is lower for a better model: the loss, where nothing else is asked for.
    pub fn score(&self) -> f64 {
        self.metric.map_or(self.nats, Metric::score)
    }
}
