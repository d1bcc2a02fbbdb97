//! A recurrent layer of any cell: the input projection, the scan, and after it one product per weight.

mod attention;
mod backward;
mod dropped;
mod input;
mod parameters;
mod propagation;
mod starts;

use std::sync::Arc;

use attention::SavedAttention;

use super::{Axis, Builder, ColumnPart, Param, Signal, Value, above};
use crate::cell::{Cell, Compiled, Noise};
use crate::error::{Error, Result};
use crate::op::scan::{Direction, InputProjection, Scan};
use crate::op::{Carry, Fill, Matrix, Op, Role, SlotId, StateLayout};

/// A run of neighbouring blocks of H columns, in a weight and in the deltas (or the totals) alike.
struct BlockRun {
    /// The first block in the weight (or in a group of vectors).
    block: usize,
    /// The first delta.
    delta: usize,
    /// How many blocks.
    len: usize,
}

/// How the input reaches the scan, and its gradient the weight and what is below.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The cell reads no input.
    Nothing,
    /// The weight itself is the table of one-hot ids.
    Weight { ids: SlotId },
    /// The table is embedding times weight.
    Table(ProjectedTable),
    /// Rows [T * B, D].
    Rows(Value, Matrix),
}

#[derive(Clone, Copy, Debug)]
struct ProjectedTable {
    ids: SlotId,
    embedding: Param,
    /// The gradient of the table [V, gates * H].
    grad: Matrix,
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
    /// By state: what it is before the first step, a row a sequence; zero or learned where nothing is said.
    starts: Vec<Option<Value>>,
    /// The axis along which the states behind each sequence's last step are wanted.
    above: Option<Axis>,
    /// The memories that the cell looks at.
    memories: Vec<Value>,
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
    way: Way,
    weights: Vec<Param>,
    vectors: Vec<Param>,
    start: Option<Param>,
    looking: Vec<SavedAttention>,
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
            starts: Vec::new(),
            above: None,
            memories: Vec::new(),
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

    /// The same layer whose states begin with `starts`, in the cell's order, where they are given: rows [B, H] along the axis
    /// above that of the layer's packed input. Nothing is learned beside them.
    pub fn starts(self, starts: Vec<Option<Value>>) -> Self {
        Recurrent { starts, ..self }
    }

    /// The same layer, which also makes the state behind the last step of every sequence: rows along `above`, the axis above
    /// that of its packed input, where there is one.
    pub fn last_states(self, above: Option<Axis>) -> Self {
        Recurrent { above, ..self }
    }

    /// The states that begin with a given value.
    fn given(&self) -> impl Iterator<Item = (usize, Value)> + '_ {
        let starts = self.starts.iter().enumerate();
        starts.filter_map(|(state, start)| start.map(|start| (state, start)))
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

    /// Blocks of a source's gates whose deltas lie side by side.
    fn runs(&self, deltas: impl Iterator<Item = Option<usize>>) -> Vec<BlockRun> {
        let mut runs: Vec<BlockRun> = Vec::new();
        for (block, delta) in deltas.enumerate() {
            let Some(delta) = delta else { continue };
            match runs.last_mut() {
                Some(run) if run.block + run.len == block && run.delta + run.len == delta => {
                    run.len += 1;
                }
                _ => runs.push(BlockRun {
                    block,
                    delta,
                    len: 1,
                }),
            }
        }
        runs
    }

    /// Whether deltas take the place of what was kept. Segments of a minibatch run forward again between a delta's making and
    /// its last use.
    fn in_place(&self, builder: &Builder, axis: Axis) -> bool {
        builder.training && self.compiled.in_place && axis.segments == 1
    }

    /// Whether what is kept takes the place of the input projection. Backward in time positions and steps part.
    fn over_projection(&self, builder: &Builder) -> bool {
        builder.training && self.compiled.over_projection && !self.reversed
    }

    fn source_runs(&self, source: usize) -> Vec<BlockRun> {
        let gates = self.cell.sources[source].gates.iter();
        self.runs(gates.map(|g| self.compiled.gate_delta[*g]))
    }
}

/// The slot of what a scan's stages hand on and of its states' adjoints.
fn scratch_slot(builder: &mut Builder, label: &str, scan: &Scan) -> SlotId {
    let shape = [scan.scratch_rows(), scan.hidden];
    builder
        .plan
        .add(format!("scratch.{label}"), &shape, Role::Activation)
}

impl Recurrent {
    /// The cell with its noise, made into stages.
    fn compile(&mut self, training: bool) {
        let noisy = training && !self.still;
        self.cell = Arc::new(self.written.with_noise(self.noise, noisy));
        self.compiled = Arc::new(if training {
            // The output's adjoint comes with that of its rows.
            let (wanted, output) = (self.above.is_some(), self.cell.output);
            self.cell.compile_carrying(|k| wanted && k != output)
        } else {
            self.cell.compile_inference()
        });
    }

    /// A cell that looks at its input elementwise wants rows as wide as its state.
    fn check_input(&self, input: Signal) -> Result<()> {
        let (name, h, label) = (&self.cell.name, self.hidden, &self.label);
        if !self.cell.raw_input {
            return Ok(());
        }
        if let Signal::OneHot { .. } = input {
            return Err(Error::usage(format!(
                "cell {name} uses x elementwise, so it needs --embed {h} (the hidden size)"
            )));
        }
        let width = input.width();
        if width == h {
            return Ok(());
        }
        Err(Error::usage(format!(
            "cell {name} uses x elementwise: layer {label} needs an input of width {h}, found {width}; give what is below it \
             the hidden size (--embed {h}, --project)"
        )))
    }

