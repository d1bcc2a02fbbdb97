//! How the input projection is made ahead of the time loop, and how its gradient goes back.

use super::{Built, Recurrent, Run, Way};
use crate::error::Result;
use crate::layer::{Builder, Param, Signal, Value};
use crate::op::scan::InputProjection;
use crate::op::{MatMul, Matrix, Op};

impl Recurrent {
    /// Hoists the product of the input over all steps; its rows may take the first columns of `place`.
    pub(super) fn project_input(
        &self,
        builder: &mut Builder,
        input: Value,
        weight: Param,
        place: Option<Matrix>,
    ) -> Result<(Way, InputProjection)> {
        let label = &self.label;
        let product = |a: Matrix, c: Matrix| {
            Op::MatMul(MatMul {
                name: format!("input-projection.{label}"),
                a,
                b: weight.value,
                c,
                transpose_a: false,
                transpose_b: false,
                bias: None,
                accumulate: false,
            })
        };
        let cols = weight.value.cols;
        let axis = builder.axis(input);
        Ok(match builder.signal(input) {
            Signal::OneHot { ids, .. } => {
                let table = weight.value;
                let way = Way::Weight { ids };
                (way, InputProjection::Table { table, ids })
            }
            // Fewer symbols than positions: the product over the table is the smaller one.
            Signal::Embedded {
                ids,
                table: embedding,
            } if embedding.value.rows < axis.rows() && !builder.is_sparse(embedding) => {
                let vocab = embedding.value.rows;
                let table = builder.scratch(format!("table.{label}"), vocab, cols);
                builder.push(product(embedding.value, table));
                let grad = builder
                    .training
                    .then(|| builder.scratch(format!("d.table.{label}"), vocab, cols));
                (
                    Way::Table {
                        ids,
                        embedding,
                        grad,
                    },
                    InputProjection::Table { table, ids },
                )
            }
            Signal::Embedded { .. } | Signal::Rows(_) => {
                // One-hot ids were handled above, so there are rows.
                let input = builder.as_rows(label, input).unwrap_or(input);
                let rows = builder.rows(input)?;
                let c = match place {
                    Some(place) => place.columns(0, cols),
                    None => builder.activation(axis, format!("input_projection.{label}"), cols),
                };
                builder.push(product(rows, c));
                (Way::Rows(input), InputProjection::Rows(c))
            }
        })
    }

    /// The gradient of the weight of the input, and with respect to the input; nothing where a cell has none.
    pub(super) fn input_backward(
        &self,
        builder: &mut Builder,
        built: &Built,
        delta: Matrix,
    ) -> Option<()> {
        let (h, label) = (self.hidden, &self.label);
        let product = match (self.cell.input_source(), built.way) {
            (Some(source), Some(way)) => {
                Some((self.source_runs(source), built.weights[source], way))
            }
            _ => None,
        };
        let blocks = |run: &Run| delta.columns(run.delta * h, run.len * h);
        let axis = builder.axis(built.input);
        let below = match &product {
            Some((runs, weight, Way::Weight { ids })) => {
                for run in runs {
                    let into = weight.grad.columns(run.block * h, run.len * h);
                    builder.scatter(
                        (axis, *ids),
                        format!("weight_ih.{label}.backward"),
                        blocks(run),
                        into,
                    );
                }
                return None;
            }
            Some((
                runs,
                weight,
                Way::Table {
                    ids,
                    embedding,
                    grad,
                },
            )) => {
                let grad = (*grad)?;
                for run in runs {
                    let into = grad.columns(run.block * h, run.len * h);
                    builder.scatter(
                        (axis, *ids),
                        format!("table.{label}.backward"),
                        blocks(run),
                        into,
                    );
                }
                self.product_backward(builder, embedding.value, grad, *weight, embedding.grad);
                return None;
            }
            Some((_, _, Way::Rows(below))) => *below,
            None => built.raw?,
        };
        let rows = builder.rows(below).ok()?;
        let input = builder.activation(axis, format!("d.input.{label}"), rows.cols);
        let mut accumulate = false;
        if let Some((runs, weight, _)) = &product {
            for run in runs {
                let part = weight.columns(run.block * h, run.len * h);
                self.weight_backward(builder, "weight_ih", rows, blocks(run), part.grad);
                builder.push(Op::MatMul(MatMul {
                    name: format!("input.{label}.backward"),
                    a: blocks(run),
                    b: part.value,
                    c: input,
                    transpose_a: false,
                    transpose_b: true,
                    bias: None,
                    accumulate,
                }));
                accumulate = true;
            }
        }
        if let Some(elementwise) = self.compiled.input_delta {
            let from = delta.columns(elementwise * h, h);
            let name = format!("input.{label}.elementwise.backward");
            builder.add(name, from, input, accumulate);
        }
        builder.give(below, input);
        Some(())
    }

    /// dW = A^T D and dA = D W^T for the product of a whole table.
    fn product_backward(
        &self,
        builder: &mut Builder,
        a: Matrix,
        d: Matrix,
        weight: Param,
        into: Matrix,
    ) {
        self.weight_backward(builder, "weight_ih", a, d, weight.grad);
        let op = MatMul {
            name: format!("embedding.{}.backward", self.label),
            a: d,
            b: weight.value,
            c: into,
            transpose_a: false,
            transpose_b: true,
            bias: None,
            accumulate: builder.accumulate(into),
        };
        builder.push(Op::MatMul(op));
    }

    pub(super) fn weight_backward(
        &self,
        builder: &mut Builder,
        what: &str,
        a: Matrix,
        d: Matrix,
        c: Matrix,
    ) {
        let op = MatMul {
            name: format!("{what}.{}.backward", self.label),
            a,
            b: d,
            c,
            transpose_a: true,
            transpose_b: false,
            bias: None,
            accumulate: builder.accumulate(c),
        };
        builder.push(Op::MatMul(op));
    }
}
