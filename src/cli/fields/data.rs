//! Files for a model's fields: which, how they are read, and what stays with a run.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wgrnn::data::fields::{
    ColumnChoice, Examples, Field, FieldCodes, FieldFile, FieldKind, FileFormat, Missing,
    ReadRules, Records, StepRules, TrainingSteps, VocabularyRule, VocabularyRules, read,
};
use wgrnn::data::{VocabKind, VocabularyRecipe, split_drawn};
use wgrnn::model::text::{self as language, Model};
use wgrnn::train::{
    ExampleSet, FieldData, SeriesCut, SeriesPart, Settings, TextRecord, Windows, examples,
};
use wgrnn::{Error, Result, paths};

use crate::cli::{out, text};

/// Files that hold examples of fields, and how they are read.
pub struct FieldSource {
    fields: Vec<Field>,
    files: Vec<FieldFile>,
    rules: ReadRules,
    folder: PathBuf,
}

impl FieldSource {
    /// The files `given`, each `FILE` or `FIELD=FILE`, as `settings` say that they are read; temporary files go beside `near`.
    ///
    /// # Errors
    /// Usage for no file, and for columns or formats that there are not.
    pub fn new(
        model: &Model,
        given: &[String],
        settings: &Settings,
        near: &Path,
    ) -> Result<FieldSource> {
        let fields = examples::fields(model);
        let files: Vec<FieldFile> = given
            .iter()
            .map(|file| FieldFile::parse(file, &fields))
            .collect();
        if files.is_empty() {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            return Err(Error::usage(format!(
                "model {}: expected files with the fields {}, got none; give FILE or FIELD=FILE",
                model.name,
                names.join(", ")
            )));
        }
        of_reals(model, settings)?;
        let twice = files.iter().filter(|f| f.path.as_os_str() == "-").count();
        if twice > 1 {
            return Err(Error::usage(
                "standard input can be read once, and - is given twice",
            ));
        }
        let columns = settings.columns.as_deref().map(ColumnChoice::parse);
        let format = settings.format.as_deref().map(FileFormat::parse);
        let rules = ReadRules {
            columns: columns.transpose()?.unwrap_or_default(),
            format: format.transpose()?,
            missing: settings.missing,
            time: settings.time.clone(),
            frame_width: Some(settings.frame_width).filter(|width| *width > 0),
            ..ReadRules::default()
        };
        let folder = text::beside(near);
        Ok(FieldSource {
            fields,
            files,
            rules,
            folder,
        })
    }

    /// The files that a run has recorded.
    ///
    /// # Errors
    /// As [`FieldSource::new`].
    pub fn recorded(
        model: &Model,
        record: &TextRecord,
        settings: &Settings,
        near: &Path,
    ) -> Result<FieldSource> {
        let name = |(n, file): (usize, &PathBuf)| {
            let path = paths::to_text(file.as_os_str());
            match record.fields.get(n) {
                Some(Some(field)) => format!("{field}={path}"),
                _ => path,
            }
        };
        let files: Vec<String> = record.files.iter().enumerate().map(name).collect();
        FieldSource::new(model, &files, settings, near)
    }

