//! Examples as files have them: before any symbol or label has a number.

use std::sync::Arc;

use super::declare::{self, Field, FieldKind};
use super::places::{FileRows, RowPlaces};
use super::step_column::StepColumn;
use super::white_space::{brief, is_space};
use crate::error::{Error, Result};

/// Examples as files have them, field by field; [`super::read`] makes them.
#[derive(Clone, Debug)]
pub struct Examples {
    fields: Vec<Field>,
    /// One a field; none for one that nothing was read for.
    contents: Vec<Option<RawContent>>,
    len: usize,
}

/// What was read for a field.
#[derive(Clone, Debug)]
pub(super) enum RawContent {
    Text(TextColumn),
    Vectors(VectorColumn),
    Steps(StepColumn),
}

/// Texts or labels: a list of items a sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct TextColumn {
    text: String,
    /// Where each item ends in `text`.
    items: Vec<usize>,
    /// The line of each item; 0 where there are no lines.
    lines: Vec<u32>,
    /// Where each sequence ends in `items`.
    rows: Vec<usize>,
    files: FileRows,
}

/// Vectors `[N, width]`.
#[derive(Clone, Debug, Default)]
pub(super) struct VectorColumn {
    /// Shared with the encoded fields, as they may be many.
    pub values: Arc<Vec<f32>>,
    pub width: usize,
    /// The line of each; 0 where there are no lines.
    pub lines: Vec<u32>,
    files: FileRows,
    /// Which vector each sequence has, where a table says it.
    pub index: Option<Vec<u32>>,
}

impl TextColumn {
    /// Nothing yet, of the file `name`.
    pub fn new(name: &str) -> Self {
        TextColumn {
            files: FileRows::of(name),
            ..TextColumn::default()
        }
    }

    /// Adds an item to the sequence that is open.
    pub fn push(&mut self, item: &str, line: u32) {
        self.text.push_str(item);
        self.items.push(self.text.len());
        self.lines.push(line);
    }

    /// Ends the sequence that is open.
    pub fn end_row(&mut self) {
        self.rows.push(self.items.len());
    }

    /// Leaves out the items at which `missing` is true.
    pub fn leave_out(&mut self, missing: &[bool]) {
        let mut kept = TextColumn {
            files: self.files.clone(),
            ..TextColumn::default()
        };
        for row in 0..self.len() {
            for item in self.row(row) {
                if !missing.get(item).copied().unwrap_or(false) {
                    kept.push(self.item(item), self.lines[item]);
                }
            }
            kept.end_row();
        }
        *self = kept;
    }

    /// Sequences.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Where each sequence ends in the items.
    pub fn ends(&self) -> &[usize] {
        &self.rows
    }

    /// The numbers of a sequence's items.
    pub fn row(&self, row: usize) -> std::ops::Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before]);
        start..self.rows[row]
    }

    /// An item by its number.
    pub fn item(&self, item: usize) -> &str {
        let start = item.checked_sub(1).map_or(0, |before| self.items[before]);
        &self.text[start..self.items[item]]
    }

    /// The items of a sequence.
    pub fn items(&self, row: usize) -> impl ExactSizeIterator<Item = &str> {
        self.row(row).map(|item| self.item(item))
    }

    /// All items in order.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.items.len()).map(|item| self.item(item))
    }

    /// Where an item of a sequence stands: file and line.
    pub fn place(&self, row: usize, item: usize) -> String {
        self.files
            .place(row, self.lines.get(item).copied().unwrap_or_default())
    }

    /// Where a sequence stands.
    pub fn row_place(&self, row: usize) -> String {
        self.place(row, self.row(row).start)
    }

    /// The sequence that an item is of.
    pub fn row_of(&self, item: usize) -> usize {
        self.rows.partition_point(|end| *end <= item)
    }

    /// What it says as numbers of rows, of which `files` have so many.
    fn rows_of(&self, field: &str, count: usize, files: &FileRows) -> Result<Vec<u32>> {
        let number = |(row, text): (usize, &str)| {
            let number = text.trim().parse::<u32>().ok();
            let number = number.filter(|n| (*n as usize) < count);
            number.ok_or_else(|| {
                Error::data(format!(
                    "{}: field {field}: expected the number of a row of {}, from 0 to {}, found {:?}",
                    self.row_place(row),
                    files.all(),
                    count.saturating_sub(1),
                    brief(text)
                ))
            })
        };
        self.all().enumerate().map(number).collect()
    }

    fn append(&mut self, more: TextColumn) {
        let (text, items, rows) = (self.text.len(), self.items.len(), self.rows.len());
        self.text.push_str(&more.text);
        self.items.extend(more.items.iter().map(|end| end + text));
        self.lines.extend(more.lines);
        self.rows.extend(more.rows.iter().map(|end| end + items));
        self.files.append(more.files, rows);
    }
}

