//! Writes a plan: slots, parameters and the law of accumulation.

use std::collections::HashSet;

use super::tape::Tape;
use super::{Axis, Param, Signal, Value};
use crate::op::{
    Add, Bound, Control, Fill, Gather, Hyper, Matrix, Op, Parameter, Plan, Recipe, Report, Role,
    RowSource, Scatter, SlotId, SparseTable,
};

/// Parameters and their copies start at multiples of this many elements, so that a kernel can read four at once.
pub(super) const ALIGN: usize = 4;

/// A plan in the making.
#[derive(Debug)]
pub struct Builder {
    /// The plan so far.
    pub plan: Plan,
    /// Whether the backward pass will be written.
    pub training: bool,
    /// Whether the gradients with respect to the initial states are wanted.
    pub initial: bool,
    /// Whether gradients are multiplied by a factor, for half precision.
    pub scaled: bool,
    /// The control words.
    pub control: SlotId,
    /// The hyper-parameters.
    pub hyper: SlotId,
    parameters: SlotId,
    gradients: SlotId,
    written: HashSet<(SlotId, usize, usize)>,
    streams: u32,
    /// The penalties' losses as one row, and how many penalties share it so far.
    penalties: Option<(Matrix, usize)>,
    /// The losses so far as one row, and how many.
    losses: Option<Matrix>,
    loss_count: usize,
    /// What a parameter is called whatever its round, where its name is that of one of several.
    pub of_rounds: Option<fn(&str) -> Option<String>>,
    /// What those are called that some round has declared.
    rounds: HashSet<String>,
    /// The first parameter that cannot be as it is wanted, in words.
    pub apart: Option<String>,
    /// Elements of the tables whose gradients are rows.
    sparse: usize,
    pub(super) tape: Tape,
}

/// Where tables whose gradients are rows lie until all other parameters are known: behind every one of them.
const SPARSE: usize = usize::MAX / 2 / 64 * 64;

impl Builder {
    /// An empty plan with the slots that every model has.
    pub fn new(training: bool) -> Builder {
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
        let control = plan.add("control", &[1, Control::WORDS], Role::Words);
        let hyper = plan.add("hyper", &[1, Hyper::NUMBERS], Role::Numbers);
        plan.io.parameters = Some(parameters);
        plan.io.gradients = training.then_some(gradients);
        plan.recipes.control = Some(control);
        plan.recipes.hyper = Some(hyper);
        Builder {
            plan,
            training,
            initial: false,
            scaled: false,
            control,
            hyper,
            parameters,
            gradients,
            written: HashSet::new(),
            streams: 0,
            penalties: None,
            losses: None,
            loss_count: 0,
            of_rounds: None,
            rounds: HashSet::new(),
            apart: None,
            sparse: 0,
            tape: Tape::default(),
        }
    }

    /// The slot of the token ids of a field along `axis`, all below `vocab`: those of its rows, `back` steps earlier, and one
    /// step behind.
    pub fn add_ids(&mut self, axis: Axis, vocab: usize, field: usize, back: usize) -> SlotId {
        let [rows, batch] = axis.all_rows();
        let name = match (field, back) {
            (0, 0) => "ids".into(),
            (field, 0) => format!("ids.{field}"),
            (field, back) => format!("ids.{field}.{back}-back"),
        };
        let recipe = Recipe::Ids { field, back };
        self.words_of(recipe, name, &[rows + 1, batch], vocab)
    }

    /// A slot of words that the host makes as `recipe` says, one for every row along `axis`, all below `below`.
    pub fn add_rows(&mut self, axis: Axis, name: String, recipe: Recipe, below: usize) -> SlotId {
        self.words_of(recipe, name, &[1, axis.rows()], below)
    }

    /// The slot of words, all below `below`, that the host makes as `recipe` says: one however many ask for it.
    pub(super) fn words_of(
        &mut self,
        recipe: Recipe,
        name: String,
        shape: &[usize],
        below: usize,
    ) -> SlotId {
        if let Some(slot) = self.plan.recipes.find(|known| *known == recipe) {
            return slot;
        }
        let slot = self.plan.add_words(name, shape, Bound::Below(below));
        self.plan.recipes.slots.push((slot, recipe));
        slot
    }

    /// For packed sequences: rows that hold, for every row, that of the step before in `states` [B + R, H]; none along
    /// another axis.
    pub fn before(&mut self, axis: Axis, name: String, states: Matrix) -> Option<Matrix> {
        let number = axis.number()?;
        let ids = match self.plan.axes[number].before {
            Some(slot) => slot,
            None => {
                let bound = Bound::Below(states.rows);
                let name = match number {
                    0 => "before".into(),
                    n => format!("before.{n}"),
                };
                let slot = self.plan.add_words(name, &[1, axis.rows()], bound);
                self.plan.axes[number].before = Some(slot);
                slot
            }
        };
        let made = name.clone();
        Some(self.gather(axis, name, made, ids, states))
    }

