//! Sums along the pairs of attention, of a row and a row of its memory: the gradients of queries, keys and values.

use super::attend::Memory;
use super::scan::Packed;
use super::{Cost, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same};
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
        /// Words, one for every sequence of the memory: the sequence whose rows look at it.
        sequences: SlotId,
        /// How those sequences are packed, and how many steps they have at most.
        rows: (Packed, usize),
        /// How the memory's are, and how many steps and sequences there are at most.
        memory: (Packed, usize, usize),
    },
}

/// What stands in place of the summed rows for additive scores `v . tanh(query + key)`: their derivative,
/// `v (1 - tanh(query + key)^2)`.
#[derive(Clone, Copy, Debug)]
pub struct Additive {
    /// The queries [R, D].
    pub query: Matrix,
    /// The keys [M, D].
    pub keys: Matrix,
    /// v [1, D].
    pub vector: Matrix,
    /// Along the memory: also `sum_r c[r, j] tanh(query[r] + key[j])` [M, D], whose column sums are the gradient of v.
    pub totals: Option<Matrix>,
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
    /// What is summed; of additive scores their derivative.
    pub from: Option<Matrix>,
    /// Of additive scores.
    pub additive: Option<Additive>,
    /// The sums.
    pub into: Matrix,
    /// Whether they are added to what is there.
    pub accumulate: bool,
}

/// What is summed over pairs, by rows that look and rows of the memory.
#[derive(Clone, Copy)]
pub enum Summed<'a, F> {
    /// Rows of the other side.
    Rows(&'a [F], usize),
    /// The derivative of additive scores: queries and keys with their strides, and the vector.
    Additive((&'a [F], usize), (&'a [F], usize), &'a [F]),
}

impl<F: Real> Summed<'_, F> {
    /// Adds `c` times the summed row of a pair to `sum`, and to `totals` where there are some.
    #[inline(always)]
    fn add(
        self,
        c: F,
        (row, memory): (usize, usize),
        other: usize,
        sum: &mut [F],
        totals: &mut [F],
    ) {
        match self {
            Summed::Rows(from, stride) => {
                let from = &from[other * stride..][..sum.len()];
                for (to, from) in sum.iter_mut().zip(from) {
                    *to = c.mul_add(*from, *to);
                }
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
        }
    }
}

impl PairSum {
    /// Where additive scores leave the gradient of their vector.
    pub fn totals(&self) -> Option<Matrix> {
        self.additive.and_then(|a| a.totals)
    }

    /// The plain code of a row of the result; `words` are the counts, `sequences` those of the form, `pairs` begin at their
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
                for (c, j) in pairs.iter().zip(of.rows(starts, sequences[at])) {
                    summed.add(*c, (at, j), j, into, totals);
                }
            }
            PairForm::Memory {
                rows: (rows, steps),
                memory: (memory, most, _),
                ..
            } => {
                let starts = &words[memory.first..][..=most];
                // Which step of which sequence this row of the memory is.
                let step = starts.partition_point(|start| *start as usize <= at) - 1;
                let b = sequences[at - starts[step] as usize];
                let starts = &words[rows.first..][..=steps];
                for w in starts.windows(2) {
                    let row = w[0] + b;
                    if row >= w[1] {
                        break;
                    }
                    let row = row as usize;
                    let c = pairs[row * self.pairs.stride + step];
                    summed.add(c, (row, at), row, into, totals);
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
        let mut operands = Vec::new();
        let counts =
            |packed: Packed, steps: usize| Operand::slot(packed.counts, packed.first + steps + 1);
        match self.form {
            PairForm::Rows { of } => {
                operands.push(Operand::slot(of.sequences, self.into.rows));
                operands.push(counts(of.packed, of.steps));
                operands.push(Operand::read(&mut self.pairs).sum());
            }
            PairForm::Memory {
                sequences,
                rows: (rows, steps),
                memory: (memory, most, batch),
            } => {
                operands.push(Operand::slot(sequences, batch));
                operands.push(counts(rows, steps));
                operands.push(counts(memory, most));
                operands.push(Operand::read(&mut self.pairs).uncounted().sum());
            }
        }
        let from = self.from.as_mut();
        operands.extend(from.map(|from| Operand::read(from).uncounted().rows()));
        if let Some(additive) = &mut self.additive {
            operands.push(Operand::read(&mut additive.query).uncounted().rows());
            operands.push(Operand::read(&mut additive.keys).uncounted().rows());
            operands.push(Operand::read(&mut additive.vector).uncounted());
            let totals = additive.totals.as_mut();
            operands.extend(totals.map(|totals| Operand::write(totals).rows()));
        }
        operands.push(Operand::accumulate(&mut self.into, &mut self.accumulate).rows());
        operands
    }

    fn cost(&self) -> Cost {
        // A multiply-add a pair and column; the derivative of tanh has a few more.
        let each = if self.additive.is_some() { 12 } else { 2 };
        let read = self.from.map_or(0, |from| area(&from));
        let additive = self.additive.map_or(0, |a| area(&a.query) + area(&a.keys));
        Cost {
            flops: (each * area(&self.pairs) * self.into.cols) as f64,
            bytes: bytes(area(&self.pairs) + read + additive + area(&self.into)),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.from.is_some() == self.additive.is_some() {
            return Err("expected rows that are summed or additive scores, one of them".into());
        }
        if let Some(from) = self.from {
            same(
                "summed",
                (from.rows, self.into.cols),
                (from.rows, from.cols),
            )?;
        }
        if let Some(Additive {
            query,
            keys,
            vector,
            totals,
        }) = self.additive
        {
            let cols = self.into.cols;
            same("query", (self.pairs.rows, cols), (query.rows, query.cols))?;
            same("keys", (keys.rows, cols), (keys.rows, keys.cols))?;
            same("vector", (1, cols), (vector.rows, vector.cols))?;
            if let Some(totals) = totals {
                same("totals", (self.into.rows, cols), (totals.rows, totals.cols))?;
            }
        }
        match self.form {
            PairForm::Rows { of } => same(
                "pairs",
                (self.into.rows, of.steps),
                (self.pairs.rows, self.pairs.cols),
            ),
            PairForm::Memory {
                memory: (_, most, _),
                ..
            } => same(
                "pairs",
                (self.pairs.rows, most),
                (self.pairs.rows, self.pairs.cols),
            ),
        }
    }

    fn shape(&self) -> String {
        format!(
            "{} x {} x {}",
            self.pairs.rows, self.pairs.cols, self.into.cols
        )
    }

    fn sum_length(&self) -> usize {
        let own = match self.form {
            PairForm::Rows { of } => of.steps,
            PairForm::Memory {
                rows: (_, steps), ..
            } => steps,
        };
        // The derivative of tanh is a few roundings.
        own + if self.additive.is_some() { 8 } else { 0 }
    }

    fn place(&mut self, _: Segment) {}
}
