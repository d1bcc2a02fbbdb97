//! `lab`: what is said of recurrent networks, measured anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;
use wgrnn::exec::Device;
use wgrnn::lab::{self, EXPERIMENTS, Experiment, LabRun, Size, TaskData, Variants};
use wgrnn::train::atomic;
use wgrnn::{Error, Result, paths};

use super::{fields, flags, interrupt, out};

/// Every experiment, one after another.
const ALL: &str = "all";
/// The one that takes files.
const VARIANTS: &str = "variants";

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
        .arg(
            Arg::new("files")
                .value_name("MODEL=FILE")
                .num_args(0..)
                .value_parser(flags::file_name())
                .help("Of variants: files of your own for a model, such as chorale=pieces.jsonl strokes=pens.safetensors"),
        )
        .arg(
            Arg::new("valid")
                .long("valid")
                .value_name("MODEL=FILE")
                .num_args(1..)
                .action(ArgAction::Append)
                .value_parser(flags::file_name())
                .help("Files of what is held out (default: a tenth of the others)"),
        )
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
        .arg(flags::device_of_measurements())
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn lab\n  wgrnn lab gradient-flow --out flow\n  wgrnn lab all --full\n  \
             wgrnn lab variants chorale=train.jsonl --valid chorale=valid.jsonl\n\n\
             A folder holds settings.toml, points.jsonl with a line for every measured point, table.tsv, plot.svg and index.html,\n\
             which says what was claimed, by whom, what came out, and whether it holds. After `lab all` the folder of theirs has one of all.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let Some(name) = m.get_one::<String>("experiment") else {
        return list(m);
    };
    let tasks = tasks(m, name)?;
    let own = Variants { given: &tasks };
    let experiments: Vec<&dyn Experiment> = match (name.as_str(), own.given) {
        (_, [_, ..]) => vec![&own],
        (ALL, []) => EXPERIMENTS.to_vec(),
        (name, []) => vec![lab::experiment(name)?],
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
    let device = flags::open_measuring(m)?;
    // Whoever names a device for one experiment wants that device; of all, some may have another.
    let may_be_another = name == ALL || flags::device_choice(m) == flags::AUTO;
    let run = |experiment| LabRun {
        experiment,
        size,
        seed,
        device: match (experiment.processor_only(), &device) {
            (Some(_), Device::Gpu(_)) if may_be_another => &Device::Cpu,
            (_, device) => device,
        },
    };
    let runs: Vec<LabRun<'_>> = experiments.into_iter().map(run).collect();
    for run in &runs {
        if let (Device::Gpu(_), Device::Cpu) = (&device, run.device) {
            let why = run.experiment.processor_only().unwrap_or_default();
            out::note(&format!(
                "{}, {why}: on the processor",
                run.experiment.name()
            ));
        }
        run.check(&folder(run.experiment))?;
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
    for run in runs {
        let experiment = run.experiment;
        let out = folder(experiment);
        let start = Instant::now();
        let tell = |done: usize, of: usize| {
            let seconds = start.elapsed().as_secs_f64();
            out::note(&format!(
                "{}: {done} of {of} points, {seconds:.0} s",
                experiment.name()
            ));
        };
        let report = run.run(&out, &tell, &stop)?;
        let page = out.join("index.html").display().to_string();
        if m.get_flag("json") {
            let findings = report
                .findings
                .iter()
                .map(|f| json!({"claim": f.claim, "by": f.by, "found": f.found, "holds": f.holds}));
            out::json(&json!({
                "experiment": experiment.name(), "size": size.name(), "seed": seed, "device": run.device.identity(), "points": report.measured.len(),
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

/// The tasks of files that the command line names, which `variants` alone takes.
fn tasks(m: &ArgMatches, experiment: &str) -> Result<Vec<TaskData>> {
    let given = pairs(m, "files")?;
    let mut valid = pairs(m, "valid")?;
    if !(given.is_empty() && valid.is_empty()) && experiment != VARIANTS {
        // An unknown name is the first thing to say.
        if experiment != ALL {
            lab::experiment(experiment)?;
        }
        return Err(Error::usage(format!(
            "{experiment}: expected no files, which are for {VARIANTS}, got some"
        )));
    }
    let mut tasks = Vec::new();
    for (name, files) in given {
        let held_out = valid.remove(&name).unwrap_or_default();
        let (task, remarks) = TaskData::read(&name, fields::named(&name)?, &files, &held_out)?;
        for remark in remarks {
            out::note(&format!("warning: {name}: {remark}"));
        }
        tasks.push(task);
    }
    if let Some(name) = valid.keys().next() {
        return Err(Error::usage(format!(
            "--valid {name}=: expected a model that files to train on are given for, got none such"
        )));
    }
    Variants { given: &tasks }.check_files()?;
    Ok(tasks)
}

/// The files of each model among arguments that are MODEL=FILE each.
fn pairs(m: &ArgMatches, argument: &str) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut all: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for text in m.get_many::<String>(argument).unwrap_or_default() {
        let pair = text
            .split_once('=')
            .filter(|(model, file)| !model.is_empty() && !file.is_empty());
        let Some((model, file)) = pair else {
            return Err(Error::usage(format!(
                "{VARIANTS}: expected MODEL=FILE, such as chorale=pieces.jsonl, got {text}"
            )));
        };
        all.entry(model.to_owned())
            .or_default()
            .push(paths::from_text(file));
    }
    Ok(all)
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
    let of_run = ["quick", "full", "out", "seed", "device", "valid"];
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
