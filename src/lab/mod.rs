//! The laboratory: what is said of recurrent networks, measured anew. An experiment is a file here and a line of the list.
//!
//! An experiment is a list of [points](Point), each measured alone by the engine's own cells, models, plans and trainer, and
//! what follows from all of them: a table, a plot, and whether each claim holds. The folder of a run keeps every measured
//! point, so that a run that was stopped goes on where it was.

mod adding;
mod batching;
mod best_rate;
mod clipping;
mod copy;
mod course;
mod depth;
mod encoded;
mod exposure;
mod folder;
mod gap;
mod gradient_flow;
mod heat;
mod hundred;
mod interference;
mod latch;
mod least_squares;
mod lengths;
mod memorise;
mod memory;
mod own_files;
mod page;
mod plot;
mod ranking;
mod rare_words;
mod regularise;
mod run;
mod stages;
mod streamed;
mod symmetry;
mod temporal_order;
#[cfg(test)]
mod tests;
mod text_model;
mod trials;
mod variants;
mod workers;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result, unknown};
use crate::exec::Device;

pub use self::encoded::{Made, encoded};
pub use self::folder::{Folder, check_settings};
pub use self::heat::HeatMap;
pub use self::own_files::TaskData;
pub use self::page::{STYLE, escaped, is_page, together};
pub use self::plot::{Plot, Scale, Series};
pub use self::run::{LabRun, Report, shown};
pub use self::text_model::hidden_of;
pub use self::variants::Variants;
pub use self::workers::side_by_side;

/// Numbers and names by name: what a point is, or what was measured at it.
pub type Facts = Map<String, Value>;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Less than two minutes on two cores.
    Quick,
    /// As much as makes a figure worth quoting.
    Full,
}

impl Size {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Size::Quick => "quick",
            Size::Full => "full",
        }
    }
}

/// One measurement: what is set, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point(pub Facts);

/// A point and what was measured at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What was set.
    pub point: Point,
    /// What came out.
    pub result: Facts,
}

impl Measured {
    /// The number that is called so, of what was set or of what came out.
    pub fn number(&self, name: &str) -> Option<f64> {
        let found = self.point.0.get(name).or_else(|| self.result.get(name));
        found.and_then(Value::as_f64)
    }

    /// The same of a text.
    pub fn text(&self, name: &str) -> &str {
        let found = self.point.0.get(name).or_else(|| self.result.get(name));
        found.and_then(Value::as_str).unwrap_or("")
    }

    /// The numbers of a list that came out.
    pub fn list(&self, name: &str) -> Vec<f64> {
        let list = self.result.get(name).and_then(Value::as_array);
        let list = list.into_iter().flatten();
        list.map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
    }
}

/// What somebody said, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The claim.
    pub claim: &'static str,
    /// Whose it is, and where it stands.
    pub by: &'static str,
    /// The figures that decide it, in words.
    pub found: String,
    /// Whether it holds; none where what was measured does not decide it.
    pub holds: Option<bool>,
}

impl Finding {
    /// The verdict in words.
    pub fn verdict(&self) -> &'static str {
        match self.holds {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "not decided",
        }
    }
}

/// A question to recurrent networks.
pub trait Experiment: Sync {
    /// The name.
    fn name(&self) -> &'static str;

    /// The question, in one line.
    fn about(&self) -> &'static str;

    /// How it is measured, for the page.
    fn method(&self) -> &'static str;

    /// The points, in the order in which they are measured.
    fn points(&self, size: Size, seed: u64) -> Vec<Facts>;

