//! The text that a command reads, and the cell that it names.

use std::path::{Path, PathBuf};

use wgrnn::cell::constants::set_constants;
use wgrnn::cell::{Cell, library};
use wgrnn::data::{
    Corpus, Dataset, LeftOut, TextSource, VocabKind, Vocabulary, copied, plain_text,
};
use wgrnn::paths;
use wgrnn::train::settings::pairs;
use wgrnn::train::{Settings, TextRecord};
use wgrnn::{Error, Result};

use super::unknown::{MUCH_UNKNOWN, UnknownShare};
use super::{losses, out};

/// The built-in corpus that `train` takes without a file: always the same, whatever the run's seed.
pub const BUILTIN: (u64, usize) = (1, 1_000_000);

/// A text, ready to be trained on.
pub struct PreparedText {
    /// What is stored about it.
    pub text: TextRecord,
    /// The same of a validation text of its own.
    pub valid: Option<TextRecord>,
    /// What is trained on.
    pub train: Dataset,
    /// What is validated on, maybe nothing.
    pub validation: Dataset,
    /// The lowest loss that can be expected on the validation part, where it is known.
    pub floor: Option<f64>,
}

/// Refuses settings that ask for a model of fields, for `what` takes models of a text alone.
pub fn refuse_fields(settings: &Settings, what: &str) -> Result<()> {
    if !settings.of_fields() {
        return Ok(());
    }
    let model = &settings.model;
    Err(Error::usage(format!(
        "{what}: expected the model of a text (language), got model {model}; `wgrnn models check {model}` compares it with the \
         plain code, `wgrnn train --model {model} --plan` says what it takes"
    )))
}

/// Where the text is: `files`, or the built-in corpus without any.
pub fn source(files: &[PathBuf]) -> TextSource {
    match files {
        [] => TextSource::Builtin {
            seed: BUILTIN.0,
            chars: BUILTIN.1,
        },
        files => TextSource::Files(files.to_vec()),
    }
}

/// Opens a text; what it needs of temporary files goes beside `near`, or to the system's folder for them.
pub fn open(source: &TextSource, near: Option<&Path>) -> Result<Corpus> {
    source.open(&near.map_or_else(std::env::temp_dir, beside))
}

/// The folder for temporary files beside `near`, or the system's where there is none.
pub fn beside(near: &Path) -> PathBuf {
    let path = std::path::absolute(near).unwrap_or_default();
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
    folder.map_or_else(std::env::temp_dir, Path::to_path_buf)
}

/// The vocabulary that settings ask for.
pub fn vocabulary(corpus: &Corpus, settings: &Settings) -> Result<Vocabulary> {
    let Some(file) = &settings.tokenizer else {
        return corpus.vocabulary(&settings.recipe());
    };
    tokenizer(&paths::from_text(file), settings.lines)
}

/// The vocabulary of a tokenizer's file; `lines` for sequences with a start and an end.
pub fn tokenizer(path: &Path, lines: bool) -> Result<Vocabulary> {
    let json = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let json = json.strip_prefix(MARK).unwrap_or(&json);
    Vocabulary::from_tokenizer(json, lines)
        .map_err(|e| Error::new(e.kind, format!("{}: {}", path.display(), e.message)))
}

/// The byte order mark that some editors put before UTF-8.
const MARK: &[u8] = "\u{FEFF}".as_bytes();

/// A file that people write by hand, such as settings or a cell, without a byte order mark.
pub fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    plain_text(&bytes, path).map(str::to_string)
}

/// Tokens of a text, split into training and validation part.
pub fn prepare(
    source: &TextSource,
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    settings: &Settings,
) -> Result<PreparedText> {
    let valid = match &settings.valid {
        None => None,
        Some(files) => {
            check_validation(source, settings)?;
            let source = TextSource::Files(files.0.iter().map(|f| paths::from_text(f)).collect());
            let opened = source.open(corpus.folder())?;
            Some((source, opened))
        }
    };
    let dataset = dataset(corpus, vocabulary, settings)?;
    let (train, mut validation) = dataset.split(settings.val)?;
    let mut valid_text = None;
    if let Some((source, corpus)) = &valid {
        validation = validation_dataset(corpus, vocabulary, settings)?;
        valid_text = Some(stored(source, corpus)?);
    }
    if let Some(copied) = copied(&train, &validation)? {
        out::note(&format!("warning: {}: {copied}", corpus.name));
    }
    let floor = match (&train, &validation) {
        (Dataset::Stream(train), Dataset::Stream(rest))
            if valid.is_none() && knows_floor(vocabulary) && !rest.is_empty() =>
        {
            // The first character of the validation part is given, not predicted.
            corpus.floor(train.len() + 1..train.len() + rest.len())
        }
        _ => None,
    };
    Ok(PreparedText {
        text: stored(source, corpus)?,
        valid: valid_text,
        train,
        validation,
        floor,
    })
}

