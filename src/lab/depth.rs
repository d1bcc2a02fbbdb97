//! `depth`: layers above a recurrent one, plain, with residual connections, and as highways.

use serde_json::json;
use toml::Value;

use super::lengths::{self, Extent};
use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, text, whole,
};
use crate::cell::{Cell, library};
use crate::error::{Error, Result};
use crate::exec::Device;

/// The experiment.
pub struct Depth;

const MODEL: &str = include_str!("../../assets/models/classify.model");
const TASK: &str = "temporal-order";

const PLAIN: &str = "plain";
const RESIDUAL: &str = "residual";
const HIGHWAY: &str = "highway";
const KINDS: [&str; 3] = [PLAIN, RESIDUAL, HIGHWAY];

/// A feed-forward layer.
const LAYER: &str = "state h\nh = tanh(linear(x))\n";

impl Experiment for Depth {
    fn name(&self) -> &'static str {
        "depth"
    }

    fn about(&self) -> &'static str {
        "Does a deep network still learn, plain, residual, as a highway?"
    }

    fn method(&self) -> &'static str {
        "A GRU, and above it layers without a memory: tanh, tanh with what comes in added to what goes out, highways. \
         All are trained on temporal-order as the experiments by length are: 5,000 examples, minibatches of 32, Adam at 0.005, \
         gradients cut to a norm of 1, until a tenth of a guess's loss is left on 500 others or the updates are over."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (updates, seeds, depths): (u64, u64, &[u64]) = match size {
            Size::Quick => (600, 1, &[1, 2, 4, 8]),
            Size::Full => (5000, 5, &[1, 2, 4, 8, 16, 32]),
        };
        let extent = Extent {
            lengths: &[10],
            seeds,
            hidden: 16,
            updates,
        };
        let of_gru = lengths::points(TASK, &extent, seed).into_iter();
        let of_gru = of_gru.filter(|point| point.get("variant") == Some(&json!(lengths::GRU)));
        let depths: Vec<&u64> = depths.iter().rev().collect();
        let lists = [("layers", json!(depths)), ("variant", json!(KINDS))];
        of_gru
            .flat_map(|point| crossed(point.into(), &lists))
            .collect()
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let layers = whole(point, "layers")?;
        let kind = text(point, "variant")?;
        let layer = match kind {
            PLAIN | RESIDUAL => Cell::parse("tanh", LAYER)?,
            HIGHWAY => library::builtin("highway")?,
            other => return Err(Error::internal(format!("no kind {other}"))),
        };
        let mut cells = vec![library::builtin("gru")?];
        cells.extend((1..=layers).map(|_| layer.clone()));
        let more = vec![
            ("layers", Value::Integer(layers as i64 + 1)),
            ("residual", Value::Boolean(kind == RESIDUAL)),
        ];
        lengths::learned(device, lengths::job_with(MODEL, cells, more, point)?, point)
    }

    fn columns(&self) -> &'static [&'static str] {
        &["variant", "layers", "seed", "solved", "updates", "left"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = KINDS.map(|kind| Series {
            name: kind.into(),
            points: lengths::values(measured, "layers")
                .into_iter()
                .filter_map(|layers| Some((layers, mean(measured, kind, layers, "updates")?)))
                .collect(),
        });
        Plot {
            title: "Updates until the task is learned, at most those of the settings".into(),
            across: "layers above the recurrent one".into(),
            up: "updates".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let depths = lengths::values(measured, "layers");
        let at = |kind: &str, layers: Option<&f64>| mean(measured, kind, *layers?, "updates");
        let (shallow, deep) = (depths.first(), depths.last());
        let said = |kind: &str| {
            let updates = depths.iter().filter_map(|depth| {
                Some(format!(
                    "{depth}: {}",
                    mean(measured, kind, *depth, "updates")?
                ))
            });
            format!("{kind} {}", updates.collect::<Vec<_>>().join(", "))
        };
        let slower = |kind: &str| Some(at(kind, deep)? / at(kind, shallow)?);
        vec![
            Finding {
                claim: "The deepest plain network takes more than twice the updates of the shallowest, or fails",
                by: "Srivastava, Greff, Schmidhuber 2015; He et al. 2016",
                found: format!("updates by layers: {}", said(PLAIN)),
                holds: slower(PLAIN).map(|ratio| ratio > 2.0),
            },
            Finding {
                claim: "Highways and residual connections learn at that depth in at most twice the updates of one layer",
                by: "Srivastava, Greff, Schmidhuber 2015; He et al. 2016",
                found: format!("updates by layers: {}; {}", said(RESIDUAL), said(HIGHWAY)),
                holds: slower(RESIDUAL)
                    .zip(slower(HIGHWAY))
                    .map(|(residual, highway)| residual <= 2.0 && highway <= 2.0),
            },
        ]
    }
}

/// The mean of `name` over the seeds of a kind with so many layers.
fn mean(measured: &[Measured], kind: &str, layers: f64, name: &str) -> Option<f64> {
    lengths::mean_at(measured, kind, ("layers", layers), name)
}