impl VectorColumn {
    /// Nothing yet, of the file `name`.
    pub fn new(name: &str) -> Self {
        VectorColumn {
            files: FileRows::of(name),
            ..VectorColumn::default()
        }
    }

    /// Sequences: each has a vector.
    pub fn len(&self) -> usize {
        self.index.as_ref().map_or(self.vectors(), Vec::len)
    }

    fn vectors(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Takes from a table which vector each sequence has, by numbers from 0; several sequences may have the same.
    ///
    /// # Errors
    /// `Kind::Data`, naming the table's line, for what is no such number.
    fn refer(&mut self, field: &str, numbers: TextColumn) -> Result<()> {
        let vectors = self.vectors();
        self.index = Some(numbers.rows_of(field, vectors, &self.files)?);
        (self.lines, self.files) = (numbers.lines, numbers.files);
        Ok(())
    }

    /// Where a vector stands.
    pub fn row_place(&self, row: usize) -> String {
        self.files
            .place(row, self.lines.get(row).copied().unwrap_or_default())
    }
}

impl RawContent {
    /// Takes from a table which vector, or which steps, each sequence has, by numbers from 0; several sequences may have the
    /// same.
    ///
    /// # Errors
    /// `Kind::Data`, naming the table's line, for what is no such number.
    pub fn refer(&mut self, field: &str, numbers: TextColumn) -> Result<()> {
        match self {
            RawContent::Text(_) => Ok(()),
            RawContent::Vectors(column) => column.refer(field, numbers),
            RawContent::Steps(column) => {
                let rows = numbers.rows_of(field, column.len(), &column.places.files)?;
                let spans = rows.into_iter().map(|row| column.spans[row as usize]);
                column.spans = spans.collect();
                column.places = RowPlaces {
                    files: numbers.files,
                    lines: numbers.lines,
                };
                Ok(())
            }
        }
    }

    /// Sequences.
    pub fn len(&self) -> usize {
        match self {
            RawContent::Text(column) => column.len(),
            RawContent::Vectors(column) => column.len(),
            RawContent::Steps(column) => column.len(),
        }
    }

    /// Where a sequence stands.
    pub fn row_place(&self, row: usize) -> String {
        match self {
            RawContent::Text(column) => column.row_place(row),
            RawContent::Vectors(column) => column.row_place(row),
            RawContent::Steps(column) => column.row_place(row),
        }
    }

    /// The files it comes from.
    fn files(&self) -> String {
        match self {
            RawContent::Text(column) => column.files.all(),
            RawContent::Vectors(column) => column.files.all(),
            RawContent::Steps(column) => column.places.files.all(),
        }
    }

