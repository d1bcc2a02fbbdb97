//! Words with labels in columns, an empty line after every sequence: `.conll`, and `.conllu` of Universal Dependencies.

use super::columns::{ColumnChoice, ColumnName};
use super::declare::FieldKind;
use super::writer::FieldWriter;
use crate::error::{Error, Result};

/// Columns of CoNLL-U, by their names there.
const CONLLU: [&str; 10] = [
    "ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC",
];

/// Reads sequences of words and their labels into `writers`; those of optional fields that are not there are taken out.
/// The first column is the words, the others are the labels in the order of their declaration, unless `choice` gives numbers; in
/// CoNLL-U they are FORM and UPOS, and comments, multi-word ranges (`3-4`) and empty nodes (`8.1`) are left out.
///
/// # Errors
/// `Kind::Data`, naming the line, for rows that cannot be read so; `Kind::Usage` for a choice that cannot be.
pub(super) fn read(
    text: &str,
    conllu: bool,
    choice: &ColumnChoice,
    optional: &[String],
    writers: &mut [Option<FieldWriter<'_>>],
) -> Result<()> {
    for writer in writers.iter().flatten() {
        if !matches!(
            writer.field.kind,
            FieldKind::Tokens | FieldKind::ClassesAlong(_)
        ) {
            return Err(Error::data(format!(
                "expected fields of words and of labels along them, found {}: {}, which such a file does not have",
                writer.field.name,
                writer.field.kind.shown()
            )));
        }
    }
    let lines = || text.lines().zip(1u32..);
    let is_row = |line: &str| !line.trim().is_empty() && (!conllu || !line.starts_with('#'));
    let Some((first, at)) = lines().find(|(line, _)| is_row(line)) else {
        return Err(Error::data("expected words in columns, found none"));
    };
    let tabs = conllu || first.contains('\t');
    let width = cells(first, tabs).len();
    let columns = if conllu {
        let mut columns = conllu_columns(choice, writers)?;
        for (writer, column) in writers.iter().zip(&mut columns) {
            let optional = writer
                .as_ref()
                .is_some_and(|w| optional.contains(&w.field.name));
            if let Some(n) = *column
                && optional
                && !lines().any(|(line, _)| {
                    is_row(line) && cells(line, true).get(n).is_some_and(|c| *c != "_")
                })
            {
                *column = None;
            }
        }
        columns
    } else {
        columns(choice, optional, writers, width, at)?
    };
    for (writer, column) in writers.iter_mut().zip(&columns) {
        if column.is_none() {
            *writer = None;
        }
    }
    let mut open = false;
    for (line, at) in lines() {
        if line.trim().is_empty() {
            if std::mem::take(&mut open) {
                writers.iter_mut().flatten().for_each(FieldWriter::end_row);
            }
            continue;
        }
        if !is_row(line) {
            continue;
        }
        let cells = cells(line, tabs);
        if cells.len() != if conllu { CONLLU.len() } else { width } {
            return Err(unequal(cells.len(), conllu, width, line, at));
        }
        if conllu && !is_word(cells[0], at)? {
            continue;
        }
        for (writer, column) in writers.iter_mut().zip(&columns) {
            let (Some(writer), Some(column)) = (writer, column) else {
                continue;
            };
            let cell = cells[*column];
            let unset = conllu && cell == "_" && writer.field.kind != FieldKind::Tokens;
            if cell.trim().is_empty() || unset {
                return Err(Error::data(format!(
                    "line {at}: column {}: expected {} of a word, found {cell:?}",
                    column + 1,
                    writer.field.name
                )));
            }
            writer.item(cell, at);
        }
        open = true;
    }
    if open {
        writers.iter_mut().flatten().for_each(FieldWriter::end_row);
    }
    Ok(())
}

fn cells(line: &str, tabs: bool) -> Vec<&str> {
    if tabs {
        line.split('\t').collect()
    } else {
        line.split_whitespace().collect()
    }
}

/// A row with another number of columns.
fn unequal(found: usize, conllu: bool, width: usize, line: &str, at: u32) -> Error {
    let expected = if conllu {
        "the 10 columns of CoNLL-U with tabs between them".to_string()
    } else {
        format!("{width} columns as in the first line")
    };
    let comment = if line.starts_with('#') && !conllu {
        "; comments are of CoNLL-U (--format conllu)"
    } else {
        ""
    };
    Error::data(format!(
        "line {at}: expected {expected}, found {found}{comment}"
    ))
}

/// Whether a row of CoNLL-U is a word by its number, and no range of words or empty node.
fn is_word(id: &str, at: u32) -> Result<bool> {
    let digits = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let pair = |by: char| {
        id.split_once(by)
            .is_some_and(|(a, b)| digits(a) && digits(b))
    };
    if digits(id) {
        return Ok(true);
    }
    if pair('-') || pair('.') {
        return Ok(false);
    }
    Err(Error::data(format!(
        "line {at}: column 1: expected the number of a word (1), a range (3-4) or an empty node (8.1), found {id:?}"
    )))
}

/// The number that a user chose for a column.
fn number(column: &ColumnName, field: &str) -> Result<usize> {
    match column {
        ColumnName::Numbers(range) if range.len() == 1 => Ok(range.start),
        _ => Err(Error::usage(format!(
            "--columns: {field}: expected the number of one column, as such files have no header"
        ))),
    }
}

fn conllu_columns(
    choice: &ColumnChoice,
    writers: &[Option<FieldWriter<'_>>],
) -> Result<Vec<Option<usize>>> {
    let mut columns = Vec::new();
    let mut labels = 0;
    for writer in writers {
        let Some(writer) = writer else {
            columns.push(None);
            continue;
        };
        let name = &writer.field.name;
        columns.push(Some(match choice.of(name) {
            Some(chosen) => {
                let column = number(chosen, name)?;
                if !(1..CONLLU.len()).contains(&column) {
                    return Err(Error::usage(format!(
                        "--columns: {name}: expected a column from 2 to 10 of CoNLL-U, found {}",
                        column + 1
                    )));
                }
                column
            }
            None if writer.field.kind == FieldKind::Tokens => 1,
            None => {
                labels += 1;
                3
            }
        }));
    }
    if labels > 1 {
        return Err(Error::data(
            "expected one field of labels, which is UPOS, found more; --columns FIELD=NUMBER,.. says which columns they are \
             (LEMMA 3, UPOS 4, XPOS 5, FEATS 6, HEAD 7, DEPREL 8)",
        ));
    }
    Ok(columns)
}

fn columns(
    choice: &ColumnChoice,
    optional: &[String],
    writers: &[Option<FieldWriter<'_>>],
    width: usize,
    at: u32,
) -> Result<Vec<Option<usize>>> {
    let fields = || writers.iter().flatten().map(|writer| writer.field);
    let chosen = fields()
        .filter(|field| choice.of(&field.name).is_some())
        .count();
    if chosen > 0 {
        let mut columns = Vec::new();
        for writer in writers {
            let name = writer.as_ref().map(|writer| &writer.field.name);
            let column = name.and_then(|name| Some((name, choice.of(name)?)));
            let column = column
                .map(|(name, column)| number(column, name))
                .transpose()?;
            match (name, column) {
                (Some(name), None) if !optional.contains(name) => {
                    return Err(Error::usage(format!(
                        "--columns: expected a column for {name} too"
                    )));
                }
                (Some(name), Some(column)) if column >= width => {
                    return Err(Error::data(format!(
                        "line {at}: expected a column {} for {name} (--columns), found {width}",
                        column + 1
                    )));
                }
                _ => columns.push(column),
            }
        }
        return Ok(columns);
    }
    let required = fields()
        .filter(|field| !optional.contains(&field.name))
        .count();
    let all = fields().count();
    if width != all && width != required {
        let names: Vec<&str> = fields().map(|field| field.name.as_str()).collect();
        let conllu = if width == CONLLU.len() {
            "; ten are CoNLL-U (--format conllu)"
        } else {
            ""
        };
        return Err(Error::data(format!(
            "line {at}: expected a column for each of {}, found {width}{conllu}; --columns FIELD=NUMBER,.. says which ones to \
             read",
            names.join(", ")
        )));
    }
    // Words stand before their labels.
    let is_words = |n: &usize| {
        writers[*n]
            .as_ref()
            .is_some_and(|w| w.field.kind == FieldKind::Tokens)
    };
    let (words, labels): (Vec<usize>, Vec<usize>) = (0..writers.len()).partition(is_words);
    let mut places = vec![None; writers.len()];
    let mut next = 0..width;
    for n in words.into_iter().chain(labels) {
        if let Some(writer) = &writers[n]
            && (width == all || !optional.contains(&writer.field.name))
        {
            places[n] = next.next();
        }
    }
    Ok(places)
}
