//! Executors: they replay a plan, on the CPU or on a GPU, minibatch after minibatch.

pub mod check;
pub mod cpu;
pub mod differences;
mod engine;
pub mod gpu;
pub mod profile;

pub use engine::{Device, Engine};

use crate::error::{Error, Result};
use crate::op::derived::Given;
use crate::op::{Control, Filling, Hyper, Plan, Report, SlotId, scatter};

/// What a run of a plan needs from the host.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Token ids [T+1, B].
    pub ids: &'a [u32],
    /// Targets [T, B], for a plan that has a slot for them; the next ids where absent.
    pub targets: Option<&'a [u32]>,
    /// Weights of the positions [T, B]; all 1 where absent.
    pub weights: Option<&'a [f32]>,
    /// For a plan of packed sequences: the row at which each step starts, and where the last ends [T + 1].
    pub starts: Option<&'a [u32]>,
    /// Random key and step, and whether the states start at zero.
    pub control: Control,
    /// Learning rate and scale.
    pub hyper: Hyper,
}

/// The figures of one run, by the number that the run was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The number of the run, counted from 0 per executor.
    pub run: u64,
    /// What it reported.
    pub report: Report,
}

/// How a plan's operations are timed: seconds and calls of each, in the plan's order.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    /// Seconds of each operation, all calls together.
    pub seconds: Vec<f64>,
    /// Calls of each operation.
    pub calls: Vec<u64>,
}

impl Timings {
    /// No time yet, for a plan.
    pub fn new(plan: &Plan) -> Timings {
        Timings {
            seconds: vec![0.0; plan.ops.len()],
            calls: vec![0; plan.ops.len()],
        }
    }
}

/// Whether inputs fit a plan: their sizes, and every token id within the vocabulary.
///
/// # Errors
/// Internal, naming the input: callers make minibatches that fit.
fn check_inputs(plan: &Plan, inputs: &Inputs<'_>) -> Result<()> {
    let io = &plan.io;
    let expect = |what: &str, slot: Option<SlotId>, found: usize| match slot {
        Some(slot) if plan.slot(slot).len() != found => Err(Error::internal(format!(
            "{what}: expected {:?}, found {found} elements",
            plan.slot(slot).shape
        ))),
        _ => Ok(()),
    };
    expect("ids", io.ids, inputs.ids.len())?;
    let targets = inputs.targets.unwrap_or(&[]);
    if inputs.targets.is_some() {
        expect("targets", io.targets, targets.len())?;
        if io.targets.is_none() {
            return Err(Error::internal(
                "targets: expected none, as the plan's targets are the next ids",
            ));
        }
    }
    if let Some(weights) = inputs.weights {
        expect("weights", io.weights, weights.len())?;
    }
    match (plan.packing, inputs.starts) {
        (None, None) => {}
        (Some(packing), Some(starts)) => {
            if let Some(fault) = packing.fault(starts) {
                return Err(Error::internal(format!("starts: {fault}")));
            }
            if inputs.control.reset != 1 {
                return Err(Error::internal("packed sequences start from a reset state"));
            }
        }
        (packing, _) => {
            let expected = if packing.is_some() { "some" } else { "none" };
            return Err(Error::internal(format!("starts: expected {expected}")));
        }
    }
    let vocab = plan.vocab;
    let mut all = inputs.ids.iter().chain(targets);
    match all.find(|id| **id as usize >= vocab) {
        Some(id) => Err(Error::internal(format!(
            "token id {id} in a vocabulary of {vocab}"
        ))),
        None => Ok(()),
    }
}

/// What a plan's slot of targets takes: those that were given, else the ids one step ahead.
fn targets<'a>(plan: &Plan, slot: SlotId, inputs: &Inputs<'a>) -> &'a [u32] {
    let batch = plan.slot(slot).shape[1];
    inputs.targets.unwrap_or(&inputs.ids[batch..])
}

/// The slots that the host works out for large vocabularies.
fn derived(plan: &Plan, inputs: &Inputs<'_>) -> Vec<(SlotId, Filling)> {
    let shape = plan.io.ids.map(|ids| &plan.slot(ids).shape);
    let Some(shape) = shape.filter(|_| !plan.derived.is_empty()) else {
        return Vec::new();
    };
    let rows = inputs.starts.and_then(|s| s.last()).map(|n| *n as usize);
    let rows = rows.unwrap_or((shape[0] - 1) * shape[1]);
    plan.derived.fill(&Given {
        ids: &inputs.ids[..rows],
        targets: &inputs.targets.unwrap_or(&inputs.ids[shape[1]..])[..rows],
        weights: inputs.weights,
        key: inputs.control.key,
        step: inputs.control.step,
    })
}

/// What a plan's slot of indices [pieces, rows + V + 1] takes: the index of every piece's inputs, of the rows that count.
fn index(plan: &Plan, slot: SlotId, inputs: &Inputs<'_>) -> Vec<u32> {
    let all = plan.io.ids.map_or(0, |ids| {
        let shape = &plan.slot(ids).shape;
        (shape[0] - 1) * shape[1]
    });
    let shape = &plan.slot(slot).shape;
    let rows = all / shape[0];
    let count = inputs.starts.and_then(|s| s.last()).map(|n| *n as usize);
    // Sequences packed together are never cut into pieces.
    let pieces = inputs.ids[..count.unwrap_or(all)].chunks(rows.max(1));
    pieces
        .flat_map(|piece| scatter::index(piece, rows, shape[1] - rows - 1))
        .collect()
}
