//! `memory`: what backpropagation through time keeps, by the number of steps.

use std::sync::Arc;

use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, facts, run,
    text, whole,
};
use crate::cell::library;
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::model::{Dims, Mode, Spec, Unroll};
use crate::op::Role;
use crate::train::{Settings, update};

/// The experiment.
pub struct Memory;

const WHOLE: &str = "whole sequence";
const RECOMPUTED: &str = "recomputed, sqrt T";
const TRUNCATED: &str = "truncated to 64 steps";

/// Steps that truncation goes back.
const WINDOW: usize = 64;

impl Experiment for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn about(&self) -> &'static str {
        "What does backpropagation through time keep, by the number of steps?"
    }

    fn method(&self) -> &'static str {
        "The plan of a training step is made, of an LSTM with 65 symbols, and the bytes of its slots of states and activations are \
         added up; nothing is run. `whole sequence` keeps what all steps left, `recomputed` the states of every sqrt T steps alone \
         and runs each of these parts forward once more, `truncated` cuts the gradient off after 64 steps. Exponents are \
         those of the two longest. Arithmetic is that of all operations of the plan, for one step of the sequence."
    }

    fn processor_only(&self) -> Option<&'static str> {
        Some("which runs nothing: it counts what plans keep")
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (hidden, lengths): (usize, &[usize]) = match size {
            Size::Quick => (128, &[64, 256, 1024, 4096]),
            Size::Full => (512, &[64, 256, 1024, 4096, 16384]),
        };
        crossed(
            json!({"hidden": hidden, "batch": 8, "vocab": 65, "seed": seed}),
            &[
                ("mode", json!([WHOLE, RECOMPUTED, TRUNCATED])),
                ("steps", json!(lengths)),
            ],
        )
    }

    fn measure(&self, point: &Point, _device: &Device) -> Result<Facts> {
        let whole = |name: &str| whole(point, name).map(|n| n as usize);
        let all = whole("steps")?;
        let (steps, recompute) = match text(point, "mode")? {
            WHOLE => (all, 0),
            RECOMPUTED => (all, all.isqrt()),
            TRUNCATED => (WINDOW, 0),
            other => return Err(Error::internal(format!("no mode {other}"))),
        };
        let spec = Spec {
            vocab: whole("vocab")?,
            cells: vec![Arc::new(library::builtin("lstm")?)],
            hidden: whole("hidden")?,
            ..Spec::default()
        };
        let how = Unroll {
            recompute,
            ..Unroll::default()
        };
        let dims = Dims {
            steps,
            batch: whole("batch")?,
        };
        let plan = spec.unrolled(dims, how, Mode::Train(update(&Settings::default())))?;
        let kept = plan
            .slots
            .iter()
            .filter(|slot| [Role::State, Role::Activation].contains(&slot.role));
        let bytes: u64 = kept.map(|slot| slot.bytes()).sum();
        let flops: f64 = plan.ops.iter().map(|op| op.cost().flops).sum();
        Ok(facts(
            json!({"bytes": bytes, "flops_a_step": flops / steps as f64}),
        ))
    }

    fn columns(&self) -> &'static [&'static str] {
        &["mode", "steps", "bytes", "flops_a_step"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = [WHOLE, RECOMPUTED, TRUNCATED].map(|mode| Series {
            name: mode.into(),
            points: bytes(measured, mode),
        });
        Plot {
            title: "Bytes of states and activations, by steps".into(),
            across: "steps".into(),
            up: "bytes".into(),
            across_scale: Scale::Log,
            up_scale: Scale::Log,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let grows = |mode: &str| exponent(&bytes(measured, mode));
        let flops = |mode: &str| {
            let all = measured.iter().filter(|m| m.text("mode") == mode);
            all.filter_map(|m| m.number("flops_a_step")).next_back()
        };
        let within = |mode: &str, wanted: f64, claim, by| {
            let found = grows(mode);
            Finding {
                claim,
                by,
                found: format!("bytes grow as T^{}", found.map_or("-".into(), run::shown)),
                holds: found.map(|found| (found - wanted).abs() <= 0.1),
            }
        };
        let more = flops(RECOMPUTED)
            .zip(flops(WHOLE))
            .map(|(more, less)| more / less);
        vec![
            within(
                WHOLE,
                1.0,
                "What the whole of backpropagation through time keeps grows with T",
                "Werbos 1990; Williams and Peng 1990",
            ),
            within(
                RECOMPUTED,
                0.5,
                "With states of every sqrt T steps and the rest computed again it grows with sqrt T",
                "Chen et al. 2016; Gruslys et al. 2016",
            ),
            within(
                TRUNCATED,
                0.0,
                "Truncated to a number of steps it does not grow",
                "Williams and Peng 1990",
            ),
            Finding {
                claim: "Computing again costs one more forward pass: a third more arithmetic",
                by: "Chen et al. 2016",
                found: format!(
                    "{} times the arithmetic",
                    more.map_or("-".into(), run::shown)
                ),
                holds: more.map(|more| (1.2..1.4).contains(&more)),
            },
        ]
    }
}

/// Steps and bytes of a mode.
fn bytes(measured: &[Measured], mode: &str) -> Vec<(f64, f64)> {
    let all = measured.iter().filter(|m| m.text("mode") == mode);
    all.filter_map(|m| Some((m.number("steps")?, m.number("bytes")?)))
        .collect()
}

/// With what power of the steps the bytes of the two longest grow, where numbers that are always the same count least.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let [.., (x, y), (longer, more)] = points else {
        return None;
    };
    Some((more / y).ln() / (longer / x).ln())
}
