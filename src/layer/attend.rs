//! Attention: every row of a value weighs the rows of a memory, those of its own example's sequence, and takes their sum.

use super::above::packed;
use super::{Axis, Builder, Linear, Param, Value};
use crate::error::{Error, Result};
use crate::op::attend::{AttendForm, Memory, PairScores};
use crate::op::pair_sum::{AttendedRows, PairForm, PairTerm, query_gradient};
use crate::op::scan::Packed;
use crate::op::{Attend, ColumnSum, Fill, Matrix, Op, PairSum, Recipe, SlotId};

/// How a query and a row of the memory are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Their inner product: Luong, Pham, Manning 2015, equation 8, `dot`.
    Dot,
    /// `v . tanh(W q + U m)`, of so many columns: Bahdanau, Cho, Bengio 2015, appendix A.1.2; both products have a bias.
    Additive(usize),
}

/// The weighted sums [R, W] of the rows of `memory` [M, W], one for every row of `query` [R, D]: weights are the softmax of
/// `scores` over the steps of the sequence of the memory whose example the row is of. With what [`hard`](super::hard()) draws by.
///
/// # Errors
/// Internal: values that are no rows along packed axes with a row an example above them, or of widths that do not fit.
pub fn attend(
    builder: &mut Builder,
    name: &str,
    memory: Value,
    query: Value,
    scores: Scores,
) -> Result<(Value, AttentionRows)> {
    let looked = AttentionRows::write(builder, name, memory, query, scores)?;
    let label = name.to_string();
    let made = format!("out.{name}");
    let out = builder.made_rows(made, looked.out, looked.axis, move |builder, upstream| {
        let scores = looked.d_scores(builder, &label);
        looked.backward(builder, &label, scores, upstream, None);
    });
    Ok((out, looked))
}

/// Rows that look at a memory, and their weights.
#[derive(Clone, Copy, Debug)]
pub struct AttentionRows {
    /// The axis of what looks.
    pub(super) axis: Axis,
    /// Which sequence each row looks at.
    pub(super) memory: Memory,
    /// Along the memory, for gradients alone.
    along: Option<PairForm>,
    /// The memory and the query as values, and what they are scored by.
    of: (Value, Value, PairScores<Value, Param>),
    /// The queries [R, D].
    query: Matrix,
    scoring: PairScores,
    /// The memory [M, W].
    pub(super) values: Matrix,
    /// The weights [R, S].
    pub(super) weights: Matrix,
    /// The weighted sums [R, W].
    out: Matrix,
}

impl AttentionRows {
    /// The operation that weighs and sums, and what it is made of.
    fn write(
        builder: &mut Builder,
        name: &str,
        memory: Value,
        query: Value,
        scores: Scores,
    ) -> Result<AttentionRows> {
        let (scored, query) = match scores {
            Scores::Dot => (PairScores::Dot(memory), query),
            Scores::Additive(width) => {
                let query =
                    Linear::new(format!("{name}.query"), width, None).write(builder, query)?;
                let keys =
                    Linear::new(format!("{name}.keys"), width, None).write(builder, memory)?;
                let vector = score_vector(builder, format!("{name}.v.weight"), width);
                (PairScores::Additive(keys, vector), query)
            }
        };
        let (axis, below) = (builder.axis(query), builder.axis(memory));
        let looked_at = builder.looked_at(name, axis, below)?;
        let (q, m) = (builder.rows(query)?, builder.rows(memory)?);
        let scoring = matrices(builder, scored)?;
        if let PairScores::Dot(k) | PairScores::Additive(k, _) = scoring
            && q.cols != k.cols
        {
            let (expected, found) = (k.cols, q.cols);
            return Err(Error::internal(format!(
                "{name}: expected queries as wide as keys ({expected}), found {found}"
            )));
        }
        let looked = AttentionRows {
            axis,
            memory: looked_at,
            along: if builder.training {
                Some(builder.looking(name, axis, below)?)
            } else {
                None
            },
            of: (memory, query, scored),
            query: q,
            scoring,
            values: m,
            weights: builder.activation(axis, format!("attention.{name}"), below.steps),
            out: builder.activation(axis, format!("attended.{name}"), m.cols),
        };
        builder.push(Op::Attend(Attend {
            name: format!("{name}.forward"),
            form: AttendForm::Forward {
                query: q,
                scoring,
                values: m,
                weights: looked.weights,
                out: looked.out,
            },
            memory: looked_at,
        }));
        Ok(looked)
    }

    /// Room for the gradient of the scores [R, S].
    pub(super) fn d_scores(&self, builder: &mut Builder, label: &str) -> Matrix {
        builder.activation(self.axis, format!("d.scores.{label}"), self.weights.cols)
    }

    /// The gradients of the query, the memory and its keys, of that of the sums. Where rows were drawn, `drawn` makes the gradient of the
    /// scores, and says which ones they were.
    pub(super) fn backward(
        &self,
        builder: &mut Builder,
        label: &str,
        scores: Matrix,
        upstream: Matrix,
        drawn: Option<(Op, Matrix)>,
    ) {
        let Some(along) = self.along else { return };
        let d_query = builder.activation(self.axis, format!("d.{label}.query"), self.query.cols);
        let names = ["scores", "query"].map(|part| format!("{label}.{part}.backward"));
        let rows = AttendedRows {
            memory: self.memory,
            query: self.query,
            scoring: self.scoring,
            values: self.values,
            weights: self.weights,
            upstream,
            scores,
            into: d_query,
        };
        let [of_sums, of_query] = query_gradient(names, &rows);
        let (of_scores, weights) = drawn.unwrap_or((of_sums, self.weights));
        builder.push(of_scores);
        builder.push(of_query);
        let (memory, query, scored) = self.of;
        builder.give(query, d_query);
        let pairs = Pairs {
            weights,
            scores,
            upstream,
            query: self.query,
        };
        memory_backward(builder, label, along, &pairs, (memory, scored));
    }
}

