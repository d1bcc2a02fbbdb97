//! What a plan needs for kernels that span workgroups: the words that these exchange, and a flag.

use super::binding_range::BindingLimits;
use super::scan::span;
use super::tile::Tile;
use crate::op::{Exchange, Op, Plan, Role};

/// The plan with an exchange for those of its scans whose kernels span workgroups with this tile, and with all first states made
/// before them: a run that fails later is repeated from these. The reason, where no run of the plan may have such kernels.
pub(super) fn with_exchange(
    plan: &Plan,
    tile: &Tile,
    fit: BindingLimits,
) -> std::result::Result<Plan, String> {
    if plan.io.report.is_none() {
        return Err("the plan reports nothing, and so no failure".into());
    }
    let scans = plan.ops.iter().filter_map(|op| match op {
        Op::Scan(scan) => Some(scan),
        _ => None,
    });
    let spans = scans.map(|scan| span(scan, plan, tile, fit).map(|s| s.words(scan)));
    // Where no scan has such a kernel each says why.
    let words = spans.filter_map(|words| words.ok()).max();
    let words = words.ok_or("no scan of the plan has such a kernel")?;
    let (carries, others): (Vec<&Op>, Vec<&Op>) =
        plan.ops.iter().partition(|op| matches!(op, Op::Carry(_)));
    for (at, op) in plan.ops.iter().enumerate() {
        let Op::Carry(carry) = op else { continue };
        let touches = |op: &Op| {
            let all = op.reads().into_iter().chain(op.writes());
            all.into_iter().any(|m| m.slot == carry.state)
        };
        let twice = |other: &&Op| matches!(other, Op::Carry(c) if c.state == carry.state);
        if plan.ops[..at].iter().any(touches) || carries.iter().filter(|c| twice(c)).count() > 1 {
            return Err(format!(
                "{}: more than the first states of a run",
                carry.name
            ));
        }
        let writes = |op: &&Op| op.writes().iter().any(|m| m.slot == carry.state);
        if others.iter().any(|op| writes(op) && op.scans().is_empty()) {
            return Err(format!("{}: first states that others write to", carry.name));
        }
    }
    let ops = carries.into_iter().chain(others).cloned().collect();
    let mut plan = Plan {
        ops,
        ..plan.clone()
    };
    plan.io.exchange = Some(Exchange {
        words: plan.add("exchange", &[words], Role::Activation),
        flag: plan.add("flag", &[1], Role::Activation),
    });
    Ok(plan)
}