    /// Rows of a table by the words of `ids`, as an activation called `made`.
    pub(super) fn gather(
        &mut self,
        axis: Axis,
        name: String,
        made: String,
        ids: SlotId,
        table: Matrix,
    ) -> Matrix {
        let out = self.activation(axis, made, table.cols);
        self.push(Op::Gather(Gather {
            name,
            ids,
            // The words say which rows are meant, however many count.
            table: table.uncounted(),
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
        let name = name.into();
        if let Some(first) = self.first_round(&name) {
            if !self.rounds.insert(first.clone())
                && let Some(shared) = self.declared(&first)
            {
                let own = [shared.value.rows, shared.value.cols];
                if own != [rows, cols] {
                    self.apart.get_or_insert(format!(
                        "expected values as wide wherever parameters are the same, found {first} {:?} where it is {own:?} at first",
                        [rows, cols]
                    ));
                }
                return shared;
            }
            return self.parameter(first, [rows, cols], file_shape, transposed, fill);
        }
        if self.declared(&name).is_some() {
            self.apart.get_or_insert(format!(
                "a line above has the parameter {name}, too: expected another name for one of the two"
            ));
        }
        let offset = self.plan.dense;
        self.plan.dense += (rows * cols).next_multiple_of(ALIGN);
        self.declare(offset, name, [rows, cols], file_shape, transposed, fill)
    }

    /// Lets what comes share the parameters of the layers called `label`, by names that [`Builder::of_rounds`] knows. Returns how
    /// many parameters there are so far.
    pub fn share(&mut self, label: &str) -> usize {
        let own = |name: &&str| {
            name.strip_prefix(label)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let names = self.plan.parameters.iter().map(|p| p.name.as_str());
        self.rounds.extend(names.filter(own).map(String::from));
        self.plan.parameters.len()
    }

    /// What a parameter is called in the first round, where its name is that of one of several.
    fn first_round(&self, name: &str) -> Option<String> {
        self.of_rounds.and_then(|of_rounds| of_rounds(name))
    }

    /// The parameter of this name.
    fn declared(&self, name: &str) -> Option<Param> {
        let found = self.plan.parameters.iter().find(|p| p.name == name)?;
        let value = found.matrix;
        let grad = Matrix {
            slot: self.gradients,
            ..value
        };
        Some(Param { value, grad })
    }

    /// Declares a table [V, D] whose gradient, when training, is rows [M, D]: one for every distinct id that `sources` use,
    /// each of so many at most; `inputs` is the slot of the ids that are read. It lies behind the parameters with a place in the gradients' arena.
    pub fn sparse_parameter(
        &mut self,
        name: &str,
        shape: [usize; 2],
        sources: &[(RowSource, usize)],
        inputs: Option<SlotId>,
    ) -> Param {
        let first = self.first_round(name);
        let name = first.as_deref().unwrap_or(name);
        let offset = SPARSE + self.sparse;
        self.sparse += (shape[0] * shape[1]).next_multiple_of(ALIGN);
        let param = self.declare(offset, name, shape, &shape, false, vec![Fill::Embedding]);
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
            inputs,
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

    /// Adds an activation [T * B, cols] along an axis.
    pub fn activation(&mut self, axis: Axis, name: impl Into<String>, cols: usize) -> Matrix {
        let shape = [axis.leading[0], axis.leading[1], cols];
        let slot = self.plan.add(name, &shape, Role::Activation);
        Matrix {
            row_count: axis.row_count(),
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

    /// A row of a new penalty's losses, one for every position of all segments.
    pub fn penalties(&mut self, axis: Axis) -> Matrix {
        let (slot, count) = self.penalties.map_or_else(
            || {
                let [rows, batch] = axis.all_rows();
                let shape = [0, rows, batch];
                (self.plan.add("penalties", &shape, Role::Activation), 0)
            },
            |(losses, count)| (losses.slot, count),
        );
        self.plan.slots[slot.0].shape[0] = count + 1;
        let row = axis.row(slot);
        let cols = (count + 1) * row.cols;
        let stride = cols;
        self.penalties = Some((
            Matrix {
                cols,
                stride,
                ..row
            },
            count + 1,
        ));
        Matrix {
            offset: count * row.cols,
            ..row
        }
    }

    /// The losses of all penalties so far as one row.
    pub fn all_penalties(&self) -> Option<Matrix> {
        self.penalties.map(|(losses, _)| losses)
    }

    /// A new loss, a number for every position of all segments along `axis`, and where `weighted` the positions' weights: each
    /// as a row [1, R]. All losses share a slot.
    pub fn losses(&mut self, axis: Axis, weighted: bool) -> (Matrix, Option<Matrix>) {
        let (shape, loss) = (axis.all_rows(), self.loss_count);
        self.loss_count += 1;
        let losses = match self.losses {
            None => {
                let slot = self.plan.add("losses", &shape, Role::Activation);
                self.plan.io.losses = Some(slot);
                let row = axis.row(slot);
                self.losses = Some(row);
                row
            }
            Some(before) => {
                let row = axis.row(before.slot);
                let cols = before.cols + row.cols;
                self.plan.slots[before.slot.0].shape = vec![1, cols];
                self.losses = Some(Matrix::new(before.slot, 1, cols));
                Matrix {
                    offset: before.cols,
                    ..row
                }
            }
        };
        let weights = weighted.then(|| {
            let name = match loss {
                0 => "weights".into(),
                n => format!("weights.{n}"),
            };
            let slot = self.plan.add(name, &shape, Role::Numbers);
            let recipe = Recipe::Weights { loss };
            self.plan.recipes.slots.push((slot, recipe));
            axis.row(slot)
        });
        (losses, weights)
    }

    /// All losses so far as one row.
    pub fn all_losses(&self) -> Option<Matrix> {
        self.losses
    }

    /// The slot with the index of words along `axis`, for sums by word over a table of V rows.
    fn index(&mut self, axis: Axis, of: SlotId, vocab: usize) -> SlotId {
        if let Some(slot) = self.plan.recipes.index(of) {
            return slot;
        }
        let name = match self.plan.slot(of).name.strip_prefix("ids") {
            Some(rest) => format!("index{rest}"),
            None => format!("index.{}", self.plan.slot(of).name),
        };
        let slot = self.add_index(name, axis.segments, axis.rows(), vocab);
        self.plan.recipes.slots.push((slot, Recipe::Index { of }));
        slot
    }

    /// A slot for `segments` indices that take `rows` rows each to those of a table of `into`; see
    /// [`scatter::index`](crate::op::scatter::index).
    pub(super) fn add_index(
        &mut self,
        name: String,
        segments: usize,
        rows: usize,
        into: usize,
    ) -> SlotId {
        let shape = [segments, rows + into + 1];
        self.plan.add_words(name, &shape, Bound::Below(rows + 1))
    }

    /// Embedded ids as rows; other values must be rows already: one-hot vectors have none.
    pub fn as_rows(&mut self, name: &str, value: Value) -> Option<Value> {
        let axis = self.axis(value);
        match self.signal(value) {
            Signal::OneHot { .. } => None,
            Signal::Rows(_) => Some(value),
            Signal::Embedded { ids, table } => {
                let made = format!("embedded.{name}");
                let embed = format!("embed.{name}");
                let out = self.gather(axis, embed, made.clone(), ids, table.value);
                let name = format!("embed.{name}.backward");
                Some(self.made_rows(made, out, axis, move |builder, upstream| {
                    builder.scatter((axis, ids), name, upstream, table.grad);
                }))
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
    pub fn reversed(&mut self, axis: Axis, name: String, from: Matrix, batch: usize) -> Matrix {
        let to = self.activation(axis, name.as_str(), from.cols);
        self.push(Op::Add(Add {
            name,
            from,
            to,
            accumulate: false,
            flip: Some(batch),
        }));
        to
    }

    /// Sums rows along an axis by their token ids into the gradient of a table.
    pub fn scatter(&mut self, of: (Axis, SlotId), name: String, from: Matrix, into: Matrix) {
        let (axis, ids) = of;
        let sparse = self.sparse_index(into, RowSource::Inputs);
        let op = Scatter {
            name,
            index: sparse.unwrap_or_else(|| self.index(axis, ids, into.rows)),
            from,
            into,
            accumulate: self.accumulate_if_gradient(into),
            at: 0,
        };
        self.push(Op::Scatter(op));
    }

    /// Sums the rows of candidates into the gradient of a table, by `dense` where it is not rows.
    pub fn scatter_candidates(&mut self, name: String, from: Matrix, into: Matrix, dense: SlotId) {
        let op = Scatter {
            name,
            index: self
                .sparse_index(into, RowSource::Candidates)
                .unwrap_or(dense),
            from,
            into,
            accumulate: self.accumulate_if_gradient(into),
            at: 0,
        };
        self.push(Op::Scatter(op));
    }

    /// The index that takes a source's rows to those of a table's gradient, where that is compact rows.
    fn sparse_index(&self, into: Matrix, of: RowSource) -> Option<SlotId> {
        let mut tables = self.plan.recipes.tables.iter();
        let table = tables.find(|t| t.rows.slot == into.slot)?;
        let source = table.sources.iter().find(|(source, _, _)| *source == of);
        source.map(|(_, _, slot)| *slot)
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
        let row = |slot| Matrix::new(slot, 1, cols);
        (row(self.parameters), row(self.gradients))
    }
}
