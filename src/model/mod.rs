//! Models: a specification becomes layers, and layers become a plan; how parameters start and how files name them.

pub(crate) mod exclusions;
mod head;
mod init;
mod recompute;
mod regularize;
mod stack;
pub mod text;
mod unroll;
mod weights;

use std::sync::Arc;

pub use head::Softmax;
pub use init::{Init, Scheme, initialize};
pub use regularize::{Drops, Penalties};
pub use stack::Connections;
pub use unroll::Unroll;
pub use weights::{Tensor, export, import};

use crate::cell::{Cell, Noise};
use crate::error::{Error, Result};
use crate::layer::{Axis, AxisShape, Builder};
use crate::op::loss_scale::Phase;
use crate::op::{LossScale, Matrix, Norm, Op, Optimizer, Packing, Plan, Role, Rule, SparseUpdate};

/// A language model: token ids, recurrent layers, scores of the next token.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Symbols in the vocabulary, V.
    pub vocab: usize,
    /// The cell of every recurrent layer, bottom first.
    pub cells: Vec<Arc<Cell>>,
    /// The hidden size, H.
    pub hidden: usize,
    /// The width of the embedding; 0 feeds one-hot vectors.
    pub embed: usize,
    /// The rate of dropout after every recurrent layer.
    pub dropout: f64,
    /// Where else values and weights are dropped.
    pub drops: Drops,
    /// What the objective has beside the loss.
    pub penalties: Penalties,
    /// Whether the output layer shares the embedding's weight.
    pub tie: bool,
    /// The width of a linear layer after every recurrent layer; 0 for none.
    pub project: usize,
    /// Whether every recurrent layer runs in both directions of time; a model that predicts its own input must not.
    pub bidirectional: bool,
    /// Whether layers are normalised before dropout (Ba 2016).
    pub layer_norm: bool,
    /// Whether the states before the first step are learned.
    pub learn_initial: bool,
    /// What passes layers by.
    pub connections: Connections,
    /// Noise inside the cells while training.
    pub noise: Noise,
    /// Whether that noise takes its mean in training too, as it does in evaluation.
    pub still: bool,
    /// How scores become a loss.
    pub softmax: Softmax,
    /// Label smoothing: the share of the goal that all symbols have alike while training (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// Whether the gradients of tables of which a minibatch uses a few rows are those rows: the embedding, unless a full or
    /// adaptive softmax shares it, and the weight of a sampled softmax. The update then touches these rows alone, which
    /// is exact for some rules only, see [`SparseUpdate`].
    pub sparse: bool,
    /// How many scores of symbols may be held at once; a larger head is computed in chunks.
    pub scores_at_once: usize,
    /// Whether training takes targets of their own instead of the next inputs, which may then be other tokens.
    pub targets_apart: bool,
    /// The most rows of sequences of different lengths that are packed together; 0 for minibatches of T steps of B rows.
    pub packed: usize,
    /// Whether the positions have weights of their own in training, too.
    pub weighted: bool,
    /// How many steps ahead a loss predicts whose line does not say it.
    pub horizon: usize,
    /// T of segments of one series whose states go on from one to the next; 0 for sequences that stand for themselves.
    pub stateful: usize,
    /// Whether draws are from the unit Gaussian, whatever the lines say of them: how new examples are made.
    pub prior: bool,
    /// Whether an adapter that trains holds the rows of a minibatch in half precision.
    pub half: bool,
}

/// 128 MiB of scores: what every adapter binds.
pub const SCORES_AT_ONCE: usize = 32 << 20;

