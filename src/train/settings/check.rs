//! Ranges: every fault of a set of values, at once.

use super::{
    Init, LineOrderName, LongLinesName, OptimizerName, ScheduleName, Settings, SoftmaxName,
    SparseName, TeacherForcingName, Vocab, cutoffs, pairs,
};
use crate::error::{Error, Result, nearest};

/// Checkpoint segments of an update: each has its operations in the plan.
const MOST_SEGMENTS: u64 = 4096;

/// One fault: the keys that it lies in, the first of them leading, and what was expected and came.
#[derive(Clone, Debug)]
pub(super) struct SettingFault {
    pub keys: Vec<String>,
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

        found.number("val", self.val, "0 to 0.9", |v| (0.0..=0.9).contains(&v));
        if let Some(files) = &self.valid
            && self.val > 0.0
        {
            let (val, files) = (self.val, files.0.join(" "));
            let text =
                format!("expected 0, as valid names the validation text, got {val} with {files}");
            found.add(&["val", "valid"], text);
        }
        found.whole("min-count", self.min_count, 1, u64::MAX);
        // Three marks and one symbol more make the smallest vocabulary that says something.
        if (1..4).contains(&self.max_vocab) {
            let text = format!(
                "expected 0 for no limit, or 4 or more, got {}",
                self.max_vocab
            );
            found.add(&["max-vocab"], text);
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
        self.line_settings(&mut found);

        found.whole("hidden", self.hidden as u64, 1, 65536);
        found.whole("layers", self.layers as u64, 1, 64);
        found.whole("embed", self.embed as u64, 0, 65536);
        found.number("dropout", self.dropout, "0 to below 1", fraction);
        self.regularizers(&mut found);
        self.sampling(&mut found);
        self.vocabulary(&mut found);
        found.whole("project", self.project as u64, 0, 65536);
        for (key, rate) in [
            ("zoneout", self.zoneout),
            ("zoneout-memory", self.zoneout_memory),
            ("dropout-recurrent", self.dropout_recurrent),
        ] {
            found.number(key, rate, "0 to below 1", fraction);
        }
        if self.bidirectional {
            let text = "expected false: a model that predicts the next token must not read backward from it, got true";
            found.add(&["bidirectional"], text.to_string());
        }
        if self.skip && self.layers > 1 && self.embed == 0 {
            let text = "expected embed above 0, which skip connections pass on, got embed 0";
            found.add(&["skip", "embed"], text.to_string());
        }
        found.cells(&self.cell, self.layers, cells);
        found.pairs("cell-const", self.cell_const.as_deref());
        // The width that the head reads, which a skip connection makes that of all layers.
        let (width, key) = match self.project {
            0 => (self.hidden, "hidden"),
            project => (project, "project"),
        };
        if self.tie && self.skip && self.layers > 1 {
            let text =
                "expected no skip connections, which widen what the head reads, got skip true";
            found.add(&["tie", "skip"], text.to_string());
        } else if self.tie && self.embed != width {
            let embed = self.embed;
            found.add(
                &["tie", "embed", key],
                format!(
                    "expected embed = {key} for tied weights, got embed {embed}, {key} {width}"
                ),
            );
        }

        found.number("init-scale", self.init_scale, "a number above 0", positive);
        if let Some(bias) = self.forget_bias {
            found.number("forget-bias", bias, "a finite number", finite);
        }
        if let Some(longest) = self.chrono {
            found.number("chrono", longest, "a number above 2", |v| {
                finite(v) && v > 2.0
            });
        }
        found.pairs("gate-bias", self.gate_bias.as_deref());
        if let Some(deviation) = self.input_scale {
            found.number("input-scale", deviation, "a number above 0", positive);
            if !matches!(self.init, Init::Identity | Init::Spectral) {
                let text = format!("expected init identity or spectral, got {}", self.init);
                found.add(&["input-scale", "init"], text);
            }
        }

        found.whole("seq-len", self.seq_len as u64, 1, 65536);
        found.whole("batch", self.batch as u64, 1, 65536);
        self.checkpoint_segments(&mut found);
        if self.half && self.propagation_penalty > 0.0 {
            let text = format!(
                "expected propagation-penalty 0, whose gradient does not grow with the loss, got {}",
                self.propagation_penalty
            );
            found.add(&["half", "propagation-penalty"], text);
        }

        found.number("lr", self.lr, "a number above 0", positive);
        found.number("momentum", self.momentum, "0 to below 1", fraction);
        found.number("weight-decay", self.weight_decay, "0 or more", not_negative);
        found.number("alpha", self.alpha, "0 to below 1", fraction);
        found.number("beta1", self.beta1, "0 to below 1", fraction);
        found.number("beta2", self.beta2, "0 to below 1", fraction);
        found.number("eps", self.eps, "a number above 0", positive);
        found.number("clip-norm", self.clip_norm, "0 or more", not_negative);
        found.number("clip-value", self.clip_value, "0 or more", not_negative);
        let rule = self.optimizer;
        if self.momentum > 0.0 && !matches!(rule, OptimizerName::Sgd | OptimizerName::RmsProp) {
            let text = format!(
                "expected 0, as {rule} has no momentum, got {}",
                self.momentum
            );
            found.add(&["momentum", "optimizer"], text);
        }
        if self.nesterov && (rule != OptimizerName::Sgd || self.momentum == 0.0) {
            let text = format!(
                "expected optimizer sgd with a momentum above 0, got {rule} with momentum {}",
                self.momentum
            );
            found.add(&["nesterov", "optimizer", "momentum"], text);
        }

        found.number("lr-decay", self.lr_decay, "above 0 to 1", factor);
        found.whole("decay-every", self.decay_every, 1, u64::MAX);
        found.whole("step-size", self.step_size, 1, u64::MAX);
        found.number("gamma", self.gamma, "above 0 to 1", factor);
        found.number("lr-min", self.lr_min, "0 or more", not_negative);
        found.number(
            "plateau-factor",
            self.plateau_factor,
            "above 0 to 1",
            factor,
        );
        if positive(self.lr) && self.lr_min > self.lr {
            let text = format!("expected at most lr = {}, got {}", self.lr, self.lr_min);
            found.add(&["lr-min", "lr"], text);
        }
        if self.warmup > 0 && self.schedule != ScheduleName::Cosine {
            let text = format!("expected schedule cosine, got {}", self.schedule);
            found.add(&["warmup", "schedule"], text);
        }
        if self.schedule == ScheduleName::Plateau && self.val == 0.0 && self.valid.is_none() {
            let text = "expected a validation text (val above 0, or valid) for schedule plateau, got val 0";
            found.add(&["schedule", "val"], text.to_string());
        }

        if let Some(epochs) = self.epochs {
            found.whole("epochs", epochs, 1, 1_000_000_000);
        }
        if let Some(steps) = self.steps {
            found.whole("steps", steps, 1, 1_000_000_000_000);
        }
        if let Some(minutes) = self.minutes {
            found.number("minutes", minutes, "above 0 to 1000000", |v| {
                v > 0.0 && v <= 1e6
            });
        }
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
        found.whole("keep", self.keep as u64, 1, u64::MAX);
        found.0
    }

