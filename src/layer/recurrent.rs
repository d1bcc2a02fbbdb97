//! A recurrent layer of any cell: the hoisted product, the scan, and after it one product per weight.

mod input;
mod parameters;

use std::sync::Arc;

use super::builder::ALIGN;
use super::{Builder, Layer, Param, Signal};
use crate::cell::{Cell, Compiled, SourceKind};
use crate::error::{Error, Result};
use crate::op::scan::{Direction, Hoisted, Scan};
use crate::op::{Add, Carry, ColumnSum, Matrix, Op, Role, Transpose, Zero};

/// A run of neighbouring blocks of H columns, in a weight and in the deltas alike.
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
    Weight,
    /// The table is embedding times weight; its gradient [V, lanes * H] when training.
    Table { grad: Option<Matrix> },
    /// Rows [T * B, D].
    Rows(Matrix),
}

/// One layer of a cell with hidden size H.
#[derive(Debug)]
pub struct Recurrent {
    label: String,
    cell: Arc<Cell>,
    compiled: Arc<Compiled>,
    hidden: usize,
    index: usize,
    built: Option<Built>,
}

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
struct Built {
    input: Signal,
    way: Option<Way>,
    weights: Vec<Param>,
    vectors: Vec<Param>,
    scan: Scan,
}

