//! Writes a plan: slots, parameters and the law of accumulation.

use std::collections::HashSet;

use super::{Param, Signal};
use crate::op::scan::Packed;
use crate::op::{
    Add, Bound, Control, Fill, Gather, Hyper, Matrix, Op, Packing, Parameter, Plan, Report, Role,
    RowCount, RowSource, Scatter, SlotId, SparseTable,
};

/// Parameters and their copies start at multiples of this many elements, so that a kernel can read four at once.
pub(super) const ALIGN: usize = 4;

/// A plan in the making, for minibatches of T steps and B rows, or for one piece of larger ones.
#[derive(Debug)]
pub struct Builder {
    /// The plan so far.
    pub plan: Plan,
    /// T.
    pub steps: usize,
    /// How many pieces of T steps the host gives at once, of which the operations see one.
    pub pieces: usize,
    /// B.
    pub batch: usize,
    /// The leading axes of an activation: [T, B], or [R, 1] where sequences are packed.
    pub window: [usize; 2],
    /// Whether the backward pass will be written.
    pub training: bool,
    /// Whether the gradients with respect to the initial states are wanted.
    pub initial: bool,
    /// Whether gradients are multiplied by a factor, for half precision.
    pub scaled: bool,
    /// The token ids.
    pub ids: SlotId,
    /// The control words.
    pub control: SlotId,
    /// The hyper-parameters.
    pub hyper: SlotId,
    parameters: SlotId,
    gradients: SlotId,
    written: HashSet<(SlotId, usize, usize)>,
    streams: u32,
    /// The slot of the penalties' losses, and how many penalties share it so far.
    penalties: Option<(SlotId, usize)>,
    /// Elements of the tables whose gradients are rows.
    sparse: usize,
}

/// Where tables whose gradients are rows lie until all other parameters are known: behind every one of them.
const SPARSE: usize = usize::MAX / 2 / 64 * 64;

impl Builder {
    /// An empty plan with the slots that every model of `vocab` symbols has; with `packed`, for sequences packed together that have at most
    /// so many rows.
    pub fn new(
        vocab: usize,
        steps: usize,
        batch: usize,
        packed: Option<usize>,
        training: bool,
        pieces: usize,
    ) -> Builder {
        let mut plan = Plan::default();
        let parameters = plan.add("parameters", &[1, 0], Role::Parameters);
        let gradients = plan.add(
            "gradients",
            &[1, 0],
            if training {
                Role::Gradients
            } else {
                Role::Activation
            },
        );
        let window = match packed {
            None => [steps, batch],
            Some(rows) => [rows, 1],
        };
        let shape = [pieces * window[0] + 1, window[1]];
        let ids = plan.add_words("ids", &shape, Bound::Below(vocab));
        if let Some(rows) = packed {
            let packing = Packing { steps, batch, rows };
            let shape = [1, Packing::STARTS + steps + 1];
            plan.recipes.counts = Some(plan.add_words("counts", &shape, Bound::Packed(packing)));
            plan.packing = Some(packing);
        }
        let control = plan.add("control", &[1, Control::WORDS], Role::Words);
        let hyper = plan.add("hyper", &[1, Hyper::NUMBERS], Role::Numbers);
        plan.io.parameters = Some(parameters);
        plan.io.gradients = training.then_some(gradients);
        plan.recipes.ids = Some(ids);
        plan.recipes.control = Some(control);
        plan.recipes.hyper = Some(hyper);
        Builder {
            plan,
            steps,
            pieces,
            batch,
            window,
            training,
            initial: false,
            scaled: false,
            ids,
            control,
            hyper,
            parameters,
            gradients,
            written: HashSet::new(),
            streams: 0,
            penalties: None,
            sparse: 0,
        }
    }

    /// Rows of an activation: T * B, or the most that packed sequences may have, R.
    pub fn rows(&self) -> usize {
        self.window[0] * self.window[1]
    }

    /// The leading axes of what is there for the rows of all pieces.
    pub fn all_rows(&self) -> [usize; 2] {
        [self.pieces * self.window[0], self.window[1]]
    }

