//! What a checkpoint holds, and back again: weights under their names in files, the optimiser's arenas under the same
//! names, the carried states, and everything else as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoint::{Checkpoint, Data, StoredTensor};
use super::examples::Metric;
use super::feed::Began;
use super::metrics::Meter;
use super::schedule::Plateau;
use super::settings::{Settings, file_name};
use crate::cell::Cell;
use crate::data::Vocabulary;
use crate::data::fields::FieldCodes;
use crate::error::{Error, Kind, Result};
use crate::model;
use crate::model::text::{Loss, Model, Target};
use crate::op::{LossScale, Plan, StateLayout};

/// The version of what is stored.
const FORMAT: u32 = 2;

/// The tensor of a run in half precision: what loss scaling keeps.
const SCALING: &str = "optimizer.scaling";

/// What stays the same during a run, and says what its weights mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The program's version.
    pub program: String,
    /// The settings file's text.
    pub settings: String,
    /// What the data's numbers mean.
    #[serde(flatten)]
    pub symbols: Symbols,
    /// The cells: one for all layers, or one for each.
    pub cells: Vec<CellText>,
    /// The text that is trained on; absent where weights came from elsewhere.
    pub text: Option<TextRecord>,
    /// The validation text, where it is one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<TextRecord>,
    /// For a generated text, nats per character of the validation part that no model can go below.
    pub floor: Option<f64>,
}

/// What the numbers of a run's data mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Symbols {
    /// Of a text.
    Text {
        /// The symbols.
        vocabulary: Vocabulary,
        /// Their hash.
        vocabulary_hash: String,
    },
    /// Of the fields of a model.
    Fields {
        /// The model.
        model: ModelText,
        /// What its fields are as numbers.
        codes: FieldCodes,
    },
}

impl From<Vocabulary> for Symbols {
    fn from(vocabulary: Vocabulary) -> Symbols {
        Symbols::Text {
            vocabulary_hash: vocabulary.hash(),
            vocabulary,
        }
    }
}

impl Symbols {
    /// The same without the folder of a model's file.
    fn of_model(&self) -> Symbols {
        let mut symbols = self.clone();
        if let Symbols::Fields { model, .. } = &mut symbols {
            model.name = file_name(&model.name).to_string();
        }
        symbols
    }
}

/// A model by its equations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelText {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The texts of the losses that it names and the program does not bring, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub losses: BTreeMap<String, String>,
}

impl ModelText {
    /// The text of a model.
    pub fn of(model: &Model) -> ModelText {
        ModelText {
            name: model.name.clone(),
            text: model.text.clone(),
            losses: model.own_losses().clone(),
        }
    }

    /// The model.
    ///
    /// # Errors
    /// Data: whatever is wrong with its text, with line and column.
    pub fn model(&self) -> Result<Model> {
        Model::with_losses(&self.name, &self.text, &self.losses)
    }
}

/// A cell by its equations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellText {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl From<&Cell> for CellText {
    fn from(cell: &Cell) -> CellText {
        CellText {
            name: cell.name.clone(),
            text: cell.text.clone(),
        }
    }
}

/// A text that a run is trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextRecord {
    /// What it is called.
    pub name: String,
    /// BLAKE3 of its bytes.
    pub hash: String,
    /// Its files; none for the built-in corpus.
    #[serde(with = "crate::paths::list")]
    pub files: Vec<PathBuf>,
    /// Of a model's fields: the one that each file is read for alone, where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Option<String>>,
    /// Seed and characters of the built-in corpus.
    pub builtin: Option<(u64, usize)>,
}

/// The best evaluation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its loss in nats.
    pub nats: f64,
    /// What models are compared by, where that is not the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

impl Best {
    /// A number that is lower for a better model.
    pub fn score(&self) -> f64 {
        self.metric.map_or(self.nats, Metric::score)
    }
}

