//! `profile`: where the time of a training step goes, kernel by kernel, beside what the device can do at most.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::{Value, json};
use wgrnn::cell::library;
use wgrnn::exec::Inputs;
use wgrnn::exec::profile::{Bound, Profile, Row, profile, rate};
use wgrnn::model::{Dims, Mode, Spec, initialize};
use wgrnn::op::{Control, Cost, Hyper, Plan};
use wgrnn::rng::{Purpose, Stream, key};
use wgrnn::train::settings::resolve;
use wgrnn::train::{Run, Settings, atomic, init, spec, unroll, update};
use wgrnn::{Error, Result};

use super::load::Loaded;
use super::{flags, memory, out, text, trace};

/// The sections of settings that change what a step computes, and one more setting that does.
const SECTIONS: [&str; 6] = [
    "preset",
    "model",
    "noise inside cells",
    "regularisers",
    "minibatches",
    "optimiser",
];
const LINES: &str = "lines";
/// Symbols where no run says how many: those of a plain English text.
const VOCAB: &str = "65";

pub fn command() -> Command {
    let settings = flags::settings().filter(|arg| {
        let mut keys = Settings::keys().iter();
        let key = keys.find(|key| key.name == arg.get_id().as_str());
        key.is_some_and(|key| SECTIONS.contains(&key.section) || key.name == LINES)
    });
    Command::new("profile")
        .about("Time a training step kernel by kernel, beside the device's measured limits")
        .arg(
            flags::run()
                .required(false)
                .help("The folder of a run whose settings are taken; flags change them"),
        )
        .arg(flags::device())
        .arg(
            flags::whole("steps", 1, 100_000)
                .default_value("20")
                .help("Timed steps, of which the middle half counts"),
        )
        .arg(
            flags::whole("vocab-size", 1, 1 << 24)
                .default_value(VOCAB)
                .help("Symbols in the made-up text; a run brings its own"),
        )
        .arg(
            Arg::new("trace")
                .long("trace")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write one timed step as a Chrome trace, for ui.perfetto.dev"),
        )
        .arg(flags::json())
        .args(settings)
        .after_help(
            "Examples:\n  wgrnn profile\n  wgrnn profile --device gpu --cell gru --hidden 512 --layers 2 --trace step.json\n  \
             wgrnn profile runs/book --batch 64\n\n\
             A kernel's share of the limit is that of arithmetic or memory, whichever is nearer;\n\
             above 100% its data came from a cache. Timed steps run every kernel by itself, so\n\
             they take longer than a step does. Steps use a learning rate of 0. With --lines, the\n\
             longest made-up line has --seq-len tokens and each other one fewer.",
        )
}

/// What is profiled.
struct Model {
    settings: Settings,
    spec: Spec,
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let Model { settings, mut spec } = model(m)?;
    let dims = Dims {
        steps: settings.seq_len,
        batch: settings.batch,
    };
    spec.weighted = settings.lines && settings.pad;
    if settings.lines && !settings.pad {
        spec.packed = match settings.batch_tokens {
            0 => dims.steps.saturating_mul(dims.batch),
            most => most,
        };
    }
    let update = update(&settings);
    let plan = Arc::new(spec.unrolled(dims, unroll(&settings), Mode::Train(update))?);
    memory::check("the model and its minibatch", plan.bytes(), |_| {
        "lower --hidden, --layers or --batch".into()
    })?;
    let parameters = initialize(&plan, &init(&settings, &spec)?)?;
    let device = flags::open_device(m)?;
    let mut stream = Stream::new(settings.seed, Purpose::Check, 0);
    let count = plan.io.ids.map_or(0, |ids| plan.slot(ids).len());
    let symbol = |u: f32| ((f64::from(u) * spec.vocab as f64) as u32).min(spec.vocab as u32 - 1);
    let ids: Vec<u32> = (0..count).map(|_| symbol(stream.uniform())).collect();
    let (correction1, correction2) = update.rule.corrections(1);
    // A rate of 0 keeps the weights, and with them the work, the same however many steps there are.
    // Of lines, one as long as there are steps and each after it a step shorter, as many as there is room for.
    let starts = plan.packing.map(|packing| packing.falling());
    let rows = starts.as_deref().and_then(|s| s.last());
    let rows = rows.map_or(dims.steps * dims.batch, |rows| *rows as usize);
    let targets = plan.io.targets.map(|slot| &ids[..plan.slot(slot).len()]);
    let inputs = Inputs {
        ids: &ids,
        targets,
        weights: None,
        starts: starts.as_deref(),
        control: Control {
            key: key(settings.seed, Purpose::Dropout),
            step: [0, 0],
            reset: u32::from(starts.is_some()),
        },
        hyper: Hyper {
            lr: 0.0,
            scale: 1.0 / (rows * settings.accumulate) as f64,
            update: 1.0,
            correction1,
            correction2,
        },
    };
    let steps = m.get_one::<u64>("steps").map_or(20, |n| *n as usize);
    let found = profile(&device, plan.clone(), &parameters, &inputs, steps);
    let mut found = block_on(found)?;
    found.rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let file = flags::path(m, "trace");
    if let Some(file) = file {
        let events = trace::events(&found.trace, &plan, &device.name());
        atomic::write(file, events.to_string().as_bytes())?;
    }
    if m.get_flag("json") {
        let mut value = value(&found, &settings, &spec, &plan, steps);
        value["device"] = json!(device.name());
        value["trace"] = json!(file);
        return out::json(&value);
    }
    print(&found, &settings, &spec, &plan, rows)
}

