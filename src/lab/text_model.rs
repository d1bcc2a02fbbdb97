//! Cells that are trained to say the next character of the built-in corpus.

use serde_json::{Value, json};

use super::course::Course;
use super::{Facts, Point, facts, number, whole};
use crate::cell::Cell;
use crate::data::builtin::{self, Builtin};
use crate::data::{Tokens, VocabKind, Vocabulary};
use crate::error::Result;
use crate::exec::Device;
use crate::model::Spec;
use crate::train::{Job, Length, Settings, spec};

/// Steps of a segment, sequences side by side, the norm that gradients are cut to.
const STEPS: usize = 32;
const BATCH: usize = 16;
const CLIP: f64 = 1.0;

/// What all points have beside a seed, to be read by [`trained`]; `characters` of the corpus are trained on.
pub fn point(characters: u64, updates: u64) -> Facts {
    facts(json!({
        "characters": characters, "held_out": 20_000, "updates": updates, "steps": STEPS, "batch": BATCH,
        "clip-norm": CLIP,
    }))
}

/// The hidden size at which a layer of `cell` over symbols has at most `budget` learned numbers.
pub fn hidden_of(cell: &Cell, budget: usize) -> usize {
    let fits = |hidden: &usize| cell.parameters(*hidden, *hidden) <= budget;
    (1..=budget).take_while(fits).last().unwrap_or(1)
}

/// What came of a training on a text.
pub struct Trained {
    /// The training.
    pub course: Course,
    /// The symbols of the text.
    pub vocabulary: Vocabulary,
    /// The model.
    pub model: Spec,
    /// Characters of the text that were trained on.
    pub characters: usize,
    /// Those that were not.
    pub held_out: Vec<u32>,
}

/// Trains layers of `cell` on `device` and on a text of one byte a character, as a point and `more` say.
///
/// # Errors
/// What the trainer ends with, but for what diverged; internal, for a point of something else.
pub fn trained(
    device: &Device,
    point: &Point,
    made: &str,
    cell: Cell,
    more: Settings,
) -> Result<Trained> {
    let (updates, seed) = (whole(point, "updates")?, whole(point, "seed")?);
    let characters = whole(point, "characters")? as usize;
    let vocabulary = Vocabulary::build(VocabKind::Char, made.as_bytes(), 1)?;
    let tokens = vocabulary.encode(made.as_bytes())?;
    let (train, held_out) = tokens.split_at(characters.min(tokens.len()));
    let settings = Settings {
        seq_len: whole(point, "steps")? as usize,
        batch: whole(point, "batch")? as usize,
        clip_norm: number(point, "clip-norm")?,
        seed,
        save_every: u64::MAX,
        eval_every: Some((updates / 8).max(1)),
        ..more
    };
    let model = spec(&settings, vec![cell], vocabulary.len());
    let job = Job::new(
        settings,
        model.clone(),
        Length::Steps(updates),
        Tokens::from(train.to_vec()),
        Tokens::from(held_out.to_vec()),
    )?;
    let state = job.start()?;
    Ok(Trained {
        course: Course::follow(device, job, state, None)?,
        vocabulary,
        model,
        characters: train.len(),
        held_out: held_out.to_vec(),
    })
}

/// The same on the built-in corpus, which comes with it.
///
/// # Errors
/// As [`trained`].
pub fn of_corpus(
    device: &Device,
    point: &Point,
    cell: Cell,
    more: Settings,
) -> Result<(Trained, Builtin)> {
    let characters = whole(point, "characters")? + whole(point, "held_out")?;
    let made = builtin::generate(1, characters as usize);
    Ok((trained(device, point, &made.text, cell, more)?, made))
}

/// Trains layers of `cell` on the built-in corpus as a point and `more` say, and says what [`figures`] does.
///
/// # Errors
/// As [`trained`].
pub fn learned(device: &Device, point: &Point, cell: Cell, more: Settings) -> Result<Facts> {
    let (trained, made) = of_corpus(device, point, cell, more)?;
    Ok(figures(&trained, &made))
}

/// What a training on the built-in corpus came to: the loss of its last tenth, the longest gradient, the least loss of what was held out,
/// and that loss by updates. What diverged has no loss.
pub fn figures(trained: &Trained, made: &Builtin) -> Facts {
    let course = &trained.course;
    if course.diverged {
        return facts(json!({"diverged": 1}));
    }
    let updates = course.figures.last().map_or(0, |figures| figures.step);
    let late = updates - updates.div_ceil(10);
    let losses = course.figures.iter().filter(|figures| figures.step > late);
    let losses: Vec<f64> = losses.map(|figures| figures.loss).collect();
    let curve: Vec<(u64, f64)> = course.curve.iter().map(|(at, e)| (*at, e.nats)).collect();
    let floor = made.floor(trained.characters..made.text.len());
    facts(json!({
        "training": losses.iter().sum::<f64>() / losses.len().max(1) as f64,
        "norm": course.figures.iter().map(|figures| figures.norm).fold(0.0, f64::max),
        "nats": course.least(),
        "last": curve.last().map(|c| c.1),
        "floor": floor,
        "at": curve.iter().map(|c| c.0).collect::<Vec<u64>>(),
        "curve": Value::from(curve.iter().map(|c| c.1).collect::<Vec<f64>>()),
    }))
}
