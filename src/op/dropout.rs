//! Dropout: an element survives with probability 1 - rate and is then scaled by 1 / (1 - rate).
//!
//! The mask is a function of (key, step, stream, index), so the backward pass makes it again instead of storing it; what
//! the index is tells the forms apart. Sources: Zaremba, Sutskever, Vinyals, "Recurrent neural network regularization"
//! (2014), equation 7; Gal, Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks"
//! (2016), the same mask at every step and by token.

use std::ops::Range;

use super::split::each;
use super::{
    Control, Cost, Limits, Matrix, Operand, Operation, Precision, Segment, SlotId, area, bytes,
    same,
};
use crate::cell::real::Real;
use crate::rng::{threefry2x32, threefry2x32_run};

/// What shares a decision: the index of an element of row r and column c in the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nothing: r * cols + c.
    Nothing,
    /// All steps of a minibatch, whose rows are [T, B]: (r mod B) * cols + c.
    Steps {
        /// B.
        batch: usize,
    },
    /// All of a row, and all rows of one token: the id of row r.
    Token {
        /// The slot of token ids.
        ids: SlotId,
    },
}

/// to = mask * from / (1 - rate); from and to may be the same matrix.
#[derive(Clone, Debug)]
pub struct Dropout {
    /// The name in the plan.
    pub name: String,
    /// The slot of control words, which holds key and step.
    pub control: SlotId,
    /// What is dropped from.
    pub from: Matrix,
    /// The result.
    pub to: Matrix,
    /// The probability that an element is zeroed.
    pub rate: f64,
    /// Which of the plan's masks it is; the forward and the backward operation share it.
    pub stream: u32,
    /// What shares a decision.
    pub share: Share,
    /// The position in the minibatch, in rows, of its first row: segments of a minibatch share all that lies between operations.
    pub at: usize,
}

/// Counters whose words are made together.
const TOGETHER: usize = 16;

impl Dropout {
    /// An element is kept when its random word is at least this.
    pub fn threshold(&self) -> u32 {
        (self.rate * 4_294_967_296.0) as u32
    }

    /// The key of this operation's mask at a step: control words 0..2 are the stream's key, 2..4 the step.
    pub fn mask_key(&self, control: &[u32]) -> [u32; 2] {
        let key = threefry2x32([control[0], control[1]], [control[2], control[3]]);
        threefry2x32(key, [self.stream, 0])
    }

    /// The plain code for rows `rows`; `from` gives what a row is made of `[cols]`, `to` starts at the first of them. Index i
    /// takes the first word of the counter (i / 2) when i is even, else the second. `ids` is used where a token's rows share
    /// a decision.
    #[inline(always)]
    pub fn plain<'a, F: Real>(
        &self,
        control: &[u32],
        ids: &[u32],
        rows: Range<usize>,
        from: impl Fn(usize) -> &'a [F],
        to: &mut [F],
    ) {
        let key = self.mask_key(control);
        let threshold = self.threshold();
        let scale = F::of(1.0 / (1.0 - self.rate));
        let cols = self.from.cols;
        let kept = |word: u32, x: F| {
            if word >= threshold {
                x * scale
            } else {
                F::ZERO
            }
        };
        for r in rows.clone() {
            let from = &from(r)[..cols];
            let to = &mut to[(r - rows.start) * self.to.stride..][..cols];
            let first = match self.share {
                Share::Nothing => (self.at + r) * cols,
                Share::Steps { batch } => r % batch * cols,
                Share::Token { .. } => {
                    let id = ids[self.at + r] as usize;
                    let word = threefry2x32(key, [(id / 2) as u32, 0])[id % 2];
                    for (to, x) in to.iter_mut().zip(from) {
                        *to = kept(word, *x);
                    }
                    continue;
                }
            };
            // A row may begin with the second word of a counter.
            for index in (first / 2 * 2..first + cols).step_by(2 * TOGETHER) {
                let [even, odd] = threefry2x32_run::<TOGETHER>(key, (index / 2) as u32);
                let mut words = [0; 2 * TOGETHER];
                for n in 0..TOGETHER {
                    (words[2 * n], words[2 * n + 1]) = (even[n], odd[n]);
                }
                let begin = index.max(first);
                let end = (index + 2 * TOGETHER).min(first + cols);
                let (from, to) = (
                    &from[begin - first..end - first],
                    &mut to[begin - first..end - first],
                );
                for ((to, x), word) in to.iter_mut().zip(from).zip(&words[begin - index..]) {
                    *to = kept(*word, *x);
                }
            }
        }
    }
}

