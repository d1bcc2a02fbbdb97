//! The search for cells: a population that begins with gru and lstm, each step one of them on other settings or a mutant.
//!
//! A cell is kept by the worst of its shares of right next characters on three problems, each relative to the gru's. Every
//! evaluation is a function of the search's seed and of the evaluations long enough before it, so that a search comes out the same
//! on any number of cores, and goes on after it was killed as if it had not been.
//!
//! Source: Jozefowicz, Zaremba, Sutskever, "An empirical exploration of recurrent network architectures" (2015), section 3.

mod finals;
mod mutate;
mod page;
mod population;
mod problems;
mod propose;
mod run;
mod sketch;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod weed;

pub use self::finals::{FINALISTS, Finalist, SEEDS, Tally};
pub use self::mutate::mutated;
pub use self::population::{Evaluated, Member, Population, worst};
pub use self::problems::{CHEAP, Drawn, PROBLEMS, ProblemText, Problems};
pub use self::run::{Search, SearchLimits, SearchState, Told, check};
pub use self::sketch::{PartId, Sketch, SketchPart};
pub use self::weed::{Sound, sound};

/// How large trainings are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingSizes {
    /// H of the gru; other cells have as many learned numbers.
    pub hidden: usize,
    /// Examples of a minibatch.
    pub batch: usize,
    /// Examples that are trained on.
    pub examples: u64,
    /// Examples that accuracy is measured on.
    pub held_out: u64,
    /// Updates on each problem.
    pub updates: u64,
    /// Updates on the cheap problem before them.
    pub cheap_updates: u64,
}

impl Default for TrainingSizes {
    /// A cell takes some ten seconds of a core.
    fn default() -> TrainingSizes {
        TrainingSizes {
            hidden: 32,
            batch: 32,
            examples: 4000,
            held_out: 400,
            updates: 1000,
            cheap_updates: 500,
        }
    }
}
