//! `sample` for models of numbers: pieces of music and drawings, drawn step by step from what a model says of the next one.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use pollster::block_on;
use serde_json::{Map, Value, json};
use wgrnn::data::fields::FieldCode;
use wgrnn::model::text::{Forecast, Reading};
use wgrnn::op::Plan;
use wgrnn::rng::{Purpose, Stream};
use wgrnn::train::examples::{Said, draw};
use wgrnn::train::{Choice, ExampleSet, Forecaster, Settings};
use wgrnn::{Error, Result};

use super::forecast::sets;
use super::{FieldSource, LoadedFields, drawing, midi, sample};
use crate::cli::{flags, out};

/// Flags of models that write texts, which have no meaning here.
const OF_TEXTS: [&str; 3] = ["prime", "top-k", "top-p"];
/// Flags of models of numbers.
pub const OF_NUMBERS: [&str; 4] = ["begin", "begin-steps", "midi", "svg"];

/// Draws `count` pieces of `length` steps and prints them: as JSON lines of sets of notes, or as CSV in the units of the data;
/// `--midi` and `--svg` write files too, and `--given` has the fields that pieces are about.
///
/// # Errors
/// Usage: flags that fit no such model; a model that says no probabilities; a field without a value. Data: what the file that
/// pieces begin with has wrong.
pub fn draw_pieces(
    m: &ArgMatches,
    run: &LoadedFields,
    choice: &Choice,
    count: usize,
    length: usize,
) -> Result<()> {
    let model = &run.model;
    if let Some(flag) = flags::first_given(m, &OF_TEXTS) {
        return Err(Error::usage(format!(
            "--{flag}: expected none, as model {} makes numbers; --begin says how they begin",
            model.name
        )));
    }
    let forecast = (0..model.losses().len())
        .find_map(|loss| Some((loss, model.forecast(loss, run.loaded.settings.horizon)?)));
    let Some((loss, Forecast { field, reading, .. })) = forecast else {
        return Err(Error::usage(format!(
            "model {}: expected a field of which a loss predicts the next step",
            model.name
        )));
    };
    let name = &model.fields()[field].name;
    let Some(code) = run.codes.code(name) else {
        return Err(Error::internal(format!("field {name} has no code")));
    };
    let is_pen = reading == Reading::Handwriting;
    for (flag, fits, what) in [
        (
            "midi",
            matches!(code, FieldCode::Bits { .. }),
            "sets of notes",
        ),
        ("svg", is_pen, "strokes of a pen"),
    ] {
        if m.value_source(flag).is_some() && !fits {
            let of = &model.name;
            let message = format!("--{flag}: expected a model of {what}, got {of}");
            return Err(Error::usage(message));
        }
    }
    let (begun, begin) = beginnings(m, run, (name, code), count)?;
    let device = flags::open_device(m)?;
    let weights = |plan: &Plan| run.weights(plan, "the pieces", "lower --count or --length");
    let count = begun.len();
    let starts = begun.columns(&(0..count as u32).collect::<Vec<u32>>())?;
    let mut streams: Vec<Stream> = (0..count as u64)
        .map(|n| Stream::new(choice.seed, Purpose::Sample, n))
        .collect();
    let (added, width) = block_on(async {
        let spec = &run.loaded.spec;
        let made = Forecaster::new(&device, spec, begun, &run.codes, weights, length);
        let mut made = made.await?;
        let width = made.width();
        let mut next = |example: u32, _: usize, said: &Said| {
            let stream = &mut streams[example as usize];
            draw(reading, &said[loss], choice.temperature, stream)
        };
        Ok::<_, Error>((made.run(length, &mut next).await?, width))
    })?;
    let mut pieces = added;
    if begin && let wgrnn::task::Column::Reals(starts) = &starts[field] {
        for (piece, start) in pieces.iter_mut().zip(starts) {
            piece.splice(0..0, start.iter().copied());
        }
    }
    match code {
        FieldCode::Bits { first, .. } => music(m, &pieces, *first, width),
        _ => {
            for piece in &mut pieces {
                code.unscale(piece);
            }
            numbers(m, &pieces, (name, code, width))
        }
    }
}

