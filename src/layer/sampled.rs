//! Sampled softmax (Jean et al. 2015): while training, a row's target competes with symbols that the host draws for the
//! whole minibatch, not with all. Scores are lowered by the log of how often a symbol is expected among the drawn ones,
//! so that the gradient tends to that of the full softmax as more are drawn; a target that was drawn as well does not
//! compete with itself. Evaluation and samples of text use the full softmax over the same weights.

use super::linear::{Weights, declare};
use super::softmax_xent::CrossEntropy;
use super::{Axis, Builder, Param, Value};
use crate::error::{Error, Result};
use crate::op::{
    self, Bound, Candidates, ColumnSum, Fill, Gather, MatMul, Matrix, Op, Role, RowSource,
    SampledScores,
};

/// The layer, for training.
#[derive(Debug)]
pub struct Sampled {
    /// The layer's name.
    pub name: String,
    /// V.
    pub vocab: usize,
    /// How many symbols are drawn.
    pub samples: usize,
    /// A weight [V, D] that an embedding shares.
    pub shared: Option<Param>,
    /// Whether the gradient of a weight of its own is rows.
    pub sparse: bool,
    /// Where targets come from.
    pub loss: CrossEntropy,
}

impl Sampled {
    /// The weight [V, D] of the layer, unless an embedding shares its own: dense or, with `sparse`, with rows as its
    /// gradient. Plans of every mode call it, so that the parameters lie in the same places.
    pub fn weight(
        builder: &mut Builder,
        name: &str,
        axis: Axis,
        shape: [usize; 2],
        sparse: bool,
        samples: usize,
    ) -> Param {
        let name = format!("{name}.weight");
        if sparse {
            let source = (RowSource::Candidates, samples + axis.rows());
            builder.sparse_parameter(&name, shape, &[source], None)
        } else {
            builder.parameter(name, shape, &shape, false, vec![Fill::Weight])
        }
    }

    /// Writes the losses and the backward pass; returns the losses.
    ///
    /// # Errors
    /// One-hot input; a shared weight of another shape.
    pub fn write(&self, builder: &mut Builder, input: Value) -> Result<Matrix> {
        let Some(input) = builder.as_rows(&self.name, input) else {
            return Err(Error::internal("a linear layer of one-hot ids"));
        };
        let (x, axis, name) = (builder.rows(input)?, builder.axis(input), &self.name);
        let shape = [self.vocab, x.cols];
        let weight = match self.shared {
            Some(shared) => shared,
            None => Sampled::weight(builder, name, axis, shape, self.sparse, self.samples),
        };
        let Weights { weight, bias } = declare(builder, name, self.vocab, x.cols, Some(weight))?;
        let positions = self.loss.positions(builder, axis);
        let losses = positions.losses;
        let (rows, columns) = (x.rows, self.samples + x.rows);
        let plan = &mut builder.plan;
        let ids = plan.add_words("candidates", &[1, columns], Bound::Below(self.vocab));
        let corrections = plan.add("candidates.corrections", &[1, columns], Role::Numbers);
        let targets = plan.add_words("candidates.targets", &[1, rows], Bound::Below(columns));
        let index = builder.add_index("candidates.index".into(), 1, columns, self.vocab);
        builder.plan.recipes.candidates = Some(Candidates {
            of: positions.rows(),
            vocab: self.vocab,
            samples: self.samples,
            rows,
            ids,
            corrections,
            targets,
            index: Some(index),
        });
        let own = builder.scratch("candidates.weight", columns, x.cols);
        let own_bias = builder.scratch("candidates.bias", 1, columns);
        for (what, table, out) in [
            ("weight", weight.value, own),
            ("bias", column(bias.value), column(own_bias)),
        ] {
            builder.push(Op::Gather(Gather {
                name: format!("candidates.{what}"),
                ids,
                table,
                out,
                at: 0,
            }));
        }
        let scores = Matrix {
            row_count: x.row_count,
            ..builder.scratch(format!("out.{name}"), rows, columns)
        };
        let product = |what: &str, a: Matrix, b: Matrix, c: Matrix| MatMul {
            name: format!("{name}.{what}"),
            a,
            b,
            c,
            transpose_a: false,
            transpose_b: false,
            bias: None,
            accumulate: false,
        };
        builder.push(Op::MatMul(MatMul {
            transpose_b: true,
            bias: Some(own_bias),
            ..product("forward", x, own, scores)
        }));
        builder.push(Op::SampledScores(SampledScores {
            name: "candidates.scores".into(),
            scores,
            samples: self.samples,
            corrections,
            columns: targets,
        }));
        builder.push(Op::SoftmaxXent(op::SoftmaxXent {
            name: "loss".into(),
            logits: scores,
            ids: targets,
            first: 0,
            weights: positions.weights.map(|weights| weights.slot),
            hyper: builder.hyper,
            losses,
            smoothing: 0.0,
            gradient: true,
            at: 0,
        }));
        let d_own = builder.scratch("d.candidates.weight", columns, x.cols);
        let d_bias = builder.scratch("d.candidates.bias", 1, columns);
        let grad = Matrix {
            row_count: x.row_count,
            ..builder.scratch(format!("d.{name}.input"), rows, x.cols)
        };
        builder.push(Op::MatMul(MatMul {
            transpose_a: true,
            ..product("weight.backward", scores, x, d_own)
        }));
        builder.push(Op::ColumnSum(ColumnSum {
            name: format!("{name}.bias.backward"),
            from: scores,
            into: d_bias,
            accumulate: false,
            reset_only: None,
        }));
        for (what, from, into) in [
            ("weight", d_own, weight.grad),
            ("bias", column(d_bias), column(bias.grad)),
        ] {
            let name = format!("candidates.{what}.backward");
            builder.scatter_candidates(name, from, into, index);
        }
        builder.push(Op::MatMul(product("input.backward", scores, own, grad)));
        builder.give(input, grad);
        Ok(losses)
    }
}

/// A row as a column.
fn column(row: Matrix) -> Matrix {
    Matrix {
        rows: row.cols,
        cols: 1,
        stride: 1,
        ..row
    }
}
