//! What a plan must hold for any minibatch of some examples.

use super::ExampleSet;
use crate::data::fields::{FieldCode, FieldCodes, FieldRows};
use crate::data::{BatchSize, SequenceLengths, Vocabulary};
use crate::error::{Error, Result};
use crate::model::text::{FieldSize, Model, ModelFieldKind, Sizes};
use crate::train::feed::capacity;

impl ExampleSet {
    /// The sizes within which any minibatch of `size` lies.
    ///
    /// # Errors
    /// Internal, for codes of other fields.
    pub fn sizes(&self, codes: &FieldCodes, size: BatchSize) -> Result<Sizes> {
        let most = capacity(self, size);
        let fields = 0..self.model.fields().len();
        Ok(Sizes {
            examples: most.batch,
            fields: fields
                .map(|field| self.size(field, codes, most.batch, most.rows))
                .collect::<Result<_>>()?,
        })
    }

    fn size(
        &self,
        field: usize,
        codes: &FieldCodes,
        examples: usize,
        rows: usize,
    ) -> Result<FieldSize> {
        field_size(&self.model, field, codes, |within| match within {
            Some(_) => self.within(field, examples),
            None => {
                let of = |example| self.steps(field, example);
                let longest = (0..self.count() as u32).map(of).max().unwrap_or(1);
                let rows = if self.target == Some(field) {
                    rows
                } else {
                    self.largest(examples, of)
                };
                (longest, rows)
            }
        })
    }

    /// The most rows of a sequence within another's step, and those of a minibatch of so many examples.
    fn within(&self, field: usize, examples: usize) -> (usize, usize) {
        let name = &self.model.fields()[field].name;
        let Some(FieldRows::TokensWithin(words)) = self.records.rows(name) else {
            return (1, 1);
        };
        let lengths = |example: u32| {
            let words_of = words.words(self.number(example) as usize);
            words_of.map(|word| words.lines().length(word))
        };
        let all = 0..self.count() as u32;
        let longest = all.clone().flat_map(lengths).max().unwrap_or(1);
        (longest, self.largest(examples, |e| lengths(e).sum()))
    }

    /// The sum over the `count` examples of which `of` is largest.
    fn largest(&self, count: usize, of: impl Fn(u32) -> usize) -> usize {
        let mut all: Vec<usize> = (0..self.count() as u32).map(of).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.iter().take(count).sum()
    }
}

/// The sizes of a minibatch of `examples` examples whose sequences have `steps` tokens at most, each a sequence of as many
/// where a field lies within them; without any example at hand, as for a plan that holds a run's weights.
///
/// # Errors
/// Internal, for codes of other fields.
pub fn sizes_for(
    model: &Model,
    codes: &FieldCodes,
    examples: usize,
    steps: usize,
) -> Result<Sizes> {
    let size = |field: usize| {
        let most = match model.fields()[field].kind {
            // Its ends are predicted, too.
            ModelFieldKind::Tokens {
                predicted: true, ..
            } => steps + 1,
            _ => steps,
        };
        field_size(model, field, codes, |within| match within {
            Some(_) => (most, examples * steps * most),
            None => (most, examples * most),
        })
    };
    let fields = (0..model.fields().len()).map(size);
    Ok(Sizes {
        examples,
        fields: fields.collect::<Result<_>>()?,
    })
}

/// The size of a field by its code. `most` says the most steps of a sequence and the most rows of all, of a field with steps or
/// of one within another.
fn field_size(
    model: &Model,
    field: usize,
    codes: &FieldCodes,
    most: impl FnOnce(Option<usize>) -> (usize, usize),
) -> Result<FieldSize> {
    let declared = &model.fields()[field];
    Ok(match (codes.code(&declared.name), declared.kind) {
        (Some(FieldCode::Classes(names)), _) => FieldSize::Classes(names.len()),
        (Some(FieldCode::Width(width)), _) => FieldSize::Vector(*width),
        (Some(FieldCode::Vocabulary(vocabulary)), ModelFieldKind::Tokens { within, .. }) => {
            let (steps, rows) = most(within);
            FieldSize::Tokens {
                symbols: vocabulary.len(),
                marks: marks(vocabulary, &declared.name)?,
                steps: steps.max(1),
                rows: rows.max(1),
            }
        }
        (Some(FieldCode::Steps { width, .. }), ModelFieldKind::RealsAlong { .. }) => {
            FieldSize::Vector(*width)
        }
        (Some(FieldCode::Steps { width, .. } | FieldCode::Bits { width, .. }), _) => {
            let (steps, rows) = most(None);
            FieldSize::Reals {
                width: *width,
                steps: steps.max(1),
                rows: rows.max(1),
            }
        }
        _ => {
            let name = &declared.name;
            return Err(Error::internal(format!("field {name} has no code")));
        }
    })
}

/// The symbols before and behind a sequence of field `name`.
fn marks(vocabulary: &Vocabulary, name: &str) -> Result<[u32; 2]> {
    match (vocabulary.start_id(), vocabulary.end_id()) {
        (Some(start), Some(end)) => Ok([start, end]),
        _ => Err(Error::internal(format!(
            "field {name}: its vocabulary is not of sequences"
        ))),
    }
}
