//! Runs: recording a plan's dispatches, submitting them in parts, waiting, and the reports that come late.

use super::buffers::Dispatch;
use super::executor::Gpu;
use crate::exec::{Inputs, Outcome};
use crate::op::{Plan, Report};
use crate::{Error, Result};

/// Dispatches of a submission: a long window's are handed over in parts, so that none keeps the device from others.
const MOST_DISPATCHES: usize = 4096;

/// Submissions that may be under way: enough that the device never waits for the host, few enough to stop soon.
pub(super) const IN_FLIGHT: usize = 3;

/// So do those of a plan with many floating point operations.
const MOST_FLOPS: f64 = 5e10;

/// What the host is at during a run, for [`Gpu::run_marked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Hands the inputs over.
    Inputs,
    /// Waits for the device.
    Waiting,
    /// Writes commands down.
    Recording,
    /// Hands the commands over.
    Submitting,
    /// Everything else: the run is on its way.
    Done,
}

/// Told whenever a phase begins.
pub(super) type Mark<'a> = &'a mut (dyn FnMut(Phase) + Send);

impl Gpu {
    /// Writes the inputs and submits the whole plan; waits only where too many submissions are under way.
    ///
    /// # Errors
    /// Internal when the inputs do not fit the plan; Device when the device is lost or hangs.
    pub async fn run(&mut self, inputs: &Inputs<'_>) -> Result<()> {
        self.run_marked(inputs, &mut |_| {}).await
    }

    /// [`Gpu::run`], which calls `mark` whenever a phase begins: this part of the engine has no clock.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub async fn run_marked(&mut self, inputs: &Inputs<'_>, mark: Mark<'_>) -> Result<()> {
        mark(Phase::Inputs);
        self.write_inputs(inputs)?;
        mark(Phase::Waiting);
        while self.in_flight.len() >= IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.device.wait(oldest, "a run of the plan").await?;
        }
        mark(Phase::Recording);
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        let all: Vec<Dispatch> = self.ops.iter().flatten().copied().collect();
        let mut first = 0;
        for cut in 0..=self.cuts.len() {
            let end = self.cuts.get(cut).copied().unwrap_or(all.len());
            if first > 0 {
                mark(Phase::Submitting);
                self.submit(encoder).await?;
                mark(Phase::Recording);
                encoder = self.device.raw.create_command_encoder(&Default::default());
            }
            let part = &all[first..end];
            self.record(&mut encoder.begin_compute_pass(&Default::default()), part);
            first = end;
        }
        self.finish(encoder, mark).await
    }

    /// Submits a part of a run; waits where too many are under way.
    async fn submit(&mut self, encoder: wgpu::CommandEncoder) -> Result<()> {
        let submission = self.device.queue.submit([encoder.finish()]);
        self.in_flight.push_back(submission);
        while self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.device.wait(oldest, "a part of the plan").await?;
        }
        Ok(())
    }

    /// How many kernels a run dispatches.
    pub fn dispatches(&self) -> usize {
        self.ops.iter().map(Vec::len).sum()
    }

    /// Copies the report, submits, and counts the run.
    pub(super) async fn finish(
        &mut self,
        mut encoder: wgpu::CommandEncoder,
        mark: Mark<'_>,
    ) -> Result<()> {
        let mut place = None;
        if let Some(report) = self.plan.io.report {
            mark(Phase::Waiting);
            let to = self.ring.place(&self.device).await?;
            mark(Phase::Recording);
            self.ring.copy(to, &mut encoder, &self.buffers[report.0]);
            place = Some(to);
        }
        let commands = encoder.finish();
        mark(Phase::Submitting);
        self.in_flight
            .push_back(self.device.queue.submit([commands]));
        mark(Phase::Done);
        if let Some(place) = place {
            self.ring.map(place, self.runs);
        }
        self.runs += 1;
        self.device.healthy("running the plan")
    }

    /// Executes one operation alone, on what the slots hold.
    ///
    /// # Errors
    /// Internal when there is no such operation; Device when the device is lost or hangs.
    pub async fn run_op(&mut self, op: usize) -> Result<()> {
        let dispatches = self.ops.get(op).ok_or_else(|| {
            Error::internal(format!("no operation {op} in a plan of {}", self.ops.len()))
        })?;
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        self.record(
            &mut encoder.begin_compute_pass(&Default::default()),
            dispatches,
        );
        let submission = self.device.queue.submit([encoder.finish()]);
        let name = self.plan.ops[op].name();
        self.device.wait(Some(submission), name).await
    }

    /// Records dispatches.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>, dispatches: &[Dispatch]) {
        for dispatch in dispatches {
            if dispatch.packed.is_some_and(|step| step >= self.longest) {
                continue;
            }
            let kernel = &self.kernels[dispatch.kernel];
            let offset = [dispatch.offset];
            let offsets = if kernel.step { &offset[..] } else { &[] };
            let [x, y, z] = kernel.groups;
            pass.set_pipeline(&kernel.pipeline.raw);
            pass.set_bind_group(0, &kernel.bind, offsets);
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// The reports that have arrived, in the order of the runs: a few runs late, or with `wait` all of them.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn outcomes(&mut self, wait: bool) -> Result<Vec<Outcome>> {
        if wait {
            self.device.wait(None, "the reports of the runs").await?;
            self.in_flight.clear();
        } else {
            self.device.poll("the reports of the runs")?;
        }
        let arrived = self.ring.take(&self.device)?;
        Ok({ arrived.into_iter() }
            .map(|(run, bytes)| {
                let numbers: &[f32] = bytemuck::cast_slice(&bytes);
                let numbers: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
                let report = Report::from_numbers(&numbers);
                Outcome { run, report }
            })
            .collect())
    }
}

/// The dispatches before which a submission ends: the first of an operation where many floating point operations are
/// waiting, and any after so many others.
pub(super) fn cuts(plan: &Plan, ops: &[Vec<Dispatch>]) -> Vec<usize> {
    let mut cuts = Vec::new();
    let (mut waiting, mut first, mut at) = (0.0, 0, 0);
    for (op, dispatches) in plan.ops.iter().zip(ops) {
        let own = op.cost().flops;
        if waiting + own > MOST_FLOPS && at > first {
            cuts.push(at);
            (waiting, first) = (0.0, at);
        }
        waiting += own;
        for _ in dispatches {
            if at - first == MOST_DISPATCHES {
                cuts.push(at);
                first = at;
            }
            at += 1;
        }
    }
    cuts
}
