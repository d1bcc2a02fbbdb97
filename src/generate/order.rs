//! `order`: what is good and what is bad hangs on the order of the words alone.

use super::{Draw, Place, Task};

pub const TASK: Task = Task {
    name: "order",
    about: "`good , not bad at all` is pos, `bad , not good at all` is neg: what reads words in no order is right half the time",
    source: "made for this program",
    ending: "tsv",
    train: "--model classify --columns label=1,text=2 --vocab word",
    header: "",
    length: None,
    example,
};

const GOOD: [&str; 16] = [
    "good", "fine", "great", "lovely", "clever", "funny", "moving", "warm", "bright", "honest",
    "fresh", "rich", "sharp", "tender", "gripping", "witty",
];
const BAD: [&str; 15] = [
    "bad", "poor", "awful", "ugly", "stupid", "dull", "flat", "cold", "dark", "false", "stale",
    "thin", "blunt", "harsh", "boring",
];
const SUBJECTS: [&str; 8] = [
    "film", "movie", "story", "plot", "cast", "music", "ending", "script",
];
/// What stands before and behind the subject.
const BEFORE: [[&str; 2]; 4] = [
    ["the ", " is "],
    ["i found the ", " "],
    ["all in all the ", " is "],
    ["to me the ", " was "],
];
/// What stands before and behind the second word.
const BETWEEN: [[&str; 2]; 5] = [
    [" , not ", " at all"],
    [" and by no means ", ""],
    [" , never ", ""],
    [" rather than ", ""],
    [" , anything but ", ""],
];
const BEHIND: [&str; 4] = [
    " .",
    " , as i said .",
    " , say my friends .",
    " from the first scene to the last .",
];

/// A label and a text. Two neighbours are twins: the same words, the other label.
fn example(place: Place) -> String {
    let mut draw = Draw::new(place.seed, place.number / 2);
    let begin = match draw.below(BEFORE.len() + 1) {
        0 => String::new(),
        n => BEFORE[n - 1].join(draw.choice(&SUBJECTS)),
    };
    let (middle, end) = (draw.choice(&BETWEEN), draw.choice(&BEHIND));
    let (good, bad) = (draw.choice(&GOOD), draw.choice(&BAD));
    let (label, first, second) = match place.number % 2 {
        0 => ("pos", good, bad),
        _ => ("neg", bad, good),
    };
    format!("{label}\t{begin}{first}{}{end}\n", middle.join(second))
}
