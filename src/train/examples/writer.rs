//! Texts that a model writes about examples: token by token, each from the scores behind what is written so far.
//!
//! Every token is one pass over the whole of what is written, which any model's plan can do; texts of a few dozen tokens take
//! moments.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ExampleSet;
use crate::data::BatchSize;
use crate::data::fields::FieldCodes;
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::text::{FieldSize, Target};
use crate::model::{Mode, Spec};
use crate::op::Plan;
use crate::rng::{Purpose, Stream};
use crate::task::{Column, Minibatch, Weighting};
use crate::train::Choice;
use crate::train::generator::pick;

/// Texts that are written side by side, at most.
const TOGETHER: usize = 64;
/// Scores that are held at once, at most, where a single text takes no more.
const SCORES: usize = 1 << 24;
/// A score that no choice takes.
const NEVER: f32 = -1e30;

/// Writes texts about examples.
#[derive(Debug)]
pub struct TextWriter {
    set: ExampleSet,
    plan: Arc<Plan>,
    engine: Engine,
    /// The loss that predicts the next token, the field of these, and the symbols before and behind a text.
    loss: usize,
    field: usize,
    marks: [u32; 2],
    /// Examples at once.
    together: usize,
    /// What every text begins with.
    prime: Vec<u32>,
    /// Tokens of a text, at most.
    most: usize,
}

/// What texts begin with, and how long they get.
#[derive(Clone, Debug, Default)]
pub struct TextLimits {
    /// The tokens that every text begins with, as if the model had written them.
    pub prime: Vec<u32>,
    /// Tokens behind these, at most.
    pub most: usize,
}

impl TextWriter {
    /// For the examples of `set` and the model with these flat parameters, which `weights` gives for a plan.
    ///
    /// # Errors
    /// Usage, where no loss predicts a next token; sizes that do not fit together; a device that cannot hold them.
    pub async fn new(
        device: &Device,
        spec: &Spec,
        set: ExampleSet,
        codes: &FieldCodes,
        weights: impl FnOnce(&Plan) -> Result<Vec<f32>>,
        limits: TextLimits,
    ) -> Result<TextWriter> {
        let TextLimits { prime, most } = limits;
        let most = most + prime.len();
        let model = set.model().clone();
        let next = |target: Target| match target {
            Target::Next(field) => Some(field),
            Target::Class(_) | Target::Numbers(_) => None,
        };
        let losses = model.losses().iter().enumerate();
        let found = losses.filter_map(|(n, loss)| Some((n, next(loss.target)?)));
        let [(loss, field)] = found.collect::<Vec<_>>()[..] else {
            return Err(Error::usage(format!(
                "model {}: expected one loss that predicts a next token",
                model.name
            )));
        };
        let name = &model.fields()[field].name;
        let Some(vocabulary) = codes.vocabulary(name) else {
            return Err(Error::internal(format!("field {name} has no vocabulary")));
        };
        let a_text = (most + 1).saturating_mul(vocabulary.len());
        let together = (SCORES / a_text.max(1)).clamp(1, TOGETHER).min(set.len());
        let mut sizes = set.sizes(codes, BatchSize::Sentences(together))?;
        sizes.examples = together;
        let FieldSize::Tokens { steps, rows, .. } = &mut sizes.fields[field] else {
            return Err(Error::internal(format!("field {name} has no tokens")));
        };
        (*steps, *rows) = (most + 1, together * (most + 1));
        let FieldSize::Tokens { marks, .. } = sizes.fields[field] else {
            return Err(Error::internal(format!("field {name} has no marks")));
        };
        let plan = Arc::new(model.plan(spec, &sizes, Mode::Scores)?);
        let weights = weights(&plan)?;
        let engine = Engine::with_parameters(device, plan.clone(), &weights).await?;
        Ok(TextWriter {
            set,
            plan,
            engine,
            loss,
            field,
            marks,
            together,
            prime,
            most,
        })
    }

    /// A text about every example, in their order, without marks. Example k draws the same whatever is beside it.
    ///
    /// # Errors
    /// Checkpoint, where scores are not finite; a lost device.
    pub async fn write(&mut self, choice: &Choice) -> Result<Vec<Vec<u32>>> {
        let all: Vec<u32> = (0..self.set.len() as u32).collect();
        let mut texts = Vec::new();
        for examples in all.chunks(self.together) {
            texts.extend(self.some(examples, choice).await?);
        }
        Ok(texts)
    }

    async fn some(&mut self, examples: &[u32], choice: &Choice) -> Result<Vec<Vec<u32>>> {
        let mut texts: Vec<Vec<u32>> = vec![self.prime.clone(); examples.len()];
        if self.prime.len() == self.most {
            return Ok(texts);
        }
        let mut streams: Vec<Stream> = examples
            .iter()
            .map(|example| Stream::new(choice.seed, Purpose::Sample, u64::from(*example)))
            .collect();
        let mut open: Vec<usize> = (0..examples.len()).collect();
        let [start, end] = self.marks;
        while !open.is_empty() {
            let of: Vec<u32> = open.iter().map(|n| examples[*n]).collect();
            let written: Vec<Vec<u32>> = open.iter().map(|n| texts[*n].clone()).collect();
            let scores = self.last(&of, written).await?;
            let mut still = Vec::new();
            for (place, n) in open.into_iter().enumerate() {
                let mut row = scores[&place].clone();
                row[start as usize] = NEVER;
                let token = pick(&row, choice, streams[n].uniform())? as u32;
                if token == end {
                    continue;
                }
                texts[n].push(token);
                if texts[n].len() < self.most {
                    still.push(n);
                }
            }
            open = still;
        }
        Ok(texts)
    }

    /// The scores behind what is written of each example.
    async fn last(
        &mut self,
        examples: &[u32],
        written: Vec<Vec<u32>>,
    ) -> Result<BTreeMap<usize, Vec<f32>>> {
        let mut columns = self.set.columns(examples)?;
        let steps: Vec<usize> = written.iter().map(Vec::len).collect();
        columns[self.field] = Column::Tokens(written);
        let minibatch = Minibatch::new(&self.plan, &columns, &Weighting::Sums)?;
        self.engine.run(&minibatch.inputs()).await?;
        self.engine.outcomes(true).await?;
        let Some(scores) = self.plan.io.outputs[self.loss].scores else {
            return Err(Error::internal("the plan keeps no scores"));
        };
        let all = self.engine.read(scores.slot).await?;
        let places = minibatch.places(self.loss).iter().enumerate();
        let last = places.filter(|(_, (example, step))| *step == steps[*example]);
        let row = |n: usize| all[scores.offset + n * scores.stride..][..scores.cols].to_vec();
        Ok(last.map(|(n, (example, _))| (*example, row(n))).collect())
    }
}
