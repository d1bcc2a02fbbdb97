//! `cells compare`: every cell at an equal budget of parameters, on the same text for the same number of characters.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Arg, ArgMatches, Command};
use pollster::block_on;
use serde_json::{Value, json};
use toml::Table;
use wgrnn::cell::{Cell, library};
use wgrnn::exec::Device;
use wgrnn::model::{Dims, Mode, Spec};
use wgrnn::train::settings::{ScheduleName, resolve};
use wgrnn::train::{Event, Job, Length, Settings, Trainer, init, spec};
use wgrnn::{Error, Kind, Result};

use crate::cli::progress::ProgressDisplay;
use crate::cli::{flags, out, ready, text};

/// The sections of settings that hold for all cells alike.
const SECTIONS: [&str; 6] = [
    "data",
    "model",
    "initial weights",
    "minibatches",
    "optimiser",
    "learning rate's schedule",
];
/// Settings of these sections that follow from the cell and the budget, or that no language model can have.
const EXCEPT: [&str; 4] = ["cell", "hidden", "tie", "bidirectional"];
/// Gradients longer than this are scaled down: without it some cells of the library diverge now and then.
const CLIP_NORM: f64 = 5.0;
/// The largest hidden size that settings take.
const MAX_HIDDEN: usize = 65536;

pub fn command() -> Command {
    let settings = flags::settings().filter(|arg| {
        let name = arg.get_id().as_str();
        let mut keys = Settings::keys().iter();
        let key = keys.find(|key| key.name == name);
        key.is_some_and(|key| {
            name == "seed" || SECTIONS.contains(&key.section) && !EXCEPT.contains(&name)
        }) && !Settings::default().means_nothing(name)
    });
    // There is one model to compare cells in; another is refused by name.
    let settings = settings.map(|arg| {
        let hidden = arg.get_id() == "model";
        arg.hide(hidden)
    });
    Command::new("compare")
        .about("Train every cell at an equal budget of parameters on one text; print one table")
        .arg(flags::texts())
        .arg(
            Arg::new("cells")
                .long("cells")
                .value_name("NAME|FILE.cell,...")
                .value_parser(flags::file_names())
                .help("The cells (default: every built-in one that has a memory)"),
        )
        .arg(
            flags::whole("budget", 1, 1 << 40)
                .default_value("100000")
                .help("Parameters of the whole model, head and embedding included; the largest H that keeps to it is taken"),
        )
        .arg(
            flags::whole("chars", 1, 1 << 50)
                .default_value("1000000")
                .help("Characters that each cell is trained on, rounded up to whole steps"),
        )
        .arg(
            flags::whole("steps", 1, 1 << 40)
                .conflicts_with("chars")
                .help("Steps instead of characters"),
        )
        .arg(flags::device())
        .arg(flags::json())
        .args(settings)
        .after_help(
            "Examples:\n  wgrnn cells compare book.txt\n  wgrnn cells compare book.txt --cells lstm,gru,my.cell --budget 50000 --chars 5000000\n\n\
             Every cell gets the same recipe: one layer, one-hot characters, Adam at 0.002, gradients clipped to a norm of\n\
             5, B 32, T 50; flags change it. Cells that use x elementwise get an embedding as wide as H, which counts.\n\
             A cell that diverges says so in its row. No run folder is written.",
        )
}

/// One row of the table.
struct CellResult {
    cell: String,
    hidden: usize,
    embed: usize,
    parameters: usize,
    /// Nats a character on the validation text; nothing for a cell that diverged.
    nats: Option<f64>,
    speed: f64,
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let cells = cells(m)?;
    let number = |name: &str| m.get_one::<u64>(name).copied();
    let budget = number("budget").unwrap_or(100_000) as usize;
    // What all cells share; the cell's own numbers come on top.
    let mut shared = flags::given(m);
    for name in ["cell-const", "steps"] {
        shared.remove(name);
    }
    if let Some(model) = shared.get("model").and_then(toml::Value::as_str) {
        let settings = Settings {
            model: model.into(),
            ..Settings::default()
        };
        text::refuse_fields(&settings, "--model")?;
    }
    shared.entry("clip-norm").or_insert(CLIP_NORM.into());
    let base = settings(&shared, &cells[0], 1)?;
    if base.val == 0.0 && base.valid.is_none() {
        return Err(Error::usage(
            "--val 0: cells are compared on the validation text; expected a part above 0",
        ));
    }
    if base.schedule == ScheduleName::Plateau {
        return Err(Error::usage(
            "--schedule plateau: cells are evaluated once, at the end; expected another schedule",
        ));
    }
    let per_step = (base.seq_len * base.batch * base.accumulate) as u64;
    let steps = number("steps");
    let steps = steps.unwrap_or_else(|| number("chars").unwrap_or(1).div_ceil(per_step));

