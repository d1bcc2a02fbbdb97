//! What `eval` says of the texts that a model writes about examples, beside those that they should be.

use std::collections::BTreeMap;

use clap::ArgMatches;
use serde_json::{Value, json};
use wgrnn::exec::Device;
use wgrnn::metrics::{Accuracy, Bleu, Chrf, Tokenization};
use wgrnn::model::text::ModelFieldKind;
use wgrnn::search::Found;
use wgrnn::train::{Settings, TextLimits};
use wgrnn::{Error, Result};

use super::eval::{EvalData, LossReport, share};
use super::{FieldSource, LoadedFields};
use crate::cli::{decoding, flags};

/// Texts that are to be written and compared.
pub(super) struct WrittenTexts {
    /// The loss that predicts their tokens.
    pub loss: usize,
    field: String,
    /// Without a largest length where nobody says one.
    limits: TextLimits,
    longest: Option<usize>,
    /// How words are cut for BLEU, where it is wanted, and files of further right answers.
    bleu: Option<Tokenization>,
    references: Vec<String>,
    /// The field whose length says where an example counts, and how many lengths count together.
    lengths: Option<(String, usize)>,
}

/// The flags of what texts are measured by.
const MEASURES: [&str; 3] = ["bleu", "reference", "by-length"];

impl WrittenTexts {
    /// What the flags ask for of a model that writes texts about something; none of another.
    ///
    /// # Errors
    /// Usage, for flags of texts and another model, and as [`decoding::limits`].
    pub fn wanted(m: &ArgMatches, run: &LoadedFields) -> Result<Option<WrittenTexts>> {
        let model = &run.model;
        let written = model.written().ok().filter(|_| model.fields().len() > 1);
        let Some((loss, field)) = written else {
            let all = [&decoding::FLAGS[..], &MEASURES].concat();
            return match flags::first_given(m, &all) {
                None => Ok(None),
                Some(flag) => Err(Error::usage(format!(
                    "--{flag}: expected a model that writes texts about other fields, got {}",
                    model.name
                ))),
            };
        };
        let longest = m.get_one::<u64>("max-length").map(|n| *n as usize);
        let bleu = m.get_one::<String>("bleu");
        if let Some(reference) = flags::file_texts(m, "reference")
            .first()
            .filter(|_| bleu.is_none())
        {
            return Err(Error::usage(format!(
                "--reference {reference}: expected --bleu beside it, found none"
            )));
        }
        let width = m.get_one::<u64>("by-length").map(|n| *n as usize);
        if let Some(width) = width.filter(|_| bleu.is_none()) {
            return Err(Error::usage(format!(
                "--by-length {width}: expected --bleu beside it, found none"
            )));
        }
        let read = model.fields().iter().enumerate();
        let mut read = read.filter(|(n, f)| {
            *n != field && matches!(f.kind, ModelFieldKind::Tokens { within: None, .. })
        });
        let lengths = match (width, read.next()) {
            (None, _) => None,
            (Some(width), Some((_, field))) => Some((field.name.clone(), width)),
            (Some(width), None) => {
                return Err(Error::usage(format!(
                    "--by-length {width}: expected a model that reads a field of tokens, got {}",
                    model.name
                )));
            }
        };
        let named = |name: &String| Tokenization::ALL.into_iter().find(|t| t.name() == name);
        Ok(Some(WrittenTexts {
            loss,
            field: model.fields()[field].name.clone(),
            limits: decoding::limits(m, longest.unwrap_or(usize::MAX))?,
            longest,
            bleu: bleu.and_then(named),
            references: flags::file_texts(m, "reference"),
            lengths,
        }))
    }

    /// Writes a text about every example and says how many are those that they should be, to the letter.
    ///
    /// # Errors
    /// As [`LoadedFields::write`].
    pub fn measure(
        &self,
        report: &mut LossReport,
        of: &EvalData<'_>,
        device: &Device,
        settings: &Settings,
    ) -> Result<()> {
        let name = &self.field;
        let all = 0..of.set.len() as u32;
        let right = all.map(|example| of.set.tokens(name, example));
        let right: Vec<Vec<u32>> = right.collect::<Result<_>>()?;
        let longest = right.iter().map(Vec::len).max().unwrap_or(0);
        // One token more than the longest has is wrong already.
        let free = decoding::MOST.max(longest + 1).max(self.limits.least);
        let limits = TextLimits {
            most: self.longest.unwrap_or(free),
            ..self.limits.clone()
        };
        let beams = limits.beams;
        let choice = decoding::likeliest();
        let remedy = "measure fewer examples";
        let set = of.set.clone();
        let texts = of.run.write(device, set, &choice, remedy, limits)?;
        let is = |(found, right): (&Vec<Found>, &Vec<u32>)| {
            found.first().is_some_and(|text| text.tokens == *right)
        };
        let exact = Accuracy::of(texts.iter().zip(&right).map(is));
        let how = match beams {
            1 => "each token the likeliest".to_string(),
            beams => format!("the best of {beams} beams"),
        };
        report.lines.push(format!(
            "{name}: exact {} of {} texts, {how}",
            share(exact),
            exact.total
        ));
        report.set("exact", json!(exact.share()));
        match self.bleu {
            Some(tokenization) => self.overlap(report, of, &texts, tokenization, settings),
            None => Ok(()),
        }
    }

