//! Operations that need nothing of one another.
//!
//! In any order they leave the same, so that an adapter may run them in one dispatch: see [`Plan::together`], which brings them
//! together.
//!
//! [`Plan::together`]: super::Plan::together

use super::merge::conflict;
use super::{Cost, Op, Operand, Operation, Segment};

/// Operations none of which touches what another one writes.
#[derive(Clone, Debug)]
pub struct Together {
    /// The name in the plan: those of the operations, `carry.l0+zero.l0`.
    pub name: String,
    /// The operations; scans are not among them.
    pub ops: Vec<Op>,
}

impl Together {
    /// These operations as one.
    pub fn new(ops: Vec<Op>) -> Together {
        let names: Vec<&str> = ops.iter().map(Op::name).collect();
        Together {
            name: names.join("+"),
            ops,
        }
    }
}

impl Operation for Together {
    const KIND: &'static str = "together";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        self.ops.iter_mut().flat_map(Op::operands).collect()
    }

    fn cost(&self) -> Cost {
        self.ops.iter().map(Op::cost).sum()
    }

    fn check(&self) -> Result<(), String> {
        for (n, op) in self.ops.iter().enumerate() {
            op.check()
                .map_err(|fault| format!("{}: {fault}", op.name()))?;
            if !op.scans().is_empty() {
                return Err(format!("{}: expected no scan", op.name()));
            }
            if let Some(other) = self.ops[..n].iter().find(|other| conflict(other, op)) {
                return Err(format!(
                    "{}: expected to need nothing of {}",
                    op.name(),
                    other.name()
                ));
            }
        }
        Ok(())
    }

    fn shape(&self) -> String {
        let shapes: Vec<String> = self.ops.iter().map(Op::shape).collect();
        shapes.join(" + ")
    }

    fn sum_length(&self) -> usize {
        self.ops.iter().map(Op::sum_length).max().unwrap_or(0)
    }

    fn place(&mut self, segment: Segment) {
        self.ops.iter_mut().for_each(|op| op.place(segment));
    }
}
