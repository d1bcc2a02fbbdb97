//! Which vocabulary is to be made of a text.

use super::VocabKind;

/// Which vocabulary is to be made of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabularyRecipe {
    /// What one symbol is.
    pub kind: VocabKind,
    /// Symbols that occur fewer times fold into one unknown symbol; of sub-words, pairs that occur fewer times stay two.
    pub min_count: u64,
    /// V, at most, with the symbols that stand for no text; the rarest fold. None: any, or 8192 sub-words.
    pub max_size: Option<usize>,
    /// Every line is a sequence of its own.
    pub lines: bool,
    /// An id for unknown characters or words, even where the text has none that fold. To bytes and sub-words none is
    /// unknown.
    pub unknown: bool,
}

impl Default for VocabularyRecipe {
    fn default() -> Self {
        VocabularyRecipe {
            kind: VocabKind::Char,
            min_count: 1,
            max_size: None,
            lines: false,
            unknown: false,
        }
    }
}
