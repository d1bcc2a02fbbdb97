//! Elided transposed copies, which nobody needs: a scan that packs its weights packs them from where they lie.

use std::collections::HashMap;

use super::product::FEW;
use crate::op::{Matrix, Op, Plan, Scan, SlotId, Transpose};

/// The copies of a plan that only scans read which pack their weights, each with what it is a copy of.
#[derive(Debug, Default)]
pub struct Elided {
    copies: HashMap<(SlotId, usize), Matrix>,
}

impl Elided {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Elided {
        let mut copies = HashMap::new();
        for (at, op) in plan.ops.iter().enumerate() {
            if let Op::Transpose(op) = op
                && needless(plan, at, op)
            {
                copies.insert((op.to.slot, op.to.offset), op.from);
            }
        }
        Elided { copies }
    }

    /// What the matrix would be the transposed copy of, where it is not made.
    pub fn get(&self, copy: &Matrix) -> Option<Matrix> {
        self.copies.get(&(copy.slot, copy.offset)).copied()
    }
}

/// Whether every reader of the copy, all of them behind it, may as well read what it is a copy of.
fn needless(plan: &Plan, at: usize, copy: &Transpose) -> bool {
    let touches = |m: &Matrix| m.meets(&copy.to);
    let packs = |scan: &Scan| {
        let own = |w: &Matrix| !touches(w) || *w == copy.to;
        scan.range.len() * scan.batch > FEW && scan.weights.iter().flatten().all(own)
    };
    let mut last = at;
    for (n, op) in plan.ops.iter().enumerate() {
        if n != at && op.writes().iter().any(touches) {
            return false;
        }
        if op.reads().iter().any(touches) {
            let scans = op.scans();
            let fits = !scans.is_empty() && scans.iter().all(packs);
            if !fits || n < at {
                return false;
            }
            last = n;
        }
    }
    let changed = |op: &Op| op.writes().iter().any(|m| m.meets(&copy.from));
    !plan.ops[at..=last].iter().any(changed)
}
