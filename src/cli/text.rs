//! The text that a command reads, and the cell that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wgrnn::cell::constants::set_constants;
use wgrnn::cell::{Cell, library};
use wgrnn::data::{Corpus, Source, VocabKind, Vocabulary, split};
use wgrnn::train::settings::{Vocab, pairs};
use wgrnn::train::{Settings, Text};
use wgrnn::{Error, Result};

use super::memory;

/// The built-in corpus that `train` takes without a file: always the same, whatever the run's seed.
pub const BUILTIN: (u64, usize) = (1, 1_000_000);

/// Bytes that one byte of text takes on its way to tokens: itself and a 32-bit id, both twice for a moment.
const BYTES_PER_BYTE: u64 = 10;

/// A text, ready to be trained on.
pub struct Prepared {
    /// What is stored about it.
    pub text: Text,
    /// Tokens to train on.
    pub train: Arc<[u32]>,
    /// Tokens to validate on, maybe none.
    pub validation: Arc<[u32]>,
    /// The lowest loss that can be expected on the validation part, where it is known.
    pub floor: Option<f64>,
}

/// Where the text is: `files`, or the built-in corpus without any.
pub fn source(files: &[PathBuf]) -> Source {
    match files {
        [] => Source::Builtin {
            seed: BUILTIN.0,
            chars: BUILTIN.1,
        },
        files => Source::Files(files.to_vec()),
    }
}

/// Reads a text, unless it is larger than memory.
pub fn load(source: &Source) -> Result<Corpus> {
    if let Source::Files(files) = source {
        let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |m| m.len());
        let total: u64 = files.iter().map(size).sum();
        memory::check("the text", total.saturating_mul(BYTES_PER_BYTE), |_| {
            "train on a part of it".into()
        })?;
    }
    source.load()
}

/// The vocabulary that settings ask for.
pub fn vocabulary(corpus: &Corpus, settings: &Settings) -> Result<Vocabulary> {
    let kind = match settings.vocab {
        Vocab::Char => VocabKind::Char,
        Vocab::Byte => VocabKind::Byte,
    };
    let min_count = usize::try_from(settings.min_count).unwrap_or(usize::MAX);
    corpus.vocabulary(kind, min_count)
}

/// Tokens of a text, split into training and validation part.
pub fn prepare(
    source: &Source,
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    settings: &Settings,
) -> Result<Prepared> {
    let tokens = corpus.encode(vocabulary)?;
    let parts = split(tokens.len(), settings.val)?;
    let lossless = vocabulary.unknown_id().is_none();
    // The first character of the validation part is given, not predicted.
    let predicted = parts.validation.start + 1..parts.validation.end;
    let floor = corpus
        .floor(predicted)
        .filter(|_| lossless && !parts.validation.is_empty());
    let (files, builtin) = match source {
        Source::Builtin { seed, chars } => (Vec::new(), Some((*seed, *chars))),
        Source::Files(files) => (files.iter().map(|f| absolute(f)).collect(), None),
    };
    Ok(Prepared {
        text: Text {
            name: corpus.name.clone(),
            hash: corpus.hash.clone(),
            files,
            builtin,
        },
        train: tokens[parts.train].into(),
        validation: tokens[parts.validation].into(),
        floor,
    })
}

fn absolute(file: &Path) -> PathBuf {
    match file == Path::new("-") {
        true => file.to_path_buf(),
        false => std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()),
    }
}

/// The cells that settings list, one for every layer or one for all of them, with their constants.
pub fn cells(settings: &Settings) -> Result<Vec<Cell>> {
    let names = settings.cell.split(',').map(str::trim);
    let cells = names.map(cell).collect::<Result<Vec<Cell>>>()?;
    constants(cells, settings.cell_const.as_deref())
}

/// Cells with the constants that `--cell-const` sets.
pub fn constants(cells: Vec<Cell>, list: Option<&str>) -> Result<Vec<Cell>> {
    let list = list.unwrap_or("");
    let values = pairs(list).map_err(|e| Error::usage(format!("--cell-const: {e}")))?;
    set_constants(&cells, &values)
}

/// The cell `name`: a built-in one, or a file that ends in .cell.
pub fn cell(name: &str) -> Result<Cell> {
    if !name.ends_with(".cell") {
        return library::builtin(name);
    }
    let path = Path::new(name);
    let text = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let text = String::from_utf8(text).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::data(format!("{name}: not UTF-8: a bad byte at offset {at}"))
    })?;
    Cell::parse(&library::name_of(path), &text)
}
