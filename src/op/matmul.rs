//! C = A B (+ bias), either operand transposed, optionally added to what C holds.

use std::ops::Range;

mod split;

use super::{Cost, Limits, Matrix, Operand, Operation, Precision, Segment, area, bytes, same};
use crate::cell::real::Real;

/// `C [M, N] = A [M, K] B [K, N] + bias [N]`.
#[derive(Clone, Debug)]
pub struct MatMul {
    /// The name in the plan.
    pub name: String,
    /// A as it lies in memory: [M, K], or [K, M] where `transpose_a`.
    pub a: Matrix,
    /// B as it lies in memory: [K, N], or [N, K] where `transpose_b`.
    pub b: Matrix,
    /// The result.
    pub c: Matrix,
    /// Whether A is used transposed.
    pub transpose_a: bool,
    /// Whether B is used transposed.
    pub transpose_b: bool,
    /// A row [1, N] added to every row of the result.
    pub bias: Option<Matrix>,
    /// Whether the product is added to what C holds.
    pub accumulate: bool,
}

impl MatMul {
    /// M, K and N.
    pub fn dims(&self) -> (usize, usize, usize) {
        let (m, k) = if self.transpose_a {
            (self.a.cols, self.a.rows)
        } else {
            (self.a.rows, self.a.cols)
        };
        (m, k, self.c.cols)
    }

    /// The same product over some of the terms of its sums, added to nothing.
    pub fn terms(&self, first: usize, count: usize) -> MatMul {
        MatMul {
            accumulate: false,
            ..split::terms(self, first, count)
        }
    }

    /// The plain code: three loops.
    pub fn plain<F: Real>(&self, a: &[F], b: &[F], bias: Option<&[F]>, c: &mut [F]) {
        let (m, k, n) = self.dims();
        for i in 0..m {
            for j in 0..n {
                let mut sum = bias.map_or(F::ZERO, |bias| bias[j]);
                for p in 0..k {
                    let (ai, aj) = if self.transpose_a { (p, i) } else { (i, p) };
                    let (bi, bj) = if self.transpose_b { (j, p) } else { (p, j) };
                    sum = a[ai * self.a.stride + aj].mul_add(b[bi * self.b.stride + bj], sum);
                }
                let out = &mut c[i * self.c.stride + j];
                *out = if self.accumulate { *out + sum } else { sum };
            }
        }
    }
}

impl Operation for MatMul {
    const KIND: &'static str = "matmul";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let precision = if self.transpose_a {
            Precision::Sum
        } else {
            Precision::RowsLike(self.a.slot)
        };
        let c = Operand::accumulate(&mut self.c, &mut self.accumulate).precise(precision);
        let mut operands = vec![Operand::read(&mut self.a), Operand::read(&mut self.b)];
        operands.extend(self.bias.as_mut().map(Operand::read));
        operands.push(c);
        operands
    }

    fn cost(&self) -> Cost {
        let (m, k, n) = self.dims();
        Cost {
            flops: 2.0 * m as f64 * k as f64 * n as f64,
            bytes: bytes(area(&self.a) + area(&self.b) + area(&self.c)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (m, k, n) = self.dims();
        let b = if self.transpose_b {
            (self.b.cols, self.b.rows)
        } else {
            (self.b.rows, self.b.cols)
        };
        same("right operand", (k, n), b)?;
        same("result", (m, n), (self.c.rows, self.c.cols))?;
        match self.bias {
            Some(bias) => same("bias", (1, n), (bias.rows, bias.cols)),
            None => Ok(()),
        }
    }

    fn shape(&self) -> String {
        let (m, k, n) = self.dims();
        format!("{m} x {k} x {n}")
    }

    fn sum_length(&self) -> usize {
        self.dims().1
    }

    fn band(&self, rows: Range<usize>) -> Option<MatMul> {
        (!self.transpose_a).then(|| MatMul {
            a: self.a.band(rows.start, rows.len()),
            c: self.c.band(rows.start, rows.len()),
            ..self.clone()
        })
    }

    fn split(&self, limits: &dyn Limits) -> Vec<MatMul> {
        let mut all = Vec::new();
        let fits = |m: &Matrix| limits.holds(m);
        split::products(self, &fits, limits.deepest(), limits.flops(), &mut all);
        all
    }

    fn place(&mut self, _: Segment) {}
}
