//! `clipping`: what a bound on the gradient's norm does to training at large learning rates.

use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, mean, number,
    run, seeds, text, text_model, whole,
};
use crate::cell::library;
use crate::error::Result;
use crate::exec::Device;
use crate::train::Settings;
use crate::train::settings::OptimizerName;

/// The experiment.
pub struct Clipping;

const CELLS: [&str; 2] = ["rnn", "lstm"];
/// Norms that gradients are cut to; 0 is none.
const NORMS: [f64; 3] = [0.0, 1.0, 0.25];
const RATES: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];

impl Experiment for Clipping {
    fn name(&self) -> &'static str {
        "clipping"
    }

    fn about(&self) -> &'static str {
        "What does a bound on the gradient's norm do at large learning rates?"
    }

    fn method(&self) -> &'static str {
        "One layer over the characters of the built-in corpus, trained by plain gradient descent at rising learning rates, with gradients as \
         they are and cut to a norm of 1 or of 0.25. What counts is the loss of 20,000 held-out characters after the last update, and the largest norm \
         of a gradient before it was cut. What diverged has no loss: a loss or a gradient was not finite, or the loss beyond belief."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (count, characters, updates, hidden) = match size {
            Size::Quick => (1, 100_000, 300, 32),
            Size::Full => (5, 2_000_000, 5000, 128),
        };
        let mut base = text_model::point(characters, updates);
        base.insert("hidden".into(), json!(hidden));
        crossed(
            base.into(),
            &[
                ("seed", seeds(seed, count)),
                ("lr", json!(RATES)),
                ("clip-norm", json!(NORMS)),
                ("cell", json!(CELLS)),
            ],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let hidden = whole(point, "hidden")? as usize;
        let settings = Settings {
            hidden,
            embed: hidden,
            lr: number(point, "lr")?,
            optimizer: OptimizerName::Sgd,
            ..Settings::default()
        };
        let cell = library::builtin(text(point, "cell")?)?;
        text_model::learned(device, point, cell, settings)
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "cell",
            "clip-norm",
            "lr",
            "seed",
            "norm",
            "training",
            "last",
        ]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = CELLS.iter().flat_map(|cell| {
            NORMS.map(|norm| Series {
                name: match norm {
                    0.0 => format!("{cell}, as they are"),
                    norm => format!("{cell}, cut to {norm}"),
                },
                points: RATES
                    .iter()
                    .filter_map(|lr| Some((*lr, last(measured, cell, norm, *lr)?)))
                    .collect(),
            })
        });
        Plot {
            title: "Loss of held-out characters by learning rate; what diverged is left out".into(),
            across: "learning rate of plain gradient descent".into(),
            up: "nats a character".into(),
            across_scale: Scale::Log,
            up_scale: Scale::Linear,
            series: series.collect(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let said = |cell: &str| {
            let all = NORMS.map(|norm| {
                let at = RATES.iter().map(|lr| {
                    let nats = last(measured, cell, norm, *lr);
                    format!("{lr}: {}", nats.map_or("diverged".into(), run::shown))
                });
                format!("cut to {norm} {}", at.collect::<Vec<_>>().join(", "))
            });
            format!("{cell}: {}", all.join("; ")).replace("cut to 0 ", "as they are ")
        };
        // The largest rate whose loss is no worse than a tenth above the best of all.
        let usable = |cell: &str, norm: f64| -> Option<f64> {
            let all = || {
                RATES
                    .iter()
                    .map(|lr| (*lr, last(measured, cell, norm, *lr)))
            };
            let best = NORMS
                .iter()
                .flat_map(|norm| RATES.map(|lr| last(measured, cell, *norm, lr)))
                .flatten()
                .min_by(f64::total_cmp)?;
            let good = all().filter(|(_, nats)| nats.is_some_and(|nats| nats <= 1.1 * best));
            Some(good.map(|(lr, _)| lr).fold(0.0, f64::max))
        };
        let further = |cell: &str| {
            let plain = usable(cell, NORMS[0])?;
            let cut = NORMS[1..].iter().filter_map(|norm| usable(cell, *norm));
            Some(cut.fold(0.0, f64::max) > plain)
        };
        let norm = |cell: &str| {
            let all = measured.iter().filter(|m| m.text("cell") == cell);
            let all = all.filter_map(|m| m.number("norm"));
            run::shown(all.fold(0.0, f64::max))
        };
        let finding = |claim, by, cell: &str| Finding {
            claim,
            by,
            found: format!(
                "nats a character by rate: {}; the longest gradient of a training that did not diverge: {}",
                said(cell),
                norm(cell)
            ),
            holds: further(cell),
        };
        vec![
            finding(
                "A tanh network whose gradients are cut learns at rates at which it does not without",
                "Mikolov 2012; Pascanu, Mikolov, Bengio 2013, section 3.2",
                CELLS[0],
            ),
            finding(
                "So does an LSTM, whose gradients explode too",
                "Graves 2013; Sutskever, Vinyals, Le 2014, section 3.4",
                CELLS[1],
            ),
        ]
    }
}

/// The mean over the seeds of the last loss; none where one diverged.
fn last(measured: &[Measured], cell: &str, norm: f64, lr: f64) -> Option<f64> {
    mean(measured, "last", |m| {
        m.text("cell") == cell && m.number("clip-norm") == Some(norm) && m.number("lr") == Some(lr)
    })
}
