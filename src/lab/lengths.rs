//! Success over length: cells are trained on a task of `generate` at several lengths, and what is left of a guess's loss
//! says whether they learned it.

use std::sync::Arc;

use serde_json::json;
use toml::{Table, Value};

use super::course::Course;
use super::{
    Experiment, Facts, Finding, Made, Measured, Plot, Point, Scale, Series, Size, crossed, encoded,
    facts, number, seeds, streamed, text, whole,
};
use crate::cell::{Cell, library};
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::generate;
use crate::model::text::Model;
use crate::train::settings::{LANGUAGE, resolve};
use crate::train::{Job, Length, Settings, spec};

/// A cell with a start.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What it is called.
    pub name: &'static str,
    /// The built-in cell.
    pub cell: &'static str,
    /// Settings of its start beside those of all, by the length.
    pub start: fn(usize) -> Option<(&'static str, Value)>,
}

/// A cell as it starts by itself.
pub const fn plain(name: &'static str, cell: &'static str) -> Variant {
    Variant {
        name,
        cell,
        start: |_| None,
    }
}

/// The cells that experiments compare.
pub const VARIANTS: [Variant; 10] = [
    plain(RNN, "rnn"),
    Variant {
        name: PENALISED,
        cell: "rnn",
        start: |_| Some(("propagation-penalty", PENALTY.into())),
    },
    Variant {
        name: ORTHOGONAL,
        cell: "rnn",
        start: |_| Some(("init", "orthogonal".into())),
    },
    Variant {
        name: IDENTITY,
        cell: "rnn-relu",
        start: |_| Some(("init", "identity".into())),
    },
    plain(LEAKY, "rnn-leaky"),
    plain(FIRST, "lstm-97"),
    Variant {
        name: UNBIASED,
        cell: "lstm",
        start: |_| Some(("forget-bias", 0.0.into())),
    },
    Variant {
        name: LSTM,
        cell: "lstm",
        start: |_| Some(("forget-bias", 1.0.into())),
    },
    Variant {
        name: CHRONO,
        cell: "lstm",
        // Chrono has no shorter span than three steps.
        start: |length| Some(("chrono", (length.max(3) as f64).into())),
    },
    plain(GRU, "gru"),
];

/// Names that findings speak of.
pub const RNN: &str = "rnn";
pub const PENALISED: &str = "rnn, propagation penalty";
pub const ORTHOGONAL: &str = "rnn, orthogonal";
pub const IDENTITY: &str = "relu rnn, identity";
pub const LEAKY: &str = "leaky rnn";
pub const FIRST: &str = "lstm of 1997";
pub const UNBIASED: &str = "lstm, forget bias 0";
pub const GRU: &str = "gru";
pub const LSTM: &str = "lstm, forget bias 1";
pub const CHRONO: &str = "lstm, chrono T";

/// An experiment of this kind.
pub struct Lengths {
    /// The task, by which it is called.
    pub task: &'static str,
    /// The question.
    pub about: &'static str,
    /// The text of the model.
    pub model: &'static str,
    /// What is measured quickly.
    pub quick: Extent,
    /// What is measured else.
    pub full: Extent,
    /// What follows.
    pub findings: fn(&[Measured]) -> Vec<Finding>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The lengths, rising.
    pub lengths: &'static [usize],
    /// Seeds of each.
    pub seeds: u64,
    /// H.
    pub hidden: usize,
    /// Updates at most.
    pub updates: u64,
}

/// What is measured where an experiment says nothing else.
pub const QUICK: Extent = Extent {
    lengths: &[10, 30, 60],
    seeds: 1,
    hidden: 32,
    updates: 1500,
};
pub const FULL: Extent = Extent {
    lengths: &[10, 30, 60, 100, 200],
    seeds: 3,
    hidden: 64,
    updates: 10_000,
};

impl Experiment for Lengths {
    fn name(&self) -> &'static str {
        self.task
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn method(&self) -> &'static str {
        METHOD
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let extent = match size {
            Size::Quick => &self.quick,
            Size::Full => &self.full,
        };
        points(self.task, extent, seed)
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        match text(point, "variant")? {
            PENALISED => penalised(device, point),
            _ => learned(device, job(self.model, point)?, point),
        }
    }

    fn check(&self, point: &Point) -> Result<()> {
        let (cells, more) = variant(point)?;
        match text(point, "variant")? {
            PENALISED => settings(LANGUAGE, &cells, more, point),
            _ => settings(&model_file(point)?, &cells, more, point),
        }
        .map(|_| ())
    }

    fn columns(&self) -> &'static [&'static str] {
        &["variant", "length", "seed", "solved", "updates", "left"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        plot(self.task, measured)
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        (self.findings)(measured)
    }
}

