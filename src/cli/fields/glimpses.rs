//! `predict --svg` for models with an eye: images with the path of the eye over each, and what it is taken for.

use std::path::Path;

use svg::node::element::path::Data;
use svg::node::element::{Circle, Group, Path as Line, Rectangle, Text};
use wgrnn::train::{atomic, examples::Glimpses};
use wgrnn::{Error, Result};

use super::drawing::{page, round};

/// Units of an image's longer side, between images, and of the line of text below each.
const SIDE: f64 = 112.0;
const GAP: f64 = 8.0;
const LINE: f64 = 16.0;
/// Images of a row, at most.
const ACROSS: usize = 8;
/// The most images: each pixel that is not black is an element.
const MOST: usize = 400;

/// Writes the images of all examples, in their order, each with what it is `taken` for.
///
/// # Errors
/// Usage, for more images than fit; Io, for a file that cannot be written.
pub fn write(file: &Path, all: &[Glimpses], taken: &[String]) -> Result<()> {
    if all.len() > MOST {
        return Err(Error::usage(format!(
            "--svg: expected at most {MOST} images, got {}: give fewer examples",
            all.len()
        )));
    }
    atomic::write(file, sheet(all, taken).as_bytes())
}

fn sheet(all: &[Glimpses], taken: &[String]) -> String {
    let across = all.len().clamp(1, ACROSS);
    let down = all.len().div_ceil(across).max(1);
    let (wide, high) = (SIDE + GAP, SIDE + LINE + GAP);
    let (width, height) = (GAP + wide * across as f64, GAP + high * down as f64);
    let mut document = page(width, height);
    for (n, (glimpses, taken)) in all.iter().zip(taken).enumerate() {
        let (column, row) = ((n % across) as f64, (n / across) as f64);
        let place = format!("translate({} {})", GAP + wide * column, GAP + high * row);
        let label = Text::new(taken.as_str())
            .set("x", 0)
            .set("y", SIDE + LINE - 4.0)
            .set("font-family", "sans-serif")
            .set("font-size", 12);
        let image = image(glimpses).add(label);
        document = document.add(image.set("transform", place));
    }
    format!("{document}\n")
}

/// An image, the first square of each glimpse, and the path from one to the next: a ring where it begins.
fn image(of: &Glimpses) -> Group {
    let height = of.image.len() / of.width;
    let pixel = SIDE / of.width.max(height) as f64;
    let (wide, high) = (pixel * of.width as f64, pixel * height as f64);
    let mut group = Group::new().add(
        Rectangle::new()
            .set("width", round(wide))
            .set("height", round(high)),
    );
    for (n, value) in of.image.iter().enumerate() {
        let level = (255.0 * value.clamp(0.0, 1.0)).round() as u8;
        if level > 0 {
            group = group.add(
                Rectangle::new()
                    .set("x", round(pixel * (n % of.width) as f64))
                    .set("y", round(pixel * (n / of.width) as f64))
                    .set("width", round(pixel))
                    .set("height", round(pixel))
                    .set("fill", format!("rgb({level},{level},{level})")),
            );
        }
    }
    let at = |place: &[f32; 2]| {
        let inside = |x: f32, side: f64| (f64::from(x) + 1.0) / 2.0 * side;
        (inside(place[0], wide), inside(place[1], high))
    };
    let size = pixel * of.size as f64;
    let mut path = Data::new();
    for (n, place) in of.places.iter().enumerate() {
        let (x, y) = at(place);
        let point = (round(x), round(y));
        path = if n == 0 {
            path.move_to(point)
        } else {
            path.line_to(point)
        };
        group = group.add(
            Rectangle::new()
                .set("x", round(x - size / 2.0))
                .set("y", round(y - size / 2.0))
                .set("width", round(size))
                .set("height", round(size))
                .set("fill", "none")
                .set("stroke", "#2a7")
                .set("stroke-opacity", 0.6),
        );
    }
    group = group.add(
        Line::new()
            .set("d", path)
            .set("fill", "none")
            .set("stroke", "#e44")
            .set("stroke-width", 2),
    );
    if let Some(first) = of.places.first() {
        let (x, y) = at(first);
        group = group.add(
            Circle::new()
                .set("cx", round(x))
                .set("cy", round(y))
                .set("r", 4)
                .set("fill", "none")
                .set("stroke", "#e44")
                .set("stroke-width", 2),
        );
    }
    group
}
