//! `xml`: tags that close in order, with names that nobody has seen.

use super::nesting;
use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "xml",
    about: "a line of well-formed tags, their names of two to ten random letters: how an open tag ends follows from how it began",
    source: "Jozefowicz, Zaremba, Sutskever 2015, section 3.2",
    ending: "txt",
    train: "--lines --vocab char",
    header: "",
    length: Some(LengthRange {
        of: "elements",
        least: 1,
        usual: 10,
        most: MOST,
    }),
    example,
};

fn example(place: Place) -> String {
    nesting::line(&mut place.draw(), place.length, |draw| {
        let letters = draw.within(2, 10);
        let name = draw.letters("abcdefghijklmnopqrstuvwxyz", letters);
        (format!("<{name}>"), format!("</{name}>"))
    })
}
