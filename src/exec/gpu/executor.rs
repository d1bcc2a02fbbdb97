//! The executor: buffers, kernels and bind groups made once for a plan, which every run then replays.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::binding_range::BindingLimits;
use super::buffers::{Held, SlotBuffer, allocate, staged_bytes};
use super::device::GpuDevice;
use super::given::Repeats;
use super::lower::{Lowered, lower};
use super::pace::MEASURED;
use super::packed::Longest;
use super::precision;
use super::program::Program;
use super::readback::Ring;
use super::schedule::scheduled;
use super::stamps::Stamps;
use super::tile::Tile;
use crate::Result;
use crate::exec::Outcome;
use crate::op::{Op, Part, Plan, Report};

/// Submissions that may be under way: enough that the device never waits for the host, few enough to stop soon.
pub(super) const IN_FLIGHT: usize = 3;

/// Where the timestamps lie in what comes back from a run, after its report, and its size in bytes.
pub(super) const STAMPS: u64 = (8 * Report::NUMBERS as u64).next_multiple_of(16);
const RETURNED: u64 = STAMPS + 16 * MEASURED as u64;

/// A run whose submissions are measured.
pub(super) struct MeasuredRun {
    pub run: u64,
    pub parts: Vec<Range<usize>>,
    /// DispatchWords of its packed sequences.
    pub packed: Longest,
    /// What of the plan ran.
    pub part: Part,
}

/// Runs a plan on a device.
pub struct Gpu {
    pub(super) device: Arc<GpuDevice>,
    pub(super) plan: Arc<Plan>,
    pub(super) buffers: Vec<SlotBuffer>,
    /// What the host fills the slots of their one buffer with.
    pub(super) staged: Vec<u8>,
    _held: Held,
    pub(super) program: Program,
    /// Where a run may fail and is repeated then.
    pub(super) repeats: Option<Repeats>,
    /// What of the plan runs.
    pub(super) part: Part,
    /// Timestamps of submissions, where the device has a clock, once one is measured.
    pub(super) stamps: Option<Stamps>,
    /// The measured runs whose times have not come.
    pub(super) measured: VecDeque<MeasuredRun>,
    /// The reports that nobody asked for yet.
    pub(super) reports: Vec<Outcome>,
    pub(super) ring: Ring,
    pub(super) in_flight: VecDeque<wgpu::SubmissionIndex>,
    pub(super) runs: u64,
    left_out: Vec<String>,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Gpu({:?}, {} operations)",
            self.device,
            self.program.ops.len()
        )
    }
}

impl Gpu {
    /// Makes everything that runs of `plan` need, every slot zero, with the tile that fits the device.
    ///
    /// # Errors
    /// Device when a slot is larger than the device allows or memory is short; Internal when a kernel does not compile.
    pub async fn new(device: Arc<GpuDevice>, plan: Arc<Plan>) -> Result<Gpu> {
        let tile = device.tile(&plan).0;
        Gpu::with_tile(device, plan, &tile).await
    }

