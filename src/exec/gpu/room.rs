//! Room: whether a device can take a plan's slots and bind what its kernels need of them, before anything is allocated;
//! and what is in use.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::binding_range::BindingLimits;
use super::buffers::{bindable, bytes};
use super::device::Device;
use super::lower::lower;
use crate::op::Plan;
use crate::{Error, Result};

impl Device {
    /// Whether every slot of `plan` fits a buffer.
    pub(super) fn buffers_hold(&self, plan: &Plan) -> Result<()> {
        let limit = self.limits.max_buffer_size;
        for slot in &plan.slots {
            let size = bytes(slot.width(), slot.len());
            if size > limit {
                return Err(Error::device(format!(
                    "{} {:?} takes {size} bytes, and {} has buffers of at most {limit}; a smaller batch, sequence or layer \
                     may fit",
                    slot.name, slot.shape, self.adapter.name
                )));
            }
        }
        Ok(())
    }

    /// Bytes that the slots of all plans hold.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// Bytes that have gone to slots of plans or come from them since the device was opened; reports aside.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
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

    /// Whether every slot of `plan` fits a buffer, and every kernel's part of one a binding. How much memory there is in
    /// all no device tells.
    ///
    /// # Errors
    /// Device, naming the first slot that does not fit.
    pub fn holds(&self, plan: &Plan) -> Result<()> {
        self.buffers_hold(plan)?;
        let binding = self.adapter.max_binding;
        if plan
            .slots
            .iter()
            .all(|s| bytes(s.width(), s.len()) <= binding)
        {
            return Ok(());
        }
        let tile = self.tile(plan).0;
        let fit = BindingLimits::of(self, binding);
        // Pieces of a window have operations of the same names and sizes.
        let mut seen = HashSet::new();
        for op in plan.ops.iter().filter(|op| seen.insert(op.name())) {
            for source in &lower(op, plan, &tile, fit)?.kernels {
                bindable(self, plan, source, binding)?;
            }
        }
        Ok(())
    }
}
