//! What is compared: models small enough to be looked at element by element, with everything that a model may have.

use std::sync::Arc;

use wgrnn::cell::{Cell, Noise};
use wgrnn::exec::Timings;
use wgrnn::exec::check::{SlotComparison, Twins};
use wgrnn::exec::cpu::Number;
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::layer::Recurrent;
use wgrnn::model::Connections;
use wgrnn::model::text::{Model, Sizes};
use wgrnn::model::{
    Dims, Drops, Init, Mode, Penalties, Scheme, Softmax, Spec, Unroll, Update, initialize,
};
use wgrnn::op::{Hyper, Plan, Rule};
use wgrnn::rng::{Purpose, key};
use wgrnn::task::{Inputs, MadeUp};
use wgrnn::{Error, Result};

/// Symbols in the made-up texts: few enough that ids repeat.
const VOCAB: usize = 11;
/// Whole training steps after the operations.
const STEPS: u64 = 4;
/// Terms of a product's parts, at least, where products are compared in parts.
const PART_DEPTH: usize = 4;

/// What a checked model has beside recurrent layers and dropout between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extra {
    /// Nothing.
    Plain,
    /// Every other form of dropout and every penalty.
    Regularized,
    /// Zoneout and dropout of the recurrent state, inside the cells.
    Noisy,
    /// Both directions, residual and skip connections, projections, layer normalisation and learned initial states, as far
    /// as they fit the cell.
    Composed,
    /// Sequences of different lengths.
    Packed,
    /// Two segments in pieces of a step, with all noise that is counted by step.
    Pieces,
    /// An adaptive softmax whose scores are made in chunks, and an embedding of which the rows in use are updated.
    Adaptive,
    /// A sampled softmax over a tied embedding of which the rows in use are updated.
    Sampled,
}

impl Extra {
    pub const NAMES: [(&str, Extra); 8] = [
        ("packed", Extra::Packed),
        ("plain", Extra::Plain),
        ("regularized", Extra::Regularized),
        ("noisy", Extra::Noisy),
        ("composed", Extra::Composed),
        ("pieces", Extra::Pieces),
        ("adaptive", Extra::Adaptive),
        ("sampled", Extra::Sampled),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|n| n.1 == self).map_or("", |n| n.0)
    }
}

/// A model to check.
#[derive(Clone, Copy, Debug)]
pub struct ModelShape {
    /// H.
    pub hidden: usize,
    /// How many layers.
    pub layers: usize,
    /// B.
    pub batch: usize,
    /// T.
    pub steps: usize,
    /// The width of the embedding; 0 for one-hot input.
    pub embed: usize,
    /// The rate of dropout after every layer.
    pub dropout: f64,
    /// What else there is.
    pub extra: Extra,
}

pub const fn shape(sizes: [usize; 5], dropout: f64, extra: Extra) -> ModelShape {
    let [hidden, layers, batch, steps, embed] = sizes;
    ModelShape {
        hidden,
        layers,
        batch,
        steps,
        embed,
        dropout,
        extra,
    }
}

/// Odd sizes take the scalar paths, sizes divisible by four the vector ones; a table or rows of an embedding. A single
/// step has no pairs for a penalty on changes.
pub const SHAPES: [ModelShape; 12] = [
    shape([6, 2, 4, 5, 6], 0.2, Extra::Packed),
    shape([37, 2, 3, 5, 0], 0.3, Extra::Plain),
    shape([12, 1, 9, 3, 12], 0.0, Extra::Plain),
    shape([32, 2, 5, 2, 7], 0.2, Extra::Plain),
    shape([9, 2, 3, 4, 9], 0.2, Extra::Regularized),
    shape([5, 1, 1, 1, 5], 0.0, Extra::Regularized),
    shape([8, 1, 3, 4, 5], 0.0, Extra::Noisy),
    shape([7, 3, 2, 3, 7], 0.0, Extra::Composed),
    shape([8, 2, 3, 2, 8], 0.2, Extra::Composed),
    shape([16, 1, 3, 4, 5], 0.0, Extra::Adaptive),
    shape([7, 1, 2, 3, 7], 0.0, Extra::Sampled),
    shape([6, 1, 3, 2, 6], 0.2, Extra::Pieces),
];

