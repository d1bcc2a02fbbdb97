//! Large tensors on their way to the device.

use super::executor::Gpu;
use crate::op::SlotId;
use crate::{Error, Result};

/// Elements that are handed over at a time: 64 MiB of them.
const PART: usize = 16 << 20;

impl Gpu {
    /// Fills a slot with numbers that are given away, from the last to the first, and gives the memory of those that have
    /// arrived back: no more than a part of them lies in the host's memory and on the device at once.
    ///
    /// # Errors
    /// Internal when there are not as many as the slot holds; Device when the device is lost or hangs.
    pub async fn put(&self, slot: SlotId, mut values: Vec<f32>) -> Result<()> {
        let of = self.plan.slot(slot);
        if values.len() != of.len() {
            return Err(Error::internal(format!(
                "{}: expected {} elements {:?}, found {}",
                of.name,
                of.len(),
                of.shape,
                values.len()
            )));
        }
        if of.half {
            return Err(Error::internal(format!("{}: in half precision", of.name)));
        }
        while let Some(last) = values.len().checked_sub(1) {
            let from = last / PART * PART;
            let part = &values[from..];
            let wide: Vec<f64>;
            let bytes = if of.double {
                wide = part.iter().map(|x| f64::from(*x)).collect();
                bytemuck::cast_slice(&wide)
            } else {
                bytemuck::cast_slice(part)
            };
            let at = (of.width() * from) as u64;
            self.device.upload(&self.buffers[slot.0], at, bytes);
            values.truncate(from);
            values.shrink_to_fit();
            if from > 0 {
                // The part's copy on its way is let go only once it has arrived.
                let sent = self.device.submit(None);
                self.device.wait(Some(sent), &of.name).await?;
            }
        }
        Ok(())
    }
}
