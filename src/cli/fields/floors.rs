//! What rules without a network reach on a run's task, from the examples that it was trained on.

use std::path::Path;
use std::sync::Arc;

use wgrnn::Result;
use wgrnn::data::fields::Examples;
use wgrnn::data::split_drawn;
use wgrnn::metrics::{Errors, FrequentTag, NoteFrequency, OneGaussian};
use wgrnn::train::ExampleSet;

use super::data::cut;
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
        if let Some((cut, lengths)) = cut(&run.model, settings, &examples)? {
            let records = Arc::new(records.windows(&cut.training(&lengths)?)?);
            let all = (0..records.len() as u32).collect();
            let set = ExampleSet::new(Arc::clone(&run.model), records, all, None)?;
            return Ok(Some(Floors { examples, set }));
        }
        let (train, _) = split_drawn(records.len(), settings.val, settings.seed)?;
        let set = ExampleSet::new(
            Arc::clone(&run.model),
            records,
            train,
            Some(settings.horizon),
        )?;
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

    /// The loss in nats a step of giving each note of a field its share of training's steps, on the steps of `set` that are
    /// predicted. One is added to every count, as in the unigram.
    ///
    /// # Errors
    /// Io, where notes cannot be read back.
    pub fn notes(&self, field: &str, set: &ExampleSet) -> Result<Option<f64>> {
        let mut frequency = NoteFrequency::default();
        self.set
            .each_step(field, 1, |_, step| frequency.add(step))?;
        let (mut nats, mut steps) = (0.0, 0u64);
        set.each_step(field, 1, |measured, step| {
            if measured {
                nats += frequency.nats(step);
                steps += 1;
            }
        })?;
        Ok((steps > 0).then(|| nats / steps as f64))
    }

    /// The loss in nats a step of one Gaussian for all offsets of a pen, likewise.
    ///
    /// # Errors
    /// Io, where steps cannot be read back.
    pub fn pen(&self, field: &str, set: &ExampleSet) -> Result<Option<f64>> {
        let mut one = OneGaussian::default();
        self.set.each_step(field, 1, |_, step| one.add(step))?;
        let (mut nats, mut steps) = (Some(0.0), 0u64);
        set.each_step(field, 1, |measured, step| {
            if measured {
                nats = nats.zip(one.nats(step)).map(|(sum, nats)| sum + nats);
                steps += 1;
            }
        })?;
        Ok(nats.filter(|_| steps > 0).map(|nats| nats / steps as f64))
    }

    /// The errors of giving each step of a field of numbers the mean of training's.
    ///
    /// # Errors
    /// Io, where steps cannot be read back.
    pub fn middle(&self, field: &str, set: &ExampleSet) -> Result<Option<Errors>> {
        let (mut sums, mut count): (Vec<f64>, u64) = (Vec::new(), 0);
        self.set.each_step(field, 0, |_, step| {
            sums.resize(step.len(), 0.0);
            let all = sums.iter_mut().zip(step);
            all.for_each(|(sum, x)| *sum += f64::from(*x));
            count += 1;
        })?;
        let mean = sums.iter().map(|sum| (sum / count as f64) as f32);
        let mean: Vec<f32> = mean.collect();
        let mut errors = Errors::new(1, mean.len());
        set.each_step(field, 0, |_, step| errors.add(&mean, step))?;
        Ok((errors.count() > 0).then_some(errors))
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
