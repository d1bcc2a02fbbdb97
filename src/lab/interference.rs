//! `interference`: one symbol kept over T others of its kind, each cell at its own best learning rate.

use serde_json::json;

use super::lengths::{self, Extent, GRU, LSTM, RNN};
use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, mean, run,
};
use crate::error::Result;

/// The experiment.
pub struct Interference;

const MODEL: &str = include_str!("../../assets/models/classify.model");
const TASK: &str = "first";
const CELLS: [&str; 3] = [RNN, LSTM, GRU];
const RATES: [f64; 3] = [0.005, 0.01, 0.02];
const LENGTHS: &[usize] = &[100];

impl Experiment for Interference {
    fn name(&self) -> &'static str {
        "interference"
    }

    fn about(&self) -> &'static str {
        "Which cell keeps its first symbol over up to 100 others of its kind?"
    }

    fn method(&self) -> &'static str {
        "The class is the first of 1 to 100 letters, all drawn from the same eight (`wgrnn generate first`): unlike in `latch` the noise cannot be \
         told from what is to be kept by what it is, only by when it comes; and as lengths differ, gradients reach the first symbol of short \
         sequences. Cells are trained as in the experiments by length, at three learning rates each, of which its best counts: the one at which most seeds \
         learned it. Of two or four letters in place of eight a plain tanh network at its best rate keeps the first, too."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let extent = match size {
            Size::Quick => Extent {
                lengths: LENGTHS,
                seeds: 1,
                hidden: 32,
                updates: 3000,
            },
            Size::Full => Extent {
                lengths: LENGTHS,
                seeds: 5,
                hidden: 64,
                updates: 20_000,
            },
        };
        let points = lengths::points(TASK, &extent, seed).into_iter();
        let wanted = |point: &Facts| CELLS.iter().any(|cell| point["variant"] == *cell);
        let rates = [("lr", json!(RATES))];
        points
            .filter(wanted)
            .flat_map(|point| crossed(point.into(), &rates))
            .collect()
    }

    fn measure(&self, point: &Point) -> Result<Facts> {
        lengths::learned(lengths::job(MODEL, point)?, point)
    }

    fn columns(&self) -> &'static [&'static str] {
        &["variant", "lr", "seed", "solved", "updates", "left"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = CELLS.map(|cell| Series {
            name: cell.into(),
            points: RATES
                .iter()
                .filter_map(|lr| Some((*lr, of(measured, cell, *lr, "left")?)))
                .collect(),
        });
        Plot {
            title: "What is left of a guess's loss, by learning rate".into(),
            across: "learning rate".into(),
            up: "share of the loss of a guess".into(),
            across_scale: Scale::Log,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let best = |cell: &str| {
            let all = RATES
                .iter()
                .filter_map(|lr| of(measured, cell, *lr, "solved"));
            all.max_by(f64::total_cmp)
        };
        let said = |cell: &&str| {
            let all = RATES.iter().filter_map(|lr| {
                let (share, updates) = (
                    of(measured, cell, *lr, "solved")?,
                    of(measured, cell, *lr, "updates")?,
                );
                Some(format!(
                    "{lr}: {:.0}%, {}",
                    100.0 * share,
                    run::shown(updates)
                ))
            });
            format!("{cell} {}", all.collect::<Vec<_>>().join("; "))
        };
        let most = lengths::values(measured, "most_updates");
        let most = most.last().map_or("-".into(), f64::to_string);
        let found = |cells: &[&str]| {
            let all: Vec<String> = cells.iter().map(said).collect();
            format!(
                "seeds that learned it within {most} updates, and updates, by learning rate: {}",
                all.join(" | ")
            )
        };
        vec![
            Finding {
                claim: "A plain tanh network does not learn to keep the symbol, at any of the rates",
                by: "Bengio, Simard, Frasconi 1994, of their own latch",
                found: found(&[RNN]),
                holds: best(RNN).map(|share| share == 0.0),
            },
            Finding {
                claim: "An LSTM with a forget bias of 1 learns to keep it at its best rate",
                by: "Hochreiter and Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000",
                found: found(&[LSTM, GRU]),
                holds: best(LSTM).map(|share| share == 1.0),
            },
        ]
    }
}

/// The mean of a number over the seeds of a cell at a rate.
fn of(measured: &[Measured], cell: &str, lr: f64, name: &str) -> Option<f64> {
    mean(measured, name, |m| {
        m.text("variant") == cell && m.number("lr") == Some(lr)
    })
}
