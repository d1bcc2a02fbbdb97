//! What a name before brackets means in both languages: a pointwise operator, with as many operands as it takes.

use super::graph::{Graph, Id};
use super::operator::{Binary, Unary};
use super::parse::{Position, fault};
use crate::error::{Result, did_you_mean};

/// A pointwise operator.
#[derive(Clone, Copy)]
pub(super) enum Operator {
    Unary(Unary),
    Binary(Binary),
}

impl Operator {
    /// Its result for as many of the operands as it takes.
    pub fn apply(self, graph: &mut Graph, [a, b]: [Id; 2]) -> Id {
        match self {
            Operator::Unary(op) => graph.unary(op, a),
            Operator::Binary(op) => graph.binary(op, a, b),
        }
    }
}

/// The operator called `name` in a text, which gives it so many operands; `own` are the language's other functions.
///
/// # Errors
/// A name that nothing has, with the nearest; another number of operands than it takes.
pub(super) fn operator(
    text: &str,
    name: &str,
    operands: usize,
    own: &[&str],
    position: Position,
) -> Result<Operator> {
    if let Some(op) = Unary::ALL.iter().find(|op| op.name() == name) {
        arity(text, name, 1, operands, position)?;
        return Ok(Operator::Unary(*op));
    }
    if let Some(op) = Binary::ALL.iter().find(|op| op.name() == name) {
        arity(text, name, 2, operands, position)?;
        return Ok(Operator::Binary(*op));
    }
    let known = Unary::ALL.iter().map(|op| op.name());
    let known = known
        .chain(Binary::ALL.iter().map(|op| op.name()))
        .chain(own.iter().copied());
    let hint = did_you_mean(name, known);
    Err(fault(
        text,
        position,
        format!("unknown function `{name}`{hint}"),
    ))
}

/// Whether a function has as many operands as it takes.
///
/// # Errors
/// Both numbers.
pub(super) fn arity(
    text: &str,
    name: &str,
    expected: usize,
    came: usize,
    position: Position,
) -> Result<()> {
    if expected == came {
        return Ok(());
    }
    let message = format!("`{name}` expects {expected} operands, found {came}");
    Err(fault(text, position, message))
}
