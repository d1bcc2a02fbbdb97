//! Fewer dispatches for devices on which each costs as much as a small kernel: operations in a row that need nothing of one
//! another become one, and the update ends the norm that it reads.

use super::{Matrix, Norm, Op, Plan, Together};

/// Partial sums of a norm that the update ends at most: each of its workgroups adds all of them.
const PARTIALS: usize = 512;

/// What an operation touches.
struct Touched {
    reads: Vec<Matrix>,
    writes: Vec<Matrix>,
}

impl Touched {
    fn of(op: &Op) -> Touched {
        Touched {
            reads: op.reads(),
            writes: op.writes(),
        }
    }

    /// Whether one of the two writes what the other one touches.
    fn conflicts(&self, other: &Touched) -> bool {
        let meets = |a: &[Matrix], b: &[Matrix]| a.iter().any(|m| b.iter().any(|n| m.meets(n)));
        meets(&self.writes, &other.writes)
            || meets(&self.writes, &other.reads)
            || meets(&self.reads, &other.writes)
    }
}

/// Whether one of two operations writes what the other one touches.
pub(super) fn conflict(a: &Op, b: &Op) -> bool {
    Touched::of(a).conflicts(&Touched::of(b))
}

/// Operations that take each other's place in the order, or one that stands alone.
struct Group {
    ops: Vec<Op>,
    touched: Vec<Touched>,
    /// Whether others may join.
    open: bool,
}

impl Group {
    fn conflicts(&self, of: &Touched) -> bool {
        self.touched.iter().any(|own| own.conflicts(of))
    }
}

impl Plan {
    /// The same plan with operations in a row that need nothing of one another as one, as far as `fits` allows: it is asked
    /// whether an operation may be merged at all, then whether several go together. Each stands where it may, after all
    /// whose results it needs, so that it computes the same. None where nothing goes together.
    pub fn together(&self, fits: impl Fn(&[Op]) -> bool) -> Option<Plan> {
        let mut groups: Vec<Group> = Vec::new();
        for op in &self.ops {
            let touched = Touched::of(op);
            let open = op.scans().is_empty() && fits(std::slice::from_ref(op));
            let after = groups.iter().rposition(|group| group.conflicts(&touched));
            let first = after.map_or(0, |at| at + 1);
            let with = |group: &Group| {
                let mut ops = group.ops.clone();
                ops.push(op.clone());
                group.open && fits(&ops)
            };
            match groups[first..].iter().position(|group| open && with(group)) {
                Some(at) => {
                    groups[first + at].ops.push(op.clone());
                    groups[first + at].touched.push(touched);
                }
                None => groups.push(Group {
                    ops: vec![op.clone()],
                    touched: vec![touched],
                    open,
                }),
            }
        }
        wait(&mut groups, &fits);
        let any = groups
            .iter()
            .any(|group| group.open && !group.ops.is_empty());
        let one = |group: Group| match <[Op; 1]>::try_from(group.ops) {
            Ok([op]) if !matches!(op, Op::Norm(_)) || !group.open => op,
            Ok([op]) => Op::Together(Together::new(vec![op])),
            Err(ops) => Op::Together(Together::new(ops)),
        };
        any.then(|| Plan {
            ops: groups.into_iter().map(one).collect(),
            ..self.clone()
        })
    }

    /// The same plan with the last part of its norm in the update, where nothing needs the report before and the partial sums
    /// are few; none elsewhere.
    pub fn with_open_norm(&self) -> Option<Plan> {
        let norm = |op: &Op| matches!(op, Op::Norm(norm) if !norm.open);
        let at = self.ops.iter().position(norm)?;
        let Op::Norm(norm) = &self.ops[at] else {
            return None;
        };
        let report = Matrix::new(norm.report, 1, 1);
        let touches = |op: &Op| {
            let touched = Touched::of(op);
            let mut all = touched.reads.iter().chain(&touched.writes);
            all.any(|m| m.meets(&report))
        };
        let next = at + 1 + self.ops[at + 1..].iter().position(touches)?;
        let mut plan = self.clone();
        let Op::Optimizer(update) = &mut plan.ops[next] else {
            return None;
        };
        if norm.partial_count() > PARTIALS {
            return None;
        }
        update.ends = Some(norm.clone());
        plan.ops[at] = Op::Norm(Norm {
            open: true,
            ..norm.clone()
        });
        Some(plan)
    }
}