    /// Where a run says how many rows count; absent where all do.
    pub fn row_count(&self) -> Option<RowCount> {
        let word = Packing::ROWS;
        self.plan.recipes.counts.map(|slot| RowCount {
            slot,
            word,
            before: 0,
        })
    }

    /// How the steps of a recurrent layer are packed; those of one without `memory` are a single step.
    pub fn packed(&self, memory: bool) -> Option<Packed> {
        let first = if memory {
            Packing::STARTS
        } else {
            Packing::ZERO
        };
        self.plan
            .recipes
            .counts
            .map(|counts| Packed { counts, first })
    }

    /// For packed sequences: rows that hold, for every row, that of the step before in `states` [B + R, H].
    pub fn before(&mut self, name: String, states: Matrix) -> Matrix {
        let rows = self.rows();
        let ids = match self.plan.recipes.before {
            Some(slot) => slot,
            None => {
                let bound = Bound::Below(states.rows);
                let slot = self.plan.add_words("before", &[1, rows], bound);
                self.plan.recipes.before = Some(slot);
                slot
            }
        };
        let out = self.activation(name.as_str(), states.cols);
        self.push(Op::Gather(Gather {
            name,
            ids,
            table: states,
            out,
            at: 0,
        }));
        out
    }

    /// Declares a parameter [rows, cols] that files hold as `file_shape`, transposed or not.
    pub fn parameter(
        &mut self,
        name: impl Into<String>,
        [rows, cols]: [usize; 2],
        file_shape: &[usize],
        transposed: bool,
        fill: Vec<Fill>,
    ) -> Param {
        let offset = self.plan.dense;
        self.plan.dense += (rows * cols).next_multiple_of(ALIGN);
        self.declare(offset, name, [rows, cols], file_shape, transposed, fill)
    }

    /// Declares a table [V, D] whose gradient, when training, is rows [M, D]: one for every distinct id that `sources` use,
    /// each of so many at most. It lies behind the parameters with a place in the gradients' arena.
    pub fn sparse_parameter(
        &mut self,
        name: &str,
        shape: [usize; 2],
        sources: &[(RowSource, usize)],
    ) -> Param {
        let offset = SPARSE + self.sparse;
        self.sparse += (shape[0] * shape[1]).next_multiple_of(ALIGN);
        let param = self.declare(offset, name, shape, &shape, false, vec![Fill::Weight]);
        if !self.training {
            return param;
        }
        let used: usize = sources.iter().map(|(_, rows)| rows).sum();
        let rows = self.scratch(format!("d.{name}"), used, shape[1]);
        let ids = format!("ids.{name}");
        let bound = Bound::BelowOrNone(shape[0]);
        let ids = self.plan.add_words(ids, &[1, used], bound);
        let sources = sources.iter().map(|(source, rows)| {
            let name = format!("index.{name}.{source:?}").to_lowercase();
            let slot = self.add_index(name, 1, *rows, used);
            (*source, *rows, slot)
        });
        let sources = sources.collect();
        self.plan.recipes.tables.push(SparseTable {
            table: param.value,
            rows,
            ids,
            sources,
        });
        Param {
            grad: rows,
            ..param
        }
    }

    /// Whether a parameter's gradient is rows.
    pub fn is_sparse(&self, param: Param) -> bool {
        param.value.offset >= SPARSE
    }

    fn declare(
        &mut self,
        offset: usize,
        name: impl Into<String>,
        [rows, cols]: [usize; 2],
        file_shape: &[usize],
        transposed: bool,
        fill: Vec<Fill>,
    ) -> Param {
        let value = Matrix {
            slot: self.parameters,
            offset,
            rows,
            cols,
            stride: cols,
            row_count: None,
        };
        self.plan.parameters.push(Parameter {
            name: name.into(),
            matrix: value,
            transposed,
            file_shape: file_shape.to_vec(),
            fill,
        });
        Param {
            value,
            grad: Matrix {
                slot: self.gradients,
                ..value
            },
        }
    }

    /// Adds an activation [T * B, cols].
    pub fn activation(&mut self, name: impl Into<String>, cols: usize) -> Matrix {
        let shape = [self.window[0], self.window[1], cols];
        let slot = self.plan.add(name, &shape, Role::Activation);
        Matrix {
            row_count: self.row_count(),
            ..self.plan.matrix(slot)
        }
    }

