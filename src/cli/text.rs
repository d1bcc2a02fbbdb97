//! The text that a command reads, and the cell that it names.

use std::path::{Path, PathBuf};

use wgrnn::cell::constants::set_constants;
use wgrnn::cell::{Cell, library};
use wgrnn::data::{Body, Corpus, Source, VocabKind, Vocabulary};
use wgrnn::train::settings::pairs;
use wgrnn::train::{Settings, Text};
use wgrnn::{Error, Result};

use super::{losses, out};

/// The built-in corpus that `train` takes without a file: always the same, whatever the run's seed.
pub const BUILTIN: (u64, usize) = (1, 1_000_000);

/// A text, ready to be trained on.
pub struct Prepared {
    /// What is stored about it.
    pub text: Text,
    /// What is trained on.
    pub train: Body,
    /// What is validated on, maybe nothing.
    pub validation: Body,
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

/// Opens a text; what it needs of temporary files goes beside `near`, or to the system's folder for them.
pub fn open(source: &Source, near: Option<&Path>) -> Result<Corpus> {
    let beside = near.and_then(|path| {
        let path = std::path::absolute(path).ok()?;
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir())?;
        Some(folder.to_path_buf())
    });
    source.open(&beside.unwrap_or_else(std::env::temp_dir))
}

/// The vocabulary that settings ask for.
pub fn vocabulary(corpus: &Corpus, settings: &Settings) -> Result<Vocabulary> {
    let Some(file) = &settings.tokenizer else {
        return corpus.vocabulary(&settings.recipe());
    };
    let path = Path::new(file);
    let json = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    Vocabulary::from_tokenizer(&json, settings.lines)
        .map_err(|e| Error::new(e.kind, format!("{file}: {}", e.message)))
}

/// Tokens of a text, split into training and validation part.
pub fn prepare(
    source: &Source,
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    settings: &Settings,
) -> Result<Prepared> {
    let body = body(corpus, vocabulary, settings)?;
    let (train, validation) = body.split(settings.val)?;
    let floor = match (&train, &validation) {
        (Body::Stream(train), Body::Stream(rest))
            if knows_floor(vocabulary) && !rest.is_empty() =>
        {
            // The first character of the validation part is given, not predicted.
            corpus.floor(train.len() + 1..train.len() + rest.len())
        }
        _ => None,
    };
    let (files, builtin) = match source {
        Source::Builtin { seed, chars } => (Vec::new(), Some((*seed, *chars))),
        Source::Files(files) => (files.iter().map(|f| absolute(f)).collect(), None),
    };
    Ok(Prepared {
        text: Text {
            name: corpus.name.clone(),
            hash: corpus.hash()?.to_string(),
            files,
            builtin,
        },
        train,
        validation,
        floor,
    })
}

/// A text in token ids; says what was left out of it, and what its tokenizer loses.
pub fn body(corpus: &Corpus, vocabulary: &Vocabulary, settings: &Settings) -> Result<Body> {
    if !vocabulary.of_lines() {
        let (tokens, lost) = corpus.encode_with_losses(vocabulary)?;
        losses::tell(&corpus.name, &lost);
        return Ok(tokens.into());
    }
    let rules = settings.line_rules();
    let (lines, left_out, lost) = corpus.lines_with_losses(vocabulary, rules)?;
    losses::tell(&corpus.name, &lost);
    let max = settings.max_line;
    for (count, what) in [
        (left_out.empty, "empty, skipped".to_string()),
        (left_out.cut, format!("cut to {max} tokens")),
        (
            left_out.dropped,
            format!("longer than {max} tokens, left out"),
        ),
    ] {
        if count > 0 {
            out::note(&format!("{}: {count} lines {what}", corpus.name));
        }
    }
    Ok(lines.into())
}

/// Whether a floor in nats a character says something about the loss: all characters are known.
fn knows_floor(vocabulary: &Vocabulary) -> bool {
    let characters = matches!(vocabulary.kind(), VocabKind::Char | VocabKind::Byte);
    characters && vocabulary.unknown_id().is_none()
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
