//! Steps as one file has them: numbers in its own type, in memory or where they lie, or sets of notes.

use std::sync::Arc;

use super::numbers::NumberForm;
use crate::data::store::ByteStore;
use crate::error::Result;

/// The steps of one file. A clone shares them.
#[derive(Clone, Debug)]
pub(super) enum FileSteps {
    Numbers(NumberRows),
    Notes(Arc<NoteRows>),
}

/// Numbers `[rows, width]`, row after row.
#[derive(Clone, Debug)]
pub(super) struct NumberRows {
    pub store: ByteStore,
    /// Where the first row begins.
    pub at: u64,
    pub form: NumberForm,
    pub width: usize,
    pub rows: usize,
}

/// The notes of every step.
#[derive(Clone, Debug, Default)]
pub(super) struct NoteRows {
    pub notes: Vec<u32>,
    /// Where each step ends in `notes`.
    pub ends: Vec<usize>,
}

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 16;

impl NumberRows {
    /// Calls `take` with every number of `count` rows from row `first` on.
    ///
    /// # Errors
    /// `Kind::Io` where they lie in a file that cannot be read.
    pub fn each(&self, first: usize, count: usize, mut take: impl FnMut(f64)) -> Result<()> {
        let row = self.width * self.form.size();
        let mut left = count * row;
        let mut at = self.at + (first * row) as u64;
        let mut block = vec![0; left.min(BLOCK)];
        while left > 0 {
            // A block is a whole number of numbers, as their sizes are powers of two.
            let bytes = &mut block[..left.min(BLOCK)];
            self.store.read(at, bytes)?;
            self.form.each(bytes, &mut take);
            at += bytes.len() as u64;
            left -= bytes.len();
        }
        Ok(())
    }
}

impl NoteRows {
    /// The notes of a step.
    pub fn step(&self, n: usize) -> &[u32] {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.notes[start..self.ends[n]]
    }
}

impl FileSteps {
    /// Adds them to a hash.
    pub fn hash(&self, hasher: &mut blake3::Hasher) -> Result<()> {
        match self {
            FileSteps::Numbers(rows) => rows.each(0, rows.rows, |value| {
                hasher.update(&value.to_bits().to_le_bytes());
            }),
            FileSteps::Notes(rows) => {
                for step in 0..rows.ends.len() {
                    let notes = rows.step(step);
                    hasher.update(&(notes.len() as u64).to_le_bytes());
                    hasher.update(bytemuck::cast_slice(notes));
                }
                Ok(())
            }
        }
    }

    /// Bytes of memory that they take; none of what lies in a file.
    pub fn bytes(&self) -> u64 {
        match self {
            FileSteps::Numbers(rows) => match &rows.store {
                ByteStore::Memory(bytes) => bytes.len() as u64,
                ByteStore::File { .. } | ByteStore::Named { .. } => 0,
            },
            FileSteps::Notes(rows) => 4 * rows.notes.len() as u64 + 8 * rows.ends.len() as u64,
        }
    }
}
