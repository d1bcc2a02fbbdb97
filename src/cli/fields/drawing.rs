//! Strokes of a pen as SVG: a sheet of drawings side by side.

use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Group, Path, Rectangle};

/// Units of a drawing's square, and the margin around it.
const SQUARE: f64 = 100.0;
const MARGIN: f64 = 8.0;
/// Drawings of a row, at most.
const ACROSS: usize = 8;

/// A sheet of drawings, each `[n, 3]`: two offsets of the pen, and above 1/2 where it lifts behind the step.
pub fn sheet(drawings: &[Vec<f32>]) -> String {
    let across = drawings.len().clamp(1, ACROSS);
    let down = drawings.len().div_ceil(across).max(1);
    let (width, height) = (SQUARE * across as f64, SQUARE * down as f64);
    let mut document = page(width, height);
    for (n, drawing) in drawings.iter().enumerate() {
        let (column, row) = ((n % across) as f64, (n / across) as f64);
        let place = format!("translate({} {})", SQUARE * column, SQUARE * row);
        let mut group = Group::new()
            .set("transform", place)
            .set("fill", "none")
            .set("stroke", "black")
            .set("stroke-width", 1.5)
            .set("stroke-linecap", "round")
            .set("stroke-linejoin", "round");
        for stroke in strokes(drawing) {
            let mut data = Data::new();
            for (n, point) in stroke.iter().enumerate() {
                let at = (round(point.0), round(point.1));
                data = if n == 0 {
                    data.move_to(at)
                } else {
                    data.line_to(at)
                };
            }
            group = group.add(Path::new().set("d", data));
        }
        document = document.add(group);
    }
    format!("{document}\n")
}

/// An empty white page.
pub fn page(width: f64, height: f64) -> Document {
    let paper = Rectangle::new()
        .set("width", "100%")
        .set("height", "100%")
        .set("fill", "white");
    Document::new()
        .set("viewBox", (0.0, 0.0, width, height))
        .set("width", width)
        .set("height", height)
        .add(paper)
}

/// To hundredths.
pub fn round(x: f64) -> f64 {
    (100.0 * x).round() / 100.0
}

/// The lines of a drawing, in the units of its square.
fn strokes(drawing: &[f32]) -> Vec<Vec<(f64, f64)>> {
    let (mut x, mut y) = (0.0, 0.0);
    let mut strokes: Vec<Vec<(f64, f64)>> = vec![vec![(x, y)]];
    for step in drawing.chunks_exact(3) {
        x += f64::from(step[0]);
        y += f64::from(step[1]);
        if let Some(stroke) = strokes.last_mut() {
            stroke.push((x, y));
        }
        if step[2] > 0.5 {
            strokes.push(Vec::new());
        }
    }
    // What comes after a lift begins where the pen came down.
    strokes.retain(|stroke| stroke.len() > 1);
    let all = || strokes.iter().flatten();
    let least = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (left, top) = (least(|p| p.0), least(|p| p.1));
    let (wide, high) = (most(|p| p.0) - left, most(|p| p.1) - top);
    let scale = (SQUARE - 2.0 * MARGIN) / wide.max(high).max(f64::MIN_POSITIVE);
    let place = |(x, y): &(f64, f64)| {
        (
            SQUARE / 2.0 + scale * (x - left - wide / 2.0),
            SQUARE / 2.0 + scale * (y - top - high / 2.0),
        )
    };
    strokes
        .iter()
        .map(|stroke| stroke.iter().map(place).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lift_ends_a_line_and_drawings_fill_their_squares() {
        let drawing = [2.0, 0.0, 0.0, 0.0, 2.0, 1.0, -2.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let lines = strokes(&drawing);
        assert_eq!(lines.len(), 2);
        // 3 high and 2 wide: 84 units for 3.
        assert_eq!(lines[0], [(22.0, 8.0), (78.0, 8.0), (78.0, 64.0)]);
        assert_eq!(lines[1], [(22.0, 64.0), (22.0, 92.0)]);
        let text = sheet(&[drawing.to_vec(), drawing.to_vec()]);
        assert_eq!(text.matches("<path").count(), 4);
        assert!(text.contains("viewBox=\"0 0 200 100\""), "{text}");
        assert_eq!(sheet(&[vec![]]).matches("<path").count(), 0);
    }
}
