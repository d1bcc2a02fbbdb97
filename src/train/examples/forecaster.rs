//! Sequences of numbers that go on: step by step, or some steps at once, each from what the model says behind those so far.
//!
//! Every step is one pass over the whole of a sequence, which any model's plan can do.

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
        let mut sizes = set.sizes(codes, BatchSize::Sentences(1))?;
        let FieldSize::Reals { steps, width, .. } = sizes.fields[field] else {
            return Err(Error::internal("numbers of a field without any"));
        };
        let longest = steps + more;
        let together = (ROWS / longest).clamp(1, set.len().max(1));
        if together > 1 {
            sizes = set.sizes(codes, BatchSize::Sentences(together))?;
        }
        sizes.examples = together;
        if let FieldSize::Reals { steps, rows, .. } = &mut sizes.fields[field] {
            (*steps, *rows) = (longest, together * longest);
        }
        let plan = Arc::new(model.plan(spec, &sizes, Mode::Scores)?);
        let weights = weights(&plan)?;
        let engine = Engine::with_parameters(device, plan.clone(), &weights).await?;
        Ok(Forecaster {
            set,
            plan,
            engine,
            field,
            width,
            together,
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
            while !open.is_empty() {
                let said = self.said(&columns, &open, examples, &added).await?;
                let mut still = Vec::new();
                for (n, said) in open.iter().zip(&said) {
                    let example = examples[*n];
                    let own = &mut added[example as usize];
                    let more = next(example, own.len() / self.width, said)?;
                    if !more.len().is_multiple_of(self.width) {
                        return Err(Error::internal("a part of a step"));
                    }
                    own.extend_from_slice(&more);
                    own.truncate(steps * self.width);
                    if !more.is_empty() && own.len() < steps * self.width {
                        still.push(*n);
                    }
                }
                open = still;
            }
        }
        Ok(added)
    }

    /// What is said behind each of the examples `open`, of which `columns` are the beginnings.
    async fn said(
        &mut self,
        columns: &[Column],
        open: &[usize],
        examples: &[u32],
        added: &[Vec<f32>],
    ) -> Result<Vec<Said>> {
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
        let mut slots: BTreeMap<SlotId, Vec<f32>> = BTreeMap::new();
        let mut said: Vec<Said> = vec![Vec::new(); open.len()];
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
                said[example].push(values.iter().map(of).collect());
            }
        }
        Ok(said)
    }
}
