//! From a text to token ids, in pieces of any size.

use super::losses::DecodingLosses;
use super::pieces::{Out, PieceStream, Pieces};
use super::scan::{Scanner, Sink};
use super::{Inner, VocabKind, Vocabulary, symbols};
use crate::error::{Error, Result};

/// Ids that an [`Encoder`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The ids.
    pub ids: Vec<u32>,
    /// In a vocabulary of lines: how many of the ids stand before each line end, in order.
    pub ends: Vec<usize>,
}

impl Encoded {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
    }
}

/// Encodes a text.
pub struct Encoder<'a> {
    vocabulary: &'a Vocabulary,
    scanner: Scanner,
    strangers: Strangers,
    pending: PendingText,
}

/// What sub-words are to be made of.
#[derive(Default)]
struct PendingText {
    /// Lines of a text of lines that have ended, and where each begins.
    lines: Vec<(String, u64)>,
    /// What follows, and where it begins.
    open: (String, u64),
    /// The text whose beginning was encoded before, or waits: the whole one, or a line that goes on.
    stream: PieceStream,
    losses: DecodingLosses,
}

impl<'a> Encoder<'a> {
    /// At the beginning of a text.
    pub fn new(vocabulary: &'a Vocabulary) -> Self {
        Encoder {
            vocabulary,
            scanner: Scanner::new(vocabulary.kind(), vocabulary.of_lines()),
            strangers: Strangers::default(),
            pending: PendingText::default(),
        }
    }

    /// What one symbol is.
    pub(in crate::data) fn kind(&self) -> VocabKind {
        self.vocabulary.kind()
    }

    /// Goes on with `text`; adds to `found`.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8, unless bytes are the symbols; for a word without an end.
    pub fn feed(&mut self, text: &[u8], found: &mut Encoded) -> Result<()> {
        let mut ids = Ids {
            vocabulary: self.vocabulary,
            strangers: &mut self.strangers,
            pending: &mut self.pending,
            found,
        };
        self.scanner.feed(text, &mut ids)?;
        self.pieces(found)
    }

    /// The end of a file, which ends its last line too.
    ///
    /// # Errors
    /// `Kind::Data` when it ends within a character.
    pub fn end_file(&mut self, found: &mut Encoded) -> Result<()> {
        self.end(true, found)
    }

    /// The end of a text that may go on elsewhere: its last line is not ended.
    ///
    /// # Errors
    /// As [`end_file`](Self::end_file).
    pub fn end_fragment(&mut self, found: &mut Encoded) -> Result<()> {
        self.end(false, found)
    }

    fn end(&mut self, closing: bool, found: &mut Encoded) -> Result<()> {
        let mut ids = Ids {
            vocabulary: self.vocabulary,
            strangers: &mut self.strangers,
            pending: &mut self.pending,
            found,
        };
        self.scanner.end(closing, &mut ids)?;
        self.pieces(found)
    }

    /// Makes sub-words of what waits.
    fn pieces(&mut self, found: &mut Encoded) -> Result<()> {
        let vocabulary = self.vocabulary;
        let Inner::Pieces(pieces) = &*vocabulary.0 else {
            return Ok(());
        };
        let mut lines = std::mem::take(&mut self.pending.lines);
        // Only the first line can have begun before.
        if !self.pending.stream.is_empty() && !lines.is_empty() {
            let (text, at) = lines.remove(0);
            self.pending.stream.push(&text, at);
            self.end_stream(pieces, found)?;
            found.ends.push(found.ids.len());
        }
        for (text, at) in &lines {
            pieces.dropped(text, &mut |c, offset| {
                let name = || symbols::name(VocabKind::Char, c.into());
                self.strangers.note(at + offset as u64, name);
            })?;
        }
        for (ids, losses) in pieces.encode_lines(&lines)? {
            found.ids.extend(ids);
            found.ends.push(found.ids.len());
            self.pending.losses.add(losses);
        }
        let (text, at) = std::mem::take(&mut self.pending.open);
        self.pending.stream.push(&text, at);
        self.stream(found, |stream, out| stream.advance(pieces, out))
    }

