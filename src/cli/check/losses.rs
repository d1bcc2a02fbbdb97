//! `check losses`: a run on a GPU and on the CPU side by side, until their losses part.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use pollster::block_on;
use serde_json::json;
use wgrnn::cell::library;
use wgrnn::exec::Device;
use wgrnn::train::settings::resolve;
use wgrnn::train::{Length, Losses, losses, spec};
use wgrnn::{Error, Result};

use crate::cli::{flags, out, ready, text};

/// How far losses may be from one another, in nats per prediction.
const ALLOWED: f64 = 1e-3;
/// Steps where nothing is said.
const STEPS: i64 = 200;

pub fn command() -> Command {
    Command::new("losses")
        .about("Train on a GPU and on the CPU from equal weights and minibatches, and compare the losses")
        .arg(flags::texts())
        .arg(flags::device().default_value("gpu"))
        .arg(double())
        .arg(flags::json())
        .args(flags::settings())
        .after_help(
            "Examples:\n  wgrnn check losses --double\n  \
             wgrnn check losses book.txt --preset char-rnn --steps 100 --double\n\n\
             Exits with 1 where a loss differs by more than 1e-3. In f32 one will, at some step: no two programs that add\n\
             in another order agree for long. In f64 (--double) a difference is a fault. Nothing is evaluated or saved.",
        )
}

/// `--double`.
pub fn double() -> Arg {
    Arg::new("double")
        .long("double")
        .action(ArgAction::SetTrue)
        .help("Both sides in f64, where the adapter has it: faults show that are smaller than the roundings of f32")
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let device = super::adapter(m, false)?;
    let double = m.get_flag("double");
    if double && !device.doubles() {
        return Err(device.adapter.no_double());
    }
    let files: Vec<PathBuf> = m.get_many("files").unwrap_or_default().cloned().collect();
    let mut given = flags::given(m);
    if let Some(length) = ["epochs", "minutes"]
        .iter()
        .find(|k| given.contains_key(**k))
    {
        return Err(Error::usage(format!(
            "--{length}: expected --steps, the number of losses to compare"
        )));
    }
    if files.is_empty() && !given.contains_key("preset") {
        given.insert("preset".into(), "quick".into());
    }
    given.entry("steps").or_insert(toml::Value::Integer(STEPS));
    let names: Vec<&str> = library::names().collect();
    let mut settings = resolve(None, given, &names)?;
    text::refuse_fields(&settings, "--model")?;
    let length = settings.length(files.is_empty());
    let Length::Steps(steps) = length else {
        return Err(Error::internal("a number of steps became another length"));
    };
    settings.set_length(length);
    let source = text::source(&files);
    let corpus = text::open(&source, None)?;
    let vocabulary = text::vocabulary(&corpus, &settings)?;
    let prepared = text::prepare(&source, &corpus, &vocabulary, &settings)?;
    let spec = spec(&settings, text::cells(&settings)?, vocabulary.len());
    let seed = settings.seed;
    let job = ready::job(
        &Device::Gpu(device.clone()),
        settings,
        spec,
        length,
        &prepared,
    )?;

    let precision = if double { "f64" } else { "f32" };
    let json = m.get_flag("json");
    if !json {
        let a = &device.adapter;
        out::line(&format!(
            "{} ({}, driver {}) and the CPU, both in {precision}, seed {seed}",
            a.name, a.backend, a.driver
        ))?;
        out::line(&format!(
            "{:>6} {:>20} {:>20} {:>11} {:>11}",
            "step", "loss on the GPU", "on the CPU", "difference", "largest"
        ))?;
    }
    let mut seen = Seen::default();
    let mut tell = |both: Losses| {
        seen.add(both);
        if !json && worth_a_line(both.step, steps) {
            out::line(&format!(
                "{:>6} {:>20.14} {:>20.14} {:>11.2e} {:>11.2e}",
                both.step,
                both.gpu,
                both.cpu,
                both.difference(),
                seen.largest.0
            ))
        } else {
            Ok(())
        }
    };
    block_on(losses(&device, job, double, steps, &mut tell))?;
    let (largest, at) = seen.largest;
    if json {
        let pairs = |f: fn(&Losses) -> f64| seen.all.iter().map(f).collect::<Vec<f64>>();
        out::json(&json!({
            "adapter": device.adapter.name, "driver": device.adapter.driver, "precision": precision, "seed": seed,
            "steps": steps, "largest": largest, "at": at, "above": seen.above, "allowed": ALLOWED,
            "gpu": pairs(|b| b.gpu), "cpu": pairs(|b| b.cpu),
        }))?;
    }
    let text = format!(
        "{precision}, {steps} losses: the largest difference is {largest:.3e}, at step {at}"
    );
    match seen.above {
        None if json => Ok(()),
        None => out::line(&format!("\n{text}; none is above {ALLOWED:e}")),
        Some(step) => Err(Error::internal(format!(
            "{text}; step {step} is the first above {ALLOWED:e}"
        ))),
    }
}

/// What the differences were.
#[derive(Default)]
struct Seen {
    all: Vec<Losses>,
    /// The largest one and its step.
    largest: (f64, u64),
    /// The first step that was above what is allowed.
    above: Option<u64>,
}

impl Seen {
    fn add(&mut self, both: Losses) {
        self.all.push(both);
        let difference = both.difference();
        // A NaN is above everything.
        let above = |least: f64| difference.is_nan() || difference > least;
        if above(self.largest.0) || self.largest.1 == 0 {
            self.largest = (difference, both.step);
        }
        if above(ALLOWED) {
            self.above.get_or_insert(both.step);
        }
    }
}

/// The first ten steps, every tenth after them, and the last.
fn worth_a_line(step: u64, steps: u64) -> bool {
    step <= 10 || step.is_multiple_of(10) || step == steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_above_is_kept_and_a_nan_is_above() {
        let both = |step, gpu| Losses {
            step,
            gpu,
            cpu: 1.0,
        };
        let mut seen = Seen::default();
        seen.add(both(1, 1.0));
        assert_eq!((seen.largest, seen.above), ((0.0, 1), None));
        for (step, gpu) in [(2, 1.0005), (3, 1.002), (4, 1.3), (5, 1.002)] {
            seen.add(both(step, gpu));
        }
        assert_eq!((seen.largest.1, seen.above), (4, Some(3)));
        let mut seen = Seen::default();
        seen.add(both(1, f64::NAN));
        assert_eq!(seen.above, Some(1));
    }
}
