//! `import`: a run from a safetensors file: one of our own exports, or the weights of a PyTorch module.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;
use toml::{Table, Value};
use wgrnn::cell::{Cell, library};
use wgrnn::data::{TextSource, Vocabulary};
use wgrnn::model::{Dims, Mode};
use wgrnn::train::examples::sizes_for;
use wgrnn::train::foreign::{File, Foreign, Names};
use wgrnn::train::settings::resolve;
use wgrnn::train::{About, Checkpoint, RunWriter, Settings, State, Symbols, spec, state, update};
use wgrnn::{Error, Result};

use super::load::Loaded;
use super::{flags, memory, out, text};

pub fn command() -> Command {
    let setting = |name: &str| flags::settings().find(|arg| arg.get_id() == name);
    Command::new("import")
        .about("Make a run of a safetensors file: an export, or weights that PyTorch saved")
        .arg(
            Arg::new("file")
                .value_name("FILE.safetensors")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("RUN")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The new run's folder"),
        )
        .arg(
            Arg::new("vocab-from")
                .long("vocab-from")
                .value_name("TEXT")
                .value_parser(value_parser!(PathBuf))
                .help("For weights from elsewhere: the text whose symbols, sorted, are their vocabulary"),
        )
        .arg(
            Arg::new("ignore")
                .long("ignore")
                .value_name("NAME,...")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("For weights from elsewhere: tensors to leave out, by their names or by what stands before a dot"),
        )
        .args(["cell", "vocab", "min-count", "max-vocab"].into_iter().filter_map(setting))
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn import model.safetensors --out runs/copy\n  wgrnn import torch.safetensors --cell lstm \
             --vocab-from book.txt --out runs/torch\n\nHidden size, layers and embedding follow from the shapes. Recurrent \
             weights are known by PyTorch's names\n(weight_ih_l0, or weight_ih of a cell) under any prefix: a module of many \
             layers, or modules of one layer each\nthat a number tells apart (rnns.0, rnns.1). The head is the matrix with a \
             bias, the embedding the one without;\nequal matrices are tied, and so is the only one where the layers read its \
             rows. F64, F32, F16 and BF16 are read.\nWithout biases (bias=False) they start at zero. rnn is tanh, as weights do \
             not tell: a module with\nnonlinearity='relu' is --cell rnn-relu.",
        )
}

