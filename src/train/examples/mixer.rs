//! Scheduled sampling (Bengio 2015) of models of fields: the tokens that a decoder reads, some of them drawn by the model itself.
//!
//! What is read beside the sequences runs once, behind it a token a run, without dropout: each true token is kept with probability
//! epsilon, else replaced by one that the scores before it draw, which themselves look at what was drawn. What is to be
//! predicted stays as it is, and no gradient flows through a draw.

use std::sync::Arc;

use super::ExampleSet;
use super::evaluate::row;
use super::writer::run_step;
use crate::error::{Error, Result};
use crate::exec::Engine;
use crate::op::{FieldShape, Matrix, Plan};
use crate::task::{Beginning, Column, looks_back};
use crate::train::generator;
use crate::train::mixer::{Mixing, diverged};

/// Makes the inputs of minibatches of examples.
#[derive(Debug)]
pub struct ExampleMixer {
    set: ExampleSet,
    engine: Engine,
    /// The field whose tokens are predicted, its marks, and the scores of its next token [rows, V].
    field: usize,
    marks: [u32; 2],
    scores: Matrix,
}

/// A sequence in the making.
struct Mixed {
    true_tokens: Vec<u32>,
    read: Vec<u32>,
    /// By token: the number in [0, 1) that draws what stands in its place, where the model replaces it.
    draws: Vec<Option<f32>>,
    /// The steps that have to run, up to the scores of its last draw.
    steps: usize,
    /// Its row in the step before.
    row: usize,
}

impl ExampleMixer {
    /// For the examples of `set`, with the parameters that `trained` trains; its `plan` is one of
    /// [steps](crate::model::text::Model::steps_plan) with a row for every example of a minibatch.
    ///
    /// # Errors
    /// Usage, where no loss predicts a next token; a plan of something else; a device that cannot hold it.
    pub async fn shared(
        trained: &mut Engine,
        plan: Arc<Plan>,
        set: ExampleSet,
    ) -> Result<ExampleMixer> {
        let (loss, field) = set.model().written()?;
        let (Some(scores), FieldShape::Tokens { marks, .. }) =
            (plan.io.outputs[loss].scores, plan.recipes.fields[field])
        else {
            return Err(Error::internal("the plan makes no scores of a next token"));
        };
        Ok(ExampleMixer {
            engine: trained.share(plan).await?,
            set,
            field,
            marks,
            scores,
        })
    }

    /// The columns of `examples`, the tokens that the model replaces among what it reads; none where all stay.
    ///
    /// # Errors
    /// Diverged where scores are not finite; a lost device.
    pub async fn mix(&mut self, examples: &[u32], mixing: &Mixing) -> Result<Option<Vec<Column>>> {
        let mut columns = self.set.columns(examples)?;
        let Column::Tokens(all) = &columns[self.field] else {
            return Err(Error::internal("what is mixed are no tokens"));
        };
        let mut texts = Vec::with_capacity(all.len());
        let mut position = 0;
        for tokens in all {
            texts.push(Mixed::new(tokens, position, mixing));
            position += tokens.len();
        }
        let steps = texts.iter().map(|text| text.steps).max().unwrap_or(0);
        if steps == 0 {
            return Ok(None);
        }
        let back = looks_back(self.engine.plan(), self.field);
        for step in 0..steps {
            let mut rows = Vec::new();
            for (example, text) in texts.iter_mut().enumerate() {
                if step < text.steps {
                    let (read, parent) = (&text.read[..step], text.row);
                    text.row = rows.len();
                    rows.push(Beginning {
                        example,
                        parent,
                        step,
                        last: read[read.len().saturating_sub(back)..].to_vec(),
                    });
                }
            }
            run_step(&mut self.engine, &mut columns, self.field, rows, step).await?;
            self.draw(&mut texts, step, mixing).await?;
        }
        let (tokens, read) = texts.into_iter().map(|t| (t.true_tokens, t.read)).unzip();
        columns[self.field] = Column::Mixed { tokens, read };
        Ok(Some(columns))
    }

    /// Draws what is replaced behind a step, from the scores that it made.
    async fn draw(&mut self, texts: &mut [Mixed], step: usize, mixing: &Mixing) -> Result<()> {
        let drawn = texts
            .iter_mut()
            .filter(|text| step < text.steps)
            .filter_map(|text| text.draws[step].map(|u| (text, u)));
        let mut drawn = drawn.peekable();
        if drawn.peek().is_none() {
            self.engine.outcomes(false).await?;
            return Ok(());
        }
        self.engine.outcomes(true).await?;
        let (scores, m) = (self.engine.read(self.scores.slot).await?, self.scores);
        for (text, u) in drawn {
            // No text goes on behind a mark.
            let token = generator::draw(row(&scores, m, text.row), u, &self.marks);
            text.read[step] = token.map_err(|bad| diverged(mixing.step, step, text.row, bad))?;
        }
        Ok(())
    }
}

impl Mixed {
    /// The tokens of an example, the first of which is number `first` of its minibatch.
    fn new(tokens: &[u32], first: usize, mixing: &Mixing) -> Mixed {
        let draw = |token| {
            let [keeps, u] = mixing.numbers(first + token);
            (f64::from(keeps) >= mixing.epsilon).then_some(u)
        };
        let draws: Vec<Option<f32>> = (0..tokens.len()).map(draw).collect();
        Mixed {
            true_tokens: tokens.to_vec(),
            read: tokens.to_vec(),
            steps: draws
                .iter()
                .rposition(Option::is_some)
                .map_or(0, |last| last + 1),
            draws,
            row: 0,
        }
    }
}
