//! What a training step reads: a window of contiguous streams, or a minibatch of lines of about the same length.

use std::collections::BTreeMap;

use crate::data::{
    BatchSize, Batching, Carry, Lengths, LineBatches, Lines, Minibatch, Packed, Padding, Streams,
};
use crate::error::{Error, Result};
use crate::model::Dims;
use crate::op::Packing;

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
    pub carry: Carry,
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

    /// Steps of the first so many epochs.
    pub fn steps(&mut self, epochs: u64) -> u64 {
        match self {
            Feed::Streams(streams) => epochs.saturating_mul(streams.per_epoch() as u64),
            Feed::Lines(lines) => lines.steps(epochs),
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
    /// Steps up to the end of each epoch so far, where minibatches of a size in tokens make epochs of unequal length.
    ends: Vec<u64>,
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
            ends: Vec::new(),
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

    /// Notes the end of one more epoch.
    fn count(&mut self) {
        let epoch = self.ends.len() as u64;
        let together = self.together;
        let steps = self.batches(epoch).1.len().div_ceil(together) as u64;
        let before = self.ends.last().copied().unwrap_or(0);
        self.ends.push(before + steps);
    }

    fn steps(&mut self, epochs: u64) -> u64 {
        if let Some(steps) = self.even() {
            return epochs.saturating_mul(steps);
        }
        while (self.ends.len() as u64) < epochs {
            self.count();
        }
        let last = epochs.checked_sub(1).map(|e| self.ends[e as usize]);
        last.unwrap_or(0)
    }

    fn place(&mut self, step: u64) -> Place {
        if let Some(steps) = self.even() {
            return place(step, steps);
        }
        while self.ends.last().is_none_or(|end| *end <= step) {
            self.count();
        }
        let epoch = self.ends.partition_point(|end| *end <= step);
        let before = epoch.checked_sub(1).map_or(0, |e| self.ends[e]);
        Place {
            epoch: epoch as u64,
            index: step - before,
            steps: self.ends[epoch] - before,
        }
    }

    fn batch(&mut self, place: Place) -> Result<Batch> {
        let (packing, pad, together) = (self.packing, self.pad, self.together);
        let (lines, batches) = self.batches(place.epoch);
        let first = place.index as usize * together;
        let update: Vec<u32> = { first..first + together }
            .flat_map(|minibatch| batches.batch(minibatch).iter().copied())
            .collect();
        let packed = Packed::new(lines, &update)?;
        Ok(match pad {
            true => Batch::padded(&packed, &packing),
            false => Batch::packed(packed, &packing),
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
    pub fn packed(packed: Packed, packing: &Packing) -> Batch {
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
            carry: Carry::Reset,
        }
    }

    /// The same with every sequence as long as the longest; what fills them has no weight.
    fn padded(packed: &Packed, packing: &Packing) -> Batch {
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
            carry: Carry::Reset,
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
                    assert_eq!(feed.steps(epoch + 1), step);
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
            let minibatches = one.steps(1);
            assert_eq!(three.steps(1), minibatches.div_ceil(3));
            for update in 0..three.steps(1) {
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
