//! Fast scans. The rows of a minibatch never meet in the time loop, so each core takes some rows through all steps; per
//! stage it makes one product for all gates that share an operand, then runs the cell's program while the sums are hot.

use std::ops::Range;

use super::halves;
use super::product::{FEW, PackedOperand, View, few_rows};
use super::simd;
use crate::cell::eval::{ProgramEvaluator, Registers};
use crate::cell::real::Real;
use crate::cell::reduction::Reduction;
use crate::cell::stage::{Load, Stage, Store, TermOperand};
use crate::op::scan::{Direction, Scan, Slices};

/// Multiply-adds in a step below which a second core costs more than it brings.
const WORTH: usize = 1 << 13;

/// How many times that a step must be worth that is not followed by others.
const ALONE: usize = 64;

/// One product of a stage: `blocks` neighbouring operands or sums of H columns each.
#[derive(Clone, Copy, Debug)]
struct Product {
    operand: TermOperand,
    source: usize,
    /// The weight's first row and column.
    weight: (usize, usize),
    /// Blocks along k: neighbouring deltas.
    deep: usize,
    /// Blocks along n: neighbouring sums.
    wide: usize,
    /// The first sum that it makes.
    sum: usize,
    /// Whether it adds to the sum.
    accumulate: bool,
    /// Which of the packed weights.
    packed: usize,
}

/// A stage prepared to run.
struct Prepared {
    products: Vec<Product>,
    evaluator: ProgramEvaluator,
    sums: usize,
    /// The sums without a term.
    empty: Vec<usize>,
    reductions: Vec<Reduction>,
    /// The masks that the program reads.
    masks: Vec<usize>,
}

impl Prepared {
    /// Values per row and unit that are made before the program runs.
    fn width(&self) -> usize {
        self.sums + self.masks.len()
    }
}

/// The operand `n` blocks after `operand`, where operands have neighbours.
fn neighbour(operand: TermOperand, n: usize) -> Option<TermOperand> {
    match operand {
        TermOperand::Delta(d) => Some(TermOperand::Delta(d + n)),
        TermOperand::NextDelta(d) => Some(TermOperand::NextDelta(d + n)),
        _ => None,
    }
}

/// The stage, whose weights are packed behind `before` others.
fn prepare(scan: &Scan, stage: &Stage, before: &mut usize) -> Prepared {
    let h = scan.hidden;
    let mut products: Vec<Product> = Vec::new();
    for (s, sum) in stage.sums.iter().enumerate() {
        for (n, term) in sum.terms.iter().enumerate() {
            let weight = if sum.transposed {
                (term.block * h, 0)
            } else {
                (0, term.block * h)
            };
            let last = products.last_mut();
            let same = last.filter(|p| p.source == term.source);
            match same {
                // The next gate of the same operand: one product with more columns.
                Some(p)
                    if !sum.transposed
                        && p.operand == term.operand
                        && n == 0
                        && p.sum + p.wide == s
                        && p.deep == 1
                        && !p.accumulate
                        && p.weight.1 + p.wide * h == weight.1 =>
                {
                    p.wide += 1;
                }
                // The next delta of the same sum: one product with more rows.
                Some(p)
                    if sum.transposed
                        && neighbour(p.operand, p.deep) == Some(term.operand)
                        && p.sum == s
                        && p.weight.0 + p.deep * h == weight.0 =>
                {
                    p.deep += 1;
                }
                _ => products.push(Product {
                    packed: *before + products.len(),
                    operand: term.operand,
                    source: term.source,
                    weight,
                    deep: 1,
                    wide: 1,
                    sum: s,
                    accumulate: n > 0,
                }),
            }
        }
    }
    *before += products.len();
    let evaluator = ProgramEvaluator::new(&stage.program);
    let mask = |load| match load {
        Load::Mask(m) => Some(m),
        _ => None,
    };
    Prepared {
        products,
        sums: stage.sums.len(),
        empty: (0..stage.sums.len())
            .filter(|s| stage.sums[*s].terms.is_empty())
            .collect(),
        reductions: stage.reductions.clone(),
        masks: evaluator.loads().filter_map(mask).collect(),
        evaluator,
    }
}

