//! `variants`: the LSTM with peepholes and eight others, each of which lacks or adds one thing.
//!
//! Source: Greff, Srivastava, Koutnik, Steunebrink, Schmidhuber 2015, "LSTM: a search space odyssey".

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::course::Course;
use super::own_files::TaskData;
use super::trials::{self, CELLS};
use super::{
    Experiment, Facts, Finding, HeatMap, Made, Measured, Plot, Point, Size, encoded, facts, number,
    text, whole,
};
use crate::cell::library;
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::generate;
use crate::model::text::Model;
use crate::rng::{Purpose, Stream};
use crate::train::settings::BestBy;
use crate::train::{Job, Length, Settings, spec};

/// The experiment, on tasks of a user's own files, or where there are none on two that are made up.
#[derive(Debug)]
pub struct Variants<'a> {
    /// The tasks of files.
    pub given: &'a [TaskData],
}

/// The one on what is made up.
pub const MADE_UP: Variants<'static> = Variants { given: &[] };

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

impl Experiment for Variants<'_> {
    fn name(&self) -> &'static str {
        "variants"
    }

    fn about(&self) -> &'static str {
        "Which part of an LSTM matters, and which of its settings?"
    }

    fn method(&self) -> &'static str {
        match self.given {
            [] => METHOD,
            _ => METHOD_OF_FILES,
        }
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let tasks = match self.given {
            [] => TASKS.map(|task| facts(json!({"task": task}))).to_vec(),
            given => {
                let files = given
                    .iter()
                    .map(|task| format!("{}={}", task.name, task.about));
                let files = json!(files.collect::<Vec<_>>().join("; "));
                let with_files = |task: &TaskData| {
                    let mut all = task.facts(size);
                    // Of all tasks, as a run has all or is another.
                    all.insert("files".into(), files.clone());
                    all
                };
                given.iter().map(with_files).collect()
            }
        };
        let (trials, updates, sizes) = match size {
            // Fewer of more tasks, so that it stays quick.
            Size::Quick => ((16 / tasks.len() as u64).clamp(2, 8), 120, (4.0, 32.0)),
            Size::Full => (200, 3000, (16.0, 128.0)),
        };
        let mut all = Vec::new();
        for trial in 0..trials {
            for task in &tasks {
                for cell in CELLS {
                    let mut stream = Stream::new(seed, Purpose::Lab, all.len() as u64);
                    let mut between = |(least, most): (f64, f64)| {
                        least + (most - least) * f64::from(stream.uniform())
                    };
                    let mut by_log =
                        |(least, most): (f64, f64)| between((least.ln(), most.ln())).exp();
                    let (lr, hidden) = (by_log(RATES), by_log(sizes));
                    let mut point = facts(json!({
                        "cell": cell, "trial": trial, "seed": seed + trial, "updates": updates,
                        // Four digits are enough, and the same in a file.
                        "lr": (lr * 1e6).round() / 1e6, "hidden": hidden.round() as u64,
                        "noise": (between(NOISE) * 1e4).round() / 1e4,
                    }));
                    point.extend(task.clone());
                    all.push(point);
                }
            }
        }
        all
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let job = self.job(point)?;
        let state = job.start()?;
        let least = Course::follow(device, job, state, None)?.least();
        Ok(facts(match least.is_finite() {
            true => json!({"nats": least}),
            false => json!({"diverged": 1}),
        }))
    }

    fn columns(&self) -> &'static [&'static str] {
        &["task", "cell", "trial", "lr", "hidden", "noise", "nats"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        trials::plot(measured)
    }

    fn heat(&self, measured: &[Measured]) -> Option<HeatMap> {
        trials::heat(measured)
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        trials::findings(measured)
    }
}

impl Variants<'_> {
    /// A task's examples.
    fn task(&self, name: &str) -> Result<Cow<'_, TaskData>> {
        match self.given.iter().find(|task| task.name == name) {
            Some(task) => Ok(Cow::Borrowed(task)),
            None => made_up(name).map(Cow::Owned),
        }
    }

    /// The training at a point.
    fn job(&self, point: &Point) -> Result<Job> {
        let (task, updates) = (self.task(text(point, "task")?)?, whole(point, "updates")?);
        let seed = whole(point, "seed")?;
        let made = noisy(&task, point)?;
        let data = encoded(&made, &task.model, examples(&task, point), 1)?;
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
        Job::of_fields(settings, model, Length::Steps(updates), &data)
    }

    /// Whether the first trial of every task of files can be trained: what its model asks of them beyond their form.
    ///
    /// # Errors
    /// What would end that training before it begins, with the task's name.
    pub fn check_files(&self) -> Result<()> {
        for task in self.given {
            let mut points = self.points(Size::Quick, 1).into_iter();
            let point = points.find(|point| point["task"] == task.name.as_str());
            let begun = self.job(&Point(point.unwrap_or_default()));
            begun.map_err(|e| {
                Error::new(
                    e.kind,
                    format!("{}: {}: {}", task.name, task.about, e.message),
                )
            })?;
        }
        Ok(())
    }
}

