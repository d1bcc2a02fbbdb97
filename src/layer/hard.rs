//! Hard attention: every row of a value looks at one row of the memory, drawn by the weights of attention.

use super::attend::AttentionRows;
use super::{Builder, Signal, Value, draws};
use crate::error::Result;
use crate::op::categorical::CategoricalForm;
use crate::op::pair_sum::{PairForm, PairTerm};
use crate::op::{Categorical, Op, PairSum, Zero};

/// A row `[W]` of the memory for every row that looks at it, drawn in training by the weights of attention and the one of the largest
/// weight out of it; and, one number a row each, the logarithm of that weight and the entropy of all of them, through which alone the
/// scores learn of the draw. Source: Xu et al. 2015, "Show, attend and tell", section 4.1.
///
/// # Errors
/// Internal, for draws that are no rows.
pub fn hard(builder: &mut Builder, name: &str, looked: AttentionRows) -> Result<[Value; 3]> {
    let axis = looked.axis;
    let forced = if builder.training {
        let draws = draws(builder, &format!("{name}.draws"), axis, 2);
        Some(builder.rows(draws)?)
    } else {
        None
    };
    let draw = Categorical {
        name: format!("{name}.draw"),
        form: CategoricalForm::Draw { draws: forced },
        memory: looked.memory,
        weights: looked.weights,
        drawn: builder.activation(axis, format!("drawn.{name}"), looked.weights.cols),
        facts: builder.activation(axis, format!("facts.{name}"), Categorical::FACTS),
    };
    builder.push(Op::Categorical(draw.clone()));
    let out = builder.activation(axis, format!("seen.{name}"), looked.values.cols);
    builder.push(Op::PairSum(PairSum {
        name: format!("{name}.seen"),
        form: PairForm::Rows { of: looked.memory },
        pairs: draw.drawn,
        term: PairTerm::Rows(looked.values),
        totals: None,
        into: out,
        accumulate: false,
    }));
    let fact = |n: usize| draw.facts.columns(n, 1);
    let parts = [("out", out), ("log_prob", fact(0)), ("entropy", fact(1))];
    let made =
        parts.map(|(part, rows)| builder.value(format!("{part}.{name}"), Signal::Rows(rows), axis));
    let label = name.to_string();
    builder.made(&made, move |builder, gradients| {
        let mut all = [out; 3];
        for (n, (part, rows)) in parts.into_iter().enumerate() {
            all[n] = gradients[n].unwrap_or_else(|| {
                let to = builder.activation(axis, format!("d.{part}.{label}"), rows.cols);
                let name = format!("{label}.{part}.zero");
                builder.push(Op::Zero(Zero { name, to }));
                to
            });
        }
        let [upstream, log_prob, entropy] = all;
        let scores = looked.d_scores(builder, &label);
        let drawn = draw.drawn;
        let of_scores = Op::Categorical(Categorical {
            name: format!("{label}.scores.backward"),
            form: CategoricalForm::Scores {
                log_prob,
                entropy,
                scores,
            },
            ..draw
        });
        looked.backward(builder, &label, scores, upstream, Some((of_scores, drawn)));
    });
    Ok(made)
}
