//! The right operand of a product, in panels.

use rayon::prelude::*;

use super::tile::{DEEP, SOON, prefetch, tile};
use super::view::View;
use crate::cell::real::Real;

/// Panels that are packed at a time.
const AT_ONCE: usize = 8;

/// A right operand in panels: for every [`DEEP`] rows, for every panel of columns, row by row; the last panel is filled
/// up with zeros.
#[derive(Clone, Debug, Default)]
pub struct PackedOperand<F> {
    pub(super) values: Vec<F>,
    pub(super) k: usize,
    pub(super) n: usize,
    /// Columns of a panel.
    pub(super) panel: usize,
    /// Rows of a tile, at most.
    pub(super) tall: usize,
}

impl<F: Real> PackedOperand<F> {
    /// Packs the k x n matrix `b` in place of what was packed; on every core where `parallel`.
    ///
    /// # Panics
    /// When the matrix reaches beyond its slice: a plan's matrices are checked when the plan is built.
    pub fn pack(&mut self, k: usize, n: usize, b: View<'_, F>, parallel: bool) {
        assert!(b.holds(k, n));
        (self.panel, self.tall) = tile::<F>();
        (self.k, self.n) = (k, n);
        let panel = self.panel;
        let values = at_least(&mut self.values, k * n.next_multiple_of(panel));
        let blocks = values.chunks_mut((DEEP * n.next_multiple_of(panel)).max(1));
        for (block, values) in blocks.enumerate() {
            let depth = DEEP.min(k - block * DEEP);
            let fill = |(nth, to): (usize, &mut [F])| {
                let first = nth * AT_ONCE * panel;
                let columns = (AT_ONCE * panel).min(n - first);
                pack_panels(to, (depth, panel), columns, b.from(block * DEEP, first));
            };
            let each = AT_ONCE * depth * panel;
            if parallel && depth * n > 1 << 14 {
                values.par_chunks_mut(each).enumerate().for_each(fill)
            } else {
                values.chunks_mut(each).enumerate().for_each(fill)
            }
        }
    }
}

/// The first `count` elements of what is kept for them, whatever they are; it only grows, as filling it anew costs time.
pub fn at_least<F: Real>(values: &mut Vec<F>, count: usize) -> &mut [F] {
    if values.len() < count {
        values.resize(count, F::ZERO);
    }
    &mut values[..count]
}

/// Panels side by side: `columns` columns of `b`, `depth` rows.
fn pack_panels<F: Real>(
    to: &mut [F],
    (depth, panel): (usize, usize),
    columns: usize,
    b: View<'_, F>,
) {
    if b.cols_apart != 1 {
        for (nth, to) in to.chunks_mut(depth * panel).enumerate() {
            let columns = panel.min(columns - nth * panel);
            pack_columns(to, panel, columns, b.from(0, nth * panel));
        }
        return;
    }
    // Row by row through all panels, so that what lies side by side is read in one go.
    for p in 0..depth {
        let from = &b.values[p * b.rows_apart..];
        let later = from.as_ptr().wrapping_add(SOON * b.rows_apart);
        for line in (0..columns).step_by(64 / size_of::<F>()) {
            prefetch(later.wrapping_add(line), false);
        }
        for (nth, from) in from[..columns].chunks(panel).enumerate() {
            let to = &mut to[(nth * depth + p) * panel..][..panel];
            let (to, rest) = to.split_at_mut(from.len());
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
            rest.fill(F::ZERO);
        }
    }
}

/// A panel of which the columns, or nothing, lie side by side.
fn pack_columns<F: Real>(to: &mut [F], panel: usize, columns: usize, b: View<'_, F>) {
    // Columns are contiguous: a few rows at a time, so that what is written stays in the cache.
    for (nth, rows) in to.chunks_mut(16 * panel).enumerate() {
        let count = rows.len() / panel;
        for j in 0..columns {
            let from = nth * 16 * b.rows_apart + j * b.cols_apart;
            if b.rows_apart == 1 {
                for (p, x) in b.values[from..from + count].iter().enumerate() {
                    rows[p * panel + j] = *x;
                }
            } else {
                for p in 0..count {
                    rows[p * panel + j] = b.values[from + p * b.rows_apart];
                }
            }
        }
        for row in rows.chunks_mut(panel) {
            row[columns..].fill(F::ZERO);
        }
    }
}
