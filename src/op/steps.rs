//! A sequence's own steps beside one row for the whole of it: their sum, mean or maximum, or that row handed to each of them.

use super::scan::Packed;
use super::{Cost, FlatKernel, Matrix, Operand, Operation, Segment, area, bytes};
use crate::cell::real::Real;

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepsForm {
    /// sequences [B, D] = what each one's own rows come to; 0 for one without rows.
    Sum,
    /// rows [R, D] = the row of the sequence that each belongs to: the transposed map.
    Spread,
}

/// What a sequence's own rows come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Their sum.
    Sum,
    /// Their mean: each counts by one over their number.
    Mean,
    /// Their maximum, column by column. Its gradient goes to the first of the largest.
    Max,
}

/// Rows of T steps of B sequences, packed or not, and a row for each sequence. Either map is the gradient of the other; of
/// maxima where `values` says which rows they are of.
#[derive(Clone, Debug)]
pub struct Steps {
    /// The name in the plan.
    pub name: String,
    /// In which direction.
    pub form: StepsForm,
    /// The rows [R, D] of all steps.
    pub rows: Matrix,
    /// The rows [B, D] of the sequences.
    pub sequences: Matrix,
    /// T.
    pub steps: usize,
    /// B.
    pub batch: usize,
    /// Where a run says how the steps are packed; T steps of B rows where absent.
    pub packed: Option<Packed>,
    /// What a sequence's rows come to, or came to.
    pub pool: Pool,
    /// Of maxima, where they are handed out: the rows [R, D] whose maxima they are.
    pub values: Option<Matrix>,
    /// Whether the result is added to what is there.
    pub accumulate: bool,
}

impl Steps {
    /// What is read.
    pub fn from(&self) -> Matrix {
        match self.form {
            StepsForm::Sum => self.rows,
            StepsForm::Spread => self.sequences,
        }
    }

    /// What is written.
    pub fn into(&self) -> Matrix {
        match self.form {
            StepsForm::Sum => self.sequences,
            StepsForm::Spread => self.rows,
        }
    }

    /// The row of sequence `b` at step `t`, if it has that step; `starts` are where packed steps start [T+1].
    fn row(&self, t: usize, b: usize, starts: &[u32]) -> Option<usize> {
        if self.packed.is_none() {
            return Some(t * self.batch + b);
        }
        let row = starts[t] as usize + b;
        (row < starts[t + 1] as usize).then_some(row)
    }

    /// The row with the largest value of a column, the first of equal ones; a NaN is larger than any number.
    fn largest<F: Real>(values: &[F], stride: usize, own: impl Iterator<Item = usize>) -> usize {
        let larger = |a: F, b: F| b > a || (b.f64().is_nan() && !a.f64().is_nan());
        own.reduce(|best, row| {
            if larger(values[best * stride], values[row * stride]) {
                row
            } else {
                best
            }
        })
        .unwrap_or(0)
    }

    /// Maxima, and their gradients; `values` are the rows.
    fn plain_max<F: Real>(&self, starts: &[u32], values: &[F], from: &[F], into: &mut [F]) {
        let stride = self.values.unwrap_or(self.rows).stride;
        let (rows, sequences) = (self.rows.stride, self.sequences.stride);
        for b in 0..self.batch {
            let own = (0..self.steps).map_while(|t| self.row(t, b, starts));
            for column in 0..self.rows.cols {
                let at = b * sequences + column;
                if own.clone().next().is_none() {
                    if self.form == StepsForm::Sum {
                        into[at] = F::ZERO;
                    }
                    continue;
                }
                let best = Self::largest(&values[column..], stride, own.clone());
                if self.form == StepsForm::Sum {
                    into[at] = values[best * stride + column];
                    continue;
                }
                for row in own.clone() {
                    let to = &mut into[row * rows + column];
                    let own = if row == best { from[at] } else { F::ZERO };
                    *to = if self.accumulate { *to + own } else { own };
                }
            }
        }
    }

