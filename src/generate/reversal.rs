//! `reversal`: letters that are written again from the last to the first.

use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "reversal",
    about: "letters of twenty, and the same from the last to the first",
    source: "Grefenstette, Hermann, Suleyman, Blunsom 2015",
    ending: "tsv",
    train: "--model translate",
    header: "source\ttarget\n",
    length: Some(LengthRange {
        of: "letters at most, half of them at least,",
        least: 1,
        usual: 10,
        most: MOST,
    }),
    example: |place| {
        let text = letters(place);
        let reversed: String = text.chars().rev().collect();
        format!("{text}\t{reversed}\n")
    },
};

/// Half of `length` to `length` letters, every number of them as often.
pub fn letters(place: Place) -> String {
    let mut draw = place.draw();
    let count = draw.within(place.length.div_ceil(2), place.length);
    draw.letters("abcdefghijklmnopqrst", count)
}
