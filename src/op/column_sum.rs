//! Sums of columns over all rows: the gradient of a bias or of a peephole.

use super::{Control, Cost, Matrix, SlotId, area, bytes, same};
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
    pub(super) const KIND: &'static str = "column_sum";

    pub(super) fn reads(&self) -> Vec<Matrix> {
        let control = self
            .reset_only
            .map(|c| super::gather::words(c, Control::WORDS));
        [self.from].into_iter().chain(control).collect()
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
