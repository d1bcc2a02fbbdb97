//! The vocabulary: which symbols a model knows, and their token ids.

mod count;
mod decode;
#[cfg(feature = "subwords")]
mod dropped;
mod encode;
mod list;
mod losses;
#[cfg(not(feature = "subwords"))]
#[path = "no_pieces.rs"]
mod pieces;
#[cfg(feature = "subwords")]
mod pieces;
mod recipe;
mod scan;
mod stored;
mod symbols;
#[cfg(test)]
mod tests;
#[cfg(feature = "subwords")]
mod windows;
mod words;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::count::Counter;
pub use self::decode::Decoder;
pub use self::encode::{Encoded, Encoder};
use self::list::WordList;
pub use self::losses::DecodingLosses;
use self::pieces::Pieces;
pub use self::recipe::VocabularyRecipe;
pub(super) use self::scan::{NOT_UTF8, Utf8};
use self::stored::StoredVocabulary;
use self::symbols::SymbolTable;
use crate::error::Result;

/// What one symbol is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VocabKind {
    /// A character: one Unicode code point of a UTF-8 text.
    #[default]
    Char,
    /// A byte of any text.
    Byte,
    /// A word: what stands between white space in a UTF-8 text.
    Word,
    /// A sub-word: a part of a word, as a tokenizer cuts it.
    Piece,
}

