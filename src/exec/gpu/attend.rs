//! The kernels of attention.

use super::operation::{flat, in_fours, shader};
use super::template::{Template, flat_groups};
use super::tile::Tile;
use crate::cell::rows::LOWEST;
use crate::op::attend::AttendForm;
use crate::op::pair_sum::PairForm;
use crate::op::{Attend, Matrix, PairSum};

pub(super) fn kernel(op: &Attend, tile: &Tile) -> Template {
    let memory = op.memory;
    let weights = op.weights();
    let lanes = tile.lanes;
    let template = shader!("attend")
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("STEPS", memory.steps)
        .size("FIRST", memory.packed.first)
        .number("LOWEST", LOWEST)
        .flag("SHARED", lanes > 1)
        .flag("SCORES", matches!(op.form, AttendForm::Scores { .. }))
        .counted("ROWS", weights.rows, weights.row_count)
        .buffer("sequences", memory.sequences)
        .buffer("starts", memory.packed.counts)
        .matrix("weights", &uncounted(weights));
    let template = match &op.form {
        AttendForm::Forward {
            query,
            keys,
            values,
            vector,
            out,
            ..
        } => {
            let template = template
                .flag("ADDITIVE", vector.is_some())
                .flag("FUNCTIONS", vector.is_some())
                .matrix("query", &uncounted(*query))
                .matrix("keys", &uncounted(*keys))
                .matrix("values", &uncounted(*values))
                .matrix("out", &uncounted(*out));
            match vector {
                Some(vector) => template.matrix("vector", vector),
                None => template,
            }
        }
        AttendForm::Scores {
            upstream,
            values,
            scores,
            ..
        } => template
            .flag("ADDITIVE", false)
            .flag("FUNCTIONS", false)
            .matrix("upstream", &uncounted(*upstream))
            .matrix("values", &uncounted(*values))
            .matrix("scores", &uncounted(*scores)),
    };
    template.kernel(&op.name, flat_groups(weights.rows * lanes, tile.flat))
}

pub(super) fn pair_sum(op: &PairSum, tile: &Tile) -> Template {
    let memory = matches!(op.form, PairForm::Memory { .. });
    let mut names = vec![("into", op.into)];
    names.extend(op.from.map(|from| ("from", from)));
    if let Some(additive) = &op.additive {
        names.push(("query", additive.query));
        names.push(("keys", additive.keys));
        names.push(("vector", additive.vector));
        names.extend(additive.totals.map(|totals| ("totals", totals)));
    }
    let (v, matrices) = in_fours(tile, names.iter().map(|(_, m)| *m).collect());
    let mut template = shader!("pair_sum")
        .units(v)
        .flag("MEMORY", memory)
        .flag("ADDITIVE", op.additive.is_some())
        .flag("TOTALS", op.totals().is_some())
        .flag("ACCUMULATE", op.accumulate)
        .matrix("pairs", &uncounted(op.pairs));
    for ((name, _), matrix) in names.iter().zip(&matrices) {
        // Along a memory its steps say which rows there are.
        let matrix = if *name == "into" && !memory {
            *matrix
        } else {
            uncounted(*matrix)
        };
        template = template.matrix(name, &matrix);
    }
    let rows;
    (template, rows) = match op.form {
        PairForm::Rows { of } => (
            template
                .size("STEPS", of.steps)
                .size("FIRST", of.packed.first)
                .buffer("sequences", of.sequences)
                .buffer("starts", of.packed.counts),
            op.into.rows,
        ),
        PairForm::Memory {
            sequences,
            rows: (rows, row_steps),
            memory: (memory, steps, batch),
        } => (
            template
                .size("STEPS", steps)
                .size("BATCH", batch)
                .size("FIRST", memory.first)
                .size("ROWS_STEPS", row_steps)
                .size("ROWS_FIRST", rows.first)
                .buffer("sequences", sequences)
                .buffer("starts", memory.counts),
            steps * batch,
        ),
    };
    flat(template, tile, &op.name, rows * matrices[0].cols)
}

fn uncounted(m: Matrix) -> Matrix {
    Matrix {
        row_count: None,
        ..m
    }
}
