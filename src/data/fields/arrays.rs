//! Vectors, sequences of vectors, and labels as integers, from the arrays of a file.

use std::sync::Arc;

use super::array_file::{ArrayEntry, ArrayFile};
use super::columns::{ColumnChoice, ColumnName};
use super::declare::{Field, FieldKind};
use super::examples::{RawContent, TextColumn, VectorColumn};
use super::file_format::FileFormat;
use super::places::RowPlaces;
use super::step_column::{StepColumn, StepSpan};
use super::step_parts::{FileSteps, NoteRows, NumberRows};
use crate::error::{Error, Result};

/// What is asked of a file of arrays.
pub(super) struct ArrayFields<'a> {
    /// All fields of the model.
    pub fields: &'a [Field],
    /// Those that the file is to have.
    pub wanted: &'a [Field],
    /// Those of them that may be missing.
    pub optional: &'a [String],
    pub choice: &'a ColumnChoice,
    /// What the file is called.
    pub name: &'a str,
}

/// The arrays of one field.
struct ChosenArray<'a> {
    entry: &'a ArrayEntry,
    /// Whether no name said so.
    by_rule: bool,
}

/// Reads the array of every field: the one that `--columns` names, or that has the field's name, or a usual one (`x` of numbers,
/// `labels` of classes, `targets` or `labels` of classes along steps), or the only one there is.
///
/// A vector's array is `[N, ..]`, what is behind N flattened; a class's `[N]` of integers. Steps are `[sum of lengths, ..]` where
/// there are `lengths` `[N]` that add up to them, and else `[N, T, ..]`, or `[N, T]` of one number a step, of which lengths leave
/// out what fills up; the array of an `.npy` that is `[T, D]` or `[T]` is one sequence. Classes along steps are integers in the
/// shape of their steps.
///
/// # Errors
/// `Kind::Data` for no fitting array, another shape or type, lengths that do not add up to the steps, and numbers of vectors
/// that are not finite, naming row and column; `Kind::Usage` for a choice by number.
pub(super) fn read(file: &ArrayFile, asked: &ArrayFields<'_>) -> Result<Vec<Option<RawContent>>> {
    let mut chosen: Vec<Option<ChosenArray<'_>>> = Vec::new();
    for field in asked.wanted {
        let found = asked.find(file, field)?;
        if let Some(found) = &found
            && found.by_rule
            && let Some(n) = (0..chosen.len()).find(|n| {
                let other = chosen[*n].as_ref();
                other.is_some_and(|other| std::ptr::eq(other.entry, found.entry))
            })
        {
            return Err(Error::data(format!(
                "expected an array for each of {} and {}, found one for both ({}); FIELD=FILE or --columns FIELD=ARRAY says \
                 which one it is",
                asked.wanted[n].name,
                field.name,
                found.entry.shown()
            )));
        }
        chosen.push(found);
    }
    let fields = asked.wanted.iter().zip(chosen);
    fields
        .map(|(field, chosen)| {
            let Some(ChosenArray { entry, .. }) = chosen else {
                return Ok(None);
            };
            asked.content(file, field, entry).map(Some).map_err(|e| {
                let array = match entry.name.as_str() {
                    "" => String::new(),
                    name => format!("array {name}: "),
                };
                Error::new(e.kind, format!("{array}{}", e.message))
            })
        })
        .collect()
}

