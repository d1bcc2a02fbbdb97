//! Sequences of numbers from a table: one series, a step a row; or an example a row, where it has something else beside them.

use std::ops::Range;

use super::columns::{ColumnName, TableFields};
use super::declare::{Field, FieldKind};
use super::missing::{self, Missing};
use super::table::{TableReader, TableRow};
use super::white_space::brief;
use super::writer::FieldWriter;
use crate::error::{Error, Result, nearest};

/// How a series is read beside what any table is.
pub(super) struct SeriesRules<'a> {
    pub missing: Missing,
    /// The column that is the time: its name, or its number from 1.
    pub time: Option<&'a str>,
}

/// The number in a cell; none where it is missing.
fn number(cell: &str) -> std::result::Result<Option<f64>, ()> {
    let cell = cell.trim();
    if cell.is_empty() || cell == "NA" || cell.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    // What is spelled as an infinity is text here.
    let value = cell.parse::<f64>().ok().filter(|value| value.is_finite());
    value.map(Some).ok_or(())
}

/// Reads a table into `writers`, one a field: of reals all columns that are over, or those that were chosen, of other fields
/// one. A first row is a header where none of its cells is a number or one is the name of
/// a field, unless a user says whether it is one.
///
/// Where all other fields are labels along reals a row is a step of one series, and else an example, whose numbers are steps of
/// one each.
///
/// # Errors
/// `Kind::Data`, naming line and column, for text where a number is due, a number that is missing where that is refused, and a
/// time that does not rise; `Kind::Usage` for columns that cannot be chosen so, and for a time of rows that are no steps.
pub(super) fn read(
    text: &str,
    wanted: &TableFields<'_>,
    rules: &SeriesRules<'_>,
    writers: &mut [Option<FieldWriter<'_>>],
) -> Result<()> {
    let mut reader = TableReader::new(text, wanted.expects_header);
    let mut row = TableRow::default();
    if !reader.next(&mut row)? {
        return Err(Error::data("expected rows of numbers, found none"));
    }
    let first: Vec<String> = row.cells().map(|cell| cell.trim().to_string()).collect();
    // Columns of numbers may be named by numbers.
    let names = |cell: &String| {
        wanted
            .fields
            .iter()
            .any(|field| wanted.is_named(field, cell))
    };
    let header = wanted.header.unwrap_or_else(|| {
        first.iter().all(|cell| number(cell).is_err()) || first.iter().any(names)
    });
    let columns = SeriesColumns {
        header,
        first: &first,
        wanted,
    };
    let by_row = columns.is_by_row();
    columns.check(by_row)?;
    if let Some(time) = rules.time.filter(|_| by_row) {
        return Err(Error::usage(format!(
            "--time: expected none, as each row is an example of its own, got {time}"
        )));
    }
    let time = columns.time(rules.time)?;
    let places = columns.find(by_row, time)?;
    for (writer, columns) in writers.iter_mut().zip(&places) {
        let steps = writer.as_mut().and_then(|w| w.steps.as_mut());
        match (columns, steps) {
            (None, _) => *writer = None,
            (Some(columns), Some(steps)) if header && !by_row => {
                steps.name(first[columns.clone()].to_vec());
            }
            _ => {}
        }
    }
    let mut clock = Clock::default();
    let mut any = !header || reader.next(&mut row)?;
    let begin = row.line;
    if !any {
        return Err(Error::data(
            "expected rows of numbers, found a header alone",
        ));
    }
    let mut values = Vec::new();
    while any {
        let line = row.line;
        if row.len() != first.len() {
            return Err(Error::data(format!(
                "line {line}: expected {} column(s) as in the first line, found {}",
                first.len(),
                row.len()
            )));
        }
        if let Some(time) = time {
            clock
                .advance(row.cell(time))
                .map_err(|fault| columns.fault(line, time, &fault))?;
        }
        for (writer, range) in writers.iter_mut().zip(&places) {
            let (Some(writer), Some(range)) = (writer, range) else {
                continue;
            };
            let Some(steps) = &mut writer.steps else {
                match (by_row, &writer.field.kind) {
                    (false, _) => writer.item(row.cell(range.start).trim(), line),
                    (true, FieldKind::Class) => writer.cell(row.cell(range.start).trim(), line)?,
                    (true, _) => writer.cell(row.cell(range.start), line)?,
                }
                continue;
            };
            values.clear();
            for n in range.clone() {
                values.push(columns.number(&row, n, rules.missing)?);
            }
            if by_row {
                values
                    .chunks(1)
                    .try_for_each(|value| steps.numbers(value))?;
                steps.end_row(line);
            } else {
                steps.numbers(&values)?;
            }
        }
        any = reader.next(&mut row)?;
    }
    for writer in writers.iter_mut().flatten().filter(|_| !by_row) {
        match &mut writer.steps {
            Some(steps) => steps.end_row(begin),
            None => writer.end_row(),
        }
    }
    Ok(())
}

/// Which columns are what.
struct SeriesColumns<'a> {
    header: bool,
    /// The cells of the first row.
    first: &'a [String],
    wanted: &'a TableFields<'a>,
}

