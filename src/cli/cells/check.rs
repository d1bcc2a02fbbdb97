//! `cells check`: is a cell sound? Finite differences, a device against the plain code, and whether it learns.

use std::sync::Arc;

use clap::{ArgMatches, Command};
use pollster::block_on;
use serde_json::json;
use wgrnn::cell::{Cell, library};
use wgrnn::data::Tokens;
use wgrnn::exec::check::SlotComparison;
use wgrnn::exec::gpu;
use wgrnn::model::{Dims, Mode, Spec, Unroll};
use wgrnn::op::Plan;
use wgrnn::rng::{Purpose, Stream};
use wgrnn::train::{Job, Length, Settings};
use wgrnn::{Error, Result};

use crate::cli::check::verdict::{
    CheckPart, Status, TRAINING, Verdict, gradients, last_tenth, on_device, trained,
};
use crate::cli::check::{Extra, SHAPES, compare, title};
use crate::cli::{flags, text};

/// H, layers, width of the embedding, T, B, steps of a checkpoint segment, whether the fast code runs.
type ModelSizes = (usize, usize, usize, usize, usize, usize, bool);

/// Models whose gradients are looked at.
const MODELS: [ModelSizes; 5] = [
    (3, 1, 0, 4, 2, 0, false),
    (3, 2, 0, 4, 2, 0, false),
    (5, 1, 3, 3, 3, 0, true),
    (5, 2, 3, 3, 1, 0, true),
    (3, 1, 3, 4, 2, 2, true),
];

/// Symbols of the toy text.
const SYMBOLS: usize = 8;
/// A symbol follows from the last but one with this probability, else it is any.
const RULE: f32 = 0.9;
/// Hidden size of the toy model.
const HIDDEN: usize = 16;
/// Steps T and rows B of its minibatches.
const STEPS: usize = 16;
const ROWS: usize = 64;
/// Its training steps; the loss is the mean over the last tenth.
const TRAINING_STEPS: u64 = 400;
/// The part of the uniform guess's loss that training must fall below.
const MARGIN: f64 = 0.75;

pub fn command() -> Command {
    Command::new("check")
        .about("Check a cell: gradients, a device against the plain code, a short training run; then a verdict")
        .arg(super::cell())
        .arg(flags::cell_const())
        .arg(
            flags::device()
                .default_value(None)
                .help("The adapter to compare; cpu leaves that part out (default: any, software ones too)"),
        )
        .arg(flags::json())
        .after_help("Examples:\n  wgrnn cells check gru\n  wgrnn cells check my.cell --cell-const a=0.3\n\nExits with 1 when a part fails.")
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let cell = Arc::new(super::named(m)?);
    text::warn_of_no_input(&cell);
    text::without_memory(&cell)?;
    let device = m.get_one::<String>("device").map(String::as_str);
    let mut verdict = Verdict::new("cell", &cell.name, m.get_flag("json"));
    verdict.tell(gradients(MODELS.iter().map(|sizes| model(&cell, *sizes)))?)?;
    verdict.tell(on_device(device, |device| compared(&cell, device))?)?;
    verdict.tell(learns(&cell)?)?;
    verdict.conclude()
}

/// A width of the input that the cell can take.
fn embed(cell: &Cell, hidden: usize, wanted: usize) -> usize {
    if cell.raw_input { hidden } else { wanted }
}

/// The plan of a model whose gradients are looked at, and whether the fast code runs.
fn model(
    cell: &Arc<Cell>,
    (hidden, layers, width, steps, batch, recompute, fast): ModelSizes,
) -> Result<(Arc<Plan>, bool)> {
    let spec = Spec {
        vocab: 5,
        cells: vec![cell.clone(); layers],
        hidden,
        embed: embed(cell, hidden, width),
        ..Spec::default()
    };
    let how = Unroll {
        recompute,
        ..Unroll::default()
    };
    let plan = spec.unrolled(Dims { steps, batch }, how, Mode::Gradients)?;
    Ok((Arc::new(plan), fast))
}

/// Every operation of small models of the cell on a device and in the plain code.
fn compared(
    cell: &Arc<Cell>,
    device: &Arc<gpu::GpuDevice>,
) -> Result<Vec<(String, SlotComparison)>> {
    let mut rows = Vec::new();
    // What stands between layers is the same for every cell.
    for shape in SHAPES.into_iter().filter(|s| s.extra != Extra::Composed) {
        let title = title(cell, shape);
        let found = block_on(compare(device, cell.clone(), shape, None))
            .map_err(|e| Error::new(e.kind, format!("{title}: {}", e.message)))?;
        rows.extend(found.into_iter().map(|row| (title.clone(), row)));
    }
    Ok(rows)
}

/// A text in which a symbol follows from the last but one, so that a model without a memory does no better than a
/// uniform guess: two cycles through all symbols that take turns, with slips.
fn toy(length: usize) -> Vec<u32> {
    let mut stream = Stream::new(7, Purpose::Check, 0);
    let any = |u: f32| ((u * SYMBOLS as f32) as u32).min(SYMBOLS as u32 - 1);
    let mut text: Vec<u32> = vec![0, 3];
    while text.len() < length {
        let next = (text[text.len() - 2] + 1) % SYMBOLS as u32;
        let follows = stream.uniform() < RULE;
        let other = any(stream.uniform());
        text.push(if follows { next } else { other });
    }
    text
}

fn learns(cell: &Arc<Cell>) -> Result<CheckPart> {
    let uniform = (SYMBOLS as f64).ln();
    let limit = MARGIN * uniform;
    let settings = Settings {
        hidden: HIDDEN,
        embed: embed(cell, HIDDEN, 0),
        seq_len: STEPS,
        batch: ROWS,
        lr: 0.01,
        clip_norm: 1.0,
        init_scale: 1.0 / (HIDDEN as f64).sqrt(),
        sample_every: 0,
        ..Settings::default()
    };
    // A cell without a memory cannot learn this text alone: it stands on one that has.
    let mut cells = vec![cell.clone()];
    if cell.is_feed_forward() {
        cells.insert(0, Arc::new(library::builtin("elman")?));
    }
    let spec = Spec {
        vocab: SYMBOLS,
        cells,
        hidden: HIDDEN,
        embed: settings.embed,
        ..Spec::default()
    };
    // Two segments a row: states start anew often enough for a cell that only ever adds to its state.
    let text: Tokens = toy(ROWS * (2 * STEPS + 1)).into();
    let job = Job::new(
        settings,
        spec,
        Length::Steps(TRAINING_STEPS),
        text,
        Tokens::default(),
    )?;
    let losses = match trained(job, json!({"uniform": uniform, "limit": limit}))? {
        Ok(losses) => losses,
        Err(diverged) => return Ok(diverged),
    };
    let loss = last_tenth(&losses);
    Ok(CheckPart {
        name: TRAINING,
        status: Status::of(loss <= limit),
        text: format!(
            "loss {loss:.3} nats after {TRAINING_STEPS} steps on a toy text; a uniform guess has {uniform:.3}, {limit:.3} is asked for"
        ),
        figures: json!({"loss": loss, "uniform": uniform, "limit": limit, "steps": TRAINING_STEPS}),
    })
}
