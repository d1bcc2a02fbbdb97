//! `profile --against FILE`: the present profile beside one that `--json` printed earlier, kernel by kernel.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use wgrnn::{Error, Result};

use super::super::out;
use super::table::name_width;

/// Bytes of a profile at most: a hundred thousand kernels.
const LARGEST: u64 = 32 << 20;
/// Changes that are marked.
const MARKED: usize = 3;
/// The least change that is, as a share of all kernels' time.
const WORTH: f64 = 0.01;
/// Limits that differ by more were measured on a machine that did something else, too.
const UNEQUAL: f64 = 0.15;

/// What is read of a saved profile, and of the present one.
#[derive(Clone, Debug, Deserialize)]
pub struct ProfileRecord {
    program: String,
    date: String,
    device: String,
    driver: Option<String>,
    model: Map<String, Value>,
    settings: Map<String, Value>,
    clock: String,
    limits: RecordedLimits,
    kernels: Vec<RecordedKernel>,
    total: Total,
}

#[derive(Clone, Debug, Deserialize)]
struct RecordedLimits {
    gflops: f64,
    gbytes: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct RecordedKernel {
    name: String,
    calls: u64,
    ms: f64,
    spread_ms: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct Total {
    ms: f64,
    step_ms: f64,
}

impl ProfileRecord {
    /// The profile in a file.
    ///
    /// # Errors
    /// Io, when it cannot be read; Data, when it is not a whole profile.
    pub fn read(path: &Path) -> Result<ProfileRecord> {
        let wrong = |found: String| {
            Error::data(format!(
                "{}: expected what `wgrnn profile --json` prints, found {found}",
                path.display()
            ))
        };
        let mut text = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text))
            .map_err(|e| Error::io("read", path, &e))?;
        if text.len() as u64 > LARGEST {
            return Err(wrong(format!("more than {LARGEST} bytes")));
        }
        let saved: ProfileRecord =
            serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        match saved.fault() {
            None => Ok(saved),
            Some(fault) => Err(wrong(fault)),
        }
    }

    /// The present profile, of its JSON.
    pub fn of(value: &Value) -> Result<ProfileRecord> {
        ProfileRecord::deserialize(value).map_err(|e| Error::internal(format!("the profile: {e}")))
    }

    fn fault(&self) -> Option<String> {
        let time = |what: &str, ms: f64| {
            let sound = ms.is_finite() && ms >= 0.0;
            (!sound).then(|| format!("{what}: {ms}"))
        };
        let kernel =
            |k: &RecordedKernel| time(&k.name, k.ms).or_else(|| time(&k.name, k.spread_ms));
        let sum: f64 = self.kernels.iter().map(|k| k.ms).sum();
        let off = (sum - self.total.ms).abs();
        self.kernels
            .iter()
            .find_map(kernel)
            .or_else(|| time("step_ms", self.total.step_ms))
            .or_else(|| time("limits.gflops", self.limits.gflops))
            .or_else(|| time("limits.gbytes", self.limits.gbytes))
            // Sums of as many figures as there are kernels, in another order.
            .or_else(|| {
                let equal = off <= 1e-6 * sum;
                (!equal).then(|| {
                    let total = self.total.ms;
                    format!("kernels of {sum} ms with a total of {total} ms")
                })
            })
    }
}

/// A kernel then and now; a new one has no then, one that is gone no now.
#[derive(Clone, Debug, PartialEq)]
struct KernelComparison {
    name: String,
    then: Option<f64>,
    now: Option<f64>,
    /// Calls, then and now.
    calls: [u64; 2],
    /// Whether it is one of the biggest changes, beyond what the steps differed by among themselves.
    marked: bool,
    spread: f64,
}

impl KernelComparison {
    /// Milliseconds that it takes more now.
    fn change(&self) -> f64 {
        self.now.unwrap_or(0.0) - self.then.unwrap_or(0.0)
    }

    fn word(&self) -> &'static str {
        match (self.then, self.now) {
            (None, _) => "new",
            (_, None) => "gone",
            _ => "",
        }
    }
}

/// Two profiles side by side.
pub struct Comparison {
    path: PathBuf,
    then: ProfileRecord,
    now: ProfileRecord,
    /// What they are profiles of, where that differs.
    differs: Vec<String>,
    pairs: Vec<KernelComparison>,
}

/// Now as a multiple of then; none of nothing.
fn ratio(then: f64, now: f64) -> Option<f64> {
    (then > 0.0).then(|| now / then)
}

impl Comparison {
    /// Of what `path` held and the present profile.
    pub fn new(path: &Path, then: ProfileRecord, now: ProfileRecord) -> Comparison {
        Comparison {
            path: path.to_path_buf(),
            differs: differences(&then, &now),
            pairs: pairs(&then, &now),
            then,
            now,
        }
    }

