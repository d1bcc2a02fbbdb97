//! A recurrent layer over a range of steps: for every step, each of the cell's stages for all rows and units.
//!
//! Forward, step t reads states at t and writes them at t + 1, counting from the carried state at 0. Backward runs from
//! the last step to the first; deltas have one step more than there are, which stays zero, so that the last step needs
//! no case of its own.
//!
//! Rows of sequences of different lengths are packed: sorted by falling length, so that those still running at a step are
//! the first ones, and laid out step after step without gaps. A run says where each step starts.

mod attention;
mod plain;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::{Access, Control, Cost, Matrix, Operand, Operation, Segment, SlotId, bytes};
use crate::cell::stage::{self, Instr, Load, Stage};
use crate::cell::{Cell, Compiled};

pub use attention::{AttentionInputs, AttentionSlices, ScanAttention, ScanStepPart};

/// Which way a scan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last, through the forward stages.
    Forward,
    /// From the last step to the first, through the backward stages.
    Backward,
}

/// Where a layer's input projection comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputProjection {
    /// The cell has no product of the input.
    Nothing,
    /// One row for every position: [T * B, lanes * H].
    Rows(Matrix),
    /// A row of a table [V, lanes * H] by the position's token id.
    Table {
        /// The table.
        table: Matrix,
        /// The slot of token ids.
        ids: SlotId,
    },
}

/// Where a run says how its steps are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The plan's slot of counts.
    pub counts: SlotId,
    /// The first of its T + 1 words: the row at which each step starts, and where the last one ends.
    pub first: usize,
}

/// A recurrent layer's steps. Slots: state [S, T+1, B, H]; saved [T, B, K, H], the saved values, then the made ones;
/// delta [T+1, B, D, H]; scratch [S + scratch + S, B, H], the carried adjoints, scratch, the initial states' gradients, and
/// behind them [B, N, H], the totals of vectors' adjoints.
/// Delta may be saved's slot, which then has T+1 steps too: see [`Scan::in_place`]. The input projection may lie in saved's
/// slot as well, at the beginning of each row: see [`Scan::over_projection`].
/// Packed, R rows stand in place of [T, B], and [B + R] or [R + B] in place of [T+1, B].
#[derive(Clone, Debug)]
pub struct Scan {
    /// The name in the plan, such as `forward.l0`.
    pub name: String,
    /// The cell.
    pub cell: Arc<Cell>,
    /// Its stages.
    pub compiled: Arc<Compiled>,
    /// Which way it runs.
    pub direction: Direction,
    /// The steps that it covers.
    pub range: Range<usize>,
    /// Whether step t works on position T - 1 - t: what lies outside the layer keeps its order, states and deltas follow
    /// the layer's own.
    pub reversed: bool,
    /// T.
    pub steps: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub hidden: usize,
    /// The position in the minibatch, in rows, of its first step: segments of a minibatch share all that lies between operations.
    pub at: usize,
    /// Rows of all steps: T * B, or the most that sequences packed together may have, R.
    pub rows: usize,
    /// How the rows are packed; a rectangle of T steps of B rows where absent.
    pub packed: Option<Packed>,
    /// The input projection (forward).
    pub input_projection: InputProjection,
    /// The input itself [T * B, H], where the cell uses it elementwise.
    pub input: Option<Matrix>,
    /// For every source but the input: its weight, forward [H, lanes * H], backward transposed [lanes * H, H].
    pub weights: Vec<Option<Matrix>>,
    /// For each of them, whether a backward scan reads it as it lies, [H, lanes * H], and not a transposed copy.
    pub turned: Vec<bool>,
    /// The learned vectors, each [1, H].
    pub vectors: Vec<Matrix>,
    /// The memory of each of the cell's attentions.
    pub attentions: Vec<ScanAttention>,
    /// The slot of control words, from which the cell's masks are made.
    pub control: SlotId,
    /// The stream of each of the cell's masks.
    pub streams: Vec<u32>,
    /// The states.
    pub state: SlotId,
    /// What the forward pass keeps; absent when it keeps nothing.
    pub saved: Option<SlotId>,
    /// The gradient with respect to the output [T * B, H] (backward).
    pub upstream: Option<Matrix>,
    /// The deltas (backward).
    pub delta: Option<SlotId>,
    /// Carried adjoints, scratch and initial gradients (backward).
    pub scratch: Option<SlotId>,
    /// Whether the gradients with respect to the initial states are made after the last step (backward).
    pub initial: bool,
}

