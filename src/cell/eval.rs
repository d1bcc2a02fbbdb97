//! A stage's program on the CPU: every instruction works on a whole row of units, so the loops become vector code.

use super::real::Real;
use super::stage::{Instr, Load, Program, Store};

/// Registers for a program: one row of `width` units per instruction.
#[derive(Clone, Debug)]
pub struct Registers<F> {
    rows: Vec<F>,
    width: usize,
}

impl<F: Real> Registers<F> {
    /// Room for `program` on rows of up to `width` units.
    pub fn new(program: &Program, width: usize) -> Self {
        Registers {
            rows: vec![F::ZERO; program.instrs.len() * width],
            width,
        }
    }
}

/// Runs `program` on one row of `width` units: `load` gives the row that a load reads, `store` takes what is stored.
/// All loads happen before the first store.
#[inline(always)]
pub fn run<'a, F: Real>(
    program: &Program,
    registers: &mut Registers<F>,
    width: usize,
    load: impl Fn(Load) -> &'a [F],
    mut store: impl FnMut(Store, &[F]),
) {
    let stride = registers.width;
    for (i, instr) in program.instrs.iter().enumerate() {
        let (before, out) = registers.rows.split_at_mut(i * stride);
        let out = &mut out[..width];
        let row = |r: usize| &before[r * stride..r * stride + width];
        match *instr {
            Instr::Load(what) => out.copy_from_slice(&load(what)[..width]),
            Instr::Constant(value) => out.fill(F::of(value)),
            Instr::Unary(op, a) => op.rows(out, [row(a)]),
            Instr::Binary(op, a, b) => op.rows(out, [row(a), row(b)]),
        }
    }
    for (what, register) in &program.stores {
        store(
            *what,
            &registers.rows[register * stride..register * stride + width],
        );
    }
}
