//! Products of matrices: C = A B or C += A B. The right operand is packed into panels that stay in the caches, the left
//! one strip by strip; a tile of C is summed in vector registers. No sum depends on the number of threads.

use std::sync::Mutex;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cell::lanes::Lanes;
use crate::cell::real::Real;

/// Registers of columns in a tile of C.
const WIDE: usize = 2;
/// Rows in a tile of C, at most: with [`WIDE`] columns and the operands they fill 32 registers, which AVX-512 and NEON
/// have.
const TALL: usize = 12;
/// The same for sixteen registers.
const TALL_16: usize = 6;
/// Terms that are summed in one go: a strip of this depth stays in a first-level cache while panels stream past it.
const DEEP: usize = 512;
/// Rows of a panel that are fetched before they are needed.
const AHEAD: usize = 64;
/// Panels that stream past all strips of a block: with [`DEEP`] terms they stay in a second-level cache.
const NEAR: usize = 12;
/// Panels that are packed at a time.
const ABREAST: usize = 8;
/// Rows of B, or columns of a transposed A, that are fetched before they are packed.
const SOON: usize = 8;
/// Rows of A that are packed at a time; they share that cache.
const BLOCK: usize = 240;
/// Multiply-adds that are worth a second thread.
const WORTH: usize = 1 << 18;
/// Rows up to which packing B does not pay: each of its elements is used too seldom.
pub const FEW: usize = 4;
/// Elements of B that are packed at a time, so that no copy of a large table is made.
const PACKED: usize = 1 << 21;
/// Rows of B among them where there are more.
const PACKED_ROWS: usize = 8 * DEEP;

/// A matrix in memory: element (i, j) lies at `i * rows_apart + j * cols_apart`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, F> {
    /// The elements from the first one on.
    values: &'a [F],
    /// Elements from one row to the next.
    rows_apart: usize,
    /// Elements from one column to the next.
    cols_apart: usize,
}

impl<'a, F> View<'a, F> {
    /// Rows one after another, `stride` apart.
    pub fn rows(values: &'a [F], stride: usize) -> View<'a, F> {
        View {
            values,
            rows_apart: stride,
            cols_apart: 1,
        }
    }

    /// The transpose of rows that lie `stride` apart.
    pub fn transposed(values: &'a [F], stride: usize) -> View<'a, F> {
        View {
            values,
            rows_apart: 1,
            cols_apart: stride,
        }
    }

    /// The matrix from an element on.
    fn from(self, row: usize, column: usize) -> View<'a, F> {
        let at = row * self.rows_apart + column * self.cols_apart;
        View {
            values: &self.values[at.min(self.values.len())..],
            ..self
        }
    }

    /// Whether all elements of an m x n matrix lie inside.
    fn holds(&self, m: usize, n: usize) -> bool {
        m == 0
            || n == 0
            || (m - 1) * self.rows_apart + (n - 1) * self.cols_apart < self.values.len()
    }
}

/// How many columns a panel has, and rows a tile at most, with this processor's registers.
fn tile<F: Lanes>() -> (usize, usize) {
    struct Ask;
    impl WithSimd for Ask {
        type Output = (usize, usize);
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
            let tall = match S::REGISTER_COUNT {
                32.. => TALL,
                _ => TALL_16,
            };
            // In bytes, so that it serves every number type.
            (WIDE * size_of::<S::f32s>(), tall)
        }
    }
    let (bytes, tall) = pulp::Arch::new().dispatch(Ask);
    (bytes / size_of::<F>(), tall)
}

/// Calls a function of M rows with M as the constant that `rows` is.
macro_rules! for_rows {
    ($rows:expr, $f:ident ($($argument:expr),*)) => {
        match $rows {
            1 => $f::<_, 1>($($argument),*),
            2 => $f::<_, 2>($($argument),*),
            3 => $f::<_, 3>($($argument),*),
            4 => $f::<_, 4>($($argument),*),
            5 => $f::<_, 5>($($argument),*),
            6 => $f::<_, 6>($($argument),*),
            7 => $f::<_, 7>($($argument),*),
            8 => $f::<_, 8>($($argument),*),
            9 => $f::<_, 9>($($argument),*),
            10 => $f::<_, 10>($($argument),*),
            11 => $f::<_, 11>($($argument),*),
            _ => $f::<_, TALL>($($argument),*),
        }
    };
}

/// A right operand in panels: for every [`DEEP`] rows, for every panel of columns, row by row; the last panel is filled
/// up with zeros.
#[derive(Clone, Debug, Default)]
pub struct Packed<F> {
    values: Vec<F>,
    k: usize,
    n: usize,
    /// Columns of a panel.
    panel: usize,
    /// Rows of a tile, at most.
    tall: usize,
}

