//! Words by falling frequency, as an adaptive softmax and a log-uniform sampler need them.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::recipe::VocabularyRecipe;
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
/// What a word of the text begins with in the list where it would else be one of the program's own, or look like one that
/// was so written.
const ESCAPE: char = '\\';

/// Whether `word`, but for escapes, is a mark that the program itself puts into texts of lines, or into streams.
fn is_mark(word: &str, lines: bool) -> bool {
    let plain = word.trim_start_matches(ESCAPE);
    if lines {
        [START, END].contains(&plain)
    } else {
        plain == LINE
    }
}

/// A word of the text as the list has it: the program's own marks never come from the text.
fn escaped(word: &str, lines: bool) -> Cow<'_, str> {
    if is_mark(word, lines) {
        format!("{ESCAPE}{word}").into()
    } else {
        word.into()
    }
}

/// Words: id i is the i-th.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WordList {
    pub words: Words,
    pub lines: bool,
    /// Whether words of the text that look like the program's own are words like others, written with an escape. In older
    /// lists they are the program's own, and stay so, as a model was trained on them.
    pub escapes: bool,
    pub unknown: Option<u32>,
    /// `<eos>`, or with `lines` `</s>`.
    pub end: u32,
    /// `<s>`, with `lines`.
    pub start: Option<u32>,
}

impl WordList {
    /// From all words in order, those of the program's own among them.
    pub fn new<'a>(
        list: impl Iterator<Item = &'a [u8]>,
        lines: bool,
        escapes: bool,
    ) -> Result<Self> {
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
        let (start, end) = if lines {
            (Some(must(START)?), must(END)?)
        } else {
            (None, must(LINE)?)
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
            escapes,
            start,
            end,
        })
    }

    pub fn find(&self, word: &str) -> Option<u32> {
        let found = if self.escapes && is_mark(word, self.lines) {
            self.words.find(escaped(word, self.lines).as_bytes())
        } else {
            self.words.find(word.as_bytes())
        };
        found.or(self.unknown)
    }

    /// What an id prints as.
    pub fn name(&self, id: u32) -> &[u8] {
        if id as usize >= self.words.len() {
            return UNKNOWN.as_bytes();
        }
        let word = self.words.get(id);
        match word.strip_prefix(&[ESCAPE as u8]) {
            Some(plain) if self.escapes && self.is_escaped(word) => plain,
            _ => word,
        }
    }

    fn is_escaped(&self, word: &[u8]) -> bool {
        std::str::from_utf8(word).is_ok_and(|word| is_mark(word, self.lines))
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

    /// The words that occur often enough; of these the most frequent, so that there are at most as many as allowed with the
    /// program's own. By falling frequency, equal ones by their bytes.
    pub fn finish(self, recipe: &VocabularyRecipe) -> Result<WordList> {
        let VocabularyRecipe {
            min_count,
            max_size: most,
            lines,
            ..
        } = *recipe;
        if self.full {
            return Err(Error::data(
                "vocabulary: the text has more than 4294967294 different words",
            ));
        }
        let mut marks = if lines {
            vec![(END, self.ends), (START, 0)]
        } else {
            vec![(LINE, self.ends)]
        };
        marks.retain(|(name, n)| *n > 0 || *name == START);
        // A text's own unknown words are those that the program does not know.
        let unknown = self.words.find(UNKNOWN.as_bytes());
        let mut kept: Vec<u32> = (0..self.words.len() as u32)
            .filter(|n| self.counts[*n as usize] >= min_count && unknown != Some(*n))
            .collect();
        let mut unknown = recipe.unknown || unknown.is_some() || kept.len() < self.words.len();
        let by_frequency = |n: &u32| (Reverse(self.counts[*n as usize]), self.words.get(*n));
        kept.sort_unstable_by(|a, b| by_frequency(a).cmp(&by_frequency(b)));
        let limit = most.map_or(usize::MAX, |most| most.saturating_sub(marks.len()));
        if kept.len() + usize::from(unknown) > limit {
            unknown = true;
            kept.truncate(limit.saturating_sub(1));
        }
        if unknown {
            let all = self.counts.iter().sum::<u64>();
            let known = kept.iter().map(|n| self.counts[*n as usize]).sum::<u64>();
            marks.push((UNKNOWN, all - known));
        }
        let word = |n: &u32| match std::str::from_utf8(self.words.get(*n)) {
            Ok(text) if is_mark(text, lines) => {
                Cow::Owned(escaped(text, lines).into_owned().into())
            }
            _ => Cow::Borrowed(self.words.get(*n)),
        };
        let mut list: Vec<(u64, Cow<'_, [u8]>)> = kept
            .iter()
            .map(|n| (self.counts[*n as usize], word(n)))
            .chain(marks.iter().map(|(name, n)| (*n, name.as_bytes().into())))
            .collect();
        list.sort_unstable_by(|(n, a), (m, b)| (m, a).cmp(&(n, b)));
        WordList::new(list.iter().map(|(_, word)| &word[..]), lines, true)
    }
}
