//! The update of those rows of a table that a minibatch used.

use super::{Cost, Matrix, Operand, Operation, Optimizer, Segment, SlotId, bytes, same};

/// An [`Optimizer`] on the rows of a table [V, D] (and of its arenas) that `ids` `[M]` names, whose gradients are rows
/// [M, D]. Ids are distinct; [`SparseUpdate::NONE`] stands for no row.
///
/// Exact for rules that leave a row with a gradient of 0 as it is: plain descent and Adagrad without weight decay. Under
/// another rule momentum, running means and decay of a row rest while it is not used.
#[derive(Clone, Debug)]
pub struct SparseUpdate {
    /// The name in the plan.
    pub name: String,
    /// The slot of the rows' ids.
    pub ids: SlotId,
    /// Rule, clipping, table (`parameters`), rows (`gradients`) and arenas.
    pub update: Optimizer,
}

impl SparseUpdate {
    /// The id that stands for no row.
    pub const NONE: u32 = u32::MAX;

    fn rows(&self) -> usize {
        self.update.gradients.rows
    }
}

impl Operation for SparseUpdate {
    const KIND: &'static str = "sparse_update";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let ids = Operand::slot(self.ids, self.rows());
        let mut operands = self.update.operands();
        operands.push(ids);
        operands
    }

    fn cost(&self) -> Cost {
        let n = self.rows() * self.update.gradients.cols;
        Cost {
            flops: 10.0 * n as f64,
            bytes: bytes(n * (3 + 2 * self.update.arenas.len())),
        }
    }

    fn check(&self) -> Result<(), String> {
        let table = &self.update.parameters;
        let cols = (self.rows(), table.cols);
        same("rows", cols, (self.rows(), self.update.gradients.cols))?;
        for arena in &self.update.arenas {
            same("arena", (table.rows, table.cols), (arena.rows, arena.cols))?;
        }
        self.update.check()
    }

    fn shape(&self) -> String {
        format!(
            "{} of {} x {}",
            self.rows(),
            self.update.parameters.rows,
            self.update.parameters.cols
        )
    }

    fn sum_length(&self) -> usize {
        16
    }

    fn tables_mut(&mut self) -> Vec<&mut Matrix> {
        let tables = [&mut self.update.parameters].into_iter();
        tables.chain(&mut self.update.arenas).collect()
    }

    fn place(&mut self, _: Segment) {}
}
