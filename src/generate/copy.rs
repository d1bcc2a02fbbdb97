//! `copy`: symbols that are said again after a long pause.

use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "copy",
    about: "ten of eight symbols, a pause, a mark, the symbols again; without a memory 10 ln 8 / (length + 20) nats a step",
    source: "Hochreiter and Schmidhuber 1997, as in Arjovsky, Shah, Bengio 2016",
    ending: "conll",
    train: "--model benches/models/copy.model",
    header: "",
    length: Some(LengthRange {
        of: "steps of the pause",
        least: 1,
        usual: 100,
        most: MOST,
    }),
    example,
};

/// How many symbols are said again.
const SYMBOLS: usize = 10;
const BLANK: &str = "-";
const MARK: &str = "?";

/// Symbols, `length` steps that end with the mark, as many blanks as symbols; all tags are blank but for the last ones.
fn example(place: Place) -> String {
    let symbols: Vec<String> = {
        let text = place.draw().letters("abcdefgh", SYMBOLS);
        text.chars().map(String::from).collect()
    };
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let pause = vec![BLANK; place.length - 1];
    let words = [&symbols[..], &pause, &[MARK], &[BLANK; SYMBOLS]].concat();
    let tags = [&vec![BLANK; place.length + SYMBOLS][..], &symbols].concat();
    let lines = words.iter().zip(tags);
    lines
        .map(|(word, tag)| format!("{word}\t{tag}\n"))
        .chain(["\n".to_owned()])
        .collect()
}
