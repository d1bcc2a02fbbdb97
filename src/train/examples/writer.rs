//! Texts that a model writes about examples: many side by side, a token of each a run, from the scores behind what is written
//! so far.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::ExampleSet;
use super::attention::{Alignment, Looked, ModelAttention};
use super::evaluate::row;
use crate::data::fields::FieldCodes;
use crate::data::{BatchSize, SequenceLengths};
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::Spec;
use crate::model::text::FieldSize;
use crate::op::{Matrix, Plan};
use crate::rng::{Purpose, Stream};
use crate::search::{Beam, BeamLimits, Found, Scoring};
use crate::task::{Beginning, Column, Minibatch, Weighting, looks_back};
use crate::train::Choice;
use crate::train::generator::pick;

/// Texts that are written side by side, at most.
const TOGETHER: usize = 64;
/// Scores that are held at once, at most, where a single text takes no more.
const SCORES: usize = 1 << 24;

/// Writes texts about examples.
#[derive(Debug)]
pub struct TextWriter {
    set: ExampleSet,
    engine: Engine,
    /// The field whose tokens are written, and the scores of the next one [rows, V].
    field: usize,
    scores: Matrix,
    /// Examples at once.
    together: usize,
    /// What every text begins with, and what it may be.
    prime: Vec<u32>,
    limits: BeamLimits,
    /// How many of the last tokens the model looks at.
    back: usize,
    attentions: Vec<ModelAttention>,
}

/// A text, and for every attention of its writer what its predictions weigh; none where nobody asks.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenText {
    /// The text.
    pub found: Found,
    /// In the order of [`TextWriter::attentions`].
    pub alignments: Vec<Alignment>,
}

/// What texts begin with, how long they get, and how they are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TextLimits {
    /// The tokens that every text begins with, as if the model had written them.
    pub prime: Vec<u32>,
    /// Tokens behind these, at least, as far as anything else may follow.
    pub least: usize,
    /// Tokens behind these, at most.
    pub most: usize,
    /// No so many tokens in a row come twice in a text; 0 for no such rule.
    pub block_ngram: usize,
    /// Beginnings of a text that go on side by side; 1 where texts are drawn.
    pub beams: usize,
    /// Texts about an example that are looked for, 1 to `beams`.
    pub texts: usize,
    /// What these are compared by.
    pub scoring: Scoring,
    /// Whether a search is over when as many texts have ended as there are beams.
    pub early_stop: bool,
}

impl Default for TextLimits {
    fn default() -> TextLimits {
        TextLimits {
            prime: Vec::new(),
            least: 0,
            most: 0,
            block_ngram: 0,
            beams: 1,
            texts: 1,
            scoring: Scoring::default(),
            early_stop: false,
        }
    }
}

/// A text in the making.
struct UnfinishedText {
    beam: Beam,
    stream: Stream,
    /// The row of its first beginning in the run before.
    first: usize,
    /// By attention that is watched: the steps that it weighs.
    steps: Vec<usize>,
    /// What it looked at, where that is asked for.
    looked: Vec<Looked>,
}

