//! `arithmetic`: sums and differences whose digits stand among letters that mean nothing.

use super::{Draw, LengthRange, Place, Task};

pub const TASK: Task = Task {
    name: "arithmetic",
    about: "a sum or difference whose digits stand among letters that mean nothing, and what it comes to: `3e36d9-h1h39f94eeh43keg3c` is -13991064",
    source: "Jozefowicz, Zaremba, Sutskever 2015, section 3.2",
    ending: "tsv",
    train: "--model translate",
    header: "source\ttarget\n",
    length: Some(LengthRange {
        of: "digits at most",
        least: 1,
        usual: 8,
        most: 37,
    }),
    example,
};

const LETTERS: &str = "abcdefghijk";

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let (a, b) = (
        number(&mut draw, place.length),
        number(&mut draw, place.length),
    );
    let (sign, target) = if draw.coin() {
        ('+', a + b)
    } else {
        ('-', a - b)
    };
    // Behind the sign and every digit comes a letter with probability 1/2, and behind that again.
    let mut source = String::new();
    for symbol in format!("{a}{sign}{b}").chars() {
        source.push(symbol);
        while draw.coin() {
            source.push(draw.letter(LETTERS));
        }
    }
    format!("{source}\t{target}\n")
}

/// A number of 1 to `length` digits, every number of them as often, without zeros before it.
fn number(draw: &mut Draw, length: usize) -> i128 {
    let digits = draw.within(1, length);
    (0..digits).fold(0, |number, _| 10 * number + draw.below(10) as i128)
}