impl<F: Real> Packed<F> {
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
                let first = nth * ABREAST * panel;
                let columns = (ABREAST * panel).min(n - first);
                pack_panels(to, (depth, panel), columns, b.from(block * DEEP, first));
            };
            let each = ABREAST * depth * panel;
            match parallel && depth * n > 1 << 14 {
                true => values.par_chunks_mut(each).enumerate().for_each(fill),
                false => values.chunks_mut(each).enumerate().for_each(fill),
            }
        }
    }

    /// C [m, n] = A [m, k] B, or added to C. C's rows lie `stride` apart. `strips` is room to pack A in.
    ///
    /// # Panics
    /// As [`Packed::pack`].
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
        pulp::Arch::new().dispatch(Multiply {
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

/// What products keep from call to call: the packed right operand, and for every thread strips of the left one.
#[derive(Debug)]
pub struct Room<F> {
    packed: Packed<F>,
    strips: Vec<Mutex<Vec<F>>>,
}

/// Elements that a thread's strips take for a product of so many rows and terms.
fn strip_elements(m: usize, k: usize) -> usize {
    BLOCK.min(m) * DEEP.min(k)
}

/// Elements that a [`Room`] holds after a product of these sizes, but for the rounding to panels.
pub fn room_elements([m, k, n]: [usize; 3]) -> usize {
    match m <= FEW {
        true => 0,
        false => (k * n).min(PACKED) + rayon::current_num_threads() * strip_elements(m, k),
    }
}

impl<F: Real> Room<F> {
    /// Nothing packed yet.
    pub fn new() -> Room<F> {
        Room {
            packed: Packed::default(),
            strips: (0..rayon::current_num_threads())
                .map(|_| Mutex::default())
                .collect(),
        }
    }

    /// [`Packed::multiply`] on so many threads.
    fn multiply(
        &self,
        threads: usize,
        m: usize,
        a: View<'_, F>,
        (c, stride): (&mut [F], usize),
        accumulate: bool,
    ) {
        // A few tasks for each thread, so that none waits long for the slowest; each a whole number of tiles.
        let each = match threads {
            1 => m,
            _ => {
                let tasks = threads * m.div_ceil(threads * BLOCK);
                m.div_ceil(tasks).next_multiple_of(self.packed.tall)
            }
        };
        let run = |(nth, c): (usize, &mut [F])| {
            let rows = each.min(m - nth * each);
            let a = a.from(nth * each, 0);
            // A thread has one task at a time, so nobody waits here.
            let mine = rayon::current_thread_index().unwrap_or(0) % self.strips.len();
            let mut strips = self.strips[mine].lock().unwrap_or_else(|e| e.into_inner());
            self.packed
                .multiply(rows, a, (c, stride), accumulate, &mut strips);
        };
        match threads {
            1 => run((0, c)),
            _ => c.par_chunks_mut(each * stride).enumerate().for_each(run),
        }
    }
}

/// The first `count` elements of what is kept for them, whatever they are; it only grows, as filling it anew costs time.
fn at_least<F: Real>(values: &mut Vec<F>, count: usize) -> &mut [F] {
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
    b: &'a Packed<F>,
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
        let (packed, edge) = { self.strips }.split_at_mut(strip_elements(self.m, b.k));
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
                            for_rows!(rows, copy(&column[first..], to));
                        }
                    }
                } else {
                    for (first, rows) in block.clone() {
                        let to = &mut packed[first * depth..(first + rows) * depth];
                        for_rows!(rows, transpose(to, depth, left.from(first, 0)));
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
                            let (to, stride, add_here) = match columns == panel {
                                true => (&mut *out, self.stride, add),
                                false => (&mut *edge, panel, false),
                            };
                            for_rows!(rows, sums(simd, left, right, to, stride, add_here));
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
            *to = std::array::from_fn(|i| a.values[i * a.rows_apart + p * a.cols_apart]);
        }
        return;
    }
    let rows: [&[F]; M] = std::array::from_fn(|i| &a.values[i * a.rows_apart..][..depth]);
    for (p, to) in to.iter_mut().enumerate().take(depth) {
        for i in 0..M {
            to[i] = rows[i][p];
        }
    }
}

