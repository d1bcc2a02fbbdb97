//! Where text comes from: files, standard input or the built-in generator. It is read in passes of a block at a time, so
//! that a text may be larger than memory.

mod facts;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::builtin;
use super::census::Census;
use super::decompress::{Decompressed, ReadFault};
use super::format::{Format, HEAD};
use super::lines::{LeftOut, LineRules, Lines, LinesWriter};
use super::store::{ByteStore, IN_MEMORY, StoreWriter};
use super::tokens::{Tokens, TokensWriter};
use super::vocab::{
    Counter, DecodingLosses, Encoded, Encoder, Utf8, VocabKind, Vocabulary, VocabularyRecipe,
};
use crate::error::{Error, Kind, Result};
use facts::FileFacts;

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextSource {
    /// Generated: see [`builtin`].
    Builtin {
        /// The seed.
        seed: u64,
        /// How many characters.
        chars: usize,
    },
    /// Files, joined in this order with nothing between them; `-` is standard input. Those compressed with gzip or zstd
    /// are known by their first bytes and read as what they hold; other formats that are no text are refused by name.
    Files(Vec<PathBuf>),
}

/// A text that can be read again and again: nothing is changed in it, line ends included, but that a byte order mark at a
/// file's beginning is no symbol.
///
/// Every pass takes BLAKE3 of the bytes, and refuses a text that is not the one of the pass before.
#[derive(Debug)]
pub struct Corpus {
    /// What to call it in messages: the files, or the generator's settings.
    pub name: String,
    /// Nats that each character costs under the process that made it, for a generated text.
    costs: Option<Vec<f32>>,
    parts: Vec<TextFile>,
    /// Where temporary files go.
    folder: PathBuf,
    hash: OnceLock<String>,
    /// What the first pass found out about each part.
    facts: OnceLock<Vec<FileFacts>>,
    /// What more to say to who gave a text that is not UTF-8.
    advice: &'static str,
}

/// A file of a text.
#[derive(Debug)]
struct TextFile {
    name: String,
    bytes: Bytes,
    /// Where a command finds it; standard input is gone.
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum Bytes {
    /// A file that can be opened again.
    File(PathBuf),
    /// What can be read but once, kept.
    Kept(ByteStore),
}

/// What a pass does with the text.
trait TextPass {
    /// Whether any bytes will do.
    fn any_bytes(&self) -> bool;
    fn feed(&mut self, bytes: &[u8]) -> Result<()>;
    /// The end of a file.
    fn end_file(&mut self) -> Result<()>;
}

impl TextPass for Counter {
    fn any_bytes(&self) -> bool {
        self.kind() == VocabKind::Byte
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        Counter::feed(self, bytes)
    }

    fn end_file(&mut self) -> Result<()> {
        Counter::end_file(self)
    }
}

impl TextPass for StoreWriter {
    fn any_bytes(&self) -> bool {
        true
    }
    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes)
    }
    fn end_file(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Bytes of a block.
const BLOCK: usize = 1 << 20;

impl TextSource {
    /// Opens the text. What can be read but once, such as standard input, is copied: to memory, or where it is long to a
    /// temporary file in `folder`, where ids of a long text go too.
    ///
    /// # Errors
    /// `Kind::Io` when a file is missing or cannot be read; `Kind::Data` when no file is named.
    pub fn open(&self, folder: &Path) -> Result<Corpus> {
        self.open_with(folder, &mut std::io::stdin())
    }

    /// Like [`open`](Self::open), with `stdin` for standard input.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(&self, folder: &Path, stdin: &mut dyn Read) -> Result<Corpus> {
        let (parts, costs) = match self {
            TextSource::Builtin { seed, chars } => {
                let made = builtin::generate(*seed, *chars);
                let name = format!("built-in (seed {seed}, {chars} characters)");
                let bytes = Bytes::Kept(ByteStore::Memory(made.text.into_bytes().into()));
                let path = None;
                (vec![TextFile { name, bytes, path }], Some(made.costs))
            }
            TextSource::Files(paths) => {
                let parts = paths.iter().map(|path| open(path, folder, stdin));
                (parts.collect::<Result<_>>()?, None)
            }
        };
        if parts.is_empty() {
            return Err(Error::data("no text was given: expected at least one file"));
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        Ok(Corpus {
            name: names.join(" + "),
            costs,
            parts,
            folder: folder.to_path_buf(),
            hash: OnceLock::new(),
            facts: OnceLock::new(),
            advice: "",
        })
    }
}

fn open(path: &Path, folder: &Path, stdin: &mut dyn Read) -> Result<TextFile> {
    if path == Path::new("-") {
        let name = "standard input".to_string();
        let bytes = Bytes::Kept(keep(&name, folder, stdin)?);
        return Ok(TextFile {
            name,
            bytes,
            path: None,
        });
    }
    let name = path.display().to_string();
    let failed = |e| Error::io("read", path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(Error::new(
            Kind::Io,
            format!("cannot read {name}: expected a file, found a folder; give the files in it"),
        ));
    }
    // A pipe can be read but once.
    let bytes = if kind.is_file() {
        Bytes::File(path.to_path_buf())
    } else {
        Bytes::Kept(keep(&name, folder, &mut file)?)
    };
    let path = Some(path.to_path_buf());
    Ok(TextFile { name, bytes, path })
}

/// Copies all that `from` has.
fn keep(name: &str, folder: &Path, from: &mut dyn Read) -> Result<ByteStore> {
    let mut writer = StoreWriter::new(folder, IN_MEMORY);
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block) {
            Ok(0) => return writer.finish(),
            Ok(n) => writer.write(&block[..n])?,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("read", Path::new(name), &e)),
        }
    }
}

