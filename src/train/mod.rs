//! Training: settings, schedules, the loop as a state machine, checkpoints and a run's folder.

pub mod atomic;
mod build;
pub mod checkpoint;
mod diverged;
pub mod dynamic;
pub mod evaluate;
pub mod examples;
mod feed;
mod files;
pub mod footprint;
pub mod foreign;
pub mod generator;
pub mod job;
mod losses;
pub mod metrics;
pub mod mixer;
pub mod optimizer;
pub mod run_dir;
pub mod schedule;
pub mod settings;
pub mod state;
pub mod teacher_forcing;
pub mod trainer;
mod validation;
mod watch;

pub use build::{init, spec, unroll, update};
pub use checkpoint::{Checkpoint, Data, StoredTensor};
pub use dynamic::{Dynamic, Learner};
pub use evaluate::{Evaluation, Evaluator, Unknown};
pub use examples::{
    Alignment, ExampleSet, FieldEvaluation, FieldEvaluator, Forecaster, Labels, LossEvaluation,
    Metric, ModelAttention, Numbers, Scored, SeriesCut, SeriesPart, TextLimits, TextWriter,
    Windows, WrittenText,
};
pub use feed::{Began, capacity};
pub use footprint::{Footprint, Largest};
pub use generator::{Choice, Generator};
pub use job::{FieldData, Job};
pub use losses::{Losses, losses};
pub use metrics::{Figures, Meter};
pub use mixer::{MixedSegment, Mixer, Mixing};
pub use run_dir::{Run, RunWriter};
pub use schedule::{Plateau, Progress, Schedule};
pub use settings::{Length, Settings};
pub use state::{About, Best, CellText, Counters, ModelText, Saved, State, Symbols, TextRecord};
pub use teacher_forcing::TeacherForcing;
pub use trainer::{Event, Trainer};