/// Sizes of which a kernel spans one or two workgroups along the units; more steps than a dispatch has.
pub const SPANNED: [ModelShape; 4] = [
    shape([17, 1, 3, 4, 17], 0.0, Extra::Plain),
    shape([20, 2, 3, 66, 0], 0.2, Extra::Plain),
    shape([20, 1, 3, 4, 5], 0.0, Extra::Noisy),
    shape([20, 2, 4, 5, 6], 0.2, Extra::Packed),
];

/// The size at which threads share the sums of a step on an adapter that would not have them do so: each of a sum's threads
/// has fours of units.
pub const SPLIT: ModelShape = shape([64, 1, 3, 4, 64], 0.0, Extra::Plain);

pub fn title(cell: &Cell, shape: ModelShape) -> String {
    let input = match shape.embed {
        0 => "one-hot".to_string(),
        width => format!("embedding {width}"),
    };
    format!(
        "{} H {} x {}, B {}, T {}, {input}, dropout {}, {}",
        cell.name,
        shape.hidden,
        shape.layers,
        shape.batch,
        shape.steps,
        shape.dropout,
        shape.extra.name()
    )
}

/// What a comparison found.
pub struct ModelComparison {
    /// How every slot that an operation wrote compares, then those of whole steps.
    pub rows: Vec<SlotComparison>,
    /// What every operation takes on the adapter, where that was asked for.
    pub speeds: Vec<Speed>,
    /// Whether some of its kernels span workgroups.
    pub spans: bool,
}

/// What an operation takes.
pub struct Speed {
    /// Its name.
    pub op: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its sizes.
    pub shape: String,
    /// Seconds.
    pub seconds: f64,
}

/// What is compared of a model.
pub struct CheckedModel {
    /// The model, or the settings of one of fields.
    pub spec: Spec,
    /// Of a model of fields: which, and the most that a minibatch has; T and B say nothing then.
    pub fields: Option<(Arc<Model>, Sizes)>,
    /// T and B.
    pub dims: Dims,
    /// How segments are cut.
    pub how: Unroll,
    /// The rule that operations are compared with.
    pub update: Update,
    /// Where the parameters start; made up where absent.
    pub parameters: Option<Vec<f32>>,
    /// Whole training steps after the operations.
    pub steps: u64,
    /// Whether both sides compute in f64.
    pub double: bool,
    /// Whether threads share the sums of a step, and products are in parts, on any adapter, as they are on a real GPU.
    pub split: bool,
    /// How many workgroups may wait for one another, where kernels span them; 0 where none does.
    pub span: usize,
}

/// Plain descent keeps a step's error as small as the gradient's; Adam would turn the sign of a rounding into a step.
const DESCENT: Update = Update {
    rule: Rule::Sgd {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.01,
    },
    clip_norm: 0.5,
    clip_value: 0.05,
};

/// Operations and whole steps of a model of `cell`, on `device` and in the plain code.
pub async fn compare(
    device: &Arc<GpuDevice>,
    cell: Arc<Cell>,
    shape: ModelShape,
    from: Option<&str>,
) -> Result<Vec<SlotComparison>> {
    let found = CheckedModel::new(cell, shape)
        .compare(device, from, false)
        .await?;
    Ok(found.rows)
}

impl CheckedModel {
    /// The model of a shape.
    pub fn new(cell: Arc<Cell>, shape: ModelShape) -> CheckedModel {
        let ModelShape {
            hidden,
            layers,
            batch,
            steps,
            embed,
            dropout,
            extra,
        } = shape;
        let spec = Spec {
            vocab: VOCAB,
            // A cell that uses x elementwise needs an input as wide as H.
            embed: if cell.raw_input { hidden } else { embed },
            cells: vec![cell; layers],
            hidden,
            dropout,
            ..Spec::default()
        };
        let spec = match extra {
            Extra::Plain => spec,
            Extra::Regularized => regularized(spec),
            Extra::Noisy => noisy(spec),
            Extra::Composed => composed(spec),
            Extra::Adaptive => Spec {
                softmax: Softmax::Adaptive {
                    cutoffs: vec![3, 7],
                },
                scores_at_once: 24,
                sparse: true,
                ..spec
            },
            Extra::Sampled => Spec {
                softmax: Softmax::Sampled { samples: 4 },
                tie: true,
                embed: hidden,
                sparse: true,
                ..spec
            },
            Extra::Packed => Spec {
                packed: batch * steps,
                ..spec
            },
            Extra::Pieces => pieces(spec),
        };
        let how = match extra {
            Extra::Pieces => Unroll {
                recompute: 1,
                states: 1,
                minibatches: 2,
            },
            _ => Unroll::default(),
        };
        CheckedModel {
            spec,
            fields: None,
            dims: Dims { steps, batch },
            how,
            update: DESCENT,
            parameters: None,
            steps: STEPS,
            double: false,
            split: false,
            span: 0,
        }
    }