    /// As a part of the profile's JSON.
    pub fn json(&self) -> Value {
        let pair = |p: &KernelComparison| {
            json!({
                "name": p.name,
                "calls_then": p.calls[0],
                "calls": p.calls[1],
                "then_ms": p.then,
                "now_ms": p.now,
                "ratio": p.then.zip(p.now).and_then(|(then, now)| ratio(then, now)),
                "change_ms": p.change(),
                "marked": p.marked,
            })
        };
        let both = |then: f64, now: f64| json!({"then_ms": then, "now_ms": now, "ratio": ratio(then, now)});
        json!({
            "file": self.path.display().to_string(),
            "program": self.then.program,
            "date": self.then.date,
            "differs": self.differs,
            "kernels": self.pairs.iter().map(pair).collect::<Vec<_>>(),
            "total": both(self.then.total.ms, self.now.total.ms),
            "step": both(self.then.total.step_ms, self.now.total.step_ms),
        })
    }

    /// Warns of what differs.
    pub fn warn(&self) {
        for difference in &self.differs {
            let path = self.path.display();
            out::note(&format!("warning: {path}: {difference}"));
        }
    }

    /// Prints the table.
    ///
    /// # Errors
    /// Io.
    pub fn print(&self) -> Result<()> {
        let ProfileRecord { date, program, .. } = &self.then;
        out::line(&format!(
            "\nagainst {}: {date}, wgrnn {program}; a ratio is now / then",
            self.path.display()
        ))?;
        let width = name_width(self.pairs.iter().map(|p| p.name.as_str()));
        out::line(&format!(
            "{:<width$} {:>10} {:>10} {:>7} {:>10}",
            "kernel", "then ms", "now ms", "ratio", "change ms"
        ))?;
        let time = |ms: Option<f64>| ms.map_or("-".into(), |ms| format!("{ms:.4}"));
        let columns = |name: &str, then: Option<f64>, now: Option<f64>| {
            let ratio = then.zip(now).and_then(|(then, now)| ratio(then, now));
            format!(
                "{name:<width$} {:>10} {:>10} {:>7} {:>+10.4}",
                time(then),
                time(now),
                ratio.map_or("-".into(), |r| format!("{r:.3}")),
                now.unwrap_or(0.0) - then.unwrap_or(0.0)
            )
        };
        for p in &self.pairs {
            let mut line = columns(&p.name, p.then, p.now);
            if !p.word().is_empty() {
                let _ = write!(line, "  {}", p.word());
            }
            if p.marked {
                let word = if p.change() < 0.0 { "less" } else { "more" };
                let _ = write!(line, "  <- {word}");
            }
            out::line(&line)?;
        }
        for (name, then, now) in [
            ("total", self.then.total.ms, self.now.total.ms),
            ("step", self.then.total.step_ms, self.now.total.step_ms),
        ] {
            out::line(&columns(name, Some(then), Some(now)))?;
        }
        Ok(())
    }
}

/// Everything but kernels and times in which the profiles differ, a line each.
fn differences(then: &ProfileRecord, now: &ProfileRecord) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = |what: &str, then: &str, now: &str| {
        if then != now {
            found.push(format!("another {what}: {then} then, {now} now"));
        }
    };
    word("device", &then.device, &now.device);
    if let (Some(then), Some(now)) = (&then.driver, &now.driver) {
        word("driver", then, now);
    }
    word("clock for kernels", &then.clock, &now.clock);
    // The model's line says what some settings say, too.
    let beside = |settings: &Map<String, Value>| -> Map<String, Value> {
        let all = settings.iter();
        let other = all.filter(|(name, _)| !then.model.contains_key(&name.replace('-', "_")));
        other.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    for (what, then, now) in [
        ("model", &then.model, &now.model),
        ("setting", &beside(&then.settings), &beside(&now.settings)),
    ] {
        let names = then
            .keys()
            .chain(now.keys().filter(|n| !then.contains_key(*n)));
        let changed = names.filter(|n| then.get(*n) != now.get(*n));
        // What the model's line says already need not be repeated.
        let parts = changed.map(|name| {
            let show = |all: &Map<String, Value>| match all.get(name) {
                None => "unset".to_string(),
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            };
            format!("{name} {} then, {} now", show(then), show(now))
        });
        let parts: Vec<String> = parts.collect();
        if !parts.is_empty() {
            found.push(format!("another {what}: {}", parts.join("; ")));
        }
    }
    for (what, then, now) in [
        ("arithmetic", then.limits.gflops, now.limits.gflops),
        ("memory", then.limits.gbytes, now.limits.gbytes),
    ] {
        let equal = (now - then).abs() <= UNEQUAL * then.max(now);
        // Of another device they are expected to differ.
        if !equal && found.is_empty() {
            let unit = if what == "memory" { "GB/s" } else { "GFLOP/s" };
            found.push(format!(
                "the limit of {what} measures {then:.1} {unit} then, {now:.1} now: was the machine busy?"
            ));
        }
    }
    found
}

