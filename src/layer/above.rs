//! From an axis to the one above it, whose rows are its sequences, and back: the last row of every sequence, the sum, mean
//! or maximum of its rows, and a row handed to each of them.
//!
//! Sequences lie by falling length, rows above them in an order of their own, so that what goes up or down is gathered by
//! an index that the host fills; no two rows ever add to one place.

use super::{Axis, Builder, Value};
use crate::error::{Error, Result};
use crate::op::steps::{Pool, StepsForm};
use crate::op::{Gather, Matrix, Op, Recipe, SlotId, Steps};

/// Columns of a value, and whether their sequences end at their first row, as what was read backward does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnPart {
    /// How many columns.
    pub cols: usize,
    /// Whether the end is at the first row.
    pub reversed: bool,
}

/// The row of `value` at which each sequence ends, along the axis `above`; `parts` are its columns from left to right.
///
/// # Errors
/// Internal: a value that is no rows along a packed axis.
pub fn last(
    builder: &mut Builder,
    name: &str,
    value: Value,
    above: Axis,
    parts: &[ColumnPart],
) -> Result<Value> {
    let (rows, axis) = (builder.rows(value)?, builder.axis(value));
    let number = packed(name, axis)?;
    let made = format!("last.{name}");
    let out = builder.activation(above, made.as_str(), rows.cols);
    let mut places = Vec::new();
    let mut first = 0;
    for part in parts {
        let ids = if part.reversed {
            builder.order(above, number, axis)
        } else {
            builder.last_rows(above, number, axis)
        };
        builder.push(Op::Gather(Gather {
            name: made.clone(),
            ids,
            table: rows.columns(first, part.cols).uncounted(),
            out: out.columns(first, part.cols),
            at: 0,
        }));
        places.push((ids, first, part.cols));
        first += part.cols;
    }
    let label = name.to_string();
    Ok(
        builder.made_rows(made, out, above, move |builder, upstream| {
            let grad = builder.activation(axis, format!("d.last.{label}.input"), rows.cols);
            for (ids, first, cols) in places {
                let into = grad.columns(first, cols).uncounted();
                let name = format!("last.{label}.backward");
                builder.scatter((above, ids), name, upstream.columns(first, cols), into);
            }
            builder.give(value, grad);
        }),
    )
}

/// What the rows of each sequence of `value` come to, column by column, along the axis `above`.
///
/// # Errors
/// As [`last`].
pub fn pool(
    builder: &mut Builder,
    name: &str,
    value: Value,
    above: Axis,
    pool: Pool,
) -> Result<Value> {
    let (rows, axis) = (builder.rows(value)?, builder.axis(value));
    packed(name, axis)?;
    let made = format!("pooled.{name}");
    let out = builder.gathered_up(above, &made, axis, rows.cols, |builder, sequences| {
        builder.steps(axis, &made, StepsForm::Sum, [rows, sequences], (pool, None));
    });
    let label = made.clone();
    Ok(
        builder.made_rows(made, out, above, move |builder, upstream| {
            let grad = builder.activation(axis, format!("d.{label}.input"), rows.cols);
            let back = format!("{label}.backward");
            let sequences = builder.gathered_down(above, &back, axis, upstream);
            let values = (pool == Pool::Max).then_some(rows);
            builder.steps(
                axis,
                &back,
                StepsForm::Spread,
                [grad, sequences],
                (pool, values),
            );
            builder.give(value, grad);
        }),
    )
}

/// The row of `value` handed to every row of its sequence along `axis`, which lies below that of the value.
///
/// # Errors
/// As [`last`].
pub fn spread(builder: &mut Builder, name: &str, value: Value, axis: Axis) -> Result<Value> {
    let (from, above) = (builder.rows(value)?, builder.axis(value));
    packed(name, axis)?;
    let made = format!("spread.{name}");
    let out = builder.activation(axis, made.as_str(), from.cols);
    let sequences = builder.gathered_down(above, &made, axis, from);
    let sums = (Pool::Sum, None);
    builder.steps(axis, &made, StepsForm::Spread, [out, sequences], sums);
    let label = made.clone();
    Ok(
        builder.made_rows(made, out, axis, move |builder, upstream| {
            let back = format!("{label}.backward");
            let cols = upstream.cols;
            let grad = builder.gathered_up(above, &back, axis, cols, |builder, sequences| {
                builder.steps(axis, &back, StepsForm::Sum, [upstream, sequences], sums);
            });
            builder.give(value, grad);
        }),
    )
}

