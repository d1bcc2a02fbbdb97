//! The plain code of a scan, and where each row lies that its stages load and store.

use super::{Direction, Scan, Slices};
use crate::cell::eval;
use crate::cell::real::Real;
use crate::cell::stage::{Load, Stage, Store, TermOperand};
use crate::rng::threefry2x32;

impl Scan {
    /// The plain code: steps, stages, rows, units, one after another.
    pub fn plain<F: Real>(&self, slices: &mut Slices<'_, F>) {
        match self.direction {
            Direction::Forward => {
                for t in self.range.clone() {
                    for stage in self.stages() {
                        self.plain_stage(stage, t, slices);
                    }
                }
            }
            Direction::Backward => {
                for t in self.range.clone().rev() {
                    for stage in self.stages() {
                        self.plain_stage(stage, t, slices);
                    }
                }
                if self.initial {
                    // The deltas of "the next step" are then those of step 0.
                    self.plain_stage(&self.compiled.initial, usize::MAX, slices);
                }
            }
        }
    }

    /// One stage of step `t` (of the step before the first for `usize::MAX`).
    fn plain_stage<F: Real>(&self, stage: &Stage, t: usize, slices: &mut Slices<'_, F>) {
        self.plain_attentions(stage, t, slices);
        let h = self.hidden;
        let evaluator = eval::ProgramEvaluator::new(&stage.program);
        let mut registers = evaluator.registers();
        let mut sums = vec![F::ZERO; stage.sums.len() * h];
        let mut masks = vec![F::ZERO; self.streams.len() * h];
        // A stage's rows are independent of one another; a row's loads all come before its stores.
        for b in 0..self.active(t, slices.starts) {
            for (s, sum) in stage.sums.iter().enumerate() {
                for j in 0..h {
                    let mut total = F::ZERO;
                    for term in &sum.terms {
                        let (values, from) = self.operand(term.operand, t, b, slices);
                        let weight = slices.weights[term.source];
                        let stride = self.weights[term.source].map_or(0, |w| w.stride);
                        for k in 0..h {
                            let w = if sum.transposed && !self.turned[term.source] {
                                weight[(term.block * h + k) * stride + j]
                            } else if sum.transposed {
                                weight[j * stride + term.block * h + k]
                            } else {
                                weight[k * stride + term.block * h + j]
                            };
                            total = values[from + k].mul_add(w, total);
                        }
                    }
                    sums[s * h + j] = total;
                }
            }
            for (n, reduction) in stage.reductions.iter().enumerate() {
                let before = |n| registers.reduction(n);
                let value = reduction.value(h, before, |row| self.load_row(row, t, b, slices));
                registers.reduce(n, value);
            }
            for load in evaluator.loads() {
                if let Load::Mask(m) = load {
                    let row = self.mask_place(m, t, b, slices.starts);
                    self.mask_row(m, row, slices.control, &mut masks[m * h..(m + 1) * h]);
                }
            }
            evaluator.run(
                &mut registers,
                h,
                &mut (&mut *slices, [&sums, &masks]),
                |context, load| match load {
                    Load::Sum(n) => &context.1[0][n * h..][..h],
                    Load::Mask(n) => &context.1[1][n * h..][..h],
                    _ => self.load_row(load, t, b, context.0),
                },
                |context, store, from, values| {
                    let row = self.store_row(store, t, b, context.0);
                    store.put(&mut row[from..from + values.len()], values);
                },
            );
        }
    }

    /// The number of a row in mask `m`: by step and row, or by row alone where the mask is locked.
    pub fn mask_place(&self, m: usize, t: usize, b: usize, starts: &[u32]) -> usize {
        if self.cell.masks[m].locked {
            b
        } else {
            self.at + self.start(t, starts) + b
        }
    }

