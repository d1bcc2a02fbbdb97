//! One face for all executors: run, figures that may come late, slots to read and to write. Executors of several plans of a
//! model share its parameters. It awaits, it never blocks.

use std::sync::{Arc, Mutex, PoisonError};

use super::cpu::Cpu;
use super::gpu::{self, AdapterChoice, Gpu};
use super::{FillSlots, Outcome};
use crate::error::{Error, Result};
use crate::op::{Part, Plan, Role, SlotId};

/// Where plans run.
#[derive(Clone, Debug)]
pub enum Device {
    /// This machine's processor.
    Cpu,
    /// An adapter.
    Gpu(Arc<gpu::GpuDevice>),
}

impl Device {
    /// The device that `choice` names: `auto` (a real GPU, else the processor), `cpu`, `gpu`, a part of an adapter's name
    /// or its index.
    ///
    /// # Errors
    /// Device, when there is no such device.
    pub async fn open(choice: &str) -> Result<Device> {
        Device::open_with(choice, false).await
    }

    /// The same; where `cooperative`, an adapter that multiplies cooperative matrices, for products in half precision.
    ///
    /// # Errors
    /// Device, when there is no such device.
    pub async fn open_with(choice: &str, cooperative: bool) -> Result<Device> {
        let none = || {
            Error::device(format!(
                "--device {choice}: cooperative: expected an adapter with the feature wgpu-cooperative-matrix, found the \
                 CPU"
            ))
        };
        if cooperative && choice == "cpu" {
            return Err(none());
        }
        if choice == "cpu" {
            return Ok(Device::Cpu);
        }
        let opened = gpu::GpuDevice::open_with(&AdapterChoice::parse(choice), cooperative).await;
        let named = |e: Error| Error::new(e.kind, format!("--device {choice}: {}", e.message));
        match opened.map_err(named)? {
            Some(device) => Ok(Device::Gpu(device)),
            None if cooperative => Err(none()),
            None => Ok(Device::Cpu),
        }
    }

    /// Whether it holds numbers in half precision.
    ///
    /// # Errors
    /// Device, where it does not.
    pub fn halves(&self) -> Result<()> {
        match self {
            Device::Gpu(device) if device.halves() => Ok(()),
            Device::Gpu(device) => Err(device.adapter.no_half()),
            Device::Cpu => Err(Error::device(format!(
                "half: {} computes in f32; half precision needs an adapter with the feature shader-f16: name one with \
                 --device, or leave half out",
                self.name()
            ))),
        }
    }

    /// What results hang on to the bit: the processor, or the adapter, its driver, and which kernels it is given.
    pub fn identity(&self) -> String {
        match self {
            Device::Gpu(device) => format!(
                "{}, driver {}, {}",
                self.name(),
                device.adapter.driver,
                device.kernels()
            ),
            Device::Cpu => "cpu".to_owned(),
        }
    }

    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Device::Gpu(device) => format!("{} ({})", device.adapter.name, device.adapter.backend),
            Device::Cpu => {
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                format!(
                    "cpu ({threads} thread{})",
                    if threads == 1 { "" } else { "s" }
                )
            }
        }
    }
}

/// An executor of a plan on some device.
#[derive(Debug)]
pub enum Engine {
    /// On the processor: a run is over when `run` returns.
    Cpu {
        /// The executor.
        cpu: Box<Cpu<f32>>,
        /// Figures that nobody asked for yet.
        done: Vec<Outcome>,
        /// The parameters between runs, where several executors share them.
        shared: Option<Arc<Mutex<Vec<f32>>>>,
    },
    /// On an adapter: `run` submits, and figures come a few runs late.
    Gpu(Box<Gpu>),
}