/// Some rows of every slot that a scan writes: for every plane and step, these rows' elements.
struct RowSlices<'a, F> {
    part: Range<usize>,
    state: Vec<&'a mut [F]>,
    saved: Vec<&'a mut [F]>,
    delta: Vec<&'a mut [F]>,
    scratch: Vec<&'a mut [F]>,
    totals: &'a mut [F],
}

/// The rows of `part` among the first `active` ones.
fn within(part: &Range<usize>, active: usize) -> usize {
    part.end.min(active) - part.start.min(active)
}

/// Cuts the planes of a slot, which have so many rows of `row` elements each, into parts of rows. What lies behind the
/// planes is no part's.
fn cut<'a, F>(
    mut values: &'a mut [F],
    planes: impl Iterator<Item = usize>,
    row: usize,
    parts: &[Range<usize>],
) -> Vec<Vec<&'a mut [F]>> {
    let mut cuts: Vec<Vec<&mut [F]>> = parts.iter().map(|_| Vec::new()).collect();
    if values.is_empty() {
        return cuts;
    }
    for rows in planes {
        for (part, cut) in parts.iter().zip(&mut cuts) {
            let (mine, rest) = values.split_at_mut(within(part, rows) * row);
            cut.push(mine);
            values = rest;
        }
    }
    cuts
}

/// RowSlices for each of `threads` threads, so that each has as much to do over all steps.
fn parts(op: &Scan, starts: &[u32], threads: usize) -> Vec<Range<usize>> {
    if starts.is_empty() || threads == 1 {
        return halves(op.batch, threads).collect();
    }
    let active = |t: usize| op.active(t, starts);
    let total: usize = (0..op.steps).map(active).sum();
    let upto = |row: usize| -> usize { (0..op.steps).map(|t| active(t).min(row)).sum() };
    let mut parts = Vec::new();
    let mut first = 0;
    for n in 1..=threads {
        let end = if n == threads {
            op.batch
        } else {
            (first..op.batch)
                .find(|row| upto(*row) * threads >= total * n)
                .unwrap_or(op.batch)
        };
        if first < end {
            parts.push(first..end);
        }
        first = end;
    }
    parts
}

/// The weight of a product, [deep H, wide H].
fn weight<'a, F: Real>(
    op: &Scan,
    (weights, turned): (&[&'a [F]], &[Option<usize>]),
    p: &Product,
) -> View<'a, F> {
    let (row, column) = p.weight;
    let weight = match turned[p.source] {
        Some(stride) => View::transposed(weights[p.source], stride),
        None => {
            let stride = op.weights[p.source].map_or(0, |w| w.stride);
            View::rows(weights[p.source], stride)
        }
    };
    weight.from(row, column)
}

