//! Runs with a clock: seconds of every operation and of every kernel.

use std::time::Instant;

use super::executor::Gpu;
use super::readback::fetch;
use crate::Result;
use crate::exec::{Inputs, Timings};

/// What one kernel of the plan took, all its calls together.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The operation's place in the plan.
    pub op: usize,
    /// The kernel's name: the operation's, and its stage or part.
    pub label: String,
    /// How often it was dispatched.
    pub calls: u64,
    /// Seconds on the device.
    pub seconds: f64,
}

/// Timestamps in one set; no device takes more.
const SET: usize = 4096;

impl Gpu {
    /// Runs the plan once with a pass of its own for every dispatch, adds each operation's seconds to `timings`, and
    /// returns the kernels'. The device's timestamps are used where it has them, else the host's clock around every
    /// operation, whose seconds its first kernel then gets.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub async fn run_timed(
        &mut self,
        inputs: &Inputs<'_>,
        timings: &mut Timings,
    ) -> Result<Vec<KernelTime>> {
        self.write_inputs(inputs)?;
        self.device.wait(None, "earlier runs").await?;
        let spans = if self.device.adapter.timestamps {
            self.by_device().await?
        } else {
            self.by_host().await?
        };
        let mut kernels: Vec<KernelTime> = Vec::new();
        for (op, spans) in spans.iter().enumerate() {
            for (kernel, seconds) in spans {
                timings.seconds[op] += seconds;
                let label = &self.kernels[*kernel].label;
                match kernels.iter_mut().find(|k| k.op == op && k.label == *label) {
                    Some(known) => {
                        known.calls += 1;
                        known.seconds += seconds;
                    }
                    None => kernels.push(KernelTime {
                        op,
                        label: label.clone(),
                        calls: 1,
                        seconds: *seconds,
                    }),
                }
            }
            timings.calls[op] += 1;
        }
        Ok(kernels)
    }

    /// For every operation, its dispatches' kernels and seconds.
    async fn by_device(&mut self) -> Result<Vec<Vec<(usize, f64)>>> {
        let raw = &self.device.raw;
        let total: usize = self.ops.iter().map(|d| 2 * d.len()).sum();
        let sets: Vec<wgpu::QuerySet> = (0..total.div_ceil(SET))
            .map(|_| {
                raw.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: SET as u32,
                })
            })
            .collect();
        let resolved = raw.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: (8 * SET * sets.len().max(1)) as u64,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = raw.create_command_encoder(&Default::default());
        let mut at = 0;
        for dispatches in &self.ops {
            for dispatch in dispatches {
                let first = (at % SET) as u32;
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(&self.kernels[dispatch.kernel].label),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &sets[at / SET],
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }),
                });
                self.record(&mut pass, std::slice::from_ref(dispatch));
                at += 2;
            }
        }
        for (i, set) in sets.iter().enumerate() {
            let count = (total - i * SET).min(SET) as u32;
            encoder.resolve_query_set(set, 0..count, &resolved, (8 * SET * i) as u64);
        }
        self.finish(encoder).await?;
        let bytes = fetch(&self.device, &resolved, 8 * total as u64, "timestamps").await?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
        let period = f64::from(self.device.queue.get_timestamp_period()) * 1e-9;
        let mut pairs = ticks.chunks_exact(2);
        let mut span = |kernel: usize| {
            let ticks = pairs.next().map_or(0, |p| p[1].saturating_sub(p[0]));
            (kernel, ticks as f64 * period)
        };
        let ops = self.ops.iter();
        Ok(ops
            .map(|dispatches| dispatches.iter().map(|d| span(d.kernel)).collect())
            .collect())
    }

    async fn by_host(&mut self) -> Result<Vec<Vec<(usize, f64)>>> {
        let mut spans = Vec::new();
        for op in 0..self.ops.len() {
            let start = Instant::now();
            self.run_op(op).await?;
            let first = self.ops[op].first().map(|d| d.kernel);
            spans.push(
                { first.into_iter() }
                    .map(|k| (k, start.elapsed().as_secs_f64()))
                    .collect(),
            );
        }
        let encoder = self.device.raw.create_command_encoder(&Default::default());
        self.finish(encoder).await?;
        Ok(spans)
    }
}
