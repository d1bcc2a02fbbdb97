//! What is to be trained: plans and data, and how long; nothing is on a device yet.

use std::sync::Arc;

use super::evaluate::Evaluator;
use super::examples::{ExampleSet, FieldEvaluator};
use super::feed::{
    Batch, Feed, PackedExamples, PackedLines, SequenceFeed, SeriesSegments, TextBatch, joined,
};
use super::generator::Generator;
use super::settings::{Length, Reduce, Settings};
use super::state::{Counters, State};
use super::teacher_forcing::TeacherForcing;
use super::validation::Validation;
use crate::data::fields::FieldCodes;
use crate::data::{Dataset, StateCarry, Streams};
use crate::error::{Error, Result};
use crate::model::text::{Loss, Model};
use crate::model::{Dims, Mode, Spec, initialize};
use crate::op::{Hyper, Plan, Rule};
use crate::rng::{self, Purpose};
use crate::task::{Inputs, LossWeight, Weighting};

/// Rows of an evaluation, where the text has that many segments.
const EVALUATION_ROWS: usize = 32;
/// Evaluations may take this share of the training, by default.
const EVALUATION_SHARE: f64 = 0.05;
/// A forward and backward pass costs so many forward passes.
const TRAINING_COST: f64 = 3.0;

/// What a step has beside its minibatch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The step.
    pub step: u64,
    /// The number of its update, counted from 1.
    pub update: u64,
    /// The learning rate.
    pub lr: f64,
}

/// Encoded examples of a model's fields.
#[derive(Clone, Debug)]
pub struct FieldData {
    /// What the fields are as numbers.
    pub codes: FieldCodes,
    /// What is trained on.
    pub train: ExampleSet,
    /// What is held out.
    pub validation: Option<ExampleSet>,
}

/// What is to be trained: plans and data, nothing on a device yet.
#[derive(Debug)]
pub struct Job {
    /// The settings; `eval_every` is set.
    pub settings: Settings,
    /// The model.
    pub spec: Spec,
    /// The length of the run.
    pub length: Length,
    /// The training plan.
    pub plan: Arc<Plan>,
    pub(super) feed: Feed,
    /// Steps of the first epoch.
    pub(super) per_epoch: u64,
    /// Predictions of a step, on average.
    pub(super) predictions: f64,
    /// The token that samples go on from, such as the end of a line; 0 unless set.
    pub before: u32,
    /// Of lines: the symbols that start and end one.
    pub(super) marks: Option<(u32, u32)>,
    pub(super) validation: Option<Validation>,
    /// The plan that samples are drawn with, of a model that makes text.
    pub(super) generator: Option<Arc<Plan>>,
    pub(super) teacher_forcing: Option<TeacherForcing>,
    /// With scheduled sampling: the plan that makes inputs.
    pub(super) mixer: Option<Arc<Plan>>,
    /// Of a model of fields: what minibatches are made of.
    pub(super) examples: Option<PackedExamples>,
    pub(super) rule: Rule,
    /// Bytes of the tokens.
    pub(super) text: u64,
}

impl Job {
    /// Trains `spec` as `settings` say on `train`, with `validation` held out (empty for none).
    ///
    /// # Errors
    /// A text shorter than a segment; sizes that do not fit together.
    pub fn new(
        mut settings: Settings,
        spec: Spec,
        length: Length,
        train: impl Into<Dataset>,
        validation: impl Into<Dataset>,
    ) -> Result<Job> {
        let (validation, train) = (validation.into(), train.into());
        let text = train.bytes() + validation.bytes();
        let mut marks = None;
        let (mut feed, dims, rows) = match train {
            Dataset::Stream(tokens) => {
                let dims = Dims {
                    steps: settings.seq_len,
                    batch: settings.batch,
                };
                // The minibatches of an update follow one another, so that it reads one long segment.
                let steps = dims.steps.saturating_mul(settings.accumulate);
                let streams = Streams::new(tokens, steps, dims.batch)?;
                (Feed::Streams(streams), dims, 0)
            }
            Dataset::Lines(lines) => {
                marks = Some((lines.start_id(), lines.end_id()));
                let batching = settings.batching();
                let (pad, together) = (settings.pad, settings.accumulate);
                let lines = PackedLines::new(lines, batching.size, pad, together)?;
                let packing = lines.packing();
                let lines = Box::new(lines);
                let feed = SequenceFeed::new(lines, batching, together, settings.seed);
                let feed = Feed::Sequences(Box::new(feed));
                (feed, packing.into(), packing.rows)
            }
        };
        let teacher_forcing = TeacherForcing::new(&settings);
        let spec = Spec {
            packed: rows,
            ..spec
        };
        let update = super::build::update(&settings);
        let how = super::build::unroll(&settings);
        let plan = Arc::new(spec.unrolled(dims, how, Mode::Train(update))?);
        let evaluator = if validation.is_empty() {
            None
        } else {
            let evaluator = Evaluator::new(&spec, validation.clone(), EVALUATION_ROWS)?;
            Some(Validation::Text(Box::new(evaluator)))
        };
        let generator = Arc::new(Generator::plan(&spec, 1)?);
        let mixer = match teacher_forcing {
            None => None,
            Some(_) => Some(Arc::new(Generator::plan(&spec, dims.batch)?)),
        };
        let per_epoch = feed.place(0).steps;
        let predictions = match &feed {
            Feed::Streams(_) => (dims.steps * dims.batch * settings.accumulate) as f64,
            Feed::Series(series) => series.predictions(),
            Feed::Sequences(all) => all.predictions() as f64 / per_epoch as f64,
        };
        settings.eval_every.get_or_insert(eval_every(
            length,
            per_epoch,
            validation.predictions() as f64 / predictions,
        ));
        Ok(Job {
            rule: update.rule,
            text,
            settings,
            spec,
            length,
            plan,
            per_epoch,
            predictions,
            feed,
            before: marks.map_or(0, |m| m.0),
            marks,
            validation: evaluator,
            generator: Some(generator),
            teacher_forcing,
            mixer,
            examples: None,
        })
    }

