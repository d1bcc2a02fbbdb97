//! Runs: recording a plan's dispatches, submitting them in parts, waiting, and the reports that come late.

use std::ops::Range;
use std::time::Instant;

use super::executor::{Gpu, IN_FLIGHT, MeasuredRun, STAMPS};
use super::pace::MEASURED;
use super::packed::Longest;
use super::stamps::{Stamps, spans};
use super::transfer::numbers;
use crate::exec::{FillSlots, Outcome};
use crate::op::{Part, Report};
use crate::{Error, Result};

/// What the host is at during a run, for [`Gpu::run_marked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPhase {
    /// Hands the minibatch over.
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
pub(super) type PhaseCallback<'a> = &'a mut (dyn FnMut(HostPhase) + Send);

impl Gpu {
    /// Hands the minibatch over and submits the whole plan; waits only where too many submissions are under way.
    ///
    /// # Errors
    /// Internal when the minibatch does not fit the plan; Device when the device is lost or hangs.
    pub async fn run(&mut self, minibatch: &dyn FillSlots) -> Result<()> {
        self.run_part(minibatch, Part::Whole).await
    }

    /// Runs a part of the plan; the slots that the rest would fill stay as they are.
    ///
    /// # Errors
    /// As [`Gpu::run`]; internal, for the steps of a plan that has none.
    pub async fn run_part(&mut self, minibatch: &dyn FillSlots, part: Part) -> Result<()> {
        self.part = part;
        let run = self.submit_part(minibatch, &mut |_| {}).await;
        self.part = Part::Whole;
        run
    }

