//! The one door to the `gemm` crate: C = A B or C += A B over strided matrices, checked before raw pointers are made.

use crate::cell::real::Real;

/// A matrix in memory: element (i, j) lies at `i * rows_apart + j * cols_apart`.
#[derive(Clone, Copy, Debug)]
pub struct Strides {
    /// Elements from one row to the next.
    pub rows_apart: usize,
    /// Elements from one column to the next.
    pub cols_apart: usize,
}

impl Strides {
    /// Rows one after another, `stride` apart.
    pub fn rows(stride: usize) -> Strides {
        Strides {
            rows_apart: stride,
            cols_apart: 1,
        }
    }

    /// The transpose of rows that lie `stride` apart.
    pub fn transposed(stride: usize) -> Strides {
        Strides {
            rows_apart: 1,
            cols_apart: stride,
        }
    }

    /// One past the last element of an m x n matrix.
    fn end(&self, m: usize, n: usize) -> usize {
        if m == 0 || n == 0 {
            return 0;
        }
        (m - 1) * self.rows_apart + (n - 1) * self.cols_apart + 1
    }
}

/// C [m, n] = A [m, k] B [k, n], added to C where `accumulate`; on every core where `parallel` and worth it.
///
/// # Panics
/// When a matrix reaches beyond its slice: a plan's matrices are checked when the plan is built.
pub fn product<F: Real>(
    [m, k, n]: [usize; 3],
    (a, sa): (&[F], Strides),
    (b, sb): (&[F], Strides),
    (c, sc): (&mut [F], Strides),
    accumulate: bool,
    parallel: bool,
) {
    assert!(sa.end(m, k) <= a.len() && sb.end(k, n) <= b.len() && sc.end(m, n) <= c.len());
    let threads = if parallel && m * k * n > 1 << 18 {
        gemm::Parallelism::Rayon(0)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: the assertion above keeps every element that `gemm` touches inside the three slices, C is borrowed
    // mutably so it overlaps neither A nor B, and its rows do not overlap since a plan's strides are at least the width.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            sc.cols_apart as isize,
            sc.rows_apart as isize,
            accumulate,
            a.as_ptr(),
            sa.cols_apart as isize,
            sa.rows_apart as isize,
            b.as_ptr(),
            sb.cols_apart as isize,
            sb.rows_apart as isize,
            F::ONE,
            F::ONE,
            false,
            false,
            false,
            threads,
        );
    }
}