/// What the gradients of a memory's rows are made of: rows along the axis that looks at it.
pub(super) struct Pairs {
    /// The weights [R, S].
    pub weights: Matrix,
    /// The gradient of the scores [R, S].
    pub scores: Matrix,
    /// The gradient of the weighted sums [R, W].
    pub upstream: Matrix,
    /// The queries [R, D].
    pub query: Matrix,
}

/// The gradients of a memory, of keys that are others than its rows, and of the vector of additive scores.
pub(super) fn memory_backward(
    builder: &mut Builder,
    label: &str,
    along: PairForm,
    pairs: &Pairs,
    (memory, scoring): (Value, PairScores<Value, Param>),
) {
    let below = builder.axis(memory);
    let Ok(m) = builder.rows(memory) else {
        return;
    };
    let sum = |part: &str, pairs, term, into| PairSum {
        name: format!("{label}.{part}.backward"),
        form: along,
        pairs,
        term,
        totals: None,
        into,
        accumulate: false,
    };
    let d_values = builder.activation(below, format!("d.{label}.values"), m.cols);
    let term = PairTerm::Rows(pairs.upstream);
    builder.push(Op::PairSum(sum("values", pairs.weights, term, d_values)));
    match scoring {
        // Keys and values are the same rows.
        PairScores::Dot(_) => builder.push(Op::PairSum(PairSum {
            accumulate: true,
            ..sum("keys", pairs.scores, PairTerm::Rows(pairs.query), d_values)
        })),
        // Where a step lies has no gradient.
        PairScores::Window => {}
        PairScores::Additive(keys, vector) => {
            let Ok(k) = builder.rows(keys) else { return };
            let d_keys = builder.activation(below, format!("d.{label}.keys"), k.cols);
            let totals = builder.activation(below, format!("d.{label}.totals"), k.cols);
            let term = PairTerm::Additive {
                query: pairs.query,
                keys: k,
                vector: vector.value,
            };
            builder.push(Op::PairSum(PairSum {
                totals: Some(totals),
                ..sum("keys", pairs.scores, term, d_keys)
            }));
            let op = ColumnSum {
                name: format!("{label}.v.backward"),
                from: totals,
                into: vector.grad,
                accumulate: builder.accumulate(vector.grad),
                reset_only: None,
            };
            builder.push(Op::ColumnSum(op));
            builder.give(keys, d_keys);
        }
    }
    builder.give(memory, d_values);
}

/// The matrices of what steps are scored by.
pub(super) fn matrices(builder: &Builder, of: PairScores<Value, Param>) -> Result<PairScores> {
    Ok(match of {
        PairScores::Dot(keys) => PairScores::Dot(builder.rows(keys)?),
        PairScores::Additive(keys, vector) => {
            PairScores::Additive(builder.rows(keys)?, vector.value)
        }
        PairScores::Window => PairScores::Window,
    })
}

/// The vector [1, width] of additive scores.
pub(super) fn score_vector(builder: &mut Builder, name: String, width: usize) -> Param {
    let fill = vec![Fill::Weight];
    builder.parameter(name, [1, width], &[1, width], false, fill)
}

impl Builder {
    /// Which sequence of a memory along `below` each row along `axis` looks at.
    pub(super) fn looked_at(&mut self, name: &str, axis: Axis, below: Axis) -> Result<Memory> {
        let (own, memory) = (packed(name, axis)?, packed(name, below)?);
        let recipe = Recipe::Attended { axis: own, memory };
        let slot = format!("attended.{own}.{memory}");
        let sequences = self.words_of(recipe, slot, &[1, axis.rows()], below.batch);
        memory_of(name, sequences, below)
    }

    /// The sums along a memory's rows, of the rows along `axis` that look at them.
    pub(super) fn looking(&mut self, name: &str, axis: Axis, below: Axis) -> Result<PairForm> {
        let (own, memory) = (packed(name, axis)?, packed(name, below)?);
        let recipe = Recipe::Attending { axis: own, memory };
        let slot = format!("attending.{own}.{memory}");
        let sequences = self.words_of(recipe, slot, &[1, below.batch], axis.batch);
        Ok(PairForm::Memory {
            by: memory_of(name, sequences, axis)?,
            packed: spans(name, below)?,
            steps: below.steps,
            batch: below.batch,
        })
    }
}

/// The sequences of an axis that words name.
fn memory_of(name: &str, sequences: SlotId, of: Axis) -> Result<Memory> {
    Ok(Memory {
        sequences,
        packed: spans(name, of)?,
        steps: of.steps,
    })
}

/// How the sequences of an axis are packed.
fn spans(name: &str, axis: Axis) -> Result<Packed> {
    let spans = axis.packed(true);
    spans.ok_or_else(|| Error::internal(format!("{name}: no packed axis")))
}
