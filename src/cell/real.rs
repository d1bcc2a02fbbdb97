//! The two number types of the CPU path: f32 as the GPU has it, f64 for finite differences.

use std::fmt::{Debug, Display};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use super::simd::SimdElement;

/// A floating point type that plans can run in.
pub trait Real:
    SimdElement
    + Send
    + Sync
    + Debug
    + Display
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The largest relative error of a rounding to this type.
    const ROUNDING: f64;
    /// The logistic function, finite for every finite argument.
    fn sigmoid(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The exponential function.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// self * a + b with one rounding.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// This value, or 0 where an f32 is so small that what it multiplies soon becomes subnormal.
    fn flushed(self) -> Self;
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// This value as f64, exactly.
    fn f64(self) -> f64;
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    const ROUNDING: f64 = f64::EPSILON / 2.0;

    fn sigmoid(self) -> f64 {
        1.0 / (1.0 + f64::exp(-self))
    }

    fn tanh(self) -> f64 {
        f64::tanh(self)
    }

    fn exp(self) -> f64 {
        f64::exp(self)
    }

    fn ln(self) -> f64 {
        f64::ln(self)
    }

    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn mul_add(self, a: f64, b: f64) -> f64 {
        f64::mul_add(self, a, b)
    }

    fn flushed(self) -> f64 {
        self
    }

    fn of(value: f64) -> f64 {
        value
    }

    fn f64(self) -> f64 {
        self
    }
}

/// Without branches and calls, so that loops over rows become vector code; the error is a few units in the last place.
impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

    #[inline(always)]
    fn sigmoid(self) -> f32 {
        // Beyond +-30 it is 0 or 1 in every sum of f32. A smaller share of 1 would make subnormal products, which take a
        // CPU some hundred times as long: a peephole may drive a gate that far.
        1.0 / (1.0 + Real::exp((-self).clamp(-30.0, 30.0)))
    }

    #[inline(always)]
    fn tanh(self) -> f32 {
        // Near 0 the quotient of exponentials loses digits, so there an odd polynomial (the series of tanh) takes over.
        let a = self.clamp(-9.02, 9.02);
        let e = Real::exp(2.0 * a);
        let far = (e - 1.0) / (e + 1.0);
        let s = a * a;
        let near = a
            * (1.0
                + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
        if s < 0.0625 { near } else { far }
    }

    #[inline(always)]
    fn exp(self) -> f32 {
        // exp(a) = 2^n exp(r), |r| <= ln 2 / 2, the Taylor polynomial of degree 7 for exp(r); ln 2 in two parts.
        // A NaN passes through clamp and the polynomial and stays one.
        let a = self.clamp(-87.3, 88.72);
        let n = (a * std::f32::consts::LOG2_E).round_ties_even();
        let r = n.mul_add(-0.693_359_4, a);
        let r = n.mul_add(2.121_944_4e-4, r);
        let mut p: f32 = 1.0 / 5040.0;
        for c in [
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ] {
            p = p.mul_add(r, c);
        }
        // 2^128 does not fit, so the power is applied in two factors.
        let half = (n * 0.5).round_ties_even();
        p * power_of_two(half) * power_of_two(n - half)
    }

    #[inline(always)]
    fn ln(self) -> f32 {
        f32::ln(self)
    }

    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn mul_add(self, a: f32, b: f32) -> f32 {
        f32::mul_add(self, a, b)
    }

    #[inline(always)]
    fn flushed(self) -> f32 {
        if self.abs() < 1e-30 { 0.0 } else { self }
    }

    #[inline(always)]
    fn of(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

/// 2^n for a whole n in [-126, 127], from the bits of the exponent; anything for a NaN.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    // The largest f32 below 2^23 * 2 holds n + 127 in its low bits, which spares a saturating conversion.
    let biased = n + (127.0 + 8_388_608.0);
    f32::from_bits(biased.to_bits() << 23)
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn f32_functions_are_within_a_few_units_in_the_last_place() {
        let mut worst = [0.0f64; 3];
        for i in -200_000..=200_000 {
            let a = i as f32 * 1e-4;
            let x = f64::from(a);
            let pairs = [
                (Real::exp(a), x.exp()),
                (Real::tanh(a), x.tanh()),
                (Real::sigmoid(a), 1.0 / (1.0 + (-x).exp())),
            ];
            for (w, (got, want)) in worst.iter_mut().zip(pairs) {
                let error = (f64::from(got) - want).abs() / want.abs().max(1e-30);
                assert!(error.is_finite(), "a {a}: got {got}, want {want}");
                *w = w.max(error);
            }
        }
        // An ulp is 1.2e-7 relative at worst; sums of three roundings stay below four of them.
        assert!(worst.iter().all(|w| *w < 4.8e-7), "{worst:?}");
    }

    #[test]
    fn f32_functions_stay_finite_for_any_finite_argument_and_keep_nan() {
        for exponent in -30..=30 {
            for a in [10f32.powi(exponent), -(10f32.powi(exponent))] {
                assert!((-1.0..=1.0).contains(&Real::tanh(a)), "tanh {a}");
                assert!((1e-14..=1.0).contains(&Real::sigmoid(a)), "sigmoid {a}");
                assert!(Real::exp(a).is_finite(), "exp {a}");
            }
        }
        assert!(Real::tanh(f32::NAN).is_nan());
        assert!(Real::sigmoid(f32::NAN).is_nan());
        assert!(Real::exp(f32::NAN).is_nan());
    }
}
