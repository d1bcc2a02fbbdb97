//! Timestamps of a device: when passes began and how long they took.

use super::device::GpuDevice;
use super::readback::fetch;
use crate::Result;

/// Timestamps in one set; no device takes more.
const SET: usize = 4096;

/// Timestamps for passes: two each, when it begins and when it ends.
pub(super) struct Stamps {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    passes: usize,
}

impl Stamps {
    pub fn new(device: &GpuDevice, passes: usize) -> Stamps {
        let sets = (0..(2 * passes).div_ceil(SET)).map(|_| {
            device.raw.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: SET as u32,
            })
        });
        let sets: Vec<_> = sets.collect();
        let resolved = device.raw.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: (8 * SET * sets.len().max(1)) as u64,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Stamps {
            sets,
            resolved,
            passes,
        }
    }

    /// What a pass must be told so that it is timed.
    pub fn of(&self, pass: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = (2 * pass % SET) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[2 * pass / SET],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Records, after the last pass, that the timestamps be written down.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        self.resolve_first(self.passes, encoder);
    }

    /// The same for the first so many passes, where there were no more; returns where they are written down.
    pub fn resolve_first(
        &self,
        passes: usize,
        encoder: &mut wgpu::CommandEncoder,
    ) -> &wgpu::Buffer {
        for (i, set) in self.sets.iter().enumerate() {
            let count = (2 * passes).saturating_sub(i * SET).min(SET) as u32;
            if count > 0 {
                encoder.resolve_query_set(set, 0..count, &self.resolved, (8 * SET * i) as u64);
            }
        }
        &self.resolved
    }

    /// Every pass's beginning and length in seconds, counted from the first one's beginning.
    pub async fn seconds(&self, device: &GpuDevice) -> Result<Vec<(f64, f64)>> {
        let size = 16 * self.passes as u64;
        let bytes = fetch(device, &self.resolved, 0..size, "timestamps").await?;
        Ok(spans(device, &bytes))
    }
}

/// Passes' beginnings and lengths in seconds, of what their timestamps were written down as.
pub(super) fn spans(device: &GpuDevice, bytes: &[u8]) -> Vec<(f64, f64)> {
    let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(bytes);
    let period = f64::from(device.queue.get_timestamp_period()) * 1e-9;
    let first = ticks.first().copied().unwrap_or(0);
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 * period;
    let pairs = ticks.chunks_exact(2);
    pairs
        .map(|p| (seconds(first, p[0]), seconds(p[0], p[1])))
        .collect()
}
