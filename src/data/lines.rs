//! A text whose every line is a sequence of its own.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::tokens::{Tokens, TokensWriter};
use super::vocab::{Encoded, Vocabulary};
use crate::error::{Error, Result};

/// The lines of a text that have tokens, in its order, without the start and end symbols. Clones and slices share them.
#[derive(Clone, Debug)]
pub struct Lines {
    tokens: Tokens,
    index: Arc<Index>,
    /// The lines of this slice.
    range: Range<usize>,
    start: u32,
    end: u32,
}

/// Where lines lie: four bytes a line and a little more, as there may be very many.
#[derive(Debug, Default)]
struct Index {
    lengths: Vec<u32>,
    /// Where every 64th line begins, and where the text ends.
    blocks: Vec<u64>,
    /// Tokens so far.
    tokens: u64,
}

const BLOCK: usize = 64;

impl Index {
    fn push(&mut self, length: u32) {
        if self.lengths.len().is_multiple_of(BLOCK) {
            self.blocks.push(self.tokens);
        }
        self.lengths.push(length);
        self.tokens += u64::from(length);
    }

    /// Where a line begins; the number of lines gives the end.
    fn start(&self, line: usize) -> u64 {
        let Some(block) = self.blocks.get(line / BLOCK) else {
            return self.tokens;
        };
        let before = &self.lengths[line / BLOCK * BLOCK..line];
        block + before.iter().map(|n| u64::from(*n)).sum::<u64>()
    }
}

/// What is done with lines that are longer than allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongLines {
    /// They are refused.
    #[default]
    Error,
    /// Their beginning is kept.
    Cut,
    /// They are left out.
    Drop,
}

/// Which lines are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineRules {
    /// The longest line, in tokens without start and end; 0: any.
    pub max: usize,
    /// What is done with longer ones.
    pub long: LongLines,
}

/// What was left out of a text of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines without tokens.
    pub empty: u64,
    /// Lines that were cut.
    pub cut: u64,
    /// Lines that were too long and left out.
    pub dropped: u64,
}

impl Lines {
    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Tokens of line `line`, without start and end symbols.
    ///
    /// # Panics
    /// Where there is no such line.
    pub fn length(&self, line: usize) -> usize {
        self.index.lengths[self.range.clone()][line] as usize
    }

    /// Tokens of all lines, without start and end symbols.
    pub fn tokens(&self) -> u64 {
        self.index.start(self.range.end) - self.index.start(self.range.start)
    }

    /// Bytes of memory that ids and lengths take.
    pub fn bytes(&self) -> u64 {
        self.tokens.bytes() + 4 * self.len() as u64
    }

    /// How many predictions one pass makes: every token and every end symbol.
    pub fn predictions(&self) -> u64 {
        self.tokens() + self.len() as u64
    }

    /// Tokens of the longest line; 0 where there is none.
    pub fn longest(&self) -> usize {
        let lengths = &self.index.lengths[self.range.clone()];
        lengths.iter().max().map_or(0, |n| *n as usize)
    }

    /// The id before every line.
    pub fn start_id(&self) -> u32 {
        self.start
    }

    /// The id after every line.
    pub fn end_id(&self) -> u32 {
        self.end
    }

    /// The lines in `range`, cut to what there is; nothing is copied.
    pub fn slice(&self, range: Range<usize>) -> Lines {
        let start = range.start.min(self.len());
        let end = range.end.clamp(start, self.len());
        Lines {
            range: self.range.start + start..self.range.start + end,
            ..self.clone()
        }
    }

    /// Fills `ids`, which must have the line's length, with the tokens of line `line`.
    ///
    /// # Errors
    /// `Kind::Io` when tokens that lie in a file cannot be read; `Kind::Internal` for no such line.
    pub fn read(&self, line: usize, ids: &mut [u32]) -> Result<()> {
        if line >= self.len() || ids.len() != self.length(line) {
            return Err(Error::internal(format!(
                "line {line} of {} was to be read as {} tokens",
                self.len(),
                ids.len()
            )));
        }
        let at = self.index.start(self.range.start + line);
        self.tokens.read(at as usize, ids)
    }

    /// The tokens of line `line`.
    ///
    /// # Errors
    /// As [`Lines::read`].
    ///
    /// # Panics
    /// Where there is no such line.
    pub fn ids(&self, line: usize) -> Result<Vec<u32>> {
        let mut ids = vec![0; self.length(line)];
        self.read(line, &mut ids)?;
        Ok(ids)
    }

    /// Lines that are given, for texts that come from elsewhere.
    ///
    /// # Errors
    /// `Kind::Data` for a line without tokens, or of 2^32 and more.
    pub fn from_lists(lists: &[Vec<u32>], start: u32, end: u32) -> Result<Lines> {
        let mut index = Index::default();
        for (n, list) in lists.iter().enumerate() {
            let length = u32::try_from(list.len()).ok().filter(|length| *length > 0);
            index.push(length.ok_or_else(|| {
                let found = list.len();
                Error::data(format!(
                    "line {n}: expected 1 to 2^32 - 1 tokens, found {found}"
                ))
            })?);
        }
        Ok(Lines {
            tokens: lists.concat().into(),
            range: 0..index.lengths.len(),
            index: Arc::new(index),
            start,
            end,
        })
    }
}

