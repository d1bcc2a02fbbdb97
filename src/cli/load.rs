//! A run's model, for the commands that use it without training.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use wgrnn::data::Vocabulary;
use wgrnn::model::{Mode, Spec};
use wgrnn::op::Plan;
use wgrnn::train::examples::sizes_for;
use wgrnn::train::{Checkpoint, Generator, Run, Saved, Settings, Symbols, spec};
use wgrnn::{Error, Kind, Result};

use super::{flags, out};

/// A checkpoint of a run, read and understood.
pub struct Loaded {
    /// Its file.
    pub path: PathBuf,
    /// Its contents.
    pub checkpoint: Checkpoint,
    /// Its JSON.
    pub saved: Saved,
    /// Its settings.
    pub settings: Settings,
    /// Its model.
    pub spec: Spec,
}

impl Loaded {
    /// The checkpoint of the run that the command line names.
    pub fn from_args(m: &ArgMatches) -> Result<Loaded> {
        let run = Run::open(flags::required_path(m, "run")?)?;
        let best = match m.get_one::<String>("checkpoint").map(String::as_str) {
            Some("best") => true,
            Some(_) => false,
            None => run.best_path().exists(),
        };
        if best {
            let path = run.best_path();
            return Loaded::new(Checkpoint::load(&path)?, path);
        }
        let newest = run.newest()?;
        for warning in &newest.warnings {
            out::note(&format!("warning: {warning}"));
        }
        Loaded::new(newest.checkpoint, newest.path)
    }

    /// The model that a checkpoint holds; errors name its file.
    pub fn new(checkpoint: Checkpoint, path: PathBuf) -> Result<Loaded> {
        let named = |e: Error| named(&path, e);
        let saved = Saved::read(&checkpoint).map_err(named)?;
        let settings = saved.about.settings().map_err(named)?;
        let cells = saved.about.cells().map_err(named)?;
        let symbols = saved.about.vocabulary().map_or(0, Vocabulary::len);
        let spec = spec(&settings, cells, symbols);
        Ok(Loaded {
            checkpoint,
            saved,
            settings,
            spec,
            path,
        })
    }

    /// The smallest plan that holds all of the model's weights.
    ///
    /// # Errors
    /// Checkpoint, for a model that is none.
    pub fn weights_plan(&self) -> Result<Plan> {
        let plan = match &self.saved.about.symbols {
            Symbols::Text { .. } => Generator::plan(&self.spec, 1),
            Symbols::Fields { model, codes } => model.model().and_then(|model| {
                let sizes = sizes_for(&model, codes, 1, 1)?;
                model.plan(&self.spec, &sizes, Mode::Evaluate)
            }),
        };
        plan.map_err(|e| self.named(e))
    }

    /// Makes an error that lies in the checkpoint name its file.
    pub fn named(&self, e: Error) -> Error {
        named(&self.path, e)
    }
}

fn named(path: &Path, e: Error) -> Error {
    Error::new(
        Kind::Checkpoint,
        format!("{}: {}", path.display(), e.message),
    )
}
