//! `variants`: the LSTM with peepholes and eight others, each of which lacks or adds one thing.
//!
//! Source: Greff, Srivastava, Koutnik, Steunebrink, Schmidhuber 2015, "LSTM: a search space odyssey".

use std::sync::Arc;

use serde_json::{Value, json};

use super::course::Course;
use super::least_squares::{Row, explained, left, share_of};
use super::{
    Experiment, Facts, Finding, HeatMap, Made, Measured, Plot, Point, Scale, Series, Size, encoded,
    facts, number, text, whole,
};
use crate::cell::library;
use crate::error::{Error, Result};
use crate::generate;
use crate::model::text::Model;
use crate::rng::{Purpose, Stream};
use crate::train::settings::BestBy;
use crate::train::{Job, Length, Settings, spec};

/// The experiment.
pub struct Variants;

const VANILLA: &str = "lstm-peephole";
const CELLS: [&str; 9] = [
    VANILLA,
    "lstm-nig",
    "lstm-nfg",
    "lstm-nog",
    "lstm-niaf",
    "lstm-noaf",
    "lstm-cifg",
    "lstm-np",
    "lstm-fgr",
];

const PEN: &str = "pen";
const DIGIT: &str = "digit";
const TASKS: [&str; 2] = [PEN, DIGIT];
const PEN_MODEL: &str = include_str!("../../assets/models/strokes.model");
const DIGIT_MODEL: &str = "field points: reals\nfield text: class\nh = rnn(points)\n\
     loss cross_entropy(linear(last(h)), text)\n";

/// Between which numbers settings are drawn: the logarithms of rate and hidden size uniformly, the noise itself.
const RATES: (f64, f64) = (1e-4, 0.1);
const NOISE: (f64, f64) = (0.0, 0.3);

/// Examples that are trained on, and that are not; those of a minibatch.
const EXAMPLES: u64 = 2000;
const HELD_OUT: u64 = 300;
const BATCH: usize = 32;
/// The seed of the examples, which are the same for all.
const DATA: u64 = 1;
/// Where the streams of noise begin, beyond those of settings.
const NOISE_STREAMS: u64 = 1 << 40;

