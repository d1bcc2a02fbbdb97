//! The executor on a GPU, through wgpu: the only place that knows of it.
//!
//! [`GpuDevice`] is an open adapter; [`Gpu`] makes buffers, kernels and bind groups for a plan once and replays them. From an
//! operation to its kernels leads `lower`: `operation` fills the templates in `shaders/`, `scan` and `matmul` unroll theirs,
//! `concurrent` makes one kernel of several, `binding_range` and `ranges` cut what no binding holds, and `template` and `writer`
//! make WGSL of it all, each number in the precision of its slot. Of kernels that span workgroups are `exchange`, what these
//! send one another, `meeting`, how many may wait for one another, and `repeat`, what is done where one did not come.

mod adapter;
mod attend;
mod binding_range;
mod buffers;
mod capacity;
mod concurrent;
mod device;
mod exchange;
mod executor;
mod fault;
mod flag;
mod given;
mod inject;
mod kernel;
mod limits;
mod lower;
mod matmul;
mod meeting;
mod memory;
mod operation;
mod outline;
mod pace;
mod packed;
mod pipeline;
mod precision;
mod product_tile;
mod program;
mod quirk;
mod ranges;
mod readback;
mod repeat;
mod rows;
mod run;
mod scan;
mod schedule;
mod source;
mod stamps;
mod template;
mod tile;
mod tile_choice;
mod tile_search;
pub(super) mod timing;
mod transfer;
mod upload;
mod writer;

pub use adapter::{Adapter, AdapterChoice, INSTALL, adapters};
pub use device::GpuDevice;
pub use executor::Gpu;
pub use fault::Fault;
pub use limits::measure as measure_limits;
pub use outline::{KernelOutline, PartOutline};
pub use pace::LONGEST;
pub use run::HostPhase;
pub use tile::{Shape, Tile};
pub use timing::{KernelTime, Span, Traced};
