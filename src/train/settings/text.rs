//! What settings say about the text: which vocabulary, which lines, which minibatches of them.

use super::{Settings, Vocab};
use crate::data::{BatchSize, Batching, LineRules, VocabKind, VocabularyRecipe};

impl Settings {
    /// The vocabulary that is to be made of a text.
    pub fn recipe(&self) -> VocabularyRecipe {
        let most = usize::try_from(self.max_vocab).unwrap_or(usize::MAX);
        VocabularyRecipe {
            kind: match self.vocab {
                Vocab::Char => VocabKind::Char,
                Vocab::Byte => VocabKind::Byte,
                Vocab::Word => VocabKind::Word,
                Vocab::Bpe | Vocab::Tokenizer => VocabKind::Piece,
            },
            min_count: self.min_count,
            max_size: Some(most).filter(|most| *most > 0),
            lines: self.lines,
            unknown: false,
        }
    }

    /// Which lines are taken.
    pub fn line_rules(&self) -> LineRules {
        LineRules {
            max: self.max_line,
            long: self.long_lines,
        }
    }

    /// How minibatches of lines are made.
    pub fn batching(&self) -> Batching {
        Batching {
            order: self.line_order,
            size: match self.batch_tokens {
                0 => BatchSize::Sentences(self.batch),
                steps => BatchSize::Tokens(steps),
            },
            bucket: self.bucket,
        }
    }
}
