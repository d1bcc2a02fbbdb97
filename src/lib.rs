//! wgrnn: a training engine for recurrent networks.
#![warn(missing_docs)]

pub mod cell;
pub mod data;
pub mod error;
pub mod op;
pub mod rng;

pub use error::{Error, Kind, Result};