impl SeriesColumns<'_> {
    /// Whether a row is an example: a field has one value an example.
    fn is_by_row(&self) -> bool {
        let one = |field: &Field| matches!(field.kind, FieldKind::Class | FieldKind::Tokens);
        self.wanted.fields.iter().any(one)
    }

    /// Refuses fields that such rows do not have, and headers with a name twice.
    fn check(&self, by_row: bool) -> Result<()> {
        let along_reals = |of: &String| {
            let is = |other: &Field| other.kind == FieldKind::Reals && other.name == *of;
            self.wanted.fields.iter().any(is)
        };
        let has = |field: &&Field| match &field.kind {
            FieldKind::Reals => true,
            FieldKind::Class | FieldKind::Tokens => by_row,
            FieldKind::ClassesAlong(of) => along_reals(of) != by_row,
            _ => false,
        };
        if let Some(other) = self.wanted.fields.iter().find(|field| !has(field)) {
            let expected = match by_row {
                true => "a table with an example a row has reals, and classes or texts beside them",
                false => {
                    "a table with a step a row is one example, of reals and of labels along them"
                }
            };
            return Err(Error::data(format!(
                "{expected}, found {}: {}; FIELD=FILE gives a field a file of its own",
                other.name,
                other.kind.shown()
            )));
        }
        if self.header {
            for (n, name) in self.first.iter().enumerate() {
                if self.first[..n].contains(name) {
                    return Err(Error::data(format!(
                        "line 1: expected a header with each name once, found {name:?} again"
                    )));
                }
            }
        }
        Ok(())
    }

    /// A fault in a cell.
    fn fault(&self, line: u32, n: usize, fault: &str) -> Error {
        let name = match self.header {
            true => format!("{} ({})", n + 1, self.first[n]),
            false => (n + 1).to_string(),
        };
        Error::data(format!("line {line}, column {name}: {fault}"))
    }

    /// The column of a header by its name.
    fn named(&self, name: &str, what: &str) -> Result<usize> {
        let place = self.first.iter().position(|cell| cell == name);
        place.filter(|_| self.header).ok_or_else(|| {
            let known = self.first.iter().map(String::as_str);
            let hint = nearest(name, known).map_or(String::new(), |n| format!(" (is it {n}?)"));
            let found = match self.header {
                true => format!("{:?}{hint}", brief(&self.first.join(", "))),
                false => "no header".to_string(),
            };
            Error::data(format!(
                "line 1: expected a column {name} for {what}, found {found}"
            ))
        })
    }

    fn time(&self, time: Option<&str>) -> Result<Option<usize>> {
        let Some(name) = time else {
            return Ok(None);
        };
        if self.header && self.first.iter().any(|cell| cell == name) {
            return self.named(name, "the time").map(Some);
        }
        match name.parse::<usize>() {
            Ok(n) if (1..=self.first.len()).contains(&n) => Ok(Some(n - 1)),
            _ => self.named(name, "the time").map(Some),
        }
    }

    /// The column of a field with one value an example where there is no header: classes stand first, as in other tables.
    fn headless(&self, field: &Field) -> Result<Option<Range<usize>>> {
        let (fields, name) = (self.wanted.fields, &field.name);
        let may_miss = self.wanted.optional.contains(name);
        let chosen = |field: &Field| self.wanted.choice.of(&field.name).is_some();
        match (may_miss, fields.iter().any(chosen)) {
            (true, true) => return Ok(None),
            (false, true) => {
                return Err(Error::usage(format!(
                    "--columns: expected a column for {name} too"
                )));
            }
            (true, false) => {
                return Err(Error::data(format!(
                    "line 1: expected a header that says whether a column is {name}, found none; --columns FIELD=COLUMN,.. says \
                     which columns to read"
                )));
            }
            (false, false) => {}
        }
        let one = |kind: &FieldKind| match kind {
            FieldKind::Class => Some(0),
            FieldKind::Reals => None,
            _ => Some(1),
        };
        let order = |(n, other): (usize, &Field)| Some((one(&other.kind)?, n));
        let mut places: Vec<_> = fields.iter().enumerate().filter_map(order).collect();
        places.sort_unstable();
        let place = places
            .iter()
            .position(|(_, n)| fields[*n].name == *name)
            .filter(|n| *n < self.first.len());
        Ok(place.map(|n| n..n + 1))
    }

    /// The columns of every field: none of one that may be missing and is not there.
    fn find(&self, by_row: bool, time: Option<usize>) -> Result<Vec<Option<Range<usize>>>> {
        let mut found: Vec<Option<Range<usize>>> = Vec::new();
        let mut over = None;
        for (n, field) in self.wanted.fields.iter().enumerate() {
            let labels = field.kind != FieldKind::Reals;
            let may_miss = self.wanted.optional.contains(&field.name);
            let range = match self.wanted.choice.of(&field.name) {
                Some(ColumnName::Name(name)) if may_miss && !self.first.contains(name) => None,
                Some(ColumnName::Name(name)) => {
                    let n = self.named(name, &field.name)?;
                    Some(n..n + 1)
                }
                Some(ColumnName::Numbers(range)) if range.end > self.first.len() => {
                    return Err(Error::data(format!(
                        "line 1: expected a column {} for {} (--columns), found {} column(s)",
                        range.end,
                        field.name,
                        self.first.len()
                    )));
                }
                Some(ColumnName::Numbers(range)) if labels && range.len() > 1 => {
                    return Err(Error::usage(format!(
                        "--columns: {} is {}: expected one column, found {}",
                        field.name,
                        field.kind.shown(),
                        range.len()
                    )));
                }
                Some(ColumnName::Numbers(range)) => Some(range.clone()),
                None if labels && by_row && !self.header => self.headless(field)?,
                None if labels && may_miss && !self.first.contains(&field.name) => None,
                None if labels => {
                    let n = self.named(
                        &field.name,
                        &format!(
                            "{} (--columns {}=COLUMN says another)",
                            field.name, field.name
                        ),
                    )?;
                    Some(n..n + 1)
                }
                None if over.is_some() => {
                    return Err(Error::usage(format!(
                        "--columns: expected columns for {} too, as another field of reals takes those that are over",
                        field.name
                    )));
                }
                None => {
                    over = Some(n);
                    None
                }
            };
            if let (Some(range), Some(time)) = (&range, time)
                && range.contains(&time)
            {
                return Err(Error::usage(format!(
                    "--columns: {}: column {} is the time, expected others",
                    field.name,
                    time + 1
                )));
            }
            found.push(range);
        }
        if let Some(place) = over {
            let taken = |n: &usize| {
                Some(*n) == time || found.iter().flatten().any(|range| range.contains(n))
            };
            let rest: Vec<usize> = (0..self.first.len()).filter(|n| !taken(n)).collect();
            found[place] = match (rest.first(), rest.last()) {
                (Some(first), Some(last)) if last - first + 1 == rest.len() => {
                    Some(*first..last + 1)
                }
                _ => {
                    let name = &self.wanted.fields[place].name;
                    return Err(Error::data(format!(
                        "line 1: expected columns for {name} that stand side by side when the others are taken, found {} of {}; \
                         --columns {name}=FIRST-LAST says which ones",
                        rest.len(),
                        self.first.len()
                    )));
                }
            };
        }
        Ok(found)
    }

    /// The number in a cell; NaN where it is missing and may be.
    fn number(&self, row: &TableRow, n: usize, missing: Missing) -> Result<f64> {
        match number(row.cell(n)) {
            Ok(Some(value)) => Ok(value),
            Ok(None) if missing != Missing::Refuse => Ok(f64::NAN),
            Ok(None) => {
                let found = match row.cell(n).trim() {
                    "" => "an empty cell".to_string(),
                    cell => format!("{cell:?}"),
                };
                Err(self.fault(
                    row.line,
                    n,
                    &format!("expected a number, found {found}; {}", missing::ADVICE),
                ))
            }
            Err(()) => {
                let field = self
                    .wanted
                    .fields
                    .iter()
                    .find(|f| f.kind == FieldKind::Reals);
                let field = field.map_or("x", |field| &field.name);
                let time = if is_date(row.cell(n).trim()) {
                    format!("--time {} says that it is the time, ", n + 1)
                } else {
                    String::new()
                };
                Err(self.fault(
                    row.line,
                    n,
                    &format!(
                        "expected a finite number, found {:?}; {time}--columns {field}=FIRST-LAST chooses columns and leaves the \
                         others out",
                        brief(row.cell(n))
                    ),
                ))
            }
        }
    }
}

