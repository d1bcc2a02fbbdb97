//! What a model declares about its data: fields, each with a name and a kind.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, nearest};

/// What a field is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Symbols of a vocabulary, some a sequence.
    Tokens,
    /// One label a sequence.
    Class,
    /// One label a step of the named field; of tokens, the symbols are then the words as the file has them.
    ClassesAlong(String),
    /// One vector of real numbers a sequence, all of one width.
    Vector,
    /// The symbols of every word of the named field: a sequence a word. Nothing more is read for it.
    TokensWithin(String),
    /// One vector of real numbers a step, all of one width.
    Reals,
    /// One vector of real numbers a step of the named field.
    RealsAlong(String),
    /// A set of notes a step, as a vector of 0 and 1.
    Bits,
}

impl FieldKind {
    /// The field that this one lies along or within.
    pub fn of(&self) -> Option<&str> {
        match self {
            FieldKind::ClassesAlong(of)
            | FieldKind::RealsAlong(of)
            | FieldKind::TokensWithin(of) => Some(of),
            FieldKind::Tokens
            | FieldKind::Class
            | FieldKind::Vector
            | FieldKind::Reals
            | FieldKind::Bits => None,
        }
    }

    /// Its name in messages.
    pub(super) fn shown(&self) -> String {
        match self {
            FieldKind::Tokens => "tokens".to_string(),
            FieldKind::Class => "class".to_string(),
            FieldKind::ClassesAlong(of) => format!("classes along {of}"),
            FieldKind::Vector => "vector".to_string(),
            FieldKind::TokensWithin(of) => format!("tokens within {of}"),
            FieldKind::Reals => "reals".to_string(),
            FieldKind::RealsAlong(of) => format!("reals along {of}"),
            FieldKind::Bits => "bits".to_string(),
        }
    }

    /// Whether it has a vector a step.
    pub fn has_steps(&self) -> bool {
        matches!(
            self,
            FieldKind::Reals | FieldKind::RealsAlong(_) | FieldKind::Bits
        )
    }

    /// Whether files have something for it.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self, FieldKind::TokensWithin(_))
    }
}

/// A field of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// How files, flags and messages call it.
    pub name: String,
    /// What it is.
    pub kind: FieldKind,
}

impl Field {
    /// A field by its name and its kind.
    pub fn new(name: impl Into<String>, kind: FieldKind) -> Self {
        Field {
            name: name.into(),
            kind,
        }
    }
}

/// Refuses declarations that cannot be read.
///
/// # Errors
/// `Kind::Data` for no field that is read, a name that is empty, has white space or `=`, `,` in it, or stands twice, and for
/// a field along one that is not there or has no steps, or within one that has no tokens.
pub(super) fn check(fields: &[Field]) -> Result<()> {
    if !fields.iter().any(|field| field.kind.is_read()) {
        return Err(Error::data("fields: expected at least one, found none"));
    }
    for (n, field) in fields.iter().enumerate() {
        let name = &field.name;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "=,".contains(c)) {
            return Err(Error::data(format!(
                "fields: expected a name without white space, '=' and ',', found {name:?}"
            )));
        }
        if fields[..n].iter().any(|other| other.name == *name) {
            return Err(Error::data(format!(
                "fields: expected each name once, found {name} again"
            )));
        }
        let Some(of) = field.kind.of() else {
            continue;
        };
        let found = fields.iter().find(|other| other.name == of);
        let along = !matches!(field.kind, FieldKind::TokensWithin(_));
        let fits = |kind: &FieldKind| match kind {
            FieldKind::Tokens => true,
            kind => along && kind.has_steps() && kind.of().is_none(),
        };
        if !found.is_some_and(|other| fits(&other.kind)) {
            let found = found.map_or("no such field".to_string(), |other| {
                format!("{of}: {}", other.kind.shown())
            });
            let kind = field.kind.shown();
            return Err(Error::data(format!(
                "field {name}: {kind}: expected a field of {}, found {found}",
                if along {
                    "tokens, reals or bits"
                } else {
                    "tokens"
                }
            )));
        }
    }
    Ok(())
}

/// Whether something lies along or within field `name`, so that its symbols, where it has any, are words as the file has them.
pub(super) fn is_of_words(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| field.kind.of() == Some(name))
}

/// The number of field `name`.
///
/// # Errors
/// `Kind::Usage` for no such field; `given` says where the name was met.
pub(super) fn find(fields: &[Field], name: &str, given: &str) -> Result<usize> {
    let place = fields.iter().position(|field| field.name == name);
    place.ok_or_else(|| {
        let names = fields.iter().map(|field| field.name.as_str());
        let hint = nearest(name, names.clone()).map_or(String::new(), |n| format!(" (is it {n}?)"));
        let names: Vec<&str> = names.collect();
        Error::usage(format!(
            "{given}: expected a field of the model ({}), found {name:?}{hint}",
            names.join(", ")
        ))
    })
}