    /// What has a meaning only where every line is a sequence of its own.
    fn line_settings(&self, found: &mut SettingFaults) {
        for (key, value) in [
            ("max-line", self.max_line),
            ("batch-tokens", self.batch_tokens),
            ("bucket", self.bucket),
        ] {
            found.whole(key, value as u64, 0, u64::from(u32::MAX));
            if value > 0 && !self.lines {
                found.add(
                    &[key, "lines"],
                    format!("expected lines, got {value} without"),
                );
            }
        }
        if self.pad && !self.lines {
            let text = "expected lines, got true without";
            found.add(&["pad", "lines"], text.to_string());
        }
        if self.pad && self.accumulate > 1 {
            let text = format!(
                "expected false, as each of several minibatches has a longest line of its own, got true with {}",
                self.accumulate
            );
            found.add(&["pad", "accumulate"], text);
        }
        let order = self.line_order;
        if order != LineOrderName::Shuffle && !self.lines {
            found.add(
                &["line-order", "lines"],
                format!("expected lines, got {order} without"),
            );
        }
        // These look at neighbouring steps by their place in a window.
        for (key, given) in [
            ("temporal-penalty", self.temporal_penalty > 0.0),
            ("norm-stabilizer", self.norm_stabilizer > 0.0),
            ("propagation-penalty", self.propagation_penalty > 0.0),
            ("dropout-locked", self.dropout_locked),
            (
                "scheduled-sampling",
                self.scheduled_sampling != TeacherForcingName::Off,
            ),
            ("recompute", self.recompute > 0),
        ] {
            if given && self.lines {
                let text = "expected a stream, got lines";
                found.add(&[key, "lines"], text.to_string());
            }
        }
        if order == LineOrderName::Shuffle && self.bucket > 0 {
            let text = format!(
                "expected an order to sort by, got {} with shuffle",
                self.bucket
            );
            found.add(&["bucket", "line-order"], text);
        }
        if self.long_lines != LongLinesName::Error && self.max_line == 0 {
            let text = format!("expected max-line above 0, got {} with 0", self.long_lines);
            found.add(&["long-lines", "max-line"], text);
        }
    }

