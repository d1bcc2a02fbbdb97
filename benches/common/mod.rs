//! What the benchmarks share: the shapes, and one training step of a model, ready to be run again and again.
//!
//! The work of a step is that of every peer in `benches/peers`: one-hot input, recurrent layers, linear head, mean
//! cross-entropy over T * B rows, backward, clipping by norm, Adam; the state is carried and detached.
#![allow(dead_code)] // each benchmark uses its part

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use wgrnn::cell::library;
use wgrnn::exec::Outcome;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::gpu::{self, AdapterChoice, Gpu};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, Update, initialize};
use wgrnn::op::{Hyper, Plan, Rule};
use wgrnn::rng::{Purpose, Stream, key};
use wgrnn::task::Inputs;
use wgrnn::{Error, Result};

const SEED: u64 = 1;
const RULE: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
    decoupled: false,
};

/// The size of a model and its minibatch.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// The recurrent cell
    #[arg(long, default_value = "lstm")]
    pub cell: String,
    /// Hidden size, H
    #[serde(rename = "H")]
    #[arg(long, default_value_t = 128, value_parser = at_least_one)]
    pub hidden: usize,
    /// Recurrent layers
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub layers: usize,
    /// Rows of the minibatch, B
    #[serde(rename = "B")]
    #[arg(long, default_value_t = 32, value_parser = at_least_one)]
    pub batch: usize,
    /// Steps of the minibatch, T
    #[serde(rename = "T")]
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub seq_len: usize,
    /// Symbols, V
    #[serde(rename = "V")]
    #[arg(long, default_value_t = 65, value_parser = at_least_one)]
    pub vocab: usize,
}

/// A whole number that is at least 1.
pub fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "expected a whole number of at least 1, found {text}"
        )),
        Ok(number) => Ok(number),
    }
}

impl Shape {
    /// The shapes that are compared: small to large character models.
    pub fn usual() -> Vec<Shape> {
        [
            (128, 1, 32, 50),
            (128, 2, 32, 50),
            (256, 2, 32, 50),
            (512, 2, 64, 64),
            (512, 3, 50, 50),
        ]
        .map(|(hidden, layers, batch, seq_len)| Shape {
            cell: "lstm".into(),
            hidden,
            layers,
            batch,
            seq_len,
            vocab: 65,
        })
        .into()
    }

    /// For the names of benchmarks: `lstm H128 x1 B32 T50 V65`.
    pub fn name(&self) -> String {
        let Shape {
            cell,
            hidden: h,
            layers,
            batch: b,
            seq_len: t,
            vocab: v,
        } = self;
        format!("{cell} H{h} x{layers} B{b} T{t} V{v}")
    }

    /// Positions in a minibatch, T * B.
    pub fn positions(&self) -> usize {
        self.seq_len * self.batch
    }

    /// The plan of a training step.
    ///
    /// # Errors
    /// An unknown cell.
    pub fn plan(&self) -> Result<Arc<Plan>> {
        let cell = Arc::new(library::builtin(&self.cell)?);
        let spec = Spec {
            vocab: self.vocab,
            cells: vec![cell; self.layers],
            hidden: self.hidden,
            ..Spec::default()
        };
        let dims = Dims {
            steps: self.seq_len,
            batch: self.batch,
        };
        let update = Update {
            rule: RULE,
            clip_norm: 5.0,
            clip_value: 0.0,
        };
        Ok(Arc::new(spec.plan(dims, Mode::Train(update))?))
    }
}

/// The devices that criterion measures: the CPU executor, and the adapters that WGRNN_BENCH_DEVICES names, separated by
/// commas (`gpu`, an index, a part of a name).
pub fn devices() -> Vec<String> {
    let named = std::env::var("WGRNN_BENCH_DEVICES").unwrap_or_default();
    let named = named
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    std::iter::once("cpu")
        .chain(named)
        .map(String::from)
        .collect()
}

/// Where a step runs.
pub enum Device {
    /// This machine's cores.
    Cpu(Box<Cpu<f32>>),
    /// An adapter.
    Gpu(Box<Gpu>),
}

