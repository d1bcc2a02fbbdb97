//! A linear layer: scores = x W^T + bias, with a weight of its own or one that an embedding shares.

use super::{Builder, Param, Value};
use crate::error::{Error, Result};
use crate::op::{ColumnSum, Fill, MatMul, Matrix, Op};

/// A linear layer to `out` values.
#[derive(Clone, Debug)]
pub struct Linear {
    name: String,
    out: usize,
    shared: Option<Param>,
    parts: usize,
}

/// Weight [out, wide] and bias of a linear layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    /// The weight, which may be shared.
    pub weight: Param,
    /// The bias [1, out].
    pub bias: Param,
}

/// Declares both, the weight unless there is a `shared` one.
pub(super) fn declare(
    builder: &mut Builder,
    name: &str,
    out: usize,
    wide: usize,
    shared: Option<Param>,
) -> Result<Weights> {
    let weight = match shared {
        Some(weight) if (weight.value.rows, weight.value.cols) != (out, wide) => {
            return Err(Error::usage(format!(
                "tied weights: the embedding is [{}, {}], the output layer needs [{out}, {wide}]",
                weight.value.rows, weight.value.cols
            )));
        }
        Some(weight) => weight,
        None => builder.parameter(
            format!("{name}.weight"),
            [out, wide],
            &[out, wide],
            false,
            vec![Fill::Weight],
        ),
    };
    let bias = builder.parameter(
        format!("{name}.bias"),
        [1, out],
        &[out],
        false,
        vec![Fill::Bias],
    );
    Ok(Weights { weight, bias })
}

impl Linear {
    /// A layer to `out` values whose weight [out, D] is its own, or `shared`.
    pub fn new(name: impl Into<String>, out: usize, shared: Option<Param>) -> Linear {
        Linear {
            name: name.into(),
            out,
            shared,
            parts: 1,
        }
    }

    /// The same layer over each of so many equal parts of the columns: weight [out, D / parts], one bias, and `parts * out`
    /// values.
    pub fn parts(self, parts: usize) -> Linear {
        Linear { parts, ..self }
    }

    /// Writes the layer.
    ///
    /// # Errors
    /// One-hot input; a shared weight of another shape.
    pub fn write(self, builder: &mut Builder, input: Value) -> Result<Value> {
        self.write_shared(builder, input).map(|(value, _)| value)
    }

    /// Writes the layer; also returns its weight, for others to share.
    ///
    /// # Errors
    /// As [`Linear::write`].
    pub fn write_shared(self, builder: &mut Builder, input: Value) -> Result<(Value, Param)> {
        let Linear {
            name,
            out,
            shared,
            parts,
        } = self;
        let Some(input) = builder.as_rows(&name, input) else {
            return Err(Error::internal("a linear layer of one-hot ids"));
        };
        let (rows, axis) = (builder.rows(input)?, builder.axis(input));
        if !rows.cols.is_multiple_of(parts) {
            let cols = rows.cols;
            return Err(Error::internal(format!(
                "{name}: {parts} parts of {cols} columns"
            )));
        }
        let wide = rows.cols / parts;
        let Weights { weight, bias } = declare(builder, &name, out, wide, shared)?;
        let made = format!("out.{name}");
        let c = builder.activation(axis, made.as_str(), parts * out);
        let part = move |m: Matrix, n: usize| m.columns(n * (m.cols / parts), m.cols / parts);
        for n in 0..parts {
            builder.push(Op::MatMul(MatMul {
                name: of_part(format!("{name}.forward"), n),
                a: part(rows, n),
                b: weight.value,
                c: part(c, n),
                transpose_a: false,
                transpose_b: true,
                bias: Some(bias.value),
                accumulate: false,
            }));
        }
        let value = builder.made_rows(made, c, axis, move |builder, upstream| {
            for n in 0..parts {
                let op = MatMul {
                    name: of_part(format!("{name}.weight.backward"), n),
                    a: part(upstream, n),
                    b: part(rows, n),
                    c: weight.grad,
                    transpose_a: true,
                    transpose_b: false,
                    bias: None,
                    accumulate: builder.accumulate(weight.grad),
                };
                builder.push(Op::MatMul(op));
                let op = ColumnSum {
                    name: of_part(format!("{name}.bias.backward"), n),
                    from: part(upstream, n),
                    into: bias.grad,
                    accumulate: builder.accumulate(bias.grad),
                    reset_only: None,
                };
                builder.push(Op::ColumnSum(op));
            }
            let grad = builder.activation(axis, format!("d.{name}.input"), rows.cols);
            for n in 0..parts {
                builder.push(Op::MatMul(MatMul {
                    name: of_part(format!("{name}.input.backward"), n),
                    a: part(upstream, n),
                    b: weight.value,
                    c: part(grad, n),
                    transpose_a: false,
                    transpose_b: false,
                    bias: None,
                    accumulate: false,
                }));
            }
            builder.give(input, grad);
        });
        Ok((value, weight))
    }
}

/// What an operation on a part is called.
fn of_part(name: String, part: usize) -> String {
    match part {
        0 => name,
        n => format!("{name}.{n}"),
    }
}
