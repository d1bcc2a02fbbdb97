//! `models check`: is a model sound? Finite differences, a device against the plain code, and whether it learns.

use std::sync::Arc;

use clap::{ArgMatches, Command};
use pollster::block_on;
use serde_json::json;
use toml::Value;
use wgrnn::exec::check::SlotComparison;
use wgrnn::exec::gpu;
use wgrnn::model::text::Target;
use wgrnn::model::{Mode, Spec};
use wgrnn::op::Plan;
use wgrnn::train::{ExampleSet, FieldData, Job, Length};
use wgrnn::{Error, Result};

use super::made_up::{examples, sizes};
use super::{Chosen, at_sizes, chosen};
use crate::cli::check::CheckedModel;
use crate::cli::check::verdict::{
    CheckPart, Status, TRAINING, Verdict, gradients, last_tenth, on_device, trained,
};
use crate::cli::flags;

/// Sizes of models whose gradients are looked at: H, layers, width of embeddings, whether the fast code runs.
const MODELS: [(i64, i64, i64, bool); 2] = [(3, 1, 5, false), (5, 2, 3, true)];
/// The same of models that are compared with a device: odd sizes take the scalar paths, sizes divisible by four the vector
/// ones.
const COMPARED: [(i64, i64, i64); 2] = [(7, 2, 5), (12, 1, 12)];
/// Examples of a minibatch there, the most steps of one, and the most rows of all.
const MINIBATCH: (usize, usize, usize) = (4, 5, 13);
/// The largest size that may be asked for: every parameter is moved to and fro.
const MOST: i64 = 64;

/// Hidden size, width of embeddings, examples, minibatches and steps of the training.
const TRAINED: (i64, i64) = (16, 8);
const EXAMPLES: usize = 192;
const BATCH: i64 = 16;
const STEPS: u64 = 200;
/// The part of a guess's loss that training must fall below.
const MARGIN: f64 = 0.75;

pub fn command() -> Command {
    Command::new("check")
        .about("Check a model: gradients, a device against the plain code, a short training run; then a verdict")
        .arg(super::model())
        .arg(
            flags::device()
                .default_value(None)
                .help("The adapter to compare; cpu leaves that part out (default: any, software ones too)"),
        )
        .arg(flags::json())
        .args(super::settings())
        .after_help(
            "Examples:\n  wgrnn models check tag\n  wgrnn models check my.model --cell gru --layers 2 --device cpu\n\n\
             Sizes are small and odd where no flag says them; data are made up: examples of three kinds, in which everything\n\
             can be guessed from everything else. Exits with 1 when a part fails.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    for size in ["hidden", "embed", "layers", "project"] {
        let value = flags::given(m).get(size).and_then(Value::as_integer);
        if let Some(value) = value.filter(|value| *value > MOST) {
            return Err(Error::usage(format!(
                "--{size}: expected at most {MOST}, as every parameter's gradient is compared with differences, got {value}"
            )));
        }
    }
    let device = m.get_one::<String>("device").map(String::as_str);
    let name = chosen(m, &usual(m, 3, 1, 5))?.model.name.clone();
    let mut verdict = Verdict::new("model", &name, m.get_flag("json"));
    verdict.tell(gradients(MODELS.iter().map(|sizes| model(m, *sizes)))?)?;
    verdict.tell(on_device(device, |device| compared(m, device))?)?;
    verdict.tell(learns(m)?)?;
    verdict.conclude()
}

/// Sizes where the command line says none; cells that it lists are a layer each.
fn usual(m: &ArgMatches, hidden: i64, layers: i64, embed: i64) -> Vec<(&'static str, Value)> {
    let cells = m
        .get_one::<String>("cell")
        .map_or(1, |c| c.split(',').count());
    let layers = if cells > 1 { cells as i64 } else { layers };
    vec![
        ("hidden", Value::Integer(hidden)),
        ("layers", Value::Integer(layers)),
        ("embed", Value::Integer(embed)),
    ]
}

/// What several losses need: their means are made by weights.
fn weighted(chosen: &Chosen, spec: Spec) -> Spec {
    Spec {
        weighted: chosen.model.losses().len() > 1,
        ..spec
    }
}

