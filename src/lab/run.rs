//! Measures the points of an experiment on all cores, and writes down what follows from them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Experiment, Finding, Folder, Measured, Point, Size, on_all_cores, page};
use crate::error::{Error, Kind, Result};

/// What a run of an experiment came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every point with its result, in the experiment's order.
    pub measured: Vec<Measured>,
    /// How many of them were there already.
    pub kept: usize,
    /// The claims and whether they hold.
    pub findings: Vec<Finding>,
    /// The table, columns between tabs.
    pub table: String,
    /// What a page says of all that.
    pub section: String,
}

/// Runs `experiment` in the folder `out`, which is new or one that the same run has begun; `tell` is given how many points of
/// how many are done, and `stop` ends the run after those that are being measured.
///
/// # Errors
/// As [`Folder::open`]; Interrupted, where it was stopped; what a measurement ends with.
pub fn run(
    experiment: &dyn Experiment,
    size: Size,
    seed: u64,
    out: &Path,
    tell: &(dyn Fn(usize, usize) + Sync),
    stop: &AtomicBool,
) -> Result<Report> {
    let points = experiment.points(size, seed).into_iter().map(Point);
    let points: Vec<Point> = points.collect();
    let (folder, known) = Folder::open(out, experiment, size, seed)?;
    let known_at = |point: &Point| known.iter().find(|m| m.point == *point);
    let missing: Vec<&Point> = points.iter().filter(|p| known_at(p).is_none()).collect();
    let fresh = measure(experiment, &folder, &missing, tell, stop)?;
    let measured = points.iter().map(|point| {
        let found = known_at(point).or_else(|| fresh.iter().find(|m| m.point == *point));
        found.cloned()
    });
    let Some(measured) = measured.collect::<Option<Vec<Measured>>>() else {
        return Err(Error::new(
            Kind::Interrupted,
            format!(
                "interrupted after {} of {} points, which {} keeps: the same command goes on",
                known.len() + fresh.len(),
                points.len(),
                out.display()
            ),
        ));
    };
    let mut report = Report {
        kept: points.len() - missing.len(),
        findings: experiment.findings(&measured),
        table: table(experiment, &measured),
        section: String::new(),
        measured,
    };
    folder.write("table.tsv", &report.table)?;
    let mut drawings = vec![experiment.plot(&report.measured).svg()?];
    folder.write("plot.svg", &drawings[0])?;
    if let Some(map) = experiment.heat(&report.measured) {
        drawings.push(map.svg()?);
        folder.write("heat.svg", &drawings[1])?;
    }
    report.section = page::section(experiment, size, seed, &report, &drawings);
    folder.write(
        "index.html",
        &page::page(experiment.name(), &report.section),
    )?;
    Ok(report)
}

/// Measures `points`, one on each core at a time; ends early when one fails or `stop` is set.
fn measure(
    experiment: &dyn Experiment,
    folder: &Folder,
    points: &[&Point],
    tell: &(dyn Fn(usize, usize) + Sync),
    stop: &AtomicBool,
) -> Result<Vec<Measured>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    on_all_cores(|| {
        if stop.load(Ordering::SeqCst) {
            return Ok(false);
        }
        let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) else {
            return Ok(false);
        };
        let measured = Measured {
            point: (*point).clone(),
            result: experiment.measure(point)?,
        };
        folder.add(&measured)?;
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(measured);
        tell(done.len(), points.len());
        Ok(true)
    })?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A line a point, its columns between tabs; `-` where there is nothing.
fn table(experiment: &dyn Experiment, measured: &[Measured]) -> String {
    let mut text = experiment.columns().join("\t") + "\n";
    for point in measured {
        let cells =
            experiment
                .columns()
                .iter()
                .map(|name| match (point.number(name), point.text(name)) {
                    (Some(number), _) => shown(number),
                    (None, "") => "-".to_owned(),
                    (None, text) => text.to_owned(),
                });
        text += &(cells.collect::<Vec<_>>().join("\t") + "\n");
    }
    text
}

/// A number in four digits.
pub fn shown(x: f64) -> String {
    let size = x.abs();
    if x.fract() == 0.0 && size < 1e6 {
        format!("{x}")
    } else if (1e-3..1e4).contains(&size) {
        let digits = 3 - (size.log10().floor() as i32).clamp(-3, 3);
        format!("{x:.*}", digits as usize)
    } else {
        format!("{x:.3e}")
    }
}
