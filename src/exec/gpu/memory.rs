//! Memory of a device that is in use, and what went through it.

use std::sync::atomic::Ordering;

use super::buffers::SlotBuffer;
use super::device::GpuDevice;

impl GpuDevice {
    /// Bytes that the slots of all plans hold.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// Bytes that have gone to slots of plans or come from them since the device was opened; reports aside.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Writes from the host to buffers of plans since the device was opened.
    pub fn uploads(&self) -> u64 {
        self.uploads.load(Ordering::Relaxed)
    }

    /// Submissions since the device was opened.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// Writes bytes to a slot's buffer, from an offset in the slot on.
    pub(super) fn upload(&self, to: &SlotBuffer, at: u64, bytes: &[u8]) {
        self.moves(bytes.len());
        self.uploads.fetch_add(1, Ordering::Relaxed);
        self.queue.write_buffer(&to.buffer, to.offset + at, bytes);
    }

    /// Hands commands over.
    pub(super) fn submit(&self, commands: Option<wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        self.queue.submit(commands)
    }

    /// Counts bytes that go or come.
    pub(super) fn moves(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Where the device ran out of memory: the bytes that slots could have, at least.
    pub fn short(&self) -> Option<u64> {
        let bytes = self.short.load(Ordering::SeqCst);
        (bytes > 0).then_some(bytes)
    }

    /// What is allocated on the device, by the allocator's own account, where it keeps one: how many things, and bytes.
    /// Memory is given back with the next wait for the device.
    pub fn allocated(&self) -> Option<(usize, u64)> {
        let report = self.raw.generate_allocator_report()?;
        Some((report.allocations.len(), report.total_allocated_bytes))
    }
}
