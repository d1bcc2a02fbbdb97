//! Attention: every row weighs the rows of a memory by scores, and takes their weighted sum.
//!
//! A memory is rows of packed sequences; each query's row looks at all steps of one of them. Bahdanau, Cho, Bengio 2015,
//! "Neural machine translation by jointly learning to align and translate", section 3 (additive scores); Luong, Pham, Manning
//! 2015, "Effective approaches to attention-based neural machine translation", section 3.1 (dot, general).

use super::scan::Packed;
use super::{Cost, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same};
use crate::cell::real::Real;

/// Which sequence of a memory each row looks at, or of other rows each sequence of a memory is looked at by, and where its rows
/// lie.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Words, one for every row that looks: the number of the memory's sequence.
    pub sequences: SlotId,
    /// How the memory's sequences are packed: row `starts[j] + k` is step j of sequence k.
    pub packed: Packed,
    /// The most steps of a sequence, S.
    pub steps: usize,
}

impl Memory {
    /// How many words of the slot of counts are looked at.
    pub(super) fn words(&self) -> usize {
        self.packed.first + self.steps + 1
    }

    /// The rows of the memory's sequence `k`, in order; `starts` are where its steps start `[S + 1]`.
    #[inline(always)]
    pub fn rows(self, starts: &[u32], k: u32) -> impl Iterator<Item = usize> + Clone {
        let starts = &starts[..=self.steps];
        let each = starts.windows(2).map(move |w| (w[0] + k, w[1]));
        each.take_while(|(row, end)| row < end)
            .map(|(row, _)| row as usize)
    }
}

/// What a step of a memory is scored by: `K` are keys, `V` a vector, as matrices of a plan or as numbers.
#[derive(Clone, Copy, Debug)]
pub enum PairScores<K = Matrix, V = Matrix> {
    /// `query . key`, of keys [M, D].
    Dot(K),
    /// `v . tanh(query + key)`, of keys [M, D] and v [1, D].
    Additive(K, V),
    /// The mean over c of `a[c] exp(-b[c] (k[c] - j)^2)` for step j, which counts from 1; the query's row [3 D] is a, b, k
    /// side by side. The scores are the weights, without a softmax. Graves 2013, "Generating sequences with recurrent neural
    /// networks", equation 46, but for the mean, with which weights do not grow with D.
    Window,
}

impl<K, V> PairScores<K, V> {
    /// The same, of other keys and another vector.
    pub fn map<L, W>(
        self,
        keys: impl FnOnce(K) -> L,
        vector: impl FnOnce(V) -> W,
    ) -> PairScores<L, W> {
        match self {
            PairScores::Dot(k) => PairScores::Dot(keys(k)),
            PairScores::Additive(k, v) => PairScores::Additive(keys(k), vector(v)),
            PairScores::Window => PairScores::Window,
        }
    }

    /// Whether weights are the softmax of scores.
    pub fn softmax(&self) -> bool {
        !matches!(self, PairScores::Window)
    }
}

/// In which direction.
#[derive(Clone, Copy, Debug)]
pub enum AttendForm {
    /// `weights[r] = softmax_j(score(query[r], j))` and `out[r] = sum_j weights[r, j] values[j]`, j over the steps of
    /// the sequence that row r looks at.
    Forward {
        /// The queries [R, D], or [R, 3 D] of a window.
        query: Matrix,
        /// What steps are scored by.
        scoring: PairScores,
        /// The values [M, W].
        values: Matrix,
        /// The weights [R, S]; those beyond a sequence's steps stay as they are.
        weights: Matrix,
        /// The weighted sums [R, W].
        out: Matrix,
    },
    /// The gradient with respect to the scores: `scores[r, j] = weights[r, j] (g[j] - sum_i weights[r, i] g[i])`, where
    /// `g[j] = upstream[r] . values[j]`; without a softmax `scores[r, j] = g[j]`.
    Scores {
        /// The gradient of the weighted sums [R, W].
        upstream: Matrix,
        /// The values [M, W].
        values: Matrix,
        /// The weights [R, S].
        weights: Matrix,
        /// Whether weights are the softmax of scores.
        softmax: bool,
        /// The gradient of the scores [R, S].
        scores: Matrix,
    },
}

/// Attention of rows over a memory, or the gradient of its scores.
#[derive(Clone, Debug)]
pub struct Attend {
    /// The name in the plan.
    pub name: String,
    /// What is made.
    pub form: AttendForm,
    /// The memory.
    pub memory: Memory,
}

