//! Tiles of a product, summed in vector registers.

use pulp::{Simd, WithSimd};

use super::packed::{PackedOperand, at_least};
use super::tile::{DEEP, SOON, TALL, TALL_16, WIDE, prefetch};
use super::view::View;
use crate::cell::real::Real;

/// Rows of a panel that are fetched before they are needed.
const AHEAD: usize = 64;
/// Panels that stream past all strips of a block: with [`DEEP`] terms they stay in a second-level cache.
const NEAR: usize = 12;
/// Rows of A that are packed at a time; they share that cache.
pub const BLOCK: usize = 240;

/// Calls a function of M rows with M as the constant that `rows` is; `more` says, as a constant, whether there may be more
/// than [`TALL_16`].
macro_rules! for_rows {
    ($rows:expr, $more:expr, $f:ident ($($argument:expr),*)) => {
        match $rows {
            1 => $f::<_, 1>($($argument),*),
            2 => $f::<_, 2>($($argument),*),
            3 => $f::<_, 3>($($argument),*),
            4 => $f::<_, 4>($($argument),*),
            5 => $f::<_, 5>($($argument),*),
            6 if $more => $f::<_, 6>($($argument),*),
            7 if $more => $f::<_, 7>($($argument),*),
            8 if $more => $f::<_, 8>($($argument),*),
            9 if $more => $f::<_, 9>($($argument),*),
            10 if $more => $f::<_, 10>($($argument),*),
            11 if $more => $f::<_, 11>($($argument),*),
            _ if $more => $f::<_, TALL>($($argument),*),
            _ => $f::<_, TALL_16>($($argument),*),
        }
    };
}

/// Elements that a thread's strips take for a product of so many rows and terms.
pub fn strip_elements(m: usize, k: usize) -> usize {
    BLOCK.min(m) * DEEP.min(k)
}

impl<F: Real> PackedOperand<F> {
    /// C [m, n] = A [m, k] B, or added to C. C's rows lie `stride` apart. `strips` is where A is packed.
    ///
    /// # Panics
    /// As [`PackedOperand::pack`].
    pub fn multiply(
        &self,
        m: usize,
        a: View<'_, F>,
        (c, stride): (&mut [F], usize),
        accumulate: bool,
        strips: &mut Vec<F>,
    ) {
        assert!(a.holds(m, self.k) && View::rows(c, stride).holds(m, self.n));
        let strips = at_least(strips, strip_elements(m, self.k) + self.tall * self.panel);
        F::widest(Multiply {
            b: self,
            m,
            a,
            c,
            stride,
            accumulate,
            strips,
        });
    }
}

/// `m` rows in strips of at most `tall`, as even as can be: the first row and the number of rows of each.
fn strips(m: usize, tall: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let count = m.div_ceil(tall).max(1);
    let (each, more) = (m / count, m % count);
    (0..count)
        .map(move |i| (i * each + i.min(more), each + usize::from(i < more)))
        .filter(|(_, rows)| *rows > 0)
}

/// A product with a packed right operand, to be dispatched to the widest registers.
struct Multiply<'a, F> {
    b: &'a PackedOperand<F>,
    m: usize,
    a: View<'a, F>,
    c: &'a mut [F],
    stride: usize,
    accumulate: bool,
    strips: &'a mut [F],
}

