//! `adding`: the sum of two marked numbers.

use serde_json::json;

use super::{LengthRange, MOST, Place, Task};

pub const TASK: Task = Task {
    name: "adding",
    about: "pairs of a number from 0 to 1 and a mark, one marked in each half: the sum of the two; without a memory 1, squared error 1/6",
    source: "Hochreiter and Schmidhuber 1997, as in Le, Jaitly, Hinton 2015",
    ending: "jsonl",
    train: "--model benches/models/adding.model",
    header: "",
    length: Some(LengthRange {
        of: "steps",
        least: 2,
        usual: 100,
        most: MOST,
    }),
    example,
};

/// Numbers have six places, so that their sums are written exactly.
const PLACES: usize = 1_000_000;

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let half = place.length / 2;
    let marked = [draw.below(half), draw.within(half, place.length - 1)];
    let numbers: Vec<usize> = (0..place.length).map(|_| draw.below(PLACES)).collect();
    let steps: Vec<_> = numbers
        .iter()
        .enumerate()
        .map(|(n, number)| (written(*number), u8::from(marked.contains(&n))))
        .collect();
    let sum = written(marked.iter().map(|n| numbers[*n]).sum());
    format!("{}\n", json!({"x": steps, "sum": [sum]}))
}

/// A number of millionths.
fn written(millionths: usize) -> f64 {
    millionths as f64 / PLACES as f64
}