impl Engine {
    /// The executor of `plan` on `device` with these flat parameters, every other slot zero.
    ///
    /// # Errors
    /// As [`Engine::new`] and [`Engine::write`]; internal, for a plan without parameters.
    pub async fn with_parameters(
        device: &Device,
        plan: Arc<Plan>,
        parameters: &[f32],
    ) -> Result<Engine> {
        let Some(slot) = plan.io.parameters else {
            return Err(Error::internal("the plan has no parameters"));
        };
        let mut engine = Engine::new(device, plan).await?;
        engine.write(slot, parameters).await?;
        Ok(engine)
    }

    /// The executor of `plan` on `device`, every slot zero.
    ///
    /// # Errors
    /// Device, when the device cannot hold the plan.
    pub async fn new(device: &Device, plan: Arc<Plan>) -> Result<Engine> {
        match device {
            Device::Cpu => Ok(Engine::Cpu {
                cpu: Box::new(Cpu::new(plan)),
                done: Vec::new(),
                shared: None,
            }),
            Device::Gpu(device) => {
                let gpu = Gpu::new(device.clone(), plan).await?;
                Ok(Engine::Gpu(Box::new(gpu)))
            }
        }
    }

    /// The executor of another plan of the same model, on the same device and with the same parameters: what this one makes
    /// of them, the other one reads, and the other way round. Every other slot is its own, and zero.
    ///
    /// # Errors
    /// Internal, for plans whose parameters differ in size or precision; Device, when the device cannot hold the plan.
    pub async fn share(&mut self, plan: Arc<Plan>) -> Result<Engine> {
        self.settle().await?;
        let slots = (self.plan().io.parameters, plan.io.parameters);
        let (Some(own), Some(others)) = slots else {
            return Err(Error::internal("a plan without parameters shares none"));
        };
        let (of, other) = (self.plan().slot(own), plan.slot(others));
        if (of.len(), of.width()) != (other.len(), other.width()) {
            return Err(Error::internal(format!(
                "parameters: {} of {} bytes are shared with a plan that has {} of {}",
                of.len(),
                of.width(),
                other.len(),
                other.width()
            )));
        }
        match self {
            Engine::Cpu { cpu, shared, .. } => {
                let parameters = shared.get_or_insert_with(|| Arc::new(Mutex::new(cpu.take(own))));
                let mut other: Box<Cpu<f32>> = Box::new(Cpu::new(plan));
                other.take(others);
                Ok(Engine::Cpu {
                    cpu: other,
                    done: Vec::new(),
                    shared: Some(parameters.clone()),
                })
            }
            Engine::Gpu(gpu) => Ok(Engine::Gpu(Box::new(gpu.share(plan).await?))),
        }
    }

    /// Calls `f` with the processor's executor while it holds the parameters.
    fn holding<T>(
        cpu: &mut Cpu<f32>,
        shared: &Option<Arc<Mutex<Vec<f32>>>>,
        f: impl FnOnce(&mut Cpu<f32>) -> T,
    ) -> T {
        let (Some(shared), Some(slot)) = (shared, cpu.plan().io.parameters) else {
            return f(cpu);
        };
        // A panic elsewhere leaves numbers, which is all that is wanted of them.
        let mut parameters = shared.lock().unwrap_or_else(PoisonError::into_inner);
        cpu.put(slot, std::mem::take(&mut parameters));
        let result = f(cpu);
        *parameters = cpu.take(slot);
        result
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        match self {
            Engine::Cpu { cpu, .. } => cpu.plan(),
            Engine::Gpu(gpu) => gpu.plan(),
        }
    }

    /// Runs the plan on one minibatch; its figures come with [`Engine::outcomes`].
    ///
    /// # Errors
    /// Inputs that do not fit the plan, or a lost device.
    pub async fn run(&mut self, minibatch: &dyn FillSlots) -> Result<()> {
        self.run_part(minibatch, Part::Whole).await
    }