/// What pieces begin with, and whether it is a part of them: the first steps of a file's examples, or one step of zeros, which
/// stands for the mean where numbers are standardised.
fn beginnings(
    m: &ArgMatches,
    run: &LoadedFields,
    (field, code): (&str, &FieldCode),
    count: usize,
) -> Result<(ExampleSet, bool)> {
    let (model, path) = (&run.model, &run.loaded.path);
    let given = m.get_many::<String>("given").into_iter().flatten();
    let given: Vec<String> = given.cloned().collect();
    let made = [field.to_string()];
    let about = sample::values(
        model,
        &given,
        &made,
        "the model makes it; --begin says how it begins",
    )?;
    let others = model.fields().iter().filter(|other| other.name != field);
    let missing: Vec<&str> = others
        .map(|other| other.name.as_str())
        .filter(|name| !about.contains_key(name))
        .collect();
    if let Some(name) = missing.first() {
        return Err(sample::missing(model, "pieces", name));
    }
    let set = |records, numbers| ExampleSet::new(model.clone(), records, numbers, None);
    if let Some(file) = flags::path(m, "begin") {
        if model.fields().len() > 1 {
            return Err(Error::usage(format!(
                "--begin: expected a model of one field, got {}, whose pieces are about what --given says",
                model.name
            )));
        }
        let files = [wgrnn::paths::to_text(file.as_os_str())];
        let source = FieldSource::new(model, &files, &run.loaded.settings, path)?;
        let examples = source.read()?;
        let records = source.inputs(&run.codes, &examples)?;
        let steps = m.get_one::<u64>("begin-steps").map_or(1, |n| *n as usize);
        let lengths = examples.steps(field).unwrap_or_default();
        let mut first = 0;
        let mut spans = Vec::new();
        for length in lengths {
            spans.push((first, length.min(steps)));
            first += length;
        }
        if spans.len() < count {
            return Err(Error::usage(format!(
                "--begin: expected at least {count} examples, one for each piece, found {}",
                spans.len()
            )));
        }
        spans.truncate(count);
        let records = records.windows(&spans)?;
        return Ok((set(records.into(), (0..count as u32).collect())?, true));
    }
    if m.value_source("begin-steps").is_some() {
        return Err(Error::usage("--begin-steps: expected --begin FILE too"));
    }
    let step = match code {
        FieldCode::Steps { width, scale, .. } => {
            let mean = |c: usize| scale.as_ref().map_or(0.0, |scale| scale[c].mean);
            json!([(0..*width).map(mean).collect::<Vec<f64>>()])
        }
        _ => json!([[]]),
    };
    let mut example = Map::new();
    example.insert(field.to_string(), step);
    let about = about.into_iter();
    example.extend(about.map(|(name, value)| (name.to_string(), value)));
    let lines = format!("{}\n", Value::Object(example)).repeat(count);
    let settings = Settings {
        format: Some("jsonl".into()),
        ..Settings::default()
    };
    let source = FieldSource::new(model, &["-".into()], &settings, path)?;
    let read = source
        .read_from(&mut lines.as_bytes())
        .map_err(sample::of_flag)?;
    let records = source.inputs(&run.codes, &read).map_err(sample::of_flag)?;
    Ok((set(records, (0..count as u32).collect())?, false))
}

fn music(m: &ArgMatches, pieces: &[Vec<f32>], first: u32, width: usize) -> Result<()> {
    let mut text = String::new();
    for (n, piece) in pieces.iter().enumerate() {
        let steps = sets(first, width, piece);
        text.push_str(&json!(steps).to_string());
        text.push('\n');
        if let Some(file) = flags::path(m, "midi") {
            write(&numbered(file, n, pieces.len()), &midi::file(&steps))?;
        }
    }
    out::raw(text.as_bytes())
}

fn numbers(
    m: &ArgMatches,
    pieces: &[Vec<f32>],
    (name, code, width): (&str, &FieldCode, usize),
) -> Result<()> {
    if let Some(file) = flags::path(m, "svg") {
        write(file, drawing::sheet(pieces).as_bytes())?;
    }
    let names = super::columns::column_names(name, code);
    let mut text = String::new();
    if !m.get_flag("json") {
        text.push_str(&format!("series,step,{}\n", names.join(",")));
    }
    for (n, piece) in pieces.iter().enumerate() {
        let steps: Vec<&[f32]> = piece.chunks(width).collect();
        if m.get_flag("json") {
            text.push_str(&json!({"sample": n + 1, "steps": steps}).to_string());
            text.push('\n');
            continue;
        }
        for (step, numbers) in steps.iter().enumerate() {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            text.push_str(&format!("{},{},{}\n", n + 1, step + 1, numbers.join(",")));
        }
    }
    out::raw(text.as_bytes())
}

/// The name of file `n` of so many: with its number, from 1, where there are several.
fn numbered(file: &Path, n: usize, of: usize) -> PathBuf {
    if of == 1 {
        return file.to_path_buf();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let ending = file
        .extension()
        .map(|e| format!(".{}", e.to_string_lossy()));
    file.with_file_name(format!("{stem}-{}{}", n + 1, ending.unwrap_or_default()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(file, bytes).map_err(|e| Error::io("write", file, &e))
}