/// A model from a file: what it is, and its weights.
struct Imported {
    about: About,
    settings: Settings,
    cells: Vec<Cell>,
    weights: Checkpoint,
    /// What the file calls the weights.
    names: Names,
    /// What a user should know of how the file was understood.
    notes: Vec<String>,
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let target = flags::required_path(m, "out")?;
    RunWriter::check_free(target)?;
    let path = flags::required_path(m, "file")?;
    if path.is_dir() {
        return Err(Error::usage(format!(
            "{}: expected a safetensors file, found a folder; `export` makes one of a run",
            path.display()
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let named = |e: Error| Error::new(e.kind, format!("{}: {}", path.display(), e.message));
    let file = File::read(&bytes, path)?;
    let imported = if file.is_ours() {
        ours(m, path, &bytes)?
    } else {
        foreign(m, path, &file)?
    };
    let Imported {
        mut about,
        settings,
        cells,
        weights,
        names,
        notes,
    } = imported;
    let symbols = about.vocabulary().map_or(0, Vocabulary::len);
    let spec = spec(&settings, cells, symbols);
    let mode = Mode::Train(update(&settings));
    let plan = match &about.symbols {
        Symbols::Text { .. } => {
            let dims = Dims {
                steps: settings.seq_len,
                batch: settings.batch,
            };
            spec.plan(dims, mode)
        }
        Symbols::Fields { model, codes } => model
            .model()
            .and_then(|model| model.plan(&spec, &sizes_for(&model, codes, 1, 1)?, mode)),
    };
    let plan = plan.map_err(named)?;
    memory::check("the model and its minibatch", plan.bytes(), |_| {
        "the model is too large for this machine".into()
    })?;
    let parameters = state::weights(&plan, &weights).map_err(|e| named(names.translate(e)))?;
    // Its means of losses begin anew when it is trained on.
    let state = State::start(&plan, parameters, 1, symbols.max(1));
    about.settings = settings.to_toml()?;
    let checkpoint = state.to_checkpoint(&plan, &about)?;
    let writer = RunWriter::create(target, &about.settings)?;
    writer.save(0, &checkpoint, settings.keep)?;
    for note in &notes {
        out::note(&format!("note: {note}"));
    }
    if m.get_flag("json") {
        return out::json(&json!({
            "run": target.display().to_string(),
            "parameters": plan.parameter_count(),
            "cell": about.cell_names(),
            "hidden": settings.hidden,
            "layers": settings.layers,
            "embed": settings.embed,
            "tie": settings.tie,
            "vocabulary": (symbols > 0).then_some(symbols),
            "model": settings.model,
            "notes": notes,
        }));
    }
    let of = match symbols {
        0 => format!("model {}", settings.model),
        symbols => format!("V {symbols}"),
    };
    out::line(&format!(
        "run: {}: {} x {} of H {}, embed {}{}, {of}, {} parameters",
        target.display(),
        about.cell_names(),
        settings.layers,
        settings.hidden,
        settings.embed,
        if settings.tie { " (tied)" } else { "" },
        plan.parameter_count()
    ))
}

/// An export or a checkpoint: it brings settings, cell and vocabulary.
fn ours(m: &ArgMatches, path: &Path, bytes: &[u8]) -> Result<Imported> {
    for name in [
        "cell",
        "vocab",
        "min-count",
        "max-vocab",
        "vocab-from",
        "ignore",
    ] {
        if m.value_source(name).is_some() {
            return Err(Error::usage(format!(
                "--{name}: {} is a file of wgrnn that brings all it needs; leave the flag out",
                path.display()
            )));
        }
    }
    let named = |e: Error| Error::new(e.kind, format!("{}: {}", path.display(), e.message));
    let checkpoint = Checkpoint::from_bytes(bytes).map_err(named)?;
    let loaded = Loaded::new(checkpoint, path.to_path_buf())?;
    let cells = loaded.saved.about.cells().map_err(named)?;
    // Whoever goes on with it may do so on another text.
    let about = About {
        text: None,
        valid: None,
        floor: None,
        ..loaded.saved.about
    };
    let mut settings = loaded.settings;
    if settings.valid.take().is_some() {
        settings.val = Settings::default().val;
    }
    // It was chosen by the size of the old text.
    settings.eval_every = None;
    Ok(Imported {
        about,
        settings,
        cells,
        weights: loaded.checkpoint,
        names: Names::default(),
        notes: Vec::new(),
    })
}

/// Weights from elsewhere: sizes follow from the shapes, cell and vocabulary must be given.
fn foreign(m: &ArgMatches, path: &Path, file: &File<'_>) -> Result<Imported> {
    let shown = path.display();
    let (Some(cell_name), Some(from)) = (m.get_one::<String>("cell"), flags::path(m, "vocab-from"))
    else {
        return Err(Error::usage(format!(
            "{shown}: brings no settings and no vocabulary: give --cell and --vocab-from"
        )));
    };
    let mut given = Table::new();
    for key in Settings::keys() {
        if let Ok(Some(text)) = m.try_get_one::<String>(key.name) {
            given.insert(key.name.into(), key.value(text));
        }
    }
    let names: Vec<&str> = library::all_names().collect();
    let early = resolve(None, given.clone(), &names)?;
    let cell = text::cell(cell_name)?;
    text::without_memory(&cell)?;
    let corpus = text::open(&TextSource::Files(vec![from.clone()]), None)?;
    let vocabulary = text::vocabulary(&corpus, &early)?;

    let named = |e: Error| Error::new(e.kind, format!("{shown}: {}", e.message));
    let ignore: Vec<String> = m.get_many("ignore").unwrap_or_default().cloned().collect();
    let mut foreign = Foreign::read(file, &cell, &ignore).map_err(named)?;
    let sizes = foreign.sizes(&cell).map_err(named)?;
    if let Some(symbols) = sizes.symbols
        && symbols != vocabulary.len()
    {
        return Err(Error::data(format!(
            "{}: has {} symbols with --vocab {}, the weights of {shown} are for {symbols}; give the text that they were \
             trained on, and its --vocab",
            corpus.name,
            vocabulary.len(),
            early.vocab
        )));
    }
    if cell.name == "rnn" {
        foreign.notes.push(
            "rnn is tanh; if the module had nonlinearity='relu', import it with --cell rnn-relu"
                .into(),
        );
    }
    for (key, value) in [
        ("hidden", sizes.hidden),
        ("layers", sizes.layers),
        ("embed", sizes.embed),
    ] {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        given.insert(key.into(), Value::Integer(value));
    }
    given.insert("tie".into(), Value::Boolean(sizes.tie));
    let settings = resolve(None, given, &names)
        .map_err(|e| Error::checkpoint(format!("{shown}: {}", e.message)))?;
    let about = About {
        program: env!("CARGO_PKG_VERSION").into(),
        settings: String::new(),
        symbols: vocabulary.into(),
        cells: vec![(&cell).into()],
        text: None,
        valid: None,
        floor: None,
    };
    Ok(Imported {
        about,
        settings,
        cells: vec![cell],
        weights: Checkpoint {
            tensors: foreign.tensors,
            meta: serde_json::Value::Null,
        },
        names: foreign.names,
        notes: foreign.notes,
    })
}
