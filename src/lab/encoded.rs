//! Examples that were made up, as a training reads them.

use std::sync::Arc;

use crate::data::fields::{FieldCodes, FieldFile, FileFormat, ReadRules, VocabularyRules, read};
use crate::data::{VocabKind, VocabularyRecipe};
use crate::error::Result;
use crate::model::text::Model;
use crate::train::{ExampleSet, FieldData, examples};

/// The examples of `text`, as a file with this ending has them, for `model`, whose losses predict `horizon` steps ahead: the first
/// `train` to be trained on, the others held out. Symbols are characters, or words where classes lie along them.
///
/// # Errors
/// Data, for a text that has no such examples.
pub fn encoded(
    text: &str,
    ending: &str,
    model: &Arc<Model>,
    train: u64,
    horizon: usize,
) -> Result<FieldData> {
    let file = FieldFile {
        field: None,
        path: "-".into(),
    };
    let rules = ReadRules {
        format: Some(FileFormat::parse(ending)?),
        ..ReadRules::default()
    };
    let folder = std::env::temp_dir();
    let fields = examples::fields(model);
    let made = read(&fields, &[file], &rules, &folder, &mut text.as_bytes())?;
    let rules = VocabularyRules {
        default: VocabularyRecipe {
            kind: match made.fields().iter().any(|field| field.kind.of().is_some()) {
                true => VocabKind::Word,
                false => VocabKind::Char,
            },
            ..VocabularyRecipe::default()
        },
        ..VocabularyRules::default()
    };
    let (codes, _) = FieldCodes::build(&made, &rules)?;
    let records = Arc::new(codes.encode(&made, &folder)?);
    let set = |numbers: std::ops::Range<u64>| {
        let numbers = numbers.map(|n| n as u32).collect();
        ExampleSet::new(model.clone(), records.clone(), numbers, Some(horizon))
    };
    Ok(FieldData {
        train: set(0..train)?,
        validation: Some(set(train..made.len() as u64)?),
        codes,
    })
}