/// The time of the row before.
#[derive(Default)]
struct Clock {
    last: Option<(String, Option<f64>)>,
}

impl Clock {
    /// Goes on to the next row's: a number, or a date of ISO 8601, written as the one before so that it sorts as text.
    fn advance(&mut self, cell: &str) -> std::result::Result<(), String> {
        let cell = cell.trim();
        let value = number(cell).ok().flatten();
        if value.is_none() && !is_date(cell) {
            let found = brief(cell);
            return Err(format!(
                "expected a time, which is a number or a date such as 2016-07-01 or 2016-07-01 13:00:00, found {found:?}"
            ));
        }
        if let Some((text, before)) = &self.last {
            let rises = match (before, value) {
                (Some(before), Some(value)) => *before < value,
                (None, None) if form(text) == form(cell) => text.as_str() < cell,
                _ => {
                    return Err(format!(
                        "expected a time written as the one before, {text:?}, found {cell:?}"
                    ));
                }
            };
            if !rises {
                return Err(format!(
                    "dates out of order: expected a time after {text:?}, found {cell:?}"
                ));
            }
        }
        self.last = Some((cell.to_string(), value));
        Ok(())
    }
}

/// A text with every digit as 0: texts of one form sort as what they mean where the largest unit comes first.
fn form(text: &str) -> String {
    let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
    text.chars().map(digit).collect()
}

/// Whether a text is a month, a date, or a date and a time of ISO 8601, in its extended form.
fn is_date(text: &str) -> bool {
    let form = form(text);
    let (date, time) = match form.split_once(['T', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (form.as_str(), None),
    };
    let time = time.map(|time| {
        let time = time.strip_suffix('Z').unwrap_or(time);
        // Seconds may have a fraction of any length.
        match time.split_once('.') {
            Some((whole, part)) if !part.is_empty() && part.bytes().all(|b| b == b'0') => whole,
            _ => time,
        }
    });
    match time {
        None => ["0000-00-00", "0000-00", "0000-W00", "0000-000"].contains(&date),
        Some(time) => date == "0000-00-00" && ["00:00", "00:00:00"].contains(&time),
    }
}
