//! Which plan a tile's kernels go through: the same results, in another order or from fewer operations.

use super::binding_range::BindingLimits;
use super::exchange::with_exchange;
use super::lower::{in_one_dispatch, lower};
use super::tile::Tile;
use crate::op::{Direction, Op, Plan, Together};

/// The plan as this tile's kernels go through it, where that is another one: with scans side by side, where kernels for them
/// can be made; without transposed copies, where threads share sums, who read the weights of both directions as they lie; with
/// an exchange, where kernels span workgroups; with operations that need nothing of one another in one dispatch.
pub(super) fn scheduled(plan: &Plan, tile: &Tile, fit: BindingLimits) -> Option<Plan> {
    // Of its parts each runs by itself.
    if plan.step.is_some() {
        return None;
    }
    let scans = if tile.split(Direction::Backward).is_some() {
        plan.without_copies(|_| true)
    } else {
        with_wavefronts(plan, tile, fit)
    };
    let own = scans.as_ref().unwrap_or(plan);
    let spanning = (tile.span > 0).then(|| with_exchange(own, tile, fit).ok());
    let scans = spanning.flatten().or(scans);
    if !tile.merged {
        return scans;
    }
    let own = scans.as_ref().unwrap_or(plan);
    let open = own.with_open_norm();
    let own = open.as_ref().unwrap_or(own);
    let together = own.together(|ops| {
        let few = ops.len() <= fit.parts_of_kernel() && ops.iter().all(merges);
        few && in_one_dispatch(&Together::new(ops.to_vec()), own, tile, fit).is_ok()
    });
    together.or(open).or(scans)
}

fn with_wavefronts(plan: &Plan, tile: &Tile, fit: BindingLimits) -> Option<Plan> {
    if tile.wavefront_steps == 0 {
        return None;
    }
    let possible = |plan: &Plan| {
        let mut concurrent = plan
            .ops
            .iter()
            .filter(|op| matches!(op, Op::ConcurrentScans(_)));
        concurrent.all(|op| lower(op, plan, tile, fit).is_ok())
    };
    // As many side by side as the bindings allow.
    (2..=fit.parts_of_kernel())
        .rev()
        .find_map(|most| plan.concurrent(tile.wavefront_steps, most).filter(possible))
}

/// Whether operations of this kind may share a dispatch with others: what stands between the scans and before the update.
fn merges(op: &Op) -> bool {
    match op {
        Op::Norm(op) => op.open,
        Op::Carry(_)
        | Op::Zero(_)
        | Op::Add(_)
        | Op::Gather(_)
        | Op::MatMul(_)
        | Op::Transpose(_)
        | Op::Dropout(_)
        | Op::Steps(_)
        | Op::ColumnSum(_)
        | Op::Scatter(_) => true,
        _ => false,
    }
}
