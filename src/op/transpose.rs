//! A transposed copy, so that the backward products read their weights along memory.

use super::{Cost, Matrix, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// The side of a square that is copied at once.
const SQUARE: usize = 16;

/// to [N, M] = from [M, N] transposed.
#[derive(Clone, Debug)]
pub struct Transpose {
    /// The name in the plan.
    pub name: String,
    /// The matrix [M, N].
    pub from: Matrix,
    /// Its transpose [N, M].
    pub to: Matrix,
}

impl Transpose {
    /// The plain code: these rows of the result.
    pub fn plain<F: Real>(&self, made: std::ops::Range<usize>, from: &[F], to: &mut [F]) {
        // In squares, so that what is read and what is written both stay in the first-level cache.
        for rows in (0..self.from.rows).step_by(SQUARE) {
            for cols in made.clone().step_by(SQUARE) {
                for i in rows..self.from.rows.min(rows + SQUARE) {
                    for j in cols..made.end.min(cols + SQUARE) {
                        to[(j - made.start) * self.to.stride + i] = from[i * self.from.stride + j];
                    }
                }
            }
        }
    }
}

impl Operation for Transpose {
    const KIND: &'static str = "transpose";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        vec![Operand::read(&mut self.from), Operand::write(&mut self.to)]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 0.0,
            bytes: bytes(2 * area(&self.from)),
        }
    }

    fn check(&self) -> Result<(), String> {
        same(
            "result",
            (self.from.cols, self.from.rows),
            (self.to.rows, self.to.cols),
        )
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.from.rows, self.from.cols)
    }

    fn sum_length(&self) -> usize {
        0
    }

    fn place(&mut self, _: Segment) {}
}
