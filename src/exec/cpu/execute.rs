//! Every operation on the slots of an executor: which of them it reads and writes, its rows shared out to the cores.

use super::product::ProductWorkspace;
use super::{Cpu, matmul, parallel, rows, simd};
use crate::cell::real::Real;
use crate::op::dropout::Share;
use crate::op::filters::FiltersForm;
use crate::op::{LogSoftmax, Matrix, Norm, Op, Optimizer, SlotId, SoftmaxStats, SparseUpdate};

/// Numbers that the executor computes with. Its operations are compiled here for each of them, once, and not again in
/// every crate that runs a plan.
pub trait Number: Real {
    /// [`Cpu::execute`].
    #[doc(hidden)]
    fn execute(cpu: &mut Cpu<Self>, op: &Op);
}

impl Number for f32 {
    #[inline(never)]
    fn execute(cpu: &mut Cpu<f32>, op: &Op) {
        cpu.execute_counted(op);
    }
}

impl Number for f64 {
    #[inline(never)]
    fn execute(cpu: &mut Cpu<f64>, op: &Op) {
        cpu.execute_counted(op);
    }
}

impl<F: Number> Cpu<F> {
    /// Runs an operation on this executor's slots; it need not be one of the plan's, but must fit them.
    pub fn execute(&mut self, op: &Op) {
        F::execute(self, op);
    }
}

impl<F: Real> Cpu<F> {
    fn execute_counted(&mut self, op: &Op) {
        match op.counted(|m| self.counted(m)) {
            None => self.execute_whole(op),
            Some(counted) => {
                for m in op.row_results() {
                    self.reals[m.slot.0][m.offset..m.end()].fill(F::ZERO);
                }
                self.execute_whole(&counted);
            }
        }
    }

    /// A matrix of the rows that count in this run.
    pub(crate) fn counted(&self, matrix: Matrix) -> Matrix {
        match matrix.row_count {
            None => matrix,
            Some(row_count) => Matrix {
                rows: row_count.rows(matrix.rows, self.words[row_count.slot.0][row_count.word]),
                row_count: None,
                ..matrix
            },
        }
    }