/// Partial sums of a row that are added side by side, so that they become vector code.
const LANES: usize = 16;

/// The sum of `term` over `0..n`.
#[inline(always)]
fn total<F: Real>(n: usize, term: impl Fn(usize) -> F) -> F {
    let mut lanes = [F::ZERO; LANES];
    let whole = n / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    let mut sum = F::ZERO;
    for lane in lanes {
        sum += lane;
    }
    (whole..n).fold(sum, |sum, i| sum + term(i))
}

/// The inner product.
#[inline(always)]
pub(super) fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    // Loops over numbers: adapters of iterators are called, not inlined, within code of so many of them.
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b[..a.len()].as_chunks::<LANES>());
    let mut lanes = [F::ZERO; LANES];
    for n in 0..a.len() {
        let (a, b) = (&a[n], &b[n]);
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    let mut sum = F::ZERO;
    for n in 0..a_rest.len() {
        sum = a_rest[n].mul_add(b_rest[n], sum);
    }
    for lane in lanes {
        sum += lane;
    }
    sum
}

/// Adds `by` times a row.
#[inline(always)]
pub(super) fn add_row<F: Real>(by: F, row: &[F], to: &mut [F]) {
    let row = &row[..to.len()];
    for n in 0..to.len() {
        to[n] = by.mul_add(row[n], to[n]);
    }
}

/// What scores are made of: a row of the query, and the keys with their stride and the vector.
type ScoreOperands<'a, F> = (&'a [F], PairScores<(&'a [F], usize), &'a [F]>);

/// The three parts of a window's row.
#[inline(always)]
pub(super) fn window<F>(row: &[F]) -> [&[F]; 3] {
    let d = row.len() / 3;
    [&row[..d], &row[d..2 * d], &row[2 * d..]]
}

impl PairScores {
    /// What is read of it, by rows.
    pub(super) fn operands(&mut self) -> Vec<Operand<'_>> {
        match self {
            PairScores::Dot(keys) => vec![Operand::read(keys).rows()],
            PairScores::Additive(keys, vector) => {
                vec![Operand::read(keys).rows(), Operand::read(vector)]
            }
            PairScores::Window => Vec::new(),
        }
    }
}

impl Attend {
    /// The weights [R, S], of which every row that looks has a row in either form.
    pub fn weights(&self) -> Matrix {
        match self.form {
            AttendForm::Forward { weights, .. } | AttendForm::Scores { weights, .. } => weights,
        }
    }

    /// The plain code of a row: its weights `[S]` and its sum `[W]`. `query` is that row, the others begin at the matrices' first
    /// elements; `starts` are where the memory's steps start, `k` the sequence that is looked at.
    #[inline(always)]
    pub fn plain_row<'a, F: Real>(
        memory: Memory,
        starts: &[u32],
        k: u32,
        (query, scoring): ScoreOperands<'a, F>,
        (values, stride): (&[F], usize),
        weights: &mut [F],
        out: &mut [F],
    ) {
        let own = memory.rows(starts, k);
        let mut largest = F::of(f64::NEG_INFINITY);
        let mut count = 0;
        for (weight, row) in weights.iter_mut().zip(own.clone()) {
            let key = |keys: (&'a [F], usize)| &keys.0[row * keys.1..][..query.len()];
            *weight = match scoring {
                PairScores::Dot(keys) => dot(query, key(keys)),
                PairScores::Additive(keys, v) => {
                    let key = key(keys);
                    total(query.len(), |c| v[c] * (query[c] + key[c]).tanh())
                }
                PairScores::Window => {
                    let [a, b, k] = window(query);
                    let step = F::of((count + 1) as f64);
                    let sum = total(a.len(), |c| {
                        let away = k[c] - step;
                        a[c] * (F::ZERO - b[c] * away * away).exp()
                    });
                    sum / F::of(a.len() as f64)
                }
            };
            if *weight > largest {
                largest = *weight;
            }
            count += 1;
        }
        let weights = &mut weights[..count];
        let mut by = F::ONE;
        if scoring.softmax() {
            let mut sum = F::ZERO;
            for weight in &mut *weights {
                // A NaN that no comparison saw comes into the sum.
                *weight = (*weight - largest).exp();
                sum += *weight;
            }
            by = F::ONE / sum;
        }
        out.fill(F::ZERO);
        for (weight, row) in weights.iter_mut().zip(own) {
            *weight = *weight * by;
            add_row(*weight, &values[row * stride..], out);
        }
    }

    /// The plain code of a row of the scores' gradient `[S]`; `upstream` and `weights` are that row, which is empty where
    /// weights are no softmax.
    #[inline(always)]
    pub fn plain_scores<F: Real>(
        memory: Memory,
        starts: &[u32],
        k: u32,
        upstream: &[F],
        (values, stride): (&[F], usize),
        weights: &[F],
        scores: &mut [F],
    ) {
        let mut mean = F::ZERO;
        let mut count = 0;
        let own = memory.rows(starts, k);
        for (score, row) in scores.iter_mut().zip(own) {
            *score = dot(upstream, &values[row * stride..][..upstream.len()]);
            count += 1;
        }
        for (score, weight) in scores[..count].iter().zip(weights) {
            mean = weight.mul_add(*score, mean);
        }
        for (score, weight) in scores[..count].iter_mut().zip(weights) {
            *score = *weight * (*score - mean);
        }
    }
}

