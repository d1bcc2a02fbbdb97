//! How the input projection is made ahead of the time loop, and how its gradient goes back.

use super::{BlockRun, Built, ProjectedTable, Recurrent, Way};
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
                // Without a backward pass nothing is ever written there.
                let name = format!("d.table.{label}");
                let grad = if builder.training {
                    builder.scratch(name, vocab, cols)
                } else {
                    table
                };
                let way = Way::Table(ProjectedTable {
                    ids,
                    embedding,
                    grad,
                });
                (way, InputProjection::Table { table, ids })
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
                (Way::Rows(input, rows), InputProjection::Rows(c))
            }
        })
    }

    /// The gradient of the weight of the input, and with respect to the input.
    pub(super) fn input_backward(&self, builder: &mut Builder, built: &Built, delta: Matrix) {
        let (h, label, axis) = (self.hidden, &self.label, builder.axis(built.input));
        let source = self.cell.input_source();
        let runs = source.map_or(Vec::new(), |source| self.source_runs(source));
        let weight = source.map(|source| built.weights[source]);
        // A block's deltas, and its columns of the weight.
        let deltas = |run: &BlockRun| delta.columns(run.delta * h, run.len * h);
        let columns = |m: Matrix, run: &BlockRun| m.columns(run.block * h, run.len * h);
        match (built.way, weight) {
            (Way::Weight { ids }, Some(weight)) => {
                for run in &runs {
                    let name = format!("weight_ih.{label}.backward");
                    let into = columns(weight.grad, run);
                    builder.scatter((axis, ids), name, deltas(run), into);
                }
            }
            (Way::Table(table), Some(weight)) => {
                for run in &runs {
                    let name = format!("table.{label}.backward");
                    let into = columns(table.grad, run);
                    builder.scatter((axis, table.ids), name, deltas(run), into);
                }
                let Param { value, grad } = table.embedding;
                self.product_backward(builder, value, table.grad, weight, grad);
            }
            (Way::Rows(value, rows), weight) => {
                let input = builder.activation(axis, format!("d.input.{label}"), rows.cols);
                let mut accumulate = false;
                for (run, weight) in runs.iter().zip(weight.into_iter().cycle()) {
                    let into = columns(weight.grad, run);
                    self.weight_backward(builder, "weight_ih", rows, deltas(run), into);
                    builder.push(Op::MatMul(MatMul {
                        name: format!("input.{label}.backward"),
                        a: deltas(run),
                        b: columns(weight.value, run),
                        c: input,
                        transpose_a: false,
                        transpose_b: true,
                        bias: None,
                        accumulate,
                    }));
                    accumulate = true;
                }
                if let Some(elementwise) = self.compiled.input_delta {
                    let from = delta.columns(elementwise * h, h);
                    let name = format!("input.{label}.elementwise.backward");
                    builder.add(name, from, input, accumulate);
                }
                builder.give(value, input);
            }
            // A cell that reads nothing sends nothing; a table is made by a product.
            (Way::Nothing, _) | (Way::Weight { .. } | Way::Table(_), None) => {}
        }
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
