//! What a thread does with its rows: for every step each stage's products, masks and reductions, then the cell's program.

use super::super::product::{View, few_rows};
use super::super::simd;
use super::context::{Context, Shared};
use super::prepare::{DenseProduct, PreparedStage};
use super::rows::{RowSlices, within};
use crate::cell::eval::Registers;
use crate::cell::real::Real;
use crate::cell::stage::TermOperand;
use crate::op::Direction;

/// What a thread has of its own for its rows, from step to step.
struct Workspace<'r, F> {
    rows: RowSlices<'r, F>,
    /// For every row a stage's sums, then its masks.
    sums: Vec<F>,
    /// What products keep of their left operands.
    strips: Vec<F>,
    /// The query of an attention's row.
    query: Vec<F>,
}

impl<F: Real> Shared<'_, F> {
    /// All steps, for these rows.
    pub fn steps(&self, rows: RowSlices<'_, F>, stages: &[PreparedStage], last: &PreparedStage) {
        let every = || stages.iter().chain([last]);
        let most = every().map(|s| s.width()).max().unwrap_or(0);
        let mut registers: Vec<Registers<F>> = every().map(|s| s.evaluator.registers()).collect();
        let mut work = Workspace {
            sums: vec![F::ZERO; most * rows.part.len() * self.op.hidden],
            strips: Vec::new(),
            query: Vec::new(),
            rows,
        };
        let mut step = |t: usize| {
            for (stage, registers) in stages.iter().zip(&mut registers) {
                self.stage(stage, t, &mut work, registers);
            }
        };
        match self.op.direction {
            Direction::Forward => self.op.range.clone().for_each(&mut step),
            Direction::Backward => self.op.range.clone().rev().for_each(&mut step),
        }
        if self.op.initial {
            let registers = &mut registers[stages.len()];
            self.stage(last, usize::MAX, &mut work, registers);
        }
    }

    fn stage(
        &self,
        stage: &PreparedStage,
        t: usize,
        work: &mut Workspace<'_, F>,
        registers: &mut Registers<F>,
    ) {
        let h = self.op.hidden;
        let width = stage.width() * h;
        let count = self.running(t, &work.rows);
        if count == 0 {
            return;
        }
        for a in &stage.attentions {
            self.attention(*a, t, count, work);
        }
        // What comes back through a source of which nothing depends is a sum without terms.
        for s in &stage.empty {
            for row in work.sums.chunks_mut(width).take(count) {
                row[s * h..(s + 1) * h].fill(F::ZERO);
            }
        }
        for product in &stage.products {
            self.product(product, t, count, width, work);
        }
        if !stage.masks.is_empty() {
            simd::<F>(
                #[inline(always)]
                || {
                    for b in 0..count {
                        self.masks(stage, t, b, work.rows.part.start, &mut work.sums);
                    }
                },
            );
        }
        self.program(stage, t, count, work, registers);
    }

    /// An attention of `count` rows.
    fn attention(&self, a: usize, t: usize, count: usize, work: &mut Workspace<'_, F>) {
        let op = self.op;
        let (h, steps) = (op.hidden, op.attentions[a].memory.steps);
        let (values, deltas) = (self.values * h, op.compiled.deltas * h);
        let stride = op.attentions[a].weights.stride;
        let first = op.start(t, self.starts) + work.rows.part.start;
        let Workspace { rows, query, .. } = work;
        query.resize(op.cell.widest_query() * h, F::ZERO);
        simd::<F>(
            #[inline(always)]
            || {
                for b in 0..count {
                    let saved = &mut rows.saved[t][b * values..][..values];
                    let delta = match op.direction {
                        Direction::Forward => &mut [],
                        Direction::Backward => &mut rows.delta[t][b * deltas..][..deltas],
                    };
                    let pairs = &mut rows.pairs[a][t][b * stride..][..steps];
                    let of = (&self.attentions[a], pairs);
                    op.attend_row(a, first + b, of, (saved, delta), query);
                }
            },
        );
    }

    /// How many of these rows run at step `t`.
    fn running(&self, t: usize, rows: &RowSlices<'_, F>) -> usize {
        within(&rows.part, self.op.active(t, self.starts))
    }

    /// A product for `count` rows, whose sums begin `width` numbers from one another.
    fn product(
        &self,
        p: &DenseProduct,
        t: usize,
        count: usize,
        width: usize,
        work: &mut Workspace<'_, F>,
    ) {
        let h = self.op.hidden;
        let Workspace {
            rows, sums, strips, ..
        } = work;
        // Of rows that end with this step nothing comes back from the next.
        let later = match p.operand {
            TermOperand::NextDelta(_) => self.running(t.wrapping_add(1), rows).min(count),
            _ => count,
        };
        if !p.accumulate {
            for row in sums.chunks_mut(width).take(count).skip(later) {
                row[p.sum * h..(p.sum + p.wide) * h].fill(F::ZERO);
            }
        }
        if later == 0 {
            return;
        }
        let (values, deltas) = (self.values * h, self.op.compiled.deltas * h);
        let (a, stride): (&[F], usize) = match p.operand {
            TermOperand::Previous(k) => (&*rows.state[k * (self.op.steps + 1) + t], h),
            TermOperand::Made(i) => (&rows.saved[t][(self.op.compiled.saved + i) * h..], values),
            TermOperand::Delta(d) => (&rows.delta[t][d * h..], deltas),
            TermOperand::NextDelta(d) => (&rows.delta[t.wrapping_add(1)][d * h..], deltas),
        };
        let (a, to) = (View::rows(a, stride), (&mut sums[p.sum * h..], width));
        if self.few {
            let sizes = [later, p.deep * h, p.wide * h];
            let weight = p.weight(self.op, (self.weights, self.turned));
            few_rows(sizes, a, weight, to, p.accumulate, 1);
        } else {
            self.packed[p.packed].multiply(later, a, to, p.accumulate, strips);
        }
    }

    /// The masks of row `b` within the part from `first` on, which lie behind its sums.
    #[inline(always)]
    fn masks(&self, stage: &PreparedStage, t: usize, b: usize, first: usize, sums: &mut [F]) {
        let h = self.op.hidden;
        let width = stage.width() * h;
        let masks = &mut sums[b * width..(b + 1) * width][stage.sums * h..];
        for (out, m) in masks.chunks_mut(h).zip(&stage.masks) {
            let row = self.op.mask_place(*m, t, first + b, self.starts);
            self.op.mask_row(*m, row, self.control, out);
        }
    }

    /// The reductions and the cell's program for `count` rows.
    fn program(
        &self,
        stage: &PreparedStage,
        t: usize,
        count: usize,
        work: &mut Workspace<'_, F>,
        registers: &mut Registers<F>,
    ) {
        let h = self.op.hidden;
        let width = stage.width() * h;
        let Workspace { rows, sums, .. } = work;
        simd::<F>(
            #[inline(always)]
            || {
                for b in 0..count {
                    let mut context = Context {
                        shared: self,
                        rows,
                        sums,
                        stage,
                        width,
                        t,
                        b,
                    };
                    for (n, reduction) in stage.reductions.iter().enumerate() {
                        let before = |n| registers.reduction(n);
                        let value = reduction.value(h, before, |row| context.load(row));
                        registers.reduce(n, value);
                    }
                    stage.evaluator.run(
                        registers,
                        h,
                        &mut context,
                        #[inline(always)]
                        |context, what| context.load(what),
                        #[inline(always)]
                        |context, what, from, values| {
                            let row = context.store(what);
                            what.put(&mut row[from..from + values.len()], values);
                        },
                    );
                }
            },
        );
    }
}
