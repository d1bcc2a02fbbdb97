//! Which slots of a plan an adapter may hold in half precision: rows of a minibatch that operations leave for later ones.
//!
//! f16 has 11 bits and ends at 65504. What is summed up over steps, rows or updates (weights, gradients of weights, states,
//! carried adjoints, statistics, losses) stays in f32; every sum is made in f32 whatever its terms are stored in.

use std::collections::HashSet;

use super::{Cost, Matrix, Op, Plan, Precision, Role, SlotId};

impl Plan {
    /// Marks the slots that an adapter holds in half precision. Where no operation speaks for a slot, or one speaks
    /// against it, it stays in f32, as does everything on the processor.
    pub fn halve(&mut self) {
        let (mut rows, mut sums) = (HashSet::new(), HashSet::new());
        let of_rows = |slot| matches!(self.slot(slot).role, Role::Activation | Role::State);
        for mut op in self.ops.iter().cloned() {
            for operand in op.operands() {
                let slot = operand.matrix().slot;
                match operand.precision {
                    Precision::Unsaid => continue,
                    Precision::RowsLike(other) if !of_rows(other) => continue,
                    Precision::Rows | Precision::RowsLike(_) => rows.insert(slot),
                    Precision::Sum => sums.insert(slot),
                };
            }
        }
        for (i, slot) in self.slots.iter_mut().enumerate() {
            let id = SlotId(i);
            slot.half = slot.role == Role::Activation && rows.contains(&id) && !sums.contains(&id);
        }
    }

    /// Whether an adapter holds any slot in half precision.
    pub fn halved(&self) -> bool {
        self.slots.iter().any(|s| s.half)
    }

    /// What each kernel of an operation costs on an adapter, see [`Op::costs`]; of slots in half precision, bytes count
    /// for as much less as they take of what the operation touches; in double precision twice.
    pub fn costs(&self, op: &Op) -> Vec<Cost> {
        let mut costs = op.costs();
        let touched: Vec<Matrix> = op.reads().into_iter().chain(op.writes()).collect();
        let area = |m: &Matrix| (m.rows * m.cols) as f64;
        let all: f64 = touched.iter().map(area).sum();
        let halves = touched.iter().filter(|m| self.slot(m.slot).half);
        let halves: f64 = halves.map(area).sum();
        for cost in costs.iter_mut().filter(|_| halves > 0.0) {
            cost.bytes *= 1.0 - 0.5 * halves / all;
        }
        for cost in costs.iter_mut().filter(|_| self.doubled()) {
            cost.bytes *= 2.0;
        }
        costs
    }
}
