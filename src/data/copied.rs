//! Whether held-out text stands in the training text as well, where a loss on it says little.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::dataset::Dataset;
use super::lines::Lines;
use super::tokens::Tokens;
use crate::error::Result;

/// Tokens of a piece of a stream that is looked for; less than [`SHORTEST`] says nothing.
const PIECE: usize = 100;
const SHORTEST: usize = 30;
/// Pieces of a stream that are looked for, at most, evenly spread over the held-out text.
const PIECES: usize = 64;
/// Lines that are looked for, at most.
const LINES: usize = 4096;

/// How much of the held-out text was looked for in the training text, and found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many pieces were looked for.
    pub of: usize,
    /// How many of them were found.
    pub found: usize,
    /// Tokens of a piece; none where pieces are lines.
    pub tokens: Option<usize>,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, of) = (self.found, self.of);
        let what = match self.tokens {
            None => format!("{found} of {of} lines"),
            Some(tokens) => format!("{found} of {of} pieces of {tokens} tokens"),
        };
        write!(
            f,
            "the validation text is not new: {what} that were looked for stand in the training text too, so its loss does \
             not measure what was learned"
        )
    }
}

/// How much of `validation` stands in `train`, if it is so much that it cannot be chance: a quarter of the pieces of a
/// stream, half of the lines.
///
/// # Errors
/// `Kind::Io` when ids that lie in a file cannot be read.
pub fn copied(train: &Dataset, validation: &Dataset) -> Result<Option<Copied>> {
    let (found, share) = match (train, validation) {
        (Dataset::Stream(train), Dataset::Stream(rest)) => (stream(train, rest)?, 4),
        (Dataset::Lines(train), Dataset::Lines(rest)) => (lines(train, rest)?, 2),
        _ => return Ok(None),
    };
    Ok(Some(found).filter(|c| c.found > 0 && c.found * share >= c.of))
}

/// Hash of tokens that follow one another, which goes on token by token.
fn next(hash: u64, token: u32) -> u64 {
    hash.wrapping_mul(FACTOR).wrapping_add(u64::from(token) + 1)
}

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

fn stream(train: &Tokens, rest: &Tokens) -> Result<Copied> {
    let length = PIECE.min(rest.len());
    let none = Copied {
        of: 0,
        found: 0,
        tokens: Some(length),
    };
    if length < SHORTEST || train.len() < length {
        return Ok(none);
    }
    let count = PIECES.min(rest.len() / length);
    let mut pieces: HashMap<u64, Vec<Vec<u32>>> = HashMap::new();
    for n in 0..count {
        let mut ids = vec![0; length];
        rest.read(n * (rest.len() - length) / count.max(1), &mut ids)?;
        let hash = ids.iter().fold(0, |hash, id| next(hash, *id));
        pieces.entry(hash).or_default().push(ids);
    }
    // Most places are told by one bit.
    let slot = |hash: u64| (hash >> 52) as usize;
    let mut may = vec![false; 1 << 12];
    pieces.keys().for_each(|hash| may[slot(*hash)] = true);
    let oldest = (0..length).fold(1u64, |power, _| power.wrapping_mul(FACTOR));
    let mut found = 0;
    let mut hash = 0u64;
    // The last tokens of the block before stand at its beginning.
    let mut block = vec![0; length + (1 << 16)];
    let mut at = 0;
    while at < train.len() && found < count {
        let more = (train.len() - at).min(block.len() - length);
        train.read(at, &mut block[length..length + more])?;
        for end in length..length + more {
            // The token at block[end] is number at + end - length.
            hash = next(hash, block[end]);
            if at + end >= 2 * length {
                hash = hash.wrapping_sub(oldest.wrapping_mul(u64::from(block[end - length]) + 1));
            }
            if at + end + 1 < 2 * length || !may[slot(hash)] {
                continue;
            }
            let here = &block[end + 1 - length..=end];
            if let Some(same) = pieces.get_mut(&hash) {
                let before = same.len();
                same.retain(|ids| ids != here);
                found += before - same.len();
            }
        }
        block.copy_within(more..more + length, 0);
        at += more;
    }
    Ok(Copied {
        of: count,
        found,
        ..none
    })
}

