//! The training loop as a state machine: each call of [`Trainer::next`] does a piece of work and says what came of it.
//! It awaits its engine, prints nothing and touches no file, so any host can drive it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::diverged::diverged;
use super::evaluate::Evaluation;
use super::examples::ExampleMixer;
use super::feed::{Batch, EpochPlace, ExampleBatch, TextBatch};
use super::generator::{Choice, Generator};
use super::job::{Job, Now};
use super::metrics::{Figures, StepLoss};
use super::mixer::{MixedSegment, Mixer, Mixing};
use super::schedule::{Progress, Schedule};
use super::state::{self, Best, Counters, State};
use super::watch::Watch;
use crate::data::{Padding, StateCarry};
use crate::error::{Error, Kind, Result};
use crate::exec::{Device, Engine, Outcome};
use crate::op::{Plan, SlotId};

/// Tokens of a sample during training.
const SAMPLE: usize = 200;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Figures of steps arrived, in order.
    Steps(Vec<Figures>),
    /// The validation text was evaluated at a step; `best` where no loss was lower so far.
    Evaluated {
        /// The step.
        step: u64,
        /// What was found.
        evaluation: Evaluation,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A sample at a step: its tokens.
    Sample {
        /// The step.
        step: u64,
        /// The tokens.
        tokens: Vec<u32>,
    },
    /// A state to be kept; `best` where the newest evaluation was the best.
    Save {
        /// The state.
        state: Box<State>,
        /// Keep it as the best instead of the newest.
        best: bool,
    },
    /// The run is over: all steps are done, or it was stopped.
    Finished,
}

/// Work that a step leaves behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    Evaluate { observe: bool },
    Sample,
    Save { best: bool },
}

/// What is known of a step before its figures come.
#[derive(Debug)]
struct Pending {
    lr: f64,
    place: EpochPlace,
    counted: usize,
    /// What gives the mean of its losses, where that is no mean over what is counted.
    scale: Option<f64>,
    /// At an epoch's last step: what padding would have cost.
    padding: Option<Padding>,
}

/// A run in progress.
#[derive(Debug)]
pub struct Trainer {
    job: Job,
    engine: Engine,
    generator: Option<Generator>,
    mixer: Option<Mixer>,
    example_mixer: Option<ExampleMixer>,
    schedule: Schedule,
    parameters: SlotId,
    counters: Counters,
    /// Steps done when this engine was made: its runs are counted from there.
    first: u64,
    /// The steps whose figures have not come.
    pending: VecDeque<Pending>,
    figures: Vec<Figures>,
    due: VecDeque<Due>,
    /// The step at which the newest evaluation was made.
    evaluated: Option<u64>,
    /// Looks at the losses since this engine was made.
    watch: Watch,
    closing: bool,
}

impl Trainer {
    /// Puts `job` on `device`, to go on from `state`.
    ///
    /// # Errors
    /// A state that does not fit the plan; a device that cannot hold it.
    pub async fn new(device: Device, mut job: Job, state: State) -> Result<Trainer> {
        job.go_on(&state.counters)?;
        let plan = job.plan.clone();
        let mut engine = Engine::new(&device, plan.clone()).await?;
        let Some(parameters) = plan.io.parameters else {
            return Err(Error::internal("the plan has no parameters"));
        };
        engine.put(parameters, state.parameters).await?;
        for (slot, values) in plan.io.optimizer.iter().zip(state.optimizer) {
            engine.put(*slot, values).await?;
        }
        for (layout, last) in plan.io.states.iter().zip(&state.states) {
            let all = state::at_last_step(&plan, layout, last)?;
            engine.write(layout.slot, &all).await?;
        }
        if let Some(slot) = plan.io.scaling {
            let made = state.counters.step.saturating_sub(state.counters.skipped);
            let (c1, c2) = job.rule.corrections(made);
            // A run that goes over to half precision starts with the first factor and the updates that it has made.
            let fresh = || vec![0.0, 0.0, c1 as f32, c2 as f32];
            let scaling = state.scaling.unwrap_or_else(fresh);
            engine.write(slot, &scaling).await?;
        }
        let first = state.counters.step;
        let watch = Watch::new(job.spec.vocab);
        Ok(Trainer {
            schedule: Schedule::new(&job.settings),
            job,
            engine,
            generator: None,
            mixer: None,
            example_mixer: None,
            parameters,
            counters: state.counters,
            first,
            pending: VecDeque::new(),
            figures: Vec::new(),
            due: VecDeque::new(),
            evaluated: None,
            watch,
            closing: false,
        })
    }

