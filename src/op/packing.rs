//! Packed sequences: how sequences of different lengths lie in a minibatch, and what a run says of them.

use super::SlotId;

/// An axis whose sequences are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedAxis {
    /// The sizes within which they are.
    pub packing: Packing,
    /// Its first word in the slot of counts.
    pub first: usize,
    /// Words `[R]`: where the states [B + R] hold each row's step before.
    pub before: Option<SlotId>,
    /// Words `[R]`: for every row, the same sequence's row as many steps from its end as this one is from its beginning.
    pub flip: Option<SlotId>,
    /// The axis whose rows are its sequences, one each; they may lie there in another order. None where nothing says.
    pub above: Option<usize>,
    /// Words `[B]` of an axis of one step along which sequences are written: the row from whose states each row goes on.
    /// None of an axis whose sequences are read.
    pub parents: Option<SlotId>,
}

/// Sequences of different lengths side by side: sorted by falling length and laid out step after step, so that step t has
/// a row for every sequence longer than t and none is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The most steps, T: the longest sequence.
    pub steps: usize,
    /// The most sequences, B.
    pub batch: usize,
    /// The most rows, R: all sequences' lengths together.
    pub rows: usize,
}

impl Packing {
    /// The words 0 and R of a run in the slot of counts: where a single step of all rows starts and ends.
    pub const ZERO: usize = 0;
    /// The word with a run's rows.
    pub const ROWS: usize = 1;
    /// The first of T + 1 words: the row at which each step starts, and where the last one ends.
    pub const STARTS: usize = 2;

    /// Whether these can be the starts [T + 1] of packed steps.
    pub fn fault(&self, starts: &[u32]) -> Option<String> {
        let active: Vec<u32> = starts.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
        let falling = active.windows(2).all(|w| w[0] >= w[1]);
        let most = active.first().copied().unwrap_or(0) as usize;
        let rows = starts.last().copied().unwrap_or(0) as usize;
        let fits = starts.len() == self.steps + 1 && most <= self.batch && rows <= self.rows;
        (starts.first() != Some(&0) || !falling || !fits || rows == 0).then(|| {
            format!(
                "expected {} starts of steps of at most {} rows, falling, {} in all, found {starts:?}",
                self.steps + 1,
                self.batch,
                self.rows
            )
        })
    }
}
