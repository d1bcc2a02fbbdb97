//! Runs that are made again: where workgroups that wait for one another did not meet, a run and those that were submitted behind
//! it have changed nothing that lasts, and are repeated with kernels that wait for nobody.
//!
//! Such a run sets a flag on the device, and reports it. While it is set, updates are left out and the first states of later runs
//! stay those of the run that failed: [`super::flag`] has the flag's values.

use super::executor::Gpu;
use super::flag::{FAILED, FINE, REPEATED, UNMET};
use super::given::{GivenRun, OwnFilling};
use super::program::Program;
use super::tile::Tile;
use crate::{Error, Result};

impl Gpu {
    /// Whether some of its kernels span workgroups: until a run fails.
    pub fn spans(&self) -> bool {
        self.repeats.is_some()
    }

    /// Keeps what the next run is given, where it may have to be repeated.
    pub(super) fn given(&mut self, own: Vec<OwnFilling>) {
        if let Some(repeats) = &mut self.repeats {
            repeats.runs.push_back(GivenRun {
                run: self.runs,
                part: self.part,
                staged: self.staged.clone(),
                own,
                packed: self.program.packed.clone(),
            });
        }
    }

    /// Takes note of a run's verdict, and says whether the run counts.
    pub(super) fn met(&mut self, run: u64, verdict: f64) -> bool {
        let Some(repeats) = &mut self.repeats else {
            return true;
        };
        repeats.failed |= verdict == FAILED;
        if !repeats.failed {
            repeats.runs.retain(|given| given.run > run);
        }
        !repeats.failed
    }

    /// Repeats the runs that failed with kernels that wait for nobody, which stay; whether there were any.
    pub(super) async fn repeat(&mut self) -> Result<bool> {
        if !self.repeats.as_ref().is_some_and(|r| r.failed) {
            return Ok(false);
        }
        self.device.wait(None, "runs that failed").await?;
        self.in_flight.clear();
        self.digest(true)?;
        self.measured.clear();
        let (Some(repeats), Some(exchange)) = (self.repeats.take(), self.plan.io.exchange) else {
            return Err(Error::internal("a run failed that cannot be repeated"));
        };
        self.device.forbid_span(&self.plan);
        let tile = Tile {
            span: 0,
            ..repeats.tile
        };
        let same = &mut |_: &str, text: &str| text.to_string();
        let (device, plan) = (self.device.clone(), self.plan.clone());
        self.program =
            Program::new(&device, &plan, &tile, repeats.binding, &self.buffers, same).await?;
        self.write_words(exchange.flag, &[REPEATED])?;
        self.runs = repeats.runs.front().map_or(self.runs, |given| given.run);
        let part = self.part;
        for given in repeats.runs {
            self.part = given.part;
            self.program.packed = given.packed;
            self.staged = given.staged;
            self.send_staged()?;
            for (slot, bytes) in given.own {
                self.send(&self.buffers[slot.0], &bytes, &plan.slot(slot).name)?;
            }
            self.submit_filled(&mut |_| {}).await?;
            // Only the first one begins with the states that lie there.
            self.write_words(exchange.flag, &[FINE])?;
        }
        self.part = part;
        Ok(true)
    }

    /// Waits until every run so far counts: one that failed is repeated before anything is read that it changes. Returns at once
    /// where no kernel waits for another workgroup.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn settle(&mut self) -> Result<()> {
        if self.spans() {
            self.device.wait(None, "the runs of the plan").await?;
            self.in_flight.clear();
            self.digest(true)?;
            self.repeat().await?;
        }
        Ok(())
    }

    /// Of an operation that ran alone: whether its workgroups met.
    pub(super) async fn all_met(&mut self, op: usize) -> Result<()> {
        let Some(exchange) = self.plan.io.exchange.filter(|_| self.spans()) else {
            return Ok(());
        };
        if self.read_words(exchange.flag).await? != [UNMET] {
            return Ok(());
        }
        self.write_words(exchange.flag, &[FINE])?;
        Err(Error::device(format!(
            "{}: the workgroups of {} waited for one another in vain",
            self.device.adapter.name,
            self.plan.ops[op].name()
        )))
    }
}
