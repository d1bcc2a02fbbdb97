//! Adds a matrix to another, or copies it; also with the steps in reverse order.

use std::ops::Range;

use super::split::each;
use super::{Cost, FlatKernel, Limits, Matrix, Operand, Operation, Segment, area, bytes, same};
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

impl Add {
    /// Its kernel.
    pub fn kernel(&self) -> FlatKernel {
        FlatKernel {
            flags: vec![
                ("ACCUMULATE", self.accumulate),
                ("FLIP", self.flip.is_some()),
            ],
            sizes: vec![("BATCH", self.flip.unwrap_or(1))],
            matrices: vec![("from", self.from), ("to", self.to)],
            rows: self.to.rows,
            ..FlatKernel::default()
        }
    }
}

impl Operation for Add {
    const KIND: &'static str = "add";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        vec![
            Operand::read(&mut self.from),
            Operand::accumulate(&mut self.to, &mut self.accumulate),
        ]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.to) as f64,
            bytes: bytes(2 * area(&self.to)),
        }
    }

    fn check(&self) -> Result<(), String> {
        same(
            "result",
            (self.from.rows, self.from.cols),
            (self.to.rows, self.to.cols),
        )
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.to.rows, self.to.cols)
    }

    fn sum_length(&self) -> usize {
        1
    }

    fn band(&self, rows: Range<usize>) -> Option<Add> {
        self.flip.is_none().then(|| Add {
            from: self.from.band(rows.start, rows.len()),
            to: self.to.band(rows.start, rows.len()),
            ..self.clone()
        })
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Add> {
        let rows = limits.rows(&[self.from, self.to], self.flip.unwrap_or(1));
        each(rows, |first, count| {
            // In reverse order the first rows come from the last ones.
            let source = match self.flip {
                Some(_) => self.from.rows - first - count,
                None => first,
            };
            Add {
                from: self.from.band(source, count),
                to: self.to.band(first, count),
                ..self.clone()
            }
        })
    }

    fn place(&mut self, _: Segment) {}
}