    fn checkpoint_segments(&self, found: &mut SettingFaults) {
        found.whole("accumulate", self.accumulate as u64, 1, MOST_SEGMENTS);
        let (steps, segment) = (self.seq_len, self.recompute);
        if segment == 0 {
            if self.recompute_states > 0 {
                let states = self.recompute_states;
                let text = format!("expected recompute above 0 to keep states for, got {states}");
                found.add(&["recompute-states", "recompute"], text);
            }
            return;
        }
        if !steps.is_multiple_of(segment) {
            let text = format!("expected a divisor of seq-len {steps}, got {segment}");
            found.add(&["recompute", "seq-len"], text);
        } else if (steps / segment * self.accumulate) as u64 > MOST_SEGMENTS {
            let segments = steps / segment * self.accumulate;
            let text = format!(
                "expected at most {MOST_SEGMENTS} checkpoint segments an update (accumulate * seq-len / recompute), got {segments}"
            );
            found.add(&["recompute", "seq-len", "accumulate"], text);
        }
        for (key, weight) in [
            ("temporal-penalty", self.temporal_penalty),
            ("norm-stabilizer", self.norm_stabilizer),
            ("propagation-penalty", self.propagation_penalty),
        ] {
            if weight > 0.0 && segment < steps {
                let text = format!(
                    "expected 0, as {key} looks from a step at its neighbour, which may lie in another segment, got {segment}"
                );
                found.add(&["recompute", key], text);
            }
        }
    }

    fn regularizers(&self, found: &mut SettingFaults) {
        for (key, rate, embedded) in [
            ("dropout-input", self.dropout_input, true),
            ("dropout-embedding", self.dropout_embedding, true),
            ("dropout-weights", self.dropout_weights, false),
        ] {
            found.number(key, rate, "0 to below 1", fraction);
            if embedded && rate > 0.0 && self.embed == 0 {
                let text =
                    format!("expected an embedding (embed above 0), got {rate} with embed 0");
                found.add(&[key, "embed"], text);
            }
        }
        for (key, weight) in [
            ("activation-penalty", self.activation_penalty),
            ("temporal-penalty", self.temporal_penalty),
            ("norm-stabilizer", self.norm_stabilizer),
            ("propagation-penalty", self.propagation_penalty),
        ] {
            found.number(key, weight, "0 or more", not_negative);
        }
    }