    /// [`Gpu::run`], which calls `mark` whenever a phase begins.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub async fn run_marked(
        &mut self,
        minibatch: &dyn FillSlots,
        mark: PhaseCallback<'_>,
    ) -> Result<()> {
        self.submit_part(minibatch, mark).await
    }

    /// Hands the minibatch over and submits the part of the plan that is to run.
    async fn submit_part(
        &mut self,
        minibatch: &dyn FillSlots,
        mark: PhaseCallback<'_>,
    ) -> Result<()> {
        mark(HostPhase::Inputs);
        self.repeat().await?;
        let own = self.fill_part(minibatch, self.part)?;
        self.given(own);
        self.submit_filled(mark).await
    }

    /// Submits the part of the plan that is to run, on what its slots are filled with.
    pub(super) async fn submit_filled(&mut self, mark: PhaseCallback<'_>) -> Result<()> {
        mark(HostPhase::Waiting);
        while self.in_flight.len() >= IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.device.wait(oldest, "a run of the plan").await?;
        }
        mark(HostPhase::Recording);
        let parts = self.program.pace.parts(0..self.program.all.len());
        let measure = self.program.pace.measure();
        if measure && !self.device.adapter.timestamps {
            return self.run_clocked(parts, mark).await;
        }
        if measure && self.stamps.is_none() {
            self.stamps = Some(Stamps::new(&self.device, MEASURED));
        }
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                mark(HostPhase::Submitting);
                let fresh = self.device.raw.create_command_encoder(&Default::default());
                self.submit(std::mem::replace(&mut encoder, fresh)).await?;
                mark(HostPhase::Recording);
            }
            let stamps = self.stamps.as_ref().filter(|_| measure && n < MEASURED);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: stamps.map(|s| s.of(n)),
            });
            self.record(&mut pass, part.clone());
        }
        let measured = measure.then(|| MeasuredRun {
            run: self.runs,
            packed: self.program.packed.clone(),
            part: self.part,
            parts: parts.into_iter().take(MEASURED).collect(),
        });
        self.finish(encoder, measured, mark).await
    }

    /// A run with the host's clock around every submission.
    async fn run_clocked(
        &mut self,
        parts: Vec<Range<usize>>,
        mark: PhaseCallback<'_>,
    ) -> Result<()> {
        let mut measured = Vec::new();
        self.device.wait(None, "earlier runs").await?;
        for part in parts {
            let start = Instant::now();
            self.alone(part.clone(), "a part of the plan").await?;
            measured.push((part, start.elapsed().as_secs_f64()));
        }
        self.learn(&measured, &self.program.packed.clone(), self.part);
        let encoder = self.device.raw.create_command_encoder(&Default::default());
        self.finish(encoder, None, mark).await
    }

    /// Submits a part of a run; waits where too many are under way.
    pub(super) async fn submit(&mut self, encoder: wgpu::CommandEncoder) -> Result<()> {
        let submission = self.device.submit(Some(encoder.finish()));
        self.in_flight.push_back(submission);
        while self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.device.wait(oldest, "a part of the plan").await?;
        }
        Ok(())
    }

    /// Submits these dispatches and waits for them.
    async fn alone(&self, part: Range<usize>, what: &str) -> Result<()> {
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        self.record(&mut encoder.begin_compute_pass(&Default::default()), part);
        let submission = self.device.submit(Some(encoder.finish()));
        self.device.wait(Some(submission), what).await
    }

    /// How many kernels a run dispatches.
    pub fn dispatches(&self) -> usize {
        self.program.all.len()
    }

    /// Seconds of each submission of the run that was measured last, as far as [`Gpu::outcomes`] has seen it; at most 256.
    /// None is above [`LONGEST`](super::LONGEST) but where a single dispatch takes longer, or before the device was known.
    pub fn submissions(&self) -> &[f64] {
        &self.program.pace.newest
    }

    /// Copies what comes back, submits, and counts the run.
    pub(super) async fn finish(
        &mut self,
        mut encoder: wgpu::CommandEncoder,
        measured: Option<MeasuredRun>,
        mark: PhaseCallback<'_>,
    ) -> Result<()> {
        let mut place = None;
        let report = self.plan.io.report;
        if report.is_some() || measured.is_some() {
            mark(HostPhase::Waiting);
            let to = self.ring.place(&self.device).await?;
            self.digest(false)?;
            mark(HostPhase::Recording);
            if let Some(report) = report {
                let (from, size) = (&self.buffers[report.0], self.plan.slot(report).bytes());
                self.ring.copy(to, &mut encoder, &from.buffer, 0, size);
            }
            if let (Some(measured), Some(stamps)) = (measured, &self.stamps) {
                let passes = measured.parts.len();
                let from = stamps.resolve_first(passes, &mut encoder);
                let size = 16 * passes as u64;
                self.ring.copy(to, &mut encoder, from, STAMPS, size);
                self.measured.push_back(measured);
            }
            place = Some(to);
        }
        let commands = encoder.finish();
        mark(HostPhase::Submitting);
        self.in_flight.push_back(self.device.submit(Some(commands)));
        mark(HostPhase::Done);
        if let Some(place) = place {
            self.ring.map(&self.device, place, self.runs);
        }
        self.runs += 1;
        self.device.ran();
        self.device.healthy("running the plan")
    }

    /// Executes one operation alone, on what the slots hold.
    ///
    /// # Errors
    /// Internal when there is no such operation; Device when the device is lost or hangs.
    pub async fn run_op(&mut self, op: usize) -> Result<()> {
        let range = self.program.ops.get(op).cloned().ok_or_else(|| {
            Error::internal(format!(
                "no operation {op} in a plan of {}",
                self.program.ops.len()
            ))
        })?;
        for part in self.program.pace.parts(range) {
            self.alone(part, self.plan.ops[op].name()).await?;
        }
        self.all_met(op).await
    }

    /// Records dispatches.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>, dispatches: Range<usize>) {
        let of_part = |d: &usize| self.part == Part::Whole || self.program.steps[*d];
        let own = dispatches.filter(of_part).map(|d| &self.program.all[d]);
        for dispatch in own.filter(|d| self.program.packed.reach(d.packed)) {
            let kernel = &self.program.kernels[dispatch.kernel];
            let offset = [dispatch.offset];
            let offsets = if kernel.parameters > 0 {
                &offset[..]
            } else {
                &[]
            };
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
        self.digest(wait)?;
        if self.repeat().await? && wait {
            self.device.wait(None, "the reports of the runs").await?;
            self.in_flight.clear();
            self.digest(wait)?;
        }
        Ok(std::mem::take(&mut self.reports))
    }

    /// Takes what has come back: reports are kept, times change where submissions end.
    pub(super) fn digest(&mut self, wait: bool) -> Result<()> {
        for (run, bytes) in self.ring.take(&self.device, wait)? {
            let (report, stamps) = bytes.split_at(STAMPS as usize);
            if let Some(slot) = self.plan.io.report {
                let slot = self.plan.slot(slot);
                let found = numbers(slot, &report[..slot.bytes() as usize]);
                if self.met(run, found[2]) {
                    let report = Report::from_numbers(&found);
                    self.reports.push(Outcome { run, report });
                }
            }
            let of_run = self.measured.front().is_some_and(|m| m.run == run);
            let measured = if of_run {
                self.measured.pop_front()
            } else {
                None
            };
            if let Some(MeasuredRun {
                parts,
                packed,
                part,
                ..
            }) = measured
            {
                let seconds = spans(&self.device, &stamps[..16 * parts.len()]);
                let seconds = seconds.into_iter().map(|s| s.1);
                let measured: Vec<_> = parts.into_iter().zip(seconds).collect();
                self.learn(&measured, &packed, part);
            }
        }
        Ok(())
    }

    fn learn(&mut self, measured: &[(Range<usize>, f64)], packed: &Longest, part: Part) {
        let (all, steps, pace) = (
            &self.program.all,
            &self.program.steps,
            &mut self.program.pace,
        );
        let recorded = |d: usize| (part == Part::Whole || steps[d]) && packed.reach(all[d].packed);
        let mut measured = measured.to_vec();
        if let Some(each) = self.device.clock() {
            for (part, seconds) in &mut measured {
                *seconds = each * part.clone().filter(|d| recorded(*d)).count() as f64;
            }
        }
        pace.learn(&measured, recorded);
    }
}
