//! A plan's kernels with their buffers, and the order of their dispatches: what a run replays.

use std::collections::HashMap;
use std::ops::Range;

use super::binding_range::BindingLimits;
use super::buffers::{Dispatch, DispatchWords, Kernel, SlotBuffer, bindable, kernel};
use super::device::GpuDevice;
use super::kernel::{DispatchParameters, KernelSource};
use super::lower::lower;
use super::pace::Pace;
use super::packed::Longest;
use super::pipeline::compile_all;
use super::tile::Tile;
use crate::Result;
use crate::op::Plan;

/// The dispatches of a plan.
pub(super) struct Program {
    pub kernels: Vec<Kernel>,
    /// The dispatches of a run, in order.
    pub all: Vec<Dispatch>,
    /// For every operation of the plan, its dispatches.
    pub ops: Vec<Range<usize>>,
    /// Which dispatches are those of the plan's steps.
    pub steps: Vec<bool>,
    pub pace: Pace,
    /// How long the packed sequences in hand are.
    pub packed: Longest,
    /// What the tile has and these kernels have not, and why.
    pub left_out: Vec<String>,
    /// Whether some of its kernels span workgroups.
    pub spans: bool,
}

impl Program {
    /// The kernels of `plan` with a tile, compiled and bound to the buffers of its slots. Each kernel's text, given its name,
    /// passes through `edit`.
    pub async fn new(
        device: &GpuDevice,
        plan: &Plan,
        tile: &Tile,
        binding: u64,
        buffers: &[SlotBuffer],
        edit: &mut dyn FnMut(&str, &str) -> String,
    ) -> Result<Program> {
        let fit = BindingLimits::of(device, binding);
        let mut known: HashMap<KernelSource, usize> = HashMap::new();
        let mut steps = DispatchWords::new(device.limits.min_uniform_buffer_offset_alignment);
        let mut longest = Longest::default();
        let mut left_out = Vec::new();
        let mut spans = false;
        let mut ops = Vec::new();
        let mut all: Vec<Dispatch> = Vec::new();
        let mut sources: Vec<KernelSource> = Vec::new();
        for op in &plan.ops {
            let lowered = lower(op, plan, tile, fit)?;
            let why = lowered.left_out.as_ref();
            left_out.extend(why.map(|why| format!("{}: {why}", op.name())));
            let packed = op.scans().first().and_then(|scan| scan.packed);
            for source in &lowered.kernels {
                bindable(device, plan, source, binding)?;
            }
            spans |= lowered.spans;
            let mut places = Vec::new();
            for source in &lowered.kernels {
                let mut source = source.clone();
                source.text = device.with_faults(edit(&source.label, &source.text));
                source.unchecked = tile.unchecked && device.trusted();
                // Pieces of a segment share their kernels.
                let place = *known.entry(source.clone()).or_insert(sources.len());
                if place == sources.len() {
                    sources.push(source);
                }
                places.push(place);
            }
            let dispatch = |(kernel, parameters): &(usize, Vec<DispatchParameters>)| {
                let step = parameters.first().map(|p| lowered.first_step(op, *p));
                Dispatch {
                    kernel: places[*kernel],
                    part: lowered.parts[*kernel],
                    offset: steps.offset(parameters),
                    packed: match (packed, step.filter(|step| *step != u32::MAX)) {
                        (Some(packed), Some(step)) => Some(longest.step(packed, step)),
                        _ => None,
                    },
                }
            };
            let first = all.len();
            all.extend(lowered.order.iter().map(dispatch));
            ops.push(first..all.len());
        }
        let words = steps.buffer(device);
        let of_steps = (0..).zip(&ops);
        let steps = of_steps.flat_map(|(op, range): (usize, &Range<usize>)| {
            vec![plan.runs_at_steps(op); range.len()]
        });
        let steps = steps.collect();
        let compiled = compile_all(device, &sources).await?;
        let kernels = sources
            .iter()
            .zip(compiled)
            .map(|(source, compiled)| kernel(device, plan, source, compiled, buffers, &words));
        let kernels = kernels.collect::<Result<Vec<Kernel>>>()?;
        let pace = Pace::new(plan, &ops, &all, !device.adapter.timestamps);
        Ok(Program {
            kernels,
            all,
            ops,
            steps,
            pace,
            packed: longest,
            left_out,
            spans,
        })
    }
}
