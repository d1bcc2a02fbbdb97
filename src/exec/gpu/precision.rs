//! Precision: whether a device can store and compute a plan's numbers as the plan has them.

use super::adapter::Adapter;
use super::device::GpuDevice;
use super::fault::Fault;
use super::tile::Tile;
use crate::op::Plan;
use crate::{Error, Result};

/// Whether the device has the precisions of `plan`.
///
/// # Errors
/// Device, naming the feature that it lacks.
pub(super) fn allowed(device: &GpuDevice, plan: &Plan) -> Result<()> {
    if plan.halved() && !device.halves() {
        Err(device.adapter.no_half())
    } else if plan.doubled() && !device.doubles() {
        Err(device.adapter.no_double())
    } else {
        Ok(())
    }
}

impl GpuDevice {
    /// Whether kernels can store numbers in half precision.
    pub fn halves(&self) -> bool {
        let wide = |f: &Fault| (*f == Fault::Wide).then_some(());
        self.adapter.half && self.injected.find(wide).is_none()
    }

    /// Whether kernels can compute in double precision.
    pub fn doubles(&self) -> bool {
        let single = |f: &Fault| (*f == Fault::Single).then_some(());
        self.adapter.double && self.injected.find(single).is_none()
    }
}

impl Adapter {
    /// That the adapter has no half precision.
    pub fn no_half(&self) -> Error {
        Error::device(format!(
            "half: {} ({}) lacks the feature shader-f16, which half precision needs; leave half out",
            self.name, self.backend
        ))
    }

    /// That the adapter has no double precision.
    pub fn no_double(&self) -> Error {
        Error::device(format!(
            "double: {} ({}) lacks the feature shader-f64, which double precision needs; leave double out",
            self.name, self.backend
        ))
    }
}

/// The tile for a plan: in double precision nothing that its kernels are not made for, as hands from thread to thread are said
/// of 32 bits alone.
pub(super) fn tile(tile: Tile, plan: &Plan) -> Tile {
    if plan.doubled() {
        Tile {
            subgroup: 0,
            cooperative: 0,
            matrices: 0,
            ..tile
        }
    } else {
        tile
    }
}
