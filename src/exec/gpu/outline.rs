//! Kernels in outline: what a cost model must know of them, read from their texts; no device is asked.

use std::collections::HashMap;

use super::binding_range::BindingLimits;
use super::executor::Gpu;
use super::kernel::KernelSource;
use super::lower::{lower, scheduled};
use super::precision;
use super::tile::Tile;
use crate::Result;
use crate::op::{Op, Plan};

/// A kernel of a plan.
#[derive(Clone, Debug)]
pub struct KernelOutline {
    /// Its name.
    pub label: String,
    /// How often a run dispatches it.
    pub calls: usize,
    /// What it does side by side: one part, or several where it is several kernels in one.
    pub parts: Vec<PartOutline>,
}

/// A part of a kernel, with workgroups of its own.
#[derive(Clone, Debug)]
pub struct PartOutline {
    /// Its operation.
    pub op: Op,
    /// Which of the operation's costs it is a share of; all of them where there is no such one.
    pub part: usize,
    /// Workgroups.
    pub workgroups: usize,
    /// Threads of a workgroup.
    pub threads: usize,
    /// The whole numbers that its text is made with, by name.
    pub constants: HashMap<String, usize>,
    /// Barriers in the text.
    pub barriers: usize,
    /// Elements of the arrays that a workgroup shares.
    pub shared: usize,
}

impl Gpu {
    /// The kernels of `plan` in the order of their first dispatch, and the plan as they go through it; where no device sets
    /// limits.
    ///
    /// # Errors
    /// Internal when a kernel cannot be made.
    pub fn outlines(plan: &Plan, tile: &Tile) -> Result<(Plan, Vec<KernelOutline>)> {
        let tile = &precision::tile(*tile, plan);
        let plan = scheduled(plan, tile, BindingLimits::ANY).unwrap_or_else(|| plan.clone());
        let mut all = Vec::new();
        for op in &plan.ops {
            let lowered = lower(op, &plan, tile, BindingLimits::ANY)?;
            for (n, kernel) in lowered.kernels.iter().enumerate() {
                let calls = lowered.order.iter().filter(|(k, _)| *k == n).count();
                let inner: &[Op] = match op {
                    Op::Together(op) => &op.ops,
                    _ => &[],
                };
                let mut parts = Vec::new();
                for op in inner {
                    let own = lower(op, &plan, tile, BindingLimits::ANY)?;
                    let kernels = own.kernels.iter().zip(&own.parts);
                    parts.extend(kernels.map(|(kernel, part)| outline(op, *part, kernel)));
                }
                if inner.is_empty() {
                    parts.push(outline(op, lowered.parts[n], kernel));
                }
                all.push(KernelOutline {
                    label: kernel.label.clone(),
                    calls,
                    parts,
                });
            }
        }
        Ok((plan, all))
    }
}

fn outline(op: &Op, part: usize, kernel: &KernelSource) -> PartOutline {
    let read = |line: &str| {
        let (name, value) = line.strip_prefix("const ")?.split_once(": u32 = ")?;
        let value = value.strip_suffix("u;")?.parse().ok()?;
        Some((name.to_string(), value))
    };
    let constants: HashMap<String, usize> = kernel.text.lines().filter_map(read).collect();
    let number = |word: &str| {
        let known = constants.get(word).copied();
        known.or_else(|| word.parse().ok())
    };
    let array = |line: &str| {
        let length = line.strip_prefix("var<workgroup> ")?;
        let length = length.strip_suffix(">;")?.rsplit_once(", ")?.1;
        number(length)
    };
    let entry = kernel.text.split("@workgroup_size(").nth(1);
    let threads = entry.and_then(|text| number(text.split(')').next()?));
    PartOutline {
        op: op.clone(),
        part,
        workgroups: kernel.groups.iter().map(|n| *n as usize).product(),
        threads: threads.unwrap_or(1),
        barriers: kernel.text.matches("workgroupBarrier()").count(),
        shared: kernel.text.lines().filter_map(array).sum(),
        constants,
    }
}