    /// What is being trained.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Where losses of late are beyond belief: the newest step whose weights are not.
    pub fn good_until(&self) -> Option<u64> {
        self.watch.good_until()
    }

    /// Where the run is.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Goes on until something is to be told. `elapsed` are the seconds of training so far, earlier sittings included;
    /// with `stop`, the run ends after the work that its last step left.
    ///
    /// # Errors
    /// Diverged, naming the first tensor that is not finite; the parameters are then as they were before that step. Diverged
    /// too where losses are finite and beyond belief. A lost device.
    pub async fn next(&mut self, elapsed: f64, stop: bool) -> Result<Event> {
        self.counters.elapsed = elapsed;
        loop {
            let over = self.job.over(&self.counters, elapsed);
            let ending = self.closing || stop || over;
            if ending || !self.due.is_empty() {
                self.collect(true).await?;
            }
            if !self.figures.is_empty() {
                return Ok(Event::Steps(std::mem::take(&mut self.figures)));
            }
            if let Some(due) = self.due.pop_front() {
                return self.perform(due).await;
            }
            if self.closing {
                return Ok(Event::Finished);
            }
            if ending {
                self.closing = true;
                if !stop {
                    self.watch.end()?;
                }
                let step = self.counters.step;
                if !stop && self.evaluated != Some(step) && self.job.validation.is_some() {
                    self.due.push_back(Due::Evaluate { observe: false });
                }
                // Even where the step was saved: an evaluation and the clock may be newer.
                self.due.push_back(Due::Save { best: false });
                continue;
            }
            self.submit(elapsed).await?;
            self.collect(false).await?;
        }
    }

    /// Submits one minibatch and notes what is due after it.
    async fn submit(&mut self, elapsed: f64) -> Result<()> {
        let step = self.counters.step;
        let place = self.job.feed.place(step);
        let mut batch = self.job.feed.batch(step)?;
        let lr = self.schedule.lr(&Progress {
            step,
            epoch: place.epoch,
            fraction: self.job.fraction(step, elapsed),
            plateau: self.counters.plateau,
        });
        // With loss scaling the device counts the updates, as some may be left out that are not known here yet.
        let update = (step + 1).saturating_sub(self.counters.skipped).max(1);
        self.mix(&mut batch).await?;
        let now = Now { step, update, lr };
        let inputs = self.job.inputs(&batch, now);
        self.engine.run(&inputs).await?;
        let padding = if place.ends() {
            self.job.feed.padding(place.epoch)
        } else {
            None
        };
        self.pending.push_back(Pending {
            lr,
            place,
            counted: batch.counted(),
            scale: batch.scale(),
            // Now, while the epoch's minibatches are at hand: its figures may come when the next one's are.
            padding,
        });
        self.counters.step += 1;
        self.counters.began = self.job.feed.began();

        let settings = &self.job.settings;
        let step = self.counters.step;
        let epoch_ends = place.ends();
        // A period of 0 is an epoch.
        let at = |period: u64| match period {
            0 => epoch_ends,
            period => step.is_multiple_of(period),
        };
        if self.job.validation.is_some() && at(settings.eval_every.unwrap_or(0)) {
            self.due.push_back(Due::Evaluate { observe: true });
        }
        let samples = settings.sample_every > 0 && self.job.generator.is_some();
        if samples && at(settings.sample_every) {
            self.due.push_back(Due::Sample);
        }
        if at(settings.save_every) {
            self.due.push_back(Due::Save { best: false });
        }
        Ok(())
    }