/// How trials on what is made up are measured, for the page.
const METHOD: &str = "The LSTM with peepholes and the eight variants of the paper on two tasks that `wgrnn generate strokes` makes up: where the pen goes \
         next (a mixture's density), and which digit it wrote. For every trial the learning rate of Adam (1e-4 to 0.1) and the hidden size are \
         drawn by their logarithms, and the deviation of normal noise on the offsets that are trained on (0 to 0.3; a digit is 1 high). A trial counts \
         by the least loss of held-out examples without noise: its rank among all of its task, from 0 for the best to 1 for the worst, which \
         what diverged has. A linear model of the ranks, with squares of rate and size, their product, the noise and a term a cell, \
         says how much of the variance each of these explains; cells are compared by their ranks less what rate, size and noise say of them. The paper's own data, TIMIT, IAM-OnDB and JSB chorales, are not part of this program: whoever has them gives them as files.";

/// The same of trials on files.
const METHOD_OF_FILES: &str = "The LSTM with peepholes and the eight variants of the paper, in the models that the settings name and on the files \
    beside them, one task each. Numbers are standardised by what is trained on, column by column, but for columns of 0 and 1; --quick takes \
    at most 2,000 examples to train on and 300 that are held out. For every trial the learning rate of Adam (1e-4 to 0.1) and the hidden size \
    are drawn by their logarithms, and the deviation of normal noise on the standardised numbers that are trained on (0 to 0.3; notes and classes have none). A trial \
    counts by the least loss of held-out examples without noise: its rank among all of its task, from 0 for the best to 1 for the \
    worst, which what diverged has. A linear model of the ranks, with squares of rate and size, their product, the noise and a \
    term a cell, says how much of the variance each of these explains; cells are compared by their ranks less what rate, size and noise say of them.";

/// How many examples of a task a point trains on.
fn examples(task: &TaskData, point: &Point) -> u64 {
    whole(point, "examples").unwrap_or(task.train.len() as u64)
}

/// Strokes of up to so many digits a line.
fn made_up(name: &str) -> Result<TaskData> {
    let (digits, model) = match name {
        PEN => (2, Model::parse(PEN, PEN_MODEL)?),
        DIGIT => (1, Model::parse(DIGIT, DIGIT_MODEL)?),
        other => return Err(Error::internal(format!("no task {other}"))),
    };
    let task = generate::task("strokes")?;
    let lines = task.examples(EXAMPLES + HELD_OUT, DATA, Some(digits))?;
    let unread = |e| Error::internal(format!("strokes: {e}"));
    let lines = lines.filter(|line| !line.is_empty());
    let examples = lines.map(|line| {
        let mut example: Facts = serde_json::from_str(&line).map_err(unread)?;
        if digits > 1 {
            // Which digits they are is asked of one alone.
            example.remove("text");
        }
        Ok(example)
    });
    let mut train = examples.collect::<Result<Vec<Facts>>>()?;
    let held_out = train.split_off(EXAMPLES as usize);
    Ok(TaskData {
        name: name.into(),
        about: String::new(),
        model: Arc::new(model),
        train,
        held_out,
        // The offsets; whether the pen lifts is 0 or 1.
        numbers: vec![("points".into(), vec![true, true, false])],
    })
}

/// A task's examples as a point has them, those that are trained on first and with noise on their numbers.
fn noisy(task: &TaskData, point: &Point) -> Result<Made> {
    let (noise, seed) = (number(point, "noise")?, whole(point, "seed")?);
    let held_out = whole(point, "held_out").unwrap_or(task.held_out.len() as u64);
    let mut lines = String::new();
    let train = task.train.iter().take(examples(task, point) as usize);
    for (n, example) in (0..).zip(train) {
        let mut example = example.clone();
        let mut stream = Stream::new(seed, Purpose::Lab, NOISE_STREAMS + n);
        for (field, columns) in &task.numbers {
            let steps = example.get_mut(field).and_then(Value::as_array_mut);
            for step in steps.into_iter().flatten() {
                let numbers = step.as_array_mut().into_iter().flatten().zip(columns);
                for (number, _) in numbers.filter(|(_, noisy)| **noisy) {
                    *number = json!(number.as_f64().unwrap_or(0.0) + noise * stream.normal());
                }
            }
        }
        lines += &format!("{}\n", Value::Object(example));
    }
    for example in task.held_out.iter().take(held_out as usize) {
        lines += &format!("{}\n", json!(example));
    }
    Ok(Made {
        text: lines,
        ending: "jsonl",
        symbols: None,
    })
}
