//! Adapters: what there is, and which one is meant.

use super::tile::COOPERATIVE_BYTES;
use crate::{Error, Result};

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
    /// Whether it is a software adapter, which computes on the processor.
    pub software: bool,
    /// Who makes it, by the number that PCI has for him.
    pub vendor: u32,
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

impl Adapter {
    /// Whether workgroups that have begun are known to go on while others wait for them: on GPUs of NVIDIA and AMD, by Sorensen
    /// 2016. Apple and ARM promise it nowhere, and of Intel's nobody has shown it.
    pub fn goes_on(&self) -> bool {
        const NVIDIA: u32 = 0x10de;
        const AMD: u32 = 0x1002;
        !self.software && matches!(self.vendor, NVIDIA | AMD)
    }
}

/// Which adapter is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The first real GPU; none where there is only software.
    Auto,
    /// Any adapter, real ones first.
    Gpu,
    /// The adapter with this place in the list.
    Index(usize),
    /// The first adapter whose name holds this, in any case of its letters.
    Name(String),
}

impl AdapterChoice {
    /// Reads `auto`, `gpu`, an index or a part of a name.
    pub fn parse(text: &str) -> AdapterChoice {
        match (text, text.parse()) {
            ("auto", _) => AdapterChoice::Auto,
            ("gpu", _) => AdapterChoice::Gpu,
            (_, Ok(index)) => AdapterChoice::Index(index),
            _ => AdapterChoice::Name(text.to_lowercase()),
        }
    }

    /// The place of the chosen one among `adapters`.
    pub(super) fn pick(&self, adapters: &[Adapter]) -> Result<Option<usize>> {
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
            AdapterChoice::Auto => Ok(order.iter().find(|a| !a.software).map(|a| a.index)),
            AdapterChoice::Gpu => match order.first() {
                Some(adapter) => Ok(Some(adapter.index)),
                None => Err(Error::device(format!(
                    "no GPU adapter was found; {INSTALL}"
                ))),
            },
            AdapterChoice::Index(index) if *index < adapters.len() => Ok(Some(*index)),
            AdapterChoice::Index(index) => Err(Error::device(format!(
                "no adapter has the index {index}; {}",
                known()
            ))),
            AdapterChoice::Name(name) => order
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
    let features = adapter.features();
    let grouped = info.subgroup_min_size == info.subgroup_max_size
        && features.contains(wgpu::Features::SUBGROUP);
    let matrices = adapter.cooperative_matrix_properties();
    let multiply = grouped
        && matches!(info.subgroup_min_size, 8 | 16 | 32 | 64)
        && features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
        && limits.max_compute_workgroup_storage_size >= COOPERATIVE_BYTES;
    let mut sizes = [16, 8].into_iter();
    let multiplied = sizes.find(|size| matrices.iter().any(|of| multiplies(of, *size)));
    Adapter {
        index,
        cooperative: if multiply { multiplied.unwrap_or(0) } else { 0 },
        driver: driver.trim().to_string(),
        backend: format!("{:?}", info.backend),
        kind: kind.to_string(),
        software: info.device_type == wgpu::DeviceType::Cpu,
        vendor: info.vendor,
        max_binding: limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            .min(COUNTED),
        max_bindings: limits.max_storage_buffers_per_shader_stage,
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        workgroup_threads: limits.max_compute_invocations_per_workgroup,
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        half: features.contains(wgpu::Features::SHADER_F16),
        double: features.contains(wgpu::Features::SHADER_F64),
        subgroup: if grouped { info.subgroup_min_size } else { 0 },
        name: info.name,
    }
}

/// Whether these matrices are what the kernel of products takes.
fn multiplies(matrices: &wgpu::wgt::CooperativeMatrixProperties, size: u32) -> bool {
    use wgpu::wgt::CooperativeScalarType::{F16, F32};
    let of = matrices;
    [of.m_size, of.n_size, of.k_size] == [size; 3] && (of.ab_type, of.cr_type) == (F16, F32)
}

pub(super) async fn found() -> (Vec<wgpu::Adapter>, Vec<Adapter>) {
    let adapters = instance().enumerate_adapters(wgpu::Backends::all()).await;
    let described = adapters.iter().enumerate();
    let described = described.map(|(i, a)| describe(i, a)).collect();
    (adapters, described)
}

/// Every adapter of this machine.
pub async fn adapters() -> Vec<Adapter> {
    found().await.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn adapter(index: usize, name: &str, kind: &str) -> Adapter {
        Adapter {
            index,
            name: name.to_string(),
            driver: String::new(),
            backend: "Vulkan".to_string(),
            kind: kind.to_string(),
            software: kind == "software",
            vendor: 0,
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
        let pick = |text: &str, from: &[Adapter]| AdapterChoice::parse(text).pick(from);
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
