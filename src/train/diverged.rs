//! What is said of a step that is not finite.

mod layer;
#[cfg(test)]
mod tests;

use crate::error::{Error, Kind, Result};
use crate::exec::Engine;
use crate::op::{Matrix, Op, Role};

/// The error of step `step` whose loss or gradient is not finite: names the first value, in the order of the operations,
/// that is bad; one of a recurrent layer by the variable of its cell.
///
/// # Errors
/// A lost device.
pub(super) async fn diverged(engine: &mut Engine, step: u64) -> Result<Error> {
    let found = first(engine).await?;
    let text = found.unwrap_or_else(|| "no tensor that is still in memory".into());
    Ok(Error::new(
        Kind::Diverged,
        format!(
            "step {}: the loss, a penalty or the gradient is no longer finite; first bad tensor: {text}; try a lower --lr or \
             --clip-norm",
            step + 1
        ),
    ))
}

/// The first bad value in words.
///
/// # Errors
/// A lost device.
async fn first(engine: &mut Engine) -> Result<Option<String>> {
    let plan = engine.plan().clone();
    if let Some(slot) = plan.io.parameters {
        let values = engine.read(slot).await?;
        if let Some(place) = first_bad(&values, plan.matrix(slot)) {
            return Ok(Some(format!("the parameters: {place}")));
        }
    }
    // Sums over all minibatches of an update tell less than what they are made of.
    for sums in [false, true] {
        for (at, op) in plan.ops.iter().enumerate() {
            let later = &plan.ops[at + 1..];
            for scan in op.scans().iter().filter(|_| !sums) {
                if let Some(text) = layer::first(engine, &plan, scan, later).await? {
                    return Ok(Some(text));
                }
            }
            for matrix in op.writes() {
                let slot = plan.slot(matrix.slot);
                let numbers = !matches!(slot.role, Role::Words | Role::Results) && !slot.is_empty();
                let now = numbers && sums == (slot.role == Role::Gradients);
                if !now || !op.scans().is_empty() || written_again(later, &matrix) {
                    continue;
                }
                let values = engine.read(matrix.slot).await?;
                if let Some(place) = first_bad(&values, matrix) {
                    let (name, op) = (&slot.name, op.name());
                    return Ok(Some(format!("{name} (written by {op}): {place}")));
                }
            }
        }
    }
    Ok(None)
}

/// Whether an operation of `later` writes there anew, so that what is in memory is its own.
fn written_again(later: &[Op], matrix: &Matrix) -> bool {
    later.iter().any(|op| match op.scans() {
        [] => op.overwrites().contains(matrix),
        _ => op.writes().iter().any(|written| written.meets(matrix)),
    })
}

/// The first element of a matrix that is not finite, in words.
fn first_bad(values: &[f32], matrix: Matrix) -> Option<String> {
    (0..matrix.rows).find_map(|row| {
        let at = matrix.offset + row * matrix.stride;
        let row_values = values.get(at..at + matrix.cols)?;
        let col = row_values.iter().position(|x| !x.is_finite())?;
        Some(format!("element [{row}, {col}] is {}", row_values[col]))
    })
}
