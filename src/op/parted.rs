//! Plans whose long products are cut into parts, for devices that would else have little to do at a time.

use super::merge::conflict;
use super::{MatMul, Norm, Op, PartSum, Plan, Role};

/// The slot of the results of parts.
const SLOT: &str = "product.parts";
/// Results of parts begin at multiples of so many elements.
const ALIGN: usize = 64;

impl Plan {
    /// The same plan with products as parts and their sums: of each for which `depth` says so, parts of so many terms. Their
    /// results have at most `most` elements. None where no product is cut.
    pub fn in_parts(&self, depth: impl Fn(&MatMul) -> Option<usize>, most: usize) -> Option<Plan> {
        let mut plan = self.clone();
        let known = plan.find(SLOT);
        let slot = known.unwrap_or_else(|| plan.add(SLOT, &[1, 0], Role::Activation));
        plan.slots[slot.0].double = self.doubled();
        let begin = plan.slot(slot).len();
        let (mut ops, mut end) = (Vec::new(), begin);
        for op in &self.ops {
            let depth = match op {
                Op::MatMul(product) => depth(product).map(|depth| (product, depth)),
                _ => None,
            };
            let cut = depth.map(|(product, depth)| PartSum::of(product, depth, slot, end));
            match cut.filter(|(parts, _)| parts.product.c.end() <= most) {
                Some((parts, sum)) => {
                    end = parts.product.c.end().next_multiple_of(ALIGN);
                    ops.extend([Op::ProductParts(parts), Op::PartSum(sum)]);
                }
                None => ops.push(op.clone()),
            }
        }
        plan.slots[slot.0].shape[1] = end;
        plan.ops = ops;
        (end > begin).then_some(plan)
    }

    /// The same plan with a norm that adds up the parts of the gradients on its way; none where nothing is left to be added
    /// up when it comes to them.
    pub fn with_completing_norm(&self) -> Option<Plan> {
        let mut plan = self.clone();
        let mut at = plan.ops.iter().position(|op| matches!(op, Op::Norm(_)))?;
        let mut sums = Vec::new();
        for n in (0..at).rev() {
            let last = |op: &Op| !plan.ops[n + 1..at].iter().any(|other| conflict(op, other));
            let Op::PartSum(sum) = &plan.ops[n] else {
                continue;
            };
            let Op::Norm(norm) = &plan.ops[at] else {
                return None;
            };
            let whole = norm.gradients.is_some_and(|gradients| {
                let begin = gradients.offset <= sum.to.offset;
                sum.to.slot == gradients.slot && begin && sum.to.end() <= gradients.end()
            });
            let plain = sum.bias.is_none() && sum.to.row_count.is_none();
            if whole && plain && last(&plan.ops[n]) {
                sums.insert(0, sum.clone());
                plan.ops.remove(n);
                at -= 1;
            }
        }
        match &mut plan.ops[at] {
            Op::Norm(norm) if !sums.is_empty() => {
                *norm = Norm {
                    completes: sums,
                    ..norm.clone()
                };
                Some(plan)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Add, Matrix, SlotId};
    use super::*;

    /// Two products into gradients g [2, 8], a copy of the first result to s, a norm.
    fn plan(copied: bool) -> Plan {
        let mut plan = Plan::default();
        let a = plan.add("a", &[100, 2], Role::Activation);
        let b = plan.add("b", &[100, 4], Role::Activation);
        let g = plan.add("g", &[1, 16], Role::Gradients);
        let rest = ["s", "losses", "partials", "report"];
        let rest = rest.map(|name| plan.add(name, &[1, 8], Role::Activation));
        let whole = Matrix::new(g, 1, 16);
        let product = |n: usize| {
            Op::MatMul(MatMul {
                name: format!("p{n}"),
                a: Matrix::new(a, 100, 2),
                b: Matrix::new(b, 100, 4),
                c: Matrix {
                    offset: 8 * n,
                    ..Matrix::new(g, 2, 4)
                },
                transpose_a: true,
                transpose_b: false,
                bias: None,
                accumulate: n == 1,
            })
        };
        plan.ops = vec![product(0), product(1)];
        if copied {
            plan.ops.push(Op::Add(Add {
                name: "copy".into(),
                from: whole.columns(0, 8),
                to: Matrix::new(rest[0], 1, 8),
                accumulate: false,
                flip: None,
            }));
        }
        plan.ops.push(Op::Norm(Norm {
            name: "norm".into(),
            losses: Matrix::new(rest[1], 1, 8),
            gradients: Some(whole),
            sparse: Vec::new(),
            penalties: None,
            partials: rest[2],
            report: rest[3],
            scaled: None,
            clip_value: 0.0,
            open: false,
            completes: Vec::new(),
        }));
        plan
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.ops.iter().map(Op::name).collect()
    }

    #[test]
    fn products_become_parts_and_their_sums_go_into_the_norm() {
        let plan = plan(false);
        assert!(plan.in_parts(|_| None, 1000).is_none() && plan.with_completing_norm().is_none());
        let cut = plan.in_parts(|_| Some(40), 1000).unwrap();
        assert_eq!(names(&cut), ["p0", "p0.sum", "p1", "p1.sum", "norm"]);
        assert_eq!(cut.slots.last().unwrap().shape, [1, 128]);
        assert_eq!(cut.faults(), Vec::<String>::new());
        let completed = cut.with_completing_norm().unwrap();
        assert_eq!(names(&completed), ["p0", "p1", "norm"]);
        assert_eq!(completed.faults(), Vec::<String>::new());
        // What does not fit stays whole.
        let first = plan.in_parts(|_| Some(40), 30).unwrap();
        assert_eq!(names(&first), ["p0", "p0.sum", "p1", "norm"]);
        assert_eq!(first.ops[0].writes()[0].slot, SlotId(first.slots.len() - 1));
    }

    #[test]
    fn a_sum_that_somebody_reads_before_the_norm_stays() {
        let cut = plan(true).in_parts(|_| Some(40), 1000).unwrap();
        let completed = cut.with_completing_norm().unwrap();
        assert_eq!(names(&completed), ["p0", "p0.sum", "p1", "copy", "norm"]);
    }
}
