//! `exposure`: what a network makes of its own outputs, trained on true ones and by scheduled sampling.
//!
//! Source: Bengio, Vinyals, Jaitly, Shazeer 2015, "Scheduled sampling for sequence prediction with recurrent neural networks".

use std::sync::Arc;

use pollster::block_on;
use serde_json::json;

use super::course::Course;
use super::{
    Experiment, Facts, Finding, Made, Measured, Plot, Point, Scale, Series, Size, crossed, encoded,
    facts, mean, number, run, seeds, text, whole,
};
use crate::cell::library;
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::generate;
use crate::model::text::Model;
use crate::train::settings::TeacherForcingName;
use crate::train::{Choice, FieldEvaluator, Job, Length, Settings, TextLimits, TextWriter, spec};

/// The experiment.
pub struct Exposure;

const MODEL: &str = include_str!("../../benches/models/encoder-decoder.model");
const TASK: &str = "reversal";

const TRUE: &str = "true tokens";
const SCHEDULED: &str = "scheduled sampling";
const WAYS: [&str; 2] = [TRUE, SCHEDULED];

/// The probability of a true token after the last update; it falls from 1 by as much at every one.
const FLOOR: f64 = 0.25;

impl Experiment for Exposure {
    fn name(&self) -> &'static str {
        "exposure"
    }

    fn about(&self) -> &'static str {
        "What is a network worth when it reads its own outputs, and does scheduled sampling help?"
    }

    fn method(&self) -> &'static str {
        "Letters that are to be written backwards (`wgrnn generate reversal`), read and written by an encoder and a decoder of GRUs, with Adam. The \
         decoder is trained on true tokens alone, or by scheduled sampling: an input is a true token with a probability that falls from 1 \
         to 0.25 over the training, else one that the model draws. Held-out letters are then predicted with true tokens before them, and \
         written with the most probable token read next each time: a letter counts where it stands in its place, the end as a letter too."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (count, hidden, examples, length, updates) = match size {
            Size::Quick => (2, 64, 5000, 12, 3000),
            Size::Full => (5, 256, 50_000, 20, 20_000),
        };
        crossed(
            json!({
                "hidden": hidden, "embed": 32, "examples": examples, "held_out": 500, "length": length, "updates": updates,
                "batch": 32, "lr": 0.003, "clip-norm": 1.0, "floor": FLOOR,
            }),
            &[("seed", seeds(seed, count)), ("way", json!(WAYS))],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let whole = |name: &str| whole(point, name);
        let (train, held_out) = (whole("examples")?, whole("held_out")?);
        let (seed, updates) = (whole("seed")?, whole("updates")?);
        let length = whole("length")? as usize;
        let task = generate::task(TASK)?;
        let made = Made {
            text: task.text(train + held_out, seed, Some(length))?,
            ending: task.ending,
            symbols: None,
        };
        let model = Arc::new(Model::parse("encoder-decoder", MODEL)?);
        let data = encoded(&made, &model, train, 1)?;
        let floor = number(point, "floor")?;
        let mut settings = Settings {
            hidden: whole("hidden")? as usize,
            embed: whole("embed")? as usize,
            batch: whole("batch")? as usize,
            lr: number(point, "lr")?,
            clip_norm: number(point, "clip-norm")?,
            seed,
            save_every: u64::MAX,
            eval_every: Some(updates),
            ..Settings::default()
        };
        match text(point, "way")? {
            TRUE => {}
            SCHEDULED => {
                settings.scheduled_sampling = TeacherForcingName::Linear;
                settings.sampling_slope = Some((1.0 - floor) / updates as f64);
                settings.sampling_floor = Some(floor);
            }
            other => return Err(Error::internal(format!("no way {other}"))),
        }
        let model = spec(&settings, vec![library::builtin("gru")?], 0);
        let job = Job::of_fields(settings, model, Length::Steps(updates), &data)?;
        let (spec, state) = (job.spec.clone(), job.start()?);
        let course = Course::follow(device, job, state, None)?;
        let set = data
            .validation
            .ok_or_else(|| Error::internal("nothing held out"))?;
        if course.diverged {
            return Ok(facts(json!({"diverged": 1})));
        }
        let (forced, written) = block_on(async {
            let evaluator = FieldEvaluator::new(&spec, set.clone(), &data.codes)?;
            let parameters = &course.parameters;
            let forced = evaluator
                .with_accuracy()
                .run(device, parameters, &mut |_| Ok(()))
                .await?;
            let limits = TextLimits {
                most: length + 1,
                ..TextLimits::default()
            };
            let give = |_: &_| Ok(parameters.clone());
            let writer = TextWriter::new(device, &spec, set.clone(), &data.codes, give, limits);
            let greedy = Choice {
                temperature: 0.0,
                ..Choice::default()
            };
            Ok::<_, Error>((forced, writer.await?.write(&greedy).await?))
        })?;
        let forced = &forced.losses[0];
        // One text was looked for of every example.
        let written = written.into_iter().flatten();
        let written: Vec<(Vec<u32>, bool)> =
            written.map(|text| (text.tokens, text.ended)).collect();
        let targets = (0..set.len() as u32).map(|example| set.tokens("target", example));
        let (right, complete) = in_place(&targets.collect::<Result<Vec<_>>>()?, &written);
        Ok(facts(json!({
            "nats": forced.nats,
            "forced": forced.right.unwrap_or(0) as f64 / forced.count as f64,
            "free": right as f64 / forced.count as f64,
            "complete": complete as f64 / set.len() as f64,
        })))
    }

    fn columns(&self) -> &'static [&'static str] {
        &["way", "seed", "nats", "forced", "free", "complete"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = WAYS.map(|way| Series {
            name: way.into(),
            points: [("forced", 1.0), ("free", 2.0), ("complete", 3.0)]
                .into_iter()
                .filter_map(|(name, at)| Some((at, of(measured, way, name)?)))
                .collect(),
        });
        Plot {
            title: "Right letters behind true ones (1), behind its own (2), and whole texts (3)"
                .into(),
            across: "what is read, in the order of the title".into(),
            up: "share that is right".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let of = |way: &str, name: &str| of(measured, way, name);
        let said = |ways: &[&str]| {
            let all = ways.iter().map(|way| {
                let shown = |name: &str| of(way, name).map_or("-".into(), run::shown);
                format!(
                    "{way}: {} behind true letters, {} behind its own, whole texts {}, {} nats a letter behind true ones",
                    shown("forced"),
                    shown("free"),
                    shown("complete"),
                    shown("nats")
                )
            });
            format!(
                "share of right letters, {}",
                all.collect::<Vec<_>>().join("; ")
            )
        };
        let pair = |a: (&str, &str), b: (&str, &str)| of(a.0, a.1).zip(of(b.0, b.1));
        vec![
            Finding {
                claim: "A network that was trained on true tokens says fewer letters rightly when it reads its own",
                by: "Bengio, Vinyals, Jaitly, Shazeer 2015",
                found: said(&[TRUE]),
                holds: pair((TRUE, "free"), (TRUE, "forced")).map(|(free, forced)| free < forced),
            },
            Finding {
                claim: "Trained by scheduled sampling it says more of them rightly when it reads its own",
                by: "Bengio, Vinyals, Jaitly, Shazeer 2015",
                found: said(&WAYS),
                holds: pair((SCHEDULED, "free"), (TRUE, "free")).map(|(own, other)| own > other),
            },
            Finding {
                claim: "It pays for that where it reads true ones: its loss there is higher",
                by: "Husz\u{e1}r 2015, as the objective of scheduled sampling does not lead to the distribution of the data",
                found: said(&WAYS),
                holds: pair((SCHEDULED, "nats"), (TRUE, "nats")).map(|(own, other)| own > other),
            },
        ]
    }
}

/// How many tokens of targets, their ends too, stand in their place in texts of which it is said whether they ended, and how many texts
/// are right as a whole.
pub fn in_place(targets: &[Vec<u32>], written: &[(Vec<u32>, bool)]) -> (usize, usize) {
    let (mut right, mut complete) = (0, 0);
    for (target, (tokens, ended)) in targets.iter().zip(written) {
        let places = target.iter().zip(tokens).filter(|(a, b)| a == b).count();
        let ends = *ended && tokens.len() == target.len();
        right += places + usize::from(ends);
        complete += usize::from(ends && places == target.len());
    }
    (right, complete)
}

/// The mean over the seeds of a way.
fn of(measured: &[Measured], way: &str, name: &str) -> Option<f64> {
    mean(measured, name, |m| m.text("way") == way)
}
