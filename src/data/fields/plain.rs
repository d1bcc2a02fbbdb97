//! A sequence a line: plain text, and texts after `__label__x` as fastText has them.

use super::declare::FieldKind;
use super::white_space::is_space;
use super::writer::FieldWriter;
use crate::error::{Error, Result};

/// What a label begins with in fastText's files.
const LABEL: &str = "__label__";

/// The lines of a text with their numbers. An empty one at the end is a line as any other: a line is an example.
fn lines(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().zip(1u32..)
}

/// Reads a sequence a line, of the only field or of the only one that may not be missing.
///
/// # Errors
/// `Kind::Data` for more fields; as [`FieldWriter::cell`].
pub(super) fn read_lines(
    text: &str,
    optional: &[String],
    writers: &mut [Option<FieldWriter<'_>>],
) -> Result<()> {
    if writers.len() > 1 {
        for writer in writers.iter_mut() {
            if writer
                .as_ref()
                .is_some_and(|w| optional.contains(&w.field.name))
            {
                *writer = None;
            }
        }
    }
    let mut left = writers.iter_mut().flatten();
    match (left.next(), left.next()) {
        (Some(writer), None) => lines(text).try_for_each(|(line, at)| writer.cell(line, at)),
        _ => Err(unfit(writers)),
    }
}

/// Fields that lines of text do not have.
fn unfit(writers: &[Option<FieldWriter<'_>>]) -> Error {
    let shown = |w: &FieldWriter<'_>| format!("{}: {}", w.field.name, w.field.kind.shown());
    let fields: Vec<String> = writers.iter().flatten().map(shown).collect();
    Error::data(format!(
        "lines of text have one field, or one of tokens after the {LABEL}x of a class, expected others: {}; --format says \
         what the file is, FIELD=FILE that it is one field",
        fields.join(", ")
    ))
}

/// Reads lines of a label and a text; without labels where that field may be missing and no line has one.
///
/// # Errors
/// `Kind::Data` for fields that are not one class and one of tokens, and naming the line for one without a label, or with
/// several.
pub(super) fn read_fasttext(
    text: &str,
    optional: &[String],
    writers: &mut [Option<FieldWriter<'_>>],
) -> Result<()> {
    let place = |kind: FieldKind| {
        let fits = |w: &Option<FieldWriter<'_>>| w.as_ref().is_some_and(|w| w.field.kind == kind);
        writers.iter().position(fits)
    };
    let (Some(class), Some(tokens), 2) = (
        place(FieldKind::Class),
        place(FieldKind::Tokens),
        writers.iter().flatten().count(),
    ) else {
        return Err(unfit(writers));
    };
    let is_label = |word: &&str| word.starts_with(LABEL);
    let has_labels = lines(text).any(|(line, _)| line.starts_with(LABEL));
    let may_miss = |w: &FieldWriter<'_>| optional.contains(&w.field.name);
    if !has_labels && writers[class].as_ref().is_some_and(may_miss) {
        writers[class] = None;
    }
    for (line, at) in lines(text) {
        let labels = line.split(is_space).filter(is_label).count();
        let expects = usize::from(writers[class].is_some());
        let (label, rest) = match line.strip_prefix(LABEL) {
            Some(rest) => rest.split_once(is_space).unwrap_or((rest, "")),
            None => ("", line),
        };
        if labels != expects || line.starts_with(LABEL) != (expects == 1) {
            return Err(Error::data(format!(
                "line {at}: expected one label, {LABEL}x, at the line's beginning, found {labels} in the line"
            )));
        }
        if let Some(writer) = &mut writers[class] {
            writer.cell(label, at)?;
        }
        if let Some(writer) = &mut writers[tokens] {
            writer.cell(rest.trim_start_matches(is_space), at)?;
        }
    }
    Ok(())
}
