//! Characters that a tokenizer has no token for, where nothing stands for the unknown: byte-pair encoding drops them in
//! silence, other models fail.

use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    Decoder, Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
};

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

/// Tells of every character of `text` that is dropped, and the byte where it, or at least its word, begins.
pub(super) fn dropped(
    tokenizer: &Tokenizer,
    text: &str,
    note: &mut dyn FnMut(char, usize),
) -> tokenizers::Result<()> {
    let ModelWrapper::BPE(model) = tokenizer.get_model() else {
        return Ok(());
    };
    let parts = words(tokenizer, text)?;
    let bytes = of_bytes(tokenizer.get_pre_tokenizer());
    for (word, (from, to), tokens) in
        parts.get_splits(OffsetReferential::Original, OffsetType::Byte)
    {
        // Added tokens are found before words are cut.
        if tokens.is_some() {
            continue;
        }
        // The word as it was before its bytes became symbols.
        let plain = if bytes {
            ByteLevel::default()
                .decode_chain(vec![word.into()])?
                .concat()
        } else {
            word.to_string()
        };
        // A space that was put in front of it is not in the text.
        let added = if plain.len() == to - from + 1 && plain.starts_with(' ') {
            1
        } else {
            0
        };
        let mut last = None;
        for (n, (at, c)) in word.char_indices().enumerate() {
            let end = at + c.len_utf8();
            if known(model, c, at == 0, end == word.len()) {
                continue;
            }
            let at = if bytes { n } else { at };
            let Some((at, c)) = plain.char_indices().rfind(|(begin, _)| *begin <= at) else {
                continue;
            };
            // Several of its bytes may be unknown.
            if last.replace(at) == Some(at) {
                continue;
            }
            // As it stands in the text, where the normalizer left its place.
            let place = if to - from + added == plain.len() {
                from + at.saturating_sub(added)
            } else {
                from
            };
            note(c, place);
        }
    }
    Ok(())
}

/// The words of a text, in which its added tokens are found.
fn words(tokenizer: &Tokenizer, text: &str) -> tokenizers::Result<PreTokenizedString> {
    let added = tokenizer.get_added_vocabulary();
    let mut parts = added.extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(splitter) = tokenizer.get_pre_tokenizer() {
        splitter.pre_tokenize(&mut parts)?;
    }
    Ok(parts)
}

/// The first character, or word, of a text over which the model fails, and the byte where its word begins.
pub(super) fn culprit(tokenizer: &Tokenizer, text: &str) -> Option<(String, usize)> {
    let parts = words(tokenizer, text).ok()?;
    let fails = |text: &str| tokenizer.get_model().tokenize(text).is_err();
    let splits = parts.get_splits(OffsetReferential::Original, OffsetType::Byte);
    let (word, (from, _), _) = splits
        .into_iter()
        .find(|(word, _, tokens)| tokens.is_none() && fails(word))?;
    let alone = word.chars().find(|c| fails(c.encode_utf8(&mut [0; 4])));
    let name = match (tokenizer.get_model(), alone) {
        (ModelWrapper::Unigram(_) | ModelWrapper::BPE(_), Some(c)) => {
            symbols::name(VocabKind::Char, c.into())
        }
        _ => format!("{word:?}"),
    };
    Some((name, from))
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
