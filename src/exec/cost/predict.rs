//! All kernels of a plan on a device that is not there.

use super::table::DeviceTable;
use super::time::{KernelLimit, time};
use super::work::{Work, work};
use crate::Result;
use crate::exec::gpu::{Gpu, Tile};
use crate::op::Plan;

/// What a kernel is predicted to take.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedKernel {
    /// Its name.
    pub label: String,
    /// Calls a step.
    pub calls: usize,
    /// Seconds a step.
    pub seconds: f64,
    /// What they are mostly spent on.
    pub limit: KernelLimit,
    /// Floating point operations a step, those on padding included.
    pub flops: f64,
}

/// What a step is predicted to take on the device alone; the host is taken to be ahead of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Its kernels in order, those of one name together.
    pub kernels: Vec<PredictedKernel>,
    /// Seconds of all of them.
    pub seconds: f64,
}

/// A run of `plan` with the kernels of `tile` on `device`.
///
/// # Errors
/// Internal when a kernel cannot be made.
pub fn predict(plan: &Plan, tile: &Tile, device: &DeviceTable) -> Result<Prediction> {
    let (plan, outlines) = Gpu::outlines(plan, tile)?;
    let mut kernels: Vec<PredictedKernel> = Vec::new();
    for outline in outlines {
        let parts = outline.parts.iter();
        let parts = parts.map(|part| work(part, &plan, outline.calls));
        let Some(all) = parts.reduce(Work::beside) else {
            continue;
        };
        let of = time(&all, device);
        let calls = outline.calls as f64;
        match kernels.iter_mut().find(|k| k.label == outline.label) {
            Some(known) => {
                known.calls += outline.calls;
                known.seconds += calls * of.seconds;
                known.flops += calls * all.flops;
            }
            None => kernels.push(PredictedKernel {
                label: outline.label,
                calls: outline.calls,
                seconds: calls * of.seconds,
                limit: of.limit,
                flops: calls * all.flops,
            }),
        }
    }
    Ok(Prediction {
        seconds: kernels.iter().map(|k| k.seconds).sum(),
        kernels,
    })
}
