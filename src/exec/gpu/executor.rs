//! The executor: buffers, kernels and bind groups made once for a plan, which every run then replays in one submission.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::device::Device;
use super::lower::lower;
use super::pipeline::{Pipeline, STEP_BYTES, compile};
use super::readback::{Ring, fetch};
use super::template::Source;
use super::tile::Tile;
use super::window::Fit;
use crate::exec::{Inputs, Outcome, check_inputs, targets};
use crate::op::{Control, Filling, Hyper, Op, Packing, Plan, Report, SlotId};
use crate::{Error, Result};

/// Dispatches of a submission: a long window's are handed over in parts, so that none keeps the device from others.
const MOST_DISPATCHES: usize = 4096;

/// Submissions that may be under way: enough that the device never waits for the host, few enough to stop soon.
const IN_FLIGHT: usize = 3;

/// A kernel with its buffers.
pub(super) struct Kernel {
    pub label: String,
    pipeline: Arc<Pipeline>,
    bind: wgpu::BindGroup,
    step: bool,
    groups: [u32; 3],
}

/// So do those of a plan with many floating point operations.
const MOST_FLOPS: f64 = 5e10;

/// Bytes that are copied to or from a device at a time.
const COPY: usize = 64 << 20;

/// A kernel and the offset of its step's number.
#[derive(Clone, Copy)]
pub(super) struct Dispatch {
    pub kernel: usize,
    /// Which of its operation's costs the kernel is a share of.
    pub part: usize,
    offset: u32,
    /// A step of packed sequences, which is left out where none is so long.
    packed: Option<u32>,
}

/// What the host is at during a run, for [`Gpu::run_marked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Hands the inputs over.
    Inputs,
    /// Waits for the device.
    Waiting,
    /// Writes commands down.
    Recording,
    /// Hands the commands over.
    Submitting,
    /// Everything else: the run is on its way.
    Done,
}

/// Told whenever a phase begins.
type Mark<'a> = &'a mut (dyn FnMut(Phase) + Send);

/// Runs a plan on a device.
pub struct Gpu {
    pub(super) device: Arc<Device>,
    pub(super) plan: Arc<Plan>,
    pub(super) buffers: Vec<wgpu::Buffer>,
    pub(super) kernels: Vec<Kernel>,
    /// For every operation of the plan, its dispatches.
    pub(super) ops: Vec<Vec<Dispatch>>,
    /// The dispatches, counted over all operations, before which a submission ends.
    cuts: Vec<usize>,
    ring: Ring,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    runs: u64,
    /// Steps of the longest of the packed sequences in hand.
    longest: u32,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({:?}, {} operations)", self.device, self.ops.len())
    }
}

impl Gpu {
    /// Makes everything that runs of `plan` need, every slot zero, with the tile that fits the device.
    ///
    /// # Errors
    /// Device when a slot is larger than the device allows or memory is short; Internal when a kernel does not compile.
    pub async fn new(device: Arc<Device>, plan: Arc<Plan>) -> Result<Gpu> {
        let tile = if device.adapter.software {
            Tile::SOFTWARE
        } else {
            Tile::GPU
        };
        Gpu::with_tile(device, plan, &tile).await
    }

