//! Minibatches of sequences of different lengths: the strategies of Morishita et al., "An empirical study of mini-batch
//! creation strategies for neural machine translation" (2017), Algorithm 1. What an epoch has is a function of the seed
//! and the epoch's number alone.

use std::cmp::Reverse;

use super::lines::Lines;
use crate::rng::{Purpose, Stream};

/// Lengths of sequences, in steps: their tokens and the symbol at their end. A pair has one length for its source and one
/// for its target; a sequence alone has the same for both.
pub trait SequenceLengths {
    /// How many sequences there are; fewer than 2^32.
    fn count(&self) -> usize;
    /// Steps of a sequence's source.
    fn source(&self, sequence: u32) -> usize;
    /// Steps of its target.
    fn target(&self, sequence: u32) -> usize;
}

impl SequenceLengths for Lines {
    fn count(&self) -> usize {
        self.len()
    }

    fn source(&self, sequence: u32) -> usize {
        self.length(sequence as usize) + 1
    }

    fn target(&self, sequence: u32) -> usize {
        self.source(sequence)
    }
}

/// By what sequences are sorted before minibatches are cut. All are shuffled first, so that equal ones, too, come in
/// another order every epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineOrder {
    /// They stay shuffled.
    #[default]
    Shuffle,
    /// By the source's length.
    Source,
    /// By the target's.
    Target,
    /// By the source's, equal ones by the target's.
    SourceTarget,
    /// By the target's, equal ones by the source's.
    TargetSource,
}

/// How large a minibatch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many sequences.
    Sentences(usize),
    /// At most so many steps of sources, and of targets; a longer sequence is a minibatch of its own.
    Tokens(usize),
}

/// How minibatches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// The order in which they are cut.
    pub order: LineOrder,
    /// Their size.
    pub size: BatchSize,
    /// Sorting stays within buckets of so many minibatches of shuffled sequences, so that minibatches differ between
    /// epochs; 0 sorts all sequences together.
    pub bucket: usize,
}

/// The minibatches of an epoch, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineBatches {
    sequences: Vec<u32>,
    /// Where each minibatch ends in `sequences`, as they were cut.
    ends: Vec<u32>,
    /// The order in which they come.
    order: Vec<u32>,
}

/// What padding to a minibatch's longest sequence would cost, or costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Steps of all sequences.
    pub steps: u64,
    /// The same with every sequence as long as its minibatch's longest.
    pub padded: u64,
}

impl Padding {
    /// The share of the padded steps that is padding, in [0, 1).
    pub fn share(&self) -> f64 {
        match self.padded {
            0 => 0.0,
            padded => 1.0 - self.steps as f64 / padded as f64,
        }
    }
}

impl Batching {
    /// The minibatches of an epoch. Cheap enough for many millions of sequences, but meant to be kept for the epoch.
    pub fn epoch(
        &self,
        lengths: &(impl SequenceLengths + ?Sized),
        seed: u64,
        epoch: u64,
    ) -> LineBatches {
        let mut sequences: Vec<u32> = (0..lengths.count() as u32).collect();
        // Two shuffles an epoch, each with a stream of its own.
        shuffle(
            &mut sequences,
            seed,
            Purpose::Shuffle,
            epoch.wrapping_mul(2),
        );
        let mut ends = Vec::new();
        let mut from = 0;
        while from < sequences.len() {
            let bucket = from..self.bucket_end(lengths, &sequences, from);
            from = bucket.end;
            let start = bucket.start;
            let bucket = &mut sequences[bucket];
            let (source, target) = (|s: &u32| lengths.source(*s), |s: &u32| lengths.target(*s));
            // Stable sorts: equal ones stay shuffled. The longest first.
            match self.order {
                LineOrder::Shuffle => {}
                LineOrder::Source => bucket.sort_by_key(|s| Reverse(source(s))),
                LineOrder::Target => bucket.sort_by_key(|s| Reverse(target(s))),
                LineOrder::SourceTarget => bucket.sort_by_key(|s| Reverse((source(s), target(s)))),
                LineOrder::TargetSource => bucket.sort_by_key(|s| Reverse((target(s), source(s)))),
            }
            cut(lengths, bucket, self.size, start, &mut ends);
        }
        let mut order: Vec<u32> = (0..ends.len() as u32).collect();
        shuffle(
            &mut order,
            seed,
            Purpose::Shuffle,
            epoch.wrapping_mul(2).wrapping_add(1),
        );
        LineBatches {
            sequences,
            ends,
            order,
        }
    }

