//! Attention: every row of a value weighs the rows of a memory, those of its own example's sequence, and takes their sum.

use super::above::{packed, uncounted};
use super::{Axis, Builder, Linear, Param, Value};
use crate::error::{Error, Result};
use crate::op::attend::{AttendForm, Memory};
use crate::op::pair_sum::{Additive, PairForm};
use crate::op::{Attend, ColumnSum, Fill, Matrix, Op, PairSum, Recipe};

/// How a query and a row of the memory are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Their inner product: Luong, Pham, Manning 2015, equation 8, `dot`.
    Dot,
    /// `v . tanh(W q + U m)`, of so many columns: Bahdanau, Cho, Bengio 2015, appendix A.1.2; both products have a bias.
    Additive(usize),
}

/// The pairs of rows and the rows of their memory.
struct Pairs {
    memory: Memory,
    form: PairForm,
}

/// The weighted sums [R, W] of the rows of `memory` [M, W], one for every row of `query` [R, D]: weights are the softmax of
/// `scores` over the steps of the sequence of the memory whose example the row is of.
///
/// # Errors
/// Internal: values that are no rows along packed axes with a row an example above them, or of widths that do not fit.
pub fn attend(
    builder: &mut Builder,
    name: &str,
    memory: Value,
    query: Value,
    scores: Scores,
) -> Result<Value> {
    let (keys, query, vector) = match scores {
        Scores::Dot => (memory, query, None),
        Scores::Additive(width) => {
            let query = Linear::new(format!("{name}.query"), width, None).write(builder, query)?;
            let keys = Linear::new(format!("{name}.keys"), width, None).write(builder, memory)?;
            let vector = builder.parameter(
                format!("{name}.v.weight"),
                [1, width],
                &[1, width],
                false,
                vec![Fill::Weight],
            );
            (keys, query, Some(vector))
        }
    };
    let axis = builder.axis(query);
    let pairs = builder.pairs(name, axis, builder.axis(memory))?;
    let [q, k, m] = [
        builder.rows(query)?,
        builder.rows(keys)?,
        builder.rows(memory)?,
    ];
    if q.cols != k.cols {
        let (expected, found) = (k.cols, q.cols);
        return Err(Error::internal(format!(
            "{name}: expected queries as wide as keys ({expected}), found {found}"
        )));
    }
    let weights = builder.activation(axis, format!("attention.{name}"), pairs.memory.steps);
    let out = builder.activation(axis, format!("attended.{name}"), m.cols);
    builder.push(Op::Attend(Attend {
        name: format!("{name}.forward"),
        form: AttendForm::Forward {
            query: q,
            keys: uncounted(k),
            values: uncounted(m),
            vector: vector.map(|v| v.value),
            weights,
            out,
        },
        memory: pairs.memory,
    }));
    let label = name.to_string();
    Ok(builder.made_rows(
        format!("out.{name}"),
        out,
        axis,
        move |builder, upstream| {
            let scores = builder.activation(axis, format!("d.scores.{label}"), weights.cols);
            builder.push(Op::Attend(Attend {
                name: format!("{label}.scores.backward"),
                form: AttendForm::Scores {
                    upstream,
                    values: uncounted(m),
                    weights,
                    scores,
                },
                memory: pairs.memory,
            }));
            let back = |part: &str, form: PairForm, of: Matrix| PairSum {
                name: format!("{label}.{part}.backward"),
                form,
                pairs: of,
                from: None,
                additive: None,
                into: of,
                accumulate: false,
            };
            let additive = vector.map(|v| Additive {
                query: uncounted(q),
                keys: uncounted(k),
                vector: v.value,
                totals: None,
            });
            let of = PairForm::Rows { of: pairs.memory };
            let d_query = builder.activation(axis, format!("d.{label}.query"), q.cols);
            builder.push(Op::PairSum(PairSum {
                from: additive.is_none().then_some(uncounted(k)),
                additive,
                into: d_query,
                ..back("query", of, scores)
            }));
            builder.give(query, d_query);
            let below = builder.axis(memory);
            let d_values = builder.activation(below, format!("d.{label}.values"), m.cols);
            builder.push(Op::PairSum(PairSum {
                from: Some(uncounted(upstream)),
                into: d_values,
                ..back("values", pairs.form, uncounted(weights))
            }));
            let d_keys = match additive {
                // Keys and values are the same rows.
                None => PairSum {
                    from: Some(uncounted(q)),
                    into: d_values,
                    accumulate: true,
                    ..back("keys", pairs.form, uncounted(scores))
                },
                Some(additive) => PairSum {
                    additive: Some(Additive {
                        totals: Some(builder.activation(
                            below,
                            format!("d.{label}.totals"),
                            k.cols,
                        )),
                        ..additive
                    }),
                    into: builder.activation(below, format!("d.{label}.keys"), k.cols),
                    ..back("keys", pairs.form, uncounted(scores))
                },
            };
            builder.push(Op::PairSum(d_keys.clone()));
            if let (Some(vector), Some(totals)) = (vector, d_keys.totals()) {
                vector_gradient(builder, &label, vector, totals);
                builder.give(keys, d_keys.into);
            }
            builder.give(memory, d_values);
        },
    ))
}

/// The gradient of the vector of additive scores.
fn vector_gradient(builder: &mut Builder, label: &str, vector: Param, totals: Matrix) {
    let op = ColumnSum {
        name: format!("{label}.v.backward"),
        from: totals,
        into: vector.grad,
        accumulate: builder.accumulate(vector.grad),
        reset_only: None,
    };
    builder.push(Op::ColumnSum(op));
}

impl Builder {
    /// The pairs of rows along `axis` and rows of a memory along `below`.
    fn pairs(&mut self, name: &str, axis: Axis, below: Axis) -> Result<Pairs> {
        let (own, memory) = (packed(name, axis)?, packed(name, below)?);
        let (Some(rows), Some(spans)) = (axis.packed(true), below.packed(true)) else {
            return Err(Error::internal(format!("{name}: no packed axis")));
        };
        let recipe = Recipe::Attended { axis: own, memory };
        let slot = format!("attended.{own}.{memory}");
        let attended = self.words_of(recipe, slot, &[1, axis.rows()], below.batch);
        let recipe = Recipe::Attending { axis: own, memory };
        let slot = format!("attending.{own}.{memory}");
        let attending = self.words_of(recipe, slot, &[1, below.batch], axis.batch);
        Ok(Pairs {
            memory: Memory {
                sequences: attended,
                packed: spans,
                steps: below.steps,
            },
            form: PairForm::Memory {
                sequences: attending,
                rows: (rows, axis.steps),
                memory: (spans, below.steps, below.batch),
            },
        })
    }
}
