//! `symmetry`: units that begin with the same weights.

use serde_json::json;

use super::course::Course;
use super::lengths::{self, Extent};
use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, facts, number, run,
    text, whole,
};
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::op::{Fill, Parameter, Plan};

/// The experiment.
pub struct Symmetry;

const MODEL: &str = include_str!("../../assets/models/classify.model");
/// What the names of the recurrent layer's parameters begin with there, and the name of the head's weight.
const LAYER: &str = "h.";
const HEAD: &str = "loss.linear.weight";
const TASK: &str = "temporal-order";
const CELLS: [&str; 4] = [lengths::RNN, lengths::LEAKY, lengths::LSTM, lengths::GRU];

/// How weights begin.
const EQUAL: &str = "all equal";
const ONE_OFF: &str = "all equal but one";
const DRAWN: &str = "drawn";

/// What every weight is in the one case, and how far one of them is off in the other.
const WEIGHT: f32 = 0.1;
const OFF: f32 = 0.01;

impl Experiment for Symmetry {
    fn name(&self) -> &'static str {
        "symmetry"
    }

    fn about(&self) -> &'static str {
        "Do units that begin with the same weights ever differ?"
    }

    fn method(&self) -> &'static str {
        "The same training on temporal-order three times: every weight of the recurrent layer and of the head begins at 0.1, and the \
         biases of a gate are all the same; so again, one recurrent weight at 0.11; all drawn at random. Afterwards the weights that lead to each unit of the \
         recurrent layer are compared with those of the first: the largest difference, and the largest distance that any of these weights \
         has gone since the start."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let extent = Extent {
            lengths: &[10],
            seeds: 1,
            hidden: 8,
            updates: match size {
                Size::Quick => 600,
                Size::Full => 5000,
            },
        };
        let points = lengths::points(TASK, &extent, seed);
        let wanted = |name: &str| CELLS.contains(&name);
        let points = points.into_iter().filter(|point| {
            point
                .get("variant")
                .and_then(|v| v.as_str())
                .is_some_and(wanted)
        });
        let starts = |point: Facts| {
            [EQUAL, ONE_OFF, DRAWN].map(|start| {
                let mut point = point.clone();
                point.insert("start".into(), start.into());
                point
            })
        };
        points.flat_map(starts).collect()
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let job = lengths::job(MODEL, point)?;
        let plan = job.plan.clone();
        let mut state = job.start()?;
        let start = text(point, "start")?;
        if start != DRAWN {
            level(&plan, &mut state.parameters, start == ONE_OFF)?;
        }
        let before = state.parameters.clone();
        let guess = lengths::guess(TASK, whole(point, "length")? as usize)?;
        let enough = number(point, "solved_at")? * guess;
        let course = Course::follow(device, job, state, Some(enough))?;
        let (_, loss) = course.last();
        let (apart, gone) = apart(&plan, &before, &course.parameters);
        Ok(facts(
            json!({"apart": apart, "gone": gone, "left": loss / guess}),
        ))
    }

    fn columns(&self) -> &'static [&'static str] {
        &["variant", "start", "apart", "gone", "left"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = [EQUAL, ONE_OFF, DRAWN].map(|start| Series {
            name: start.into(),
            points: CELLS
                .iter()
                .enumerate()
                .filter_map(|(n, cell)| {
                    Some((n as f64 + 1.0, at(measured, cell, start)?.number("left")?))
                })
                .collect(),
        });
        Plot {
            title: format!("What is left of a guess's loss; {}", CELLS.join(", ")),
            across: "cell, in the order of the title".into(),
            up: "share of the loss of a guess".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let of = |start: &str, name: &str| -> Vec<f64> {
            let all = CELLS
                .iter()
                .filter_map(|cell| at(measured, cell, start)?.number(name));
            all.collect()
        };
        let most = |list: &[f64]| list.iter().copied().fold(0.0, f64::max);
        let (apart, gone) = (of(EQUAL, "apart"), of(EQUAL, "gone"));
        let off = of(ONE_OFF, "apart");
        let (level, drawn) = (of(EQUAL, "left"), of(DRAWN, "left"));
        let said = |list: &[f64]| {
            list.iter()
                .map(|x| run::shown(*x))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let known = !measured.is_empty();
        vec![
            Finding {
                claim: "Units that begin with the same weights stay the same, however long they are trained",
                by: "Rumelhart, Hinton, Williams 1986, section on symmetry breaking",
                found: format!(
                    "largest difference between units {}, while weights went up to {}",
                    run::shown(most(&apart)),
                    run::shown(most(&gone))
                ),
                holds: known.then(|| most(&apart) == 0.0),
            },
            Finding {
                claim: "One weight that is off by a hundredth breaks the symmetry",
                by: "the same",
                found: format!("largest difference between units: {}", said(&off)),
                holds: known.then(|| off.iter().all(|apart| *apart > f64::from(OFF))),
            },
            Finding {
                claim: "A network whose units are all the same learns less than one that was drawn",
                by: "the same",
                found: format!(
                    "left of a guess's loss: {} beside {}",
                    said(&level),
                    said(&drawn)
                ),
                holds: known.then(|| level.iter().zip(&drawn).all(|(level, drawn)| level > drawn)),
            },
        ]
    }
}

/// The point of a cell and a start.
fn at<'a>(measured: &'a [Measured], cell: &str, start: &str) -> Option<&'a Measured> {
    let wanted = |m: &&Measured| m.text("variant") == cell && m.text("start") == start;
    measured.iter().find(wanted)
}

