//! Training: settings, schedules, the loop as a state machine, checkpoints and a run's folder.

pub mod atomic;
mod build;
pub mod checkpoint;
pub mod dynamic;
pub mod evaluate;
mod feed;
mod files;
pub mod footprint;
pub mod foreign;
pub mod metrics;
pub mod mixer;
pub mod optimizer;
pub mod run_dir;
pub mod sampler;
pub mod sampling;
pub mod schedule;
pub mod settings;
pub mod state;
pub mod trainer;

pub use build::{init, spec, unroll, update};
pub use checkpoint::{Checkpoint, Data, Tensor};
pub use dynamic::{Dynamic, Learner};
pub use evaluate::{Evaluation, Evaluator};
pub use feed::room;
pub use footprint::{Footprint, Largest};
pub use foreign::Foreign;
pub use metrics::{Figures, Meter};
pub use mixer::{Mixer, Window};
pub use run_dir::{Run, RunWriter};
pub use sampler::{Choice, Sampler};
pub use sampling::Sampling;
pub use schedule::{Plateau, Progress, Schedule};
pub use settings::{Length, Settings};
pub use state::{About, Best, CellText, Counters, Saved, State, Text};
pub use trainer::{Event, Job, Trainer};
