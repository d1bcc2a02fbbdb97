//! Numbers that are missing from steps: refused, carried forward, or their steps left out.

use std::sync::Arc;

use super::declare::{Field, FieldKind};
use super::examples::RawContent;
use super::numbers::{NumberForm, NumberType};
use super::step_codes::column_name;
use super::step_column::{StepColumn, StepSpan};
use super::step_parts::{FileSteps, NoteRows, NumberRows};
use crate::data::store::StoreWriter;
use crate::error::{Error, Result};

/// What is done about a number that is missing: an empty cell, `nan` or `NA`, `null` in JSON, NaN or an infinity in an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It is an error, which names file, row and column.
    #[default]
    Refuse,
    /// The last number of its column stands for it, within its example; there must be one.
    Carry,
    /// The step is left out, with what the same file has along it.
    Drop,
}

/// What else may be done about a number that is missing and refused.
pub(super) const ADVICE: &str =
    "--missing carry takes the last one there, --missing drop leaves the step out";

/// Does what the rule says about the missing numbers of what one file has for the fields `wanted`. Steps that are left out are
/// left out of all fields with as many steps in every example, and of labels along them. `writer` makes a place for numbers.
///
/// # Errors
/// `Kind::Data`, naming row and column, for a number that is missing where that is refused, that has none before it to be
/// carried forward, and beyond what f32 holds; for an example of which no step is left.
pub(super) fn settle(
    wanted: &[Field],
    contents: &mut [Option<RawContent>],
    rule: Missing,
    writer: &dyn Fn() -> StoreWriter,
) -> Result<()> {
    let mut dropped: Vec<Option<Vec<bool>>> = vec![None; wanted.len()];
    for (n, (field, content)) in wanted.iter().zip(contents.iter_mut()).enumerate() {
        let Some(RawContent::Steps(column)) = content else {
            continue;
        };
        let named = |e: Error| Error::new(e.kind, format!("field {}: {}", field.name, e.message));
        let Some(missing) = find(column, rule).map_err(named)? else {
            continue;
        };
        match rule {
            Missing::Refuse => {}
            Missing::Carry => carry(column, writer()).map_err(named)?,
            Missing::Drop => dropped[n] = Some(missing),
        }
    }
    leave_out(wanted, contents, &dropped, writer)
}

/// Whether a number is missing.
fn is_missing(value: f64) -> bool {
    !value.is_finite()
}

/// Which steps lack a number; none where all have theirs.
fn find(column: &StepColumn, rule: Missing) -> Result<Option<Vec<bool>>> {
    let mut found: Option<Vec<bool>> = None;
    // Text and arrays of one file are one part.
    let Some(FileSteps::Numbers(rows)) = column.parts.first() else {
        return Ok(None);
    };
    if !rows.form.is_float() {
        return Ok(None);
    }
    let (mut at, mut odd) = (0, None);
    rows.each(0, rows.rows, |value| {
        let (row, number) = (at / rows.width, at % rows.width);
        at += 1;
        if is_missing(value) && rule != Missing::Refuse {
            found.get_or_insert_with(|| vec![false; rows.rows])[row] = true;
        } else if !(value as f32).is_finite() && odd.is_none() {
            odd = Some((row, number, value));
        }
    })?;
    match odd {
        None => Ok(found),
        Some((row, number, value)) => {
            let place = place(column, row, number);
            Err(Error::data(if is_missing(value) {
                format!("{place}: expected a finite number, found {value}; {ADVICE}")
            } else {
                format!("{place}: expected a number that 32 bits hold, found {value}")
            }))
        }
    }
}

/// A number of a step, as a message names it: rows and steps count from 0.
fn place(column: &StepColumn, row: usize, number: usize) -> String {
    let example = column.spans.partition_point(|span| span.first <= row) - 1;
    let step = row - column.spans[example].first;
    let number = match column.names.is_empty() {
        true => number.to_string(),
        false => column_name(&column.names, number),
    };
    match column.spans.len() {
        1 => format!("row {row}, column {number}"),
        _ => format!("row {row} (example {example}, step {step}), column {number}"),
    }
}

/// The type that numbers are written in again: no less exact than theirs.
fn rewritten(form: NumberForm) -> NumberForm {
    NumberForm::native(match form.kind {
        NumberType::F64 => NumberType::F64,
        _ => NumberType::F32,
    })
}

fn write(writer: &mut StoreWriter, form: NumberForm, row: &[f64]) -> Result<()> {
    let bytes: Vec<u8> = match form.kind {
        NumberType::F64 => row.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        _ => row.iter().flat_map(|v| (*v as f32).to_ne_bytes()).collect(),
    };
    writer.write(&bytes)
}

