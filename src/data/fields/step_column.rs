//! Sequences of vectors as files have them, before a width or a scale is known of training.

use std::sync::Arc;

use super::numbers::{NumberForm, NumberType};
use super::places::RowPlaces;
use super::step_parts::{FileSteps, NoteRows, NumberRows};
use crate::data::store::ByteStore;
use crate::error::{Error, Result};

/// The steps of an example: rows of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StepSpan {
    pub part: u32,
    /// The example that they are of, as files have it.
    pub example: u32,
    /// The first row.
    pub first: usize,
    pub steps: usize,
}

/// The spans of whole examples, to find steps by their numbers over all of them.
pub(super) struct Wholes<'a> {
    spans: &'a [StepSpan],
    /// Where each ends.
    ends: Vec<usize>,
}

impl<'a> Wholes<'a> {
    pub fn new(spans: &'a [StepSpan]) -> Self {
        let mut at = 0;
        let ends = spans.iter().map(|span| {
            at += span.steps;
            at
        });
        Wholes {
            spans,
            ends: ends.collect(),
        }
    }

    /// Steps by the number of their first one; none for no steps and for those that are not of one example.
    pub fn span(&self, start: usize, steps: usize) -> Option<StepSpan> {
        let place = self.ends.partition_point(|end| *end <= start);
        let of = self.spans.get(place)?;
        let left = self.ends[place] - start;
        (steps > 0 && steps <= left).then(|| StepSpan {
            first: of.first + of.steps - left,
            steps,
            ..*of
        })
    }
}

/// Sequences of vectors, one an example.
#[derive(Clone, Debug, Default)]
pub(super) struct StepColumn {
    pub parts: Vec<FileSteps>,
    pub spans: Vec<StepSpan>,
    /// Numbers of a step; 0 of notes, which have no range yet.
    pub width: usize,
    /// The names of the columns, where a file has any.
    pub names: Vec<String>,
    /// Where each example stands.
    pub places: RowPlaces,
}

impl StepColumn {
    /// Sequences.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Where a sequence stands.
    pub fn row_place(&self, row: usize) -> String {
        self.places.place(row)
    }

    /// Cuts steps of numbers into such of `width`; steps of one number are also put together.
    ///
    /// # Errors
    /// `Kind::Data`, with both widths, for steps that are no multiple of it, and for an example whose steps of one number are not.
    pub fn cut(&mut self, field: &str, width: usize) -> Result<()> {
        if width == self.width || width == 0 {
            return Ok(());
        }
        let joined = self.width == 1;
        if !joined && !self.width.is_multiple_of(width) {
            return Err(Error::data(format!(
                "field {field}: frame-width: expected a divisor of {}, the numbers of a step, got {width}",
                self.width
            )));
        }
        for (example, span) in self.spans.iter().enumerate().filter(|_| joined) {
            if !span.steps.is_multiple_of(width) {
                return Err(Error::data(format!(
                    "field {field}: frame-width: expected a divisor of {}, the numbers of example {example} (from 0), got {width}",
                    span.steps
                )));
            }
        }
        let count = |rows: usize| rows * self.width / width;
        for span in &mut self.spans {
            (span.first, span.steps) = (count(span.first), count(span.steps));
        }
        for part in &mut self.parts {
            if let FileSteps::Numbers(rows) = part {
                (rows.rows, rows.width) = (count(rows.rows), width);
            }
        }
        self.width = width;
        // They are of numbers that lie in several steps now.
        self.names.clear();
        Ok(())
    }

    /// Goes on with what the next file has.
    ///
    /// # Errors
    /// `Kind::Data` for another width or other columns.
    pub fn append(&mut self, field: &str, more: StepColumn) -> Result<()> {
        if self.width != more.width {
            return Err(Error::data(format!(
                "field {field}: expected steps of {} numbers as in {}, found {} in {}",
                self.width,
                self.places.files.all(),
                more.width,
                more.places.files.all()
            )));
        }
        if self.names != more.names {
            return Err(Error::data(format!(
                "field {field}: expected the columns {} as in {}, found {} in {}",
                listed(&self.names),
                self.places.files.all(),
                listed(&more.names),
                more.places.files.all()
            )));
        }
        let (parts, rows) = (self.parts.len() as u32, self.len());
        self.parts.extend(more.parts);
        self.spans.extend(more.spans.iter().map(|span| StepSpan {
            part: span.part + parts,
            example: span.example + rows as u32,
            ..*span
        }));
        self.places.append(more.places, rows);
        Ok(())
    }
}

/// Names of columns for a message.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => "without names".to_string(),
        names => super::white_space::brief(&names.join(", ")).into_owned(),
    }
}

/// Takes the sequences of a file of text step by step.
#[derive(Debug, Default)]
pub(super) struct StepBuilder {
    values: Vec<f64>,
    notes: NoteRows,
    of_notes: bool,
    rows: usize,
    column: StepColumn,
}

impl StepBuilder {
    /// Nothing yet, of the file `name`.
    pub fn new(name: &str, of_notes: bool) -> Self {
        StepBuilder {
            of_notes,
            column: StepColumn {
                places: RowPlaces::of(name),
                ..StepColumn::default()
            },
            ..StepBuilder::default()
        }
    }

    /// The names of the columns.
    pub fn name(&mut self, names: Vec<String>) {
        self.column.names = names;
    }

    /// Adds a step of numbers to the sequence that is open.
    ///
    /// # Errors
    /// `Kind::Data` for another width than the first step's.
    pub fn numbers(&mut self, step: &[f64]) -> Result<()> {
        if self.rows == 0 {
            self.column.width = step.len();
        }
        if step.len() != self.column.width || step.is_empty() {
            let expected = match self.column.width {
                0 => "at least one number".to_string(),
                width => format!("{width} numbers as in the first step"),
            };
            let found = step.len();
            return Err(Error::data(format!("expected {expected}, found {found}")));
        }
        self.values.extend_from_slice(step);
        self.rows += 1;
        Ok(())
    }

    /// Adds a step of notes, in any order, each once.
    pub fn notes(&mut self, notes: impl Iterator<Item = u32>) {
        self.notes.notes.extend(notes);
        self.notes.ends.push(self.notes.notes.len());
        self.rows += 1;
    }

    fn closed(&self) -> usize {
        let last = self.column.spans.last();
        last.map_or(0, |span| span.first + span.steps)
    }

    /// Ends the sequence that is open.
    pub fn end_row(&mut self, line: u32) {
        let (first, example) = (self.closed(), self.column.spans.len() as u32);
        self.column.spans.push(StepSpan {
            part: 0,
            example,
            first,
            steps: self.rows - first,
        });
        self.column.places.lines.push(line);
    }

    /// All that was taken.
    pub fn finish(self) -> StepColumn {
        let mut column = self.column;
        column.parts.push(if self.of_notes {
            FileSteps::Notes(Arc::new(self.notes))
        } else {
            FileSteps::Numbers(NumberRows {
                store: ByteStore::Memory(bytemuck::cast_slice(&self.values).into()),
                at: 0,
                form: NumberForm::native(NumberType::F64),
                width: column.width,
                rows: self.rows,
            })
        });
        column
    }
}
