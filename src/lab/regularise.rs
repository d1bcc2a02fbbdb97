//! `regularise`: what noise and norms do to the losses of a text that is too short for its model.

use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, text,
    text_model, whole,
};
use crate::cell::library;
use crate::error::{Error, Result};
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
const STABILISED: f64 = 0.05;

impl Experiment for Regularise {
    fn name(&self) -> &'static str {
        "regularise"
    }

    fn about(&self) -> &'static str {
        "What do dropout, zoneout, a norm stabiliser and layer normalisation do to the loss of what was held out?"
    }

    fn method(&self) -> &'static str {
        "An LSTM over few characters of the built-in corpus, many times over, with Adam at 0.01: so long that without noise the loss of what \
         was held out rises again. Dropout is 0.3, zoneout 0.1 for both states, the norm stabiliser's weight 0.05; layer normalisation is the \
         cell lstm-ln. The loss of training is that of its last tenth, with its noise."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (seeds, characters, updates, hidden) = match size {
            Size::Quick => (1, 8_000, 640, 48),
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

    fn measure(&self, point: &Point) -> Result<Facts> {
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
        text_model::learned(point, library::builtin(cell)?, settings)
    }

    fn columns(&self) -> &'static [&'static str] {
        &["way", "seed", "training", "nats", "last", "floor"]
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
