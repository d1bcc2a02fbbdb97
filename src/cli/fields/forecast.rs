//! `predict` for models of numbers: how sequences go on, in the units of the data, as CSV; sets of notes as JSON lines.

use clap::ArgMatches;
use pollster::block_on;
use serde_json::json;
use wgrnn::data::fields::{Examples, FieldCode};
use wgrnn::model::text::{Forecast, Reading, Target};
use wgrnn::train::examples::Said;
use wgrnn::train::{ExampleSet, Forecaster, Settings};
use wgrnn::{Error, Result};

use super::{FieldSource, LoadedFields};
use crate::cli::{flags, out};

/// Whether all that a model predicts are numbers.
pub fn of_numbers(run: &LoadedFields) -> bool {
    let mut losses = run.model.losses().iter();
    losses.all(|loss| matches!(loss.target, Target::Numbers(_)))
}

/// The sequences to go on with: of a series that is cut into windows, its last one.
///
/// # Errors
/// As [`ExampleSet::new`].
pub fn sequences(
    run: &LoadedFields,
    source: &FieldSource,
    examples: &Examples,
    settings: &Settings,
) -> Result<ExampleSet> {
    let model = &run.model;
    let mut records = source.inputs(&run.codes, examples)?;
    let once = model.losses().iter().all(|loss| loss.steps().is_none());
    if once
        && settings.context > 0
        && let [field] = model.fields()
        && let Some(lengths) = examples.steps(&field.name)
    {
        let mut start = 0;
        let mut spans = Vec::new();
        for steps in lengths {
            let last = steps.min(settings.context);
            spans.push((start + steps - last, last));
            start += steps;
        }
        records = records.windows(&spans)?.into();
    }
    let all = (0..records.len() as u32).collect();
    ExampleSet::new(model.clone(), records, all, None)
}

/// Prints how the sequences of `set` go on.
///
/// # Errors
/// Usage, for a model whose losses do not say how they are read; a device that cannot hold it.
pub fn predict(m: &ArgMatches, run: &LoadedFields, set: ExampleSet) -> Result<()> {
    let (model, settings) = (&run.model, &run.loaded.settings);
    let forecasts: Option<Vec<Forecast>> = (0..model.losses().len())
        .map(|loss| model.forecast(loss, settings.horizon))
        .collect();
    let plain = |f: &Forecast| f.reading != Reading::Handwriting;
    let Some(forecasts) = forecasts.filter(|all| all.iter().all(plain)) else {
        return Err(Error::usage(format!(
            "model {}: expected losses that say what comes next (squared, absolute, quantile, gaussian, bernoulli of `next(F)` or \
             `ahead(F, k)`); `sample` draws from others",
            model.name
        )));
    };
    let block = forecasts[0].steps;
    if forecasts
        .iter()
        .any(|f| f.steps != block || f.field != forecasts[0].field)
    {
        return Err(Error::usage(format!(
            "model {}: expected losses of as many steps of one field",
            model.name
        )));
    }
    let steps = m.get_one::<u64>("steps").map_or(block, |n| *n as usize);
    let device = flags::open_device(m)?;
    let weights = |plan: &wgrnn::op::Plan| run.weights(plan, "the forecasts", "lower --steps");
    // What is fed back: the first loss whose value is the middle of what may come.
    let middle = |f: &Forecast| match f.reading {
        Reading::Value | Reading::Gaussian | Reading::Bits => true,
        Reading::Quantile(q) => q == 0.5,
        Reading::Handwriting => false,
    };
    let fed = forecasts.iter().position(middle);
    if fed.is_none() && steps > block {
        return Err(Error::usage(format!(
            "--steps: expected at most {block}, as no loss says the middle of what may come, which later steps would be read from, got {steps}"
        )));
    }
    let fed = fed.unwrap_or(0);
    let mut said_by: Vec<Vec<Said>> = vec![Vec::new(); set.len()];
    let added = block_on(async {
        let spec = &run.loaded.spec;
        let made = Forecaster::new(&device, spec, set, &run.codes, weights, steps);
        let mut made = made.await?;
        made.run(steps, &mut |example, _, said| {
            said_by[example as usize].push(said.clone());
            let value = &said[fed][0];
            Ok(match forecasts[fed].reading {
                Reading::Bits => value
                    .iter()
                    .map(|x| f32::from(u8::from(*x > 0.0)))
                    .collect(),
                _ => value.clone(),
            })
        })
        .await
    })?;
    let field = &model.fields()[forecasts[0].field].name;
    match run.codes.code(field) {
        Some(FieldCode::Bits { first, width }) => notes(*first, *width, &added),
        Some(code @ FieldCode::Steps { .. }) => table(m, field, code, &forecasts, &said_by, steps),
        _ => Err(Error::internal(format!("field {field} has no numbers"))),
    }
}

