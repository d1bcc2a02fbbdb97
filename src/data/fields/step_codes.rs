//! What sequences of vectors are as numbers: widths, scales and ranges of notes, made of training's steps.

use std::collections::BTreeMap;

use super::declare::{Field, FieldKind};
use super::step_column::{StepColumn, StepSpan, Wholes, listed};
use super::step_parts::FileSteps;
use super::steps::{ColumnScale, StepRows};
use crate::data::fields::FieldCode;
use crate::error::{Error, Result};

/// How fields of reals and bits get their codes.
#[derive(Clone, Debug, Default)]
pub struct StepRules {
    /// Whether reals are standardised, each column by its own mean and deviation.
    pub standardize: bool,
    /// The steps that scales and ranges of notes are made of.
    pub training: TrainingSteps,
    /// The lowest and the highest note of fields of bits, by their names; of the others those of training.
    pub ranges: BTreeMap<String, (u32, u32)>,
}

/// The steps that are training's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TrainingSteps {
    /// All.
    #[default]
    All,
    /// Those of some examples, by their numbers.
    Examples(Vec<u32>),
    /// Spans of steps: the number of the first one, counted over all examples, and how many they are. Of a series that is
    /// split by time: `(0, k)`.
    Spans(Vec<(usize, usize)>),
}

impl TrainingSteps {
    fn spans(&self, column: &StepColumn) -> Result<Vec<StepSpan>> {
        let missing =
            |what: String| Error::internal(format!("training's {what} are not among the steps"));
        match self {
            TrainingSteps::All => Ok(column.spans.clone()),
            TrainingSteps::Examples(numbers) => numbers
                .iter()
                .map(|n| column.spans.get(*n as usize).copied())
                .collect::<Option<_>>()
                .ok_or_else(|| missing("examples".to_string())),
            TrainingSteps::Spans(spans) => {
                let wholes = Wholes::new(&column.spans);
                spans
                    .iter()
                    .map(|(start, steps)| {
                        wholes
                            .span(*start, *steps)
                            .ok_or_else(|| missing(format!("{steps} steps from {start} on")))
                    })
                    .collect()
            }
        }
    }
}

/// The code of a field of reals or bits.
///
/// # Errors
/// `Kind::Data` for a column that is to be standardised and has one value only, for notes without any, and for a note outside
/// a range that was given; internal for training's steps that there are not.
pub(super) fn build(field: &Field, column: &StepColumn, rules: &StepRules) -> Result<FieldCode> {
    let spans = rules.training.spans(column)?;
    if field.kind == FieldKind::Bits {
        let range = rules.ranges.get(&field.name).copied();
        return bits(field, column, &spans, range);
    }
    let scale = match rules.standardize {
        true => Some(scale(field, column, &spans)?),
        false => None,
    };
    Ok(FieldCode::Steps {
        width: column.width,
        names: column.names.clone(),
        scale,
    })
}

/// Whether a code that was stored can be one of a field of this kind.
pub(super) fn fits(kind: &FieldKind, code: &FieldCode) -> bool {
    match code {
        FieldCode::Steps {
            width,
            names,
            scale,
        } => {
            let named = names.is_empty() || names.len() == *width;
            let finite = |scale: &ColumnScale| {
                scale.mean.is_finite() && scale.deviation.is_finite() && scale.deviation > 0.0
            };
            let scaled = scale
                .as_ref()
                .is_none_or(|all| all.len() == *width && all.iter().all(finite));
            *kind != FieldKind::Bits && *width > 0 && named && scaled
        }
        FieldCode::Bits { first, width } => {
            let last = u32::try_from(*width).map(|width| first.checked_add(width));
            let ends = matches!(last, Ok(Some(_)));
            *kind == FieldKind::Bits && (1..=MOST_NOTES).contains(width) && ends
        }
        _ => false,
    }
}

fn bits(
    field: &Field,
    column: &StepColumn,
    spans: &[StepSpan],
    range: Option<(u32, u32)>,
) -> Result<FieldCode> {
    let (first, last) = match range {
        Some(range) => range,
        None => {
            let mut range: Option<(u32, u32)> = None;
            for span in spans {
                let FileSteps::Notes(rows) = &column.parts[span.part as usize] else {
                    return Err(Error::internal("bits without notes"));
                };
                for note in (span.first..span.first + span.steps).flat_map(|step| rows.step(step)) {
                    let (first, last) = range.unwrap_or((*note, *note));
                    range = Some((first.min(*note), last.max(*note)));
                }
            }
            range.ok_or_else(|| {
                Error::data(format!(
                    "{}: field {}: expected notes in training's steps, found rests alone",
                    column.places.files.all(),
                    field.name
                ))
            })?
        }
    };
    let width = last.checked_sub(first).map(|more| more as usize + 1);
    let width = width.filter(|width| *width <= MOST_NOTES).ok_or_else(|| {
        Error::data(format!(
            "field {}: expected a range of at most {MOST_NOTES} notes, found {first}..{last}",
            field.name
        ))
    })?;
    Ok(FieldCode::Bits { first, width })
}

/// The widest range of notes: a vector of them is made of every step.
const MOST_NOTES: usize = 1 << 16;

