//! The few words and numbers of every run: what the host gives with it, and what it reports.

use crate::rng::threefry2x32;

/// Control words: a slot of [`Control::WORDS`] 32-bit words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The key of the dropout stream (seed and purpose).
    pub key: [u32; 2],
    /// The training step, for random numbers.
    pub step: [u32; 2],
    /// 1: the states start at zero instead of where the last run left them.
    pub reset: u32,
}

impl Control {
    /// The words in a control slot.
    pub const WORDS: usize = 8;

    /// The slot's contents.
    pub fn words(&self) -> [u32; Self::WORDS] {
        let [k0, k1] = self.key;
        let [s0, s1] = self.step;
        // The key of this step's masks, so that a kernel need not derive it for every element.
        let [m0, m1] = threefry2x32(self.key, self.step);
        [k0, k1, s0, s1, self.reset, m0, m1, 0]
    }
}

/// Numbers that change from run to run: a slot of [`Hyper::NUMBERS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hyper {
    /// The learning rate.
    pub lr: f64,
    /// What each position's gradient is multiplied by: 1 / (sum of the weights of the positions).
    pub scale: f64,
    /// The number of the update, counted from 1.
    pub update: f64,
    /// Adam: 1 - beta1^update.
    pub correction1: f64,
    /// Adam: 1 - beta2^update.
    pub correction2: f64,
}

impl Hyper {
    /// The numbers in a slot.
    pub const NUMBERS: usize = 8;
    /// Which of them is [`Hyper::scale`].
    pub const SCALE: usize = 1;
    /// Which of them is the factor of gradients in half precision, that of the [`LossScale`](super::LossScale).
    pub const FACTOR: usize = 6;

    /// The slot's contents.
    pub fn numbers(&self) -> [f64; Self::NUMBERS] {
        [
            self.lr,
            self.scale,
            self.update,
            self.correction1,
            self.correction2,
            0.0,
            0.0,
            0.0,
        ]
    }
}

/// What a run reports: a slot of [`Report::NUMBERS`] numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// The sum of the weighted losses of all positions, in nats.
    pub loss: f64,
    /// The norm of the gradient before clipping; with both clips, after that by value.
    pub norm: f64,
    /// Whether loss, penalty and gradient were finite: only then were the parameters updated.
    pub finite: bool,
    /// Whether the gradient alone was not, times a factor that has been made smaller since: the update was left out.
    pub beyond: bool,
    /// The sum of the penalties, which the objective has beside loss * scale; 0 where there is none.
    pub penalty: f64,
}

impl Report {
    /// The numbers in a slot: loss, norm, 1 for finite (or [`LossScale::BEYOND`](super::LossScale::BEYOND)), and penalty.
    pub const NUMBERS: usize = 4;

    /// Reads a slot.
    pub fn from_numbers(numbers: &[f64]) -> Report {
        Report {
            loss: numbers[0],
            norm: numbers[1],
            finite: numbers[2] == 1.0,
            beyond: numbers[2] == super::LossScale::BEYOND,
            penalty: numbers[3],
        }
    }
}
