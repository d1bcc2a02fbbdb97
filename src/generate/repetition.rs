//! `repetition`: letters that are written again as they were.

use super::{Task, reversal};

pub const TASK: Task = Task {
    name: "repetition",
    about: "letters of twenty, and the same again",
    example: |place| {
        let text = reversal::letters(place);
        format!("{text}\t{text}\n")
    },
    ..reversal::TASK
};