/// Reads a [`ByteStore`] from its beginning.
struct StoreReader<'a> {
    store: &'a ByteStore,
    at: u64,
}

impl Read for StoreReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = (bytes.len() as u64).min(self.store.len() - self.at) as usize;
        self.store
            .read(self.at, &mut bytes[..count])
            .map_err(std::io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl TextFile {
    fn decompressed(&self) -> Result<Decompressed<'_>> {
        let raw: Box<dyn Read> = match &self.bytes {
            Bytes::File(path) => {
                Box::new(File::open(path).map_err(|e| Error::io("read", path, &e))?)
            }
            Bytes::Kept(store) => Box::new(StoreReader { store, at: 0 }),
        };
        Decompressed::new(raw).map_err(|fault| self.error(fault))
    }

    fn error(&self, fault: ReadFault) -> Error {
        let name = &self.name;
        match fault {
            ReadFault::Io(e) => Error::io("read", Path::new(name), &e),
            ReadFault::Short(format) => Error::data(format!(
                "{name}: the {format} data is cut short: expected more bytes, found the end of the file"
            )),
            ReadFault::Damaged(format, why) => {
                Error::data(format!("{name}: the {format} data is damaged: {why}"))
            }
        }
    }

    fn named(&self, e: Error) -> Error {
        Error::new(e.kind, format!("{}: {}", self.name, e.message))
    }
}

impl Corpus {
    /// Says more in errors about a text that is not UTF-8: what else the command that reads it could do.
    pub fn advise(&mut self, advice: &'static str) {
        self.advice = advice;
    }

    /// Where temporary files go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// BLAKE3 of the text, in hexadecimal; reads it, unless it was read before.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), as far as the text alone matters.
    pub fn hash(&self) -> Result<&str> {
        if let Some(hash) = self.hash.get() {
            return Ok(hash);
        }
        struct Nothing;
        impl TextPass for Nothing {
            fn any_bytes(&self) -> bool {
                true
            }
            fn feed(&mut self, _: &[u8]) -> Result<()> {
                Ok(())
            }
            fn end_file(&mut self) -> Result<()> {
                Ok(())
            }
        }
        self.pass(&mut Nothing)?;
        Ok(self.hash.get().map_or("", String::as_str))
    }

