//! From files to examples: which file gives which fields, and the reader of its format.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::array_file::ArrayFile;
use super::arrays::{self, ArrayFields};
use super::columns::{ColumnChoice, ColumnName, TableFields};
use super::declare::{self, Field, FieldKind};
use super::examples::{Examples, RawContent};
use super::file_format::FileFormat;
use super::missing::{self, Missing};
use super::series::{self, SeriesRules};
use super::writer::FieldWriter;
use super::{conll, json_lines, plain, tabular};
use crate::data::store::StoreWriter;
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
    /// What is done about missing numbers of fields of reals.
    pub missing: Missing,
    /// The column of a series that is its time: by its name, or its number from 1. It is no part of a field, and must rise.
    pub time: Option<String>,
    /// Numbers of a step of fields of reals, into which the steps of files are cut; steps of one number, such as the cells of a
    /// row, are also put together. None: as files have them.
    pub frame_width: Option<usize>,
    /// Bytes of an array that are held in memory; none: 256 MiB. More stay in their file, which must then not change, and are
    /// read from there; those of a compressed file go to a temporary one.
    pub in_memory: Option<u64>,
}

/// Bytes of an array that are held in memory where nothing is said.
const IN_MEMORY: u64 = 256 << 20;

/// Reads examples of `fields`. Every file with a field of its own gives that one; every other file gives all fields that are
/// left, and several files of the same fields follow one another. Where a column by number is chosen for a vector that has a file of
/// its own, or for steps or a set that have arrays of their own, that column of the other files says by numbers from 0 which one a
/// sequence has. `folder` is for
/// temporary files, `stdin` is what `-` stands for.
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
    let parts = FileFields::new(fields, files, rules)?;
    let mut contents: Vec<Option<RawContent>> = vec![None; fields.len()];
    let mut numbers = contents.clone();
    let mut seen = BTreeSet::new();
    for file in files {
        let (wanted, rules) = parts.of(file, fields, rules);
        if wanted.is_empty() {
            return Err(Error::usage(format!(
                "{}: every field has a file of its own, found one more; FIELD=FILE says what it is for",
                file.path.display()
            )));
        }
        let found = read_file(fields, &wanted, file, &rules, folder, stdin)?;
        for (field, content) in wanted.iter().zip(found) {
            let place = declare::find(fields, &field.name, "field")?;
            let is_number = field.kind != fields[place].kind;
            let slot = if is_number {
                &mut numbers[place]
            } else {
                &mut contents[place]
            };
            match (slot, content) {
                (slot @ None, content) if seen.insert((place, is_number)) => *slot = content,
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
    for ((field, content), numbers) in fields.iter().zip(&mut contents).zip(numbers) {
        if let (Some(content), Some(RawContent::Text(numbers))) = (content, numbers) {
            content.refer(&field.name, numbers)?;
        }
    }
    Examples::new(fields, contents)
}

/// Which fields come from which files.
struct FileFields {
    /// What files without a field of their own give; what they say by numbers of another file's rows stands there as a class.
    shared: Vec<Field>,
    /// The fields of which these files have the numbers.
    numbered: Vec<String>,
}

impl FileFields {
    fn new(fields: &[Field], files: &[FieldFile], rules: &ReadRules) -> Result<Self> {
        declare::check(fields)?;
        for (name, _) in &rules.columns.0 {
            // An array of lengths belongs to a field of steps.
            let of = name.strip_suffix(".lengths");
            let of = of.filter(|of| fields.iter().any(|f| f.name == *of && f.kind.has_steps()));
            declare::find(fields, of.unwrap_or(name), "--columns")?;
        }
        for name in files.iter().filter_map(|file| file.field.as_ref()) {
            let field = &fields[declare::find(fields, name, "FIELD=FILE")?];
            if !field.kind.is_read() {
                return Err(Error::usage(format!(
                    "{name}=FILE: {name} is {}, for which nothing is read",
                    field.kind.shown()
                )));
            }
        }
        let has_own = |field: &Field| {
            files
                .iter()
                .any(|file| file.field.as_ref() == Some(&field.name))
        };
        let all_own = files.iter().all(|file| file.field.is_some());
        let mut parts = FileFields {
            shared: Vec::new(),
            numbered: Vec::new(),
        };
        for field in fields.iter().filter(|field| field.kind.is_read()) {
            let is_number = matches!(rules.columns.of(&field.name), Some(ColumnName::Numbers(range)) if range.len() == 1);
            if !has_own(field) {
                if all_own && !rules.optional.contains(&field.name) {
                    return Err(Error::usage(format!(
                        "expected a file for field {name}, found none; give {name}=FILE",
                        name = field.name
                    )));
                }
                parts.shared.push(field.clone());
            } else if !all_own && may_be_numbered(field, files) && is_number {
                parts.shared.push(Field::new(&field.name, FieldKind::Class));
                parts.numbered.push(field.name.clone());
            }
        }
        Ok(parts)
    }

    /// What a file gives, and how it is read.
    fn of(&self, file: &FieldFile, fields: &[Field], rules: &ReadRules) -> (Vec<Field>, ReadRules) {
        let mut rules = rules.clone();
        let Some(name) = &file.field else {
            return (self.shared.clone(), rules);
        };
        if self.numbered.contains(name) {
            rules.columns = rules.columns.without(name);
        }
        let own = fields.iter().filter(|field| field.name == *name);
        (own.cloned().collect(), rules)
    }
}

/// Whether a column of another file may say by numbers which row of its own files is an example's. Steps in a table have columns
/// by number themselves.
fn may_be_numbered(field: &Field, files: &[FieldFile]) -> bool {
    let of_arrays = |file: &FieldFile| {
        FileFormat::of(&file.path).is_ok_and(|format| format.is_some_and(FileFormat::is_arrays))
    };
    let mut own = files
        .iter()
        .filter(|file| file.field.as_ref() == Some(&field.name));
    match field.kind {
        FieldKind::Vector => true,
        FieldKind::Reals => own.all(of_arrays),
        FieldKind::Tokens
        | FieldKind::Class
        | FieldKind::ClassesAlong(_)
        | FieldKind::TokensWithin(_)
        | FieldKind::RealsAlong(_)
        | FieldKind::Bits => false,
    }
}

/// What one file has for each of the fields `wanted`; none for an optional one that it lacks.
fn read_file(
    fields: &[Field],
    wanted: &[Field],
    file: &FieldFile,
    rules: &ReadRules,
    folder: &Path,
    stdin: &mut dyn Read,
) -> Result<Vec<Option<RawContent>>> {
    // A field's name that is written wrong.
    if let Some((name, _)) = file.path.to_string_lossy().split_once('=')
        && file.field.is_none()
        && !file.path.exists()
    {
        declare::find(
            fields,
            name,
            &format!("{}: no such file", file.path.display()),
        )?;
    }
    let format = format(file, wanted, rules)?;
    let corpus = TextSource::Files(vec![file.path.clone()]).open_with(folder, stdin)?;
    let mut contents = read_corpus(fields, wanted, &corpus, format, file.field.is_some(), rules)?;
    let limit = usize::try_from(rules.in_memory.unwrap_or(IN_MEMORY)).unwrap_or(usize::MAX);
    let named = |e: Error| Error::new(e.kind, format!("{}: {}", corpus.name, e.message));
    let settle = |contents: &mut [Option<RawContent>]| {
        let writer = || StoreWriter::new(folder, limit);
        missing::settle(wanted, contents, rules.missing, &writer).map_err(named)
    };
    // What is refused is named as the file has it; what is carried on or left out are steps of the model.
    if rules.missing == Missing::Refuse {
        settle(&mut contents)?;
    }
    if let Some(width) = rules.frame_width {
        for (field, content) in wanted.iter().zip(&mut contents) {
            if let (FieldKind::Reals, Some(RawContent::Steps(column))) = (&field.kind, content) {
                column.cut(&field.name, width).map_err(named)?;
            }
        }
    }
    if rules.missing != Missing::Refuse {
        settle(&mut contents)?;
    }
    Ok(contents)
}

/// The format of a file.
fn format(file: &FieldFile, wanted: &[Field], rules: &ReadRules) -> Result<FileFormat> {
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
    wanted: &[Field],
    corpus: &Corpus,
    format: FileFormat,
    own: bool,
    rules: &ReadRules,
) -> Result<Vec<Option<RawContent>>> {
    let name = &corpus.name;
    let named = |e: Error| Error::new(e.kind, format!("{name}: {}", e.message));
    // A file that was asked for as a field has that field.
    let optional = if own { &[][..] } else { &rules.optional };
    let is_series = wanted.iter().any(|field| field.kind == FieldKind::Reals);
    if let Some(time) = &rules.time
        && is_series
        && !matches!(format, FileFormat::Tsv | FileFormat::Csv)
    {
        return Err(named(Error::usage(format!(
            "--time: expected a table, which has a column {time}, found {}",
            format.name()
        ))));
    }
    if format.is_arrays() {
        let asked = ArrayFields {
            fields,
            wanted,
            optional,
            choice: &rules.columns,
            name,
        };
        let limit = rules.in_memory.unwrap_or(IN_MEMORY);
        return ArrayFile::open(corpus, format, limit)
            .and_then(|file| arrays::read(&file, &asked))
            .map_err(named);
    }
    for (field, _) in &rules.columns.0 {
        if let Some(of) = field.strip_suffix(".lengths")
            && wanted.iter().any(|field| field.name == of)
        {
            return Err(named(Error::usage(format!(
                "--columns {field}: lengths are of arrays, found {}",
                format.name()
            ))));
        }
    }
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
        FileFormat::Tsv | FileFormat::Csv if is_series => {
            let rules = SeriesRules {
                missing: rules.missing,
                time: rules.time.as_deref(),
            };
            series::read(
                &text,
                &table(format == FileFormat::Csv),
                &rules,
                &mut writers,
            )
        }
        FileFormat::Tsv => tabular::read(&text, &table(false), &mut writers),
        FileFormat::Csv => tabular::read(&text, &table(true), &mut writers),
        FileFormat::Jsonl => {
            json_lines::read(&text, &rules.columns, optional, rules.missing, &mut writers)
        }
        FileFormat::Conll => conll::read(&text, false, &rules.columns, optional, &mut writers),
        FileFormat::Conllu => conll::read(&text, true, &rules.columns, optional, &mut writers),
        FileFormat::FastText => plain::read_fasttext(&text, optional, &mut writers),
        FileFormat::Text => plain::read_lines(&text, optional, &mut writers),
        FileFormat::Safetensors | FileFormat::Npz | FileFormat::Npy | FileFormat::Idx => Ok(()),
    }
    .map_err(named)?;
    Ok(writers
        .into_iter()
        .map(|writer| Some(writer?.finish()))
        .collect())
}
