//! Layers of settings: defaults < preset < settings file < command line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::check::{SettingFault, did_you_mean};
use super::{Key, OptimizerName, Preset, Settings};
use crate::error::{Error, Kind, Result};
use crate::model::Scheme;

/// Where a value comes from; a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Preset,
    File,
    Flags,
}

/// Values that belong to a choice. When a higher layer chooses otherwise, the numbers that came with or below the old
/// choice go with it: another optimiser does not inherit the old one's learning rate.
const BELONGS: [(&str, &[&str]); 5] = [
    (
        "optimizer",
        &[
            "lr",
            "lr-min",
            "momentum",
            "nesterov",
            "weight-decay",
            "alpha",
            "beta1",
            "beta2",
            "eps",
        ],
    ),
    ("init", &["init-scale", "input-scale"]),
    (
        "scheduled-sampling",
        &["sampling-k", "sampling-slope", "sampling-floor"],
    ),
    ("softmax", &["cutoffs", "samples"]),
    // Names of variables and constants mean something in one cell alone.
    ("cell", &["cell-const", "gate-bias"]),
];

/// Of these a higher layer's one replaces a lower layer's other.
const LENGTHS: &[&str] = &["epochs", "steps", "minutes"];
const VALIDATION: &[&str] = &["val", "valid"];

/// The settings of a run from the preset that `file` or `flags` names, the settings file (its path and text) and the
/// flags of the command line, in rising order of precedence. `cells` as in [`Settings::check`].
///
/// Errors list every fault at once, one line each: of kind `Usage` if any lies in a flag, else of kind `Data`.
pub fn resolve(file: Option<(&Path, &str)>, flags: Table, cells: &[&str]) -> Result<Settings> {
    let path = file.map_or(Path::new(""), |(path, _)| path);
    let text = file.map_or("", |(_, text)| text);
    let mut layers = SettingLayers {
        path,
        text,
        merged: Table::new(),
        origin: BTreeMap::new(),
        faults: Vec::new(),
        faulty: BTreeSet::new(),
    };
    let file = layers.parse()?;

    let preset = [&flags, &file].into_iter().find_map(|t| t.get("preset"));
    if let Some(name) = preset.and_then(Value::as_str) {
        for preset in Preset::ALL.into_iter().filter(|p| p.name() == name) {
            let table = preset
                .text()
                .parse()
                .map_err(|e| Error::internal(format!("preset {preset}: {e}")))?;
            layers.add(Origin::Preset, table);
        }
    }
    layers.add(Origin::File, file);
    layers.add(Origin::Flags, flags);
    layers.finish(cells)
}

struct SettingLayers<'a> {
    path: &'a Path,
    text: &'a str,
    merged: Table,
    origin: BTreeMap<String, Origin>,
    faults: Vec<(Origin, String)>,
    /// The keys that lie in a fault.
    faulty: BTreeSet<String>,
}

