//! What is said of a step that is not finite.

use crate::error::{Error, Kind, Result};
use crate::exec::Engine;
use crate::op::{Matrix, Role};

/// The error of step `step` whose loss or gradient is not finite: names the first tensor, in the order of the operations,
/// that holds a bad element.
///
/// # Errors
/// A lost device.
pub(super) async fn diverged(engine: &mut Engine, step: u64) -> Result<Error> {
    let plan = engine.plan().clone();
    let parameters = plan.io.parameters;
    let mut places: Vec<(&str, Matrix)> = { parameters.iter() }
        .map(|slot| ("the parameters", plan.matrix(*slot)))
        .collect();
    for op in &plan.ops {
        places.extend(op.writes().into_iter().map(|matrix| (op.name(), matrix)));
    }
    let mut text = "no tensor that is still in memory".to_string();
    for (op, matrix) in places {
        let slot = plan.slot(matrix.slot);
        if matches!(slot.role, Role::Words | Role::Results) || slot.is_empty() {
            continue;
        }
        let values = engine.read(matrix.slot).await?;
        if let Some((row, col, value)) = first_bad(&values, matrix) {
            let name = match Some(matrix.slot) == parameters {
                true => op.to_string(),
                false => format!("{} (written by {op})", slot.name),
            };
            text = format!("{name}: element [{row}, {col}] is {value}");
            break;
        }
    }
    Ok(Error::new(
        Kind::Diverged,
        format!(
            "step {}: the loss, a penalty or the gradient is no longer finite; first bad tensor: {text}; try a lower --lr or \
             --clip-norm",
            step + 1
        ),
    ))
}

/// The first element of a matrix that is not finite.
fn first_bad(values: &[f32], matrix: Matrix) -> Option<(usize, usize, f32)> {
    (0..matrix.rows).find_map(|row| {
        let at = matrix.offset + row * matrix.stride;
        let row_values = values.get(at..at + matrix.cols)?;
        let col = row_values.iter().position(|x| !x.is_finite())?;
        Some((row, col, row_values[col]))
    })
}
