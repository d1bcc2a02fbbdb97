//! `memorise`: how many bits a learned number keeps.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;

use super::course::Course;
use super::{
    Experiment, Facts, Finding, Made, Measured, Plot, Point, Scale, Series, Size, crossed, encoded,
    facts, mean, number, run, seeds, text, whole,
};
use crate::cell::library;
use crate::error::Result;
use crate::exec::Device;
use crate::generate::Draw;
use crate::model::text::Model;
use crate::train::settings::{BestBy, ScheduleName};
use crate::train::{Job, Length, Settings, spec};

/// The experiment.
pub struct Memorise;

const MODEL: &str = include_str!("../../assets/models/classify.model");
const CELLS: [&str; 3] = ["rnn", "gru", "lstm"];
/// Labels of every learned number.
const LOADS: [f64; 4] = [1.0, 2.0, 4.0, 6.0];
/// Letters of an example, and those that they are of.
const STEPS: usize = 5;
const LETTERS: &str = "abcdefghijklmnop";
const CLASSES: usize = 2;
const BATCH: u64 = 256;
const RATE: f64 = 0.02;

impl Experiment for Memorise {
    fn name(&self) -> &'static str {
        "memorise"
    }

    fn about(&self) -> &'static str {
        "How many bits does a learned number keep?"
    }

    fn method(&self) -> &'static str {
        "Different sequences of five random letters of sixteen get one of two labels at random, and are trained on in minibatches of 256, with \
         Adam from 0.02 down to 0 by a cosine, by cells of the largest hidden size at which all learned numbers are no more than those of the \
         settings. Of N labels the share p is right at the end: N (1 - H(p)) bits are kept, H(p) being the entropy of a coin that falls so. The \
         capacity of a cell is the most of these bits over the numbers of labels, for each learned number."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (count, numbers, updates) = match size {
            Size::Quick => (1, 300, 4000),
            Size::Full => (3, 2000, 100_000),
        };
        // The most labels first: they take longest to look at.
        let loads: Vec<&f64> = LOADS.iter().rev().collect();
        crossed(
            json!({"numbers": numbers, "updates": updates, "batch": BATCH, "lr": RATE, "steps": STEPS}),
            &[
                ("load", json!(loads)),
                ("cell", json!(CELLS)),
                ("seed", seeds(seed, count)),
            ],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let cell = library::builtin(text(point, "cell")?)?;
        let most = whole(point, "numbers")? as usize;
        let seed = whole(point, "seed")?;
        let labels = (most as f64 * number(point, "load")?) as u64;
        let steps = whole(point, "steps")? as usize;
        let model = Arc::new(Model::parse("classify", MODEL)?);
        let mut data = encoded(&made(seed, labels, steps), &model, labels, 1)?;
        data.validation = Some(data.train.clone());
        let letters = data.codes.values("text").unwrap_or(LETTERS.len());
        let of = |hidden: usize| cell.parameters(letters, hidden) + CLASSES * (hidden + 1);
        let hidden = (1..=most).take_while(|hidden| of(*hidden) <= most).last();
        let settings = Settings {
            hidden: hidden.unwrap_or(1),
            batch: whole(point, "batch")? as usize,
            lr: number(point, "lr")?,
            schedule: ScheduleName::Cosine,
            clip_norm: 1.0,
            best_by: Some(BestBy::Accuracy),
            seed,
            save_every: u64::MAX,
            eval_every: Some(u64::MAX),
            ..Settings::default()
        };
        let hidden = settings.hidden;
        let model = spec(&settings, vec![cell], 0);
        let updates = Length::Steps(whole(point, "updates")?);
        let job = Job::of_fields(settings, model, updates, &data)?;
        let numbers = job.plan.parameters.iter();
        let numbers: usize = numbers.map(|p| p.matrix.rows * p.matrix.cols).sum();
        let state = job.start()?;
        let course = Course::follow(device, job, state, None)?;
        let right = course.curve.last().and_then(|(_, e)| e.metric);
        let right = right.map_or(0.5, |metric| metric.value);
        let bits = labels as f64 * (1.0 - entropy(right));
        Ok(facts(json!({
            "hidden": hidden, "learned_numbers": numbers, "labels": labels, "right": right, "bits": bits,
            "bits_a_number": bits / numbers as f64,
        })))
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "cell",
            "load",
            "seed",
            "hidden",
            "learned_numbers",
            "labels",
            "right",
            "bits_a_number",
        ]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = CELLS.map(|cell| Series {
            name: cell.into(),
            points: LOADS
                .iter()
                .filter_map(|load| Some((*load, kept(measured, cell, *load)?)))
                .collect(),
        });
        Plot {
            title: "Bits that a learned number keeps, by labels that it is shown".into(),
            across: "labels for each learned number".into(),
            up: "bits for each learned number".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let best = |cell: &str| {
            let all = LOADS.iter().filter_map(|load| kept(measured, cell, *load));
            all.max_by(f64::total_cmp)
        };
        let all: Option<Vec<f64>> = CELLS.iter().map(|cell| best(cell)).collect();
        let said =
            CELLS.map(|cell| format!("{cell} {}", best(cell).map_or("-".into(), run::shown)));
        let found = format!(
            "bits for each learned number, at most: {}; every training has so many updates, and more of them keep more",
            said.join(", ")
        );
        let least = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = |all: &[f64]| all.iter().copied().fold(0.0, f64::max);
        vec![
            Finding {
                claim: "A learned number keeps about five bits",
                by: "Collins, Sohl-Dickstein, Sussillo 2016, section 2.1, after trainings whose settings were tuned by thousands",
                found: found.clone(),
                holds: all
                    .as_ref()
                    .map(|all| least(all) >= 4.0 && most(all) <= 6.0),
            },
            Finding {
                claim: "Cells differ little in that: none keeps less than four fifths of what the best one does",
                by: "Collins, Sohl-Dickstein, Sussillo 2016",
                found,
                holds: all.as_ref().map(|all| least(all) >= 0.8 * most(all)),
            },
        ]
    }
}

/// So many different sequences of letters, each with a label.
fn made(seed: u64, labels: u64, steps: usize) -> Made {
    let mut known = HashSet::new();
    let mut lines = String::new();
    let mut n = 0;
    while (known.len() as u64) < labels {
        let mut draw = Draw::new(seed, n);
        n += 1;
        let letters = draw.letters(LETTERS, steps);
        let label = draw.letter("01");
        if known.insert(letters.clone()) {
            lines += &format!("{label}\t{letters}\n");
        }
    }
    Made {
        text: lines,
        ending: "tsv",
        symbols: None,
    }
}

/// The entropy in bits of a coin that falls on one side with probability `p`.
pub fn entropy(p: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    part(p) + part(1.0 - p)
}

/// The mean over the seeds of the bits for each learned number.
fn kept(measured: &[Measured], cell: &str, load: f64) -> Option<f64> {
    mean(measured, "bits_a_number", |m| {
        m.text("cell") == cell && m.number("load") == Some(load)
    })
}
