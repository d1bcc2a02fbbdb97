//! Sums of columns over all rows: the gradient of a bias or of a peephole.

use super::split::each;
use super::{
    Control, Cost, Limits, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same,
};
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
    /// The control words, where the sums count only if the states were reset, and are 0 else.
    pub reset_only: Option<SlotId>,
}

impl ColumnSum {
    /// The plain code for these columns: row after row, or none where the sums do not count.
    #[inline(always)]
    pub fn plain<F: Real>(
        &self,
        counted: bool,
        columns: std::ops::Range<usize>,
        from: &[F],
        into: &mut [F],
    ) {
        if !self.accumulate {
            into.fill(F::ZERO);
        }
        let width = columns.len();
        let into = &mut into[..width];
        let row = |r: usize| {
            let at = r * self.from.stride;
            &from[at + columns.start..][..width]
        };
        // Four rows at a time, one after another into each sum: the sums are fetched a quarter as often.
        let rows = if counted { self.from.rows } else { 0 };
        for r in (0..rows / 4 * 4).step_by(4) {
            let (a, b, c, d) = (row(r), row(r + 1), row(r + 2), row(r + 3));
            for i in 0..width {
                into[i] = into[i] + a[i] + b[i] + c[i] + d[i];
            }
        }
        for r in rows / 4 * 4..rows {
            let row = row(r);
            for i in 0..width {
                into[i] += row[i];
            }
        }
    }
}

impl Operation for ColumnSum {
    const KIND: &'static str = "column_sum";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let mut operands = vec![
            Operand::read(&mut self.from),
            Operand::accumulate(&mut self.into, &mut self.accumulate).sum(),
        ];
        let control = self.reset_only;
        operands.extend(control.map(|c| Operand::slot(c, Control::WORDS)));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.from) as f64,
            bytes: bytes(area(&self.from)),
        }
    }

    fn check(&self) -> Result<(), String> {
        same(
            "result",
            (1, self.from.cols),
            (self.into.rows, self.into.cols),
        )
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.from.rows, self.from.cols)
    }

    fn sum_length(&self) -> usize {
        self.from.rows
    }

    fn split(&self, limits: &dyn Limits) -> Vec<ColumnSum> {
        each(limits.rows(&[self.from], 1), |first, count| ColumnSum {
            from: self.from.band(first, count),
            accumulate: self.accumulate || first > 0,
            ..self.clone()
        })
    }

    fn place(&mut self, _: Segment) {}
}
