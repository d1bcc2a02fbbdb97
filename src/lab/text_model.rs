//! Cells that are trained to say the next character of the built-in corpus.

use pollster::block_on;
use serde_json::{Value, json};

use super::{Facts, Point, facts, number, whole};
use crate::cell::Cell;
use crate::data::{Tokens, VocabKind, Vocabulary, builtin};
use crate::error::{Kind, Result};
use crate::exec::Device;
use crate::train::{Event, Job, Length, Settings, Trainer, spec};

/// Steps of a segment, sequences side by side, the norm that gradients are cut to.
const STEPS: usize = 32;
const BATCH: usize = 16;
const CLIP: f64 = 1.0;

/// What all points have, to be read by [`learned`]; `characters` of the corpus are trained on.
pub fn point(characters: u64, updates: u64, seed: u64) -> Facts {
    facts(json!({
        "characters": characters, "held_out": 20_000, "updates": updates, "seed": seed, "steps": STEPS, "batch": BATCH,
        "clip-norm": CLIP,
    }))
}

/// The hidden size at which a layer of `cell` over symbols has at most `budget` learned numbers.
pub fn hidden_of(cell: &Cell, budget: usize) -> usize {
    let fits = |hidden: &usize| cell.parameters(*hidden, *hidden) <= budget;
    (1..=budget).take_while(fits).last().unwrap_or(1)
}

/// Trains layers of `cell` as a point and `more` say: the loss of the training's last tenth, the least loss of what was held out, and
/// that loss by updates. What diverged has no loss.
///
/// # Errors
/// What the trainer ends with; internal, for a point of something else.
pub fn learned(point: &Point, cell: Cell, more: Settings) -> Result<Facts> {
    let (updates, seed) = (whole(point, "updates")?, whole(point, "seed")?);
    let (train, held_out) = (whole(point, "characters")?, whole(point, "held_out")?);
    let made = builtin::generate(1, (train + held_out) as usize);
    let vocabulary = Vocabulary::build(VocabKind::Char, made.text.as_bytes(), 1)?;
    let tokens = vocabulary.encode(made.text.as_bytes())?;
    let (train, held_out) = tokens.split_at(train as usize);
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
        model,
        Length::Steps(updates),
        Tokens::from(train.to_vec()),
        Tokens::from(held_out.to_vec()),
    )?;
    let state = job.start()?;
    let late = updates - updates.div_ceil(10);
    let (mut losses, mut curve) = (Vec::new(), Vec::new());
    let diverged = block_on(async {
        let mut trainer = Trainer::new(Device::Cpu, job, state).await?;
        loop {
            match trainer.next(0.0, false).await {
                Ok(Event::Steps(steps)) => {
                    losses.extend(steps.iter().filter(|s| s.step > late).map(|s| s.loss));
                }
                Ok(Event::Evaluated {
                    step, evaluation, ..
                }) => curve.push((step, evaluation.nats)),
                Ok(Event::Finished) => return Ok(false),
                Ok(_) => {}
                Err(e) if e.kind == Kind::Diverged => return Ok(true),
                Err(e) => return Err(e),
            }
        }
    })?;
    if diverged {
        return Ok(facts(json!({"diverged": 1})));
    }
    let least = curve.iter().map(|c| c.1).fold(f64::INFINITY, f64::min);
    let floor = made.floor(train.len()..tokens.len());
    Ok(facts(json!({
        "training": losses.iter().sum::<f64>() / losses.len().max(1) as f64,
        "nats": least,
        "last": curve.last().map(|c| c.1),
        "floor": floor,
        "at": curve.iter().map(|c| c.0).collect::<Vec<u64>>(),
        "curve": Value::from(curve.iter().map(|c| c.1).collect::<Vec<f64>>()),
    })))
}
