//! The rows of a minibatch along every axis: sequences by falling length, step after step.

use super::{Column, written};
use crate::error::{Error, Result};
use crate::op::{FieldShape, Packing, Plan};

/// The rows of an axis.
#[derive(Default)]
pub(super) struct Layout {
    /// Where steps start [T + 1].
    pub starts: Vec<u32>,
    /// By row: the row above it and the step.
    pub rows: Vec<(usize, usize)>,
    /// By row above: its sequence, and by sequence the row above.
    pub order: Vec<u32>,
    pub above: Vec<u32>,
    /// By sequence: how many rows it has.
    pub lengths: Vec<usize>,
    /// By row: the example and the step of the example's own sequence.
    pub places: Vec<(usize, usize)>,
}

/// The rows of every packed axis.
pub(super) fn layouts(plan: &Plan, columns: &[Column], examples: usize) -> Result<Vec<Layout>> {
    let mut layouts: Vec<Layout> = Vec::new();
    for (number, axis) in plan.axes.iter().enumerate() {
        let is = |field: &FieldShape| field.axis() == Some(number);
        let field = plan.recipes.fields.iter().position(is);
        let layout = match field {
            None => one_row_each(&axis.packing, first_order(plan, columns, examples)),
            Some(field) => {
                let shape = plan.recipes.fields[field];
                let above: Vec<(usize, usize)> = match axis.above {
                    Some(above) => layouts[above].places.clone(),
                    None => (0..examples).map(|example| (example, 0)).collect(),
                };
                if let Column::Written { rows, .. } = &columns[field] {
                    let above: Vec<usize> = above.iter().map(|(example, _)| *example).collect();
                    let layout = written::layout(rows, axis.packing.steps, &above)?;
                    layouts.push(fits(number, &axis.packing, layout)?);
                    continue;
                }
                let lengths = above.iter().map(|(example, step)| match &columns[field] {
                    Column::Within(all) => match all[*example].get(*step) {
                        Some(tokens) => Ok(shape.rows_of(tokens.len())),
                        None => Err(Error::internal(format!(
                            "example {example}: fewer sequences within than steps"
                        ))),
                    },
                    column => {
                        let steps = steps(column, shape, *example);
                        Ok(steps.map_or(0, |steps| shape.rows_of(steps)))
                    }
                });
                let within = matches!(columns[field], Column::Within(_));
                let lengths = lengths.collect::<Result<Vec<usize>>>()?;
                by_falling_length(&axis.packing, &lengths, &above, within)
            }
        };
        layouts.push(fits(number, &axis.packing, layout)?);
    }
    Ok(layouts)
}

/// A layout within the sizes of its axis.
fn fits(number: usize, packing: &Packing, layout: Layout) -> Result<Layout> {
    if layout.lengths.contains(&0) {
        return Err(Error::internal(format!(
            "axis {number}: a sequence without a row"
        )));
    }
    let longest = layout.lengths.first().copied().unwrap_or(0);
    let most = [
        ("sequences", layout.above.len(), packing.batch),
        ("steps", longest, packing.steps),
        ("rows", layout.rows.len(), packing.rows),
    ];
    match most.into_iter().find(|(_, found, most)| found > most) {
        None => Ok(layout),
        Some((what, found, most)) => Err(Error::internal(format!(
            "axis {number}: expected at most {most} {what}, found {found}"
        ))),
    }
}

/// The order of the examples' rows: that of the first axis whose sequences the examples are, by falling length.
fn first_order(plan: &Plan, columns: &[Column], examples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..examples).collect();
    let first = plan.order_of_examples();
    let fields = &plan.recipes.fields;
    let is = |field: &FieldShape| first.is_some() && field.axis() == first;
    if let Some(field) = fields.iter().position(is) {
        let steps = |example: &usize| steps(&columns[field], fields[field], *example);
        order.sort_by_key(|example| std::cmp::Reverse(steps(example)));
    }
    order
}

/// How many steps an example's own sequence has; none of what is no sequence.
pub(super) fn steps(column: &Column, shape: FieldShape, example: usize) -> Option<usize> {
    match (column, shape) {
        (Column::Tokens(all) | Column::Mixed { tokens: all, .. }, _) => Some(all[example].len()),
        (Column::Reals(all), FieldShape::Reals { width, .. }) => Some(all[example].len() / width),
        _ => None,
    }
}

/// The layout of the examples, a row each.
fn one_row_each(packing: &Packing, order: Vec<usize>) -> Layout {
    let count = order.len() as u32;
    let mut starts = vec![0];
    starts.resize(packing.steps + 1, count);
    Layout {
        starts,
        rows: (0..order.len()).map(|row| (row, 0)).collect(),
        order: (0..count).collect(),
        above: (0..count).collect(),
        lengths: vec![1; order.len()],
        places: order.into_iter().map(|example| (example, 0)).collect(),
    }
}

/// The layout of sequences of `lengths`, one for every row above, of which `above` says example and step.
fn by_falling_length(
    packing: &Packing,
    lengths: &[usize],
    above: &[(usize, usize)],
    within: bool,
) -> Layout {
    let mut sorted: Vec<usize> = (0..lengths.len()).collect();
    sorted.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
    let mut layout = Layout {
        starts: vec![0],
        order: vec![0; lengths.len()],
        above: sorted.iter().map(|row| *row as u32).collect(),
        lengths: sorted.iter().map(|row| lengths[*row]).collect(),
        ..Layout::default()
    };
    for (sequence, row) in sorted.iter().enumerate() {
        layout.order[*row] = sequence as u32;
    }
    let longest = layout.lengths.first().copied().unwrap_or(0);
    for step in 0..longest.max(packing.steps) {
        let active = layout.lengths.partition_point(|length| *length > step);
        for row in &sorted[..active] {
            layout.rows.push((*row, step));
            // What lies within a step is at the step's place.
            layout.places.push(if within {
                above[*row]
            } else {
                (above[*row].0, step)
            });
        }
        layout.starts.push(layout.rows.len() as u32);
    }
    layout
}

/// The example of every row of what has one row an example.
pub(super) fn by_example(plan: &Plan, layouts: &[Layout], examples: usize) -> Vec<usize> {
    match plan.recipes.examples {
        Some(axis) => layouts[axis]
            .places
            .iter()
            .map(|(example, _)| *example)
            .collect(),
        None => (0..examples).collect(),
    }
}