/// Examples that are trained on, and those that are not; examples of a minibatch.
const EXAMPLES: u64 = 5000;
const HELD_OUT: u64 = 500;
const BATCH: u64 = 32;
/// Updates from one look at the others to the next.
const EVERY: u64 = 100;
/// The learning rate of Adam, the norm that gradients are cut to, and the width of embeddings.
const RATE: f64 = 0.005;
const CLIP: f64 = 1.0;
const EMBED: u64 = 8;
/// A task is learned where no more is left of a guess's loss.
const SOLVED: f64 = 0.1;
/// The weight of the mean over all steps of (|dE/dh_t dh_t/dh_{t-1}| / |dE/dh_t| - 1)^2.
const PENALTY: f64 = 1.0;

/// How points are measured, for the pages.
const METHOD: &str = "5,000 examples of `wgrnn generate` are trained on in minibatches of 32 with Adam at 0.005, gradients cut to \
    a norm of 1, and 500 others are measured every 100 updates. A cell has learned the task when a tenth of the loss is left that \
    a guess without a memory pays; training ends then, or after as many updates as the settings say. `rnn, propagation penalty` has beside \
    the loss, with a weight of 1, the penalty of Pascanu, Mikolov, Bengio 2013 on changes of the gradient's length from step to step. The engine \
    has it for streams, not where sequences are packed, as those of its models with labels are: here they lie side by side, filled up to the \
    longest, their examples drawn with replacement, and one softmax is over letters and labels alike. `adding`, whose steps are numbers, is without it.";

/// The points of a task; `seed` is the first.
pub fn points(task: &str, extent: &Extent, seed: u64) -> Vec<Facts> {
    // Long sequences take longest: they come first, so that no core waits for one at the end.
    let lengths: Vec<&usize> = extent.lengths.iter().rev().collect();
    let variants = VARIANTS.iter().map(|variant| variant.name);
    // The penalty is for sequences of symbols.
    let variants: Vec<&str> = variants
        .filter(|name| *name != PENALISED || task != "adding")
        .collect();
    crossed(
        json!({
            "task": task, "hidden": extent.hidden, "embed": EMBED, "lr": RATE, "clip-norm": CLIP, "batch": BATCH,
            "examples": EXAMPLES, "held_out": HELD_OUT, "eval-every": EVERY, "most_updates": extent.updates,
            "solved_at": SOLVED,
        }),
        &[
            ("length", json!(lengths)),
            ("variant", json!(variants)),
            ("seed", seeds(seed, extent.seeds)),
        ],
    )
}

/// What a guess that remembers nothing pays for a prediction of an example of `length`.
pub fn guess(task: &str, length: usize) -> Result<f64> {
    Ok(match task {
        "latch" => 2f64.ln(),
        "temporal-order" => 4f64.ln(),
        // The variance of the sum of two uniform numbers.
        "adding" => 1.0 / 6.0,
        "copy" => 10.0 * 8f64.ln() / (length + 20) as f64,
        "gap" => 8f64.ln(),
        "first" => 16f64.ln(),
        other => return Err(Error::internal(format!("no guess is known of {other}"))),
    })
}

/// Trains `job` until a point says that its task is learned, or it is over.
///
/// # Errors
/// What the trainer ends with; internal, for a point of something else.
pub fn learned(device: &Device, job: Job, point: &Point) -> Result<Facts> {
    let state = job.start()?;
    let (updates, nats) = Course::follow(device, job, state, Some(enough(point)?))?.last();
    outcome(point, updates, nats)
}

/// The loss at which the task of a point is learned.
fn enough(point: &Point) -> Result<f64> {
    let guess = guess(text(point, "task")?, whole(point, "length")? as usize)?;
    Ok(number(point, "solved_at")? * guess)
}

/// What is said of a training that ended after so many updates with such a loss of what was held out.
fn outcome(point: &Point, updates: u64, nats: f64) -> Result<Facts> {
    let enough = enough(point)?;
    let solved = nats <= enough;
    let updates = match solved {
        true => updates,
        false => whole(point, "most_updates")?,
    };
    let left = nats / enough * number(point, "solved_at")?;
    Ok(facts(
        json!({"solved": u8::from(solved), "updates": updates, "left": left}),
    ))
}

