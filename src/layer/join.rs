//! Values along one axis put together, their sum and their columns side by side, and a value's columns taken apart.

use super::{Builder, Signal, Value};
use crate::error::{Error, Result};
use crate::op::{Matrix, Op, Zero};

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

/// The columns of a value as so many equal parts, from left to right.
///
/// # Errors
/// Internal, for a value that is no rows or cannot be cut so.
pub fn split(builder: &mut Builder, name: &str, value: Value, parts: usize) -> Result<Vec<Value>> {
    let rows = builder.rows(value)?;
    if parts == 0 || !rows.cols.is_multiple_of(parts) {
        let cols = rows.cols;
        let message = format!("{name}: {cols} columns in {parts} parts");
        return Err(Error::internal(message));
    }
    split_into(builder, name, value, &vec![rows.cols / parts; parts])
}

/// The columns of a value in parts of these widths, from left to right.
///
/// # Errors
/// Internal, for a value that is no rows or of which columns are over.
pub fn split_into(
    builder: &mut Builder,
    name: &str,
    value: Value,
    widths: &[usize],
) -> Result<Vec<Value>> {
    let (rows, axis) = (builder.rows(value)?, builder.axis(value));
    let mut first = 0;
    let mut places = Vec::new();
    for cols in widths {
        places.push((first, *cols));
        first += cols;
    }
    if first != rows.cols {
        let cols = rows.cols;
        let message = format!("{name}: {cols} columns in parts of {widths:?}");
        return Err(Error::internal(message));
    }
    let part = |(n, (first, cols)): (usize, &(usize, usize))| {
        let columns = Signal::Rows(rows.columns(*first, *cols));
        builder.value(format!("{name}.{n}"), columns, axis)
    };
    let made: Vec<Value> = places.iter().enumerate().map(part).collect();
    let name = name.to_string();
    builder.made(&made, move |builder, gradients| {
        let into = builder.activation(axis, format!("d.{name}.input"), rows.cols);
        for (n, (gradient, (first, cols))) in gradients.iter().zip(places).enumerate() {
            let (to, name) = (into.columns(first, cols), format!("{name}.{n}.backward"));
            match gradient {
                Some(gradient) => builder.add(name, *gradient, to, false),
                None => builder.push(Op::Zero(Zero { name, to })),
            }
        }
        builder.give(value, into);
    });
    Ok(made)
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
