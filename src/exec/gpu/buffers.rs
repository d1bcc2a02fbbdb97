//! What a plan needs on a device: a buffer a slot, the dispatch parameters of kernels, and kernels bound to both.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::device::{GpuDevice, Pipeline};
use super::kernel::DispatchParameters;
use super::kernel::KernelSource;
use super::packed::PackedStep;
use super::pipeline::STEP_BYTES;
use crate::op::{Matrix, Plan, SlotId};
use crate::{Error, Result};

/// Where a slot lies on the device.
#[derive(Clone)]
pub(super) struct SlotBuffer {
    pub buffer: wgpu::Buffer,
    /// Its first byte.
    pub offset: u64,
    /// Whether it shares its buffer with what else the host fills before a run.
    pub staged: bool,
}

/// A kernel with its buffers.
pub(super) struct Kernel {
    pub label: String,
    pub pipeline: Arc<Pipeline>,
    pub bind: wgpu::BindGroup,
    /// How many dispatch parameters it takes.
    pub parameters: usize,
    pub groups: [u32; 3],
    /// Whether it runs without checks.
    pub unchecked: bool,
}

/// A kernel and the offset of its step's number.
#[derive(Clone, Copy)]
pub(super) struct Dispatch {
    pub kernel: usize,
    /// Which of its operation's costs the kernel is a share of.
    pub part: usize,
    pub offset: u32,
    /// A step of packed sequences, which is left out where none is so long.
    pub packed: Option<PackedStep>,
}

/// Whether every slot of `plan` fits a buffer.
pub(super) fn buffers_hold(device: &GpuDevice, plan: &Plan) -> Result<()> {
    let limit = device.limits.max_buffer_size;
    for slot in &plan.slots {
        let size = bytes(slot.width(), slot.len());
        if size > limit {
            return Err(Error::device(format!(
                "{} {:?} takes {size} bytes, and {} has buffers of at most {limit}; a smaller batch, sequence or layer \
                 may fit",
                slot.name, slot.shape, device.adapter.name
            )));
        }
    }
    Ok(())
}

/// Whether every binding of a kernel is one that the adapter allows.
pub(super) fn bindable(
    device: &GpuDevice,
    plan: &Plan,
    source: &KernelSource,
    binding: u64,
) -> Result<()> {
    for bind in &source.binds {
        let slot = plan.slot(bind.slot);
        let elements = bind.range.map_or(slot.len(), |(from, to)| to - from);
        let size = bytes(slot.width(), elements);
        if size > binding {
            return Err(Error::device(format!(
                "{} {:?}: {} needs {size} bytes of it at once, and {} binds at most {binding}; a smaller batch, sequence or \
                 layer may fit",
                slot.name, slot.shape, source.label, device.adapter.name
            )));
        }
    }
    Ok(())
}

/// Bytes of a buffer or binding of so many elements of `width` bytes: whole vectors of four numbers, and never empty, as a
/// binding must hold an element of its type.
pub(super) fn bytes(width: usize, elements: usize) -> u64 {
    let vector = 4 * width.max(4) as u64;
    (width as u64 * elements as u64)
        .next_multiple_of(vector)
        .max(vector)
}

/// The dispatch parameters of kernels, each at an offset that a binding may have.
pub(super) struct DispatchWords {
    /// All of them, with zeros where the next offset is further on.
    numbers: Vec<DispatchParameters>,
    places: HashMap<Vec<DispatchParameters>, usize>,
    /// Between two offsets.
    stride: usize,
}

impl DispatchWords {
    /// For offsets at multiples of `alignment` bytes.
    pub fn new(alignment: u32) -> DispatchWords {
        DispatchWords {
            numbers: Vec::new(),
            places: HashMap::new(),
            stride: (alignment as usize).div_ceil(STEP_BYTES as usize).max(1),
        }
    }

    /// Where a dispatch finds its parameters: an entry for each part of its kernel.
    pub fn offset(&mut self, parameters: &[DispatchParameters]) -> u32 {
        let (numbers, stride) = (&mut self.numbers, self.stride);
        let known = self.places.get(parameters).copied();
        let place = known.unwrap_or_else(|| {
            let place = numbers.len();
            numbers.extend(parameters);
            numbers.resize(
                numbers.len().next_multiple_of(stride),
                DispatchParameters::default(),
            );
            self.places.insert(parameters.to_vec(), place);
            place
        });
        (place as u64 * STEP_BYTES) as u32
    }

