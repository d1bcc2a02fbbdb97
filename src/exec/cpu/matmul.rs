//! Products of whole matrices, on every core.

use super::product::{ProductWorkspace, View, product};
use crate::cell::real::Real;
use crate::op::MatMul;

/// The product of `op`; `workspace` is where operands are packed, and holds the right one already where `held`. Whether it holds
/// all of that one afterwards.
pub fn run<F: Real>(
    op: &MatMul,
    a: &[F],
    b: &[F],
    bias: Option<&[F]>,
    c: &mut [F],
    workspace: &mut ProductWorkspace<F>,
    held: bool,
) -> bool {
    let (m, k, n) = op.dims();
    let view = |transpose: bool| {
        if transpose {
            View::transposed
        } else {
            View::rows
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
        view(op.transpose_a)(a, op.a.stride),
        view(op.transpose_b)(b, op.b.stride),
        (c, op.c.stride),
        accumulate,
        workspace,
        held,
    )
}