/// A model in training: [`Step::run`] does one step on the same minibatch.
pub struct Step {
    /// Where it runs.
    pub device: Device,
    ids: Vec<u32>,
    positions: usize,
    updates: u64,
    /// The learning rate.
    pub lr: f64,
}

impl Step {
    /// A freshly initialised model on `device`: `cpu`, `gpu`, an adapter's index or a part of its name.
    ///
    /// # Errors
    /// An unknown cell, no such adapter.
    pub fn new(shape: &Shape, device: &str) -> Result<Step> {
        let plan = shape.plan()?;
        let parameters = initialize(
            &plan,
            &Init {
                scheme: Scheme::Uniform,
                scale: 0.08,
                seed: SEED,
                ..Init::default()
            },
        )?;
        let slot = plan
            .io
            .parameters
            .ok_or_else(|| Error::internal("a plan without parameters"))?;
        let device = match device {
            "cpu" => {
                let mut cpu = Cpu::new(plan);
                cpu.write(slot).copy_from_slice(&parameters);
                Device::Cpu(Box::new(cpu))
            }
            other => pollster::block_on(async {
                let none = || Error::device(format!("{other}: there is no real GPU"));
                let opened = gpu::GpuDevice::open(&AdapterChoice::parse(other)).await?;
                let device = opened.ok_or_else(none)?;
                device.trust();
                let mut gpu = Gpu::new(device, plan).await?;
                gpu.write(slot, &parameters)?;
                Ok::<_, Error>(Device::Gpu(Box::new(gpu)))
            })?,
        };
        let mut stream = Stream::new(SEED, Purpose::Check, 0);
        let ids = (0..shape.positions() + shape.batch)
            .map(|_| (stream.uniform() * shape.vocab as f32) as u32)
            .collect();
        Ok(Step {
            device,
            ids,
            positions: shape.positions(),
            updates: 0,
            lr: 2e-3,
        })
    }

    /// Runs one step to its end.
    ///
    /// # Errors
    /// A loss or gradient that is not finite: such a step leaves out the update and would be no measure.
    pub fn run(&mut self) -> Result<Outcome> {
        self.updates += 1;
        let (correction1, correction2) = RULE.corrections(self.updates);
        let inputs = Inputs::new(&self.ids)
            .draws(key(SEED, Purpose::Dropout), self.updates)
            .reset(self.updates == 1)
            .hyper(Hyper {
                lr: self.lr,
                scale: 1.0 / self.positions as f64,
                update: self.updates as f64,
                correction1,
                correction2,
            });
        let outcome = match &mut self.device {
            Device::Cpu(cpu) => cpu.run(&inputs)?,
            Device::Gpu(gpu) => pollster::block_on(async {
                gpu.run(&inputs).await?;
                let none = || Error::internal("the device gave no report");
                gpu.outcomes(true).await?.pop().ok_or_else(none)
            })?,
        };
        if !outcome.report.finite {
            return Err(Error::internal(format!(
                "step {}: loss {} or gradient norm {} is not finite",
                self.updates, outcome.report.loss, outcome.report.norm
            )));
        }
        Ok(outcome)
    }

    /// The device in words.
    pub fn device_name(&self) -> String {
        match &self.device {
            Device::Cpu(_) => "cpu".into(),
            Device::Gpu(gpu) => gpu.device().adapter.name.clone(),
        }
    }

    /// The threads that the host uses; none where the device does the work.
    pub fn threads(&self) -> Option<usize> {
        match &self.device {
            Device::Cpu(_) => Some(rayon::current_num_threads()),
            Device::Gpu(_) => None,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        match &self.device {
            Device::Cpu(cpu) => cpu.plan(),
            Device::Gpu(gpu) => gpu.plan(),
        }
    }

    /// Runs one operation of the plan on what the slots hold.
    ///
    /// # Errors
    /// An operation that does not exist.
    pub fn run_op(&mut self, op: usize) -> Result<()> {
        match &mut self.device {
            Device::Cpu(cpu) => cpu.run_op(op),
            Device::Gpu(gpu) => pollster::block_on(gpu.run_op(op)),
        }
    }
}
