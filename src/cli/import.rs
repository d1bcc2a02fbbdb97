//! `import`: a run from a safetensors file: one of our own exports, or the weights of a PyTorch module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use toml::{Table, Value};
use wgrnn::cell::{Cell, library};
use wgrnn::data::Source;
use wgrnn::model::{Dims, Mode};
use wgrnn::train::settings::resolve;
use wgrnn::train::{About, Checkpoint, RunWriter, Settings, State, Tensor, spec, state, update};
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
            "run": target,
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

    let bad = |text: String| Error::checkpoint(format!("{shown}: {text}"));
    let tensors = rename(file).map_err(|e| bad(e.message))?;
    let shape = |name: &str| tensors.get(name).map(|t| t.shape.clone());
    let Some(source) = cell.sources.first() else {
        return Err(Error::data(format!("{}: multiplies nothing", cell.name)));
    };
    let first = format!("rnn.{}_l0", source.weight);
    let hidden = match shape(&first).as_deref() {
        Some([rows, _]) if *rows > 0 && rows % source.lanes.len() == 0 => rows / source.lanes.len(),
        Some(found) => {
            return Err(bad(format!(
                "{first}: expected [{} H, D] for cell {}, found {found:?}",
                source.lanes.len(),
                cell.name
            )));
        }
        None => {
            let known: Vec<&str> = tensors.keys().map(String::as_str).collect();
            return Err(bad(format!("{first}: missing; found {}", known.join(", "))));
        }
    };
    let layers = tensors
        .keys()
        .filter_map(|name| layer_of(name))
        .max()
        .map_or(0, |l| l + 1);
    let embed = match shape("embedding.weight").as_deref() {
        Some([_, width]) => *width,
        _ => 0,
    };
    let symbols = shape("head.bias").and_then(|s| s.first().copied());
    if let Some(symbols) = symbols
        && symbols != vocabulary.len()
    {
        return Err(Error::data(format!(
            "{}: has {} symbols, {shown} expects {symbols}",
            corpus.name,
            vocabulary.len()
        )));
    }
    for (key, value) in [("hidden", hidden), ("layers", layers), ("embed", embed)] {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        given.insert(key.into(), Value::Integer(value));
    }
    let tie = embed > 0 && !tensors.contains_key("head.weight");
    given.insert("tie".into(), Value::Boolean(tie));
    let settings = resolve(None, given, &names).map_err(|e| bad(e.message))?;
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
            tensors,
            meta: serde_json::Value::Null,
        },
    })
}

/// The layer of a recurrent parameter: 1 for `weight_ih_l1`.
fn layer_of(name: &str) -> Option<usize> {
    let (_, layer) = name.rsplit_once("_l")?;
    layer.parse().ok()
}

/// The tensors under our names: recurrent ones by PyTorch's names under any prefix, the head by its bias, the embedding
/// by having none.
fn rename(file: &SafeTensors<'_>) -> Result<BTreeMap<String, Tensor>> {
    let names: Vec<&str> = file.names().into_iter().collect();
    let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.to_string());
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_string();
    let prefixes: BTreeSet<Option<String>> = names
        .iter()
        .filter(|n| layer_of(n).is_some())
        .map(|n| stem(n))
        .collect();
    if prefixes.len() > 1 {
        return Err(Error::checkpoint(
            "recurrent weights stand under several prefixes, expected one stack of layers",
        ));
    }
    let mut tensors = BTreeMap::new();
    for name in &names {
        let ours = if layer_of(name).is_some() {
            format!("rnn.{}", last(name))
        } else {
            let stem = stem(name);
            let beside = |what: &str| {
                let other = stem
                    .as_ref()
                    .map_or(what.to_string(), |s| format!("{s}.{what}"));
                names.contains(&other.as_str())
            };
            match last(name).as_str() {
                "bias" => "head.bias".to_string(),
                "weight" if beside("bias") => "head.weight".to_string(),
                "weight" => "embedding.weight".to_string(),
                _ => name.to_string(),
            }
        };
        if tensors.insert(ours.clone(), tensor(file, name)?).is_some() {
            return Err(Error::checkpoint(format!(
                "{}: a second {ours}",
                name.escape_debug()
            )));
        }
    }
    Ok(tensors)
}

/// A tensor as f32.
fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<Tensor> {
    let shown = name.escape_debug();
    let view = file
        .tensor(name)
        .map_err(|e| Error::checkpoint(format!("{shown}: {e}")))?;
    let bytes = view.data();
    let data: Vec<f32> = match view.dtype() {
        Dtype::F32 => {
            let (words, _) = bytes.as_chunks();
            words.iter().map(|w| f32::from_le_bytes(*w)).collect()
        }
        Dtype::F64 => {
            let (words, _) = bytes.as_chunks();
            words
                .iter()
                .map(|w| f64::from_le_bytes(*w) as f32)
                .collect()
        }
        Dtype::BF16 => {
            let (words, _) = bytes.as_chunks();
            let wide = |w: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*w)) << 16);
            words.iter().map(wide).collect()
        }
        other => {
            return Err(Error::checkpoint(format!(
                "{shown}: expected F32, F64 or BF16, found {other}"
            )));
        }
    };
    Ok(Tensor::f32(view.shape(), data))
}
