//! Every fault of a set of values, at once: ranges, what does not go together, and what else lies between settings.

use std::ops::Bound::{Excluded, Included, Unbounded};

use super::field::either;
use super::range::{POSITIVE, Range};
use super::{MOST_SEGMENTS, OptimizerName, ScheduleName, Settings, TeacherForcingName, Vocab};
use crate::data::{LineOrder, LongLines};
use crate::error::{Error, Result, nearest};
use crate::model::exclusions;

/// One fault: the keys that it lies in, the first of them leading, and what was expected and came.
#[derive(Clone, Debug)]
pub(super) struct SettingFault {
    pub keys: Vec<&'static str>,
    pub text: String,
}

impl Settings {
    /// Reports every bad value at once, one line each.
    ///
    /// `cells` are the names of cells that exist; none skips that question, and a name that ends in `.cell` is a file.
    /// The error's kind is `Data`.
    pub fn check(&self, cells: &[&str]) -> Result<()> {
        let lines: Vec<String> = self
            .faults(cells)
            .into_iter()
            .map(|fault| format!("{}: {}", fault.keys[0], fault.text))
            .collect();
        if lines.is_empty() {
            Ok(())
        } else {
            Err(Error::data(lines.join("\n")))
        }
    }

    pub(super) fn faults(&self, cells: &[&str]) -> Vec<SettingFault> {
        let mut found = SettingFaults(Vec::new());
        // First: where a setting has no meaning, that is its fault, whatever its range.
        self.choices(&mut found);
        for (key, value) in Settings::keys().iter().zip(self.judged()) {
            if let Some(text) = key.range.fault(value) {
                found.add(&[key.name], text);
            }
        }
        for conflict in exclusions::conflicts(|property| self.property(property)) {
            found.add(&conflict.keys, conflict.text);
        }
        self.vocabulary(&mut found);
        self.carried_series(&mut found);
        self.line_settings(&mut found);
        found.cells(&self.cell, self.layers, cells);
        if self.tie && self.skip && self.layers > 1 {
            let text =
                "expected no skip connections, which widen what the head reads, got skip true";
            found.add(&["tie", "skip"], text.to_string());
        }
        self.sampling(&mut found);
        self.checkpoint_segments(&mut found);
        self.learning(&mut found);
        self.lengths(&mut found);
        found.0
    }

    /// What has a meaning only with some values of another setting.
    fn choices(&self, found: &mut SettingFaults) {
        let softmax = ("softmax", self.softmax.name());
        let sampling = ("scheduled-sampling", self.scheduled_sampling.name());
        let init = ("init", self.init.name());
        let schedule = ("schedule", self.schedule.name());
        let every: &[&str] = &["linear", "exponential", "inverse-sigmoid"];
        for (key, given, (other, value), fitting) in [
            (
                "cutoffs",
                self.cutoffs.is_some(),
                softmax,
                &["adaptive"][..],
            ),
            ("samples", self.samples.is_some(), softmax, &["sampled"]),
            ("sampling-k", self.sampling_k.is_some(), sampling, every),
            (
                "sampling-slope",
                self.sampling_slope.is_some(),
                sampling,
                &["linear"],
            ),
            (
                "sampling-floor",
                self.sampling_floor.is_some(),
                sampling,
                &["linear"],
            ),
            (
                "input-scale",
                self.input_scale.is_some(),
                init,
                &["identity", "spectral"],
            ),
            ("warmup", self.warmup > 0, schedule, &["cosine"]),
        ] {
            if given && !fitting.contains(&value) {
                let text = format!("expected {other} {}, got {value}", either(fitting));
                found.add(&[key, other], text);
            }
        }
    }

