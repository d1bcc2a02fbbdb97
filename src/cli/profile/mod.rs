//! `profile`: where the time of a training step goes, kernel by kernel, beside what the device can do at most.

mod against;
mod model;
mod predict;
mod report;
mod table;
pub mod work;

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::json;
use wgrnn::Result;
use wgrnn::exec::Device;
use wgrnn::exec::cost::DeviceTable;
use wgrnn::exec::profile::{Profile, profile};
use wgrnn::train::atomic;

use super::{flags, out, trace};
use against::{Comparison, ProfileRecord};
use work::ProfiledStep;

/// A profile, and what it is of.
pub struct Profiled {
    found: Profile,
    work: ProfiledStep,
    device: Device,
    /// Timed steps.
    steps: usize,
}

pub fn command() -> Command {
    Command::new("profile")
        .about("Time a training step kernel by kernel, beside the device's measured limits")
        .args(work::arguments())
        .arg(
            flags::whole("steps", 1, 100_000)
                .default_value("20")
                .help("Timed steps, of which the middle half counts"),
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
        .arg(
            Arg::new("predict")
                .long("predict")
                .value_name("DEVICE")
                .conflicts_with_all(["trace", "against", "device", "steps", "cooperative"])
                .help(format!(
                    "Predict the times on a device that is not here: {}, or a table in a file FILE.toml",
                    DeviceTable::names().collect::<Vec<_>>().join(", ")
                )),
        )
        .arg(flags::cooperative())
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn profile\n  wgrnn profile --device gpu --cell gru --hidden 512 --layers 2 --trace step.json\n  \
             wgrnn profile runs/book --batch 64\n  \
             wgrnn profile --json > then.json\n  wgrnn profile --against then.json\n  \
             wgrnn profile --predict h100 --hidden 512\n\n\
             A kernel's share of the limit is that of arithmetic or memory, whichever is nearer;\n\
             above 100% its data came from a cache, and below a quarter it waits: for loads that\n\
             follow one another, barriers, or its dispatch. Timed steps run every kernel by itself, so\n\
             they take longer than a step does. Steps use a learning rate of 0. With --lines, the\n\
             longest made-up line has --seq-len tokens and each other one fewer.\n\n\
             --against marks the biggest changes that are larger than the steps' own spread; kernels\n\
             that only one of both has are new or gone.\n\n\
             --predict counts what each kernel asks of the device and names what it would wait for;\n\
             nothing is measured, and figures are good to a factor of two.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    if let Some(device) = m.get_one::<String>("predict") {
        return predict::run(m, device);
    }
    // What cannot be read need not wait for a measurement.
    let file = flags::path(m, "against");
    let then = file.map(|file| ProfileRecord::read(file)).transpose()?;
    let work = ProfiledStep::new(m)?;
    let device = flags::open_device(m)?;
    flags::allowed(m, &device, &work.step.settings)?;
    let steps = m.get_one::<u64>("steps").map_or(20, |n| *n as usize);
    let inputs = work.inputs();
    let found = profile(
        &device,
        work.step.plan.clone(),
        &work.parameters,
        &inputs,
        steps,
    );
    let mut found = block_on(found)?;
    found.rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let file = flags::path(m, "trace");
    if let Some(file) = file {
        let events = trace::events(&found.trace, &found.plan, &device.name());
        atomic::write(file, events.to_string().as_bytes())?;
    }
    let of = Profiled {
        found,
        work,
        device,
        steps,
    };
    let mut value = report::value(&of)?;
    value["trace"] = json!(file.map(|file| file.display().to_string()));
    let comparison = match (then, flags::path(m, "against")) {
        (Some(then), Some(path)) => Some(Comparison::new(path, then, ProfileRecord::of(&value)?)),
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
