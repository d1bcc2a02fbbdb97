//! The models that the program brings.

use std::sync::LazyLock;

use super::Model;
use crate::error::{Error, Result, unknown};

macro_rules! models {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../assets/models/", $name, ".model")))),+]
    };
}

/// Name and text of every built-in model.
pub const MODELS: &[(&str, &str)] = models![
    "language",
    "classify",
    "classify-pooled",
    "tag",
    "tag-letters",
    "caption-global",
    "caption-first",
    "show-attend-tell",
    "show-attend-tell-hard",
    "vqa",
    "visual7w",
    "track",
    "s2vt",
    "video",
    "vae",
    "draw",
    "draw-attend",
    "glimpse",
    "describe",
    "bag-of-words",
    "n-gram",
    "forecast",
    "forecast-window",
    "sequence-label",
    "frame-label",
    "chorale",
    "strokes",
    "strokes-text",
    "pixels",
    "translate",
    "translate-additive",
    "translate-feed",
];

/// The names of the built-in models.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|model| model.0)
}

/// The built-in model `name`.
///
/// # Errors
/// Usage, with the nearest name, when there is none.
pub fn builtin(name: &str) -> Result<Model> {
    if let Some((name, text)) = MODELS.iter().find(|model| model.0 == name) {
        return Model::parse(name, text);
    }
    Err(unknown(
        "model",
        name,
        names(),
        ", or a file that ends in .model",
    ))
}

/// The model of a [`Spec`](crate::model::Spec).
pub(in crate::model) fn language() -> Result<&'static Model> {
    static LANGUAGE: LazyLock<Result<Model>> = LazyLock::new(|| builtin("language"));
    LANGUAGE.as_ref().map_err(Error::clone)
}
