//! What an adapter can do at most, measured: a copy for its memory, multiply-adds in registers for its arithmetic.

use std::time::Instant;

use super::binding_range::{BindingLimits, BindingRanges};
use super::device::{GpuDevice, Pipeline};
use super::kernel::KernelSource;
use super::pipeline::compile;
use super::stamps::Stamps;
use super::template::{Template, flat_groups};
use crate::exec::limits::{MachineLimits, median};
use crate::op::{Plan, Role};
use crate::{Error, Result};

/// Bytes that are copied: more than caches hold, where the device has as much. A software adapter's threads copy slowly.
const COPIED: [u64; 2] = [256 << 20, 64 << 20];
/// Bytes of a vec4.
const VECTOR: u64 = 16;
/// Measurements, of which the median counts.
const TIMES: usize = 5;
/// A measurement of multiply-adds takes at least so many seconds, where the device has threads enough.
const LONG: f64 = 5e-3;
/// Chains of a thread, each of vec4, and how often they are gone through.
const CHAINS: usize = 8;
const UNROLL: usize = 4;
const LOOPS: usize = 256;
/// Threads in a workgroup.
const GROUP: usize = 64;

/// The limits of `device`: each the median of several measurements.
///
/// # Errors
/// Device when not even a small buffer can be had, or the device is lost or hangs.
pub async fn measure(device: &GpuDevice) -> Result<MachineLimits> {
    let bench = Bench::new(device).await?;
    let vectors = (bench.size / VECTOR) as usize;
    let copy = Template::new(include_str!("../../../shaders/limits_copy.wgsl"));
    let copy = MeasuredKernel::new(&bench, copy, "limits.copy", vectors).await?;
    let groups = flat_groups(vectors, GROUP);
    let seconds = copy.median(&bench, groups).await?;
    let bytes = 2.0 * bench.size as f64 / seconds;

    let fma = Template::new(include_str!("../../../shaders/limits_fma.wgsl"))
        .size("CHAINS", CHAINS)
        .size("UNROLL", UNROLL)
        .size("LOOPS", LOOPS);
    let fma = MeasuredKernel::new(&bench, fma, "limits.fma", vectors).await?;
    let mut count = 64;
    while count < 1 << 20 && fma.once(&bench, flat_groups(count * GROUP, GROUP)).await? < LONG {
        count *= 2;
    }
    let groups = flat_groups(count * GROUP, GROUP);
    let threads = (GROUP as u32 * groups[0] * groups[1]) as f64;
    let each = (2 * 4 * CHAINS * UNROLL * LOOPS) as f64;
    let flops = threads * each / fma.median(&bench, groups).await?;
    Ok(MachineLimits { flops, bytes })
}

/// Two buffers and a clock.
struct Bench<'a> {
    device: &'a GpuDevice,
    size: u64,
    buffers: [wgpu::Buffer; 2],
}

impl<'a> Bench<'a> {
    /// Buffers as large as they may be, half as large where memory is short.
    async fn new(device: &'a GpuDevice) -> Result<Bench<'a>> {
        let most = COPIED[usize::from(device.adapter.software)].min(device.adapter.max_binding);
        let sizes = std::iter::successors(Some(most / 1024 * 1024), |s| Some(s / 2));
        for size in sizes.take_while(|s| *s >= 1 << 20) {
            let scope = device.raw.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            let buffer = || {
                device.raw.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("limits"),
                    size,
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            };
            let buffers = [buffer(), buffer()];
            if scope.pop().await.is_none() {
                device.healthy("measuring limits")?;
                // Not zero: numbers like those of real data. Factor 0.5 and summand 1 keep the chains near 2.
                let seed: [f32; 8] = [0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0];
                let bytes = bytemuck::cast_slice(&seed);
                device.queue.write_buffer(&buffers[0], 0, bytes);
                return Ok(Bench {
                    device,
                    size,
                    buffers,
                });
            }
        }
        Err(Error::device(format!(
            "{}: no memory for two buffers of 1 MiB to measure its limits with",
            device.adapter.name
        )))
    }
}

struct MeasuredKernel {
    source: KernelSource,
    pipeline: std::sync::Arc<Pipeline>,
    bind: wgpu::BindGroup,
}

impl MeasuredKernel {
    async fn new(
        bench: &Bench<'_>,
        text: Template,
        label: &str,
        vectors: usize,
    ) -> Result<MeasuredKernel> {
        let mut plan = Plan::default();
        let mut slot = |name| plan.add(name, &[vectors, 4], Role::Activation);
        let source = text
            .size("GROUP", GROUP)
            .size("COUNT", vectors)
            .buffer("from", slot("from"))
            .buffer("to", slot("to"))
            .kernel(label, [1, 1, 1])
            .build(&BindingRanges::new(&plan, BindingLimits::ANY, false))?;
        let pipeline = compile(bench.device, &source).await?;
        let binds = source.binds.iter().enumerate();
        let entries: Vec<wgpu::BindGroupEntry<'_>> = binds
            .map(|(i, bind)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: bench.buffers[bind.slot.0].as_entire_binding(),
            })
            .collect();
        let raw = &bench.device.raw;
        let bind = raw.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(label),
            layout: &pipeline.layout,
            entries: &entries,
        });
        Ok(MeasuredKernel {
            source,
            pipeline,
            bind,
        })
    }

    /// Seconds of one dispatch; never 0, which a coarse clock could say.
    async fn once(&self, bench: &Bench<'_>, [x, y, z]: [u32; 3]) -> Result<f64> {
        let device = bench.device;
        let stamps = device.adapter.timestamps.then(|| Stamps::new(device, 1));
        let mut encoder = device.raw.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(&self.source.label),
                timestamp_writes: stamps.as_ref().map(|s| s.of(0)),
            });
            pass.set_pipeline(&self.pipeline.raw);
            pass.set_bind_group(0, &self.bind, &[]);
            pass.dispatch_workgroups(x, y, z);
        }
        if let Some(stamps) = &stamps {
            stamps.resolve(&mut encoder);
        }
        let start = Instant::now();
        let submission = device.submit(Some(encoder.finish()));
        device.wait(Some(submission), &self.source.label).await?;
        let host = start.elapsed().as_secs_f64();
        let seconds = match &stamps {
            Some(stamps) => stamps.seconds(device).await?.first().map_or(host, |s| s.1),
            None => host,
        };
        Ok(if seconds > 0.0 { seconds } else { host })
    }

    /// The median of several, after one that warms up.
    async fn median(&self, bench: &Bench<'_>, groups: [u32; 3]) -> Result<f64> {
        let mut seconds = Vec::new();
        self.once(bench, groups).await?;
        for _ in 0..TIMES {
            seconds.push(self.once(bench, groups).await?);
        }
        Ok(median(seconds))
    }
}
