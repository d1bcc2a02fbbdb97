//! Plans that write sequences token by token: which operations run once for the examples, and which for every token.

use super::{Matrix, Op, Operation, PackedAxis, Packing, Plan, Recipe, SlotId};

/// Which operations of a plan run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them, in order: every run of a plan that writes nothing, and the first token of one that does.
    Whole,
    /// Those that every token needs, on what the others have left.
    Step,
}

/// What runs for every token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPart {
    /// Which of the operations.
    pub ops: Vec<bool>,
    /// The slots that the host fills for them.
    pub filled: Vec<SlotId>,
}

impl Plan {
    /// Whether an operation runs for every token.
    pub fn runs_at_steps(&self, op: usize) -> bool {
        self.step.as_ref().is_some_and(|step| step.ops[op])
    }

    /// Leaves out every operation that nothing of `wanted` needs, and finds which of the others run for every token: those
    /// with a row for every row of the axis along which sequences are written, or that look at words for these rows, or at
    /// what such operations make. What puts rows where states are before the first step runs once, whatever it looks at.
    pub fn write_steps(&mut self, wanted: &[Matrix]) {
        self.keep(wanted);
        let Some(axis) = self.axes.iter().position(|axis| axis.parents.is_some()) else {
            return;
        };
        let own = self.words_along(axis);
        let mut made: Vec<Matrix> = Vec::new();
        let mut ops = Vec::new();
        for op in &self.ops {
            let (reads, writes) = (op.reads(), op.writes());
            let looks = |m: &Matrix| own.contains(&m.slot) || made.iter().any(|n| n.meets(m));
            let step =
                !self.begins(op) && (self.has_rows_along(op, axis) || reads.iter().any(looks));
            if step {
                made.extend(writes);
            }
            ops.push(step);
        }
        // What nothing of a step reads has had its use in the first run.
        let mut needed = wanted.to_vec();
        for (op, step) in self
            .ops
            .iter()
            .zip(&mut ops)
            .rev()
            .filter(|(_, step)| **step)
        {
            *step = op
                .writes()
                .iter()
                .any(|m| needed.iter().any(|n| n.meets(m)));
            if *step {
                needed.extend(op.reads());
            }
        }
        let steps = self.ops.iter().zip(&ops).filter(|(_, step)| **step);
        let read: Vec<SlotId> = steps
            .flat_map(|(op, _)| op.reads())
            .map(|m| m.slot)
            .collect();
        let filled = self.filled().filter(|slot| read.contains(slot)).collect();
        self.step = Some(StepPart { ops, filled });
    }

    /// Leaves out every operation that nothing of `wanted` needs. States that go on from run to run are made by what makes
    /// those of the run.
    fn keep(&mut self, wanted: &[Matrix]) {
        let mut needed = wanted.to_vec();
        let mut kept = Vec::new();
        for op in self.ops.drain(..).rev() {
            let writes = op.writes();
            if writes.iter().any(|m| needed.iter().any(|n| n.meets(m))) {
                needed.extend(op.reads());
                kept.push(op);
            }
        }
        kept.reverse();
        self.ops = kept;
    }

    /// The slots of words that are filled for the rows of an axis.
    fn words_along(&self, axis: usize) -> Vec<SlotId> {
        let of_field = |field: usize| {
            let field = self.recipes.fields.get(field);
            field.and_then(|field| field.axis()) == Some(axis)
        };
        let along = |recipe: &Recipe| match recipe {
            Recipe::Ids { field, .. }
            | Recipe::Grams { field, .. }
            | Recipe::Positions { field, .. } => of_field(*field),
            Recipe::Last { axis: of }
            | Recipe::Order { axis: of }
            | Recipe::Above { axis: of }
            | Recipe::Parents { axis: of } => *of == axis,
            _ => false,
        };
        let PackedAxis { before, flip, .. } = &self.axes[axis];
        let slots = self.recipes.all(along);
        slots.chain(*before).chain(*flip).collect()
    }

    /// Whether a run's rows along an axis are counted for one of the matrices that an operation touches.
    fn has_rows_along(&self, op: &Op, axis: usize) -> bool {
        let of = &self.axes[axis];
        let words = of.first..of.first + Packing::STARTS + of.packing.steps + 1;
        let is =
            |slot: SlotId, word: usize| self.recipes.counts == Some(slot) && words.contains(&word);
        let counts = op.reads().into_iter().chain(op.writes());
        let mut counts = counts.filter_map(|m| m.row_count);
        counts.any(|count| is(count.slot, count.word))
            || op
                .scans()
                .iter()
                .any(|scan| scan.packed.is_some_and(|p| is(p.counts, p.first)))
    }

