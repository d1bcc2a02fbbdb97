//! Values through which no gradient goes back: what stands still, and what a draw is rewarded by.

use super::{Builder, Signal, Value, rows};
use crate::cell::rows::RowProgram;
use crate::error::Result;
use crate::op::{Add, Op, Recipe, Retina, SoftmaxStats};

/// A value of rows that an operation made, without a way back.
fn still(builder: &mut Builder, name: &str, made: Value) -> Result<Value> {
    let (rows, axis) = (builder.rows(made)?, builder.axis(made));
    builder.plan.io.stopped.push(rows.slot);
    Ok(builder.value(name, Signal::Rows(rows), axis))
}

/// The same numbers without a way back.
///
/// # Errors
/// Internal, for ids that no layer has read.
pub fn stop(builder: &mut Builder, name: &str, value: Value) -> Result<Value> {
    let (from, axis) = (builder.rows(value)?, builder.axis(value));
    let to = builder.activation(axis, name, from.cols);
    builder.push(Op::Add(Add {
        name: name.to_string(),
        from,
        to,
        accumulate: false,
        flip: None,
    }));
    let made = builder.value(name, Signal::Rows(to), axis);
    still(builder, name, made)
}

/// What an eye sees of images, rows of `width` pixels, at places: `scales` squares of `size` * `size` numbers.
///
/// # Errors
/// Internal, for values along different axes, or images of no such rows.
pub fn retina(
    builder: &mut Builder,
    name: &str,
    [image, at]: [Value; 2],
    width: usize,
    [size, scales]: [usize; 2],
) -> Result<Value> {
    let axis = builder.axis(image);
    let out = builder.activation(axis, name, Retina::cols(size, scales));
    let retina = Retina {
        name: name.to_string(),
        image: builder.rows(image)?,
        at: builder.rows(at)?,
        out,
        width,
        size,
        scales,
    };
    builder.push(Op::Retina(retina));
    let made = builder.value(name, Signal::Rows(out), axis);
    still(builder, name, made)
}

/// The probability that scores give to what a field says, one number a row: its class, or its next token, one of so many
/// `symbols`.
///
/// # Errors
/// Internal, for ids that no layer has read.
pub fn right(
    builder: &mut Builder,
    name: &str,
    scores: Value,
    (field, symbols): (usize, usize),
) -> Result<Value> {
    let (logits, axis) = (builder.rows(scores)?, builder.axis(scores));
    let targets = format!("right.{field}");
    let ids = builder.add_rows(axis, targets, Recipe::Classes { field }, symbols);
    let made = format!("{name}.stats");
    let stats = builder.activation(axis, made.as_str(), SoftmaxStats::STATS);
    builder.push(Op::SoftmaxStats(SoftmaxStats {
        name: made.clone(),
        logits,
        from: 0,
        ids,
        first: 0,
        weights: None,
        stats,
        losses: None,
    }));
    let column = |builder: &mut Builder, n: usize| {
        builder.value(
            format!("{made}.{n}"),
            Signal::Rows(stats.columns(n, 1)),
            axis,
        )
    };
    let all = [0, 1, 2].map(|n| column(builder, n));
    let made = rows(builder, name, &RowProgram::parse(name, RIGHT)?, &all)?;
    still(builder, name, made)
}

/// A probability from the largest score, the sum of exponentials beside it, and the score of what is right.
const RIGHT: &str = "row m, sum_of, score\nmade = exp(score - m) / sum_of\n";