    /// Why it is measured on the processor alone, behind its name; none where any device will do.
    fn processor_only(&self) -> Option<&'static str> {
        None
    }

    /// Measures a point on `device`. Two calls with the same point and device give the same result, but for what a clock says.
    ///
    /// # Errors
    /// What the engine ends with; internal, for a point of something else.
    fn measure(&self, point: &Point, device: &Device) -> Result<Facts>;

    /// Whether a point can be measured, at no cost; all points are looked at before any is measured.
    ///
    /// # Errors
    /// What would end its measurement before it begins.
    fn check(&self, _point: &Point) -> Result<()> {
        Ok(())
    }

    /// The columns of the table, of what was set and what came out.
    fn columns(&self) -> &'static [&'static str];

    /// The plot of what was measured.
    fn plot(&self, measured: &[Measured]) -> Plot;

    /// What the plot cannot show: a value over two settings.
    fn heat(&self, _measured: &[Measured]) -> Option<HeatMap> {
        None
    }

    /// What follows from it.
    fn findings(&self, measured: &[Measured]) -> Vec<Finding>;
}

/// Every experiment.
pub const EXPERIMENTS: [&dyn Experiment; 20] = [
    &gradient_flow::GradientFlow,
    &clipping::Clipping,
    &latch::EXPERIMENT,
    &interference::EXPERIMENT,
    &hundred::EXPERIMENT,
    &adding::EXPERIMENT,
    &copy::EXPERIMENT,
    &temporal_order::EXPERIMENT,
    &gap::EXPERIMENT,
    &symmetry::Symmetry,
    &rare_words::RareWords,
    &memorise::Memorise,
    &memory::Memory,
    &depth::Depth,
    &variants::MADE_UP,
    &ranking::Ranking,
    &regularise::Regularise,
    &exposure::Exposure,
    &batching::BatchingOrders,
    &stages::Stages,
];

/// The experiment `name`.
///
/// # Errors
/// Usage, with all names and the nearest, when there is none.
pub fn experiment(name: &str) -> Result<&'static dyn Experiment> {
    let names = EXPERIMENTS.iter().map(|e| e.name());
    let found = EXPERIMENTS.into_iter().find(|e| e.name() == name);
    found.ok_or_else(|| unknown("experiment", name, names, ", or all"))
}

/// A point's setting of the kind that is read.
fn set<'a, T>(
    point: &'a Point,
    name: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<T> {
    let found = point.0.get(name).and_then(read);
    found.ok_or_else(|| Error::internal(format!("a point without {name}: {:?}", point.0)))
}

/// A point's setting that is a text.
pub fn text<'a>(point: &'a Point, name: &str) -> Result<&'a str> {
    set(point, name, Value::as_str)
}

/// A point's setting that is a number.
pub fn number(point: &Point, name: &str) -> Result<f64> {
    set(point, name, Value::as_f64)
}

/// A point's setting that is a whole number from 0 on.
pub fn whole(point: &Point, name: &str) -> Result<u64> {
    set(point, name, Value::as_u64)
}

/// Every combination of lists of settings, beside those that all points have; the last list runs fastest.
fn crossed(base: Value, lists: &[(&str, Value)]) -> Vec<Facts> {
    let mut all = vec![facts(base)];
    for (name, list) in lists {
        let values = list.as_array().map_or(&[][..], |list| list);
        let with = |point: Facts| {
            values.iter().map(move |value| {
                let mut point = point.clone();
                point.insert((*name).into(), value.clone());
                point
            })
        };
        all = all.into_iter().flat_map(with).collect();
    }
    all
}

/// So many seeds, `first` being the first.
fn seeds(first: u64, count: u64) -> Value {
    (first..first.saturating_add(count))
        .collect::<Vec<u64>>()
        .into()
}

/// The mean of the number `name` over what was measured at points for which `of` says so; none where there is none, or one that
/// lacks it, such as one that diverged.
fn mean(measured: &[Measured], name: &str, of: impl Fn(&Measured) -> bool) -> Option<f64> {
    let own = measured.iter().filter(|m| of(m));
    let all: Option<Vec<f64>> = own.map(|m| m.number(name)).collect();
    let all = all.filter(|all| !all.is_empty())?;
    Some(all.iter().sum::<f64>() / all.len() as f64)
}

/// What `json!` writes between braces.
fn facts(value: Value) -> Facts {
    value.as_object().cloned().unwrap_or_default()
}
