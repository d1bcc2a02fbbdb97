//! Words by falling frequency, as an adaptive softmax and a log-uniform sampler need them.

use std::cmp::Reverse;

use super::words::Words;
use crate::error::{Error, Result};

/// What stands for every word that is not in the list.
pub(super) const UNKNOWN: &str = "<unk>";
/// The end of a line in a stream.
pub(super) const LINE: &str = "<eos>";
/// The beginning of a line that is a sequence of its own.
pub(super) const START: &str = "<s>";
/// Its end.
pub(super) const END: &str = "</s>";

/// Words: id i is the i-th.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WordList {
    pub words: Words,
    pub lines: bool,
    pub unknown: Option<u32>,
    /// `<eos>`, or with `lines` `</s>`.
    pub end: u32,
    /// `<s>`, with `lines`.
    pub start: Option<u32>,
}

impl WordList {
    /// From all words in order, those of the program's own among them.
    pub fn new<'a>(list: impl Iterator<Item = &'a [u8]>, lines: bool) -> Result<Self> {
        let mut words = Words::default();
        for (n, word) in list.enumerate() {
            let shown = || String::from_utf8_lossy(word).into_owned();
            let plain = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
            if !std::str::from_utf8(word).is_ok_and(plain) {
                return Err(Error::data(format!(
                    "vocabulary: word {n}: expected no white space, found {:?}",
                    shown()
                )));
            }
            if words.intern(word) != u32::try_from(n).ok() {
                return Err(Error::data(format!(
                    "vocabulary: expected each word once, found {:?} again",
                    shown()
                )));
            }
        }
        if words.len() < 2 {
            let found = match words.iter().next() {
                Some(word) => format!("only {}", String::from_utf8_lossy(word)),
                None => "none".to_string(),
            };
            return Err(Error::data(format!(
                "vocabulary: expected at least 2 different words in the text, found {found}"
            )));
        }
        let must = |name: &str| {
            words.find(name.as_bytes()).ok_or_else(|| {
                Error::data(format!(
                    "vocabulary: expected {name} among its words, found none"
                ))
            })
        };
        let (start, end) = match lines {
            true => (Some(must(START)?), must(END)?),
            false => (None, must(LINE)?),
        };
        // A list of marks alone has nothing to say.
        if words.len() <= 1 + usize::from(lines) {
            return Err(Error::data(
                "vocabulary: expected at least 1 word in the text, found none",
            ));
        }
        Ok(WordList {
            unknown: words.find(UNKNOWN.as_bytes()),
            words,
            lines,
            start,
            end,
        })
    }

    pub fn find(&self, word: &str) -> Option<u32> {
        self.words.find(word.as_bytes()).or(self.unknown)
    }

    /// What an id is called.
    pub fn name(&self, id: u32) -> &[u8] {
        match (id as usize) < self.words.len() {
            true => self.words.get(id),
            false => UNKNOWN.as_bytes(),
        }
    }
}

/// How often each word occurs.
#[derive(Default)]
pub(super) struct WordCounts {
    words: Words,
    counts: Vec<u64>,
    /// Lines in a stream; lines with words, where each is a sequence of its own.
    pub ends: u64,
    full: bool,
}

impl WordCounts {
    pub fn add(&mut self, word: &str) {
        match self.words.intern(word.as_bytes()) {
            None => self.full = true,
            Some(n) => match self.counts.get_mut(n as usize) {
                Some(count) => *count += 1,
                None => self.counts.push(1),
            },
        }
    }

    /// The words that occur `min_count` times; of these the most frequent, so that there are at most `most` with the
    /// program's own. By falling frequency, equal ones by their bytes.
    pub fn finish(self, min_count: u64, most: Option<usize>, lines: bool) -> Result<WordList> {
        if self.full {
            return Err(Error::data(
                "vocabulary: the text has more than 4294967294 different words",
            ));
        }
        let count = |name: &str| {
            { self.words.find(name.as_bytes()) }.map_or(0, |n| self.counts[n as usize])
        };
        let mut marks = match lines {
            true => vec![(END, count(END) + self.ends), (START, count(START))],
            false => vec![(LINE, count(LINE) + self.ends)],
        };
        marks.retain(|(name, n)| *n > 0 || *name == START);
        let ours: Vec<Option<u32>> = [UNKNOWN, LINE, START, END]
            .into_iter()
            .filter(|name| *name == UNKNOWN || marks.iter().any(|(mark, _)| mark == name))
            .map(|name| self.words.find(name.as_bytes()))
            .collect();
        let mut kept: Vec<u32> = (0..self.words.len() as u32)
            .filter(|n| self.counts[*n as usize] >= min_count && !ours.contains(&Some(*n)))
            .collect();
        let own = ours.iter().flatten().count();
        let mut unknown = count(UNKNOWN) > 0 || kept.len() + own < self.words.len();
        let by_frequency = |n: &u32| (Reverse(self.counts[*n as usize]), self.words.get(*n));
        kept.sort_unstable_by(|a, b| by_frequency(a).cmp(&by_frequency(b)));
        let room = most.map_or(usize::MAX, |most| most.saturating_sub(marks.len()));
        if kept.len() + usize::from(unknown) > room {
            unknown = true;
            kept.truncate(room.saturating_sub(1));
        }
        if unknown {
            let all = self.counts.iter().sum::<u64>();
            let known = kept.iter().map(|n| self.counts[*n as usize]).sum::<u64>();
            let marked: u64 = marks.iter().map(|(name, _)| count(name)).sum();
            marks.push((UNKNOWN, all - known - marked));
        }
        let mut list: Vec<(u64, &[u8])> = { kept.iter() }
            .map(|n| (self.counts[*n as usize], self.words.get(*n)))
            .chain(marks.iter().map(|(name, n)| (*n, name.as_bytes())))
            .collect();
        list.sort_unstable_by_key(|(n, word)| (Reverse(*n), *word));
        WordList::new(list.into_iter().map(|(_, word)| word), lines)
    }
}
