//! Adapters and devices: what there is, which one is meant, and how faults of a device become errors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::inject::Injected;
use super::pipeline::Pipeline;
use super::tile::{Shape, Tile};
use super::{matmul, precision};
use crate::op::Plan;
use crate::{Error, Kind, Result};

/// What to do where there is no adapter at all.
pub const INSTALL: &str = "install a Vulkan driver (Debian or Ubuntu, in software: \
    `apt-get install mesa-vulkan-drivers`)";

/// An adapter that can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// Its place in the list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The driver, with its version.
    pub driver: String,
    /// The interface: Vulkan, Metal or Dx12.
    pub backend: String,
    /// Whether it is discrete, integrated, virtual or a processor.
    pub kind: String,
    /// Whether it is a processor that plays a GPU.
    pub software: bool,
    /// The largest slot, in bytes.
    pub max_binding: u64,
    /// Storage bindings in a kernel.
    pub max_bindings: u32,
    /// Bytes of memory that a workgroup shares.
    pub workgroup_memory: u32,
    /// Threads in a workgroup.
    pub workgroup_threads: u32,
    /// Whether kernels can be timed on the device.
    pub timestamps: bool,
    /// Threads of a subgroup; 0 where there are none, or not always as many.
    pub subgroup: u32,
    /// Whether kernels can store numbers in half precision (the feature `shader-f16`).
    pub half: bool,
    /// Whether kernels can compute in double precision (the feature `shader-f64`).
    pub double: bool,
    /// Rows and columns of the cooperative matrices that subgroups can multiply in f16 with sums in f32, 16 or 8; 0 where they
    /// can not.
    pub cooperative: u32,
}

/// Which adapter is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first real GPU; none where there is only software.
    Auto,
    /// Any adapter, real ones first.
    Gpu,
    /// The adapter with this place in the list.
    Index(usize),
    /// The first adapter whose name holds this, in any case of its letters.
    Name(String),
}

impl Choice {
    /// Reads `auto`, `gpu`, an index or a part of a name.
    pub fn parse(text: &str) -> Choice {
        match (text, text.parse()) {
            ("auto", _) => Choice::Auto,
            ("gpu", _) => Choice::Gpu,
            (_, Ok(index)) => Choice::Index(index),
            _ => Choice::Name(text.to_lowercase()),
        }
    }

    /// The place of the chosen one among `adapters`.
    fn pick(&self, adapters: &[Adapter]) -> Result<Option<usize>> {
        // Discrete before integrated before virtual before unknown before software.
        let rank = |a: &Adapter| {
            let order = ["discrete", "integrated", "virtual", "other"];
            order.iter().position(|k| *k == a.kind).unwrap_or(9)
        };
        let mut order: Vec<&Adapter> = adapters.iter().collect();
        order.sort_by_key(|a| rank(a));
        let known = || {
            let list: Vec<String> = adapters
                .iter()
                .map(|a| format!("{}: {}", a.index, a.name))
                .collect();
            if list.is_empty() {
                format!("no adapter was found; {INSTALL}")
            } else {
                format!("known are {}", list.join(", "))
            }
        };
        match self {
            Choice::Auto => Ok(order.iter().find(|a| !a.software).map(|a| a.index)),
            Choice::Gpu => match order.first() {
                Some(adapter) => Ok(Some(adapter.index)),
                None => Err(Error::device(format!(
                    "no GPU adapter was found; {INSTALL}"
                ))),
            },
            Choice::Index(index) if *index < adapters.len() => Ok(Some(*index)),
            Choice::Index(index) => Err(Error::device(format!(
                "no adapter has the index {index}; {}",
                known()
            ))),
            Choice::Name(name) => order
                .iter()
                .find(|a| a.name.to_lowercase().contains(name))
                .map(|a| Some(a.index))
                .ok_or_else(|| {
                    Error::device(format!("no adapter's name holds `{name}`; {}", known()))
                }),
        }
    }
}