    /// The same with a given tile.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub async fn with_tile(device: Arc<GpuDevice>, plan: Arc<Plan>, tile: &Tile) -> Result<Gpu> {
        Gpu::edited(device, plan, tile, &mut |_, text| text.to_string()).await
    }

    /// The same with every kernel's text, given its name, passed through `edit`: for checks that inject a fault.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub async fn edited(
        device: Arc<GpuDevice>,
        plan: Arc<Plan>,
        tile: &Tile,
        edit: &mut dyn FnMut(&str, &str) -> String,
    ) -> Result<Gpu> {
        let binding = device.adapter.max_binding;
        Gpu::make(device, plan, tile, binding, edit, None).await
    }

    /// The executor of another plan of the same model on the same device, with the same buffer of parameters.
    pub(in crate::exec) async fn share(&self, plan: Arc<Plan>) -> Result<Gpu> {
        let parameters = self.plan.io.parameters.map(|slot| &self.buffers[slot.0]);
        let device = self.device.clone();
        let (tile, binding) = (device.tile(&plan).0, device.adapter.max_binding);
        let edit = &mut |_: &str, text: &str| text.to_string();
        Gpu::make(device, plan, &tile, binding, edit, parameters).await
    }

    /// The same with bindings of at most `binding` bytes, fewer than the adapter's: for tests of large slots in small.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub async fn with_binding(
        device: Arc<GpuDevice>,
        plan: Arc<Plan>,
        tile: &Tile,
        binding: u64,
    ) -> Result<Gpu> {
        let edit = &mut |_: &str, text: &str| text.to_string();
        Gpu::make(device, plan, tile, binding, edit, None).await
    }

    async fn make(
        device: Arc<GpuDevice>,
        plan: Arc<Plan>,
        tile: &Tile,
        binding: u64,
        edit: &mut dyn FnMut(&str, &str) -> String,
        parameters: Option<&SlotBuffer>,
    ) -> Result<Gpu> {
        precision::allowed(&device, &plan)?;
        let tile = &precision::tile(*tile, &plan);
        let fit = BindingLimits::of(&device, binding);
        let mut left_out = Vec::new();
        let plan = scheduled(&plan, tile, fit).map_or(plan, Arc::new);
        let side_by_side = |op: &Op| matches!(op, Op::ConcurrentScans(_));
        if tile.wavefront_steps > 0 && !plan.ops.iter().any(side_by_side) {
            left_out.push(format!(
                "wavefront: no two scans of the plan can run side by side in a kernel of at most {} bindings of {binding} bytes",
                fit.bindings
            ));
        }
        let (buffers, held) = allocate(&device, &plan, parameters).await?;
        let mut program = Program::new(&device, &plan, tile, binding, &buffers, edit).await?;
        left_out.append(&mut program.left_out);
        let repeats = program.spans.then(|| Repeats::new(*tile, binding));
        let ring = Ring::new(&device, IN_FLIGHT, RETURNED);
        device.healthy("preparing the plan")?;
        Ok(Gpu {
            device,
            plan,
            staged: vec![0; staged_bytes(&buffers)],
            buffers,
            _held: held,
            program,
            repeats,
            part: Part::Whole,
            stamps: None,
            measured: VecDeque::new(),
            reports: Vec::new(),
            ring,
            in_flight: VecDeque::new(),
            runs: 0,
            left_out,
        })
    }

    /// Name and WGSL of every kernel that `plan` needs, in the order of its operations; no device is asked.
    ///
    /// # Errors
    /// Internal when a kernel cannot be made.
    pub fn sources(plan: &Plan, tile: &Tile) -> Result<Vec<(String, String)>> {
        let kernels = Gpu::lowered(plan, tile)?
            .into_iter()
            .flat_map(|l| l.kernels);
        Ok(kernels.map(|k| (k.label, k.text)).collect())
    }

    /// Name and workgroups [x, y, z] of every kernel that `plan` needs; no device is asked.
    ///
    /// # Errors
    /// Internal when a kernel cannot be made.
    pub fn workgroups(plan: &Plan, tile: &Tile) -> Result<Vec<(String, [u32; 3])>> {
        let lowered = Gpu::lowered(plan, tile)?;
        let kernels = lowered.into_iter().flat_map(|l| l.kernels);
        Ok(kernels.map(|k| (k.label, k.groups)).collect())
    }

    /// How many dispatches a run of `plan` has; no device is asked.
    ///
    /// # Errors
    /// Internal when a kernel cannot be made.
    pub fn count(plan: &Plan, tile: &Tile) -> Result<usize> {
        let lowered = Gpu::lowered(plan, tile)?;
        Ok(lowered.iter().map(|l| l.order.len()).sum())
    }

    /// What the operations of `plan` become where no device sets limits.
    fn lowered(plan: &Plan, tile: &Tile) -> Result<Vec<Lowered>> {
        let tile = &precision::tile(*tile, plan);
        let other = scheduled(plan, tile, BindingLimits::ANY);
        let plan = other.as_ref().unwrap_or(plan);
        let ops = plan.ops.iter();
        ops.map(|op| lower(op, plan, tile, BindingLimits::ANY))
            .collect()
    }

    /// The plan that it runs: the one that it was made for, or the same with scans side by side.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What the tile has and this plan's kernels have not, and why.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// How many of its kernels run without checks of indices and loops, see [`Tile::unchecked`].
    pub fn unchecked_kernels(&self) -> usize {
        self.program.kernels.iter().filter(|k| k.unchecked).count()
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Arc<GpuDevice> {
        &self.device
    }
}
