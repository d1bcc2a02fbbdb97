//! From the device to the host: a ring of small buffers for reports, and whole slots on demand.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::channel::oneshot;

use super::device::GpuDevice;
use crate::{Error, Result};

/// Between looks at a mapping that is late.
const PAUSE: Duration = Duration::from_millis(1);

type Mapped = oneshot::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>;

fn map(device: &GpuDevice, buffer: &wgpu::Buffer) -> Mapped {
    let (done, mapped) = oneshot::channel();
    if !device.answers() {
        // Neither told nor dropped: a callback that never comes.
        std::mem::forget(done);
        return mapped;
    }
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        // Nobody listens any more when the executor is gone.
        let _ = done.send(result);
    });
    mapped
}

/// Whether a buffer is mapped by now.
fn looked(device: &GpuDevice, mapped: &mut Mapped, what: &str) -> Result<bool> {
    match mapped.try_recv() {
        Ok(None) => Ok(false),
        // A lost device still maps, with garbage.
        Ok(Some(Ok(()))) => device.healthy(what).map(|()| true),
        Ok(Some(Err(_))) | Err(_) => {
            device.healthy(what)?;
            let name = &device.adapter.name;
            Err(Error::device(format!("{name}: {what} cannot be read")))
        }
    }
}

/// Waits for a mapping on a device that is idle, but not for ever: a driver that lost it tells nobody.
fn awaited(device: &GpuDevice, mapped: &mut Mapped, what: &str) -> Result<()> {
    let start = Instant::now();
    while !looked(device, mapped, what)? {
        if start.elapsed() > device.patience() {
            return Err(device.in_vain(what));
        }
        device.poll(what)?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn unmap(buffer: &wgpu::Buffer, what: &str) -> Result<Vec<u8>> {
    let bytes = match buffer.get_mapped_range(..) {
        Ok(view) => view.to_vec(),
        Err(error) => return Err(Error::internal(format!("reading {what}: {error}"))),
    };
    buffer.unmap();
    Ok(bytes)
}

fn staging(device: &GpuDevice, size: u64) -> wgpu::Buffer {
    device.raw.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    })
}

/// These bytes of a buffer, after everything submitted so far.
pub(super) async fn fetch(
    device: &GpuDevice,
    from: &wgpu::Buffer,
    range: std::ops::Range<u64>,
    what: &str,
) -> Result<Vec<u8>> {
    let size = range.end - range.start;
    if size == 0 {
        return Ok(Vec::new());
    }
    device.moves(size as usize);
    let to = staging(device, size);
    let mut encoder = device.raw.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(from, range.start, &to, 0, size);
    let submission = device.submit(Some(encoder.finish()));
    let mut mapped = map(device, &to);
    device.wait(Some(submission), what).await?;
    awaited(device, &mut mapped, what)?;
    unmap(&to, what)
}

/// Small copies on their way to the host, oldest first.
pub(super) struct Ring {
    buffers: Vec<wgpu::Buffer>,
    free: Vec<usize>,
    under_way: VecDeque<(usize, u64, Mapped)>,
    arrived: Vec<(u64, Vec<u8>)>,
}

impl Ring {
    pub fn new(device: &GpuDevice, count: usize, size: u64) -> Ring {
        Ring {
            buffers: (0..count).map(|_| staging(device, size)).collect(),
            free: (0..count).collect(),
            under_way: VecDeque::new(),
            arrived: Vec::new(),
        }
    }

    /// A buffer that nothing is on its way in; waits for the oldest one where there is none.
    pub async fn place(&mut self, device: &GpuDevice) -> Result<usize> {
        if self.free.is_empty() {
            device.poll("a report")?;
            self.collect(device, false)?;
        }
        if self.free.is_empty() {
            device.wait(None, "a report").await?;
            self.collect(device, true)?;
        }
        self.free
            .pop()
            .ok_or_else(|| Error::internal("a ring of reports without a buffer"))
    }

    /// Records a copy of a buffer's first bytes, to an offset.
    pub fn copy(
        &self,
        place: usize,
        encoder: &mut wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        to: u64,
        size: u64,
    ) {
        encoder.copy_buffer_to_buffer(from, 0, &self.buffers[place], to, size);
    }

    /// Asks for the copy's bytes, after it was submitted.
    pub fn map(&mut self, device: &GpuDevice, place: usize, run: u64) {
        let mapped = map(device, &self.buffers[place]);
        self.under_way.push_back((place, run, mapped));
    }

    /// What has arrived, with the number of its run; with `wait`, of a device that is idle, all.
    pub fn take(&mut self, device: &GpuDevice, wait: bool) -> Result<Vec<(u64, Vec<u8>)>> {
        self.collect(device, wait)?;
        Ok(std::mem::take(&mut self.arrived))
    }

    fn collect(&mut self, device: &GpuDevice, wait: bool) -> Result<()> {
        while let Some((_, _, mapped)) = self.under_way.front_mut() {
            if wait {
                awaited(device, mapped, "a report")?;
            } else if !looked(device, mapped, "a report")? {
                break;
            }
            if let Some((place, run, _)) = self.under_way.pop_front() {
                let bytes = unmap(&self.buffers[place], "a report")?;
                self.arrived.push((run, bytes));
                self.free.push(place);
            }
        }
        Ok(())
    }
}
