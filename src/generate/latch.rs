//! `latch`: the first symbol decides, all others are noise.

use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "latch",
    about: "the class is the first symbol, a or b; behind it is noise of other letters, whose length is all that makes it hard",
    source: "Bengio, Simard, Frasconi 1994; Hochreiter and Schmidhuber 1997, experiment 3",
    ending: "tsv",
    train: "--model classify --columns label=1,text=2 --vocab char",
    header: "",
    length: Some(LengthRange {
        of: "symbols",
        least: 1,
        usual: 50,
        most: MOST,
    }),
    example,
};

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let first = draw.letter("ab");
    let noise = draw.letters("cdefgh", place.length - 1);
    format!("{first}\t{first}{noise}\n")
}