/// No layer, no symbol, no extra: what a specification names is all that it has.
impl Default for Spec {
    fn default() -> Spec {
        Spec {
            vocab: 0,
            cells: Vec::new(),
            hidden: 1,
            embed: 0,
            dropout: 0.0,
            drops: Drops::default(),
            penalties: Penalties::default(),
            tie: false,
            project: 0,
            bidirectional: false,
            layer_norm: false,
            learn_initial: false,
            connections: Connections::default(),
            noise: Noise::default(),
            still: false,
            softmax: Softmax::Full,
            label_smoothing: 0.0,
            sparse: false,
            scores_at_once: SCORES_AT_ONCE,
            targets_apart: false,
            packed: 0,
            weighted: false,
            horizon: 1,
            stateful: 0,
            prior: false,
            half: false,
        }
    }
}

/// The size of a minibatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Steps, T.
    pub steps: usize,
    /// Rows, B.
    pub batch: usize,
}

impl From<Packing> for Dims {
    fn from(packing: Packing) -> Dims {
        Dims {
            steps: packing.steps,
            batch: packing.batch,
        }
    }
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Forward, backward, clipping and update.
    Train(Update),
    /// Forward and backward, with the gradients of the initial states; for tests.
    Gradients,
    /// Forward and the loss of every position, each with a weight of its own.
    Evaluate,
    /// Forward to the scores.
    Scores,
}

impl Mode {
    /// Whether there is a backward pass.
    fn trains(self) -> bool {
        matches!(self, Mode::Train(_) | Mode::Gradients)
    }
}

/// How parameters are updated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// The rule.
    pub rule: Rule,
    /// The largest norm of the gradient; 0 for no limit.
    pub clip_norm: f64,
    /// The largest magnitude of an element; 0 for no limit.
    pub clip_value: f64,
}

impl Spec {
    /// The cells' names in a few words: `lstm`, or `lstm, gru` where the layers differ.
    pub fn cell_names(&self) -> String {
        let mut names: Vec<&str> = self.cells.iter().map(|c| c.name.as_str()).collect();
        if names.iter().all(|n| *n == names[0]) {
            names.truncate(1);
        }
        names.join(", ")
    }

    /// The most rows that are packed together in a plan for `mode`; none for segments.
    fn packed_rows(&self, mode: Mode) -> Option<usize> {
        // One step at a time is the same for sequences of any length.
        (self.packed > 0 && mode != Mode::Scores).then_some(self.packed)
    }

    /// The plan of this model for minibatches of the given size.
    ///
    /// # Errors
    /// Sizes that do not fit together, such as a tied embedding of another width than H.
    pub fn plan(&self, dims: Dims, mode: Mode) -> Result<Plan> {
        self.unrolled(dims, Unroll::default(), mode)
    }

    /// The plan for minibatches of `how.minibatches` minibatches of the given size, of which training keeps the activations of a
    /// segment at a time. Other plans than those for training have one minibatch in one segment.
    ///
    /// # Errors
    /// As [`Spec::plan`]; Usage for segments that are not equal, and for what does not go together, such as segments and penalties
    /// that look from one to the next.
    pub fn unrolled(&self, dims: Dims, how: Unroll, mode: Mode) -> Result<Plan> {
        let training = mode.trains();
        let how = if training { how } else { Unroll::default() };
        let (steps, segments) = how.segments(dims.steps)?;
        self.check(mode, how, segments)?;
        let mut builder = Builder::new(training);
        let axis = builder.add_axis(AxisShape {
            steps,
            batch: dims.batch,
            packed: self.packed_rows(mode),
            segments: segments * how.minibatches,
        });
        builder.initial = mode == Mode::Gradients;
        builder.scaled = self.half && training;
        text::language()?.stream(&mut builder, self, axis, mode)?;
        self.conclude(builder, axis, (segments, how), mode)
    }