/// What changes during a run, besides tensors. The position in the data and all random numbers follow from the step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Steps that are done.
    pub step: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Where the epoch of the last step began, where epochs are of unequal length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Began>,
    /// Seconds of training.
    pub elapsed: f64,
    /// What the plateau schedule remembers.
    pub plateau: Plateau,
    /// The best evaluation.
    pub best: Option<Best>,
    /// The newest evaluation.
    pub validation: Option<f64>,
    /// Evaluations since the best one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub without_better: u64,
    /// Means of losses.
    pub meter: Meter,
    /// Steps whose update was left out, as their gradient in half precision was beyond f16.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The JSON of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    format: u32,
    /// What stays the same.
    pub about: About,
    /// What changes.
    pub counters: Counters,
}

/// All of a run that changes: enough to go on as if it had never stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Counters.
    pub counters: Counters,
    /// The flat parameters.
    pub parameters: Vec<f32>,
    /// The optimiser's flat arenas, in its rule's order.
    pub optimizer: Vec<Vec<f32>>,
    /// Each layer's states [S, B, H] after the last step.
    pub states: Vec<Vec<f32>>,
    /// In half precision: what loss scaling keeps.
    pub scaling: Option<Vec<f32>>,
}

impl Saved {
    /// Reads a checkpoint's JSON.
    ///
    /// # Errors
    /// Checkpoint, when it is not what this program writes.
    pub fn read(checkpoint: &Checkpoint) -> Result<Saved> {
        let format = checkpoint.meta.get("format").and_then(|f| f.as_u64());
        if format != Some(FORMAT.into()) {
            let found = format.map_or("none".to_string(), |f| f.to_string());
            return Err(Error::checkpoint(format!(
                "expected a checkpoint of format {FORMAT}, found {found}"
            )));
        }
        serde_json::from_value(checkpoint.meta.clone())
            .map_err(|e| Error::checkpoint(format!("the checkpoint's state cannot be read: {e}")))
    }
}

impl Saved {
    /// What of this is the model's: its sizes, cells and vocabulary. Nothing of the run that made it, so that equal models
    /// are told in equal words.
    ///
    /// # Errors
    /// Checkpoint, when the settings are not valid.
    pub fn of_model(&self) -> Result<Saved> {
        let About { symbols, cells, .. } = &self.about;
        let mut cells = cells.clone();
        if cells.iter().all(|cell| Some(cell) == cells.first()) {
            cells.truncate(1);
        }
        let about = About {
            program: env!("CARGO_PKG_VERSION").into(),
            settings: self.about.settings()?.of_model(&cells).to_toml()?,
            symbols: symbols.of_model(),
            cells,
            text: None,
            valid: None,
            floor: None,
        };
        Ok(Saved {
            format: FORMAT,
            counters: Counters::start(1, self.about.vocabulary().map_or(1, Vocabulary::len)),
            about,
        })
    }

    /// As a checkpoint's JSON.
    ///
    /// # Errors
    /// Internal, where it cannot be JSON.
    pub fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::internal(format!("state cannot be written as JSON: {e}")))
    }
}

impl Counters {
    /// Those of a run that begins.
    fn start(steps_per_epoch: u64, vocab: usize) -> Counters {
        Counters {
            step: 0,
            steps_per_epoch,
            began: None,
            elapsed: 0.0,
            plateau: Plateau::default(),
            best: None,
            validation: None,
            without_better: 0,
            meter: Meter::new(vocab),
            skipped: 0,
        }
    }
}

impl About {
    /// The vocabulary of a text's run.
    ///
    /// # Errors
    /// Usage, for a run of a model of fields.
    pub fn vocabulary(&self) -> Result<&Vocabulary> {
        match &self.symbols {
            Symbols::Text { vocabulary, .. } => Ok(vocabulary),
            Symbols::Fields { model, .. } => Err(Error::usage(format!(
                "expected a run of a text, found one of model {}, whose data are fields",
                model.name
            ))),
        }
    }