    fn execute_whole(&mut self, op: &Op) {
        // What was packed of a slot that changes is of no use any more.
        if let Some((held, _)) = self.held
            && op.writes().iter().any(|m| m.meets(&held))
        {
            self.held = None;
        }
        match op {
            Op::Carry(op) => {
                let reset = self.words[op.control.0][4] == 1;
                self.with(op.state, |this, state| {
                    let start = op.start.map_or(&[][..], |m| this.part(m));
                    let parents = op.parents.map_or(&[][..], |p| &this.words[p.slot.0]);
                    op.plain(reset, start, parents, state);
                });
            }
            Op::Zero(op) => {
                let to = op.to;
                for row in 0..to.rows {
                    let at = to.offset + row * to.stride;
                    self.reals[to.slot.0][at..at + to.cols].fill(F::ZERO);
                }
            }
            Op::Add(op) if op.from.slot == op.to.slot => {
                let from = self.reals[op.from.slot.0][op.from.offset..op.from.end()].to_vec();
                op.plain(&from, &mut self.reals[op.to.slot.0][op.to.offset..]);
            }
            Op::Add(op) => self.with(op.to.slot, |this, to| {
                op.plain(this.part(op.from), &mut to[op.to.offset..]);
            }),
            Op::Gather(op) => self.with(op.out.slot, |this, out| {
                let ids = &this.words[op.ids.0][op.at..];
                op.plain(ids, this.part(op.table), &mut out[op.out.offset..]);
            }),
            Op::Steps(op) => self.with(op.into().slot, |this, into| {
                let starts = op
                    .packed
                    .map_or(&[][..], |p| &this.words[p.counts.0][p.first..]);
                let values = op.values.map_or(&[][..], |values| this.part(values));
                op.plain(
                    starts,
                    values,
                    this.part(op.from()),
                    &mut into[op.into().offset..],
                );
            }),
            Op::Attend(op) => self.attend(op),
            Op::Categorical(op) => self.categorical(op),
            Op::PairSum(op) => self.pair_sum(op),
            Op::MatMul(op) => self.with(op.c.slot, |this, c| {
                let mut workspace = this.workspace.take().unwrap_or_else(ProductWorkspace::new);
                let (a, b) = (this.part(op.a), this.part(op.b));
                let bias = op.bias.map(|bias| this.part(bias));
                let c = &mut c[op.c.offset..];
                if this.plain {
                    op.plain(a, b, bias, c);
                } else {
                    let own = Some((op.b, op.transpose_b));
                    let whole = matmul::run(op, a, b, bias, c, &mut workspace, this.held == own);
                    this.held = own.filter(|_| whole);
                }
                this.workspace = Some(workspace);
            }),
            Op::ProductParts(op) => self.with(op.product.c.slot, |this, c| {
                let (a, b) = (this.part(op.product.a), this.part(op.product.b));
                op.plain(a, b, &mut c[op.product.c.offset..]);
            }),
            Op::PartSum(op) => self.with(op.to.slot, |this, to| {
                let bias = op.bias.map(|bias| this.part(bias));
                op.plain(this.part(op.from), bias, &mut to[op.to.offset..]);
            }),
            Op::Transpose(op) if self.elided.get(&op.to).is_some() => {}
            Op::Transpose(op) => self.with(op.to.slot, |this, to| {
                let to = &mut to[op.to.offset..];
                parallel::rows(to, op.to.stride, op.to.rows, |range, to| {
                    op.plain(range, this.part(op.from), to);
                });
            }),
            Op::Scan(op) => self.scan(op),
            Op::Together(op) => op.ops.iter().for_each(|op| self.execute_counted(op)),
            Op::ConcurrentScans(op) => op.scans.iter().for_each(|scan| self.scan(scan)),
            Op::Dropout(op) => {
                let mut to = std::mem::take(&mut self.reals[op.to.slot.0]);
                let control = &self.words[op.control.0];
                let ids: &[u32] = match op.share {
                    Share::Token { ids } => &self.words[ids.0],
                    _ => &[],
                };
                if op.from == op.to {
                    // In place: each element is read before it is written.
                    let rows = op.to.rows;
                    parallel::rows(&mut to[op.to.offset..], op.to.stride, rows, |range, to| {
                        let before = to.to_vec();
                        let first = range.start;
                        simd::<F>(
                            #[inline(always)]
                            || {
                                let row = |r| &before[(r - first) * op.from.stride..];
                                op.plain(control, ids, range.clone(), row, to);
                            },
                        );
                    });
                } else {
                    let from = self.part(op.from);
                    let rows = op.to.rows;
                    parallel::rows(&mut to[op.to.offset..], op.to.stride, rows, |range, to| {
                        simd::<F>(
                            #[inline(always)]
                            || {
                                let row = |r| &from[r * op.from.stride..];
                                op.plain(control, ids, range.clone(), row, to);
                            },
                        );
                    });
                }
                self.reals[op.to.slot.0] = to;
            }
            Op::SoftmaxXent(op) => {
                let scale = self.reals[op.hyper.0][1];
                self.rows_with_losses(
                    op.logits,
                    op.own_losses(),
                    #[inline(always)]
                    |this, r, row| {
                        let weight = op.weights.map_or(F::ONE, |w| this.reals[w.0][op.at + r]);
                        let id = this.words[op.ids.0][op.first + op.at + r] as usize;
                        op.plain_row(row, id, weight, scale)
                    },
                );
            }
            Op::SoftmaxStats(op) => {
                self.rows_with(
                    op.logits,
                    op.stats,
                    #[inline(always)]
                    |this, r, row, stats| {
                        let id = this.words[op.ids.0][op.first + r] as usize;
                        op.plain_row(row, id, stats);
                    },
                );
                if let Some(losses) = op.losses {
                    for r in 0..op.logits.rows {
                        let weight = op.weights.map_or(F::ONE, |w| self.part(w)[r]);
                        let stats = &self.part(op.stats)[r * op.stats.stride..];
                        let loss = SoftmaxStats::loss(stats, weight);
                        self.reals[losses.slot.0][losses.offset + r] = loss;
                    }
                }
            }
            Op::SoftmaxGradient(op) => {
                let scale = self.reals[op.hyper.0][1];
                self.rows_with(
                    op.logits,
                    op.stats,
                    #[inline(always)]
                    |this, r, row, stats| {
                        let weight = op.weights.map_or(F::ONE, |w| this.part(w)[r]);
                        let id = this.words[op.ids.0][op.first + r] as usize;
                        op.plain_row(row, id, stats, weight * scale);
                    },
                );
            }
            Op::Retina(op) => self.each_row(
                op.out,
                #[inline(always)]
                |this, r, out| op.plain_row(this.row(op.image, r), this.row(op.at, r), out),
            ),
            Op::Filters(op) => match op.form {
                FiltersForm::Forward { out } => self.each_row(
                    out,
                    #[inline(always)]
                    |this, r, out| op.plain_row(this.row(op.at, r), out),
                ),
                FiltersForm::Backward {
                    filters,
                    upstream,
                    into,
                } => self.each_row(
                    into,
                    #[inline(always)]
                    |this, r, into| {
                        let [filters, upstream] = [filters, upstream].map(|m| this.row(m, r));
                        op.plain_gradient(this.row(op.at, r), filters, upstream, into);
                    },
                ),
            },
            Op::BatchMatMul(op) => self.each_row(
                op.c,
                #[inline(always)]
                |this, r, c| op.plain_row(this.row(op.a, r), this.row(op.b, r), c),
            ),
            Op::ColumnSum(op) => self.with(op.into.slot, |this, into| {
                let from = this.part(op.from);
                let into = &mut into[op.into.offset..];
                let counted = op.reset_only.is_none_or(|c| this.words[c.0][4] == 1);
                parallel::columns(&mut into[..op.into.cols], op.from.rows, |range, into| {
                    simd::<F>(
                        #[inline(always)]
                        || op.plain(counted, range.clone(), from, into),
                    );
                });
            }),
            Op::Scatter(op) => self.with(op.into.slot, |this, into| {
                let index = &this.words[op.index.0][op.at..];
                let from = this.part(op.from);
                let into = &mut into[op.into.offset..];
                parallel::rows(into, op.into.stride, op.into.rows, |ids, into| {
                    simd::<F>(
                        #[inline(always)]
                        || op.plain(index, ids.clone(), from, into),
                    );
                });
            }),
            Op::Rows(op) => {
                let slots: Vec<SlotId> = op.outputs.iter().map(|o| o.matrix().slot).collect();
                let take = |slot: &SlotId| std::mem::take(&mut self.reals[slot.0]);
                let mut taken: Vec<Vec<F>> = slots.iter().map(take).collect();
                let reals = &self.reals;
                rows::run(
                    op,
                    self.plain,
                    |slot: SlotId| reals[slot.0].as_slice(),
                    &mut taken,
                );
                for (slot, values) in slots.into_iter().zip(taken) {
                    self.reals[slot.0] = values;
                }
            }
            Op::Propagation(op) => self.rows_with_losses(
                op.pull,
                op.own_losses(),
                #[inline(always)]
                |this, r, row| op.plain_row(r, this.part(op.upstream), this.part(op.sent), row),
            ),
            Op::LogSoftmax(op) => {
                // The addend may lie in the slot that is written, so it is read first.
                let add = op.add.map(|add| self.column(add));
                let in_place = op.from.slot == op.to.slot;
                self.each_row(op.to, |this, r, row| {
                    if !in_place {
                        let from = &this.part(op.from)[r * op.from.stride..];
                        row.copy_from_slice(&from[..op.from.cols]);
                    }
                    LogSoftmax::plain_row(row, add.as_ref().map_or(F::ZERO, |a| a[r]));
                });
            }
            Op::SampledScores(op) => self.each_row(op.scores, |this, r, row| {
                let id = this.words[op.columns.0][r] as usize;
                op.plain_row(row, id, &this.reals[op.corrections.0]);
            }),
            Op::SparseUpdate(op) => self.sparse_update(op),
            Op::Norm(op) => {
                for sum in &op.completes {
                    self.execute_counted(&Op::PartSum(sum.clone()));
                }
                let mut partials = std::mem::take(&mut self.reals[op.partials.0]);
                let losses = &self.part(op.losses)[..op.losses.cols];
                let row = |m: Matrix| &self.part(m)[..m.cols];
                let (gradients, penalties) = (op.gradients.map(row), op.penalties.map(row));
                let hyper = op.scaled.map(|h| self.reals[h.0].as_slice());
                let sparse: Vec<&[F]> = op.sparse.iter().map(|m| row(*m)).collect();
                simd::<F>(
                    #[inline(always)]
                    || op.partial_sums(losses, gradients, &sparse, penalties, hyper, &mut partials),
                );
                self.reals[op.partials.0] = partials;
                if !op.open {
                    self.report(op);
                }
            }
            Op::LossScale(op) => self.with(op.hyper, |this, hyper| {
                let mut scaling = std::mem::take(&mut this.reals[op.scaling.0]);
                op.plain(hyper, &mut scaling, &this.reals[op.report.0]);
                this.reals[op.scaling.0] = scaling;
            }),
            Op::Optimizer(op) => {
                if let Some(norm) = &op.ends {
                    self.report(norm);
                }
                self.update(op);
            }
        }
    }

