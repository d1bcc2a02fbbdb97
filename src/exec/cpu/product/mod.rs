//! Products of matrices: C = A B or C += A B. The right operand is packed into panels that stay in the caches, the left
//! one strip by strip; a tile of C is summed in vector registers. No sum depends on the number of threads.

mod few;
mod packed;
mod sums;
mod tile;
mod view;

use std::sync::Mutex;

use rayon::prelude::*;

use crate::cell::real::Real;
use sums::{BLOCK, strip_elements};
use tile::{DEEP, tile};

pub use few::{FEW, few_rows};
pub use packed::PackedOperand;
pub use view::View;

/// Multiply-adds that are worth a second thread.
const WORTH: usize = 1 << 18;
/// Elements of B that are packed at a time, so that no copy of a large table is made.
const PACKED: usize = 1 << 21;
/// Rows of B among them where there are more.
const PACKED_ROWS: usize = 8 * DEEP;

/// What products keep from call to call: the packed right operand, and for every thread strips of the left one.
#[derive(Debug)]
pub struct ProductWorkspace<F> {
    packed: PackedOperand<F>,
    strips: Vec<Mutex<Vec<F>>>,
}

/// Elements that a [`ProductWorkspace`] holds after a product of these sizes, but for the rounding to panels.
pub fn room_elements([m, k, n]: [usize; 3]) -> usize {
    if m <= FEW {
        0
    } else {
        (k * n).min(PACKED) + rayon::current_num_threads() * strip_elements(m, k)
    }
}

impl<F: Real> ProductWorkspace<F> {
    /// Nothing packed yet.
    pub fn new() -> ProductWorkspace<F> {
        ProductWorkspace {
            packed: PackedOperand::default(),
            strips: (0..rayon::current_num_threads())
                .map(|_| Mutex::default())
                .collect(),
        }
    }

    /// [`PackedOperand::multiply`] on so many threads.
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

/// C [m, n] = A [m, k] B [k, n], added to C where `accumulate`; on every core where that is worth it. `workspace` is kept from
/// call to call for the packed right operand, and has this one already where `held`; whether it has all of it afterwards is
/// what comes back.
///
/// # Panics
/// When a matrix reaches beyond its slice: a plan's matrices are checked when the plan is built.
pub fn product<F: Real>(
    [m, k, n]: [usize; 3],
    a: View<'_, F>,
    b: View<'_, F>,
    (c, stride): (&mut [F], usize),
    accumulate: bool,
    workspace: &mut ProductWorkspace<F>,
    held: bool,
) -> bool {
    if m == 0 || n == 0 {
        return held;
    }
    let threads = if m * k * n > WORTH {
        rayon::current_num_threads()
    } else {
        1
    };
    assert!(a.holds(m, k) && b.holds(k, n) && View::rows(c, stride).holds(m, n));
    if m <= FEW {
        few_rows([m, k, n], a, b, (c, stride), accumulate, threads);
        return held;
    }
    // What lies behind the last row's last element is nobody's.
    let c = &mut c[..(m - 1) * stride + n];
    let whole = k * n <= PACKED;
    let (deep, wide) = if whole {
        (k.max(1), n)
    } else {
        let deep = k.min(PACKED_ROWS);
        let (panel, _) = tile::<F>();
        (
            deep,
            (PACKED / deep / panel * panel).clamp(panel, n.max(panel)),
        )
    };
    for from in (0..n).step_by(wide) {
        for first in (0..k.max(1)).step_by(deep) {
            let a = a.from(0, first);
            let c = (&mut c[from..], stride);
            let accumulate = accumulate || first > 0;
            let (k, n) = (deep.min(k - first), wide.min(n - from));
            if !(whole && held) {
                workspace
                    .packed
                    .pack(k, n, b.from(first, from), threads > 1);
            }
            workspace.multiply(threads, m, a, c, accumulate);
        }
    }
    whole
}
