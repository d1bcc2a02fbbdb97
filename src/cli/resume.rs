//! `train --resume`: a run's own settings, text and state, and what a resumed run may change.

use std::path::PathBuf;

use clap::ArgMatches;
use wgrnn::cell::library;
use wgrnn::data::Source;
use wgrnn::exec::Device;
use wgrnn::train::settings::resolve;
use wgrnn::train::{About, RunWriter, Settings, State, spec};
use wgrnn::{Error, Kind, Result};

use super::load::Loaded;
use super::ready::{Ready, planned};
use super::{flags, out, text};

/// What a resumed run may have another value of; all else is a part of what its weights and counters mean.
const FREE: &[&str] = &[
    "dropout",
    "dropout-input",
    "dropout-embedding",
    "dropout-weights",
    "dropout-locked",
    "activation-penalty",
    "temporal-penalty",
    "norm-stabilizer",
    "propagation-penalty",
    "scheduled-sampling",
    "sampling-k",
    "sampling-slope",
    "sampling-floor",
    "recompute",
    "recompute-states",
    "half",
    "lr",
    "clip-norm",
    "clip-value",
    "schedule",
    "lr-decay",
    "decay-after",
    "decay-every",
    "step-size",
    "gamma",
    "warmup",
    "lr-min",
    "plateau-factor",
    "patience",
    "epochs",
    "steps",
    "minutes",
    "sample-every",
    "eval-every",
    "save-every",
    "keep",
];

/// The run in `writer`'s folder, ready to go on from its newest whole checkpoint; none where only its plan is wanted.
pub fn prepare(m: &ArgMatches, device: &Device, writer: &RunWriter) -> Result<Option<Ready>> {
    let run = writer.run();
    let newest = run.newest()?;
    for warning in &newest.warnings {
        out::note(&format!("warning: {warning}"));
    }
    let loaded = Loaded::new(newest.checkpoint, newest.path)?;
    let about = &loaded.saved.about;

    let path = run.settings_path();
    let file = run.settings()?;
    let given = flags::given(m);
    // The run's cell is in its checkpoint, so its file need not exist any more.
    let mut names: Vec<&str> = library::names().collect();
    names.extend(loaded.settings.cell.split(','));
    let settings = resolve(Some((&path, &file)), given, &names)?;
    same_shape(&loaded.settings, &settings)?;
    flags::allowed(m, device, &settings)?;

    let source = source(m, about)?;
    let corpus = text::open(&source, Some(writer.run().path()))?;
    if let Some(text) = &about.text
        && text.hash != corpus.hash()?
    {
        return Err(Error::usage(format!(
            "{}: the text is not the one that the run was trained on: expected BLAKE3 {}, found {}",
            corpus.name,
            text.hash,
            corpus.hash()?
        )));
    }
    let prepared = text::prepare(&source, &corpus, &about.vocabulary, &settings)?;
    let length = settings.length(about.text.as_ref().is_some_and(|t| t.builtin.is_some()));
    let mut settings = settings;
    settings.set_length(length);
    let cells = about.cells().map_err(|e| loaded.named(e))?;
    let spec = spec(&settings, cells, about.vocabulary.len());
    let Some(mut planned) = planned(m, device, settings, spec, length, &prepared)? else {
        return Ok(None);
    };
    let job = &mut planned.job;
    let mut state =
        State::from_checkpoint(&job.plan, &loaded.checkpoint).map_err(|e| loaded.named(e))?;
    let counters = &mut state.counters;
    // Imported weights bring no text, and so no length of an epoch.
    if about.text.is_none() {
        counters.steps_per_epoch = job.steps_per_epoch();
    }
    job.go_on(counters).map_err(|e| loaded.named(e))?;
    if job.fraction(counters.step, counters.elapsed) >= 1.0 {
        return Err(Error::usage(format!(
            "nothing is left to do: the run has done {} steps ({:.2} epochs, {:.1} minutes); give it more --epochs, \
             --steps or --minutes",
            counters.step,
            counters.step as f64 / counters.steps_per_epoch.max(1) as f64,
            counters.elapsed / 60.0
        )));
    }
    let about = About {
        program: env!("CARGO_PKG_VERSION").into(),
        settings: job.settings.to_toml()?,
        text: Some(prepared.text),
        floor: prepared.floor,
        ..about.clone()
    };
    Ok(Some(Ready {
        planned,
        about,
        state,
    }))
}

/// The text that was given, else the run's own.
fn source(m: &ArgMatches, about: &About) -> Result<Source> {
    let files: Vec<PathBuf> = m.get_many("files").unwrap_or_default().cloned().collect();
    if !files.is_empty() {
        return Ok(Source::Files(files));
    }
    match &about.text {
        None => Err(Error::usage(
            "the run's weights were imported, so it has no text yet: give one",
        )),
        Some(text) => match text.builtin {
            Some((seed, chars)) => Ok(Source::Builtin { seed, chars }),
            None if text.files.iter().any(|f| f.as_os_str() == "-") => Err(Error::usage(
                "the run's text came from standard input: give it again, as a file or as -",
            )),
            None => Ok(Source::Files(text.files.clone())),
        },
    }
}

/// Refuses what cannot change, every fault at once.
fn same_shape(before: &Settings, now: &Settings) -> Result<()> {
    let (before, now) = (before.to_table()?, now.to_table()?);
    let show = |value: Option<&toml::Value>| value.map_or("none".into(), |v| v.to_string());
    let faults: Vec<String> = Settings::keys()
        .iter()
        .filter(|key| !FREE.contains(&key.name) && before.get(key.name) != now.get(key.name))
        .map(|key| {
            format!(
                "--{}: the run was trained with {}, got {}; a resumed run keeps it",
                key.name,
                show(before.get(key.name)),
                show(now.get(key.name))
            )
        })
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Usage, faults.join("\n"))),
    }
}