/// Runs the scan `op` on its slots; `packed` is where its weights are packed, once for all steps.
pub fn run<F: Real>(op: &Scan, slices: &mut Slices<'_, F>, packed: &mut Vec<PackedOperand<F>>) {
    let (b, h) = (op.batch, op.hidden);
    let mut weights = 0;
    let stages: Vec<Prepared> = op
        .stages()
        .iter()
        .map(|s| prepare(op, s, &mut weights))
        .collect();
    let last = prepare(op, &op.compiled.initial, &mut weights);
    // Without a product, what a step does is to be worth it alone, as a feed-forward layer's is.
    let work = match op.terms() {
        0 => b * h,
        terms if op.range.len() > 1 => b * h * h * terms,
        // Waking a core for a single step is a cost that no further steps share.
        terms => b * h * h * terms / ALONE,
    };
    let worth = work > WORTH;
    let threads = if worth {
        rayon::current_num_threads()
    } else {
        1
    };
    // A sample is drawn step by step: packing would cost more than the products.
    let few = op.range.len() * b <= FEW;
    packed.resize(weights.max(packed.len()), PackedOperand::default());
    let used = stages.iter().chain(op.initial.then_some(&last));
    for p in used.filter(|_| !few).flat_map(|s| &s.products) {
        let weight = weight(op, (&slices.weights, &slices.turned), p);
        packed[p.packed].pack(p.deep * h, p.wide * h, weight, worth);
    }
    let starts = slices.starts;
    let parts = parts(op, starts, threads);

    let (steps, values) = (op.steps, op.saved_values());
    let active = |t: usize| op.active(t, starts);
    let mut state: Vec<Vec<&mut [F]>> = parts.iter().map(|_| Vec::new()).collect();
    for plane in slices.state.chunks_mut((op.rows + b) * h) {
        let rows = [b].into_iter().chain((0..steps).map(active));
        let cuts = cut(plane, rows, h, &parts);
        for (all, cut) in state.iter_mut().zip(cuts) {
            all.extend(cut);
        }
    }
    let mut state = state.into_iter();
    let mut saved = cut(slices.saved, (0..steps).map(active), values * h, &parts).into_iter();
    let deltas = op.compiled.deltas;
    let mut delta = cut(slices.delta, (0..=steps).map(active), deltas * h, &parts).into_iter();
    let scratch_planes = std::iter::repeat_n(b, op.scratch_planes());
    let planes = (op.scratch_planes() * b * h).min(slices.scratch.len());
    let (scratch, totals) = slices.scratch.split_at_mut(planes);
    let mut scratch = cut(scratch, scratch_planes, h, &parts).into_iter();
    let sums = op.compiled.totals * h;
    let mut totals = cut(totals, std::iter::once(b), sums, &parts).into_iter();
    let shared = Shared {
        op,
        starts,
        input_projection: slices.input_projection,
        ids: slices.ids,
        input: slices.input,
        weights: &slices.weights,
        turned: &slices.turned,
        packed,
        few,
        vectors: &slices.vectors,
        control: slices.control,
        upstream: slices.upstream,
        values,
    };
    rayon::scope(|scope| {
        for (n, part) in parts.iter().enumerate() {
            let rows = RowSlices {
                part: part.clone(),
                state: state.next().unwrap_or_default(),
                saved: saved.next().unwrap_or_default(),
                delta: delta.next().unwrap_or_default(),
                scratch: scratch.next().unwrap_or_default(),
                totals: totals
                    .next()
                    .and_then(|mut cut| cut.pop())
                    .unwrap_or_default(),
            };
            let (shared, stages, last) = (&shared, &stages, &last);
            if n + 1 == parts.len() {
                shared.steps(rows, stages, last);
            } else {
                scope.spawn(move |_| shared.steps(rows, stages, last));
            }
        }
    });
}

/// What all parts read.
struct Shared<'a, F> {
    op: &'a Scan,
    starts: &'a [u32],
    input_projection: &'a [F],
    ids: &'a [u32],
    input: &'a [F],
    weights: &'a [&'a [F]],
    turned: &'a [Option<usize>],
    packed: &'a [PackedOperand<F>],
    /// Whether nothing is packed, as there are so few rows in all steps.
    few: bool,
    vectors: &'a [&'a [F]],
    control: &'a [u32],
    upstream: &'a [F],
    /// Values kept per row and step.
    values: usize,
}

/// What a program's loads and stores see.
struct Context<'a, 'r, F> {
    shared: &'a Shared<'a, F>,
    rows: &'a mut RowSlices<'r, F>,
    /// For every row: the stage's sums, then its masks.
    sums: &'a [F],
    stage: &'a Prepared,
    width: usize,
    t: usize,
    /// Row within the part.
    b: usize,
}

