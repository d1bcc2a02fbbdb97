//! What is profiled: the model of a run, or of the flags alone.

use std::sync::Arc;

use clap::ArgMatches;
use clap::parser::ValueSource;
use wgrnn::cell::library;
use wgrnn::model::Spec;
use wgrnn::model::text::{Model, Sizes};
use wgrnn::train::examples::sizes_for;
use wgrnn::train::settings::resolve;
use wgrnn::train::{Run, Settings, Symbols, spec};
use wgrnn::{Error, Result};

use super::super::load::Loaded;
use super::super::models::{FieldValues, sizes_of};
use super::super::{fields, flags, out, text};

/// What is profiled.
pub struct ProfiledModel {
    pub settings: Settings,
    pub spec: Spec,
    /// Of a model of fields: which, and the sizes of a minibatch.
    pub fields: Option<(Arc<Model>, Sizes)>,
}

/// Classes and the width of vectors, where no run says them.
const CLASSES: usize = 10;
const WIDTH: usize = 64;
/// The width of a step of numbers: that of a pen's.
const STEP: usize = 3;

/// The model of the run that was named, else of the flags alone.
pub fn model(m: &ArgMatches) -> Result<ProfiledModel> {
    let given = flags::given(m);
    let mut names: Vec<&str> = library::all_names().collect();
    let Some(path) = flags::path(m, "run") else {
        let settings = resolve(None, given, &names)?;
        let cells = text::cells(&settings)?;
        let vocab = m.get_one::<u64>("vocab-size").map_or(65, |n| *n as usize);
        let spec = spec(&settings, cells, vocab);
        let values = FieldValues {
            symbols: vocab.max(3),
            classes: CLASSES,
            width: WIDTH,
            step: STEP,
        };
        let fields = if settings.of_fields() {
            let model = fields::model(&settings)?;
            let (examples, steps) = (settings.batch, length(m, true)?);
            let rows = examples.saturating_mul(steps);
            let sizes = sizes_of(&model, values, examples, steps, rows);
            Some((model, sizes))
        } else {
            length(m, false)?;
            None
        };
        return Ok(ProfiledModel {
            settings,
            spec,
            fields,
        });
    };
    if m.value_source("vocab-size") == Some(ValueSource::CommandLine) {
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
    if settings.model != loaded.settings.model {
        return Err(Error::usage(format!(
            "--model: {} has model {}; leave one of both out",
            path.display(),
            loaded.settings.model
        )));
    }
    // The run's own cell is in its checkpoint; its file need not exist any more.
    let cells = if other {
        text::cells(&settings)?
    } else {
        let cells = about.cells().map_err(|e| loaded.named(e))?;
        text::constants(cells, settings.cell_const.as_deref())?
    };
    let (symbols, fields) = match &about.symbols {
        Symbols::Text { vocabulary, .. } => {
            length(m, false)?;
            (vocabulary.len(), None)
        }
        Symbols::Fields { model, codes } => {
            let model = model.model().map_err(|e| loaded.named(e))?;
            let sizes = sizes_for(&model, codes, settings.batch, length(m, true)?)?;
            (0, Some((Arc::new(model), sizes)))
        }
    };
    let spec = spec(&settings, cells, symbols);
    Ok(ProfiledModel {
        settings,
        spec,
        fields,
    })
}

/// Tokens of the longest made-up sequence; only models `of_fields` have it from here.
fn length(m: &ArgMatches, of_fields: bool) -> Result<usize> {
    if !of_fields && m.value_source("length") == Some(ValueSource::CommandLine) {
        return Err(Error::usage(
            "--length: expected a model of fields, got one of a text, whose T is --seq-len",
        ));
    }
    Ok(m.get_one::<u64>("length").map_or(50, |n| *n as usize))
}
