//! The table of pointwise operators: name, arithmetic, WGSL, derivative; one row each.

use super::graph::{Graph, Id};
use super::lanes::SIDE;
use super::real::Real;

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

            /// Applies the operator to whole rows of equal length; `out` must not be an operand.
            #[inline(always)]
            pub fn rows<F: Real>(self, out: &mut [F], operands: [&[F]; $arity]) {
                match self { $($enum::$variant => rows::<F, $arity>(out, operands, $value)),+ }
            }

            /// The adjoints of the operands: `None` where the derivative is zero everywhere.
            pub fn adjoints(self, graph: &mut Graph, [$($operand),+]: [Id; $arity], y: Id, dy: Id) -> [Option<Id>; $arity] {
                match self { $($enum::$variant => { let ($g, $y, $dy) = (graph, y, dy); $grad })+ }
            }
        }
    };
}

#[inline(always)]
fn rows<F: Real, const N: usize>(out: &mut [F], operands: [&[F]; N], f: impl Fn([F; N]) -> F) {
    let n = out.len();
    let operands = operands.map(|o| o[..n].as_chunks::<SIDE>());
    let (whole, rest) = out.as_chunks_mut::<SIDE>();
    for (c, out) in whole.iter_mut().enumerate() {
        let chunks = operands.map(|(chunks, _)| chunks[c]);
        *out = std::array::from_fn(|i| f(chunks.map(|o| o[i])));
    }
    for (i, out) in rest.iter_mut().enumerate() {
        *out = f(operands.map(|(_, rest)| rest[i]));
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
