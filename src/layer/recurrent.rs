//! A recurrent layer of any cell: the input projection, the scan, and after it one product per weight.

mod dropped;
mod input;
mod parameters;
mod propagation;

use std::sync::Arc;

use super::builder::ALIGN;
use super::{Axis, Builder, Param, Signal, Value};
use crate::cell::stage::Adjoint;
use crate::cell::{Cell, Compiled, Noise, SourceKind};
use crate::error::{Error, Result};
use crate::op::scan::{Direction, InputProjection, Scan};
use crate::op::{
    Add, Carry, ColumnSum, Fill, Matrix, Op, Role, SlotId, StateLayout, Transpose, Zero,
};

/// A run of neighbouring blocks of H columns, in a weight and in the deltas (or the totals) alike.
struct Run {
    /// The first block in the weight (or in a group of vectors).
    block: usize,
    /// The first delta.
    delta: usize,
    /// How many blocks.
    len: usize,
}

/// How the input's product reaches the scan, and its gradient the weight.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The weight itself is the table.
    Weight { ids: SlotId },
    /// The table is embedding times weight; its gradient [V, lanes * H] when training.
    Table {
        ids: SlotId,
        embedding: Param,
        grad: Option<Matrix>,
    },
    /// Rows [T * B, D].
    Rows(Value),
}

/// One layer of a cell with hidden size H.
#[derive(Debug)]
pub struct Recurrent {
    label: String,
    /// The cell as it is written; `cell` has the noise too.
    written: Arc<Cell>,
    cell: Arc<Cell>,
    noise: Noise,
    /// Whether noise takes its mean in training too.
    still: bool,
    learned: bool,
    reversed: bool,
    compiled: Arc<Compiled>,
    hidden: usize,
    /// The probability with which an element of a recurrent weight is zeroed.
    drop_rate: f64,
    /// The weight of the penalty on how the gradient's length changes from step to step.
    propagation: f64,
    /// The masks of the dropped weights, one a source.
    streams: Vec<u32>,
}

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
struct Built {
    input: Value,
    /// The input as rows, for a cell that looks at it elementwise.
    raw: Option<Value>,
    way: Option<Way>,
    weights: Vec<Param>,
    vectors: Vec<Param>,
    start: Option<Param>,
    scan: Scan,
}

impl Recurrent {
    /// A layer called `label`: `l0` for the lowest of a stack.
    pub fn new(cell: Arc<Cell>, hidden: usize, label: impl Into<String>) -> Self {
        Recurrent {
            label: label.into(),
            written: cell.clone(),
            cell,
            noise: Noise::default(),
            still: false,
            learned: false,
            reversed: false,
            compiled: Arc::default(),
            hidden,
            drop_rate: 0.0,
            propagation: 0.0,
            streams: Vec::new(),
        }
    }

    /// The same layer with noise inside its cell.
    pub fn noisy(self, noise: Noise) -> Self {
        Recurrent { noise, ..self }
    }

    /// The same layer whose noise takes its mean in training as in evaluation, where `still`.
    pub fn still(self, still: bool) -> Self {
        Recurrent { still, ..self }
    }

    /// The same layer with a learned state before the first step, where `learned`.
    pub fn learned(self, learned: bool) -> Self {
        Recurrent { learned, ..self }
    }

    /// The same layer from the last step to the first.
    pub fn reversed(self) -> Self {
        Recurrent {
            reversed: true,
            ..self
        }
    }

    /// Steps and rows: without a memory all positions are rows of one step.
    fn steps(&self, axis: Axis) -> (usize, usize) {
        if self.cell.is_feed_forward() {
            (1, axis.rows())
        } else {
            (axis.steps, axis.batch)
        }
    }

    /// What a learned state before the first step is given, and takes back.
    fn declare_start(&self, builder: &mut Builder) -> Option<Param> {
        let (states, h) = (self.cell.states.len(), self.hidden);
        let learned = self.learned && !self.cell.is_feed_forward();
        let name = self.parameter_name("initial");
        learned.then(|| {
            let fill = vec![Fill::Fixed(0.0)];
            builder.parameter(name, [states, h], &[states, h], false, fill)
        })
    }