    /// Trains the model whose fields `data` has, as `settings` say.
    ///
    /// # Errors
    /// No example to train on; sizes that do not fit together; weights of classes that there are not.
    pub fn of_fields(
        mut settings: Settings,
        spec: Spec,
        length: Length,
        data: &FieldData,
    ) -> Result<Job> {
        let FieldData {
            codes,
            train,
            validation,
        } = data;
        if train.is_empty() {
            return Err(Error::data("expected an example to train on, found none"));
        }
        let model = train.model().clone();
        let weights = super::build::loss_weights(&settings, train, codes)?;
        let weighs = |weight: &LossWeight| !weight.classes.is_empty();
        let spec = Spec {
            vocab: guesses(&model, codes),
            weighted: weights.len() > 1 || weights.iter().any(weighs),
            ..spec
        };
        let batching = settings.batching();
        let together = settings.accumulate;
        let sizes = train.sizes(codes, joined(train, batching.size, together))?;
        let update = super::build::update(&settings);
        let plan = Arc::new(model.plan(&spec, &sizes, Mode::Train(update))?);
        let examples = PackedExamples {
            set: train.clone(),
            plan: plan.clone(),
            weighting: Weighting::Means(weights),
        };
        let mut feed = if settings.stateful {
            Feed::Series(SeriesSegments::new(examples.clone(), settings.batch)?)
        } else {
            let all = Box::new(examples.clone());
            let feed = SequenceFeed::new(all, batching, together, settings.seed);
            Feed::Sequences(Box::new(feed))
        };
        let teacher_forcing = TeacherForcing::new(&settings);
        let mixer = match teacher_forcing {
            None => None,
            Some(_) => {
                let scored = Spec {
                    weighted: false,
                    ..spec.clone()
                };
                let plan = model.steps_plan(&scored, &sizes, sizes.examples);
                let plan = plan.map_err(|e| {
                    Error::new(e.kind, format!("scheduled-sampling: {}", e.message))
                })?;
                Some(Arc::new(plan))
            }
        };
        let by = super::build::best_by(&settings, &model);
        let evaluator = match validation {
            None => None,
            Some(set) => {
                let evaluator = FieldEvaluator::new(&spec, set.clone(), codes)?;
                Some(Validation::Fields(Box::new(evaluator), by))
            }
        };
        let per_epoch = feed.place(0).steps;
        let predictions = match &feed {
            Feed::Series(series) => series.predictions(),
            _ => train.predictions() as f64 / per_epoch as f64,
        };
        let held_out = validation.as_ref().map_or(0, ExampleSet::predictions);
        settings.eval_every.get_or_insert(eval_every(
            length,
            per_epoch,
            held_out as f64 / predictions,
        ));
        Ok(Job {
            rule: update.rule,
            text: train.bytes_with(validation.as_ref()),
            settings,
            spec,
            length,
            plan,
            per_epoch,
            predictions,
            feed,
            before: 0,
            marks: None,
            validation: evaluator,
            generator: None,
            teacher_forcing,
            mixer,
            examples: Some(examples),
        })
    }

    /// All plans of the run.
    pub fn plans(&self) -> Vec<&Plan> {
        let training = [self.plan.as_ref()].into_iter();
        let others = self.evaluation_plan().into_iter();
        training
            .chain(others)
            .chain(self.sampling_plans())
            .collect()
    }

    /// The plan that evaluates, where there is a validation text.
    pub fn evaluation_plan(&self) -> Option<&Plan> {
        self.validation.as_ref().map(Validation::plan)
    }

    /// The plans that samples and, with scheduled sampling, inputs are drawn with, as far as the run draws any.
    pub fn sampling_plans(&self) -> Vec<&Plan> {
        let generator = self.generator.iter();
        let generator = generator.filter(|_| self.settings.sample_every > 0);
        let plans = generator.chain(&self.mixer);
        plans.map(|p| p.as_ref()).collect()
    }

