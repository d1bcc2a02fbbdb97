//! `ranking`: cells of as many learned numbers, each at its best learning rate, on a text.

use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, text,
    text_model, whole,
};
use crate::cell::library;
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::train::Settings;

/// The experiment.
pub struct Ranking;

/// A name, the built-in cell, and the start of its forget gate's bias.
const CELLS: [(&str, &str, Option<f64>); 5] = [
    (RNN, "rnn", None),
    (LEAKY, "rnn-leaky", None),
    (UNBIASED, "lstm", Some(0.0)),
    (LSTM, "lstm", Some(1.0)),
    (GRU, "gru", None),
];
const RNN: &str = "rnn";
const LEAKY: &str = "leaky rnn";
const UNBIASED: &str = "lstm, forget bias 0";
const LSTM: &str = "lstm, forget bias 1";
const GRU: &str = "gru";

const RATES: [f64; 4] = [0.0025, 0.005, 0.01, 0.02];

impl Experiment for Ranking {
    fn name(&self) -> &'static str {
        "ranking"
    }

    fn about(&self) -> &'static str {
        "Which cell says the next character best, with as many learned numbers and its own best learning rate?"
    }

    fn method(&self) -> &'static str {
        "One layer over the characters of the built-in corpus, trained with Adam at four learning rates; the hidden size is the largest at \
         which the layer over an embedding of the same width has no more learned numbers than the gru's. A cell counts with the least loss \
         of 20,000 held-out characters over its rates: the mean over the seeds at each, then the best of them."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (seeds, characters, updates, hidden) = match size {
            Size::Quick => (2, 100_000, 2400, 32),
            Size::Full => (5, 2_000_000, 10_000, 128),
        };
        let mut base = text_model::point(characters, updates);
        base.insert("hidden_of_gru".into(), json!(hidden));
        let cells = CELLS.map(|(name, ..)| name);
        crossed(
            base.into(),
            &[
                ("seed", super::seeds(seed, seeds)),
                ("lr", json!(RATES)),
                ("cell", json!(cells)),
            ],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let name = text(point, "cell")?;
        let known = CELLS.iter().find(|cell| cell.0 == name);
        let (_, cell, forget_bias) =
            known.ok_or_else(|| Error::internal(format!("no cell {name}")))?;
        let of_gru = whole(point, "hidden_of_gru")? as usize;
        let budget = library::builtin("gru")?.parameters(of_gru, of_gru);
        let cell = library::builtin(cell)?;
        let hidden = text_model::hidden_of(&cell, budget);
        let settings = Settings {
            hidden,
            embed: hidden,
            lr: super::number(point, "lr")?,
            forget_bias: *forget_bias,
            ..Settings::default()
        };
        let mut found = text_model::learned(device, point, cell, settings)?;
        found.insert("hidden".into(), json!(hidden));
        Ok(found)
    }

    fn columns(&self) -> &'static [&'static str] {
        &["cell", "lr", "seed", "hidden", "training", "nats", "floor"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = CELLS.map(|(name, ..)| Series {
            name: name.into(),
            points: RATES
                .iter()
                .filter_map(|lr| Some((*lr, mean(measured, name, *lr)?)))
                .collect(),
        });
        Plot {
            title: "Loss of held-out characters by learning rate, at equal numbers of parameters"
                .into(),
            across: "learning rate".into(),
            up: "nats a character".into(),
            across_scale: Scale::Log,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let best: Vec<(&str, Option<f64>)> = CELLS
            .iter()
            .map(|(name, ..)| (*name, best(measured, name)))
            .collect();
        let of = |wanted: &str| best.iter().find(|b| b.0 == wanted).and_then(|b| b.1);
        let said: Vec<String> = best
            .iter()
            .map(|(name, nats)| match nats {
                Some(nats) => format!("{name} {nats:.3}"),
                None => format!("{name} diverged"),
            })
            .collect();
        let floor = measured.iter().find_map(|m| m.number("floor"));
        let floor = floor.map_or(String::new(), |floor| {
            format!("; no model is below {floor:.3}")
        });
        let found = format!(
            "nats a character at the best rate: {}{floor}",
            said.join(", ")
        );
        let below = |a: &str, b: &str| of(a).zip(of(b)).map(|(a, b)| a < b);
        let all_below = |names: &[&str], other: &str| -> Option<bool> {
            let all: Option<Vec<bool>> = names.iter().map(|name| below(name, other)).collect();
            all.map(|all| all.into_iter().all(|yes| yes))
        };
        vec![
            Finding {
                claim: "Gated cells do better than a plain tanh network",
                by: "Chung, Gulcehre, Cho, Bengio 2014; Jozefowicz, Zaremba, Sutskever 2015",
                found: found.clone(),
                holds: all_below(&[LSTM, GRU], RNN),
            },
            Finding {
                claim: "A leak alone does better than none",
                by: "Jaeger, Lukosevicius, Popovici, Siewert 2007, of echo state networks",
                found: found.clone(),
                holds: below(LEAKY, RNN),
            },
            Finding {
                claim: "An LSTM with a forget bias of 1 does better than with one of 0",
                by: "Jozefowicz, Zaremba, Sutskever 2015",
                found,
                holds: below(LSTM, UNBIASED),
            },
        ]
    }
}

/// The mean over the seeds of the least loss of a cell at a rate; none where one diverged.
fn mean(measured: &[Measured], name: &str, lr: f64) -> Option<f64> {
    super::mean(measured, "nats", |m| {
        m.text("cell") == name && m.number("lr") == Some(lr)
    })
}

/// The best of these over the rates.
fn best(measured: &[Measured], name: &str) -> Option<f64> {
    let all = RATES.iter().filter_map(|lr| mean(measured, name, *lr));
    all.min_by(f64::total_cmp)
}