    /// Values of a step that are kept for the backward pass, or for a later stage.
    fn saved_values(&self) -> usize {
        self.compiled.saved + self.cell.made()
    }

    /// The slots of the states and of what is kept of every step.
    fn slots(&self, builder: &mut Builder, axis: Axis) -> (SlotId, Option<SlotId>) {
        let ((t, b), h, rows) = (self.steps(axis), self.hidden, axis.rows());
        let (label, states) = (&self.label, self.cell.states.len());
        let memory = !self.cell.is_feed_forward();
        let packed = axis.packed(memory).is_some();
        // Packed sequences begin and end within their minibatch, but for segments of one series.
        let carried = memory && (!packed || axis.carried);
        let role = if carried {
            Role::State
        } else {
            Role::Activation
        };
        let shape = if packed {
            [states, 1, b + rows, h]
        } else {
            [states, t + 1, b, h]
        };
        let slot = builder.plan.add(format!("state.{label}"), &shape, role);
        if carried {
            builder.plan.io.states.push(StateLayout {
                slot,
                states,
                steps: t,
                batch: b,
                hidden: h,
            });
        }
        let values = self.saved_values();
        // One step more where the deltas come to lie there too.
        let more = usize::from(self.in_place(builder, axis));
        let shape = if packed {
            [1, rows + more * b, values, h]
        } else {
            [t + more, b, values, h]
        };
        let saved = (values > 0).then(|| {
            let name = format!("saved.{label}");
            builder.plan.add(name, &shape, Role::Activation)
        });
        (slot, saved)
    }

    /// Writes the layer: the output rows [T * B, H].
    ///
    /// # Errors
    /// Usage: an input that the cell does not fit, a penalty that it does not fit.
    pub fn write(self, builder: &mut Builder, input: Value) -> Result<Value> {
        Ok(self.write_with_states(builder, input)?.0)
    }

    /// Writes the layer: the output rows [T * B, H] and, where [`Recurrent::last_states`] asks for them, the state behind
    /// each sequence's last step, a value [B, H] a state in the cell's order.
    ///
    /// # Errors
    /// As [`Recurrent::write`].
    pub fn write_with_states(
        mut self,
        builder: &mut Builder,
        input: Value,
    ) -> Result<(Value, Vec<Value>)> {
        let (label, axis) = (self.label.clone(), builder.axis(input));
        self.compile(builder.training);
        let ((t, b), h, rows) = (self.steps(axis), self.hidden, axis.rows());
        let memory = !self.cell.is_feed_forward();
        let packed = axis.packed(memory);
        let width = builder.signal(input).width();
        self.check_input(builder.signal(input))?;
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
        let (state, saved) = self.slots(builder, axis);
        let place = saved.filter(|_| self.over_projection(builder)).map(|slot| {
            let stride = self.saved_values() * h;
            Matrix {
                slot,
                offset: 0,
                rows,
                cols: stride,
                stride,
                row_count: axis.row_count(),
            }
        });
        let elementwise = raw.map(|raw| builder.rows(raw)).transpose()?;
        let (way, input_projection) = match (self.cell.input_source(), raw.zip(elementwise)) {
            (None, None) => (Way::Nothing, InputProjection::Nothing),
            (None, Some((raw, rows))) => (Way::Rows(raw, rows), InputProjection::Nothing),
            (Some(source), _) => {
                self.project_input(builder, raw.unwrap_or(input), weights[source], place)?
            }
        };
        if memory {
            builder.push(Op::Carry(Carry {
                name: format!("carry.{label}"),
                control: builder.control,
                state,
                first: 0,
                states: self.cell.states.len(),
                last: rows * h,
                width: b * h,
                start: start.map(|s| s.value),
                parents: builder.parents(axis),
            }));
        }
        for start in self.given() {
            self.begin(builder, axis, start, state)?;
        }
        let (attentions, looking) = self.write_memories(builder, axis)?;
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
            input: elementwise,
            turned: vec![false; recurrent.len()],
            weights: recurrent,
            vectors: vectors.iter().map(|v| v.value).collect(),
            attentions,
            control: builder.control,
            streams: self.cell.masks.iter().map(|_| builder.stream()).collect(),
            state,
            saved,
            upstream: None,
            delta: None,
            scratch: None,
            initial: false,
        };
        if self.compiled.forward_scratch > 0 {
            scan.scratch = Some(scratch_slot(builder, &label, &scan));
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
        let output = builder.value(format!("output.{label}"), Signal::Rows(output), axis);
        let (mut made, mut last) = (vec![output], Vec::new());
        let (above, own) = (self.above, self.cell.output);
        for k in (0..self.cell.states.len()).filter(|k| above.is_some() && *k != own) {
            let state = self.last_state(builder, axis, &scan, k)?;
            made.push(state);
            last.push(state);
        }
        let built = Built {
            input,
            way,
            weights,
            vectors,
            start,
            looking,
            scan,
        };
        builder.made(&made, move |builder, gradients| {
            self.backward(builder, &built, gradients);
        });
        if let Some(above) = above {
            let whole = ColumnPart {
                cols: h,
                reversed: false,
            };
            let output = above::last(builder, &label, output, above, &[whole])?;
            last.insert(own, output);
        }
        Ok((output, last))
    }
}
