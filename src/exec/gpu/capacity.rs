//! Capacity: whether a device can take a plan's slots and bind what its kernels need of them, before anything is allocated.

use std::collections::HashSet;

use super::binding_range::BindingLimits;
use super::buffers::{bindable, buffers_hold, bytes};
use super::device::GpuDevice;
use super::lower::lower;
use crate::Result;
use crate::op::Plan;

impl GpuDevice {
    /// Whether every slot of `plan` fits a buffer, and every kernel's part of one a binding. How much memory there is in
    /// all no device tells.
    ///
    /// # Errors
    /// Device, naming the first slot that does not fit.
    pub fn holds(&self, plan: &Plan) -> Result<()> {
        buffers_hold(self, plan)?;
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
        // Pieces of a segment have operations of the same names and sizes.
        let mut seen = HashSet::new();
        for op in plan.ops.iter().filter(|op| seen.insert(op.name())) {
            for source in &lower(op, plan, &tile, fit)?.kernels {
                bindable(self, plan, source, binding)?;
            }
        }
        Ok(())
    }
}
