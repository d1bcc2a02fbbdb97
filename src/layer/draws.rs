//! Draws from the unit Gaussian, which the host makes of the run's key and step or forces; and rows of 0.

use super::{Axis, Builder, Signal, Value};
use crate::op::{Matrix, Op, Recipe, Role, Zero};

/// Draws, `cols` for every row along an axis; each such value has draws of its own.
pub fn draws(builder: &mut Builder, name: &str, axis: Axis, cols: usize) -> Value {
    let slot = builder.plan.add(name, &[axis.rows(), cols], Role::Numbers);
    let stream = builder.stream();
    let recipe = Recipe::Draws { stream };
    builder.plan.recipes.slots.push((slot, recipe));
    let rows = Matrix {
        row_count: axis.row_count(),
        ..builder.plan.matrix(slot)
    };
    builder.value(name, Signal::Rows(rows), axis)
}

/// Rows of 0.
pub fn zeros(builder: &mut Builder, name: &str, axis: Axis, cols: usize) -> Value {
    let to = builder.activation(axis, name, cols);
    builder.push(Op::Zero(Zero {
        name: name.to_string(),
        to,
    }));
    builder.value(name, Signal::Rows(to), axis)
}
