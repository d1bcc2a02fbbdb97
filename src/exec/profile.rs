//! Where a step's time goes: every kernel's seconds and rates beside what the device can do at most.

mod gaps;

use std::sync::Arc;
use std::time::Instant;

use super::cpu::{self, Cpu};
use super::gpu::timing::phases;
use super::gpu::{self, Gpu, HostPhase, KernelTime, Span, Traced};
use super::limits::median;
use super::{Device, FillSlots, MachineLimits};
use crate::error::Result;
use crate::op::{Cost, Plan};

pub use gaps::{Gaps, between};

/// Which of a device's limits is the nearer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// Arithmetic.
    Compute,
    /// Memory.
    Memory,
    /// Neither is near: it waits for loads that follow one another, for barriers, or for its dispatch.
    Latency,
}

/// The share of a limit below which a kernel waits for something else.
const NEAR: f64 = 0.25;

/// What one kernel takes a step; on the processor, what one operation takes.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileRow {
    /// The kernel's name.
    pub label: String,
    /// The operation's kind.
    pub kind: &'static str,
    /// The operation's sizes.
    pub shape: String,
    /// Calls a step.
    pub calls: u64,
    /// Seconds a step.
    pub seconds: f64,
    /// Half of what lies between the slowest and the fastest of the steps that count, in seconds.
    pub spread: f64,
    /// What it does a step.
    pub cost: Cost,
}

impl ProfileRow {
    /// The share of the nearer limit that it reaches, and which one that is. Above 1 where caches serve what the cost
    /// counts as memory.
    pub fn share(&self, limits: &MachineLimits) -> (f64, Bottleneck) {
        let compute = rate(self.cost.flops, self.seconds) / limits.flops;
        let memory = rate(self.cost.bytes, self.seconds) / limits.bytes;
        if compute.max(memory) < NEAR {
            (compute.max(memory), Bottleneck::Latency)
        } else if compute > memory {
            (compute, Bottleneck::Compute)
        } else {
            (memory, Bottleneck::Memory)
        }
    }
}

/// How much of something a second; 0 in no time.
pub fn rate(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

/// What the host does for a step beside the device, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Host {
    /// Handing the inputs over.
    pub inputs: f64,
    /// Recording the commands.
    pub recording: f64,
    /// Submitting them.
    pub submitting: f64,
    /// Waiting for the device, while steps follow one another as in training.
    pub waiting: f64,
    /// The device's own time from the beginning to the end of each submission of a step, all of them together, gaps
    /// between its kernels included; absent where the device has no clock.
    pub device: Option<f64>,
    /// Dispatches recorded.
    pub dispatches: usize,
    /// Submissions of a step, and the longest of them in seconds by the device's clock, else by the host's.
    pub submissions: usize,
    /// See `submissions`.
    pub longest: f64,
}

impl Host {
    /// Seconds of recording and submitting for one dispatch.
    pub fn per_dispatch(&self) -> f64 {
        (self.recording + self.submitting) / self.dispatches.max(1) as f64
    }

    /// The share of a step of `wall` seconds in which the device is at work; at most 1, as its own time is that of steps
    /// one at a time.
    pub fn busy(&self, wall: f64) -> Option<f64> {
        Some(rate(self.device?, wall).min(1.0))
    }
}

/// A step's time, taken apart.
#[derive(Clone, Debug)]
pub struct Profile {
    /// By kernel, in the plan's order; each a mean over the middle half of the timed steps, so that they add up.
    pub rows: Vec<ProfileRow>,
    /// Seconds of a timed step from its first command to its end, over the same steps.
    pub timed: f64,
    /// Seconds of a step as training runs it, without timing its parts.
    pub wall: f64,
    /// The host's part, where there is a device beside it.
    pub host: Option<Host>,
    /// The gaps between kernels, where the device's own clock tells them.
    pub gaps: Option<Gaps>,
    /// Whether the device's own clock was used.
    pub timestamps: bool,
    /// The device's limits.
    pub limits: MachineLimits,
    /// One timed step in full.
    pub trace: Traced,
    /// The plan as it ran, to whose operations the trace refers.
    pub plan: Arc<Plan>,
    /// What the tile has and this plan's kernels have not, and why.
    pub left_out: Vec<String>,
}

/// Runs before the measured ones: caches fill, clocks rise, kernels are made ready.
const WARM_UP: usize = 3;
/// The submissions of a run that are told of at most.
const SEEN: usize = 256;

