//! Lines as sequences of which minibatches are made.

use super::batch::{Batch, TextBatch};
use super::capacity::{capacity, joined};
use super::sequences::Sequences;
use crate::data::{BatchSize, Lines, PackedSequences, SequenceLengths};
use crate::error::{Error, Result};
use crate::op::Packing;

/// Lines, and how their minibatches are laid out.
#[derive(Debug)]
pub struct PackedLines {
    lines: Lines,
    /// Whether padding is computed.
    pad: bool,
    packing: Packing,
}

impl PackedLines {
    /// Minibatches of `lines` of this size, with `pad` filled up to their longest; an update is of `together` of them.
    ///
    /// # Errors
    /// Data, where there is no line; Usage for padding of several minibatches, each of which has a longest of its own.
    pub fn new(lines: Lines, size: BatchSize, pad: bool, together: usize) -> Result<PackedLines> {
        if lines.is_empty() {
            return Err(Error::data("the text has no line with a token"));
        }
        if pad && together > 1 {
            return Err(Error::usage(format!(
                "pad: expected an update of one minibatch (accumulate 1), got {together}"
            )));
        }
        let mut packing = capacity(&lines, joined(&lines, size, together));
        if pad {
            packing.rows = packing.steps * packing.batch;
        }
        Ok(PackedLines {
            lines,
            pad,
            packing,
        })
    }

    /// The sizes within which every minibatch is packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }
}

impl Sequences for PackedLines {
    fn lengths(&self) -> &dyn SequenceLengths {
        &self.lines
    }

    fn predictions(&self) -> u64 {
        self.lines.predictions()
    }

    fn minibatch(&self, sequences: &[u32]) -> Result<Batch> {
        let packed = PackedSequences::new(&self.lines, sequences)?;
        Ok(Batch::Text(if self.pad {
            TextBatch::padded(&packed, &self.packing)
        } else {
            TextBatch::packed(packed, &self.packing)
        }))
    }
}
