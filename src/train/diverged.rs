//! What is said of a step that is not finite.

use crate::error::{Error, Kind, Result};
use crate::exec::Engine;
use crate::op::{Matrix, Op, Plan, Role, SlotId};

/// The error of step `step` whose loss or gradient is not finite: names the first tensor, in the order of the operations,
/// that holds a bad element.
///
/// # Errors
/// A lost device.
pub(super) async fn diverged(engine: &mut Engine, step: u64) -> Result<Error> {
    let plan = engine.plan().clone();
    let parameters = plan.io.parameters;
    let mut places: Vec<(&str, Matrix)> = parameters
        .iter()
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
            text = if Some(matrix.slot) == parameters {
                format!("{op}: element [{row}, {col}] is {value}")
            } else {
                match cell_value(engine, &plan, op, matrix.slot).await? {
                    Some(name) => {
                        format!("{name} ({}: element [{row}, {col}] is {value})", slot.name)
                    }
                    None => format!(
                        "{} (written by {op}): element [{row}, {col}] is {value}",
                        slot.name
                    ),
                }
            };
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

/// What a slot of a recurrent layer holds, in the words of its cell's equations; nothing for other slots.
///
/// # Errors
/// A lost device.
async fn cell_value(
    engine: &mut Engine,
    plan: &Plan,
    op: &str,
    slot: SlotId,
) -> Result<Option<String>> {
    let mut scans = plan.ops.iter().filter_map(|op| match op {
        Op::Scan(scan) => Some(scan),
        _ => None,
    });
    let Some(scan) = scans.find(|scan| scan.name == op) else {
        return Ok(None);
    };
    let (_, layer) = scan.name.split_once('.').unwrap_or(("", &scan.name));
    let place = format!("{} in layer {layer}", scan.cell.name);
    // A gate that is not finite makes a state so; the states are there by name.
    let values = engine.read(scan.state).await?;
    let plane = values.len() / scan.cell.states.len().max(1);
    let bad = values.iter().position(|x| !x.is_finite());
    let state = bad.and_then(|at| scan.cell.states.get(at / plane.max(1)));
    Ok(Some(match state {
        Some(state) => format!("{state} of {place}"),
        None if Some(slot) == scan.kept && scan.delta.is_none() => format!("a gate of {place}"),
        None => format!("a gradient within {place}"),
    }))
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
