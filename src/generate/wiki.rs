//! `wiki`: a page of marked-up text, whose headings, links and bold words close as they opened.

use super::{Draw, LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "wiki",
    about: "a page in a wiki's markup: a `== heading ==` of two to four signs, lines with [[links]] and '''bold''' words, also in one another",
    source: "made for this program, after the Wikipedia of Karpathy 2015, \"The unreasonable effectiveness of recurrent neural networks\"",
    ending: "txt",
    train: "--vocab char",
    header: "",
    length: Some(LengthRange {
        of: "lines below a heading",
        least: 1,
        usual: 3,
        most: MOST,
    }),
    example,
};

const WORDS: [&str; 32] = [
    "the", "a", "of", "in", "and", "is", "was", "city", "river", "king", "north", "south", "old",
    "new", "great", "war", "house", "church", "island", "people", "language", "music", "year",
    "first", "small", "name", "town", "known", "built", "made", "by", "from",
];
/// Signs of a heading, at least and at most.
const SIGNS: [usize; 2] = [2, 4];
/// Words or marked phrases of a line, at least and at most.
const PIECES: [usize; 2] = [4, 12];
/// Of a heading, and of what is marked within a line.
const FEW: [usize; 2] = [1, 3];

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let signs = "=".repeat(draw.within(SIGNS[0], SIGNS[1]));
    let title = phrase(&mut draw, FEW, &[]);
    let mut text = format!("{signs} {title} {signs}\n");
    for _ in 0..place.length {
        text.push_str(&phrase(&mut draw, PIECES, &MARKS));
        text.push('\n');
    }
    text
}

/// What opens a phrase, what closes it, and of how many pieces one is such a phrase.
type Pair = (&'static str, &'static str, usize);
const MARKS: [Pair; 2] = [("[[", "]]", 4), ("'''", "'''", 6)];

/// Words between spaces, some of them phrases in such marks, in which the others may lie.
fn phrase(draw: &mut Draw, [least, most]: [usize; 2], marks: &[Pair]) -> String {
    let mut pieces = Vec::new();
    for _ in 0..draw.within(least, most) {
        let mark = marks.iter().find(|mark| draw.below(mark.2) == 0);
        pieces.push(match mark {
            Some(mark) => {
                let others: Vec<Pair> = marks.iter().filter(|m| *m != mark).copied().collect();
                let (opens, closes, _) = mark;
                format!("{opens}{}{closes}", phrase(draw, FEW, &others))
            }
            None => draw.choice(&WORDS).to_owned(),
        });
    }
    pieces.join(" ")
}