/// Operations that can wait for a later group join it, where their own is then empty.
fn wait(groups: &mut Vec<Group>, fits: &impl Fn(&[Op]) -> bool) {
    let mut at = 0;
    while at < groups.len() {
        let later = |groups: &[Group]| {
            let free = |to: &usize| {
                let between = &groups[at + 1..*to];
                let mut own = groups[at].touched.iter();
                own.all(|of| !between.iter().any(|group| group.conflicts(of)))
            };
            let joins = |to: &usize| {
                let all = [groups[*to].ops.as_slice(), &groups[at].ops].concat();
                let mut own = groups[at].touched.iter();
                groups[*to].open && own.all(|of| !groups[*to].conflicts(of)) && fits(&all)
            };
            (at + 1..groups.len()).take_while(free).find(joins)
        };
        let to = if groups[at].open { later(groups) } else { None };
        match to {
            Some(to) => {
                let group = groups.remove(at);
                groups[to - 1].ops.extend(group.ops);
                groups[to - 1].touched.extend(group.touched);
            }
            None => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Add, Role, SlotId, Zero};
    use super::*;

    fn plan(ops: &[(&str, usize, Option<usize>)]) -> Plan {
        let mut plan = Plan::default();
        for n in 0..6 {
            plan.add(format!("s{n}"), &[1, 8], Role::Activation);
        }
        let whole = |slot| Matrix::new(SlotId(slot), 1, 8);
        plan.ops = ops
            .iter()
            .map(|(name, to, from)| match from {
                None => Op::Zero(Zero {
                    name: name.to_string(),
                    to: whole(*to),
                }),
                Some(from) => Op::Add(Add {
                    name: name.to_string(),
                    from: whole(*from),
                    to: whole(*to),
                    accumulate: false,
                    flip: None,
                }),
            })
            .collect();
        plan
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.ops.iter().map(Op::name).collect()
    }

    #[test]
    fn what_needs_nothing_of_one_another_is_one_and_order_stays() {
        let plan = plan(&[
            ("a", 0, None),
            ("b", 1, Some(0)),
            ("c", 2, None),
            ("d", 3, Some(1)),
            // Overwrites what `b` has read.
            ("e", 0, None),
        ]);
        let merged = plan.together(|_| true).unwrap();
        assert_eq!(names(&merged), ["a+c", "b", "d+e"]);
        assert_eq!(merged.faults(), Vec::<String>::new());
        assert!(plan.together(|_| false).is_none());
        let two = plan.together(|ops| ops.len() < 3 && ops.iter().all(|op| op.name() != "c"));
        assert_eq!(names(&two.unwrap()), ["a", "b", "c", "d+e"]);
    }

    #[test]
    fn what_can_wait_leaves_no_group_of_its_own() {
        let plan = plan(&[
            ("a", 0, None),
            // Only the next group's: nobody reads it.
            ("x", 4, Some(0)),
            ("scan", 1, Some(0)),
            ("b", 2, Some(1)),
        ]);
        let apart = |ops: &[Op]| ops.iter().all(|op| op.name() != "scan");
        let merged = plan.together(apart).unwrap();
        assert_eq!(names(&merged), ["a", "scan", "b+x"]);
    }

    #[test]
    fn operations_that_need_one_another_are_a_fault() {
        let ops = plan(&[("a", 0, None), ("b", 1, Some(0))]).ops;
        let mut plan = plan(&[]);
        plan.ops = vec![Op::Together(Together::new(ops))];
        assert_eq!(plan.faults(), ["a+b: b: expected to need nothing of a"]);
    }
}
