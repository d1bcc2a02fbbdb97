//! A text as a model reads it: one stream of tokens, or lines that are sequences of their own.

use super::lines::Lines;
use super::split::{split, split_lines};
use super::tokens::Tokens;
use crate::error::Result;

/// A text in token ids. A clone shares them.
#[derive(Clone, Debug)]
pub enum Body {
    /// One stream: contiguous, for truncated BPTT.
    Stream(Tokens),
    /// Every line a sequence of its own.
    Lines(Lines),
}

impl Body {
    /// The part to train on and the part that is held out, the last `fraction` of the text, maybe empty.
    ///
    /// # Errors
    /// `Kind::Usage` when the fraction is not in [0, 1); `Kind::Data` when a part would have nothing to predict.
    pub fn split(&self, fraction: f64) -> Result<(Body, Body)> {
        Ok(match self {
            Body::Stream(tokens) => {
                let parts = split(tokens.len(), fraction)?;
                let part = |range| Body::Stream(tokens.slice(range));
                (part(parts.train), part(parts.validation))
            }
            Body::Lines(lines) => {
                let parts = split_lines(lines.len(), fraction)?;
                let part = |range| Body::Lines(lines.slice(range));
                (part(parts.train), part(parts.validation))
            }
        })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Body::Stream(tokens) => tokens.is_empty(),
            Body::Lines(lines) => lines.is_empty(),
        }
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> u64 {
        match self {
            Body::Stream(tokens) => tokens.bytes(),
            Body::Lines(lines) => lines.bytes(),
        }
    }

    /// How many predictions one pass makes.
    pub fn predictions(&self) -> u64 {
        match self {
            Body::Stream(tokens) => tokens.len().saturating_sub(1) as u64,
            Body::Lines(lines) => lines.predictions(),
        }
    }
}

impl From<Tokens> for Body {
    fn from(tokens: Tokens) -> Body {
        Body::Stream(tokens)
    }
}

impl From<Lines> for Body {
    fn from(lines: Lines) -> Body {
        Body::Lines(lines)
    }
}
