//! How much of a text a vocabulary does not know.

use wgrnn::Result;
use wgrnn::data::{Dataset, Vocabulary};

/// How much of a text its vocabulary does not know.
pub struct UnknownShare {
    /// Symbols of the text that are unknown.
    pub unknown: u64,
    /// All of its symbols.
    pub symbols: u64,
}

impl UnknownShare {
    /// Counts the symbols of `dataset`; where no symbol stands for unknown ones, all are known.
    pub fn of(vocabulary: &Vocabulary, dataset: &Dataset) -> Result<UnknownShare> {
        let unknown = vocabulary.unknown_id().map(|id| dataset.count(id));
        Ok(UnknownShare {
            unknown: unknown.transpose()?.unwrap_or(0),
            symbols: dataset.symbols(),
        })
    }

    /// The part of all symbols that is unknown, in [0, 1].
    pub fn share(&self) -> f64 {
        self.unknown as f64 / self.symbols.max(1) as f64
    }
}

/// From this share of unknown symbols on, a loss says little about the text.
pub const MUCH_UNKNOWN: f64 = 0.01;
