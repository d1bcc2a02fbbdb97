//! Attention within a scan's steps: the operations that run between its stages, on the rows of one step.

use super::{Direction, Scan, Slices};
use crate::cell::real::Real;
use crate::cell::stage::Stage;
use crate::op::attend::{AttendForm, Memory, PairScores};
use crate::op::pair_sum::{AttendedRows, Summed, query_gradient};
use crate::op::{Attend, Matrix, Op, Operand, SlotId};

/// The memory of one of a cell's attentions.
#[derive(Clone, Debug)]
pub struct ScanAttention {
    /// Which of its sequences each of the scan's rows looks at.
    pub memory: Memory,
    /// What its steps are scored by, with keys [M, H] and a vector [1, H].
    pub scoring: PairScores,
    /// The values [M, H].
    pub values: Matrix,
    /// The weights [R, S].
    pub weights: Matrix,
    /// The gradient of the scores [R, S] (backward).
    pub scores: Option<Matrix>,
}

/// What an attention reads, each slot from its matrix's first element on.
#[derive(Clone, Copy)]
pub struct AttentionInputs<'a, F> {
    /// The sequence of the memory that each row looks at.
    pub sequences: &'a [u32],
    /// Where the memory's steps start.
    pub starts: &'a [u32],
    /// The keys with their stride, and the vector.
    pub scoring: PairScores<(&'a [F], usize), &'a [F]>,
    /// The values.
    pub values: &'a [F],
    /// The weights (backward).
    pub weights: &'a [F],
}

/// The contents of an attention's slots.
pub struct AttentionSlices<'a, F> {
    /// What is read.
    pub inputs: AttentionInputs<'a, F>,
    /// What is written a row: the weights (forward) or the gradient of the scores (backward).
    pub pairs: &'a mut [F],
}

/// What a step runs one after another.
pub enum ScanStepPart<'a> {
    /// An attention's operation, of the step's rows alone.
    Attention(Box<Op>),
    /// A stage.
    Stage(&'a Stage),
}

impl ScanAttention {
    /// What a scan of so many rows touches of it.
    pub(super) fn operands(&mut self, rows: usize, forward: bool) -> Vec<Operand<'_>> {
        let mut operands = vec![
            Operand::slot(self.memory.sequences, rows),
            Operand::slot(self.memory.packed.counts, self.memory.words()),
        ];
        operands.extend(self.scoring.operands());
        operands.push(Operand::read(&mut self.values).rows());
        operands.push(if forward {
            Operand::update(&mut self.weights).sum()
        } else {
            Operand::read(&mut self.weights).sum()
        });
        let scores = self.scores.as_mut().filter(|_| !forward);
        operands.extend(scores.map(|scores| Operand::update(scores).sum()));
        operands
    }
}

