//! `train --resume`: a run's own settings, text and state, and what a resumed run may change.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use toml::Table;
use wgrnn::cell::library;
use wgrnn::data::TextSource;
use wgrnn::exec::Device;
use wgrnn::train::settings::{Files, Key, OnResume, SoftmaxName, resolve};
use wgrnn::train::{About, Checkpoint, Run, RunWriter, Settings, State, TextRecord, spec, state};
use wgrnn::{Error, Kind, Result};

use super::fields::LoadedRun;
use super::load::Loaded;
use super::ready::{Planned, Ready, planned};
use super::{fields, flags, kept, out, text};

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
    let mut names: Vec<&str> = library::all_names().collect();
    names.extend(loaded.settings.cell.split(','));
    let mut settings = resolve(Some((&path, &file)), given.clone(), &names)?;
    let sources = Sources {
        run: run.path(),
        path: &path,
        file: file.parse().unwrap_or_default(),
        given: &given,
        imported: about.text.is_none(),
    };
    sources.allowed(&loaded.settings, &settings)?;
    kept::cells(&settings, about, run.path())?;
    kept::tokenizer(&settings, about, run.path())?;
    flags::allowed(m, device, &settings)?;
    let loaded = match LoadedRun::new(loaded)? {
        LoadedRun::Fields(of) => return fields::resumed(m, device, &of, settings, run),
        LoadedRun::Text(loaded) => *loaded,
    };
    let about = &loaded.saved.about;

    let shown = run.path().display();
    let source = source(m, about, &format!("wgrnn train --resume {shown} FILE"))?;
    if let Some(valid) = &about.valid
        && !given.contains_key("valid")
    {
        let again = format!("wgrnn train --resume {shown} --valid FILE");
        settings.valid = Some(valid_again(valid, &again)?);
    }
    let corpus = text::open(&source, Some(run.path()))?;
    let way = kept::train_on(run.path(), &corpus.name);
    if let Some(before) = &about.text {
        kept::same_text(before, &text::stored(&source, &corpus)?, "text", &way)?;
    }
    let prepared = text::prepare(&source, &corpus, about.vocabulary()?, &settings)?;
    if let (Some(before), Some(now)) = (&about.valid, &prepared.valid) {
        kept::same_text(before, now, "validation text", &way)?;
    }
    let length = settings.length(about.text.as_ref().is_some_and(|t| t.builtin.is_some()));
    settings.set_length(length);
    let cells = about.cells().map_err(|e| loaded.named(e))?;
    let spec = spec(&settings, cells, about.vocabulary()?.len());
    let Some(planned) = planned(m, device, settings, spec, length, &prepared)? else {
        return Ok(None);
    };
    let about = About {
        text: Some(prepared.text),
        valid: prepared.valid,
        floor: prepared.floor,
        ..about.clone()
    };
    from_here(planned, about, &loaded, run).map(Some)
}

/// A run that goes on from the checkpoint `loaded` with what is planned, and says `about` itself.
///
/// # Errors
/// Usage, where nothing is left to do; Checkpoint, for a state that does not fit.
pub fn from_here(mut planned: Planned, about: About, loaded: &Loaded, run: &Run) -> Result<Ready> {
    let before = &loaded.saved.about;
    let state = first_state(&planned, before, &loaded.checkpoint);
    let mut state = state.map_err(|e| loaded.named(e))?;
    let job = &mut planned.job;
    let counters = &mut state.counters;
    let missing = run.missing(counters.best.is_some(), counters.step);
    missing
        .iter()
        .for_each(|line| out::note(&format!("warning: {line}")));
    if !run.best_path().exists() {
        // The next evaluation is the best of those that are left.
        counters.best = None;
    }
    job.go_on(counters).map_err(|e| loaded.named(e))?;
    if job.over(counters, counters.elapsed) {
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
        ..about
    };
    Ok(Ready {
        planned,
        about,
        state,
    })
}

/// The state to go on from. Imported weights bring none but themselves, so that the sizes of a minibatch, the optimiser
/// and all that hangs on them are free.
fn first_state(planned: &Planned, about: &About, checkpoint: &Checkpoint) -> Result<State> {
    let job = &planned.job;
    if about.text.is_some() {
        return State::from_checkpoint(&job.plan, checkpoint);
    }
    let parameters = state::weights(&job.plan, checkpoint)?;
    let symbols = job.spec.vocab;
    let steps = job.steps_per_epoch();
    Ok(State::start(&job.plan, parameters, steps, symbols))
}

