//! How large minibatches of sequences get.

use std::collections::BTreeMap;

use crate::data::{BatchSize, SequenceLengths};
use crate::op::Packing;

/// The sizes within which any minibatch of this size lies: the longest ones, or as many of the shortest as a number of tokens allows.
pub fn capacity(sequences: &impl SequenceLengths, size: BatchSize) -> Packing {
    // How many have so many steps: there may be far more sequences than lengths.
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for sequence in 0..sequences.count() as u32 {
        *counts.entry(sequences.target(sequence)).or_default() += 1;
    }
    let longest = counts.last_key_value().map_or(1, |(length, _)| *length);
    match size {
        BatchSize::Sentences(n) => {
            let batch = n.clamp(1, sequences.count().max(1));
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

/// The size of so many minibatches together, at most.
pub fn joined(sequences: &impl SequenceLengths, size: BatchSize, together: usize) -> BatchSize {
    match size {
        BatchSize::Sentences(n) => BatchSize::Sentences(n.saturating_mul(together)),
        BatchSize::Tokens(n) if together > 1 => {
            // A longer sequence is a minibatch of its own.
            let all = 0..sequences.count() as u32;
            let longest = all.map(|s| sequences.target(s)).max();
            let most = n.max(longest.unwrap_or(0));
            BatchSize::Tokens(most.saturating_mul(together))
        }
        tokens => tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Lines;

    #[test]
    fn it_is_that_of_the_longest_or_of_the_shortest() {
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
                capacity(&lines, size),
                Packing { steps, batch, rows },
                "{size:?}"
            );
        }
    }
}
