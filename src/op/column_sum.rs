//! Sums of columns over all rows: the gradient of a bias or of a peephole.

use super::{Cost, Matrix, area, bytes, same};
use crate::cell::real::Real;

/// into [1, N] = sums over the rows of from [R, N].
#[derive(Clone, Debug)]
pub struct ColumnSum {
    /// The name in the plan.
    pub name: String,
    /// The rows.
    pub from: Matrix,
    /// The sums.
    pub into: Matrix,
    /// Whether the sums are added to what `into` holds.
    pub accumulate: bool,
}

impl ColumnSum {
    pub(super) const KIND: &'static str = "column_sum";

    pub(super) fn reads(&self) -> Vec<Matrix> {
        vec![self.from]
    }

    pub(super) fn writes(&self) -> Vec<Matrix> {
        vec![self.into]
    }

    pub(super) fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.from) as f64,
            bytes: bytes(area(&self.from)),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        same(
            "result",
            (1, self.from.cols),
            (self.into.rows, self.into.cols),
        )
    }

    pub(super) fn shape(&self) -> String {
        format!("{} x {}", self.from.rows, self.from.cols)
    }

    /// The plain code: row after row.
    #[inline(always)]
    pub fn plain<F: Real>(&self, from: &[F], into: &mut [F]) {
        let into = &mut into[..self.into.cols];
        if !self.accumulate {
            into.fill(F::ZERO);
        }
        for r in 0..self.from.rows {
            let at = r * self.from.stride;
            for (sum, x) in into.iter_mut().zip(&from[at..at + self.from.cols]) {
                *sum += *x;
            }
        }
    }
}