fn instance() -> wgpu::Instance {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

/// The most bytes of a binding, whatever an adapter allows: kernels count elements in 32 bits, and Metal's are told a
/// binding's size in as many.
const COUNTED: u64 = (1 << 32) - 256;

fn describe(index: usize, adapter: &wgpu::Adapter) -> Adapter {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let driver = format!("{} {}", info.driver, info.driver_info);
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    let matrices = adapter.cooperative_matrix_properties();
    let subgroups = info.subgroup_min_size == info.subgroup_max_size;
    let feature = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP;
    Adapter {
        index,
        cooperative: match subgroups
            && matches!(info.subgroup_min_size, 8 | 16 | 32 | 64)
            && adapter.features().contains(feature)
            && limits.max_compute_workgroup_storage_size >= matmul::COOPERATIVE_BYTES
        {
            true => { [16, 8].into_iter() }
                .find(|size| matrices.iter().any(|of| multiplies(of, *size)))
                .unwrap_or(0),
            false => 0,
        },
        driver: driver.trim().to_string(),
        backend: format!("{:?}", info.backend),
        kind: kind.to_string(),
        software: info.device_type == wgpu::DeviceType::Cpu,
        max_binding: limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            .min(COUNTED),
        max_bindings: limits.max_storage_buffers_per_shader_stage,
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        workgroup_threads: limits.max_compute_invocations_per_workgroup,
        timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        half: adapter.features().contains(wgpu::Features::SHADER_F16),
        double: adapter.features().contains(wgpu::Features::SHADER_F64),
        subgroup: match info.subgroup_min_size == info.subgroup_max_size {
            true if adapter.features().contains(wgpu::Features::SUBGROUP) => info.subgroup_min_size,
            _ => 0,
        },
        name: info.name,
    }
}

/// Whether these matrices are what the kernel of products takes.
fn multiplies(matrices: &wgpu::wgt::CooperativeMatrixProperties, size: u32) -> bool {
    use wgpu::wgt::CooperativeScalarType::{F16, F32};
    let of = matrices;
    [of.m_size, of.n_size, of.k_size] == [size; 3] && (of.ab_type, of.cr_type) == (F16, F32)
}

async fn found() -> (Vec<wgpu::Adapter>, Vec<Adapter>) {
    let adapters = instance().enumerate_adapters(wgpu::Backends::all()).await;
    let described = adapters.iter().enumerate();
    let described = described.map(|(i, a)| describe(i, a)).collect();
    (adapters, described)
}

/// Every adapter of this machine.
pub async fn adapters() -> Vec<Adapter> {
    found().await.1
}

/// Tiles that measurements chose.
#[derive(Default)]
struct Tiles {
    forced: Option<Tile>,
    tuned: Vec<(Shape, Tile)>,
}

/// A fault that no call returned: the device reports such things on its own.
#[derive(Default)]
struct Faults {
    lost: AtomicBool,
    message: Mutex<Option<(Kind, String)>>,
}

impl Faults {
    /// Keeps the first fault, but that the device is lost explains all others.
    fn note(&self, kind: Kind, message: String) {
        let lost = self.lost.load(Ordering::SeqCst);
        if let Ok(mut first) = self.message.lock() {
            if lost {
                *first = Some((kind, message));
            } else {
                first.get_or_insert((kind, message));
            }
        }
    }
}

/// An open device with its queue and the pipelines compiled so far.
pub struct Device {
    /// The adapter that it was opened on.
    pub adapter: Adapter,
    pub(super) raw: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    pub(super) pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
    pub(super) injected: Injected,
    /// Whether it was opened for cooperative matrices.
    cooperative: bool,
    trusted: AtomicBool,
    tiles: Mutex<Tiles>,
    /// Bytes that the slots of plans hold.
    pub(super) held: AtomicU64,
    /// Bytes that went to buffers of plans or came from them.
    pub(super) moved: AtomicU64,
    /// Bytes that they could have when memory ran out; 0 before.
    pub(super) short: AtomicU64,
    faults: Arc<Faults>,
}

impl Device {
    /// Opens the chosen adapter; none where `auto` finds only software.
    ///
    /// # Errors
    /// Device, when there is no such adapter or it cannot be opened.
    pub async fn open(choice: &Choice) -> Result<Option<Arc<Device>>> {
        Device::open_with(choice, false).await
    }

    /// The same; where `cooperative`, products of plans in half precision multiply cooperative matrices, which is an
    /// experiment of wgpu's.
    ///
    /// # Errors
    /// As [`Device::open`]; Device, when the adapter has no such matrices.
    pub async fn open_with(choice: &Choice, cooperative: bool) -> Result<Option<Arc<Device>>> {
        let (raw, described) = found().await;
        let Some(index) = choice.pick(&described)? else {
            return Ok(None);
        };
        let adapter = described[index].clone();
        let wanted = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_F64;
        let mut features = raw[index].features() & wanted;
        let mut experiments = wgpu::ExperimentalFeatures::disabled();
        if cooperative {
            if adapter.cooperative == 0 {
                return Err(Error::device(format!(
                    "cooperative: {} ({}) lacks the feature wgpu-cooperative-matrix for matrices of 16 x 16 or 8 x 8 in \
                     f16 with sums in f32; leave cooperative out",
                    adapter.name, adapter.backend
                )));
            }
            features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            experiments = agreed();
        }
        let limits = raw[index].limits();
        let request = raw[index].request_device(&wgpu::DeviceDescriptor {
            label: Some("wgrnn"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: experiments,
            ..Default::default()
        });
        let (device, queue) = request
            .await
            .map_err(|e| Error::device(format!("{} cannot be opened: {e}", adapter.name)))?;
        let faults = Arc::new(Faults::default());
        let seen = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| match error {
            _ if seen.lost.load(Ordering::SeqCst) => {}
            wgpu::Error::OutOfMemory { .. } => {
                seen.note(Kind::Device, "the device is out of memory".to_string());
            }
            other => seen.note(Kind::Internal, one_line(&other.to_string())),
        }));
        let seen = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            let message = one_line(&message);
            // First the flag: the note then replaces whatever was noted before.
            seen.lost.store(true, Ordering::SeqCst);
            seen.note(
                Kind::Device,
                format!("the device was lost ({reason:?}): {message}"),
            );
        });
        Ok(Some(Arc::new(Device {
            adapter,
            raw: device,
            queue,
            limits,
            pipelines: Mutex::default(),
            injected: Injected::default(),
            cooperative,
            trusted: AtomicBool::new(false),
            tiles: Mutex::default(),
            held: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            short: AtomicU64::new(0),
            faults,
        })))
    }

    /// Allows what not every driver gets right, from the next plan on: subgroups. For an adapter that passed a check with
    /// them, or is about to be checked.
    pub fn trust(&self) {
        self.trusted.store(true, Ordering::SeqCst);
    }

    /// Whether that is allowed.
    pub fn trusted(&self) -> bool {
        self.trusted.load(Ordering::SeqCst)
    }

    /// The tiles that were found fastest, for models of their shapes. They are used where the device is trusted.
    pub fn tuned(&self, tiles: Vec<(Shape, Tile)>) {
        if let Ok(mut known) = self.tiles.lock() {
            known.tuned = tiles;
            known.tuned.retain(|(_, tile)| tile.usable());
        }
    }

    /// The tile of every plan from the next one on, until there is none: for a search.
    pub fn force(&self, tile: Option<Tile>) {
        if let Ok(mut known) = self.tiles.lock() {
            known.forced = tile;
        }
    }

    /// What a thread does in the kernels of this plan, and whether a search found it.
    pub fn tile(&self, plan: &Plan) -> (Tile, bool) {
        let (mut tile, found) = self.chosen(plan);
        // Whatever a file says.
        (tile.cooperative, tile.matrices) = if self.cooperative && plan.halved() {
            (
                self.adapter.subgroup as usize,
                self.adapter.cooperative as usize,
            )
        } else {
            (0, 0)
        };
        (precision::tile(tile, plan), found)
    }

    fn chosen(&self, plan: &Plan) -> (Tile, bool) {
        let known = self.tiles.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(tile) = known.forced {
            return (tile, true);
        }
        let shape = Shape::of(plan);
        let mut tuned = known.tuned.iter().filter(|_| self.trusted());
        match tuned.find(|(of, _)| Some(*of) == shape) {
            Some((_, tile)) => (*tile, true),
            None => (self.usual_tile(), false),
        }
    }

    /// The tile where nothing was measured.
    fn usual_tile(&self) -> Tile {
        let subgroup = self.adapter.subgroup as usize;
        match self.adapter.software {
            true if self.trusted() && matches!(subgroup, 4 | 8 | 16 | 32) => {
                let cores = std::thread::available_parallelism();
                Tile::subgroups(subgroup, cores.map_or(1, |n| n.get()))
            }
            true => Tile::SOFTWARE,
            false => Tile::GPU,
        }
    }

    /// Every limit that the adapter has, name and value, in words.
    pub fn limits(&self) -> String {
        one_line(&format!("{:?}", self.limits))
    }

    /// Whether the device is gone.
    pub fn lost(&self) -> bool {
        self.faults.lost.load(Ordering::SeqCst)
    }

    /// Gives the device up, as a driver's reset would: everything on it fails from now on.
    pub fn destroy(&self) {
        self.raw.destroy();
    }

    /// Nothing has gone wrong on the device so far.
    ///
    /// # Errors
    /// Device when it was lost or is out of memory, Internal when it refused a command; `doing` names the occasion.
    pub fn healthy(&self, doing: &str) -> Result<()> {
        let noted = || { self.faults.message.lock().ok() }.and_then(|m| m.clone());
        let mut fault = noted();
        if fault.is_some() && !self.lost() {
            // A lost device refuses commands, and tells that it is lost only once nothing is under way any more.
            let _ = self.raw.poll(wgpu::PollType::Wait {
                submission_index: None,
                timeout: Some(self.patience()),
            });
            fault = noted();
        }
        match fault {
            Some((kind, message)) => Err(Error::new(
                kind,
                format!("{}: {doing}: {message}", self.adapter.name),
            )),
            None => Ok(()),
        }
    }

    /// Waits until a submission is done (the last one where absent), no longer than the device has patience.
    pub(super) async fn wait(
        &self,
        submission: Option<wgpu::SubmissionIndex>,
        what: &str,
    ) -> Result<()> {
        self.block(submission, what)
    }

    /// The same where nothing can be awaited.
    pub(super) fn block(
        &self,
        submission: Option<wgpu::SubmissionIndex>,
        what: &str,
    ) -> Result<()> {
        let polled = self.raw.poll(wgpu::PollType::Wait {
            submission_index: submission,
            timeout: Some(self.patience()),
        });
        self.healthy(what)?;
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(self.in_vain(what)),
            Err(error) => Err(Error::internal(format!("waiting for {what}: {error}"))),
        }
    }

    /// That something did not come.
    pub(super) fn in_vain(&self, what: &str) -> Error {
        Error::device(format!(
            "{}: waited {} s for {what} in vain; the device hangs",
            self.adapter.name,
            self.patience().as_secs_f64()
        ))
    }

    /// Lets callbacks of finished work run, without waiting.
    pub(super) fn poll(&self, what: &str) -> Result<()> {
        let polled = self.raw.poll(wgpu::PollType::Poll);
        self.healthy(what)?;
        polled.map_err(|e| Error::internal(format!("{what}: {e}")))?;
        Ok(())
    }
}

