//! `lab`: what is said of recurrent networks, measured anew.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;
use wgrnn::lab::{self, EXPERIMENTS, Experiment, Size};
use wgrnn::train::atomic;
use wgrnn::{Error, Result};

use super::{flags, interrupt, out};

/// Every experiment, one after another.
const ALL: &str = "all";
/// The devices that experiments can be measured on.
const DEVICES: [&str; 2] = ["auto", "cpu"];

pub fn command() -> Command {
    let size = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new("lab")
        .about("Measure what is said of recurrent networks; without a name, list the experiments")
        .arg(Arg::new("experiment").value_name("NAME").help("The experiment, or all"))
        .arg(size("quick", "Less than two minutes each on two cores (the default)").conflicts_with("full"))
        .arg(size("full", "Larger models, more lengths and seeds: up to hours"))
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("The folder (default: lab/NAME-SIZE-SEED); of all experiments, that of theirs. One that a stopped run left goes on"),
        )
        .arg(flags::whole("seed", 0, u32::MAX.into()).help("Seed of data and weights (default 1)"))
        .arg(flags::device())
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn lab\n  wgrnn lab gradient-flow --out flow\n  wgrnn lab all --full\n\n\
             A folder holds settings.toml, points.jsonl with a line for every measured point, table.tsv, plot.svg and index.html,\n\
             which says what was claimed, by whom, what came out, and whether it holds. After `lab all` the folder of theirs has one of all.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let Some(name) = m.get_one::<String>("experiment") else {
        return list(m);
    };
    let experiments: Vec<&dyn Experiment> = match name.as_str() {
        ALL => EXPERIMENTS.to_vec(),
        name => vec![lab::experiment(name)?],
    };
    let size = if m.get_flag("full") {
        Size::Full
    } else {
        Size::Quick
    };
    let seed = m.get_one::<u64>("seed").copied().unwrap_or(1);
    let given = flags::path(m, "out");
    let folder = |experiment: &dyn Experiment| match given {
        Some(out) if name == ALL => out.join(experiment.name()),
        Some(out) => out.clone(),
        None => Path::new("lab").join(format!("{}-{}-{seed}", experiment.name(), size.name())),
    };
    for experiment in &experiments {
        let device = m.get_one::<String>("device").map_or("auto", |name| name);
        if !DEVICES.contains(&device) {
            return Err(Error::usage(format!(
                "--device: expected {} for {}, whose points are measured side by side, one on each core of the processor, got {device}",
                DEVICES.join(" or "),
                experiment.name()
            )));
        }
        lab::check(&folder(*experiment), *experiment, size, seed)?;
    }
    let all = given
        .map_or(Path::new("lab"), PathBuf::as_path)
        .join("index.html");
    if name == ALL && !may_be_written(&all) {
        return Err(Error::usage(format!(
            "--out: expected a folder whose index.html is of this program, or none, found another at {}",
            all.display()
        )));
    }
    let stop = interrupt::stop_on_interrupt("the points that are being measured")?;
    let mut reports = Vec::new();
    for experiment in experiments {
        let out = folder(experiment);
        let start = Instant::now();
        let tell = |done: usize, of: usize| {
            let seconds = start.elapsed().as_secs_f64();
            out::note(&format!(
                "{}: {done} of {of} points, {seconds:.0} s",
                experiment.name()
            ));
        };
        let report = lab::run(experiment, size, seed, &out, &tell, &stop)?;
        let page = out.join("index.html").display().to_string();
        if m.get_flag("json") {
            let findings = report
                .findings
                .iter()
                .map(|f| json!({"claim": f.claim, "by": f.by, "found": f.found, "holds": f.holds}));
            out::json(&json!({
                "experiment": experiment.name(), "size": size.name(), "seed": seed, "points": report.measured.len(),
                "kept": report.kept, "findings": findings.collect::<Vec<_>>(), "page": page,
            }))?;
            reports.push((experiment, report));
            continue;
        }
        for finding in &report.findings {
            out::line(&format!(
                "{}: {} ({})",
                finding.verdict(),
                finding.claim,
                finding.by
            ))?;
            out::line(&format!("    {}", finding.found))?;
        }
        out::line(&format!("{}: {page}", experiment.name()))?;
        reports.push((experiment, report));
    }
    if name == ALL {
        atomic::write(&all, lab::together(&reports).as_bytes())?;
        out::note(&format!("all: {}", all.display()));
    }
    Ok(())
}

/// Whether the page of all experiments can stand there.
fn may_be_written(page: &Path) -> bool {
    match std::fs::read_to_string(page) {
        Ok(text) => lab::is_page(&text),
        Err(_) => !page.exists(),
    }
}

/// The experiments, a line each.
fn list(m: &ArgMatches) -> Result<()> {
    let of_run = ["quick", "full", "out", "seed", "device"];
    if let Some(flag) = flags::first_given(m, &of_run) {
        let names: Vec<&str> = EXPERIMENTS.iter().map(|e| e.name()).collect();
        return Err(Error::usage(format!(
            "--{flag}: expected the name of an experiment before it, got none (known: {}, or {ALL})",
            names.join(", ")
        )));
    }
    if m.get_flag("json") {
        let all = EXPERIMENTS
            .iter()
            .map(|e| json!({"name": e.name(), "about": e.about(), "method": e.method()}));
        return out::json(&json!({"experiments": all.collect::<Vec<_>>()}));
    }
    for experiment in EXPERIMENTS {
        out::line(&format!("{:<16} {}", experiment.name(), experiment.about()))?;
    }
    Ok(())
}