impl TextWriter {
    /// For the examples of `set` and the model with these flat parameters, which `weights` gives for a plan.
    ///
    /// # Errors
    /// Usage, where no loss predicts a next token, or no beam is asked for; sizes that do not fit together; a device that
    /// cannot hold them.
    pub async fn new(
        device: &Device,
        spec: &Spec,
        set: ExampleSet,
        codes: &FieldCodes,
        weights: impl FnOnce(&Plan) -> Result<Vec<f32>>,
        limits: TextLimits,
    ) -> Result<TextWriter> {
        let model = set.model().clone();
        let (loss, field) = model.written()?;
        let name = &model.fields()[field].name;
        let Some(vocabulary) = codes.vocabulary(name) else {
            return Err(Error::internal(format!("field {name} has no vocabulary")));
        };
        if limits.beams == 0 {
            return Err(Error::usage("beam: expected at least 1, got 0"));
        }
        if !(1..=limits.beams).contains(&limits.texts) {
            let TextLimits { beams, texts, .. } = limits;
            return Err(Error::usage(format!(
                "nbest: expected 1 to as many as beams, {beams}, got {texts}"
            )));
        }

        let of_a_text = limits.beams.saturating_mul(vocabulary.len());
        let together = (SCORES / of_a_text.max(1)).clamp(1, TOGETHER);
        let together = together.min(set.len().max(1));
        let mut sizes = set.sizes(codes, BatchSize::Sentences(together))?;
        sizes.examples = together;
        let FieldSize::Tokens { marks, .. } = sizes.fields[field] else {
            return Err(Error::internal(format!("field {name} has no marks")));
        };
        let plan = model.steps_plan(spec, &sizes, together * limits.beams)?;
        let plan = Arc::new(plan);
        let Some(scores) = plan.io.outputs[loss].scores else {
            return Err(Error::internal("the plan keeps no scores"));
        };
        let attentions = ModelAttention::of(&plan);
        if limits.scoring.coverage != 0.0 && attentions.len() != 1 {
            return Err(Error::usage(format!(
                "coverage-penalty: expected a model with one attention by which texts are written, got model {} with {}",
                model.name,
                attentions.len()
            )));
        }
        let weights = weights(&plan)?;
        let engine = Engine::with_parameters(device, plan.clone(), &weights).await?;
        Ok(TextWriter {
            back: looks_back(&plan, field),
            attentions,
            set,
            engine,
            field,
            scores,
            together,
            limits: BeamLimits {
                beams: limits.beams,
                texts: limits.texts,
                scoring: limits.scoring,
                early_stop: limits.early_stop,
                least: limits.least,
                most: limits.most,
                block_ngram: limits.block_ngram,
                start: marks[0],
                end: marks[1],
            },
            prime: limits.prime,
        })
    }

    /// The attentions by which texts are written, in the order of the model's lines.
    pub fn attentions(&self) -> &[ModelAttention] {
        &self.attentions
    }

    /// The texts about every example that were found, best first, in the order of the examples: with a temperature of 0 those
    /// of the beams, else the one that is drawn. Example k draws the same whatever is beside it.
    ///
    /// # Errors
    /// Usage, for draws of several beams; Checkpoint, where scores are not finite; a lost device.
    pub async fn write(&mut self, choice: &Choice) -> Result<Vec<Vec<Found>>> {
        let texts = self.all(choice, &[]).await?;
        let texts = texts.into_iter();
        let found = texts.map(|some| some.into_iter().map(|text| text.found).collect());
        Ok(found.collect())
    }

    /// The same with what each prediction looked at, which is read back at every step.
    ///
    /// # Errors
    /// As [`TextWriter::write`].
    pub async fn write_looking(&mut self, choice: &Choice) -> Result<Vec<Vec<WrittenText>>> {
        let attentions = self.attentions.clone();
        self.all(choice, &attentions).await
    }

    async fn all(
        &mut self,
        choice: &Choice,
        looks: &[ModelAttention],
    ) -> Result<Vec<Vec<WrittenText>>> {
        if choice.temperature > 0.0 && self.limits.beams > 1 {
            return Err(Error::usage(format!(
                "beam: expected 1 with a temperature above 0, as texts are then drawn, got {}",
                self.limits.beams
            )));
        }
        // Texts about examples of one length are of like length themselves.
        let mut order: Vec<u32> = (0..self.set.len() as u32).collect();
        order.sort_by_key(|example| self.set.source(*example));
        let mut texts = vec![Vec::new(); self.set.len()];
        for examples in order.chunks(self.together) {
            let found = self.some(examples, choice, looks).await?;
            for (example, found) in examples.iter().zip(found) {
                texts[*example as usize] = found;
            }
        }
        Ok(texts)
    }

