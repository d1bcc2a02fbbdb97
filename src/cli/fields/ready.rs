//! What training a model of fields begins with: the job that a command line asks for, and its first state.

use clap::ArgMatches;
use wgrnn::Result;
use wgrnn::exec::Device;
use wgrnn::train::{About, FieldData, Job, Length, ModelText, Settings, Symbols, spec};

use super::data::{PreparedFields, prepare};
use super::{FieldSource, model};
use crate::cli::ready::{Jobs, Ready, planned_of};
use crate::cli::{flags, text};

/// A new run of a model of fields; none where only its plan is wanted.
pub fn fresh(m: &ArgMatches, device: &Device, mut settings: Settings) -> Result<Option<Ready>> {
    let model = model(&settings)?;
    let cells = text::cells(&settings)?;
    let length = settings.length(false);
    settings.set_length(length);
    let near = flags::path(m, "out").cloned();
    let near = near.unwrap_or_else(|| "runs/new".into());
    let source = FieldSource::new(&model, &flags::files(m), &settings, &near)?;
    let PreparedFields { data, text, valid } = prepare(&model, &source, None, &settings)?;
    let cell_texts = cells.iter().map(Into::into).collect();
    let codes = data.codes.clone();
    let of = jobs(settings.clone(), spec(&settings, cells, 0), length, data);
    let Some(planned) = planned_of(m, device, settings.batch, of)? else {
        return Ok(None);
    };
    let about = About {
        program: env!("CARGO_PKG_VERSION").into(),
        settings: planned.job.settings.to_toml()?,
        symbols: Symbols::Fields {
            model: ModelText {
                name: model.name.clone(),
                text: model.text.clone(),
            },
            codes,
        },
        cells: cell_texts,
        text: Some(text),
        valid,
        floor: None,
    };
    let state = planned.job.start()?;
    Ok(Some(Ready {
        planned,
        about,
        state,
    }))
}

/// The job for any batch.
fn jobs(settings: Settings, spec: wgrnn::model::Spec, length: Length, data: FieldData) -> Jobs {
    Box::new(move |batch| {
        let settings = Settings {
            batch,
            ..settings.clone()
        };
        Job::of_fields(settings, spec.clone(), length, &data)
    })
}
