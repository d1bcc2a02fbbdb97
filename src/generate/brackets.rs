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
    let mut draw = place.draw();
    let mut open = Vec::new();
    let mut text = String::new();
    for opens in nesting::steps(&mut draw, place.length) {
        if opens {
            let [begin, end] = draw.choice(&[['(', ')'], ['[', ']'], ['{', '}']]);
            text.push(begin);
            open.push(end);
        } else {
            text.extend(open.pop());
        }
    }
    text.push('\n');
    text
}
