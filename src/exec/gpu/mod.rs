//! The executor on a GPU, through wgpu: the only place that knows of it.
//!
//! [`Device`] is an open adapter; [`Gpu`] makes buffers, kernels and bind groups for a plan once and replays them. From an
//! operation to its kernels leads `lower`, which fills the templates in `shaders/`; `scan` and `matmul` unroll theirs.

mod device;
mod executor;
mod limits;
mod lower;
mod matmul;
mod pipeline;
mod readback;
mod room;
mod scan;
mod template;
mod tile;
pub(super) mod timing;
mod upload;
mod window;

pub use device::{Adapter, Choice, Device, INSTALL, TIMEOUT, adapters};
pub use executor::{Gpu, Phase};
pub use limits::measure as measure_limits;
pub use tile::Tile;
pub use timing::{KernelTime, Span, Traced};
