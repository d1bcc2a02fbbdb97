//! To and from a device: what a run needs from the host, and whole slots.

use std::borrow::Cow;

use half::f16;

use super::buffers::SlotBuffer;
use super::executor::Gpu;
use super::given::OwnFilling;
use super::readback::fetch;
use crate::cell::real::Real;
use crate::exec::fill::fillings;
use crate::exec::{FillSlots, Filling};
use crate::op::{Part, Slot, SlotId};
use crate::{Error, Result};

/// Bytes that are copied to or from a device at a time.
const COPY: usize = 64 << 20;

impl Gpu {
    /// Fills the slots that the host fills, without running: in one write, as they lie in one buffer.
    ///
    /// # Errors
    /// Internal when the minibatch does not fit the plan.
    pub fn set(&mut self, minibatch: &dyn FillSlots) -> Result<()> {
        self.fill_part(minibatch, Part::Whole).map(|_| ())
    }

    /// Fills those that a part of the plan reads. Where a run may have to be repeated: what went to other slots than those in
    /// their one buffer.
    pub(super) fn fill_part(
        &mut self,
        minibatch: &dyn FillSlots,
        part: Part,
    ) -> Result<Vec<OwnFilling>> {
        let mut own = Vec::new();
        let plan = self.plan.clone();
        let fillings = fillings(&plan, minibatch, part)?;
        let mut staged = std::mem::take(&mut self.staged);
        for (slot, filling) in fillings {
            let of = plan.slot(slot);
            let bytes = match &filling {
                Filling::Words(words) => {
                    self.program.packed.learn(slot, words);
                    Cow::Borrowed(bytemuck::cast_slice(words))
                }
                Filling::Numbers(numbers) => singles(of, numbers),
                Filling::Doubles(numbers) => Cow::Owned(encoded(of, numbers)),
            };
            let place = &self.buffers[slot.0];
            if place.staged {
                let at = place.offset as usize;
                staged[at..at + bytes.len()].copy_from_slice(&bytes);
            } else {
                self.send(place, &bytes, &of.name)?;
                if self.repeats.is_some() {
                    own.push((slot, bytes.into_owned()));
                }
            }
        }
        self.staged = staged;
        self.send_staged()?;
        Ok(own)
    }

    /// Fills the slots that lie in one buffer.
    pub(super) fn send_staged(&self) -> Result<()> {
        let mut filled = self.plan.filled();
        match filled.find(|slot| self.buffers[slot.0].staged) {
            Some(slot) => {
                let whole = SlotBuffer {
                    offset: 0,
                    ..self.buffers[slot.0].clone()
                };
                self.send(&whole, &self.staged, "the minibatch")
            }
            None => Ok(()),
        }
    }

    /// Fills a slot of numbers; one in half precision gets the nearest ones.
    ///
    /// # Errors
    /// Internal when there are not as many as the slot holds.
    pub fn write(&mut self, slot: SlotId, values: &[f32]) -> Result<()> {
        let bytes = singles(self.plan.slot(slot), values);
        self.fill(slot, &bytes, values.len())
    }

    /// Fills a slot of numbers of either type: exactly where it is in double precision, else with the nearest ones.
    ///
    /// # Errors
    /// As [`Gpu::write`].
    pub fn write_as<F: Real>(&mut self, slot: SlotId, values: &[F]) -> Result<()> {
        let bytes = encoded(self.plan.slot(slot), values);
        self.fill(slot, &bytes, values.len())
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
        self.send(&self.buffers[slot.0], bytes, &of.name)
    }

    /// Bytes on their way to a buffer, no more than a part of them at once.
    pub(super) fn send(&self, to: &SlotBuffer, bytes: &[u8], what: &str) -> Result<()> {
        for (n, part) in bytes.chunks(COPY).enumerate() {
            if n > 0 {
                // The host's copy of the part before is let go only once it has arrived.
                self.device.submit(None);
                self.device.block(None, what)?;
            }
            self.device.upload(to, (n * COPY) as u64, part);
        }
        Ok(())
    }

    /// What a slot of numbers holds, after all runs so far; of one in double precision, the nearest f32. A run that failed and is
    /// not yet repeated has left nothing: [`Gpu::settle`] comes first where runs may fail.
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
            let place = &self.buffers[slot.0];
            let part = place.offset + part.start..place.offset + part.end;
            let bytes = fetch(&self.device, &place.buffer, part, &of.name).await?;
            all.extend(bytemuck::pod_collect_to_vec::<u8, T>(&bytes));
        }
        all.truncate(of.len());
        Ok(all)
    }
}

/// Numbers as a slot holds them, whole words of them.
fn encoded<F: Real>(slot: &Slot, values: &[F]) -> Vec<u8> {
    let wide = values.iter().map(|x| x.f64());
    let single = wide.clone().map(|x| x as f32);
    match slot.width() {
        8 => wide.flat_map(f64::to_ne_bytes).collect(),
        4 => single.flat_map(f32::to_ne_bytes).collect(),
        _ => {
            let mut halves: Vec<u8> = single
                .flat_map(|x| f16::from_f32(x).to_ne_bytes())
                .collect();
            halves.resize(halves.len().next_multiple_of(4), 0);
            halves
        }
    }
}

/// The same of single ones, as they lie where the slot holds such.
fn singles<'a>(slot: &Slot, values: &'a [f32]) -> Cow<'a, [u8]> {
    match slot.width() {
        4 => Cow::Borrowed(bytemuck::cast_slice(values)),
        _ => Cow::Owned(encoded(slot, values)),
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
