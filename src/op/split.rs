//! How operations are cut where their matrices are larger than what a kernel can be given.

use super::{Matrix, SlotId};

/// What kernels can be given.
pub trait Limits {
    /// Whether a kernel can be given the matrix whole.
    fn holds(&self, matrix: &Matrix) -> bool;

    /// Whether it can be given all of a slot.
    fn holds_slot(&self, slot: SlotId) -> bool;

    /// Ranges (first, count) of the columns of a row of which it can be given each; all but the last are multiples of `unit`.
    fn columns(&self, row: &Matrix, unit: usize) -> Vec<(usize, usize)>;

    /// Ranges (first, count) of the rows of matrices that have equally many, so that it can be given those of each; all but
    /// the last are multiples of `unit`.
    fn rows(&self, matrices: &[Matrix], unit: usize) -> Vec<(usize, usize)>;

    /// The longest sum of a product.
    fn deepest(&self) -> usize;

    /// The most floating point operations of a product.
    fn flops(&self) -> f64;
}

/// An operation on each of some ranges.
pub(super) fn each<T>(ranges: Vec<(usize, usize)>, of: impl Fn(usize, usize) -> T) -> Vec<T> {
    let ranges = ranges.into_iter();
    ranges.map(|(first, count)| of(first, count)).collect()
}
