//! From a text to its vocabulary, in one pass and in pieces of any size.

use super::list::WordCounts;
use super::pieces::PieceCounts;
use super::recipe::VocabularyRecipe;
use super::scan::{Scanner, Sink};
use super::symbols::SymbolCounts;
use super::{VocabKind, Vocabulary};
use crate::error::Result;

impl VocabularyRecipe {
    /// The vocabulary of a text in memory.
    ///
    /// # Errors
    /// As [`Counter::feed`] and [`Counter::finish`].
    pub fn build(&self, text: &[u8]) -> Result<Vocabulary> {
        let mut counter = Counter::new(self);
        counter.feed(text)?;
        counter.end_file()?;
        counter.finish()
    }
}

/// Counts the symbols of a text.
pub struct Counter {
    recipe: VocabularyRecipe,
    scanner: Scanner,
    counts: Counts,
}

impl Counter {
    /// Nothing is counted yet.
    pub fn new(recipe: &VocabularyRecipe) -> Self {
        Counter {
            recipe: recipe.clone(),
            scanner: Scanner::new(recipe.kind, recipe.lines),
            counts: Counts::new(recipe),
        }
    }

    /// What one symbol is.
    pub(in crate::data) fn kind(&self) -> VocabKind {
        self.recipe.kind
    }

    /// Goes on with `text`.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8, unless bytes are the symbols; for a word without an end.
    pub fn feed(&mut self, text: &[u8]) -> Result<()> {
        self.scanner.feed(text, &mut self.counts)
    }

    /// The end of a file, which ends its last line too.
    ///
    /// # Errors
    /// `Kind::Data` when it ends within a character.
    pub fn end_file(&mut self) -> Result<()> {
        self.scanner.end(true, &mut self.counts)
    }

    /// The vocabulary.
    ///
    /// # Errors
    /// `Kind::Data` when there are fewer than two symbols.
    pub fn finish(self) -> Result<Vocabulary> {
        let recipe = &self.recipe;
        match self.counts {
            Counts::Symbols(counts) => counts.finish(recipe).map(Vocabulary::of_symbols),
            Counts::Words { counts, .. } => counts.finish(recipe).map(Vocabulary::of_words),
            Counts::Pieces(counts) => counts
                .finish(recipe.min_count, recipe.max_size, recipe.lines)
                .map(Vocabulary::of_pieces),
        }
    }
}

enum Counts {
    Symbols(Box<SymbolCounts>),
    Words {
        counts: WordCounts,
        lines: bool,
        /// Whether the line has a word.
        any: bool,
    },
    Pieces(Box<PieceCounts>),
}

impl Counts {
    fn new(recipe: &VocabularyRecipe) -> Self {
        match recipe.kind {
            VocabKind::Char | VocabKind::Byte => Counts::Symbols(Box::default()),
            VocabKind::Word => Counts::Words {
                counts: WordCounts::default(),
                lines: recipe.lines,
                any: false,
            },
            VocabKind::Piece => Counts::Pieces(Box::default()),
        }
    }
}

impl Sink for Counts {
    fn symbol(&mut self, symbol: u32, _: u64) {
        if let Counts::Symbols(counts) = self {
            counts.add(symbol);
        }
    }

    fn part(&mut self, part: &str, _: u64) {
        match self {
            Counts::Symbols(_) => {}
            Counts::Words { counts, any, .. } => {
                counts.add(part);
                *any = true;
            }
            Counts::Pieces(counts) => counts.add(part),
        }
    }

    fn line_end(&mut self) {
        if let Counts::Words { counts, lines, any } = self
            && (std::mem::take(any) || !*lines)
        {
            counts.ends += 1;
        }
    }
}
