//! `cells check`: is a cell sound? Finite differences, a device against the plain code, and whether it learns.

use std::sync::Arc;

use clap::{ArgMatches, Command};
use pollster::block_on;
use serde_json::{Value, json};
use wgrnn::cell::{Cell, library};
use wgrnn::data::Tokens;
use wgrnn::exec::Device;
use wgrnn::exec::check::Row;
use wgrnn::model::{Dims, Mode, Spec, Unroll};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::differences::{Slope, TOLERANCE, differences, worst};
use wgrnn::train::{Event, Job, Length, Settings, Trainer};
use wgrnn::{Error, Kind, Result};

use crate::cli::check::{Extra, SHAPES, compare, open, title};
use crate::cli::{flags, out, text};

/// Models whose gradients are looked at: H, layers, width of the embedding, T, B, steps of a checkpoint segment, whether
/// the fast code runs.
const MODELS: [(usize, usize, usize, usize, usize, usize, bool); 5] = [
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
const TRAINING: u64 = 400;
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

/// How one part came out.
#[derive(Clone, Copy, PartialEq)]
enum Status {
    Passed,
    Failed,
    Skipped,
}

impl Status {
    fn of(passed: bool) -> Status {
        if passed {
            Status::Passed
        } else {
            Status::Failed
        }
    }

    fn word(self) -> &'static str {
        match self {
            Status::Passed => "ok",
            Status::Failed => "FAILED",
            Status::Skipped => "not checked",
        }
    }
}

struct CheckResult {
    name: &'static str,
    status: Status,
    /// The worst figure and what it is, in words.
    text: String,
    figures: Value,
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let cell = Arc::new(super::named(m)?);
    text::warn_of_no_input(&cell);
    let json = m.get_flag("json");
    let device = m.get_one::<String>("device").map(String::as_str);
    let mut parts = Vec::new();
    let mut tell = |part: CheckResult| -> Result<()> {
        if !json {
            let (name, status) = (part.name, part.status.word());
            out::line(&format!("{name:<18} {status:<11} {}", part.text))?;
        }
        parts.push(part);
        Ok(())
    };
    tell(gradients(&cell)?)?;
    tell(on_device(&cell, device)?)?;
    tell(learns(&cell)?)?;

    let failed: Vec<&CheckResult> = parts
        .iter()
        .filter(|p| p.status == Status::Failed)
        .collect();
    let verdict = if failed.is_empty() { "ok" } else { "failed" };
    if json {
        let part = |p: &CheckResult| json!({"part": p.name, "status": p.status.word().to_lowercase(), "text": p.text, "figures": p.figures});
        out::json(&json!({
            "cell": cell.name,
            "verdict": verdict,
            "parts": parts.iter().map(part).collect::<Vec<_>>(),
        }))?;
    }
    if failed.is_empty() {
        if !json {
            out::line(&format!("{}: ok", cell.name))?;
        }
        return Ok(());
    }
    let faults: Vec<String> = failed
        .iter()
        .map(|p| format!("{}: {} failed: {}", cell.name, p.name, p.text))
        .collect();
    Err(Error::internal(faults.join("\n")))
}

/// A width of the input that the cell can take.
fn embed(cell: &Cell, hidden: usize, wanted: usize) -> usize {
    if cell.raw_input { hidden } else { wanted }
}

fn gradients(cell: &Arc<Cell>) -> Result<CheckResult> {
    let name = "finite differences";
    let mut slopes: Vec<Slope> = Vec::new();
    for (hidden, layers, width, steps, batch, recompute, fast) in MODELS {
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
        let dims = Dims { steps, batch };
        let plan = Arc::new(spec.unrolled(dims, how, Mode::Gradients)?);
        match differences(plan, fast) {
            Ok(found) => slopes.extend(found),
            Err(e) if e.kind == Kind::Diverged => {
                return Ok(CheckResult {
                    name,
                    status: Status::Failed,
                    text: e.message,
                    figures: Value::Null,
                });
            }
            Err(e) => return Err(e),
        }
    }
    let failed = slopes.iter().filter(|s| !s.passed()).count();
    let far = worst(&slopes).ok_or_else(|| Error::internal("no gradient to check"))?;
    let error = far.error();
    Ok(CheckResult {
        name,
        status: Status::of(failed == 0),
        text: format!(
            "{} gradients, {failed} off; the worst by {error:.1e} of its slope (allowed {TOLERANCE:.0e}): {}",
            slopes.len(),
            far.fault()
        ),
        figures: json!({"compared": slopes.len(), "failed": failed, "worst": error, "allowed": TOLERANCE}),
    })
}

