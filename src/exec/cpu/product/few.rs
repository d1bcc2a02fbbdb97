//! Products of very few rows.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::view::View;
use crate::cell::real::Real;

/// Rows up to which packing B does not pay: each of its elements is used too seldom.
pub const FEW: usize = 4;

/// [`super::product`] of very few rows, which reads each element of B once, where it lies.
pub fn few_rows<F: Real>(
    [m, k, n]: [usize; 3],
    a: View<'_, F>,
    b: View<'_, F>,
    (c, stride): (&mut [F], usize),
    accumulate: bool,
    threads: usize,
) {
    let mut left = vec![F::ZERO; m * k];
    for i in 0..m {
        for p in 0..k {
            left[i * k + p] = a.values[i * a.rows_apart + p * a.cols_apart];
        }
    }
    let left = &left;
    let each = n.div_ceil(threads).next_multiple_of(16);
    for i in 0..m {
        let a = &left[i * k..(i + 1) * k];
        let out = &mut c[i * stride..][..n];
        out.par_chunks_mut(each).enumerate().for_each(|(nth, out)| {
            F::widest(OperandRow {
                a,
                b,
                first: nth * each,
                out,
                accumulate,
            });
        });
    }
}

/// A part of one row of C.
struct OperandRow<'a, F> {
    a: &'a [F],
    b: View<'a, F>,
    /// The first column.
    first: usize,
    out: &'a mut [F],
    accumulate: bool,
}

impl<F: Real> WithSimd for OperandRow<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (b, n) = (self.b, self.out.len());
        if !self.accumulate {
            self.out.fill(F::ZERO);
        }
        if b.cols_apart == 1 {
            for (p, x) in self.a.iter().enumerate() {
                let row = &b.values[p * b.rows_apart + self.first..][..n];
                for (out, b) in self.out.iter_mut().zip(row) {
                    *out = x.mul_add(*b, *out);
                }
            }
            return;
        }
        for (j, out) in self.out.iter_mut().enumerate() {
            let from = (self.first + j) * b.cols_apart;
            if b.rows_apart == 1 {
                *out += dot(simd, self.a, &b.values[from..from + self.a.len()]);
            } else {
                for (p, x) in self.a.iter().enumerate() {
                    *out = x.mul_add(b.values[from + p * b.rows_apart], *out);
                }
            }
        }
    }
}

/// The sum of products of two vectors.
#[inline(always)]
fn dot<F: Real, S: Simd>(simd: S, a: &[F], b: &[F]) -> F {
    let ((a, a_rest), (b, b_rest)) = (F::registers(simd, a), F::registers(simd, b));
    let mut sums = [F::splat(simd, F::ZERO); 4];
    let ((a4, a), (b4, b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (a, b) in a4.iter().zip(b4) {
        for i in 0..4 {
            sums[i] = F::fused(simd, a[i], b[i], sums[i]);
        }
    }
    for (a, b) in a.iter().zip(b) {
        sums[0] = F::fused(simd, *a, *b, sums[0]);
    }
    let [w, x, y, z] = sums;
    let sum = F::sum(simd, F::sum(simd, w, x), F::sum(simd, y, z));
    let rest = a_rest.iter().zip(b_rest);
    rest.fold(F::across(simd, sum), |sum, (a, b)| a.mul_add(*b, sum))
}
