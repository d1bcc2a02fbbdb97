//! `regularise`: what noise and norms do to the losses of a text that is too short for its model.

use std::sync::Arc;

use pollster::block_on;
use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, run, text,
    text_model, whole,
};
use crate::cell::library;
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::{Dims, Mode};
use crate::task::Inputs;
use crate::train::Settings;

/// The experiment.
pub struct Regularise;

const NONE: &str = "none";
const OUTPUTS: &str = "dropout on outputs";
const LOCKED: &str = "dropout, one mask for all steps";
const RECURRENT: &str = "dropout of what is written to c";
const ZONEOUT: &str = "zoneout";
const STABLE: &str = "norm stabiliser";
const NORMALISED: &str = "layer normalisation";
const WAYS: [&str; 7] = [
    NONE, OUTPUTS, LOCKED, RECURRENT, ZONEOUT, STABLE, NORMALISED,
];

/// The learning rate, and how much of each kind of noise or penalty there is.
const RATE: f64 = 0.01;
const DROPPED: f64 = 0.3;
const ZONED: f64 = 0.1;
const STABILISED: f64 = 50.0;
/// Pieces of what was held out in which the lengths of h are looked at, and steps of each before and while they are.
const PIECES: usize = 16;
const WARM_UP: usize = 32;
const LOOKED_AT: usize = 200;

