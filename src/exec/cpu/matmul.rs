//! Products of whole matrices, on every core.

use super::product::{Strides, product};
use crate::cell::real::Real;
use crate::op::MatMul;

/// The product of `op`.
pub fn run<F: Real>(op: &MatMul, a: &[F], b: &[F], bias: Option<&[F]>, c: &mut [F]) {
    let (m, k, n) = op.dims();
    let strides = |transpose: bool, stride: usize| {
        if transpose {
            Strides::transposed(stride)
        } else {
            Strides::rows(stride)
        }
    };
    let mut accumulate = op.accumulate;
    if let Some(bias) = bias {
        for row in 0..m {
            let row = &mut c[row * op.c.stride..][..n];
            if accumulate {
                row.iter_mut().zip(bias).for_each(|(c, b)| *c += *b);
            } else {
                row.copy_from_slice(&bias[..n]);
            }
        }
        accumulate = true;
    }
    product(
        [m, k, n],
        (a, strides(op.transpose_a, op.a.stride)),
        (b, strides(op.transpose_b, op.b.stride)),
        (c, Strides::rows(op.c.stride)),
        accumulate,
        true,
    );
}
