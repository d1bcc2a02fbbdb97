//! To and from a device: what a run needs from the host, and whole slots.

use half::f16;

use super::executor::Gpu;
use super::readback::fetch;
use crate::cell::real::Real;
use crate::exec::fill::fillings;
use crate::exec::{FillSlots, Filling};
use crate::op::{Slot, SlotId};
use crate::{Error, Result};

/// Bytes that are copied to or from a device at a time.
const COPY: usize = 64 << 20;

impl Gpu {
    /// Fills the slots that the host fills, without running.
    ///
    /// # Errors
    /// Internal when the minibatch does not fit the plan.
    pub fn set(&mut self, minibatch: &dyn FillSlots) -> Result<()> {
        for (slot, filling) in fillings(&self.plan.clone(), minibatch)? {
            match filling {
                Filling::Words(words) => {
                    self.packed.learn(slot, &words);
                    self.write_words(slot, &words)?;
                }
                Filling::Numbers(numbers) => self.write(slot, &numbers)?,
                Filling::Doubles(numbers) => self.write_as(slot, &numbers)?,
            }
        }
        Ok(())
    }

    /// Fills a slot of numbers; one in half precision gets the nearest ones.
    ///
    /// # Errors
    /// Internal when there are not as many as the slot holds.
    pub fn write(&mut self, slot: SlotId, values: &[f32]) -> Result<()> {
        match self.plan.slot(slot).width() {
            4 => self.fill(slot, bytemuck::cast_slice(values), values.len()),
            2 => {
                let mut halves: Vec<f16> = values.iter().map(|x| f16::from_f32(*x)).collect();
                // Copies are whole words.
                halves.resize(values.len().next_multiple_of(2), f16::ZERO);
                self.fill(slot, bytemuck::cast_slice(&halves), values.len())
            }
            _ => self.write_as(slot, values),
        }
    }

    /// Fills a slot of numbers of either type: exactly where it is in double precision, else with the nearest ones.
    ///
    /// # Errors
    /// As [`Gpu::write`].
    pub fn write_as<F: Real>(&mut self, slot: SlotId, values: &[F]) -> Result<()> {
        let wide = values.iter().map(|x| x.f64());
        if self.plan.slot(slot).double {
            let wide: Vec<f64> = wide.collect();
            return self.fill(slot, bytemuck::cast_slice(&wide), wide.len());
        }
        let single: Vec<f32> = wide.map(|x| x as f32).collect();
        self.write(slot, &single)
    }

    /// Fills a slot of words.
    ///
    /// # Errors
    /// Internal when there are not as many as the slot holds.
    pub fn write_words(&mut self, slot: SlotId, words: &[u32]) -> Result<()> {
        self.fill(slot, bytemuck::cast_slice(words), words.len())
    }

    fn fill(&self, slot: SlotId, bytes: &[u8], elements: usize) -> Result<()> {
        let of = self.plan.slot(slot);
        if elements != of.len() {
            return Err(Error::internal(format!(
                "{}: expected {} elements {:?}, found {elements}",
                of.name,
                of.len(),
                of.shape
            )));
        }
        let (device, buffer) = (&self.device, &self.buffers[slot.0]);
        device.moves(bytes.len());
        for (n, part) in bytes.chunks(COPY).enumerate() {
            if n > 0 {
                // The host's copy of the part before is let go only once it has arrived.
                device.queue.submit([]);
                device.block(None, &of.name)?;
            }
            device.queue.write_buffer(buffer, (n * COPY) as u64, part);
        }
        Ok(())
    }

    /// What a slot of numbers holds, after all runs so far; of one in double precision, the nearest f32.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn read(&self, slot: SlotId) -> Result<Vec<f32>> {
        match self.plan.slot(slot).width() {
            4 => self.elements(slot, 4).await,
            2 => {
                let halves: Vec<f16> = self.elements(slot, 2).await?;
                Ok(halves.into_iter().map(f16::to_f32).collect())
            }
            _ => self.read_as(slot).await,
        }
    }

    /// What a slot of numbers holds, after all runs so far, in either type: a slot in double precision exactly, in f64.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub async fn read_as<F: Real>(&self, slot: SlotId) -> Result<Vec<F>> {
        if self.plan.slot(slot).double {
            let wide: Vec<f64> = self.elements(slot, 8).await?;
            return Ok(wide.into_iter().map(F::of).collect());
        }
        let single: Vec<f32> = Box::pin(self.read(slot)).await?;
        Ok(single.into_iter().map(|x| F::of(f64::from(x))).collect())
    }

    /// What a slot of words holds, after all runs so far.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn read_words(&self, slot: SlotId) -> Result<Vec<u32>> {
        self.elements(slot, 4).await
    }

    async fn elements<T: bytemuck::Pod>(&self, slot: SlotId, width: usize) -> Result<Vec<T>> {
        let of = self.plan.slot(slot);
        let mut all = Vec::with_capacity(of.len());
        // Copies are whole words.
        let size = (width * of.len()).next_multiple_of(4);
        for from in (0..size).step_by(COPY) {
            let part = from as u64..COPY.min(size - from) as u64 + from as u64;
            let buffer = &self.buffers[slot.0];
            let bytes = fetch(&self.device, buffer, part, &of.name).await?;
            all.extend(bytemuck::pod_collect_to_vec::<u8, T>(&bytes));
        }
        all.truncate(of.len());
        Ok(all)
    }
}

/// The numbers of a slot that is not in half precision, from its bytes.
pub(super) fn numbers(slot: &Slot, bytes: &[u8]) -> Vec<f64> {
    if slot.double {
        return bytemuck::pod_collect_to_vec(bytes);
    }
    let single: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
    single.into_iter().map(f64::from).collect()
}
