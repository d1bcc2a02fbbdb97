//! Characters that byte-pair encoding drops in silence: those that are no symbol of it, where nothing stands for the unknown.

use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Model, OffsetReferential, OffsetType, PreTokenizer, Tokenizer};

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
    let added = tokenizer.get_added_vocabulary();
    let mut parts = added.extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(splitter) = tokenizer.get_pre_tokenizer() {
        splitter.pre_tokenize(&mut parts)?;
    }
    for (word, (from, to), tokens) in
        parts.get_splits(OffsetReferential::Original, OffsetType::Byte)
    {
        // Added tokens are found before words are cut.
        if tokens.is_some() {
            continue;
        }
        for (at, c) in word.char_indices() {
            let end = at + c.len_utf8();
            if known(model, c, at == 0, end == word.len()) {
                continue;
            }
            // As it stands in the text, where the normalizer left its place.
            let place = if to - from == word.len() {
                from + at
            } else {
                from
            };
            note(c, place);
        }
    }
    Ok(())
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