/// The symbols of a text and their ids. A clone shares them.
///
/// Characters and bytes are sorted by code point or value; when rare ones were folded, one more id stands for all that
/// are unknown. Words stand by falling frequency, equal ones by their bytes, and with them `<unk>`, where rare words were
/// folded or the text has it already, and `<eos>`, the end of a line, which a text's own word `<eos>` is not. In a vocabulary of lines every line is a sequence of
/// its own: line ends are no symbols, and two ids, [`start_id`](Self::start_id) and [`end_id`](Self::end_id), begin and end
/// a sequence.
///
/// Sub-words have the ids of their tokenizer, and lines two more after them.
///
/// It is stored as `{"kind": "char", "symbols": "abc", "unknown": false}`, with a list of numbers for bytes, words with
/// spaces between them, and a tokenizer by its `tokenizer.json`; and checked when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredVocabulary", into = "StoredVocabulary")]
pub struct Vocabulary(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
enum Inner {
    Symbols(SymbolTable),
    Words(WordList),
    Pieces(Box<Pieces>),
}

impl Vocabulary {
    /// The vocabulary of a stream of `text`. Symbols that occur fewer than `min_count` times fold into one unknown symbol.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8 (unless bytes are the symbols), or has fewer than two symbols.
    pub fn build(kind: VocabKind, text: &[u8], min_count: usize) -> Result<Self> {
        VocabularyRecipe {
            kind,
            min_count: min_count as u64,
            ..VocabularyRecipe::default()
        }
        .build(text)
    }

    fn of_symbols(symbols: SymbolTable) -> Self {
        Vocabulary(Arc::new(Inner::Symbols(symbols)))
    }

    /// The vocabulary of a `tokenizer.json` of any kind that the crate `tokenizers` reads.
    ///
    /// # Errors
    /// `Kind::Data` when it is none that can be read, or its ids go far beyond their number.
    pub fn from_tokenizer(json: &[u8], lines: bool) -> Result<Self> {
        Pieces::new(json, lines).map(Vocabulary::of_pieces)
    }

    fn of_pieces(pieces: Pieces) -> Self {
        Vocabulary(Arc::new(Inner::Pieces(Box::new(pieces))))
    }

    fn of_words(words: WordList) -> Self {
        Vocabulary(Arc::new(Inner::Words(words)))
    }

    /// What one symbol is.
    pub fn kind(&self) -> VocabKind {
        match &*self.0 {
            Inner::Symbols(s) => s.kind,
            Inner::Words(_) => VocabKind::Word,
            Inner::Pieces(_) => VocabKind::Piece,
        }
    }

    /// Whether every line is a sequence of its own.
    pub fn of_lines(&self) -> bool {
        match &*self.0 {
            Inner::Symbols(s) => s.lines,
            Inner::Words(w) => w.lines,
            Inner::Pieces(p) => p.lines(),
        }
    }

    /// V, the number of ids, with those that stand for no text.
    pub fn len(&self) -> usize {
        match &*self.0 {
            Inner::Symbols(s) => s.len(),
            Inner::Words(w) => w.words.len(),
            Inner::Pieces(p) => p.len(),
        }
    }

    /// Never: a vocabulary has at least two symbols.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id that stands for unknown symbols, where there is one.
    pub fn unknown_id(&self) -> Option<u32> {
        match &*self.0 {
            Inner::Symbols(s) => s.unknown_id(),
            Inner::Words(w) => w.unknown,
            Inner::Pieces(p) => p.unknown(),
        }
    }

    /// In a vocabulary of lines: the id before the first symbol of a line.
    pub fn start_id(&self) -> Option<u32> {
        match &*self.0 {
            Inner::Symbols(s) => s.lines.then(|| s.len() as u32 - 2),
            Inner::Words(w) => w.start,
            Inner::Pieces(p) => p.lines().then(|| p.own()),
        }
    }

    /// In a vocabulary of lines: the id after the last symbol of a line.
    pub fn end_id(&self) -> Option<u32> {
        match &*self.0 {
            Inner::Symbols(s) => s.lines.then(|| s.len() as u32 - 1),
            Inner::Words(w) => w.start.map(|_| w.end),
            Inner::Pieces(p) => p.lines().then(|| p.own() + 1),
        }
    }

    /// What a model reads before a text that begins: the start of a line, or in a stream the end of one. Where line ends
    /// are unknown it is the first symbol.
    pub fn before_text(&self) -> u32 {
        let newline = || match &*self.0 {
            // Old Macs ended lines with carriage returns alone.
            Inner::Symbols(s) => s
                .find(u32::from('\n'))
                .or_else(|| s.find(u32::from('\r')))
                .or(s.unknown_id()),
            Inner::Words(w) => Some(w.end),
            Inner::Pieces(p) => p.newline(),
        };
        self.start_id().or_else(newline).unwrap_or(0)
    }

    /// The name of what a loss is counted by: char, byte, word, or token for sub-words.
    pub fn unit(&self) -> &'static str {
        match self.kind() {
            VocabKind::Char => "char",
            VocabKind::Byte => "byte",
            VocabKind::Word => "word",
            VocabKind::Piece => "token",
        }
    }

    /// The ids of a piece of text. A symbol that is not in the vocabulary becomes the unknown one; the end of the text
    /// does not end its last line.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8 (unless bytes are the symbols), or when it has unknown symbols and the
    /// vocabulary no id for them: the message lists the first few, with the byte where each is first met.
    pub fn encode(&self, text: &[u8]) -> Result<Vec<u32>> {
        let mut encoder = Encoder::new(self);
        let mut found = Encoded::default();
        encoder.feed(text, &mut found)?;
        encoder.end_fragment(&mut found)?;
        encoder.finish(&mut found)?;
        Ok(found.ids)
    }

    /// The text of `ids`, as a [`Decoder`] gives it. The unknown symbol, and an id that there is not, print as U+FFFD, `?`
    /// among bytes, `<unk>` among words.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let mut decoder = Decoder::new(self);
        let mut text = Vec::new();
        ids.iter().for_each(|id| decoder.push(*id, &mut text));
        decoder.finish(&mut text);
        text
    }

    /// BLAKE3, in hexadecimal, of the kind, the symbols and whether one stands for the unknown.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // That of a tokenizer is in its own text.
        let unknown = self.kind() != VocabKind::Piece && self.unknown_id().is_some();
        hasher.update(&[self.kind() as u8, u8::from(unknown)]);
        match &*self.0 {
            Inner::Symbols(s) => s.hash(&mut hasher),
            Inner::Words(w) => w.words.iter().for_each(|word| {
                hasher.update(word).update(b" ");
            }),
            Inner::Pieces(p) => {
                hasher.update(p.json().as_bytes());
            }
        }
        if self.of_lines() {
            hasher.update(b"lines");
        }
        hasher.finalize().to_hex().to_string()
    }
}
