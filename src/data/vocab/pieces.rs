//! Sub-words, through the crate `tokenizers`: byte-pair encoding that is trained on the text (Sennrich 2016, on bytes as
//! GPT-2 has it), or any `tokenizer.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use rayon::prelude::*;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};

use super::dropped::{culprit, dropped, may_drop};
use super::losses::DecodingLosses;
pub(super) use super::windows::{Cutting, Out, PieceStream};
use super::words::Words;
use crate::error::{Error, Result};

/// V of a trained vocabulary where nothing is said.
const SIZE: usize = 8192;
/// The symbols that training begins with: all bytes.
const BYTES: usize = 256;

/// A tokenizer.
#[derive(Clone)]
pub(in crate::data) struct Pieces {
    tokenizer: Tokenizer,
    /// Its `tokenizer.json`.
    json: String,
    /// Two more ids, the last, begin and end a line.
    lines: bool,
    /// Whether it may drop characters.
    drops: bool,
    /// Ids of the tokenizer.
    ids: u32,
    /// The id of the token that stands for what is unknown.
    unknown: Option<u32>,
    /// How long texts are cut.
    cutting: Cutting,
    /// How its decoder joins tokens.
    joining: Joining,
}

/// How a decoder joins tokens, as far as that matters to one that is given them one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// What came before never changes.
    Plain,
    /// Tokens of bytes change together: a run of them is text, or none of it is.
    Bytes,
    /// Any token may change the text of all before it.
    Whole,
}

impl Pieces {
    /// From a `tokenizer.json`.
    ///
    /// # Errors
    /// `Kind::Data` when it is none that can be read, its ids are not near their number, or two tokens share one.
    pub fn new(json: &[u8], lines: bool) -> Result<Self> {
        let unreadable = |what| Error::data(format!("no tokenizer.json that can be read: {what}"));
        // Parsed as text: from bytes the library's reader would be compiled again as a part of this crate.
        let text = std::str::from_utf8(json).map_err(|e| unreadable(e.to_string()))?;
        let mut tokenizer = guarded(|| text.parse::<Tokenizer>())
            .map_err(|e| unreadable(e.message))?
            .map_err(|e| unreadable(line(&*e)))?;
        // Limits and padding are for minibatches of another kind.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| Error::data(line(&*e)))?;
        let vocabulary = tokenizer.get_vocab(true);
        let (count, last) = (vocabulary.len(), vocabulary.values().max());
        let ids = last.map_or(0, |last| u64::from(*last) + 1);
        if ids < 2 {
            return Err(Error::data(format!(
                "expected a tokenizer of at least 2 tokens, found {count}"
            )));
        }
        // A table of V rows is made of them.
        if ids > 2 * count as u64 {
            return Err(Error::data(format!(
                "expected token ids up to about their number, {count}, found {}",
                ids - 1
            )));
        }
        // Written down, only one of them would be left.
        let mut seen = BTreeMap::new();
        for (token, id) in &vocabulary {
            if let Some(other) = seen.insert(*id, token) {
                let [one, two] = [token.min(other), token.max(other)];
                return Err(Error::data(format!(
                    "expected an id of its own for each token, found {one:?} and {two:?} at {id}"
                )));
            }
        }
        if let ModelWrapper::BPE(model) = tokenizer.get_model()
            && let Some(dropout) = model.dropout.filter(|p| *p > 0.0)
        {
            return Err(Error::data(format!(
                "expected a tokenizer whose ids are the same every time, found a dropout of {dropout}; set \"dropout\" \
                 to null"
            )));
        }
        let json = tokenizer
            .to_string(false)
            .map_err(|e| Error::data(line(&*e)))?;
        // It adds no ids here, and would move the places of tokens.
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        let longest = vocabulary.keys().map(String::len).max().unwrap_or(0);
        let word = match tokenizer.get_model() {
            // A word of more characters, four bytes each at most, is unknown as a whole.
            ModelWrapper::WordPiece(model) => model.max_input_chars_per_word.saturating_mul(4),
            _ => 0,
        };
        Ok(Pieces {
            drops: may_drop(&tokenizer),
            unknown: unknown(&tokenizer),
            cutting: Cutting::new((2 * longest).max(word.min(1 << 20))),
            joining: joining(tokenizer.get_decoder()),
            tokenizer,
            json,
            lines,
            ids: ids as u32,
        })
    }

