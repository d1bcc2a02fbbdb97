//! Axes: the steps of sequences that go side by side, and how a minibatch lays out their rows.

use super::Builder;
use crate::op::scan::Packed;
use crate::op::{Matrix, PackedAxis, Packing, Parents, Recipe, RowCount, SlotId};

/// The sizes of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisShape {
    /// T.
    pub steps: usize,
    /// B.
    pub batch: usize,
    /// The most rows of sequences that are packed together; absent for segments of T steps of B rows.
    pub packed: Option<usize>,
    /// How many segments of T steps the host gives at once, of which the operations see one.
    pub segments: usize,
}

/// An axis of a plan in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// T.
    pub steps: usize,
    /// B.
    pub batch: usize,
    /// How many segments of T steps the host gives at once, of which the operations see one.
    pub segments: usize,
    /// The leading axes of an activation: [T, B], or [R, 1] where sequences are packed.
    pub leading: [usize; 2],
    /// Of packed sequences: whether all are T steps long, and states go on from a minibatch to the next, row by row.
    pub carried: bool,
    /// Of packed sequences: the slot of counts, and its number among the plan's packed axes with its first word there.
    packed: Option<(SlotId, usize, usize)>,
}

impl Axis {
    /// Rows of an activation: T * B, or the most that packed sequences may have, R.
    pub fn rows(&self) -> usize {
        self.leading[0] * self.leading[1]
    }

    /// The leading axes of what is there for the rows of all segments.
    pub fn all_rows(&self) -> [usize; 2] {
        [self.segments * self.leading[0], self.leading[1]]
    }

    /// A row with a number for every position of all segments.
    pub fn row(&self, slot: SlotId) -> Matrix {
        let [rows, batch] = self.all_rows();
        let cols = rows * batch;
        Matrix::new(slot, 1, cols)
    }

    /// Where a run says how many rows count; absent where all do.
    pub fn row_count(&self) -> Option<RowCount> {
        self.packed.map(|(slot, _, first)| RowCount {
            slot,
            word: first + Packing::ROWS,
            before: 0,
        })
    }

    /// How the steps of a recurrent layer are packed; those of one without `memory` are a single step.
    pub fn packed(&self, memory: bool) -> Option<Packed> {
        let from = if memory {
            Packing::STARTS
        } else {
            Packing::ZERO
        };
        self.packed.map(|(counts, _, first)| Packed {
            counts,
            first: first + from,
        })
    }

    /// Its number among the plan's packed axes.
    pub fn number(&self) -> Option<usize> {
        self.packed.map(|(_, number, _)| number)
    }
}

impl Builder {
    /// Makes a packed axis of one step one along which sequences are written: the states before a row are those behind the
    /// row of the run before that the host names.
    pub fn write_along(&mut self, axis: Axis) {
        let Some(number) = axis.number() else {
            return;
        };
        let (name, recipe) = (
            format!("parents.{number}"),
            Recipe::Parents { axis: number },
        );
        let slot = self.words_of(recipe, name, &[1, axis.batch], axis.batch);
        self.plan.axes[number].parents = Some(slot);
    }

    /// From which rows the rows of an axis go on, where sequences are written along it.
    pub(super) fn parents(&self, axis: Axis) -> Option<Parents> {
        let slot = self.plan.axes[axis.number()?].parents?;
        Some(Parents {
            slot,
            rows: axis.batch,
        })
    }

    /// Adds an axis. How many rows of packed sequences count lies for all axes in one slot.
    pub fn add_axis(&mut self, shape: AxisShape) -> Axis {
        let AxisShape {
            steps,
            batch,
            packed,
            segments,
        } = shape;
        let words = packed.map(|rows| {
            let packing = Packing { steps, batch, rows };
            let (counts, first) = self.plan.add_counts(packing);
            self.plan.axes.push(PackedAxis {
                packing,
                first,
                before: None,
                flip: None,
                above: None,
                parents: None,
            });
            (counts, self.plan.axes.len() - 1, first)
        });
        Axis {
            steps,
            batch,
            segments,
            leading: match packed {
                None => [steps, batch],
                Some(rows) => [rows, 1],
            },
            carried: false,
            packed: words,
        }
    }
}