/// Times `steps` runs of `plan` on `device` with each run's parts, and as many without. The first run starts from zeroed
/// states and `parameters`; the minibatch is the same every time.
///
/// # Errors
/// A device that cannot hold the plan, is lost or hangs; a minibatch or parameters that do not fit the plan.
pub async fn profile(
    device: &Device,
    plan: Arc<Plan>,
    parameters: &[f32],
    minibatch: &dyn FillSlots,
    steps: usize,
) -> Result<Profile> {
    match device {
        Device::Cpu => on_cpu(plan, parameters, minibatch, steps),
        Device::Gpu(device) => on_gpu(device, plan, parameters, minibatch, steps).await,
    }
}

fn on_cpu(
    plan: Arc<Plan>,
    parameters: &[f32],
    minibatch: &dyn FillSlots,
    steps: usize,
) -> Result<Profile> {
    let limits = cpu::limits::measure();
    let mut cpu: Cpu<f32> = Cpu::new(plan.clone());
    if let Some(slot) = plan.io.parameters {
        cpu.write(slot).copy_from_slice(parameters);
    }
    for _ in 0..WARM_UP {
        cpu.run(minibatch)?;
    }
    let mut walls = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        cpu.run(minibatch)?;
        walls.push(start.elapsed().as_secs_f64());
    }
    let mut traces = Vec::new();
    for _ in 0..steps {
        traces.push(trace_cpu(&mut cpu, minibatch)?);
    }
    let wall = mean(&middle(walls, |w| *w), |w| *w);
    Ok(assemble(plan, traces, wall, None, false, limits))
}

/// One run of all operations, one after another on one track.
fn trace_cpu(cpu: &mut Cpu<f32>, minibatch: &dyn FillSlots) -> Result<Traced> {
    let plan = cpu.plan().clone();
    let start = Instant::now();
    let mut spans = Vec::new();
    cpu.set(minibatch)?;
    for (op, of) in plan.ops.iter().enumerate() {
        let began = start.elapsed().as_secs_f64();
        cpu.run_op(op)?;
        spans.push(Span {
            op,
            part: None,
            label: of.name().to_string(),
            start: began,
            seconds: start.elapsed().as_secs_f64() - began,
        });
    }
    Ok(Traced {
        spans,
        host: Vec::new(),
        wall: start.elapsed().as_secs_f64(),
    })
}

async fn on_gpu(
    device: &Arc<gpu::GpuDevice>,
    plan: Arc<Plan>,
    parameters: &[f32],
    minibatch: &dyn FillSlots,
    steps: usize,
) -> Result<Profile> {
    let limits = gpu::measure_limits(device).await?;
    let mut gpu = Gpu::new(device.clone(), plan.clone()).await?;
    if let Some(slot) = plan.io.parameters {
        gpu.write(slot, parameters)?;
    }
    for _ in 0..WARM_UP {
        gpu.run(minibatch).await?;
    }
    gpu.outcomes(true).await?;
    let of = |phases: &[(HostPhase, f64, f64)], wanted: HostPhase| -> f64 {
        let all = phases.iter().filter(|p| p.0 == wanted);
        all.map(|(_, from, to)| to - from).sum()
    };
    let start = Instant::now();
    let mut waiting = 0.0;
    for _ in 0..steps {
        let mut marks = Vec::new();
        let mut mark = |phase| marks.push((phase, start.elapsed().as_secs_f64()));
        gpu.run_marked(minibatch, &mut mark).await?;
        waiting += of(&phases(&marks), HostPhase::Waiting);
    }
    let drained = start.elapsed().as_secs_f64();
    gpu.outcomes(true).await?;
    // Steps overlap with the host's work on the next ones, as in training.
    let all = start.elapsed().as_secs_f64();
    let wall = all / steps.max(1) as f64;
    let waiting = (waiting + all - drained) / steps.max(1) as f64;
    let (mut hosts, mut devices) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        // On an idle device, so that no driver's waiting for it counts as the host's work.
        let mut marks = Vec::new();
        let mut mark = |phase| marks.push((phase, start.elapsed().as_secs_f64()));
        gpu.run_marked(minibatch, &mut mark).await?;
        gpu.outcomes(true).await?;
        hosts.push(phases(&marks));
        devices.push(gpu.submissions().iter().sum());
    }
    let mut traces = Vec::new();
    for _ in 0..steps {
        traces.push(gpu.run_traced(minibatch).await?);
        gpu.outcomes(true).await?;
    }
    let timestamps = device.adapter.timestamps;
    let typical =
        |phase: HostPhase| mean(&middle(hosts.clone(), |h| of(h, phase)), |h| of(h, phase));
    let host = Host {
        inputs: typical(HostPhase::Inputs),
        recording: typical(HostPhase::Recording),
        submitting: typical(HostPhase::Submitting),
        waiting,
        device: (timestamps && gpu.submissions().len() < SEEN).then(|| median(devices)),
        dispatches: gpu.dispatches(),
        submissions: gpu.submissions().len(),
        longest: gpu.submissions().iter().copied().fold(0.0, f64::max),
    };
    let left_out = gpu.left_out().to_vec();
    let plan = gpu.plan().clone();
    let found = assemble(plan, traces, wall, Some(host), timestamps, limits);
    Ok(Profile { left_out, ..found })
}

