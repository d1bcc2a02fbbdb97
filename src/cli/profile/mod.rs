//! `profile`: where the time of a training step goes, kernel by kernel, beside what the device can do at most.

mod against;
mod model;
mod report;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::json;
use wgrnn::Result;
use wgrnn::exec::profile::{Profile, profile};
use wgrnn::exec::{Device, Inputs};
use wgrnn::model::{Dims, Mode, Spec, initialize};
use wgrnn::op::{Control, Hyper, Plan};
use wgrnn::rng::{Purpose, Stream, key};
use wgrnn::train::{Settings, atomic, init, unroll, update};

use super::{flags, memory, out, trace};
use against::{Comparison, Saved};
use model::{Model, model};

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

/// Whether a setting changes what a step computes.
fn matters(name: &str) -> bool {
    let key = Settings::keys().iter().find(|key| key.name == name);
    key.is_some_and(|key| SECTIONS.contains(&key.section) || key.name == LINES)
}

/// A profile, and what it is of.
pub struct Profiled {
    found: Profile,
    settings: Settings,
    spec: Spec,
    plan: Arc<Plan>,
    device: Device,
    /// Timed steps.
    steps: usize,
    /// Tokens of a minibatch.
    rows: usize,
}

pub fn command() -> Command {
    let settings = flags::settings().filter(|arg| matters(arg.get_id().as_str()));
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
        .arg(
            Arg::new("against")
                .long("against")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Compare with an earlier profile, which --json printed"),
        )
        .arg(flags::json())
        .args(settings)
        .after_help(
            "Examples:\n  wgrnn profile\n  wgrnn profile --device gpu --cell gru --hidden 512 --layers 2 --trace step.json\n  \
             wgrnn profile runs/book --batch 64\n  \
             wgrnn profile --json > then.json\n  wgrnn profile --against then.json\n\n\
             A kernel's share of the limit is that of arithmetic or memory, whichever is nearer;\n\
             above 100% its data came from a cache. Timed steps run every kernel by itself, so\n\
             they take longer than a step does. Steps use a learning rate of 0. With --lines, the\n\
             longest made-up line has --seq-len tokens and each other one fewer.\n\n\
             --against marks the biggest changes that are larger than the steps' own spread; kernels\n\
             that only one of both has are new or gone.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    // What cannot be read need not wait for a measurement.
    let file = flags::path(m, "against");
    let then = file.map(|file| Saved::read(file)).transpose()?;
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
    let of = Profiled {
        found,
        settings,
        spec,
        plan,
        device,
        steps,
        rows,
    };
    let mut value = report::value(&of)?;
    value["trace"] = json!(file);
    let comparison = match (then, flags::path(m, "against")) {
        (Some(then), Some(path)) => Some(Comparison::new(path, then, Saved::of(&value)?)),
        _ => None,
    };
    if let Some(comparison) = &comparison {
        comparison.warn();
        value["against"] = comparison.json();
    }
    if m.get_flag("json") {
        return out::json(&value);
    }
    table::print(&of)?;
    match comparison {
        Some(comparison) => comparison.print(),
        None => Ok(()),
    }
}