impl<F: Real> Shared<'_, F> {
    fn steps(&self, mut rows: RowSlices<'_, F>, stages: &[Prepared], last: &Prepared) {
        let most = stages
            .iter()
            .chain([last])
            .map(|s| s.width())
            .max()
            .unwrap_or(0);
        let mut sums = vec![F::ZERO; most * rows.part.len() * self.op.hidden];
        let mut registers: Vec<Registers<F>> = stages
            .iter()
            .chain([last])
            .map(|s| s.evaluator.registers())
            .collect();
        let mut strips = Vec::new();
        let mut step = |t: usize| {
            for (stage, registers) in stages.iter().zip(&mut registers) {
                self.stage(stage, t, &mut rows, &mut sums, registers, &mut strips);
            }
        };
        match self.op.direction {
            Direction::Forward => self.op.range.clone().for_each(&mut step),
            Direction::Backward => self.op.range.clone().rev().for_each(&mut step),
        }
        if self.op.initial {
            let registers = &mut registers[stages.len()];
            self.stage(
                last,
                usize::MAX,
                &mut rows,
                &mut sums,
                registers,
                &mut strips,
            );
        }
    }

    /// The masks of row `b` within the part from `first` on, which lie behind its sums.
    #[inline(always)]
    fn masks(&self, stage: &Prepared, t: usize, b: usize, first: usize, sums: &mut [F]) {
        let h = self.op.hidden;
        let width = stage.width() * h;
        let masks = &mut sums[b * width..(b + 1) * width][stage.sums * h..];
        for (out, m) in masks.chunks_mut(h).zip(&stage.masks) {
            let row = self.op.mask_place(*m, t, first + b, self.starts);
            self.op.mask_row(*m, row, self.control, out);
        }
    }

    fn stage(
        &self,
        stage: &Prepared,
        t: usize,
        rows: &mut RowSlices<'_, F>,
        sums: &mut [F],
        registers: &mut Registers<F>,
        strips: &mut Vec<F>,
    ) {
        let h = self.op.hidden;
        let width = stage.width() * h;
        let values = self.values * h;
        let deltas = self.op.compiled.deltas * h;
        let running = |t: usize| within(&rows.part, self.op.active(t, self.starts));
        let count = running(t);
        if count == 0 {
            return;
        }
        // What comes back through a source of which nothing depends is a sum without terms.
        for s in &stage.empty {
            for row in sums.chunks_mut(width).take(count) {
                row[s * h..(s + 1) * h].fill(F::ZERO);
            }
        }
        for p in &stage.products {
            // Of rows that end with this step nothing comes back from the next.
            let later = match p.operand {
                TermOperand::NextDelta(_) => running(t.wrapping_add(1)).min(count),
                _ => count,
            };
            if !p.accumulate {
                for row in sums.chunks_mut(width).take(count).skip(later) {
                    row[p.sum * h..(p.sum + p.wide) * h].fill(F::ZERO);
                }
            }
            if later == 0 {
                continue;
            }
            let (a, stride): (&[F], usize) = match p.operand {
                TermOperand::Previous(k) => (&*rows.state[k * (self.op.steps + 1) + t], h),
                TermOperand::Made(i) => {
                    (&rows.saved[t][(self.op.compiled.saved + i) * h..], values)
                }
                TermOperand::Delta(d) => (&rows.delta[t][d * h..], deltas),
                TermOperand::NextDelta(d) => (&rows.delta[t.wrapping_add(1)][d * h..], deltas),
            };
            let (a, to) = (View::rows(a, stride), (&mut sums[p.sum * h..], width));
            if self.few {
                let weight = weight(self.op, (self.weights, self.turned), p);
                few_rows(
                    [later, p.deep * h, p.wide * h],
                    a,
                    weight,
                    to,
                    p.accumulate,
                    1,
                );
            } else {
                self.packed[p.packed].multiply(later, a, to, p.accumulate, strips);
            }
        }
        if !stage.masks.is_empty() {
            simd::<F>(
                #[inline(always)]
                || {
                    for b in 0..count {
                        self.masks(stage, t, b, rows.part.start, sums);
                    }
                },
            );
        }
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

impl<F: Real> Context<'_, '_, F> {
    #[inline(always)]
    fn load(&self, what: Load) -> &[F] {
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
            Load::Upstream => {
                let from = position * op.upstream.map_or(0, |m| m.stride);
                &self.shared.upstream[from..from + h]
            }
            Load::Carry(k) => scratch(k),
            Load::Scratch(i) => scratch(op.cell.states.len() + i),
        }
    }

    #[inline(always)]
    fn store(&mut self, what: Store) -> &mut [F] {
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
