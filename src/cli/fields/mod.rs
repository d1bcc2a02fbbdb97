//! Models of fields on the command line: which model, what is read for it, and what a run keeps of both.

mod data;
mod drawing;
pub mod eval;
mod floors;
pub mod forecast;
mod loaded;
mod midi;
mod numbers;
pub mod pieces;
mod ready;
pub mod sample;

use std::path::Path;
use std::sync::Arc;

use wgrnn::model::text::{Model, library};
use wgrnn::train::Settings;
use wgrnn::{Result, paths};

pub use self::data::FieldSource;
pub use self::loaded::{LoadedFields, LoadedRun};
pub use self::ready::{fresh, resumed};
use super::text;

/// The model that settings name: a built-in one, or a file that ends in .model.
pub fn model(settings: &Settings) -> Result<Arc<Model>> {
    named(&settings.model)
}

/// The model `name`: a built-in one, or a file that ends in .model.
pub fn named(name: &str) -> Result<Arc<Model>> {
    if !name.ends_with(".model") {
        return library::builtin(name).map(Arc::new);
    }
    let path = paths::from_text(name);
    Model::parse(&shown(&path), &text::read(&path)?).map(Arc::new)
}

/// What errors call a model that a file holds: the file's name.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