/// Calls `take` with every row of a span.
fn each_row(
    rows: &NumberRows,
    span: &StepSpan,
    mut take: impl FnMut(usize, &[f64]) -> Result<()>,
) -> Result<()> {
    let mut row = vec![0.0; rows.width];
    let (mut at, mut step, mut taken) = (0, span.first, Ok(()));
    rows.each(span.first, span.steps, |value| {
        row[at] = value;
        at += 1;
        if at == rows.width {
            if taken.is_ok() {
                taken = take(step, &row);
            }
            (at, step) = (0, step + 1);
        }
    })?;
    taken
}

/// Puts the last number of its column in the place of every missing one, within its example.
fn carry(column: &mut StepColumn, mut writer: StoreWriter) -> Result<()> {
    let Some(FileSteps::Numbers(rows)) = column.parts.first() else {
        return Ok(());
    };
    let form = rewritten(rows.form);
    for span in &column.spans {
        let mut last = vec![f64::NAN; rows.width];
        each_row(rows, span, |row, values| {
            for (n, (last, value)) in last.iter_mut().zip(values).enumerate() {
                if !is_missing(*value) {
                    *last = *value;
                } else if is_missing(*last) {
                    return Err(Error::data(format!(
                        "{}: expected a number before it in its column, to be carried forward, found none",
                        place(column, row, n)
                    )));
                }
            }
            write(&mut writer, form, &last)
        })?;
    }
    let rows = NumberRows {
        store: writer.finish()?,
        at: 0,
        form,
        ..rows.clone()
    };
    column.parts = vec![FileSteps::Numbers(rows)];
    Ok(())
}

/// Leaves out the steps that any of the fields with as many steps lacks.
fn leave_out(
    wanted: &[Field],
    contents: &mut [Option<RawContent>],
    dropped: &[Option<Vec<bool>>],
    writer: &dyn Fn() -> StoreWriter,
) -> Result<()> {
    let steps = |content: &Option<RawContent>| match content {
        Some(RawContent::Steps(column)) => Some(
            column
                .spans
                .iter()
                .map(|span| span.steps)
                .collect::<Vec<_>>(),
        ),
        _ => None,
    };
    let before: Vec<Option<Vec<usize>>> = contents.iter().map(steps).collect();
    // What each field leaves out: what any with the same steps does.
    let left_out = |n: usize| {
        let mut all: Option<Vec<bool>> = None;
        for (other, missing) in dropped.iter().enumerate() {
            if let Some(missing) = missing
                && before[other] == before[n]
            {
                let all = all.get_or_insert_with(|| vec![false; missing.len()]);
                all.iter_mut().zip(missing).for_each(|(a, b)| *a |= b);
            }
        }
        all
    };
    for (n, field) in wanted.iter().enumerate() {
        let along = match &field.kind {
            FieldKind::ClassesAlong(of) => wanted.iter().position(|other| other.name == *of),
            _ => Some(n),
        };
        let Some(missing) = along.filter(|of| before[*of].is_some()).and_then(left_out) else {
            continue;
        };
        match &mut contents[n] {
            Some(RawContent::Steps(column)) => {
                keep_steps(column, &missing, writer()).map_err(|e| {
                    Error::new(e.kind, format!("field {}: {}", field.name, e.message))
                })?;
            }
            Some(RawContent::Text(labels)) => labels.leave_out(&missing),
            _ => {}
        }
    }
    Ok(())
}

/// Keeps the steps that lack nothing.
fn keep_steps(column: &mut StepColumn, missing: &[bool], mut writer: StoreWriter) -> Result<()> {
    let mut spans = column.spans.clone();
    let mut first = 0;
    for (example, span) in spans.iter_mut().enumerate() {
        let kept = (span.first..span.first + span.steps).filter(|row| !missing[*row]);
        let kept = kept.count();
        if kept == 0 {
            return Err(Error::data(format!(
                "example {example}: expected a step that lacks no number, found none in {}",
                span.steps
            )));
        }
        (span.first, span.steps) = (first, kept);
        first += kept;
    }
    let part = match column.parts.first() {
        Some(FileSteps::Numbers(rows)) => {
            let form = match rows.form.is_float() {
                true => rewritten(rows.form),
                false => NumberForm::native(NumberType::F64),
            };
            for span in &column.spans {
                each_row(rows, span, |row, values| match missing[row] {
                    true => Ok(()),
                    false => write(&mut writer, form, values),
                })?;
            }
            FileSteps::Numbers(NumberRows {
                store: writer.finish()?,
                at: 0,
                form,
                width: rows.width,
                rows: first,
            })
        }
        Some(FileSteps::Notes(rows)) => {
            let mut kept = NoteRows::default();
            for row in (0..rows.ends.len()).filter(|row| !missing[*row]) {
                kept.notes.extend_from_slice(rows.step(row));
                kept.ends.push(kept.notes.len());
            }
            FileSteps::Notes(Arc::new(kept))
        }
        None => return Ok(()),
    };
    (column.parts, column.spans) = (vec![part], spans);
    Ok(())
}