impl Scan {
    /// What a step runs, in order.
    pub fn step_parts(&self) -> Vec<ScanStepPart<'_>> {
        let mut parts = Vec::new();
        for stage in self.stages() {
            for a in &stage.attentions {
                let operations = self.attention_operations(*a).into_iter();
                parts.extend(operations.map(|op| ScanStepPart::Attention(Box::new(op))));
            }
            // Behind the last adjoints there may be an attention's alone.
            if !stage.program.stores.is_empty() {
                parts.push(ScanStepPart::Stage(stage));
            }
        }
        parts
    }

    /// What a run writes for every pair of an attention: forward its weights, backward the gradient of its scores.
    pub fn pairs(&self, of: &ScanAttention) -> Option<Matrix> {
        match self.direction {
            Direction::Forward => Some(of.weights),
            Direction::Backward => of.scores,
        }
    }

    /// A value made within the step, of every row [R, H].
    pub fn made_rows(&self, slot: usize) -> Option<Matrix> {
        let offset = self.saved_row(self.compiled.saved + slot, 0, 0, &[]);
        Some(self.rows_of(self.saved?, offset, self.saved_values()))
    }

    /// A delta of every row [R, H].
    pub fn delta_rows(&self, delta: usize) -> Option<Matrix> {
        let offset = delta * self.hidden;
        Some(self.rows_of(self.delta?, offset, self.compiled.deltas))
    }

    fn rows_of(&self, slot: SlotId, offset: usize, values: usize) -> Matrix {
        Matrix {
            slot,
            offset,
            rows: self.rows,
            cols: self.hidden,
            stride: values * self.hidden,
            row_count: None,
        }
    }

    /// The operations of an attention: forward the weighted sums, backward the scores' gradient and with it the query's. Of
    /// all rows; a step runs its own.
    fn attention_operations(&self, a: usize) -> Vec<Op> {
        let (written, of) = (&self.cell.attentions[a], &self.attentions[a]);
        let name = |part: &str| format!("{}.{}{part}", self.name, written.variable);
        let (memory, values, weights) = (of.memory, of.values, of.weights);
        // What a query is made of lies side by side.
        let parts = |m: Matrix| Matrix {
            cols: written.queries.len() * m.cols,
            ..m
        };
        let Some(query) = self.made_rows(written.query_slot).map(parts) else {
            return Vec::new();
        };
        if self.direction == Direction::Forward {
            let attend = self.made_rows(written.slot).map(|out| {
                Op::Attend(Attend {
                    name: name(""),
                    form: AttendForm::Forward {
                        query,
                        scoring: of.scoring,
                        values,
                        weights,
                        out,
                    },
                    memory,
                })
            });
            return attend.into_iter().collect();
        }
        let deltas = self.compiled.attention_deltas[a];
        let deltas = deltas.and_then(|[result, to]| {
            Some((
                self.delta_rows(result)?,
                parts(self.delta_rows(to)?),
                of.scores?,
            ))
        });
        let Some((upstream, into, scores)) = deltas else {
            return Vec::new();
        };
        let rows = AttendedRows {
            memory,
            query,
            scoring: of.scoring,
            values,
            weights,
            upstream,
            scores,
            into,
        };
        query_gradient([name(".scores"), name(".query")], &rows).into()
    }

    /// The plain code of an attention for row `r` of all steps. `saved` and `delta` are that row's, `pairs` that row of what is
    /// written; `query` is workspace as wide as the query.
    #[inline(always)]
    pub fn attend_row<F: Real>(
        &self,
        a: usize,
        r: usize,
        of: (&AttentionInputs<'_, F>, &mut [F]),
        (saved, delta): (&mut [F], &mut [F]),
        query: &mut [F],
    ) {
        let h = self.hidden;
        let (written, own, (inputs, pairs)) = (&self.cell.attentions[a], &self.attentions[a], of);
        let (memory, k) = (own.memory, inputs.sequences[r]);
        let at = |value: usize| (self.compiled.saved + value) * h;
        let wide = written.queries.len() * h;
        let query = &mut query[..wide];
        query.copy_from_slice(&saved[at(written.query_slot)..][..wide]);
        let scoring = inputs.scoring.map(|keys| keys, |vector| &vector[..h]);
        let values = (inputs.values, own.values.stride);
        if self.direction == Direction::Forward {
            let out = &mut saved[at(written.slot)..][..h];
            let of = (&*query, scoring);
            Attend::plain_row(memory, inputs.starts, k, of, values, pairs, out);
            return;
        }
        let Some([result, to]) = self.compiled.attention_deltas[a] else {
            return;
        };
        let upstream = &delta[result * h..][..h];
        let weights = if scoring.softmax() {
            &inputs.weights[r * own.weights.stride..][..own.weights.cols]
        } else {
            &[]
        };
        Attend::plain_scores(memory, inputs.starts, k, upstream, values, weights, pairs);
        let summed = match scoring {
            PairScores::Dot(keys) => Summed::Rows(keys.0, keys.1),
            PairScores::Additive(keys, vector) => Summed::Additive((query, 0), keys, vector),
            PairScores::Window => Summed::Window((query, 0)),
        };
        let into = &mut delta[to * h..][..wide];
        into.fill(F::ZERO);
        summed.along(pairs, (0, memory.rows(inputs.starts, k)), into, &mut []);
    }

    /// The attentions that run before a stage, for the first `count` rows of step `t`, one after another.
    pub(super) fn plain_attentions<F: Real>(
        &self,
        stage: &Stage,
        t: usize,
        slices: &mut Slices<'_, F>,
    ) {
        let (h, deltas) = (self.hidden, self.compiled.deltas);
        let mut query = vec![F::ZERO; self.cell.widest_query() * h];
        for a in &stage.attentions {
            for b in 0..self.active(t, slices.starts) {
                let row = self.start(t, slices.starts) + b;
                let saved = self.saved_row(0, t, b, slices.starts);
                let delta = self.delta_row(0, t, b, slices.starts);
                let own = &mut slices.attentions[*a];
                let stride = self.attentions[*a].weights.stride;
                let saved = &mut slices.saved[saved..][..self.saved_values() * h];
                let delta = match self.direction {
                    Direction::Forward => &mut [],
                    Direction::Backward => &mut slices.delta[delta..][..deltas * h],
                };
                let steps = self.attentions[*a].memory.steps;
                let pairs = &mut own.pairs[row * stride..][..steps];
                self.attend_row(*a, row, (&own.inputs, pairs), (saved, delta), &mut query);
            }
        }
    }
}
