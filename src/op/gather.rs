//! Rows of a table by token id: an embedding, or the input projection of a one-hot input.

use super::split::each;
use super::{Cost, Limits, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same};
use crate::cell::real::Real;

/// out = table at ids: `[R, D]` from `[V, D]` and `[R]`.
#[derive(Clone, Debug)]
pub struct Gather {
    /// The name in the plan.
    pub name: String,
    /// The ids, a slot of words whose first R are used.
    pub ids: SlotId,
    /// The table.
    pub table: Matrix,
    /// The rows.
    pub out: Matrix,
    /// The position in the minibatch, in rows, of its first row: segments of a minibatch share all that lies between operations.
    pub at: usize,
}

impl Gather {
    /// The plain code.
    pub fn plain<F: Real>(&self, ids: &[u32], table: &[F], out: &mut [F]) {
        for (r, id) in ids.iter().enumerate().take(self.out.rows) {
            let row = *id as usize * self.table.stride;
            let to = r * self.out.stride;
            out[to..to + self.out.cols].copy_from_slice(&table[row..row + self.out.cols]);
        }
    }
}

impl Operation for Gather {
    const KIND: &'static str = "gather";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let ids = Operand::slot(self.ids, self.at + self.out.rows);
        let table = Operand::read(&mut self.table).uncounted();
        vec![table, ids, Operand::write(&mut self.out).rows()]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 0.0,
            bytes: bytes(2 * area(&self.out)),
        }
    }

    fn check(&self) -> Result<(), String> {
        same(
            "result",
            (self.out.rows, self.table.cols),
            (self.out.rows, self.out.cols),
        )
    }

    fn shape(&self) -> String {
        format!(
            "{} of {} x {}",
            self.out.rows, self.table.rows, self.table.cols
        )
    }

    fn sum_length(&self) -> usize {
        0
    }

    fn tables_mut(&mut self) -> Vec<&mut Matrix> {
        vec![&mut self.table]
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, 0]
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Gather> {
        each(limits.rows(&[self.out], 1), |first, count| Gather {
            out: self.out.band(first, count),
            at: self.at + first,
            ..self.clone()
        })
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.first;
    }
}
