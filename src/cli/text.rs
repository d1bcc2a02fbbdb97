//! The text that a command reads, and the cell that it names.

use std::path::{Path, PathBuf};

use wgrnn::cell::constants::set_constants;
use wgrnn::cell::{Cell, library};
use wgrnn::data::{
    Corpus, LineRules, Lines, LongLines, Recipe, Source, VocabKind, Vocabulary, split,
};
use wgrnn::train::settings::{LongLinesName, Vocab, pairs};
use wgrnn::train::{Part, Settings, Text};
use wgrnn::{Error, Result};

use super::out;

/// The built-in corpus that `train` takes without a file: always the same, whatever the run's seed.
pub const BUILTIN: (u64, usize) = (1, 1_000_000);

/// A text, ready to be trained on.
pub struct Prepared {
    /// What is stored about it.
    pub text: Text,
    /// What is trained on.
    pub train: Part,
    /// What is held out, maybe nothing.
    pub validation: Part,
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
    let kind = match settings.vocab {
        Vocab::Char => VocabKind::Char,
        Vocab::Byte => VocabKind::Byte,
        Vocab::Word => VocabKind::Word,
    };
    let most = usize::try_from(settings.max_vocab).unwrap_or(usize::MAX);
    corpus.vocabulary(&Recipe {
        kind,
        min_count: settings.min_count,
        max_size: Some(most).filter(|most| *most > 0),
        lines: settings.lines,
    })
}

/// Tokens of a text, split into training and validation part.
pub fn prepare(
    source: &Source,
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    settings: &Settings,
) -> Result<Prepared> {
    let (train, validation, floor) = match vocabulary.of_lines() {
        true => {
            let (train, validation) = held_out(lines(corpus, vocabulary, settings)?, settings.val)?;
            (train.into(), validation.into(), None)
        }
        false => {
            let tokens = corpus.encode(vocabulary)?;
            let parts = split(tokens.len(), settings.val)?;
            // The floor is known for characters, all of them.
            let lossless =
                vocabulary.unknown_id().is_none() && vocabulary.kind() != VocabKind::Word;
            // The first character of the validation part is given, not predicted.
            let predicted = parts.validation.start + 1..parts.validation.end;
            let floor = corpus
                .floor(predicted)
                .filter(|_| lossless && !parts.validation.is_empty());
            let (train, validation) = (tokens.slice(parts.train), tokens.slice(parts.validation));
            (Part::from(train), Part::from(validation), floor)
        }
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

/// The lines of a text, as settings allow them; says what was left out.
pub fn lines(corpus: &Corpus, vocabulary: &Vocabulary, settings: &Settings) -> Result<Lines> {
    let rules = LineRules {
        max: settings.max_line,
        long: match settings.long_lines {
            LongLinesName::Error => LongLines::Error,
            LongLinesName::Cut => LongLines::Cut,
            LongLinesName::Drop => LongLines::Drop,
        },
    };
    let (lines, left_out) = corpus.lines(vocabulary, rules)?;
    for (count, what) in [
        (left_out.empty, "without a token left out"),
        (left_out.cut, "cut to --max-line"),
        (left_out.dropped, "longer than --max-line left out"),
    ] {
        if count > 0 {
            let plural = if count == 1 { "" } else { "s" };
            out::note(&format!("{}: {count} line{plural} {what}", corpus.name));
        }
    }
    Ok(lines)
}

/// The last `fraction` of the lines is held out.
fn held_out(lines: Lines, fraction: f64) -> Result<(Lines, Lines)> {
    let all = lines.len();
    let out = match fraction {
        0.0 => 0,
        fraction => ((all as f64 * fraction).ceil() as usize).min(all),
    };
    if out == all {
        return Err(Error::data(format!(
            "--val {fraction}: no line of {all} is left for training; lower --val or give more text"
        )));
    }
    Ok((lines.slice(0..all - out), lines.slice(all - out..all)))
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