impl ArrayFields<'_> {
    /// The array of a field; none for an optional one that is not there.
    fn find<'f>(&self, file: &'f ArrayFile, field: &Field) -> Result<Option<ChosenArray<'f>>> {
        let of = |wanted: &str| {
            let named = |entry: &&ArrayEntry| !wanted.is_empty() && entry.name == wanted;
            file.entries.iter().find(named)
        };
        let (found, expected, by_rule) = match self.choice.of(&field.name) {
            Some(ColumnName::Name(name)) => (of(name), format!("an array {name}"), false),
            Some(ColumnName::Numbers(_)) => {
                return Err(Error::usage(format!(
                    "--columns: {}: expected the name of an array, found a number",
                    field.name
                )));
            }
            None => {
                let usual: &[&str] = match field.kind {
                    FieldKind::Class => &["labels"],
                    FieldKind::ClassesAlong(_) => &["targets", "labels"],
                    _ => &["x"],
                };
                let own = of(&field.name);
                let only = file.entries.first().filter(|_| file.entries.len() == 1);
                let found = own.or(usual.iter().find_map(|name| of(name)));
                let mut names = [&[field.name.as_str()], usual].concat();
                names.dedup();
                let names = names.join(" or ");
                (
                    // An only array is not that of a field which need not be there.
                    found.or(only.filter(|_| !self.optional.contains(&field.name))),
                    format!("an array {names}"),
                    own.is_none(),
                )
            }
        };
        match found {
            Some(entry) => Ok(Some(ChosenArray { entry, by_rule })),
            None if self.optional.contains(&field.name) => Ok(None),
            None => Err(self.missing(file, field, &expected)),
        }
    }

    fn missing(&self, file: &ArrayFile, field: &Field, expected: &str) -> Error {
        let shown: Vec<String> = file.entries.iter().map(ArrayEntry::shown).collect();
        Error::data(format!(
            "expected {expected}, found {}; --columns {}=ARRAY says which one it is",
            if shown.is_empty() {
                "none".to_string()
            } else {
                shown.join(", ")
            },
            field.name
        ))
    }

    fn content(&self, file: &ArrayFile, field: &Field, entry: &ArrayEntry) -> Result<RawContent> {
        match &field.kind {
            FieldKind::Vector => {
                let packed = file.entries.iter().any(|other| other.name == "lengths");
                if entry.name == "x" && packed {
                    return Err(Error::data(
                        "expected a vector a sequence, found sequences of vectors, whose lengths are beside it",
                    ));
                }
                vectors(file, entry, self.name).map(RawContent::Vectors)
            }
            FieldKind::Class => labels(file, entry, self.name).map(RawContent::Text),
            FieldKind::Reals | FieldKind::RealsAlong(_) | FieldKind::Bits => {
                let column = self.steps(file, field, entry)?;
                Ok(RawContent::Steps(column))
            }
            FieldKind::ClassesAlong(of)
                if self
                    .fields
                    .iter()
                    .any(|other| other.name == *of && other.kind.has_steps()) =>
            {
                self.labels_along(file, field, of, entry)
                    .map(RawContent::Text)
            }
            _ => Err(Error::data(format!(
                "expected a field that is a vector, reals, bits, a class or classes along steps, found {}: {}, which arrays do \
                 not have",
                field.name,
                field.kind.shown()
            ))),
        }
    }

    /// The lengths of field `of`, one an example, and what their array is called; none without lengths.
    fn lengths<'f>(
        &'f self,
        file: &ArrayFile,
        field: &Field,
        of: &str,
    ) -> Result<Option<(&'f str, Vec<usize>)>> {
        let own = format!("{of}.lengths");
        let (wanted, said) = match self.choice.of(&own) {
            Some(ColumnName::Name(name)) => (name.as_str(), true),
            Some(ColumnName::Numbers(_)) => {
                return Err(Error::usage(format!(
                    "--columns: {own}: expected the name of an array, found a number"
                )));
            }
            None => ("lengths", false),
        };
        let named = |other: &&ArrayEntry| !other.name.is_empty() && other.name == wanted;
        let Some(lengths) = file.entries.iter().find(named) else {
            return match said {
                true => Err(self.missing(file, field, &format!("an array {wanted} of lengths"))),
                false => Ok(None),
            };
        };
        let named = |e: Error| of_lengths(wanted, &e.message);
        if lengths.shape.len() != 1 {
            let found = &lengths.shape;
            return Err(of_lengths(
                wanted,
                &format!("expected a shape [N], found {found:?}"),
            ));
        }
        let numbers = file.integers(lengths).map_err(named)?;
        let length = |(row, length): (usize, &i128)| {
            let fits = usize::try_from(*length).ok().filter(|length| *length > 0);
            fits.ok_or_else(|| {
                of_lengths(
                    wanted,
                    &format!("row {row}: expected a length of at least 1, found {length}"),
                )
            })
        };
        let found: Vec<usize> = numbers
            .iter()
            .enumerate()
            .map(length)
            .collect::<Result<_>>()?;
        Ok(Some((wanted, found)))
    }

    /// The steps of the examples, and which of the array's dimensions are numbers of a step.
    fn packing<'e>(
        &self,
        file: &ArrayFile,
        field: &Field,
        of: &str,
        entry: &'e ArrayEntry,
    ) -> Result<(ArrayLayout, &'e [usize])> {
        let shape = entry.shape.as_slice();
        if shape.is_empty() || shape.contains(&0) {
            return Err(Error::data(format!(
                "expected steps of numbers, found a shape {shape:?}"
            )));
        }
        if let Some((name, lengths)) = self.lengths(file, field, of)? {
            return by_lengths(name, lengths, shape);
        }
        let labels = of != field.name;
        let series = file.format == FileFormat::Npy && shape.len() + usize::from(labels) <= 2;
        match shape {
            [steps, step @ ..] if series => Ok((ArrayLayout::Dense(1, *steps), step)),
            [examples, steps, step @ ..] => Ok((ArrayLayout::Dense(*examples, *steps), step)),
            _ => Err(Error::data(format!(
                "expected a shape [N, T, D], or [sum of lengths, D] with an array of lengths, found {shape:?}"
            ))),
        }
    }

    fn steps(&self, file: &ArrayFile, field: &Field, entry: &ArrayEntry) -> Result<StepColumn> {
        let (steps, step) = self.packing(file, field, &field.name, entry)?;
        // Before anything is made of a shape, the file must have its numbers.
        let mut rows = file.rows(entry, step.iter().product())?;
        if let ArrayLayout::Padded(lengths, all) = &steps {
            rows = without_padding(file, &rows, lengths, *all)?;
        }
        let width = rows.width;
        let mut first = 0;
        let span = |(example, steps): (usize, usize)| {
            first += steps;
            StepSpan {
                part: 0,
                example: example as u32,
                first: first - steps,
                steps,
            }
        };
        let spans = steps.all().into_iter().enumerate().map(span).collect();
        let (part, width) = match field.kind {
            FieldKind::Bits => (FileSteps::Notes(Arc::new(notes(&rows)?)), 0),
            _ => (FileSteps::Numbers(rows), width),
        };
        Ok(StepColumn {
            parts: vec![part],
            spans,
            width,
            names: Vec::new(),
            places: RowPlaces::of(self.name),
        })
    }

    fn labels_along(
        &self,
        file: &ArrayFile,
        field: &Field,
        of: &str,
        entry: &ArrayEntry,
    ) -> Result<TextColumn> {
        let (steps, step) = self.packing(file, field, of, entry)?;
        if !step.is_empty() {
            return Err(Error::data(format!(
                "expected one label a step, found a shape {:?}",
                entry.shape
            )));
        }
        let numbers = file.integers(entry)?;
        let mut numbers = numbers.iter();
        let mut column = TextColumn::new(self.name);
        for (steps, padding) in steps.with_padding() {
            for number in numbers.by_ref().take(steps) {
                column.push(&number.to_string(), 0);
            }
            column.end_row();
            numbers.by_ref().take(padding).for_each(drop);
        }
        Ok(column)
    }
}