/// Asks for the cache line at an address, which need not be in any object, to be written where `write`.
#[inline(always)]
fn prefetch<T>(at: *const T, write: bool) {
    // SAFETY: a prefetch reads and writes nothing and cannot fault, whatever the address; every processor that has this
    // instruction set has it.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
        match write {
            true => _mm_prefetch::<_MM_HINT_ET0>(at.cast()),
            false => _mm_prefetch::<_MM_HINT_T0>(at.cast()),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, write);
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
    for (i, sums) in sums.iter_mut().enumerate() {
        let out = F::registers(simd, &out[i * stride..]).0;
        for (out, sum) in out.iter().zip(sums) {
            // What is written later is fetched while the sums are made; without this a tile waits for memory.
            prefetch(out, true);
            if add {
                *sum = *out;
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
    for (i, sums) in sums.iter().enumerate() {
        let out = F::registers_mut(simd, &mut out[i * stride..]).0;
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = *sum;
        }
    }
}

/// C [m, n] = A [m, k] B [k, n], added to C where `accumulate`; on every core where that is worth it. `room` is kept from
/// call to call for the packed right operand.
///
/// # Panics
/// When a matrix reaches beyond its slice: a plan's matrices are checked when the plan is built.
pub fn product<F: Real>(
    [m, k, n]: [usize; 3],
    a: View<'_, F>,
    b: View<'_, F>,
    (c, stride): (&mut [F], usize),
    accumulate: bool,
    room: &mut Room<F>,
) {
    if m == 0 || n == 0 {
        return;
    }
    let threads = match m * k * n > WORTH {
        true => rayon::current_num_threads(),
        false => 1,
    };
    assert!(a.holds(m, k) && b.holds(k, n) && View::rows(c, stride).holds(m, n));
    if m <= FEW {
        few_rows([m, k, n], a, b, (c, stride), accumulate, threads);
        return;
    }
    // What lies behind the last row's last element is nobody's.
    let c = &mut c[..(m - 1) * stride + n];
    let (deep, wide) = match k * n <= PACKED {
        true => (k.max(1), n),
        false => {
            let deep = k.min(PACKED_ROWS);
            let (panel, _) = tile::<F>();
            (
                deep,
                (PACKED / deep / panel * panel).clamp(panel, n.max(panel)),
            )
        }
    };
    for from in (0..n).step_by(wide) {
        for first in (0..k.max(1)).step_by(deep) {
            let a = a.from(0, first);
            let c = (&mut c[from..], stride);
            let accumulate = accumulate || first > 0;
            let (k, n) = (deep.min(k - first), wide.min(n - from));
            room.packed.pack(k, n, b.from(first, from), threads > 1);
            room.multiply(threads, m, a, c, accumulate);
        }
    }
}

/// [`product`] of very few rows, which reads each element of B once, where it lies.
pub fn few_rows<F: Real>(
    [m, k, n]: [usize; 3],
    a: View<'_, F>,
    b: View<'_, F>,
    (c, stride): (&mut [F], usize),
    accumulate: bool,
    threads: usize,
) {
    let mut left = vec![F::ZERO; m * k];
    for i in 0..m {
        for p in 0..k {
            left[i * k + p] = a.values[i * a.rows_apart + p * a.cols_apart];
        }
    }
    let left = &left;
    let each = n.div_ceil(threads).next_multiple_of(16);
    for i in 0..m {
        let a = &left[i * k..(i + 1) * k];
        let out = &mut c[i * stride..][..n];
        out.par_chunks_mut(each).enumerate().for_each(|(nth, out)| {
            pulp::Arch::new().dispatch(Row {
                a,
                b,
                first: nth * each,
                out,
                accumulate,
            });
        });
    }
}

/// A part of one row of C.
struct Row<'a, F> {
    a: &'a [F],
    b: View<'a, F>,
    /// The first column.
    first: usize,
    out: &'a mut [F],
    accumulate: bool,
}

impl<F: Real> WithSimd for Row<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (b, n) = (self.b, self.out.len());
        if !self.accumulate {
            self.out.fill(F::ZERO);
        }
        if b.cols_apart == 1 {
            for (p, x) in self.a.iter().enumerate() {
                let row = &b.values[p * b.rows_apart + self.first..][..n];
                for (out, b) in self.out.iter_mut().zip(row) {
                    *out = x.mul_add(*b, *out);
                }
            }
            return;
        }
        for (j, out) in self.out.iter_mut().enumerate() {
            let from = (self.first + j) * b.cols_apart;
            if b.rows_apart == 1 {
                *out += dot(simd, self.a, &b.values[from..from + self.a.len()]);
            } else {
                for (p, x) in self.a.iter().enumerate() {
                    *out = x.mul_add(b.values[from + p * b.rows_apart], *out);
                }
            }
        }
    }
}

/// The sum of products of two vectors.
#[inline(always)]
fn dot<F: Real, S: Simd>(simd: S, a: &[F], b: &[F]) -> F {
    let ((a, a_rest), (b, b_rest)) = (F::registers(simd, a), F::registers(simd, b));
    let mut sums = [F::splat(simd, F::ZERO); 4];
    let ((a4, a), (b4, b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (a, b) in a4.iter().zip(b4) {
        for i in 0..4 {
            sums[i] = F::fused(simd, a[i], b[i], sums[i]);
        }
    }
    for (a, b) in a.iter().zip(b) {
        sums[0] = F::fused(simd, *a, *b, sums[0]);
    }
    let [w, x, y, z] = sums;
    let sum = F::sum(simd, F::sum(simd, w, x), F::sum(simd, y, z));
    let rest = a_rest.iter().zip(b_rest);
    rest.fold(F::across(simd, sum), |sum, (a, b)| a.mul_add(*b, sum))
}
