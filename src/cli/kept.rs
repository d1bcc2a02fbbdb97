//! What a run keeps of files that lay beside it when it began: they may have changed since, which is never passed over.

use std::path::Path;

use wgrnn::cell::Cell;
use wgrnn::data::Vocabulary;
use wgrnn::model::text::Model;
use wgrnn::train::{About, Settings, TextRecord};
use wgrnn::{Error, Kind, Result, paths};

use super::{fields, text};

/// Refuses a cell's file that is there and has other equations than those that the run keeps.
pub fn cells(settings: &Settings, about: &About, run: &Path) -> Result<()> {
    let kept = about.cells()?;
    for (n, name) in settings.cell.split(',').map(str::trim).enumerate() {
        let Some(kept) = kept.get(n.min(kept.len() - 1)) else {
            continue;
        };
        if !name.ends_with(".cell") || !Path::new(name).exists() {
            continue;
        }
        let same = text::cell(name).is_ok_and(|found| same_equations(kept, &found));
        if !same {
            return Err(changed(name, "cell", run));
        }
    }
    Ok(())
}

/// Refuses a model's file that is there and has other lines than the model that the run keeps.
pub fn model(settings: &Settings, kept: &Model, run: &Path) -> Result<()> {
    let name = &settings.model;
    if !name.ends_with(".model") || !paths::from_text(name).exists() {
        return Ok(());
    }
    let losses = |model: &Model| -> Vec<(String, Vec<String>)> {
        let own = model.own_losses().iter();
        own.map(|(name, text)| (name.clone(), code(text))).collect()
    };
    let same = fields::named(name)
        .is_ok_and(|found| code(&found.text) == code(&kept.text) && losses(&found) == losses(kept));
    if same {
        Ok(())
    } else {
        Err(changed(name, "model", run))
    }
}

/// Whether a cell as it is in its file has the equations of one that a run keeps, whatever its constants were set to.
fn same_equations(kept: &Cell, found: &Cell) -> bool {
    let constants = kept.constants();
    let found = found.with_constants(&constants);
    found.is_ok_and(|found| code(&found.text) == code(&kept.text))
}

/// A text without comments, blanks and empty lines.
fn code(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let code = line.split('#').next().unwrap_or("");
        code.chars().filter(|c| !c.is_whitespace()).collect()
    });
    lines.filter(|line: &String| !line.is_empty()).collect()
}

/// Refuses a tokenizer's file that is there and is another than the one that the run keeps.
pub fn tokenizer(settings: &Settings, about: &About, run: &Path) -> Result<()> {
    let Some(file) = &settings.tokenizer else {
        return Ok(());
    };
    let Ok(json) = std::fs::read(file) else {
        return Ok(());
    };
    let lines = settings.lines || settings.of_fields();
    let found = Vocabulary::from_tokenizer(&json, lines);
    if found.is_ok_and(|found| about.has_vocabulary(&found)) {
        Ok(())
    } else {
        Err(changed(file, "tokenizer", run))
    }
}

fn changed(file: &str, what: &str, run: &Path) -> Error {
    let run = run.display();
    Error::data(format!(
        "{file}: is not the {what} that {run} was trained with, which the run keeps; put it back, or move it away to go on \
         with the run's own; another {what} needs a new run"
    ))
}

/// Refuses a text of which a file is gone; `again` is how another place of it is said.
pub fn present(text: &TextRecord, again: &str) -> Result<()> {
    let gone = text
        .files
        .iter()
        .find(|f| f.as_os_str() != "-" && !f.exists());
    match gone {
        None => Ok(()),
        Some(file) => Err(Error::new(
            Kind::Io,
            format!(
                "{}: the run's text is not there any more; say where it is now: {again}",
                file.display()
            ),
        )),
    }
}

/// Refuses a text that is not the one of before; `way` says how to train on another.
pub fn same_text(before: &TextRecord, now: &TextRecord, what: &str, way: &str) -> Result<()> {
    if before.hash == now.hash {
        Ok(())
    } else {
        Err(Error::usage(format!(
            "{}: the {what} is not the one that the run was trained with: expected BLAKE3 {}, found {}; {way}",
            now.name, before.hash, now.hash
        )))
    }
}

/// How a run's weights are trained on.
pub fn train_on(run: &Path, text: &str) -> String {
    format!(
        "to train the run's weights on another text or with other settings: wgrnn export {} --out weights.safetensors, then \
         wgrnn import weights.safetensors --out NEW-RUN, then wgrnn train --resume NEW-RUN {text}",
        run.display()
    )
}
