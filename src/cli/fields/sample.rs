//! `sample` for a model of fields: texts about what the command line gives, and none about files.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wgrnn::model::text::{Model, ModelFieldKind};
use wgrnn::train::{ExampleSet, Settings};
use wgrnn::{Error, Result};

use super::{FieldSource, LoadedFields};

/// So many examples with the values `given`, each `FIELD=VALUE`, in the fields that the model's texts are about. A vector is
/// numbers between commas.
///
/// # Errors
/// Usage: a model that writes no texts; a field that is none, is given twice, is written by the model or is missing; numbers
/// that are none. Data: a label that training has not seen.
pub fn examples(run: &LoadedFields, given: &[String], count: usize) -> Result<ExampleSet> {
    let model = &run.model;
    let Some((written, _)) = run.written() else {
        return Err(Error::usage(format!(
            "{}: expected a model that writes texts, found model {}; `predict` answers with it",
            run.loaded.path.display(),
            model.name
        )));
    };
    let answers = run.answers();
    let mut values = values(
        model,
        given,
        &answers,
        "the model writes it; --prime says how it begins",
    )?;
    let mut example = Map::new();
    for field in model.fields() {
        let name = field.name.as_str();
        let value = match (values.remove(name), field.kind) {
            (Some(value), _) => value,
            // Read from the words of another field.
            (
                None,
                ModelFieldKind::Tokens {
                    within: Some(_), ..
                },
            ) => continue,
            // What the model writes is not looked at, but makes an example where there is no other field.
            (None, _) if name == written => json!("x"),
            (None, _) if answers.iter().any(|answer| answer == name) => continue,
            (None, _) => return Err(missing(model, "texts", name)),
        };
        example.insert(name.to_string(), value);
    }
    let lines = format!("{}\n", Value::Object(example)).repeat(count);
    let settings = Settings {
        format: Some("jsonl".into()),
        ..Settings::default()
    };
    let optional = answers.iter().map(ToString::to_string).collect();
    let source = FieldSource::new(model, &["-".into()], &settings, &run.loaded.path)?;
    let source = source.without(optional);
    let read = source.read_from(&mut lines.as_bytes()).map_err(of_flag)?;
    let records = source.inputs(&run.codes, &read).map_err(of_flag)?;
    let all = (0..records.len() as u32).collect();
    ExampleSet::new(model.clone(), records, all, None)
}

/// The values that the command line gives, by field; `why` those of `answers` are not among them.
///
/// # Errors
/// Usage: no `FIELD=VALUE`; a field that is none, is an answer or is given twice; numbers that are none.
pub fn values<'a>(
    model: &'a Model,
    given: &[String],
    answers: &[String],
    why: &str,
) -> Result<BTreeMap<&'a str, Value>> {
    let mut values = BTreeMap::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            let error = format!("--given: expected FIELD=VALUE, got {text}");
            return Err(Error::usage(error));
        };
        let is_answer = answers.iter().any(|answer| answer == name);
        let field = model.fields().iter().find(|field| field.name == name);
        let Some(field) = field.filter(|_| !is_answer) else {
            let why = if is_answer {
                why
            } else {
                "the model has no such field"
            };
            return Err(Error::usage(format!("--given {name}: {why}")));
        };
        let value = json_value(field.kind, name, value)?;
        if values.insert(field.name.as_str(), value).is_some() {
            return Err(Error::usage(format!(
                "--given {name}: expected once, found twice"
            )));
        }
    }
    Ok(values)
}

/// What is said where a field has no value: `what` the model makes is about it.
pub fn missing(model: &Model, what: &str, name: &str) -> Error {
    Error::usage(format!(
        "--given {name}=VALUE: expected a value for each field that {what} of model {} are about, found none",
        model.name
    ))
}

/// A value as JSON lines have it.
fn json_value(kind: ModelFieldKind, name: &str, value: &str) -> Result<Value> {
    let ModelFieldKind::Vector = kind else {
        return Ok(json!(value));
    };
    let number = |text: &str| {
        let number = text.trim().parse::<f64>();
        number.map_err(|_| {
            Error::usage(format!(
                "--given {name}: expected numbers between commas, got {text}"
            ))
        })
    };
    let numbers: Result<Vec<f64>> = value.split(',').map(number).collect();
    Ok(json!(numbers?))
}

/// The values came from the command line, not from a file's line.
pub fn of_flag(e: Error) -> Error {
    Error::new(e.kind, format!("--given: {}", e.message))
}