    /// The adjoints [B, H] of each state before the first step add up to the gradient of the learned one, after a reset.
    fn start_backward(&self, builder: &mut Builder, start: Param, scan: &Scan, work: SlotId) {
        let (b, h) = (scan.batch, self.hidden);
        for (s, state) in self.cell.states.iter().enumerate() {
            let into = Matrix {
                offset: start.grad.offset + s * h,
                rows: 1,
                ..start.grad
            };
            let op = ColumnSum {
                name: format!("initial.{state}.{}.backward", self.label),
                from: Matrix {
                    slot: work,
                    offset: scan.work_row(scan.initial_plane(s), 0),
                    rows: b,
                    cols: h,
                    stride: h,
                    row_count: None,
                },
                into,
                accumulate: builder.accumulate(into),
                reset_only: Some(builder.control),
            };
            builder.push(Op::ColumnSum(op));
        }
    }

    /// Blocks of a source's lanes whose deltas lie side by side.
    fn runs(&self, deltas: impl Iterator<Item = Option<usize>>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (block, delta) in deltas.enumerate() {
            let Some(delta) = delta else { continue };
            match runs.last_mut() {
                Some(run) if run.block + run.len == block && run.delta + run.len == delta => {
                    run.len += 1;
                }
                _ => runs.push(Run {
                    block,
                    delta,
                    len: 1,
                }),
            }
        }
        runs
    }

    /// Whether deltas take the place of what was kept. Pieces of a window run forward again between a delta's making and
    /// its last use.
    fn in_place(&self, builder: &Builder, axis: Axis) -> bool {
        builder.training && self.compiled.in_place && axis.segments == 1
    }

    /// Whether what is kept takes the place of the input projection. Backward in time positions and steps part.
    fn over_projection(&self, builder: &Builder) -> bool {
        builder.training && self.compiled.over_projection && !self.reversed
    }

    fn source_runs(&self, source: usize) -> Vec<Run> {
        let gates = self.cell.sources[source].gates.iter();
        self.runs(gates.map(|g| self.compiled.gate_delta[*g]))
    }
}

/// The slot of what a scan's stages hand on and of its states' adjoints.
fn work_slot(builder: &mut Builder, label: &str, scan: &Scan) -> SlotId {
    let shape = [scan.work_rows(), scan.hidden];
    builder
        .plan
        .add(format!("work.{label}"), &shape, Role::Activation)
}

impl Recurrent {
    /// Writes the layer: the output rows [T * B, H].
    ///
    /// # Errors
    /// Usage: an input that the cell does not fit, a penalty that it does not fit.
    pub fn write(mut self, builder: &mut Builder, input: Value) -> Result<Value> {
        let (label, axis) = (self.label.clone(), builder.axis(input));
        self.cell = Arc::new(
            self.written
                .with_noise(self.noise, builder.training && !self.still),
        );
        let ((t, b), h, rows) = (self.steps(axis), self.hidden, axis.rows());
        let memory = !self.cell.is_feed_forward();
        let packed = axis.packed(memory);
        self.compiled = Arc::new(if builder.training {
            self.cell.compile()
        } else {
            self.cell.compile_inference()
        });
        let width = builder.signal(input).width();
        if self.cell.raw_input {
            if let Signal::OneHot { .. } = builder.signal(input) {
                return Err(Error::usage(format!(
                    "cell {} uses x elementwise, so it needs --embed {h} (the hidden size)",
                    self.cell.name
                )));
            }
            if width != h {
                return Err(Error::usage(format!(
                    "cell {} uses x elementwise: layer {label} needs an input of width {h}, found {}; give what is below it \
                     the hidden size (--embed {h}, --project)",
                    self.cell.name, width
                )));
            }
        }
        if builder.training {
            self.check_propagation()?;
        }
        let weights = self.declare_weights(builder, width);
        let vectors = self.declare_vectors(builder);
        let start = self.declare_start(builder);
        // A raw use needs rows, and then the product may as well take them.
        let raw = if self.cell.raw_input {
            builder.as_rows(&label, input)
        } else {
            None
        };
        let states = self.cell.states.len();
        // Packed sequences begin and end within their minibatch.
        let carried = memory && packed.is_none();
        let role = if carried {
            Role::State
        } else {
            Role::Activation
        };
        let shape = match packed {
            None => [states, t + 1, b, h],
            Some(_) => [states, 1, b + rows, h],
        };
        let state = builder.plan.add(format!("state.{label}"), &shape, role);
        let kept_values = self.compiled.saved + self.cell.made();
        // One step more where the deltas come to lie there too.
        let more = usize::from(self.in_place(builder, axis));
        let kept = (kept_values > 0).then(|| {
            let shape = match packed {
                None => [t + more, b, kept_values, h],
                Some(_) => [1, rows + more * b, kept_values, h],
            };
            builder
                .plan
                .add(format!("kept.{label}"), &shape, Role::Activation)
        });
        if carried {
            builder.plan.io.states.push(StateLayout {
                slot: state,
                states,
                steps: t,
                batch: b,
                hidden: h,
            });
        }
        let place = kept.filter(|_| self.over_projection(builder)).map(|slot| {
            let stride = kept_values * h;
            Matrix {
                slot,
                offset: 0,
                rows,
                cols: stride,
                stride,
                row_count: axis.row_count(),
            }
        });
        let (way, input_projection) = match self.cell.input_source() {
            None => (None, InputProjection::Nothing),
            Some(source) => {
                let (way, input_projection) =
                    self.project_input(builder, raw.unwrap_or(input), weights[source], place)?;
                (Some(way), input_projection)
            }
        };
        if memory {
            builder.push(Op::Carry(Carry {
                name: format!("carry.{label}"),
                control: builder.control,
                state,
                first: 0,
                states,
                last: rows * h,
                width: b * h,
                start: start.map(|s| s.value),
            }));
        }
        let recurrent = self.scan_weights(builder, &weights);
        let mut scan = Scan {
            name: format!("forward.{label}"),
            cell: self.cell.clone(),
            compiled: self.compiled.clone(),
            direction: Direction::Forward,
            range: 0..t,
            reversed: self.reversed,
            steps: t,
            batch: b,
            at: 0,
            hidden: h,
            rows,
            packed,
            input_projection,
            input: raw.map(|raw| builder.rows(raw)).transpose()?,
            weights: recurrent,
            vectors: vectors.iter().map(|v| v.value).collect(),
            control: builder.control,
            streams: self.cell.masks.iter().map(|_| builder.stream()).collect(),
            state,
            kept,
            upstream: None,
            delta: None,
            work: None,
            initial: false,
        };
        if self.compiled.forward_scratch > 0 {
            scan.work = Some(work_slot(builder, &label, &scan));
        }
        builder.push(Op::Scan(scan.clone()));
        let mut output = Matrix {
            slot: state,
            offset: scan.state_row(self.cell.output, 1, 0, &[]),
            rows,
            cols: h,
            stride: h,
            row_count: axis.row_count(),
        };
        if self.reversed {
            output = builder.reversed(axis, format!("output.{label}"), output, b);
        }
        let built = Built {
            input,
            raw,
            way,
            weights,
            vectors,
            start,
            scan,
        };
        let name = format!("output.{label}");
        Ok(
            builder.made_rows(name, output, axis, move |builder, upstream| {
                // Nothing goes on from a cell that reads nothing.
                let _ = self.backward(builder, built, upstream);
            }),
        )
    }

