//! A value over two settings, as SVG: the darker, the larger.

use plotters::prelude::*;

use super::plot::drawn;
use super::run::shown;
use crate::error::Result;

/// A table of numbers, drawn as colours.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// What is seen.
    pub title: String,
    /// What runs from left to right, and what each column is.
    pub across: (String, Vec<String>),
    /// What runs from the bottom to the top, and what each row is.
    pub up: (String, Vec<String>),
    /// The numbers, row by row from the bottom; none where nothing was measured.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// Width and height of a cell, and the room beside and above all of them.
const CELL: (i32, i32) = (110, 44);
const LEFT: i32 = 130;
const ABOVE: i32 = 50;
const BELOW: i32 = 60;

/// The colours of the least and of the largest number.
const LIGHT: RGBColor = RGBColor(255, 247, 188);
const DARK: RGBColor = RGBColor(153, 52, 4);

impl HeatMap {
    /// The drawing, with the number in each cell.
    ///
    /// # Errors
    /// Internal, where the drawing fails.
    pub fn svg(&self) -> Result<String> {
        drawn(&self.title, |text| self.draw(text))
    }

    fn draw(&self, text: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
        let (columns, rows) = (self.across.1.len() as i32, self.rows.len() as i32);
        let size = (LEFT + columns * CELL.0 + 20, ABOVE + rows * CELL.1 + BELOW);
        let root = SVGBackend::with_string(text, (size.0 as u32, size.1 as u32));
        let root = root.into_drawing_area();
        root.fill(&WHITE)?;
        let write = |words: &str, at: (i32, i32), points: i32, colour: &RGBColor| {
            let style = ("sans-serif", points).into_font().color(colour);
            root.draw(&Text::new(words.to_owned(), at, style))
        };
        write(&self.title, (10, 10), 18, &BLACK)?;
        let all = || self.rows.iter().flatten().flatten();
        let least = all().copied().fold(f64::INFINITY, f64::min);
        let most = all().copied().fold(f64::NEG_INFINITY, f64::max);
        for (n, row) in (0..).zip(&self.rows) {
            let y = ABOVE + (rows - 1 - n) * CELL.1;
            write(&self.up.1[n as usize], (60, y + 14), 12, &BLACK)?;
            for (m, value) in (0..).zip(row) {
                let x = LEFT + m * CELL.0;
                let corners = [(x, y), (x + CELL.0 - 2, y + CELL.1 - 2)];
                let Some(value) = value else {
                    root.draw(&Rectangle::new(
                        corners,
                        RGBColor(220, 220, 220).stroke_width(1),
                    ))?;
                    continue;
                };
                let share = if most > least {
                    (value - least) / (most - least)
                } else {
                    0.0
                };
                root.draw(&Rectangle::new(corners, mixed(share).filled()))?;
                let ink = if share > 0.5 { WHITE } else { BLACK };
                write(&shown(*value), (x + 30, y + 14), 13, &ink)?;
            }
        }
        let y = ABOVE + rows * CELL.1;
        for (m, name) in (0..).zip(&self.across.1) {
            write(name, (LEFT + m * CELL.0 + 8, y + 6), 12, &BLACK)?;
        }
        write(&self.across.0, (LEFT, y + 30), 13, &BLACK)?;
        write(&self.up.0, (10, ABOVE - 18), 13, &BLACK)?;
        root.present()?;
        Ok(())
    }
}

/// A colour between light and dark.
fn mixed(share: f64) -> RGBColor {
    let part = |from: u8, to: u8| {
        (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8
    };
    RGBColor(
        part(LIGHT.0, DARK.0),
        part(LIGHT.1, DARK.1),
        part(LIGHT.2, DARK.2),
    )
}