    fn vocabulary(&self, found: &mut SettingFaults) {
        let name = self.softmax;
        if let Some(list) = &self.cutoffs {
            if name != SoftmaxName::Adaptive {
                let text = format!("expected softmax adaptive, got {name}");
                found.add(&["cutoffs", "softmax"], text);
            } else if let Err(text) = cutoffs(list) {
                found.add(&["cutoffs"], text);
            }
        }
        if let Some(samples) = self.samples {
            if name != SoftmaxName::Sampled {
                let text = format!("expected softmax sampled, got {name}");
                found.add(&["samples", "softmax"], text);
            }
            found.whole("samples", samples as u64, 1, u64::MAX);
        }
        if self.tie && name == SoftmaxName::Adaptive {
            let text = "expected softmax full or sampled, whose matrix of all symbols an embedding can share, got adaptive";
            found.add(&["tie", "softmax"], text.to_string());
        }
        for (key, several) in [
            // The minibatches of lines of an update are packed together.
            ("accumulate", self.accumulate > 1 && !self.lines),
            ("recompute", self.recompute > 0),
        ] {
            if several && name != SoftmaxName::Full {
                let text = format!("expected full beside {key}, got {name}");
                found.add(&["softmax", key], text);
            }
            if several && self.sparse == SparseName::Lazy {
                let text = format!("expected auto or off beside {key}, got lazy");
                found.add(&["sparse", key], text);
            }
        }
    }

    fn sampling(&self, found: &mut SettingFaults) {
        let name = self.scheduled_sampling;
        if let Some(k) = self.sampling_k {
            let expected = match name {
                TeacherForcingName::Linear if !(k > 0.0 && k <= 1.0) => {
                    Some("above 0 to 1 for linear")
                }
                TeacherForcingName::Exponential if !(k > 0.0 && k < 1.0) => {
                    Some("above 0 to below 1 for exponential")
                }
                TeacherForcingName::InverseSigmoid if !(finite(k) && k >= 1.0) => {
                    Some("1 or more for inverse-sigmoid")
                }
                _ => None,
            };
            if let Some(expected) = expected {
                let text = format!("expected {expected}, got {k}");
                found.add(&["sampling-k", "scheduled-sampling"], text);
            }
            if name == TeacherForcingName::Off {
                let text =
                    "expected scheduled-sampling linear, exponential or inverse-sigmoid, got none";
                found.add(&["sampling-k", "scheduled-sampling"], text.to_string());
            }
        }
        for (key, value, expected, fits) in [
            (
                "sampling-slope",
                self.sampling_slope,
                "0 or more",
                not_negative as fn(f64) -> bool,
            ),
            ("sampling-floor", self.sampling_floor, "0 to 1", |v| {
                (0.0..=1.0).contains(&v)
            }),
        ] {
            let Some(value) = value else { continue };
            if name == TeacherForcingName::Linear {
                found.number(key, value, expected, fits);
            } else {
                let text = format!("expected scheduled-sampling linear, got {name}");
                found.add(&[key, "scheduled-sampling"], text);
            }
        }
    }
}

// Numbers are judged as the f32 that the device will see: 1e-60 is 0 there, 1e60 infinite. NaN fails every one of these.
fn finite(v: f64) -> bool {
    (v as f32).is_finite()
}
fn positive(v: f64) -> bool {
    finite(v) && v as f32 > 0.0
}
fn not_negative(v: f64) -> bool {
    finite(v) && v >= 0.0
}
fn fraction(v: f64) -> bool {
    v >= 0.0 && (v as f32) < 1.0
}
fn factor(v: f64) -> bool {
    v as f32 > 0.0 && v <= 1.0
}

struct SettingFaults(Vec<SettingFault>);

impl SettingFaults {
    fn add(&mut self, keys: &[&str], text: String) {
        let keys = keys.iter().map(|key| key.to_string()).collect();
        self.0.push(SettingFault { keys, text });
    }

    fn number(&mut self, key: &str, value: f64, expected: &str, fits: impl Fn(f64) -> bool) {
        if !fits(value) {
            self.add(&[key], format!("expected {expected}, got {value}"));
        }
    }

    fn whole(&mut self, key: &str, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            let expected = match most {
                u64::MAX => format!("{least} or more"),
                _ => format!("{least} to {most}"),
            };
            self.add(&[key], format!("expected {expected}, got {value}"));
        }
    }

    fn pairs(&mut self, key: &str, list: Option<&str>) {
        if let Err(text) = pairs(list.unwrap_or("")) {
            self.add(&[key], text);
        }
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
