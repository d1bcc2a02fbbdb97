//! The vector registers that hold numbers of a type, so that one kernel serves f32 and f64.

use pulp::{Simd, WithSimd};

/// Elements that a loop takes side by side: with a length that is known, it becomes vector code without a scalar rest.
pub const SIDE: usize = 16;

/// A number type whose values fit the registers of every instruction set.
pub trait SimdElement: Copy + 'static {
    /// Runs `op` with the widest registers that this processor has and that are worth code of their own for this type.
    fn widest<Op: WithSimd>(op: Op) -> Op::Output;

    /// The same for loops over elements. What they do with f64 is mostly calls into the mathematical library, and the
    /// evaluator of programs is the largest piece of code that there is: for f64 it stands there once.
    fn widest_loop<Op: WithSimd>(op: Op) -> Op::Output;

    /// A register full of values.
    type Register<S: Simd>: Copy;

    /// A register with `value` in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Register<S>;

    /// a * b + c in every lane, with one rounding where the instruction set has it.
    fn fused<S: Simd>(
        simd: S,
        a: Self::Register<S>,
        b: Self::Register<S>,
        c: Self::Register<S>,
    ) -> Self::Register<S>;

    /// a + b in every lane.
    fn sum<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;

    /// The sum of all lanes.
    fn across<S: Simd>(simd: S, a: Self::Register<S>) -> Self;

    /// Values as registers, and the rest that fills none.
    fn registers<S: Simd>(simd: S, values: &[Self]) -> (&[Self::Register<S>], &[Self]);

    /// The same, to be written.
    fn registers_mut<S: Simd>(
        simd: S,
        values: &mut [Self],
    ) -> (&mut [Self::Register<S>], &mut [Self]);
}

macro_rules! simd_element {
    ($number:ty, $widest:path, $loop:path, $register:ident, $splat:ident, $fused:ident, $sum:ident, $across:ident, $split:ident, $split_mut:ident) => {
        impl SimdElement for $number {
            #[inline(always)]
            fn widest<Op: WithSimd>(op: Op) -> Op::Output {
                $widest(op)
            }

            #[inline(always)]
            fn widest_loop<Op: WithSimd>(op: Op) -> Op::Output {
                $loop(op)
            }

            type Register<S: Simd> = S::$register;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: $number) -> S::$register {
                simd.$splat(value)
            }

            #[inline(always)]
            fn fused<S: Simd>(
                simd: S,
                a: S::$register,
                b: S::$register,
                c: S::$register,
            ) -> S::$register {
                simd.$fused(a, b, c)
            }

            #[inline(always)]
            fn sum<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$sum(a, b)
            }

            #[inline(always)]
            fn across<S: Simd>(simd: S, a: S::$register) -> $number {
                simd.$across(a)
            }

            #[inline(always)]
            fn registers<S: Simd>(_: S, values: &[$number]) -> (&[S::$register], &[$number]) {
                S::$split(values)
            }

            #[inline(always)]
            fn registers_mut<S: Simd>(
                _: S,
                values: &mut [$number],
            ) -> (&mut [S::$register], &mut [$number]) {
                S::$split_mut(values)
            }
        }
    };
}

/// Every set of instructions has its own code.
#[inline(always)]
fn any<Op: WithSimd>(op: Op) -> Op::Output {
    pulp::Arch::new().dispatch(op)
}

/// f64 is there to be compared with: AVX-512 would make it faster, at the price of a fifth of this crate's build.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn narrow<Op: WithSimd>(op: Op) -> Op::Output {
    match pulp::x86::V3::try_new() {
        Some(simd) => Simd::vectorize(simd, op),
        None => Simd::vectorize(pulp::Scalar::new(), op),
    }
}

#[cfg(not(target_arch = "x86_64"))]
use any as narrow;

/// Instructions that every processor of this architecture has.
#[inline(always)]
fn scalar<Op: WithSimd>(op: Op) -> Op::Output {
    Simd::vectorize(pulp::Scalar::new(), op)
}

simd_element!(
    f32,
    any,
    any,
    f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    reduce_sum_f32s,
    as_simd_f32s,
    as_mut_simd_f32s
);
simd_element!(
    f64,
    narrow,
    scalar,
    f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    reduce_sum_f64s,
    as_simd_f64s,
    as_mut_simd_f64s
);