    /// Whether an operation puts rows where states that are carried on lie before the first step.
    fn begins(&self, op: &Op) -> bool {
        if matches!(op, Op::Carry(_)) || !op.scans().is_empty() {
            return false;
        }
        let carried = self.ops.iter().filter_map(|op| match op {
            Op::Carry(carry) if carry.parents.is_some() => Some(carry.writes()),
            _ => None,
        });
        let carried: Vec<Matrix> = carried.flatten().collect();
        let writes = op.writes();
        writes.iter().any(|m| carried.iter().any(|n| n.meets(m)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Add, Bound, Carry, Control, FieldShape, Gather, Parents, Role};
    use super::*;

    /// Of an example a row, gathered in the order of what is written to begin its states; what is written is looked up and
    /// added to the states; one operation leaves what nobody reads.
    #[test]
    fn what_hangs_on_what_is_written_runs_at_every_step() {
        let mut plan = Plan::default();
        let packing = Packing {
            steps: 1,
            batch: 4,
            rows: 4,
        };
        let (counts, first) = plan.add_counts(packing);
        let words = |plan: &mut Plan, name: &str, recipe: Recipe| {
            let slot = plan.add_words(name, &[1, 4], Bound::Below(4));
            plan.recipes.slots.push((slot, recipe));
            slot
        };
        let ids = words(&mut plan, "ids", Recipe::Ids { field: 0, back: 0 });
        let above = words(&mut plan, "above", Recipe::Above { axis: 0 });
        let parents = words(&mut plan, "parents", Recipe::Parents { axis: 0 });
        plan.recipes.fields = vec![FieldShape::Tokens {
            axis: Some(0),
            symbols: 4,
            marks: [0, 1],
            predicted: true,
        }];
        plan.axes = vec![PackedAxis {
            packing,
            first,
            before: None,
            flip: None,
            above: None,
            parents: Some(parents),
        }];
        let mut rows = |name: &str, shape: &[usize]| {
            let slot = plan.add(name, shape, Role::Activation);
            plan.matrix(slot)
        };
        let (table, source) = (rows("table", &[4, 2]), rows("source", &[4, 2]));
        let (memory, ordered) = (rows("memory", &[4, 2]), rows("ordered", &[4, 2]));
        let (embedded, vain) = (rows("embedded", &[4, 2]), rows("vain", &[4, 2]));
        let states = rows("states", &[8, 2]);
        let [before, behind] = [0, 4].map(|row| Matrix {
            rows: 4,
            offset: 2 * row,
            ..states
        });
        let add = |name: &str, from, to| {
            Op::Add(Add {
                name: name.into(),
                from,
                to,
                accumulate: false,
                flip: None,
            })
        };
        let gather = |name: &str, ids, table, out| {
            Op::Gather(Gather {
                name: name.into(),
                ids,
                table,
                out,
                at: 0,
            })
        };
        let control = plan.add_words("control", &[1, Control::WORDS], Bound::Any);
        plan.ops = vec![
            add("memory", source, memory),
            gather("embed", ids, table, embedded),
            gather("order", above, memory, ordered),
            Op::Carry(Carry {
                name: "carry".into(),
                control,
                state: states.slot,
                first: 0,
                states: 1,
                last: 8,
                width: 8,
                start: None,
                parents: Some(Parents {
                    slot: parents,
                    rows: 4,
                }),
            }),
            add("begin", ordered, before),
            add("vain", embedded, vain),
            add("cell", before, behind),
            add("out", embedded, behind),
        ];
        assert_eq!(plan.faults(), Vec::<String>::new());
        plan.write_steps(&[behind]);
        let all: Vec<(&str, bool)> = plan
            .ops
            .iter()
            .map(Op::name)
            .zip(plan.step.clone().unwrap().ops)
            .collect();
        let want = [
            ("memory", false),
            ("embed", true),
            ("order", false),
            ("carry", true),
            ("begin", false),
            ("cell", true),
            ("out", true),
        ];
        assert_eq!(all, want);
        let filled = plan.step.unwrap().filled;
        assert_eq!(filled, [ids, parents, control]);
        assert!(!filled.contains(&counts));
    }
}