impl SettingLayers<'_> {
    /// The settings file as a table. A text that is no TOML has nothing more to be said about it.
    fn parse(&self) -> Result<Table> {
        self.text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |span| self.line_at(span.start));
            let what = e.message().replace('\n', " ");
            Error::data(format!(
                "{}:{line}: no valid TOML: {what}",
                self.path.display()
            ))
        })
    }

    /// Lays a table over what is there; what does not fit its key's type becomes a fault.
    fn add(&mut self, origin: Origin, table: Table) {
        let mut fitting = Table::new();
        for (name, value) in table {
            match fault_of(&name, &value) {
                Some(text) => self.fault(origin, &name, &text),
                None => {
                    fitting.insert(name, value);
                }
            }
        }
        for (leader, numbers) in BELONGS {
            let Some(old) = self.merged.get(leader) else {
                continue;
            };
            if fitting.get(leader).is_some_and(|new| new != old) {
                let chosen = self.origin[leader];
                for number in numbers {
                    if self.origin.get(*number).is_some_and(|o| *o <= chosen) {
                        self.remove(number);
                    }
                }
            }
        }
        for rivals in [LENGTHS, VALIDATION] {
            if rivals.iter().any(|name| fitting.contains_key(*name)) {
                rivals.iter().for_each(|name| self.remove(name));
            }
        }
        for (name, value) in fitting {
            self.origin.insert(name.clone(), origin);
            self.merged.insert(name, value);
        }
    }

    fn remove(&mut self, name: &str) {
        self.origin.remove(name);
        self.merged.remove(name);
    }

    /// Fills in the defaults that hang on other values, checks ranges, and reports.
    fn finish(mut self, cells: &[&str]) -> Result<Settings> {
        // A tokenizer is a vocabulary, unless another was asked for, which is then a fault.
        if self.merged.contains_key("tokenizer") {
            self.merged.entry("vocab").or_insert("tokenizer".into());
        }
        // A validation text of its own takes nothing from the training text.
        if self.merged.contains_key("valid") {
            self.merged.entry("val").or_insert(Value::Float(0.0));
        }
        let plain = self.settings()?;
        // What training has once stands for what it does not have: else the unknown symbol would never be learned.
        if plain.of_fields() && plain.tokenizer.is_none() {
            let twice = Value::Integer(2);
            self.merged.entry("min-count").or_insert(twice);
        }
        for (name, value) in [
            ("lr", default_lr(plain.optimizer)),
            ("eps", default_eps(plain.optimizer)),
            ("weight-decay", default_weight_decay(plain.optimizer)),
            ("init-scale", default_init_scale(plain.init, plain.hidden)),
        ] {
            self.merged.entry(name).or_insert(Value::Float(value));
        }
        let settings = self.settings()?;
        self.meaningless(&settings);
        for SettingFault { keys, text } in settings.faults(cells) {
            // Its value was put aside, so what follows from it is no fault of its own.
            if keys.iter().any(|key| self.faulty.contains(*key)) {
                continue;
            }
            // A value that stands there by default is nobody's fault: the key that came from the highest layer is named.
            let given = keys
                .iter()
                .filter_map(|key| Some((key, *self.origin.get(*key)?)));
            match given.rev().max_by_key(|(_, origin)| *origin) {
                Some((key, origin)) => self.fault(origin, key, &text),
                None => return Err(Error::internal(format!("default of {}: {text}", keys[0]))),
            }
        }
        let Some(worst) = self.faults.iter().map(|(origin, _)| *origin).max() else {
            return Ok(settings);
        };
        let kind = match worst {
            Origin::Preset => Kind::Internal,
            Origin::File => Kind::Data,
            Origin::Flags => Kind::Usage,
        };
        let lines: Vec<String> = self.faults.into_iter().map(|(_, line)| line).collect();
        Err(Error::new(kind, lines.join("\n")))
    }

    /// Refuses what was given and has no meaning for the kind of model; what presets say of it is passed over.
    fn meaningless(&mut self, settings: &Settings) {
        let model = settings.model.clone();
        let given: Vec<(String, Origin)> = self
            .origin
            .iter()
            .filter(|(key, origin)| **origin > Origin::Preset && settings.means_nothing(key))
            .map(|(key, origin)| (key.clone(), *origin))
            .collect();
        for (key, origin) in given {
            let text = if settings.of_fields() {
                format!("expected none, as model {model} has no use for it")
            } else {
                format!("expected a model of fields, got model {model}")
            };
            self.fault(origin, &key, &text);
        }
    }

    fn settings(&self) -> Result<Settings> {
        Settings::of_table(self.merged.clone())
            .map_err(|e| Error::internal(format!("settings passed their checks, yet: {e}")))
    }

    fn fault(&mut self, origin: Origin, key: &str, text: &str) {
        self.faulty.insert(key.to_string());
        let shown = key.escape_debug();
        let line = match origin {
            Origin::Preset => format!("preset: {shown}: {text}"),
            Origin::File => format!(
                "{}:{}: {shown}: {text}",
                self.path.display(),
                self.line_of(key)
            ),
            Origin::Flags => format!("--{shown}: {text}"),
        };
        self.faults.push((origin, line));
    }

    /// The line of a key of the settings file, counted from 1.
    fn line_of(&self, key: &str) -> usize {
        let table = toml::de::DeTable::parse(self.text);
        let span = table.ok().and_then(|table| {
            let found = table.get_ref().keys().find(|k| k.get_ref() == key);
            found.map(|k| k.span())
        });
        span.map_or(1, |span| self.line_at(span.start))
    }

    fn line_at(&self, byte: usize) -> usize {
        let before = self.text.as_bytes().iter().take(byte);
        1 + before.filter(|b| **b == b'\n').count()
    }
}

/// What is wrong with a key or with its value's type, if anything.
fn fault_of(name: &str, value: &Value) -> Option<String> {
    if value.is_table() {
        return Some("settings have no sections, expected key = value".to_string());
    }
    let keys = Settings::keys();
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        return Some(format!("no such setting{}", did_you_mean(name, &names)));
    };
    if (key.accepts)(value) {
        return None;
    }
    Some(format!(
        "expected {}, got {}{}",
        (key.expected)(),
        show(value),
        hint(key, value)
    ))
}

/// A value in one line of bearable length.
fn show(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string().replace('\n', " "),
    };
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

fn hint(key: &Key, value: &Value) -> String {
    value
        .as_str()
        .map_or_else(String::new, |v| did_you_mean(v, key.names))
}

/// The learning rate when none is given: what trains an LSTM of some hundred units without trouble. Adam and RMSprop as
/// char-rnn and torch-rnn have them; Adagrad between PyTorch's 0.01 and min-char-rnn's 0.1; plain SGD needs far more.
pub(super) fn default_lr(optimizer: OptimizerName) -> f64 {
    match optimizer {
        OptimizerName::Sgd => 0.5,
        OptimizerName::Adagrad => 0.05,
        OptimizerName::RmsProp | OptimizerName::Adam | OptimizerName::AdamW => 2e-3,
    }
}

/// PyTorch's defaults.
pub(super) fn default_eps(optimizer: OptimizerName) -> f64 {
    match optimizer {
        OptimizerName::Adagrad => 1e-10,
        _ => 1e-8,
    }
}

/// PyTorch's defaults.
pub(super) fn default_weight_decay(optimizer: OptimizerName) -> f64 {
    match optimizer {
        OptimizerName::AdamW => 0.01,
        _ => 0.0,
    }
}

/// Uniform: PyTorch's 1/sqrt(H); normal: min-char-rnn's; the others have their scale in the method.
pub(super) fn default_init_scale(init: Scheme, hidden: usize) -> f64 {
    match init {
        // A hidden of 0 is reported as such; its scale must not add a fault of its own.
        Scheme::Uniform => 1.0 / (hidden.max(1) as f64).sqrt(),
        Scheme::Normal => 0.01,
        Scheme::Xavier | Scheme::Orthogonal | Scheme::Identity => 1.0,
        // Slightly above 1, where what goes round neither dies nor takes over: Sutskever et al. 2013.
        Scheme::Spectral => 1.1,
    }
}
