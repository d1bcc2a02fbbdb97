//! Attention on the slots of an executor: rows that look at one sequence of a memory come one after another, so that its rows
//! are read from a cache.

use rayon::prelude::*;

use super::{Cpu, parallel, simd};
use crate::cell::real::Real;
use crate::op::attend::AttendForm;
use crate::op::categorical::CategoricalForm;
use crate::op::pair_sum::{PairForm, PairTerm, Summed};
use crate::op::{Attend, Categorical, Matrix, PairSum};

/// A row that is written: its number, and its elements in one or two matrices.
struct TargetRow<'a, F> {
    row: usize,
    first: &'a mut [F],
    second: &'a mut [F],
}

/// How many tasks a core gets, so that none waits long for the slowest.
const TASKS: usize = 4;

impl<F: Real> Cpu<F> {
    /// Calls `f` with the number of every row of `to`, that row, and the same row of `other`, where there is one: in order of
    /// `sequence`, a number of each row, and on every core where `elements` that are looked at are worth it.
    fn by_sequence(
        &mut self,
        (to, other): (Matrix, Option<Matrix>),
        elements: usize,
        sequence: impl Fn(&Self, usize) -> u32,
        f: impl Fn(&Self, usize, &mut [F], &mut [F]) + Sync,
    ) {
        let mut rows = std::mem::take(&mut self.reals[to.slot.0]);
        let mut others = other.map(|m| std::mem::take(&mut self.reals[m.slot.0]));
        let this = &*self;
        let mut seconds = match (&mut others, other) {
            (Some(values), Some(m)) => Some((values[m.offset..].chunks_mut(m.stride), m.cols)),
            _ => None,
        };
        let firsts = rows[to.offset..].chunks_mut(to.stride).take(to.rows);
        let targets = firsts.enumerate().map(|(row, first)| TargetRow {
            row,
            first: &mut first[..to.cols],
            second: match &mut seconds {
                Some((rows, cols)) => rows.next().map_or(&mut [][..], |row| &mut row[..*cols]),
                None => &mut [],
            },
        });
        let mut targets: Vec<TargetRow<F>> = targets.collect();
        targets.sort_by_key(|target| sequence(this, target.row));
        let each = match parallel::parts(elements) {
            1 => to.rows,
            threads => to.rows.div_ceil(threads * TASKS),
        };
        targets.par_chunks_mut(each.max(1)).for_each(|targets| {
            simd::<F>(
                #[inline(always)]
                || {
                    for target in targets {
                        f(this, target.row, target.first, target.second);
                    }
                },
            );
        });
        self.reals[to.slot.0] = rows;
        if let (Some(values), Some(m)) = (others, other) {
            self.reals[m.slot.0] = values;
        }
    }

    pub(super) fn attend(&mut self, op: &Attend) {
        let memory = op.memory;
        let sequence = |this: &Self, r: usize| this.words[memory.sequences.0][r];
        let looked_at = |cols: usize| op.weights().rows * memory.steps * cols;
        match op.form {
            AttendForm::Forward {
                query,
                scoring,
                values,
                weights,
                out,
            } => self.by_sequence(
                (out, Some(weights)),
                looked_at(values.cols),
                sequence,
                #[inline(always)]
                |this, r, out, weights| {
                    let starts = &this.words[memory.packed.counts.0][memory.packed.first..];
                    let row = &this.part(query)[r * query.stride..][..query.cols];
                    Attend::plain_row(
                        memory,
                        starts,
                        this.words[memory.sequences.0][r],
                        (
                            row,
                            scoring.map(
                                |keys| (this.part(keys), keys.stride),
                                |vector| &this.part(vector)[..vector.cols],
                            ),
                        ),
                        (this.part(values), values.stride),
                        weights,
                        out,
                    );
                },
            ),
            AttendForm::Scores {
                upstream,
                values,
                weights,
                softmax,
                scores,
            } => self.by_sequence(
                (scores, None),
                looked_at(values.cols),
                sequence,
                #[inline(always)]
                |this, r, scores, _| {
                    let starts = &this.words[memory.packed.counts.0][memory.packed.first..];
                    Attend::plain_scores(
                        memory,
                        starts,
                        this.words[memory.sequences.0][r],
                        &this.part(upstream)[r * upstream.stride..][..upstream.cols],
                        (this.part(values), values.stride),
                        if softmax {
                            &this.part(weights)[r * weights.stride..][..weights.cols]
                        } else {
                            &[]
                        },
                        scores,
                    );
                },
            ),
        }
    }

    pub(super) fn categorical(&mut self, op: &Categorical) {
        let memory = op.memory;
        let steps = |this: &Self, r: usize| {
            let starts = &this.words[memory.packed.counts.0][memory.packed.first..];
            memory
                .rows(starts, this.words[memory.sequences.0][r])
                .count()
        };
        match op.form {
            CategoricalForm::Draw { draws } => self.rows_with(
                op.drawn,
                op.facts,
                #[inline(always)]
                |this, r, drawn, facts| {
                    let count = steps(this, r);
                    let draws = draws.map(|m| this.row(m, r));
                    let weights = &this.row(op.weights, r)[..count];
                    Categorical::plain_draw(weights, draws, &mut drawn[..count], facts);
                },
            ),
            CategoricalForm::Scores {
                log_prob,
                entropy,
                scores,
            } => self.each_row(
                scores,
                #[inline(always)]
                |this, r, scores| {
                    let count = steps(this, r);
                    let row = |m: Matrix| this.row(m, r);
                    let by = (row(log_prob)[0], row(entropy)[0]);
                    Categorical::plain_scores(
                        &row(op.weights)[..count],
                        &row(op.drawn)[..count],
                        by,
                        row(op.facts)[1],
                        &mut scores[..count],
                    );
                },
            ),
        }
    }

    pub(super) fn pair_sum(&mut self, op: &PairSum) {
        let sequence = |this: &Self, r: usize| match op.form {
            PairForm::Rows { of } => this.words[of.sequences.0][r],
            PairForm::Memory { packed, steps, .. } => {
                let starts = &this.words[packed.counts.0][packed.first..][..=steps];
                PairSum::place(starts, r).1 as u32
            }
        };
        self.by_sequence(
            (op.into, op.totals),
            op.pairs.rows * op.pairs.cols * op.into.cols,
            sequence,
            #[inline(always)]
            |this, r, into, totals| this.pair_sum_row(op, r, into, totals),
        );
    }

    #[inline(always)]
    fn pair_sum_row(&self, op: &PairSum, r: usize, into: &mut [F], totals: &mut [F]) {
        let over = op.form.over();
        let of = |m: Matrix| (self.part(m), m.stride);
        let summed = match op.term {
            PairTerm::Rows(from) => Summed::Rows(self.part(from), from.stride),
            PairTerm::Additive {
                query,
                keys,
                vector,
            } => Summed::Additive(of(query), of(keys), self.part(vector)),
            PairTerm::Window(query) => Summed::Window(of(query)),
        };
        let words = (
            &self.words[over.packed.counts.0][..],
            &self.words[over.sequences.0][..],
        );
        op.plain_row(r, words, self.part(op.pairs), summed, into, totals);
    }
}
