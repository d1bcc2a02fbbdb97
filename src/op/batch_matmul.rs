//! A matrix product for each row, of the matrices that stand in the rows.

use super::attend::{add_row, dot};
use super::split::each;
use super::{Cost, Limits, Matrix, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// Which operand lies transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transposed {
    /// Neither.
    Neither,
    /// A, as [K, M].
    A,
    /// B, as [N, K].
    B,
}

/// `C [M, N] = A [M, K] B [K, N]` for every row of matrices [R, M * K], [R, K * N] and [R, M * N].
#[derive(Clone, Debug)]
pub struct BatchMatMul {
    /// The name in the plan.
    pub name: String,
    /// A.
    pub a: Matrix,
    /// B.
    pub b: Matrix,
    /// The result.
    pub c: Matrix,
    /// K.
    pub inner: usize,
    /// Which operand lies transposed.
    pub transposed: Transposed,
}

impl BatchMatMul {
    /// M, K and N.
    pub fn dims(&self) -> (usize, usize, usize) {
        let k = self.inner.max(1);
        (self.a.cols / k, k, self.b.cols / k)
    }

    /// The plain code of a row.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, a: &[F], b: &[F], c: &mut [F]) {
        let (m, k, n) = self.dims();
        for i in 0..m {
            let row = &mut c[i * n..][..n];
            if self.transposed == Transposed::B {
                for (j, to) in row.iter_mut().enumerate() {
                    *to = dot(&a[i * k..][..k], &b[j * k..][..k]);
                }
                continue;
            }
            row.fill(F::ZERO);
            for p in 0..k {
                let by = match self.transposed {
                    Transposed::A => a[p * m + i],
                    Transposed::Neither | Transposed::B => a[i * k + p],
                };
                add_row(by, &b[p * n..], row);
            }
        }
    }
}

impl Operation for BatchMatMul {
    const KIND: &'static str = "batch_matmul";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        vec![
            Operand::read(&mut self.a).rows(),
            Operand::read(&mut self.b).rows(),
            Operand::write(&mut self.c).rows(),
        ]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: (2 * area(&self.c) * self.inner) as f64,
            bytes: bytes(area(&self.a) + area(&self.b) + area(&self.c)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (m, k, n) = self.dims();
        let rows = self.c.rows;
        same("left operand", (rows, m * k), (self.a.rows, self.a.cols))?;
        same("right operand", (rows, k * n), (self.b.rows, self.b.cols))?;
        same("result", (rows, m * n), (self.c.rows, self.c.cols))
    }

    fn shape(&self) -> String {
        let (m, k, n) = self.dims();
        format!("{} x {m} x {k} x {n}", self.c.rows)
    }

    fn sum_length(&self) -> usize {
        self.inner
    }

    fn split(&self, limits: &dyn Limits) -> Vec<BatchMatMul> {
        let rows = limits.rows(&[self.a, self.b, self.c], 1);
        each(rows, |first, count| BatchMatMul {
            a: self.a.band(first, count),
            b: self.b.band(first, count),
            c: self.c.band(first, count),
            ..self.clone()
        })
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    #[test]
    fn each_row_has_its_own_product() {
        // 2 x 3 times 3 x 2.
        let of = |transposed| {
            let matrix = |slot, cols| Matrix::new(SlotId(slot), 1, cols);
            let product = BatchMatMul {
                name: "product".into(),
                a: matrix(0, 6),
                b: matrix(1, 6),
                c: matrix(2, 4),
                inner: 3,
                transposed,
            };
            product.check().unwrap();
            product
        };
        let (a, b) = (
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            [1.0, 0.0, 2.0, 1.0, 0.0, 3.0],
        );
        let (a_turned, b_turned) = (
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
            [1.0, 2.0, 0.0, 0.0, 1.0, 3.0],
        );
        for (transposed, a, b) in [
            (Transposed::Neither, a, b),
            (Transposed::A, a_turned, b),
            (Transposed::B, a, b_turned),
        ] {
            let mut c = [f64::NAN; 4];
            of(transposed).plain_row(&a, &b, &mut c);
            assert_eq!(c, [5.0, 11.0, 14.0, 23.0], "{transposed:?}");
        }
        let wrong = BatchMatMul {
            inner: 2,
            ..of(Transposed::A)
        };
        assert_eq!(
            wrong.check().unwrap_err(),
            "result: expected [1, 9], found [1, 4]"
        );
    }
}
