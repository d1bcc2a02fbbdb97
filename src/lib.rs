//! wgrnn: a training engine for recurrent networks, on any GPU that wgpu reaches and on CPUs.
//!
//! The tree, from the bottom up; imports run one way:
//!
//! | module | what is there |
//! |---|---|
//! | [`error`], [`rng`], [`paths`] | the one error type; random numbers as functions of counters; names of files as text |
//! | [`cell`] | a cell's text -> graph -> derivative -> stages -> WGSL and CPU code |
//! | [`op`] | the primitive operations, one file each: shapes, plain CPU code, cost; the [`op::Plan`] that lists them |
//! | [`layer`] | embedding, recurrent, dropout, linear, loss: each writes its forward and backward operations into a plan |
//! | [`model`] | specification -> layers -> plan; how parameters start and how files name them |
//! | [`exec`] | executors that replay a plan: [`exec::cpu`] in f32 and f64, [`exec::gpu`] on wgpu; [`exec::check`] compares them |
//! | [`task`] | minibatches: what the host fills a plan's slots with, from tokens that were read or made up |
//! | [`train`] | settings, schedules, the training loop, checkpoints, runs |
//! | [`data`] | stands apart: texts, vocabularies, minibatches, the built-in corpus |
//!
//! The program in `src/main.rs` and `src/cli` is the only place that prints, blocks or reads arguments.
//!
//! A minibatch's life: ids [T+1, B] go in; the plan's operations run in order, input projections first, one fused kernel per
//! stage and step forward and backward, one product per weight after them; clipping and the optimiser run over flat arenas;
//! the loss comes back late.
//!
//! A new operation is a file in `src/op` (its struct, its plain code, and [`op::Operation`]: above all the one list of its
//! [operands](op::Operand), from which what it reads, writes, counts, holds in half precision and can accumulate follow), a
//! shader of the same name, a line in the list of `src/op/mod.rs`, and a line in each dispatch: `src/exec/cpu/execute.rs`,
//! and `src/exec/gpu/lower.rs` and `split.rs` with the kernel's constants in `operation.rs`. What is forgotten of these does
//! not compile; a kernel that binds what the list does not name is refused when it is made, and `tests/wgsl.rs` wants a snapshot
//! of every kind.
#![warn(missing_docs)]

pub mod cell;
pub mod data;
pub mod error;
pub mod exec;
pub mod layer;
pub mod model;
pub mod op;
pub mod paths;
pub mod rng;
pub mod task;
pub mod train;

pub use error::{Error, Kind, Result};
