//! Examples of a model's fields, as training and measuring read them: which of the records, how long each is, what a plan
//! must hold for a minibatch of them.

mod attention;
mod draw;
mod evaluate;
mod forecaster;
mod glimpses;
mod metric;
mod mixer;
mod numbers;
mod painter;
mod series;
mod sizes;
mod writer;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::attention::{Alignment, ModelAttention};
pub use self::draw::{deviation, draw};
pub use self::evaluate::{FieldEvaluation, FieldEvaluator, LossEvaluation, Scored};
pub use self::forecaster::{Forecaster, Said};
pub use self::glimpses::Glimpses;
pub use self::metric::{Labels, Metric};
pub use self::mixer::ExampleMixer;
pub use self::numbers::Numbers;
pub use self::painter::{Canvases, Paint, paint};
pub use self::series::{SeriesCut, SeriesPart, Windows};
pub use self::sizes::sizes_for;
pub use self::writer::{TextLimits, TextWriter, WrittenText};
use crate::data::SequenceLengths;
use crate::data::fields::{Field, FieldCodes, FieldKind, FieldRows, Records};
use crate::error::{Error, Result};
use crate::model::text::{self, Model};
use crate::task::Column;

/// The fields of a model, as files are read for them.
pub fn fields(model: &Model) -> Vec<Field> {
    let name = |n: usize| model.fields()[n].name.clone();
    let declared = model.fields().iter().map(|field| {
        let kind = match field.kind {
            text::ModelFieldKind::Tokens {
                within: Some(of), ..
            } => FieldKind::TokensWithin(name(of)),
            text::ModelFieldKind::Tokens { within: None, .. } => FieldKind::Tokens,
            text::ModelFieldKind::Class => FieldKind::Class,
            text::ModelFieldKind::Classes { along } => FieldKind::ClassesAlong(name(along)),
            text::ModelFieldKind::Vector => FieldKind::Vector,
            text::ModelFieldKind::RealsAlong { along, .. } => FieldKind::RealsAlong(name(along)),
            text::ModelFieldKind::Reals { bits: false, .. } => FieldKind::Reals,
            text::ModelFieldKind::Reals { bits: true, .. } => FieldKind::Bits,
        };
        Field::new(field.name.clone(), kind)
    });
    declared.collect()
}

/// Some examples of a model's fields. A clone shares them.
#[derive(Clone, Debug)]
pub struct ExampleSet {
    model: Arc<Model>,
    records: Arc<Records>,
    /// Which of the records.
    numbers: Arc<[u32]>,
    /// The field whose rows are predicted, and the first that is a sequence; their lengths order minibatches.
    target: Option<usize>,
    source: Option<usize>,
    /// By field, how many steps at the end of a sequence are predicted and not read.
    ahead: Arc<[usize]>,
    /// Steps ahead of losses that do not say them.
    horizon: usize,
    /// By record, the first step at which predictions are measured; empty where all are.
    measured: Arc<[usize]>,
}