    /// All bytes, to be read anywhere. Up to `limit` of them are held in memory; more stay where they are, in a file that is
    /// not compressed, or go to a temporary one.
    ///
    /// # Errors
    /// As [`hash`](Self::hash); internal for several files.
    pub(super) fn stored(&self, limit: u64) -> Result<ByteStore> {
        let [part] = self.parts.as_slice() else {
            return Err(Error::internal("bytes of several files"));
        };
        let plain = part.decompressed()?.packed().is_none();
        match &part.bytes {
            Bytes::Kept(store) if plain && store.len() > limit => return Ok(store.clone()),
            Bytes::File(path) if plain => {
                let failed = |e| Error::io("read", path, &e);
                let file = File::open(path).map_err(failed)?;
                let len = file.metadata().map_err(failed)?.len();
                if len > limit {
                    return Ok(ByteStore::Named {
                        file: file.into(),
                        len,
                        path: path.as_path().into(),
                    });
                }
            }
            _ => {}
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut writer = StoreWriter::new(&self.folder, limit);
        self.pass(&mut writer)?;
        writer.finish()
    }

    /// The whole text, without byte order marks at files' beginnings.
    ///
    /// # Errors
    /// As [`hash`](Self::hash); `Kind::Data` when it is not UTF-8.
    pub(super) fn text(&self) -> Result<String> {
        #[derive(Default)]
        struct AllText {
            utf8: Utf8,
            text: String,
            /// Where the file begins in `text`.
            begin: usize,
        }
        impl TextPass for AllText {
            fn any_bytes(&self) -> bool {
                false
            }
            fn feed(&mut self, bytes: &[u8]) -> Result<()> {
                self.utf8.feed(bytes, |text| {
                    self.text.push_str(text);
                    Ok(())
                })
            }
            fn end_file(&mut self) -> Result<()> {
                if self.text[self.begin..].starts_with('\u{FEFF}') {
                    self.text.remove(self.begin);
                }
                self.begin = self.text.len();
                self.utf8.end()
            }
        }
        let mut all = AllText::default();
        self.pass(&mut all)?;
        Ok(all.text)
    }

    /// Reads the whole text once. A fault of the reader waits until it is known whether the text is still the same.
    fn pass(&self, reader: &mut dyn TextPass) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut fault = None;
        let mut block = vec![0; BLOCK];
        let first = self.facts.get().is_none();
        let mut facts = Vec::new();
        for part in &self.parts {
            let mut text = part.decompressed()?;
            let (mut census, mut own) = (Census::default(), blake3::Hasher::new());
            let mut format = None;
            loop {
                let count = text.fill(&mut block).map_err(|fault| part.error(fault))?;
                let bytes = &block[..count];
                hasher.update(bytes);
                if first {
                    own.update(bytes);
                }
                if census == Census::default() {
                    format = Format::of(&bytes[..count.min(HEAD)]);
                }
                census.feed(bytes);
                if let Some(format) = &format
                    && fault.is_none()
                    && !reader.any_bytes()
                {
                    fault = Some(part.is_no_text(format, text.packed()));
                }
                if fault.is_none() {
                    let read = match count {
                        0 => reader.end_file(),
                        _ => reader.feed(bytes),
                    };
                    fault = read
                        .err()
                        .map(|e| self.explained(part, &census, text.packed(), bytes, e));
                }
                if count == 0 {
                    break;
                }
                if fault.is_some() && self.hash.get().is_none() {
                    break;
                }
            }
            if self.hash.get().is_none()
                && let Some(fault) = fault
            {
                return Err(fault);
            }
            facts.push(FileFacts {
                census,
                hash: own.finalize(),
                format,
                packed: text.packed(),
            });
        }
        if hasher.count() == 0 {
            return Err(Error::data(format!("{}: the text is empty", self.name)));
        }
        let found = hasher.finalize().to_hex().to_string();
        let expected = self.hash.get_or_init(|| found.clone());
        self.facts.get_or_init(|| facts);
        match fault {
            _ if *expected != found => Err(Error::data(format!(
                "{}: the text changed while it was read: expected BLAKE3 {expected}, found {found}",
                self.name
            ))),
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// The vocabulary of this text; errors name the file.
    ///
    /// # Errors
    /// `Kind::Data` when the text is empty, is not UTF-8 (unless bytes are the symbols), has fewer than two symbols, is
    /// compressed and damaged, or changed since it was read before; `Kind::Io` when it cannot be read.
    pub fn vocabulary(&self, recipe: &VocabularyRecipe) -> Result<Vocabulary> {
        let mut counter = Counter::new(recipe);
        self.pass(&mut counter)?;
        counter.finish().map_err(|e| self.named(e))
    }

    /// The ids of this text in `vocabulary`; errors name the file.
    ///
    /// # Errors
    /// As [`vocabulary`](Self::vocabulary); `Kind::Data` when the text has symbols that the vocabulary cannot express;
    /// `Kind::Io` when the ids cannot be kept.
    pub fn encode(&self, vocabulary: &Vocabulary) -> Result<Tokens> {
        Ok(self.encode_with_losses(vocabulary)?.0)
    }

    /// The ids of this text, and what decoding them does not give back.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_with_losses(&self, vocabulary: &Vocabulary) -> Result<(Tokens, DecodingLosses)> {
        struct TokensPass<'a> {
            encoder: Encoder<'a>,
            found: Encoded,
            writer: TokensWriter,
        }
        impl TextPass for TokensPass<'_> {
            fn any_bytes(&self) -> bool {
                self.encoder.kind() == VocabKind::Byte
            }
            fn feed(&mut self, bytes: &[u8]) -> Result<()> {
                self.found.clear();
                self.encoder.feed(bytes, &mut self.found)?;
                self.writer.write(&self.found.ids)
            }
            fn end_file(&mut self) -> Result<()> {
                self.found.clear();
                self.encoder.end_file(&mut self.found)?;
                self.writer.write(&self.found.ids)
            }
        }
        let mut writing = TokensPass {
            encoder: Encoder::new(vocabulary),
            found: Encoded::default(),
            writer: TokensWriter::new(&self.folder, vocabulary.len()),
        };
        self.pass(&mut writing)?;
        writing.found.clear();
        let losses = writing
            .encoder
            .finish(&mut writing.found)
            .map_err(|e| self.named(e))?;
        writing.writer.write(&writing.found.ids)?;
        Ok((writing.writer.finish()?, losses))
    }

    /// The lines of this text in `vocabulary`, which must be one of lines, and how many were left out; errors name the
    /// file.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); `Kind::Data` when a line is longer than `rules` allow, naming it, or when no line has a
    /// token.
    pub fn lines(&self, vocabulary: &Vocabulary, rules: LineRules) -> Result<(Lines, LeftOut)> {
        let (lines, left_out, _) = self.lines_with_losses(vocabulary, rules)?;
        Ok((lines, left_out))
    }

    /// As [`lines`](Self::lines), and what decoding them does not give back.
    ///
    /// # Errors
    /// As [`lines`](Self::lines).
    pub fn lines_with_losses(
        &self,
        vocabulary: &Vocabulary,
        rules: LineRules,
    ) -> Result<(Lines, LeftOut, DecodingLosses)> {
        struct LinesPass<'a> {
            encoder: Encoder<'a>,
            found: Encoded,
            writer: LinesWriter,
        }
        impl TextPass for LinesPass<'_> {
            fn any_bytes(&self) -> bool {
                self.encoder.kind() == VocabKind::Byte
            }
            fn feed(&mut self, bytes: &[u8]) -> Result<()> {
                self.found.clear();
                self.encoder.feed(bytes, &mut self.found)?;
                self.writer.write(&self.found)
            }
            fn end_file(&mut self) -> Result<()> {
                self.found.clear();
                self.encoder.end_file(&mut self.found)?;
                self.writer.write(&self.found)?;
                self.writer.end_file();
                Ok(())
            }
        }
        let mut writing = LinesPass {
            encoder: Encoder::new(vocabulary),
            found: Encoded::default(),
            writer: LinesWriter::new(&self.folder, vocabulary, rules)?,
        };
        self.pass(&mut writing)?;
        let losses = writing
            .encoder
            .finish(&mut writing.found)
            .map_err(|e| self.named(e))?;
        let (lines, left_out) = writing.writer.finish().map_err(|e| self.named(e))?;
        Ok((lines, left_out, losses))
    }

    /// An error that lies in no single file.
    fn named(&self, e: Error) -> Error {
        let wide = self.if_wide();
        Error::new(e.kind, format!("{}: {}{wide}", self.name, e.message))
    }

    /// For a generated text: the lowest mean cost in nats per character that any model can expect over the characters
    /// in `range`. None for other texts and empty ranges.
    pub fn floor(&self, range: Range<usize>) -> Option<f64> {
        builtin::mean(self.costs.as_deref()?, range)
    }
}

#[cfg(test)]
#[path = "source/tests.rs"]
mod tests;
