//! A stage's program on the CPU: every instruction works on a strip of units, so the loops become vector code.

use super::operator::{Binary, Unary};
use super::real::Real;
use super::stage::{Instr, Load, Program, Store};

/// Units that one pass over the program covers: its registers then stay in the first-level cache.
const STRIP: usize = 128;

/// Where an operand lies.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A value in memory.
    Load(Load),
    /// A register.
    Register(usize),
}

#[derive(Clone, Copy, Debug)]
enum Code {
    Constant(f64),
    Unary(Unary, Place),
    Binary(Binary, Place, Place),
}

/// A program prepared to run: loads are read where they lie, registers are reused once their value is dead.
#[derive(Clone, Debug)]
pub struct Evaluator {
    /// Each with the register that it fills.
    code: Vec<(Code, usize)>,
    stores: Vec<(Store, Place)>,
    loads: Vec<Load>,
    registers: usize,
}

impl Evaluator {
    /// Prepares `program`.
    pub fn new(program: &Program) -> Evaluator {
        let mut last_use = vec![0; program.instrs.len()];
        for (i, instr) in program.instrs.iter().enumerate() {
            match *instr {
                Instr::Unary(_, a) => last_use[a] = i,
                Instr::Binary(_, a, b) => (last_use[a], last_use[b]) = (i, i),
                _ => {}
            }
        }
        for (_, register) in &program.stores {
            last_use[*register] = usize::MAX;
        }
        let mut this = Evaluator {
            code: Vec::new(),
            stores: Vec::new(),
            loads: Vec::new(),
            registers: 0,
        };
        let mut place: Vec<Place> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        for (i, instr) in program.instrs.iter().enumerate() {
            let code = match *instr {
                Instr::Load(load) => {
                    place.push(Place::Load(load));
                    this.loads.push(load);
                    continue;
                }
                Instr::Constant(value) => Code::Constant(value),
                Instr::Unary(op, a) => Code::Unary(op, place[a]),
                Instr::Binary(op, a, b) => Code::Binary(op, place[a], place[b]),
            };
            // An operand's register is freed only after the result has its own: they never alias.
            let register = free.pop().unwrap_or_else(|| {
                this.registers += 1;
                this.registers - 1
            });
            this.code.push((code, register));
            place.push(Place::Register(register));
            let mut operands = match *instr {
                Instr::Unary(_, a) => vec![a],
                Instr::Binary(_, a, b) => vec![a, b],
                _ => Vec::new(),
            };
            operands.dedup();
            for a in operands {
                if let (Place::Register(r), true) = (place[a], last_use[a] == i) {
                    free.push(r);
                }
            }
        }
        let stores = program.stores.iter();
        this.stores = stores.map(|(what, r)| (*what, place[*r])).collect();
        this
    }

    /// The loads that the program makes.
    pub fn loads(&self) -> impl Iterator<Item = Load> + '_ {
        self.loads.iter().copied()
    }

    /// Room for the registers.
    pub fn registers<F: Real>(&self) -> Vec<F> {
        vec![F::ZERO; self.registers * STRIP]
    }

    /// Runs the program on one row of `width` units: `load` gives the row that a load reads; then `store` takes, for
    /// every store, the first unit of a strip and its values. A strip's loads all happen before its stores.
    #[inline(always)]
    pub fn run<F: Real, C>(
        &self,
        registers: &mut [F],
        width: usize,
        context: &mut C,
        load: impl for<'a> Fn(&'a C, Load) -> &'a [F],
        mut store: impl FnMut(&mut C, Store, usize, &[F]),
    ) {
        let mut from = 0;
        while from < width {
            let n = STRIP.min(width - from);
            for (code, out) in &self.code {
                let (before, rest) = registers.split_at_mut(out * STRIP);
                let (out, after) = rest.split_at_mut(STRIP);
                let out = &mut out[..n];
                let first = before.len() + STRIP;
                let shared = &*context;
                let get = |place: Place| -> &[F] {
                    match place {
                        Place::Load(what) => &load(shared, what)[from..from + n],
                        Place::Register(r) if r * STRIP < first => &before[r * STRIP..][..n],
                        Place::Register(r) => &after[r * STRIP - first..][..n],
                    }
                };
                match *code {
                    Code::Constant(value) => out.fill(F::of(value)),
                    Code::Unary(op, a) => op.rows(out, [get(a)]),
                    Code::Binary(op, a, b) => op.rows(out, [get(a), get(b)]),
                }
            }
            for (what, place) in &self.stores {
                match *place {
                    Place::Register(r) => store(context, *what, from, &registers[r * STRIP..][..n]),
                    // A value stored as it was loaded; it may alias its target, so it goes through a copy.
                    Place::Load(from_memory) => {
                        let copy = load(context, from_memory)[from..from + n].to_vec();
                        store(context, *what, from, &copy);
                    }
                }
            }
            from += n;
        }
    }
}
