//! Zeroes a matrix: the adjoints that no later step has sent yet.

use super::{Cost, Matrix, Operand, Operation, Segment, area, bytes};

/// to = 0.
#[derive(Clone, Debug)]
pub struct Zero {
    /// The name in the plan.
    pub name: String,
    /// What is zeroed.
    pub to: Matrix,
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

    fn place(&mut self, _: Segment) {}
}
