//! `eval` of a run of a model of fields: what its losses say, and beside them what rules without a network reach.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ArgMatches;
use pollster::block_on;
use serde_json::{Value, json};
use wgrnn::data::fields::{Examples, FieldKind};
use wgrnn::metrics::{
    Accuracy, Confusion, SpanScores, accuracy_where, are_spans, majority, sequence_accuracy, spans,
    unigram,
};
use wgrnn::train::{
    ExampleSet, FieldEvaluator, Labels, LossEvaluation, SeriesPart, Settings, examples,
};
use wgrnn::{Error, Result};

use super::data::measured;
use super::floors::Floors;
use super::written::WrittenTexts;
use super::{FieldSource, LoadedFields};
use crate::cli::{flags, kept, out};

/// What is measured, and what it is compared with.
pub(super) struct EvalData<'a> {
    pub run: &'a LoadedFields,
    pub examples: &'a Examples,
    pub set: &'a ExampleSet,
    pub floors: Option<Floors>,
}

/// What is said of one loss.
#[derive(Default)]
pub(super) struct LossReport {
    pub lines: Vec<String>,
    values: BTreeMap<&'static str, Value>,
    confusion: Option<Confusion>,
}

impl LossReport {
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.values.insert(name, value);
    }
}

pub fn run(m: &ArgMatches, run: &LoadedFields, files: &[String]) -> Result<()> {
    let of_texts = [
        "batch",
        "dynamic",
        "dynamic-decay",
        "dynamic-text",
        "dynamic-steps",
    ];
    if let Some(flag) = flags::first_given(m, &of_texts) {
        return Err(Error::usage(format!(
            "--{flag}: expected none, as model {} has no use for it",
            run.model.name
        )));
    }
    let written = WrittenTexts::wanted(m, run)?;
    let settings = flags::reading(m, &run.loaded.settings);
    let (source, part) = source(m, run, files, &settings)?;
    let examples = source.read()?;
    let records = source.encode(&run.codes, &examples)?;
    let set = measured(&run.model, &records, &examples, &settings, part)?;
    let season = m.get_one::<u64>("season").map(|n| *n as usize);
    let compares = |loss| {
        let forecast = run.model.forecast(loss, settings.horizon);
        forecast.is_some_and(|f| f.reading.is_of_values())
    };
    if season.is_some() && !(0..run.model.losses().len()).any(compares) {
        return Err(Error::usage(format!(
            "--season: expected none, as model {} does not predict how a series goes on",
            run.model.name
        )));
    }
    let evaluator = FieldEvaluator::new(&run.loaded.spec, set.clone(), &run.codes)?;
    let mut evaluator = evaluator.beside_season(season).with_accuracy();
    let remedy = "measure fewer or shorter examples at once";
    let parameters = run.weights(evaluator.plan(), "the evaluation", remedy)?;
    let device = flags::open_device(m)?;
    let found = block_on(evaluator.run(&device, &parameters, &mut |_| Ok(())))?;
    let floors = Floors::new(run)?;
    let known = floors.is_some();
    let measured = EvalData {
        run,
        examples: &examples,
        set: &set,
        floors,
    };
    let mut reports = Vec::new();
    for loss in &found.losses {
        reports.push(measured.report(loss)?);
    }
    if let Some(written) = written {
        written.measure(&mut reports[written.loss], &measured, &device, &settings)?;
    }
    if let Some(file) = flags::path(m, "confusion") {
        confusion(&reports, &measured, file, &found.losses)?;
    }
    let step = run.loaded.saved.counters.step;
    if m.get_flag("json") {
        let losses: Vec<Value> = reports.into_iter().map(|r| json!(r.values)).collect();
        return out::json(&json!({
            "losses": losses,
            "nats": found.nats,
            "examples": set.len(),
            "step": step,
            "checkpoint": run.loaded.path.display().to_string(),
        }));
    }
    for line in reports.iter().flat_map(|report| &report.lines) {
        out::line(line)?;
    }
    if run.model.painting().is_some() {
        let (nats, count) = (found.nats, set.len());
        out::line(&format!(
            "bound: {nats:.5} nats, all losses together, over {count} examples"
        ))?;
    }
    if !known {
        out::note("the training files are not as they were, so that what rules reach is not known");
    }
    Ok(())
}

