//! `brackets`: brackets of several kinds that close in order.

use super::nesting;
use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "brackets",
    about: "a line of brackets of three kinds that close in order: which one closes follows from the innermost that is open",
    source: "the language of Dyck with three kinds, as in Suzgun, Gehrmann, Belinkov, Shieber 2019",
    ending: "txt",
    train: "--lines --vocab char",
    header: "",
    length: Some(LengthRange {
        of: "pairs",
        least: 1,
        usual: 20,
        most: MOST,
    }),
    example,
};

fn example(place: Place) -> String {
    nesting::line(&mut place.draw(), place.length, |draw| {
        let [opens, closes] = draw.choice(&[["(", ")"], ["[", "]"], ["{", "}"]]);
        (opens.into(), closes.into())
    })
}