fn lines(train: &Lines, rest: &Lines) -> Result<Copied> {
    let hasher = FixedState::default();
    let mut ids = Vec::new();
    let mut hash = |lines: &Lines, n: usize| -> Result<u64> {
        ids.resize(lines.length(n), 0);
        lines.read(n, &mut ids)?;
        Ok(hasher.hash_one(&ids))
    };
    let count = LINES.min(rest.len());
    let step = |n: usize| (n as u128 * rest.len() as u128 / count.max(1) as u128) as usize;
    let wanted: Vec<u64> = (0..count)
        .map(|n| hash(rest, step(n)))
        .collect::<Result<_>>()?;
    let mut left: HashSet<u64> = wanted.iter().copied().collect();
    for n in 0..train.len() {
        if left.is_empty() {
            break;
        }
        left.remove(&hash(train, n)?);
    }
    Ok(Copied {
        of: count,
        found: wanted.iter().filter(|hash| !left.contains(hash)).count(),
        tokens: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    fn drawn(count: usize, seed: u64) -> Vec<u32> {
        let mut stream = Stream::new(seed, Purpose::Sample, 0);
        (0..count)
            .map(|_| (stream.uniform() * 20.0) as u32)
            .collect()
    }

    fn of(train: &[u32], rest: &[u32]) -> Option<Copied> {
        let tokens = |ids: &[u32]| Dataset::from(Tokens::from(ids.to_vec()));
        copied(&tokens(train), &tokens(rest)).unwrap()
    }

    #[test]
    fn a_copy_in_the_training_text_is_found_wherever_it_stands() {
        let (text, rest) = (drawn(200_000, 1), drawn(5000, 2));
        assert_eq!(of(&text, &rest), None);
        // At the beginning, across the border of two blocks, at the end.
        for at in [0, 65_536 - 7, 130_000, 195_000] {
            let mut train = text.clone();
            train[at..at + 5000].copy_from_slice(&rest);
            let want = Copied {
                of: 50,
                found: 50,
                tokens: Some(100),
            };
            assert_eq!(of(&train, &rest), Some(want), "at {at}");
        }
        // A piece as short as the training text itself, and one that is longer.
        assert_eq!(of(&rest[..100], &rest[..100]).unwrap().found, 1);
        assert_eq!(of(&rest[..99], &rest[..100]), None);
        assert_eq!(of(&rest[..99], &rest[1..99]).unwrap().tokens, Some(98));
        // Half of it, and a tenth.
        let some = |n: usize| [&text[..1000], &rest[..n], &text[1000..9000]].concat();
        assert!(of(&some(2500), &rest).is_some_and(|c| (24..=25).contains(&c.found)));
        assert_eq!(of(&some(500), &rest), None);
        assert_eq!(of(&text, &[]), None);
        assert_eq!(of(&[1; 500], &[1; 20]), None);
    }

    #[test]
    fn lines_of_the_training_text_are_found() {
        let lists = |seed: u64| -> Vec<Vec<u32>> {
            (0..200)
                .map(|n| drawn(5 + n as usize % 7, 1000 * seed + n))
                .collect()
        };
        let lines = |lists: &[Vec<u32>]| Dataset::from(Lines::from_lists(lists, 20, 21).unwrap());
        let (one, two) = (lists(1), lists(2));
        assert_eq!(copied(&lines(&one), &lines(&two)).unwrap(), None);
        let both = [one.clone(), two[50..150].to_vec()].concat();
        let found = copied(&lines(&both), &lines(&two)).unwrap();
        let want = Copied {
            of: 200,
            found: 100,
            tokens: None,
        };
        assert_eq!(found, Some(want));
        let fewer = [one, two[50..149].to_vec()].concat();
        assert_eq!(copied(&lines(&fewer), &lines(&two)).unwrap(), None);
    }
}
