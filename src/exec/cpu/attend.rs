//! Attention on the slots of an executor: its rows shared out to the cores.

use super::Cpu;
use crate::cell::real::Real;
use crate::op::attend::AttendForm;
use crate::op::pair_sum::{PairTerm, Summed};
use crate::op::{Attend, Matrix, PairSum};

impl<F: Real> Cpu<F> {
    pub(super) fn attend(&mut self, op: &Attend) {
        let memory = op.memory;
        match op.form {
            AttendForm::Forward {
                query,
                scoring,
                values,
                weights,
                out,
            } => self.rows_with(
                out,
                weights,
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
            } => self.each_row(
                scores,
                #[inline(always)]
                |this, r, scores| {
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

    pub(super) fn pair_sum(&mut self, op: &PairSum) {
        match op.totals {
            Some(totals) => self.rows_with(
                op.into,
                totals,
                #[inline(always)]
                |this, r, into, totals| this.pair_sum_row(op, r, into, totals),
            ),
            None => self.each_row(
                op.into,
                #[inline(always)]
                |this, r, into| this.pair_sum_row(op, r, into, &mut []),
            ),
        }
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
