//! A stage's program on the CPU: every instruction works on a strip of units, so the loops become vector code.
//!
//! What is the same for all units of a row is worked out once a row; simple operators of which one feeds the other are one
//! pass over the units; loads are read where they lie; registers are used again once their value is dead.

use super::operator::{Binary, BinaryPair, RowOperand, Unary};
use super::real::Real;
use super::simd::SIDE;
use super::stage::{Instr, Load, LoadPlace, Program, Store};

/// Units that one pass over the program covers: its registers then stay in the first-level cache.
const STRIP: usize = 128;

/// Where an operand lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Location {
    /// A value in memory: the n-th load.
    Load(usize),
    /// A register of a number for each unit.
    Register(usize),
    /// A register of one number for all units.
    Common(usize),
}

#[derive(Clone, Copy, Debug)]
enum Code<P> {
    Unary(Unary, P),
    Binary(Binary, P, P),
    Pair(BinaryPair, [P; 3]),
}

impl<P: Copy> Code<P> {
    fn operands(&self) -> impl Iterator<Item = P> + use<P> {
        let operands = match *self {
            Code::Unary(_, a) => [Some(a), None, None],
            Code::Binary(_, a, b) => [Some(a), Some(b), None],
            Code::Pair(_, operands) => operands.map(Some),
        };
        operands.into_iter().flatten()
    }

    fn with<Q>(self, place: impl Fn(P) -> Q) -> Code<Q> {
        match self {
            Code::Unary(op, a) => Code::Unary(op, place(a)),
            Code::Binary(op, a, b) => Code::Binary(op, place(a), place(b)),
            Code::Pair(pair, operands) => Code::Pair(pair, operands.map(place)),
        }
    }
}

/// A program prepared to run.
#[derive(Clone, Debug)]
pub struct ProgramEvaluator<L = Load, S = Store> {
    /// What is worked out once a row, each with the common register that it fills.
    common: Vec<(Code<Location>, usize)>,
    /// What is worked out for each unit, each with the register that it fills.
    code: Vec<(Code<Location>, usize)>,
    stores: Vec<(S, Location)>,
    loads: Vec<L>,
    /// Constants, with their common registers.
    constants: Vec<(usize, f64)>,
    registers: usize,
    /// Common registers: first one for each number of a row that is given.
    commons: usize,
}

/// The workspace of an evaluator.
#[derive(Clone, Debug)]
pub struct Registers<F: 'static> {
    rows: Vec<F>,
    /// Where a strip's loads lie; empty between strips.
    places: Vec<&'static [F]>,
    common: Vec<[F; SIDE]>,
}

impl<F: Real> Registers<F> {
    /// Sets the n-th reduction of the row to come.
    #[inline(always)]
    pub fn reduce(&mut self, n: usize, value: F) {
        self.common[n] = [value; SIDE];
    }

    /// The n-th reduction.
    #[inline(always)]
    pub fn reduction(&self, n: usize) -> F {
        self.common[n][0]
    }
}

/// The instructions that make something of others, by number; one that only another uses becomes a part of that one.
fn pairs<L>(instrs: &[Instr<L>], uses: &[usize], common: &[bool]) -> Vec<Option<Code<usize>>> {
    let mut codes: Vec<Option<Code<usize>>> = Vec::new();
    for instr in instrs {
        let code = match *instr {
            Instr::Load(_) | Instr::Constant(_) => None,
            Instr::Unary(op, a) => Some(Code::Unary(op, a)),
            Instr::Binary(op, a, b) => {
                let feed = |a: usize, b: usize, swapped: bool| match codes[a] {
                    Some(Code::Binary(first, x, y)) if uses[a] == 1 && !common[a] => {
                        BinaryPair::of(first, op, swapped)
                            .map(|pair| (a, Code::Pair(pair, [x, y, b])))
                    }
                    _ => None,
                };
                let pair = feed(a, b, false).or_else(|| feed(b, a, true));
                Some(match pair {
                    Some((part, code)) => {
                        codes[part] = None;
                        code
                    }
                    None => Code::Binary(op, a, b),
                })
            }
        };
        codes.push(code);
    }
    codes
}

