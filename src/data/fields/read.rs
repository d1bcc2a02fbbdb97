//! From files to examples: which file gives which fields, and the reader of its format.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::columns::{ColumnChoice, TableFields};
use super::declare::{self, Field, FieldKind};
use super::examples::{Examples, RawContent};
use super::file_format::FileFormat;
use super::writer::FieldWriter;
use super::{arrays, conll, json_lines, plain, tabular};
use crate::data::{Corpus, TextSource};
use crate::error::{Error, Result};

/// A file of examples: of all fields that no file of their own gives, or of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFile {
    /// The only field that is read from it.
    pub field: Option<String>,
    /// The file; `-` is standard input.
    pub path: PathBuf,
}

impl FieldFile {
    /// What `FILE` or `FIELD=FILE` says, where the latter begins with the name of one of `fields`.
    pub fn parse(text: &str, fields: &[Field]) -> Self {
        let pair = text.split_once('=');
        let own = pair.filter(|(name, _)| fields.iter().any(|field| field.name == *name));
        match own {
            Some((name, path)) => FieldFile {
                field: Some(name.to_string()),
                path: path.into(),
            },
            None => FieldFile {
                field: None,
                path: text.into(),
            },
        }
    }
}

/// How files are read.
#[derive(Clone, Debug, Default)]
pub struct ReadRules {
    /// Of what format they are, whatever their names end in.
    pub format: Option<FileFormat>,
    /// Which columns, members or arrays the fields are in.
    pub columns: ColumnChoice,
    /// Whether tables have a header; none: as their format has it.
    pub header: Option<bool>,
    /// Fields that files may be without, such as the label where it is asked for.
    pub optional: Vec<String>,
}

/// Reads examples of `fields`. Every file with a field of its own gives that one; every other file gives all fields that are
/// left, and several files of the same fields follow one another. `folder` is for temporary files, `stdin` is what `-` stands
/// for.
///
/// # Errors
/// `Kind::Usage` for choices that name no field; `Kind::Io` where a file cannot be read; else `Kind::Data`, naming file and
/// line: a file that is not of its format, a field without data, data without a field, unequal numbers of sequences, an
/// empty sequence, labels that are not as many as their words.
pub fn read(
    fields: &[Field],
    files: &[FieldFile],
    rules: &ReadRules,
    folder: &Path,
    stdin: &mut dyn Read,
) -> Result<Examples> {
    declare::check(fields)?;
    for (name, _) in &rules.columns.0 {
        declare::find(fields, name, "--columns")?;
    }
    let mut own = vec![false; fields.len()];
    for name in files.iter().filter_map(|file| file.field.as_ref()) {
        let place = declare::find(fields, name, "FIELD=FILE")?;
        if !fields[place].kind.is_read() {
            return Err(Error::usage(format!(
                "{name}=FILE: {name} is {}, for which nothing is read",
                fields[place].kind.shown()
            )));
        }
        own[place] = true;
    }
    let mut left: Vec<&Field> = Vec::new();
    for (field, own) in fields.iter().zip(&own) {
        if field.kind.is_read() && !own {
            left.push(field);
        }
    }
    let all_own = files.iter().all(|file| file.field.is_some());
    let missing = left
        .iter()
        .find(|field| !rules.optional.contains(&field.name));
    if all_own && let Some(field) = missing {
        return Err(Error::usage(format!(
            "expected a file for field {name}, found none; give {name}=FILE",
            name = field.name
        )));
    }
    let mut contents: Vec<Option<RawContent>> = vec![None; fields.len()];
    let mut seen = vec![false; fields.len()];
    for file in files {
        let wanted: Vec<&Field> = match &file.field {
            Some(name) => fields.iter().filter(|field| field.name == *name).collect(),
            None => left.clone(),
        };
        if wanted.is_empty() {
            return Err(Error::usage(format!(
                "{}: every field has a file of its own, found one more; FIELD=FILE says what it is for",
                file.path.display()
            )));
        }
        let found = read_file(fields, &wanted, file, rules, folder, stdin)?;
        for (field, content) in wanted.iter().zip(found) {
            let place = declare::find(fields, &field.name, "field")?;
            let first = !std::mem::replace(&mut seen[place], true);
            match (&mut contents[place], content) {
                (slot @ None, content) if first => *slot = content,
                (None, None) => {}
                (Some(before), Some(more)) => before.append(&field.name, more)?,
                _ => {
                    return Err(Error::data(format!(
                        "{}: field {} is in some of the files, expected it in all or none",
                        file.path.display(),
                        field.name
                    )));
                }
            }
        }
    }
    Examples::new(fields, contents)
}

