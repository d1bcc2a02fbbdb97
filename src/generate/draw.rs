//! What examples are drawn by.

use crate::rng::{Purpose, Stream};

/// The random numbers of one example.
#[derive(Clone, Debug)]
pub struct Draw(Stream);

impl Draw {
    /// Those of example `number` of the set of `seed`.
    pub fn new(seed: u64, number: u64) -> Draw {
        Draw(Stream::new(seed, Purpose::Generate, number))
    }

    /// A whole number below `n`, which is above 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }

    /// A whole number from `least` to `most`.
    pub fn within(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// One of `list`, which is not empty.
    pub fn choice<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// One of two as likely events.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A letter of `letters`, which are ASCII.
    pub fn letter(&mut self, letters: &str) -> char {
        char::from(self.choice(letters.as_bytes()))
    }

    /// `count` letters of `letters`, which are ASCII.
    pub fn letters(&mut self, letters: &str, count: usize) -> String {
        (0..count).map(|_| self.letter(letters)).collect()
    }
}
