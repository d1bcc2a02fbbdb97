//! Characters that a tokenizer has no token for, where nothing stands for the unknown: byte-pair encoding drops them in
//! silence, other models fail.

use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizer::Range;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Model, NormalizedString, PreTokenizer, Tokenizer};

use super::{VocabKind, symbols};

/// Whether a tokenizer may drop characters: it is one of byte pairs, without an unknown token, and not of all bytes.
pub(super) fn may_drop(tokenizer: &Tokenizer) -> bool {
    let ModelWrapper::BPE(model) = tokenizer.get_model() else {
        return false;
    };
    let affixes = model.continuing_subword_prefix.is_some() || model.end_of_word_suffix.is_some();
    let bytes = || {
        let symbols = ByteLevel::alphabet();
        let known = |c: &char| model.token_to_id(c.encode_utf8(&mut [0; 4])).is_some();
        of_bytes(tokenizer.get_pre_tokenizer()) && symbols.iter().all(known)
    };
    model.unk_token.is_none() && (affixes || !bytes())
}

fn of_bytes(splitter: Option<&PreTokenizerWrapper>) -> bool {
    match splitter {
        Some(PreTokenizerWrapper::ByteLevel(_)) => true,
        Some(PreTokenizerWrapper::Sequence(list)) => {
            list.as_ref().iter().any(|one| of_bytes(Some(one)))
        }
        _ => false,
    }
}

/// Tells of every character of `text` that is dropped, and the byte where it stands.
pub(super) fn dropped(
    tokenizer: &Tokenizer,
    text: &str,
    note: &mut dyn FnMut(char, usize),
) -> tokenizers::Result<()> {
    let ModelWrapper::BPE(model) = tokenizer.get_model() else {
        return Ok(());
    };
    each_word(tokenizer, text, |word| {
        let mut last = None;
        for at in unknown(model, word.symbols()) {
            // What was put before a word is nothing of the text, and several bytes of a character may be unknown.
            if let Some((c, at)) = word.met(text, at)
                && last.replace(at) != Some(at)
            {
                note(c, at);
            }
        }
    })
}

/// A word as a model gets it, in which bytes or spaces may have become other characters.
struct Word<'a> {
    word: &'a NormalizedString,
    /// What its tokenizer has in place of a space.
    space: Option<char>,
}

impl Word<'_> {
    fn symbols(&self) -> &str {
        self.word.get()
    }

    /// The character of the text, and its byte, that the symbol at byte `at` of the word is made of; none for a space that
    /// the tokenizer put before the word.
    fn met(&self, text: &str, at: usize) -> Option<(char, usize)> {
        let symbol = self.symbols()[at..].chars().next()?;
        let own = self
            .word
            .convert_offsets(Range::Normalized(at..at + symbol.len_utf8()))?;
        let from = self.word.offsets_original().0 + own.start;
        let c = text.get(from..)?.chars().next()?;
        let space = symbol == ' ' || Some(symbol) == self.space;
        (!space || c == symbol || c.is_whitespace()).then_some((c, from))
    }
}

/// The words of a text, but for its added tokens.
fn each_word(
    tokenizer: &Tokenizer,
    text: &str,
    mut look: impl FnMut(Word),
) -> tokenizers::Result<()> {
    let added = tokenizer.get_added_vocabulary();
    let mut parts = added.extract_and_normalize(tokenizer.get_normalizer(), text);
    let splitter = tokenizer.get_pre_tokenizer();
    if let Some(splitter) = splitter {
        splitter.pre_tokenize(&mut parts)?;
    }
    let space = space(splitter).or(Some('▁'));
    // Those of added tokens are no longer looked at.
    parts.split(|_, word| {
        look(Word { word: &word, space });
        Ok([word])
    })
}

/// What stands for a space.
fn space(splitter: Option<&PreTokenizerWrapper>) -> Option<char> {
    match splitter? {
        PreTokenizerWrapper::ByteLevel(_) => Some('Ġ'),
        PreTokenizerWrapper::Metaspace(one) => Some(one.get_replacement()),
        PreTokenizerWrapper::Sequence(list) => {
            list.as_ref().iter().find_map(|one| space(Some(one)))
        }
        _ => None,
    }
}

/// The first character, or word, of a text over which the model fails, and the byte where it stands.
pub(super) fn culprit(tokenizer: &Tokenizer, text: &str) -> Option<(String, usize)> {
    let model = tokenizer.get_model();
    let fails = |text: &str| model.tokenize(text).is_err();
    let mut found = None;
    let looked = each_word(tokenizer, text, |word| {
        let symbols = word.symbols();
        if found.is_some() || !fails(symbols) {
            return;
        }
        let at = match model {
            ModelWrapper::BPE(model) => unknown(model, symbols).next(),
            ModelWrapper::Unigram(_) => {
                Some(reached(symbols, |part| !fails(part))).filter(|at| *at < symbols.len())
            }
            ModelWrapper::WordPiece(_) | ModelWrapper::WordLevel(_) => None,
        };
        let name = |c: char| symbols::name(VocabKind::Char, c.into());
        found = Some(match at.map(|at| (at, word.met(text, at))) {
            Some((_, Some((c, at)))) => (name(c), at),
            Some((at, None)) => {
                let c = symbols[at..].chars().next().unwrap_or(' ');
                let put = format!("{}, which it puts before a word,", name(c));
                (put, word.word.offsets_original().0)
            }
            None => {
                let (from, upto) = word.word.offsets_original();
                let whole = text.get(from..upto).unwrap_or(symbols);
                let own = match whole.trim() {
                    "" => whole,
                    own => own,
                };
                let before = whole.find(own).unwrap_or(0);
                (format!("{own:?}"), from + before)
            }
        });
    });
    looked.ok()?;
    found
}

/// How far a word can be made of tokens, where not to its end: in parts, each as long as can be.
fn reached(word: &str, made: impl Fn(&str) -> bool) -> usize {
    /// Characters that are looked at together, which should be more than a token has.
    const PART: usize = 64;
    let mut at = 0;
    loop {
        let ends = word[at..].char_indices().map(|(n, c)| n + c.len_utf8());
        let ends: Vec<usize> = ends.take(PART).collect();
        match ends.iter().rev().find(|end| made(&word[at..at + **end])) {
            Some(end) => at += end,
            None => return at,
        }
    }
}

/// Where the characters stand in a word of byte pairs that have no symbol.
fn unknown<'a>(model: &'a BPE, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let places = word.char_indices();
    let strange = move |(at, c): &(usize, char)| {
        let end = at + c.len_utf8();
        !known(model, *c, *at == 0, end == word.len())
    };
    places.filter(strange).map(|(at, _)| at)
}

/// Whether a character of a word has a symbol, or all of its bytes have.
fn known(model: &BPE, c: char, first: bool, last: bool) -> bool {
    let mut symbol = String::new();
    if !first {
        symbol.extend(model.continuing_subword_prefix.as_deref());
    }
    symbol.push(c);
    if last {
        symbol.extend(model.end_of_word_suffix.as_deref());
    }
    let has = |token: &str| model.token_to_id(token).is_some();
    let mut bytes = symbol.bytes();
    has(&symbol) || (model.byte_fallback && bytes.all(|b| has(&format!("<0x{b:02X}>"))))
}
