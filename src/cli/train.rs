//! `train`: from text and settings to a run's folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::json;
use wgrnn::cell::library;
use wgrnn::exec::Device;
use wgrnn::exec::gpu::GpuDevice;
use wgrnn::train::settings::BestBy;
use wgrnn::train::{About, Checkpoint, Event, Job, Length, Run, RunWriter, Trainer};
use wgrnn::{Error, Kind, Result, paths};

use super::plan::advise;
use super::progress::ProgressDisplay;
use super::ready::{Planned, Ready};
use super::tune::tiles;
use super::{check, flags, interrupt, out, ready, resume};

pub fn command() -> Command {
    Command::new("train")
        .about("Train a model on a text; without one, on the built-in corpus")
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .num_args(0..)
                .value_parser(value_parser!(PathBuf))
                .help("Texts, joined in this order; - is standard input"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("RUN")
                .value_parser(value_parser!(PathBuf))
                .help("The run's folder (default: a new one in runs/)"),
        )
        .arg(
            Arg::new("resume")
                .long("resume")
                .value_name("RUN")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with_all(["out", "config"])
                .help("Go on with a run, with its own settings and text"),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE.toml")
                .value_parser(value_parser!(PathBuf))
                .help("Settings; those on the command line win"),
        )
        .arg(flags::device())
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .short('q')
                .action(ArgAction::SetTrue)
                .help("Print the result, and warnings, only"),
        )
        .arg(
            Arg::new("plan")
                .long("plan")
                .action(ArgAction::SetTrue)
                .help("Print what the run would take, whether it fits, and the largest batch that would; train nothing"),
        )
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .conflicts_with("plan")
                .help("First compare the run's own model on its device with the plain code; train only where they agree"),
        )
        .arg(flags::cooperative())
        .arg(flags::json())
        .args(flags::settings())
        .after_help(
            "Examples:\n  wgrnn train\n  wgrnn train book.txt --cell gru --hidden 256 --minutes 10\n  \
             wgrnn train book.txt --preset char-rnn --out runs/book\n  wgrnn train train.txt --valid valid.txt\n  \
             wgrnn train --resume runs/book --epochs 60\n\nOther settings or another text for trained weights: export, import, \
             then train --resume the new run with the text\nand any settings but those that shape the model.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    out::quiet(m.get_flag("quiet"));
    let stop = interrupt::stop_on_interrupt("this step")?;
    let device = flags::open_device(m)?;
    let (ready, writer) = match flags::path(m, "resume") {
        Some(run) => {
            let writer = RunWriter::resume(run)?;
            let Some(ready) = resume::prepare(m, &device, &writer)? else {
                return Ok(());
            };
            checked(m, &device, &ready)?;
            writer.rewind(ready.state.counters.step)?;
            writer.write_settings(&ready.about.settings)?;
            (ready, writer)
        }
        None => {
            let out = flags::path(m, "out");
            if let Some(out) = out {
                RunWriter::check_free(out)?;
            }
            let Some(ready) = ready::fresh(m, &device)? else {
                return Ok(());
            };
            checked(m, &device, &ready)?;
            let path = out.cloned().unwrap_or_else(|| fresh_folder(&ready.about));
            let writer = RunWriter::create(&path, &ready.about.settings)?;
            (ready, writer)
        }
    };
    block_on(drive(m, device, ready, &writer, &stop))
}

/// With `--check`, whether the device computes the run's own model as the plain code does.
fn checked(m: &ArgMatches, device: &Device, ready: &Ready) -> Result<()> {
    // Nothing trains on cooperative matrices before the adapter was seen to multiply them right.
    if !m.get_flag("check") && !flags::with_cooperative(m) {
        return Ok(());
    }
    let (job, parameters) = (&ready.planned.job, &ready.state.parameters);
    check::own::check(device, job, &ready.about, parameters, m.get_flag("quiet"))
}