    pub fn buffer(&self, device: &GpuDevice) -> wgpu::Buffer {
        let size = STEP_BYTES * self.numbers.len().max(1) as u64;
        let buffer = device.raw.create_buffer(&wgpu::BufferDescriptor {
            label: Some("steps"),
            size,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let bytes: &[u8] = bytemuck::cast_slice(&self.numbers);
        device.queue.write_buffer(&buffer, 0, bytes);
        buffer
    }
}

/// Bytes of a device that a plan's slots hold, as long as it lives.
pub(super) struct Held {
    device: Arc<GpuDevice>,
    bytes: u64,
}

impl Held {
    fn take(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.device.held.fetch_add(bytes, Ordering::SeqCst);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.device.held.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// Where the slots that the host fills before a run lie in the one buffer that they share, so that one write fills all of them.
struct Staged {
    offsets: HashMap<SlotId, u64>,
    size: u64,
}

impl Staged {
    /// Of as many slots as fit a buffer. What an operation writes beside another of them has a buffer of its own: a dispatch
    /// has a buffer to read or to write, not both.
    fn new(device: &GpuDevice, plan: &Plan) -> Staged {
        let filled: Vec<SlotId> = plan.filled().collect();
        let others = |slot: SlotId| {
            let touched = |m: &Matrix| m.slot != slot && filled.contains(&m.slot);
            plan.ops.iter().any(|op| {
                let writes = op.writes();
                writes.iter().any(|m| m.slot == slot)
                    && op.reads().iter().chain(&writes).any(touched)
            })
        };
        let align = u64::from(device.limits.min_storage_buffer_offset_alignment).max(256);
        let mut staged = Staged {
            offsets: HashMap::new(),
            size: 0,
        };
        for slot in filled.iter().copied().filter(|slot| !others(*slot)) {
            let of = plan.slot(slot);
            let end = staged.size + bytes(of.width(), of.len()).next_multiple_of(align);
            if end <= device.limits.max_buffer_size {
                staged.offsets.insert(slot, staged.size);
                staged.size = end;
            }
        }
        staged
    }
}

/// The zeroed buffers of all slots; the `parameters`, where they are given, are those of another executor.
///
/// Where one cannot be had, the others are tried all the same: the device is then asked how much there was.
pub(super) async fn allocate(
    device: &Arc<GpuDevice>,
    plan: &Plan,
    parameters: Option<&SlotBuffer>,
) -> Result<(Vec<SlotBuffer>, Held)> {
    buffers_hold(device, plan)?;
    let mut held = Held {
        device: device.clone(),
        bytes: 0,
    };
    let staged = Staged::new(device, plan);
    let mut inputs: Option<wgpu::Buffer> = None;
    let mut buffers = Vec::new();
    let mut short = None;
    for (n, slot) in plan.slots.iter().enumerate() {
        if let Some(shared) = parameters.filter(|_| plan.io.parameters == Some(SlotId(n))) {
            buffers.push(shared.clone());
            continue;
        }
        let place = staged.offsets.get(&SlotId(n)).copied();
        let size = bytes(slot.width(), slot.len());
        let before = device.held();
        let refused = device.allowance().is_some_and(|most| before + size > most);
        let scope = device.raw.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        if !refused {
            let create = |size| {
                device.raw.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(&slot.name),
                    size,
                    usage: wgpu::BufferUsages::STORAGE
                        | wgpu::BufferUsages::COPY_SRC
                        | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            };
            let buffer = match place {
                None => create(size),
                Some(_) => inputs.get_or_insert_with(|| create(staged.size)).clone(),
            };
            buffers.push(SlotBuffer {
                buffer,
                offset: place.unwrap_or(0),
                staged: place.is_some(),
            });
        }
        let refused = scope.pop().await.is_some() || refused;
        device.healthy(&slot.name)?;
        if refused {
            short.get_or_insert((slot, size, before));
        } else {
            held.take(size)
        }
    }
    let Some((slot, size, before)) = short else {
        return Ok((buffers, held));
    };
    device.short.store(device.held(), Ordering::SeqCst);
    Err(Error::device(format!(
        "{} is out of memory at {} {:?}: {size} bytes beside the {before} that are in use; the plan takes {}",
        device.adapter.name,
        slot.name,
        slot.shape,
        plan.bytes()
    )))
}

/// Bytes of the buffer that the slots which the host fills share; none where there is no such buffer.
pub(super) fn staged_bytes(buffers: &[SlotBuffer]) -> usize {
    let mut all = buffers.iter().filter(|place| place.staged);
    all.next().map_or(0, |place| place.buffer.size() as usize)
}

/// A compiled kernel with its buffers.
pub(super) fn kernel(
    device: &GpuDevice,
    plan: &Plan,
    source: &KernelSource,
    pipeline: Arc<Pipeline>,
    buffers: &[SlotBuffer],
    steps: &wgpu::Buffer,
) -> Result<Kernel> {
    let binds = source.binds.iter().enumerate();
    let mut entries: Vec<wgpu::BindGroupEntry> = binds
        .map(|(i, bind)| wgpu::BindGroupEntry {
            binding: i as u32,
            resource: {
                let (slot, place) = (plan.slot(bind.slot), &buffers[bind.slot.0]);
                let (from, to) = bind.range.unwrap_or((0, slot.len()));
                let width = slot.width();
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &place.buffer,
                    offset: place.offset + (width * from) as u64,
                    size: std::num::NonZeroU64::new(bytes(width, to - from)),
                })
            },
        })
        .collect();
    if source.parameters > 0 {
        entries.push(wgpu::BindGroupEntry {
            binding: entries.len() as u32,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: steps,
                offset: 0,
                size: std::num::NonZeroU64::new(STEP_BYTES * source.parameters as u64),
            }),
        });
    }
    let bind = device.raw.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&source.label),
        layout: &pipeline.layout,
        entries: &entries,
    });
    device.healthy(&source.label)?;
    Ok(Kernel {
        label: source.label.clone(),
        pipeline,
        bind,
        parameters: source.parameters,
        groups: source.groups,
        unchecked: source.unchecked,
    })
}
