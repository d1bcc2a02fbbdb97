//! A user's own files as a task: sequences of numbers or notes and their classes, with numbers standardised.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Facts, Size, facts};
use crate::data::fields::{
    Examples, Field, FieldCode, FieldCodes, FieldFile, FieldKind, FieldRows, ReadRules, Records,
    StepRows, VocabularyRules, read,
};
use crate::data::split_drawn;
use crate::error::{Error, Result};
use crate::model::text::Model;
use crate::train::{ExampleSet, examples};

/// The share of examples that is held out where no file is, and the seed by which they are drawn.
const HELD_OUT: f64 = 0.1;
const SPLIT: u64 = 1;
/// Examples that are trained on and held out, at most, where little is measured.
const QUICK: [usize; 2] = [2000, 300];

/// Examples of a task, each as JSON lines have it.
#[derive(Clone, Debug)]
pub struct TaskData {
    /// What it is called.
    pub name: String,
    /// The files, with a hash of what they hold.
    pub about: String,
    /// The model.
    pub model: Arc<Model>,
    /// Those that are trained on.
    pub train: Vec<Facts>,
    /// Those that are not.
    pub held_out: Vec<Facts>,
    /// The fields of numbers, and which of their columns may have noise: those that are not 0 or 1.
    pub numbers: Vec<(String, Vec<bool>)>,
}

impl TaskData {
    /// The task of `model`, called `name`, on these files, and what is to be said of them; of those files that are trained on a tenth is
    /// held out where `valid` names none.
    ///
    /// # Errors
    /// Usage: a model whose fields are neither numbers nor notes a step nor a class, or that leaves no cell to the settings. What the
    /// files have wrong. Data: too few examples.
    pub fn read(
        name: &str,
        model: Arc<Model>,
        files: &[PathBuf],
        valid: &[PathBuf],
    ) -> Result<(TaskData, Vec<String>)> {
        let fields = examples::fields(&model);
        suits(name, &model, &fields)?;
        let read = |files: &[PathBuf]| {
            let files: Vec<FieldFile> = files
                .iter()
                .map(|file| FieldFile {
                    field: None,
                    path: file.clone(),
                })
                .collect();
            let folder = std::env::temp_dir();
            read(
                &fields,
                &files,
                &ReadRules::default(),
                &folder,
                &mut std::io::empty(),
            )
        };
        let all = read(files)?;
        let (codes, remarks) = FieldCodes::build(&all, &VocabularyRules::default())?;
        let folder = std::env::temp_dir();
        // What a model asks of an example is said here, where its file and line are known.
        let encode = |examples: &Examples| -> Result<Arc<Records>> {
            let records = Arc::new(codes.encode(examples, &folder)?);
            let numbers = (0..records.len() as u32).collect();
            ExampleSet::new(model.clone(), records.clone(), numbers, Some(1))?;
            Ok(records)
        };
        let records = encode(&all)?;
        let example = |records: &_, n| json_of(&fields, &codes, records, n);
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        let mut about = said(files, &records.hash()?);
        if valid.is_empty() {
            if records.len() < 2 {
                return Err(Error::data(format!(
                    "{name}: {about}: expected at least 2 examples, of which a tenth is held out, found {}",
                    records.len()
                )));
            }
            let (taken, others) = split_drawn(records.len(), HELD_OUT, SPLIT)?;
            for (numbers, into) in [(taken, &mut train), (others, &mut held_out)] {
                for n in numbers {
                    into.push(example(&records, n as usize)?);
                }
            }
        } else {
            let others = encode(&read(valid)?)?;
            about += &format!(", held out {}", said(valid, &others.hash()?));
            for (records, into) in [(&records, &mut train), (&others, &mut held_out)] {
                for n in 0..records.len() {
                    into.push(example(records, n)?);
                }
            }
        }
        let of_numbers = fields.iter().filter(|f| f.kind == FieldKind::Reals);
        let names: Vec<String> = of_numbers.map(|f| f.name.clone()).collect();
        let numbers = names.into_iter().map(|field| {
            let columns = standardise(&field, &mut train, &mut held_out);
            (field, columns)
        });
        let numbers = numbers.collect();
        let task = TaskData {
            name: name.to_owned(),
            about,
            model,
            train,
            held_out,
            numbers,
        };
        Ok((task, remarks))
    }

    /// What all points of the task have: its name, and how many of its examples.
    pub(super) fn facts(&self, size: Size) -> Facts {
        let [train, held_out] = match size {
            Size::Quick => QUICK,
            Size::Full => [usize::MAX; 2],
        };
        let mut all = facts(json!({
            "task": self.name, "examples": self.train.len().min(train),
            "held_out": self.held_out.len().min(held_out),
        }));
        if self.numbers.is_empty() {
            all.insert("noise".into(), json!(0.0));
        }
        all
    }
}