    /// The text and its symbols.
    fn vocabulary(&self, found: &mut SettingFaults) {
        if let Some(files) = &self.valid
            && self.val > 0.0
        {
            let (val, files) = (self.val, files.0.join(" "));
            let text =
                format!("expected 0, as valid names the validation text, got {val} with {files}");
            found.add(&["val", "valid"], text);
        }
        if self.vocab == Vocab::Bpe && (4..259).contains(&self.max_vocab) {
            // All bytes, two marks, and one pair.
            let text = format!("expected 0 or 259 or more for bpe, got {}", self.max_vocab);
            found.add(&["max-vocab", "vocab"], text);
        }
        match (&self.tokenizer, self.vocab) {
            (Some(_), Vocab::Tokenizer)
            | (None, Vocab::Char | Vocab::Byte | Vocab::Word | Vocab::Bpe) => {}
            (Some(file), vocab) => {
                let text = format!("expected vocab tokenizer, or none, got {vocab} with {file:?}");
                found.add(&["tokenizer", "vocab"], text);
            }
            (None, vocab) => {
                let text = format!("expected a tokenizer, got {vocab} without");
                found.add(&["vocab", "tokenizer"], text);
            }
        }
        if self.vocab == Vocab::Tokenizer {
            for (key, value, plain) in [
                ("min-count", self.min_count, 1),
                ("max-vocab", self.max_vocab, 0),
            ] {
                if value != plain {
                    let text =
                        format!("expected {plain}, as a tokenizer is what it is, got {value}");
                    found.add(&[key, "tokenizer"], text);
                }
            }
        }
    }

    /// What a series whose states are carried from segment to segment leaves no room for.
    fn carried_series(&self, found: &mut SettingFaults) {
        if !self.stateful {
            return;
        }
        if self.context == 0 {
            let text = "expected a context, the steps of a segment, got true without";
            found.add(&["stateful", "context"], text.to_string());
        }
        let order = self.line_order;
        for (key, given) in [
            ("stride", (self.stride > 0).then(|| self.stride.to_string())),
            (
                "accumulate",
                (self.accumulate > 1).then(|| self.accumulate.to_string()),
            ),
            (
                "batch-tokens",
                (self.batch_tokens > 0).then(|| self.batch_tokens.to_string()),
            ),
            (
                "line-order",
                (order != LineOrder::Shuffle).then(|| order.to_string()),
            ),
        ] {
            if let Some(value) = given {
                let text = format!(
                    "expected none, as the segments of a stateful series follow one another, got {value}"
                );
                found.add(&[key, "stateful"], text);
            }
        }
    }

    /// What has a meaning only where every line is a sequence of its own.
    fn line_settings(&self, found: &mut SettingFaults) {
        let size = |value: usize| (value > 0).then(|| value.to_string());
        let order = self.line_order;
        let sorted = order != LineOrder::Shuffle;
        for (key, given) in [
            ("max-line", size(self.max_line)),
            ("batch-tokens", size(self.batch_tokens)),
            ("bucket", size(self.bucket)),
            ("pad", self.pad.then(|| "true".to_string())),
            ("line-order", sorted.then(|| order.to_string())),
        ] {
            if let Some(value) = given
                && !self.lines
                && !self.of_fields()
            {
                let text = format!("expected lines, got {value} without");
                found.add(&[key, "lines"], text);
            }
        }
        if self.pad && self.accumulate > 1 {
            let text = format!(
                "expected false, as each of several minibatches has a longest line of its own, got true with {}",
                self.accumulate
            );
            found.add(&["pad", "accumulate"], text);
        }
        if !sorted && self.bucket > 0 {
            let text = format!(
                "expected an order to sort by, got {} with shuffle",
                self.bucket
            );
            found.add(&["bucket", "line-order"], text);
        }
        if self.long_lines != LongLines::Error && self.max_line == 0 {
            let text = format!("expected max-line above 0, got {} with 0", self.long_lines);
            found.add(&["long-lines", "max-line"], text);
        }
    }

    fn sampling(&self, found: &mut SettingFaults) {
        let name = self.scheduled_sampling;
        let range = match name {
            TeacherForcingName::Off => return,
            TeacherForcingName::Linear => Range::Numbers(Excluded(0.0), Included(1.0)),
            TeacherForcingName::Exponential => Range::Numbers(Excluded(0.0), Excluded(1.0)),
            TeacherForcingName::InverseSigmoid => Range::Numbers(Included(1.0), Unbounded),
        };
        if let Some(k) = self.sampling_k.filter(|k| !range.holds(*k)) {
            let text = format!("expected {range} for {name}, got {k}");
            found.add(&["sampling-k", "scheduled-sampling"], text);
        }
    }

