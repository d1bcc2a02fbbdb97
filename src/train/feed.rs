//! What a training step reads: a window of contiguous streams, or a minibatch of lines of about the same length.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::{
    BatchSize, Batching, Lengths, LineBatches, Lines, Minibatch, PackedSequences, Padding,
    StateCarry, Streams,
};
use crate::error::{Error, Result};
use crate::model::Dims;
use crate::op::Packing;

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
pub struct Place {
    /// Epochs before its own.
    pub epoch: u64,
    /// Steps of its epoch before it.
    pub index: u64,
    /// Steps of its epoch.
    pub steps: u64,
}

impl Place {
    /// Whether it is the last step of its epoch.
    pub fn ends(&self) -> bool {
        self.index + 1 == self.steps
    }
}

/// The inputs of one step.
#[derive(Debug)]
pub struct Batch {
    /// Token ids as the plan takes them.
    pub ids: Vec<u32>,
    /// Targets, where they are not the next ids.
    pub targets: Option<Vec<u32>>,
    /// Weights of the predictions, where not all count.
    pub weights: Option<Vec<f32>>,
    /// Where packed steps start.
    pub starts: Option<Vec<u32>>,
    /// How many predictions count.
    pub counted: usize,
    /// Sequences side by side.
    pub rows: usize,
    /// Whether the state goes on.
    pub carry: StateCarry,
}

/// The minibatches of a run, a function of the step.
#[derive(Debug)]
pub enum Feed {
    /// Windows of streams.
    Streams(Streams),
    /// Minibatches of lines.
    Lines(Box<LineFeed>),
}

impl Feed {
    /// The place of a step.
    pub fn place(&mut self, step: u64) -> Place {
        match self {
            Feed::Streams(streams) => place(step, streams.per_epoch() as u64),
            Feed::Lines(lines) => lines.place(step),
        }
    }

    /// Steps of an epoch, where all have as many.
    pub fn even(&self) -> Option<u64> {
        match self {
            Feed::Streams(streams) => Some(streams.per_epoch() as u64),
            Feed::Lines(lines) => lines.even(),
        }
    }

    /// Where the epoch of the step in hand began, where that does not follow from the step.
    pub fn began(&self) -> Option<Began> {
        match self {
            Feed::Lines(lines) if self.even().is_none() => Some(lines.began),
            _ => None,
        }
    }

    /// Epochs done after `step`, which is one of the epoch in hand or the next one's first.
    pub fn epochs(&self, step: u64) -> f64 {
        match (self, self.even()) {
            (_, Some(steps)) => step as f64 / steps as f64,
            (Feed::Lines(lines), None) => {
                let done = step.saturating_sub(lines.began.step);
                lines.began.epoch as f64 + done as f64 / lines.steps.max(1) as f64
            }
            (Feed::Streams(_), None) => 0.0,
        }
    }

    /// Puts the feed where a run stopped, so that no epoch before it need be counted: before `step`, in the epoch that
    /// `began` there.
    ///
    /// # Errors
    /// Checkpoint, where the step is not in that epoch.
    pub fn go_on(&mut self, step: u64, began: Option<Began>) -> Result<()> {
        match self {
            Feed::Lines(lines) if lines.even().is_none() => {
                lines.go_on(step, began.unwrap_or_default())
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
                Ok(streams.minibatch(place.index as usize)?.into())
            }
            Feed::Lines(lines) => lines.batch(place),
        }
    }

    /// What padding every minibatch of an epoch to its longest line would cost; none for streams.
    pub fn padding(&mut self, epoch: u64) -> Option<Padding> {
        match self {
            Feed::Streams(_) => None,
            Feed::Lines(lines) => {
                let (lines, batches) = lines.batches(epoch);
                Some(batches.padding(lines))
            }
        }
    }
}