    /// The report of a norm whose partial sums are made.
    fn report(&mut self, op: &Norm) {
        let hyper = op.scaled.map(|h| self.reals[h.0].as_slice());
        let report = op.report(hyper, &self.reals[op.partials.0]);
        self.reals[op.report.0].copy_from_slice(&report);
    }

    fn update(&mut self, op: &Optimizer) {
        self.with(op.parameters.slot, |this, p| {
            let mut arenas: Vec<Vec<F>> = op
                .arenas
                .iter()
                .map(|a| std::mem::take(&mut this.reals[a.slot.0]))
                .collect();
            let (hyper, report) = (&this.reals[op.hyper.0], &this.reals[op.report.0]);
            let g = this.part(op.gradients);
            let mut arenas_mut = arenas.iter_mut().map(Vec::as_mut_slice);
            let first = arenas_mut.next().unwrap_or(&mut []);
            let second = arenas_mut.next().unwrap_or(&mut []);
            // Tables whose gradients are rows lie behind what is updated here.
            let n = op.parameters.cols;
            let [p, first, second] = [p, first, second].map(|all| {
                let n = n.min(all.len());
                &mut all[..n]
            });
            parallel::flat(p, first, second, |range, p, a, b| {
                simd::<F>(
                    #[inline(always)]
                    || op.plain(p, &g[range.clone()], [a, b], hyper, report),
                );
            });
            for (arena, values) in op.arenas.iter().zip(arenas) {
                this.reals[arena.slot.0] = values;
            }
        });
    }

