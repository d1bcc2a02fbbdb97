//! `gap`: the word at the end of a line is decided by one long before.

use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "gap",
    about: "lines such as `she grew up in france .. and speaks french`: the last word follows from a country, all words between from nothing",
    source: "Olah 2015, \"Understanding LSTM networks\", as a text",
    ending: "txt",
    train: "--lines --vocab word",
    header: "",
    length: Some(LengthRange {
        of: "words between",
        least: 1,
        usual: 20,
        most: MOST,
    }),
    example,
};

/// Countries and what is spoken there.
const COUNTRIES: [[&str; 2]; 8] = [
    ["france", "french"],
    ["italy", "italian"],
    ["poland", "polish"],
    ["finland", "finnish"],
    ["greece", "greek"],
    ["turkey", "turkish"],
    ["denmark", "danish"],
    ["hungary", "hungarian"],
];
const WHO: [&str; 4] = ["he", "she", "anna", "paul"];
const BETWEEN: [&str; 16] = [
    "walked", "slowly", "home", "again", "and", "then", "worked", "with", "friends", "near", "the",
    "river", "until", "late", "every", "day",
];

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let (who, [country, language]) = (draw.choice(&WHO), draw.choice(&COUNTRIES));
    let between: String = (0..place.length)
        .map(|_| format!("{} ", draw.choice(&BETWEEN)))
        .collect();
    format!("{who} grew up in {country} , {between}and speaks {language}\n")
}
