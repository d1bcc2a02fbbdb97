//! Double precision on an adapter: every number of a plan in f64, for comparisons that rounding must not blur.
//!
//! Training amplifies a rounding of f32 about tenfold every twenty steps, so that no two executors that sum in another
//! order agree for long; in f64 they start nine digits nearer to one another.

use super::{Plan, Role};
use crate::{Error, Result};

impl Plan {
    /// Marks every slot of numbers as one that an adapter holds, and computes with, in f64.
    ///
    /// # Errors
    /// Usage, for a plan with slots in half precision.
    pub fn double(&mut self) -> Result<()> {
        if self.halved() {
            return Err(Error::usage(
                "double: expected a plan in single precision, got one with half true",
            ));
        }
        for slot in &mut self.slots {
            slot.double = slot.role != Role::Words;
        }
        Ok(())
    }

    /// Whether an adapter holds the plan's numbers in double precision.
    pub fn doubled(&self) -> bool {
        self.slots.iter().any(|s| s.double)
    }
}
