//! What a training step reads: a segment of contiguous streams, or a minibatch of sequences of about the same length.

mod batch;
mod capacity;
mod examples;
mod lines;
mod segments;
mod sequences;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, ExampleBatch, TextBatch};
pub use self::capacity::{capacity, joined};
pub use self::examples::PackedExamples;
pub use self::lines::PackedLines;
pub use self::segments::SeriesSegments;
pub use self::sequences::SequenceFeed;
use crate::data::{Padding, Streams};
use crate::error::Result;

/// Where an epoch began: with minibatches of a size in tokens, epochs are of unequal length, so that it does not follow
/// from the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// Epochs before it.
    pub epoch: u64,
    /// Steps before it.
    pub step: u64,
}

/// Where a step lies among the epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochPlace {
    /// Epochs before its own.
    pub epoch: u64,
    /// Steps of its epoch before it.
    pub index: u64,
    /// Steps of its epoch.
    pub steps: u64,
}

impl EpochPlace {
    /// Whether it is the last step of its epoch.
    pub fn ends(&self) -> bool {
        self.index + 1 == self.steps
    }
}

/// The minibatches of a run, a function of the step.
#[derive(Debug)]
pub enum Feed {
    /// Windows of streams.
    Streams(Streams),
    /// Segments of a series of numbers.
    Series(SeriesSegments),
    /// Minibatches of sequences.
    Sequences(Box<SequenceFeed>),
}

impl Feed {
    /// The place of a step.
    pub fn place(&mut self, step: u64) -> EpochPlace {
        match self {
            Feed::Streams(streams) => place(step, streams.per_epoch() as u64),
            Feed::Series(series) => series.place(step),
            Feed::Sequences(sequences) => sequences.place(step),
        }
    }

    /// Steps of an epoch, where all have as many.
    pub fn even(&self) -> Option<u64> {
        match self {
            Feed::Streams(streams) => Some(streams.per_epoch() as u64),
            Feed::Series(series) => Some(series.per_epoch()),
            Feed::Sequences(sequences) => sequences.even(),
        }
    }

    /// Where the epoch of the step in hand began, where that does not follow from the step.
    pub fn began(&self) -> Option<Began> {
        match self {
            Feed::Sequences(sequences) if self.even().is_none() => Some(sequences.began),
            _ => None,
        }
    }

    /// Epochs done after `step`, which is one of the epoch in hand or the next one's first.
    pub fn epochs(&self, step: u64) -> f64 {
        match (self, self.even()) {
            (_, Some(steps)) => step as f64 / steps as f64,
            (Feed::Sequences(sequences), None) => {
                let done = step.saturating_sub(sequences.began.step);
                sequences.began.epoch as f64 + done as f64 / sequences.steps.max(1) as f64
            }
            (Feed::Streams(_) | Feed::Series(_), None) => 0.0,
        }
    }

    /// Puts the feed where a run stopped, so that no epoch before it need be counted: before `step`, in the epoch that
    /// `began` there.
    ///
    /// # Errors
    /// Checkpoint, where the step is not in that epoch.
    pub fn go_on(&mut self, step: u64, began: Option<Began>) -> Result<()> {
        match self {
            Feed::Sequences(sequences) if sequences.even().is_none() => {
                sequences.go_on(step, began.unwrap_or_default())
            }
            _ => Ok(()),
        }
    }

    /// The minibatch of a step.
    ///
    /// # Errors
    /// A text in a file that cannot be read.
    pub fn batch(&mut self, step: u64) -> Result<Batch> {
        let place = self.place(step);
        match self {
            Feed::Streams(streams) => {
                // The index is within an epoch, so it fits.
                let minibatch = streams.minibatch(place.index as usize)?;
                Ok(Batch::Text(minibatch.into()))
            }
            Feed::Series(series) => series.batch(place),
            Feed::Sequences(sequences) => sequences.batch(place),
        }
    }

    /// What padding every minibatch of an epoch to its longest line would cost; none for streams.
    pub fn padding(&mut self, epoch: u64) -> Option<Padding> {
        match self {
            Feed::Streams(_) | Feed::Series(_) => None,
            Feed::Sequences(sequences) => Some(sequences.padding(epoch)),
        }
    }
}

fn place(step: u64, steps: u64) -> EpochPlace {
    EpochPlace {
        epoch: step / steps,
        index: step % steps,
        steps,
    }
}
