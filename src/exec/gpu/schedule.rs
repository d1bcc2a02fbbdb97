//! Which plan a tile's kernels go through: the same results, in another order, in parts or from fewer operations.

use super::binding_range::{BindingLimits, WHOLE};
use super::exchange::with_exchange;
use super::lower::{in_one_dispatch, lower};
use super::product_tile::ProductTile;
use super::tile::Tile;
use crate::op::{Direction, MatMul, Op, Plan, Together};

/// The plan as this tile's kernels go through it, where that is another one: with scans side by side, where kernels for them
/// can be made; without transposed copies, where threads share sums, who read the weights of both directions as they lie; with
/// products of few tiles in parts; with an exchange, where kernels span workgroups; with operations that need nothing of one another in
/// one dispatch.
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
    let parts = with_parts(scans.as_ref().unwrap_or(plan), tile, fit);
    let scans = parts.or(scans);
    let own = scans.as_ref().unwrap_or(plan);
    let spanning = (tile.span > 0).then(|| with_exchange(own, tile, fit).ok());
    let scans = spanning.flatten().or(scans);
    if !tile.merged {
        return scans;
    }
    let own = scans.as_ref().unwrap_or(plan);
    let open = own.with_open_norm();
    let completed = completing(open.as_ref().unwrap_or(own), fit);
    let open = completed.or(open);
    let own = open.as_ref().unwrap_or(own);
    let together = own.together(|ops| {
        let few = ops.len() <= fit.parts_of_kernel() && ops.iter().all(merges);
        few && in_one_dispatch(&Together::new(ops.to_vec()), own, tile, fit).is_ok()
    });
    together.or(open).or(scans)
}

/// The same with a norm that adds up parts, where one binding can hold all gradients: else it has several kernels, and each
/// would have some of the sums.
fn completing(plan: &Plan, fit: BindingLimits) -> Option<Plan> {
    let slot = plan.io.gradients?;
    let whole = plan.slot(slot).len() <= fit.within(plan, slot).binding;
    plan.with_completing_norm().filter(|_| whole)
}

/// The same with products in parts, see [`Tile::part_depth`].
fn with_parts(plan: &Plan, tile: &Tile, fit: BindingLimits) -> Option<Plan> {
    if !tile.shared || tile.cooperative > 0 {
        return None;
    }
    // What a kernel cannot be given, or must not do in one go, is cut otherwise.
    let possible = |op: &MatMul| {
        let (m, k, n) = op.dims();
        let flops = 2.0 * m as f64 * k as f64 * n as f64;
        let mut matrices = [op.a, op.b, op.c].into_iter();
        matrices.all(|m| fit.holds(plan, &m)) && flops <= fit.flops && k <= tile.deepest()
    };
    let most = fit.binding.min(WHOLE) / 2;
    let place = fit.product_place(plan);
    let depth = |op: &MatMul| {
        ProductTile::of(op, tile, place)?
            .depth
            .filter(|_| possible(op))
    };
    plan.in_parts(depth, most)
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
        | Op::ProductParts(_)
        | Op::PartSum(_)
        | Op::Transpose(_)
        | Op::Dropout(_)
        | Op::Steps(_)
        | Op::ColumnSum(_)
        | Op::Scatter(_) => true,
        _ => false,
    }
}