    /// What the texts have of the right ones: BLEU and chrF of all together.
    fn overlap(
        &self,
        report: &mut LossReport,
        of: &EvalData<'_>,
        texts: &[Vec<Found>],
        tokenization: Tokenization,
        settings: &Settings,
    ) -> Result<()> {
        let (name, run) = (&self.field, of.run);
        let Some((_, vocabulary)) = run.written() else {
            return Err(Error::internal("texts without a vocabulary"));
        };
        let fields = run.model.fields().iter().map(|field| field.name.clone());
        let others: Vec<String> = fields.filter(|field| field != name).collect();
        let mut references = Vec::new();
        for file in &self.references {
            let given = [format!("{name}={file}")];
            let source = FieldSource::new(&run.model, &given, settings, &run.loaded.path)?;
            let read = source.without(others.clone()).read()?;
            if read.len() != of.examples.len() {
                let (expected, found) = (of.examples.len(), read.len());
                return Err(Error::data(format!(
                    "{file}: expected {expected} texts, one for every example, found {found}"
                )));
            }
            references.push(read);
        }
        let mut all = Overlap::new(tokenization);
        let mut by_length = BTreeMap::new();
        for (example, found) in (0..).zip(texts) {
            let n = of.set.number(example) as usize;
            let right = [of.examples].into_iter().chain(&references);
            let right = right.map(|read| read.items(name, n).unwrap_or_default().join(" "));
            let right: Vec<String> = right.collect();
            let tokens = found.first().map_or(&[][..], |text| &text.tokens);
            let text = String::from_utf8_lossy(&vocabulary.decode(tokens)).into_owned();
            all.add(&text, &right)?;
            if let Some((field, width)) = &self.lengths {
                let length = of.set.tokens(field, example)?.len();
                let of_length = by_length.entry(length.saturating_sub(1) / width);
                let of_length = of_length.or_insert_with(|| Overlap::new(tokenization));
                of_length.add(&text, &right)?;
            }
        }
        let Overlap { bleu, chrf, .. } = &all;
        report
            .lines
            .push(format!("{name}: {bleu}, {}", bleu.signature()));
        report
            .lines
            .push(format!("{name}: {chrf}, {}", chrf.signature()));
        report.set("bleu", json!(bleu.score()));
        report.set("bleu_precisions", json!(bleu.precisions()));
        report.set("brevity_penalty", json!(bleu.brevity_penalty()));
        report.set("bleu_signature", json!(bleu.signature()));
        report.set("chrf", json!(chrf.score()));
        report.set("chrf_signature", json!(chrf.signature()));
        if let Some((field, width)) = &self.lengths {
            let mut values = Vec::new();
            for (n, Overlap { texts, bleu, chrf }) in by_length {
                let (from, to) = (n * width + 1, (n + 1) * width);
                report.lines.push(format!(
                    "{name}: of {texts} texts whose {field} has {from} to {to} tokens: {bleu}"
                ));
                values.push(json!({
                    "from": from, "to": to, "texts": texts, "bleu": bleu.score(), "chrf": chrf.score(),
                }));
            }
            report.set("by_length", Value::Array(values));
        }
        Ok(())
    }
}

/// What some texts have of the right ones.
struct Overlap {
    texts: usize,
    bleu: Bleu,
    chrf: Chrf,
}

impl Overlap {
    fn new(tokenization: Tokenization) -> Overlap {
        Overlap {
            texts: 0,
            bleu: Bleu::new(tokenization),
            chrf: Chrf::default(),
        }
    }

    fn add(&mut self, text: &str, right: &[String]) -> Result<()> {
        self.texts += 1;
        self.bleu.add(text, right)?;
        self.chrf.add(text, right)
    }
}