    /// The same where the fields `names` need not be there.
    #[must_use]
    pub fn without(mut self, names: Vec<String>) -> FieldSource {
        self.rules.optional = names;
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// What the files have wrong, with line and column.
    pub fn read(&self) -> Result<Examples> {
        self.read_from(&mut std::io::stdin())
    }

    /// Reads the files, and from `stdin` what stands for standard input.
    ///
    /// # Errors
    /// As [`FieldSource::read`].
    pub fn read_from(&self, stdin: &mut dyn Read) -> Result<Examples> {
        read(&self.fields, &self.files, &self.rules, &self.folder, stdin)
    }

    /// The same without the fields that need not be there, so that what stands in them does not matter.
    ///
    /// # Errors
    /// As [`FieldSource::encode`].
    pub fn inputs(&self, codes: &FieldCodes, examples: &Examples) -> Result<Arc<Records>> {
        let wanted = |field: &Field| !self.rules.optional.contains(&field.name);
        codes
            .encode_some(examples, &self.folder, wanted)
            .map(Arc::new)
    }

    /// The examples in numbers.
    ///
    /// # Errors
    /// Labels that training has not seen, with their line.
    pub fn encode(&self, codes: &FieldCodes, examples: &Examples) -> Result<Arc<Records>> {
        codes.encode(examples, &self.folder).map(Arc::new)
    }
}

/// What a run stores about the files of a source.
///
/// # Errors
/// Io, where ids cannot be read back.
pub fn record(source: &FieldSource, records: &Records) -> Result<TextRecord> {
    let name = |file: &FieldFile| match &file.field {
        Some(field) => format!("{field}={}", file.path.display()),
        None => file.path.display().to_string(),
    };
    let names: Vec<String> = source.files.iter().map(name).collect();
    Ok(TextRecord {
        name: names.join(" "),
        hash: records.hash()?,
        files: source
            .files
            .iter()
            .map(|f| text::absolute(&f.path))
            .collect(),
        fields: source.files.iter().map(|f| f.field.clone()).collect(),
        builtin: None,
    })
}

/// Encoded examples, and what a run stores about them.
pub struct PreparedFields {
    /// What is trained and validated on.
    pub data: FieldData,
    /// What is stored of the files.
    pub text: TextRecord,
    /// The same of validation files.
    pub valid: Option<TextRecord>,
}

/// Reads and encodes what a run trains on: with `codes` of an earlier sitting, else with new ones.
///
/// # Errors
/// What the files have wrong.
pub fn prepare(
    model: &Arc<Model>,
    source: &FieldSource,
    codes: Option<&FieldCodes>,
    settings: &Settings,
) -> Result<PreparedFields> {
    let examples = source.read()?;
    let cut = cut(model, settings, &examples)?;
    let (train, held_out) = match &cut {
        Some(_) => (Vec::new(), Vec::new()),
        None => split_drawn(examples.len(), settings.val, settings.seed)?,
    };
    let codes = match codes {
        Some(codes) => codes.clone(),
        None => {
            let mut rules = vocabularies(&source.fields, settings)?;
            rules.steps = StepRules {
                standardize: settings.standardize,
                training: match &cut {
                    Some((cut, lengths)) => TrainingSteps::Spans(cut.training(lengths)?),
                    None => TrainingSteps::Examples(train.clone()),
                },
                ranges: notes(&source.fields, settings)?,
            };
            let (codes, remarks) = FieldCodes::build(&examples, &rules)?;
            for remark in remarks {
                out::note(&format!("warning: {remark}"));
            }
            codes
        }
    };
    let records = source.encode(&codes, &examples)?;
    drop(examples);
    let text = record(source, &records)?;
    let set = |records: &Arc<Records>, numbers: Vec<u32>| {
        let horizon = Some(settings.horizon);
        ExampleSet::new(model.clone(), records.clone(), numbers, horizon)
    };
    let (mut validation, mut valid) = (None, None);
    let train = match &cut {
        None => {
            if !held_out.is_empty() {
                validation = Some(set(&records, held_out)?);
            }
            set(&records, train)?
        }
        Some((cut, lengths)) => {
            let of = |part, train| {
                let windows = cut.windows(part, lengths, train)?;
                windowed(model, &records, &windows, settings)
            };
            let held_out = of(SeriesPart::Valid, false)?;
            validation = Some(held_out).filter(|set| !set.is_empty());
            of(SeriesPart::Train, true)?
        }
    };
    if let Some(files) = &settings.valid {
        let source = FieldSource::new(model, &files.0, settings, &source.folder)?;
        let examples = source.read()?;
        let records = source.encode(&codes, &examples)?;
        validation = Some(measured(
            model,
            &records,
            &examples,
            settings,
            SeriesPart::All,
        )?);
        valid = Some(record(&source, &records)?);
    }
    let data = FieldData {
        codes,
        train,
        validation,
    };
    Ok(PreparedFields { data, text, valid })
}

/// How the series that examples are is cut, and how long each is; none where they are sequences that stand for themselves.
///
/// # Errors
/// As [`SeriesCut::new`].
pub fn cut(
    model: &Model,
    settings: &Settings,
    examples: &Examples,
) -> Result<Option<(SeriesCut, Vec<usize>)>> {
    let cut = SeriesCut::new(model, settings, examples.len())?;
    let lengths = model.fields().iter().find_map(|f| examples.steps(&f.name));
    Ok(cut.zip(lengths))
}

/// Spans of series as examples.
fn windowed(
    model: &Arc<Model>,
    records: &Records,
    windows: &Windows,
    settings: &Settings,
) -> Result<ExampleSet> {
    let records = Arc::new(records.windows(&windows.spans)?);
    let all = (0..records.len() as u32).collect();
    let set = ExampleSet::new(model.clone(), records, all, Some(settings.horizon))?;
    Ok(set.measured_from(windows.measured.clone()))
}

/// All examples to be measured; of a series those that predict the steps of `part`.
///
/// # Errors
/// Usage, for a part of what is no series that `split` cuts; as [`SeriesCut::windows`].
pub fn measured(
    model: &Arc<Model>,
    records: &Arc<Records>,
    examples: &Examples,
    settings: &Settings,
    part: SeriesPart,
) -> Result<ExampleSet> {
    match cut(model, settings, examples)? {
        Some((cut, lengths)) => {
            let windows = cut.windows(part, &lengths, false)?;
            if windows.spans.is_empty() {
                return Err(Error::usage(format!(
                    "expected steps to measure, found none in the part {part:?}"
                )));
            }
            windowed(model, records, &windows, settings)
        }
        None if part == SeriesPart::All => {
            let all = (0..records.len() as u32).collect();
            ExampleSet::new(model.clone(), records.clone(), all, Some(settings.horizon))
        }
        None => Err(Error::usage(format!(
            "--part: expected none, as the examples of model {} are no series that is split by time",
            model.name
        ))),
    }
}

/// Refuses what is said of reals where no field is of them.
fn of_reals(model: &Model, settings: &Settings) -> Result<()> {
    let mut fields = examples::fields(model).into_iter();
    if fields.any(|field| field.kind == FieldKind::Reals) {
        let set = |field: &language::ModelField| {
            matches!(
                field.kind,
                language::ModelFieldKind::Reals { set: true, .. }
            )
        };
        if settings.time.is_some() && model.fields().iter().any(set) {
            return Err(Error::usage(format!(
                "--time: expected none, as the rows of a set of model {} have no order",
                model.name
            )));
        }
        return Ok(());
    }
    let given = [
        ("frame-width", settings.frame_width > 0),
        ("standardize", settings.standardize),
        ("missing", settings.missing != Missing::Refuse),
        ("time", settings.time.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((key, _)) => Err(Error::usage(format!(
            "--{key}: expected none, as no field of model {} is of reals",
            model.name
        ))),
    }
}

/// The ranges of notes that settings ask for: those of every field of bits.
fn notes(fields: &[Field], settings: &Settings) -> Result<BTreeMap<String, (u32, u32)>> {
    let Some(text) = &settings.notes else {
        return Ok(BTreeMap::new());
    };
    let range = text.split_once("..").and_then(|(low, high)| {
        let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
        (low <= high).then_some((low, high))
    });
    let Some(range) = range else {
        return Err(Error::usage(format!(
            "notes: expected the lowest and the highest, such as 21..108, got {text}"
        )));
    };
    let bits = fields.iter().filter(|field| field.kind == FieldKind::Bits);
    let all: BTreeMap<_, _> = bits.map(|field| (field.name.clone(), range)).collect();
    if all.is_empty() {
        return Err(Error::usage(format!(
            "notes: expected none, as no field is of bits, got {text}"
        )));
    }
    Ok(all)
}

/// The vocabularies that settings ask for.
fn vocabularies(fields: &[Field], settings: &Settings) -> Result<VocabularyRules> {
    let mut rules = VocabularyRules {
        default: settings.recipe(),
        ..VocabularyRules::default()
    };
    // Along words lie labels, so that a symbol is a word whatever it is elsewhere.
    let of_tokens = |of: &&str| {
        let tokens = |field: &Field| field.name == **of && field.kind == FieldKind::Tokens;
        fields.iter().any(tokens)
    };
    let along = fields.iter().filter_map(|field| field.kind.of());
    for of in along.filter(of_tokens) {
        let words = VocabularyRecipe {
            kind: VocabKind::Word,
            ..rules.default.clone()
        };
        rules
            .of
            .insert(of.to_string(), VocabularyRule::Build(words));
    }
    if let Some(file) = &settings.tokenizer {
        let vocabulary = text::tokenizer(&paths::from_text(file), true)?;
        for field in fields.iter().filter(|f| f.kind == FieldKind::Tokens) {
            let rule = VocabularyRule::Given(vocabulary.clone());
            rules.of.insert(field.name.clone(), rule);
        }
    }
    Ok(rules)
}
