//! Programs on rows: each core takes some rows through all passes, element after element in vector code.

use std::ops::Range;

use super::{halves, parallel, simd};
use crate::cell::eval::{ProgramEvaluator, Registers};
use crate::cell::graph::Fold;
use crate::cell::real::Real;
use crate::cell::reduction::across;
use crate::cell::rows::{LOWEST, RowLoad, RowStore, Width};
use crate::cell::simd::SIDE;
use crate::cell::stage::{Instr, Program};
use crate::op::rows::RowOutput;
use crate::op::{Rows, SlotId};

/// Where an output's rows are written: its number, its elements from the first row in hand on, and from row to row.
struct RowTarget<'a, F> {
    rows: &'a mut [F],
    stride: usize,
    add: bool,
}

impl<F: Real> RowTarget<'_, F> {
    /// Puts values in their place, `from` being the first column.
    #[inline(always)]
    fn put(&mut self, row: usize, from: usize, values: &[F]) {
        let to = &mut self.rows[row * self.stride + from..][..values.len()];
        if !self.add {
            to.copy_from_slice(values);
            return;
        }
        for i in 0..values.len() {
            to[i] += values[i];
        }
    }
}

/// Runs `op`. `slots` gives all of a slot that is read; `taken` are the slots of the outputs, in their order.
pub fn run<'a, F: Real>(
    op: &Rows,
    plain: bool,
    slots: impl Fn(SlotId) -> &'a [F] + Copy + Send + Sync,
    taken: &mut [Vec<F>],
) {
    let mut rest: Vec<RowTarget<F>> = Vec::new();
    for (output, values) in op.outputs.iter().zip(taken) {
        rest.push(match output {
            RowOutput::Rows(m, add) => RowTarget {
                rows: &mut values[m.offset..],
                stride: m.stride,
                add: *add,
            },
            RowOutput::Losses(m) => RowTarget {
                rows: &mut values[op.own(*m).offset..],
                stride: 1,
                add: false,
            },
        });
    }
    let rows = op.rows();
    if plain {
        for r in 0..rows {
            op.plain_row(r, slots, |n, values| rest[n].put(r, 0, values));
        }
        return;
    }
    let evaluators = PreparedRows::new(op);
    let evaluators = &evaluators;
    rayon::scope(|scope| {
        for range in halves(rows, parallel::parts(rows * op.code.width)) {
            let mut targets = Vec::new();
            for target in &mut rest {
                let most = std::mem::take(&mut target.rows);
                let at = (range.len() * target.stride).min(most.len());
                let (own, others) = most.split_at_mut(at);
                target.rows = others;
                targets.push(RowTarget {
                    rows: own,
                    ..*target
                });
            }
            scope.spawn(move |_| {
                simd::<F>(
                    #[inline(always)]
                    || evaluators.run(op, range.clone(), slots, &mut targets),
                );
            });
        }
    });
}

/// A program prepared to run, with the numbers of the row that it reads.
struct PreparedPass {
    evaluator: ProgramEvaluator<RowLoad, RowStore>,
    numbers: Vec<usize>,
}

impl PreparedPass {
    fn new(program: &Program<RowLoad, RowStore>) -> PreparedPass {
        let loads = program.instrs.iter().filter_map(|instr| match instr {
            Instr::Load(RowLoad::Number(n)) => Some(*n),
            _ => None,
        });
        PreparedPass {
            evaluator: ProgramEvaluator::new(program),
            numbers: loads.collect(),
        }
    }

    /// Runs it on one row of so many columns, given the inputs' rows with the places behind them and the row's numbers.
    #[inline(always)]
    fn run<F: Real, T>(
        &self,
        registers: &mut Registers<F>,
        columns: usize,
        numbers: &[F],
        mut context: (&[&[F]], &mut [T]),
        mut store: impl FnMut(&mut [T], RowStore, usize, &[F]),
    ) {
        for n in &self.numbers {
            registers.reduce(*n, numbers[*n]);
        }
        self.evaluator.run(
            registers,
            columns,
            &mut context,
            #[inline(always)]
            |(inputs, _), what| match what {
                RowLoad::Row(n) => inputs[n],
                RowLoad::Place => inputs[inputs.len() - 1],
                RowLoad::Number(_) => &[],
            },
            #[inline(always)]
            |(_, own), what, from, values| store(own, what, from, values),
        );
    }
}

