//! Sequences of vectors as training reads them: in the type of their file, wherever they lie, scaled when they are read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::places::RowPlaces;
use super::step_column::{StepSpan, Wholes};
use super::step_parts::FileSteps;
use crate::error::{Error, Result};

/// How a column is standardised: `(x - mean) / deviation`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnScale {
    /// The mean of the column.
    pub mean: f64,
    /// Its standard deviation, of all numbers and not of all but one: the root of the mean square of what they differ by
    /// from the mean.
    pub deviation: f64,
}

/// Sequences of vectors, `[steps, width]` an example. A clone shares the numbers.
#[derive(Clone, Debug)]
pub struct StepRows {
    pub(super) parts: Arc<[FileSteps]>,
    pub(super) spans: Arc<[StepSpan]>,
    pub(super) width: usize,
    /// The note of column 0, of bits.
    pub(super) first: u32,
    pub(super) scale: Option<Arc<[ColumnScale]>>,
    /// Where the examples stand that spans are of.
    pub(super) places: Arc<RowPlaces>,
    /// The spans that a window must lie in: those of whole examples.
    pub(super) whole: Arc<[StepSpan]>,
}

impl StepRows {
    /// How many numbers a step has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Never of what was read; of windows, where none was asked for.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// T, the steps of example `n`.
    ///
    /// # Panics
    /// Where there is no such example.
    pub fn steps(&self, n: usize) -> usize {
        self.spans[n].steps
    }

    /// The steps of all examples; of windows that overlap, each time they are in one.
    pub fn all_steps(&self) -> usize {
        self.spans.iter().map(|span| span.steps).sum()
    }

    /// Fills `into`, `[steps, width]`, with the steps of example `n` from `from_step` on, as many as there is room for; scaled
    /// where the code of the field has a scale.
    ///
    /// # Errors
    /// `Kind::Io` where they lie in a file that cannot be read, or was changed since; internal for steps that the example
    /// does not have, and room that is no whole number of them.
    pub fn read(&self, n: usize, from_step: usize, into: &mut [f32]) -> Result<()> {
        let span = self.spans.get(n).copied().unwrap_or_default();
        let steps = into.len() / self.width;
        let end = from_step.checked_add(steps);
        if !into.len().is_multiple_of(self.width) || end.is_none_or(|end| end > span.steps) {
            return Err(Error::internal(format!(
                "{} numbers of width {} from step {from_step} on were to be read of example {n}, which has {} steps",
                into.len(),
                self.width,
                span.steps
            )));
        }
        let first = span.first + from_step;
        match &self.parts[span.part as usize] {
            FileSteps::Numbers(rows) => match &self.scale {
                None => {
                    let mut numbers = into.iter_mut();
                    rows.each(first, steps, |value| {
                        if let Some(number) = numbers.next() {
                            *number = value as f32;
                        }
                    })
                }
                Some(scale) => {
                    let mut numbers = into.iter_mut().zip(scale.iter().cycle());
                    rows.each(first, steps, |value| {
                        if let Some((number, scale)) = numbers.next() {
                            *number = ((value - scale.mean) / scale.deviation) as f32;
                        }
                    })
                }
            },
            FileSteps::Notes(rows) => {
                into.fill(0.0);
                for (step, into) in into.chunks_exact_mut(self.width).enumerate() {
                    for note in rows.step(first + step) {
                        let bit = note.checked_sub(self.first);
                        if let Some(bit) = bit.and_then(|bit| into.get_mut(bit as usize)) {
                            *bit = 1.0;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Where example `n` stands: file, and line or row; of a window that begins later in its series, also at which step,
    /// from 0.
    ///
    /// # Panics
    /// Where there is no such example.
    pub fn row_place(&self, n: usize) -> String {
        let span = self.spans[n];
        let place = self.places.place(span.example as usize);
        match span.first - self.whole[span.example as usize].first {
            0 => place,
            step => format!("{place}, step {step}"),
        }
    }

    /// Spans of the same steps as examples of their own; they may overlap, and nothing is copied. A span is the number of its
    /// first step, counted from 0 over all examples as files had them, and how many steps it has.
    ///
    /// # Errors
    /// Internal, for a span without a step and for one that is not within one series.
    pub fn windows(&self, spans: Vec<(usize, usize)>) -> Result<StepRows> {
        let wholes = Wholes::new(&self.whole);
        let spans = spans.into_iter().map(|(start, steps)| {
            wholes.span(start, steps).ok_or_else(|| {
                Error::internal(format!(
                    "a window of {steps} steps from step {start} on is not within one of the {} series",
                    self.whole.len()
                ))
            })
        });
        Ok(StepRows {
            spans: spans.collect::<Result<_>>()?,
            ..self.clone()
        })
    }

    /// Adds all that they hold to a hash.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) -> Result<()> {
        let mut number = |n: u64| {
            hasher.update(&n.to_le_bytes());
        };
        number(self.width as u64);
        number(self.first.into());
        for span in self.spans.iter() {
            number(span.part.into());
            number(span.first as u64);
            number(span.steps as u64);
        }
        for scale in self.scale.iter().flat_map(|scale| scale.iter()) {
            number(scale.mean.to_bits());
            number(scale.deviation.to_bits());
        }
        self.parts.iter().try_for_each(|part| part.hash(hasher))
    }

    /// Bytes of memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        let spans = size_of_val::<[StepSpan]>(&self.spans) + size_of_val::<[StepSpan]>(&self.whole);
        let places = 4 * self.places.lines.len();
        let parts: u64 = self.parts.iter().map(FileSteps::bytes).sum();
        parts + (spans + places) as u64
    }
}