    /// V.
    pub fn len(&self) -> usize {
        self.ids as usize + 2 * usize::from(self.lines)
    }

    /// Whether every line is a sequence of its own.
    pub fn lines(&self) -> bool {
        self.lines
    }

    /// Its `tokenizer.json`.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Tells of every character of `text` that the tokenizer would drop in silence, and the byte where it is met.
    pub fn dropped(&self, text: &str, note: &mut dyn FnMut(char, usize)) -> Result<()> {
        if self.drops {
            dropped(&self.tokenizer, text, note).map_err(fails)
        } else {
            Ok(())
        }
    }

    /// The first id that is not the tokenizer's.
    pub fn own(&self) -> u32 {
        self.ids
    }

    /// The id of a line end, where it is a token: the last one of its text, before which a tokenizer may have a space.
    pub fn newline(&self) -> Option<u32> {
        self.encode("\n", 0).ok()?.last().copied()
    }

    /// The id that stands for what is unknown, where there is one.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The tokenizer, without what it does after tokens are found.
    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// How long texts are cut.
    pub(super) fn cutting(&self) -> &Cutting {
        &self.cutting
    }

    /// The same, with long texts cut in another way.
    #[cfg(test)]
    pub(super) fn cut_as(self, cutting: Cutting) -> Self {
        Pieces { cutting, ..self }
    }

    /// How its decoder joins tokens.
    pub(super) fn joining(&self) -> Joining {
        self.joining
    }

    /// Whether the decoder takes a token for a byte.
    pub(super) fn is_byte(&self, id: u32) -> bool {
        let digits = |token: &str| {
            let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
            (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
        };
        let token = self.tokenizer.id_to_token(id);
        token.is_some_and(|token| digits(&token).is_some())
    }

    /// The ids of a text of its own, which begins at byte `at`.
    fn encode(&self, text: &str, at: u64) -> Result<Vec<u32>> {
        let encode = || self.tokenizer.encode_fast(text, false);
        let encoding = guarded(encode)?.map_err(|e| self.failed(e, text, at))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// An error of the tokenizer over a text that begins at byte `at`: it names what has no token.
    pub(super) fn failed(&self, e: tokenizers::Error, text: &str, at: u64) -> Error {
        let found = guarded(|| culprit(&self.tokenizer, text)).ok().flatten();
        match found {
            Some((name, offset)) => Error::data(format!(
                "the tokenizer has no token for {name} at byte {}, and none for what is unknown",
                at + offset as u64
            )),
            None => fails(e),
        }
    }

    /// The ids of each line, a text of its own, and what it loses.
    ///
    /// # Errors
    /// `Kind::Data` where the tokenizer fails.
    pub fn encode_lines(&self, lines: &[(String, u64)]) -> Result<Vec<(Vec<u32>, DecodingLosses)>> {
        lines
            .par_iter()
            .map(|(text, at)| {
                let ids = self.encode(text, *at)?;
                let losses = super::windows::losses(self, text, &ids, text, &ids);
                Ok((ids, losses))
            })
            .collect()
    }

    /// The text of ids; U+FFFD where bytes make no character. Ids of lines must not be among them.
    pub fn decode(&self, ids: &[u32]) -> String {
        let text = guarded(|| self.tokenizer.decode(ids, false));
        text.map_or(String::new(), |text| text.unwrap_or_default())
    }
}

/// The id that a model gives to what it does not know.
fn unknown(tokenizer: &Tokenizer) -> Option<u32> {
    let token = match tokenizer.get_model() {
        ModelWrapper::BPE(model) => model.unk_token.clone()?,
        ModelWrapper::WordPiece(model) => model.unk_token.clone(),
        ModelWrapper::WordLevel(model) => model.unk_token.clone(),
        ModelWrapper::Unigram(model) => {
            // The crate has no other way to it.
            let json = serde_json::to_value(model).ok()?;
            return json.get("unk_id")?.as_u64()?.try_into().ok();
        }
    };
    tokenizer.token_to_id(&token)
}

fn joining(decoder: Option<&DecoderWrapper>) -> Joining {
    let mut found = Joining::Plain;
    // Whether all tokens have become one by now.
    let mut fused = false;
    let mut rest: Vec<&DecoderWrapper> = decoder.into_iter().collect();
    while let Some(next) = rest.pop() {
        match next {
            DecoderWrapper::Sequence(list) => rest.extend(list.get_decoders().iter().rev()),
            DecoderWrapper::Fuse(_) | DecoderWrapper::ByteLevel(_) => fused = true,
            DecoderWrapper::ByteFallback(_) => found = Joining::Bytes,
            DecoderWrapper::Strip(_) | DecoderWrapper::Metaspace(_) => {}
            DecoderWrapper::Replace(_)
            | DecoderWrapper::WordPiece(_)
            | DecoderWrapper::BPE(_)
            | DecoderWrapper::CTC(_) => {
                if fused {
                    return Joining::Whole;
                }
            }
        }
    }
    found
}

pub(super) fn fails(e: tokenizers::Error) -> Error {
    Error::data(format!("the tokenizer fails: {}", line(&*e)))
}

/// Does `work` of the crate, which panics over some of the files that it should refuse.
///
/// # Errors
/// `Kind::Data` where it does.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    static QUIET: Once = Once::new();
    // Its panics become errors, so they are not shown as well; they may lie in threads of its own.
    QUIET.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let inside = |place: &panic::Location<'_>| place.file().contains("/tokenizers-");
            if !panic.location().is_some_and(inside) {
                shown(panic);
            }
        }));
    });
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied())
            .unwrap_or("it cannot be used");
        Error::data(format!("the tokenizer fails: {}", text.escape_debug()))
    })
}

