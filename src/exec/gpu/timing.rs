//! Runs with a clock: when every dispatch began and how long it took, by the device's timestamps.

use std::time::Instant;

use super::executor::Gpu;
use super::run::HostPhase;
use super::stamps::Stamps;
use crate::Result;
use crate::exec::{FillSlots, Timings};

/// What one kernel of the plan took, all its calls together.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The places in the plan of the operations that it belongs to: parts of one along time are many.
    pub ops: Vec<usize>,
    /// Which of an operation's kernels it is; absent where only the whole operation could be timed.
    pub part: Option<usize>,
    /// The kernel's name: the operation's, and its stage or part.
    pub label: String,
    /// How often it was dispatched.
    pub calls: u64,
    /// Seconds on the device.
    pub seconds: f64,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The operation's place in the plan.
    pub op: usize,
    /// Which of the operation's kernels it is; absent where only the whole operation could be timed.
    pub part: Option<usize>,
    /// The kernel's name.
    pub label: String,
    /// When it began, in seconds from the first one's beginning.
    pub start: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// One run of a plan on the clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// The device's dispatches, in order.
    pub spans: Vec<Span>,
    /// What the host did, each phase from when to when, in seconds from its beginning on the host's own clock.
    pub host: Vec<(HostPhase, f64, f64)>,
    /// Seconds from the first command to the device's idleness, on the host's clock.
    pub wall: f64,
}

impl Gpu {
    /// Runs the plan once as [`Gpu::run_traced`] does, adds each operation's seconds to `timings`, and returns the
    /// kernels'.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub async fn run_timed(
        &mut self,
        minibatch: &dyn FillSlots,
        timings: &mut Timings,
    ) -> Result<Vec<KernelTime>> {
        let traced = self.run_traced(minibatch).await?;
        for span in &traced.spans {
            timings.seconds[span.op] += span.seconds;
        }
        for calls in &mut timings.calls {
            *calls += 1;
        }
        Ok(traced.kernels())
    }

    /// Runs the plan once with a pass of its own for every dispatch. Where the device has no timestamps, every operation
    /// is run by itself with the host's clock around it.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub async fn run_traced(&mut self, minibatch: &dyn FillSlots) -> Result<Traced> {
        self.set(minibatch)?;
        self.device.wait(None, "earlier runs").await?;
        if self.device.adapter.timestamps {
            self.by_device().await
        } else {
            self.by_host().await
        }
    }

    async fn by_device(&mut self) -> Result<Traced> {
        let stamps = Stamps::new(&self.device, self.dispatches());
        let start = Instant::now();
        let mut marks = vec![(HostPhase::Recording, 0.0)];
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        for part in self.program.pace.parts(0..self.program.all.len()) {
            if part.start > 0 {
                let fresh = self.device.raw.create_command_encoder(&Default::default());
                self.submit(std::mem::replace(&mut encoder, fresh)).await?;
            }
            for n in part {
                let label = &self.program.kernels[self.program.all[n].kernel].label;
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(label),
                    timestamp_writes: Some(stamps.of(n)),
                });
                self.record(&mut pass, n..n + 1);
            }
        }
        stamps.resolve(&mut encoder);
        let mut mark = |phase| marks.push((phase, start.elapsed().as_secs_f64()));
        self.finish(encoder, None, &mut mark).await?;
        self.device.wait(None, "a timed run").await?;
        let wall = start.elapsed().as_secs_f64();
        let mut seconds = stamps.seconds(&self.device).await?.into_iter();
        let mut spans = Vec::new();
        for (op, range) in self.program.ops.iter().enumerate() {
            for dispatch in &self.program.all[range.clone()] {
                let (start, seconds) = seconds.next().unwrap_or_default();
                spans.push(Span {
                    op,
                    part: Some(dispatch.part),
                    label: self.program.kernels[dispatch.kernel].label.clone(),
                    start,
                    seconds,
                });
            }
        }
        Ok(Traced {
            spans,
            host: phases(&marks),
            wall,
        })
    }

    async fn by_host(&mut self) -> Result<Traced> {
        let start = Instant::now();
        let mut spans = Vec::new();
        for op in 0..self.program.ops.len() {
            let began = start.elapsed().as_secs_f64();
            self.run_op(op).await?;
            spans.push(Span {
                op,
                part: None,
                label: self.plan().ops[op].name().to_string(),
                start: began,
                seconds: start.elapsed().as_secs_f64() - began,
            });
        }
        let encoder = self.device.raw.create_command_encoder(&Default::default());
        self.finish(encoder, None, &mut |_| {}).await?;
        Ok(Traced {
            spans,
            host: Vec::new(),
            wall: start.elapsed().as_secs_f64(),
        })
    }
}

impl Traced {
    /// The same by kernel.
    pub fn kernels(&self) -> Vec<KernelTime> {
        let mut kernels: Vec<KernelTime> = Vec::new();
        for span in &self.spans {
            let same = |k: &&mut KernelTime| k.label == span.label && k.part == span.part;
            match kernels.iter_mut().rev().find(same) {
                Some(known) => {
                    if known.ops.last() != Some(&span.op) {
                        known.ops.push(span.op);
                    }
                    known.calls += 1;
                    known.seconds += span.seconds;
                }
                None => kernels.push(KernelTime {
                    ops: vec![span.op],
                    part: span.part,
                    label: span.label.clone(),
                    calls: 1,
                    seconds: span.seconds,
                }),
            }
        }
        kernels
    }
}

/// From when phases began, each one's beginning and end.
pub(crate) fn phases(marks: &[(HostPhase, f64)]) -> Vec<(HostPhase, f64, f64)> {
    let pairs = marks.windows(2);
    pairs.map(|w| (w[0].0, w[0].1, w[1].1)).collect()
}
