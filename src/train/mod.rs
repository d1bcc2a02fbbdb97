//! Training without the model: settings, optimiser rules, schedules, checkpoints and a run's folder.

pub mod atomic;
pub mod checkpoint;
pub mod optimizer;
pub mod run_dir;
pub mod schedule;
pub mod settings;

pub use checkpoint::{Checkpoint, Data, Tensor};
pub use optimizer::{Optimizer, Rule};
pub use run_dir::{Run, RunWriter};
pub use schedule::{Plateau, Progress, Schedule};
pub use settings::{Length, Settings};