    /// The plain code; `values`, `from` and `into` start at the matrices' first elements, `values` are empty where there are
    /// none.
    pub fn plain<F: Real>(&self, starts: &[u32], values: &[F], from: &[F], into: &mut [F]) {
        if self.pool == Pool::Max {
            let values = if self.values.is_some() { values } else { from };
            return self.plain_max(starts, values, from, into);
        }
        let (rows, sequences) = (self.rows.stride, self.sequences.stride);
        let cols = self.rows.cols;
        for b in 0..self.batch {
            let own = (0..self.steps).map_while(|t| self.row(t, b, starts));
            let scale = if self.pool == Pool::Mean {
                F::ONE / F::of(own.clone().count().max(1) as f64)
            } else {
                F::ONE
            };
            if self.form == StepsForm::Sum && !self.accumulate {
                into[b * sequences..][..cols].fill(F::ZERO);
            }
            for row in own {
                let (to, from) = match self.form {
                    StepsForm::Sum => (b * sequences, &from[row * rows..]),
                    StepsForm::Spread => (row * rows, &from[b * sequences..]),
                };
                let to = &mut into[to..to + cols];
                if self.form == StepsForm::Spread && !self.accumulate {
                    to.fill(F::ZERO);
                }
                for (to, from) in to.iter_mut().zip(from) {
                    *to += scale * *from;
                }
            }
        }
    }
}

impl Steps {
    /// Its kernel.
    pub fn kernel(&self) -> FlatKernel {
        // The shader looks at a sequence's own rows alone, so that no row need be counted.
        let mut matrices = vec![
            ("rows", self.rows.uncounted()),
            ("sequences", self.sequences),
        ];
        matrices.extend(self.values.map(|values| ("values", values.uncounted())));
        FlatKernel {
            flags: vec![
                ("SUM", self.form == StepsForm::Sum),
                ("MEAN", self.pool == Pool::Mean),
                ("MAX", self.pool == Pool::Max),
                ("PACKED", self.packed.is_some()),
                ("ACCUMULATE", self.accumulate),
            ],
            sizes: vec![
                ("STEPS", self.steps),
                ("BATCH", self.batch),
                ("FIRST", self.packed.map_or(0, |p| p.first)),
            ],
            buffers: Vec::from_iter(self.packed.map(|p| ("starts", p.counts))),
            matrices,
            rows: self.batch,
        }
    }
}

impl Operation for Steps {
    const KIND: &'static str = "steps";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let words = self.steps + 1;
        let counts = self
            .packed
            .map(|p| Operand::slot(p.counts, p.first + words));
        let (rows, sequences) = (&mut self.rows, &mut self.sequences);
        let mut operands = match self.form {
            // The maximum of what was there and what comes is no sum.
            StepsForm::Sum if self.pool == Pool::Max => {
                vec![Operand::read(rows).rows(), Operand::write(sequences).sum()]
            }
            StepsForm::Sum => vec![
                Operand::read(rows).rows(),
                Operand::accumulate(sequences, &mut self.accumulate).sum(),
            ],
            StepsForm::Spread => vec![
                Operand::read(sequences).uncounted(),
                Operand::accumulate(rows, &mut self.accumulate).rows(),
            ],
        };
        let values = self.values.as_mut();
        operands.extend(values.map(|values| Operand::read(values).rows()));
        operands.extend(counts);
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 2.0 * area(&self.rows) as f64,
            bytes: bytes(area(&self.rows) + area(&self.sequences)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (rows, sequences) = (&self.rows, &self.sequences);
        let layout = self.packed.is_some() || rows.rows == self.steps * self.batch;
        if let Some(values) = &self.values {
            super::same("values", (rows.rows, rows.cols), (values.rows, values.cols))?;
        }
        let handed = self.pool == Pool::Max && self.form == StepsForm::Spread;
        if handed != self.values.is_some() {
            return Err("expected values where maxima are handed out, and there alone".into());
        }
        if layout && sequences.rows == self.batch && sequences.cols == rows.cols {
            return Ok(());
        }
        Err(format!(
            "expected {} steps of {} sequences, found rows [{}, {}] and sequences [{}, {}]",
            self.steps, self.batch, rows.rows, rows.cols, sequences.rows, sequences.cols
        ))
    }

    fn shape(&self) -> String {
        format!("{} x {} x {}", self.steps, self.batch, self.rows.cols)
    }

