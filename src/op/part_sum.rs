//! The sum of a product's parts, in their order: see [`ProductParts`].

use super::{
    Cost, FlatKernel, MatMul, Matrix, Operand, Operation, ProductParts, Segment, SlotId, area,
    bytes, same,
};
use crate::cell::real::Real;

/// `C [M, N] = P_0 + P_1 + ... (+ bias [N], + C)`, where `P_p [M, N]` begins at row p M of the parts.
#[derive(Clone, Debug)]
pub struct PartSum {
    /// The name in the plan.
    pub name: String,
    /// The parts [parts * M, N].
    pub from: Matrix,
    /// How many parts.
    pub parts: usize,
    /// The sum.
    pub to: Matrix,
    /// A row [1, N] added to every row of the sum.
    pub bias: Option<Matrix>,
    /// Whether it is added to what `to` holds.
    pub accumulate: bool,
}

impl PartSum {
    /// A product in parts of `depth` terms, whose results lie in a slot from an element on, and their sum.
    pub fn of(op: &MatMul, depth: usize, slot: SlotId, offset: usize) -> (ProductParts, PartSum) {
        let (m, k, n) = op.dims();
        let parts = k.div_ceil(depth);
        let from = Matrix {
            offset,
            ..Matrix::new(slot, parts * m, n)
        };
        let sum = PartSum {
            name: format!("{}.sum", op.name),
            from,
            parts,
            to: op.c,
            bias: op.bias,
            accumulate: op.accumulate,
        };
        let product = MatMul {
            c: from,
            bias: None,
            accumulate: false,
            ..op.clone()
        };
        let parts = ProductParts {
            product,
            parts,
            depth,
        };
        (parts, sum)
    }

    /// The plain code.
    pub fn plain<F: Real>(&self, from: &[F], bias: Option<&[F]>, to: &mut [F]) {
        // Rows of the sum may count, not those of the parts.
        let rows = self.from.rows / self.parts;
        for i in 0..self.to.rows {
            for j in 0..self.to.cols {
                let mut sum = F::ZERO;
                for p in 0..self.parts {
                    sum += from[(p * rows + i) * self.from.stride + j];
                }
                if let Some(bias) = bias {
                    sum += bias[j];
                }
                let out = &mut to[i * self.to.stride + j];
                *out = if self.accumulate { *out + sum } else { sum };
            }
        }
    }

    /// Its kernel.
    pub fn kernel(&self) -> FlatKernel {
        let mut matrices = vec![("to", self.to), ("from", self.from)];
        matrices.extend(self.bias.map(|bias| ("bias", bias)));
        FlatKernel {
            flags: vec![
                ("ACCUMULATE", self.accumulate),
                ("BIASED", self.bias.is_some()),
            ],
            sizes: vec![
                ("PARTS", self.parts),
                ("PART_ROWS", self.from.rows / self.parts),
            ],
            matrices,
            rows: self.to.rows,
            ..FlatKernel::default()
        }
    }
}

impl Operation for PartSum {
    const KIND: &'static str = "part_sum";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let mut operands = vec![Operand::read(&mut self.from).sum()];
        operands.extend(self.bias.as_mut().map(Operand::read));
        operands.push(Operand::accumulate(&mut self.to, &mut self.accumulate));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.from) as f64,
            bytes: bytes(area(&self.from) + area(&self.to)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let all = (self.parts * self.to.rows, self.to.cols);
        same("parts", all, (self.from.rows, self.from.cols))?;
        match self.bias {
            Some(bias) => same("bias", (1, self.to.cols), (bias.rows, bias.cols)),
            None => Ok(()),
        }
    }

    fn shape(&self) -> String {
        format!(
            "{} x {} of {} parts",
            self.to.rows, self.to.cols, self.parts
        )
    }

    fn sum_length(&self) -> usize {
        self.parts + 2
    }

    fn place(&mut self, _: Segment) {}
}