/// The plan of a model whose gradients are looked at, and whether the fast code runs.
fn model(
    m: &ArgMatches,
    (hidden, layers, embed, fast): (i64, i64, i64, bool),
) -> Result<(Arc<Plan>, bool)> {
    let chosen = chosen(m, &usual(m, hidden, layers, embed))?;
    let spec = weighted(&chosen, chosen.spec(m));
    let (examples, steps, rows) = MINIBATCH;
    let sizes = sizes(&chosen.model, examples, steps, rows);
    let plan = chosen.model.plan(&spec, &sizes, Mode::Gradients);
    Ok((Arc::new(plan.map_err(|e| at_sizes(e, &spec))?), fast))
}

/// Every operation of small models on a device and in the plain code.
fn compared(m: &ArgMatches, device: &Arc<gpu::GpuDevice>) -> Result<Vec<(String, SlotComparison)>> {
    let mut rows = Vec::new();
    for (hidden, layers, embed) in COMPARED {
        let chosen = chosen(m, &usual(m, hidden, layers, embed))?;
        let spec = chosen.spec(m);
        let title = format!(
            "{}: {} H {} x {}, embedding {}",
            chosen.model.name,
            spec.cell_names(),
            spec.hidden,
            spec.cells.len(),
            spec.embed
        );
        let (examples, steps, most) = MINIBATCH;
        let sizes = sizes(&chosen.model, examples, steps, most);
        let model = CheckedModel::of_fields(chosen.model, spec, sizes);
        let found = block_on(model.compare(device, None, false))
            .map_err(|e| Error::new(e.kind, format!("{title}: {}", e.message)))?;
        rows.extend(found.rows.into_iter().map(|row| (title.clone(), row)));
    }
    Ok(rows)
}

/// A short training on made-up examples.
fn learns(m: &ArgMatches) -> Result<CheckPart> {
    let (hidden, embed) = TRAINED;
    let mut usual = usual(m, hidden, 1, embed);
    usual.extend([
        ("lr", Value::Float(0.01)),
        ("clip-norm", Value::Float(1.0)),
        ("batch", Value::Integer(BATCH)),
    ]);
    let chosen = chosen(m, &usual)?;
    let spec = chosen.spec(m);
    let (examples, codes) = examples(&chosen.model, chosen.settings.horizon, EXAMPLES)?;
    let records = codes.encode(&examples, &std::env::temp_dir())?;
    let numbers = (0..records.len() as u32).collect();
    let train = ExampleSet::new(
        chosen.model.clone(),
        Arc::new(records),
        numbers,
        Some(chosen.settings.horizon),
    )?;
    // What a guess among symbols costs; of numbers nothing is known, and what training begins with stands for it.
    let of = |target: Target| {
        let field = &chosen.model.fields()[target.field()?];
        match target {
            Target::Numbers(_) | Target::Draws => None,
            Target::Next(_) | Target::Class(_) => codes.values(&field.name),
        }
    };
    let losses = chosen.model.losses().iter();
    let guess: Option<f64> = losses
        .map(|loss| Some(loss.weight * (of(loss.target)? as f64).ln()))
        .sum();
    let data = FieldData {
        codes,
        train,
        validation: None,
    };
    let stops = chosen.model.stops();
    let job = Job::of_fields(chosen.settings, spec, Length::Steps(STEPS), &data)?;
    let losses = match trained(job, json!({"guess": guess}))? {
        Ok(losses) => losses,
        Err(diverged) => return Ok(diverged),
    };
    let (first, last) = (
        losses.first().copied().unwrap_or(f64::NAN),
        last_tenth(&losses),
    );
    if stops {
        return Ok(CheckPart {
            name: TRAINING,
            status: Status::Skipped,
            text: format!(
                "loss from {first:.3} to {last:.3} in {STEPS} steps on made-up examples; where lines are stopped, it need not fall"
            ),
            figures: json!({"first": first, "loss": last, "steps": STEPS}),
        });
    }
    let (what, guess) = match guess {
        Some(guess) => ("a guess has", guess),
        None => ("it began with", first),
    };
    // The logarithm of a density may be negative.
    let limit = guess - (1.0 - MARGIN) * guess.abs();
    Ok(CheckPart {
        name: TRAINING,
        status: Status::of(last <= limit),
        text: format!(
            "loss from {first:.3} to {last:.3} in {STEPS} steps on made-up examples; {what} {guess:.3}, {limit:.3} is asked for"
        ),
        figures: json!({"first": first, "loss": last, "guess": guess, "limit": limit, "steps": STEPS}),
    })
}
