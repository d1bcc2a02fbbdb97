//! Sums along the pairs of attention, of a row and a row of its memory: the gradients of queries, keys and values.

use super::attend::{AttendForm, Memory, PairScores, add_row, window};
use super::scan::Packed;
use super::{Attend, Cost, Matrix, Op, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// In which direction.
#[derive(Clone, Copy, Debug)]
pub enum PairForm {
    /// `rows[r] = sum_j c[r, j] memory[j]` over the steps of the sequence that row r looks at.
    Rows {
        /// The memory.
        of: Memory,
    },
    /// `memory[j] = sum_r c[r, j] rows[r]` over the rows that look at its sequence: the transposed map.
    Memory {
        /// The rows that look, a word for every sequence of the memory: the sequence whose rows look at it.
        by: Memory,
        /// How the memory's sequences are packed.
        packed: Packed,
        /// The most steps of the memory's sequences, S.
        steps: usize,
        /// How many of them there are at most.
        batch: usize,
    },
}

impl PairForm {
    /// The sequences over which the sum goes.
    pub fn over(&self) -> Memory {
        match *self {
            PairForm::Rows { of } => of,
            PairForm::Memory { by, .. } => by,
        }
    }
}

/// What is summed over the pairs.
#[derive(Clone, Copy, Debug)]
pub enum PairTerm {
    /// The rows of the other side.
    Rows(Matrix),
    /// The derivative of additive scores `v . tanh(query + key)`: `v (1 - tanh(query + key)^2)`.
    Additive {
        /// The queries [R, D].
        query: Matrix,
        /// The keys [M, D].
        keys: Matrix,
        /// v [1, D].
        vector: Matrix,
    },
    /// The derivative of a window's scores [3 D] with respect to its queries [R, 3 D]: of a, b, k side by side
    /// `e = exp(-b (k - j)^2) / D`, `-a (k - j)^2 e` and `-2 a b (k - j) e`, j the step, which counts from 1.
    Window(Matrix),
}

/// A sum along the pairs of attention.
#[derive(Clone, Debug)]
pub struct PairSum {
    /// The name in the plan.
    pub name: String,
    /// In which direction.
    pub form: PairForm,
    /// A number c for every pair [R, S].
    pub pairs: Matrix,
    /// What is summed.
    pub term: PairTerm,
    /// Of additive scores, along the memory: also `sum_r c[r, j] tanh(query[r] + key[j])` [M, D], whose column sums are the
    /// gradient of v.
    pub totals: Option<Matrix>,
    /// The sums.
    pub into: Matrix,
    /// Whether they are added to what is there.
    pub accumulate: bool,
}

/// The numbers of what is summed, by rows that look and rows of the memory.
#[derive(Clone, Copy)]
pub enum Summed<'a, F> {
    /// Rows of the other side.
    Rows(&'a [F], usize),
    /// The derivative of additive scores: queries and keys with their strides, and the vector.
    Additive((&'a [F], usize), (&'a [F], usize), &'a [F]),
    /// The derivative of a window's scores: queries with their stride.
    Window((&'a [F], usize)),
}

impl<F: Real> Summed<'_, F> {
    /// Adds those of row `at` and the rows of its memory, each times its number of `pairs`.
    #[inline(always)]
    pub(super) fn along(
        self,
        pairs: &[F],
        (at, memory): (usize, impl Iterator<Item = usize>),
        sum: &mut [F],
        totals: &mut [F],
    ) {
        for (step, (c, j)) in pairs.iter().zip(memory).enumerate() {
            self.add(*c, (at, j), j, step, sum, totals);
        }
    }

    /// Adds `c` times the summed row of a pair to `sum`, and to `totals` where there are some; the memory's row is its
    /// sequence's `step`, from 0 on.
    #[inline(always)]
    fn add(
        self,
        c: F,
        (row, memory): (usize, usize),
        other: usize,
        step: usize,
        sum: &mut [F],
        totals: &mut [F],
    ) {
        match self {
            Summed::Rows(from, stride) => {
                add_row(c, &from[other * stride..], sum);
            }
            Summed::Additive(query, keys, v) => {
                let query = &query.0[row * query.1..][..sum.len()];
                let key = &keys.0[memory * keys.1..][..sum.len()];
                let v = &v[..sum.len()];
                if totals.is_empty() {
                    for (n, to) in sum.iter_mut().enumerate() {
                        let t = (query[n] + key[n]).tanh();
                        *to += c * v[n] * (F::ONE - t * t);
                    }
                    return;
                }
                let totals = &mut totals[..sum.len()];
                for (n, to) in sum.iter_mut().enumerate() {
                    let t = (query[n] + key[n]).tanh();
                    *to += c * v[n] * (F::ONE - t * t);
                    totals[n] += c * t;
                }
            }
            Summed::Window(query) => {
                let [a, b, k] = window(&query.0[row * query.1..][..sum.len()]);
                let (d_a, rest) = sum.split_at_mut(a.len());
                let (d_b, d_k) = rest.split_at_mut(a.len());
                let step = F::of((step + 1) as f64);
                let c = c / F::of(a.len() as f64);
                for n in 0..a.len() {
                    let away = k[n] - step;
                    let e = c * (F::ZERO - b[n] * away * away).exp();
                    d_a[n] += e;
                    d_b[n] += F::ZERO - a[n] * away * away * e;
                    d_k[n] += F::of(-2.0) * a[n] * b[n] * away * e;
                }
            }
        }
    }
}

/// What a gradient of weighted sums goes back through, and where to: see [`query_gradient`].
pub struct AttendedRows {
    /// The memory that the rows look at.
    pub memory: Memory,
    /// The queries [R, D].
    pub query: Matrix,
    /// What steps are scored by.
    pub scoring: PairScores,
    /// The values [M, W].
    pub values: Matrix,
    /// The weights [R, S].
    pub weights: Matrix,
    /// The gradient of the weighted sums [R, W].
    pub upstream: Matrix,
    /// The gradient of the scores [R, S].
    pub scores: Matrix,
    /// The gradient of the queries [R, D].
    pub into: Matrix,
}

/// The operations that carry the gradient of weighted sums back to scores, and that to queries, called so.
pub fn query_gradient([scores, query]: [String; 2], of: &AttendedRows) -> [Op; 2] {
    let memory = of.memory;
    let back = Attend {
        name: scores,
        form: AttendForm::Scores {
            upstream: of.upstream,
            values: of.values,
            weights: of.weights,
            softmax: of.scoring.softmax(),
            scores: of.scores,
        },
        memory,
    };
    let sum = PairSum {
        name: query,
        form: PairForm::Rows { of: memory },
        pairs: of.scores,
        term: match of.scoring {
            PairScores::Dot(keys) => PairTerm::Rows(keys),
            PairScores::Additive(keys, vector) => PairTerm::Additive {
                query: of.query,
                keys,
                vector,
            },
            PairScores::Window => PairTerm::Window(of.query),
        },
        totals: None,
        into: of.into,
        accumulate: false,
    };
    [Op::Attend(back), Op::PairSum(sum)]
}

impl PairSum {
    /// Which step of which sequence row `at` of packed sequences is; `starts` are where their steps start.
    pub fn place(starts: &[u32], at: usize) -> (usize, usize) {
        let step = starts.partition_point(|start| *start as usize <= at) - 1;
        (step, at - starts[step] as usize)
    }

    /// The plain code of row `at` of the result; `words` are the counts, `sequences` those of the form, `pairs` begin at their
    /// matrix's first element. `totals` is a row of the totals or empty.
    #[inline(always)]
    pub fn plain_row<F: Real>(
        &self,
        at: usize,
        (words, sequences): (&[u32], &[u32]),
        pairs: &[F],
        summed: Summed<'_, F>,
        into: &mut [F],
        totals: &mut [F],
    ) {
        if !self.accumulate {
            into.fill(F::ZERO);
        }
        totals.fill(F::ZERO);
        match self.form {
            PairForm::Rows { of } => {
                let starts = &words[of.packed.first..];
                let pairs = &pairs[at * self.pairs.stride..];
                summed.along(pairs, (at, of.rows(starts, sequences[at])), into, totals);
            }
            PairForm::Memory {
                by, packed, steps, ..
            } => {
                let starts = &words[packed.first..][..=steps];
                let (step, of) = PairSum::place(starts, at);
                let looking = sequences[of];
                for row in by.rows(&words[by.packed.first..], looking) {
                    let c = pairs[row * self.pairs.stride + step];
                    summed.add(c, (row, at), row, step, into, totals);
                }
            }
        }
    }
}

impl Operation for PairSum {
    const KIND: &'static str = "pair_sum";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let over = self.form.over();
        let mut operands = vec![Operand::slot(over.packed.counts, over.words())];
        match self.form {
            PairForm::Rows { of } => {
                operands.push(Operand::slot(of.sequences, self.into.rows));
                operands.push(Operand::read(&mut self.pairs).sum());
            }
            PairForm::Memory {
                by,
                packed,
                steps,
                batch,
            } => {
                operands.push(Operand::slot(by.sequences, batch));
                operands.push(Operand::slot(packed.counts, packed.first + steps + 1));
                operands.push(Operand::read(&mut self.pairs).uncounted().sum());
            }
        }
        match &mut self.term {
            PairTerm::Rows(from) => operands.push(Operand::read(from).uncounted().rows()),
            PairTerm::Additive {
                query,
                keys,
                vector,
            } => {
                operands.push(Operand::read(query).uncounted().rows());
                operands.push(Operand::read(keys).uncounted().rows());
                operands.push(Operand::read(vector).uncounted());
            }
            PairTerm::Window(query) => operands.push(Operand::read(query).uncounted().rows()),
        }
        let totals = self.totals.as_mut();
        operands.extend(totals.map(|totals| Operand::write(totals).rows()));
        operands.push(Operand::accumulate(&mut self.into, &mut self.accumulate).rows());
        operands
    }

    fn cost(&self) -> Cost {
        // A multiply-add a pair and column; the derivative of tanh has a few more.
        let (each, read) = match &self.term {
            PairTerm::Rows(from) => (2, area(from)),
            PairTerm::Additive { query, keys, .. } => (12, area(query) + area(keys)),
            PairTerm::Window(query) => (12, area(query)),
        };
        Cost {
            flops: (each * area(&self.pairs) * self.into.cols) as f64,
            bytes: bytes(area(&self.pairs) + read + area(&self.into)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (rows, cols) = (self.into.rows, self.into.cols);
        match &self.term {
            PairTerm::Rows(from) if self.totals.is_none() => {
                same("summed", (from.rows, cols), (from.rows, from.cols))?;
            }
            PairTerm::Rows(_) => return Err("expected totals of additive scores alone".into()),
            PairTerm::Window(query) => match self.form {
                PairForm::Rows { .. } if cols.is_multiple_of(3) && self.totals.is_none() => {
                    same("query", (rows, cols), (query.rows, query.cols))?;
                }
                _ => return Err("expected a window's derivative by rows, of three parts".into()),
            },
            PairTerm::Additive {
                query,
                keys,
                vector,
            } => {
                same("query", (self.pairs.rows, cols), (query.rows, query.cols))?;
                same("keys", (keys.rows, cols), (keys.rows, keys.cols))?;
                same("vector", (1, cols), (vector.rows, vector.cols))?;
                if let Some(totals) = &self.totals {
                    same("totals", (rows, cols), (totals.rows, totals.cols))?;
                }
            }
        }
        let expected = match self.form {
            PairForm::Rows { of } => (rows, of.steps),
            PairForm::Memory { steps, .. } => (self.pairs.rows, steps),
        };
        same("pairs", expected, (self.pairs.rows, self.pairs.cols))
    }

    fn shape(&self) -> String {
        format!(
            "{} x {} x {}",
            self.pairs.rows, self.pairs.cols, self.into.cols
        )
    }

    fn sum_length(&self) -> usize {
        // The derivative of tanh is a few roundings, as that of a window.
        let roundings = match self.term {
            PairTerm::Rows(_) => 0,
            PairTerm::Additive { .. } | PairTerm::Window(_) => 8,
        };
        self.form.over().steps + roundings
    }

    fn place(&mut self, _: Segment) {}
}
