//! Values along one axis put together: their sum, and their columns side by side.

use super::{Builder, Value};
use crate::error::{Error, Result};
use crate::op::Matrix;

/// The rows of all parts, which must lie along one axis.
fn parts(builder: &Builder, name: &str, parts: &[Value]) -> Result<Vec<Matrix>> {
    let axis = builder.axis(parts[0]);
    if parts.iter().any(|part| builder.axis(*part) != axis) {
        return Err(Error::internal(format!("{name}: values of several axes")));
    }
    parts.iter().map(|part| builder.rows(*part)).collect()
}

/// The columns of all `values` side by side, in the order given.
///
/// # Errors
/// Internal, for values that are not rows or lie along several axes.
pub fn concat(builder: &mut Builder, name: &str, values: &[Value]) -> Result<Value> {
    let rows = parts(builder, name, values)?;
    let axis = builder.axis(values[0]);
    let out = builder.activation(axis, name, rows.iter().map(|p| p.cols).sum());
    let mut first = 0;
    let mut places = Vec::new();
    for (i, (value, from)) in values.iter().zip(rows).enumerate() {
        builder.add(
            format!("{name}.{i}"),
            from,
            out.columns(first, from.cols),
            false,
        );
        places.push((*value, first, from.cols));
        first += from.cols;
    }
    Ok(
        builder.made_rows(name, out, axis, move |builder, upstream| {
            for (value, first, cols) in places {
                builder.give(value, upstream.columns(first, cols));
            }
        }),
    )
}

/// The sum of `values`, which are equally wide.
///
/// # Errors
/// Internal, for values that are not rows, lie along several axes or are not equally wide.
pub fn sum(builder: &mut Builder, name: &str, values: &[Value]) -> Result<Value> {
    let rows = parts(builder, name, values)?;
    let (axis, cols) = (builder.axis(values[0]), rows[0].cols);
    if rows.iter().any(|part| part.cols != cols) {
        return Err(Error::internal(format!("{name}: values of several widths")));
    }
    let out = builder.activation(axis, name, cols);
    for (i, from) in rows.into_iter().enumerate() {
        builder.add(format!("{name}.{i}"), from, out, i > 0);
    }
    let values = values.to_vec();
    Ok(
        builder.made_rows(name, out, axis, move |builder, upstream| {
            let Some((last, others)) = values.split_last() else {
                return;
            };
            for value in others {
                builder.lend(*value, upstream);
            }
            builder.give(*last, upstream);
        }),
    )
}
