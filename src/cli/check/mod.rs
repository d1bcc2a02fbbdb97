//! `check`: a GPU against the plain code, operation by operation and over whole training steps.

mod losses;
mod models;
pub mod own;
pub mod passed;
mod report;
pub mod verdict;

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::json;
use wgrnn::cell::{Cell, library};
use wgrnn::exec::check::SlotComparison;
use wgrnn::exec::gpu::{AdapterChoice, GpuDevice};
use wgrnn::train::atomic;
use wgrnn::{Error, Result};

use super::tune::MEETING;
use super::{flags, out, text};
pub use models::{CheckedModel, Extra, SHAPES, compare, title};
use models::{ModelShape, SPANNED, SPLIT, shape};

pub fn command() -> Command {
    Command::new("check")
        .about("Compare a GPU with the plain code: every operation, then whole training steps")
        .subcommand(losses::command())
        .args_conflicts_with_subcommands(true)
        .arg(flags::device().default_value("gpu"))
        .arg(
            Arg::new("cell")
                .long("cell")
                .value_name("NAME|FILE.cell")
                .value_parser(flags::file_name())
                .help("One cell only (default: every built-in one)"),
        )
        .arg(flags::cell_const().requires("cell"))
        .arg(Arg::new("model").long("model").hide(true))
        .arg(flags::whole("hidden", 1, 4096).help("Hidden size H, with --layers, --batch, --seq-len (default: several odd sizes)"))
        .arg(flags::whole("layers", 1, 16).help("Layers (default with --hidden: 1)"))
        .arg(flags::whole("batch", 1, 1024).help("Rows B (default with --hidden: 3)"))
        .arg(flags::whole("seq-len", 1, 1024).help("Steps T (default with --hidden: 5)"))
        .arg(
            Arg::new("extra")
                .long("extra")
                .value_name("NAME")
                .value_parser(Extra::NAMES.map(|n| n.0))
                .requires("hidden")
                .help(
                    "With --hidden, what else there is: every form of dropout and penalty; noise inside the cells; both \
                     directions, residual, skip, projections, layer normalisation and learned states; sequences of \
                     different lengths; segments in pieces (default: plain)",
                ),
        )
        .arg(
            Arg::new("half")
                .long("half")
                .action(ArgAction::SetTrue)
                .help("Models in half precision, as `train --half` has them; what passes is not noted"),
        )
        .arg(flags::cooperative().requires("half"))
        .arg(
            Arg::new("split")
                .long("split")
                .action(ArgAction::SetTrue)
                .help(
                    "Kernels whose threads share the sums of a step, and products in parts through memory that they share, as \
                     on a real GPU; without it a software adapter has them at one size",
                ),
        )
        .arg(
            Arg::new("spanning")
                .long("spanning")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["half", "double", "split"])
                .help(
                    "Kernels that go through many steps in a dispatch, their workgroups waiting for one another: no more than \
                     were seen to meet here; what passes is not noted",
                ),
        )
        .arg(losses::double().conflicts_with("half"))
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("OPERATION")
                .help("Run the CPU up to this operation and the GPU from it on"),
        )
        .arg(
            Arg::new("report")
                .long("report")
                .value_name("FILE")
                .value_parser(value_parser!(std::path::PathBuf))
                .help("Write a report for a bug tracker, as JSON: adapter, driver, limits, every operation's error and time"),
        )
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn check\n  wgrnn check --cell lstm --hidden 37 --batch 3 --from backward.l0\n  \
             wgrnn check --report check.json\n\n\
             Exits with 1 on a mismatch and names the operation. An adapter that passed all of it, without --cell,\n\
             --hidden and --from, is noted with its driver and this build in the user's cache folder.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    if let Some(("losses", m)) = m.subcommand() {
        return losses::run(m);
    }
    if let Some(model) = m.get_one::<String>("model") {
        return Err(Error::usage(format!(
            "--model: expected none, as `check` looks at an adapter; `wgrnn models check {model}` compares a model on it"
        )));
    }
    let device = adapter(m, flags::with_cooperative(m))?;
    let half = m.get_flag("half");
    if half {
        wgrnn::exec::Device::Gpu(device.clone()).halves()?;
    }
    let double = m.get_flag("double");
    if double && !device.doubles() {
        return Err(device.adapter.no_double());
    }
    let cells = match m.get_one::<String>("cell") {
        Some(name) => {
            let list = m.get_one::<String>("cell-const").map(String::as_str);
            let cell = text::cell(name)?;
            text::without_memory(&cell)?;
            text::constants(vec![cell], list)?
        }
        None => library::names()
            .map(library::builtin)
            .collect::<Result<Vec<Cell>>>()?,
    };
    let size = |name: &str| m.get_one::<u64>(name).map(|n| *n as usize);
    let split = m.get_flag("split");
    let spanning = m.get_flag("spanning");
    let met = if spanning {
        block_on(device.meeting(MEETING))?
    } else {
        0
    };
    let mut shapes: Vec<(ModelShape, bool)> = Vec::new();
    match size("hidden") {
        None if spanning => shapes.extend(SPANNED.map(|shape| (shape, true))),
        None => {
            shapes.extend(SHAPES.map(|shape| (shape, split)));
            if device.adapter.software && !split {
                shapes.push((SPLIT, true));
            }
        }
        Some(h) => {
            let (layers, batch) = (size("layers").unwrap_or(1), size("batch").unwrap_or(3));
            let steps = size("seq-len").unwrap_or(5);
            let name = m.get_one::<String>("extra").map_or("plain", |n| n);
            let known = Extra::NAMES.iter().find(|n| n.0 == name);
            let extra = known.map_or(Extra::Plain, |n| n.1);
            shapes.push((shape([h, layers, batch, steps, h], 0.0, extra), split));
        }
    }
    let json = m.get_flag("json");
    let from = m.get_one::<String>("from").map(String::as_str);
    let every = cells.len() > 1;
    let file = flags::path(m, "report");
    let mut models = Vec::new();
    let mut without = Vec::new();
    let mut faults: Vec<String> = Vec::new();
    let mut compared = 0;
    let mut failed = None;
    if !json {
        let adapter = &device.adapter;
        out::line(&format!(
            "{} ({}, driver {})",
            adapter.name, adapter.backend, adapter.driver
        ))?;
        if spanning {
            out::line(&format!("{met} workgroups meet, of {MEETING} at most"))?;
        }
    }
    // What stands between layers is the same for every cell, so one of many will do.
    let between = [Extra::Composed, Extra::Adaptive, Extra::Sampled];
    let once = |cell: &Cell, shape: &ModelShape| {
        between.contains(&shape.extra) && every && cell.name != "lstm"
    };
    let cells: Vec<Arc<Cell>> = cells.into_iter().map(Arc::new).collect();
    let each = cells
        .iter()
        .flat_map(|c| shapes.iter().map(move |s| (c, s)));
    for (cell, (shape, split)) in each.filter(|(cell, shape)| !once(cell, &shape.0)) {
        let shared = if spanning {
            ", spanning workgroups"
        } else if *split {
            ", shared sums"
        } else {
            ""
        };
        let title = title(cell, *shape) + shared;
        let model = CheckedModel::new(cell.clone(), *shape)
            .half(half)
            .double(double)
            .split(*split)
            .span(met);
        let found = match block_on(model.compare(&device, from, file.is_some())) {
            Ok(found) => found,
            Err(e) => {
                failed = Some(Error::new(e.kind, format!("{title}: {}", e.message)));
                break;
            }
        };
        if spanning && !found.spans {
            // What cannot have such kernels has been compared with its ordinary ones, which is another command's.
            without.push(title);
            continue;
        }
        if !json {
            print(&title, &found.rows)?;
        }
        compared += found.rows.len();
        let wrong = found.rows.iter().filter(|r| !r.passed());
        faults.extend(wrong.map(|r| format!("{title}: {}", r.fault())));
        models.push(report::model(&title, &found));
    }
    if let Some(file) = file {
        let error = failed.as_ref().map(|e| e.message.as_str());
        let report = report::report(&device, &models, compared, &faults, error);
        let text = serde_json::to_string_pretty(&report)
            .map_err(|e| Error::internal(format!("the report: {e}")))?;
        atomic::write(file, text.as_bytes())?;
    }
    let wrong = !faults.is_empty() || failed.is_some();
    // What trains is in f32, of which neither says anything.
    let other = half || double || spanning;
    let whole = every && !other && m.get_one::<u64>("hidden").is_none() && from.is_none();
    if whole || (wrong && !other) {
        // The list is a help, not a part of the check.
        if let Err(e) = passed::note(&device.adapter, compared, wrong) {
            out::note(&format!("warning: {}", e.message));
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    if json {
        out::json(
            &json!({"adapter": device.adapter.name, "driver": device.adapter.driver, "models": models, "compared": compared, "faults": faults.len()}),
        )?;
    }
    if spanning && models.is_empty() {
        return Err(Error::device(format!(
            "{}: {met} workgroups meet, and no kernel of these models spans as few",
            device.adapter.name
        )));
    }
    if !json && !without.is_empty() {
        out::line(&format!(
            "\nwithout such a kernel here, and not compared: {}",
            without.join("; ")
        ))?;
    }
    if faults.is_empty() {
        if !json {
            out::line(&format!(
                "\n{compared} comparisons, all within their tolerance"
            ))?;
        }
        return Ok(());
    }
    Err(Error::internal(format!(
        "{} of {compared} comparisons failed\n{}",
        faults.len(),
        faults.join("\n")
    )))
}

/// The adapter that the command line names.
fn adapter(m: &ArgMatches, cooperative: bool) -> Result<Arc<GpuDevice>> {
    let choice = m.get_one::<String>("device").map_or("gpu", |d| d);
    if choice == "cpu" {
        return Err(Error::usage(
            "--device cpu: check compares a GPU with the CPU; name an adapter",
        ));
    }
    open_with(choice, cooperative)
}

/// The adapter that `choice` names, with all that it may do once it passed; `auto` passes software adapters by, but here
/// there may be nothing else to check.
pub fn open(choice: &str) -> Result<Arc<GpuDevice>> {
    open_with(choice, false)
}

/// The same, for cooperative matrices where they are asked for.
fn open_with(choice: &str, cooperative: bool) -> Result<Arc<GpuDevice>> {
    let device = match block_on(GpuDevice::open_with(
        &AdapterChoice::parse(choice),
        cooperative,
    ))? {
        Some(device) => device,
        None => block_on(GpuDevice::open_with(&AdapterChoice::Gpu, cooperative))?
            .ok_or_else(|| Error::device("no adapter to check"))?,
    };
    flags::inject(&device)?;
    device.trust();
    Ok(device)
}

fn print(title: &str, rows: &[SlotComparison]) -> Result<()> {
    out::line(&format!("\n{title}"))?;
    out::line(&format!(
        "  {:<32} {:<28} {:<18} {:>9} {:>34} {:>9}  verdict",
        "operation", "shape", "slot", "NMSE", "worst element: got, want", "tolerance"
    ))?;
    for row in rows {
        let (index, got, want) = row.worst;
        out::line(&format!(
            "  {:<32} {:<28} {:<18} {:>9.1e} {:>34} {:>9.1e}  {}",
            row.op,
            row.shape,
            row.slot,
            row.nmse,
            format!("[{index}] {got:.5e}, {want:.5e}"),
            row.tolerance,
            if row.passed() { "ok" } else { "MISMATCH" }
        ))?;
    }
    Ok(())
}