/// Takes ids and line ends and becomes [`Lines`].
pub(super) struct LinesWriter {
    rules: LineRules,
    writer: TokensWriter,
    index: Index,
    left_out: LeftOut,
    start: u32,
    end: u32,
    /// Lines of the file so far, empty ones too.
    number: u64,
    /// Tokens of the line so far.
    length: u64,
    /// Those that wait until it is known whether the line is taken.
    waiting: Vec<u32>,
}

impl LinesWriter {
    /// Long texts go to a temporary file in `folder`.
    ///
    /// # Errors
    /// Internal for a vocabulary that is not of lines.
    pub fn new(folder: &Path, vocabulary: &Vocabulary, rules: LineRules) -> Result<Self> {
        let (Some(start), Some(end)) = (vocabulary.start_id(), vocabulary.end_id()) else {
            return Err(Error::internal("a stream's vocabulary cannot encode lines"));
        };
        Ok(LinesWriter {
            rules,
            writer: TokensWriter::new(folder, vocabulary.len()),
            index: Index::default(),
            left_out: LeftOut::default(),
            start,
            end,
            number: 0,
            length: 0,
            waiting: Vec::new(),
        })
    }

    /// Goes on with what an encoder found.
    ///
    /// # Errors
    /// `Kind::Data`, naming the line, its length and the limit, when it is too long; `Kind::Io` when ids cannot be kept.
    pub fn write(&mut self, found: &Encoded) -> Result<()> {
        let mut from = 0;
        for end in &found.ends {
            self.tokens(&found.ids[from..*end])?;
            self.line_end()?;
            from = *end;
        }
        self.tokens(&found.ids[from..])
    }

    /// The most tokens that a line may have.
    fn most(&self) -> u64 {
        match self.rules.max {
            0 => u64::from(u32::MAX),
            max => (max as u64).min(u32::MAX.into()),
        }
    }

    fn tokens(&mut self, ids: &[u32]) -> Result<()> {
        let remaining = self.most().saturating_sub(self.length);
        let ids_taken = &ids[..remaining.min(ids.len() as u64) as usize];
        self.length += ids.len() as u64;
        // A line that is sure to be taken need not wait.
        if self.rules.max == 0 || self.rules.long == LongLines::Cut {
            self.writer.write(ids_taken)
        } else {
            self.waiting.extend_from_slice(ids_taken);
            Ok(())
        }
    }

    fn line_end(&mut self) -> Result<()> {
        self.number += 1;
        let length = std::mem::take(&mut self.length);
        let most = self.most();
        if length == 0 {
            self.left_out.empty += 1;
            return Ok(());
        }
        if length > most {
            match self.rules.long {
                LongLines::Drop if self.rules.max > 0 => {
                    self.left_out.dropped += 1;
                    self.waiting.clear();
                    return Ok(());
                }
                LongLines::Cut => self.left_out.cut += 1,
                _ => {
                    return Err(Error::data(format!(
                        "line {}: expected at most {most} tokens (--max-line), found {length}; --long-lines cut or drop \
                         goes on without them",
                        self.number
                    )));
                }
            }
        }
        self.writer.write(&self.waiting)?;
        self.waiting.clear();
        self.index.push(length.min(most) as u32);
        Ok(())
    }

    /// The end of a file: lines are counted anew.
    pub fn end_file(&mut self) {
        self.number = 0;
    }