    /// Bytes of the tokens that are held in memory.
    pub fn text_bytes(&self) -> u64 {
        self.text
    }

    /// Steps of the first epoch, and of all where they do not differ.
    pub fn steps_per_epoch(&self) -> u64 {
        self.per_epoch
    }

    /// Steps of the whole run, where its length does not depend on the clock; with minibatches of a size in tokens, whose
    /// epochs differ, not of epochs either.
    pub fn total_steps(&self) -> Option<u64> {
        match self.length {
            Length::Epochs(epochs) => Some(epochs.saturating_mul(self.feed.even()?)),
            Length::Steps(steps) => Some(steps),
            Length::Minutes(_) => None,
        }
    }

    /// Makes ready to go on from `counters`, which a checkpoint brought.
    ///
    /// # Errors
    /// Checkpoint, where the step is not in the epoch that it was saved in.
    pub fn go_on(&mut self, counters: &Counters) -> Result<()> {
        self.feed.go_on(counters.step, counters.began)
    }

    /// The part of the run that is done after `step` steps and `elapsed` seconds, in [0, 1]. With epochs that differ, the
    /// step is one of the epoch in hand or the next one's first.
    pub fn fraction(&self, step: u64, elapsed: f64) -> f64 {
        let part = match (self.total_steps(), self.length) {
            (Some(total), _) => step as f64 / total.max(1) as f64,
            (None, Length::Minutes(minutes)) => elapsed / (60.0 * minutes),
            (None, Length::Epochs(epochs)) => self.feed.epochs(step) / epochs.max(1) as f64,
            (None, Length::Steps(_)) => 1.0,
        };
        part.clamp(0.0, 1.0)
    }

    /// Whether nothing is left to do after `elapsed` seconds: all steps are done, or so many evaluations found no better
    /// model that `stop-after` ends the run.
    pub fn over(&self, counters: &Counters, elapsed: f64) -> bool {
        let most = self.settings.stop_after;
        let stopped = most > 0 && counters.without_better >= most;
        stopped || self.fraction(counters.step, elapsed) >= 1.0
    }

    /// The learning rate and the other numbers of a step whose losses are multiplied by `scale`.
    fn hyper(&self, now: Now, scale: f64) -> Hyper {
        let (correction1, correction2) = self.rule.corrections(now.update);
        Hyper {
            lr: now.lr,
            scale,
            update: now.update as f64,
            correction1,
            correction2,
        }
    }

    /// What a step's run needs of the host.
    pub(super) fn inputs<'a>(&self, batch: &'a Batch, now: Now) -> Inputs<'a> {
        let inputs = match batch {
            Batch::Text(batch) => self.text_inputs(batch, now),
            Batch::Examples(batch) => {
                let hyper = self.hyper(now, batch.minibatch.scale());
                batch.minibatch.inputs().hyper(hyper)
            }
        };
        inputs.draws(rng::key(self.settings.seed, Purpose::Dropout), now.step)
    }

    /// What a text's minibatch gives.
    fn text_inputs<'a>(&self, batch: &'a TextBatch, now: Now) -> Inputs<'a> {
        Inputs::new(&batch.ids)
            .targets(batch.targets.as_deref())
            .weights(batch.weights.as_deref())
            .starts(batch.starts.as_deref())
            .reset(batch.carry == StateCarry::Reset)
            .hyper(self.hyper(
                now,
                match self.settings.reduce {
                    Reduce::Token => 1.0 / batch.counted as f64,
                    Reduce::Row => 1.0 / batch.rows as f64,
                },
            ))
    }

    /// The state of a run that begins.
    ///
    /// # Errors
    /// Initial values that are not finite; starts of biases that the cells do not have.
    pub fn start(&self) -> Result<State> {
        let init = super::build::init(&self.settings, &self.spec)?;
        let parameters = initialize(&self.plan, &init)?;
        Ok(State::start(
            &self.plan,
            parameters,
            self.steps_per_epoch(),
            self.spec.vocab,
        ))
    }
}

/// Steps between evaluations where nothing is said: an evaluation costs `cost` training steps' predictions. A round number
/// of steps, and at least 500; a long epoch is cut into a few parts only for its own sake.
fn eval_every(length: Length, per_epoch: u64, cost: f64) -> u64 {
    let balanced = cost / (TRAINING_COST * EVALUATION_SHARE);
    let balanced = ((balanced / 100.0).ceil() as u64 * 100).max(500);
    match length {
        Length::Minutes(_) => balanced,
        _ => balanced.max(per_epoch / 4).min(per_epoch),
    }
}

/// Of how many possibilities a guess of all losses is one: a model without knowledge pays its logarithm.
fn guesses(model: &Model, codes: &FieldCodes) -> usize {
    let of = |loss: &Loss| {
        let field = loss.target.field();
        let values = field.and_then(|field| codes.values(&model.fields()[field].name));
        values.unwrap_or(1)
    };
    let counts = model.losses().iter().map(of);
    counts.fold(1, |all: usize, count| all.saturating_mul(count))
}
