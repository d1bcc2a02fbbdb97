//! A recurrent layer's backward pass: the scan back through time, then one product per weight and one sum per vector.

use super::{BlockRun, Built, Recurrent, scratch_slot};
use crate::cell::SourceKind;
use crate::cell::stage::Adjoint;
use crate::layer::builder::ALIGN;
use crate::layer::{Axis, Builder, Param, Value};
use crate::op::scan::{Direction, InputProjection, Scan};
use crate::op::{Add, ColumnSum, Matrix, Op, Role, SlotId, Transpose, Zero};

impl Recurrent {
    /// Writes the backward pass, given the gradient with respect to the output and those with respect to the other states
    /// behind the last step of every sequence, where these are wanted.
    pub(super) fn backward(
        &self,
        builder: &mut Builder,
        built: &Built,
        gradients: &[Option<Matrix>],
    ) {
        let (axis, label) = (builder.axis(built.input), &self.label);
        let (h, memory) = (self.hidden, !self.cell.is_feed_forward());
        let upstream = gradients[0].unwrap_or_else(|| {
            let to = builder.activation(axis, format!("d.output.{label}"), h);
            let name = format!("zero.output.{label}");
            builder.push(Op::Zero(Zero { name, to }));
            to
        });
        let delta = self.delta_slot(builder, axis, &built.scan);
        let scratch = match built.scan.scratch {
            Some(scratch) => scratch,
            None => scratch_slot(builder, label, &built.scan),
        };
        let mut scan = Scan {
            name: format!("backward.{label}"),
            direction: Direction::Backward,
            input_projection: InputProjection::Nothing,
            upstream: Some(upstream),
            delta: Some(delta),
            scratch: Some(scratch),
            initial: memory
                && (builder.initial || built.start.is_some() || self.given().next().is_some()),
            ..built.scan.clone()
        };
        self.scores_backward(builder, axis, &mut scan.attentions);
        self.transpose(builder, &mut scan.weights);
        let totals = self.zeros(builder, &scan, scratch);
        self.last_backward(builder, axis, &scan, &gradients[1..]);
        if builder.initial && memory && scan.packed.is_none() {
            builder.plan.io.initial.push(Matrix {
                slot: scratch,
                offset: scan.scratch_row(scan.initial_plane(0), 0),
                rows: self.cell.states.len() * scan.batch,
                cols: h,
                stride: h,
                row_count: None,
            });
        }
        builder.push(Op::Scan(scan.clone()));
        if let Some(start) = built.start {
            self.start_backward(builder, start, &scan, scratch);
        }
        for start in self.given() {
            self.begin_backward(builder, axis, start, &scan, scratch);
        }
        let cols = self.compiled.deltas * h;
        let delta = Matrix {
            slot: delta,
            offset: 0,
            rows: axis.rows(),
            cols,
            stride: cols,
            row_count: axis.row_count(),
        };
        self.memories_backward(builder, axis, &scan, &built.looking);
        self.weight_gradients(builder, axis, &scan, &built.weights, delta);
        self.propagation_backward(builder, axis, &scan, delta, &built.weights);
        self.mask_gradients(builder, &built.weights);
        self.vector_gradients(builder, &built.vectors, delta, totals);
        let delta = if self.reversed {
            // Outside the layer positions keep their order.
            let name = format!("delta.{label}.in-order");
            builder.reversed(axis, name, delta, scan.batch)
        } else {
            delta
        };
        self.input_backward(builder, built, delta);
    }

    /// The slot of the deltas, which may be that of what the forward pass kept.
    fn delta_slot(&self, builder: &mut Builder, axis: Axis, scan: &Scan) -> SlotId {
        if let Some(saved) = scan.saved.filter(|_| self.in_place(builder, axis)) {
            return saved;
        }
        let (deltas, h) = (self.compiled.deltas, self.hidden);
        let shape = match scan.packed {
            None => [scan.steps + 1, scan.batch, deltas, h],
            Some(_) => [1, axis.rows() + scan.batch, deltas, h],
        };
        let name = format!("delta.{}", self.label);
        builder.plan.add(name, &shape, Role::Activation)
    }

    /// Puts transposed copies in the place of the weights. All share a slot: a kernel that reads several binds it once.
    fn transpose(&self, builder: &mut Builder, weights: &mut [Option<Matrix>]) {
        let label = &self.label;
        let area = |w: &Matrix| (w.rows * w.cols).next_multiple_of(ALIGN);
        let total = weights.iter().flatten().map(area).sum();
        let mut transposed = builder.scratch(format!("weights.{label}^T"), 1, total);
        for (source, weight) in self.cell.sources.iter().zip(weights) {
            let Some(weight) = weight else { continue };
            let to = Matrix {
                rows: weight.cols,
                cols: weight.rows,
                stride: weight.rows,
                ..transposed
            };
            transposed.offset += area(weight);
            builder.push(Op::Transpose(Transpose {
                name: format!("transpose.{}.{label}", source.weight),
                from: *weight,
                to,
            }));
            *weight = to;
        }
    }

    /// Zeroes the adjoints that no later step has sent yet, and the totals [B, N * H] of vectors' adjoints, which it returns.
    fn zeros(&self, builder: &mut Builder, scan: &Scan, scratch: SlotId) -> Matrix {
        let (b, h, label) = (scan.batch, self.hidden, &self.label);
        if self.compiled.carries.contains(&true) {
            let mut to = builder.plan.matrix(scratch);
            (to.rows, to.cols) = (1, self.cell.states.len() * b * h);
            to.stride = to.cols;
            let name = format!("zero.{label}");
            builder.push(Op::Zero(Zero { name, to }));
        }
        let cols = self.compiled.totals * h;
        let totals = Matrix {
            slot: scratch,
            offset: scan.total_row(0, 0),
            rows: b,
            cols,
            stride: cols,
            row_count: None,
        };
        if cols > 0 {
            builder.push(Op::Zero(Zero {
                name: format!("zero.totals.{label}"),
                to: totals,
            }));
        }
        totals
    }

