//! Lines over two axes, as SVG.

use plotters::prelude::*;

use crate::error::{Error, Result};

/// Lines with names over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What is seen.
    pub title: String,
    /// What runs from left to right.
    pub across: String,
    /// What runs from the bottom to the top.
    pub up: String,
    /// How the one is laid out.
    pub across_scale: Scale,
    /// How the other is.
    pub up_scale: Scale,
    /// The lines.
    pub series: Vec<Series>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points, from the left.
    pub points: Vec<(f64, f64)>,
}

/// How an axis is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equal differences.
    Linear,
    /// Equal steps are equal ratios; what is not above 0 has no place.
    Log,
}

impl Scale {
    /// Where a number lies on the axis.
    fn place(self, x: f64) -> f64 {
        match self {
            Scale::Linear => x,
            Scale::Log => x.log10(),
        }
    }

    /// What is written at a place.
    fn label(self, place: f64) -> String {
        match self {
            // Steps of the axis are round; their sums need not be.
            Scale::Linear => format!("{}", (place * 1e6).round() / 1e6),
            Scale::Log => {
                let x = 10f64.powf(place);
                match x {
                    0.01..1.0 => format!("{x:.2}"),
                    1.0..10.0 => format!("{x:.1}"),
                    10.0..1e4 => format!("{x:.0}"),
                    _ => format!("{x:.0e}"),
                }
            }
        }
    }
}

/// Width and height of the whole, and of the part with the names.
const SIZE: (u32, u32) = (960, 480);
const NAMES: i32 = 280;
/// From one name to the next, and how long a piece of line stands before it.
const ROW: i32 = 18;
const SAMPLE: i32 = 24;

/// Colours that those who tell red from green badly can tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(0, 0, 0),
];

/// What `draw` writes, or the fault as an error of this program.
pub(super) fn drawn(
    title: &str,
    draw: impl FnOnce(&mut String) -> std::result::Result<(), Box<dyn std::error::Error>>,
) -> Result<String> {
    let mut text = String::new();
    draw(&mut text).map_err(|e| Error::internal(format!("cannot draw {title}: {e}")))?;
    Ok(text)
}

impl Plot {
    /// The drawing. Points that are not finite, or have no place on a logarithmic axis, are left out.
    ///
    /// # Errors
    /// Internal, where the drawing fails.
    pub fn svg(&self) -> Result<String> {
        drawn(&self.title, |text| self.draw(text))
    }

    fn draw(&self, text: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
        let placed = |series: &Series| -> Vec<(f64, f64)> {
            let points = series.points.iter();
            points
                .map(|(x, y)| (self.across_scale.place(*x), self.up_scale.place(*y)))
                .filter(|(x, y)| x.is_finite() && y.is_finite())
                .collect()
        };
        let lines: Vec<Vec<(f64, f64)>> = self.series.iter().map(placed).collect();
        let all = || lines.iter().flatten();
        let (across, up) = (range(all().map(|p| p.0)), range(all().map(|p| p.1)));
        let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(SIZE.0 as i32 - NAMES);
        let mut chart = ChartBuilder::on(&left)
            .caption(&self.title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(across, up)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(&self.across)
            .y_desc(&self.up)
            .x_label_formatter(&|x| self.across_scale.label(*x))
            .y_label_formatter(&|y| self.up_scale.label(*y))
            .draw()?;
        for (n, (series, line)) in self.series.iter().zip(&lines).enumerate() {
            let style = COLOURS[n % COLOURS.len()].stroke_width(2);
            let marked = line.len() <= 12;
            // Beyond the colours' number lines are told apart by their second round's dashes.
            let dashed = n >= COLOURS.len();
            if dashed {
                let dashes = DashedLineSeries::new(line.iter().copied(), 6, 4, style);
                chart.draw_series(dashes)?;
            } else {
                chart.draw_series(LineSeries::new(line.iter().copied(), style))?;
            }
            if marked {
                let dots = line.iter().map(|p| Circle::new(*p, 3, style.filled()));
                chart.draw_series(dots)?;
            }
            let y = 40 + ROW * n as i32;
            let end = if dashed { SAMPLE / 2 } else { SAMPLE };
            right.draw(&PathElement::new(vec![(0, y), (end, y)], style))?;
            let name = Text::new(series.name.clone(), (SAMPLE + 6, y - 6), ("sans-serif", 12));
            right.draw(&name)?;
        }
        root.present()?;
        Ok(())
    }
}

/// From the least to the most, with room at both ends.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
        (a.min(x), b.max(x))
    });
    if least > most {
        return 0.0..1.0;
    }
    let room = if least == most {
        0.5
    } else {
        0.04 * (most - least)
    };
    least - room..most + room
}
