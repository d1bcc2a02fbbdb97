//! Segments of one long series, read as contiguous streams side by side whose states go on from one to the next.

use super::batch::{Batch, ExampleBatch};
use super::{EpochPlace, PackedExamples, place};
use crate::error::{Error, Result};

/// B contiguous streams over the segments of a series, each floor(N / B) of them long; what remains is not used.
#[derive(Debug)]
pub struct SeriesSegments {
    examples: PackedExamples,
    batch: usize,
    per_epoch: usize,
}

impl SeriesSegments {
    /// Streams over `examples`, which are the segments of a series, in its order and of one length.
    ///
    /// # Errors
    /// Data, for fewer segments than streams.
    pub fn new(examples: PackedExamples, batch: usize) -> Result<SeriesSegments> {
        let count = examples.set.len();
        let per_epoch = count / batch.max(1);
        if per_epoch == 0 {
            return Err(Error::data(format!(
                "the series has {count} segments to train on, expected at least {batch}, one for each stream; lower --batch \
                 or --context"
            )));
        }
        Ok(SeriesSegments {
            examples,
            batch,
            per_epoch,
        })
    }

    /// Steps of an epoch.
    pub fn per_epoch(&self) -> u64 {
        self.per_epoch as u64
    }

    /// Predictions of a step, on average.
    pub fn predictions(&self) -> f64 {
        let set = &self.examples.set;
        set.predictions() as f64 / set.len() as f64 * self.batch as f64
    }

    pub(super) fn place(&self, step: u64) -> EpochPlace {
        place(step, self.per_epoch())
    }

    /// The minibatch at a place of an epoch; states begin anew where an epoch does.
    pub(super) fn batch(&self, place: EpochPlace) -> Result<Batch> {
        let index = place.index as usize;
        let segment = |stream: usize| (stream * self.per_epoch + index) as u32;
        let segments: Vec<u32> = (0..self.batch).map(segment).collect();
        let columns = self.examples.set.columns(&segments)?;
        let minibatch = self.examples.laid(&columns)?;
        Ok(Batch::Examples(ExampleBatch {
            minibatch: match index {
                0 => minibatch,
                _ => minibatch.going_on(),
            },
            examples: segments,
        }))
    }
}