    /// Runs a part of the plan; the slots that the rest would fill stay as they are.
    ///
    /// # Errors
    /// As [`Engine::run`]; internal, for the steps of a plan that has none.
    pub async fn run_part(&mut self, minibatch: &dyn FillSlots, part: Part) -> Result<()> {
        match self {
            Engine::Cpu { cpu, done, shared } => {
                let outcome = Engine::holding(cpu, shared, |cpu| cpu.run_part(minibatch, part));
                done.push(outcome?);
                Ok(())
            }
            Engine::Gpu(gpu) => gpu.run_part(minibatch, part).await,
        }
    }

    /// The figures that have come since the last call, in the order of the runs; with `wait`, those of all runs so far.
    ///
    /// # Errors
    /// A lost device.
    pub async fn outcomes(&mut self, wait: bool) -> Result<Vec<Outcome>> {
        match self {
            Engine::Cpu { done, .. } => Ok(std::mem::take(done)),
            Engine::Gpu(gpu) => gpu.outcomes(wait).await,
        }
    }

    /// A copy of a slot of numbers.
    ///
    /// # Errors
    /// Internal for a slot of words; a lost device.
    pub async fn read(&mut self, slot: SlotId) -> Result<Vec<f32>> {
        self.check(slot, None)?;
        self.settle().await?;
        match self {
            Engine::Cpu { cpu, shared, .. } => {
                Ok(Engine::holding(cpu, shared, |cpu| cpu.read(slot).to_vec()))
            }
            Engine::Gpu(gpu) => gpu.read(slot).await,
        }
    }

    /// A copy of a slot of words.
    ///
    /// # Errors
    /// A lost device.
    pub async fn read_words(&mut self, slot: SlotId) -> Result<Vec<u32>> {
        self.settle().await?;
        match self {
            Engine::Cpu { cpu, .. } => Ok(cpu.read_words(slot).to_vec()),
            Engine::Gpu(gpu) => gpu.read_words(slot).await,
        }
    }

    /// Replaces a slot of numbers.
    ///
    /// # Errors
    /// Internal for a slot of words or of another length; a lost device.
    pub async fn write(&mut self, slot: SlotId, values: &[f32]) -> Result<()> {
        self.check(slot, Some(values.len()))?;
        self.settle().await?;
        match self {
            Engine::Cpu { cpu, shared, .. } => {
                Engine::holding(cpu, shared, |cpu| cpu.write(slot).copy_from_slice(values));
                Ok(())
            }
            Engine::Gpu(gpu) => gpu.write(slot, values),
        }
    }

    /// The same with values that are given away: the processor takes them as they lie, without a
    /// copy, and an adapter part by part.
    ///
    /// # Errors
    /// As [`Engine::write`].
    pub async fn put(&mut self, slot: SlotId, values: Vec<f32>) -> Result<()> {
        self.check(slot, Some(values.len()))?;
        self.settle().await?;
        match self {
            Engine::Cpu { cpu, shared, .. } => {
                Engine::holding(cpu, shared, |cpu| cpu.put(slot, values));
                Ok(())
            }
            Engine::Gpu(gpu) => gpu.put(slot, values).await,
        }
    }

    /// Waits until every run so far counts, where one may fail on an adapter and be repeated: before another executor looks at
    /// what is shared. What this one reads and writes waits by itself.
    ///
    /// # Errors
    /// A lost device.
    pub async fn settle(&mut self) -> Result<()> {
        match self {
            Engine::Cpu { .. } => Ok(()),
            Engine::Gpu(gpu) => gpu.settle().await,
        }
    }

    fn check(&self, slot: SlotId, len: Option<usize>) -> Result<()> {
        let slot = self.plan().slot(slot);
        if slot.role == Role::Words {
            return Err(Error::internal(format!("{}: holds no numbers", slot.name)));
        }
        match len {
            Some(found) if found != slot.len() => Err(Error::internal(format!(
                "{}: expected {:?}, found {found} elements",
                slot.name, slot.shape
            ))),
            _ => Ok(()),
        }
    }
}