    /// Where the bucket that begins at `from` ends.
    fn bucket_end(
        &self,
        lengths: &(impl SequenceLengths + ?Sized),
        sequences: &[u32],
        from: usize,
    ) -> usize {
        let all = sequences.len();
        match (self.bucket, self.size) {
            (0, _) => all,
            (k, BatchSize::Sentences(n)) => {
                all.min(from.saturating_add(k.saturating_mul(n.max(1))))
            }
            (k, BatchSize::Tokens(n)) => {
                let mut room = Room::of(k.saturating_mul(n));
                let fits = |s: &u32| room.takes(lengths, *s);
                let taken = sequences[from..].iter().copied().take_while(fits).count();
                from + taken.max(1)
            }
        }
    }
}

/// The steps that a minibatch still has for sources and for targets.
struct Room {
    source: usize,
    target: usize,
}

impl Room {
    fn of(steps: usize) -> Room {
        Room {
            source: steps,
            target: steps,
        }
    }

    /// Takes the steps of a sequence, all that is left where they are more; whether there were enough.
    fn takes(&mut self, lengths: &(impl SequenceLengths + ?Sized), sequence: u32) -> bool {
        let source = self.source.checked_sub(lengths.source(sequence));
        let target = self.target.checked_sub(lengths.target(sequence));
        (self.source, self.target) = (source.unwrap_or(0), target.unwrap_or(0));
        source.is_some() && target.is_some()
    }
}

/// Cuts minibatches; their ends count from `start`.
fn cut(
    lengths: &(impl SequenceLengths + ?Sized),
    sequences: &[u32],
    size: BatchSize,
    start: usize,
    ends: &mut Vec<u32>,
) {
    match size {
        BatchSize::Sentences(n) => {
            let cuts = (0..sequences.len()).step_by(n.max(1)).skip(1);
            ends.extend(cuts.map(|at| (start + at) as u32));
        }
        BatchSize::Tokens(n) => {
            let mut room = Room::of(n);
            for (at, sequence) in sequences.iter().enumerate() {
                if !room.takes(lengths, *sequence) && at > 0 {
                    ends.push((start + at) as u32);
                    room = Room::of(n);
                    room.takes(lengths, *sequence);
                }
            }
        }
    }
    if !sequences.is_empty() {
        ends.push((start + sequences.len()) as u32);
    }
}

/// Every order is as likely as any other (Fisher and Yates).
pub(super) fn shuffle(list: &mut [u32], seed: u64, purpose: Purpose, step: u64) {
    let mut stream = Stream::new(seed, purpose, step);
    for last in (1..list.len()).rev() {
        list.swap(last, stream.below(last as u64 + 1) as usize);
    }
}

impl LineBatches {
    /// All sequences once, the longest first: for evaluation, where no order is needed but the least work.
    pub fn sorted(lengths: &(impl SequenceLengths + ?Sized), size: BatchSize) -> LineBatches {
        let mut sequences: Vec<u32> = (0..lengths.count() as u32).collect();
        sequences.sort_by_key(|s| Reverse((lengths.target(*s), lengths.source(*s))));
        let mut ends = Vec::new();
        cut(lengths, &sequences, size, 0, &mut ends);
        LineBatches {
            order: (0..ends.len() as u32).collect(),
            sequences,
            ends,
        }
    }