    let files: Vec<PathBuf> = m.get_many("files").unwrap_or_default().cloned().collect();
    let source = text::source(&files);
    let corpus = text::open(&source, None)?;
    let vocabulary = text::vocabulary(&corpus, &base)?;
    let prepared = text::prepare(&source, &corpus, &vocabulary, &base)?;
    let unit = vocabulary.unit();
    let device = flags::open_device(m)?;

    // Everything is sized before anything is trained.
    let mut models = Vec::new();
    for cell in &cells {
        let hidden = fit(&shared, cell, vocabulary.len(), budget)?;
        let settings = settings(&shared, cell, hidden)?;
        let spec = spec(&settings, vec![cell.clone()], vocabulary.len());
        init(&settings, &spec)?;
        models.push(ready::job(
            &device,
            settings,
            spec,
            Length::Steps(steps),
            &prepared,
        )?);
    }
    let mut rows: Vec<CellResult> = Vec::new();
    let count = models.len();
    for (n, job) in models.into_iter().enumerate() {
        let (cell, hidden) = (job.spec.cell_names(), job.spec.hidden);
        let parameters = job.plan.parameter_count();
        let place = format!("{}/{count} {cell}", n + 1);
        out::note(&format!("{place}: H {hidden}, {parameters} parameters"));
        let embed = job.spec.embed;
        let (nats, speed) = block_on(train(&device, job, unit))
            .map_err(|e| Error::new(e.kind, format!("{cell}: {}", e.message)))?;
        out::note(&match nats {
            Some(nats) => format!("{place}: {nats:.4} nats/{unit}, {speed:.0} {unit}s/s"),
            None => format!("{place}: diverged"),
        });
        rows.push(CellResult {
            cell,
            hidden,
            embed,
            parameters,
            nats,
            speed,
        });
    }
    // The best first, those that diverged last.
    rows.sort_by(|a, b| {
        let key = |r: &CellResult| r.nats.unwrap_or(f64::INFINITY);
        key(a).total_cmp(&key(b))
    });
    if m.get_flag("json") {
        return out::json(&json!({
            "text": prepared.text.name,
            "vocab": vocabulary.len(),
            "floor": prepared.floor,
            "device": device.name(),
            "budget": budget,
            "steps": steps,
            "characters": steps.saturating_mul(per_step),
            "cells": rows.iter().map(value).collect::<Vec<_>>(),
        }));
    }
    out::line(&format!(
        "{}: V {}, at most {budget} parameters, {} characters in {steps} steps (B {}, T {}), {} {}, {}",
        prepared.text.name,
        vocabulary.len(),
        steps.saturating_mul(per_step),
        base.batch,
        base.seq_len,
        base.optimizer,
        base.lr,
        device.name()
    ))?;
    if let Some(floor) = prepared.floor {
        out::line(&format!("no model can get below {floor:.4} nats/{unit}"))?;
    }
    print(&rows, unit)
}

/// The cells that are compared, with their constants.
fn cells(m: &ArgMatches) -> Result<Vec<Cell>> {
    let cells: Vec<Cell> = match m.get_one::<String>("cells") {
        None => { library::names().map(library::builtin) }
            // Highway layers and the like are no cells to compare alone.
            .filter(|cell| !cell.as_ref().is_ok_and(Cell::is_feed_forward))
            .collect::<Result<_>>()?,
        Some(list) => list
            .split(',')
            .map(|name| text::cell(name.trim()))
            .collect::<Result<_>>()?,
    };
    let list = m.get_one::<String>("cell-const").map(String::as_str);
    cells.iter().try_for_each(text::without_memory)?;
    text::constants(cells, list)
}

