//! Data of which it is known what a model must be able to do to learn them: a task is a file here and a line of the list.
//!
//! Every example is a function of (seed, its number, length), so that a larger set begins with the smaller one and what is
//! written hangs on nothing else.

mod adding;
mod ahead;
mod arithmetic;
mod brackets;
mod copy;
mod draw;
mod first;
mod gap;
mod latch;
mod moving;
mod nesting;
mod order;
mod repetition;
mod reversal;
mod strokes;
mod temporal_order;
#[cfg(test)]
mod tests;
mod wiki;
mod xml;

use crate::error::{Error, Result, unknown};

pub use self::draw::Draw;

/// A task whose data are made up by a rule.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// The name.
    pub name: &'static str,
    /// What an example is, in one line.
    pub about: &'static str,
    /// Who set the task.
    pub source: &'static str,
    /// The ending of the files that readers know its data by.
    pub ending: &'static str,
    /// The flags of `train` that its data are for.
    pub train: &'static str,
    /// What a file begins with: its header, or nothing.
    pub header: &'static str,
    /// What its length is; none where examples have the length that they have.
    pub length: Option<LengthRange>,
    /// The text of an example, line ends included.
    pub example: fn(Place) -> String,
}

/// The lengths that a task has.
#[derive(Clone, Copy, Debug)]
pub struct LengthRange {
    /// What is counted.
    pub of: &'static str,
    /// The least.
    pub least: usize,
    /// The one that is taken where nothing is said.
    pub usual: usize,
    /// The most.
    pub most: usize,
}

/// Steps of an example where nothing else bounds them.
const MOST: usize = 65536;

/// Which example of which set.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The seed of the set.
    pub seed: u64,
    /// The number of the example, from 0 on.
    pub number: u64,
    /// The length that was asked for.
    pub length: usize,
}

impl Place {
    /// The random numbers of this example.
    pub fn draw(&self) -> Draw {
        Draw::new(self.seed, self.number)
    }
}

/// Every task.
pub const TASKS: [Task; 16] = [
    order::TASK,
    ahead::TASK,
    adding::TASK,
    copy::TASK,
    reversal::TASK,
    repetition::TASK,
    arithmetic::TASK,
    latch::TASK,
    first::TASK,
    temporal_order::TASK,
    gap::TASK,
    xml::TASK,
    brackets::TASK,
    wiki::TASK,
    strokes::TASK,
    moving::TASK,
];

/// The task `name`.
///
/// # Errors
/// Usage, with all names and the nearest, when there is none.
pub fn task(name: &str) -> Result<&'static Task> {
    let names = TASKS.iter().map(|task| task.name);
    let found = TASKS.iter().find(|task| task.name == name);
    found.ok_or_else(|| unknown("task", name, names, ""))
}

impl Task {
    /// `length`, or the usual one, where the task has it; 0 for a task without a length.
    ///
    /// # Errors
    /// Usage: a length that the task has not.
    pub fn length(&self, length: Option<usize>) -> Result<usize> {
        let name = self.name;
        let Some(range) = self.length else {
            return match length {
                None => Ok(0),
                Some(got) => Err(Error::usage(format!(
                    "--length: expected none, as the examples of {name} have their own, got {got}"
                ))),
            };
        };
        let got = length.unwrap_or(range.usual);
        if (range.least..=range.most).contains(&got) {
            return Ok(got);
        }
        Err(Error::usage(format!(
            "--length: expected {} to {} {} for {name}, got {got}",
            range.least, range.most, range.of
        )))
    }

    /// The first `count` examples of the set of `seed`, behind the header: the text of a file, piece by piece.
    ///
    /// # Errors
    /// As [`Task::length`].
    pub fn examples(
        &self,
        count: u64,
        seed: u64,
        length: Option<usize>,
    ) -> Result<impl Iterator<Item = String> + use<>> {
        let length = self.length(length)?;
        let (header, example) = (self.header.to_owned(), self.example);
        let place = move |number| Place {
            seed,
            number,
            length,
        };
        Ok(std::iter::once(header).chain((0..count).map(move |n| example(place(n)))))
    }

    /// All of that as one text.
    ///
    /// # Errors
    /// As [`Task::length`].
    pub fn text(&self, count: u64, seed: u64, length: Option<usize>) -> Result<String> {
        Ok(self.examples(count, seed, length)?.collect())
    }
}
