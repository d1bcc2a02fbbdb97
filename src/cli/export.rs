//! `export`: a run's weights as one safetensors file, under PyTorch's names and in its layout.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use wgrnn::train::{Checkpoint, state};
use wgrnn::{Error, Result};

use super::load::Loaded;
use super::{flags, out};

pub fn command() -> Command {
    Command::new("export")
        .about("Write a run's weights as safetensors, as PyTorch names and lays them out")
        .arg(flags::run())
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE.safetensors")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file; it must not exist"),
        )
        .arg(flags::checkpoint())
        .arg(flags::json())
        .after_help(
            "Example:\n  wgrnn export runs/builtin-1 --out model.safetensors\n\nIn PyTorch, a module's weights follow \
             by stripping the prefix: rnn.weight_ih_l0 is weight_ih_l0 of nn.LSTM.\n\nBeside the weights the file holds \
             what makes them a model, for `import`: the settings of its sizes and connections, its\ncells' equations, its \
             vocabulary and the version of wgrnn. Nothing of the run: no file names, times, steps or\nrates. Equal models \
             are equal files, byte for byte.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let path = flags::required_path(m, "out")?;
    if path.exists() {
        return Err(Error::usage(format!(
            "{}: exists already; choose another file",
            path.display()
        )));
    }
    let loaded = Loaded::from_args(m)?;
    // Reading them into a plan checks names and shapes.
    let plan = loaded.weights_plan()?;
    let flat = state::weights(&plan, &loaded.checkpoint).map_err(|e| loaded.named(e))?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in wgrnn::model::export(&plan, &flat) {
        let tensor = wgrnn::train::StoredTensor::f32(tensor.shape, tensor.data);
        tensors.insert(name, tensor);
    }
    let names: Vec<String> = tensors.keys().cloned().collect();
    let file = Checkpoint {
        tensors,
        meta: loaded
            .saved
            .of_model()
            .map_err(|e| loaded.named(e))?
            .to_json()?,
    };
    file.save(path)?;
    if m.get_flag("json") {
        return out::json(&json!({
            "file": path.display().to_string(),
            "tensors": names,
            "parameters": plan.parameter_count(),
            "step": loaded.saved.counters.step,
        }));
    }
    out::line(&format!(
        "{}: {} tensors, {} parameters, step {}",
        path.display(),
        names.len(),
        plan.parameter_count(),
        loaded.saved.counters.step
    ))
}