/// How many steps each example has.
enum ArrayLayout {
    Lengths(Vec<usize>),
    /// So many examples, and as many steps in each.
    Dense(usize, usize),
    /// The first rows of as many in each example; the others fill the array up.
    Padded(Vec<usize>, usize),
}

impl ArrayLayout {
    fn all(self) -> Vec<usize> {
        match self {
            ArrayLayout::Lengths(all) | ArrayLayout::Padded(all, _) => all,
            ArrayLayout::Dense(examples, steps) => vec![steps; examples],
        }
    }

    /// The steps of each example, and how many rows behind them are none.
    fn with_padding(self) -> Vec<(usize, usize)> {
        let rows = match self {
            ArrayLayout::Padded(_, rows) => rows,
            _ => 0,
        };
        let all = self.all().into_iter();
        all.map(|steps| (steps, rows.saturating_sub(steps)))
            .collect()
    }
}

/// A fault of the array of lengths.
fn of_lengths(name: &str, fault: &str) -> Error {
    Error::data(format!("its lengths {name}: {fault}"))
}

/// The steps of examples by their lengths: one behind another where the lengths add up to the rows, else padded where there is a
/// length for each of the rows.
fn by_lengths<'e>(
    name: &str,
    lengths: Vec<usize>,
    shape: &'e [usize],
) -> Result<(ArrayLayout, &'e [usize])> {
    let (rows, count) = (shape[0], lengths.len());
    let sum: u128 = lengths.iter().map(|length| *length as u128).sum();
    if sum == rows as u128 {
        return Ok((ArrayLayout::Lengths(lengths), &shape[1..]));
    }
    match shape {
        [examples, steps, step @ ..] if *examples == count => {
            if let Some((row, length)) = lengths.iter().enumerate().find(|(_, n)| *n > steps) {
                return Err(of_lengths(
                    name,
                    &format!(
                        "row {row}: expected a length of at most {steps}, the steps that are there (shape {shape:?}), found {length}"
                    ),
                ));
            }
            Ok((ArrayLayout::Padded(lengths, *steps), step))
        }
        _ => {
            let padded = match shape.len() {
                1 => String::new(),
                _ => format!(", or a length for each of {rows} padded sequences"),
            };
            Err(of_lengths(
                name,
                &format!(
                    "expected lengths whose sum is the number of steps, {rows} (shape {shape:?}){padded}, found {sum} in {count} lengths"
                ),
            ))
        }
    }
}

