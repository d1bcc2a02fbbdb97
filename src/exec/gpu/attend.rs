//! The kernels of attention.

use super::operation::{flat, in_fours, shader};
use super::template::{COUNTS, Template, flat_groups};
use super::tile::Tile;
use crate::cell::rows::LOWEST;
use crate::op::attend::{AttendForm, PairScores};
use crate::op::pair_sum::{PairForm, PairTerm};
use crate::op::{Attend, PairSum, Scan};

/// With the rows of a step of a scan alone, or of all rows.
fn stepped(template: Template, scan: Option<&Scan>) -> Template {
    let template = template.flag("STEPPED", scan.is_some());
    match scan.and_then(|scan| scan.packed) {
        Some(packed) => template
            .size("OWN", packed.first)
            .buffer(COUNTS, packed.counts),
        None => template,
    }
}

pub(super) fn kernel(op: &Attend, tile: &Tile, scan: Option<&Scan>) -> Template {
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
        .buffer("starts", memory.packed.counts);
    let reads_weights = match op.form {
        AttendForm::Forward { .. } => true,
        AttendForm::Scores { softmax, .. } => softmax,
    };
    let template = if reads_weights {
        template.matrix("weights", &weights.uncounted())
    } else {
        template
    };
    let template = stepped(template, scan);
    let template = match &op.form {
        AttendForm::Forward {
            query,
            scoring,
            values,
            out,
            ..
        } => {
            let template = template
                .flag("ADDITIVE", matches!(scoring, PairScores::Additive(..)))
                .flag("WINDOW", !scoring.softmax())
                .matrix("query", &query.uncounted());
            let template = match scoring {
                PairScores::Dot(keys) => template.matrix("keys", &keys.uncounted()),
                PairScores::Additive(keys, vector) => template
                    .matrix("keys", &keys.uncounted())
                    .matrix("vector", vector),
                PairScores::Window => template,
            };
            template
                .matrix("values", &values.uncounted())
                .matrix("out", &out.uncounted())
        }
        AttendForm::Scores {
            upstream,
            values,
            softmax,
            scores,
            ..
        } => template
            .flag("ADDITIVE", false)
            .flag("WINDOW", !softmax)
            .matrix("upstream", &upstream.uncounted())
            .matrix("values", &values.uncounted())
            .matrix("scores", &scores.uncounted()),
    };
    let rows = scan.map_or(weights.rows, |scan| scan.batch);
    template.kernel(&op.name, flat_groups(rows * lanes, tile.flat))
}

pub(super) fn pair_sum(op: &PairSum, tile: &Tile, scan: Option<&Scan>) -> Template {
    let mut names = vec![("into", op.into)];
    match op.term {
        PairTerm::Rows(from) => names.push(("from", from)),
        PairTerm::Additive {
            query,
            keys,
            vector,
        } => names.extend([("query", query), ("keys", keys), ("vector", vector)]),
        PairTerm::Window(query) => names.push(("query", query)),
    }
    names.extend(op.totals.map(|totals| ("totals", totals)));
    let over = op.form.over();
    let (v, matrices) = in_fours(tile, names.iter().map(|(_, m)| *m).collect());
    let template = shader!("pair_sum")
        .units(v)
        .flag("ADDITIVE", matches!(op.term, PairTerm::Additive { .. }))
        .flag("WINDOW", matches!(op.term, PairTerm::Window(_)))
        .flag("TOTALS", op.totals.is_some())
        .flag("ACCUMULATE", op.accumulate)
        .buffer("sequences", over.sequences)
        .buffer("starts", over.packed.counts)
        .matrix("pairs", &op.pairs.uncounted());
    let template = match op.term {
        PairTerm::Window(_) => template.size("PARTS", op.into.cols / 3),
        PairTerm::Rows(_) | PairTerm::Additive { .. } => template,
    };
    let template = stepped(template, scan);
    let (mut template, rows) = match op.form {
        PairForm::Rows { of } => (
            template
                .flag("MEMORY", false)
                .size("STEPS", of.steps)
                .size("FIRST", of.packed.first),
            scan.map_or(op.into.rows, |scan| scan.batch),
        ),
        PairForm::Memory {
            by,
            packed,
            steps,
            batch,
        } => (
            template
                .flag("MEMORY", true)
                .size("STEPS", steps)
                .size("BATCH", batch)
                .size("FIRST", packed.first)
                .size("ROWS_STEPS", by.steps)
                .size("ROWS_FIRST", by.packed.first),
            steps * batch,
        ),
    };
    for ((name, _), matrix) in names.iter().zip(&matrices) {
        // Along a memory its steps say which rows there are.
        let counted = *name == "into" && matches!(op.form, PairForm::Rows { .. });
        let matrix = if counted { *matrix } else { matrix.uncounted() };
        template = template.matrix(name, &matrix);
    }
    flat(template, tile, &op.name, rows * matrices[0].cols)
}
