//! Zeroes a matrix: the adjoints that no later step has sent yet.

use super::split::each;
use super::{Cost, FlatKernel, Limits, Matrix, Operand, Operation, Segment, area, bytes};

/// to = 0.
#[derive(Clone, Debug)]
pub struct Zero {
    /// The name in the plan.
    pub name: String,
    /// What is zeroed.
    pub to: Matrix,
}

impl Zero {
    /// Its kernel.
    pub fn kernel(&self) -> FlatKernel {
        FlatKernel {
            matrices: vec![("to", self.to)],
            rows: self.to.rows,
            ..FlatKernel::default()
        }
    }
}

impl Operation for Zero {
    const KIND: &'static str = "zero";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        vec![Operand::write(&mut self.to)]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 0.0,
            bytes: bytes(area(&self.to)),
        }
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.to.rows, self.to.cols)
    }

    fn sum_length(&self) -> usize {
        0
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Zero> {
        let of = |to| Zero { to, ..self.clone() };
        if self.to.rows == 1 {
            let columns = limits.columns(&self.to, 64);
            return each(columns, |first, count| of(self.to.columns(first, count)));
        }
        let rows = limits.rows(&[self.to], 1);
        each(rows, |first, count| of(self.to.band(first, count)))
    }

    fn place(&mut self, _: Segment) {}
}
