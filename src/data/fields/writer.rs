//! What a file has for one field, taken sequence by sequence: cells, lists and numbers.

use std::sync::Arc;

use super::declare::{self, Field, FieldKind};
use super::examples::{RawContent, TextColumn, VectorColumn};
use super::step_column::StepBuilder;
use super::white_space::{brief, is_space, one_word};
use crate::error::{Error, Result};

/// Takes what a file has for one field.
pub(super) struct FieldWriter<'a> {
    pub field: &'a Field,
    /// Whether a sequence is a list of items, words or labels, and not one text.
    pub listed: bool,
    content: RawContent,
    /// What it takes of a field of reals or bits.
    pub steps: Option<StepBuilder>,
}

impl<'a> FieldWriter<'a> {
    /// For `field` among all `fields` of the model, from the file `name`.
    pub fn new(field: &'a Field, fields: &[Field], name: &str) -> Self {
        let listed = matches!(field.kind, FieldKind::ClassesAlong(_))
            || (field.kind == FieldKind::Tokens && declare::is_of_words(fields, &field.name));
        let content = match field.kind {
            FieldKind::Vector => RawContent::Vectors(VectorColumn::new(name)),
            _ => RawContent::Text(TextColumn::new(name)),
        };
        FieldWriter {
            field,
            listed,
            content,
            steps: field
                .kind
                .has_steps()
                .then(|| StepBuilder::new(name, field.kind == FieldKind::Bits)),
        }
    }

    /// A sequence in one cell: a text, a label, words or labels with white space between them, or numbers.
    ///
    /// # Errors
    /// `Kind::Data`, naming the line, for what is no number, and vectors of unequal widths.
    pub fn cell(&mut self, cell: &str, line: u32) -> Result<()> {
        if self.steps.is_some() {
            return Err(Error::data(format!(
                "line {line}: field {}: expected a file of sequences (JSON lines, arrays, a table with a step a row) for a \
                 field of {}, found one with a sequence a cell",
                self.field.name,
                self.field.kind.shown()
            )));
        }
        let listed = self.listed;
        let Some(column) = self.column() else {
            return self.numbers(cell.split(is_space).filter(|part| !part.is_empty()), line);
        };
        if listed {
            self.list(cell.split(is_space).filter(|item| !item.is_empty()), line);
        } else {
            column.push(cell, line);
            column.end_row();
        }
        Ok(())
    }

    /// A sequence as a list of words or labels. An empty one gets an empty item, whose line is then known to who refuses it.
    pub fn list<'b>(&mut self, items: impl Iterator<Item = &'b str>, line: u32) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            self.item("", line);
        }
        items.for_each(|item| self.item(item, line));
        self.end_row();
    }

    /// An item of the sequence that is open. Where the field is of texts, items are words of one, and white space within
    /// them becomes `_`.
    pub fn item(&mut self, item: &str, line: u32) {
        let listed = self.listed;
        match self.column() {
            Some(column) if listed => column.push(item, line),
            Some(column) => column.push(&one_word(item), line),
            None => {}
        }
    }

    /// Ends the sequence that is open.
    pub fn end_row(&mut self) {
        if let Some(column) = self.column() {
            column.end_row();
        }
    }

    /// A vector.
    ///
    /// # Errors
    /// As [`cell`](Self::cell).
    pub fn numbers<'b>(&mut self, cells: impl Iterator<Item = &'b str>, line: u32) -> Result<()> {
        let name = &self.field.name;
        let RawContent::Vectors(column) = &mut self.content else {
            return Ok(());
        };
        let values = Arc::make_mut(&mut column.values);
        let start = values.len();
        for (n, cell) in cells.enumerate() {
            let value = cell.trim().parse::<f32>();
            let value = value.ok().filter(|value| value.is_finite()).ok_or_else(|| {
                Error::data(format!(
                    "line {line}: field {name}: number {}: expected a finite number, found {:?}",
                    n + 1,
                    brief(cell)
                ))
            })?;
            values.push(value);
        }
        let found = values.len() - start;
        if start == 0 {
            column.width = found;
        }
        if found != column.width || found == 0 {
            let expected = match column.width {
                0 => "at least one number".to_string(),
                width => format!("{width} numbers as in the first vector"),
            };
            return Err(Error::data(format!(
                "line {line}: field {name}: expected {expected}, found {found}"
            )));
        }
        column.lines.push(line);
        Ok(())
    }

    fn column(&mut self) -> Option<&mut TextColumn> {
        match &mut self.content {
            RawContent::Text(column) => Some(column),
            RawContent::Vectors(_) | RawContent::Steps(_) => None,
        }
    }

    /// All that was taken.
    pub fn finish(self) -> RawContent {
        match self.steps {
            Some(steps) => RawContent::Steps(steps.finish()),
            None => self.content,
        }
    }
}
