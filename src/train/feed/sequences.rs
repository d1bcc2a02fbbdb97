//! Minibatches of sequences, epoch after epoch.

use super::batch::Batch;
use super::{Began, EpochPlace, place};
use crate::data::{BatchSize, Batching, LineBatches, Padding, SequenceLengths};
use crate::error::{Error, Result};

/// What minibatches are made of.
pub trait Sequences: std::fmt::Debug + Send {
    /// How long they are.
    fn lengths(&self) -> &dyn SequenceLengths;

    /// How many predictions one pass makes.
    fn predictions(&self) -> u64;

    /// The minibatch of some of them.
    ///
    /// # Errors
    /// A text in a file that cannot be read.
    fn minibatch(&self, sequences: &[u32]) -> Result<Batch>;
}

/// Minibatches of sequences.
#[derive(Debug)]
pub struct SequenceFeed {
    sequences: Box<dyn Sequences>,
    batching: Batching,
    seed: u64,
    /// Minibatches of an update, which are packed together.
    together: usize,
    /// Where the epoch in hand began; see [`super::Feed::began`].
    pub(super) began: Began,
    /// Steps of that epoch; 0 until counted.
    pub(super) steps: u64,
    /// The epoch in hand.
    current: Option<(u64, LineBatches)>,
}

impl SequenceFeed {
    /// The minibatches of `sequences`; an update is of `together` of them.
    pub fn new(
        sequences: Box<dyn Sequences>,
        batching: Batching,
        together: usize,
        seed: u64,
    ) -> SequenceFeed {
        SequenceFeed {
            sequences,
            batching,
            seed,
            together: together.max(1),
            began: Began::default(),
            steps: 0,
            current: None,
        }
    }

    /// How many predictions one pass makes.
    pub fn predictions(&self) -> u64 {
        self.sequences.predictions()
    }

    /// The minibatches of an epoch, made once for all its steps.
    fn batches(&mut self, epoch: u64) -> (&dyn Sequences, &LineBatches) {
        if self.current.as_ref().is_some_and(|c| c.0 != epoch) {
            self.current = None;
        }
        let SequenceFeed {
            sequences,
            batching,
            seed,
            current,
            ..
        } = self;
        let sequences: &dyn Sequences = &**sequences;
        let made = current
            .get_or_insert_with(|| (epoch, batching.epoch(sequences.lengths(), *seed, epoch)));
        (sequences, &made.1)
    }

    /// Steps of an epoch where all have as many.
    pub(super) fn even(&self) -> Option<u64> {
        match self.batching.size {
            BatchSize::Sentences(n) => {
                let minibatches = self.sequences.lengths().count().div_ceil(n.max(1));
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
        let together = self.together;
        let (sequences, batches) = self.batches(place.epoch);
        let first = place.index as usize * together;
        let update: Vec<u32> = (first..first + together)
            .flat_map(|minibatch| batches.batch(minibatch).iter().copied())
            .collect();
        sequences.minibatch(&update)
    }

    /// What padding every minibatch of an epoch to its longest would cost.
    pub(super) fn padding(&mut self, epoch: u64) -> Padding {
        let (sequences, batches) = self.batches(epoch);
        batches.padding(sequences.lengths())
    }
}
