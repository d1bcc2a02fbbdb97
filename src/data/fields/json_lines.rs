//! A JSON object a line, its members named as the fields, or a list a line of the steps of the only field.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::columns::{ColumnChoice, ColumnName};
use super::declare::FieldKind;
use super::missing::Missing;
use super::step_column::StepBuilder;
use super::white_space::brief;
use super::writer::FieldWriter;
use crate::error::{Error, Result, nearest};

/// The members of an object, in order; a map would keep the last of two with one name, and no word of it.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Members, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        let fault = format!("the member {name:?} stands there twice");
                        return Err(serde::de::Error::custom(fault));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Take)
    }
}

/// Reads objects into `writers`; those of optional fields that are in none of them are taken out.
///
/// # Errors
/// `Kind::Data`, naming the line, for what is no object, lacks a field, has one of another type, or a member that is no field
/// where `choice` does not say which members to read; `Kind::Usage` for a choice by number.
pub(super) fn read(
    text: &str,
    choice: &ColumnChoice,
    optional: &[String],
    missing: Missing,
    writers: &mut [Option<FieldWriter<'_>>],
) -> Result<()> {
    let mut names = Vec::new();
    let mut chosen = false;
    for writer in writers.iter() {
        let field = writer.as_ref().map_or("", |writer| &writer.field.name);
        names.push(match choice.of(field) {
            None => field.to_string(),
            Some(ColumnName::Name(name)) => {
                chosen = true;
                name.clone()
            }
            Some(ColumnName::Numbers(_)) => {
                return Err(Error::usage(format!(
                    "--columns: {field}: expected the name of a member of JSON objects, found a number"
                )));
            }
        });
    }
    let lines = text.trim_end_matches(['\n', '\r']).lines().zip(1u32..);
    for (line, at) in lines {
        if line.trim().is_empty() {
            return Err(Error::data(format!(
                "line {at}: expected a JSON object, found an empty line"
            )));
        }
        if line.trim_start().starts_with('[')
            && let Some(writer) = only_steps(optional, writers)
        {
            let value: Value = serde_json::from_str(line).map_err(|e| {
                let fault = e.to_string().replace(" at line 1 column", " at column");
                Error::data(format!("line {at}: expected a list of steps: {fault}"))
            })?;
            take(writer, &value, missing, at)?;
            continue;
        }
        let Members(members) = serde_json::from_str(line).map_err(|e| {
            let text = e.to_string();
            // Its own line is always the first.
            let fault = text.replace(" at line 1 column", " at column");
            Error::data(format!("line {at}: expected a JSON object: {fault}"))
        })?;
        if let Some((other, _)) = members
            .iter()
            .find(|(name, _)| !chosen && !names.contains(name))
        {
            let known = names.iter().map(String::as_str);
            let hint = nearest(other, known).map_or(String::new(), |n| format!(" (is it {n}?)"));
            return Err(Error::data(format!(
                "line {at}: the member {other:?} is no field of the model ({}){hint}; --columns FIELD=MEMBER,.. says which ones \
                 to read, and leaves the others out",
                names.join(", ")
            )));
        }
        for (writer, name) in writers.iter_mut().zip(&names) {
            let Some(some) = writer else {
                continue;
            };
            let value = members.iter().find(|(member, _)| member == name);
            match value {
                Some((_, value)) => take(some, value, missing, at)?,
                None if at == 1 && optional.contains(&some.field.name) => *writer = None,
                None => {
                    return Err(Error::data(format!(
                        "line {at}: expected a member {name:?}, found none"
                    )));
                }
            }
        }
    }
    Ok(())
}

/// What a label is in JSON: a string, a number, true or false.
fn label(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The writer of the only field that must be there, where it is one of steps.
fn only_steps<'w, 'a>(
    optional: &[String],
    writers: &'w mut [Option<FieldWriter<'a>>],
) -> Option<&'w mut FieldWriter<'a>> {
    if writers.len() > 1 {
        for writer in writers.iter_mut() {
            let may_miss = |w: &FieldWriter<'_>| optional.contains(&w.field.name);
            if writer.as_ref().is_some_and(may_miss) {
                *writer = None;
            }
        }
    }
    let mut left = writers.iter_mut().flatten();
    let only = left.next().filter(|writer| writer.steps.is_some());
    only.filter(|_| left.next().is_none())
}

/// Takes the steps of a sequence: each a list of numbers, or one number, of reals; a list of whole numbers, each once, of
/// bits.
fn take_steps(
    name: &str,
    steps: &mut StepBuilder,
    value: &Value,
    missing: Missing,
    of_notes: bool,
) -> Result<()> {
    let expected = match of_notes {
        true => "a list of steps, each a list of whole numbers",
        false => "a list of steps, each a list of numbers",
    };
    let fault = |place: &str, expected: &str, found: &Value| {
        let found = found.to_string();
        Error::data(format!(
            "field {name}{place}: expected {expected}, found {}",
            brief(&found)
        ))
    };
    let Value::Array(all) = value else {
        return Err(fault("", expected, value));
    };
    let mut numbers = Vec::new();
    let mut notes: Vec<u32> = Vec::new();
    for (step, value) in all.iter().enumerate() {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            Value::Number(_) | Value::Null if !of_notes => std::slice::from_ref(value),
            other => return Err(fault(&format!(": step {step}"), expected, other)),
        };
        if of_notes {
            notes.clear();
            for (n, item) in items.iter().enumerate() {
                let place = format!(": step {step}, number {n}");
                let note = item.as_u64().and_then(|note| u32::try_from(note).ok());
                let note =
                    note.ok_or_else(|| fault(&place, "a whole number from 0 to 2^32 - 1", item))?;
                if notes.contains(&note) {
                    return Err(fault(&place, "each note of a step once", item));
                }
                notes.push(note);
            }
            steps.notes(notes.iter().copied());
            continue;
        }
        numbers.clear();
        for (n, item) in items.iter().enumerate() {
            let number = match item {
                Value::Null if missing != Missing::Refuse => Some(f64::NAN),
                item => item.as_f64(),
            };
            numbers.push(number.ok_or_else(|| {
                fault(
                    &format!(": step {step}, column {n}"),
                    "a finite number",
                    item,
                )
            })?);
        }
        steps
            .numbers(&numbers)
            .map_err(|e| Error::new(e.kind, format!("field {name}: step {step}: {}", e.message)))?;
    }
    Ok(())
}