/// The files to measure on, those of the run where a part of these is asked for, and the part.
fn source(
    m: &ArgMatches,
    run: &LoadedFields,
    files: &[String],
    settings: &Settings,
) -> Result<(FieldSource, SeriesPart)> {
    let path = &run.loaded.path;
    let Some(part) = m.get_one::<String>("part") else {
        let source = FieldSource::new(&run.model, files, settings, path)?;
        return Ok((source, SeriesPart::All));
    };
    let part = SeriesPart::parse(part)?;
    if !files.is_empty() {
        let source = FieldSource::new(&run.model, files, settings, path)?;
        return Ok((source, part));
    }
    let Some(text) = &run.loaded.saved.about.text else {
        return Err(Error::usage(
            "--part: the run has no files of its own; give them",
        ));
    };
    kept::present(text, &format!("wgrnn eval {} FILE", path.display()))?;
    let source = FieldSource::recorded(&run.model, text, settings, path)?;
    Ok((source, part))
}

/// A share of four digits, as published tables have it.
pub(super) fn share(accuracy: Accuracy) -> String {
    accuracy.share().map_or("-".into(), |s| format!("{s:.4}"))
}

fn floor(name: &str, reached: Option<Accuracy>) -> String {
    reached.map_or(String::new(), |a| format!(" ({name} {})", share(a)))
}

