//! wgrnn: a training engine for recurrent networks.
#![warn(missing_docs)]

pub mod cell;
pub mod data;
pub mod error;
pub mod exec;
pub mod layer;
pub mod model;
pub mod op;
pub mod rng;
pub mod train;

pub use error::{Error, Kind, Result};
