//! The table of pointwise operators: name, arithmetic, WGSL, derivative; one row each.

use super::graph::{Graph, Id};
use super::real::Real;
use super::simd::SIDE;

/// One row an operator. `value` is the arithmetic on any [`Real`], `wgsl` the same in the shading language, and `grad`
/// the adjoints of the operands, given the graph, the operands, the result `y` and the result's adjoint `dy`.
macro_rules! operators {
    ($enum:ident, $doc:literal, $arity:literal, ($($operand:ident),+):
     $($variant:ident $name:literal $row_doc:literal,
        value: $value:expr, wgsl: $wgsl:literal, grad: |$g:ident, $y:pat_param, $dy:ident| $grad:expr;)+) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $enum { $(#[doc = $row_doc] $variant),+ }

        impl $enum {
            /// Every operator of this arity, in the order of the table.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),+];

            /// The name that the cell language uses.
            pub fn name(self) -> &'static str {
                match self { $($enum::$variant => $name),+ }
            }

            /// One line of documentation.
            pub fn about(self) -> &'static str {
                match self { $($enum::$variant => $row_doc),+ }
            }

            /// The WGSL expression, with `{0}`, `{1}` for the operands.
            pub fn wgsl(self) -> &'static str {
                match self { $($enum::$variant => $wgsl),+ }
            }

            /// Applies the operator to every element of `out`.
            #[inline(always)]
            pub fn rows<F: Real>(self, out: &mut [F], operands: [RowOperand<'_, F>; $arity]) {
                match self { $($enum::$variant => rows::<F, $arity>(out, operands, $value)),+ }
            }

            /// The adjoints of the operands: `None` where the derivative is zero everywhere.
            pub fn adjoints(self, graph: &mut Graph, [$($operand),+]: [Id; $arity], y: Id, dy: Id) -> [Option<Id>; $arity] {
                match self { $($enum::$variant => { let ($g, $y, $dy) = (graph, y, dy); $grad })+ }
            }
        }
    };
}

/// An operand of an operator on rows.
#[derive(Clone, Copy, Debug)]
pub struct RowOperand<'a, F> {
    values: &'a [F],
    /// Chunks to go on by from chunk to chunk: none where they all are one number.
    step: usize,
}

impl<'a, F> RowOperand<'a, F> {
    /// An element for each of the result.
    pub fn each(values: &'a [F]) -> RowOperand<'a, F> {
        RowOperand { values, step: 1 }
    }

    /// One number for all elements, [`SIDE`] times.
    pub fn one(values: &'a [F; SIDE]) -> RowOperand<'a, F> {
        RowOperand { values, step: 0 }
    }
}

/// Loops stand where `map` and `from_fn` would: those are functions of their own, which only a link-time optimiser takes
/// into vector code.
#[inline(always)]
fn rows<F: Real, const N: usize>(
    out: &mut [F],
    operands: [RowOperand<F>; N],
    f: impl Fn([F; N]) -> F,
) {
    let (whole, rest) = out.as_chunks_mut::<SIDE>();
    let mut chunks: [&[[F; SIDE]]; N] = [&[]; N];
    let mut rests: [&[F]; N] = [&[]; N];
    let mut steps = [0; N];
    for n in 0..N {
        (chunks[n], rests[n]) = operands[n].values.as_chunks();
        steps[n] = operands[n].step;
        if steps[n] == 0 {
            rests[n] = chunks[n].as_flattened();
        }
    }
    for (c, out) in whole.iter_mut().enumerate() {
        let mut here = [[F::ZERO; SIDE]; N];
        for n in 0..N {
            here[n] = chunks[n][c * steps[n]];
        }
        *out = chunk(here, &f);
    }
    for (i, out) in rest.iter_mut().enumerate() {
        let mut values = [F::ZERO; N];
        for n in 0..N {
            values[n] = rests[n][i];
        }
        *out = f(values);
    }
}

/// A function of as many elements as fill registers, taken in and given out whole: element by element, each store might
/// change an operand for all that a compiler knows.
#[inline(always)]
fn chunk<F: Real, const N: usize>(here: [[F; SIDE]; N], f: &impl Fn([F; N]) -> F) -> [F; SIDE] {
    let mut made = [F::ZERO; SIDE];
    for i in 0..SIDE {
        let mut values = [F::ZERO; N];
        for n in 0..N {
            values[n] = here[n][i];
        }
        made[i] = f(values);
    }
    made
}

/// Two operators in one pass over the rows: `second` takes what `first` makes of two operands and a third operand, in
/// this order or, `swapped`, in the other. One row to write and to read less, with the same roundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryPair {
    first: Binary,
    second: Binary,
    swapped: bool,
}

impl BinaryPair {
    /// The pair, where both are among the operators that are made in pairs.
    pub fn of(first: Binary, second: Binary, swapped: bool) -> Option<BinaryPair> {
        let simple = |op| matches!(op, Binary::Add | Binary::Sub | Binary::Mul);
        (simple(first) && simple(second)).then_some(BinaryPair {
            first,
            second,
            swapped,
        })
    }

