//! A text as a model reads it: one stream of tokens, or lines that are sequences of their own.

use super::lines::Lines;
use super::split::{split, split_lines};
use super::tokens::Tokens;
use crate::error::Result;

/// A text in token ids. A clone shares them.
#[derive(Clone, Debug)]
pub enum Dataset {
    /// One stream: contiguous, for truncated BPTT.
    Stream(Tokens),
    /// Every line a sequence of its own.
    Lines(Lines),
}

impl Dataset {
    /// The part to train on and the part that is held out, the last `fraction` of the text, maybe empty.
    ///
    /// # Errors
    /// `Kind::Usage` when the fraction is not in [0, 1); `Kind::Data` when a part would have nothing to predict.
    pub fn split(&self, fraction: f64) -> Result<(Dataset, Dataset)> {
        Ok(match self {
            Dataset::Stream(tokens) => {
                let parts = split(tokens.len(), fraction)?;
                let part = |range| Dataset::Stream(tokens.slice(range));
                (part(parts.train), part(parts.validation))
            }
            Dataset::Lines(lines) => {
                let parts = split_lines(lines.len(), fraction)?;
                let part = |range| Dataset::Lines(lines.slice(range));
                (part(parts.train), part(parts.validation))
            }
        })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Dataset::Stream(tokens) => tokens.is_empty(),
            Dataset::Lines(lines) => lines.is_empty(),
        }
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> u64 {
        match self {
            Dataset::Stream(tokens) => tokens.bytes(),
            Dataset::Lines(lines) => lines.bytes(),
        }
    }

    /// How often `symbol` occurs.
    ///
    /// # Errors
    /// `Kind::Io` when a temporary file cannot be read.
    pub fn count(&self, symbol: u32) -> Result<u64> {
        const BLOCK: usize = 1 << 16;
        let mut found = 0;
        let mut ids = Vec::new();
        let mut add = |ids: &[u32]| found += ids.iter().filter(|id| **id == symbol).count() as u64;
        match self {
            Dataset::Stream(tokens) => {
                for at in (0..tokens.len()).step_by(BLOCK) {
                    ids.resize(BLOCK.min(tokens.len() - at), 0);
                    tokens.read(at, &mut ids)?;
                    add(&ids);
                }
            }
            Dataset::Lines(lines) => {
                for line in 0..lines.len() {
                    ids.resize(lines.length(line), 0);
                    lines.read(line, &mut ids)?;
                    add(&ids);
                }
            }
        }
        Ok(found)
    }

    /// How many symbols there are, the ends of lines among them.
    pub fn symbols(&self) -> u64 {
        match self {
            Dataset::Stream(tokens) => tokens.len() as u64,
            Dataset::Lines(lines) => lines.predictions(),
        }
    }

    /// How many predictions one pass makes.
    pub fn predictions(&self) -> u64 {
        match self {
            Dataset::Stream(tokens) => tokens.len().saturating_sub(1) as u64,
            Dataset::Lines(lines) => lines.predictions(),
        }
    }
}

impl From<Tokens> for Dataset {
    fn from(tokens: Tokens) -> Dataset {
        Dataset::Stream(tokens)
    }
}

impl From<Lines> for Dataset {
    fn from(lines: Lines) -> Dataset {
        Dataset::Lines(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_counted_in_streams_and_lines() {
        let ids: Vec<u32> = (0..200_000).map(|n| n % 7).collect();
        let dataset = Dataset::from(Tokens::from(ids));
        assert_eq!(dataset.count(0).unwrap(), 28_572);
        assert_eq!(dataset.count(6).unwrap(), 28_571);
        assert_eq!(dataset.count(7).unwrap(), 0);
        assert_eq!(
            (dataset.symbols(), dataset.predictions()),
            (200_000, 199_999)
        );
        let lines = Lines::from_lists(&[vec![1, 2, 1], vec![1], vec![2, 2]], 5, 6).unwrap();
        let dataset = Dataset::from(lines);
        assert_eq!(
            (dataset.count(1).unwrap(), dataset.count(2).unwrap()),
            (3, 3)
        );
        assert_eq!(dataset.symbols(), 9);
    }
}
