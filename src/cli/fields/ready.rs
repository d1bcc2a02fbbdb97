//! What training a model of fields begins with: the job that a command line asks for, and its first state.

use clap::ArgMatches;
use wgrnn::exec::Device;
use wgrnn::train::{About, FieldData, Job, Length, ModelText, Run, Settings, Symbols, spec};
use wgrnn::{Error, Result};

use super::data::{PreparedFields, prepare};
use super::{FieldSource, LoadedFields, model};
use crate::cli::ready::{Jobs, Ready, planned_of};
use crate::cli::{flags, kept, resume, text};

/// A new run of a model of fields; none where only its plan is wanted.
pub fn fresh(m: &ArgMatches, device: &Device, mut settings: Settings) -> Result<Option<Ready>> {
    let model = model(&settings)?;
    if flags::given(m).contains_key("cell") && !model.takes_cell() {
        return Err(Error::usage(format!(
            "--cell: expected none, as no line of model {} leaves its cell to the settings",
            model.name
        )));
    }
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
            model: ModelText::of(&model),
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

/// The same run again: its own model and codes, and its files, which must be those of before.
pub fn resumed(
    m: &ArgMatches,
    device: &Device,
    run: &LoadedFields,
    mut settings: Settings,
    writer: &Run,
) -> Result<Option<Ready>> {
    let LoadedFields {
        loaded,
        model,
        codes,
    } = run;
    let about = &loaded.saved.about;
    kept::model(&settings, model, writer.path())?;
    let shown = writer.path().display();
    let given = flags::files(m);
    let source = match (&about.text, given.is_empty()) {
        (_, false) => FieldSource::new(model, &given, &settings, writer.path())?,
        (Some(text), true) => {
            kept::present(text, &format!("wgrnn train --resume {shown} FILE"))?;
            FieldSource::recorded(model, text, &settings, writer.path())?
        }
        (None, true) => {
            return Err(Error::usage(
                "the run's weights were imported, so it has no data yet: give files",
            ));
        }
    };
    let prepared = prepare(model, &source, Some(codes), &settings)?;
    let way = kept::train_on(writer.path(), "FILE");
    if let Some(before) = &about.text {
        kept::same_text(before, &prepared.text, "data", &way)?;
    }
    if let (Some(before), Some(now)) = (&about.valid, &prepared.valid) {
        kept::same_text(before, now, "validation data", &way)?;
    }
    let length = settings.length(false);
    settings.set_length(length);
    let cells = about.cells().map_err(|e| loaded.named(e))?;
    let spec = spec(&settings, cells, 0);
    let of = jobs(settings.clone(), spec, length, prepared.data);
    let Some(planned) = planned_of(m, device, settings.batch, of)? else {
        return Ok(None);
    };
    let about = About {
        text: Some(prepared.text),
        valid: prepared.valid,
        ..about.clone()
    };
    resume::from_here(planned, about, loaded, writer).map(Some)
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
