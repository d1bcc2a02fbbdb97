//! What a training begins with: the job that a command line asks for, where it fits the device, and its first state.

use std::path::PathBuf;

use clap::ArgMatches;
use wgrnn::Result;
use wgrnn::cell::library;
use wgrnn::exec::Device;
use wgrnn::train::settings::resolve;
use wgrnn::train::{About, Job, Length, Settings, State, spec};

use super::plan::MemoryVerdict;
use super::{fields, flags, out, text};

/// A job for any batch.
pub type Jobs = Box<dyn Fn(usize) -> Result<Job>>;

/// What is trained, and the same for other batches.
pub struct Planned {
    /// What is trained.
    pub job: Job,
    /// The same for another batch.
    pub of: Jobs,
}

/// A run that is ready to start or to go on.
pub struct Ready {
    /// What is trained.
    pub planned: Planned,
    /// What its checkpoints say about it.
    pub about: About,
    /// Where it begins.
    pub state: State,
}

/// A new run, as the command line and the settings file ask for it; none where only its plan is wanted.
pub fn fresh(m: &ArgMatches, device: &Device) -> Result<Option<Ready>> {
    let config = match flags::path(m, "config") {
        None => None,
        Some(path) => Some((path, text::read(path)?)),
    };
    let file = config.as_ref().map(|(p, t)| (p.as_path(), t.as_str()));
    let names: Vec<&str> = library::all_names().collect();
    let files: Vec<PathBuf> = m.get_many("files").unwrap_or_default().cloned().collect();
    let mut flags = flags::given(m);
    // Without a text and without settings, the settings that suit the built-in corpus; flags still win.
    if files.is_empty() && file.is_none() && !flags.contains_key("preset") {
        flags.insert("preset".into(), "quick".into());
    }
    let mut settings = resolve(file, flags, &names)?;
    flags::allowed(m, device, &settings)?;
    if settings.of_fields() {
        return fields::fresh(m, device, settings);
    }
    let cells = text::cells(&settings)?;
    cells.iter().try_for_each(text::without_memory)?;

    let source = text::source(&files);
    text::check_validation(&source, &settings)?;
    let length = settings.length(files.is_empty());
    settings.set_length(length);
    let near = flags::path(m, "out")
        .cloned()
        .unwrap_or_else(|| "runs/new".into());
    let mut corpus = text::open(&source, Some(&near))?;
    if settings.tokenizer.is_none() {
        corpus.advise("--vocab byte trains on the bytes as they are");
    }
    let vocabulary = text::vocabulary(&corpus, &settings)?;
    let prepared = text::prepare(&source, &corpus, &vocabulary, &settings)?;
    let cell_texts = cells.iter().map(Into::into).collect();
    let spec = spec(&settings, cells, vocabulary.len());
    let Some(planned) = planned(m, device, settings, spec, length, &prepared)? else {
        return Ok(None);
    };
    let about = About {
        program: env!("CARGO_PKG_VERSION").into(),
        settings: planned.job.settings.to_toml()?,
        symbols: vocabulary.into(),
        cells: cell_texts,
        text: Some(prepared.text),
        valid: prepared.valid,
        floor: prepared.floor,
    };
    let state = planned.job.start()?;
    Ok(Some(Ready {
        planned,
        about,
        state,
    }))
}

/// The job, if it fits the device; with `--plan` what it takes is printed instead.
pub fn planned(
    m: &ArgMatches,
    device: &Device,
    settings: Settings,
    spec: wgrnn::model::Spec,
    length: Length,
    text: &text::PreparedText,
) -> Result<Option<Planned>> {
    let batch = settings.batch;
    planned_of(m, device, batch, jobs(settings, spec, length, text))
}

/// The job of `batch`, if it fits the device; with `--plan` what it takes is printed instead.
pub fn planned_of(
    m: &ArgMatches,
    device: &Device,
    batch: usize,
    of: Jobs,
) -> Result<Option<Planned>> {
    if !m.get_flag("plan") {
        let job = fitting(device, batch, &of)?;
        return Ok(Some(Planned { job, of }));
    }
    let verdict = MemoryVerdict::new(device, &of(batch)?, of);
    if m.get_flag("json") {
        out::json(&verdict.json())?
    } else {
        out::line(&verdict.lines().join("\n"))?
    }
    Ok(None)
}

/// The job, if it fits the device.
pub fn job(
    device: &Device,
    settings: Settings,
    spec: wgrnn::model::Spec,
    length: Length,
    text: &text::PreparedText,
) -> Result<Job> {
    let batch = settings.batch;
    fitting(device, batch, &jobs(settings, spec, length, text))
}

fn fitting(device: &Device, batch: usize, of: &Jobs) -> Result<Job> {
    let job = of(batch)?;
    if MemoryVerdict::fits(device, &job) {
        Ok(job)
    } else {
        Err(MemoryVerdict::new(device, &job, of).refuse())
    }
}

/// The job for any batch.
fn jobs(
    settings: Settings,
    spec: wgrnn::model::Spec,
    length: Length,
    text: &text::PreparedText,
) -> Jobs {
    let (train, validation) = (text.train.clone(), text.validation.clone());
    Box::new(move |batch| {
        let settings = Settings {
            batch,
            ..settings.clone()
        };
        Job::new(
            settings,
            spec.clone(),
            length,
            train.clone(),
            validation.clone(),
        )
    })
}
