//! Which slots of a plan an adapter may hold in half precision: rows of a window that operations leave for later ones.
//!
//! f16 has 11 bits and ends at 65504. What is summed up over steps, rows or updates (weights, gradients of weights, states,
//! carried adjoints, statistics, losses) stays in f32; every sum is made in f32 whatever its terms are stored in.

use std::collections::HashSet;

use super::scan::Hoisted;
use super::{Cost, Matrix, Op, Plan, Role, SlotId};

/// What an operation says about a slot.
enum Say {
    /// Rows that are written once and read by later kernels.
    Rows(SlotId),
    /// A sum, or what grows into one.
    Sum(SlotId),
}

impl Plan {
    /// Marks the slots that an adapter holds in half precision. Where no operation speaks for a slot, or one speaks
    /// against it, it stays in f32, as does everything on the processor.
    pub fn halve(&mut self) {
        let (mut rows, mut sums) = (HashSet::new(), HashSet::new());
        for op in &self.ops {
            for say in self.says(op) {
                match say {
                    Say::Rows(slot) => rows.insert(slot),
                    Say::Sum(slot) => sums.insert(slot),
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

    fn says(&self, op: &Op) -> Vec<Say> {
        let rows = |m: &Matrix| Say::Rows(m.slot);
        let sum = |m: &Matrix| Say::Sum(m.slot);
        // Not of the weights, which are few rows and read by many.
        let of_rows = |m: &Matrix| {
            let role = self.slot(m.slot).role;
            matches!(role, Role::Activation | Role::State)
        };
        match op {
            Op::Abreast(op) => {
                let scans = op.scans.iter().map(|s| Op::Scan(s.clone()));
                scans.flat_map(|scan| self.says(&scan)).collect()
            }
            Op::Scan(op) => {
                let mut says = vec![Say::Sum(op.state)];
                says.extend(op.work.map(Say::Sum));
                says.extend(op.kept.map(Say::Rows));
                says.extend(op.delta.map(Say::Rows));
                says.extend(op.input.iter().chain(&op.upstream).map(rows));
                if let Hoisted::Rows(hoisted) = &op.hoisted {
                    says.push(rows(hoisted));
                }
                says
            }
            Op::Gather(op) => vec![rows(&op.out)],
            Op::MatMul(op) if op.transpose_a => vec![sum(&op.c)],
            Op::MatMul(op) if of_rows(&op.a) => vec![rows(&op.c)],
            Op::Dropout(op) if of_rows(&op.from) => vec![rows(&op.to)],
            Op::SoftmaxXent(op) => vec![rows(&op.logits), sum(&op.losses)],
            Op::SoftmaxStats(op) => {
                let losses = op.losses.iter().map(sum);
                losses.chain([rows(&op.logits), sum(&op.stats)]).collect()
            }
            Op::SoftmaxGradient(op) => vec![rows(&op.logits), sum(&op.stats)],
            Op::ColumnSum(op) => vec![sum(&op.into)],
            Op::Scatter(op) => vec![sum(&op.into)],
            Op::Penalty(op) => vec![sum(&op.losses)],
            // Scores that stand for nothing are beyond f16.
            Op::SampledScores(op) => vec![sum(&op.scores)],
            Op::LogSoftmax(op) => vec![sum(&op.from), sum(&op.to)],
            Op::Carry(op) => vec![Say::Sum(op.state)],
            Op::Norm(_) | Op::Propagation(_) => {
                let touched = op.reads().into_iter().chain(op.writes());
                touched.map(|m| sum(&m)).collect()
            }
            Op::MatMul(_)
            | Op::Dropout(_)
            | Op::Add(_)
            | Op::Zero(_)
            | Op::Transpose(_)
            | Op::LossScale(_)
            | Op::Optimizer(_)
            | Op::SparseUpdate(_) => Vec::new(),
        }
    }
}