impl Experiment for Variants {
    fn name(&self) -> &'static str {
        "variants"
    }

    fn about(&self) -> &'static str {
        "Which part of an LSTM matters, and which of its settings?"
    }

    fn method(&self) -> &'static str {
        "The LSTM with peepholes and the eight variants of the paper on two tasks that `wgrnn generate strokes` makes up: where the pen goes \
         next (a mixture's density), and which digit it wrote. For every trial the learning rate of Adam (1e-4 to 0.1) and the hidden size are \
         drawn by their logarithms, and the deviation of normal noise on the offsets that are trained on (0 to 0.3; a digit is 1 high). A trial counts \
         by the least loss of held-out examples without noise: its rank among all of its task, from 0 for the best to 1 for the worst, which \
         what diverged has. A linear model of the ranks, with squares of rate and size, their product, the noise and a term a cell, \
         says how much of the variance each of these explains; cells are compared by their ranks less what rate, size and noise say of them. The paper's own data, TIMIT, IAM-OnDB and JSB chorales, are not part of this program."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (trials, updates, sizes) = match size {
            Size::Quick => (8, 120, (4.0, 32.0)),
            Size::Full => (200, 3000, (16.0, 128.0)),
        };
        let mut all = Vec::new();
        for trial in 0..trials {
            for task in TASKS {
                for cell in CELLS {
                    let mut stream = Stream::new(seed, Purpose::Lab, all.len() as u64);
                    let mut between = |(least, most): (f64, f64)| {
                        least + (most - least) * f64::from(stream.uniform())
                    };
                    let mut by_log =
                        |(least, most): (f64, f64)| between((least.ln(), most.ln())).exp();
                    let (lr, hidden) = (by_log(RATES), by_log(sizes));
                    all.push(facts(json!({
                        "task": task, "cell": cell, "trial": trial, "seed": seed + trial, "updates": updates,
                        // Four digits are enough, and the same in a file.
                        "lr": (lr * 1e6).round() / 1e6, "hidden": hidden.round() as u64,
                        "noise": (between(NOISE) * 1e4).round() / 1e4,
                    })));
                }
            }
        }
        all
    }

    fn measure(&self, point: &Point) -> Result<Facts> {
        let (digits, model) = match text(point, "task")? {
            PEN => (2, Model::parse(PEN, PEN_MODEL)?),
            DIGIT => (1, Model::parse(DIGIT, DIGIT_MODEL)?),
            other => return Err(Error::internal(format!("no task {other}"))),
        };
        let updates = whole(point, "updates")?;
        let seed = whole(point, "seed")?;
        let made = made(digits, number(point, "noise")?, seed)?;
        let data = encoded(&made, &Arc::new(model), EXAMPLES, 1)?;
        let settings = Settings {
            hidden: whole(point, "hidden")? as usize,
            lr: number(point, "lr")?,
            clip_norm: 1.0,
            batch: BATCH,
            best_by: Some(BestBy::Loss),
            seed,
            save_every: u64::MAX,
            eval_every: Some((updates / 3).max(1)),
            ..Settings::default()
        };
        let cell = library::builtin(text(point, "cell")?)?;
        let model = spec(&settings, vec![cell], 0);
        let job = Job::of_fields(settings, model, Length::Steps(updates), &data)?;
        let state = job.start()?;
        let least = Course::follow(job, state, None)?.least();
        Ok(facts(match least.is_finite() {
            true => json!({"nats": least}),
            false => json!({"diverged": 1}),
        }))
    }

    fn columns(&self) -> &'static [&'static str] {
        &["task", "cell", "trial", "lr", "hidden", "noise", "nats"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let ranked = adjusted(&ranked(measured));
        let series = TASKS.map(|task| Series {
            name: task.into(),
            points: (1..)
                .map(f64::from)
                .zip(CELLS)
                .filter_map(|(n, cell)| Some((n, spread(&ranked, task, cell)?.mean)))
                .collect(),
        });
        Plot {
            title: "Mean rank of trials by cell".into(),
            across: CELLS
                .map(|cell| cell.trim_start_matches("lstm-"))
                .join(", "),
            up: "mean rank, less what rate, size, noise say".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn heat(&self, measured: &[Measured]) -> Option<HeatMap> {
        let ranked = ranked(measured);
        let (rates, sizes) = (Bins::of(&ranked, "lr", 5)?, Bins::of(&ranked, "hidden", 3)?);
        let mean = |rate: usize, size: usize| {
            let own = ranked.iter().filter(|(m, _)| {
                rates.place(m.number("lr")) == Some(rate)
                    && sizes.place(m.number("hidden")) == Some(size)
            });
            let own: Vec<f64> = own.map(|(_, rank)| *rank).collect();
            (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
        };
        let row = |size: usize| (0..rates.count).map(|rate| mean(rate, size)).collect();
        Some(HeatMap {
            title: "Mean rank of trials by rate and size: 0 is the best".into(),
            across: ("learning rate".into(), rates.names()),
            up: ("hidden size".into(), sizes.names()),
            rows: (0..sizes.count).map(row).collect(),
        })
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let ranked = ranked(measured);
        let of_cells = adjusted(&ranked);
        let said = |wanted: &[&str]| {
            let of_task = |task: &str| {
                let all = wanted.iter().filter_map(|cell| {
                    let own = spread(&of_cells, task, cell)?;
                    let (mean, error) = (own.mean, own.error);
                    Some(format!("{cell} {mean:.2} \u{b1} {error:.2}"))
                });
                format!("{task}: {}", all.collect::<Vec<_>>().join(", "))
            };
            format!(
                "mean rank, less what rate, size and noise say of it, and its standard error, {}",
                TASKS.map(of_task).join("; ")
            )
        };
        // How many standard errors a cell lies above the standard one; less is better.
        let above = |task: &str, cell: &str| -> Option<f64> {
            let (own, other) = (
                spread(&of_cells, task, cell)?,
                spread(&of_cells, task, VANILLA)?,
            );
            Some((own.mean - other.mean) / own.error.hypot(other.error))
        };
        let of_all = |cells: &[&str]| -> Option<Vec<f64>> {
            let pairs = cells.iter().flat_map(|cell| TASKS.map(|task| (task, cell)));
            pairs.map(|(task, cell)| above(task, cell)).collect()
        };
        let rows = rows(&ranked);
        let share = |group: usize| share_of(&rows, &GROUPS, group);
        let named = |name: &str, group: usize| {
            let found = share(group).map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
            format!("{name} {found}")
        };
        let whole = explained(&rows, |_| true);
        let whole = whole.map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
        let shares = format!(
            "of the variance of ranks all terms explain {whole}; alone {}, {}, {}, {}, {}",
            named("rate", RATE),
            named("size", SIZE),
            named("noise", NOISY),
            named("cell", CELL),
            named("rate times size", BOTH),
        );
        let trials = measured.len() / (CELLS.len() * TASKS.len()).max(1);
        let few = format!(
            "with {trials} trials a cell and task, {SIGNIFICANT} standard errors being called significant"
        );
        vec![
            Finding {
                claim: "No variant is significantly better than the standard LSTM",
                by: "Greff et al. 2015",
                found: format!("{}; {few}", said(&CELLS)),
                holds: of_all(&CELLS[1..]).map(|all| all.iter().all(|z| *z > -SIGNIFICANT)),
            },
            Finding {
                claim: "Without a forget gate, or without the output's activation, it is significantly worse on some task",
                by: "Greff et al. 2015",
                found: format!("{}; {few}", said(&[VANILLA, "lstm-nfg", "lstm-noaf"])),
                holds: of_all(&["lstm-nfg"])
                    .zip(of_all(&["lstm-noaf"]))
                    .map(|(nfg, noaf)| {
                        [nfg, noaf]
                            .iter()
                            .all(|all| all.iter().any(|z| *z > SIGNIFICANT))
                    }),
            },
            Finding {
                claim: "Coupled gates, or none of the peepholes, do not make it significantly worse",
                by: "Greff et al. 2015",
                found: format!("{}; {few}", said(&[VANILLA, "lstm-cifg", "lstm-np"])),
                holds: of_all(&["lstm-cifg", "lstm-np"])
                    .map(|all| all.iter().all(|z| *z < SIGNIFICANT)),
            },
            Finding {
                claim: "The learning rate matters most of all settings, and more than the cell",
                by: "Greff et al. 2015, by random forests; here by least squares",
                found: shares.clone(),
                holds: share(RATE).map(|rate| {
                    [SIZE, NOISY, CELL]
                        .iter()
                        .all(|other| share(*other) < Some(rate))
                }),
            },
            Finding {
                claim: "Rate and size hardly interact: their product explains less than a twentieth of the variance",
                by: "Greff et al. 2015",
                found: shares,
                holds: share(BOTH).map(|both| both < 0.05),
            },
        ]
    }
}

/// Standard errors that are called significant: there are sixteen comparisons of a cell on a task with the standard one, of which one in
/// twenty is 2 apart by chance, and one in four hundred 3.
const SIGNIFICANT: f64 = 3.0;

/// Strokes of up to so many digits a line, with noise of this deviation on the offsets of what is trained on.
fn made(digits: usize, noise: f64, seed: u64) -> Result<Made> {
    let task = generate::task("strokes")?;
    let mut lines = String::new();
    let examples = task.examples(EXAMPLES + HELD_OUT, DATA, Some(digits))?;
    let examples = examples.filter(|line| !line.is_empty());
    for (n, line) in (0..).zip(examples) {
        let unread = |e| Error::internal(format!("strokes: {e}"));
        let mut example: Value = serde_json::from_str(&line).map_err(unread)?;
        if digits > 1 {
            // Which digits they are is asked of one alone.
            example
                .as_object_mut()
                .and_then(|example| example.remove("text"));
        }
        if n < EXAMPLES {
            let mut stream = Stream::new(seed, Purpose::Lab, NOISE_STREAMS + n);
            let points = example["points"].as_array_mut().into_iter().flatten();
            for point in points {
                for offset in point.as_array_mut().into_iter().flatten().take(2) {
                    *offset = json!(offset.as_f64().unwrap_or(0.0) + noise * stream.normal());
                }
            }
        }
        lines += &format!("{example}\n");
    }
    Ok(Made {
        text: lines,
        ending: task.ending,
        symbols: None,
    })
}

/// Every trial with its rank among those of its task, from 0 for the best to 1 for the worst.
fn ranked(measured: &[Measured]) -> Vec<(&Measured, f64)> {
    let mut all = Vec::new();
    for task in TASKS {
        let mut own: Vec<(&Measured, f64)> = measured
            .iter()
            .filter(|m| m.text("task") == task)
            .map(|m| (m, m.number("nats").unwrap_or(f64::INFINITY)))
            .collect();
        own.sort_by(|a, b| a.1.total_cmp(&b.1));
        let most = own.len().saturating_sub(1).max(1) as f64;
        let ranks = own.iter().enumerate();
        all.extend(ranks.map(|(n, (m, _))| (*m, n as f64 / most)));
    }
    all
}

/// The same ranks less what the linear model says of rate, size and noise: what is left for the cell to explain. Nothing, of
/// too few trials.
fn adjusted<'a>(ranked: &[(&'a Measured, f64)]) -> Vec<(&'a Measured, f64)> {
    let left = left(&rows(ranked), |term| GROUPS[term] != CELL).unwrap_or_default();
    ranked.iter().map(|(m, _)| *m).zip(left).collect()
}

