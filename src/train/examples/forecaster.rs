//! Sequences of numbers that go on: step by step, or some steps at once, each from what the model says behind those so far.
//!
//! Where carried states say all of the steps before, a run is one step of every sequence; else it is one pass over the whole of
//! them, which any model's plan can do.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::ExampleSet;
use crate::data::BatchSize;
use crate::data::fields::FieldCodes;
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::text::{FieldSize, Target};
use crate::model::{Mode, Spec};
use crate::op::{Matrix, Plan, SlotId};
use crate::task::{Column, Minibatch, Weighting};

/// Rows that are held at once, at most, where a single sequence has no more.
const ROWS: usize = 8192;

/// What the losses of a model say behind a sequence: by loss the operands that are no data.
pub type Said = Vec<Vec<Vec<f32>>>;

/// Makes the numbers of the next step or steps of an example, to which so many were added, of what is said behind these.
pub type NextSteps<'a> = dyn FnMut(u32, usize, &Said) -> Result<Vec<f32>> + 'a;

/// Goes on with sequences of numbers.
#[derive(Debug)]
pub struct Forecaster {
    set: ExampleSet,
    plan: Arc<Plan>,
    engine: Engine,
    field: usize,
    /// D, numbers of a step.
    width: usize,
    /// Examples at once.
    together: usize,
    /// Whether a run is one step, with carried states.
    stepwise: bool,
}

impl Forecaster {
    /// For the examples of `set`, one without a horizon, and the model with these flat parameters, which `weights` gives for a plan;
    /// sequences get `more` steps longer at most.
    ///
    /// # Errors
    /// Usage, for a model that predicts no numbers of a field with steps; sizes that do not fit together; a device that cannot
    /// hold them.
    pub async fn new(
        device: &Device,
        spec: &Spec,
        set: ExampleSet,
        codes: &FieldCodes,
        weights: impl FnOnce(&Plan) -> Result<Vec<f32>>,
        more: usize,
    ) -> Result<Forecaster> {
        let model = set.model().clone();
        let of = |target: Target| match target {
            Target::Numbers(field) if model.fields()[field].kind.has_steps() => Some(field),
            _ => None,
        };
        let field = model.losses().iter().find_map(|loss| of(loss.target));
        let Some(field) = field else {
            return Err(Error::usage(format!(
                "model {}: expected one that predicts numbers of a field of reals or bits",
                model.name
            )));
        };
        let stepwise = model.check_stateful().is_ok();
        let sizes = set.sizes(codes, BatchSize::Sentences(1))?;
        let FieldSize::Reals { steps, width, .. } = sizes.fields[field] else {
            return Err(Error::internal("numbers of a field without any"));
        };
        let longest = if stepwise { 1 } else { steps + more };
        let together = (ROWS / longest).clamp(1, set.len().max(1));
        let sizes = set.sizes(codes, BatchSize::Sentences(together))?;
        let spec = Spec {
            stateful: usize::from(stepwise),
            ..spec.clone()
        };
        let sizes = sizes.of_segments(together, longest);
        let plan = Arc::new(model.plan(&spec, &sizes, Mode::Scores)?);
        let weights = weights(&plan)?;
        let engine = Engine::with_parameters(device, plan.clone(), &weights).await?;
        Ok(Forecaster {
            set,
            plan,
            engine,
            field,
            width,
            together,
            stepwise,
        })
    }

    /// The field that goes on.
    pub fn field(&self) -> usize {
        self.field
    }

    /// D, numbers of a step.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Goes on with every example by `steps` steps. `next` is given an example, how many steps were added to it, and what is said
    /// behind these, and makes the numbers of the next step or steps; those beyond `steps` are left out, and none ends the
    /// sequence. The result is what was added, by example.
    ///
    /// # Errors
    /// What `next` refuses; a lost device.
    pub async fn run(&mut self, steps: usize, next: &mut NextSteps<'_>) -> Result<Vec<Vec<f32>>> {
        let all: Vec<u32> = (0..self.set.len() as u32).collect();
        let mut added: Vec<Vec<f32>> = vec![Vec::new(); all.len()];
        for examples in all.chunks(self.together) {
            let columns = self.set.columns(examples)?;
            let mut open: Vec<usize> = (0..examples.len()).collect();
            for at in 0.. {
                if open.is_empty() {
                    break;
                }
                let said = if self.stepwise {
                    self.step(&columns, examples, &added, at).await?
                } else {
                    self.said(&columns, &open, examples, &added).await?
                };
                let mut still = Vec::new();
                for n in open {
                    // Of what is read step by step there may be more that is known.
                    let Some(said) = said.get(&n) else {
                        still.push(n);
                        continue;
                    };
                    let example = examples[n];
                    let own = &mut added[example as usize];
                    let more = next(example, own.len() / self.width, said)?;
                    if !more.len().is_multiple_of(self.width) {
                        return Err(Error::internal("a part of a step"));
                    }
                    own.extend_from_slice(&more);
                    own.truncate(steps * self.width);
                    if !more.is_empty() && own.len() < steps * self.width {
                        still.push(n);
                    }
                }
                open = still;
            }
        }
        Ok(added)
    }

