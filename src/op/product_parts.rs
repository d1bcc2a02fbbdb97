//! A product whose sums are cut into parts: each part has a result of its own, and [`PartSum`](super::PartSum) adds them.
//!
//! A product of few rows and columns and a long sum, such as the gradient of a weight over all rows of a minibatch, has few
//! tiles; in parts it has several times as many, which run side by side.

use super::{Access, Cost, MatMul, Matrix, Operand, Operation, Precision, Segment, same};
use crate::cell::real::Real;

/// `C_p [M, N] = A [M, K_p] B [K_p, N]` for each part p, where `K_p` is the p-th range of `depth` terms of K.
#[derive(Clone, Debug)]
pub struct ProductParts {
    /// The product, of which C is [parts * M, N]: the result of part p begins at row p M. It has no bias and adds to nothing.
    pub product: MatMul,
    /// How many parts.
    pub parts: usize,
    /// Terms of every part but the last one.
    pub depth: usize,
}

impl ProductParts {
    /// The terms of part `p` of sums over `k`: the first one and how many.
    pub fn terms(&self, p: usize, k: usize) -> (usize, usize) {
        let first = (p * self.depth).min(k);
        (first, self.depth.min(k - first))
    }

    /// The plain code.
    pub fn plain<F: Real>(&self, a: &[F], b: &[F], c: &mut [F]) {
        // Rows of A may count, not those of C.
        let rows = self.product.c.rows / self.parts;
        let (m, k, _) = self.product.dims();
        for p in 0..self.parts {
            let (first, count) = self.terms(p, k);
            let part = self.product.terms(first, count);
            let part = MatMul {
                c: part.c.band(p * rows, m),
                ..part
            };
            let from = |whole: Matrix, part: Matrix| part.offset - whole.offset;
            let (a, b) = (
                &a[from(self.product.a, part.a)..],
                &b[from(self.product.b, part.b)..],
            );
            part.plain(a, b, None, &mut c[from(self.product.c, part.c)..]);
        }
    }
}

impl Operation for ProductParts {
    const KIND: &'static str = "product_parts";

    fn name(&self) -> &str {
        &self.product.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let product = &mut self.product;
        // Of every part only the rows that count.
        let some = product.a.row_count.is_some() && !product.transpose_a;
        let mut c = Operand::write(&mut product.c).precise(Precision::Sum);
        if some {
            c = c.with(Access::WriteSome);
        }
        vec![
            Operand::read(&mut product.a),
            Operand::read(&mut product.b),
            c,
        ]
    }

    fn cost(&self) -> Cost {
        self.product.cost()
    }

    fn check(&self) -> Result<(), String> {
        let (m, k, n) = self.product.dims();
        let one = MatMul {
            c: Matrix {
                rows: m,
                ..self.product.c
            },
            ..self.product.clone()
        };
        one.check()?;
        let c = self.product.c;
        same(
            "results of all parts",
            (self.parts * m, n),
            (c.rows, c.cols),
        )?;
        if self.product.bias.is_some() || self.product.accumulate {
            return Err("expected a product without bias that adds to nothing".into());
        }
        if self.depth == 0 || k.div_ceil(self.depth) != self.parts {
            return Err(format!(
                "expected {} parts of {k} terms, each of as many but the last, found {} of {}",
                self.parts, self.parts, self.depth
            ));
        }
        Ok(())
    }

    fn shape(&self) -> String {
        format!("{} in {} parts", self.product.shape(), self.parts)
    }

    fn sum_length(&self) -> usize {
        self.depth
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::super::{PartSum, SlotId};
    use super::*;

    /// Whole numbers: sums in any order are equal.
    fn numbers(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i * 7 % 11) as f64 - 5.0).collect()
    }

    #[test]
    fn parts_and_their_sum_are_the_product() {
        let (m, k, n) = (5, 23, 3);
        for (transpose_a, transpose_b) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let turned =
                |turned: bool, rows, cols| if turned { (cols, rows) } else { (rows, cols) };
            let (a, b) = (turned(transpose_a, m, k), turned(transpose_b, k, n));
            let whole = MatMul {
                name: "product".into(),
                a: Matrix::new(SlotId(0), a.0, a.1),
                b: Matrix::new(SlotId(1), b.0, b.1),
                c: Matrix::new(SlotId(2), m, n),
                transpose_a,
                transpose_b,
                bias: Some(Matrix::new(SlotId(3), 1, n)),
                accumulate: true,
            };
            let [a, b, c, bias] = [m * k, k * n, m * n, n].map(numbers);
            let mut want = c.clone();
            whole.plain(&a, &b, Some(&bias), &mut want);
            for depth in [4, 12, 23] {
                let parts = k.div_ceil(depth);
                let (op, sum) = PartSum::of(&whole, depth, SlotId(4), 0);
                assert_eq!((op.check(), sum.check()), (Ok(()), Ok(())));
                let mut all = vec![f64::NAN; parts * m * op.product.c.stride];
                op.plain(&a, &b, &mut all);
                let mut got = c.clone();
                sum.plain(&all, Some(&bias), &mut got);
                assert_eq!(got, want, "{transpose_a} {transpose_b} {depth}");
                let fewer = ProductParts {
                    parts: parts + 1,
                    ..op
                };
                assert!(fewer.check().is_err());
            }
        }
    }
}
