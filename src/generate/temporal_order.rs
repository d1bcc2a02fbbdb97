//! `temporal-order`: which of two symbols came first, with much between them.

use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "temporal-order",
    about: "X or Y twice among noise, far apart: four classes by which of them came first and which second",
    source: "Hochreiter and Schmidhuber 1997, experiment 6a",
    ending: "tsv",
    train: "--model classify --columns label=1,text=2 --vocab char",
    header: "",
    length: Some(LengthRange {
        of: "symbols at least, a tenth more at most,",
        least: 10,
        usual: 100,
        most: MOST,
    }),
    example,
};

/// The classes of (X, X), (X, Y), (Y, X), (Y, Y), as the paper calls them.
const CLASSES: [char; 4] = ['Q', 'R', 'S', 'U'];

/// Begins with E, ends with B; X or Y stands once within the second tenth and once within the sixth, noise is of a to d.
fn example(place: Place) -> String {
    let mut draw = place.draw();
    let tenth = place.length / 10;
    let length = draw.within(place.length, place.length + tenth);
    let first = draw.within(tenth, 2 * tenth);
    let second = draw.within(5 * tenth, 6 * tenth);
    let class = draw.below(CLASSES.len());
    let mut text: Vec<char> = draw.letters("abcd", length).chars().collect();
    (text[0], text[length - 1]) = ('E', 'B');
    text[first] = ['X', 'Y'][class / 2];
    text[second] = ['X', 'Y'][class % 2];
    let text: String = text.into_iter().collect();
    format!("{}\t{text}\n", CLASSES[class])
}
