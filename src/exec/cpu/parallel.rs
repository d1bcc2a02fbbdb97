//! Splits rows over the cores. Each row is computed the same way whatever the split, so results do not depend on it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::halves;

/// Runs `f` on one of the pool's threads and keeps the others awake meanwhile, looking for work: to wake one takes as long
/// as some operations do.
pub fn awake<R: Send>(worth: bool, f: impl FnOnce() -> R + Send) -> R {
    /// Ends the wait, whatever ends the work.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let _done = Done(&done);
        let mine = rayon::current_thread_index();
        if worth {
            let done = &done;
            scope.spawn_broadcast(move |_, context| {
                while Some(context.index()) != mine && !done.load(Ordering::Acquire) {
                    if rayon::yield_now() != Some(rayon::Yield::Executed) {
                        // Another program may want this core.
                        std::thread::yield_now();
                    }
                }
            });
        }
        f()
    })
}

/// Fewer elements than this are not worth a second thread.
const WORTH: usize = 1 << 14;

/// Into how many parts to cut work on so many elements.
pub fn parts(elements: usize) -> usize {
    if elements < WORTH {
        1
    } else {
        rayon::current_num_threads()
    }
}

/// Calls `f` with ranges of rows, `stride` elements apart, and the elements from each range's first row on.
pub fn rows<F: Send>(
    values: &mut [F],
    stride: usize,
    rows: usize,
    f: impl Fn(Range<usize>, &mut [F]) + Sync,
) {
    let mut nothing: [u8; 0] = [];
    rows2(
        (values, stride),
        (&mut nothing, 0),
        rows,
        |range, values, _| {
            f(range, values);
        },
    );
}

/// The same for two arrays with the same rows.
pub fn rows2<F: Send, G: Send>(
    first: (&mut [F], usize),
    second: (&mut [G], usize),
    rows: usize,
    f: impl Fn(Range<usize>, &mut [F], &mut [G]) + Sync,
) {
    let parts = parts(rows * first.1);
    rayon::scope(|scope| {
        let (mut a, mut b) = (first.0, second.0);
        let mut ranges = halves(rows, parts).peekable();
        while let Some(range) = ranges.next() {
            let last = ranges.peek().is_none();
            let cut = |stride: usize, len: usize| if last { len } else { range.len() * stride };
            let (mine_a, rest_a) = a.split_at_mut(cut(first.1, a.len()));
            let (mine_b, rest_b) = b.split_at_mut(cut(second.1, b.len()));
            (a, b) = (rest_a, rest_b);
            let f = &f;
            if last {
                f(range, mine_a, mine_b);
            } else {
                scope.spawn(move |_| f(range, mine_a, mine_b));
            }
        }
    });
}

/// Calls `f` with ranges of columns and a row's elements there; each column has so many rows to go through.
pub fn columns<F: Send>(row: &mut [F], rows: usize, f: impl Fn(Range<usize>, &mut [F]) + Sync) {
    let each = row.len().div_ceil(parts(row.len() * rows)).max(1);
    let part = |(n, part): (usize, &mut [F])| f(n * each..n * each + part.len(), part);
    row.par_chunks_mut(each).enumerate().for_each(part);
}

/// Calls `f` with ranges of a flat array and the same ranges of two others, which may be empty.
pub fn flat<F: Send>(
    p: &mut [F],
    a: &mut [F],
    b: &mut [F],
    f: impl Fn(Range<usize>, &mut [F], &mut [F], &mut [F]) + Sync,
) {
    let len = p.len();
    let stride = |other: &[F]| usize::from(!other.is_empty());
    let (sa, sb) = (stride(a), stride(b));
    let parts = parts(len);
    rayon::scope(|scope| {
        let (mut p, mut a, mut b) = (p, a, b);
        for range in halves(len, parts) {
            let n = range.len();
            let (mine_p, rest_p) = p.split_at_mut(n);
            let (mine_a, rest_a) = a.split_at_mut(n * sa);
            let (mine_b, rest_b) = b.split_at_mut(n * sb);
            (p, a, b) = (rest_p, rest_a, rest_b);
            let f = &f;
            scope.spawn(move |_| f(range, mine_p, mine_a, mine_b));
        }
    });
}