    async fn some(
        &mut self,
        examples: &[u32],
        choice: &Choice,
        looks: &[ModelAttention],
    ) -> Result<Vec<Vec<WrittenText>>> {
        let covers = self.limits.scoring.coverage != 0.0;
        let watched = match (looks, covers) {
            ([], true) => self.attentions.clone(),
            _ => looks.to_vec(),
        };
        let text = |example: &u32| {
            let steps = |look: &ModelAttention| self.set.steps(look.field, *example);
            let steps: Vec<usize> = watched.iter().map(steps).collect();
            let kept = steps.iter().take(looks.len());
            UnfinishedText {
                beam: Beam::new(self.limits.clone(), self.prime.clone()),
                stream: Stream::new(choice.seed, Purpose::Sample, u64::from(*example)),
                first: 0,
                looked: kept.map(|steps| Looked::new(*steps)).collect(),
                steps,
            }
        };
        let mut texts: Vec<UnfinishedText> = examples.iter().map(text).collect();
        let mut columns = self.set.columns(examples)?;
        for step in 0.. {
            let (rows, spans) = self.rows(&mut texts, step);
            if rows.is_empty() {
                break;
            }
            let engine = &mut self.engine;
            run_step(engine, &mut columns, self.field, rows, step).await?;
            let primed = step >= self.prime.len();
            engine.outcomes(primed).await?;
            if !primed {
                continue;
            }
            for (n, look) in watched.iter().enumerate() {
                let weights = engine.read(look.weights.slot).await?;
                for (text, span) in texts.iter_mut().zip(&spans) {
                    let rows = look.rows(&weights, text.steps[n], span.clone());
                    if covers {
                        text.beam.look(&rows);
                    }
                    if let Some(looked) = text.looked.get_mut(n) {
                        looked.push(&rows);
                    }
                }
            }
            let (scores, m) = (engine.read(self.scores.slot).await?, self.scores);
            let advance = |(text, span): (&mut UnfinishedText, Range<usize>)| {
                let rows: Vec<&[f32]> = span.map(|r| row(&scores, m, r)).collect();
                match &rows[..] {
                    [] => Ok(()),
                    [row, ..] if choice.temperature > 0.0 => text.draw(row, choice),
                    rows => text.beam.advance(rows),
                }
            };
            texts.par_iter_mut().zip(spans).try_for_each(advance)?;
        }
        Ok(texts.into_iter().map(UnfinishedText::written).collect())
    }

    /// The rows of a step, and by text which of them are its own. What texts begin with is read token by token.
    fn rows(
        &self,
        texts: &mut [UnfinishedText],
        step: usize,
    ) -> (Vec<Beginning>, Vec<Range<usize>>) {
        let (mut rows, mut spans) = (Vec::new(), Vec::new());
        for (example, text) in texts.iter_mut().enumerate() {
            let first = rows.len();
            for (tokens, parent) in text.beam.live() {
                let tokens = &tokens[..tokens.len().min(step)];
                rows.push(Beginning {
                    example,
                    parent: text.first + parent,
                    step: tokens.len(),
                    last: tokens[tokens.len().saturating_sub(self.back)..].to_vec(),
                });
            }
            spans.push(first..rows.len());
            text.first = first;
        }
        (rows, spans)
    }
}

/// Runs a step of a plan of [steps](crate::model::text::Model::steps_plan) for the beginnings `rows` of a field; the first one is
/// of the whole plan.
pub(super) async fn run_step(
    engine: &mut Engine,
    columns: &mut [Column],
    field: usize,
    rows: Vec<Beginning>,
    step: usize,
) -> Result<()> {
    let examples = columns[field].len();
    columns[field] = Column::Written { examples, rows };
    let minibatch = match step {
        0 => Minibatch::new(engine.plan(), columns, &Weighting::Sums)?,
        _ => Minibatch::step(engine.plan(), columns)?,
    };
    engine.run_part(&minibatch.inputs(), minibatch.part()).await
}

impl UnfinishedText {
    /// The texts that were found, best first.
    fn written(self) -> Vec<WrittenText> {
        let UnfinishedText { beam, looked, .. } = self;
        let found = beam.found().into_iter();
        let with = |found: Found| WrittenText {
            alignments: looked.iter().map(|l| l.along(&found.rows)).collect(),
            found,
        };
        found.map(with).collect()
    }

    fn draw(&mut self, scores: &[f32], choice: &Choice) -> Result<()> {
        if let Some(allowed) = self.beam.allowed(scores)? {
            let token = pick(&allowed, choice, self.stream.uniform())?;
            self.beam.follow(token as u32, scores[token]);
        }
        Ok(())
    }
}
