//! How long kernels would take on a device that is not there: a small model of its latencies, rates and memories.
//!
//! [`DeviceTable`] says what a device can do, [`work`] counts what a kernel asks of it from the plan and the kernel's sizes, and
//! [`time`] puts both together. Good to a factor of two: what a driver makes of a loop nobody knows beforehand. [`predict`]
//! does it for all kernels of a plan.

mod predict;
mod table;
mod time;
mod work;

pub use predict::{PredictedKernel, Prediction, predict};
pub use table::DeviceTable;
pub use time::{KernelLimit, KernelSeconds, time};
pub use work::{Work, work};
