//! What a plain kernel is filled in with: one that goes over the columns of some rows and has nothing else to it.

use super::{Matrix, SlotId};

/// The constants and buffers of the shader of an operation's kind.
#[derive(Clone, Debug, Default)]
pub struct FlatKernel {
    /// Switches.
    pub flags: Vec<(&'static str, bool)>,
    /// Whole numbers.
    pub sizes: Vec<(&'static str, usize)>,
    /// Slots.
    pub buffers: Vec<(&'static str, SlotId)>,
    /// Matrices: their columns are taken four at a time where those of all can be.
    pub matrices: Vec<(&'static str, Matrix)>,
    /// Rows of threads. Each has one for every column, or for every four, of the first matrix.
    pub rows: usize,
}
