//! Sub-words, through the crate `tokenizers`: byte-pair encoding that is trained on the text (Sennrich 2016, on bytes as
//! GPT-2 has it), or any `tokenizer.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};

use super::dropped::{dropped, may_drop};
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
}

impl Pieces {
    /// From a `tokenizer.json`.
    ///
    /// # Errors
    /// `Kind::Data` when it is none that can be read, its ids are not near their number, or two tokens share one.
    pub fn new(json: &[u8], lines: bool) -> Result<Self> {
        let unreadable = |what| Error::data(format!("no tokenizer.json that can be read: {what}"));
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(json))
            .map_err(|e| unreadable(e.message))?
            .map_err(|e| unreadable(line(&*e)))?;
        // Limits and padding are for minibatches of another kind.
        tokenizer.with_padding(None);
        { tokenizer.with_truncation(None) }.map_err(|e| Error::data(line(&*e)))?;
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
        let json = { tokenizer.to_string(false) }.map_err(|e| Error::data(line(&*e)))?;
        Ok(Pieces {
            drops: may_drop(&tokenizer),
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
        match self.drops {
            true => { dropped(&self.tokenizer, text, note) }.map_err(fails),
            false => Ok(()),
        }
    }

    /// The first id that is not the tokenizer's.
    pub fn own(&self) -> u32 {
        self.ids
    }

    /// The id of a line end, where it is a token.
    pub fn newline(&self) -> Option<u32> {
        self.encode(vec!["\n".into()])
            .ok()?
            .first()?
            .first()
            .copied()
    }

    /// The ids of each part.
    pub fn encode(&self, parts: Vec<String>) -> Result<Vec<Vec<u32>>> {
        let encode = || self.tokenizer.encode_batch_fast(parts, false);
        let encodings = guarded(encode)?.map_err(fails)?;
        Ok(encodings.iter().map(|e| e.get_ids().to_vec()).collect())
    }

    /// The text of ids; U+FFFD where bytes make no character. Ids of lines must not be among them.
    pub fn decode(&self, ids: &[u32]) -> String {
        let text = guarded(|| self.tokenizer.decode(ids, false));
        text.map_or(String::new(), |text| text.unwrap_or_default())
    }
}

fn fails(e: tokenizers::Error) -> Error {
    Error::data(format!("the tokenizer fails: {}", line(&*e)))
}

/// Does `work` of the crate, which panics over some of the files that it should refuse.
///
/// # Errors
/// `Kind::Data` where it does.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
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
        let text = { panic.downcast_ref::<String>().map(String::as_str) }
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
    /// `Kind::Data` when there is no text, or `most` leaves no room for a pair.
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
        let words = { self.words.iter() }.map(String::from_utf8_lossy);
        let counts = words.zip(&self.counts).map(|(word, n)| (word.into(), *n));
        let mut model = BPE::default();
        { trainer.do_train(&counts.collect(), &mut model) }
            .map_err(|e| Error::data(format!("sub-words cannot be trained: {}", line(&*e))))?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer
            .with_pre_tokenizer(Some(self.splitter))
            .with_decoder(Some(DecoderWrapper::ByteLevel(ByteLevel::default())));
        let json = { tokenizer.to_string(false) }.map_err(|e| {
            Error::internal(format!("a tokenizer cannot be written: {}", line(&*e)))
        })?;
        Pieces::new(json.as_bytes(), lines)
    }
}
