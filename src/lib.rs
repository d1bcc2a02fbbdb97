//! wgrnn: a training engine for recurrent networks, on any GPU that wgpu reaches and on CPUs.
//!
//! A cell is its equations, a model is layers over values, a plan is the list of operations that both executors run. The
//! smallest run from a program of your own:
//!
//! ```
//! use std::sync::Arc;
//! use wgrnn::cell::library;
//! use wgrnn::data::{Tokens, VocabKind, Vocabulary};
//! use wgrnn::exec::Device;
//! use wgrnn::train::{Choice, Event, Generator, Job, Length, Settings, Trainer, spec};
//!
//! # fn main() -> wgrnn::Result<()> {
//! # pollster::block_on(async {
//! let text = "the cat sat on the mat. ".repeat(40);
//! let vocabulary = Vocabulary::build(VocabKind::Char, text.as_bytes(), 1)?;
//! let tokens = Tokens::from(vocabulary.encode(text.as_bytes())?);
//!
//! let settings = Settings { hidden: 24, seq_len: 16, batch: 4, lr: 0.02, ..Settings::default() };
//! let model = spec(&settings, vec![library::builtin("gru")?], vocabulary.len());
//! let job = Job::new(settings, model.clone(), Length::Steps(120), tokens, Tokens::from(vec![]))?;
//! let start = job.start()?;
//! let mut trainer = Trainer::new(Device::Cpu, job, start).await?; // or Device::open("gpu")
//! let (mut losses, mut state) = (Vec::new(), None);
//! loop {
//!     match trainer.next(0.0, false).await? {
//!         Event::Steps(steps) => losses.extend(steps.iter().map(|step| step.loss)),
//!         Event::Save { state: saved, .. } => state = Some(saved),
//!         Event::Finished => break,
//!         Event::Evaluated { .. } | Event::Sample { .. } => {}
//!     }
//! }
//! assert!(losses[losses.len() - 1] < losses[0] / 4.0); // nats per character
//!
//! let parameters = state.expect("a run ends with its state").parameters;
//! let plan = Arc::new(Generator::plan(&model, 1)?);
//! let mut generator = Generator::new(&Device::Cpu, plan, &parameters).await?;
//! let mut sample = vocabulary.encode(b"the ")?;
//! for token in sample.clone() { generator.advance(&[token]).await?; }
//! for _ in 0..40 {
//!     let scores = generator.scores().await?;
//!     let next = generator.draw(&scores, &Choice::default())?;
//!     sample.extend(&next);
//!     generator.advance(&next).await?;
//! }
//! println!("{}", String::from_utf8_lossy(&vocabulary.decode(&sample)));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # The tree
//!
//! From the bottom up; imports run one way, which `tests/layering.rs` asserts:
//!
//! | module | what is there |
//! |---|---|
//! | [`error`], [`rng`], [`paths`], [`syntax`] | the one error type; random numbers as functions of counters; names of files as text; the lexer of cells and models |
//! | [`cell`] | a cell's text -> graph -> derivative -> stages -> WGSL and CPU code; [`cell::rows`]: the same for programs on rows, such as losses |
//! | [`op`] | the primitive operations, one file each: shapes, plain CPU code, cost; the [`op::Plan`] that lists them |
//! | [`layer`] | embedding, recurrent, dropout, linear, loss: each writes its operations into a plan, and on the tape how its gradients go back |
//! | [`model`] | a model's text and its settings -> layers -> plan ([`model::text`]); how parameters start and how files name them |
//! | [`exec`] | executors that replay a plan: [`exec::cpu`] in f32 and f64, [`exec::gpu`] on wgpu; [`exec::check`] compares them, [`exec::cost`] predicts times for devices that are not here |
//! | [`task`] | minibatches: what the host fills a plan's slots with, from fields that were read or made up |
//! | [`train`] | settings, schedules, the training loop, checkpoints, runs |
//! | [`lab`] | experiments: what is said of recurrent networks, measured by all of the above |
//! | [`evolve`] | the search for cells: mutations, what each is worth, the best ones anew |
//! | [`data`] | stands apart: texts, vocabularies, minibatches, labelled sequences ([`data::fields`]), the built-in corpus |
//! | [`search`] | stands apart: what to write next from scores, a beam of beginnings side by side |
//! | [`generate`] | stands apart: data of known tasks, made from a seed |
//! | [`metrics`] | stands apart: what predictions are worth, and floors that a rule reaches without a network |
//!
//! The program in `src/main.rs` and `src/cli` is the only place that prints, blocks or reads arguments. Kernels lie in
//! `shaders`, one for every kind of operation, cells in `assets/cells`, losses in `assets/losses`.
//!
//! A minibatch's life: ids [T+1, B] go in; the plan's operations run in order, input projections first, one fused kernel per
//! stage and step forward and backward, one product per weight after them; clipping and the optimiser run over flat arenas;
//! the loss comes back late.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | T, B, H, V, D | steps of a segment, sequences side by side, hidden size, symbols of the vocabulary, width of rows |
//! | R | rows of packed sequences: the sum of their lengths |
//! | slot, matrix | a named array of a plan ([`op::Slot`]); rows and columns within one ([`op::Matrix`]) |
//! | axis | the steps of sequences that go side by side, and how a minibatch lays their rows out ([`layer::Axis`]) |
//! | value, tape | what flows between layers; the record of how gradients go back ([`layer::Value`], [`layer::Builder::give`]) |
//! | scan | a recurrent layer's steps, forward or backward ([`op::Scan`]) |
//! | program on rows | equations worked out row by row: an activation, a loss, a penalty ([`cell::rows::RowProgram`], [`op::Rows`]) |
//! | fold | what the elements of a row come to: their sum, mean, maximum ([`cell::graph::Fold`]) |
//! | stage | the part of a cell's step between two products: one kernel ([`cell::Stage`]) |
//! | input projection | the product of a layer's input, made for all steps before the scan |
//! | gate | one variable of a cell that a product ends in; H columns of its weights |
//! | adjoint, delta | the gradient with respect to a variable; that with respect to what a product made |
//! | segment | T steps of a stream, the length of truncated BPTT; with recomputation, a part of them between checkpoints |
//! | row count | how many rows of a matrix count in a run, where sequences are packed ([`op::RowCount`]) |
//! | field | what the data has of every example: tokens, a class, a vector ([`model::text::ModelField`]) |
//! | recipe, filling | what a slot that the host fills is made of ([`op::Recipes`]); its contents in a run ([`exec::Filling`]) |
//! | arena | all parameters, gradients or optimiser values in one flat slot |
//! | dispatch parameters | the few words that a kernel is given with a dispatch, such as the step |
//! | tile | the sizes that kernels are made with for an adapter ([`exec::gpu::Tile`]) |
//!
//! # How to add a cell
//!
//! Write its equations into `assets/cells/NAME.cell` (the language: `assets/cells/LANGUAGE.md`) and name it in the list of
//! `src/cell/library.rs`. Parameters, both passes, kernels, checks and its line in `wgrnn cells` follow. Every test over
//! [`cell::library::names`] then covers it: finite differences, adapter against plain code, packed against alone. Cells that look at a
//! memory stand in a list of their own there, as a model gives them one: a built-in model, or a case of `tests/models_beside.rs`. Write down
//! where its figures come from: golden values (`tests/golden`) or an oracle (`tests/oracle`). A cell of one's own needs no
//! change here: `--cell my.cell`.
//!
//! # How to add a loss or an activation
//!
//! What looks at one row at a time is text, not code: a program on rows (the language: `assets/losses/LANGUAGE.md`). A file
//! `assets/losses/NAME.loss` with its source in a comment, and its name in the list of `src/cell/rows/library.rs`; its value
//! by hand in `src/cell/rows/tests.rs`. `tests/rows.rs` then compares its derivative with finite differences and every
//! executor with the plain code. A line of a model names it; what `eval`, `predict` and `sample` make of it is an arm of
//! `src/model/text/reading.rs`. A layer makes a value of it with [`layer::rows`], the loss with [`layer::row_loss`], a
//! penalty with [`layer::Penalty`].
//!
//! # How to add a model
//!
//! Write its lines into `assets/models/NAME.model` (the language: `assets/models/LANGUAGE.md`), with its source and its data in
//! comments, and name it in the list of `src/model/text/library.rs`. Every test over [`model::text::library::names`] then
//! covers it: finite differences, packed against alone. A function that the language lacks is a line in the table of
//! `src/model/text/functions.rs` and an arm in `write.rs` beside it.
//!
//! # How to add an operation
//!
//! A file in `src/op`: its struct, its plain code, and [`op::Operation`], above all the one list of its
//! [operands](op::Operand), from which follows what it reads, writes, counts, holds in half precision and can accumulate;
//! how it is cut where a binding cannot hold it ([`op::Operation::split`]); for a plain kernel its constants
//! ([`op::FlatKernel`]). A shader of the same name, a line in the list of `src/op/mod.rs`, and a line in each executor's
//! dispatch: `src/exec/cpu/execute.rs` and `src/exec/gpu/lower.rs`. What is forgotten of these does not compile; a kernel that
//! binds what the list does not name is refused when it is made, and `tests/wgsl.rs` wants a plan and a snapshot of every
//! kind. `src/op/steps.rs` is a small one to start from.
//!
//! # How to add a layer
//!
//! A file in `src/layer` with a function that takes the [`layer::Builder`] and [values](layer::Value), declares parameters
//! ([`layer::Builder::parameter`]; their order is part of a model, as initial values are drawn by place), pushes forward
//! operations, and returns [`layer::Builder::made_rows`] with a closure that is given the output's gradient, pushes the
//! backward operations and gives each input its gradient. Gradients of several users add up by themselves. Where a model
//! uses it: `src/model/stack.rs` or `head.rs`. `tests/gradients.rs` compares every gradient with finite differences in f64.
//!
//! # How to add a task to `generate`
//!
//! A file in `src/generate` with its [`generate::Task`], and a line in the list of `src/generate/mod.rs`. Help, list and the
//! tests over [`generate::TASKS`] follow; what its examples are by definition is checked by `src/generate/tests.rs`.
//!
//! # How to add an experiment to `lab`
//!
//! A file in `src/lab` with its [`lab::Experiment`]: its points, how one is measured, and what follows from all; a line in the
//! list of `src/lab/mod.rs`. Running, resuming, table, plot and page follow; a value over two settings is a second drawing
//! ([`lab::Experiment::heat`]). `src/lab/course.rs` follows a training to its end, `text_model.rs` makes one on a text. One that
//! trains a cell on a task of `generate` at several lengths is a recipe of `src/lab/lengths.rs`.
//! Points are measured on whatever device the run has, several at a time; one that needs the processor says why
//! ([`lab::Experiment::processor_only`]). `tests/measured_devices.rs` wants a small point of every other one.
//!
//! # How to add a mutation or a problem to `search`
//!
//! A mutation is an arm of `change` in `src/evolve/mutate.rs`; `src/evolve/weed.rs` says what every mutant must be. A problem is a
//! name in the list of `src/evolve/problems.rs` and its lines there. Evaluations stay functions of the seed, their number and
//! those before them: nothing may look at clocks or cores.
//!
//! # How to add a setting
//!
//! A line in the list of `src/train/settings/mod.rs`: its type, its default, its range, what a resumed run may do with it,
//! and in its comment the help. File, flag, errors and `--help` follow. What it does not go together with is a row in
//! `src/model/exclusions.rs`, what it means stands in `src/train/build.rs`.
#![warn(missing_docs)]

pub mod cell;
pub mod data;
pub mod error;
pub mod evolve;
pub mod exec;
pub mod generate;
pub mod lab;
pub mod layer;
pub mod metrics;
pub mod model;
pub mod op;
pub mod paths;
pub mod rng;
pub mod search;
pub mod syntax;
pub mod task;
pub mod train;

pub use error::{Error, Kind, Result};