    fn checkpoint_segments(&self, found: &mut SettingFaults) {
        let (steps, segment) = (self.seq_len, self.recompute);
        if segment == 0 {
            if self.recompute_states > 0 {
                let states = self.recompute_states;
                let text = format!("expected recompute above 0 to keep states for, got {states}");
                found.add(&["recompute-states", "recompute"], text);
            }
        } else if !steps.is_multiple_of(segment) {
            let text = format!("expected a divisor of seq-len {steps}, got {segment}");
            found.add(&["recompute", "seq-len"], text);
        } else if (steps / segment * self.accumulate) as u64 > MOST_SEGMENTS {
            let segments = steps / segment * self.accumulate;
            let text = format!(
                "expected at most {MOST_SEGMENTS} checkpoint segments an update (accumulate * seq-len / recompute), got {segments}"
            );
            found.add(&["recompute", "seq-len", "accumulate"], text);
        }
    }

    /// The rule, its rate and the schedule.
    fn learning(&self, found: &mut SettingFaults) {
        let (rule, momentum) = (self.optimizer, self.momentum);
        if momentum > 0.0 && !matches!(rule, OptimizerName::Sgd | OptimizerName::RmsProp) {
            let text = format!("expected 0, as {rule} has no momentum, got {momentum}");
            found.add(&["momentum", "optimizer"], text);
        }
        if self.nesterov && (rule != OptimizerName::Sgd || momentum == 0.0) {
            let text = format!(
                "expected optimizer sgd with a momentum above 0, got {rule} with momentum {momentum}"
            );
            found.add(&["nesterov", "optimizer", "momentum"], text);
        }
        if POSITIVE.holds(self.lr) && self.lr_min > self.lr {
            let text = format!("expected at most lr = {}, got {}", self.lr, self.lr_min);
            found.add(&["lr-min", "lr"], text);
        }
        let validates = self.val > 0.0 || self.valid.is_some();
        if self.schedule == ScheduleName::Plateau && !validates {
            let text = "expected a validation text (val above 0, or valid) for schedule plateau, got val 0";
            found.add(&["schedule", "val"], text.to_string());
        }
        if self.stop_after > 0 && !validates {
            let text = format!(
                "expected a validation text (val above 0, or valid) to look at, got {} with val 0",
                self.stop_after
            );
            found.add(&["stop-after", "val"], text);
        }
    }

    fn lengths(&self, found: &mut SettingFaults) {
        let given: Vec<&str> = [
            ("epochs", self.epochs.is_some()),
            ("steps", self.steps.is_some()),
            ("minutes", self.minutes.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect();
        if given.len() > 1 {
            let text = format!(
                "expected one of epochs, steps and minutes, got {}",
                given.join(" and ")
            );
            found.add(&given, text);
        }
    }
}

struct SettingFaults(Vec<SettingFault>);

impl SettingFaults {
    fn add(&mut self, keys: &[&'static str], text: String) {
        let keys = keys.to_vec();
        self.0.push(SettingFault { keys, text });
    }

    fn cells(&mut self, list: &str, layers: usize, cells: &[&str]) {
        let count = list.split(',').count();
        if count != 1 && count != layers {
            let text = format!("expected one cell or {layers}, one a layer, got {count}");
            self.add(&["cell", "layers"], text);
        }
        for name in list.split(',') {
            self.cell(name.trim(), cells);
        }
    }

    fn cell(&mut self, name: &str, cells: &[&str]) {
        if name.ends_with(".cell") || cells.is_empty() || cells.contains(&name) {
            return;
        }
        let hint = did_you_mean(name, cells);
        let text =
            format!("expected a known cell or a file that ends in .cell, got {name:?}{hint}");
        self.add(&["cell"], text);
    }
}

/// ", did you mean x?" where a candidate is near, else nothing.
pub(super) fn did_you_mean(name: &str, candidates: &[&str]) -> String {
    nearest(name, candidates.iter().copied())
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default()
}