/// Rows along `axis`, of which `rows` is no value, where each sequence ends: along the axis `above`.
///
/// # Errors
/// As [`last`].
pub(super) fn ends(
    builder: &mut Builder,
    name: &str,
    (rows, axis): (Matrix, Axis),
    above: Axis,
) -> Result<Matrix> {
    let number = packed(name, axis)?;
    let ids = builder.last_rows(above, number, axis);
    Ok(builder.gather(above, name.into(), name.into(), ids, rows))
}

pub(super) fn packed(name: &str, axis: Axis) -> Result<usize> {
    let number = axis.number();
    number.ok_or_else(|| Error::internal(format!("{name}: rows along no packed axis")))
}

impl Builder {
    /// The slot that says which sequence of an axis each row above it is.
    fn order(&mut self, above: Axis, number: usize, axis: Axis) -> SlotId {
        let recipe = Recipe::Order { axis: number };
        // Every sequence has a row.
        let most = axis.rows().min(axis.batch);
        self.add_rows(above, format!("order.{number}"), recipe, most)
    }

    /// The slot that says which row is the last of each sequence.
    fn last_rows(&mut self, above: Axis, number: usize, axis: Axis) -> SlotId {
        let recipe = Recipe::Last { axis: number };
        self.add_rows(above, format!("last-rows.{number}"), recipe, axis.rows())
    }

    /// Whether the rows above an axis lie in the order of its sequences.
    fn is_in_order(&self, axis: Axis) -> bool {
        axis.number().is_some() && axis.number() == self.plan.order_of_examples()
    }

    fn steps(
        &mut self,
        axis: Axis,
        name: &str,
        form: StepsForm,
        [rows, sequences]: [Matrix; 2],
        (pool, values): (Pool, Option<Matrix>),
    ) {
        self.push(Op::Steps(Steps {
            name: name.into(),
            form,
            rows,
            sequences: sequences.uncounted(),
            steps: axis.steps,
            batch: axis.batch,
            packed: axis.packed(true),
            pool,
            values,
            accumulate: false,
        }));
    }

    /// Rows above an axis that `make` makes in the order of its sequences.
    pub(super) fn gathered_up(
        &mut self,
        above: Axis,
        name: &str,
        axis: Axis,
        cols: usize,
        make: impl FnOnce(&mut Builder, Matrix),
    ) -> Matrix {
        if self.is_in_order(axis) {
            let out = self.activation(above, name, cols);
            make(self, out);
            return out;
        }
        let sequences = self.scratch(format!("{name}.sequences"), axis.batch, cols);
        make(self, sequences);
        let ids = self.order(above, axis.number().unwrap_or(0), axis);
        self.gather(above, format!("{name}.order"), name.into(), ids, sequences)
    }

    /// Rows above an axis in the order of its sequences.
    pub(super) fn gathered_down(
        &mut self,
        above: Axis,
        name: &str,
        axis: Axis,
        rows: Matrix,
    ) -> Matrix {
        if self.is_in_order(axis) {
            return rows;
        }
        let number = axis.number().unwrap_or(0);
        let recipe = Recipe::Above { axis: number };
        let slot = format!("above.{number}");
        let ids = self.words_of(recipe, slot, &[1, axis.batch], above.rows());
        let out = self.scratch(format!("{name}.sequences"), axis.batch, rows.cols);
        self.push(Op::Gather(Gather {
            name: format!("{name}.order"),
            ids,
            table: rows.uncounted(),
            out,
            at: 0,
        }));
        out
    }
}
