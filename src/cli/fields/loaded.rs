//! A run of a model of fields: its model, and what its fields are as numbers.

use std::sync::Arc;

use pollster::block_on;
use wgrnn::data::fields::FieldCodes;
use wgrnn::exec::Device;
use wgrnn::model::text::Model;
use wgrnn::op::Plan;
use wgrnn::train::{Choice, ExampleSet, Symbols, TextWriter, state};
use wgrnn::{Error, Result};

use crate::cli::load::Loaded;
use crate::cli::memory;

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
    /// The model and codes that a run keeps, or the run itself, where it is one of a text.
    pub fn new(loaded: Loaded) -> Result<std::result::Result<LoadedFields, Loaded>> {
        let Symbols::Fields { model, codes } = &loaded.saved.about.symbols else {
            return Ok(Err(loaded));
        };
        let parsed = Model::parse(&model.name, &model.text).map_err(|e| loaded.named(e))?;
        let codes = codes.clone();
        Ok(Ok(LoadedFields {
            model: Arc::new(parsed),
            codes,
            loaded,
        }))
    }

    /// The texts of `most` tokens at most that the run's model writes about the examples of `set`, in their order.
    ///
    /// # Errors
    /// A model that writes none; a device that cannot hold it.
    pub fn write(
        &self,
        device: &Device,
        set: ExampleSet,
        choice: &Choice,
        most: usize,
    ) -> Result<Vec<Vec<u32>>> {
        let weights = |plan: &Plan| {
            memory::check("the texts", plan.bytes(), |_| "lower --max-length".into())?;
            let found = state::weights(plan, &self.loaded.checkpoint);
            found.map_err(|e| self.loaded.named(e))
        };
        block_on(async {
            let spec = &self.loaded.spec;
            let writer = TextWriter::new(device, spec, set, &self.codes, weights, most);
            writer.await?.write(choice).await
        })
    }

    /// The same of a run that must be one of fields.
    ///
    /// # Errors
    /// Usage, for a run of a text.
    pub fn required(loaded: Loaded) -> Result<LoadedFields> {
        LoadedFields::new(loaded)?.map_err(|loaded| {
            Error::usage(format!(
                "{}: expected a run of a model of fields, found one of a text; `sample` writes on from it, `eval` measures it",
                loaded.path.display()
            ))
        })
    }
}
