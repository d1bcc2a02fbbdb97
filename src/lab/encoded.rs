//! Examples that were made up, as a training reads them.

use std::sync::Arc;

use crate::data::fields::{FieldCodes, FieldFile, FileFormat, ReadRules, VocabularyRules, read};
use crate::data::{VocabKind, VocabularyRecipe};
use crate::error::Result;
use crate::model::text::Model;
use crate::train::{ExampleSet, FieldData, examples};

/// Examples that were made up: a text, as a file has it.
#[derive(Clone, Debug)]
pub struct Made {
    /// The text of the file.
    pub text: String,
    /// The ending that the file would have.
    pub ending: &'static str,
    /// What its symbols are; none: characters, or words where classes lie along them.
    pub symbols: Option<VocabKind>,
}

impl Made {
    /// Of lines of words the last word of each as its class, and the words before it as its text.
    pub fn last_words(lines: &str) -> Made {
        let pairs = lines.lines().filter_map(|line| line.rsplit_once(' '));
        Made {
            text: pairs
                .map(|(text, last)| format!("{last}\t{text}\n"))
                .collect(),
            ending: "tsv",
            symbols: Some(VocabKind::Word),
        }
    }
}

/// The examples of `made` for `model`, whose losses predict `horizon` steps ahead: the first `train` to be trained on, the
/// others held out.
///
/// # Errors
/// Data, for a text that has no such examples.
pub fn encoded(made: &Made, model: &Arc<Model>, train: u64, horizon: usize) -> Result<FieldData> {
    let file = FieldFile {
        field: None,
        path: "-".into(),
    };
    let rules = ReadRules {
        format: Some(FileFormat::parse(made.ending)?),
        ..ReadRules::default()
    };
    let folder = std::env::temp_dir();
    let fields = examples::fields(model);
    let read = read(&fields, &[file], &rules, &folder, &mut made.text.as_bytes())?;
    let rules = VocabularyRules {
        default: VocabularyRecipe {
            kind: made.symbols.unwrap_or_else(|| {
                match read.fields().iter().any(|field| field.kind.of().is_some()) {
                    true => VocabKind::Word,
                    false => VocabKind::Char,
                }
            }),
            ..VocabularyRecipe::default()
        },
        ..VocabularyRules::default()
    };
    let (codes, _) = FieldCodes::build(&read, &rules)?;
    let records = Arc::new(codes.encode(&read, &folder)?);
    let set = |numbers: std::ops::Range<u64>| {
        let numbers = numbers.map(|n| n as u32).collect();
        ExampleSet::new(model.clone(), records.clone(), numbers, Some(horizon))
    };
    Ok(FieldData {
        train: set(0..train)?,
        validation: Some(set(train..read.len() as u64)?),
        codes,
    })
}