fn place(step: u64, steps: u64) -> Place {
    Place {
        epoch: step / steps,
        index: step % steps,
        steps,
    }
}

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
    began: Began,
    /// Steps of that epoch; 0 until counted.
    steps: u64,
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
        let mut packing = room(&lines, joined(&lines, batching.size, together));
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
    fn batches(&mut self, epoch: u64) -> (&Lines, &LineBatches) {
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
    fn even(&self) -> Option<u64> {
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

    fn go_on(&mut self, step: u64, began: Began) -> Result<()> {
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

    fn place(&mut self, step: u64) -> Place {
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
                return Place {
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

    fn batch(&mut self, place: Place) -> Result<Batch> {
        let (packing, pad, together) = (self.packing, self.pad, self.together);
        let (lines, batches) = self.batches(place.epoch);
        let first = place.index as usize * together;
        let update: Vec<u32> = { first..first + together }
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

impl From<Minibatch> for Batch {
    fn from(minibatch: Minibatch) -> Batch {
        Batch {
            counted: minibatch.counted(),
            rows: minibatch.batch,
            carry: minibatch.carry,
            targets: None,
            weights: minibatch.weights,
            starts: None,
            ids: minibatch.ids,
        }
    }
}

impl Batch {
    /// A minibatch of lines, filled up to the plan's sizes with what no operation looks at.
    pub fn packed(packed: PackedSequences, packing: &Packing) -> Batch {
        let (counted, rows) = (packed.rows(), packed.batch());
        let mut starts: Vec<u32> = packed.starts.iter().map(|start| *start as u32).collect();
        starts.resize(packing.steps + 1, counted as u32);
        let (mut ids, mut targets) = (packed.ids, packed.targets);
        ids.resize(packing.rows + 1, 0);
        targets.resize(packing.rows, 0);
        Batch {
            ids,
            targets: Some(targets),
            weights: None,
            starts: Some(starts),
            counted,
            rows,
            carry: StateCarry::Reset,
        }
    }

    /// The targets, and whether each counts.
    fn targets(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        let targets = self.targets.as_deref().unwrap_or(&self.ids[self.rows..]);
        targets.iter().enumerate().map(|(at, target)| {
            let counts = match &self.weights {
                None => at < self.counted,
                Some(weights) => weights[at] != 0.0,
            };
            (*target, counts)
        })
    }

    /// How many of the predictions that count are of `symbol`.
    pub fn predictions_of(&self, symbol: u32) -> usize {
        self.targets().filter(|t| *t == (symbol, true)).count()
    }

    /// The predictions of `symbol` no longer count.
    pub fn leave_out(&mut self, symbol: u32) {
        let weights = { self.targets() }
            .map(|(target, counts)| f32::from(u8::from(counts && target != symbol)));
        let weights: Vec<f32> = weights.collect();
        self.counted = weights.iter().filter(|w| **w != 0.0).count();
        self.weights = Some(weights);
    }

    /// The same with every sequence as long as the longest; what fills them has no weight.
    fn padded(packed: &PackedSequences, packing: &Packing) -> Batch {
        let (steps, rows) = (packed.steps(), packed.batch());
        let mut ids = vec![0; packing.rows + 1];
        let mut targets = vec![0; packing.rows];
        let mut weights = vec![0.0; packing.rows];
        for t in 0..steps {
            for b in 0..packed.active(t) {
                let (from, to) = (packed.starts[t] + b, t * rows + b);
                (ids[to], targets[to]) = (packed.ids[from], packed.targets[from]);
                weights[to] = 1.0;
            }
        }
        Batch {
            ids,
            targets: Some(targets),
            weights: Some(weights),
            starts: Some(
                (0..=packing.steps)
                    .map(|t| (t.min(steps) * rows) as u32)
                    .collect(),
            ),
            counted: packed.rows(),
            rows,
            carry: StateCarry::Reset,
        }
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

/// Room for any minibatch of this size: the longest lines, or as many of the shortest as a number of tokens allows.
pub fn room(lines: &Lines, size: BatchSize) -> Packing {
    // How many lines have so many steps: there may be far more lines than lengths.
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for line in 0..lines.count() as u32 {
        *counts.entry(lines.target(line)).or_default() += 1;
    }
    let longest = counts.last_key_value().map_or(1, |(length, _)| *length);
    match size {
        BatchSize::Sentences(n) => {
            let batch = n.clamp(1, lines.count().max(1));
            let (mut left, mut rows) = (batch, 0);
            for (length, count) in counts.iter().rev() {
                let taken = left.min(*count);
                (left, rows) = (left - taken, rows + taken * length);
            }
            Packing {
                steps: longest,
                batch,
                rows,
            }
        }
        BatchSize::Tokens(n) => {
            let (mut left, mut batch) = (n, 0);
            for (length, count) in &counts {
                let taken = (left / length).min(*count);
                (left, batch) = (left - taken * length, batch + taken);
                if taken < *count {
                    break;
                }
            }
            let total = counts.iter().map(|(length, count)| length * count).sum();
            Packing {
                steps: longest,
                batch: batch.max(1),
                rows: n.min(total).max(longest),
            }
        }
    }
}

impl From<Packing> for Dims {
    fn from(packing: Packing) -> Dims {
        Dims {
            steps: packing.steps,
            batch: packing.batch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::LineOrder;
    use crate::error::Kind;

    fn lines() -> Lines {
        let list = |n: u32| (0..1 + n * n % 7).map(|w| w % 5).collect();
        let lists: Vec<Vec<u32>> = (0..40).map(list).collect();
        Lines::from_lists(&lists, 5, 6).unwrap()
    }

    fn feed(size: BatchSize, bucket: usize, together: usize) -> Feed {
        let batching = Batching {
            order: LineOrder::Target,
            size,
            bucket,
        };
        Feed::Lines(Box::new(
            LineFeed::new(lines(), batching, false, together, 3).unwrap(),
        ))
    }

    #[test]
    fn every_line_comes_once_an_epoch_within_the_room() {
        for size in [
            BatchSize::Sentences(7),
            BatchSize::Sentences(99),
            BatchSize::Tokens(11),
            BatchSize::Tokens(3),
        ] {
            for (bucket, together) in [(0, 1), (2, 1), (0, 3), (2, 50)] {
                let mut feed = feed(size, bucket, together);
                let Feed::Lines(inner) = &feed else { panic!() };
                let room = inner.packing();
                let mut step = 0;
                for epoch in 0..4 {
                    let (mut rows, mut counted) = (0, 0);
                    loop {
                        let place = feed.place(step);
                        assert_eq!(place.epoch, epoch);
                        let batch = feed.batch(step).unwrap();
                        let starts = batch.starts.unwrap();
                        assert_eq!(room.fault(&starts), None, "{size:?}");
                        (rows, counted) = (rows + batch.rows, counted + batch.counted);
                        step += 1;
                        if place.ends() {
                            break;
                        }
                    }
                    assert!(feed.even().is_none_or(|steps| step == (epoch + 1) * steps));
                    assert_eq!(rows, 40);
                    assert_eq!(counted as u64, lines().predictions());
                }
            }
        }
    }

    #[test]
    fn an_update_of_several_minibatches_has_their_lines() {
        for size in [BatchSize::Sentences(7), BatchSize::Tokens(11)] {
            let (mut one, mut three) = (feed(size, 0, 1), feed(size, 0, 3));
            let rows = |feed: &mut Feed, step| {
                let batch = feed.batch(step).unwrap();
                let mut rows: Vec<_> = { batch.ids[..batch.counted].iter().copied() }
                    .zip(batch.targets.unwrap())
                    .collect();
                rows.sort_unstable();
                (rows, batch.rows)
            };
            let (minibatches, updates) = (one.place(0).steps, three.place(0).steps);
            assert_eq!(updates, minibatches.div_ceil(3));
            for update in 0..updates {
                let (mut all, mut sequences) = (Vec::new(), 0);
                for step in 3 * update..minibatches.min(3 * update + 3) {
                    let (part, n) = rows(&mut one, step);
                    all.extend(part);
                    sequences += n;
                }
                all.sort_unstable();
                assert_eq!(rows(&mut three, update), (all, sequences), "{size:?}");
            }
        }
        let batching = Batching {
            order: LineOrder::Target,
            size: BatchSize::Sentences(7),
            bucket: 0,
        };
        let error = LineFeed::new(lines(), batching, true, 2, 1).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
    }

    #[test]
    fn a_feed_that_begins_in_mid_run_reads_the_same() {
        let size = BatchSize::Tokens(11);
        let (mut from_start, mut later) = (feed(size, 2, 2), feed(size, 2, 2));
        let all: Vec<_> = (0..50).map(|s| from_start.batch(s).unwrap().ids).collect();
        for step in [49, 20, 21] {
            assert_eq!(later.batch(step).unwrap().ids, all[step as usize]);
        }
        assert_ne!(all[0], all[1]);
    }

    #[test]
    fn a_feed_that_goes_on_counts_no_epoch_before_its_own() {
        let size = BatchSize::Tokens(11);
        let mut whole = feed(size, 2, 2);
        for step in 0..50 {
            let place = whole.place(step);
            let batch = whole.batch(step).unwrap();
            let began = whole.began().unwrap();
            assert_eq!(place.index, step - began.step);
            // What a checkpoint after the step before holds may be that one's epoch, too.
            let mut one = feed(size, 2, 2);
            one.go_on(step, Some(began)).unwrap();
            assert_eq!(one.place(step), place);
            assert_eq!(one.batch(step).unwrap().ids, batch.ids);
            assert_eq!(
                one.epochs(step),
                place.epoch as f64 + place.index as f64 / place.steps as f64
            );
        }
        let later = feed(size, 2, 2).go_on(whole.began().unwrap().step, Some(Began::default()));
        assert_eq!(later.unwrap_err().kind, Kind::Checkpoint);
        // What nobody could count to: an error or a place, at once.
        for (step, epoch, before) in [
            (u64::MAX, 0, 0),
            (u64::MAX, 1, 0),
            (u64::MAX, u64::MAX, 1),
            (5, 1, 6),
            (5, 0, 5),
            (5, 6, 5),
        ] {
            let began = Began {
                epoch,
                step: before,
            };
            let error = feed(size, 2, 2).go_on(step, Some(began)).unwrap_err();
            assert_eq!(error.kind, Kind::Checkpoint);
        }
        let far = Began {
            epoch: u64::MAX / 2,
            step: u64::MAX / 2,
        };
        let mut one = feed(size, 2, 2);
        one.go_on(far.step + 1, Some(far)).unwrap();
        assert_eq!(one.place(far.step + 1).index, 1);
    }

    #[test]
    fn room_is_that_of_the_longest_or_of_the_shortest() {
        let list = |length: usize| vec![1; length];
        let lists: Vec<Vec<u32>> = [3, 1, 1, 5, 2, 3].map(list).to_vec();
        let lines = Lines::from_lists(&lists, 5, 6).unwrap();
        // With an end each: 2, 2, 3, 4, 4, 6 steps.
        for (size, steps, batch, rows) in [
            (BatchSize::Sentences(1), 6, 1, 6),
            (BatchSize::Sentences(2), 6, 2, 10),
            (BatchSize::Sentences(4), 6, 4, 17),
            (BatchSize::Sentences(99), 6, 6, 21),
            (BatchSize::Tokens(1), 6, 1, 6),
            (BatchSize::Tokens(6), 6, 2, 6),
            (BatchSize::Tokens(8), 6, 3, 8),
            (BatchSize::Tokens(12), 6, 4, 12),
            (BatchSize::Tokens(99), 6, 6, 21),
        ] {
            assert_eq!(
                room(&lines, size),
                Packing { steps, batch, rows },
                "{size:?}"
            );
        }
    }

    #[test]
    fn a_text_without_lines_is_refused() {
        let none = lines().slice(0..0);
        let batching = Batching {
            order: LineOrder::Shuffle,
            size: BatchSize::Sentences(2),
            bucket: 0,
        };
        let error = LineFeed::new(none, batching, false, 1, 1).unwrap_err();
        assert_eq!(error.kind, Kind::Data);
    }
}
