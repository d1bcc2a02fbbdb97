//! From the device to the host: a ring of small buffers for reports, and whole slots on demand.

use std::collections::VecDeque;

use futures::channel::oneshot;

use super::device::Device;
use crate::{Error, Result};

type Mapped = oneshot::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>;

fn map(buffer: &wgpu::Buffer) -> Mapped {
    let (done, mapped) = oneshot::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        // Nobody listens any more when the executor is gone.
        let _ = done.send(result);
    });
    mapped
}

fn unmap(buffer: &wgpu::Buffer, what: &str) -> Result<Vec<u8>> {
    let bytes = match buffer.get_mapped_range(..) {
        Ok(view) => view.to_vec(),
        Err(error) => return Err(Error::internal(format!("reading {what}: {error}"))),
    };
    buffer.unmap();
    Ok(bytes)
}

fn staging(device: &Device, size: u64) -> wgpu::Buffer {
    device.raw.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    })
}

/// These bytes of a buffer, after everything submitted so far.
pub(super) async fn fetch(
    device: &Device,
    from: &wgpu::Buffer,
    range: std::ops::Range<u64>,
    what: &str,
) -> Result<Vec<u8>> {
    let size = range.end - range.start;
    if size == 0 {
        return Ok(Vec::new());
    }
    let to = staging(device, size);
    let mut encoder = device.raw.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(from, range.start, &to, 0, size);
    let submission = device.queue.submit([encoder.finish()]);
    let mapped = map(&to);
    device.wait(Some(submission), what).await?;
    let lost = || Error::device(format!("{}: {what} cannot be read", device.adapter.name));
    mapped.await.map_err(|_| lost())?.map_err(|_| lost())?;
    // A lost device still maps, with garbage.
    device.healthy(what)?;
    unmap(&to, what)
}

/// Small copies on their way to the host, oldest first.
pub(super) struct Ring {
    buffers: Vec<wgpu::Buffer>,
    size: u64,
    free: Vec<usize>,
    under_way: VecDeque<(usize, u64, Mapped)>,
    arrived: Vec<(u64, Vec<u8>)>,
}

impl Ring {
    pub fn new(device: &Device, count: usize, size: u64) -> Ring {
        Ring {
            buffers: (0..count).map(|_| staging(device, size)).collect(),
            size,
            free: (0..count).collect(),
            under_way: VecDeque::new(),
            arrived: Vec::new(),
        }
    }

    /// A buffer that nothing is on its way in; waits for the oldest one where there is none.
    pub async fn place(&mut self, device: &Device) -> Result<usize> {
        if self.free.is_empty() {
            device.poll("a report")?;
            self.collect(device)?;
        }
        if self.free.is_empty() {
            device.wait(None, "a report").await?;
            self.collect(device)?;
        }
        self.free
            .pop()
            .ok_or_else(|| Error::internal("no report arrived from a device that is idle"))
    }

    /// Records the copy.
    pub fn copy(&self, place: usize, encoder: &mut wgpu::CommandEncoder, from: &wgpu::Buffer) {
        encoder.copy_buffer_to_buffer(from, 0, &self.buffers[place], 0, self.size);
    }

    /// Asks for the copy's bytes, after it was submitted.
    pub fn map(&mut self, place: usize, run: u64) {
        let mapped = map(&self.buffers[place]);
        self.under_way.push_back((place, run, mapped));
    }

    /// What has arrived, with the number of its run.
    pub fn take(&mut self, device: &Device) -> Result<Vec<(u64, Vec<u8>)>> {
        self.collect(device)?;
        Ok(std::mem::take(&mut self.arrived))
    }

    fn collect(&mut self, device: &Device) -> Result<()> {
        while let Some((place, run, mapped)) = self.under_way.front_mut() {
            let lost = || Error::device(format!("{}: a report is lost", device.adapter.name));
            match mapped.try_recv() {
                Ok(None) => break,
                Ok(Some(Ok(()))) => {
                    device.healthy("a report")?;
                    let bytes = unmap(&self.buffers[*place], "a report")?;
                    self.arrived.push((*run, bytes));
                    self.free.push(*place);
                    self.under_way.pop_front();
                }
                Ok(Some(Err(_))) | Err(_) => return Err(lost()),
            }
        }
        Ok(())
    }
}