    /// Takes the figures that have come, or with `wait` all of them.
    async fn collect(&mut self, wait: bool) -> Result<()> {
        for Outcome { run, report } in self.engine.outcomes(wait).await? {
            let step = self.first + run;
            if report.beyond {
                self.counters.skipped += 1;
            } else if !report.finite {
                return Err(diverged(&mut self.engine, step).await?);
            }
            let Some(Pending {
                lr,
                place,
                counted,
                scale,
                padding,
            }) = self.pending.pop_front()
            else {
                return Err(Error::internal("figures of a step that was not made"));
            };
            let meter = &mut self.counters.meter;
            let made = StepLoss {
                loss: scale.map_or(report.loss, |s| s * report.loss * counted as f64),
                tokens: counted,
                share: counted as f64 / self.job.predictions,
            };
            self.watch.step(step + 1, made.loss / made.tokens as f64)?;
            self.figures.push(Figures {
                penalty: report.penalty,
                epsilon: self.job.teacher_forcing.map(|s| s.epsilon(step)),
                padding: padding.map(|p| p.share()),
                skipped: self.job.settings.half.then_some(self.counters.skipped),
                ..meter.take(step, place, made, lr, report.norm)
            });
        }
        Ok(())
    }

    async fn perform(&mut self, due: Due) -> Result<Event> {
        let step = self.counters.step;
        match due {
            Due::Evaluate { observe } => {
                let Some(validation) = &mut self.job.validation else {
                    return Err(Error::internal("no text to evaluate"));
                };
                let evaluation = validation.run(&mut self.engine).await?;
                let nats = evaluation.nats;
                self.watch.validation(step, nats)?;
                let score = evaluation.score();
                if observe {
                    self.counters.plateau = self.schedule.observe(self.counters.plateau, score);
                }
                self.evaluated = Some(step);
                self.counters.validation = Some(nats);
                let best = self.counters.best.is_none_or(|b| score < b.score());
                if best {
                    let metric = evaluation.metric;
                    self.counters.best = Some(Best { step, nats, metric });
                    self.counters.without_better = 0;
                    self.due.push_front(Due::Save { best: true });
                } else if observe {
                    self.counters.without_better += 1;
                }
                Ok(Event::Evaluated {
                    step,
                    evaluation,
                    best,
                })
            }
            Due::Sample => {
                let tokens = self.sample().await?;
                Ok(Event::Sample { step, tokens })
            }
            Due::Save { best } => {
                let state = Box::new(self.state().await?);
                Ok(Event::Save { state, best })
            }
        }
    }

    /// The state after the last step.
    ///
    /// # Errors
    /// A lost device.
    pub async fn state(&mut self) -> Result<State> {
        let plan = self.job.plan.clone();
        let parameters = self.engine.read(self.parameters).await?;
        let mut optimizer = Vec::new();
        for slot in &plan.io.optimizer {
            optimizer.push(self.engine.read(*slot).await?);
        }
        Ok(State {
            counters: self.counters,
            parameters,
            optimizer,
            states: self.states().await?,
            scaling: match plan.io.scaling {
                Some(slot) => Some(self.engine.read(slot).await?),
                None => None,
            },
        })
    }

    /// Each layer's states [S, B, H] after the last step.
    async fn states(&mut self) -> Result<Vec<Vec<f32>>> {
        let plan = self.job.plan.clone();
        let mut states = Vec::new();
        for layout in &plan.io.states {
            let all = self.engine.read(layout.slot).await?;
            states.push(layout.read(layout.steps, &all));
        }
        Ok(states)
    }

