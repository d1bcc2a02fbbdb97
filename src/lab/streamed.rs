//! Labelled sequences as minibatches of a stream, every one as long as the longest: for a penalty that looks from a step at the
//! next one, which the engine refuses where sequences are packed, as those of its models of fields are.

use std::collections::BTreeMap;
use std::sync::Arc;

use pollster::block_on;

use super::Made;
use crate::cell::Cell;
use crate::data::VocabKind;
use crate::error::Result;
use crate::exec::{Device, Engine};
use crate::model::{Dims, Mode, Spec, initialize};
use crate::op::{Hyper, Plan};
use crate::rng::{Purpose, Stream};
use crate::task::Inputs;
use crate::train::{Settings, init, spec, update};

/// A sequence of symbols, and labels at some of its steps, which are symbols too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// A symbol a step.
    pub symbols: Vec<u32>,
    /// Steps and what is to be said there.
    pub labels: Vec<(usize, u32)>,
}

/// The sequences of a text, and how many symbols there are: words with a tag each, or a label and what is read before it.
pub fn labelled(made: &Made) -> (Vec<Labelled>, usize) {
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    let mut id = |symbol: &str| {
        let next = ids.len() as u32;
        *ids.entry(symbol.to_owned()).or_insert(next)
    };
    let mut all = Vec::new();
    if made.ending == "conll" {
        for example in made.text.split("\n\n").filter(|text| !text.is_empty()) {
            let pairs = example.lines().filter_map(|line| line.split_once('\t'));
            let pairs: Vec<(u32, u32)> = pairs.map(|(word, tag)| (id(word), id(tag))).collect();
            all.push(Labelled {
                symbols: pairs.iter().map(|pair| pair.0).collect(),
                labels: pairs.iter().map(|pair| pair.1).enumerate().collect(),
            });
        }
    } else {
        for (label, text) in made.text.lines().filter_map(|line| line.split_once('\t')) {
            let symbols: Vec<u32> = match made.symbols {
                Some(VocabKind::Word) => text.split(' ').map(&mut id).collect(),
                _ => text
                    .split("")
                    .filter(|c| !c.is_empty())
                    .map(&mut id)
                    .collect(),
            };
            all.push(Labelled {
                labels: vec![(symbols.len() - 1, id(label))],
                symbols,
            });
        }
    }
    (all, ids.len())
}

/// A network with a place for B sequences of T steps.
struct Network {
    engine: Engine,
    steps: usize,
    batch: usize,
}

impl Network {
    fn new(engine: Engine, dims: Dims) -> Network {
        Network {
            engine,
            steps: dims.steps,
            batch: dims.batch,
        }
    }

    /// Reads these sequences, at most B; places that are left over do not count.
    async fn run(&mut self, sequences: &[&Labelled], hyper: Hyper) -> Result<()> {
        let (rows, batch) = (self.steps * self.batch, self.batch);
        let mut ids = vec![0; rows + batch];
        let (mut targets, mut weights) = (vec![0; rows], vec![0.0; rows]);
        for (b, sequence) in sequences.iter().enumerate() {
            for (t, symbol) in sequence.symbols.iter().enumerate() {
                ids[t * batch + b] = *symbol;
            }
            for (t, label) in &sequence.labels {
                targets[t * batch + b] = *label;
                weights[t * batch + b] = 1.0;
            }
        }
        let inputs = Inputs::new(&ids)
            .targets(Some(&targets))
            .weights(Some(&weights));
        self.engine.run(&inputs.reset(true).hyper(hyper)).await
    }
}

/// Labels of these sequences.
fn count(sequences: &[&Labelled]) -> f64 {
    let count = sequences.iter().map(|s| s.labels.len()).sum::<usize>();
    count as f64
}

/// Trains a layer of `cell` on `device` as `settings` say on the first `train` of `sequences`, for `updates` updates or until the mean loss of a
/// label of the others is `enough`, which is looked at every `settings.eval_every` updates: the updates and that loss, which is
/// infinite where training diverged.
///
/// # Errors
/// A penalty that does not fit the cell; a lost device.
pub fn learned(
    device: &Device,
    (sequences, symbols): &(Vec<Labelled>, usize),
    train: usize,
    cell: Cell,
    settings: &Settings,
    updates: u64,
    enough: f64,
) -> Result<(u64, f64)> {
    let spec = Spec {
        // What is to be said is not what is read next, and most steps say nothing.
        targets_apart: true,
        weighted: true,
        ..spec(settings, vec![cell], *symbols)
    };
    let longest = sequences.iter().map(|s| s.symbols.len()).max();
    let dims = Dims {
        steps: longest.unwrap_or(1),
        batch: settings.batch,
    };
    let update = update(settings);
    let plan = |mode| -> Result<Arc<Plan>> { Ok(Arc::new(spec.plan(dims, mode)?)) };
    // Only plans that train take targets which are not read next; the second one updates nothing.
    let (trained, evaluated) = (plan(Mode::Train(update))?, plan(Mode::Gradients)?);
    let start = initialize(&trained, &init(settings, &spec)?)?;
    let (train, held_out) = sequences.split_at(train.min(sequences.len()));
    let held_out: Vec<&Labelled> = held_out.iter().collect();
    let mut draws = Stream::new(settings.seed, Purpose::Lab, 0);
    let mut last = (0, f64::INFINITY);
    block_on(async {
        let mut engine = Engine::with_parameters(device, trained, &start).await?;
        let mut evaluated = Network::new(engine.share(evaluated).await?, dims);
        let mut trained = Network::new(engine, dims);
        for step in 1..=updates {
            let drawn =
                (0..settings.batch).map(|_| &train[draws.below(train.len() as u64) as usize]);
            let drawn: Vec<&Labelled> = drawn.collect();
            let (correction1, correction2) = update.rule.corrections(step);
            let hyper = Hyper {
                lr: settings.lr,
                scale: 1.0 / count(&drawn),
                update: step as f64,
                correction1,
                correction2,
            };
            trained.run(&drawn, hyper).await?;
            let every = settings.eval_every.unwrap_or(updates);
            let look = step == updates || step.is_multiple_of(every);
            for made in trained.engine.outcomes(look).await? {
                if !made.report.finite {
                    return Ok((made.run + 1, f64::INFINITY));
                }
            }
            if look {
                for sequences in held_out.chunks(settings.batch) {
                    evaluated.run(sequences, Hyper::default()).await?;
                }
                let all = evaluated.engine.outcomes(true).await?;
                let loss: f64 = all.iter().map(|made| made.report.loss).sum();
                last = (step, loss / count(&held_out));
                if last.1 <= enough {
                    break;
                }
            }
        }
        Ok(last)
    })
}