/// The kernels of both, the biggest changes first. Of kernels with one name the first stands beside the first.
fn pairs(then: &ProfileRecord, now: &ProfileRecord) -> Vec<KernelComparison> {
    let mut open: HashMap<&str, Vec<&RecordedKernel>> = HashMap::new();
    for kernel in then.kernels.iter().rev() {
        open.entry(&kernel.name).or_default().push(kernel);
    }
    let mut pairs = Vec::new();
    for kernel in &now.kernels {
        let old = open.get_mut(kernel.name.as_str()).and_then(Vec::pop);
        pairs.push(KernelComparison {
            name: kernel.name.clone(),
            then: old.map(|k| k.ms),
            now: Some(kernel.ms),
            calls: [old.map_or(0, |k| k.calls), kernel.calls],
            marked: false,
            spread: kernel.spread_ms + old.map_or(0.0, |k| k.spread_ms),
        });
    }
    let mut left: Vec<&RecordedKernel> = open.into_values().flatten().collect();
    left.sort_by(|a, b| a.name.cmp(&b.name).then(b.ms.total_cmp(&a.ms)));
    pairs.extend(left.into_iter().map(|kernel| KernelComparison {
        name: kernel.name.clone(),
        then: Some(kernel.ms),
        now: None,
        calls: [kernel.calls, 0],
        marked: false,
        spread: kernel.spread_ms,
    }));
    pairs.sort_by(|a, b| b.change().abs().total_cmp(&a.change().abs()));
    let least = WORTH * then.total.ms;
    let beyond = |p: &&mut KernelComparison| p.change().abs() > p.spread.max(least);
    for pair in pairs.iter_mut().filter(beyond).take(MARKED) {
        pair.marked = true;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(kernels: &[(&str, f64, f64)]) -> ProfileRecord {
        let kernel = |(name, ms, spread): &(&str, f64, f64)| json!({"name": name, "calls": 1, "ms": ms, "spread_ms": spread});
        let total: f64 = kernels.iter().map(|k| k.1).sum();
        let value = json!({
            "program": "0", "date": "d", "device": "cpu", "driver": null, "clock": "host",
            "model": {"hidden": 8}, "settings": {"hidden": 8, "tie": false},
            "limits": {"gflops": 100.0, "gbytes": 10.0},
            "kernels": kernels.iter().map(kernel).collect::<Vec<_>>(),
            "total": {"ms": total, "step_ms": total},
        });
        ProfileRecord::of(&value).unwrap()
    }

    #[test]
    fn kernels_pair_by_name_and_changes_beyond_noise_are_marked() {
        let then = saved(&[
            ("a", 50.0, 1.0),
            ("twice", 3.0, 0.0),
            ("twice", 1.0, 0.0),
            ("noisy", 20.0, 15.0),
            ("old", 5.0, 0.1),
            ("b", 20.0, 0.1),
        ]);
        let now = saved(&[
            ("a", 25.0, 1.0),
            ("noisy", 30.0, 1.0),
            ("b", 20.5, 0.1),
            ("new", 9.0, 0.1),
            ("twice", 3.0, 0.0),
            ("twice", 1.5, 0.0),
        ]);
        let found = pairs(&then, &now);
        let shown: Vec<_> = found
            .iter()
            .map(|p| (p.name.as_str(), p.change(), p.word(), p.marked))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", -25.0, "", true),
                ("noisy", 10.0, "", false),
                ("new", 9.0, "new", true),
                ("old", -5.0, "gone", true),
                ("b", 0.5, "", false),
                ("twice", 0.5, "", false),
                ("twice", 0.0, "", false),
            ]
        );
        assert!(
            pairs(&then, &then)
                .iter()
                .all(|p| !p.marked && p.change() == 0.0)
        );
    }

    #[test]
    fn what_differs_is_said() {
        let then = saved(&[("a", 1.0, 0.0)]);
        assert_eq!(differences(&then, &then), [""; 0]);
        let mut now = then.clone();
        now.limits.gflops = 80.0;
        let found = differences(&then, &now);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("arithmetic measures 100.0 GFLOP/s then, 80.0 now"));
        now.device = "adapter".into();
        now.settings.insert("tie".into(), true.into());
        now.settings.insert("cell".into(), "gru".into());
        let found = differences(&then, &now);
        let want = [
            "another device: cpu then, adapter now",
            "another setting: tie false then, true now; cell unset then, gru now",
        ];
        assert_eq!(found, want);
    }
}