    /// Goes on with what the next file has for the same field.
    ///
    /// # Errors
    /// `Kind::Data` for vectors or steps of another width.
    pub fn append(&mut self, field: &str, more: RawContent) -> Result<()> {
        match (self, more) {
            (RawContent::Text(column), RawContent::Text(more)) => column.append(more),
            (RawContent::Steps(column), RawContent::Steps(more)) => column.append(field, more)?,
            (RawContent::Vectors(column), RawContent::Vectors(more)) => {
                if column.width != more.width {
                    return Err(Error::data(format!(
                        "field {field}: expected vectors of {} numbers as in {}, found {} in {}",
                        column.width,
                        column.files.all(),
                        more.width,
                        more.files.all()
                    )));
                }
                let rows = column.len();
                Arc::make_mut(&mut column.values).extend_from_slice(&more.values);
                column.lines.extend(more.lines);
                column.files.append(more.files, rows);
            }
            _ => {
                let fault = format!("field {field}: texts, vectors and steps were read for it");
                return Err(Error::internal(fault));
            }
        }
        Ok(())
    }
}

impl Examples {
    /// What was read for each of the fields, in their order.
    ///
    /// # Errors
    /// `Kind::Data` when fields have unequal numbers of sequences, naming both and the first that stands alone; when there
    /// are none; when labels are not as many as their words, naming both; for an empty sequence, word or label.
    pub(super) fn new(fields: &[Field], contents: Vec<Option<RawContent>>) -> Result<Self> {
        let mut read = fields
            .iter()
            .zip(&contents)
            .filter_map(|(field, content)| Some((field, content.as_ref()?)));
        let (first, content) = read
            .next()
            .ok_or_else(|| Error::internal("examples of no field"))?;
        let len = content.len();
        for (field, other) in read {
            equal_numbers((first, content), (field, other))?;
        }
        if len == 0 {
            return Err(Error::data(format!(
                "{}: expected examples, found none",
                content.files()
            )));
        }
        if u32::try_from(len).is_err() {
            return Err(Error::data(format!(
                "{}: expected fewer than 2^32 examples, found {len}",
                content.files()
            )));
        }
        let examples = Examples {
            fields: fields.to_vec(),
            contents,
            len,
        };
        examples.check_empty()?;
        examples.check_steps()?;
        examples.check_labels()?;
        Ok(examples)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: files without examples are refused.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The declared fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether anything was read for a field. Of one within another nothing is: the other one counts.
    pub fn has(&self, name: &str) -> bool {
        self.content(name).is_some()
    }

    /// The words or labels of example `n` for a field as the file has them; a text or a label that is one item a sequence
    /// comes as one. None for vectors, a field that was not read, and beyond the last example.
    pub fn items(&self, name: &str, n: usize) -> Option<Vec<&str>> {
        match self.content(name)? {
            RawContent::Text(column) if n < self.len => Some(column.items(n).collect()),
            _ => None,
        }
    }

    /// The steps of every example for a field of reals or bits; none for others and one that was not read.
    pub fn steps(&self, name: &str) -> Option<Vec<usize>> {
        match self.content(name)? {
            RawContent::Steps(column) => Some(column.spans.iter().map(|s| s.steps).collect()),
            _ => None,
        }
    }

    /// The names of the columns of a field of reals, where its files have any.
    pub fn column_names(&self, name: &str) -> Option<&[String]> {
        match self.content(name)? {
            RawContent::Steps(column) if !column.names.is_empty() => Some(&column.names),
            _ => None,
        }
    }

    /// Where example `n` stands, as messages name it: file and line of its first field.
    pub fn place(&self, n: usize) -> String {
        let content = self.contents.iter().flatten().next();
        content
            .filter(|_| n < self.len)
            .map_or(String::new(), |content| content.row_place(n))
    }

    /// What was read for a field.
    pub(super) fn content(&self, name: &str) -> Option<&RawContent> {
        let place = self.fields.iter().position(|field| field.name == name)?;
        let field = &self.fields[place];
        match &field.kind {
            FieldKind::TokensWithin(of) => self.content(of),
            _ => self.contents[place].as_ref(),
        }
    }

    /// The texts or labels that were read for a field.
    pub(super) fn text(&self, name: &str) -> Option<&TextColumn> {
        match self.content(name)? {
            RawContent::Text(column) => Some(column),
            RawContent::Vectors(_) | RawContent::Steps(_) => None,
        }
    }

    fn check_empty(&self) -> Result<()> {
        for field in &self.fields {
            let Some(column) = self.text(&field.name) else {
                continue;
            };
            let words = declare::is_of_words(&self.fields, &field.name);
            let what = match &field.kind {
                FieldKind::Class => "a label",
                FieldKind::ClassesAlong(of) if self.text(of).is_none() => "a label for every step",
                FieldKind::ClassesAlong(_) => "a label for every word",
                _ if words => "words",
                _ => "a text",
            };
            let empty = |item: &str| item.chars().all(is_space);
            let found = (0..column.len()).find_map(|row| {
                let items = column.row(row);
                let at = items.clone().find(|item| empty(column.item(*item)));
                at.or(Some(items.start).filter(|_| items.is_empty()))
                    .map(|item| (row, item))
            });
            if let Some((row, item)) = found {
                return Err(Error::data(format!(
                    "{}: field {}: expected {what}, found nothing",
                    column.place(row, item),
                    field.name
                )));
            }
        }
        Ok(())
    }

    fn check_steps(&self) -> Result<()> {
        for (field, content) in self.fields.iter().zip(&self.contents) {
            let Some(RawContent::Steps(column)) = content else {
                continue;
            };
            if let Some(row) = column.spans.iter().position(|span| span.steps == 0) {
                return Err(Error::data(format!(
                    "{}: field {}: expected a sequence of at least one step, found none",
                    column.row_place(row),
                    field.name
                )));
            }
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<()> {
        for field in &self.fields {
            let (FieldKind::ClassesAlong(of) | FieldKind::RealsAlong(of)) = &field.kind else {
                continue;
            };
            let (Some(labels), Some(along)) = (self.content(&field.name), self.content(of)) else {
                continue;
            };
            let (own, of_each): (&dyn Fn(usize) -> usize, _) = match labels {
                RawContent::Text(labels) => (&|row| labels.row(row).len(), "labels"),
                RawContent::Steps(column) => (&|row| column.spans[row].steps, "rows of numbers"),
                RawContent::Vectors(_) => return Err(Error::internal("vectors along steps")),
            };
            let (steps, what): (&dyn Fn(usize) -> usize, _) = match along {
                RawContent::Text(words) => (&|row| words.row(row).len(), "word"),
                RawContent::Steps(column) => (&|row| column.spans[row].steps, "step"),
                RawContent::Vectors(_) => return Err(Error::internal("labels along vectors")),
            };
            let odd = (0..self.len).find(|row| own(*row) != steps(*row));
            if let Some(row) = odd {
                let (place, of_labels) = (along.row_place(row), labels.row_place(row));
                let elsewhere = if place == of_labels {
                    String::new()
                } else {
                    format!(" ({of_labels})")
                };
                return Err(Error::data(format!(
                    "{place}: {of} has {} {what}s, {} {} {of_each}{elsewhere}; expected one for every {what}",
                    steps(row),
                    field.name,
                    own(row),
                )));
            }
        }
        Ok(())
    }
}

/// Refuses two fields with unequal numbers of sequences.
fn equal_numbers(
    (first, one): (&Field, &RawContent),
    (second, other): (&Field, &RawContent),
) -> Result<()> {
    let (n, m) = (one.len(), other.len());
    if n == m {
        return Ok(());
    }
    let odd = if n > m {
        one.row_place(m)
    } else {
        other.row_place(n)
    };
    Err(Error::data(format!(
        "expected as many sequences of {} as of {}, found {n} in {} and {m} in {}; the first that stands alone is {odd}",
        first.name,
        second.name,
        one.files(),
        other.files()
    )))
}
