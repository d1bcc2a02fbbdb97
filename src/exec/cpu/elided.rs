//! Elided transposed copies, which nobody needs: a scan that packs its weights packs them from where they lie.

use std::collections::HashMap;

use super::product::FEW;
use crate::op::{Matrix, Plan, Scan, SlotId};

/// The copies of a plan that only scans read which pack their weights, each with what it is a copy of.
#[derive(Debug, Default)]
pub struct Elided {
    copies: HashMap<(SlotId, usize), Matrix>,
}

impl Elided {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Elided {
        let packs = |scan: &Scan| scan.range.len() * scan.batch > FEW;
        let copies = plan.needless_copies(packs).into_iter();
        let copies = copies.map(|op| ((op.to.slot, op.to.offset), op.from));
        Elided {
            copies: copies.collect(),
        }
    }

    /// What the matrix would be the transposed copy of, where it is not made.
    pub fn get(&self, copy: &Matrix) -> Option<Matrix> {
        self.copies.get(&(copy.slot, copy.offset)).copied()
    }
}
