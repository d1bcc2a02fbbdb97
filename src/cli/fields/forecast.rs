//! `predict` for models of numbers: how sequences go on, in the units of the data, as CSV; sets of notes as JSON lines.

use clap::ArgMatches;
use pollster::block_on;
use serde_json::json;
use wgrnn::data::fields::{Examples, FieldCode};
use wgrnn::model::text::{Forecast, Reading, Target};
use wgrnn::train::examples::Said;
use wgrnn::train::{ExampleSet, FieldEvaluator, Forecaster, Scored, Settings};
use wgrnn::{Error, Result};

use super::columns::{self, TableColumn};
use super::{FieldSource, LoadedFields};
use crate::cli::{flags, out};

/// Whether all that a model predicts are numbers.
pub fn of_numbers(run: &LoadedFields) -> bool {
    let mut losses = run.model.losses().iter();
    losses.all(|loss| matches!(loss.target, Target::Numbers(_)))
}

/// Whether it predicts numbers along the steps of what is read.
pub fn is_along(run: &LoadedFields) -> bool {
    let forecast = |loss| run.model.forecast(loss, run.loaded.settings.horizon);
    (0..run.model.losses().len())
        .any(|loss| forecast(loss).is_some_and(|forecast| forecast.is_along()))
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

/// Prints the numbers along every step of the examples of `set`.
///
/// # Errors
/// Usage, for a loss that does not say what these are; a device that cannot hold it.
pub fn along(m: &ArgMatches, run: &LoadedFields, set: ExampleSet) -> Result<()> {
    let model = &run.model;
    let forecasts: Option<Vec<Forecast>> = (0..model.losses().len())
        .map(|loss| model.forecast(loss, 1))
        .collect();
    let says = |f: &Forecast| matches!(f.reading, Reading::Value | Reading::Quantile(_));
    let of_one = |all: &Vec<Forecast>| all.iter().all(|f| f.field == all[0].field && says(f));
    let Some(forecasts) = forecasts.filter(of_one) else {
        return Err(Error::usage(format!(
            "model {}: expected losses that say what the numbers of one field are, such as `squared`, found another",
            model.name
        )));
    };
    let device = flags::open_device(m)?;
    let mut evaluator = FieldEvaluator::answering(&run.loaded.spec, set.clone(), &run.codes)?;
    let weights = run.weights(
        evaluator.plan(),
        "the numbers",
        "give fewer examples at once",
    )?;
    let mut said_by: Vec<Vec<Said>> = vec![Vec::new(); set.len()];
    block_on(evaluator.run(&device, &weights, &mut |scored: Scored<'_>| {
        let of = &mut said_by[scored.example as usize];
        if of.len() <= scored.step {
            of.resize(scored.step + 1, vec![Vec::new(); forecasts.len()]);
        }
        of[scored.step][scored.loss] = vec![scored.scores.to_vec()];
        Ok(())
    }))?;
    let field = &model.fields()[forecasts[0].field].name;
    let code = run.codes.code(field);
    let code = code.ok_or_else(|| Error::internal(format!("field {field} has no numbers")))?;
    let columns = columns::all(field, code, &forecasts, None)?;
    table(m, &columns, &said_by, (usize::MAX, 1))
}

/// Prints how the sequences of `set` go on.
///
/// # Errors
/// Usage, for a model with a loss of something else than the next steps of a field; a device that cannot hold it.
pub fn predict(m: &ArgMatches, run: &LoadedFields, set: ExampleSet) -> Result<()> {
    let (model, settings) = (&run.model, &run.loaded.settings);
    let forecasts: Option<Vec<Forecast>> = (0..model.losses().len())
        .map(|loss| model.forecast(loss, settings.horizon))
        .collect();
    let Some(forecasts) = forecasts else {
        return Err(Error::usage(format!(
            "model {}: expected losses of what comes next, all numbers of `next(F)` or `ahead(F, k)`, found one of something else",
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
        // The mean of a mixture may lie where nothing does.
        Reading::Mixture | Reading::Handwriting | Reading::Own => false,
    };
    let fed = forecasts.iter().position(middle);
    if fed.is_none() && steps > block {
        return Err(Error::usage(format!(
            "--steps: expected at most {block}, as no loss says the middle of what may come, which later steps would be read from, got {steps}"
        )));
    }
    let field = &model.fields()[forecasts[0].field].name;
    let code = run.codes.code(field);
    if fed.is_none() && matches!(code, Some(FieldCode::Bits { .. })) {
        return Err(Error::usage(format!(
            "model {}: expected a loss that says which notes sound, such as bernoulli, found others alone",
            model.name
        )));
    }
    let mut said_by: Vec<Vec<Said>> = vec![Vec::new(); set.len()];
    let added = block_on(async {
        let spec = &run.loaded.spec;
        let made = Forecaster::new(&device, spec, set, &run.codes, weights, steps);
        let mut made = made.await?;
        made.run(steps, &mut |example, _, said| {
            said_by[example as usize].push(said.clone());
            // What is not fed back ends with the steps that are predicted at once.
            let value = |fed: usize| match forecasts[fed].reading {
                Reading::Bits => {
                    let bit = |x: &f32| f32::from(u8::from(*x > 0.0));
                    said[fed][0].iter().map(bit).collect()
                }
                _ => said[fed][0].clone(),
            };
            Ok(fed.map_or(Vec::new(), value))
        })
        .await
    })?;
    match code {
        Some(FieldCode::Bits { first, width }) => notes(*first, *width, &added),
        Some(code @ FieldCode::Steps { .. }) => {
            let first = said_by.first().and_then(|said| said.first());
            let columns = columns::all(field, code, &forecasts, first)?;
            table(m, &columns, &said_by, (steps, block))
        }
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

/// A row a step of a sequence, as many as are said and `steps` at most, in the units of the data.
fn table(
    m: &ArgMatches,
    columns: &[TableColumn<'_>],
    said_by: &[Vec<Said>],
    (steps, block): (usize, usize),
) -> Result<()> {
    let mut text = String::new();
    if !m.get_flag("json") {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        text.push_str(&format!("series,step,{}\n", names.join(",")));
    }
    for (series, said) in said_by.iter().enumerate() {
        for step in 0..steps.min(said.len() * block) {
            let number = |column: &TableColumn<'_>| {
                (column.number)(&said[step / block][column.loss], step % block)
            };
            let numbers: Vec<f64> = columns.iter().map(number).collect();
            if m.get_flag("json") {
                let of = columns.iter().zip(&numbers);
                let of = of.map(|(column, x)| (column.name.clone(), json!(x)));
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
