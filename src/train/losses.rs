//! A run twice, side by side: the same weights and minibatches on an adapter and on the processor, and each step's losses.
//!
//! In f32 no two executors agree for long: they add in different orders, and training amplifies what that rounds. In f64
//! they begin a billion times nearer to one another, so that a difference is a fault.

use std::sync::Arc;

use super::job::{Job, Now};
use super::schedule::{Plateau, Progress, Schedule};
use crate::error::{Error, Kind, Result};
use crate::exec::cpu::{Cpu, Number};
use crate::exec::gpu::{Gpu, GpuDevice};
use crate::op::Plan;

/// The losses of a step, in nats per prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// The step, counted from 1.
    pub step: u64,
    /// The adapter's.
    pub gpu: f64,
    /// The processor's.
    pub cpu: f64,
}

impl Losses {
    /// How far they are from one another.
    pub fn difference(&self) -> f64 {
        (self.gpu - self.cpu).abs()
    }
}

/// Trains `job` for so many steps on `device` and on the processor, both in f64 where `double`, else in f32, and calls
/// `tell` after every step. Nothing is evaluated, sampled or saved.
///
/// # Errors
/// Usage, for a job in half precision or with scheduled sampling, whose inputs the model makes; Device, where the device
/// has no f64, cannot hold the plan or is lost; Diverged at a loss that is not finite; what `tell` says.
pub async fn losses(
    device: &Arc<GpuDevice>,
    job: Job,
    double: bool,
    steps: u64,
    tell: &mut dyn FnMut(Losses) -> Result<()>,
) -> Result<()> {
    if job.settings.half {
        return Err(Error::usage(
            "half: the processor has no half precision to compare with; leave half out",
        ));
    }
    if job.teacher_forcing.is_some() {
        return Err(Error::usage(
            "sampling: the model itself would make the inputs, and two would part; leave scheduled sampling out",
        ));
    }
    let mut plan = job.plan.as_ref().clone();
    if double {
        plan.double()?;
        run::<f64>(device, plan, job, steps, tell).await
    } else {
        run::<f32>(device, plan, job, steps, tell).await
    }
}

async fn run<F: Number>(
    device: &Arc<GpuDevice>,
    plan: Plan,
    mut job: Job,
    steps: u64,
    tell: &mut dyn FnMut(Losses) -> Result<()>,
) -> Result<()> {
    let plan = Arc::new(plan);
    let start = job.start()?.parameters;
    let mut gpu = Gpu::new(device.clone(), plan.clone()).await?;
    let mut cpu = Cpu::<F>::new(plan.clone());
    if let Some(slot) = plan.io.parameters {
        let start: Vec<F> = start.iter().map(|x| F::of(f64::from(*x))).collect();
        gpu.write_as(slot, &start)?;
        cpu.write(slot).copy_from_slice(&start);
    }
    let schedule = Schedule::new(&job.settings);
    for step in 0..steps {
        let place = job.feed.place(step);
        let batch = job.feed.batch(step)?;
        let lr = schedule.lr(&Progress {
            step,
            epoch: place.epoch,
            fraction: job.fraction(step, 0.0),
            plateau: Plateau::default(),
        });
        let update = step + 1;
        let inputs = job.inputs(&batch, Now { step, update, lr });
        gpu.run(&inputs).await?;
        let ours = cpu.run(&inputs)?.report;
        let theirs = gpu.outcomes(true).await?.pop().map(|o| o.report);
        let theirs = theirs.ok_or_else(|| Error::internal("a run without a report"))?;
        for (name, report) in [(device.adapter.name.as_str(), &theirs), ("the CPU", &ours)] {
            if !report.finite {
                return Err(Error::new(
                    Kind::Diverged,
                    format!("the loss or the gradient of step {update} is not finite on {name}"),
                ));
            }
        }
        tell(Losses {
            step: update,
            gpu: theirs.loss / batch.counted() as f64,
            cpu: ours.loss / batch.counted() as f64,
        })?;
    }
    Ok(())
}
