//! The tokens of a field as a text of lines, for vocabularies to count and to encode: a line a sequence, or a line a word.

use super::declare::{self, Field, FieldKind};
use super::examples::{Examples, TextColumn};
use super::white_space::one_word;
use crate::data::vocab::VocabKind;
use crate::error::Result;

/// The text of a field of tokens.
pub(super) struct TokenText<'a> {
    column: &'a TextColumn,
    /// Whether a word is a line.
    within: bool,
    /// Whether items are words as the file has them.
    words: bool,
}

/// Bytes of a block.
const BLOCK: usize = 1 << 16;

impl<'a> TokenText<'a> {
    /// Of a field that was read.
    pub fn new(examples: &'a Examples, field: &Field) -> Option<Self> {
        Some(TokenText {
            column: examples.text(&field.name)?,
            within: matches!(field.kind, FieldKind::TokensWithin(_)),
            words: declare::is_of_words(examples.fields(), &field.name),
        })
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        if self.within {
            self.column.all().len()
        } else {
            self.column.len()
        }
    }

    /// Writes line `n`, without an end. White space within a word is `_`; line ends within a text are spaces.
    fn write(&self, n: usize, text: &mut String) {
        if self.within {
            text.push_str(&one_word(self.column.item(n)));
            return;
        }
        for (at, item) in self.column.items(n).enumerate() {
            if at > 0 {
                text.push(' ');
            }
            if self.words {
                text.push_str(&one_word(item));
            } else {
                text.extend(
                    item.chars()
                        .map(|c| if c == '\n' || c == '\r' { ' ' } else { c }),
                );
            }
        }
    }

    /// A line, without an end.
    pub fn line(&self, n: usize) -> String {
        let mut text = String::new();
        self.write(n, &mut text);
        text
    }

    /// Where a line stands in its file.
    pub fn place(&self, n: usize) -> String {
        if self.within {
            self.column.place(self.column.row_of(n), n)
        } else {
            self.column.row_place(n)
        }
    }

    /// All lines with their ends, in blocks, for a vocabulary of a kind.
    pub fn blocks(&self, kind: VocabKind, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut text = String::new();
        if kind != VocabKind::Byte {
            // A text's first byte order mark is no symbol: without this one the first line would lose its own.
            text.push('\u{FEFF}');
        }
        for n in 0..self.len() {
            self.write(n, &mut text);
            text.push('\n');
            if text.len() >= BLOCK {
                take(text.as_bytes())?;
                text.clear();
            }
        }
        take(text.as_bytes())
    }
}
