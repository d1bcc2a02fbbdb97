//! A run of a model of fields: its model, and what its fields are as numbers.

use std::sync::Arc;

use pollster::block_on;
use wgrnn::data::Vocabulary;
use wgrnn::data::fields::FieldCodes;
use wgrnn::exec::Device;
use wgrnn::model::text::{Model, ModelFieldKind, Target};
use wgrnn::op::Plan;
use wgrnn::search::Found;
use wgrnn::train::{Choice, ExampleSet, Symbols, TextLimits, TextWriter, state};
use wgrnn::{Error, Result};

use crate::cli::load::Loaded;
use crate::cli::memory;

/// A checkpoint, by what its run's model reads.
pub enum LoadedRun {
    /// A text.
    Text(Box<Loaded>),
    /// Fields.
    Fields(Box<LoadedFields>),
}

impl LoadedRun {
    /// The model and codes that the run keeps, where it is one of fields.
    ///
    /// # Errors
    /// Checkpoint, for a model's text that is not valid.
    pub fn new(loaded: Loaded) -> Result<LoadedRun> {
        let Symbols::Fields { model, codes } = &loaded.saved.about.symbols else {
            return Ok(LoadedRun::Text(Box::new(loaded)));
        };
        let model = model.model().map_err(|e| loaded.named(e))?;
        Ok(LoadedRun::Fields(Box::new(LoadedFields {
            model: Arc::new(model),
            codes: codes.clone(),
            loaded,
        })))
    }
}

/// A checkpoint of a run of a model of fields.
pub struct LoadedFields {
    /// The checkpoint.
    pub loaded: Loaded,
    /// The model.
    pub model: Arc<Model>,
    /// What its fields are as numbers.
    pub codes: FieldCodes,
}

impl LoadedFields {
    /// The flat parameters for a plan, which must fit into memory: `what` is to be made with it, and `remedy` takes less.
    ///
    /// # Errors
    /// Usage, for a plan that does not fit; Checkpoint, for weights that are not the model's.
    pub fn weights(&self, plan: &Plan, what: &str, remedy: &str) -> Result<Vec<f32>> {
        memory::check(what, plan.bytes(), |_| remedy.into())?;
        let found = state::weights(plan, &self.loaded.checkpoint);
        found.map_err(|e| self.loaded.named(e))
    }

    /// The names of the fields that are only predicted, which files need not have.
    pub fn answers(&self) -> Vec<String> {
        let along = |field: usize| {
            matches!(
                self.model.fields()[field].kind,
                ModelFieldKind::RealsAlong { .. }
            )
        };
        let only = |target: Target| match target {
            Target::Next(field) | Target::Class(field) => Some(field),
            // Those before are read.
            Target::Numbers(field) => Some(field).filter(|field| along(*field)),
            Target::Draws => None,
        };
        let losses = self.model.losses().iter();
        let fields = losses.filter_map(|loss| only(loss.target));
        fields
            .map(|field| self.model.fields()[field].name.clone())
            .collect()
    }

    /// The field whose text the model writes, and its vocabulary; none where it predicts labels alone.
    pub fn written(&self) -> Option<(&str, &Vocabulary)> {
        let next = |target: Target| match target {
            Target::Next(field) => Some(self.model.fields()[field].name.as_str()),
            Target::Class(_) | Target::Numbers(_) | Target::Draws => None,
        };
        let name = self
            .model
            .losses()
            .iter()
            .find_map(|loss| next(loss.target))?;
        Some((name, self.codes.vocabulary(name)?))
    }

    /// What writes texts within `limits` about the examples of `set`.
    ///
    /// # Errors
    /// A model that writes none; a device that cannot hold it.
    pub fn writer(
        &self,
        device: &Device,
        set: ExampleSet,
        remedy: &str,
        limits: TextLimits,
    ) -> Result<TextWriter> {
        let weights = |plan: &Plan| self.weights(plan, "the texts", remedy);
        let spec = &self.loaded.spec;
        block_on(TextWriter::new(
            device,
            spec,
            set,
            &self.codes,
            weights,
            limits,
        ))
    }

    /// The texts within `limits` that the run's model writes about the examples of `set`, in their order, those about one best
    /// first.
    ///
    /// # Errors
    /// As [`LoadedFields::writer`] and [`TextWriter::write`].
    pub fn write(
        &self,
        device: &Device,
        set: ExampleSet,
        choice: &Choice,
        remedy: &str,
        limits: TextLimits,
    ) -> Result<Vec<Vec<Found>>> {
        block_on(self.writer(device, set, remedy, limits)?.write(choice))
    }

    /// A run that must be one of fields.
    ///
    /// # Errors
    /// Usage, for a run of a text.
    pub fn required(loaded: Loaded) -> Result<LoadedFields> {
        match LoadedRun::new(loaded)? {
            LoadedRun::Fields(run) => Ok(*run),
            LoadedRun::Text(loaded) => Err(Error::usage(format!(
                "{}: expected a run of a model of fields, found one of a text; `sample` writes on from it, `eval` measures it",
                loaded.path.display()
            ))),
        }
    }
}