/// What one file has for each of the fields `wanted`; none for an optional one that it lacks.
fn read_file(
    fields: &[Field],
    wanted: &[&Field],
    file: &FieldFile,
    rules: &ReadRules,
    folder: &Path,
    stdin: &mut dyn Read,
) -> Result<Vec<Option<RawContent>>> {
    let format = format(file, wanted, rules)?;
    let corpus = TextSource::Files(vec![file.path.clone()]).open_with(folder, stdin)?;
    read_corpus(fields, wanted, &corpus, format, file.field.is_some(), rules)
}

/// The format of a file.
fn format(file: &FieldFile, wanted: &[&Field], rules: &ReadRules) -> Result<FileFormat> {
    if let Some(format) = rules.format {
        return Ok(format);
    }
    // A text with a label before it is written as in fastText.
    let labelled = wanted.len() > 1 && wanted.iter().any(|field| field.kind == FieldKind::Class);
    let text = if labelled {
        FileFormat::FastText
    } else {
        FileFormat::Text
    };
    let required = wanted
        .iter()
        .filter(|field| !rules.optional.contains(&field.name));
    match FileFormat::of(&file.path)? {
        Some(FileFormat::Text) => Ok(text),
        Some(format) => Ok(format),
        // A file of one field may be called anything, such as train.de.
        None if wanted.len() == 1 || required.count() == 1 => Ok(text),
        None => {
            let names: Vec<&str> = FileFormat::names().collect();
            Err(Error::usage(format!(
                "{}: expected a name that ends in the file's format, found none of them; --format says it: {}",
                file.path.display(),
                names.join(", ")
            )))
        }
    }
}

fn read_corpus(
    fields: &[Field],
    wanted: &[&Field],
    corpus: &Corpus,
    format: FileFormat,
    own: bool,
    rules: &ReadRules,
) -> Result<Vec<Option<RawContent>>> {
    let name = &corpus.name;
    let named = |e: Error| Error::new(e.kind, format!("{name}: {}", e.message));
    if format == FileFormat::Safetensors {
        let bytes = corpus.bytes()?;
        let array = |field: &&Field| arrays::read(&bytes, name, field, &rules.columns).map(Some);
        return wanted
            .iter()
            .map(array)
            .collect::<Result<_>>()
            .map_err(named);
    }
    // A file that was asked for as a field has that field.
    let optional = if own { &[][..] } else { &rules.optional };
    let text = corpus.text()?;
    let mut writers: Vec<Option<FieldWriter<'_>>> = wanted
        .iter()
        .map(|field| Some(FieldWriter::new(field, fields, name)))
        .collect();
    let table = |expects_header| TableFields {
        fields: wanted,
        optional,
        choice: &rules.columns,
        header: rules.header,
        expects_header,
    };
    match format {
        FileFormat::Tsv => tabular::read(&text, &table(false), &mut writers),
        FileFormat::Csv => tabular::read(&text, &table(true), &mut writers),
        FileFormat::Jsonl => json_lines::read(&text, &rules.columns, optional, &mut writers),
        FileFormat::Conll => conll::read(&text, false, &rules.columns, optional, &mut writers),
        FileFormat::Conllu => conll::read(&text, true, &rules.columns, optional, &mut writers),
        FileFormat::FastText => plain::read_fasttext(&text, optional, &mut writers),
        FileFormat::Text => plain::read_lines(&text, optional, &mut writers),
        FileFormat::Safetensors => Ok(()),
    }
    .map_err(named)?;
    Ok(writers
        .into_iter()
        .map(|writer| Some(writer?.finish()))
        .collect())
}
