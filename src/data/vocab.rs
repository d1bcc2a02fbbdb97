//! The vocabulary: which symbols a model knows, and their token ids.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What one symbol is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VocabKind {
    /// A character: one Unicode code point of a UTF-8 text.
    #[default]
    Char,
    /// A byte of any text.
    Byte,
}

/// The symbols of a text, sorted by code point or byte value: id i is the i-th. When rare symbols were folded, one more id,
/// the last, stands for all that are unknown.
///
/// It is stored as `{"kind": "char", "symbols": "abc", "unknown": false}`, with a list of numbers for bytes, and checked
/// when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Vocabulary {
    kind: VocabKind,
    /// Code points or byte values, ascending.
    symbols: Vec<u32>,
    unknown: bool,
    /// The ids of the code points below 128, or of all bytes.
    direct: Box<[u32; 256]>,
    /// What each id prints as.
    texts: Vec<Box<[u8]>>,
}

/// In `direct`: no such symbol.
const NONE: u32 = u32::MAX;

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Stored {
    Char { symbols: String, unknown: bool },
    Byte { symbols: Vec<u8>, unknown: bool },
}

impl From<Vocabulary> for Stored {
    fn from(v: Vocabulary) -> Self {
        let unknown = v.unknown;
        match v.kind {
            VocabKind::Char => Stored::Char {
                symbols: v
                    .symbols
                    .iter()
                    .filter_map(|c| char::from_u32(*c))
                    .collect(),
                unknown,
            },
            VocabKind::Byte => Stored::Byte {
                symbols: v.symbols.iter().map(|b| *b as u8).collect(),
                unknown,
            },
        }
    }
}

impl TryFrom<Stored> for Vocabulary {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let (kind, symbols, unknown) = match stored {
            Stored::Char { symbols, unknown } => (
                VocabKind::Char,
                symbols.chars().map(u32::from).collect(),
                unknown,
            ),
            Stored::Byte { symbols, unknown } => (
                VocabKind::Byte,
                symbols.into_iter().map(u32::from).collect(),
                unknown,
            ),
        };
        Self::from_symbols(kind, symbols, unknown)
    }
}

impl Vocabulary {
    /// The vocabulary of `text`. Symbols that occur fewer than `min_count` times fold into one unknown symbol.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8 (for characters), or has fewer than two symbols.
    pub fn build(kind: VocabKind, text: &[u8], min_count: usize) -> Result<Self> {
        let mut direct = [0usize; 256];
        let mut others: HashMap<char, usize> = HashMap::new();
        match kind {
            VocabKind::Byte => text.iter().for_each(|b| direct[usize::from(*b)] += 1),
            VocabKind::Char => {
                for c in utf8(text)?.chars() {
                    if c.is_ascii() {
                        direct[c as usize] += 1;
                    } else {
                        *others.entry(c).or_default() += 1;
                    }
                }
            }
        }
        let occurring = (0..256)
            .map(|s| (s, direct[s as usize]))
            .chain(others.into_iter().map(|(c, n)| (u32::from(c), n)))
            .filter(|(_, n)| *n > 0);
        let (kept, folded): (Vec<_>, Vec<_>) = occurring.partition(|(_, n)| *n >= min_count);
        let mut symbols: Vec<u32> = kept.into_iter().map(|(s, _)| s).collect();
        symbols.sort_unstable();
        Self::from_symbols(kind, symbols, !folded.is_empty())
    }