impl EvalData<'_> {
    fn report(&self, loss: &LossEvaluation) -> Result<LossReport> {
        let mut report = LossReport::default();
        report.set("nats", json!(loss.nats));
        report.set("count", json!(loss.count));
        let Some(field) = loss.field else {
            let (nats, count) = (loss.nats, loss.count);
            report.set("field", Value::Null);
            report
                .lines
                .push(format!("draws: {nats:.5} nats over {count} predictions"));
            return Ok(report);
        };
        let declared = &examples::fields(&self.run.model)[field];
        report.set("field", json!(declared.name));
        match (&loss.labels, &declared.kind) {
            (Some(labels), FieldKind::ClassesAlong(along)) => {
                self.tags(&mut report, loss, labels, &declared.name, along)?;
            }
            (Some(labels), _) => self.classes(&mut report, loss, labels, &declared.name)?,
            (None, FieldKind::Tokens) => self.tokens(&mut report, loss, &declared.name)?,
            (None, _) => match &loss.numbers {
                Some(numbers) => self.numbers(&mut report, loss, numbers, &declared.name)?,
                None if self.is_pen(field) => self.pen(&mut report, loss, &declared.name)?,
                None => {
                    let (name, count) = (&declared.name, loss.count);
                    let line = format!("{name}: loss {:.5} over {count} predictions", loss.nats);
                    report.lines.push(line);
                }
            },
        }
        Ok(report)
    }

    fn classes(
        &self,
        report: &mut LossReport,
        loss: &LossEvaluation,
        labels: &Labels,
        field: &str,
    ) -> Result<()> {
        let confusion = labels.confusion()?;
        let counts = self.floors.as_ref();
        let counts = counts.and_then(|floors| floors.classes(self.run, field));
        let rule = counts.map(|counts| majority(&counts, &labels.gold));
        report.lines.push(format!(
            "{field}: accuracy {}{}, macro F1 {:.4}, {:.5} nats over {} predictions",
            share(confusion.accuracy()),
            floor("majority", rule),
            confusion.macro_f1(),
            loss.nats,
            loss.count
        ));
        report.set("accuracy", json!(confusion.accuracy().share()));
        report.set("majority", json!(rule.and_then(|a| a.share())));
        report.set("macro_f1", json!(confusion.macro_f1()));
        self.by_class(report, &confusion, field);
        report.confusion = Some(confusion);
        Ok(())
    }

    /// A line a class.
    fn by_class(&self, report: &mut LossReport, confusion: &Confusion, field: &str) {
        let Some(names) = self.run.codes.classes(field) else {
            return;
        };
        let wide = names.iter().map(|name| name.chars().count()).max();
        let wide = wide.unwrap_or(0).max(5);
        report.lines.push(format!(
            "{:wide$}  precision  recall      F1       n",
            "class"
        ));
        let mut values = BTreeMap::new();
        for (class, name) in names.iter().enumerate() {
            let s = confusion.class(class as u32);
            report.lines.push(format!(
                "{name:wide$}  {:>9.4}  {:>6.4}  {:>6.4}  {:>6}",
                s.precision, s.recall, s.f1, s.support
            ));
            values.insert(
                name.to_string(),
                json!({ "precision": s.precision, "recall": s.recall, "f1": s.f1, "n": s.support }),
            );
        }
        report.set("classes", json!(values));
    }

    fn tags(
        &self,
        report: &mut LossReport,
        loss: &LossEvaluation,
        labels: &Labels,
        field: &str,
        along: &str,
    ) -> Result<()> {
        let ordered = in_order(labels);
        let (gold, predicted) = (&ordered.gold, &ordered.predicted);
        let confusion = Confusion::of(labels.classes, gold, predicted)?;
        let sentences = sequence_accuracy(&ordered.ends, gold, predicted)?;
        let tags = self.floors.as_ref();
        let tags = tags.and_then(|floors| floors.tags(self.run, field, along));
        let mut words = Vec::new();
        for example in 0..self.set.len() as u32 {
            let n = self.set.number(example) as usize;
            words.extend(self.examples.items(along, n).unwrap_or_default());
        }
        let (mut rule, mut unknown) = (None, None);
        if let Some(tags) = tags.filter(|_| words.len() == gold.len()) {
            let right = words
                .iter()
                .zip(gold)
                .map(|(word, tag)| tags.tag(word) == *tag);
            rule = Some(Accuracy::of(right));
            let strange = |at: usize| !tags.knows(words[at]);
            unknown = Some(accuracy_where(gold, predicted, strange)?);
        }
        // Steps of numbers are no words: there is one most frequent class of all.
        let fields = examples::fields(&self.run.model);
        let of_numbers = fields.iter().any(|f| f.name == along && f.kind.has_steps());
        let counts = self.floors.as_ref().filter(|_| of_numbers);
        let counts = counts.and_then(|floors| floors.classes(self.run, field));
        let most = counts.map(|counts| majority(&counts, gold));
        let [step, sequence] = match of_numbers {
            true => ["step", "sequence"],
            false => ["token", "sentence"],
        };
        let mut line = format!(
            "{field}: {step} accuracy {}{}{}",
            share(confusion.accuracy()),
            floor("most frequent tag", rule),
            floor("majority", most)
        );
        if let Some(unknown) = unknown.filter(|unknown| unknown.total > 0) {
            line.push_str(&format!(
                ", unknown words {} of {}",
                share(unknown),
                unknown.total
            ));
        }
        line.push_str(&format!(
            ", {sequence} accuracy {}, {:.5} nats over {} {step}s",
            share(sentences),
            loss.nats,
            loss.count
        ));
        report.lines.push(line);
        report.set("accuracy", json!(confusion.accuracy().share()));
        report.set("majority", json!(most.and_then(|a| a.share())));
        report.set("most_frequent_tag", json!(rule.and_then(|a| a.share())));
        report.set("unknown_words", json!(unknown.and_then(|a| a.share())));
        report.set("sentence_accuracy", json!(sentences.share()));
        report.set("macro_f1", json!(confusion.macro_f1()));
        self.span_scores(report, &ordered, field)?;
        self.by_class(report, &confusion, field);
        report.confusion = Some(confusion);
        Ok(())
    }

    /// Where the tags stand for spans, how many of these are found.
    fn span_scores(&self, report: &mut LossReport, ordered: &Ordered, field: &str) -> Result<()> {
        let Some(names) = self.run.codes.classes(field) else {
            return Ok(());
        };
        let names: Vec<&str> = names.iter().collect();
        if !are_spans(names.iter().copied()) {
            return Ok(());
        }
        let tags =
            |classes: &[u32]| -> Vec<&str> { classes.iter().map(|c| names[*c as usize]).collect() };
        let starts = [0].iter().chain(&ordered.ends);
        let pairs = starts.zip(&ordered.ends).map(|(start, end)| {
            let own = *start..*end;
            (
                tags(&ordered.gold[own.clone()]),
                tags(&ordered.predicted[own]),
            )
        });
        let (all, by_kind) = spans(pairs)?;
        let shown = |s: &SpanScores| {
            format!(
                "precision {:.4}, recall {:.4}, F1 {:.4} over {} spans",
                s.precision(),
                s.recall(),
                s.f1(),
                s.support
            )
        };
        report.lines.push(format!("spans: {}", shown(&all)));
        report.set("span_f1", json!(all.f1()));
        for (kind, scores) in &by_kind {
            report
                .lines
                .push(format!("spans {kind}: {}", shown(scores)));
        }
        Ok(())
    }

    fn tokens(&self, report: &mut LossReport, loss: &LossEvaluation, field: &str) -> Result<()> {
        let mut rule = None;
        if let Some(floors) = &self.floors
            && let Some(counts) = floors.tokens(self.run, field)?
        {
            let mut targets = Vec::new();
            self.set.each_target(field, |token| targets.push(token))?;
            rule = unigram(&counts, targets.into_iter());
        }
        let rule_text = rule.map_or(String::new(), |nats| {
            format!(" (unigram {nats:.5} nats, perplexity {:.4})", nats.exp())
        });
        report.lines.push(format!(
            "{field}: {:.5} nats a token, perplexity (true inputs) {:.4}{rule_text} over {} predictions",
            loss.nats,
            loss.nats.exp(),
            loss.count
        ));
        report.set("perplexity", json!(loss.nats.exp()));
        report.set("unigram", json!(rule));
        if let Some(right) = loss.right {
            let share = right as f64 / loss.count.max(1) as f64;
            report.lines.push(format!(
                "{field}: accuracy (true inputs) {share:.4}, the end of a text among the predictions"
            ));
            report.set("accuracy", json!(share));
        }
        Ok(())
    }
}