    /// A model of fields within `sizes`, its layers as `spec` says.
    pub fn of_fields(model: Arc<Model>, spec: Spec, sizes: Sizes) -> CheckedModel {
        CheckedModel {
            spec,
            fields: Some((model, sizes)),
            dims: Dims { steps: 1, batch: 1 },
            how: Unroll::default(),
            update: DESCENT,
            parameters: None,
            steps: STEPS,
            double: false,
            split: false,
            span: 0,
        }
    }

    /// The plan that trains it.
    pub fn plan(&self, update: Update) -> Result<Plan> {
        let mode = Mode::Train(update);
        match &self.fields {
            Some((model, sizes)) => {
                // The means of several losses are made by weights.
                let weighted = self.spec.weighted || model.losses().len() > 1;
                let spec = Spec {
                    weighted,
                    ..self.spec.clone()
                };
                model.plan(&spec, sizes, mode)
            }
            None => self.spec.unrolled(self.dims, self.how, mode),
        }
    }

    /// The same in double precision on both sides, where `double`.
    pub fn double(mut self, double: bool) -> CheckedModel {
        self.double = double;
        self
    }

    /// The same with sums that threads share, where `split`.
    pub fn split(mut self, split: bool) -> CheckedModel {
        self.split = split;
        self
    }

    /// The same with kernels that span workgroups, of which so many may wait for one another; 0 for none.
    pub fn span(mut self, span: usize) -> CheckedModel {
        self.span = span;
        self
    }

    /// The same in half precision, where `half`.
    pub fn half(mut self, half: bool) -> CheckedModel {
        self.spec.half = half;
        if half {
            // Its gradient does not grow with the loss.
            self.spec.penalties.propagation = 0.0;
        }
        self
    }

    /// Compares it; from an operation on, where one is named, and timed, where that is asked for.
    pub async fn compare(
        &self,
        device: &Arc<GpuDevice>,
        from: Option<&str>,
        timed: bool,
    ) -> Result<ModelComparison> {
        if self.double {
            self.compare_in::<f64>(device, from, timed).await
        } else {
            self.compare_in::<f32>(device, from, timed).await
        }
    }

    async fn compare_in<F: Number>(
        &self,
        device: &Arc<GpuDevice>,
        from: Option<&str>,
        timed: bool,
    ) -> Result<ModelComparison> {
        let (mut twins, minibatches) = self.twins::<F>(device, self.update).await?;
        let plan = twins.plan().clone();
        let inputs = |n: usize| self.inputs(&plan, &minibatches, n);
        let mut speeds = Vec::new();
        if let Some(from) = from {
            let rows = twins.from_op(&inputs(0), from).await?;
            let spans = twins.gpu().spans();
            return Ok(ModelComparison {
                rows,
                speeds,
                spans,
            });
        }
        let mut rows = twins.operations(&inputs(0)).await?;
        if self.update != DESCENT {
            twins = self.twins(device, DESCENT).await?.0;
        }
        let spans = twins.gpu().spans();
        rows.extend(twins.steps((1..minibatches.len()).map(inputs)).await?);
        if spans && !twins.gpu().spans() {
            let name = &device.adapter.name;
            return Err(Error::device(format!(
                "{name}: workgroups waited for one another in vain; the steps were repeated without"
            )));
        }
        if timed {
            speeds = speed(twins.gpu(), &inputs(0)).await?;
        }
        Ok(ModelComparison {
            rows,
            speeds,
            spans,
        })
    }

