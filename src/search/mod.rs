//! What to write next, from the log probabilities of every symbol: the best few beginnings side by side.
//!
//! It knows no model: a [`Beam`] is one text in the making, whoever makes the scores. The best beginnings of each length go
//! on (Graves 2012, "Sequence transduction with recurrent neural networks"; Sutskever, Vinyals, Le 2014); those that reach
//! the end mark leave and are kept. The rules:
//!
//! - Of all continuations of all beginnings the `beams` best are taken, by the sum of log probabilities; of equal ones the
//!   one of the earlier beginning, then that of the smaller token. One beam is greedy.
//! - What is kept is compared by its score, the sum divided by what [`LengthPenalty`] says of its length.
//! - A text of `most` tokens ends there, without a mark and at no cost.
//! - The search is over when nothing goes on, or when as many texts are kept as are looked for and none of the beginnings can come to a better
//!   score than the worst of them: log probabilities are not above 0, so that a sum divided for the longest text is a bound,
//!   whatever the penalty.

mod beam;
mod penalty;

pub use beam::{Beam, BeamLimits, Found};
pub use penalty::{LengthPenalty, Scoring};