fn on_device(cell: &Arc<Cell>, choice: Option<&str>) -> Result<CheckResult> {
    let name = "device";
    let skipped = |text: String| CheckResult {
        name,
        status: Status::Skipped,
        text,
        figures: Value::Null,
    };
    if choice == Some("cpu") {
        return Ok(skipped("--device cpu names no adapter".into()));
    }
    let device = match (open(choice.unwrap_or("gpu")), choice) {
        (Ok(device), _) => device,
        // Without a wish a machine without an adapter is no fault of the cell.
        (Err(e), None) if e.kind == Kind::Device => {
            return Ok(skipped(format!("no adapter: {}", e.message)));
        }
        (Err(e), _) => return Err(e),
    };
    let mut rows: Vec<(String, Row)> = Vec::new();
    // What stands between layers is the same for every cell.
    for shape in SHAPES.into_iter().filter(|s| s.extra != Extra::Composed) {
        let title = title(cell, shape);
        let found = block_on(compare(&device, cell.clone(), shape, None))
            .map_err(|e| Error::new(e.kind, format!("{title}: {}", e.message)))?;
        rows.extend(found.into_iter().map(|row| (title.clone(), row)));
    }
    let failed = rows.iter().filter(|r| !r.1.passed()).count();
    // As a part of what is allowed; a NaN is further off than any number.
    let share = |row: &Row| {
        let (_, got, want) = row.worst;
        let share = (got - want).abs() / row.tolerance;
        if row.passed() { share } else { f64::INFINITY }
    };
    // Of several that are off the first is named.
    let far = rows
        .iter()
        .rev()
        .max_by(|a, b| share(&a.1).total_cmp(&share(&b.1)));
    let Some((title, far)) = far else {
        return Err(Error::internal("no operation to compare"));
    };
    let worst = if far.passed() {
        format!(
            "the worst at {:.0}% of its tolerance: {} ({title})",
            1e2 * share(far),
            far.op
        )
    } else {
        format!("{title}: {}", far.fault())
    };
    Ok(CheckResult {
        name,
        status: Status::of(failed == 0),
        text: format!(
            "{} comparisons on {}, {failed} off; {worst}",
            rows.len(),
            device.adapter.name
        ),
        figures: json!({
            "adapter": device.adapter.name, "compared": rows.len(), "failed": failed, "operation": far.op,
            "worst": far.passed().then(|| share(far)),
        }),
    })
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

fn learns(cell: &Arc<Cell>) -> Result<CheckResult> {
    let name = "training";
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
        Length::Steps(TRAINING),
        text,
        Tokens::default(),
    )?;
    let losses = match block_on(losses(job)) {
        Ok(losses) => losses,
        Err(e) if e.kind == Kind::Diverged => {
            return Ok(CheckResult {
                name,
                status: Status::Failed,
                text: format!("diverged: {}", e.message),
                figures: json!({"uniform": uniform, "limit": limit}),
            });
        }
        Err(e) => return Err(e),
    };
    let last = &losses[losses.len() - losses.len() / 10..];
    let loss = last.iter().sum::<f64>() / last.len() as f64;
    Ok(CheckResult {
        name,
        status: Status::of(loss <= limit),
        text: format!(
            "loss {loss:.3} nats after {TRAINING} steps on a toy text; a uniform guess has {uniform:.3}, {limit:.3} is asked for"
        ),
        figures: json!({"loss": loss, "uniform": uniform, "limit": limit, "steps": TRAINING}),
    })
}

/// The losses of all steps.
async fn losses(job: Job) -> Result<Vec<f64>> {
    let state = job.start()?;
    let mut trainer = Trainer::new(Device::Cpu, job, state).await?;
    let mut losses = Vec::new();
    loop {
        match trainer.next(0.0, false).await? {
            Event::Steps(figures) => losses.extend(figures.iter().map(|f| f.loss)),
            Event::Finished => return Ok(losses),
            _ => {}
        }
    }
}