/// The same as [`learned`] of a network that has the penalty on its gradient's way back.
fn penalised(device: &Device, point: &Point) -> Result<Facts> {
    let (mut cells, more) = variant(point)?;
    let settings = settings(LANGUAGE, &cells, more, point)?;
    let examples = streamed::labelled(&made(point)?);
    let (updates, nats) = streamed::learned(
        device,
        &examples,
        whole(point, "examples")? as usize,
        cells.remove(0),
        &settings,
        whole(point, "most_updates")?,
        enough(point)?,
    )?;
    outcome(point, updates, nats)
}

/// The training at a point, of a model with this text.
///
/// # Errors
/// Internal, for a point of something else.
pub fn job(model: &str, point: &Point) -> Result<Job> {
    let (cells, more) = variant(point)?;
    job_with(model, cells, more, point)
}

/// A setting's name and its value.
type Setting = (&'static str, Value);

/// The cell of a point's variant, and the settings of its start.
fn variant(point: &Point) -> Result<(Vec<Cell>, Vec<Setting>)> {
    let name = text(point, "variant")?;
    let variant = VARIANTS.iter().find(|variant| variant.name == name);
    let variant = variant.ok_or_else(|| Error::internal(format!("no variant {name}")))?;
    let start = (variant.start)(whole(point, "length")? as usize);
    let cells = vec![library::builtin(variant.cell)?];
    Ok((cells, start.into_iter().collect()))
}

/// The same of these cells, one for all layers or one for each, with more settings.
///
/// # Errors
/// As [`job`].
pub fn job_with(
    model: &str,
    cells: Vec<Cell>,
    more: Vec<(&str, Value)>,
    point: &Point,
) -> Result<Job> {
    let settings = settings(&model_file(point)?, &cells, more, point)?;
    let model = Arc::new(Model::parse(text(point, "task")?, model)?);
    let train = whole(point, "examples")?;
    let data = encoded(&made(point)?, &model, train, settings.horizon)?;
    let spec = spec(&settings, cells, 0);
    let steps = Length::Steps(whole(point, "most_updates")?);
    Job::of_fields(settings, spec, steps, &data)
}

/// The ending of tasks that are lines of words: what is asked is the last word of each.
const TEXT: &str = "txt";

/// The examples of a point: those that are trained on, and behind them those that are held out, where the point says so only of the
/// longest, whose text in the last column has `held_out_least` letters.
///
/// # Errors
/// Internal, for a point of something else.
pub fn made(point: &Point) -> Result<Made> {
    let task = generate::task(text(point, "task")?)?;
    let (seed, length) = (whole(point, "seed")?, whole(point, "length")? as usize);
    let (train, held_out) = (whole(point, "examples")?, whole(point, "held_out")?);
    let least = point.0.get(HELD_OUT_LEAST).and_then(|x| x.as_u64());
    let mut examples = task.examples(u64::MAX, seed, Some(length))?;
    // The header comes before the first of them.
    let mut made: String = examples.by_ref().take(1 + train as usize).collect();
    let long = |example: &String| {
        let letters = example.trim_end().rsplit('\t').next().map_or(0, str::len);
        least.is_none_or(|least| letters as u64 >= least)
    };
    made.extend(examples.filter(long).take(held_out as usize));
    Ok(match task.ending {
        TEXT => Made::last_words(&made),
        ending => Made {
            symbols: None,
            ending,
            text: made,
        },
    })
}

/// A point's setting that keeps short examples out of those that are held out.
pub const HELD_OUT_LEAST: &str = "held_out_least";

/// What settings call the model of a point's task.
fn model_file(point: &Point) -> Result<String> {
    Ok(format!("{}.model", text(point, "task")?))
}

/// The settings of the training at a point, of a model of this name, these cells and with `more`.
fn settings(
    model: &str,
    cells: &[Cell],
    more: Vec<(&str, Value)>,
    point: &Point,
) -> Result<Settings> {
    let names: Vec<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
    let mut flags = Table::from_iter([
        ("save-every".into(), Value::Integer(i64::MAX)),
        ("cell".into(), names.join(",").into()),
        ("model".into(), model.into()),
    ]);
    if model != LANGUAGE {
        flags.insert("best-by".into(), "loss".into());
    }
    for name in ["hidden", "embed", "batch", "eval-every", "seed"] {
        flags.insert(name.into(), Value::Integer(whole(point, name)? as i64));
    }
    for name in ["lr", "clip-norm"] {
        flags.insert(name.into(), Value::Float(number(point, name)?));
    }
    for (name, value) in more {
        flags.insert(name.into(), value);
    }
    resolve(None, flags, &names)
}

/// The mean of `name` over the seeds of a variant at a length.
pub fn mean(measured: &[Measured], variant: &str, length: f64, name: &str) -> Option<f64> {
    mean_at(measured, variant, ("length", length), name)
}

/// The mean of `name` over the seeds of a variant where another number is what it should be.
pub fn mean_at(
    measured: &[Measured],
    variant: &str,
    (which, value): (&str, f64),
    name: &str,
) -> Option<f64> {
    super::mean(measured, name, |m| {
        m.text("variant") == variant && m.number(which) == Some(value)
    })
}

/// The values of a number that were measured, rising.
pub fn values(measured: &[Measured], name: &str) -> Vec<f64> {
    let mut all: Vec<f64> = measured.iter().filter_map(|m| m.number(name)).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

/// The lengths that were measured, rising.
pub fn lengths(measured: &[Measured]) -> Vec<f64> {
    values(measured, "length")
}

/// What is left of a guess's loss, by length, a line a variant.
fn plot(task: &str, measured: &[Measured]) -> Plot {
    let lengths = lengths(measured);
    let series = VARIANTS.iter().map(|variant| Series {
        name: variant.name.into(),
        points: lengths
            .iter()
            .filter_map(|length| Some((*length, mean(measured, variant.name, *length, "left")?)))
            .collect(),
    });
    Plot {
        title: format!("{task}: what is left of a guess's loss, by length"),
        across: "length".into(),
        up: "share of the loss of a guess".into(),
        across_scale: Scale::Linear,
        up_scale: Scale::Linear,
        series: series.collect(),
    }
}

/// For each of these variants the share of seeds that learned the task at each length, in words.
pub fn success(measured: &[Measured], variants: &[&str]) -> String {
    let lengths = lengths(measured);
    let of = |variant: &&str| {
        let shares = lengths.iter().filter_map(|length| {
            let share = mean(measured, variant, *length, "solved")?;
            Some(format!("T {length}: {:.0}%", 100.0 * share))
        });
        format!("{variant} {}", shares.collect::<Vec<_>>().join(", "))
    };
    let updates = values(measured, "most_updates");
    let updates = updates.last().map_or("-".into(), f64::to_string);
    let shares: Vec<String> = variants.iter().map(of).collect();
    format!(
        "seeds that learned it within {updates} updates: {}",
        shares.join("; ")
    )
}

/// The longest length that a variant learned with every seed; 0 where it learned none.
fn reach(measured: &[Measured], variant: &str) -> f64 {
    let learned = |length: &f64| mean(measured, variant, *length, "solved") == Some(1.0);
    lengths(measured)
        .into_iter()
        .filter(learned)
        .fold(0.0, f64::max)
}

/// Whether `own` reaches further than `other`. Where both learned the longest that was measured, or neither learned any, nothing is
/// decided.
fn further(measured: &[Measured], own: f64, other: f64) -> Option<bool> {
    let longest = lengths(measured).last().copied()?;
    let decided = own.min(other) < longest && own.max(other) > 0.0;
    decided.then_some(own > other)
}

/// Whether some gated cell learned a task at greater lengths than a plain tanh network.
pub fn gates_reach_further(
    measured: &[Measured],
    claim: &'static str,
    by: &'static str,
) -> Vec<Finding> {
    let gated = [LSTM, CHRONO, GRU].map(|variant| reach(measured, variant));
    let furthest = gated.into_iter().fold(0.0, f64::max);
    vec![Finding {
        claim,
        by,
        found: success(measured, &VARIANTS.map(|variant| variant.name)),
        holds: further(measured, furthest, reach(measured, RNN)),
    }]
}

/// Whether the first of two variants learned a task at greater lengths than the second.
pub fn reaches_further(
    measured: &[Measured],
    variants: [&str; 2],
    claim: &'static str,
    by: &'static str,
) -> Finding {
    let [own, other] = variants.map(|variant| reach(measured, variant));
    Finding {
        claim,
        by,
        found: success(measured, &variants),
        holds: further(measured, own, other),
    }
}

/// Whether a tanh network does so with the penalty on changes of the gradient's length.
pub fn penalty_reaches_further(measured: &[Measured]) -> Finding {
    reaches_further(
        measured,
        [PENALISED, RNN],
        "A penalty on changes of the gradient's length lets a plain tanh network bridge more steps",
        "Pascanu, Mikolov, Bengio 2013, sections 3.3 and 4.1",
    )
}