    /// The same with a given tile.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub async fn with_tile(device: Arc<Device>, plan: Arc<Plan>, tile: &Tile) -> Result<Gpu> {
        Gpu::edited(device, plan, tile, &mut |_, text| text.to_string()).await
    }

    /// The same with every kernel's text, given its name, passed through `edit`: for checks that plant a fault.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub async fn edited(
        device: Arc<Device>,
        plan: Arc<Plan>,
        tile: &Tile,
        edit: &mut dyn FnMut(&str, &str) -> String,
    ) -> Result<Gpu> {
        let binding = device.adapter.max_binding;
        Gpu::make(device, plan, tile, binding, edit).await
    }

    /// The same with bindings of at most `binding` bytes, fewer than the adapter's: for tests of large slots in small.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub async fn with_binding(
        device: Arc<Device>,
        plan: Arc<Plan>,
        tile: &Tile,
        binding: u64,
    ) -> Result<Gpu> {
        Gpu::make(device, plan, tile, binding, &mut |_, text| text.to_string()).await
    }

    async fn make(
        device: Arc<Device>,
        plan: Arc<Plan>,
        tile: &Tile,
        binding: u64,
        edit: &mut dyn FnMut(&str, &str) -> String,
    ) -> Result<Gpu> {
        let fit = Fit::of(&device, binding);
        let buffers = allocate(&device, &plan).await?;
        let stride = u64::from(device.limits.min_uniform_buffer_offset_alignment).max(STEP_BYTES);
        let mut known: HashMap<Source, usize> = HashMap::new();
        let mut steps = Steps {
            numbers: Vec::new(),
            places: HashMap::new(),
            stride,
        };
        let mut ops = Vec::new();
        let mut sources: Vec<Source> = Vec::new();
        for op in &plan.ops {
            let lowered = lower(op, &plan, tile, fit)?;
            let packed = matches!(op, Op::Scan(scan) if scan.packed.is_some());
            for source in &lowered.kernels {
                bindable(&device, &plan, source, binding)?;
            }
            let mut places = Vec::new();
            for mut source in lowered.kernels {
                source.text = edit(&source.label, &source.text);
                // Pieces of a window share their kernels.
                let place = *known.entry(source.clone()).or_insert(sources.len());
                if place == sources.len() {
                    sources.push(source);
                }
                places.push(place);
            }
            let dispatch = |(kernel, step): &(usize, [u32; 2])| Dispatch {
                kernel: places[*kernel],
                part: lowered.parts[*kernel],
                offset: steps.offset(*step),
                packed: packed.then_some(step[0]).filter(|step| *step != u32::MAX),
            };
            ops.push(lowered.order.iter().map(dispatch).collect());
        }
        let steps = steps.buffer(&device);
        let mut kernels = Vec::new();
        for source in &sources {
            kernels.push(kernel(&device, source, &buffers, &steps).await?);
        }
        let ring = Ring::new(&device, IN_FLIGHT, 4 * Report::NUMBERS as u64);
        device.healthy("preparing the plan")?;
        let cuts = cuts(&plan, &ops);
        Ok(Gpu {
            device,
            plan,
            buffers,
            kernels,
            cuts,
            ops,
            ring,
            in_flight: VecDeque::new(),
            runs: 0,
            longest: 0,
        })
    }

    /// Name and WGSL of every kernel that `plan` needs, in the order of its operations; no device is asked.
    ///
    /// # Errors
    /// Internal when a kernel cannot be made.
    pub fn sources(plan: &Plan, tile: &Tile) -> Result<Vec<(String, String)>> {
        let mut sources = Vec::new();
        for op in &plan.ops {
            let kernels = lower(op, plan, tile, Fit::ANY)?.kernels;
            sources.extend(kernels.into_iter().map(|k| (k.label, k.text)));
        }
        Ok(sources)
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Writes the inputs and submits the whole plan; waits only where too many submissions are under way.
    ///
    /// # Errors
    /// Internal when the inputs do not fit the plan; Device when the device is lost or hangs.
    pub async fn run(&mut self, inputs: &Inputs<'_>) -> Result<()> {
        self.run_marked(inputs, &mut |_| {}).await
    }

    /// [`Gpu::run`], which calls `mark` whenever a phase begins: this part of the engine has no clock.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub async fn run_marked(&mut self, inputs: &Inputs<'_>, mark: Mark<'_>) -> Result<()> {
        mark(Phase::Inputs);
        self.write_inputs(inputs)?;
        mark(Phase::Waiting);
        while self.in_flight.len() >= IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.device.wait(oldest, "a run of the plan").await?;
        }
        mark(Phase::Recording);
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        let all: Vec<Dispatch> = self.ops.iter().flatten().copied().collect();
        let mut first = 0;
        for cut in 0..=self.cuts.len() {
            let end = self.cuts.get(cut).copied().unwrap_or(all.len());
            if first > 0 {
                mark(Phase::Submitting);
                self.submit(encoder).await?;
                mark(Phase::Recording);
                encoder = self.device.raw.create_command_encoder(&Default::default());
            }
            let part = &all[first..end];
            self.record(&mut encoder.begin_compute_pass(&Default::default()), part);
            first = end;
        }
        self.finish(encoder, mark).await
    }

    /// Submits a part of a run; waits where too many are under way.
    async fn submit(&mut self, encoder: wgpu::CommandEncoder) -> Result<()> {
        let submission = self.device.queue.submit([encoder.finish()]);
        self.in_flight.push_back(submission);
        while self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.device.wait(oldest, "a part of the plan").await?;
        }
        Ok(())
    }

    /// How many kernels a run dispatches.
    pub fn dispatches(&self) -> usize {
        self.ops.iter().map(Vec::len).sum()
    }

    /// Copies the report, submits, and counts the run.
    pub(super) async fn finish(
        &mut self,
        mut encoder: wgpu::CommandEncoder,
        mark: Mark<'_>,
    ) -> Result<()> {
        let mut place = None;
        if let Some(report) = self.plan.io.report {
            mark(Phase::Waiting);
            let to = self.ring.place(&self.device).await?;
            mark(Phase::Recording);
            self.ring.copy(to, &mut encoder, &self.buffers[report.0]);
            place = Some(to);
        }
        let commands = encoder.finish();
        mark(Phase::Submitting);
        self.in_flight
            .push_back(self.device.queue.submit([commands]));
        mark(Phase::Done);
        if let Some(place) = place {
            self.ring.map(place, self.runs);
        }
        self.runs += 1;
        self.device.healthy("running the plan")
    }

    /// Executes one operation alone, on what the slots hold.
    ///
    /// # Errors
    /// Internal when there is no such operation; Device when the device is lost or hangs.
    pub async fn run_op(&mut self, op: usize) -> Result<()> {
        let dispatches = self.ops.get(op).ok_or_else(|| {
            Error::internal(format!("no operation {op} in a plan of {}", self.ops.len()))
        })?;
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        self.record(
            &mut encoder.begin_compute_pass(&Default::default()),
            dispatches,
        );
        let submission = self.device.queue.submit([encoder.finish()]);
        let name = self.plan.ops[op].name();
        self.device.wait(Some(submission), name).await
    }

    /// Records dispatches.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>, dispatches: &[Dispatch]) {
        for dispatch in dispatches {
            if dispatch.packed.is_some_and(|step| step >= self.longest) {
                continue;
            }
            let kernel = &self.kernels[dispatch.kernel];
            let offset = [dispatch.offset];
            let offsets = if kernel.step { &offset[..] } else { &[] };
            let [x, y, z] = kernel.groups;
            pass.set_pipeline(&kernel.pipeline.raw);
            pass.set_bind_group(0, &kernel.bind, offsets);
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// The reports that have arrived, in the order of the runs: a few runs late, or with `wait` all of them.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn outcomes(&mut self, wait: bool) -> Result<Vec<Outcome>> {
        if wait {
            self.device.wait(None, "the reports of the runs").await?;
            self.in_flight.clear();
        } else {
            self.device.poll("the reports of the runs")?;
        }
        let arrived = self.ring.take(&self.device)?;
        Ok({ arrived.into_iter() }
            .map(|(run, bytes)| {
                let numbers: &[f32] = bytemuck::cast_slice(&bytes);
                let numbers: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
                let report = Report::from_numbers(&numbers);
                Outcome { run, report }
            })
            .collect())
    }

    /// What a run needs from the host, without running.
    ///
    /// # Errors
    /// Internal when the inputs do not fit the plan.
    pub fn write_inputs(&mut self, inputs: &Inputs<'_>) -> Result<()> {
        let plan = self.plan.clone();
        check_inputs(&plan, inputs)?;
        let io = &plan.io;
        if let Some(ids) = io.ids {
            self.write_words(ids, inputs.ids)?;
        }
        if let Some(slot) = io.targets {
            self.write_words(slot, targets(&plan, slot, inputs))?;
        }
        if let Some(index) = io.index {
            let words = crate::exec::index(&plan, index, inputs);
            self.write_words(index, &words)?;
        }
        if let (Some(packing), Some(starts)) = (plan.packing, inputs.starts) {
            if let Some(slot) = io.counts {
                self.write_words(slot, &Packing::words(starts))?;
            }
            if let Some(slot) = io.before {
                self.write_words(slot, &packing.before(starts))?;
            }
            let steps = starts.windows(2).take_while(|w| w[1] > w[0]);
            self.longest = steps.count() as u32;
        }
        if let Some(weights) = io.weights {
            match inputs.weights {
                Some(values) => self.write(weights, values)?,
                None => self.write(weights, &vec![1.0; plan.slot(weights).len()])?,
            }
        }
        for (slot, filling) in crate::exec::derived(&plan, inputs) {
            match filling {
                Filling::Words(words) => self.write_words(slot, &words)?,
                Filling::Numbers(numbers) => self.write(slot, &numbers)?,
            }
        }
        if let Some(control) = io.control {
            let words: [u32; Control::WORDS] = inputs.control.words();
            self.write_words(control, &words)?;
        }
        if let Some(hyper) = io.hyper {
            let numbers: [f64; Hyper::NUMBERS] = inputs.hyper.numbers();
            self.write(hyper, &numbers.map(|x| x as f32))?;
        }
        Ok(())
    }

    /// Fills a slot of numbers.
    ///
    /// # Errors
    /// Internal when there are not as many as the slot holds.
    pub fn write(&mut self, slot: SlotId, values: &[f32]) -> Result<()> {
        self.fill(slot, bytemuck::cast_slice(values), values.len())
    }

    /// Fills a slot of words.
    ///
    /// # Errors
    /// Internal when there are not as many as the slot holds.
    pub fn write_words(&mut self, slot: SlotId, words: &[u32]) -> Result<()> {
        self.fill(slot, bytemuck::cast_slice(words), words.len())
    }

    fn fill(&self, slot: SlotId, bytes: &[u8], elements: usize) -> Result<()> {
        let of = self.plan.slot(slot);
        if elements != of.len() {
            return Err(Error::internal(format!(
                "{}: expected {} elements {:?}, found {elements}",
                of.name,
                of.len(),
                of.shape
            )));
        }
        let (device, buffer) = (&self.device, &self.buffers[slot.0]);
        for (n, part) in bytes.chunks(COPY).enumerate() {
            if n > 0 {
                // The host's copy of the part before is let go only once it has arrived.
                device.queue.submit([]);
                let polled = device.raw.poll(wgpu::PollType::Wait {
                    submission_index: None,
                    timeout: Some(super::device::TIMEOUT),
                });
                device.healthy(&of.name)?;
                polled.map_err(|e| Error::internal(format!("{}: {e}", of.name)))?;
            }
            device.queue.write_buffer(buffer, (n * COPY) as u64, part);
        }
        Ok(())
    }

    /// What a slot of numbers holds, after all runs so far.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn read(&self, slot: SlotId) -> Result<Vec<f32>> {
        self.elements(slot).await
    }

    /// What a slot of words holds, after all runs so far.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn read_words(&self, slot: SlotId) -> Result<Vec<u32>> {
        self.elements(slot).await
    }

    async fn elements<T: bytemuck::Pod>(&self, slot: SlotId) -> Result<Vec<T>> {
        let of = self.plan.slot(slot);
        let mut all = Vec::with_capacity(of.len());
        let size = 4 * of.len();
        for from in (0..size).step_by(COPY) {
            let part = from as u64..COPY.min(size - from) as u64 + from as u64;
            let buffer = &self.buffers[slot.0];
            let bytes = fetch(&self.device, buffer, part, &of.name).await?;
            all.extend(bytemuck::pod_collect_to_vec::<u8, T>(&bytes));
        }
        Ok(all)
    }
}