    /// How many minibatches there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The sequences of the minibatch at `index`; none beyond the last.
    pub fn batch(&self, index: usize) -> &[u32] {
        let Some(cut) = self.order.get(index).map(|n| *n as usize) else {
            return &[];
        };
        let start = cut.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.sequences[start as usize..self.ends[cut] as usize]
    }

    /// All minibatches in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(|index| self.batch(index))
    }

    /// Sequences of the largest minibatch.
    pub fn most_sequences(&self) -> usize {
        self.iter().map(<[u32]>::len).max().unwrap_or(0)
    }

    /// Steps of all targets of the minibatch that has most of them.
    pub fn most_steps(&self, lengths: &(impl SequenceLengths + ?Sized)) -> usize {
        let steps = |batch: &[u32]| batch.iter().map(|s| lengths.target(*s)).sum();
        self.iter().map(steps).max().unwrap_or(0)
    }

    /// What padding the targets would cost.
    pub fn padding(&self, lengths: &(impl SequenceLengths + ?Sized)) -> Padding {
        let mut padding = Padding::default();
        for batch in self.iter() {
            let steps = batch.iter().map(|s| lengths.target(*s) as u64);
            padding.steps += steps.clone().sum::<u64>();
            padding.padded += batch.len() as u64 * steps.max().unwrap_or(0);
        }
        padding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs of lengths.
    struct LengthPairs(Vec<(usize, usize)>);

    impl SequenceLengths for LengthPairs {
        fn count(&self) -> usize {
            self.0.len()
        }
        fn source(&self, s: u32) -> usize {
            self.0[s as usize].0
        }
        fn target(&self, s: u32) -> usize {
            self.0[s as usize].1
        }
    }

    fn pairs(n: u32) -> LengthPairs {
        let of = |i: u32| {
            (
                (i * 7919 % 13 + 1) as usize,
                (i * 104_729 % 17 + 1) as usize,
            )
        };
        LengthPairs((0..n).map(of).collect())
    }

    const ORDERS: [LineOrder; 5] = [
        LineOrder::Shuffle,
        LineOrder::Source,
        LineOrder::Target,
        LineOrder::SourceTarget,
        LineOrder::TargetSource,
    ];

    fn batching(order: LineOrder, size: BatchSize, bucket: usize) -> Batching {
        Batching {
            order,
            size,
            bucket,
        }
    }

    /// The keys of the sequences in the order in which minibatches were cut.
    fn cut_order<K>(b: &LineBatches, key: impl Fn(u32) -> K) -> Vec<K> {
        b.sequences.iter().map(|s| key(*s)).collect()
    }

    #[test]
    fn sequences_are_sorted_as_the_strategy_says() {
        let p = pairs(500);
        let of = |order| batching(order, BatchSize::Sentences(16), 0).epoch(&p, 3, 0);
        let at = |s: u32| p.0[s as usize];
        let falls = |keys: Vec<(usize, usize)>| keys.windows(2).all(|w| w[0] >= w[1]);
        assert!(!falls(cut_order(&of(LineOrder::Shuffle), |s| (at(s).0, 0))));
        let source = of(LineOrder::Source);
        assert!(falls(cut_order(&source, |s| (at(s).0, 0))));
        assert!(!falls(cut_order(&source, at)));
        let target = of(LineOrder::Target);
        assert!(falls(cut_order(&target, |s| (at(s).1, 0))));
        assert!(!falls(cut_order(&target, |s| (at(s).1, at(s).0))));
        assert!(falls(cut_order(&of(LineOrder::SourceTarget), at)));
        let both = of(LineOrder::TargetSource);
        assert!(falls(cut_order(&both, |s| (at(s).1, at(s).0))));
    }

    #[test]
    fn the_order_of_minibatches_is_shuffled_and_another_every_epoch() {
        let p = pairs(640);
        let b = batching(LineOrder::Target, BatchSize::Sentences(8), 0);
        let (first, second) = (b.epoch(&p, 3, 0), b.epoch(&p, 3, 1));
        assert_eq!(first, b.epoch(&p, 3, 0));
        let longest =
            |e: &LineBatches| -> Vec<usize> { e.iter().map(|x| p.target(x[0])).collect() };
        assert!(longest(&first).windows(2).any(|w| w[0] < w[1]));
        assert_ne!(longest(&first), longest(&second));
        assert_ne!(first, b.epoch(&p, 4, 0));
        // Equal ones are not always in the same company.
        let company = |e: &LineBatches| e.iter().find(|x| x.contains(&5)).map(<[u32]>::to_vec);
        assert_ne!(company(&first), company(&second));
    }

    #[test]
    fn buckets_sort_only_within() {
        let p = pairs(1000);
        let b = batching(LineOrder::Target, BatchSize::Sentences(10), 5).epoch(&p, 1, 0);
        for bucket in b.sequences.chunks(50) {
            assert!(bucket.windows(2).all(|w| p.target(w[0]) >= p.target(w[1])));
        }
        let all = |k: usize, size| {
            batching(LineOrder::Target, size, k)
                .epoch(&p, 1, 0)
                .padding(&p)
                .share()
        };
        for size in [BatchSize::Sentences(10), BatchSize::Tokens(100)] {
            let shuffled = batching(LineOrder::Shuffle, size, 0)
                .epoch(&p, 1, 0)
                .padding(&p)
                .share();
            assert!(
                all(0, size) < all(20, size)
                    && all(20, size) < all(2, size)
                    && all(2, size) < shuffled
            );
        }
    }

    #[test]
    fn padding_is_what_it_says() {
        let p = LengthPairs([3, 1, 2, 5].map(|n| (n, n)).to_vec());
        let b = LineBatches::sorted(&p, BatchSize::Sentences(2));
        assert_eq!(b.iter().collect::<Vec<_>>(), [&[3, 0][..], &[2, 1]]);
        let padding = b.padding(&p);
        assert_eq!(
            padding,
            Padding {
                steps: 11,
                padded: 14
            }
        );
        assert!((padding.share() - 3.0 / 14.0).abs() < 1e-12);
        assert_eq!((b.most_sequences(), b.most_steps(&p)), (2, 8));
        assert_eq!(b.batch(2), [0u32; 0]);
        let tokens = LineBatches::sorted(&p, BatchSize::Tokens(5));
        assert_eq!(tokens.iter().collect::<Vec<_>>(), [&[3][..], &[0, 2], &[1]]);
    }

    #[test]
    fn every_order_of_a_shuffle_is_as_likely() {
        let mut seen = std::collections::HashMap::new();
        for step in 0..2400 {
            let mut list = [0, 1, 2, 3];
            shuffle(&mut list, 1, Purpose::Shuffle, step);
            *seen.entry(list).or_insert(0) += 1;
        }
        // 100 each; more than 45 away is less likely than one in ten thousand for all of them together.
        assert_eq!(seen.len(), 24);
        assert!(
            seen.values().all(|n: &i32| (n - 100).abs() < 45),
            "{seen:?}"
        );
    }

    proptest! {
        #[test]
        fn every_sequence_is_there_once_and_no_minibatch_is_too_large(
            n in 0u32..300, size in 1usize..40, tokens: bool, bucket in 0usize..5, order in 0usize..5, epoch in 0u64..3,
        ) {
            let p = pairs(n);
            let size = if tokens { BatchSize::Tokens(size) } else { BatchSize::Sentences(size) };
            let b = batching(ORDERS[order], size, bucket).epoch(&p, 9, epoch);
            let mut all: Vec<u32> = b.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..n).collect::<Vec<u32>>());
            for batch in b.iter() {
                prop_assert!(!batch.is_empty());
                match size {
                    BatchSize::Sentences(most) => prop_assert!(batch.len() <= most),
                    BatchSize::Tokens(most) => {
                        let source: usize = batch.iter().map(|s| p.source(*s)).sum();
                        let target: usize = batch.iter().map(|s| p.target(*s)).sum();
                        prop_assert!(source.max(target) <= most || batch.len() == 1);
                    }
                }
            }
        }
    }
}
