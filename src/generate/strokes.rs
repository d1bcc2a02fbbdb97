//! `strokes`: numbers as a pen writes them, in a hand that differs from one example to the next.

use serde_json::json;

use super::{Draw, LengthRange, Place, Task};

pub const TASK: Task = Task {
    name: "strokes",
    about: "digits, and the way of a pen that writes them in a hand of its own: offsets, and where it lifts",
    source: "the task of Graves 2013, section 5, with digits of straight lines",
    ending: "jsonl",
    train: "--model strokes-text --vocab char",
    header: "",
    length: Some(LengthRange {
        of: "digits at most",
        least: 1,
        usual: 4,
        most: 64,
    }),
    example,
};

/// A point, to the right and down.
pub(super) type Point = (f64, f64);

/// The lines of every digit, in a box 0.6 wide and 1 high.
pub(super) const DIGITS: [&[&[Point]]; 10] = [
    &[&[
        (0.3, 0.0),
        (0.05, 0.2),
        (0.0, 0.5),
        (0.05, 0.8),
        (0.3, 1.0),
        (0.55, 0.8),
        (0.6, 0.5),
        (0.55, 0.2),
        (0.3, 0.0),
    ]],
    &[&[(0.1, 0.25), (0.35, 0.0), (0.35, 1.0)]],
    &[&[
        (0.05, 0.2),
        (0.3, 0.0),
        (0.55, 0.2),
        (0.5, 0.45),
        (0.0, 1.0),
        (0.6, 1.0),
    ]],
    &[&[
        (0.05, 0.1),
        (0.35, 0.0),
        (0.55, 0.2),
        (0.2, 0.48),
        (0.58, 0.75),
        (0.3, 1.0),
        (0.02, 0.88),
    ]],
    &[
        &[(0.4, 0.0), (0.0, 0.65), (0.6, 0.65)],
        &[(0.42, 0.35), (0.42, 1.0)],
    ],
    &[
        &[
            (0.1, 0.0),
            (0.05, 0.45),
            (0.35, 0.4),
            (0.58, 0.65),
            (0.45, 0.95),
            (0.05, 0.95),
        ],
        &[(0.1, 0.0), (0.55, 0.0)],
    ],
    &[&[
        (0.5, 0.0),
        (0.15, 0.35),
        (0.02, 0.7),
        (0.25, 1.0),
        (0.55, 0.8),
        (0.45, 0.55),
        (0.1, 0.62),
    ]],
    &[&[(0.0, 0.0), (0.6, 0.0), (0.25, 1.0)]],
    &[&[
        (0.3, 0.48),
        (0.05, 0.22),
        (0.3, 0.0),
        (0.55, 0.22),
        (0.02, 0.76),
        (0.3, 1.0),
        (0.58, 0.76),
        (0.3, 0.48),
    ]],
    &[&[
        (0.55, 0.3),
        (0.3, 0.5),
        (0.05, 0.3),
        (0.2, 0.02),
        (0.5, 0.05),
        (0.55, 0.3),
        (0.5, 1.0),
    ]],
];

/// Points of a line lie so far apart at most.
const SPACING: f64 = 0.3;

/// From one digit to the next.
const ADVANCE: f64 = 0.9;

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let count = draw.within(1, place.length);
    let text: String = draw.letters("0123456789", count);
    // A hand: how large and wide it writes, and how far it leans.
    let size = between(&mut draw, 0.8, 1.25);
    let width = between(&mut draw, 0.85, 1.15);
    let slant = between(&mut draw, -0.25, 0.25);
    // The first point is where the pen begins.
    let mut at: Option<Point> = None;
    let mut steps: Vec<(f64, f64, u8)> = Vec::new();
    for (n, digit) in text.bytes().enumerate() {
        for line in DIGITS[usize::from(digit - b'0')] {
            for (x, y) in spaced(line) {
                let (x, y) = (x + ADVANCE * n as f64, y);
                let mut noise = || between(&mut draw, -0.03, 0.03);
                let (x, y) = (x + noise(), y + noise());
                let to = (size * width * (x - slant * y), size * y);
                if let Some(at) = at {
                    steps.push((places(to.0 - at.0), places(to.1 - at.1), 0));
                }
                at = Some(to);
            }
            if let Some(last) = steps.last_mut() {
                last.2 = 1;
            }
        }
    }
    format!("{}\n", json!({"text": text, "points": steps}))
}

/// The points of lines, with others between them where these are far apart.
fn spaced(line: &[Point]) -> Vec<Point> {
    let mut points = vec![line[0]];
    for ends in line.windows(2) {
        let (from, to) = (ends[0], ends[1]);
        let (x, y) = (to.0 - from.0, to.1 - from.1);
        let parts = (x.hypot(y) / SPACING).ceil().max(1.0);
        let part = |n: usize| {
            let share = n as f64 / parts;
            (from.0 + share * x, from.1 + share * y)
        };
        points.extend((1..=parts as usize).map(part));
    }
    points
}

/// A number from `least` to `most`, in steps of a millionth of what lies between.
pub(super) fn between(draw: &mut Draw, least: f64, most: f64) -> f64 {
    least + (most - least) * draw.below(1_000_001) as f64 / 1e6
}

/// With four places.
fn places(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}
