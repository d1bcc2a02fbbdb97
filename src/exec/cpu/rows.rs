//! Programs on rows: each core takes some rows through all passes, element after element in vector code.

use std::ops::Range;

use super::{halves, parallel, simd};
use crate::cell::eval::{ProgramEvaluator, Registers};
use crate::cell::graph::Fold;
use crate::cell::real::Real;
use crate::cell::rows::{LOWEST, RowLoad, RowStore, Width};
use crate::cell::simd::SIDE;
use crate::cell::stage::{Instr, Program};
use crate::op::rows::{RowInput, RowOutput};
use crate::op::{Rows, SlotId};

/// Where an output's rows are written: its number, its elements from the first row in hand on, and from row to row.
struct Target<'a, F> {
    rows: &'a mut [F],
    stride: usize,
    add: bool,
}

impl<F: Real> Target<'_, F> {
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
    let mut rest: Vec<Target<F>> = Vec::new();
    for (output, values) in op.outputs.iter().zip(taken) {
        rest.push(match output {
            RowOutput::Rows(m, add) => Target {
                rows: &mut values[m.offset..],
                stride: m.stride,
                add: *add,
            },
            RowOutput::Losses(m) => Target {
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
    let evaluators = Evaluators::new(op);
    let evaluators = &evaluators;
    rayon::scope(|scope| {
        for range in halves(rows, parallel::parts(rows * op.code.width)) {
            let mut targets = Vec::new();
            for target in &mut rest {
                let most = std::mem::take(&mut target.rows);
                let at = (range.len() * target.stride).min(most.len());
                let (own, others) = most.split_at_mut(at);
                target.rows = others;
                targets.push(Target {
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
struct Prepared {
    evaluator: ProgramEvaluator<RowLoad, RowStore>,
    numbers: Vec<usize>,
}

impl Prepared {
    fn new(program: &Program<RowLoad, RowStore>) -> Prepared {
        let loads = program.instrs.iter().filter_map(|instr| match instr {
            Instr::Load(RowLoad::Number(n)) => Some(*n),
            _ => None,
        });
        Prepared {
            evaluator: ProgramEvaluator::new(program),
            numbers: loads.collect(),
        }
    }

    #[inline(always)]
    fn give<F: Real>(&self, registers: &mut Registers<F>, numbers: &[F]) {
        for n in &self.numbers {
            registers.reduce(*n, numbers[*n]);
        }
    }
}

/// All passes.
struct Evaluators {
    passes: Vec<Prepared>,
    rows: Prepared,
    numbers: Prepared,
}

impl Evaluators {
    fn new(op: &Rows) -> Evaluators {
        let code = &op.code;
        Evaluators {
            passes: code
                .passes
                .iter()
                .map(|p| Prepared::new(&p.program))
                .collect(),
            rows: Prepared::new(&code.rows),
            numbers: Prepared::new(&code.numbers),
        }
    }

    /// Some rows; `targets` begin with the first of them.
    #[inline(always)]
    fn run<'a, F: Real>(
        &self,
        op: &Rows,
        range: Range<usize>,
        slots: impl Fn(SlotId) -> &'a [F] + Copy,
        targets: &mut [Target<F>],
    ) {
        let (code, width) = (&op.code, op.code.width);
        let used = op.used();
        let places: Vec<F> = (0..width).map(|place| F::of(place as f64)).collect();
        let registers = |prepared: &Prepared| prepared.evaluator.registers::<F>();
        let mut passes: Vec<Registers<F>> = self.passes.iter().map(registers).collect();
        let (mut rows, mut last) = (registers(&self.rows), registers(&self.numbers));
        let folds: usize = code.passes.iter().map(|pass| pass.folds.len()).sum();
        let mut numbers = vec![F::ZERO; op.inputs.len() + folds];
        for r in range.clone() {
            let row = |input: &RowInput| op.row(input, r, slots);
            for (n, input) in &used {
                if code.inputs[*n] == Width::Number {
                    numbers[*n] = op.number(input, r, slots);
                }
            }
            let load = |what: RowLoad| match what {
                RowLoad::Row(n) => row(&op.inputs[n]),
                RowLoad::Place | RowLoad::Number(_) => &[],
            };
            // A row of places lives as long as this call.
            for ((pass, prepared), registers) in
                code.passes.iter().zip(&self.passes).zip(&mut passes)
            {
                prepared.give(registers, &numbers);
                let mut folding: Vec<Folding<F>> =
                    pass.folds.iter().map(|fold| Folding::new(*fold)).collect();
                prepared.evaluator.run(
                    registers,
                    width,
                    &mut (&places, &mut folding),
                    |context, what| match what {
                        RowLoad::Place => context.0,
                        what => load(what),
                    },
                    |context, what, from, values| {
                        if let RowStore::Fold(n) = what {
                            context.1[n].take(from, values);
                        }
                    },
                );
                for (n, folding) in folding.into_iter().enumerate() {
                    numbers[pass.first + n] = folding.value();
                }
            }
            let at = r - range.start;
            for (prepared, registers, columns) in [
                (&self.rows, &mut rows, width),
                (&self.numbers, &mut last, 1),
            ] {
                prepared.give(registers, &numbers);
                prepared.evaluator.run(
                    registers,
                    columns,
                    &mut (&places, &mut *targets),
                    |context, what| match what {
                        RowLoad::Place => context.0,
                        what => load(what),
                    },
                    |context, what, from, values| {
                        if let RowStore::Output(n) = what {
                            context.1[n].put(at, from, values);
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
            for chunk in chunks {
                for i in 0..SIDE {
                    self.sums[i] += chunk[i];
                }
            }
            for i in 0..rest.len() {
                self.sums[i] += rest[i];
            }
            return;
        }
        for (i, x) in values.iter().enumerate() {
            if *x > self.largest {
                (self.largest, self.first) = (*x, from + i);
            }
        }
    }

    #[inline(always)]
    fn value(self) -> F {
        match self.fold {
            Fold::Sum => self.sums.iter().fold(F::ZERO, |sum, x| sum + *x),
            Fold::Max => self.largest,
            Fold::First => F::of(self.first as f64),
        }
    }
}