/// Whether trials can be made of a model with these fields.
fn suits(name: &str, model: &Model, fields: &[Field]) -> Result<()> {
    let other = fields
        .iter()
        .find(|field| ![FieldKind::Reals, FieldKind::Bits, FieldKind::Class].contains(&field.kind));
    if let Some(field) = other {
        return Err(Error::usage(format!(
            "{name}: expected a model whose fields are numbers or notes a step, or a class, found {}, which is neither",
            field.name
        )));
    }
    if !model.takes_cell() {
        return Err(Error::usage(format!(
            "{name}: expected a model that leaves its cell to the settings, found none such line"
        )));
    }
    Ok(())
}

/// Files by the last part of their names, with a hash of what they hold.
fn said(files: &[PathBuf], hash: &str) -> String {
    let name = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let names: Vec<String> = files.iter().map(name).collect();
    format!(
        "{} (blake3 {})",
        names.join(" "),
        &hash[..hash.len().min(16)]
    )
}

/// Example `n` as JSON lines have it.
fn json_of(fields: &[Field], codes: &FieldCodes, records: &Records, n: usize) -> Result<Facts> {
    let mut example = Facts::new();
    for field in fields {
        let value = match records.rows(&field.name) {
            Some(FieldRows::Steps(rows)) => steps(codes, field, rows, n)?,
            Some(FieldRows::Class(classes)) => {
                let names = codes.classes(&field.name);
                json!(names.and_then(|names| names.name(classes[n])))
            }
            _ => {
                let text = format!("{}: neither steps nor a class", field.name);
                return Err(Error::internal(text));
            }
        };
        example.insert(field.name.clone(), value);
    }
    Ok(example)
}

/// The steps of example `n`: numbers, or the notes that sound.
fn steps(codes: &FieldCodes, field: &Field, rows: &StepRows, n: usize) -> Result<Value> {
    let width = rows.width();
    let mut numbers = vec![0.0; rows.steps(n) * width];
    rows.read(n, 0, &mut numbers)?;
    let first = match codes.code(&field.name) {
        Some(FieldCode::Bits { first, .. }) => Some(*first),
        _ => None,
    };
    let step = |row: &[f32]| match first {
        None => json!(row),
        Some(first) => {
            let notes = (first..).zip(row).filter(|(_, bit)| **bit > 0.0);
            json!(notes.map(|(note, _)| note).collect::<Vec<u32>>())
        }
    };
    Ok(numbers.chunks(width).map(step).collect())
}

/// Standardises the columns of a field by what is trained on, but for those of 0 and 1: which ones it were.
fn standardise(field: &str, train: &mut [Facts], held_out: &mut [Facts]) -> Vec<bool> {
    let of = |example: &Facts| -> Vec<Vec<f64>> {
        let steps = example[field].as_array().cloned().unwrap_or_default();
        let numbers = |step: &Value| {
            let all = step.as_array().into_iter().flatten();
            all.map(|x| x.as_f64().unwrap_or(0.0)).collect()
        };
        steps.iter().map(numbers).collect()
    };
    let steps: Vec<Vec<f64>> = train.iter().flat_map(of).collect();
    let width = steps.first().map_or(0, Vec::len);
    let scales: Vec<Option<(f64, f64)>> = (0..width)
        .map(|column| {
            let all = || steps.iter().map(|step| step[column]);
            if all().all(|x| x == 0.0 || x == 1.0) {
                return None;
            }
            let mean = all().sum::<f64>() / steps.len() as f64;
            let squares: f64 = all().map(|x| (x - mean).powi(2)).sum();
            let deviation = (squares / steps.len() as f64).sqrt();
            Some((mean, if deviation > 0.0 { deviation } else { 1.0 }))
        })
        .collect();
    for example in train.iter_mut().chain(held_out) {
        let mut steps = of(example);
        for step in &mut steps {
            for (x, scale) in step.iter_mut().zip(&scales) {
                if let Some((mean, deviation)) = scale {
                    *x = (*x - mean) / deviation;
                }
            }
        }
        example.insert(field.to_owned(), json!(steps));
    }
    scales.iter().map(Option::is_some).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_standardised_by_what_is_trained_on_but_for_marks() {
        let of = |steps: Value| facts(json!({ "x": steps }));
        let mut train = [
            of(json!([[1.0, 0, 7], [5.0, 1, 7]])),
            of(json!([[3.0, 1, 7]])),
        ];
        let mut held_out = [of(json!([[9.0, 1, 8]]))];
        let noisy = standardise("x", &mut train, &mut held_out);
        assert_eq!(noisy, [true, false, true]);
        let deviation = (8.0f64 / 3.0).sqrt();
        let wanted = json!([[-2.0 / deviation, 0.0, 0.0], [2.0 / deviation, 1.0, 0.0]]);
        assert_eq!(train[0]["x"], wanted);
        assert_eq!(train[1]["x"], json!([[0.0, 1.0, 0.0]]));
        // A column that does not vary is shifted alone.
        assert_eq!(held_out[0]["x"], json!([[6.0 / deviation, 1.0, 1.0]]));
    }
}