    /// Whether the text, or a field, has this vocabulary.
    pub fn has_vocabulary(&self, other: &Vocabulary) -> bool {
        match &self.symbols {
            Symbols::Text { vocabulary, .. } => vocabulary.hash() == other.hash(),
            Symbols::Fields { codes, .. } => {
                let fields = codes.fields().iter();
                let mut kept = fields.filter_map(|field| codes.vocabulary(&field.name));
                kept.any(|vocabulary| vocabulary.hash() == other.hash())
            }
        }
    }

    /// What one prediction is of.
    pub fn unit(&self) -> &'static str {
        match &self.symbols {
            Symbols::Text { vocabulary, .. } => vocabulary.unit(),
            Symbols::Fields { .. } => "prediction",
        }
    }

    /// Whether the model predicts numbers alone, whose losses are no nats of a symbol.
    pub fn of_numbers(&self) -> bool {
        let Symbols::Fields { model, .. } = &self.symbols else {
            return false;
        };
        let numbers = |loss: &Loss| matches!(loss.target, Target::Numbers(_) | Target::Draws);
        model
            .model()
            .is_ok_and(|model| model.losses().iter().all(numbers))
    }

    /// The settings.
    ///
    /// # Errors
    /// Checkpoint, when they are not valid.
    pub fn settings(&self) -> Result<Settings> {
        let table = self.settings.parse();
        let settings = table.and_then(Settings::of_table).map_err(|e| {
            let what = e.message().replace('\n', " ");
            Error::checkpoint(format!("the checkpoint's settings: {what}"))
        })?;
        settings.check(&[]).map_err(of_checkpoint)?;
        Ok(settings)
    }

    /// The cells.
    ///
    /// # Errors
    /// Checkpoint, when a text is not valid or they are not one for all layers or one for each.
    pub fn cells(&self) -> Result<Vec<Cell>> {
        let layers = self.settings()?.layers;
        if ![1, layers].contains(&self.cells.len()) {
            let found = self.cells.len();
            return Err(Error::checkpoint(format!(
                "expected 1 cell or {layers}, found {found}"
            )));
        }
        self.cells
            .iter()
            .map(|c| Cell::parse(&c.name, &c.text).map_err(of_checkpoint))
            .collect()
    }

    /// The cells' names, as the setting lists them.
    pub fn cell_names(&self) -> String {
        let names: Vec<&str> = self.cells.iter().map(|c| c.name.as_str()).collect();
        names.join(",")
    }
}

fn of_checkpoint(e: Error) -> Error {
    Error::new(Kind::Checkpoint, e.message)
}

/// A state slot's contents, zero but for the last step.
///
/// # Errors
/// Internal for a state of another size.
pub fn at_last_step(plan: &Plan, layout: &StateLayout, last: &[f32]) -> Result<Vec<f32>> {
    let slot = plan.slot(layout.slot);
    if last.len() != layout.step_len() {
        return Err(Error::internal(format!(
            "{}: expected the last step {:?}, found {} elements",
            slot.name,
            layout.step_shape(),
            last.len()
        )));
    }
    let mut all = vec![0.0; slot.len()];
    layout.write(layout.steps, last, &mut all);
    Ok(all)
}

/// The flat parameters that a checkpoint holds, for any plan of its model.
///
/// # Errors
/// Checkpoint: every missing or unknown tensor and every wrong shape.
pub fn weights(plan: &Plan, checkpoint: &Checkpoint) -> Result<Vec<f32>> {
    arena(plan, checkpoint, |name| {
        let other = name.starts_with("optimizer.") || name.starts_with("state.");
        (!other).then_some(name)
    })
}

/// A flat arena from the tensors whose names `of` maps to parameters.
fn arena<'a>(
    plan: &Plan,
    checkpoint: &'a Checkpoint,
    of: impl Fn(&'a str) -> Option<&'a str>,
) -> Result<Vec<f32>> {
    let mut tensors = Vec::new();
    for (name, tensor) in &checkpoint.tensors {
        let Some(parameter) = of(name) else { continue };
        let Data::F32(data) = &tensor.data else {
            return Err(Error::checkpoint(format!(
                "{}: expected f32",
                name.escape_debug()
            )));
        };
        if let Some(at) = data.iter().position(|x| !x.is_finite()) {
            return Err(Error::checkpoint(format!(
                "{}: element {at} is {}, expected a finite number",
                name.escape_debug(),
                data[at]
            )));
        }
        tensors.push((parameter, tensor.shape.as_slice(), data.as_slice()));
    }
    model::import(plan, tensors)
}

