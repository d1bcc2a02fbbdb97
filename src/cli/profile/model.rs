//! What is profiled: the model of a run, or of the flags alone.

use clap::ArgMatches;
use wgrnn::cell::library;
use wgrnn::model::Spec;
use wgrnn::train::settings::resolve;
use wgrnn::train::{Run, Settings, spec};
use wgrnn::{Error, Result};

use super::super::load::Loaded;
use super::super::{flags, out, text};

/// What is profiled.
pub struct ProfiledModel {
    pub settings: Settings,
    pub spec: Spec,
}

/// The model of the run that was named, else of the flags alone.
pub fn model(m: &ArgMatches) -> Result<ProfiledModel> {
    let given = flags::given(m);
    let mut names: Vec<&str> = library::names().collect();
    let Some(path) = flags::path(m, "run") else {
        let settings = resolve(None, given, &names)?;
        text::refuse_fields(&settings, "--model")?;
        let cells = text::cells(&settings)?;
        let vocab = m.get_one::<u64>("vocab-size").map_or(65, |n| *n as usize);
        let spec = spec(&settings, cells, vocab);
        return Ok(ProfiledModel { settings, spec });
    };
    if m.value_source("vocab-size") == Some(clap::parser::ValueSource::CommandLine) {
        return Err(Error::usage(format!(
            "--vocab-size: {} has its own vocabulary; leave one of both out",
            path.display()
        )));
    }
    let run = Run::open(path)?;
    let newest = run.newest()?;
    for warning in &newest.warnings {
        out::note(&format!("warning: {warning}"));
    }
    let loaded = Loaded::new(newest.checkpoint, newest.path)?;
    let about = &loaded.saved.about;
    names.extend(loaded.settings.cell.split(','));
    let other = given.contains_key("cell");
    let (file, content) = (run.settings_path(), run.settings()?);
    let settings = resolve(Some((&file, &content)), given, &names)?;
    text::refuse_fields(&settings, &path.display().to_string())?;
    // The run's own cell is in its checkpoint; its file need not exist any more.
    let cells = if other {
        text::cells(&settings)?
    } else {
        let cells = about.cells().map_err(|e| loaded.named(e))?;
        text::constants(cells, settings.cell_const.as_deref())?
    };
    let spec = spec(&settings, cells, about.vocabulary()?.len());
    Ok(ProfiledModel { settings, spec })
}