/// A mean and its standard error.
struct Spread {
    mean: f64,
    error: f64,
}

/// The ranks of a cell on a task; none where there are no two.
fn spread(ranked: &[(&Measured, f64)], task: &str, cell: &str) -> Option<Spread> {
    let own = ranked
        .iter()
        .filter(|(m, _)| m.text("task") == task && m.text("cell") == cell);
    let ranks: Vec<f64> = own.map(|(_, rank)| *rank).collect();
    let count = ranks.len() as f64;
    if ranks.len() < 2 {
        return None;
    }
    let mean = ranks.iter().sum::<f64>() / count;
    let squares: f64 = ranks.iter().map(|rank| (rank - mean).powi(2)).sum();
    Some(Spread {
        mean,
        error: (squares / (count - 1.0) / count).sqrt(),
    })
}

/// What the terms of the linear model belong to.
const RATE: usize = 0;
const SIZE: usize = 1;
const NOISY: usize = 2;
const BOTH: usize = 3;
const CELL: usize = 4;
const GROUPS: [usize; 6 + CELLS.len() - 1] = {
    let mut groups = [CELL; 6 + CELLS.len() - 1];
    groups[0] = RATE;
    groups[1] = RATE;
    groups[2] = SIZE;
    groups[3] = SIZE;
    groups[4] = NOISY;
    groups[5] = BOTH;
    groups
};