    /// The adjoints [B, H] of each state before the first step add up to the gradient of the learned one, after a reset.
    fn start_backward(&self, builder: &mut Builder, start: Param, scan: &Scan, scratch: SlotId) {
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
                    slot: scratch,
                    offset: scan.scratch_row(scan.initial_plane(s), 0),
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

    /// The gradients of the states behind the last step, those but the output's in the cell's order, are the first adjoints
    /// that are carried back.
    fn last_backward(
        &self,
        builder: &mut Builder,
        axis: Axis,
        scan: &Scan,
        gradients: &[Option<Matrix>],
    ) {
        let (Some(above), Some(scratch)) = (self.above, scan.scratch) else {
            return;
        };
        let states = (0..self.cell.states.len()).filter(|k| *k != self.cell.output);
        for (k, gradient) in states.zip(gradients) {
            let Some(gradient) = *gradient else { continue };
            let name = format!("{}.backward", self.of_state("last", k));
            let sequences = builder.gathered_down(above, &name, axis, gradient);
            let carry = Matrix {
                slot: scratch,
                offset: scan.scratch_row(k, 0),
                rows: sequences.rows,
                cols: self.hidden,
                stride: self.hidden,
                row_count: sequences.row_count,
            };
            builder.add(name, sequences, carry, false);
        }
    }

    /// The adjoints [B, H] of a state before the first step are the gradient of what it began with.
    fn begin_backward(
        &self,
        builder: &mut Builder,
        axis: Axis,
        (k, start): (usize, Value),
        scan: &Scan,
        scratch: SlotId,
    ) {
        let (above, h) = (builder.axis(start), self.hidden);
        let name = format!("{}.backward", self.of_state("start", k));
        let from = Matrix {
            slot: scratch,
            offset: scan.scratch_row(scan.initial_plane(k), 0),
            rows: scan.batch,
            cols: h,
            stride: h,
            row_count: None,
        };
        let grad = builder.gathered_up(above, &name, axis, h, |builder, sequences| {
            let from = Matrix {
                rows: sequences.rows,
                row_count: sequences.row_count,
                ..from
            };
            builder.add(name.clone(), from, sequences, false);
        });
        builder.give(start, grad);
    }

    /// dW = A^T D for every weight but the input's, where A are the rows that it was multiplied with.
    fn weight_gradients(
        &self,
        builder: &mut Builder,
        axis: Axis,
        scan: &Scan,
        weights: &[Param],
        delta: Matrix,
    ) {
        let h = self.hidden;
        for (s, source) in self.cell.sources.iter().enumerate() {
            let a = match (source.kind, scan.saved) {
                (SourceKind::Input, _) | (SourceKind::Made { .. }, None) => continue,
                (SourceKind::Previous(k), _) => self.states_before(builder, axis, scan, k),
                (SourceKind::Made { slot, .. }, Some(saved)) => Matrix {
                    slot: saved,
                    offset: scan.saved_row(self.compiled.saved + slot, 0, 0, &[]),
                    rows: axis.rows(),
                    cols: h,
                    stride: scan.saved_values() * h,
                    row_count: axis.row_count(),
                },
            };
            for run in self.source_runs(s) {
                let d = delta.columns(run.delta * h, run.len * h);
                let into = weights[s].grad.columns(run.block * h, run.len * h);
                self.weight_backward(builder, &source.weight, a, d, into);
            }
        }
    }

    /// The rows of state `k` before each row's step.
    fn states_before(&self, builder: &mut Builder, axis: Axis, scan: &Scan, k: usize) -> Matrix {
        let h = self.hidden;
        let states = Matrix {
            slot: scan.state,
            offset: scan.state_row(k, 0, 0, &[]),
            rows: axis.rows(),
            cols: h,
            stride: h,
            row_count: axis.row_count(),
        };
        let all = Matrix {
            rows: axis.rows() + scan.batch,
            row_count: None,
            ..states
        };
        let packed = if self.cell.is_feed_forward() {
            None
        } else {
            let name = format!("before.{}.{}", self.cell.states[k], self.label);
            builder.before(axis, name, all)
        };
        packed.unwrap_or(states)
    }

    /// Vectors that follow one another in a parameter and in the deltas, or the totals, are summed together.
    fn vector_gradients(
        &self,
        builder: &mut Builder,
        vectors: &[Param],
        delta: Matrix,
        totals: Matrix,
    ) {
        let (h, label) = (self.hidden, &self.label);
        let mut summed: Vec<(Matrix, Matrix)> = Vec::new();
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
            let columns = |m: Matrix, run: &BlockRun| m.columns(run.delta * h, run.len * h);
            let runs = deltas
                .map(|run| (columns(delta, &run), run))
                .chain(sums.map(|run| (columns(totals, &run), run)));
            for (from, run) in runs {
                let mut into = vectors[members[run.block]].grad;
                into.cols = run.len * h;
                let accumulate = builder.accumulate(into);
                // PyTorch's two biases have one gradient: the second is a copy, unless the first holds other rounds' sums, too.
                let twin = summed.iter().find(|s| s.0 == from && !accumulate);
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
    }
}
