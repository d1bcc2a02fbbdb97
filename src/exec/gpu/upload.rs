//! Large tensors on their way to the device.

use super::executor::{COPY, Gpu};
use crate::Result;
use crate::op::SlotId;

impl Gpu {
    /// Fills a slot with numbers that are given away, from the last to the first, and gives the memory of those that have
    /// arrived back: never more than a part of them lies in the host's memory and on the device at once.
    ///
    /// # Errors
    /// Internal when there are not as many as the slot holds; Device when the device is lost.
    pub fn put(&self, slot: SlotId, mut values: Vec<f32>) -> Result<()> {
        self.fits(slot, values.len())?;
        while !values.is_empty() {
            // Copies begin at whole parts.
            let from = (values.len() - 1) / (COPY / 4) * (COPY / 4);
            self.write_part(slot, from, bytemuck::cast_slice(&values[from..]))?;
            values.truncate(from);
            values.shrink_to_fit();
            if from > 0 {
                self.arrived(slot)?;
            }
        }
        Ok(())
    }
}