/// The dispatches before which a submission ends: the first of an operation where many floating point operations are
/// waiting, and any after so many others.
fn cuts(plan: &Plan, ops: &[Vec<Dispatch>]) -> Vec<usize> {
    let mut cuts = Vec::new();
    let (mut waiting, mut first, mut at) = (0.0, 0, 0);
    for (op, dispatches) in plan.ops.iter().zip(ops) {
        let own = op.cost().flops;
        if waiting + own > MOST_FLOPS && at > first {
            cuts.push(at);
            (waiting, first) = (0.0, at);
        }
        waiting += own;
        for _ in dispatches {
            if at - first == MOST_DISPATCHES {
                cuts.push(at);
                first = at;
            }
            at += 1;
        }
    }
    cuts
}

/// Whether every binding of a kernel is one that the adapter allows.
pub(super) fn bindable(device: &Device, plan: &Plan, source: &Source, binding: u64) -> Result<()> {
    for bind in &source.binds {
        let slot = plan.slot(bind.slot);
        let elements = bind.window.map_or(slot.len(), |(from, to)| to - from);
        let size = bytes(elements);
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

/// Bytes of a buffer or binding of so many elements: whole fours, and never empty, as a binding must hold an element of
/// its type.
pub(super) fn bytes(elements: usize) -> u64 {
    (4 * elements as u64).next_multiple_of(16).max(16)
}

/// The steps and places in the window that kernels are told, each pair at an offset that a binding may have.
struct Steps {
    numbers: Vec<[u32; 2]>,
    places: HashMap<[u32; 2], usize>,
    stride: u64,
}

impl Steps {
    fn offset(&mut self, step: [u32; 2]) -> u32 {
        let numbers = &mut self.numbers;
        let place = *self.places.entry(step).or_insert_with(|| {
            numbers.push(step);
            numbers.len() - 1
        });
        (place as u64 * self.stride) as u32
    }

    fn buffer(&self, device: &Device) -> wgpu::Buffer {
        let size = self.stride * self.numbers.len().max(1) as u64;
        let buffer = device.raw.create_buffer(&wgpu::BufferDescriptor {
            label: Some("steps"),
            size,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut bytes = vec![0u8; size as usize];
        for (place, number) in self.numbers.iter().enumerate() {
            let at = place * self.stride as usize;
            bytes[at..at + 8].copy_from_slice(bytemuck::cast_slice(number));
        }
        device.queue.write_buffer(&buffer, 0, &bytes);
        buffer
    }
}

/// One zeroed buffer a slot.
async fn allocate(device: &Device, plan: &Plan) -> Result<Vec<wgpu::Buffer>> {
    let limit = device.limits.max_buffer_size;
    let total = plan.bytes();
    let mut buffers = Vec::new();
    for slot in &plan.slots {
        let size = bytes(slot.len());
        if size > limit {
            return Err(Error::device(format!(
                "{} {:?} takes {size} bytes, and {} has buffers of at most {limit}; a smaller batch, sequence or layer may fit",
                slot.name, slot.shape, device.adapter.name
            )));
        }
        let scope = device.raw.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        buffers.push(device.raw.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&slot.name),
            size,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        }));
        if scope.pop().await.is_some() {
            return Err(Error::device(format!(
                "{} is out of memory at {} {:?} ({size} bytes) of a plan of {total} bytes; a smaller batch, sequence or \
                 layer may fit",
                device.adapter.name, slot.name, slot.shape
            )));
        }
        device.healthy(&slot.name)?;
    }
    Ok(buffers)
}

async fn kernel(
    device: &Device,
    source: &Source,
    buffers: &[wgpu::Buffer],
    steps: &wgpu::Buffer,
) -> Result<Kernel> {
    let pipeline = compile(device, source).await?;
    let binds = source.binds.iter().enumerate();
    let mut entries: Vec<wgpu::BindGroupEntry> = binds
        .map(|(i, bind)| wgpu::BindGroupEntry {
            binding: i as u32,
            resource: match bind.window {
                None => buffers[bind.slot.0].as_entire_binding(),
                Some((from, to)) => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &buffers[bind.slot.0],
                    offset: 4 * from as u64,
                    size: std::num::NonZeroU64::new(bytes(to - from)),
                }),
            },
        })
        .collect();
    if source.step {
        entries.push(wgpu::BindGroupEntry {
            binding: entries.len() as u32,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: steps,
                offset: 0,
                size: std::num::NonZeroU64::new(STEP_BYTES),
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
        step: source.step,
        groups: source.groups,
    })
}
