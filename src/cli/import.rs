//! `import`: a run from a safetensors file: one of our own exports, or the weights of a PyTorch module.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use safetensors::SafeTensors;
use serde_json::json;
use toml::{Table, Value};
use wgrnn::cell::{Cell, library};
use wgrnn::data::Source;
use wgrnn::model::{Dims, Mode};
use wgrnn::train::settings::resolve;
use wgrnn::train::{About, Checkpoint, Foreign, RunWriter, Settings, State, spec, state, update};
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
        .args(["cell", "vocab", "min-count", "max-vocab"].into_iter().filter_map(setting))
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn import model.safetensors --out runs/copy\n  wgrnn import torch.safetensors --cell lstm \
             --vocab-from book.txt --out runs/torch\n\nHidden size, layers and embedding follow from the shapes. Recurrent \
             weights are known by PyTorch's names\n(weight_ih_l0) under any prefix, the head by its weight and bias, the \
             embedding by a weight alone.",
        )
}

/// A model from a file: what it is, and its weights.
struct Imported {
    about: About,
    settings: Settings,
    cells: Vec<Cell>,
    weights: Checkpoint,
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let target = flags::required_path(m, "out")?;
    RunWriter::check_free(target)?;
    let path = flags::required_path(m, "file")?;
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let named = |e: Error| Error::new(e.kind, format!("{}: {}", path.display(), e.message));
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| named(Error::checkpoint(format!("no safetensors file: {e}"))))?;
    let imported = match is_ours(&bytes) {
        true => ours(m, path, &bytes)?,
        false => foreign(m, path, &file)?,
    };
    let Imported {
        mut about,
        settings,
        cells,
        weights,
    } = imported;
    let spec = spec(&settings, cells, about.vocabulary.len());
    let dims = Dims {
        steps: settings.seq_len,
        batch: settings.batch,
    };
    let plan = spec
        .plan(dims, Mode::Train(update(&settings)))
        .map_err(named)?;
    memory::check("the model and its minibatch", plan.bytes(), |_| {
        "the model is too large for this machine".into()
    })?;
    let parameters = state::weights(&plan, &weights).map_err(named)?;
    let state = State::start(&plan, parameters, 1, spec.vocab);
    about.settings = settings.to_toml()?;
    let checkpoint = state.to_checkpoint(&plan, &about)?;
    let writer = RunWriter::create(target, &about.settings)?;
    writer.save(0, &checkpoint, settings.keep)?;
    if m.get_flag("json") {
        return out::json(&json!({
            "run": target.display().to_string(),
            "parameters": plan.parameter_count(),
            "cell": about.cell_names(),
            "hidden": settings.hidden,
            "layers": settings.layers,
            "embed": settings.embed,
            "vocabulary": spec.vocab,
        }));
    }
    out::line(&format!(
        "run: {}: {} x {} of H {}, embed {}, V {}, {} parameters",
        target.display(),
        about.cell_names(),
        settings.layers,
        settings.hidden,
        settings.embed,
        spec.vocab,
        plan.parameter_count()
    ))
}

/// Whether the file says that this program wrote it.
fn is_ours(bytes: &[u8]) -> bool {
    SafeTensors::read_metadata(bytes).is_ok_and(|(_, header)| {
        header
            .metadata()
            .as_ref()
            .is_some_and(|m| m.contains_key("wgrnn"))
    })
}

/// An export or a checkpoint: it brings settings, cell and vocabulary.
fn ours(m: &ArgMatches, path: &Path, bytes: &[u8]) -> Result<Imported> {
    for name in ["cell", "vocab", "min-count", "max-vocab", "vocab-from"] {
        if m.value_source(name).is_some() {
            return Err(Error::usage(format!(
                "--{name}: {} brings its own; leave it out",
                path.display()
            )));
        }
    }
    let named = |e: Error| Error::new(e.kind, format!("{}: {}", path.display(), e.message));
    let checkpoint = Checkpoint::from_bytes(bytes).map_err(named)?;
    let loaded = Loaded::new(checkpoint, path.to_path_buf())?;
    let cells = loaded.saved.about.cells().map_err(named)?;
    let about = About {
        // Whoever goes on with it may do so on another text.
        text: None,
        floor: None,
        ..loaded.saved.about
    };
    Ok(Imported {
        about,
        settings: loaded.settings,
        cells,
        weights: loaded.checkpoint,
    })
}

/// Weights from elsewhere: sizes follow from the shapes, cell and vocabulary must be given.
fn foreign(m: &ArgMatches, path: &Path, file: &SafeTensors<'_>) -> Result<Imported> {
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
    let names: Vec<&str> = library::names().collect();
    let early = resolve(None, given.clone(), &names)?;
    let cell = text::cell(cell_name)?;
    let corpus = text::open(&Source::Files(vec![from.clone()]), None)?;
    let vocabulary = text::vocabulary(&corpus, &early)?;

    let bad = |e: Error| Error::checkpoint(format!("{shown}: {}", e.message));
    let foreign = Foreign::read(file).map_err(bad)?;
    let sizes = (foreign.sizes(&cell))
        .map_err(|e| Error::new(e.kind, format!("{shown}: {}", e.message)))?;
    let symbols = sizes.symbols;
    if let Some(symbols) = symbols
        && symbols != vocabulary.len()
    {
        return Err(Error::data(format!(
            "{}: has {} symbols, {shown} expects {symbols}",
            corpus.name,
            vocabulary.len()
        )));
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
    let settings = resolve(None, given, &names).map_err(bad)?;
    let about = About {
        program: env!("CARGO_PKG_VERSION").into(),
        settings: String::new(),
        vocabulary_hash: vocabulary.hash(),
        vocabulary,
        cells: vec![(&cell).into()],
        text: None,
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
    })
}
