//! wgrnn: a training engine for recurrent networks.
#![warn(missing_docs)]

/// A source of counter-based random numbers.
pub mod rng;