    /// Both executors and the minibatches.
    async fn twins<F: Number>(
        &self,
        device: &Arc<GpuDevice>,
        update: Update,
    ) -> Result<(Twins<F>, Vec<MadeUp>)> {
        let mut plan = self.plan(update)?;
        if self.double {
            plan.double()?;
        }
        let plan = Arc::new(plan);
        let init = Init {
            scheme: Scheme::Uniform,
            scale: 0.4,
            seed: 5,
            ..Init::default()
        };
        let parameters = match &self.parameters {
            Some(parameters) => parameters.clone(),
            None => initialize(&plan, &init)?,
        };
        let minibatches = (0..=self.steps).map(|n| MadeUp::new(&plan, n));
        let minibatches = minibatches.collect::<Result<Vec<MadeUp>>>()?;
        let mut tile = device.tile(&plan).0;
        if self.split {
            tile = Tile {
                shared: true,
                part_depth: PART_DEPTH,
                ..tile.with_slices()
            };
        }
        if self.span > 0 {
            tile = Tile {
                span: self.span,
                ..tile.with_slices()
            };
        }
        let gpu = Gpu::with_tile(device.clone(), plan, &tile).await?;
        let parameters: Vec<F> = parameters.iter().map(|x| F::of(f64::from(*x))).collect();
        Ok((Twins::new(gpu, &parameters)?, minibatches))
    }

    fn inputs<'a>(&self, plan: &Plan, minibatches: &'a [MadeUp], n: usize) -> Inputs<'a> {
        let minibatch = &minibatches[n];
        let scale = if self.fields.is_some() {
            minibatch.scale(plan)
        } else {
            let positions = self.how.minibatches.max(1) * self.dims.steps * self.dims.batch;
            1.0 / positions as f64
        };
        minibatch
            .inputs()
            .draws(key(5, Purpose::Dropout), n as u64)
            .reset(n == 0 || minibatch.resets())
            .hyper(Hyper {
                lr: 0.1,
                scale,
                update: n as f64 + 1.0,
                correction1: 1.0,
                correction2: 1.0,
            })
    }
}

/// Seconds of every operation on the adapter.
async fn speed(gpu: &mut Gpu, inputs: &Inputs<'_>) -> Result<Vec<Speed>> {
    let plan = gpu.plan().clone();
    let mut timings = Timings::new(&plan);
    for run in 0..3 {
        // The first one warms up.
        if run == 1 {
            timings = Timings::new(&plan);
        }
        gpu.run_timed(inputs, &mut timings).await?;
        gpu.outcomes(true).await?;
    }
    let times = timings.seconds.iter().zip(&timings.calls);
    let each = plan
        .ops
        .iter()
        .zip(times)
        .map(|(op, (seconds, calls))| Speed {
            op: op.name().to_string(),
            kind: op.kind(),
            shape: op.shape(),
            seconds: seconds / *calls as f64,
        });
    Ok(each.collect())
}

/// With every form of dropout, every penalty that fits the cell, and targets that are not the next inputs.
fn regularized(spec: Spec) -> Spec {
    let fits = spec.cells.iter().all(|cell| Recurrent::propagates(cell));
    let propagation = if fits { 0.2 } else { 0.0 };
    Spec {
        drops: Drops {
            input: 0.2,
            tokens: 0.2,
            weights: 0.3,
            locked: true,
        },
        penalties: Penalties {
            activation: 0.5,
            temporal: 0.4,
            norm: 0.3,
            propagation,
        },
        targets_apart: true,
        ..spec
    }
}

fn noisy(spec: Spec) -> Spec {
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    Spec { noise, ..spec }
}

/// With everything that stands between layers; a cell that uses x elementwise allows nothing that changes widths.
fn composed(spec: Spec) -> Spec {
    let widens = !spec.cells.iter().any(|cell| cell.raw_input);
    Spec {
        project: if widens { spec.hidden - 2 } else { 0 },
        bidirectional: widens,
        layer_norm: true,
        learn_initial: true,
        connections: Connections {
            residual: true,
            skip: widens,
        },
        ..spec
    }
}

/// With what makes a piece of a segment another one than the first: noise that is counted by step, sums over all pieces.
fn pieces(spec: Spec) -> Spec {
    let spec = noisy(regularized(spec));
    Spec {
        learn_initial: true,
        drops: Drops {
            locked: false,
            ..spec.drops
        },
        penalties: Penalties {
            activation: 0.5,
            ..Penalties::default()
        },
        ..spec
    }
}