    /// A copy of a column.
    fn column(&self, matrix: Matrix) -> Vec<F> {
        let values = self.part(matrix);
        (0..matrix.rows)
            .map(|r| values[r * matrix.stride])
            .collect()
    }

    /// The rows of a table that were used, one after another: they are few.
    fn sparse_update(&mut self, op: &SparseUpdate) {
        let update = &op.update;
        let tables = [update.parameters].into_iter().chain(update.arenas.clone());
        let mut taken: Vec<Vec<F>> = tables
            .clone()
            .map(|m| std::mem::take(&mut self.reals[m.slot.0]))
            .collect();
        let (hyper, report) = (&self.reals[update.hyper.0], &self.reals[update.report.0]);
        let gradients = self.part(update.gradients);
        let ids = &self.words[op.ids.0][..update.gradients.rows];
        for (k, id) in ids
            .iter()
            .enumerate()
            .filter(|(_, id)| **id != SparseUpdate::NONE)
        {
            let row = |m: &Matrix| m.offset + *id as usize * m.stride;
            let g = &gradients[k * update.gradients.stride..][..update.gradients.cols];
            let mut parts = taken.iter_mut().zip(tables.clone()).map(|(values, m)| {
                let at = row(&m);
                &mut values[at..at + m.cols]
            });
            let mut next = || parts.next().unwrap_or(&mut []);
            let (p, a, b) = (next(), next(), next());
            simd::<F>(
                #[inline(always)]
                || update.plain(p, g, [a, b], hyper, report),
            );
        }
        for (values, m) in taken.into_iter().zip(tables) {
            self.reals[m.slot.0] = values;
        }
    }