    /// Encodes the end of a text of sub-words.
    fn end_stream(&mut self, pieces: &Pieces, found: &mut Encoded) -> Result<()> {
        self.stream(found, |stream, out| stream.finish(pieces, out))
    }

    fn stream(
        &mut self,
        found: &mut Encoded,
        go: impl FnOnce(&mut PieceStream, &mut Out) -> Result<()>,
    ) -> Result<()> {
        let PendingText { stream, losses, .. } = &mut self.pending;
        let strangers = &mut self.strangers;
        let mut out = Out {
            ids: &mut found.ids,
            losses,
            dropped: &mut |c, at| strangers.note(at, || symbols::name(VocabKind::Char, c.into())),
        };
        go(stream, &mut out)
    }

    /// The end of all that is encoded, which may bring its last ids: whether all symbols had ids, and what is lost.
    ///
    /// # Errors
    /// `Kind::Data` when there were unknown symbols and the vocabulary has no id for them: the message lists the first few.
    pub fn finish(mut self, found: &mut Encoded) -> Result<DecodingLosses> {
        let vocabulary = self.vocabulary;
        if let Inner::Pieces(pieces) = &*vocabulary.0 {
            self.end_stream(pieces, found)?;
        }
        match self.strangers.count {
            0 => Ok(self.pending.losses),
            _ => Err(self.strangers.error(vocabulary.kind())),
        }
    }
}

struct Ids<'a> {
    vocabulary: &'a Vocabulary,
    strangers: &'a mut Strangers,
    pending: &'a mut PendingText,
    found: &'a mut Encoded,
}

impl Sink for Ids<'_> {
    fn symbol(&mut self, symbol: u32, at: u64) {
        let Inner::Symbols(s) = &*self.vocabulary.0 else {
            return;
        };
        match s.find(symbol).or(s.unknown_id()) {
            Some(id) => self.found.ids.push(id),
            None => self.strangers.note(at, || symbols::name(s.kind, symbol)),
        }
    }

    fn part(&mut self, part: &str, at: u64) {
        match &*self.vocabulary.0 {
            Inner::Symbols(_) => {}
            Inner::Words(w) => match w.find(part) {
                Some(id) => self.found.ids.push(id),
                None => self.strangers.note(at, || format!("{part:?}")),
            },
            Inner::Pieces(_) => {
                let (open, begin) = &mut self.pending.open;
                if open.is_empty() {
                    *begin = at;
                }
                open.push_str(part);
            }
        }
    }

    fn line_end(&mut self) {
        match &*self.vocabulary.0 {
            Inner::Words(w) if !w.lines => self.found.ids.push(w.end),
            Inner::Pieces(_) => {
                let line = std::mem::take(&mut self.pending.open);
                self.pending.lines.push(line);
            }
            _ => self.found.ends.push(self.found.ids.len()),
        }
    }
}

/// Symbols that an encoded text has and the vocabulary has not.
#[derive(Default)]
struct Strangers {
    /// How many places have one.
    count: u64,
    /// The first few different ones, each with where it is first met.
    first: Vec<(String, u64)>,
}

impl Strangers {
    fn note(&mut self, at: u64, name: impl FnOnce() -> String) {
        const SHOWN: usize = 5;
        const LONGEST: usize = 60;
        self.count += 1;
        if self.first.len() >= SHOWN {
            return;
        }
        let mut name = name();
        if let Some((cut, _)) = name.char_indices().nth(LONGEST) {
            name.truncate(cut);
            name.push_str("...");
        }
        if self.first.iter().all(|(known, _)| *known != name) {
            self.first.push((name, at));
        }
    }

    fn error(&self, kind: VocabKind) -> Error {
        let list: Vec<String> = self
            .first
            .iter()
            .map(|(name, at)| format!("{name} at byte {at}"))
            .collect();
        let way_out = match kind {
            VocabKind::Piece => "",
            _ => {
                "; it has no symbol for unknown ones, which training with --min-count 2 or more makes"
            }
        };
        Error::data(format!(
            "the text has {} symbol(s) that the vocabulary does not know: {}{way_out}",
            self.count,
            list.join(", ")
        ))
    }
}