/// The contents of a scan's slots, for code that runs it. Parts that a direction does not use are empty.
pub struct Slices<'a, F> {
    /// The input projection's rows or table, from the matrix's first element on; empty where its slot is saved's.
    pub input_projection: &'a [F],
    /// The token ids from the scan's first position on.
    pub ids: &'a [u32],
    /// The input, from the matrix's first element on.
    pub input: &'a [F],
    /// The weights, each from its matrix's first element on.
    pub weights: Vec<&'a [F]>,
    /// For each weight that lies transposed, unlike its matrix, from one of its columns to the next; not for the plain code.
    pub turned: Vec<Option<usize>>,
    /// The learned vectors.
    pub vectors: Vec<&'a [F]>,
    /// The slots of the attentions.
    pub attentions: Vec<AttentionSlices<'a, F>>,
    /// The control words.
    pub control: &'a [u32],
    /// Where packed steps start.
    pub starts: &'a [u32],
    /// The states' slot.
    pub state: &'a mut [F],
    /// The kept values' slot; empty where it is the deltas'.
    pub saved: &'a mut [F],
    /// The gradient from above, from the matrix's first element on.
    pub upstream: &'a [F],
    /// The deltas' slot.
    pub delta: &'a mut [F],
    /// The scratch slot.
    pub scratch: &'a mut [F],
}

impl Scan {
    /// The stages that one step runs, in order.
    pub fn stages(&self) -> &[Stage] {
        match self.direction {
            Direction::Forward => &self.compiled.forward,
            Direction::Backward => &self.compiled.backward,
        }
    }

    /// Products of H x H weights that all stages make.
    pub fn terms(&self) -> usize {
        let initial = self.initial.then_some(&self.compiled.initial);
        let sums = self.stages().iter().chain(initial).flat_map(|s| &s.sums);
        sums.map(|s| s.terms.len()).sum()
    }

    /// Values kept per row and step.
    pub fn saved_values(&self) -> usize {
        self.compiled.saved + self.cell.made()
    }

    /// Planes [B, H] of the scratch slot.
    pub fn scratch_planes(&self) -> usize {
        2 * self.cell.states.len() + self.compiled.scratch
    }

    /// The plane of the scratch slot with the gradient of an initial state.
    #[inline]
    pub fn initial_plane(&self, state: usize) -> usize {
        self.cell.states.len() + self.compiled.scratch + state
    }

    /// Rows of H numbers of the scratch slot.
    pub fn scratch_rows(&self) -> usize {
        (self.scratch_planes() + self.compiled.totals) * self.batch
    }

    /// The first element of a total's row.
    pub fn total_row(&self, total: usize, row: usize) -> usize {
        let first = self.scratch_planes() * self.batch;
        (first + row * self.compiled.totals + total) * self.hidden
    }

    /// Whether each row's deltas take the place of what the forward pass kept for it.
    #[inline]
    pub fn in_place(&self) -> bool {
        self.delta.is_some() && self.delta == self.saved
    }

    /// Whether the forward pass keeps its values where the input projection of their row lay.
    #[inline]
    pub fn over_projection(&self) -> bool {
        matches!(self.input_projection, InputProjection::Rows(rows) if Some(rows.slot) == self.saved)
    }

    /// The same scan over other steps.
    pub fn over(&self, range: Range<usize>) -> Scan {
        let initial = self.initial && range.start == 0;
        Scan {
            range,
            initial,
            ..self.clone()
        }
    }

    /// The first row of step `t` among those of all steps; `starts` is empty where nothing is packed.
    #[inline]
    pub fn start(&self, t: usize, starts: &[u32]) -> usize {
        match starts.get(t) {
            Some(start) => *start as usize,
            None => t * self.batch,
        }
    }

    /// How many rows run at step `t`; all of them at the step before the first.
    pub fn active(&self, t: usize, starts: &[u32]) -> usize {
        match (starts, t) {
            ([], _) | (_, usize::MAX) => self.batch,
            (_, t) if t + 1 < starts.len() => (starts[t + 1] - starts[t]) as usize,
            _ => 0,
        }
    }

    /// The first row of a step's states, those that are carried in being step 0.
    pub fn state_plane(&self, step: usize, starts: &[u32]) -> usize {
        match step {
            0 => 0,
            step => self.batch + self.start(step - 1, starts),
        }
    }

    /// The first element of a state's row at a step, counted from 0 for the carried one.
    pub fn state_row(&self, state: usize, step: usize, row: usize, starts: &[u32]) -> usize {
        let first = state * (self.rows + self.batch) + self.state_plane(step, starts);
        (first + row) * self.hidden
    }

