//! What rules without a network reach on a run's task, from the examples that it was trained on.

use std::path::Path;
use std::sync::Arc;

use wgrnn::Result;
use wgrnn::data::fields::Examples;
use wgrnn::data::split_drawn;
use wgrnn::metrics::FrequentTag;
use wgrnn::train::ExampleSet;

use super::{FieldSource, LoadedFields};

/// The examples that a run was trained on.
pub struct Floors {
    examples: Examples,
    set: ExampleSet,
}

impl Floors {
    /// Reads a run's training files again; none where one of them is gone, was standard input, or is another by now.
    ///
    /// # Errors
    /// Io, where a file is there and cannot be read.
    pub fn new(run: &LoadedFields) -> Result<Option<Floors>> {
        let about = &run.loaded.saved.about;
        let Some(text) = &about.text else {
            return Ok(None);
        };
        if text
            .files
            .iter()
            .any(|f| f == Path::new("-") || !f.exists())
        {
            return Ok(None);
        }
        let source =
            FieldSource::recorded(&run.model, text, &run.loaded.settings, &run.loaded.path)?;
        let Ok(examples) = source.read() else {
            return Ok(None);
        };
        let Ok(records) = source.encode(&run.codes, &examples) else {
            return Ok(None);
        };
        if records.hash()? != text.hash {
            return Ok(None);
        }
        let settings = &run.loaded.settings;
        let (train, _) = split_drawn(records.len(), settings.val, settings.seed)?;
        let set = ExampleSet::new(Arc::clone(&run.model), records, train, Some(settings.horizon))?;
        Ok(Some(Floors { examples, set }))
    }

    /// How many of the examples, or of their words, are of each class of a field.
    pub fn classes(&self, run: &LoadedFields, field: &str) -> Option<Vec<u64>> {
        self.set.class_counts(&run.codes, field)
    }

    /// The most frequent tag of each word, of the tags `field` along the words of `along`.
    pub fn tags(&self, run: &LoadedFields, field: &str, along: &str) -> Option<FrequentTag> {
        let names = run.codes.classes(field)?;
        let mut all = Vec::new();
        for example in 0..self.set.len() as u32 {
            let n = self.set.number(example) as usize;
            let words = self.examples.items(along, n)?;
            let tags = self.examples.items(field, n)?;
            let tags = tags.iter().filter_map(|tag| names.find(tag.trim()));
            all.extend(words.into_iter().zip(tags));
        }
        Some(FrequentTag::of(all.into_iter()))
    }

    /// How often each symbol of a field of tokens is predicted.
    ///
    /// # Errors
    /// Io, where ids cannot be read back.
    pub fn tokens(&self, run: &LoadedFields, field: &str) -> Result<Option<Vec<u64>>> {
        let Some(vocabulary) = run.codes.vocabulary(field) else {
            return Ok(None);
        };
        let mut counts = vec![0; vocabulary.len()];
        self.set
            .each_target(field, |token| counts[token as usize] += 1)?;
        Ok(Some(counts))
    }
}
