//! Where a stage's program finds what it loads and leaves what it stores, for one row of one step.

use super::super::product::PackedOperand;
use super::prepare::PreparedStage;
use super::rows::RowSlices;
use crate::cell::stage::{Load, Store};
use crate::op::Scan;
use crate::op::scan::AttentionInputs;

/// What all parts read.
pub struct Shared<'a, F> {
    pub op: &'a Scan,
    pub starts: &'a [u32],
    pub input_projection: &'a [F],
    pub ids: &'a [u32],
    pub input: &'a [F],
    pub weights: &'a [&'a [F]],
    pub turned: &'a [Option<usize>],
    pub packed: &'a [PackedOperand<F>],
    /// Whether nothing is packed, as there are so few rows in all steps.
    pub few: bool,
    pub vectors: &'a [&'a [F]],
    pub attentions: Vec<AttentionInputs<'a, F>>,
    pub control: &'a [u32],
    pub upstream: &'a [F],
    /// Values kept per row and step.
    pub values: usize,
}

/// What a program's loads and stores see.
pub struct Context<'a, 'r, F> {
    pub shared: &'a Shared<'a, F>,
    pub rows: &'a mut RowSlices<'r, F>,
    /// For every row: the stage's sums, then its masks.
    pub sums: &'a [F],
    pub stage: &'a PreparedStage,
    pub width: usize,
    pub t: usize,
    /// Row within the part.
    pub b: usize,
}

impl<F> Context<'_, '_, F> {
    #[inline(always)]
    pub fn load(&self, what: Load) -> &[F] {
        let op = self.shared.op;
        let h = op.hidden;
        // Only loads of a step of the minibatch use the position.
        let position = op.position(self.t, self.rows.part.start + self.b, self.shared.starts);
        let row = |plane: &'_ [F]| -> std::ops::Range<usize> {
            debug_assert!((self.b + 1) * h <= plane.len());
            self.b * h..(self.b + 1) * h
        };
        let state = |k: usize, t: usize| {
            let plane = &*self.rows.state[k * (op.steps + 1) + t];
            &plane[row(plane)]
        };
        let saved = |i: usize| {
            let from = (self.b * self.shared.values + i) * h;
            let saved = if op.in_place() {
                &self.rows.delta
            } else {
                &self.rows.saved
            };
            &saved[self.t][from..from + h]
        };
        let scratch = |plane: usize| {
            let plane = &*self.rows.scratch[plane];
            &plane[row(plane)]
        };
        match what {
            Load::Sum(s) => &self.sums[self.b * self.width + s * h..][..h],
            // They are in the evaluator's registers.
            Load::Reduction(_) => &[],
            Load::Mask(m) => {
                let masks = &self.stage.masks;
                let n = masks.iter().position(|o| *o == m).unwrap_or(0);
                let at = self.stage.sums + n;
                &self.sums[self.b * self.width + at * h..][..h]
            }
            Load::InputProjection(block) if op.over_projection() => saved(block),
            Load::InputProjection(block) => {
                let from = op.projection_row(position, self.shared.ids) + block * h;
                &self.shared.input_projection[from..from + h]
            }
            Load::Input => {
                let from = position * op.input.map_or(0, |m| m.stride);
                &self.shared.input[from..from + h]
            }
            Load::Previous(k) => state(k, self.t),
            Load::New(k) => state(k, self.t + 1),
            Load::Made(i) => saved(op.compiled.saved + i),
            Load::Saved(i) => saved(i),
            Load::Vector(v) => &self.shared.vectors[v][..h],
            Load::Delta(d) => {
                let from = (self.b * op.compiled.deltas + d) * h;
                &self.rows.delta[self.t][from..from + h]
            }
            Load::Upstream => {
                let from = position * op.upstream.map_or(0, |m| m.stride);
                &self.shared.upstream[from..from + h]
            }
            Load::Carry(k) => scratch(k),
            Load::Scratch(i) => scratch(op.cell.states.len() + i),
        }
    }

    #[inline(always)]
    pub fn store(&mut self, what: Store) -> &mut [F] {
        let op = self.shared.op;
        let h = op.hidden;
        let values = self.shared.values;
        let deltas = op.compiled.deltas;
        let (plane, from) = match what {
            Store::Total(i) => {
                let from = (self.b * op.compiled.totals + i) * h;
                return &mut self.rows.totals[from..from + h];
            }
            Store::New(k) => {
                let plane = k * (op.steps + 1) + self.t + 1;
                (&mut self.rows.state[plane], self.b * h)
            }
            Store::Made(i) => {
                let value = op.compiled.saved + i;
                (&mut self.rows.saved[self.t], (self.b * values + value) * h)
            }
            Store::Saved(i) => (&mut self.rows.saved[self.t], (self.b * values + i) * h),
            Store::Delta(d) => (&mut self.rows.delta[self.t], (self.b * deltas + d) * h),
            Store::Carry(k) => (&mut self.rows.scratch[k], self.b * h),
            Store::Scratch(i) => (&mut self.rows.scratch[op.cell.states.len() + i], self.b * h),
            Store::Initial(k) => (&mut self.rows.scratch[op.initial_plane(k)], self.b * h),
        };
        &mut plane[from..from + h]
    }
}