/// The text that was given, else the run's own; `again` is how another place of that is said.
fn source(m: &ArgMatches, about: &About, again: &str) -> Result<TextSource> {
    let files: Vec<PathBuf> = m.get_many("files").unwrap_or_default().cloned().collect();
    if !files.is_empty() {
        return Ok(TextSource::Files(files));
    }
    match &about.text {
        None => Err(Error::usage(
            "the run's weights were imported, so it has no text yet: give one",
        )),
        Some(text) => match text.builtin {
            Some((seed, chars)) => Ok(TextSource::Builtin { seed, chars }),
            None if is_stdin(text) => Err(Error::usage(
                "the run's text came from standard input: give it again, as a file or as -",
            )),
            None => {
                kept::present(text, again)?;
                Ok(TextSource::Files(text.files.clone()))
            }
        },
    }
}

/// Where the run found its validation text.
fn valid_again(valid: &TextRecord, again: &str) -> Result<Files> {
    if is_stdin(valid) {
        return Err(Error::usage(
            "the run's validation text came from standard input: give it again with --valid, as a file or as -",
        ));
    }
    kept::present(valid, again)?;
    let files = valid.files.iter().map(|f| f.to_string_lossy().into_owned());
    Ok(Files(files.collect()))
}

fn is_stdin(text: &TextRecord) -> bool {
    text.files.iter().any(|f| f.as_os_str() == "-")
}

/// Where the settings of a resumed run come from.
struct Sources<'a> {
    run: &'a Path,
    /// The run's settings file, and what it says.
    path: &'a Path,
    file: Table,
    given: &'a Table,
    /// Whether the weights were imported and not yet trained on.
    imported: bool,
}

impl Sources<'_> {
    /// Refuses what cannot change from `before`, what the checkpoint was made with, to `now`: every fault at once. What
    /// was changed in the settings file and can be is told.
    fn allowed(&self, before: &Settings, now: &Settings) -> Result<()> {
        let (old, new) = (before.to_table()?, now.to_table()?);
        let show = |value: Option<&toml::Value>| value.map_or("none".into(), |v| v.to_string());
        let (mut faults, mut kind, mut way) = (Vec::new(), Kind::Data, false);
        for key in Settings::keys() {
            let name = key.name;
            let flag = self.given.contains_key(name);
            let edited = self.file.get(name) != old.get(name);
            // What follows from another setting's value is no change of its own.
            if old.get(name) == new.get(name) || !(flag || edited) {
                continue;
            }
            let place = if flag {
                format!("--{name}")
            } else {
                format!("{}: {name}", self.path.display())
            };
            let (was, is) = (show(old.get(name)), show(new.get(name)));
            let change = ChangedSetting {
                key,
                was: &was,
                is: &is,
            };
            let Some(reason) = self.reason(&change, before, now) else {
                if !flag {
                    out::note(&format!("{place}: {is} from here on, {was} before"));
                }
                continue;
            };
            if flag {
                kind = Kind::Usage;
            }
            way |= !self.imported && !matches!(key.on_resume, OnResume::Shape | OnResume::Start);
            faults.push(format!("{place}: {reason}"));
        }
        if faults.is_empty() {
            return Ok(());
        }
        if way {
            faults.push(kept::train_on(self.run, "TEXT"));
        }
        Err(Error::new(kind, faults.join("\n")))
    }

    /// Why a setting cannot change; nothing where it can.
    fn reason(&self, change: &ChangedSetting, before: &Settings, now: &Settings) -> Option<String> {
        let ChangedSetting { key, was, is } = *change;
        let name = key.name;
        if !self.imported {
            let both = before.valid.is_some() && now.valid.is_some();
            return match name {
                // Compared by what it holds, once it is read.
                "valid" if both && self.given.contains_key(name) => None,
                "valid" if before.valid.is_none() => Some(format!(
                    "the run's validation text is the last {} of its text (val), got {is}; a resumed run keeps it",
                    before.val
                )),
                _ if key.on_resume == OnResume::Free => None,
                _ => Some(format!(
                    "the run was trained with {was}, got {is}; a resumed run keeps it"
                )),
            };
        }
        let adaptive = [before.softmax, now.softmax].contains(&SoftmaxName::Adaptive);
        if name == "preset" {
            return Some(format!(
                "the run's own settings win over a preset's, got {is}; give the settings themselves"
            ));
        }
        if key.on_resume == OnResume::Shape || name == "softmax" && adaptive {
            return Some(format!(
                "the imported weights have {was}, got {is}; what shapes the model cannot change"
            ));
        }
        (key.on_resume == OnResume::Start).then(|| {
            format!("the weights are there already, so that none starts with {is}; leave it out")
        })
    }
}

/// A setting that is to have another value.
struct ChangedSetting<'a> {
    key: &'a Key,
    was: &'a str,
    is: &'a str,
}
