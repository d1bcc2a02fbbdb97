//! Minibatches of lines, epoch after epoch.

use super::batch::Batch;
use super::capacity::capacity;
use super::{Began, EpochPlace, place};
use crate::data::{BatchSize, Batching, LineBatches, Lines, PackedSequences};
use crate::error::{Error, Result};
use crate::op::Packing;

/// Minibatches of lines.
#[derive(Debug)]
pub struct LineFeed {
    lines: Lines,
    batching: Batching,
    seed: u64,
    /// Whether padding is computed.
    pad: bool,
    /// Minibatches of an update, which are packed together.
    together: usize,
    packing: Packing,
    /// Where the epoch in hand began; see [`Feed::began`].
    pub(super) began: Began,
    /// Steps of that epoch; 0 until counted.
    pub(super) steps: u64,
    /// The epoch in hand.
    current: Option<(u64, LineBatches)>,
}

impl LineFeed {
    /// The minibatches of `lines`, with `pad` filled up to their longest; an update is of `together` of them.
    ///
    /// # Errors
    /// Data, where there is no line; Usage for padding of several minibatches, each of which has a longest of its own.
    pub fn new(
        lines: Lines,
        batching: Batching,
        pad: bool,
        together: usize,
        seed: u64,
    ) -> Result<LineFeed> {
        if lines.is_empty() {
            return Err(Error::data("the text has no line with a token"));
        }
        if pad && together > 1 {
            return Err(Error::usage(format!(
                "pad: expected an update of one minibatch (accumulate 1), got {together}"
            )));
        }
        let mut packing = capacity(&lines, joined(&lines, batching.size, together));
        if pad {
            packing.rows = packing.steps * packing.batch;
        }
        Ok(LineFeed {
            packing,
            pad,
            together: together.max(1),
            lines,
            batching,
            seed,
            began: Began::default(),
            steps: 0,
            current: None,
        })
    }

    /// How many predictions one pass makes.
    pub fn predictions(&self) -> u64 {
        self.lines.predictions()
    }

    /// The sizes within which every minibatch is packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// The minibatches of an epoch, made once for all its steps.
    pub(super) fn batches(&mut self, epoch: u64) -> (&Lines, &LineBatches) {
        if self.current.as_ref().is_some_and(|c| c.0 != epoch) {
            self.current = None;
        }
        let LineFeed {
            lines,
            batching,
            seed,
            current,
            ..
        } = self;
        let made = current.get_or_insert_with(|| (epoch, batching.epoch(lines, *seed, epoch)));
        (lines, &made.1)
    }

    /// Steps of an epoch where all have as many.
    pub(super) fn even(&self) -> Option<u64> {
        match self.batching.size {
            BatchSize::Sentences(n) => {
                let minibatches = self.lines.len().div_ceil(n.max(1));
                Some(minibatches.div_ceil(self.together) as u64)
            }
            BatchSize::Tokens(_) => None,
        }
    }

    /// Steps of an epoch, counted.
    fn count(&mut self, epoch: u64) -> u64 {
        let together = self.together;
        self.batches(epoch).1.len().div_ceil(together) as u64
    }

    pub(super) fn go_on(&mut self, step: u64, began: Began) -> Result<()> {
        let steps = self.count(began.epoch);
        // An epoch has a step at least, and the first begins with none done.
        let could = began.step >= began.epoch && (began.epoch > 0) == (began.step > 0);
        let done = step.checked_sub(began.step);
        if !could || done.is_none_or(|done| done > steps) {
            return Err(Error::checkpoint(format!(
                "expected a step of the epoch that it was saved in, which is epoch {} of {steps} steps and began after \
                 step {}, found step {step}",
                began.epoch, began.step
            )));
        }
        (self.began, self.steps) = (began, steps);
        Ok(())
    }

    pub(super) fn place(&mut self, step: u64) -> EpochPlace {
        if let Some(steps) = self.even() {
            return place(step, steps);
        }
        if step < self.began.step {
            self.began = Began::default();
        }
        loop {
            let Began { epoch, step: first } = self.began;
            let (index, steps) = (step - first, self.count(epoch));
            self.steps = steps;
            if index < steps {
                return EpochPlace {
                    epoch,
                    index,
                    steps,
                };
            }
            self.began = Began {
                epoch: epoch + 1,
                step: first + steps,
            };
        }
    }

    pub(super) fn batch(&mut self, place: EpochPlace) -> Result<Batch> {
        let (packing, pad, together) = (self.packing, self.pad, self.together);
        let (lines, batches) = self.batches(place.epoch);
        let first = place.index as usize * together;
        let update: Vec<u32> = (first..first + together)
            .flat_map(|minibatch| batches.batch(minibatch).iter().copied())
            .collect();
        let packed = PackedSequences::new(lines, &update)?;
        Ok(if pad {
            Batch::padded(&packed, &packing)
        } else {
            Batch::packed(packed, &packing)
        })
    }
}

/// The size of so many minibatches together, at most.
fn joined(lines: &Lines, size: BatchSize, together: usize) -> BatchSize {
    match size {
        BatchSize::Sentences(n) => BatchSize::Sentences(n.saturating_mul(together)),
        BatchSize::Tokens(n) if together > 1 => {
            // A longer line is a minibatch of its own.
            let most = n.max(lines.longest() + 1);
            BatchSize::Tokens(most.saturating_mul(together))
        }
        tokens => tokens,
    }
}