/// The model of the run that was named, else of the flags alone.
fn model(m: &ArgMatches) -> Result<Model> {
    let given = flags::given(m);
    let mut names: Vec<&str> = library::names().collect();
    let Some(path) = flags::path(m, "run") else {
        let settings = resolve(None, given, &names)?;
        let cells = text::cells(&settings)?;
        let vocab = m.get_one::<u64>("vocab-size").map_or(65, |n| *n as usize);
        let spec = spec(&settings, cells, vocab);
        return Ok(Model { settings, spec });
    };
    if m.value_source("vocab-size") == Some(clap::parser::ValueSource::CommandLine) {
        return Err(Error::usage(format!(
            "--vocab-size: {} has its own vocabulary; leave one of both out",
            path.display()
        )));
    }
    let run = Run::open(path)?;
    let newest = run.newest()?;
    for warning in &newest.warnings {
        out::note(&format!("warning: {warning}"));
    }
    let loaded = Loaded::new(newest.checkpoint, newest.path)?;
    let about = &loaded.saved.about;
    names.extend(loaded.settings.cell.split(','));
    let other = given.contains_key("cell");
    let (file, content) = (run.settings_path(), run.settings()?);
    let settings = resolve(Some((&file, &content)), given, &names)?;
    // The run's own cell is in its checkpoint; its file need not exist any more.
    let cells = match other {
        true => text::cells(&settings)?,
        false => {
            let cells = about.cells().map_err(|e| loaded.named(e))?;
            text::constants(cells, settings.cell_const.as_deref())?
        }
    };
    let spec = spec(&settings, cells, about.vocabulary.len());
    Ok(Model { settings, spec })
}

fn total(rows: &[Row]) -> (u64, f64, Cost) {
    let calls = rows.iter().map(|r| r.calls).sum();
    let seconds = rows.iter().map(|r| r.seconds).sum();
    (calls, seconds, rows.iter().map(|r| r.cost).sum())
}

fn word(bound: Bound) -> &'static str {
    match bound {
        Bound::Compute => "compute",
        Bound::Memory => "memory",
    }
}