    /// The first element of a kept value's row.
    pub fn saved_row(&self, value: usize, step: usize, row: usize, starts: &[u32]) -> usize {
        ((self.start(step, starts) + row) * self.saved_values() + value) * self.hidden
    }

    /// The first element of a delta's row; of one that is zero where that row does not run.
    pub fn delta_row(&self, delta: usize, step: usize, row: usize, starts: &[u32]) -> usize {
        let first = if row < self.active(step, starts) {
            self.start(step, starts)
        } else {
            self.rows
        };
        ((first + row) * self.compiled.deltas + delta) * self.hidden
    }

    /// The first element of a row of a work plane.
    pub fn scratch_row(&self, plane: usize, row: usize) -> usize {
        (plane * self.batch + row) * self.hidden
    }

    /// The position, in rows of the minibatch, that row `b` works on at step `t`; any for the step before the first.
    #[inline]
    pub fn position(&self, t: usize, b: usize, starts: &[u32]) -> usize {
        if self.reversed {
            (self.steps - 1)
                .wrapping_sub(t)
                .wrapping_mul(self.batch)
                .wrapping_add(b)
        } else if t == usize::MAX {
            0
        } else {
            self.start(t, starts) + b
        }
    }

    /// The first element of a position's row of the input projection.
    #[inline]
    pub fn projection_row(&self, position: usize, ids: &[u32]) -> usize {
        match self.input_projection {
            InputProjection::Nothing => 0,
            InputProjection::Rows(rows) => position * rows.stride,
            InputProjection::Table { table, .. } => ids[position] as usize * table.stride,
        }
    }

    fn state_matrix(&self) -> Matrix {
        let states = self.cell.states.len();
        let elements = states * (self.rows + self.batch) * self.hidden;
        Matrix::new(self.state, 1, elements)
    }

    fn saved_matrix(&self) -> Option<Matrix> {
        let elements = self.rows * self.saved_values() * self.hidden;
        self.saved.map(|k| Matrix::new(k, 1, elements))
    }

    fn delta_matrix(&self) -> Option<Matrix> {
        let elements = (self.rows + self.batch) * self.compiled.deltas * self.hidden;
        self.delta.map(|d| Matrix::new(d, 1, elements))
    }

    fn scratch_matrix(&self) -> Option<Matrix> {
        let elements = self.scratch_rows() * self.hidden;
        self.scratch.map(|w| Matrix::new(w, 1, elements))
    }

    fn is_forward(&self) -> bool {
        self.direction == Direction::Forward
    }

    /// One stage of `steps` steps. A step is a dispatch of its own, so that it reads its weights anew; what several terms
    /// multiply is read once, and sums stay where they were made.
    fn stage_cost(&self, stage: &Stage, steps: usize) -> Cost {
        let plane = self.batch * self.hidden;
        let terms: Vec<_> = stage.sums.iter().flat_map(|s| &s.terms).collect();
        let operands: HashSet<stage::TermOperand> = terms.iter().map(|t| t.operand).collect();
        let weights: HashSet<(usize, usize)> = terms.iter().map(|t| (t.source, t.block)).collect();
        let instrs = &stage.program.instrs;
        let loads = instrs.iter().filter(|i| matches!(i, Instr::Load(_)));
        let made = instrs.iter().filter(|i| {
            matches!(
                i,
                Instr::Load(Load::Sum(_) | Load::Reduction(_) | Load::Mask(_))
            )
        });
        let (loads, made) = (loads.count(), made.count());
        let reduced: usize = stage.reductions.iter().map(|r| r.rows().count()).sum();
        let rows = loads - made + operands.len() + reduced + stage.program.stores.len();
        // A row's reduction is one sum of H for all its units.
        let products = 2 * terms.len() * self.hidden + reduced;
        let moved = rows * plane + weights.len() * self.hidden * self.hidden;
        Cost {
            flops: steps as f64 * plane as f64 * (products + instrs.len() - loads) as f64,
            bytes: steps as f64 * bytes(moved),
        }
    }
}