    /// Adds a matrix of an activation slot of its own.
    pub fn scratch(&mut self, name: impl Into<String>, rows: usize, cols: usize) -> Matrix {
        let slot = self.plan.add(name, &[rows, cols], Role::Activation);
        self.plan.matrix(slot)
    }

    /// Appends an operation.
    pub fn push(&mut self, op: Op) {
        self.plan.ops.push(op);
    }

    /// Whether a gradient must be added to what is there: yes from the second writer of the same place on.
    pub fn accumulate(&mut self, grad: Matrix) -> bool {
        !self.written.insert((grad.slot, grad.offset, grad.rows))
    }

    /// The number of a new dropout mask.
    pub fn stream(&mut self) -> u32 {
        self.streams += 1;
        self.streams
    }

    /// A row of a new penalty's losses, one for every position of all pieces.
    pub fn penalties(&mut self) -> Matrix {
        let (slot, count) = self.penalties.unwrap_or_else(|| {
            let shape = self.all_rows();
            let shape = [0, shape[0], shape[1]];
            (self.plan.add("penalties", &shape, Role::Activation), 0)
        });
        self.penalties = Some((slot, count + 1));
        self.plan.slots[slot.0].shape[0] = count + 1;
        let cols = self.pieces * self.rows();
        Matrix {
            slot,
            offset: count * cols,
            rows: 1,
            cols,
            stride: cols,
            row_count: None,
        }
    }

    /// The losses of all penalties so far as one row.
    pub fn all_penalties(&self) -> Option<Matrix> {
        let (slot, count) = self.penalties?;
        let cols = count * self.pieces * self.rows();
        Some(Matrix {
            slot,
            offset: 0,
            rows: 1,
            cols,
            stride: cols,
            row_count: None,
        })
    }

    /// The slot with the index of the token ids, for sums by id over a table of V rows.
    pub fn index(&mut self, vocab: usize) -> SlotId {
        if let Some(slot) = self.plan.recipes.index {
            return slot;
        }
        let slot = self.add_index("index".into(), self.pieces, self.rows(), vocab);
        self.plan.recipes.index = Some(slot);
        slot
    }

    /// A slot for `pieces` indices that take `rows` rows each to those of a table of `into`; see
    /// [`scatter::index`](crate::op::scatter::index).
    pub(super) fn add_index(
        &mut self,
        name: String,
        pieces: usize,
        rows: usize,
        into: usize,
    ) -> SlotId {
        let shape = [pieces, rows + into + 1];
        self.plan.add_words(name, &shape, Bound::Below(rows + 1))
    }

    /// Embedded ids as rows; other signals must be rows already.
    pub fn as_rows(&mut self, name: &str, signal: Signal) -> Option<Matrix> {
        match signal {
            Signal::OneHot { .. } => None,
            Signal::Rows(rows) => Some(rows),
            Signal::Embedded(table) => {
                let out = self.activation(format!("embedded.{name}"), table.value.cols);
                self.push(Op::Gather(Gather {
                    name: format!("embed.{name}"),
                    ids: self.ids,
                    table: table.value,
                    out,
                    at: 0,
                }));
                Some(out)
            }
        }
    }

    /// Copies a matrix, or adds it to what is there.
    pub fn add(&mut self, name: String, from: Matrix, to: Matrix, accumulate: bool) {
        self.push(Op::Add(Add {
            name,
            from,
            to,
            accumulate,
            flip: None,
        }));
    }

    /// Copies rows [T * B, n] of steps of `batch` rows into a new activation, the steps in reverse order.
    pub fn reversed(&mut self, name: String, from: Matrix, batch: usize) -> Matrix {
        let to = self.activation(name.as_str(), from.cols);
        self.push(Op::Add(Add {
            name,
            from,
            to,
            accumulate: false,
            flip: Some(batch),
        }));
        to
    }

    /// A copy of several matrices of T * B rows side by side, in an activation called `name`.
    pub fn side_by_side(&mut self, name: &str, parts: &[Matrix]) -> Matrix {
        let out = self.activation(name, parts.iter().map(|p| p.cols).sum());
        let mut first = 0;
        for (i, from) in parts.iter().enumerate() {
            let to = out.columns(first, from.cols);
            self.add(format!("{name}.{i}"), *from, to, false);
            first += from.cols;
        }
        out
    }