    /// With scheduled sampling, unless all inputs stay: puts those that the model makes into the next step's minibatch.
    async fn mix(&mut self, batch: &mut Batch) -> Result<()> {
        let (Some(teacher_forcing), Some(plan)) = (self.job.teacher_forcing, &self.job.mixer)
        else {
            return Ok(());
        };
        let (step, plan) = (self.counters.step, plan.clone());
        let mixing = Mixing {
            seed: self.job.settings.seed,
            step,
            epsilon: teacher_forcing.epsilon(step),
        };
        if mixing.epsilon == 1.0 {
            return Ok(());
        }
        // Another executor makes them, of the same parameters.
        self.engine.settle().await?;
        let mixed = match batch {
            Batch::Text(batch) => self.mix_text(batch, plan, mixing).await,
            Batch::Examples(batch) => self.mix_examples(batch, plan, mixing).await,
        };
        if mixed.as_ref().is_err_and(|e| e.kind == Kind::Diverged) {
            // An earlier step may have left this, whose report has not been looked at.
            self.collect(true).await?;
        }
        mixed
    }

    async fn mix_text(
        &mut self,
        batch: &mut TextBatch,
        plan: Arc<Plan>,
        mixing: Mixing,
    ) -> Result<()> {
        let states = match batch.carry {
            StateCarry::Reset => None,
            StateCarry::Keep => Some(self.states().await?),
        };
        let mixer = match &mut self.mixer {
            Some(mixer) => mixer,
            none => {
                let generator = Generator::shared(&mut self.engine, plan).await?;
                none.insert(Mixer::new(generator))
            }
        };
        let segment = MixedSegment {
            ids: &batch.ids,
            states: states.as_deref(),
            mixing,
        };
        let mixed = mixer.mix(&segment).await?;
        // What changes are inputs alone.
        batch.targets = Some(batch.ids[batch.rows..].to_vec());
        batch.ids = mixed;
        Ok(())
    }

    async fn mix_examples(
        &mut self,
        batch: &mut ExampleBatch,
        plan: Arc<Plan>,
        mixing: Mixing,
    ) -> Result<()> {
        let Some(all) = &self.job.examples else {
            return Err(Error::internal("examples of a text"));
        };
        let mixer = match &mut self.example_mixer {
            Some(mixer) => mixer,
            none => {
                let set = all.set.clone();
                none.insert(ExampleMixer::shared(&mut self.engine, plan, set).await?)
            }
        };
        if let Some(columns) = mixer.mix(&batch.examples, &mixing).await? {
            batch.minibatch = all.laid(&columns)?;
        }
        Ok(())
    }

    /// A text of the model as it is; each step's sample has draws of its own.
    async fn sample(&mut self) -> Result<Vec<u32>> {
        let mut generator = match self.generator.take() {
            Some(generator) => generator,
            None => {
                let Some(plan) = self.job.generator.clone() else {
                    return Err(Error::internal("a sample of a model that makes no text"));
                };
                Generator::shared(&mut self.engine, plan).await?
            }
        };
        let position = self.counters.step << 32;
        generator.restart(position);
        let tokens = self.draw(&mut generator, position).await;
        self.generator = Some(generator);
        tokens
    }

    async fn draw(&self, generator: &mut Generator, position: u64) -> Result<Vec<u32>> {
        let choice = Choice {
            seed: self.job.settings.seed,
            ..Choice::default()
        };
        let marks = self.job.marks;
        let mut last = self.job.before;
        let mut tokens = Vec::with_capacity(SAMPLE);
        for _ in 0..SAMPLE {
            let scores = generator.feed(&[last]).await?;
            let token = generator.draw(&scores, &choice)?[0];
            tokens.push(token);
            last = match marks {
                // The next line begins as every line does.
                Some((start, end)) if token == end => {
                    generator.restart(position + tokens.len() as u64);
                    start
                }
                _ => token,
            };
        }
        Ok(tokens)
    }
}