impl<F: Real> WithSimd for Multiply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (b, a, c) = (self.b, self.a, self.c);
        let (panel, tall) = (b.panel, b.tall);
        let panels = b.n.div_ceil(panel);
        let (packed, edge) = self.strips.split_at_mut(strip_elements(self.m, b.k));
        for start in (0..self.m).step_by(BLOCK) {
            let rows_here = BLOCK.min(self.m - start);
            let block = strips(rows_here, tall);
            for deep in (0..b.k.max(1)).step_by(DEEP) {
                let depth = DEEP.min(b.k - deep);
                let left = a.from(start, deep);
                if a.rows_apart == 1 {
                    // Term by term through all strips, so that what lies side by side is read in one go.
                    for p in 0..depth {
                        let column = &left.values[p * a.cols_apart..];
                        let later = column.as_ptr().wrapping_add(SOON * a.cols_apart);
                        for line in (0..rows_here).step_by(64 / size_of::<F>()) {
                            prefetch(later.wrapping_add(line), false);
                        }
                        for (first, rows) in block.clone() {
                            let to = &mut packed[first * depth + p * rows..];
                            for_rows!(rows, S::REGISTER_COUNT >= 32, copy(&column[first..], to));
                        }
                    }
                } else {
                    for (first, rows) in block.clone() {
                        let to = &mut packed[first * depth..(first + rows) * depth];
                        for_rows!(
                            rows,
                            S::REGISTER_COUNT >= 32,
                            transpose(to, depth, left.from(first, 0))
                        );
                    }
                }
                let add = self.accumulate || deep > 0;
                for near in (0..panels).step_by(NEAR) {
                    for (first, rows) in block.clone() {
                        let left = &packed[first * depth..(first + rows) * depth];
                        for nth in near..panels.min(near + NEAR) {
                            let at = (deep * panels + nth * depth) * panel;
                            let right = &b.values[at..at + depth * panel];
                            let columns = panel.min(b.n - nth * panel);
                            let out = &mut c[(start + first) * self.stride + nth * panel..];
                            // One call: it is compiled for every number of rows and every set of instructions.
                            let (to, stride, add_here) = if columns == panel {
                                (&mut *out, self.stride, add)
                            } else {
                                (&mut *edge, panel, false)
                            };
                            for_rows!(
                                rows,
                                S::REGISTER_COUNT >= 32,
                                sums(simd, left, right, to, stride, add_here)
                            );
                            if columns < panel {
                                let edge = edge.chunks(panel);
                                for (out, sums) in out.chunks_mut(self.stride).zip(edge).take(rows)
                                {
                                    for (out, sum) in out[..columns].iter_mut().zip(sums) {
                                        *out = if add { *out + *sum } else { *sum };
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first M elements.
#[inline(always)]
fn copy<F: Real, const M: usize>(from: &[F], to: &mut [F]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<M>(), from.first_chunk::<M>()) {
        *to = *from;
    }
}

/// M rows, term by term.
#[inline(always)]
fn transpose<F: Real, const M: usize>(to: &mut [F], depth: usize, a: View<'_, F>) {
    let to = to.as_chunks_mut::<M>().0;
    if a.cols_apart != 1 {
        for (p, to) in to.iter_mut().enumerate() {
            for (i, to) in to.iter_mut().enumerate() {
                *to = a.values[i * a.rows_apart + p * a.cols_apart];
            }
        }
        return;
    }
    let mut rows: [&[F]; M] = [&[]; M];
    for (i, row) in rows.iter_mut().enumerate() {
        *row = &a.values[i * a.rows_apart..][..depth];
    }
    for (p, to) in to.iter_mut().enumerate().take(depth) {
        for i in 0..M {
            to[i] = rows[i][p];
        }
    }
}

/// The sums of M rows and [`WIDE`] registers of columns, kept in registers.
#[inline(always)]
fn sums<F: Real, const M: usize>(
    simd: impl Simd,
    left: &[F],
    right: &[F],
    out: &mut [F],
    stride: usize,
    add: bool,
) {
    let mut sums = [[F::splat(simd, F::ZERO); WIDE]; M];
    // Sums that iterators never see stay in registers without a link-time optimiser, too.
    for i in 0..M {
        let out = F::registers(simd, &out[i * stride..]).0;
        for j in 0..WIDE {
            // What is written later is fetched while the sums are made; without this a tile waits for memory.
            prefetch(&raw const out[j], true);
            if add {
                sums[i][j] = out[j];
            }
        }
    }
    let (left, _) = left.as_chunks::<M>();
    let (right, _) = F::registers(simd, right).0.as_chunks::<WIDE>();
    for (a, b) in left.iter().zip(right) {
        // Panels come from the second-level cache, and its own guess comes too late.
        for b in b {
            prefetch((&raw const *b).wrapping_add(AHEAD * WIDE), false);
        }
        for i in 0..M {
            let x = F::splat(simd, a[i]);
            for j in 0..WIDE {
                sums[i][j] = F::fused(simd, x, b[j], sums[i][j]);
            }
        }
    }
    for i in 0..M {
        let out = F::registers_mut(simd, &mut out[i * stride..]).0;
        #[allow(clippy::manual_memcpy)]
        for j in 0..WIDE {
            out[j] = sums[i][j];
        }
    }
}