fn assemble(
    plan: Arc<Plan>,
    traces: Vec<Traced>,
    wall: f64,
    host: Option<Host>,
    timestamps: bool,
    limits: MachineLimits,
) -> Profile {
    let kept = middle(traces, |t| t.wall);
    let steps: Vec<Vec<KernelTime>> = kept.iter().map(Traced::kernels).collect();
    let first = steps.first().map_or(&[][..], Vec::as_slice);
    let row = |(n, kernel): (usize, &KernelTime)| {
        let op = &plan.ops[kernel.ops[0]];
        let cost = |op: &usize| {
            let op = &plan.ops[*op];
            let part = kernel.part.and_then(|p| plan.costs(op).get(p).copied());
            part.unwrap_or_else(|| op.cost())
        };
        ProfileRow {
            label: kernel.label.clone(),
            kind: op.kind(),
            shape: op.shape(),
            calls: kernel.calls,
            seconds: mean(&steps, |s| s[n].seconds),
            spread: spread(steps.iter().map(|s| s[n].seconds)),
            cost: kernel.ops.iter().map(cost).sum(),
        }
    };
    let empty = || Traced {
        spans: Vec::new(),
        host: Vec::new(),
        wall: 0.0,
    };
    let spans: Vec<&[Span]> = kept.iter().map(|t| t.spans.as_slice()).collect();
    Profile {
        gaps: gaps::gaps(&spans).filter(|_| timestamps),
        rows: first.iter().enumerate().map(row).collect(),
        timed: mean(&kept, |t| t.wall),
        wall,
        host,
        timestamps,
        limits,
        trace: kept.get(kept.len() / 2).cloned().unwrap_or_else(empty),
        plan: plan.clone(),
        left_out: Vec::new(),
    }
}

/// The middle half by some figure, sorted: outliers of either side do not count. Fewer than four stay as they are.
fn middle<T>(mut all: Vec<T>, figure: impl Fn(&T) -> f64) -> Vec<T> {
    all.sort_by(|a, b| figure(a).total_cmp(&figure(b)));
    let cut = all.len() / 4;
    all.truncate(all.len() - cut);
    all.drain(..cut);
    all
}

fn mean<T>(all: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    all.iter().map(figure).sum::<f64>() / all.len().max(1) as f64
}

/// Half of what lies between the largest and the smallest.
fn spread(all: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = all.clone().fold(0.0, f64::max);
    (largest - all.fold(largest, f64::min)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_of_either_side_do_not_count() {
        let kept = middle(vec![9e9, 3.0, 5.0, 1e-9, 4.0, 2.0, 6.0, 7.0], |x| *x);
        assert_eq!(kept, [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(mean(&kept, |x| *x), 4.5);
        for few in [vec![1.0], vec![1.0, 2.0], vec![1.0, 2.0, 3.0]] {
            assert_eq!(middle(few.clone(), |x| *x), few);
        }
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), 1.0);
        assert_eq!(spread([3.0].into_iter()), 0.0);
    }

    #[test]
    fn the_nearer_limit_is_the_bound() {
        let limits = MachineLimits {
            flops: 100.0,
            bytes: 10.0,
        };
        let row = |flops, bytes| ProfileRow {
            label: String::new(),
            kind: "add",
            shape: String::new(),
            calls: 1,
            seconds: 0.5,
            spread: 0.0,
            cost: Cost { flops, bytes },
        };
        assert_eq!(row(25.0, 1.0).share(&limits), (0.5, Bottleneck::Compute));
        assert_eq!(row(25.0, 4.0).share(&limits), (0.8, Bottleneck::Memory));
        assert_eq!(row(10.0, 0.5).share(&limits), (0.2, Bottleneck::Latency));
    }
}