impl Recurrent {
    /// Layer number `index` of a stack.
    pub fn new(cell: Arc<Cell>, hidden: usize, index: usize) -> Self {
        Recurrent {
            label: format!("l{index}"),
            cell,
            compiled: Arc::default(),
            hidden,
            index,
            built: None,
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

    fn source_runs(&self, source: usize) -> Vec<Run> {
        let lanes = self.cell.sources[source].lanes.iter();
        self.runs(lanes.map(|l| self.compiled.lane_delta[*l]))
    }
}

impl Layer for Recurrent {
    fn forward(&mut self, builder: &mut Builder, input: Signal) -> Result<Signal> {
        let (t, b, h) = (builder.steps, builder.batch, self.hidden);
        let label = self.label.clone();
        self.compiled = Arc::new(if builder.training {
            self.cell.compile()
        } else {
            self.cell.compile_inference()
        });
        if self.cell.raw_input {
            if let Signal::OneHot { .. } = input {
                return Err(Error::usage(format!(
                    "cell {} uses x elementwise, so it needs --embed {h} (the hidden size)",
                    self.cell.name
                )));
            }
            if input.width() != h {
                return Err(Error::usage(format!(
                    "cell {} uses x elementwise: layer {} needs an input of width {h}, found {}",
                    self.cell.name,
                    self.index,
                    input.width()
                )));
            }
        }
        let weights = self.declare_weights(builder, input.width());
        let vectors = self.declare_vectors(builder);
        // A raw use needs rows, and then the product may as well take them.
        let signal = match (self.cell.raw_input, input) {
            (true, Signal::Embedded(_)) => builder.as_rows(&label, input).map(Signal::Rows),
            _ => None,
        }
        .unwrap_or(input);
        let (way, hoisted) = match self.cell.input_source() {
            None => (None, Hoisted::Nothing),
            Some(source) => {
                let (way, hoisted) = self.hoist(builder, signal, weights[source]);
                (Some(way), hoisted)
            }
        };
        let states = self.cell.states.len();
        let state = builder.plan.add(
            format!("state.{label}"),
            &[states, t + 1, b, h],
            Role::State,
        );
        builder.plan.io.states.push(state);
        let kept_values = self.compiled.saved + self.cell.made();
        let kept = (kept_values > 0).then(|| {
            let shape = [t, b, kept_values, h];
            builder
                .plan
                .add(format!("kept.{label}"), &shape, Role::Activation)
        });
        builder.push(Op::Carry(Carry {
            name: format!("carry.{label}"),
            control: builder.control,
            state,
            states,
            steps: t,
            width: b * h,
        }));
        let recurrent = |(source, weight): (&crate::cell::Source, &Param)| {
            (source.kind != SourceKind::Input).then_some(weight.value)
        };
        let scan = Scan {
            name: format!("forward.{label}"),
            cell: self.cell.clone(),
            compiled: self.compiled.clone(),
            direction: Direction::Forward,
            range: 0..t,
            steps: t,
            batch: b,
            hidden: h,
            hoisted,
            input: match signal {
                Signal::Rows(rows) if self.cell.raw_input => Some(rows),
                _ => None,
            },
            weights: self
                .cell
                .sources
                .iter()
                .zip(&weights)
                .map(recurrent)
                .collect(),
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
        builder.push(Op::Scan(scan.clone()));
        let output = Matrix {
            slot: state,
            offset: scan.state_row(self.cell.output, 1, 0),
            rows: t * b,
            cols: h,
            stride: h,
        };
        self.built = Some(Built {
            input,
            way,
            weights,
            vectors,
            scan,
        });
        Ok(Signal::Rows(output))
    }

    fn backward(&mut self, builder: &mut Builder, upstream: Matrix) -> Option<Matrix> {
        let built = self.built.take()?;
        let (t, b, h) = (builder.steps, builder.batch, self.hidden);
        let label = self.label.clone();
        let deltas = self.compiled.deltas;
        let delta_slot = builder.plan.add(
            format!("delta.{label}"),
            &[t + 1, b, deltas, h],
            Role::Activation,
        );
        let planes = built.scan.work_planes();
        let work = builder
            .plan
            .add(format!("work.{label}"), &[planes, b, h], Role::Activation);
        let mut scan = Scan {
            name: format!("backward.{label}"),
            direction: Direction::Backward,
            hoisted: Hoisted::Nothing,
            upstream: Some(upstream),
            delta: Some(delta_slot),
            work: Some(work),
            initial: builder.initial,
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
        if builder.initial {
            builder.plan.io.initial.push(Matrix {
                slot: work,
                offset: scan.work_row(scan.initial_plane(0), 0),
                rows: self.cell.states.len() * b,
                cols: h,
                stride: h,
            });
        }
        builder.push(Op::Scan(scan.clone()));

        let delta = Matrix {
            slot: delta_slot,
            offset: 0,
            rows: t * b,
            cols: deltas * h,
            stride: deltas * h,
        };
        for (s, source) in self.cell.sources.iter().enumerate() {
            let a = match source.kind {
                SourceKind::Input => continue,
                SourceKind::Previous(k) => Matrix {
                    slot: scan.state,
                    offset: scan.state_row(k, 0, 0),
                    rows: t * b,
                    cols: h,
                    stride: h,
                },
                SourceKind::Made { slot, .. } => Matrix {
                    slot: scan.kept?,
                    offset: scan.kept_row(self.compiled.saved + slot, 0, 0),
                    rows: t * b,
                    cols: h,
                    stride: scan.kept_values() * h,
                },
            };
            for run in self.source_runs(s) {
                let d = delta.columns(run.delta * h, run.len * h);
                let into = built.weights[s].grad.columns(run.block * h, run.len * h);
                self.weight_backward(builder, &source.weight, a, d, into);
            }
        }
        let mut summed: Vec<(usize, usize, Matrix)> = Vec::new();
        // Vectors that follow one another in a parameter and in the deltas are summed together.
        for (group, members) in self.vector_groups() {
            let runs = self.runs(members.iter().map(|v| self.compiled.vector_delta[*v]));
            for run in runs {
                let mut into = built.vectors[members[run.block]].grad;
                into.cols = run.len * h;
                let accumulate = builder.accumulate(into);
                // PyTorch's two biases have one gradient: the second is a copy.
                let twin = summed.iter().find(|s| (s.0, s.1) == (run.delta, run.len));
                let name = format!("{group}.{label}.backward");
                builder.push(match twin {
                    Some((_, _, from)) => Op::Add(Add {
                        name,
                        from: *from,
                        to: into,
                        accumulate,
                    }),
                    None => Op::ColumnSum(ColumnSum {
                        name,
                        from: delta.columns(run.delta * h, run.len * h),
                        into,
                        accumulate,
                    }),
                });
                summed.push((run.delta, run.len, into));
            }
        }
        self.input_backward(builder, &built, delta)
    }
}