impl State {
    /// The state of a run that begins with `parameters`.
    pub fn start(plan: &Plan, parameters: Vec<f32>, steps_per_epoch: u64, vocab: usize) -> State {
        let states = plan.io.states.iter();
        let states = states.map(|layout| vec![0.0; layout.step_len()]);
        State {
            counters: Counters::start(steps_per_epoch, vocab),
            parameters,
            optimizer: vec![vec![0.0; plan.arena]; plan.io.optimizer.len()],
            states: states.collect(),
            scaling: None,
        }
    }

    /// The checkpoint; `plan` is the training plan.
    ///
    /// # Errors
    /// Diverged, naming the tensor, when an element is not finite: such a state is never saved.
    pub fn to_checkpoint(&self, plan: &Plan, about: &About) -> Result<Checkpoint> {
        let mut tensors = std::collections::BTreeMap::new();
        let mut add = |prefix: &str, flat: &[f32]| {
            for (name, tensor) in model::export(plan, flat) {
                let tensor = StoredTensor::f32(tensor.shape, tensor.data);
                tensors.insert(format!("{prefix}{name}"), tensor);
            }
        };
        add("", &self.parameters);
        for (slot, flat) in plan.io.optimizer.iter().zip(&self.optimizer) {
            add(&format!("{}.", plan.slot(*slot).name), flat);
        }
        for (layout, last) in plan.io.states.iter().zip(&self.states) {
            let tensor = StoredTensor::f32(layout.step_shape().to_vec(), last.clone());
            tensors.insert(plan.slot(layout.slot).name.clone(), tensor);
        }
        if let Some(scaling) = &self.scaling {
            let tensor = StoredTensor::f32(vec![scaling.len()], scaling.clone());
            tensors.insert(SCALING.to_string(), tensor);
        }
        for (name, tensor) in &tensors {
            if let Data::F32(data) = &tensor.data
                && let Some(at) = data.iter().position(|x| !x.is_finite())
            {
                let step = self.counters.step;
                return Err(Error::new(
                    Kind::Diverged,
                    format!("step {step}: {name}: element {at} is {}", data[at]),
                ));
            }
        }
        let saved = Saved {
            format: FORMAT,
            about: about.clone(),
            counters: self.counters,
        };
        let meta = saved.to_json()?;
        Ok(Checkpoint { tensors, meta })
    }

    /// The state that a checkpoint holds; `plan` is the training plan.
    ///
    /// # Errors
    /// Checkpoint: missing or unknown tensors, wrong shapes.
    pub fn from_checkpoint(plan: &Plan, checkpoint: &Checkpoint) -> Result<State> {
        let Saved { counters, .. } = Saved::read(checkpoint)?;
        let parameters = weights(plan, checkpoint)?;
        let mut optimizer = Vec::new();
        for slot in &plan.io.optimizer {
            let prefix = format!("{}.", plan.slot(*slot).name);
            optimizer.push(arena(plan, checkpoint, |name| name.strip_prefix(&prefix))?);
        }
        let mut states = Vec::new();
        for layout in &plan.io.states {
            let name = &plan.slot(layout.slot).name;
            states.push(checkpoint.f32(name, &layout.step_shape())?.to_vec());
        }
        let scaling = if checkpoint.tensors.contains_key(SCALING) {
            Some(checkpoint.f32(SCALING, &[LossScale::NUMBERS])?.to_vec())
        } else {
            None
        };
        if let Some(fault) = scaling.as_deref().and_then(LossScale::fault) {
            return Err(Error::checkpoint(format!("{SCALING}: {fault}")));
        }
        Ok(State {
            counters,
            parameters,
            optimizer,
            states,
            scaling,
        })
    }
}
