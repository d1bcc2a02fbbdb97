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