    fn sum_length(&self) -> usize {
        match self.pool {
            // A maximum is copied.
            Pool::Max => 0,
            Pool::Sum | Pool::Mean => self.steps,
        }
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    fn steps(form: StepsForm, packed: bool, pool: Pool, accumulate: bool) -> Steps {
        let matrix = |rows| Matrix {
            slot: SlotId(0),
            offset: 0,
            rows,
            cols: 2,
            stride: 3,
            row_count: None,
        };
        let rows = if packed { 7 } else { 9 };
        Steps {
            name: "steps".into(),
            form,
            rows: matrix(rows),
            sequences: matrix(3),
            steps: 3,
            batch: 3,
            packed: packed.then_some(Packed {
                counts: SlotId(1),
                first: 0,
            }),
            pool,
            values: (pool == Pool::Max && form == StepsForm::Spread).then(|| matrix(rows)),
            accumulate,
        }
    }

    /// Three sequences of 3, 2 and no steps; rows of two values, three apart.
    const STARTS: [u32; 4] = [0, 2, 4, 5];

    #[test]
    fn own_steps_are_summed_and_others_left_alone() {
        let rows: Vec<f64> = (0..27).map(f64::from).collect();
        let mut sums = vec![100.0; 9];
        steps(StepsForm::Sum, true, Pool::Sum, false).plain(&STARTS, &[], &rows, &mut sums);
        // Rows 0, 2, 4 and 1, 3; a sequence without steps has 0.
        assert_eq!(
            sums,
            [18.0, 21.0, 100.0, 12.0, 14.0, 100.0, 0.0, 0.0, 100.0]
        );
        steps(StepsForm::Sum, true, Pool::Mean, true).plain(&STARTS, &[], &rows, &mut sums);
        for (sum, want) in sums.iter().zip([24.0, 28.0, 100.0, 18.0, 21.0]) {
            assert!((sum - want).abs() < 1e-12, "{sum} {want}");
        }
        steps(StepsForm::Sum, false, Pool::Sum, false).plain(&[], &[], &rows, &mut sums);
        assert_eq!(sums[..2], [27.0, 30.0]);
    }

    #[test]
    fn handing_out_is_the_transpose_of_summing() {
        let rows: Vec<f64> = (0..27).map(|i| f64::from(i).sin()).collect();
        let sequences: Vec<f64> = (0..9).map(|i| f64::from(i).cos()).collect();
        let dot = |a: &[f64], b: &[f64]| -> f64 {
            let element = |i: &usize| i % 3 < 2;
            (0..a.len()).filter(element).map(|i| a[i] * b[i]).sum()
        };
        for (packed, pool) in [(true, Pool::Sum), (true, Pool::Mean), (false, Pool::Mean)] {
            let (mut sums, mut spread) = (vec![0.0; 9], vec![0.0; 27]);
            steps(StepsForm::Sum, packed, pool, false).plain(&STARTS, &[], &rows, &mut sums);
            let of = steps(StepsForm::Spread, packed, pool, false);
            of.plain(&STARTS, &[], &sequences, &mut spread);
            let (a, b) = (dot(&sums, &sequences), dot(&rows, &spread));
            assert!((a - b).abs() < 1e-12, "{a} {b}");
            // A row behind the last sequence stays as it was.
            assert_eq!(spread[15..].iter().any(|x| *x != 0.0), !packed);
        }
    }

    #[test]
    fn the_largest_step_is_taken_and_the_first_of_equal_ones_has_its_gradient() {
        // Rows 0, 2, 4 are of the first sequence, 1 and 3 of the second, a third has none; three columns a row.
        let rows = [
            -1.0, 5.0, 9.0, -2.0, 1.0, 9.0, -3.0, 5.0, 9.0, -7.0, 4.0, 9.0, -0.5, 2.0, 9.0,
        ];
        let mut most = vec![100.0; 9];
        steps(StepsForm::Sum, true, Pool::Max, false).plain(&STARTS, &[], &rows, &mut most);
        assert_eq!(most, [-0.5, 5.0, 100.0, -2.0, 4.0, 100.0, 0.0, 0.0, 100.0]);
        let upstream = [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 5.0, 6.0, 0.0];
        let mut back = vec![7.0; 15];
        steps(StepsForm::Spread, true, Pool::Max, false)
            .plain(&STARTS, &rows, &upstream, &mut back);
        assert_eq!(
            back,
            [
                0.0, 2.0, 7.0, 3.0, 0.0, 7.0, 0.0, 0.0, 7.0, 0.0, 4.0, 7.0, 1.0, 0.0, 7.0
            ]
        );
        steps(StepsForm::Spread, true, Pool::Max, true).plain(&STARTS, &rows, &upstream, &mut back);
        assert_eq!(back[..2], [0.0, 4.0]);
        // What is no number comes through, whatever comes behind it.
        let broken = [
            0.0,
            f64::NAN,
            0.0,
            0.0,
            0.0,
            0.0,
            1.0,
            1.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
        ];
        steps(StepsForm::Sum, true, Pool::Max, false).plain(&STARTS, &[], &broken, &mut most);
        assert!(most[0] == 1.0 && most[1].is_nan());
    }
}
