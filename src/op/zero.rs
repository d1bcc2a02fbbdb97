//! Zeroes a matrix: the adjoints that no later step has sent yet.

use super::{Cost, Matrix, area, bytes};

/// to = 0.
#[derive(Clone, Debug)]
pub struct Zero {
    /// The name in the plan.
    pub name: String,
    /// What is zeroed.
    pub to: Matrix,
}

impl Zero {
    pub(super) const KIND: &'static str = "zero";

    pub(super) fn reads(&self) -> Vec<Matrix> {
        Vec::new()
    }

    pub(super) fn writes(&self) -> Vec<Matrix> {
        vec![self.to]
    }

    pub(super) fn cost(&self) -> Cost {
        Cost {
            flops: 0.0,
            bytes: bytes(area(&self.to)),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn shape(&self) -> String {
        format!("{} x {}", self.to.rows, self.to.cols)
    }
}
