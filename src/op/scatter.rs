//! Sums rows by token id without atomics: an index sorts the rows by id, and each table row sums its own run in order.

use super::{Cost, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same};
use crate::cell::real::Real;

/// into [V, D] = sums of the rows of from [R, D] that have the same id.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// The name in the plan.
    pub name: String,
    /// The slot with [`index`]'s words.
    pub index: SlotId,
    /// The rows.
    pub from: Matrix,
    /// The table's gradient.
    pub into: Matrix,
    /// Whether the sums are added to what `into` holds.
    pub accumulate: bool,
    /// The first word of its part of the index slot, which has one for every segment of a minibatch.
    pub at: usize,
}

/// The index of `ids`, at most `rows` = R of them: row numbers sorted by id, rows of one id in their order, then where each id's run starts
/// [V + 1].
pub fn index(ids: &[u32], rows: usize, vocabulary: usize) -> Vec<u32> {
    let mut words = vec![0u32; rows + vocabulary + 1];
    let (order, starts) = words.split_at_mut(rows);
    for id in ids {
        starts[*id as usize + 1] += 1;
    }
    for v in 0..vocabulary {
        starts[v + 1] += starts[v];
    }
    let mut next = starts.to_vec();
    for (row, id) in ids.iter().enumerate() {
        let place = &mut next[*id as usize];
        order[*place as usize] = row as u32;
        *place += 1;
    }
    words
}

impl Scatter {
    /// The plain code, for rows `ids` of the table, `into` starting at the first of them.
    #[inline(always)]
    pub fn plain<F: Real>(
        &self,
        index: &[u32],
        ids: std::ops::Range<usize>,
        from: &[F],
        into: &mut [F],
    ) {
        let (order, starts) = index.split_at(self.from.rows);
        for v in ids.clone() {
            let to = (v - ids.start) * self.into.stride;
            let out = &mut into[to..to + self.into.cols];
            if !self.accumulate {
                out.fill(F::ZERO);
            }
            for row in &order[starts[v] as usize..starts[v + 1] as usize] {
                let at = *row as usize * self.from.stride;
                for (out, x) in out.iter_mut().zip(&from[at..at + self.from.cols]) {
                    *out += *x;
                }
            }
        }
    }
}

impl Scatter {
    /// The words of [`index`] for its rows and its table.
    fn index_words(&self) -> usize {
        self.from.rows + self.into.rows + 1
    }
}

impl Operation for Scatter {
    const KIND: &'static str = "scatter";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let index = Operand::slot(self.index, self.at + self.index_words());
        vec![
            // The index lists only rows that count.
            Operand::read(&mut self.from).uncounted(),
            index,
            Operand::accumulate(&mut self.into, &mut self.accumulate).sum(),
        ]
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.from) as f64,
            bytes: bytes(area(&self.from) + area(&self.into)),
        }
    }

    fn check(&self) -> Result<(), String> {
        same(
            "result",
            (self.into.rows, self.from.cols),
            (self.into.rows, self.into.cols),
        )
    }

    fn shape(&self) -> String {
        format!(
            "{} x {} into {}",
            self.from.rows, self.from.cols, self.into.rows
        )
    }

    fn sum_length(&self) -> usize {
        self.from.rows
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, 0]
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.index * self.index_words();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_index_sorts_rows_by_id_and_keeps_their_order() {
        let words = super::index(&[2, 0, 2, 3, 0], 5, 4);
        assert_eq!(words, [1, 4, 0, 2, 3, 0, 2, 2, 4, 5]);
    }
}