/// The parameters of the recurrent layer, and how many columns each of their blocks has: one a unit.
fn of_layer(plan: &Plan) -> impl Iterator<Item = (&Parameter, usize)> {
    let all = plan.parameters.iter();
    let layer = all.filter(|parameter| parameter.name.starts_with(LAYER));
    layer.map(|parameter| (parameter, parameter.matrix.cols / parameter.fill.len()))
}

/// Gives all units of the recurrent layer, and all that the head reads of them, the same numbers; with `one_off`, one
/// recurrent weight another.
fn level(plan: &Plan, parameters: &mut [f32], one_off: bool) -> Result<()> {
    let mut recurrent = None;
    let head = plan.parameters.iter().filter(|p| p.name == HEAD);
    for (parameter, units) in of_layer(plan).chain(head.map(|p| (p, p.matrix.cols))) {
        let matrix = parameter.matrix;
        for (block, fill) in parameter.fill.iter().enumerate() {
            for row in 0..matrix.rows {
                let from = matrix.offset + row * matrix.stride + block * units;
                let weight = matches!(fill, Fill::Weight | Fill::Embedding | Fill::Recurrent);
                let number = if weight { WEIGHT } else { parameters[from] };
                parameters[from..from + units].fill(number);
            }
            if *fill == Fill::Recurrent {
                recurrent = Some(matrix.offset);
            }
        }
    }
    let recurrent = recurrent.ok_or_else(|| Error::internal("a plan without recurrent weights"))?;
    if one_off {
        parameters[recurrent] += OFF;
    }
    Ok(())
}

/// How far numbers of the recurrent layer that lead to any unit are from those of the first, and from where they began.
fn apart(plan: &Plan, before: &[f32], after: &[f32]) -> (f64, f64) {
    let (mut apart, mut gone) = (0f64, 0f64);
    for (parameter, units) in of_layer(plan) {
        let matrix = parameter.matrix;
        for row in 0..matrix.rows {
            let columns = matrix.offset + row * matrix.stride..;
            let now = &after[columns.clone()][..matrix.cols];
            for (unit, (now_at, then)) in now.iter().zip(&before[columns]).enumerate() {
                let first = now[unit - unit % units];
                apart = apart.max(f64::from((now_at - first).abs()));
                gone = gone.max(f64::from((now_at - then).abs()));
            }
        }
    }
    (apart, gone)
}