/// What a run stores about a text.
pub fn stored(source: &TextSource, corpus: &Corpus) -> Result<TextRecord> {
    let (files, builtin) = match source {
        TextSource::Builtin { seed, chars } => (Vec::new(), Some((*seed, *chars))),
        TextSource::Files(files) => (files.iter().map(|f| absolute(f)).collect(), None),
    };
    Ok(TextRecord {
        name: corpus.name.clone(),
        hash: corpus.hash()?.to_string(),
        files,
        builtin,
        fields: Vec::new(),
    })
}

/// Refuses a validation text that cannot go with a training text from `source`, before anything is read.
pub fn check_validation(source: &TextSource, settings: &Settings) -> Result<()> {
    let Some(valid) = &settings.valid else {
        return Ok(());
    };
    let TextSource::Files(texts) = source else {
        return Err(Error::usage(
            "--valid: expected a text to train on beside it, got none; texts go before --valid, which takes all names up to \
             the next flag",
        ));
    };
    let texts = texts.iter().filter(|f| f.as_os_str() == "-");
    let valid = valid.0.iter().filter(|f| *f == "-");
    if texts.count() + valid.count() > 1 {
        return Err(Error::usage(
            "--valid: standard input can be read once, and - is given twice",
        ));
    }
    Ok(())
}

/// A validation text in token ids; says how much of it is unknown.
fn validation_dataset(
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    settings: &Settings,
) -> Result<Dataset> {
    let dataset = dataset(corpus, vocabulary, settings)
        .map_err(|e| Error::new(e.kind, format!("--valid: {}", e.message)))?;
    if dataset.predictions() == 0 {
        let name = &corpus.name;
        return Err(Error::data(format!(
            "--valid: {name}: expected two tokens or more, found nothing to predict"
        )));
    }
    let unknown_share = UnknownShare::of(vocabulary, &dataset)?;
    if unknown_share.unknown > 0 {
        let (unknown, all, unit) = (
            unknown_share.unknown,
            unknown_share.symbols,
            vocabulary.unit(),
        );
        let text = format!(
            "{}: {unknown} of {all} {unit}s ({:.2}%) are unknown to the training text's vocabulary",
            corpus.name,
            100.0 * unknown_share.share()
        );
        if unknown_share.share() >= MUCH_UNKNOWN {
            out::note(&format!("warning: {text}"));
        } else {
            out::remark(&text);
        }
    }
    Ok(dataset)
}

/// A text in token ids; says what is unknown_share about it, what its tokenizer loses, and what was left out.
pub fn dataset(corpus: &Corpus, vocabulary: &Vocabulary, settings: &Settings) -> Result<Dataset> {
    let (dataset, left_out, lost): (Dataset, _, _) = if vocabulary.of_lines() {
        let rules = settings.line_rules();
        let (lines, left_out, lost) = corpus.lines_with_losses(vocabulary, rules)?;
        (lines.into(), left_out, lost)
    } else {
        let (tokens, lost) = corpus.encode_with_losses(vocabulary)?;
        (tokens.into(), LeftOut::default(), lost)
    };
    for remark in corpus.remarks(vocabulary)? {
        out::note(&format!("warning: {remark}"));
    }
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
            out::remark(&format!("{}: {count} lines {what}", corpus.name));
        }
    }
    Ok(dataset)
}

/// Whether a floor in nats a character says something about the loss: all characters are known.
fn knows_floor(vocabulary: &Vocabulary) -> bool {
    let characters = matches!(vocabulary.kind(), VocabKind::Char | VocabKind::Byte);
    characters && vocabulary.unknown_id().is_none()
}

/// A file's path from the root on; `-` stays.
pub fn absolute(file: &Path) -> PathBuf {
    if file == Path::new("-") {
        file.to_path_buf()
    } else {
        std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf())
    }
}

/// The cells that settings list, one for every layer or one for all of them, with their constants.
pub fn cells(settings: &Settings) -> Result<Vec<Cell>> {
    let names = settings.cell.split(',').map(str::trim);
    let cells = names.map(cell).collect::<Result<Vec<Cell>>>()?;
    cells.iter().for_each(warn_of_no_input);
    constants(cells, settings.cell_const.as_deref())
}

/// Warns of a cell that never looks at its input: what it makes says nothing about the text.
pub fn warn_of_no_input(cell: &Cell) {
    if !cell.reads_input() {
        out::note(&format!(
            "warning: cell {} never looks at its input x, so that what it makes cannot depend on the text",
            cell.name
        ));
    }
}

/// Refuses a cell that looks at a memory, where no model gives it one.
pub fn without_memory(cell: &Cell) -> Result<()> {
    match cell.memories.first() {
        None => Ok(()),
        Some(memory) => Err(Error::usage(format!(
            "cell {}: expected a cell that needs nothing but its input, found one that looks at memory {memory}, which a line \
             of a model gives it: `rnn(v, cell = ..., memory = m)`, as translate-feed does; `models check` checks such a model, with \
             --cell FILE.cell for a cell of your own",
            cell.name
        ))),
    }
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
    let path = paths::from_text(name);
    Cell::parse(&library::name_of(&path), &read(&path)?)
}
