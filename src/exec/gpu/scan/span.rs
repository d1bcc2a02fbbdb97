//! A kernel that spans workgroups: when a scan has one, how its workgroups are laid out, and what they send one another.

use super::super::binding_range::BindingLimits;
use super::super::tile::Tile;
use super::places::{Places, width};
use super::split::SplitLayout;
use crate::cell::stage::TermOperand;
use crate::op::scan::ScanStepPart;
use crate::op::{Direction, Plan, Scan};

/// Steps of a dispatch at most: as many as the exchange has room for.
pub(in crate::exec::gpu) const STEPS: usize = 64;
/// How often a thread looks for what has not come in one dispatch, all waits together: about 15 ms on a GPU.
pub(in crate::exec::gpu) const POLLS: usize = 20_000;
/// Between two looks at the flag.
pub(super) const LOOK: usize = 64;
/// Floating point operations of a workgroup in one dispatch: 40 ms at 5 GFLOP/s, what a submission is meant to take on a
/// processor of a slow device.
const SHORT: usize = 200_000_000;
/// Rounds of a thread's loops in one dispatch, those of waiting among them: llvmpipe ends them after 65,535, and says nothing.
const ROUNDS: usize = 60_000;

/// A kernel that goes through several steps in one dispatch, its workgroups handing on what they make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exec::gpu) struct Span {
    /// The layout of every stage's sums, none for a stage without any; all the same but for the workgroup's memory.
    pub(super) layouts: Vec<Option<SplitLayout>>,
    /// Workgroups along the units and along the rows.
    pub(super) groups: [usize; 2],
    /// The rows of H numbers that workgroups send one another, of which a delta is that of this step.
    pub(super) sent: Vec<TermOperand>,
    /// Steps of a dispatch.
    pub steps: usize,
    /// Divisions of a thread between two looks.
    pub(super) pause: usize,
}

impl Span {
    /// The layout that all stages have but for the workgroup's memory.
    pub(super) fn layout(&self) -> Option<&SplitLayout> {
        self.layouts.iter().flatten().max_by_key(|l| l.parts)
    }

    /// Words of the exchange that a dispatch of so many rows and units uses.
    pub fn words(&self, scan: &Scan) -> usize {
        (self.steps + 1) * scan.batch * self.sent.len() * scan.hidden
    }
}

/// The kernel that spans workgroups for a scan, where the tile has one and it is possible: the rule.
///
/// There must be steps to go through, in single precision and without reductions, whose sums threads share, all stages with
/// the same layout, so that the same thread has the same rows and units in all of them. Where a workgroup does not have all
/// units, no more workgroups may wait for one another than the tile says run at once. A dispatch must be short, and its
/// exchange no more than a binding.
pub(in crate::exec::gpu) fn span(
    scan: &Scan,
    plan: &Plan,
    tile: &Tile,
    fit: BindingLimits,
) -> std::result::Result<Span, String> {
    if plan.halved() || plan.doubled() {
        return Err("numbers in another precision than single".into());
    }
    let steps = scan.range.len();
    if steps < 2 {
        return Err(format!("{steps} steps"));
    }
    let attends = |part: &ScanStepPart| matches!(part, ScanStepPart::Attention(_));
    if scan.step_parts().iter().any(attends) {
        return Err("an attention".into());
    }
    if scan.stages().iter().any(|s| !s.reductions.is_empty()) {
        return Err("sums over rows".into());
    }
    let split = tile.split(scan.direction);
    let split = split.ok_or("no threads share its sums")?;
    let places = Places {
        scan,
        width: width(scan, true),
        bound: None,
        exchanged: None,
    };
    let adapt = [tile.fewest, tile.full];
    let layouts = scan.stages().iter();
    let layouts = layouts.map(|stage| SplitLayout::of(&places, stage, split, 4, adapt));
    let layouts: Vec<Option<SplitLayout>> = layouts.collect();
    let mut all = layouts.iter().flatten();
    let first = all.next().ok_or("no products")?;
    if all.any(|other| !first.same_threads(other)) {
        return Err("stages whose workgroups are laid out differently".into());
    }
    let groups = first.groups(&places);
    let wait = match groups {
        [1, _] => 1,
        [across, down] => across * down,
    };
    if wait > tile.span {
        let most = tile.span;
        return Err(format!(
            "{wait} workgroups, of which {most} may wait for one another"
        ));
    }
    let mut sent: Vec<TermOperand> = Vec::new();
    let (mut flops, mut rounds) = (0, 1);
    for (stage, layout) in scan.stages().iter().zip(&layouts) {
        for product in stage.products() {
            let operands = match (scan.direction, product.operand) {
                (Direction::Forward, own @ (TermOperand::Previous(_) | TermOperand::Made(_))) => {
                    vec![own]
                }
                (Direction::Backward, TermOperand::Delta(d) | TermOperand::NextDelta(d)) => {
                    let deltas = d..d + product.blocks;
                    deltas.map(TermOperand::Delta).collect()
                }
                (_, other) => return Err(format!("a product of {other:?}")),
            };
            sent.extend(operands);
            flops += 2 * product.blocks * scan.hidden * product.feeds.len();
            rounds += (product.blocks * places.units()).div_ceil(first.slices) * stage.sums.len();
        }
        rounds += layout.map_or(0, |l| l.slices * stage.sums.len());
    }
    sent.sort_by_key(|operand| match operand {
        TermOperand::Previous(k) => (0, *k),
        TermOperand::Made(i) => (1, *i),
        TermOperand::Delta(d) | TermOperand::NextDelta(d) => (2, *d),
    });
    sent.dedup();
    let [across, down] = groups;
    let own = scan.batch.div_ceil(down) * scan.hidden.div_ceil(across);
    let plane = scan.batch * sent.len() * scan.hidden;
    let most = [
        STEPS,
        steps,
        SHORT / (flops * own).max(1),
        (ROUNDS - POLLS) / rounds,
        (fit.binding / plane.max(1)).saturating_sub(1),
    ];
    match most.into_iter().min() {
        None | Some(0) => Err("a single step is longer than a dispatch may be".into()),
        Some(steps) => Ok(Span {
            layouts,
            groups,
            sent,
            steps,
            pause: fit.pause,
        }),
    }
}