/// Labels in the order of the examples and of their steps.
struct Ordered {
    gold: Vec<u32>,
    predicted: Vec<u32>,
    /// Where each example ends.
    ends: Vec<usize>,
}

fn in_order(labels: &Labels) -> Ordered {
    let mut order: Vec<usize> = (0..labels.places.len()).collect();
    order.sort_unstable_by_key(|n| labels.places[*n]);
    let of = |all: &[u32]| order.iter().map(|n| all[*n]).collect();
    let examples: Vec<u32> = order.iter().map(|n| labels.places[*n].0).collect();
    let ends = (1..=order.len())
        .filter(|end| examples.get(*end) != Some(&examples[end - 1]))
        .collect();
    Ordered {
        gold: of(&labels.gold),
        predicted: of(&labels.predicted),
        ends,
    }
}

/// Writes the confusion of the first loss that predicts classes.
fn confusion(
    reports: &[LossReport],
    measured: &EvalData<'_>,
    file: &PathBuf,
    losses: &[LossEvaluation],
) -> Result<()> {
    let mut all = reports.iter().zip(losses);
    let found = all.find_map(|(report, loss)| Some((report.confusion.as_ref()?, loss.field?)));
    let Some((confusion, field)) = found else {
        return Err(Error::usage(format!(
            "--confusion: expected a model that predicts classes, got {}",
            measured.run.model.name
        )));
    };
    let declared = &examples::fields(&measured.run.model)[field];
    let names = measured.run.codes.classes(&declared.name);
    let names: Vec<&str> = names.map_or(Vec::new(), |names| names.iter().collect());
    let separator = if file.extension().is_some_and(|e| e == "csv") {
        ','
    } else {
        '\t'
    };
    std::fs::write(file, confusion.table(&names, separator))
        .map_err(|e| Error::io("write", file, &e))
}