impl Operation for Attend {
    const KIND: &'static str = "attend";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let rows = self.weights().rows;
        let mut operands = vec![
            Operand::slot(self.memory.sequences, rows),
            Operand::slot(self.memory.packed.counts, self.memory.words()),
        ];
        match &mut self.form {
            AttendForm::Forward {
                query,
                scoring,
                values,
                weights,
                out,
            } => {
                operands.push(Operand::read(query).rows());
                operands.extend(scoring.operands().into_iter().map(Operand::uncounted));
                operands.push(Operand::read(values).uncounted().rows());
                // Beyond a sequence's steps nothing is written.
                operands.push(Operand::update(weights).sum());
                operands.push(Operand::write(out).rows());
            }
            AttendForm::Scores {
                upstream,
                values,
                weights,
                softmax,
                scores,
            } => {
                operands.push(Operand::read(upstream).rows());
                operands.push(Operand::read(values).uncounted().rows());
                operands.extend(softmax.then(|| Operand::read(weights).sum()));
                operands.push(Operand::update(scores).sum());
            }
        }
        operands
    }

    fn cost(&self) -> Cost {
        // At most: as if every sequence of the memory had all steps.
        let (rows, steps) = (self.weights().rows, self.memory.steps);
        let (flops, elements) = match &self.form {
            AttendForm::Forward {
                query,
                scoring,
                values,
                weights,
                out,
            } => {
                let (each, keys) = match scoring {
                    PairScores::Dot(keys) => (2, area(keys)),
                    PairScores::Additive(keys, _) => (4, area(keys)),
                    PairScores::Window => (2, 0),
                };
                (
                    rows * steps * (2 * out.cols + each * query.cols),
                    area(query) + keys + area(values) + area(weights) + area(out),
                )
            }
            AttendForm::Scores {
                upstream,
                values,
                weights,
                ..
            } => (
                2 * rows * steps * upstream.cols,
                area(upstream) + area(values) + 2 * area(weights),
            ),
        };
        Cost {
            flops: flops as f64,
            bytes: bytes(elements),
        }
    }

    fn check(&self) -> Result<(), String> {
        let steps = self.memory.steps;
        match &self.form {
            AttendForm::Forward {
                query,
                scoring,
                values,
                weights,
                out,
            } => {
                let rows = query.rows;
                same("weights", (rows, steps), (weights.rows, weights.cols))?;
                same("result", (rows, values.cols), (out.rows, out.cols))?;
                let keys =
                    |keys: &Matrix| same("keys", (values.rows, query.cols), (keys.rows, keys.cols));
                match scoring {
                    PairScores::Dot(k) => keys(k),
                    PairScores::Additive(k, v) => {
                        keys(k)?;
                        same("vector", (1, query.cols), (v.rows, v.cols))
                    }
                    PairScores::Window if query.cols.is_multiple_of(3) => Ok(()),
                    PairScores::Window => Err(format!(
                        "expected a query of three parts of one width, found {} columns",
                        query.cols
                    )),
                }
            }
            AttendForm::Scores {
                upstream,
                values,
                weights,
                scores,
                ..
            } => {
                let rows = upstream.rows;
                same(
                    "values",
                    (values.rows, upstream.cols),
                    (values.rows, values.cols),
                )?;
                same("weights", (rows, steps), (weights.rows, weights.cols))?;
                same("scores", (rows, steps), (scores.rows, scores.cols))
            }
        }
    }

    fn shape(&self) -> String {
        let steps = self.memory.steps;
        match &self.form {
            AttendForm::Forward { query, out, .. } => {
                format!("{} x {steps} x {} + {}", query.rows, query.cols, out.cols)
            }
            AttendForm::Scores { upstream, .. } => {
                format!("{} x {steps} x {}", upstream.rows, upstream.cols)
            }
        }
    }

    fn sum_length(&self) -> usize {
        match &self.form {
            // A score, the sum of exponentials, the weighted sum.
            AttendForm::Forward { query, .. } => query.cols + 2 * self.memory.steps,
            AttendForm::Scores { upstream, .. } => upstream.cols + self.memory.steps,
        }
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sequences of 3 and 1 steps.
    const STARTS: [u32; 4] = [0, 2, 3, 4];

    fn memory() -> Memory {
        Memory {
            sequences: SlotId(0),
            packed: Packed {
                counts: SlotId(1),
                first: 0,
            },
            steps: 3,
        }
    }

    /// The plain code of a row that looks at sequence `k`.
    fn row(
        k: u32,
        of: ScoreOperands<'_, f64>,
        values: (&[f64], usize),
        weights: &mut [f64],
        out: &mut [f64],
    ) {
        Attend::plain_row(memory(), &STARTS, k, of, values, weights, out);
    }

    #[test]
    fn a_row_sees_its_own_sequence_alone() {
        // Keys of one column, values of two; rows 0, 2, 3 are the first sequence, row 1 the second.
        let keys = [1.0, 50.0, 0.0, -1.0];
        let values = [1.0, 0.0, 7.0, 8.0, 0.0, 1.0, 2.0, 2.0];
        let mut weights = [9.0; 3];
        let mut out = [9.0; 2];
        let query = [2.0f64];
        let of = (&query[..], PairScores::Dot((&keys[..], 1)));
        row(0, of, (&values, 2), &mut weights, &mut out);
        let e = [2f64.exp(), 1.0, (-2f64).exp()];
        let sum: f64 = e.iter().sum();
        for (weight, e) in weights.iter().zip(e) {
            assert!((weight - e / sum).abs() < 1e-15);
        }
        let want = [(e[0] + 2.0 * e[2]) / sum, (e[1] + 2.0 * e[2]) / sum];
        assert!((out[0] - want[0]).abs() < 1e-15 && (out[1] - want[1]).abs() < 1e-15);
        // One step has all the weight, and places beyond it stay.
        let mut weights = [9.0; 3];
        row(1, of, (&values, 2), &mut weights, &mut out);
        assert_eq!((weights, out), ([1.0, 9.0, 9.0], [7.0, 8.0]));
    }

    #[test]
    fn additive_scores_are_those_of_tanh() {
        let (keys, values) = (
            [0.5, -0.5, 9.0, 9.0, 1.0, 0.25, 0.0, 0.0],
            [1.0, 0.0, 2.0, 3.0],
        );
        let (query, v) = ([0.1, 0.2], [2.0, -1.0]);
        let mut weights = [0.0; 3];
        let mut out = [0.0];
        let of = (&query[..], PairScores::Additive((&keys[..], 2), &v[..]));
        row(0, of, (&values, 1), &mut weights, &mut out);
        let score = |a: f64, b: f64| (2.0 * (a + 0.1).tanh() - (b + 0.2).tanh()).exp();
        let e = [score(0.5, -0.5), score(1.0, 0.25), score(0.0, 0.0)];
        let sum: f64 = e.iter().sum();
        assert!((out[0] - (e[0] + 2.0 * e[1] + 3.0 * e[2]) / sum).abs() < 1e-14);
    }

    #[test]
    fn a_window_weighs_steps_by_where_they_lie() {
        let (values, a, b, k) = ([1.0, 10.0, 100.0, 0.0], [2.0, 0.5], [1.0, 3.0], [1.5, 2.0]);
        let query = [a, b, k].concat();
        let (mut weights, mut out) = ([9.0; 3], [0.0]);
        let of = (&query[..], PairScores::Window);
        row(0, of, (&values, 1), &mut weights, &mut out);
        // Rows 0, 2, 3 are steps 1, 2, 3.
        let weight = |step: f64| {
            (2.0 * (-(1.5 - step).powi(2)).exp() + 0.5 * (-3.0 * (2.0 - step).powi(2)).exp()) / 2.0
        };
        for (got, step) in weights.iter().zip([1.0, 2.0, 3.0]) {
            assert!((got - weight(step)).abs() < 1e-15);
        }
        assert!((out[0] - (weight(1.0) + 100.0 * weight(2.0))).abs() < 1e-12);
    }
}