/// All passes.
struct PreparedRows {
    passes: Vec<PreparedPass>,
    rows: PreparedPass,
    numbers: PreparedPass,
}

impl PreparedRows {
    fn new(op: &Rows) -> PreparedRows {
        let code = &op.code;
        PreparedRows {
            passes: code
                .passes
                .iter()
                .map(|p| PreparedPass::new(&p.program))
                .collect(),
            rows: PreparedPass::new(&code.rows),
            numbers: PreparedPass::new(&code.numbers),
        }
    }

    /// Some rows; `targets` begin with the first of them.
    #[inline(always)]
    fn run<'a, F: Real>(
        &self,
        op: &Rows,
        range: Range<usize>,
        slots: impl Fn(SlotId) -> &'a [F] + Copy,
        targets: &mut [RowTarget<F>],
    ) {
        let (code, width, all) = (&op.code, op.code.width, op.rows());
        let used = op.used();
        let registers = |prepared: &PreparedPass| prepared.evaluator.registers::<F>();
        let mut passes: Vec<Registers<F>> = self.passes.iter().map(registers).collect();
        let (mut rows, mut last) = (registers(&self.rows), registers(&self.numbers));
        let folds = code.passes.iter().flat_map(|pass| &pass.folds);
        let mut folding: Vec<Folding<F>> = folds.map(|fold| Folding::new(*fold)).collect();
        let mut numbers = vec![F::ZERO; op.inputs.len() + folding.len()];
        // The inputs' rows, and behind them the places of units.
        let places: Vec<F> = (0..width).map(|place| F::of(place as f64)).collect();
        let mut inputs: Vec<&[F]> = vec![&places; op.inputs.len() + 1];
        for r in range.clone() {
            for (n, input) in &used {
                match code.inputs[*n] {
                    Width::Row => inputs[*n] = op.row(input, [r, all], slots),
                    Width::Number => numbers[*n] = op.number(input, [r, all], slots),
                }
            }
            for ((pass, prepared), registers) in
                code.passes.iter().zip(&self.passes).zip(&mut passes)
            {
                let first = pass.first - op.inputs.len();
                let own = &mut folding[first..first + pass.folds.len()];
                prepared.run(
                    registers,
                    width,
                    &numbers,
                    (&inputs, &mut *own),
                    #[inline(always)]
                    |own, what, from, values| {
                        if let RowStore::Fold(n) = what {
                            own[n].take(from, values);
                        }
                    },
                );
                for (folding, number) in own.iter_mut().zip(&mut numbers[pass.first..]) {
                    *number = folding.value();
                    *folding = Folding::new(folding.fold);
                }
            }
            for (prepared, registers, columns) in [
                (&self.rows, &mut rows, width),
                (&self.numbers, &mut last, 1),
            ] {
                prepared.run(
                    registers,
                    columns,
                    &numbers,
                    (&inputs, &mut *targets),
                    #[inline(always)]
                    |targets, what, from, values| {
                        if let RowStore::Output(n) = what {
                            targets[n].put(r - range.start, from, values);
                        }
                    },
                );
            }
        }
    }
}

/// What a row comes to, element by element.
struct Folding<F> {
    fold: Fold,
    sums: [F; SIDE],
    largest: F,
    first: usize,
}

impl<F: Real> Folding<F> {
    fn new(fold: Fold) -> Folding<F> {
        Folding {
            fold,
            sums: [F::ZERO; SIDE],
            largest: F::of(LOWEST),
            first: 0,
        }
    }

    /// The next elements, from place `from` on.
    #[inline(always)]
    fn take(&mut self, from: usize, values: &[F]) {
        if self.fold == Fold::Sum {
            let (chunks, rest) = values.as_chunks::<SIDE>();
            let mut sums = self.sums;
            for chunk in chunks {
                for i in 0..SIDE {
                    sums[i] += chunk[i];
                }
            }
            for i in 0..rest.len() {
                sums[i] += rest[i];
            }
            self.sums = sums;
            return;
        }
        for (i, x) in values.iter().enumerate() {
            if *x > self.largest {
                (self.largest, self.first) = (*x, from + i);
            }
        }
    }

    #[inline(always)]
    fn value(&self) -> F {
        match self.fold {
            Fold::Sum => across(self.sums),
            Fold::Max => self.largest,
            Fold::First => F::of(self.first as f64),
        }
    }
}
