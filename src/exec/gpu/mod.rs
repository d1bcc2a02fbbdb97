//! The executor on a GPU, through wgpu: the only place that knows of it.
//!
//! [`Device`] is an open adapter; [`Gpu`] makes buffers, kernels and bind groups for a plan once and replays them. From an
//! operation to its kernels leads `lower`: `operation` fills the templates in `shaders/`, `scan` and `matmul` unroll theirs,
//! `concurrent` makes one kernel of several, `binding_range` and `ranges` cut what no binding holds, and `template` and `writer`
//! make WGSL of it all, each number in the precision of its slot.

mod binding_range;
mod buffers;
mod concurrent;
mod device;
mod executor;
mod inject;
mod limits;
mod lower;
mod matmul;
mod operation;
mod pace;
mod packed;
mod pipeline;
mod precision;
mod quirk;
mod ranges;
mod readback;
mod room;
mod run;
mod scan;
mod split;
mod template;
mod tile;
pub(super) mod timing;
mod transfer;
mod upload;
mod writer;

pub use device::{Adapter, Choice, Device, INSTALL, adapters};
pub use executor::Gpu;
pub use inject::Fault;
pub use limits::measure as measure_limits;
pub use pace::LONGEST;
pub use run::Phase;
pub use tile::{Shape, Tile};
pub use timing::{KernelTime, Span, Traced};
