//! Transposed copies of weights that nobody needs: scans that can do so read the weights as they lie.

use super::{Matrix, Op, Plan, Scan, Transpose};

impl Plan {
    /// The copies of which every reader, all of them behind it, is a scan that `may` read what it is a copy of.
    pub fn needless_copies(&self, may: impl Fn(&Scan) -> bool) -> Vec<&Transpose> {
        let copies = self.ops.iter().enumerate().filter_map(|(at, op)| match op {
            Op::Transpose(op) => Some((at, op)),
            _ => None,
        });
        let needless = copies.filter(|(at, op)| self.needless(*at, op, &may));
        needless.map(|(_, op)| op).collect()
    }

    fn needless(&self, at: usize, copy: &Transpose, may: &impl Fn(&Scan) -> bool) -> bool {
        let touches = |m: &Matrix| m.meets(&copy.to);
        let own = |w: &Matrix| !touches(w) || *w == copy.to;
        let fits = |scan: &Scan| may(scan) && scan.weights.iter().flatten().all(own);
        let mut last = at;
        for (n, op) in self.ops.iter().enumerate() {
            if n != at && op.writes().iter().any(touches) {
                return false;
            }
            if op.reads().iter().any(touches) {
                let scans = op.scans();
                if scans.is_empty() || !scans.iter().all(fits) || n < at {
                    return false;
                }
                last = n;
            }
        }
        let changed = |op: &Op| op.writes().iter().any(|m| m.meets(&copy.from));
        !self.ops[at..=last].iter().any(changed)
    }

    /// The same plan without the copies that scans which `may` read weights as they lie do not need; none where there
    /// are no such copies.
    pub fn without_copies(&self, may: impl Fn(&Scan) -> bool) -> Option<Plan> {
        let needless: Vec<Transpose> = self.needless_copies(may).into_iter().cloned().collect();
        let copy_of = |w: &Matrix| needless.iter().find(|copy| copy.to == *w);
        let mut plan = self.clone();
        plan.ops.retain(|op| match op {
            Op::Transpose(op) => copy_of(&op.to).is_none(),
            _ => true,
        });
        for op in &mut plan.ops {
            let Op::Scan(scan) = op else { continue };
            for (weight, turned) in scan.weights.iter_mut().zip(&mut scan.turned) {
                if let Some((weight, copy)) =
                    weight.as_mut().and_then(|w| copy_of(w).map(|c| (w, c)))
                {
                    (*weight, *turned) = (copy.from, true);
                }
            }
        }
        (!needless.is_empty()).then_some(plan)
    }
}