impl Experiment for Regularise {
    fn name(&self) -> &'static str {
        "regularise"
    }

    fn about(&self) -> &'static str {
        "What do dropout, zoneout, a norm stabiliser and layer normalisation do to the loss of what was held out?"
    }

    fn method(&self) -> &'static str {
        "An LSTM over few characters of the built-in corpus, many times over, with Adam at 0.01: so long that without noise the loss of what \
         was held out rises again. Dropout is 0.3, zoneout 0.1 for both states, the norm stabiliser's weight 50, the best of 0.05, 1, 10, 50 and 200 on the same held-out text; layer normalisation is the \
         cell lstm-ln. The loss of training is that of its last tenth, with its noise. After the last update 16 pieces of what was held out are read, and the lengths \
         of h looked at over 200 steps: their deviation over their mean, of each piece, and of these the mean."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (seeds, characters, updates, hidden) = match size {
            Size::Quick => (2, 8_000, 2400, 48),
            Size::Full => (5, 100_000, 10_000, 256),
        };
        let mut base = text_model::point(characters, updates);
        base.insert("hidden".into(), json!(hidden));
        base.insert("lr".into(), json!(RATE));
        crossed(
            base.into(),
            &[("seed", super::seeds(seed, seeds)), ("way", json!(WAYS))],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let way = text(point, "way")?;
        let mut settings = Settings {
            hidden: whole(point, "hidden")? as usize,
            lr: super::number(point, "lr")?,
            ..Settings::default()
        };
        match way {
            NONE | NORMALISED => {}
            OUTPUTS => settings.dropout = DROPPED,
            LOCKED => {
                settings.dropout = DROPPED;
                settings.dropout_locked = true;
            }
            RECURRENT => settings.dropout_recurrent = DROPPED,
            ZONEOUT => {
                settings.zoneout = ZONED;
                settings.zoneout_memory = ZONED;
            }
            STABLE => settings.norm_stabilizer = STABILISED,
            other => return Err(Error::internal(format!("no way {other}"))),
        }
        let cell = match way {
            NORMALISED => "lstm-ln",
            _ => "lstm",
        };
        let (trained, made) =
            text_model::of_corpus(device, point, library::builtin(cell)?, settings)?;
        let mut found = text_model::figures(&trained, &made);
        if !trained.course.diverged {
            found.insert("spread".into(), json!(spread(device, &trained)?));
        }
        Ok(found)
    }

    fn columns(&self) -> &'static [&'static str] {
        &["way", "seed", "training", "nats", "last", "floor", "spread"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = WAYS.map(|way| Series {
            name: way.into(),
            points: curve(measured, way),
        });
        Plot {
            title: "Loss of held-out characters over training".into(),
            across: "updates".into(),
            up: "nats a character".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let of = |way: &str, what: &str| mean(measured, way, what);
        let said = |ways: &[&str]| {
            let all = ways.iter().map(|way| {
                match (of(way, "nats"), of(way, "last"), of(way, "training")) {
                    (Some(least), Some(last), Some(training)) => {
                        format!("{way}: least {least:.3}, last {last:.3}, training {training:.3}")
                    }
                    _ => format!("{way}: diverged"),
                }
            });
            format!("nats a character: {}", all.collect::<Vec<_>>().join("; "))
        };
        let below = |way: &str, what: &str| of(way, what).zip(of(NONE, what)).map(|(a, b)| a < b);
        let first = |way: &str| curve(measured, way).first().map(|point| point.1);
        let early = |way: &str| first(way).map_or("diverged".into(), |nats| format!("{nats:.3}"));
        vec![
            Finding {
                claim: "Without noise the loss of what was held out rises while that of training falls",
                by: "taught of every model that is too large for its data",
                found: said(&[NONE]),
                holds: of(NONE, "nats")
                    .zip(of(NONE, "last"))
                    .map(|(least, last)| last > 1.02 * least),
            },
            Finding {
                claim: "Dropout on connections that do not recur lowers the least loss of what was held out",
                by: "Zaremba, Sutskever, Vinyals 2014",
                found: said(&[NONE, OUTPUTS]),
                holds: below(OUTPUTS, "nats"),
            },
            Finding {
                claim: "The same mask at all steps does so too",
                by: "Gal and Ghahramani 2016",
                found: said(&[NONE, LOCKED]),
                holds: below(LOCKED, "nats"),
            },
            Finding {
                claim: "Dropout of what is written to c, or zoneout, does so too",
                by: "Semeniuta, Severyn, Barth 2016; Krueger et al. 2016",
                found: said(&[NONE, RECURRENT, ZONEOUT]),
                holds: below(RECURRENT, "nats")
                    .zip(below(ZONEOUT, "nats"))
                    .map(|(a, b)| a || b),
            },
            Finding {
                claim: "A penalty on changes of the state's norm does so too",
                by: "Krueger and Memisevic 2015",
                found: said(&[NONE, STABLE]),
                holds: below(STABLE, "nats"),
            },
            Finding {
                claim: "With that penalty the lengths of h stay more alike over time",
                by: "Krueger and Memisevic 2015, section 4",
                found: format!(
                    "deviation of the length over its mean: {}",
                    WAYS.map(|way| {
                        let spread = of(way, "spread");
                        format!("{way} {}", spread.map_or("diverged".into(), run::shown))
                    })
                    .join(", ")
                ),
                holds: below(STABLE, "spread"),
            },
            Finding {
                claim: "With layer normalisation a lower loss is reached in the same first updates",
                by: "Ba, Kiros, Hinton 2016",
                found: format!(
                    "held-out loss at the first look: {NORMALISED} {}, without {}",
                    early(NORMALISED),
                    early(NONE)
                ),
                holds: first(NORMALISED)
                    .zip(first(NONE))
                    .map(|(own, other)| own < other),
            },
        ]
    }
}

/// How much the lengths of h differ over the steps of a piece of what was held out: their deviation over their mean, the mean over
/// the pieces.
fn spread(device: &Device, trained: &text_model::Trained) -> Result<f64> {
    let dims = Dims {
        steps: WARM_UP + LOOKED_AT,
        batch: PIECES,
    };
    let plan = Arc::new(trained.model.plan(dims, Mode::Evaluate)?);
    let states = plan.io.states.first();
    let states = states.ok_or_else(|| Error::internal("a plan without states"))?;
    let piece = trained.held_out.len() / PIECES;
    if piece <= dims.steps {
        return Err(Error::internal("too little was held out"));
    }
    let ids = (0..=dims.steps).flat_map(|t| (0..PIECES).map(move |b| b * piece + t));
    let ids: Vec<u32> = ids.map(|at| trained.held_out[at]).collect();
    let made = block_on(async {
        let parameters = &trained.course.parameters;
        let mut engine = Engine::with_parameters(device, plan.clone(), parameters).await?;
        engine.run(&Inputs::new(&ids).reset(true)).await?;
        engine.read(states.slot).await
    })?;
    // The first state of an LSTM is h.
    let length = |t: usize, b: usize| {
        let h = &states.read(t, &made)[b * states.hidden..][..states.hidden];
        f64::from(h.iter().map(|x| x * x).sum::<f32>()).sqrt()
    };
    let spread = |b: usize| {
        let lengths: Vec<f64> = (WARM_UP + 1..=dims.steps).map(|t| length(t, b)).collect();
        relative_deviation(&lengths)
    };
    Ok((0..PIECES).map(spread).sum::<f64>() / PIECES as f64)
}

/// The standard deviation over the mean.
pub fn relative_deviation(numbers: &[f64]) -> f64 {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    (squares / count).sqrt() / mean
}

/// The mean over the seeds; none where one diverged.
fn mean(measured: &[Measured], way: &str, what: &str) -> Option<f64> {
    super::mean(measured, what, |m| m.text("way") == way)
}

/// The loss of what was held out by updates, of the first seed.
fn curve(measured: &[Measured], way: &str) -> Vec<(f64, f64)> {
    let found = measured.iter().find(|m| m.text("way") == way);
    let found = found.map(|m| m.list("at").into_iter().zip(m.list("curve")).collect());
    found.unwrap_or_default()
}
