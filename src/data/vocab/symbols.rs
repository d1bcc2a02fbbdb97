//! Characters and bytes: the symbols of a text, sorted by code point or value.

use std::collections::HashMap;

use super::{VocabKind, VocabularyRecipe};
use crate::error::{Error, Result};

/// In `direct`: no such symbol.
const NONE: u32 = u32::MAX;

/// Symbols in ascending order: id i is the i-th.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SymbolTable {
    pub kind: VocabKind,
    /// Code points or byte values, ascending.
    pub symbols: Vec<u32>,
    /// One more id, after them, stands for what is unknown.
    pub unknown: bool,
    /// Two more, the last, begin and end a line.
    pub lines: bool,
    /// The ids of the code points below 128, or of all bytes.
    direct: Box<[u32; 256]>,
    /// What each symbol prints as.
    texts: Vec<Box<[u8]>>,
}

impl SymbolTable {
    /// From symbols in ascending order.
    pub fn new(kind: VocabKind, symbols: Vec<u32>, unknown: bool, lines: bool) -> Result<Self> {
        if symbols.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::data(
                "vocabulary: expected symbols in ascending order, each once, found others",
            ));
        }
        if symbols.len() + usize::from(unknown) < 2 {
            let found = match (symbols.first(), unknown) {
                (Some(s), _) => format!("only {}", name(kind, *s)),
                (None, true) => "only rare ones; lower --min-count".to_string(),
                (None, false) => "none".to_string(),
            };
            return Err(Error::data(format!(
                "vocabulary: expected at least 2 different symbols in the text, found {found}"
            )));
        }
        let mut direct = Box::new([NONE; 256]);
        let mut texts: Vec<Box<[u8]>> = Vec::with_capacity(symbols.len() + 3);
        for (id, symbol) in symbols.iter().enumerate() {
            texts.push(match (kind, char::from_u32(*symbol)) {
                (VocabKind::Char, Some(c)) => c.encode_utf8(&mut [0; 4]).as_bytes().into(),
                _ => [*symbol as u8].into(),
            });
            if kind == VocabKind::Byte || *symbol < 128 {
                direct[*symbol as usize & 255] = id as u32;
            }
        }
        if unknown {
            texts.push(mark(kind).into());
        }
        if lines {
            texts.extend([[].into(), (*b"\n").into()]);
        }
        Ok(SymbolTable {
            kind,
            symbols,
            unknown,
            lines,
            direct,
            texts,
        })
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn unknown_id(&self) -> Option<u32> {
        self.unknown.then_some(self.symbols.len() as u32)
    }

    pub fn symbol(&self, id: u32) -> &[u8] {
        self.texts
            .get(id as usize)
            .map_or(mark(self.kind), |text| text)
    }

    pub fn find(&self, symbol: u32) -> Option<u32> {
        if self.kind == VocabKind::Byte || symbol < 128 {
            Some(self.direct[symbol as usize & 255]).filter(|id| *id != NONE)
        } else {
            self.symbols.binary_search(&symbol).ok().map(|i| i as u32)
        }
    }

    pub fn hash(&self, hasher: &mut blake3::Hasher) {
        for symbol in &self.symbols {
            hasher.update(&symbol.to_le_bytes());
        }
    }
}

/// How often each symbol occurs.
pub(super) struct SymbolCounts {
    direct: [u64; 256],
    others: HashMap<u32, u64>,
}

impl Default for SymbolCounts {
    fn default() -> Self {
        SymbolCounts {
            direct: [0; 256],
            others: HashMap::new(),
        }
    }
}

impl SymbolCounts {
    pub fn add(&mut self, symbol: u32) {
        match self.direct.get_mut(symbol as usize) {
            Some(count) => *count += 1,
            None => *self.others.entry(symbol).or_default() += 1,
        }
    }

    /// The symbols that occur often enough; of these the most frequent, so that there are at most as many as allowed with the
    /// unknown one and those of lines.
    pub fn finish(self, recipe: &VocabularyRecipe) -> Result<SymbolTable> {
        let VocabularyRecipe {
            kind,
            min_count,
            max_size: most,
            lines,
            ..
        } = *recipe;
        let occurring = (0..256)
            .map(|s| (s, self.direct[s as usize]))
            .chain(self.others)
            .filter(|(_, n)| *n > 0);
        let (mut kept, folded): (Vec<_>, Vec<_>) = occurring.partition(|(_, n)| *n >= min_count);
        let mut unknown = !folded.is_empty() || (recipe.unknown && kind == VocabKind::Char);
        let limit = most.map_or(usize::MAX, |most| {
            most.saturating_sub(2 * usize::from(lines))
        });
        if kept.len() + usize::from(unknown) > limit {
            unknown = true;
            kept.sort_unstable_by_key(|(symbol, n)| (std::cmp::Reverse(*n), *symbol));
            kept.truncate(limit.saturating_sub(1));
        }
        let mut symbols: Vec<u32> = kept.into_iter().map(|(s, _)| s).collect();
        symbols.sort_unstable();
        // Every text is made of the same bytes; only those that are folded are left out.
        if kind == VocabKind::Byte && !unknown && symbols.len() > 1 && limit >= 256 {
            symbols = (0..256).collect();
        }
        SymbolTable::new(kind, symbols, unknown, lines)
    }
}

/// A symbol in a message: `'é' (U+00E9)` or `0xE9`.
pub(super) fn name(kind: VocabKind, symbol: u32) -> String {
    match (kind, char::from_u32(symbol)) {
        (VocabKind::Char, Some(c)) => format!("{c:?} (U+{symbol:04X})"),
        _ => format!("0x{symbol:02X}"),
    }
}

/// What stands for an unknown symbol in printed text.
fn mark(kind: VocabKind) -> &'static [u8] {
    match kind {
        VocabKind::Byte => b"?",
        _ => "\u{FFFD}".as_bytes(),
    }
}
