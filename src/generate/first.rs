//! `first`: the first symbol decides, and all others are of its kind.

use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "first",
    about: "the class is the first of up to so many letters a to p; those behind it are of the same sixteen, so that each must be kept out",
    source: "made for this program, after `latch`: what comes later would decide if it came first",
    ending: "tsv",
    train: "--model classify --columns label=1,text=2 --vocab char",
    header: "",
    length: Some(LengthRange {
        of: "symbols at most",
        least: 1,
        usual: 50,
        most: MOST,
    }),
    example,
};

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let length = draw.within(1, place.length);
    let text = draw.letters("abcdefghijklmnop", length);
    format!("{}\t{text}\n", &text[..1])
}
