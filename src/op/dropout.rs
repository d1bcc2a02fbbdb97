//! Dropout between layers: an element survives with probability 1 - rate and is then scaled by 1 / (1 - rate).
//!
//! The mask is a function of (key, step, stream, element), so the backward pass makes it again instead of storing it.
//! Source: Zaremba, Sutskever, Vinyals, "Recurrent neural network regularization" (2014), equation 7.

use super::{Cost, Matrix, SlotId, area, bytes, same};
use crate::cell::real::Real;
use crate::rng::threefry2x32;

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
}

impl Dropout {
    pub(super) const KIND: &'static str = "dropout";

    /// An element is kept when its random word is at least this.
    pub fn threshold(&self) -> u32 {
        (self.rate * 4_294_967_296.0) as u32
    }

    pub(super) fn reads(&self) -> Vec<Matrix> {
        vec![
            self.from,
            super::gather::words(self.control, super::Control::WORDS),
        ]
    }

    pub(super) fn writes(&self) -> Vec<Matrix> {
        vec![self.to]
    }

    pub(super) fn cost(&self) -> Cost {
        Cost {
            flops: area(&self.from) as f64,
            bytes: bytes(2 * area(&self.from)),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        same(
            "result",
            (self.from.rows, self.from.cols),
            (self.to.rows, self.to.cols),
        )
    }

    pub(super) fn shape(&self) -> String {
        format!("{} x {}", self.from.rows, self.from.cols)
    }

    /// The key of this operation's mask at a step: control words 0..2 are the stream's key, 2..4 the step.
    pub fn mask_key(&self, control: &[u32]) -> [u32; 2] {
        let key = threefry2x32([control[0], control[1]], [control[2], control[3]]);
        threefry2x32(key, [self.stream, 0])
    }

    /// The plain code for rows `rows`; `to` starts at the first of them. Element i of the whole matrix, in row order,
    /// takes the first word of the counter (i / 2) when i is even, else the second.
    pub fn plain<F: Real>(
        &self,
        control: &[u32],
        rows: std::ops::Range<usize>,
        from: impl Fn(usize) -> F,
        to: &mut [F],
    ) {
        let key = self.mask_key(control);
        let threshold = self.threshold();
        let scale = F::of(1.0 / (1.0 - self.rate));
        for r in rows.clone() {
            for c in 0..self.from.cols {
                let element = r * self.from.cols + c;
                let word = threefry2x32(key, [(element / 2) as u32, 0])[element % 2];
                let x = from(r * self.from.stride + c);
                let keep = word >= threshold;
                to[(r - rows.start) * self.to.stride + c] = if keep { x * scale } else { F::ZERO };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: [u32; 8] = [0x1234_5678, 0x9abc_def0, 7, 0, 0, 0, 0, 0];

    fn op(rows: usize, cols: usize, rate: f64, stream: u32) -> Dropout {
        let matrix = |slot| Matrix {
            slot: SlotId(slot),
            offset: 0,
            rows,
            cols,
            stride: cols,
        };
        Dropout {
            name: "dropout".into(),
            control: SlotId(0),
            from: matrix(1),
            to: matrix(2),
            rate,
            stream,
        }
    }

    /// What ones become.
    fn ones(op: &Dropout, control: &[u32]) -> Vec<f64> {
        let mut to = vec![f64::NAN; op.to.rows * op.to.stride];
        op.plain(control, 0..op.to.rows, |_| 1.0, &mut to);
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
        op.plain(&CONTROL, 0..2, |i| gradient[i], first);
        op.plain(&CONTROL, 2..5, |i| gradient[i], rest);
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
}
