//! `batching`: five orders of lines of different lengths, and what each costs.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::course::Course;
use super::{
    Experiment, Facts, Finding, Made, Measured, Plot, Point, Scale, Series, Size, crossed, encoded,
    facts, mean, number, run, seeds, text, whole,
};
use crate::cell::library;
use crate::data::LineOrder;
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::generate;
use crate::model::text::Model;
use crate::train::{Job, Length, Settings, spec};

/// The experiment.
pub struct BatchingOrders;

const MODEL: &str = include_str!("../../benches/models/encoder-decoder.model");
const TASK: &str = "arithmetic";

/// The order without one, by which others are measured.
const SHUFFLE: LineOrder = LineOrder::Shuffle;
const ORDERS: [LineOrder; 5] = [
    SHUFFLE,
    LineOrder::Source,
    LineOrder::Target,
    LineOrder::SourceTarget,
    LineOrder::TargetSource,
];

impl Experiment for BatchingOrders {
    fn name(&self) -> &'static str {
        "batching"
    }

    fn about(&self) -> &'static str {
        "Which order of lines makes the best minibatches: padding, steps, speed, perplexity?"
    }

    fn method(&self) -> &'static str {
        "Sums among letters that mean nothing (`wgrnn generate arithmetic`) and what they come to, read and written by an encoder and a decoder \
         of GRUs, for as many epochs each. Minibatches have at most as many steps of a source and of a target as the settings say; lines \
         are cut into them shuffled, or sorted by the length of the source, of the target, or of one and then the other, and minibatches are \
         then shuffled. Padding is what filling every target up to its minibatch's longest would add; here it is left out by packing, so that \
         symbols a second differ by other things. They are those of this machine, with one training on each core; whatever else it does counts."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (count, hidden, examples, digits, epochs) = match size {
            Size::Quick => (2, 48, 3000, 3, 6),
            Size::Full => (5, 256, 100_000, 5, 20),
        };
        crossed(
            json!({
                "hidden": hidden, "examples": examples, "held_out": 500, "digits": digits, "epochs": epochs,
                "batch-tokens": 512, "lr": 0.005, "clip-norm": 1.0,
            }),
            &[
                ("seed", seeds(seed, count)),
                ("order", json!(ORDERS.map(LineOrder::name))),
            ],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let name = text(point, "order")?;
        let order = ORDERS.into_iter().find(|order| order.name() == name);
        let order = order.ok_or_else(|| Error::internal(format!("no order {name}")))?;
        let whole = |name: &str| whole(point, name);
        let (train, held_out, seed) = (whole("examples")?, whole("held_out")?, whole("seed")?);
        let task = generate::task(TASK)?;
        let made = Made {
            text: task.text(train + held_out, seed, Some(whole("digits")? as usize))?,
            ending: task.ending,
            symbols: None,
        };
        let model = Arc::new(Model::parse("encoder-decoder", MODEL)?);
        let data = encoded(&made, &model, train, 1)?;
        let hidden = whole("hidden")? as usize;
        let settings = Settings {
            hidden,
            embed: hidden,
            lr: number(point, "lr")?,
            clip_norm: number(point, "clip-norm")?,
            batch_tokens: whole("batch-tokens")? as usize,
            line_order: order,
            seed,
            save_every: u64::MAX,
            eval_every: Some(u64::MAX),
            ..Settings::default()
        };
        let model = spec(&settings, vec![library::builtin("gru")?], 0);
        let job = Job::of_fields(settings, model, Length::Epochs(whole("epochs")?), &data)?;
        let state = job.start()?;
        let start = Instant::now();
        let course = Course::follow(device, job, state, None)?;
        let seconds = start.elapsed().as_secs_f64();
        let of_epochs: Vec<f64> = course.figures.iter().filter_map(|f| f.padding).collect();
        let symbols: usize = course.figures.iter().map(|figures| figures.tokens).sum();
        let (updates, nats) = course.last();
        Ok(facts(json!({
            "padding": of_epochs.iter().sum::<f64>() / of_epochs.len().max(1) as f64,
            "updates": updates, "nats": nats, "perplexity": nats.exp(), "symbols_a_second": symbols as f64 / seconds,
        })))
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "order",
            "seed",
            "padding",
            "updates",
            "perplexity",
            "symbols_a_second",
        ]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = ORDERS.map(|order| Series {
            name: order.name().into(),
            points: of(measured, order, "padding")
                .zip(of(measured, order, "perplexity"))
                .into_iter()
                .collect(),
        });
        Plot {
            title: "Perplexity of held-out lines by the padding that an order would cost".into(),
            across: "share of padding".into(),
            up: "perplexity".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let said = |name: &str| {
            let all = ORDERS.map(|order| {
                let found = of(measured, order, name).map_or("-".into(), run::shown);
                format!("{} {found}", order.name())
            });
            all.join(", ")
        };
        // Whether that is so of every order that sorts, beside the one that does not.
        let of_sorted = |name: &str, is: fn(f64, f64) -> bool| -> Option<bool> {
            let shuffled = of(measured, SHUFFLE, name)?;
            let sorted: Option<Vec<f64>> = ORDERS[1..]
                .iter()
                .map(|order| of(measured, *order, name))
                .collect();
            Some(sorted?.into_iter().all(|own| is(own, shuffled)))
        };
        vec![
            Finding {
                claim: "Sorting by length saves at least half of the padding, whatever it sorts by",
                by: "Sutskever, Vinyals, Le 2014, section 3.4; Morishita et al. 2017",
                found: format!("share of padding: {}", said("padding")),
                holds: of_sorted("padding", |own, shuffled| own <= 0.5 * shuffled),
            },
            Finding {
                claim: "Shuffled lines are learned no worse than sorted ones in as many epochs",
                by: "Morishita et al. 2017, of Adam",
                found: format!(
                    "perplexity: {}; updates: {}",
                    said("perplexity"),
                    said("updates")
                ),
                holds: of_sorted("perplexity", |own, shuffled| own >= 0.99 * shuffled),
            },
            Finding {
                claim: "Sorted minibatches are faster, by a tenth at least",
                by: "Sutskever, Vinyals, Le 2014, section 3.4, of engines that pad",
                found: format!("symbols a second, packed: {}", said("symbols_a_second")),
                holds: of_sorted("symbols_a_second", |own, shuffled| own >= 1.1 * shuffled),
            },
        ]
    }
}

/// The mean of a number over the seeds of an order.
fn of(measured: &[Measured], order: LineOrder, name: &str) -> Option<f64> {
    mean(measured, name, |m| m.text("order") == order.name())
}