/// A line of JSON a sequence: a list of steps, each the list of its notes.
fn notes(first: u32, width: usize, added: &[Vec<f32>]) -> Result<()> {
    let mut text = String::new();
    for piece in added {
        text.push_str(&json!(sets(first, width, piece)).to_string());
        text.push('\n');
    }
    out::raw(text.as_bytes())
}

/// The notes of every step.
pub fn sets(first: u32, width: usize, piece: &[f32]) -> Vec<Vec<u32>> {
    let of = |step: &[f32]| {
        let notes = step.iter().enumerate().filter(|(_, bit)| **bit > 0.5);
        notes.map(|(n, _)| first + n as u32).collect()
    };
    piece.chunks(width).map(of).collect()
}

/// The names of a field's columns as a table has them: those of the training's, or the field's with their number.
pub fn column_names(field: &str, code: &FieldCode) -> Vec<String> {
    let FieldCode::Steps { width, names, .. } = code else {
        return Vec::new();
    };
    let quoted = |name: &String| {
        if name.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.clone()
        }
    };
    match (&names[..], width) {
        ([], 1) => vec![field.to_string()],
        ([], _) => (0..*width).map(|c| format!("{field}.{c}")).collect(),
        (names, _) => names.iter().map(quoted).collect(),
    }
}

/// A row a step of a sequence, in the units of the data.
fn table(
    m: &ArgMatches,
    field: &str,
    code: &FieldCode,
    forecasts: &[Forecast],
    said_by: &[Vec<Said>],
    steps: usize,
) -> Result<()> {
    let FieldCode::Steps { width, scale, .. } = code else {
        return Err(Error::internal("a table of what is no numbers"));
    };
    let own = column_names(field, code);
    let unit = |c: usize| {
        scale
            .as_ref()
            .map_or((0.0, 1.0), |s| (s[c].mean, s[c].deviation))
    };
    // Every column of every loss: its name, the loss, its operand and what makes it a number of the data.
    let mut columns: Vec<(String, usize, usize, usize)> = Vec::new();
    for (loss, forecast) in forecasts.iter().enumerate() {
        let more = match forecast.reading {
            Reading::Quantile(q) => format!(".q{q}"),
            _ => String::new(),
        };
        columns.extend((0..*width).map(|c| (format!("{}{more}", own[c]), loss, 0, c)));
        if forecast.reading == Reading::Gaussian {
            columns.extend((0..*width).map(|c| (format!("{}.deviation", own[c]), loss, 1, c)));
        }
    }
    let block = forecasts[0].steps;
    let mut text = String::new();
    if !m.get_flag("json") {
        let names: Vec<&str> = columns.iter().map(|column| column.0.as_str()).collect();
        text.push_str(&format!("series,step,{}\n", names.join(",")));
    }
    for (series, said) in said_by.iter().enumerate() {
        for step in 0..steps {
            let (block_of, within) = (step / block, step % block);
            let number = |(_, loss, operand, c): &(String, usize, usize, usize)| {
                let x = f64::from(said[block_of][*loss][*operand][within * width + c]);
                let (mean, deviation) = unit(*c);
                match operand {
                    0 => x * deviation + mean,
                    _ => (0.5 * x).exp() * deviation,
                }
            };
            let numbers: Vec<f64> = columns.iter().map(number).collect();
            if m.get_flag("json") {
                let of = columns.iter().zip(&numbers);
                let of = of.map(|(column, x)| (column.0.clone(), json!(x)));
                let all: serde_json::Map<String, serde_json::Value> = of.collect();
                let row = json!({ "series": series + 1, "step": step + 1, "values": all });
                text.push_str(&row.to_string());
            } else {
                let shown: Vec<String> = numbers.iter().map(|x| (*x as f32).to_string()).collect();
                text.push_str(&format!("{},{},{}", series + 1, step + 1, shown.join(",")));
            }
            text.push('\n');
        }
    }
    out::raw(text.as_bytes())
}