/// The settings of one cell at one size: defaults that hang on the size follow it.
fn settings(shared: &Table, cell: &Cell, hidden: usize) -> Result<Settings> {
    let mut flags = shared.clone();
    let size = |n: usize| toml::Value::Integer(n as i64);
    flags.insert("cell".into(), cell.name.clone().into());
    flags.insert("hidden".into(), size(hidden));
    if cell.raw_input {
        flags.insert("embed".into(), size(hidden));
    }
    flags.insert("sample-every".into(), size(0));
    // One evaluation, at the end.
    flags.insert("eval-every".into(), size(i64::MAX as usize));
    flags.insert("save-every".into(), size(i64::MAX as usize));
    resolve(None, flags, &[&cell.name])
}

/// The largest hidden size with which the model has at most `budget` parameters.
fn fit(shared: &Table, cell: &Cell, vocab: usize, budget: usize) -> Result<usize> {
    let parameters = |hidden: usize| -> Result<usize> {
        let settings = settings(shared, cell, hidden)?;
        let spec: Spec = spec(&settings, vec![cell.clone()], vocab);
        let plan = spec.plan(Dims { steps: 1, batch: 1 }, Mode::Scores)?;
        Ok(plan.parameter_count())
    };
    let smallest = parameters(1)?;
    if smallest > budget {
        return Err(Error::usage(format!(
            "--budget {budget}: {} with one hidden unit has {smallest} parameters",
            cell.name
        )));
    }
    // `low` fits, `high` does not or is not to be had.
    let (mut low, mut high) = (1, MAX_HIDDEN + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if parameters(middle)? <= budget {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Trains to the end; the loss on the validation text, if it did not diverge, and characters a second of training.
async fn train(device: &Device, job: Job, unit: &'static str) -> Result<(Option<f64>, f64)> {
    let mut progress = ProgressDisplay::new(false, job.steps_per_epoch(), Some(unit));
    let state = job.start()?;
    let mut trainer = Trainer::new(device.clone(), job, state).await?;
    let start = Instant::now();
    // Of the newest figures: what comes after them is evaluation.
    let (mut seconds, mut nats, mut tokens) = (0.0, None, 0);
    let result = loop {
        let elapsed = start.elapsed().as_secs_f64();
        match trainer.next(elapsed, false).await {
            Ok(Event::Steps(figures)) => {
                seconds = start.elapsed().as_secs_f64();
                tokens += figures.iter().map(|f| f.tokens).sum::<usize>();
                let done = trainer.counters().step;
                let fraction = trainer.job().fraction(done, elapsed);
                let left = (fraction > 0.0).then(|| seconds * (1.0 / fraction - 1.0));
                progress.steps(&figures, fraction, left);
            }
            Ok(Event::Evaluated { evaluation, .. }) => nats = Some(evaluation.nats),
            Ok(Event::Finished) => break Ok(()),
            Ok(_) => {}
            Err(e) if e.kind == Kind::Diverged => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    progress.finish();
    result?;
    let speed = tokens as f64 / seconds.max(1e-9);
    Ok((nats.filter(|n| n.is_finite()), speed))
}

fn value(row: &CellResult) -> Value {
    json!({
        "cell": row.cell,
        "hidden": row.hidden,
        "embed": row.embed,
        "parameters": row.parameters,
        "diverged": row.nats.is_none(),
        "nats": row.nats,
        "bits": row.nats.map(|n| n / std::f64::consts::LN_2),
        "tokens_per_second": row.nats.map(|_| row.speed),
    })
}

fn print(rows: &[CellResult], unit: &str) -> Result<()> {
    let longest = rows.iter().map(|r| r.cell.len()).max();
    let width = longest.unwrap_or(0).max("cell".len());
    out::line(&format!(
        "\n{:<width$} {:>6} {:>10} {:>10} {:>10} {:>10}",
        "cell",
        "H",
        "parameters",
        format!("nats/{unit}"),
        format!("bits/{unit}"),
        "tokens/s"
    ))?;
    for (n, row) in rows.iter().enumerate() {
        let figures = match row.nats {
            None => format!("{:>10}", "diverged"),
            Some(nats) => format!(
                "{nats:>10.4} {:>10.4} {:>10.0}{}",
                nats / std::f64::consts::LN_2,
                row.speed,
                if n == 0 { "  best" } else { "" }
            ),
        };
        let (cell, hidden, parameters) = (&row.cell, row.hidden, row.parameters);
        out::line(&format!(
            "{cell:<width$} {hidden:>6} {parameters:>10} {figures}"
        ))?;
    }
    Ok(())
}
