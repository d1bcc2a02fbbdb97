//! Where a matrix lies in memory.

/// A matrix in memory: element (i, j) lies at `i * rows_apart + j * cols_apart`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, F> {
    /// The elements from the first one on.
    pub(super) values: &'a [F],
    /// Elements from one row to the next.
    pub(super) rows_apart: usize,
    /// Elements from one column to the next.
    pub(super) cols_apart: usize,
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
    pub fn from(self, row: usize, column: usize) -> View<'a, F> {
        let at = row * self.rows_apart + column * self.cols_apart;
        View {
            values: &self.values[at.min(self.values.len())..],
            ..self
        }
    }

    /// Whether all elements of an m x n matrix lie inside.
    pub(super) fn holds(&self, m: usize, n: usize) -> bool {
        m == 0
            || n == 0
            || (m - 1) * self.rows_apart + (n - 1) * self.cols_apart < self.values.len()
    }
}