/// An error of the crate in one line.
fn line(e: &(dyn std::error::Error + 'static)) -> String {
    e.to_string().replace('\n', " ")
}

impl PartialEq for Pieces {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json && self.lines == other.lines
    }
}

impl Eq for Pieces {}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sub-words", self.ids)
    }
}

/// How often the words occur that sub-words are parts of.
pub(super) struct PieceCounts {
    splitter: ByteLevel,
    words: Words,
    counts: Vec<u64>,
    fault: Option<Error>,
}

impl Default for PieceCounts {
    fn default() -> Self {
        PieceCounts {
            // No space before the first word of a text; words as GPT-2's expression cuts them.
            splitter: ByteLevel::new(false, true, true),
            words: Words::default(),
            counts: Vec::new(),
            fault: None,
        }
    }
}

impl PieceCounts {
    pub fn add(&mut self, text: &str) {
        let mut parts = PreTokenizedString::from(text);
        if let Err(e) = self.splitter.pre_tokenize(&mut parts) {
            self.fault.get_or_insert(Error::data(line(&*e)));
            return;
        }
        for (word, ..) in parts.get_splits(OffsetReferential::Original, OffsetType::None) {
            match self.words.intern(word.as_bytes()) {
                None => {
                    self.fault = Some(Error::data(
                        "the text has more than 4294967294 different words",
                    ))
                }
                Some(n) => match self.counts.get_mut(n as usize) {
                    Some(count) => *count += 1,
                    None => self.counts.push(1),
                },
            }
        }
    }

    /// Trains: all bytes, and then the pair that is most frequent becomes one, as long as it occurs `min_count` times and
    /// V is below `most`.
    ///
    /// # Errors
    /// `Kind::Data` when there is no text, or `most` leaves no space for a pair.
    pub fn finish(self, min_count: u64, most: Option<usize>, lines: bool) -> Result<Pieces> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let own = 2 * usize::from(lines);
        let most = most.unwrap_or(SIZE);
        let size = most.saturating_sub(own);
        if size <= BYTES {
            return Err(Error::data(format!(
                "vocabulary: expected at least {} sub-words (--max-vocab), found {most}: all bytes come first",
                BYTES + own + 1
            )));
        }
        if self.words.len() == 0 {
            return Err(Error::data("vocabulary: expected a text, found no words"));
        }
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(size)
            .min_frequency(min_count)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let words = self.words.iter().map(String::from_utf8_lossy);
        let counts = words.zip(&self.counts).map(|(word, n)| (word.into(), *n));
        let mut model = BPE::default();
        trainer
            .do_train(&counts.collect(), &mut model)
            .map_err(|e| Error::data(format!("sub-words cannot be trained: {}", line(&*e))))?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer
            .with_pre_tokenizer(Some(self.splitter))
            .with_decoder(Some(DecoderWrapper::ByteLevel(ByteLevel::default())));
        let json = tokenizer.to_string(false).map_err(|e| {
            Error::internal(format!("a tokenizer cannot be written: {}", line(&*e)))
        })?;
        Pieces::new(json.as_bytes(), lines)
    }
}