    /// Ends a plan whose forward pass is written: the backward pass, the report, the update.
    fn conclude(
        &self,
        mut builder: Builder,
        axis: Axis,
        (segments, how): (usize, Unroll),
        mode: Mode,
    ) -> Result<Plan> {
        let training = mode.trains();
        let Some(losses) = builder.all_losses() else {
            return sound(builder.finish());
        };
        if training {
            let backward = builder.plan.ops.len();
            builder.go_back();
            unroll::unroll(&mut builder, axis, backward, segments, how)?;
        }
        let (parameters, gradients) = builder.arenas();
        let gradients_part = training.then_some(gradients);
        let penalties = builder.all_penalties();
        let flat = |m: Matrix| Matrix {
            rows: 1,
            cols: m.rows * m.cols,
            stride: m.rows * m.cols,
            ..m
        };
        let tables = builder.plan.recipes.tables.clone();
        let mut norm = Norm {
            name: "norm".into(),
            losses,
            gradients: gradients_part,
            sparse: tables.iter().map(|t| flat(t.rows)).collect(),
            penalties,
            partials: losses.slot,
            report: builder.report(),
            scaled: builder.scaled.then_some(builder.hyper),
            clip_value: match mode {
                Mode::Train(update) if update.clip_norm > 0.0 => update.clip_value,
                _ => 0.0,
            },
            open: false,
            completes: Vec::new(),
        };
        let partials = norm.partial_count();
        norm.partials = builder
            .plan
            .add("norm.partials", &[1, partials], Role::Activation);
        let report = norm.report;
        builder.push(Op::Norm(norm));
        self.scale_loss(&mut builder, mode);
        if let Mode::Train(update) = mode {
            let mut arenas = Vec::new();
            for name in update.rule.arenas() {
                let shape = [1, builder.arena()];
                let slot = builder
                    .plan
                    .add(format!("optimizer.{name}"), &shape, Role::Optimizer);
                builder.plan.io.optimizer.push(slot);
                arenas.push(slot);
            }
            let like = |m: Matrix| {
                arenas
                    .iter()
                    .map(|slot| Matrix { slot: *slot, ..m })
                    .collect()
            };
            let dense = Optimizer {
                name: "update".into(),
                rule: update.rule,
                clip_norm: update.clip_norm,
                clip_value: update.clip_value,
                parameters,
                gradients,
                arenas: like(parameters),
                hyper: builder.hyper,
                report,
                scaled: builder.scaled,
                ends: None,
            };
            for (n, table) in tables.iter().enumerate() {
                builder.push(Op::SparseUpdate(SparseUpdate {
                    name: format!("update.rows.{n}"),
                    ids: table.ids,
                    update: Optimizer {
                        parameters: table.table,
                        gradients: table.rows,
                        arenas: like(table.table),
                        ..dense.clone()
                    },
                }));
            }
            builder.push(Op::Optimizer(dense));
        }
        let mut plan = builder.finish();
        if self.half && training {
            plan.halve();
        }
        sound(plan)
    }
}

impl Spec {
    /// The factor of gradients in half precision: into the loss before anything else, its successor after the norm.
    fn scale_loss(&self, builder: &mut Builder, mode: Mode) {
        if !builder.scaled {
            return;
        }
        // Kept from run to run, as what optimisers keep.
        let shape = [1, LossScale::NUMBERS];
        let scaling = builder.plan.add("scaling", &shape, Role::Optimizer);
        builder.plan.io.scaling = Some(scaling);
        let rule = match mode {
            Mode::Train(update) => Some(update.rule),
            _ => None,
        };
        let begin = LossScale {
            name: "loss-scale.begin".into(),
            phase: Phase::Begin,
            hyper: builder.hyper,
            scaling,
            report: builder.report(),
            betas: match rule {
                Some(Rule::Adam { beta1, beta2, .. }) => [beta1, beta2],
                _ => [0.0; 2],
            },
        };
        if rule.is_some() {
            builder.push(Op::LossScale(LossScale {
                name: "loss-scale.end".into(),
                phase: Phase::End,
                ..begin.clone()
            }));
        }
        builder.plan.ops.insert(0, Op::LossScale(begin));
    }
}

fn sound(plan: Plan) -> Result<Plan> {
    let faults = plan.faults();
    if faults.is_empty() {
        Ok(plan)
    } else {
        Err(Error::internal(faults.join("\n")))
    }
}