impl<L: LoadPlace, S: Copy> ProgramEvaluator<L, S> {
    /// Prepares `program`.
    pub fn new(program: &Program<L, S>) -> ProgramEvaluator<L, S> {
        let instrs = &program.instrs;
        let mut uses = vec![0; instrs.len()];
        let mut common = vec![false; instrs.len()];
        let mut numbers = 0;
        for (i, instr) in instrs.iter().enumerate() {
            common[i] = match *instr {
                Instr::Load(load) => {
                    numbers = numbers.max(load.number().map_or(0, |n| n + 1));
                    load.number().is_some()
                }
                Instr::Constant(_) => true,
                Instr::Unary(_, a) => {
                    uses[a] += 1;
                    common[a]
                }
                Instr::Binary(_, a, b) => {
                    uses[a] += 1;
                    uses[b] += 1;
                    common[a] && common[b]
                }
            };
        }
        program.stores.iter().for_each(|s| uses[s.1] += 1);
        let codes = pairs(instrs, &uses, &common);
        let mut last_use = vec![0; instrs.len()];
        for (i, code) in codes.iter().enumerate() {
            for a in code.iter().flat_map(Code::operands) {
                last_use[a] = i;
            }
        }
        program
            .stores
            .iter()
            .for_each(|s| last_use[s.1] = usize::MAX);
        let mut this = ProgramEvaluator {
            common: Vec::new(),
            code: Vec::new(),
            stores: Vec::new(),
            loads: Vec::new(),
            constants: Vec::new(),
            registers: 0,
            commons: numbers,
        };
        let mut place: Vec<Location> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        for (i, (instr, code)) in instrs.iter().zip(codes).enumerate() {
            let found = match (*instr, code) {
                (Instr::Load(load), _) => match load.number() {
                    Some(n) => Location::Common(n),
                    None => {
                        this.loads.push(load);
                        Location::Load(this.loads.len() - 1)
                    }
                },
                (Instr::Constant(value), _) => {
                    this.constants.push((this.commons, value));
                    this.commons += 1;
                    Location::Common(this.commons - 1)
                }
                (_, Some(code)) if common[i] => {
                    this.common.push((code.with(|a| place[a]), this.commons));
                    this.commons += 1;
                    Location::Common(this.commons - 1)
                }
                (_, Some(code)) => {
                    // An operand's register is freed only after the result has its own: they never alias.
                    let register = free.pop().unwrap_or_else(|| {
                        this.registers += 1;
                        this.registers - 1
                    });
                    let code_at = code.with(|a| place[a]);
                    let mut dead: Vec<usize> = code
                        .operands()
                        .filter(|a| last_use[*a] == i)
                        .filter_map(|a| match place[a] {
                            Location::Register(r) => Some(r),
                            _ => None,
                        })
                        .collect();
                    dead.sort_unstable();
                    dead.dedup();
                    free.extend(dead);
                    this.code.push((code_at, register));
                    Location::Register(register)
                }
                // A part of another; nothing else asks for its place.
                (_, None) => Location::Common(usize::MAX),
            };
            place.push(found);
        }
        let stores = program.stores.iter();
        this.stores = stores.map(|(what, r)| (*what, place[*r])).collect();
        this
    }

    /// The loads that the program makes of rows.
    pub fn loads(&self) -> impl Iterator<Item = L> + '_ {
        self.loads.iter().copied()
    }

    /// A workspace for the registers.
    pub fn registers<F: Real>(&self) -> Registers<F> {
        let mut common = vec![[F::ZERO; SIDE]; self.commons];
        for (register, value) in &self.constants {
            common[*register] = [F::of(*value); SIDE];
        }
        Registers {
            rows: vec![F::ZERO; self.registers * STRIP],
            places: Vec::new(),
            common,
        }
    }

    /// Runs the program on one row of `width` units: `load` gives the row that a load reads; then `store` takes, for
    /// every store, the first unit of a strip and its values. A strip's loads all happen before its stores. The row's
    /// reductions are in `registers` before.
    #[inline(always)]
    pub fn run<F: Real, C>(
        &self,
        registers: &mut Registers<F>,
        width: usize,
        context: &mut C,
        load: impl for<'a> Fn(&'a C, L) -> &'a [F],
        mut store: impl FnMut(&mut C, S, usize, &[F]),
    ) {
        let Registers {
            rows,
            places,
            common,
        } = registers;
        once_a_row(&self.common, common);
        let mut from = 0;
        while from < width {
            let n = STRIP.min(width - from);
            // Each is looked up once, however often it is read.
            let mut loaded = emptied(std::mem::take(places));
            let shared = &*context;
            let row = |what: &L| &load(shared, *what)[from..from + n];
            loaded.extend(self.loads.iter().map(row));
            for (code, out) in &self.code {
                let (before, rest) = rows.split_at_mut(out * STRIP);
                let (out, after) = rest.split_at_mut(STRIP);
                let first = before.len() + STRIP;
                apply(
                    code,
                    &mut out[..n],
                    #[inline(always)]
                    |place| match place {
                        Location::Load(n) => RowOperand::each(loaded[n]),
                        Location::Register(r) if r * STRIP < first => {
                            RowOperand::each(&before[r * STRIP..][..n])
                        }
                        Location::Register(r) => RowOperand::each(&after[r * STRIP - first..][..n]),
                        Location::Common(r) => RowOperand::one(&common[r]),
                    },
                );
            }
            *places = emptied(loaded);
            for (what, place) in &self.stores {
                match *place {
                    Location::Register(r) => store(context, *what, from, &rows[r * STRIP..][..n]),
                    Location::Common(r) => {
                        store(context, *what, from, &[common[r][0]; STRIP][..n]);
                    }
                    // A value stored as it was loaded; it may alias its target, so it goes through a copy.
                    Location::Load(from_memory) => {
                        let copy = load(context, self.loads[from_memory])[from..from + n].to_vec();
                        store(context, *what, from, &copy);
                    }
                }
            }
            from += n;
        }
    }
}

/// The memory of a vector, without what was in it and how long that lived.
fn emptied<'a, F>(mut vector: Vec<&[F]>) -> Vec<&'a [F]> {
    vector.clear();
    vector.into_iter().map(|_| -> &[F] { &[] }).collect()
}

/// What is the same for all units of a row. A function of its own, out of the vector code, which would hold every operator
/// a second time.
#[inline(never)]
fn once_a_row<F: Real>(code: &[(Code<Location>, usize)], common: &mut [[F; SIDE]]) {
    for (code, out) in code {
        let mut value = [F::ZERO];
        apply(code, &mut value, |place| match place {
            Location::Common(r) => RowOperand::one(&common[r]),
            place => unreachable!("{place:?} differs from unit to unit"),
        });
        common[*out] = [value[0]; SIDE];
    }
}

#[inline(always)]
fn apply<'a, F: Real>(
    code: &Code<Location>,
    out: &mut [F],
    get: impl Fn(Location) -> RowOperand<'a, F>,
) {
    match *code {
        Code::Unary(op, a) => op.rows(out, [get(a)]),
        Code::Binary(op, a, b) => op.rows(out, [get(a), get(b)]),
        Code::Pair(pair, [a, b, c]) => pair.rows(out, [get(a), get(b), get(c)]),
    }
}
