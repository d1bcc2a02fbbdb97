//! `moving`: films of a digit that moves about and bounces off the edges, with its places, the kind of its movement and a sentence.

use serde_json::json;

use super::strokes::{DIGITS, Point, between};
use super::{LengthRange, Place, Task};

pub const TASK: Task = Task {
    name: "moving",
    about: "a digit in 16 x 16 pixels moves about: frames, its middle in each, across, upright or slanting, and a sentence",
    source: "the moving digits of Srivastava, Mansimov, Salakhutdinov 2015, one of them, drawn with lines",
    ending: "jsonl",
    train: "--model track --columns frames=frames,places=places",
    header: "",
    length: Some(LengthRange {
        of: "frames",
        least: 1,
        usual: 12,
        most: 256,
    }),
    example,
};

/// Pixels of a frame's side.
pub(super) const SIDE: usize = 16;

/// A digit's height; it is 0.6 times as wide.
const HEIGHT: f64 = 6.0;

/// Half the width of its lines, beyond which they fade over a pixel.
const PEN: f64 = 0.4;

const NAMES: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];

/// The kinds of movement: along which of the two directions.
const KINDS: [(&str, [f64; 2]); 3] = [
    ("across", [1.0, 0.0]),
    ("upright", [0.0, 1.0]),
    ("slanting", [1.0, 1.0]),
];

/// How fast, in pixels a frame along each direction.
const SPEEDS: [(&str, f64, f64); 2] = [("slowly", 0.5, 0.8), ("fast", 1.2, 1.6)];

/// How its light changes from the first frame to the last, of 1.
const LIGHTS: [(&str, f64, f64); 3] = [
    ("", 0.8, 0.8),
    (" and fades", 1.0, 0.5),
    (" and brightens", 0.5, 1.0),
];

fn example(place: Place) -> String {
    let mut draw = place.draw();
    let digit = draw.below(DIGITS.len());
    let (kind, directions) = draw.choice(&KINDS);
    let (speed, least, most) = draw.choice(&SPEEDS);
    let (light, first, last) = draw.choice(&LIGHTS);
    // Where the middle may be, and a round trip in each direction. A trip that begins anywhere says nothing of a movement by any
    // single one of its places.
    let ways = [0.6 * HEIGHT, HEIGHT].map(|size| (size / 2.0 + 1.0, SIDE as f64 - size - 2.0));
    let trips = ways.map(|(_, way)| 2.0 * way * between(&mut draw, 0.0, 1.0));
    let pace = between(&mut draw, least, most);
    let (mut frames, mut places) = (Vec::new(), Vec::new());
    for frame in 0..place.length {
        let at = |n: usize| {
            let (edge, way) = ways[n];
            let trip = (trips[n] + pace * directions[n] * frame as f64) % (2.0 * way);
            edge + trip.min(2.0 * way - trip)
        };
        let share = frame as f64 / (place.length - 1).max(1) as f64;
        let at = (at(0), at(1));
        frames.push(drawn(digit, at, first + share * (last - first)));
        places.push([at.0, at.1].map(|x| (x * 100.0).round() / 100.0));
    }
    let text = format!("a {} moves {speed} {kind}{light}", NAMES[digit]);
    format!(
        "{}\n",
        json!({"frames": frames, "places": places, "label": kind, "text": text})
    )
}

/// The pixels of a digit whose middle is there: how much light each has, in tenths, row by row.
fn drawn(digit: usize, middle: Point, light: f64) -> Vec<serde_json::Number> {
    let corner = (middle.0 - 0.3 * HEIGHT, middle.1 - 0.5 * HEIGHT);
    let pixel = |n: usize| {
        let centre = ((n % SIDE) as f64 + 0.5, (n / SIDE) as f64 + 0.5);
        let point = (
            (centre.0 - corner.0) / HEIGHT,
            (centre.1 - corner.1) / HEIGHT,
        );
        let lines = DIGITS[digit].iter().flat_map(|line| line.windows(2));
        let distance = lines
            .map(|ends| apart(point, ends[0], ends[1]))
            .fold(f64::INFINITY, f64::min);
        let ink = (1.0 + PEN - HEIGHT * distance).clamp(0.0, 1.0);
        tenths(light * ink)
    };
    (0..SIDE * SIDE).map(pixel).collect()
}

/// How far a point is from a line between two others.
fn apart(point: Point, from: Point, to: Point) -> f64 {
    let way = (to.0 - from.0, to.1 - from.1);
    let own = (point.0 - from.0, point.1 - from.1);
    let share = (own.0 * way.0 + own.1 * way.1) / (way.0 * way.0 + way.1 * way.1);
    let share = share.clamp(0.0, 1.0);
    (own.0 - share * way.0).hypot(own.1 - share * way.1)
}

/// With one place, and none where it is whole, as a film is mostly dark.
fn tenths(x: f64) -> serde_json::Number {
    let tenths = (10.0 * x).round();
    match serde_json::Number::from_f64(tenths / 10.0) {
        Some(number) if tenths % 10.0 != 0.0 => number,
        _ => (tenths as u32 / 10).into(),
    }
}