    /// The factors of mask `m` for row number `row`. Unit j takes the first word of the counter (element / 2) when its
    /// element is even, else the second; elements are numbered by row and unit.
    pub fn mask_row<F: Real>(&self, m: usize, row: usize, control: &[u32], out: &mut [F]) {
        let mask = &self.cell.masks[m];
        let key = threefry2x32([control[5], control[6]], [self.streams[m], 0]);
        let threshold = mask.threshold();
        for (j, out) in out.iter_mut().enumerate() {
            let element = row * self.hidden + j;
            let word = threefry2x32(key, [(element / 2) as u32, 0])[element % 2];
            *out = if word >= threshold {
                F::of(mask.scale)
            } else {
                F::ZERO
            };
        }
    }

    fn operand<'a, F>(
        &self,
        operand: TermOperand,
        t: usize,
        b: usize,
        slices: &'a Slices<'_, F>,
    ) -> (&'a [F], usize) {
        match operand {
            TermOperand::Previous(k) => (slices.state, self.state_row(k, t, b, slices.starts)),
            TermOperand::Made(i) => (
                slices.saved,
                self.saved_row(self.compiled.saved + i, t, b, slices.starts),
            ),
            TermOperand::Delta(d) => (slices.delta, self.delta_row(d, t, b, slices.starts)),
            TermOperand::NextDelta(d) => (
                slices.delta,
                self.delta_row(d, t.wrapping_add(1), b, slices.starts),
            ),
        }
    }

    /// The row `[H]` that a load reads at step `t` and row `b`; sums, reductions and masks are not in memory.
    pub fn load_row<'a, F>(
        &self,
        load: Load,
        t: usize,
        b: usize,
        slices: &'a Slices<'_, F>,
    ) -> &'a [F] {
        let position = self.position(t, b, slices.starts);
        let states = self.cell.states.len();
        match load {
            Load::Sum(_) | Load::Reduction(_) | Load::Mask(_) => &[],
            Load::InputProjection(block) if self.over_projection() => {
                &slices.saved[self.saved_row(block, t, b, slices.starts)..]
            }
            Load::InputProjection(block) => {
                let row = self.projection_row(position, slices.ids);
                &slices.input_projection[row + block * self.hidden..]
            }
            Load::Input => &slices.input[position * self.input.map_or(0, |m| m.stride)..],
            Load::Previous(k) => &slices.state[self.state_row(k, t, b, slices.starts)..],
            Load::New(k) => &slices.state[self.state_row(k, t + 1, b, slices.starts)..],
            Load::Made(i) => {
                &slices.saved[self.saved_row(self.compiled.saved + i, t, b, slices.starts)..]
            }
            Load::Saved(i) => {
                let saved = if self.in_place() {
                    &*slices.delta
                } else {
                    &*slices.saved
                };
                &saved[self.saved_row(i, t, b, slices.starts)..]
            }
            Load::Vector(v) => slices.vectors[v],
            Load::Delta(d) => &slices.delta[self.delta_row(d, t, b, slices.starts)..],
            Load::Upstream => &slices.upstream[position * self.upstream.map_or(0, |m| m.stride)..],
            Load::Carry(k) => &slices.scratch[self.scratch_row(k, b)..],
            Load::Scratch(i) => &slices.scratch[self.scratch_row(states + i, b)..],
        }
    }

    /// The row `[H]` that a store fills.
    pub fn store_row<'a, F>(
        &self,
        store: Store,
        t: usize,
        b: usize,
        slices: &'a mut Slices<'_, F>,
    ) -> &'a mut [F] {
        let (states, starts) = (self.cell.states.len(), slices.starts);
        match store {
            Store::New(k) => &mut slices.state[self.state_row(k, t + 1, b, starts)..],
            Store::Made(i) => {
                &mut slices.saved[self.saved_row(self.compiled.saved + i, t, b, starts)..]
            }
            Store::Saved(i) => &mut slices.saved[self.saved_row(i, t, b, starts)..],
            Store::Delta(d) => &mut slices.delta[self.delta_row(d, t, b, starts)..],
            Store::Carry(k) => &mut slices.scratch[self.scratch_row(k, b)..],
            Store::Scratch(i) => &mut slices.scratch[self.scratch_row(states + i, b)..],
            Store::Initial(k) => &mut slices.scratch[self.scratch_row(self.initial_plane(k), b)..],
            Store::Total(i) => &mut slices.scratch[self.total_row(i, b)..],
        }
    }
}
