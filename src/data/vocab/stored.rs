//! A vocabulary as JSON, as checkpoints hold it.

use serde::{Deserialize, Serialize};

use super::list::WordList;
use super::pieces::Pieces;
use super::symbols::SymbolTable;
use super::{Inner, VocabKind, Vocabulary};
use crate::error::{Error, Result};

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum StoredVocabulary {
    Char {
        symbols: String,
        unknown: bool,
        #[serde(default, skip_serializing_if = "is_false")]
        lines: bool,
    },
    Byte {
        symbols: Vec<u8>,
        unknown: bool,
        #[serde(default, skip_serializing_if = "is_false")]
        lines: bool,
    },
    /// Words with spaces between them.
    Word {
        symbols: String,
        #[serde(default, skip_serializing_if = "is_false")]
        lines: bool,
        /// A word of the text that looks like one of the program's own has a backslash before it.
        #[serde(default, skip_serializing_if = "is_false")]
        escapes: bool,
    },
    /// A `tokenizer.json`, as a string.
    Piece {
        tokenizer: String,
        #[serde(default, skip_serializing_if = "is_false")]
        lines: bool,
    },
}

fn is_false(b: &bool) -> bool {
    !b
}

impl From<Vocabulary> for StoredVocabulary {
    fn from(v: Vocabulary) -> Self {
        match &*v.0 {
            Inner::Symbols(s) if s.kind == VocabKind::Byte => StoredVocabulary::Byte {
                symbols: s.symbols.iter().map(|b| *b as u8).collect(),
                unknown: s.unknown,
                lines: s.lines,
            },
            Inner::Symbols(s) => StoredVocabulary::Char {
                symbols: s
                    .symbols
                    .iter()
                    .filter_map(|c| char::from_u32(*c))
                    .collect(),
                unknown: s.unknown,
                lines: s.lines,
            },
            Inner::Words(w) => {
                let words: Vec<&[u8]> = w.words.iter().collect();
                StoredVocabulary::Word {
                    symbols: String::from_utf8_lossy(&words.join(&b' ')).into_owned(),
                    lines: w.lines,
                    escapes: w.escapes,
                }
            }
            Inner::Pieces(p) => StoredVocabulary::Piece {
                tokenizer: p.json().to_string(),
                lines: p.lines(),
            },
        }
    }
}

impl TryFrom<StoredVocabulary> for Vocabulary {
    type Error = Error;

    fn try_from(stored: StoredVocabulary) -> Result<Self> {
        match stored {
            StoredVocabulary::Char {
                symbols,
                unknown,
                lines,
            } => {
                let symbols = symbols.chars().map(u32::from).collect();
                SymbolTable::new(VocabKind::Char, symbols, unknown, lines)
                    .map(Vocabulary::of_symbols)
            }
            StoredVocabulary::Byte {
                symbols,
                unknown,
                lines,
            } => {
                let symbols = symbols.into_iter().map(u32::from).collect();
                SymbolTable::new(VocabKind::Byte, symbols, unknown, lines)
                    .map(Vocabulary::of_symbols)
            }
            StoredVocabulary::Word {
                symbols,
                lines,
                escapes,
            } => {
                let words = symbols.split(' ').map(str::as_bytes);
                WordList::new(words, lines, escapes).map(Vocabulary::of_words)
            }
            StoredVocabulary::Piece { tokenizer, lines } => {
                Pieces::new(tokenizer.as_bytes(), lines).map(Vocabulary::of_pieces)
            }
        }
    }
}