    /// All lines.
    ///
    /// # Errors
    /// `Kind::Data` when no line has a token; `Kind::Io` when ids cannot be kept.
    pub fn finish(self) -> Result<(Lines, LeftOut)> {
        let count = self.index.lengths.len();
        if count == 0 {
            let LeftOut { empty, dropped, .. } = self.left_out;
            return Err(Error::data(format!(
                "expected lines with tokens, found none ({empty} empty, {dropped} too long)"
            )));
        }
        // Four billion numbers are enough for everything that counts lines.
        if u32::try_from(count).is_err() {
            return Err(Error::data(format!(
                "expected fewer than 2^32 lines, found {count}"
            )));
        }
        let lines = Lines {
            tokens: self.writer.finish()?,
            index: Arc::new(self.index),
            range: 0..count,
            start: self.start,
            end: self.end,
        };
        Ok((lines, self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::vocab::{VocabKind, VocabularyRecipe};
    use crate::data::{Corpus, TextSource};
    use crate::error::Kind;
    use std::fs;

    fn open(texts: &[&str]) -> (tempfile::TempDir, Corpus, Vocabulary) {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: usize| dir.path().join(format!("{n}.txt"));
        for (n, text) in texts.iter().enumerate() {
            fs::write(path(n), text).unwrap();
        }
        let corpus = TextSource::Files((0..texts.len()).map(path).collect())
            .open(dir.path())
            .unwrap();
        let recipe = VocabularyRecipe {
            kind: VocabKind::Word,
            lines: true,
            ..VocabularyRecipe::default()
        };
        let v = corpus.vocabulary(&recipe).unwrap();
        (dir, corpus, v)
    }

    fn text(lines: &Lines, v: &Vocabulary) -> Vec<String> {
        (0..lines.len())
            .map(|n| {
                let mut ids = vec![0; lines.length(n)];
                lines.read(n, &mut ids).unwrap();
                String::from_utf8(v.decode(&ids)).unwrap()
            })
            .collect()
    }

    #[test]
    fn lines_with_tokens_in_their_order() {
        let (_dir, corpus, v) = open(&["a b c\n\n \r\nd", "b\n\nc c c c\n"]);
        let (lines, left_out) = corpus.lines(&v, LineRules::default()).unwrap();
        assert_eq!(text(&lines, &v), ["a b c", "d", "b", "c c c c"]);
        let want = LeftOut {
            empty: 3,
            cut: 0,
            dropped: 0,
        };
        assert_eq!(left_out, want);
        assert_eq!(
            (lines.tokens(), lines.predictions(), lines.longest()),
            (9, 13, 4)
        );
        assert_eq!(
            (Some(lines.start_id()), Some(lines.end_id())),
            (v.start_id(), v.end_id())
        );
        let part = lines.slice(1..3);
        assert_eq!(text(&part, &v), ["d", "b"]);
        assert_eq!((part.tokens(), part.longest()), (2, 1));
        assert_eq!(text(&part.slice(1..9), &v), ["b"]);
        for (line, n) in [(2, 1), (0, 2)] {
            assert_eq!(
                part.read(line, &mut vec![0; n]).unwrap_err().kind,
                Kind::Internal
            );
        }
    }

    #[test]
    fn long_lines_are_refused_cut_or_left_out() {
        let (_dir, corpus, v) = open(&["a\n", "a b\n\nc c c c\na b c\nb\n"]);
        let of = |long| corpus.lines(&v, LineRules { max: 2, long });
        let e = of(LongLines::Error).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        for part in [
            "1.txt: line 3: ",
            "at most 2 tokens",
            "--max-line",
            "found 4",
            "--long-lines",
        ] {
            assert!(e.message.contains(part), "{part}: {e}");
        }
        let (lines, left_out) = of(LongLines::Cut).unwrap();
        assert_eq!(text(&lines, &v), ["a", "a b", "c c", "a b", "b"]);
        assert_eq!((left_out.cut, left_out.dropped, left_out.empty), (2, 0, 1));
        let (lines, left_out) = of(LongLines::Drop).unwrap();
        assert_eq!(text(&lines, &v), ["a", "a b", "b"]);
        assert_eq!((left_out.cut, left_out.dropped, left_out.empty), (0, 2, 1));
        let (all, _) = corpus
            .lines(
                &v,
                LineRules {
                    max: 4,
                    long: LongLines::Error,
                },
            )
            .unwrap();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn a_text_without_lines_is_refused() {
        let (_dir, corpus, v) = open(&["a b c\n"]);
        let e = corpus
            .lines(
                &v,
                LineRules {
                    max: 2,
                    long: LongLines::Drop,
                },
            )
            .unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        assert!(
            e.message.ends_with("found none (0 empty, 1 too long)"),
            "{e}"
        );
    }

    #[test]
    fn lines_that_change_or_go_between_passes_are_refused() {
        let text = "a b c\nb c\na\n";
        let (dir, corpus, v) = open(&[text]);
        let path = dir.path().join("0.txt");
        let lines = || {
            corpus
                .lines(&v, LineRules::default())
                .map(|(lines, _)| lines.len())
        };
        assert_eq!(lines().unwrap(), 3);
        // Grown, shrunk at a line's end and within a line, emptied, of the same length with other words.
        for changed in [
            "a b c\nb c\na\nd\n",
            "a b c\n",
            "a b",
            "",
            "a b c\nb c\nc\n",
        ] {
            fs::write(&path, changed).unwrap();
            let e = lines().unwrap_err();
            assert_eq!(e.kind, Kind::Data, "{e}");
            assert!(e.message.contains("0.txt: the text "), "{changed:?}: {e}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(lines().unwrap_err().kind, Kind::Io);
        fs::write(&path, text).unwrap();
        assert_eq!(lines().unwrap(), 3);
    }

    #[test]
    fn the_place_of_every_line_is_known() {
        let lists: Vec<Vec<u32>> = (0..1000u32)
            .map(|n| vec![n; 1 + (n * n % 37) as usize])
            .collect();
        let lines = Lines::from_lists(&lists, 1, 2).unwrap();
        for slice in [0..1000, 63..65, 64..1000, 999..1000, 500..500] {
            let part = lines.slice(slice.clone());
            assert_eq!(
                part.tokens(),
                lists[slice.clone()]
                    .iter()
                    .map(|l| l.len() as u64)
                    .sum::<u64>()
            );
            for (n, list) in lists[slice].iter().enumerate() {
                let mut ids = vec![0; part.length(n)];
                part.read(n, &mut ids).unwrap();
                assert_eq!(ids, *list);
            }
        }
        assert_eq!(
            Lines::from_lists(&[vec![]], 1, 2).unwrap_err().kind,
            Kind::Data
        );
    }
}
