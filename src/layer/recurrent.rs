//! A recurrent layer of any cell: the hoisted product, the scan, and after it one product per weight.

use std::sync::Arc;

use super::{Builder, Layer, Param, Signal};
use crate::cell::{Cell, Compiled, SourceKind, VectorKind};
use crate::error::{Error, Result};
use crate::op::scan::{Direction, Hoisted, Scan};
use crate::op::{Add, Carry, ColumnSum, Fill, MatMul, Matrix, Op, Role, Transpose, Zero};

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
    pub fn new(cell: Arc<Cell>, compiled: Arc<Compiled>, hidden: usize, index: usize) -> Self {
        Recurrent {
            label: format!("l{index}"),
            cell,
            compiled,
            hidden,
            index,
            built: None,
        }
    }

    fn declare_weights(&self, builder: &mut Builder, width: usize) -> Vec<Param> {
        let h = self.hidden;
        let sources = self.cell.sources.iter();
        sources
            .map(|source| {
                let lanes = source.lanes.len();
                let (rows, fill) = match source.kind {
                    SourceKind::Input => (width, Fill::Weight),
                    _ => (h, Fill::Recurrent),
                };
                builder.parameter(
                    format!("rnn.{}_{}", source.weight, self.label),
                    [rows, lanes * h],
                    &[lanes * h, rows],
                    true,
                    vec![fill; lanes],
                )
            })
            .collect()
    }

    /// One parameter for every group of vectors, and for every vector its columns in it.
    fn declare_vectors(&self, builder: &mut Builder) -> Vec<Param> {
        let h = self.hidden;
        let mut place = vec![None; self.cell.vectors.len()];
        for group in ["bias_ih", "bias_hh", "peep"] {
            let members: Vec<usize> = (0..self.cell.vectors.len())
                .filter(|v| self.cell.vectors[*v].parameter() == group)
                .collect();
            if members.is_empty() {
                continue;
            }
            let fill = members.iter().map(|v| self.vector_fill(*v)).collect();
            let cols = members.len() * h;
            let name = format!("rnn.{group}_{}", self.label);
            let param = builder.parameter(name, [1, cols], &[cols], false, fill);
            for (block, v) in members.into_iter().enumerate() {
                place[v] = Some(param.columns(block * h, h));
            }
        }
        place.into_iter().flatten().collect()
    }

    /// A bias with a value of its own starts there; where a variable has two biases, only the input's does.
    fn vector_fill(&self, v: usize) -> Fill {
        let vector = &self.cell.vectors[v];
        let VectorKind::Bias { input, start } = vector.kind else {
            return Fill::Bias;
        };
        let with_input = self.cell.vectors.iter().any(|o| {
            o.variable == vector.variable && matches!(o.kind, VectorKind::Bias { input: true, .. })
        });
        match start {
            Some(value) if input || !with_input => Fill::Value(value),
            _ => Fill::Bias,
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

    /// Hoists the product of the input over all steps.
    fn hoist(&self, builder: &mut Builder, input: Signal, weight: Param) -> (Way, Hoisted) {
        let label = &self.label;
        let product = |a: Matrix, c: Matrix| {
            Op::MatMul(MatMul {
                name: format!("hoist.{label}"),
                a,
                b: weight.value,
                c,
                transpose_a: false,
                transpose_b: false,
                bias: None,
                accumulate: false,
            })
        };
        let cols = weight.value.cols;
        let ids = builder.ids;
        match input {
            Signal::OneHot { .. } => {
                let table = weight.value;
                (Way::Weight, Hoisted::Table { table, ids })
            }
            // Fewer symbols than positions: the product over the table is the smaller one.
            Signal::Embedded(embedding) if embedding.value.rows < builder.rows() => {
                let vocab = embedding.value.rows;
                let table = builder.scratch(format!("table.{label}"), vocab, cols);
                builder.push(product(embedding.value, table));
                let grad = builder
                    .training
                    .then(|| builder.scratch(format!("d.table.{label}"), vocab, cols));
                (Way::Table { grad }, Hoisted::Table { table, ids })
            }
            Signal::Embedded(_) | Signal::Rows(_) => {
                let rows = match input {
                    Signal::Rows(rows) => rows,
                    // One-hot ids were handled above, so there are rows.
                    _ => builder.as_rows(label, input).unwrap_or(weight.value),
                };
                let c = builder.activation(format!("hoisted.{label}"), cols);
                builder.push(product(rows, c));
                (Way::Rows(rows), Hoisted::Rows(c))
            }
        }
    }

    /// The gradient of the weight of the input, and with respect to the input.
    fn input_backward(
        &self,
        builder: &mut Builder,
        built: &Built,
        delta: Matrix,
    ) -> Option<Matrix> {
        let (h, label) = (self.hidden, &self.label);
        let product = match (self.cell.input_source(), built.way) {
            (Some(source), Some(way)) => {
                Some((self.source_runs(source), built.weights[source], way))
            }
            _ => None,
        };
        let blocks = |run: &Run| delta.columns(run.delta * h, run.len * h);
        let rows = match &product {
            Some((runs, weight, Way::Weight)) => {
                for run in runs {
                    let into = weight.grad.columns(run.block * h, run.len * h);
                    builder.scatter(format!("weight_ih.{label}.backward"), blocks(run), into);
                }
                return None;
            }
            Some((runs, weight, Way::Table { grad })) => {
                let (grad, Signal::Embedded(embedding)) = ((*grad)?, built.input) else {
                    return None;
                };
                for run in runs {
                    let into = grad.columns(run.block * h, run.len * h);
                    builder.scatter(format!("table.{label}.backward"), blocks(run), into);
                }
                self.product_backward(builder, embedding.value, grad, *weight, embedding.grad);
                return None;
            }
            Some((_, _, Way::Rows(rows))) => *rows,
            None => built.scan.input?,
        };
        let input = builder.activation(format!("d.input.{label}"), rows.cols);
        let mut accumulate = false;
        if let Some((runs, weight, _)) = &product {
            for run in runs {
                let part = weight.columns(run.block * h, run.len * h);
                self.weight_backward(builder, "weight_ih", rows, blocks(run), part.grad);
                builder.push(Op::MatMul(MatMul {
                    name: format!("input.{label}.backward"),
                    a: blocks(run),
                    b: part.value,
                    c: input,
                    transpose_a: false,
                    transpose_b: true,
                    bias: None,
                    accumulate,
                }));
                accumulate = true;
            }
        }
        if let Some(elementwise) = self.compiled.input_delta {
            builder.push(Op::Add(Add {
                name: format!("input.{label}.elementwise.backward"),
                from: delta.columns(elementwise * h, h),
                to: input,
                accumulate,
            }));
        }
        builder.rows_backward(label, built.input, input)
    }

    /// dW = A^T D and dA = D W^T for the product of a whole table.
    fn product_backward(
        &self,
        builder: &mut Builder,
        a: Matrix,
        d: Matrix,
        weight: Param,
        into: Matrix,
    ) {
        self.weight_backward(builder, "weight_ih", a, d, weight.grad);
        let op = MatMul {
            name: format!("embedding.{}.backward", self.label),
            a: d,
            b: weight.value,
            c: into,
            transpose_a: false,
            transpose_b: true,
            bias: None,
            accumulate: builder.accumulate(into),
        };
        builder.push(Op::MatMul(op));
    }

    fn weight_backward(&self, builder: &mut Builder, what: &str, a: Matrix, d: Matrix, c: Matrix) {
        let op = MatMul {
            name: format!("{what}.{}.backward", self.label),
            a,
            b: d,
            c,
            transpose_a: true,
            transpose_b: false,
            bias: None,
            accumulate: builder.accumulate(c),
        };
        builder.push(Op::MatMul(op));
    }
}

impl Layer for Recurrent {
    fn forward(&mut self, builder: &mut Builder, input: Signal) -> Result<Signal> {
        let (t, b, h) = (builder.steps, builder.batch, self.hidden);
        let label = self.label.clone();
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
        for (source, weight) in scan.weights.iter_mut().enumerate() {
            let Some(weight) = weight else { continue };
            let name = &self.cell.sources[source].weight;
            let to = builder.scratch(format!("{name}.{label}^T"), weight.cols, weight.rows);
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
        for group in ["bias_ih", "bias_hh", "peep"] {
            let members: Vec<usize> = (0..self.cell.vectors.len())
                .filter(|v| self.cell.vectors[*v].parameter() == group)
                .collect();
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