/// The first folder of the text's name that is not taken.
fn fresh_folder(about: &About) -> PathBuf {
    let text = about.text.as_ref();
    let name = match text.and_then(|t| t.files.first()) {
        None => "builtin".to_string(),
        Some(file) if file == Path::new("-") => "stdin".to_string(),
        Some(file) => library::name_of(file),
    };
    let plain = |c: char| {
        if c.is_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(plain).collect();
    let folder = |n: u64| Path::new("runs").join(format!("{name}-{n}"));
    let free = |path: &PathBuf| RunWriter::check_free(path).is_ok() && !path.exists();
    (1..).map(folder).find(free).unwrap_or_else(|| folder(0))
}

async fn drive(
    m: &ArgMatches,
    device: Device,
    ready: Ready,
    writer: &RunWriter,
    stop: &AtomicBool,
) -> Result<()> {
    let Ready {
        planned: Planned { mut job, of },
        about,
        state,
    } = ready;
    let batch = job.settings.batch;
    if let Ok(vocabulary) = about.vocabulary() {
        job.before = vocabulary.before_text();
    }
    let path = writer.run().path().to_path_buf();
    let (keep, plan) = (job.settings.keep, job.plan.clone());
    let quiet = m.get_flag("quiet");
    if !quiet {
        out::note(&describe(&job, &about));
        out::note(&format!("run: {}", path.display()));
    }
    let step = state.counters.step;
    let before = state.counters.elapsed;
    // So that the folder is a run from the first moment on, and an early fault leaves weights to look at.
    if step == 0 {
        writer.save(0, &state.to_checkpoint(&plan, &about)?, keep)?;
    }
    let mut progress = ProgressDisplay::new(
        quiet,
        job.steps_per_epoch(),
        Some(about.unit()).filter(|_| !about.of_numbers()),
    );
    let start = Instant::now();
    // Some drivers compile a kernel when it is made, others when it first runs.
    let compiling = matches!(device, Device::Gpu(_)) && !quiet;
    let mut compiling =
        compiling.then(|| out::when_slow(format!("compiling kernels for {}", device.name())));
    let made = Trainer::new(device.clone(), job, state).await;
    let mut trainer = made.map_err(|e| advise(e, &device, batch, &of))?;
    let result = loop {
        let elapsed = before + start.elapsed().as_secs_f64();
        let event = match trainer.next(elapsed, stop.load(Ordering::SeqCst)).await {
            Ok(event) => event,
            Err(e) => break Err(advise(e, &device, batch, &of)),
        };
        if !matches!(&event, Event::Steps(figures) if figures.is_empty()) {
            drop(compiling.take());
        }
        match event {
            Event::Steps(figures) => {
                for f in figures
                    .iter()
                    .filter(|f| worth_a_line(f.step) || f.train.is_some())
                {
                    writer.append(f)?;
                }
                let fraction = trainer.job().fraction(trainer.counters().step, elapsed);
                for (f, share) in figures.iter().filter_map(|f| f.padding.map(|p| (f, p))) {
                    let (ended, share) = (f.epoch + 1, 100.0 * share);
                    progress.note(&format!(
                        "epoch {ended}: padding would be {share:.2}% of the steps, none was computed"
                    ));
                }
                let left = remaining(&trainer, elapsed, elapsed - before, step);
                progress.steps(&figures, fraction, left);
            }
            Event::Evaluated {
                step,
                evaluation,
                best,
            } => {
                let mut line = json!({
                    "step": step, "validation": evaluation.nats, "best": best, "elapsed": elapsed,
                    "tokens_per_second": progress.speed(),
                });
                let mut told = loss_text(evaluation.nats, &about);
                if let Some(metric) = evaluation.metric.filter(|m| m.by != BestBy::Loss) {
                    line[format!("valid.{}", metric.by)] = json!(metric.value);
                    told = format!("{} {:.4}, {told}", metric.by, metric.value);
                }
                writer.append(&line)?;
                let best = if best { " (best)" } else { "" };
                progress.note(&format!("step {step}: validation {told}{best}"));
            }
            Event::Sample { step, tokens } => {
                let text = about.vocabulary()?.decode(&tokens);
                let text = String::from_utf8_lossy(&text);
                progress.note(&format!("---- sample at step {step}\n{text}\n----"));
            }
            Event::Save { state, best } => {
                let checkpoint = state.to_checkpoint(&plan, &about)?;
                if best {
                    writer.save_best(&checkpoint)?
                } else {
                    writer.save(state.counters.step, &checkpoint, keep)?
                };
            }
            Event::Finished => break Ok(()),
        }
    };
    progress.finish();
    if let Device::Gpu(gpu) = &device {
        without_spans(gpu);
    }
    if let Err(e) = result {
        return Err(with_last_good(e, writer.run(), trainer.good_until()));
    }
    let stopped = stop.load(Ordering::SeqCst)
        && trainer
            .job()
            .fraction(trainer.counters().step, trainer.counters().elapsed)
            < 1.0;
    report(m, &trainer, &about, &path)?;
    if stopped {
        return Err(Error::new(
            Kind::Interrupted,
            format!(
                "interrupted after step {}; everything is saved: wgrnn train --resume {}",
                trainer.counters().step,
                paths::shell(path.as_path())
            ),
        ));
    }
    Ok(())
}

/// An error that ended a run, with the newest checkpoint to go back to: one that is not newer than step `until`, where that
/// is given.
fn with_last_good(e: Error, run: &Run, until: Option<u64>) -> Error {
    let until = until.unwrap_or(u64::MAX);
    let steps = run.checkpoints().unwrap_or_default();
    let paths = steps
        .iter()
        .rev()
        .filter(|step| **step <= until)
        .map(|step| run.checkpoint_path(*step));
    let good = paths
        .chain([run.best_path()])
        .find(|path| Checkpoint::load(path).is_ok());
    let text = match good {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "no good checkpoint is left".to_string(),
    };
    let newer = if steps.iter().any(|step| *step > until) {
        ", and newer ones hold weights that diverged"
    } else {
        ""
    };
    Error::new(e.kind, format!("{}; {text}{newer}", e.message))
}

/// Every step at first, then every tenth: a run of a million steps keeps its folder small.
fn worth_a_line(step: u64) -> bool {
    step <= 1000 || step.is_multiple_of(10)
}

/// Seconds to go.
fn remaining(trainer: &Trainer, elapsed: f64, here: f64, first: u64) -> Option<f64> {
    let job = trainer.job();
    match (job.total_steps(), job.length) {
        (None, Length::Minutes(minutes)) => Some((60.0 * minutes - elapsed).max(0.0)),
        (total, _) => {
            let total = match (total, job.length) {
                (None, Length::Epochs(n)) => n.saturating_mul(job.steps_per_epoch()),
                (total, _) => total?,
            };
            let step = trainer.counters().step;
            let done = step.saturating_sub(first).max(1);
            Some(here / done as f64 * total.saturating_sub(step) as f64)
        }
    }
}

/// A loss in words, beside the floor where that is known.
fn loss_text(nats: f64, about: &About) -> String {
    let unit = about.unit();
    match about.floor {
        None if about.of_numbers() => format!("loss {nats:.5}"),
        Some(floor) => format!("loss {nats:.3}, floor {floor:.3} nats/{unit}"),
        None => format!(
            "loss {nats:.3} nats/{unit}, {:.3} bits/{unit}, perplexity {:.2}",
            nats / std::f64::consts::LN_2,
            nats.exp()
        ),
    }
}

/// The settings that matter, in one line.
fn describe(job: &Job, about: &About) -> String {
    let s = &job.settings;
    let length = match job.length {
        Length::Epochs(n) => format!(
            "{n} epochs ({}{} steps)",
            job.total_steps().map_or("about ", |_| ""),
            n.saturating_mul(job.steps_per_epoch())
        ),
        Length::Steps(n) => format!("{n} steps"),
        Length::Minutes(n) => format!("{n} minutes"),
    };
    let embed = match s.embed {
        0 => "one-hot".to_string(),
        n => format!("embed {n}"),
    };
    let sequences = if s.of_fields() { "examples" } else { "lines" };
    let minibatch = match (s.lines || s.of_fields(), s.batch_tokens) {
        (false, _) => format!("B {}, T {}", s.batch, s.seq_len),
        (true, 0) => format!("{} {sequences} a minibatch", s.batch),
        (true, tokens) => format!("{sequences} of {tokens} tokens a minibatch"),
    };
    let minibatch = match s.accumulate {
        1 => minibatch,
        n => format!("{minibatch}, {n} an update"),
    };
    let symbols = if s.of_fields() {
        format!("model {}", s.model)
    } else {
        format!("V {}", job.spec.vocab)
    };
    format!(
        "{}: {} x {} of H {}, {embed}, {symbols}, {} parameters; {minibatch}, {} {}, {}, dropout {}, seed {}; {length}, {} \
         steps an epoch",
        about.text.as_ref().map_or("?", |t| t.name.as_str()),
        about.cell_names(),
        s.layers,
        s.hidden,
        job.plan.parameter_count(),
        s.optimizer,
        s.lr,
        s.schedule,
        s.dropout,
        s.seed,
        job.steps_per_epoch(),
    )
}

/// The result: the last lines on standard output.
fn report(m: &ArgMatches, trainer: &Trainer, about: &About, path: &Path) -> Result<()> {
    let counters = trainer.counters();
    let program = std::env::args_os().next();
    let program = program.map_or("wgrnn".into(), |name| paths::shell(Path::new(&name)));
    let shown = path.display().to_string();
    let run = paths::shell(path);
    let (use_of, command) = if trainer.job().settings.of_fields() {
        ("predict with it", format!("{program} predict {run} FILE"))
    } else {
        ("sample from it", format!("{program} sample {run}"))
    };
    let half = trainer.job().settings.half;
    if m.get_flag("json") {
        let mut value = json!({
            "run": shown,
            "step": counters.step,
            "epochs": counters.step as f64 / counters.steps_per_epoch as f64,
            "parameters": trainer.job().plan.parameter_count(),
            "elapsed": counters.elapsed,
            "loss": counters.meter.smooth,
            "validation": counters.validation,
            "best": counters.best.map(|b| b.nats),
            "floor": about.floor,
        });
        let what = use_of.split(' ').next().unwrap_or_default();
        value[what] = json!(command);
        if trainer.job().settings.of_fields() {
            value["best_metric"] = json!(counters.best.and_then(|b| b.metric));
        }
        if half {
            value["skipped"] = json!(counters.skipped);
        }
        return out::json(&value);
    }
    if counters.skipped > 0 {
        out::remark(&format!(
            "half: {} of {} updates were left out, as their gradient was beyond f16",
            counters.skipped, counters.step
        ));
    }
    let validation = counters.validation.map_or(String::new(), |nats| {
        format!(": {}", loss_text(nats, about))
    });
    let best = counters
        .best
        .and_then(|best| Some((best.step, best.metric?)));
    let best = best.filter(|(_, metric)| metric.by != BestBy::Loss);
    let best = best.map_or(String::new(), |(step, metric)| {
        format!("; best {} {:.4} at step {step}", metric.by, metric.value)
    });
    out::line(&format!("{} steps{validation}{best}", counters.step))?;
    out::line(&format!("run: {shown}"))?;
    out::line(&format!("{use_of}: {command}"))
}

/// Tells of kernels whose workgroups waited for one another in vain, and remembers it.
fn without_spans(device: &GpuDevice) {
    for shape in device.unspanned() {
        out::note(&format!(
            "warning: {}: workgroups that wait for one another did not meet at H {}, B {}; the steps that this held up were \
             repeated with kernels that wait for nobody, as all later ones are",
            device.adapter.name, shape.hidden, shape.batch
        ));
        // The list is a help, not a part of the run.
        if let Err(e) = tiles::forbid_span(&device.adapter, shape) {
            out::note(&format!("warning: {}", e.message));
        }
    }
}
