//! Log probabilities of rows of scores.

use super::softmax_xent::exponentials;
use super::{Access, Cost, Matrix, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// to [R, C] = from - log sum exp(from's row) (+ add [R, 1]); `to` may be `from`.
#[derive(Clone, Debug)]
pub struct LogSoftmax {
    /// The name in the plan.
    pub name: String,
    /// The scores.
    pub from: Matrix,
    /// A number for every row that is added.
    pub add: Option<Matrix>,
    /// The log probabilities.
    pub to: Matrix,
}

impl LogSoftmax {
    /// The plain code for one row, in place.
    #[inline(always)]
    pub fn plain_row<F: Real>(row: &mut [F], add: F) {
        let (max, sum) = exponentials(row);
        let by = add - sum.ln();
        for x in row.iter_mut() {
            *x = (*x - max) + by;
        }
    }
}

impl Operation for LogSoftmax {
    const KIND: &'static str = "log_softmax";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let access = if self.from == self.to {
            Access::Update
        } else {
            Access::Write
        };
        let mut operands = vec![
            Operand::read(&mut self.from).sum(),
            Operand::write(&mut self.to).with(access).sum(),
        ];
        operands.extend(self.add.as_mut().map(Operand::read));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 4.0 * area(&self.from) as f64,
            bytes: bytes(2 * area(&self.from)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (rows, cols) = (self.from.rows, self.from.cols);
        same("result", (rows, cols), (self.to.rows, self.to.cols))?;
        match self.add {
            Some(add) => same("addend", (rows, 1), (add.rows, add.cols)),
            None => Ok(()),
        }
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.from.rows, self.from.cols)
    }

    fn sum_length(&self) -> usize {
        self.from.cols
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::LogSoftmax;

    #[test]
    fn probabilities_sum_to_one_and_an_addend_scales_them() {
        let mut row = [1.0, 3.0, -2.0, 1e3];
        LogSoftmax::plain_row(&mut row, 0.25f64.ln());
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        assert!((sum - 0.25).abs() < 1e-15, "{row:?}");
        assert_eq!(row[1] - row[0], 2.0);
    }
}