impl ExampleSet {
    /// The examples `numbers` of `records`, as `model` reads them whose losses predict `horizon` steps ahead where their lines
    /// do not say how many; without one nothing is known of what is predicted, and all steps are read.
    ///
    /// # Errors
    /// Data, for a sequence that has no step before those that are predicted; internal, for records of fewer examples.
    pub fn new(
        model: Arc<Model>,
        records: Arc<Records>,
        numbers: Vec<u32>,
        horizon: Option<usize>,
    ) -> Result<ExampleSet> {
        if numbers.iter().any(|n| *n as usize >= records.len()) {
            let (found, len) = (numbers.len(), records.len());
            return Err(Error::internal(format!(
                "{found} examples were to be taken of {len}"
            )));
        }
        let sequence = |n: &usize| {
            let kind = model.fields()[*n].kind;
            let within = matches!(
                kind,
                text::ModelFieldKind::Tokens {
                    within: Some(_),
                    ..
                }
            );
            kind.has_steps() && !within
        };
        let source = (0..model.fields().len()).find(sequence);
        let along = model.losses().first().map(|loss| loss.steps().or(source));
        let ahead: Vec<usize> = (0..model.fields().len())
            .map(|field| horizon.map_or(0, |horizon| model.ahead(field, horizon)))
            .collect();
        for (field, ahead) in model.fields().iter().zip(&ahead) {
            let Some(FieldRows::Steps(rows)) = records.rows(&field.name) else {
                continue;
            };
            let short = |n: &&u32| rows.steps(**n as usize) <= *ahead;
            if let Some(n) = numbers.iter().find(short) {
                let n = *n as usize;
                return Err(Error::data(format!(
                    "{}: field {}: expected more than {ahead} steps, as so many are predicted, found {}",
                    rows.row_place(n),
                    field.name,
                    rows.steps(n)
                )));
            }
        }
        Ok(ExampleSet {
            ahead: ahead.into(),
            horizon: horizon.unwrap_or(1),
            measured: Arc::new([]),
            target: along.flatten(),
            source,
            model,
            records,
            numbers: numbers.into(),
        })
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The same where predictions are measured from a step on, which `first` says by record: those of the step that a
    /// prediction is of, not of the step that it is made at.
    #[must_use]
    pub fn measured_from(self, first: Vec<usize>) -> ExampleSet {
        ExampleSet {
            measured: first.into(),
            ..self
        }
    }

    /// Whether the prediction that an example's row `step` makes is measured.
    pub fn is_measured(&self, example: u32, step: usize) -> bool {
        let first = self.measured.get(self.number(example) as usize);
        first.is_none_or(|first| step + 1 >= *first)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The examples with these numbers among the records, in this order; all else is as it is.
    ///
    /// # Errors
    /// Internal, for numbers that no record has.
    pub fn some(&self, numbers: Vec<u32>) -> Result<ExampleSet> {
        let all = self.records.len();
        if let Some(n) = numbers.iter().find(|n| **n as usize >= all) {
            return Err(Error::internal(format!("example {n} of {all}")));
        }
        Ok(ExampleSet {
            numbers: numbers.into(),
            ..self.clone()
        })
    }

    /// The model whose fields they are.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The number of an example among the records.
    pub fn number(&self, example: u32) -> u32 {
        self.numbers[example as usize]
    }

    /// How many predictions one pass makes, of all losses.
    pub fn predictions(&self) -> u64 {
        let losses = self.model.losses().iter();
        let of = |loss: &text::Loss| {
            let Some(field) = loss.steps() else {
                return self.len() as u64;
            };
            let all = 0..self.len() as u32;
            all.map(|example| self.steps(field, example) as u64).sum()
        };
        losses.map(of).sum()
    }

    /// Bytes of memory that the ids take, those of `other` examples, too, which may be of the same records.
    pub fn bytes_with(&self, other: Option<&ExampleSet>) -> u64 {
        let numbers = |set: &ExampleSet| 4 * set.numbers.len() as u64;
        let others = other.map_or(0, |other| {
            let shared = Arc::ptr_eq(&self.records, &other.records);
            numbers(other) + if shared { 0 } else { other.records.bytes() }
        });
        self.records.bytes() + numbers(self) + others
    }

    /// How often each class of a field stands in the examples; none for other fields.
    pub fn class_counts(&self, codes: &FieldCodes, field: &str) -> Option<Vec<u64>> {
        let classes = codes.classes(field)?.len();
        self.records.class_counts(field, &self.numbers, classes)
    }

    /// Rows of a sequence: its tokens, and one more where it is predicted; the steps of its numbers without those that are.
    fn steps(&self, field: usize, example: u32) -> usize {
        let declared = &self.model.fields()[field];
        let number = self.number(example) as usize;
        let predicted = matches!(
            declared.kind,
            text::ModelFieldKind::Tokens {
                predicted: true,
                ..
            }
        );
        match self.records.rows(&declared.name) {
            Some(FieldRows::Tokens(lines)) => lines.length(number) + usize::from(predicted),
            Some(FieldRows::Steps(rows)) => rows.steps(number) - self.ahead[field],
            _ if declared.kind.has_steps() => usize::from(predicted),
            _ => 1,
        }
    }

    /// The tokens of an example, without marks; none of a field that has none.
    ///
    /// # Errors
    /// Io, for ids in a file that cannot be read.
    pub fn tokens(&self, field: &str, example: u32) -> Result<Vec<u32>> {
        let Some(FieldRows::Tokens(lines)) = self.records.rows(field) else {
            return Ok(Vec::new());
        };
        lines.ids(self.number(example) as usize)
    }

    /// Calls `take` with every token of a field that is to be predicted, its ends among them.
    ///
    /// # Errors
    /// Io, for ids in a file that cannot be read.
    pub fn each_target(&self, field: &str, mut take: impl FnMut(u32)) -> Result<()> {
        let Some(FieldRows::Tokens(lines)) = self.records.rows(field) else {
            return Ok(());
        };
        for number in self.numbers.iter() {
            lines.ids(*number as usize)?.into_iter().for_each(&mut take);
            take(lines.end_id());
        }
        Ok(())
    }

    /// Calls `take` with every step of a field of reals or bits from step `first` on, and whether its prediction, which the step
    /// before makes, is measured.
    ///
    /// # Errors
    /// Io, for steps in a file that cannot be read.
    pub fn each_step(
        &self,
        field: &str,
        first: usize,
        mut take: impl FnMut(bool, &[f32]),
    ) -> Result<()> {
        let Some(FieldRows::Steps(rows)) = self.records.rows(field) else {
            return Ok(());
        };
        for example in 0..self.len() as u32 {
            let n = self.number(example) as usize;
            let mut numbers = vec![0.0; rows.steps(n) * rows.width()];
            rows.read(n, 0, &mut numbers)?;
            for (step, numbers) in numbers.chunks(rows.width()).enumerate().skip(first) {
                take(self.is_measured(example, step.saturating_sub(1)), numbers);
            }
        }
        Ok(())
    }

    /// What each field holds for the examples `of`. Of what was not read, as what is to be predicted, nothing is
    /// known.
    ///
    /// # Errors
    /// Io, for ids in a file that cannot be read.
    pub fn columns(&self, of: &[u32]) -> Result<Vec<Column>> {
        let fields = 0..self.model.fields().len();
        fields.map(|field| self.column(field, of)).collect()
    }

    /// The columns of sequences in segments of `steps` steps of the one field, the last of them shorter, each with the step at
    /// which it begins; as they are where that is 0. Behind the steps that a segment reads lie those that it predicts.
    fn segments<'a>(&self, columns: &'a [Column], steps: usize) -> Vec<(usize, Cow<'a, [Column]>)> {
        let name = &self.model.fields()[0].name;
        let (Some(FieldRows::Steps(rows)), [Column::Reals(all)]) =
            (self.records.rows(name), columns)
        else {
            return vec![(0, columns.into())];
        };
        let [numbers] = &all[..] else {
            return vec![(0, columns.into())];
        };
        let (width, ahead) = (rows.width(), self.ahead[0]);
        let found = numbers.len() / width;
        let read = found - ahead;
        let steps = if steps == 0 { read } else { steps };
        let segment = |first: usize| {
            let end = (first + steps + ahead).min(found);
            let own = numbers[first * width..end * width].to_vec();
            (first, vec![Column::Reals(vec![own])].into())
        };
        (0..read).step_by(steps.max(1)).map(segment).collect()
    }

    fn column(&self, field: usize, of: &[u32]) -> Result<Column> {
        let declared = &self.model.fields()[field];
        let numbers = of.iter().map(|example| self.number(*example) as usize);
        Ok(match self.records.rows(&declared.name) {
            None => Column::Absent(of.len()),
            Some(FieldRows::Tokens(lines)) => {
                Column::Tokens(numbers.map(|n| lines.ids(n)).collect::<Result<_>>()?)
            }
            Some(FieldRows::TokensWithin(words)) => {
                let of_words = |n| words.words(n).map(|word| words.lines().ids(word));
                let words = numbers.map(|n| of_words(n).collect());
                Column::Within(words.collect::<Result<_>>()?)
            }
            Some(FieldRows::Class(ids)) => Column::Class(numbers.map(|n| ids[n]).collect()),
            Some(FieldRows::ClassesAlong(rows)) => {
                Column::Classes(numbers.map(|n| rows.row(n).to_vec()).collect())
            }
            Some(FieldRows::Vector(rows)) => {
                Column::Vector(numbers.map(|n| rows.row(n).to_vec()).collect())
            }
            Some(FieldRows::Steps(rows)) => {
                let sequence = |n: usize| {
                    let mut numbers = vec![0.0; rows.steps(n) * rows.width()];
                    rows.read(n, 0, &mut numbers).map(|()| numbers)
                };
                Column::Reals(numbers.map(sequence).collect::<Result<_>>()?)
            }
        })
    }
}

impl SequenceLengths for ExampleSet {
    fn count(&self) -> usize {
        self.len()
    }

    fn source(&self, sequence: u32) -> usize {
        self.source.map_or(1, |field| self.steps(field, sequence))
    }

    fn target(&self, sequence: u32) -> usize {
        self.target.map_or(1, |field| self.steps(field, sequence))
    }
}

#[cfg(test)]
mod tests;
