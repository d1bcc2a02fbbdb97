//! Executors: they replay a plan, on the CPU or on a GPU, minibatch after minibatch.

pub mod check;
pub mod cost;
pub mod cpu;
mod engine;
mod fill;
pub mod gpu;
mod limits;
pub mod profile;

pub use engine::{Device, Engine};
pub use fill::{FillSlots, Filling, Fillings};
pub use limits::MachineLimits;

use crate::op::{Plan, Report};

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
