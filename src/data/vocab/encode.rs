//! From a text to token ids, in pieces of any size.

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
    pending: Pending,
}

/// What sub-words are to be made of, many parts at once; before which of them lines end.
#[derive(Default)]
struct Pending {
    parts: Vec<String>,
    /// Where each begins in the text.
    places: Vec<u64>,
    ends: Vec<usize>,
}

impl<'a> Encoder<'a> {
    /// At the beginning of a text.
    pub fn new(vocabulary: &'a Vocabulary) -> Self {
        Encoder {
            vocabulary,
            scanner: Scanner::new(vocabulary.kind(), vocabulary.of_lines()),
            strangers: Strangers::default(),
            pending: Pending::default(),
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
        let Inner::Pieces(pieces) = &*self.vocabulary.0 else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut self.pending);
        let Pending {
            parts,
            places,
            ends,
        } = waiting;
        for (part, at) in parts.iter().zip(places) {
            pieces.dropped(part, &mut |c, offset| {
                let name = || symbols::name(VocabKind::Char, c.into());
                self.strangers.note(at + offset as u64, name);
            })?;
        }
        let mut ends = ends.into_iter().peekable();
        let mut close = |before: usize, found: &mut Encoded| {
            while ends.next_if(|end| *end <= before).is_some() {
                found.ends.push(found.ids.len());
            }
        };
        let count = parts.len();
        for (n, ids) in pieces.encode(parts)?.into_iter().enumerate() {
            close(n, found);
            found.ids.extend(ids);
        }
        close(count, found);
        Ok(())
    }

    /// Whether all symbols had ids.
    ///
    /// # Errors
    /// `Kind::Data` when there were unknown symbols and the vocabulary has no id for them: the message lists the first few.
    pub fn finish(self) -> Result<()> {
        match self.strangers.count {
            0 => Ok(()),
            _ => Err(self.strangers.error()),
        }
    }
}

struct Ids<'a> {
    vocabulary: &'a Vocabulary,
    strangers: &'a mut Strangers,
    pending: &'a mut Pending,
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
                self.pending.parts.push(part.to_string());
                self.pending.places.push(at);
            }
        }
    }

    fn line_end(&mut self) {
        match &*self.vocabulary.0 {
            Inner::Words(w) if !w.lines => self.found.ids.push(w.end),
            Inner::Pieces(_) => self.pending.ends.push(self.pending.parts.len()),
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

    fn error(&self) -> Error {
        let list: Vec<String> = { self.first.iter() }
            .map(|(name, at)| format!("{name} at byte {at}"))
            .collect();
        Error::data(format!(
            "the text has {} symbol(s) that the vocabulary does not know: {}",
            self.count,
            list.join(", ")
        ))
    }
}
