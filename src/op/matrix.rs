//! Matrices within slots: the rows and columns that operations touch.

use super::SlotId;

/// A matrix within a slot: `rows` rows of `cols` elements, `stride` elements apart, from element `offset` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The slot.
    pub slot: SlotId,
    /// Its first element.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Elements from one row to the next, at least `cols`.
    pub stride: usize,
    /// Where a run says how many of the rows, from the first on, count in it; all where absent.
    pub row_count: Option<RowCount>,
}

/// A number that the host gives with every run: how many rows of a matrix count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowCount {
    /// The plan's slot of counts.
    pub slot: SlotId,
    /// Its word.
    pub word: usize,
    /// How many of the rows that it counts lie before the matrix's first one.
    pub before: usize,
}

impl RowCount {
    /// How many rows count of the `most` that a matrix has, where the host's number is `count`.
    pub fn rows(&self, most: usize, count: u32) -> usize {
        most.min((count as usize).saturating_sub(self.before))
    }
}

impl Matrix {
    /// `rows` rows of `cols` elements, one after another from the slot's first element on.
    pub fn new(slot: SlotId, rows: usize, cols: usize) -> Matrix {
        Matrix {
            slot,
            offset: 0,
            rows,
            cols,
            stride: cols,
            row_count: None,
        }
    }

    /// Columns `from .. from + cols` of this matrix.
    pub fn columns(self, from: usize, cols: usize) -> Matrix {
        debug_assert!(from + cols <= self.cols);
        Matrix {
            offset: self.offset + from,
            cols,
            ..self
        }
    }

    /// Rows `from .. from + rows` of this matrix.
    pub fn band(self, from: usize, rows: usize) -> Matrix {
        debug_assert!(from + rows <= self.rows);
        Matrix {
            offset: self.offset + from * self.stride,
            rows,
            row_count: self.row_count.map(|row_count| RowCount {
                before: row_count.before + from,
                ..row_count
            }),
            ..self
        }
    }

    /// The same with all rows, however many a run counts.
    pub fn uncounted(self) -> Matrix {
        Matrix {
            row_count: None,
            ..self
        }
    }

    /// One past the last element that it touches.
    pub fn end(&self) -> usize {
        self.offset + self.rows.saturating_sub(1) * self.stride + self.cols
    }

    /// Whether it may have an element in common with `other`.
    pub fn meets(&self, other: &Matrix) -> bool {
        let near =
            self.slot == other.slot && self.offset < other.end() && other.offset < self.end();
        let columns = |m: &Matrix| {
            let first = m.offset % m.stride.max(1);
            first..first + m.cols
        };
        let (own, others) = (columns(self), columns(other));
        let rows = self.stride == other.stride && own.end.max(others.end) <= self.stride;
        near && !(rows && (own.end <= others.start || others.end <= own.start))
    }

    /// Whether row r of both lies in the same row of the slot, for every r.
    pub fn aligned(&self, other: &Matrix) -> bool {
        let row = |m: &Matrix| m.offset / m.stride.max(1);
        self.slot == other.slot && self.stride == other.stride && row(self) == row(other)
    }
}