    /// From symbols in ascending order.
    fn from_symbols(kind: VocabKind, symbols: Vec<u32>, unknown: bool) -> Result<Self> {
        if symbols.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::data(
                "vocabulary: expected symbols in ascending order, each once, found others",
            ));
        }
        let len = symbols.len() + usize::from(unknown);
        if len < 2 {
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
        let mut texts = Vec::with_capacity(len);
        for (id, symbol) in symbols.iter().enumerate() {
            let text: Box<[u8]> = match (kind, char::from_u32(*symbol)) {
                (VocabKind::Char, Some(c)) => c.encode_utf8(&mut [0; 4]).as_bytes().into(),
                _ => [*symbol as u8].into(),
            };
            texts.push(text);
            if kind == VocabKind::Byte || *symbol < 128 {
                direct[*symbol as usize & 255] = id as u32;
            }
        }
        if unknown {
            texts.push(mark(kind).into());
        }
        Ok(Vocabulary {
            kind,
            symbols,
            unknown,
            direct,
            texts,
        })
    }

    /// What one symbol is.
    pub fn kind(&self) -> VocabKind {
        self.kind
    }

    /// V, the number of ids, with the unknown symbol's.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Never: a vocabulary has at least two symbols.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The id that stands for unknown symbols, when rare ones were folded.
    pub fn unknown_id(&self) -> Option<u32> {
        self.unknown.then_some(self.symbols.len() as u32)
    }

    /// What `id` prints as. The unknown symbol, and an id that there is not, print as U+FFFD, or `?` for bytes.
    pub fn symbol(&self, id: u32) -> &[u8] {
        self.texts
            .get(id as usize)
            .map_or(mark(self.kind), |text| text)
    }

    fn find(&self, symbol: u32) -> Option<u32> {
        if self.kind == VocabKind::Byte || symbol < 128 {
            Some(self.direct[symbol as usize & 255]).filter(|id| *id != NONE)
        } else {
            self.symbols.binary_search(&symbol).ok().map(|i| i as u32)
        }
    }

    /// The ids of a text. A symbol that is not in the vocabulary becomes the unknown one.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8 (for characters), or when it has unknown symbols and the vocabulary no id
    /// for them: the message lists the first few, with the byte where each is first met.
    pub fn encode(&self, text: &[u8]) -> Result<Vec<u32>> {
        let mut strangers = Strangers::default();
        let ids = match self.kind {
            VocabKind::Byte => text
                .iter()
                .enumerate()
                .map(|(at, b)| self.id_or_note(u32::from(*b), at, &mut strangers))
                .collect(),
            VocabKind::Char => utf8(text)?
                .char_indices()
                .map(|(at, c)| self.id_or_note(u32::from(c), at, &mut strangers))
                .collect(),
        };
        if strangers.count > 0 {
            return Err(strangers.error(self.kind));
        }
        Ok(ids)
    }

    fn id_or_note(&self, symbol: u32, at: usize, strangers: &mut Strangers) -> u32 {
        match self.find(symbol).or(self.unknown_id()) {
            Some(id) => id,
            None => {
                strangers.note(symbol, at);
                0
            }
        }
    }

    /// The text of `ids`. See [`symbol`](Self::symbol) for unknown ones.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        ids.iter()
            .flat_map(|id| self.symbol(*id))
            .copied()
            .collect()
    }

    /// BLAKE3, in hexadecimal, of the kind, the symbols and whether one stands for the unknown.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[self.kind as u8, u8::from(self.unknown)]);
        for symbol in &self.symbols {
            hasher.update(&symbol.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Symbols that an encoded text has and the vocabulary has not.
#[derive(Default)]
struct Strangers {
    /// How many places have one.
    count: usize,
    /// The first few different ones, each with where it is first met.
    first: Vec<(u32, usize)>,
}

impl Strangers {
    fn note(&mut self, symbol: u32, at: usize) {
        const SHOWN: usize = 5;
        self.count += 1;
        if self.first.len() < SHOWN && self.first.iter().all(|(s, _)| *s != symbol) {
            self.first.push((symbol, at));
        }
    }

    fn error(&self, kind: VocabKind) -> Error {
        let list: Vec<String> = self
            .first
            .iter()
            .map(|(symbol, at)| format!("{} at byte {at}", name(kind, *symbol)))
            .collect();
        Error::data(format!(
            "the text has {} symbol(s) that the vocabulary does not know: {}",
            self.count,
            list.join(", ")
        ))
    }
}

/// A symbol in a message: `'é' (U+00E9)` or `0xE9`.
fn name(kind: VocabKind, symbol: u32) -> String {
    match (kind, char::from_u32(symbol)) {
        (VocabKind::Char, Some(c)) => format!("{c:?} (U+{symbol:04X})"),
        _ => format!("0x{symbol:02X}"),
    }
}

/// What stands for an unknown symbol in printed text.
fn mark(kind: VocabKind) -> &'static [u8] {
    match kind {
        VocabKind::Char => "\u{FFFD}".as_bytes(),
        VocabKind::Byte => b"?",
    }
}

fn utf8(text: &[u8]) -> Result<&str> {
    std::str::from_utf8(text).map_err(|e| {
        let at = e.valid_up_to();
        Error::data(format!(
            "the text is not UTF-8: byte 0x{:02X} at offset {at}; --vocab byte reads any text",
            text.get(at).copied().unwrap_or_default()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    fn build(text: &str, min_count: usize) -> Vocabulary {
        Vocabulary::build(VocabKind::Char, text.as_bytes(), min_count).unwrap()
    }

    #[test]
    fn characters_are_sorted_by_code_point() {
        let v = build("héllo\r\nwörld𝄞", 1);
        let symbols: Vec<&str> = (0..v.len() as u32)
            .map(|id| std::str::from_utf8(v.symbol(id)).unwrap())
            .collect();
        assert_eq!(
            symbols,
            ["\n", "\r", "d", "h", "l", "o", "r", "w", "é", "ö", "𝄞"]
        );
        assert_eq!(v.encode("dh𝄞\r\n".as_bytes()).unwrap(), [2, 3, 10, 1, 0]);
        assert_eq!(v.unknown_id(), None);
    }

    #[test]
    fn bytes_are_those_that_occur() {
        let v = Vocabulary::build(VocabKind::Byte, &[0xff, 0x41, 0xff, 0], 0).unwrap();
        assert_eq!(v.len(), 3);
        assert_eq!(v.encode(&[0xff, 0, 0x41]).unwrap(), [2, 0, 1]);
        assert_eq!(v.decode(&[2, 0, 1, 99]), [0xff, 0, 0x41, b'?']);
    }

    #[test]
    fn rare_symbols_fold_into_the_last_id() {
        let v = build("aabbcé", 2);
        assert_eq!((v.len(), v.unknown_id()), (3, Some(2)));
        assert_eq!(v.encode("abcéz".as_bytes()).unwrap(), [0, 1, 2, 2, 2]);
        assert_eq!(v.decode(&[0, 2, 7]), "a\u{FFFD}\u{FFFD}".as_bytes());
        // Nothing rare: no unknown symbol.
        assert_eq!(build("aabb", 2).unknown_id(), None);
    }

    #[test]
    fn unknown_symbols_are_listed_with_their_places() {
        let e = build("abc", 1).encode("aé🙂béab~".as_bytes()).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        assert_eq!(
            e.message,
            "the text has 4 symbol(s) that the vocabulary does not know: 'é' (U+00E9) at byte 1, '🙂' (U+1F642) at byte 3, \
             '~' (U+007E) at byte 12"
        );
        let e = Vocabulary::build(VocabKind::Byte, b"ab", 1)
            .unwrap()
            .encode(&[0x61, 0xe9])
            .unwrap_err();
        assert!(e.message.ends_with("0xE9 at byte 1"), "{e}");
    }

    #[test]
    fn one_symbol_is_refused() {
        for (text, min_count) in [("", 1), ("a", 1), ("aaaa", 1), ("ab", 9)] {
            let e = Vocabulary::build(VocabKind::Char, text.as_bytes(), min_count).unwrap_err();
            assert_eq!(e.kind, Kind::Data, "{text}");
        }
        // A known symbol and the unknown one are two.
        assert_eq!(build("aab", 2).len(), 2);
    }

    #[test]
    fn invalid_utf8_names_the_offset_and_the_way_out() {
        for r in [
            Vocabulary::build(VocabKind::Char, b"ab\xe9c", 1).map(|_| ()),
            build("abc", 1).encode(b"ab\xe9c").map(|_| ()),
        ] {
            let e = r.unwrap_err();
            assert_eq!(e.kind, Kind::Data);
            assert!(
                e.message.contains("0xE9 at offset 2") && e.message.contains("--vocab byte"),
                "{e}"
            );
        }
    }

    #[test]
    fn stored_as_readable_json_and_checked_when_read() {
        let json = serde_json::to_string(&build("abca\"", 2)).unwrap();
        assert_eq!(json, r#"{"kind":"char","symbols":"a","unknown":true}"#);
        for bad in [
            r#"{"kind":"char","symbols":"ba","unknown":false}"#,
            r#"{"kind":"char","symbols":"aa","unknown":false}"#,
            r#"{"kind":"char","symbols":"a","unknown":false}"#,
            r#"{"kind":"byte","symbols":[1,256],"unknown":false}"#,
            r#"{"kind":"byte","symbols":[1,2],"unknown":false,"more":1}"#,
            r#"{"kind":"word","symbols":"ab","unknown":false}"#,
        ] {
            assert!(serde_json::from_str::<Vocabulary>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hash_tells_vocabularies_apart() {
        let all = [
            build("ab", 1),
            build("abc", 1),
            build("aabbc", 2),
            Vocabulary::build(VocabKind::Byte, b"ab", 1).unwrap(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert_eq!(a.hash().len(), 64);
            assert!(all[..i].iter().all(|b| a.hash() != b.hash()));
        }
    }

    proptest! {
        #[test]
        fn text_and_vocabulary_round_trip(text in "[ -~\\r\\né𝄞中]{2,80}", min_count in 0usize..3) {
            let Ok(v) = Vocabulary::build(VocabKind::Char, text.as_bytes(), min_count) else {
                return Ok(());
            };
            let ids = v.encode(text.as_bytes()).unwrap();
            prop_assert!(ids.iter().all(|id| (*id as usize) < v.len()));
            if v.unknown_id().is_none() {
                prop_assert_eq!(v.decode(&ids), text.as_bytes());
            }
            let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
            prop_assert_eq!(&again, &v);
            prop_assert_eq!(again.hash(), v.hash());
        }

        #[test]
        fn bytes_round_trip(text in proptest::collection::vec(any::<u8>(), 2..300)) {
            let Ok(v) = Vocabulary::build(VocabKind::Byte, &text, 1) else {
                return Ok(());
            };
            prop_assert_eq!(v.decode(&v.encode(&text).unwrap()), text);
            let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
            prop_assert_eq!(again, v);
        }
    }
}
