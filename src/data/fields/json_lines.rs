//! A JSON object a line, its members named as the fields.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::columns::{ColumnChoice, ColumnName};
use super::declare::FieldKind;
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
                Some((_, value)) => take(some, value, at)?,
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

fn take(writer: &mut FieldWriter<'_>, value: &Value, at: u32) -> Result<()> {
    let of_one: fn(&Value) -> Option<String> = match writer.field.kind {
        FieldKind::Tokens | FieldKind::TokensWithin(_) => {
            |value| value.as_str().map(str::to_string)
        }
        FieldKind::Class | FieldKind::ClassesAlong(_) => label,
        FieldKind::Vector | FieldKind::Reals | FieldKind::Bits => {
            |value| value.is_number().then(|| value.to_string())
        }
    };
    let expected = match writer.field.kind {
        FieldKind::Tokens | FieldKind::TokensWithin(_) => "a string or a list of strings",
        FieldKind::Class => "a string or a number",
        FieldKind::ClassesAlong(_) => "a list of strings or numbers",
        FieldKind::Vector => "a list of numbers",
        FieldKind::Reals => "a list of steps, each a list of numbers",
        FieldKind::Bits => "a list of steps, each a list of whole numbers",
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
