//! A sequence's own steps beside one row for the whole of it: their sum or mean, or that row handed to each of them.

use super::scan::Packed;
use super::{Cost, FlatKernel, Matrix, Operand, Operation, Segment, area, bytes};
use crate::cell::real::Real;

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepsForm {
    /// sequences [B, D] = the sum of each one's own rows; 0 for one without rows.
    Sum,
    /// rows [R, D] = the row of the sequence that each belongs to: the transposed map.
    Spread,
}

/// Rows of T steps of B sequences, packed or not, and a row for each sequence. Either map is the gradient of the other.
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
    /// Whether each row counts by one over the number of its sequence's steps: means instead of sums.
    pub mean: bool,
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

    /// The plain code; `from` and `into` start at the matrices' first elements.
    pub fn plain<F: Real>(&self, starts: &[u32], from: &[F], into: &mut [F]) {
        let (rows, sequences) = (self.rows.stride, self.sequences.stride);
        let cols = self.rows.cols;
        for b in 0..self.batch {
            let own = (0..self.steps).map_while(|t| self.row(t, b, starts));
            let scale = if self.mean {
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
        let rows = Matrix {
            row_count: None,
            ..self.rows
        };
        FlatKernel {
            flags: vec![
                ("SUM", self.form == StepsForm::Sum),
                ("MEAN", self.mean),
                ("PACKED", self.packed.is_some()),
                ("ACCUMULATE", self.accumulate),
            ],
            sizes: vec![
                ("STEPS", self.steps),
                ("BATCH", self.batch),
                ("FIRST", self.packed.map_or(0, |p| p.first)),
            ],
            buffers: Vec::from_iter(self.packed.map(|p| ("starts", p.counts))),
            matrices: vec![("rows", rows), ("sequences", self.sequences)],
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
            StepsForm::Sum => vec![
                Operand::read(rows).rows(),
                Operand::accumulate(sequences, &mut self.accumulate).sum(),
            ],
            StepsForm::Spread => vec![
                Operand::read(sequences).uncounted(),
                Operand::accumulate(rows, &mut self.accumulate).rows(),
            ],
        };
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
        self.steps
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    fn steps(form: StepsForm, packed: bool, mean: bool, accumulate: bool) -> Steps {
        let matrix = |rows| Matrix {
            slot: SlotId(0),
            offset: 0,
            rows,
            cols: 2,
            stride: 3,
            row_count: None,
        };
        Steps {
            name: "steps".into(),
            form,
            rows: matrix(if packed { 7 } else { 9 }),
            sequences: matrix(3),
            steps: 3,
            batch: 3,
            packed: packed.then_some(Packed {
                counts: SlotId(1),
                first: 0,
            }),
            mean,
            accumulate,
        }
    }

    /// Three sequences of 3, 2 and no steps; rows of two values, three apart.
    const STARTS: [u32; 4] = [0, 2, 4, 5];

    #[test]
    fn own_steps_are_summed_and_others_left_alone() {
        let rows: Vec<f64> = (0..27).map(f64::from).collect();
        let mut sums = vec![100.0; 9];
        steps(StepsForm::Sum, true, false, false).plain(&STARTS, &rows, &mut sums);
        // Rows 0, 2, 4 and 1, 3; a sequence without steps has 0.
        assert_eq!(
            sums,
            [18.0, 21.0, 100.0, 12.0, 14.0, 100.0, 0.0, 0.0, 100.0]
        );
        steps(StepsForm::Sum, true, true, true).plain(&STARTS, &rows, &mut sums);
        for (sum, want) in sums.iter().zip([24.0, 28.0, 100.0, 18.0, 21.0]) {
            assert!((sum - want).abs() < 1e-12, "{sum} {want}");
        }
        steps(StepsForm::Sum, false, false, false).plain(&[], &rows, &mut sums);
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
        for (packed, mean) in [(true, false), (true, true), (false, true)] {
            let (mut sums, mut spread) = (vec![0.0; 9], vec![0.0; 27]);
            steps(StepsForm::Sum, packed, mean, false).plain(&STARTS, &rows, &mut sums);
            let of = steps(StepsForm::Spread, packed, mean, false);
            of.plain(&STARTS, &sequences, &mut spread);
            let (a, b) = (dot(&sums, &sequences), dot(&rows, &spread));
            assert!((a - b).abs() < 1e-12, "{a} {b}");
            // A row behind the last sequence stays as it was.
            assert_eq!(spread[15..].iter().any(|x| *x != 0.0), !packed);
        }
    }
}