    /// A matrix's elements from its first one on.
    pub(super) fn part(&self, matrix: Matrix) -> &[F] {
        &self.reals[matrix.slot.0][matrix.offset..]
    }

    /// A row of a matrix.
    pub(super) fn row(&self, matrix: Matrix, r: usize) -> &[F] {
        &self.part(matrix)[r * matrix.stride..][..matrix.cols]
    }

    /// Changes every row of `to` by `f`, given the row's number, and keeps what it gives in `losses` [1, R].
    fn rows_with_losses(
        &mut self,
        to: Matrix,
        losses: Matrix,
        f: impl Fn(&Self, usize, &mut [F]) -> F + Sync,
    ) {
        // A column of losses.
        let column = Matrix {
            rows: to.rows,
            cols: 1,
            stride: 1,
            ..losses
        };
        self.rows_with(
            to,
            column,
            #[inline(always)]
            |this, r, row, loss| loss[0] = f(this, r, row),
        );
    }

    /// Calls `f` with the number of every row of `to` and that row.
    pub(super) fn each_row(&mut self, to: Matrix, f: impl Fn(&Self, usize, &mut [F]) + Sync) {
        self.with(to.slot, |this, values| {
            let values = &mut values[to.offset..];
            parallel::rows(values, to.stride, to.rows, |range, rows| {
                simd::<F>(
                    #[inline(always)]
                    || {
                        for r in range.clone() {
                            let at = (r - range.start) * to.stride;
                            f(this, r, &mut rows[at..at + to.cols]);
                        }
                    },
                );
            });
        });
    }

    /// Calls `f` with the number of every row of `to`, that row, and the same row of `other`.
    pub(super) fn rows_with(
        &mut self,
        to: Matrix,
        other: Matrix,
        f: impl Fn(&Self, usize, &mut [F], &mut [F]) + Sync,
    ) {
        let mut rows = std::mem::take(&mut self.reals[to.slot.0]);
        let mut others = std::mem::take(&mut self.reals[other.slot.0]);
        let this = &*self;
        parallel::rows2(
            (&mut rows[to.offset..], to.stride),
            (&mut others[other.offset..], other.stride),
            to.rows,
            |range, rows, others| {
                simd::<F>(
                    #[inline(always)]
                    || {
                        for r in range.clone() {
                            let at = r - range.start;
                            let row = &mut rows[at * to.stride..][..to.cols];
                            f(this, r, row, &mut others[at * other.stride..][..other.cols]);
                        }
                    },
                );
            },
        );
        self.reals[to.slot.0] = rows;
        self.reals[other.slot.0] = others;
    }

    /// Hands out one slot to be written while the others can be read.
    fn with(&mut self, slot: SlotId, f: impl FnOnce(&mut Self, &mut [F])) {
        let mut values = std::mem::take(&mut self.reals[slot.0]);
        f(self, &mut values);
        self.reals[slot.0] = values;
    }
}
