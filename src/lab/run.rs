//! Measures the points of an experiment side by side, and writes down what follows from them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{
    Experiment, Finding, Folder, Measured, Point, Size, check_settings, page, side_by_side,
};
use crate::error::{Error, Kind, Result};
use crate::exec::Device;

/// The file of measured points in a run's folder.
const POINTS: &str = "points.jsonl";

/// A run of an experiment: what is measured, and where.
#[derive(Clone, Copy)]
pub struct LabRun<'a> {
    /// The question.
    pub experiment: &'a dyn Experiment,
    /// How much is measured.
    pub size: Size,
    /// The first seed.
    pub seed: u64,
    /// Where.
    pub device: &'a Device,
}

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

/// Whoever is told how many points of how many are done.
type Tell<'a> = &'a (dyn Fn(usize, usize) + Sync);

impl LabRun<'_> {
    /// Its points, in their order.
    fn points(&self) -> Vec<Point> {
        let points = self.experiment.points(self.size, self.seed).into_iter();
        points.map(Point).collect()
    }

    /// What the folder has as settings, as TOML: what all points have alike.
    pub(super) fn settings(&self) -> String {
        let mut text = format!(
            "experiment = \"{}\"\nsize = \"{}\"\nfirst_seed = {}\ndevice = {}\nversion = \"{}\"\n",
            self.experiment.name(),
            self.size.name(),
            self.seed,
            toml::Value::from(self.device.identity()),
            env!("CARGO_PKG_VERSION")
        );
        let points = self.points();
        for (name, value) in points.first().into_iter().flat_map(|point| &point.0) {
            if points.iter().all(|point| point.0.get(name) == Some(value)) {
                // Numbers and texts without anything to escape are written alike in JSON and TOML.
                text += &format!("{name} = {value}\n");
            }
        }
        text
    }

    /// Whether it can be, and have the folder at `out`; nothing is written.
    ///
    /// # Errors
    /// Usage: a device that the experiment is not for; a folder of something else, or of a run with other settings. A point that cannot
    /// be measured.
    pub fn check(&self, out: &Path) -> Result<()> {
        let experiment = self.experiment;
        if let (Some(why), Device::Gpu(_)) = (experiment.processor_only(), self.device) {
            return Err(Error::usage(format!(
                "--device: expected cpu for {}, {why}, got {}",
                experiment.name(),
                self.device.name()
            )));
        }
        for point in self.points() {
            experiment
                .check(&point)
                .map_err(|e| Error::new(e.kind, format!("{}: {}", experiment.name(), e.message)))?;
        }
        check_settings(out, &self.settings())
    }

    /// Runs in the folder `out`, which is new or one that the same run has begun; `tell` is given how many points of how many are
    /// done, and `stop` ends the run after those that are being measured.
    ///
    /// # Errors
    /// As [`LabRun::check`]; Data: points that cannot be read; Interrupted, where it was stopped; what a measurement ends with; Io.
    pub fn run(&self, out: &Path, tell: Tell<'_>, stop: &AtomicBool) -> Result<Report> {
        self.check(out)?;
        let (experiment, points) = (self.experiment, self.points());
        let folder = Folder::with(out, &self.settings())?;
        let known: Vec<Measured> = folder.lines(POINTS)?;
        let known_at = |point: &Point| known.iter().find(|m| m.point == *point);
        let missing: Vec<&Point> = points.iter().filter(|p| known_at(p).is_none()).collect();
        let fresh = self.measure(&folder, &missing, tell, stop);
        let fresh = fresh.map_err(|e| folder.with_kept(e))?;
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
        report.section = page::section(self, &report, &drawings);
        folder.write(
            "index.html",
            &page::page(experiment.name(), &report.section),
        )?;
        Ok(report)
    }

    /// Measures `points`, as many at a time as there are workers; ends early when one fails or `stop` is set.
    fn measure(
        &self,
        folder: &Folder,
        points: &[&Point],
        tell: Tell<'_>,
        stop: &AtomicBool,
    ) -> Result<Vec<Measured>> {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        side_by_side(|| {
            if stop.load(Ordering::SeqCst) {
                return Ok(false);
            }
            let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) else {
                return Ok(false);
            };
            let measured = Measured {
                point: (*point).clone(),
                result: self.experiment.measure(point, self.device)?,
            };
            folder.add_line(POINTS, &measured)?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(measured);
            tell(done.len(), points.len());
            Ok(true)
        })?;
        Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
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
