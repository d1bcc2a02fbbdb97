//! Models of fields on the command line: which model, what is read for it, and what a run keeps of both.

mod alignment;
pub mod canvases;
mod columns;
mod data;
mod drawing;
pub mod eval;
mod floors;
pub mod forecast;
pub mod glimpses;
mod loaded;
mod midi;
mod numbers;
pub mod pieces;
mod ready;
pub mod sample;
pub mod texts;
mod written;

use std::collections::BTreeMap;
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
    let own = text::read(&path)?;
    let losses = losses(&path, &own)?;
    Model::with_losses(&shown(&path), &own, &losses).map(Arc::new)
}

/// The losses that a model's text may name: those in the files beside it that end in .loss.
fn losses(path: &Path, model: &str) -> Result<BTreeMap<String, String>> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut all = BTreeMap::new();
    // A folder that cannot be listed has none; the model says which it lacks.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.path();
        let name = file.file_stem().and_then(|name| name.to_str());
        if let Some(name) = name
            && file.extension().is_some_and(|ending| ending == "loss")
            && model.contains(name)
        {
            all.insert(name.to_string(), text::read(&file)?);
        }
    }
    Ok(all)
}

/// What errors call a model that a file holds: the file's name.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