/// The first rows of each example, one behind another, of `all` rows that it has in the array.
fn without_padding(
    file: &ArrayFile,
    rows: &NumberRows,
    lengths: &[usize],
    all: usize,
) -> Result<NumberRows> {
    const BLOCK: usize = 1 << 16;
    let size = rows.width * rows.form.size();
    let mut writer = file.writer();
    let mut block = vec![0; BLOCK];
    for (example, steps) in lengths.iter().enumerate() {
        let mut at = rows.at + (example * all * size) as u64;
        let mut left = steps * size;
        while left > 0 {
            let bytes = &mut block[..left.min(BLOCK)];
            rows.store.read(at, bytes)?;
            writer.write(bytes)?;
            at += bytes.len() as u64;
            left -= bytes.len();
        }
    }
    Ok(NumberRows {
        store: writer.finish()?,
        at: 0,
        rows: lengths.iter().sum(),
        ..rows.clone()
    })
}

/// The notes of steps of 0 and 1: the numbers of the columns that are 1.
fn notes(rows: &NumberRows) -> Result<NoteRows> {
    let mut notes = NoteRows::default();
    let mut odd = None;
    let mut at = 0;
    rows.each(0, rows.rows, |value| {
        if value == 1.0 {
            notes.notes.push((at % rows.width) as u32);
        } else if value != 0.0 && odd.is_none() {
            odd = Some((at, value));
        }
        at += 1;
        if at % rows.width == 0 {
            notes.ends.push(notes.notes.len());
        }
    })?;
    match odd {
        Some((at, value)) => Err(Error::data(format!(
            "row {}, column {}: expected 0 or 1, found {value}",
            at / rows.width,
            at % rows.width
        ))),
        None => Ok(notes),
    }
}

fn vectors(file: &ArrayFile, entry: &ArrayEntry, name: &str) -> Result<VectorColumn> {
    let shape = &entry.shape;
    let width: usize = shape.iter().skip(1).product();
    if shape.len() < 2 || width == 0 {
        return Err(Error::data(format!(
            "expected a shape [N, D], found {shape:?}"
        )));
    }
    let rows = file.rows(entry, width)?;
    let mut values = Vec::with_capacity(rows.rows * width);
    rows.each(0, rows.rows, |value| values.push(value as f32))?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::data(format!(
            "row {}, column {}: expected a finite number, found {}",
            at / width,
            at % width,
            values[at]
        )));
    }
    let mut column = VectorColumn::new(name);
    column.lines = vec![0; values.len() / width];
    (column.values, column.width) = (values.into(), width);
    Ok(column)
}

/// Labels that are integers: their decimal numbers are the names.
fn labels(file: &ArrayFile, entry: &ArrayEntry, name: &str) -> Result<TextColumn> {
    let shape = &entry.shape;
    let numbers = file.integers(entry)?;
    if shape.len() != 1 {
        return Err(Error::data(format!(
            "expected a shape [N], found {shape:?}"
        )));
    }
    let mut column = TextColumn::new(name);
    for number in numbers {
        column.push(&number.to_string(), 0);
        column.end_row();
    }
    Ok(column)
}