/// wgpu's token for what it calls experimental.
#[allow(unsafe_code)] // the token has no other constructor
fn agreed() -> wgpu::ExperimentalFeatures {
    // SAFETY: nothing is dereferenced; the contract is to know that the features may have faults, and to report them. Only
    // whoever passes --cooperative gets here.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Device").field(&self.adapter).finish()
    }
}

/// A message of several lines as one.
pub(super) fn one_line(message: &str) -> String {
    let parts: Vec<&str> = message.split_whitespace().collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, kind: &str) -> Adapter {
        Adapter {
            index,
            name: name.to_string(),
            driver: String::new(),
            backend: "Vulkan".to_string(),
            kind: kind.to_string(),
            software: kind == "software",
            max_binding: 1 << 27,
            max_bindings: 8,
            workgroup_memory: 1 << 14,
            workgroup_threads: 256,
            timestamps: false,
            subgroup: 0,
            half: false,
            double: false,
            cooperative: 0,
        }
    }

    #[test]
    fn a_choice_takes_real_gpus_first_and_auto_never_software() {
        let all = [
            adapter(0, "llvmpipe", "software"),
            adapter(1, "Small One", "integrated"),
            adapter(2, "Big One", "discrete"),
        ];
        let pick = |text: &str, from: &[Adapter]| Choice::parse(text).pick(from);
        assert_eq!(pick("auto", &all).unwrap(), Some(2));
        assert_eq!(pick("auto", &all[..1]).unwrap(), None);
        assert_eq!(pick("auto", &[]).unwrap(), None);
        assert_eq!(pick("gpu", &all).unwrap(), Some(2));
        assert_eq!(pick("gpu", &all[..1]).unwrap(), Some(0));
        assert_eq!(pick("1", &all).unwrap(), Some(1));
        assert_eq!(pick("LLVM", &all).unwrap(), Some(0));
        for (text, part) in [("7", "index 7"), ("radeon", "`radeon`")] {
            let error = pick(text, &all).unwrap_err();
            assert_eq!(error.kind, Kind::Device);
            assert!(error.message.contains(part), "{}", error.message);
        }
        let none = pick("gpu", &[]).unwrap_err();
        assert!(none.message.contains("apt-get install"), "{}", none.message);
    }
}