fn value(found: &Profile, settings: &Settings, spec: &Spec, plan: &Plan, steps: usize) -> Value {
    let (calls, seconds, cost) = total(&found.rows);
    let kernel = |row: &Row| {
        let (share, bound) = row.share(&found.limits);
        json!({
            "name": row.label,
            "kind": row.kind,
            "shape": row.shape,
            "calls": row.calls,
            "ms": 1e3 * row.seconds,
            "share": rate(row.seconds, seconds),
            "gflops": 1e-9 * rate(row.cost.flops, row.seconds),
            "gbytes": 1e-9 * rate(row.cost.bytes, row.seconds),
            "limit_share": share,
            "bound": word(bound),
        })
    };
    json!({
        "model": {
            "cell": spec.cell_names(),
            "hidden": spec.hidden,
            "layers": spec.cells.len(),
            "embed": spec.embed,
            "vocab": spec.vocab,
            "batch": settings.batch,
            "seq_len": settings.seq_len,
            "optimizer": settings.optimizer.name(),
            "parameters": plan.parameter_count(),
        },
        "steps": steps,
        "clock": clock(found),
        "limits": {
            "gflops": 1e-9 * found.limits.flops,
            "gbytes": 1e-9 * found.limits.bytes,
        },
        "kernels": found.rows.iter().map(kernel).collect::<Vec<_>>(),
        "total": {
            "calls": calls,
            "ms": 1e3 * seconds,
            "gflops": 1e-9 * rate(cost.flops, seconds),
            "gbytes": 1e-9 * rate(cost.bytes, seconds),
            "timed_step_ms": 1e3 * found.timed,
            "step_ms": 1e3 * found.wall,
        },
        "host": found.host.map(|host| json!({
            "inputs_ms": 1e3 * host.inputs,
            "recording_ms": 1e3 * host.recording,
            "submitting_ms": 1e3 * host.submitting,
            "dispatches": host.dispatches,
            "us_per_dispatch": 1e6 * host.per_dispatch(),
        })),
    })
}

/// Whose clock the kernels' times are from.
fn clock(found: &Profile) -> &'static str {
    match found.timestamps {
        true => "device",
        false => "host",
    }
}

fn print(
    found: &Profile,
    settings: &Settings,
    spec: &Spec,
    plan: &Plan,
    rows: usize,
) -> Result<()> {
    let input = match spec.embed {
        0 => "one-hot".to_string(),
        width => format!("embed {width}"),
    };
    out::line(&format!(
        "{}: {} x H {}, {input}, V {}, B {}, T {}, {}, {} parameters",
        spec.cell_names(),
        spec.cells.len(),
        spec.hidden,
        spec.vocab,
        settings.batch,
        settings.seq_len,
        settings.optimizer,
        plan.parameter_count()
    ))?;
    out::line(&format!(
        "limits: {:.1} GFLOP/s, {:.1} GB/s (multiply-adds in registers, a large copy); kernels by the {}'s clock\n",
        1e-9 * found.limits.flops,
        1e-9 * found.limits.bytes,
        clock(found)
    ))?;
    let (calls, seconds, cost) = total(&found.rows);
    let longest = found.rows.iter().map(|r| r.label.len()).max();
    let width = longest.unwrap_or(0).max("kernel".len());
    out::line(&format!(
        "{:<width$} {:>6} {:>10} {:>6} {:>9} {:>8}  of the limit",
        "kernel", "calls", "ms/step", "share", "GFLOP/s", "GB/s"
    ))?;
    let columns = |name: &str, calls: u64, time: f64, cost: Cost| {
        format!(
            "{name:<width$} {calls:>6} {:>10.4} {:>5.1}% {:>9.2} {:>8.2}",
            1e3 * time,
            1e2 * rate(time, seconds),
            1e-9 * rate(cost.flops, time),
            1e-9 * rate(cost.bytes, time),
        )
    };
    for row in &found.rows {
        let (share, bound) = row.share(&found.limits);
        out::line(&format!(
            "{} {:>5.1}% {}",
            columns(&row.label, row.calls, row.seconds, row.cost),
            1e2 * share,
            word(bound)
        ))?;
    }
    out::line(&columns("total", calls, seconds, cost))?;
    out::line(&format!(
        "\nstep: {:.4} ms, {:.0} tokens/s; {:.4} ms where every kernel is timed",
        1e3 * found.wall,
        rate((rows * settings.accumulate) as f64, found.wall),
        1e3 * found.timed
    ))?;
    if let Some(host) = found.host {
        out::line(&format!(
            "host: {:.4} ms recording, {:.4} ms submitting, {:.4} ms handing inputs over; {} dispatches, {:.2} us each",
            1e3 * host.recording,
            1e3 * host.submitting,
            1e3 * host.inputs,
            host.dispatches,
            1e6 * host.per_dispatch()
        ))?;
    }
    Ok(())
}