fn take(writer: &mut FieldWriter<'_>, value: &Value, missing: Missing, at: u32) -> Result<()> {
    if let Some(steps) = &mut writer.steps {
        let of_notes = writer.field.kind == FieldKind::Bits;
        take_steps(&writer.field.name, steps, value, missing, of_notes)
            .map_err(|e| Error::new(e.kind, format!("line {at}: {}", e.message)))?;
        steps.end_row(at);
        return Ok(());
    }
    let of_one: fn(&Value) -> Option<String> = match writer.field.kind {
        FieldKind::Tokens | FieldKind::TokensWithin(_) => {
            |value| value.as_str().map(str::to_string)
        }
        FieldKind::Class | FieldKind::ClassesAlong(_) => label,
        FieldKind::Vector | FieldKind::Reals | FieldKind::RealsAlong(_) | FieldKind::Bits => {
            |value| value.is_number().then(|| value.to_string())
        }
    };
    let expected = match writer.field.kind {
        FieldKind::Tokens | FieldKind::TokensWithin(_) => "a string or a list of strings",
        FieldKind::Class => "a string or a number",
        FieldKind::ClassesAlong(_) => "a list of strings or numbers",
        FieldKind::Vector | FieldKind::Reals | FieldKind::RealsAlong(_) | FieldKind::Bits => {
            "a list of numbers"
        }
    };
    let unfit = || {
        let found = match value {
            Value::Null => "null".to_string(),
            Value::Array(_) => "a list with something else in it, or no place for one".to_string(),
            Value::Object(_) => "an object".to_string(),
            other => brief(&other.to_string()).into_owned(),
        };
        Error::data(format!(
            "line {at}: field {}: expected {expected}, found {found}",
            writer.field.name
        ))
    };
    match (value, &writer.field.kind) {
        (Value::Array(_), FieldKind::Class) => Err(unfit()),
        (Value::Array(values), kind) => {
            let items: Option<Vec<String>> = values.iter().map(of_one).collect();
            let items = items.ok_or_else(unfit)?;
            if *kind == FieldKind::Vector {
                return writer.numbers(items.iter().map(String::as_str), at);
            }
            if let Some(n) = items.iter().position(|item| item.trim().is_empty()) {
                return Err(Error::data(format!(
                    "line {at}: field {}: item {}: expected a word or a label, found {:?}",
                    writer.field.name,
                    n + 1,
                    items[n]
                )));
            }
            writer.list(items.iter().map(String::as_str), at);
            Ok(())
        }
        (_, FieldKind::Vector) => Err(unfit()),
        (value, FieldKind::ClassesAlong(_)) if !value.is_string() => Err(unfit()),
        (value, _) => writer.cell(&of_one(value).ok_or_else(unfit)?, at),
    }
}