impl Operation for Scan {
    const KIND: &'static str = "scan";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let (state, saved, over) = (
            self.state_matrix(),
            self.saved_matrix(),
            self.over_projection(),
        );
        let (delta, scratch) = (self.delta_matrix(), self.scratch_matrix());
        let (steps, rows, forward) = (self.steps, self.at + self.rows, self.is_forward());
        let mut operands = Vec::new();
        match &mut self.input_projection {
            InputProjection::Nothing => {}
            InputProjection::Rows(m) => {
                let rows = Operand::read(m).rows();
                // Where it lies in saved's slot it stays with it.
                operands.push(if over { rows.unmoved() } else { rows });
            }
            InputProjection::Table { table, ids } => {
                operands.push(Operand::slot(*ids, rows));
                operands.push(Operand::read(table));
            }
        }
        operands.extend(self.input.as_mut().map(|m| Operand::read(m).rows()));
        operands.extend(self.weights.iter_mut().flatten().map(Operand::read));
        operands.extend(self.vectors.iter_mut().map(Operand::read));
        let attentions = self.attentions.iter_mut();
        operands.extend(attentions.flat_map(|a| a.operands(rows, forward)));
        operands.extend(self.upstream.as_mut().map(|m| Operand::read(m).rows()));
        if let Some(packed) = self.packed {
            operands.push(Operand::slot(packed.counts, packed.first + steps + 1));
        }
        if !self.streams.is_empty() {
            operands.push(Operand::slot(self.control, Control::WORDS));
        }
        // Of the states those that are carried in are read; of what is kept and of the deltas a run writes the rows that
        // count. What lay where a value is kept is read as the input projection.
        let (state_access, saved_access) = if forward {
            (Access::Update, Access::WriteSome)
        } else {
            (Access::Read, Access::Read)
        };
        operands.push(Operand::part(state).with(state_access).sum());
        operands.extend(saved.map(|m| Operand::part(m).with(saved_access).rows()));
        let delta = delta.filter(|_| !forward);
        operands.extend(delta.map(|m| Operand::part(m).with(Access::WriteSome).rows()));
        operands.extend(scratch.map(|m| Operand::part(m).with(Access::Update).sum()));
        // The layout of packed rows is in the counts, not in a matrix.
        operands.into_iter().map(Operand::uncounted).collect()
    }

    fn cost(&self) -> Cost {
        self.costs().into_iter().sum()
    }

    /// Of each part of a step over all steps, then of the initial states' gradients where they are made.
    fn costs(&self) -> Vec<Cost> {
        let steps = self.range.len();
        let stages = self.step_parts().into_iter().map(|part| match part {
            ScanStepPart::Stage(stage) => self.stage_cost(stage, steps),
            // That of all rows.
            ScanStepPart::Attention(op) => op.cost(),
        });
        let initial = self.initial && self.direction == Direction::Backward;
        let initial = initial.then(|| self.stage_cost(&self.compiled.initial, 1));
        stages.chain(initial).collect()
    }

    fn check(&self) -> Result<(), String> {
        let attentions = (self.cell.attentions.len(), self.attentions.len());
        if attentions.0 != attentions.1 || (attentions.0 > 0 && self.packed.is_none()) {
            return Err(format!(
                "expected {} attentions of packed rows, found {}",
                attentions.0, attentions.1
            ));
        }
        for part in self.step_parts() {
            if let ScanStepPart::Attention(op) = part {
                op.check()?;
            }
        }
        if self.range.end > self.steps {
            return Err(format!(
                "steps {:?} lie outside 0..{}",
                self.range, self.steps
            ));
        }
        for (s, source) in self.cell.sources.iter().enumerate() {
            if let Some(weight) = self.weights[s] {
                let wide = source.gates.len() * self.hidden;
                let expected = if self.is_forward() || self.turned[s] {
                    (self.hidden, wide)
                } else {
                    (wide, self.hidden)
                };
                super::same(&source.weight, expected, (weight.rows, weight.cols))?;
            }
        }
        Ok(())
    }

    fn shape(&self) -> String {
        format!(
            "{} T {} B {} H {}",
            self.cell.name,
            self.range.len(),
            self.batch,
            self.hidden
        )
    }

    fn sum_length(&self) -> usize {
        let sums = self.stages().iter().flat_map(|s| &s.sums);
        let terms = sums.map(|s| s.terms.len()).max().unwrap_or(0);
        // Reductions are sums of a row, two a normalisation.
        let reductions = self.stages().iter().map(|s| s.reductions.len());
        let reductions = reductions.sum::<usize>();
        let attentions = self.step_parts().into_iter().map(|part| match part {
            ScanStepPart::Attention(op) => op.sum_length(),
            ScanStepPart::Stage(_) => 0,
        });
        let attentions = attentions.sum::<usize>();
        self.steps * (terms * self.hidden + reductions * self.hidden + attentions + 16)
    }

    fn scans(&self) -> &[Scan] {
        std::slice::from_ref(self)
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, self.streams.first().map_or(0, |s| *s as usize)]
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.first;
    }
}
