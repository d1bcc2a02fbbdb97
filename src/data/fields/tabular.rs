//! Fields from tables: `.tsv` and `.csv`.

use std::collections::HashSet;

use super::columns::TableFields;
use super::declare::FieldKind;
use super::table::{TableReader, TableRow};
use super::writer::FieldWriter;
use crate::error::{Error, Result};

/// Reads a table into `writers`, one a field of `wanted`; those of optional fields that are not there are taken out.
///
/// # Errors
/// `Kind::Data`, naming the line, for what the rows cannot be read as.
pub(super) fn read(
    text: &str,
    wanted: &TableFields<'_>,
    writers: &mut [Option<FieldWriter<'_>>],
) -> Result<()> {
    let mut reader = TableReader::new(text, wanted.expects_header);
    let mut row = TableRow::default();
    if !reader.next(&mut row)? {
        return Err(Error::data("expected rows of cells, found none"));
    }
    let first: Vec<&str> = row.cells().collect();
    let found = wanted.find(&first)?;
    let width = first.len();
    for (writer, columns) in writers.iter_mut().zip(&found.columns) {
        if columns.is_none() {
            *writer = None;
        }
    }
    if found.by_rule {
        check_order(reader.clone(), &first, wanted, &found.columns)?;
    }
    let mut any = !found.header || reader.next(&mut row)?;
    while any {
        if row.len() != width {
            return Err(Error::data(format!(
                "line {}: expected {width} column(s) as in the first line, found {}",
                row.line,
                row.len()
            )));
        }
        for (writer, columns) in writers.iter_mut().zip(&found.columns) {
            let (Some(writer), Some(columns)) = (writer, columns) else {
                continue;
            };
            if writer.field.kind == FieldKind::Vector && columns.len() > 1 {
                writer.numbers(columns.clone().map(|n| row.cell(n)), row.line)?;
            } else {
                writer.cell(row.cell(columns.start), row.line)?;
            }
        }
        any = reader.next(&mut row)?;
    }
    Ok(())
}

/// Refuses a table without a header whose first column, which is a class by the rule, looks less like one than a text beside
/// it: labels come again, texts seldom do.
fn check_order(
    mut reader: TableReader<'_>,
    first: &[&str],
    wanted: &TableFields<'_>,
    columns: &[Option<std::ops::Range<usize>>],
) -> Result<()> {
    let column = |kind: FieldKind| {
        let found = wanted.fields.iter().zip(columns);
        let mut found = found.filter(|(field, _)| field.kind == kind);
        found.find_map(|(field, columns)| Some((&field.name, columns.clone()?.start)))
    };
    let (Some((class, label)), Some((tokens, text))) =
        (column(FieldKind::Class), column(FieldKind::Tokens))
    else {
        return Ok(());
    };
    let (mut labels, mut texts) = (HashSet::new(), HashSet::new());
    let mut add = |label: &str, text: &str| {
        // An empty cell is a fault of its own.
        if !label.is_empty() && !text.is_empty() {
            labels.insert(label.to_string());
            texts.insert(text.to_string());
        }
    };
    add(first[label], first[text]);
    let mut row = TableRow::default();
    while reader.next(&mut row)? {
        if row.len() == first.len() {
            add(row.cell(label), row.cell(text));
        }
    }
    if labels.len() > texts.len() {
        return Err(Error::data(format!(
            "without a header column {} is {class}, but it has {} different values and column {}, {tokens}, {}; --columns \
             {class}={},{tokens}={} if it is the other way round, or give a header",
            label + 1,
            labels.len(),
            text + 1,
            texts.len(),
            text + 1,
            label + 1
        )));
    }
    Ok(())
}
