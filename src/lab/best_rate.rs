//! Cells on a task of `generate` at one length, each at its own best learning rate of a few that are the same for all.

use serde_json::json;

use super::lengths::{self, Extent, LSTM, RNN};
use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, mean, run,
};
use crate::error::Result;
use crate::exec::Device;

/// An experiment of this kind.
pub struct BestRate {
    /// The name.
    pub name: &'static str,
    /// The question.
    pub about: &'static str,
    /// How it is measured.
    pub method: &'static str,
    /// The task.
    pub task: &'static str,
    /// The text of the model.
    pub model: &'static str,
    /// Of the variants of [`lengths`]: a tanh network, an LSTM with a forget bias of 1, and others.
    pub cells: &'static [&'static str],
    /// The learning rates.
    pub rates: &'static [f64],
    /// What is measured quickly, at one length, and else.
    pub quick: Extent,
    /// What is measured else.
    pub full: Extent,
    /// Examples that are trained on.
    pub examples: u64,
    /// Whether what is held out is of the longest examples alone, where they differ.
    pub longest: bool,
    /// Who said that a plain tanh network does not learn it.
    pub plain_by: &'static str,
    /// Who said that an LSTM does.
    pub gated_by: &'static str,
}

impl BestRate {
    /// Of the rates of a cell the largest share of seeds that learned the task.
    fn best(&self, measured: &[Measured], cell: &str) -> Option<f64> {
        let all = self.rates.iter();
        let all = all.filter_map(|lr| of(measured, cell, *lr, "solved"));
        all.max_by(f64::total_cmp)
    }

    /// Shares and updates of these cells by rate, in words.
    fn said(&self, measured: &[Measured], cells: &[&str]) -> String {
        let of_cell = |cell: &&str| {
            let all = self.rates.iter().filter_map(|lr| {
                let of = |name| of(measured, cell, *lr, name);
                let (share, updates) = (of("solved")?, of("updates")?);
                let left = of("left").map_or("-".into(), run::shown);
                Some(format!(
                    "{lr}: {:.0}%, {}, {left}",
                    100.0 * share,
                    run::shown(updates)
                ))
            });
            format!("{cell} {}", all.collect::<Vec<_>>().join("; "))
        };
        let most = lengths::values(measured, "most_updates");
        let most = most.last().map_or("-".into(), f64::to_string);
        let all: Vec<String> = cells.iter().map(of_cell).collect();
        format!(
            "seeds that learned it within {most} updates, updates, and what was left of a guess's loss, by learning rate: {}",
            all.join(" | ")
        )
    }
}

impl Experiment for BestRate {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn method(&self) -> &'static str {
        self.method
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let extent = match size {
            Size::Quick => &self.quick,
            Size::Full => &self.full,
        };
        let points = lengths::points(self.task, extent, seed).into_iter();
        let wanted = |point: &Facts| self.cells.iter().any(|cell| point["variant"] == *cell);
        let own = |mut point: Facts| {
            point.insert("examples".into(), json!(self.examples));
            if self.longest {
                point.insert(lengths::HELD_OUT_LEAST.into(), point["length"].clone());
            }
            point
        };
        let rates = [("lr", json!(self.rates))];
        points
            .filter(wanted)
            .map(own)
            .flat_map(|point| crossed(point.into(), &rates))
            .collect()
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        lengths::learned(device, lengths::job(self.model, point)?, point)
    }

    fn columns(&self) -> &'static [&'static str] {
        &["variant", "lr", "seed", "solved", "updates", "left"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = self.cells.iter().map(|cell| Series {
            name: (*cell).into(),
            points: self
                .rates
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
            series: series.collect(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let others = self.cells.iter().copied().filter(|cell| *cell != RNN);
        vec![
            Finding {
                claim: "A plain tanh network does not learn it over 100 steps, at any of the rates",
                by: self.plain_by,
                found: self.said(measured, &[RNN]),
                holds: self.best(measured, RNN).map(|share| share == 0.0),
            },
            Finding {
                claim: "An LSTM with a forget bias of 1 learns it over 100 steps, at its best rate",
                by: self.gated_by,
                found: self.said(measured, &others.collect::<Vec<_>>()),
                holds: self.best(measured, LSTM).map(|share| share == 1.0),
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