    /// Reads step `at` of every example, whose states go on, and what is said behind it of those that have no more steps.
    async fn step(
        &mut self,
        columns: &[Column],
        examples: &[u32],
        added: &[Vec<f32>],
        at: usize,
    ) -> Result<BTreeMap<usize, Said>> {
        let [Column::Reals(begun)] = columns else {
            return Err(Error::internal("steps of several fields"));
        };
        let width = self.width;
        let mut rows = Vec::new();
        let mut last = Vec::new();
        for (n, (begun, example)) in begun.iter().zip(examples).enumerate() {
            let added = &added[*example as usize];
            let mut numbers = begun.iter().chain(added).skip(at * width);
            let row: Vec<f32> = numbers.by_ref().take(width).copied().collect();
            if row.len() == width && numbers.next().is_none() {
                last.push(n);
            }
            // The rows of sequences that are over go on beside the others.
            rows.push(if row.is_empty() {
                vec![0.0; width]
            } else {
                row
            });
        }
        let minibatch = Minibatch::new(&self.plan, &[Column::Reals(rows)], &Weighting::Sums)?;
        let minibatch = match at {
            0 => minibatch,
            _ => minibatch.going_on(),
        };
        self.engine.run(&minibatch.inputs()).await?;
        // Nothing is read back before a sequence wants its next step.
        self.engine.outcomes(!last.is_empty()).await?;
        if last.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut said = self.read(&minibatch, &vec![1; examples.len()]).await?;
        said.retain(|n, _| last.contains(n));
        Ok(said)
    }

    /// What is said behind each of the examples `open`, of which `columns` are the beginnings.
    async fn said(
        &mut self,
        columns: &[Column],
        open: &[usize],
        examples: &[u32],
        added: &[Vec<f32>],
    ) -> Result<BTreeMap<usize, Said>> {
        let mut own: Vec<Column> = columns.iter().map(|column| column.some(open)).collect();
        let mut lengths = Vec::new();
        if let Column::Reals(all) = &mut own[self.field] {
            for (numbers, n) in all.iter_mut().zip(open) {
                numbers.extend_from_slice(&added[examples[*n] as usize]);
                lengths.push(numbers.len() / self.width);
            }
        }
        let minibatch = Minibatch::new(&self.plan, &own, &Weighting::Sums)?;
        self.engine.run(&minibatch.inputs()).await?;
        self.engine.outcomes(true).await?;
        let said = self.read(&minibatch, &lengths).await?;
        Ok(said.into_iter().map(|(n, said)| (open[n], said)).collect())
    }

    /// What is said behind the last of so many steps of each sequence of a minibatch.
    async fn read(
        &mut self,
        minibatch: &Minibatch,
        lengths: &[usize],
    ) -> Result<BTreeMap<usize, Said>> {
        let mut slots: BTreeMap<SlotId, Vec<f32>> = BTreeMap::new();
        let mut said: BTreeMap<usize, Said> = BTreeMap::new();
        for (loss, output) in self.plan.io.outputs.iter().enumerate() {
            let places = minibatch.places(loss).iter().enumerate();
            // Once an example, or at its last step.
            let last = |(example, step): &(usize, usize)| {
                output.axis == self.plan.recipes.examples || step + 1 == lengths[*example]
            };
            let rows: Vec<(usize, usize)> = places
                .filter(|(_, place)| last(place))
                .map(|(row, (example, _))| (row, *example))
                .collect();
            let values: Vec<Matrix> = output.values.iter().flatten().copied().collect();
            for m in &values {
                if let Entry::Vacant(slot) = slots.entry(m.slot) {
                    slot.insert(self.engine.read(m.slot).await?);
                }
            }
            for (row, example) in rows {
                let of =
                    |m: &Matrix| slots[&m.slot][m.offset + row * m.stride..][..m.cols].to_vec();
                let own = said.entry(example).or_default();
                own.push(values.iter().map(of).collect());
            }
        }
        Ok(said)
    }
}