    fn backward(&self, builder: &mut Builder, built: Built, upstream: Matrix) -> Option<()> {
        let axis = builder.axis(built.input);
        let ((t, b), h, rows) = (self.steps(axis), self.hidden, axis.rows());
        let memory = !self.cell.is_feed_forward();
        let label = self.label.clone();
        let deltas = self.compiled.deltas;
        let shape = match built.scan.packed {
            None => [t + 1, b, deltas, h],
            Some(_) => [1, rows + b, deltas, h],
        };

        let delta_slot = match built.scan.kept {
            Some(kept) if self.in_place(builder, axis) => kept,
            _ => builder
                .plan
                .add(format!("delta.{label}"), &shape, Role::Activation),
        };
        let work = match built.scan.work {
            Some(work) => work,
            None => work_slot(builder, &label, &built.scan),
        };
        let mut scan = Scan {
            name: format!("backward.{label}"),
            direction: Direction::Backward,
            input_projection: InputProjection::Nothing,
            upstream: Some(upstream),
            delta: Some(delta_slot),
            work: Some(work),
            initial: memory && (builder.initial || built.start.is_some()),
            ..built.scan.clone()
        };
        // All transposed weights share a slot: a kernel that reads several binds it once.
        let area = |w: &Matrix| (w.rows * w.cols).next_multiple_of(ALIGN);
        let total = scan.weights.iter().flatten().map(area).sum();
        let mut transposed = builder.scratch(format!("weights.{label}^T"), 1, total);
        for (source, weight) in scan.weights.iter_mut().enumerate() {
            let Some(weight) = weight else { continue };
            let name = &self.cell.sources[source].weight;
            let to = Matrix {
                rows: weight.cols,
                cols: weight.rows,
                stride: weight.rows,
                ..transposed
            };
            transposed.offset += area(weight);
            builder.push(Op::Transpose(Transpose {
                name: format!("transpose.{name}.{label}"),
                from: *weight,
                to,
            }));
            *weight = to;
        }
        if self.compiled.carries.contains(&true) {
            let mut to = builder.plan.matrix(work);
            (to.rows, to.cols) = (1, self.cell.states.len() * b * h);
            to.stride = to.cols;
            builder.push(Op::Zero(Zero {
                name: format!("zero.{label}"),
                to,
            }));
        }
        let totals = self.compiled.totals;
        let totals = Matrix {
            slot: work,
            offset: scan.total_row(0, 0),
            rows: b,
            cols: totals * h,
            stride: totals * h,
            row_count: None,
        };
        if totals.cols > 0 {
            builder.push(Op::Zero(Zero {
                name: format!("zero.totals.{label}"),
                to: totals,
            }));
        }
        if builder.initial && memory && built.scan.packed.is_none() {
            builder.plan.io.initial.push(Matrix {
                slot: work,
                offset: scan.work_row(scan.initial_plane(0), 0),
                rows: self.cell.states.len() * b,
                cols: h,
                stride: h,
                row_count: None,
            });
        }
        builder.push(Op::Scan(scan.clone()));
        if let Some(start) = built.start {
            self.start_backward(builder, start, &scan, work);
        }

        let delta = Matrix {
            slot: delta_slot,
            offset: 0,
            rows,
            cols: deltas * h,
            stride: deltas * h,
            row_count: axis.row_count(),
        };
        for (s, source) in self.cell.sources.iter().enumerate() {
            let a = match source.kind {
                SourceKind::Input => continue,
                SourceKind::Previous(k) if scan.packed.is_some() && memory => {
                    let states = Matrix {
                        slot: scan.state,
                        offset: scan.state_row(k, 0, 0, &[]),
                        rows: b + rows,
                        cols: h,
                        stride: h,
                        row_count: None,
                    };
                    let name = format!("before.{}.{label}", self.cell.states[k]);
                    builder.before(axis, name, states)?
                }
                SourceKind::Previous(k) => Matrix {
                    slot: scan.state,
                    offset: scan.state_row(k, 0, 0, &[]),
                    rows,
                    cols: h,
                    stride: h,
                    row_count: axis.row_count(),
                },
                SourceKind::Made { slot, .. } => Matrix {
                    slot: scan.kept?,
                    offset: scan.kept_row(self.compiled.saved + slot, 0, 0, &[]),
                    rows,
                    cols: h,
                    stride: scan.kept_values() * h,
                    row_count: axis.row_count(),
                },
            };
            for run in self.source_runs(s) {
                let d = delta.columns(run.delta * h, run.len * h);
                let into = built.weights[s].grad.columns(run.block * h, run.len * h);
                self.weight_backward(builder, &source.weight, a, d, into);
            }
        }
        self.propagation_backward(builder, axis, &scan, delta, &built.weights);
        self.mask_gradients(builder, &built.weights);
        let mut summed: Vec<(Matrix, Matrix)> = Vec::new();
        // Vectors that follow one another in a parameter and in the deltas, or the totals, are summed together.
        for (group, members) in self.vector_groups() {
            let adjoints = members.iter().map(|v| self.compiled.vector_adjoint[*v]);
            let of_delta = |adjoint| match adjoint {
                Some(Adjoint::Delta(delta)) => Some(delta),
                _ => None,
            };
            let of_total = |adjoint| match adjoint {
                Some(Adjoint::Total(total)) => Some(total),
                _ => None,
            };
            let deltas = self.runs(adjoints.clone().map(of_delta)).into_iter();
            let sums = self.runs(adjoints.map(of_total)).into_iter();
            let columns = |m: Matrix, run: &Run| m.columns(run.delta * h, run.len * h);
            let runs = { deltas.map(|run| (columns(delta, &run), run)) }
                .chain(sums.map(|run| (columns(totals, &run), run)));
            for (from, run) in runs {
                let mut into = built.vectors[members[run.block]].grad;
                into.cols = run.len * h;
                let accumulate = builder.accumulate(into);
                // PyTorch's two biases have one gradient: the second is a copy.
                let twin = summed.iter().find(|s| s.0 == from);
                let name = format!("{group}.{label}.backward");
                builder.push(match twin {
                    Some((_, sum)) => Op::Add(Add {
                        name,
                        from: *sum,
                        to: into,
                        accumulate,
                        flip: None,
                    }),
                    None => Op::ColumnSum(ColumnSum {
                        name,
                        from,
                        into,
                        accumulate,
                        reset_only: None,
                    }),
                });
                summed.push((from, into));
            }
        }
        let delta = match self.reversed {
            false => delta,
            // Outside the layer positions keep their order.
            true => builder.reversed(axis, format!("delta.{label}.in-order"), delta, b),
        };
        self.input_backward(builder, &built, delta)
    }
}
