//! Fast products.

use crate::cell::real::Real;
use crate::op::MatMul;

/// The product of `op`.
pub fn run<F: Real>(op: &MatMul, a: &[F], b: &[F], bias: Option<&[F]>, c: &mut [F]) {
    op.plain(a, b, bias, c);
}
