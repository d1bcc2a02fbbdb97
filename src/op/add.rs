//! Adds a matrix to another, or copies it; also with the steps in reverse order.

use super::{Cost, Matrix, area, bytes, same};
use crate::cell::real::Real;

/// to = from, or to += from.
#[derive(Clone, Debug)]
pub struct Add {
    /// The name in the plan.
    pub name: String,
    /// What is added or copied.
    pub from: Matrix,
    /// The result.
    pub to: Matrix,
    /// Whether it is added to what `to` holds.
    pub accumulate: bool,
    /// Rows of a step, B, where the steps are taken in reverse order.
    pub flip: Option<usize>,
}

impl Add {
    pub(super) const KIND: &'static str = "add";

    pub(super) fn reads(&self) -> Vec<Matrix> {
        vec![self.from]
    }

    pub(super) fn writes(&self) -> Vec<Matrix> {
        vec![self.to]
    }

    pub(super) fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.to) as f64,
            bytes: bytes(2 * area(&self.to)),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        same(
            "result",
            (self.from.rows, self.from.cols),
            (self.to.rows, self.to.cols),
        )
    }

    pub(super) fn shape(&self) -> String {
        format!("{} x {}", self.to.rows, self.to.cols)
    }

    /// The row of `from` that goes to row `r`.
    fn source_row(&self, r: usize) -> usize {
        match self.flip {
            None => r,
            Some(b) => self.to.rows - b - r / b * b + r % b,
        }
    }

    /// The plain code.
    pub fn plain<F: Real>(&self, from: &[F], to: &mut [F]) {
        for r in 0..self.to.rows {
            let source = self.source_row(r);
            for c in 0..self.to.cols {
                let x = from[source * self.from.stride + c];
                let out = &mut to[r * self.to.stride + c];
                *out = if self.accumulate { *out + x } else { x };
            }
        }
    }
}