/// Mean and deviation of every column, in two passes.
fn scale(field: &Field, column: &StepColumn, spans: &[StepSpan]) -> Result<Vec<ColumnScale>> {
    let width = column.width;
    let steps: usize = spans.iter().map(|span| span.steps).sum();
    if steps == 0 {
        return Err(Error::internal("scales of no steps"));
    }
    let each = |take: &mut dyn FnMut(usize, f64)| -> Result<()> {
        for span in spans {
            let FileSteps::Numbers(rows) = &column.parts[span.part as usize] else {
                return Err(Error::internal("reals without numbers"));
            };
            let mut at = 0;
            rows.each(span.first, span.steps, |value| {
                take(at, value);
                at = if at + 1 == width { 0 } else { at + 1 };
            })?;
        }
        Ok(())
    };
    let mut sums = vec![0.0; width];
    let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); width];
    let mut bits = vec![true; width];
    each(&mut |n, value| {
        sums[n] += value;
        bits[n] &= value == 0.0 || value == 1.0;
        ends[n] = (ends[n].0.min(value), ends[n].1.max(value));
    })?;
    let means: Vec<f64> = sums.iter().map(|sum| sum / steps as f64).collect();
    let mut squares = vec![0.0; width];
    each(&mut |n, value| squares[n] += (value - means[n]).powi(2))?;
    let scale = |(n, mean): (usize, &f64)| {
        // What is there or not, such as whether a pen lifts, says so by its numbers.
        if bits[n] && ends[n].0 < ends[n].1 {
            return Ok(ColumnScale {
                mean: 0.0,
                deviation: 1.0,
            });
        }
        let deviation = (squares[n] / steps as f64).sqrt();
        // Of equal numbers rounding makes a mean that is not theirs; of tiny ones nothing may be left.
        if ends[n].0 < ends[n].1 && deviation > 0.0 {
            return Ok(ColumnScale {
                mean: *mean,
                deviation,
            });
        }
        Err(Error::data(format!(
            "{}: field {}: column {}: expected different values, to standardise it, found {} in all {steps} steps of training",
            column.places.files.all(),
            field.name,
            column_name(&column.names, n),
            ends[n].0
        )))
    };
    means.iter().enumerate().map(scale).collect()
}

/// A column as a message names it: by its name, or its number from 1.
pub(super) fn column_name(names: &[String], n: usize) -> String {
    names.get(n).cloned().unwrap_or((n + 1).to_string())
}

/// The steps of a field by its code.
///
/// # Errors
/// `Kind::Data`, naming the file, for another width or other columns than training's, and a note outside the range; internal
/// for a code of another kind.
pub(super) fn encode(name: &str, code: &FieldCode, column: &StepColumn) -> Result<StepRows> {
    let (width, first, scale) = match code {
        FieldCode::Steps {
            width,
            names,
            scale,
        } => {
            if column.width != *width {
                return Err(Error::data(format!(
                    "{}: field {name}: expected steps of {width} numbers as in training, found {}",
                    column.places.files.all(),
                    column.width
                )));
            }
            if column.names != *names && !names.is_empty() && !column.names.is_empty() {
                return Err(Error::data(format!(
                    "{}: field {name}: expected the columns {} as in training, found {}",
                    column.places.files.all(),
                    listed(names),
                    listed(&column.names)
                )));
            }
            (*width, 0, scale.clone())
        }
        FieldCode::Bits { first, width } => {
            check_notes(name, column, *first, *width)?;
            (*width, *first, None)
        }
        _ => {
            return Err(Error::internal(format!(
                "field {name}: its code is of another kind"
            )));
        }
    };
    Ok(StepRows {
        parts: column.parts.clone().into(),
        spans: column.spans.clone().into(),
        whole: column.spans.clone().into(),
        places: column.places.clone().into(),
        width,
        first,
        scale: scale.map(Into::into),
    })
}

fn check_notes(name: &str, column: &StepColumn, first: u32, width: usize) -> Result<()> {
    for (row, span) in column.spans.iter().enumerate() {
        let FileSteps::Notes(rows) = &column.parts[span.part as usize] else {
            return Err(Error::internal("bits without notes"));
        };
        for step in 0..span.steps {
            let outside = |note: &&u32| note.checked_sub(first).is_none_or(|n| n as usize >= width);
            if let Some(note) = rows.step(span.first + step).iter().find(outside) {
                return Err(Error::data(format!(
                    "{}: field {name}: step {step}: expected notes of {first}..{}, found {note}",
                    column.row_place(row),
                    first as usize + width - 1
                )));
            }
        }
    }
    Ok(())
}

impl FieldCode {
    /// Puts scaled numbers, `[steps, width]` of a field of reals, back into the units of their columns; of other codes and
    /// without a scale they stay as they are.
    pub fn unscale(&self, values: &mut [f32]) {
        if let FieldCode::Steps {
            scale: Some(scale), ..
        } = self
        {
            for (value, scale) in values.iter_mut().zip(scale.iter().cycle()) {
                *value = (f64::from(*value) * scale.deviation + scale.mean) as f32;
            }
        }
    }
}