    /// Sends the gradient of rows made by [`Builder::as_rows`] on: to the table that they came from, or to the caller.
    pub fn rows_backward(&mut self, name: &str, signal: Signal, grad: Matrix) -> Option<Matrix> {
        match signal {
            Signal::Embedded(table) => {
                self.scatter(format!("embed.{name}.backward"), grad, table.grad);
                None
            }
            Signal::OneHot { .. } => None,
            Signal::Rows(_) => Some(grad),
        }
    }

    /// Sums rows by token id into the gradient of a table.
    pub fn scatter(&mut self, name: String, from: Matrix, into: Matrix) {
        let op = Scatter {
            name,
            index: self.index_into(into, RowSource::Inputs),
            from,
            into,
            accumulate: self.accumulate_if_gradient(into),
            at: 0,
        };
        self.push(Op::Scatter(op));
    }

    /// Sums the rows of candidates into the gradient of a table, by `dense` where it is not rows.
    pub fn scatter_candidates(&mut self, name: String, from: Matrix, into: Matrix, dense: SlotId) {
        let sparse = { self.plan.recipes.tables.iter() }.any(|t| t.rows.slot == into.slot);
        let op = Scatter {
            name,
            index: if sparse {
                self.index_into(into, RowSource::Candidates)
            } else {
                dense
            },
            from,
            into,
            accumulate: self.accumulate_if_gradient(into),
            at: 0,
        };
        self.push(Op::Scatter(op));
    }

    /// The index that takes a source's rows to those of a table or of its gradient.
    fn index_into(&mut self, into: Matrix, of: RowSource) -> SlotId {
        let tables = self.plan.recipes.tables.iter();
        let mut rows = tables.filter(|t| t.rows.slot == into.slot);
        let sources = rows.next().map(|t| t.sources.iter());
        let known = sources.and_then(|mut s| s.find(|(source, _, _)| *source == of));
        match known {
            Some((_, _, slot)) => *slot,
            None => self.index(into.rows),
        }
    }

    fn accumulate_if_gradient(&mut self, into: Matrix) -> bool {
        let tables = &self.plan.recipes.tables;
        let gradient =
            into.slot == self.gradients || tables.iter().any(|t| t.rows.slot == into.slot);
        gradient && self.accumulate(into)
    }

    /// Ends the plan: the arenas take their final size.
    pub fn finish(mut self) -> Plan {
        let dense = self.plan.dense;
        let arena = dense + self.sparse;
        self.plan.arena = arena;
        self.plan.slots[self.parameters.0].shape = vec![1, arena];
        self.plan.slots[self.gradients.0].shape = vec![1, if self.training { dense } else { 0 }];
        // The tables behind the other parameters move to their places.
        let plan = &mut self.plan;
        let tables = plan.recipes.tables.iter_mut().map(|t| &mut t.table);
        let parameters = plan.parameters.iter_mut().map(|p| &mut p.matrix);
        let operands = plan.ops.iter_mut().flat_map(Op::matrices_mut);
        for matrix in tables.chain(parameters).chain(operands) {
            if matrix.offset >= SPARSE {
                matrix.offset = matrix.offset - SPARSE + dense;
            }
        }
        self.plan
    }

    /// The length of all parameters, once every one is declared.
    pub fn arena(&self) -> usize {
        self.plan.dense + self.sparse
    }

    /// The report's slot, made when first asked for.
    pub fn report(&mut self) -> SlotId {
        if let Some(slot) = self.plan.io.report {
            return slot;
        }
        let slot = self
            .plan
            .add("report", &[1, Report::NUMBERS], Role::Results);
        self.plan.io.report = Some(slot);
        slot
    }

    /// The flat parameters that have a place among the gradients, and these, as rows, once every parameter is declared.
    pub fn arenas(&self) -> (Matrix, Matrix) {
        let cols = self.plan.dense;
        let row = |slot| Matrix {
            slot,
            offset: 0,
            rows: 1,
            cols,
            stride: cols,
            row_count: None,
        };
        (row(self.parameters), row(self.gradients))
    }
}
