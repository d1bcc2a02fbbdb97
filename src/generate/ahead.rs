//! `ahead`: a tag that hangs on the word behind.

use super::{Place, Task};

pub const TASK: Task = Task {
    name: "ahead",
    about: "a word's tag says whether the word behind it begins with a vowel (V, C): what reads from the left alone is right half the time",
    source: "made for this program, after Schuster and Paliwal 1997",
    ending: "conll",
    train: "--model tag",
    header: "",
    length: None,
    example,
};

const VOWELS: &str = "aeiou";
const OTHERS: &str = "bdkm";

/// Four to twelve words of two letters, half of them with a vowel first, each with its tag; C at the end.
fn example(place: Place) -> String {
    let mut draw = place.draw();
    let words: Vec<String> = (0..draw.within(4, 12))
        .map(|_| {
            let (vowel, other) = (draw.letter(VOWELS), draw.letter(OTHERS));
            let (first, second) = if draw.coin() {
                (vowel, other)
            } else {
                (other, vowel)
            };
            format!("{first}{second}")
        })
        .collect();
    let behind = words[1..].iter().map(String::as_str).chain([""]);
    let tagged = words.iter().zip(behind).map(|(word, behind)| {
        let tag = if behind.starts_with(|c| VOWELS.contains(c)) {
            'V'
        } else {
            'C'
        };
        format!("{word}\t{tag}\n")
    });
    tagged.chain(["\n".to_owned()]).collect()
}