    /// Applies both to every element of `out`: to the operands of the first and the other one of the second.
    #[inline(always)]
    pub fn rows<F: Real>(self, out: &mut [F], operands: [RowOperand<'_, F>; 3]) {
        use Binary::{Add, Sub};
        match (self.first, self.second, self.swapped) {
            (Add, Add, _) => rows(out, operands, |[a, b, c]| (a + b) + c),
            (Add, Sub, false) => rows(out, operands, |[a, b, c]| (a + b) - c),
            (Add, Sub, true) => rows(out, operands, |[a, b, c]| c - (a + b)),
            (Add, _, _) => rows(out, operands, |[a, b, c]| (a + b) * c),
            (Sub, Add, _) => rows(out, operands, |[a, b, c]| (a - b) + c),
            (Sub, Sub, false) => rows(out, operands, |[a, b, c]| (a - b) - c),
            (Sub, Sub, true) => rows(out, operands, |[a, b, c]| c - (a - b)),
            (Sub, _, _) => rows(out, operands, |[a, b, c]| (a - b) * c),
            (_, Add, _) => rows(out, operands, |[a, b, c]| (a * b) + c),
            (_, Sub, false) => rows(out, operands, |[a, b, c]| (a * b) - c),
            (_, Sub, true) => rows(out, operands, |[a, b, c]| c - (a * b)),
            (_, _, _) => rows(out, operands, |[a, b, c]| (a * b) * c),
        }
    }
}

operators! {
    Unary, "An operator with one operand.", 1, (a):
    Neg "neg" "Minus the operand; also written as a minus sign.",
        value: |[a]| -a, wgsl: "(-{0})",
        grad: |g, _, dy| [Some(g.unary(Unary::Neg, dy))];
    Sigmoid "sigmoid" "1 / (1 + exp(-a)).",
        value: |[a]| a.sigmoid(), wgsl: "sigmoid({0})",
        grad: |g, y, dy| { let one = g.constant(1.0); let rest = g.sub(one, y); let slope = g.mul(y, rest); [Some(g.mul(dy, slope))] };
    Tanh "tanh" "The hyperbolic tangent.",
        value: |[a]| a.tanh(), wgsl: "tanh_safe({0})",
        grad: |g, y, dy| { let one = g.constant(1.0); let square = g.mul(y, y); let slope = g.sub(one, square); [Some(g.mul(dy, slope))] };
    Relu "relu" "max(a, 0); its slope at 0 is 0.",
        value: |[a]| if a > F::ZERO { a } else { F::ZERO }, wgsl: "max({0}, V(0.0))",
        grad: |g, _, dy| { let zero = g.constant(0.0); let slope = g.binary(Binary::Greater, a, zero); [Some(g.mul(dy, slope))] };
    Exp "exp" "The exponential function.",
        value: |[a]| a.exp(), wgsl: "exp({0})",
        grad: |g, y, dy| [Some(g.mul(dy, y))];
    Sqrt "sqrt" "The square root.",
        value: |[a]| a.sqrt(), wgsl: "sqrt({0})",
        grad: |g, y, dy| { let two = g.constant(2.0); let slope = g.mul(two, y); [Some(g.binary(Binary::Div, dy, slope))] };
    Log "log" "The natural logarithm.",
        value: |[a]| a.ln(), wgsl: "log({0})",
        grad: |g, _, dy| [Some(g.binary(Binary::Div, dy, a))];
}

operators! {
    Binary, "An operator with two operands.", 2, (a, b):
    Add "+" "The sum.",
        value: |[a, b]| a + b, wgsl: "({0} + {1})",
        grad: |_g, _, dy| [Some(dy), Some(dy)];
    Sub "-" "The difference.",
        value: |[a, b]| a - b, wgsl: "({0} - {1})",
        grad: |g, _, dy| [Some(dy), Some(g.unary(Unary::Neg, dy))];
    Mul "*" "The product of elements.",
        value: |[a, b]| a * b, wgsl: "({0} * {1})",
        grad: |g, _, dy| [Some(g.mul(dy, b)), Some(g.mul(dy, a))];
    Div "/" "The quotient.",
        value: |[a, b]| a / b, wgsl: "({0} / {1})",
        grad: |g, y, dy| { let da = g.binary(Binary::Div, dy, b); let slope = g.mul(da, y); [Some(da), Some(g.unary(Unary::Neg, slope))] };
    Max "max" "The larger operand; at a tie the slope goes to the first.",
        value: |[a, b]| if a >= b { a } else { b }, wgsl: "max({0}, {1})",
        grad: |g, _, dy| { let below = g.binary(Binary::Greater, b, a); let one = g.constant(1.0); let above = g.sub(one, below); [Some(g.mul(dy, above)), Some(g.mul(dy, below))] };
    Min "min" "The smaller operand; at a tie the slope goes to the first.",
        value: |[a, b]| if a <= b { a } else { b }, wgsl: "min({0}, {1})",
        grad: |g, _, dy| { let above = g.binary(Binary::Greater, a, b); let one = g.constant(1.0); let below = g.sub(one, above); [Some(g.mul(dy, below)), Some(g.mul(dy, above))] };
    Greater "greater" "1 where the first operand is larger than the second, else 0; its slope is 0.",
        value: |[a, b]| if a > b { F::ONE } else { F::ZERO }, wgsl: "select(V(0.0), V(1.0), {0} > {1})",
        grad: |_g, _, _dy| [None, None];
}