/// The trials as rows of the linear model.
fn rows(ranked: &[(&Measured, f64)]) -> Vec<Row> {
    let scaled = |name: &str, by: fn(f64) -> f64| -> Vec<f64> {
        let all: Vec<f64> = ranked
            .iter()
            .map(|(m, _)| by(m.number(name).unwrap_or(f64::NAN)))
            .collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let squares: f64 = all.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = (squares / all.len() as f64).sqrt();
        all.iter().map(|x| (x - mean) / deviation).collect()
    };
    let (rate, size) = (scaled("lr", f64::ln), scaled("hidden", f64::ln));
    let noise = scaled("noise", |x| x);
    let row = |(n, (m, rank)): (usize, &(&Measured, f64))| {
        let (rate, size, noise) = (rate[n], size[n], noise[n]);
        let mut terms = vec![rate, rate * rate, size, size * size, noise, rate * size];
        let cells = CELLS[1..].iter();
        terms.extend(cells.map(|cell| f64::from(u8::from(m.text("cell") == *cell))));
        Row {
            terms,
            number: *rank,
        }
    };
    ranked.iter().enumerate().map(row).collect()
}

/// Equal ratios of a number.
struct Bins {
    least: f64,
    most: f64,
    count: usize,
}

impl Bins {
    /// So many over what was measured.
    fn of(ranked: &[(&Measured, f64)], name: &str, count: usize) -> Option<Bins> {
        let all: Vec<f64> = ranked.iter().filter_map(|(m, _)| m.number(name)).collect();
        let bins = Bins {
            least: all.iter().copied().min_by(f64::total_cmp)?,
            most: all.iter().copied().max_by(f64::total_cmp)?,
            count,
        };
        (bins.most > bins.least).then_some(bins)
    }

    /// The one that a number is in.
    fn place(&self, x: Option<f64>) -> Option<usize> {
        let share = (x? / self.least).ln() / (self.most / self.least).ln();
        Some(((share * self.count as f64) as usize).min(self.count - 1))
    }

    /// Between what each is.
    fn names(&self) -> Vec<String> {
        let end = |n: usize| {
            let share = n as f64 / self.count as f64;
            let x = self.least * (self.most / self.least).powf(share);
            match x < 1.0 {
                true => format!("{x:.1e}"),
                false => format!("{x:.0}"),
            }
        };
        (0..self.count)
            .map(|n| format!("{} to {}", end(n), end(n + 1)))
            .collect()
    }
}