impl Operation for Dropout {
    const KIND: &'static str = "dropout";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let rows = self.at + self.from.rows;
        let precision = Precision::RowsLike(self.from.slot);
        let mut operands = vec![Operand::slot(self.control, Control::WORDS)];
        if let Share::Token { ids } = self.share {
            operands.push(Operand::slot(ids, rows));
        }
        let to = if self.from == self.to {
            Operand::update(&mut self.to)
        } else {
            Operand::write(&mut self.to)
        };
        operands.extend([Operand::read(&mut self.from), to.precise(precision)]);
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.from) as f64,
            bytes: bytes(2 * area(&self.from)),
        }
    }

    fn check(&self) -> Result<(), String> {
        same(
            "result",
            (self.from.rows, self.from.cols),
            (self.to.rows, self.to.cols),
        )
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.from.rows, self.from.cols)
    }

    fn sum_length(&self) -> usize {
        0
    }

    fn band(&self, rows: Range<usize>) -> Option<Dropout> {
        Some(Dropout {
            from: self.from.band(rows.start, rows.len()),
            to: self.to.band(rows.start, rows.len()),
            at: self.at + rows.start,
            ..self.clone()
        })
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, self.stream as usize]
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Dropout> {
        let unit = match self.share {
            Share::Steps { batch } => batch,
            Share::Nothing | Share::Token { .. } => 1,
        };
        let rows = limits.rows(&[self.from, self.to], unit);
        each(rows, |first, count| Dropout {
            from: self.from.band(first, count),
            to: self.to.band(first, count),
            at: self.at + first,
            ..self.clone()
        })
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: [u32; 8] = [0x1234_5678, 0x9abc_def0, 7, 0, 0, 0, 0, 0];

    const IDS: &[u32] = &[4, 9, 4, 0, 9, 4];

    fn op(rows: usize, cols: usize, rate: f64, stream: u32) -> Dropout {
        let matrix = |slot| Matrix::new(SlotId(slot), rows, cols);
        Dropout {
            name: "dropout".into(),
            control: SlotId(0),
            from: matrix(1),
            to: matrix(2),
            rate,
            stream,
            share: Share::Nothing,
            at: 0,
        }
    }

    /// What ones become.
    fn ones(op: &Dropout, control: &[u32]) -> Vec<f64> {
        let mut to = vec![f64::NAN; op.to.rows * op.to.stride];
        op.plain(control, IDS, 0..op.to.rows, |_| &[1.0; 1001], &mut to);
        to
    }

    fn bits(values: &[f64]) -> String {
        let bit = |x: &f64| if *x == 0.0 { '0' } else { '1' };
        values.iter().map(bit).collect()
    }

    #[test]
    fn the_mask_is_pinned() {
        // Made by this code once: another mask would break resumed runs and the GPU's twin.
        let mask = bits(&ones(&op(3, 11, 0.5, 1), &CONTROL));
        assert_eq!(mask, "011101010000110110101001101010000");
    }

    #[test]
    fn backward_multiplies_by_the_forward_mask() {
        let op = op(5, 13, 0.3, 2);
        let gradient: Vec<f64> = (0..65).map(|i| f64::from(i) - 30.5).collect();
        let mut back = vec![f64::NAN; 65];
        // In two parts, as threads run it.
        let (first, rest) = back.split_at_mut(2 * 13);
        op.plain(&CONTROL, IDS, 0..2, |r| &gradient[13 * r..], first);
        op.plain(&CONTROL, IDS, 2..5, |r| &gradient[13 * r..], rest);
        let forward = ones(&op, &CONTROL);
        for i in 0..65 {
            assert!((back[i] - gradient[i] * forward[i]).abs() < 1e-13, "{i}");
        }
    }

    #[test]
    fn the_rate_is_kept_and_the_mean_too() {
        for rate in [0.0, 0.1, 0.5, 0.93] {
            let op = op(100, 1001, rate, 3);
            let values = ones(&op, &CONTROL);
            let n = values.len() as f64;
            let kept = values.iter().filter(|x| **x != 0.0).count() as f64;
            // Five standard deviations of a binomial count.
            let limit = 5.0 * (n * rate * (1.0 - rate)).sqrt();
            let expected = n * (1.0 - rate);
            assert!(
                (kept - expected).abs() <= limit,
                "rate {rate}: kept {kept} of {n}"
            );
            let value = 1.0 / (1.0 - rate);
            assert!(
                values.iter().all(|x| *x == 0.0 || *x == value),
                "rate {rate}"
            );
        }
    }

    #[test]
    fn step_key_and_stream_each_make_another_mask() {
        let base = bits(&ones(&op(9, 9, 0.5, 1), &CONTROL));
        for word in 0..4 {
            let mut control = CONTROL;
            control[word] += 1;
            assert_ne!(
                bits(&ones(&op(9, 9, 0.5, 1), &control)),
                base,
                "word {word}"
            );
        }
        assert_ne!(bits(&ones(&op(9, 9, 0.5, 2), &CONTROL)), base);
        // Whether the states are reset is no part of the mask.
        let mut control = CONTROL;
        control[4] = 1;
        assert_eq!(bits(&ones(&op(9, 9, 0.5, 1), &control)), base);
    }

    #[test]
    fn steps_share_the_mask_of_the_first_and_rows_of_a_batch_do_not() {
        let free = op(6, 13, 0.5, 2);
        let locked = Dropout {
            share: Share::Steps { batch: 3 },
            ..free.clone()
        };
        let (free, locked) = (bits(&ones(&free, &CONTROL)), bits(&ones(&locked, &CONTROL)));
        // The first step's mask is that of a matrix with one step; the second repeats it.
        assert_eq!(locked[..3 * 13], free[..3 * 13]);
        assert_eq!(locked[..3 * 13], locked[3 * 13..]);
        assert_ne!(locked[..13], locked[13..26]);
    }

    #[test]
    fn a_token_is_kept_or_dropped_as_a_whole_wherever_it_stands() {
        let mut kept = 0;
        for stream in 0..64 {
            let op = Dropout {
                share: Share::Token { ids: SlotId(3) },
                ..op(6, 5, 0.25, stream)
            };
            let values = ones(&op, &CONTROL);
            let rows: Vec<&[f64]> = values.chunks(5).collect();
            for row in &rows {
                assert!(*row == [0.0; 5] || *row == [4.0 / 3.0; 5], "{row:?}");
            }
            assert_eq!((rows[0], rows[1]), (rows[2], rows[4]));
            assert_eq!(rows[0], rows[5]);
            kept += [0, 1, 3].iter().filter(|r| rows[**r][0] > 0.0).count();
        }
        // 192 decisions, 144 expected, five standard deviations of 6.
        assert!((114..=174).contains(&kept), "{kept} of 192 kept");
    }
}
