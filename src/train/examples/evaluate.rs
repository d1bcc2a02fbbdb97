//! What a model makes of examples: losses, and for classes the scores of every prediction.

use std::sync::Arc;

use super::glimpses::glimpses;
use super::{ExampleSet, Glimpses, Labels, Numbers};
use crate::data::fields::FieldCodes;
use crate::data::{BatchSize, LineBatches};
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::metrics::largest;
use crate::model::text::{Loss, Target};
use crate::model::{Mode, Spec};
use crate::op::{Matrix, Output, Plan};
use crate::rng::{self, Purpose};
use crate::task::{Minibatch, Weighting};

/// Rows of a minibatch, at least; a longer sequence is a minibatch of its own.
const ROWS: usize = 4096;

/// What a model's losses are on some examples.
#[derive(Clone, Debug)]
pub struct FieldEvaluation {
    /// By loss.
    pub losses: Vec<LossEvaluation>,
    /// The objective: the mean of every loss times its share.
    pub nats: f64,
    /// Where [`FieldEvaluator::with_glimpses`] asks for it: what is looked at.
    pub glimpses: Vec<Glimpses>,
}

/// What one loss is.
#[derive(Clone, Debug)]
pub struct LossEvaluation {
    /// The field that is predicted; none of what draws cost.
    pub field: Option<usize>,
    /// The mean loss of a prediction, in nats.
    pub nats: f64,
    /// How many predictions there are.
    pub count: usize,
    /// Where classes are predicted: which, and what the right ones are.
    pub labels: Option<Labels>,
    /// Where next tokens are predicted, and [`FieldEvaluator::with_accuracy`] asks for it: how often the first of the highest scores is
    /// that of the right one.
    pub right: Option<usize>,
    /// Where the next numbers of a field are predicted: how far off.
    pub numbers: Option<Numbers>,
}

/// A prediction of a class, or of numbers along steps.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// The loss.
    pub loss: usize,
    /// The example, among those of the set.
    pub example: u32,
    /// The step within it; 0 where there is one prediction an example.
    pub step: usize,
    /// The scores of all classes: log probabilities up to a constant; or the numbers.
    pub scores: &'a [f32],
}

/// Measures models of one specification on some examples.
#[derive(Debug)]
pub struct FieldEvaluator {
    set: ExampleSet,
    plan: Arc<Plan>,
    batches: LineBatches,
    /// Steps of a segment, where sequences are read in such with carried states; 0 where they are read as a whole.
    segment: usize,
    engine: Option<Engine>,
    wanted: Wanted,
}

/// What is measured beside losses and labels.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    /// Steps of a season, beside which forecasts are measured.
    season: Option<usize>,
    /// How many next tokens are right.
    accuracy: bool,
    /// What is looked at.
    glimpses: bool,
}

/// The sum of a loss over a minibatch, or over all.
#[derive(Clone, Copy, Debug, Default)]
struct LossSum {
    nats: f64,
    count: usize,
}

impl FieldEvaluator {
    /// For the examples of `set`, whose fields have these codes.
    ///
    /// # Errors
    /// Data, where there is no example; sizes that do not fit together.
    pub fn new(spec: &Spec, set: ExampleSet, codes: &FieldCodes) -> Result<FieldEvaluator> {
        FieldEvaluator::of(spec, set, codes, Mode::Evaluate)
    }

    /// The same without losses, for examples whose right answers nobody knows: a set without a horizon.
    ///
    /// # Errors
    /// As [`FieldEvaluator::new`].
    pub fn answering(spec: &Spec, set: ExampleSet, codes: &FieldCodes) -> Result<FieldEvaluator> {
        FieldEvaluator::of(spec, set, codes, Mode::Scores)
    }

    fn of(spec: &Spec, set: ExampleSet, codes: &FieldCodes, mode: Mode) -> Result<FieldEvaluator> {
        if set.is_empty() {
            return Err(Error::data("expected an example to measure, found none"));
        }
        let segment = spec.stateful;
        // With carried states every sequence comes alone.
        // Lines that are made several times hold as much as a longer model's.
        let rows = (ROWS / set.model().rounds()).max(1);
        let size = BatchSize::Tokens(if segment > 0 { 1 } else { rows });
        let mut sizes = set.sizes(codes, size)?;
        if segment > 0 {
            sizes = sizes.of_segments(1, segment);
        }
        let plan = set.model().plan(spec, &sizes, mode)?;
        Ok(FieldEvaluator {
            batches: LineBatches::sorted(&set, size),
            plan: Arc::new(plan),
            segment,
            set,
            engine: None,
            wanted: Wanted::default(),
        })
    }

    /// The same beside forecasts that repeat what came so many steps earlier.
    #[must_use]
    pub fn beside_season(self, season: Option<usize>) -> FieldEvaluator {
        let wanted = Wanted {
            season,
            ..self.wanted
        };
        FieldEvaluator { wanted, ..self }
    }

    /// The same with how many next tokens are right, for which their scores are read back.
    #[must_use]
    pub fn with_accuracy(self) -> FieldEvaluator {
        let wanted = Wanted {
            accuracy: true,
            ..self.wanted
        };
        FieldEvaluator { wanted, ..self }
    }

    /// The same with what a model looks at that [has glimpses](crate::model::text::Model::has_glimpses).
    #[must_use]
    pub fn with_glimpses(self) -> FieldEvaluator {
        let wanted = Wanted {
            glimpses: true,
            ..self.wanted
        };
        FieldEvaluator { wanted, ..self }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The losses of the model with these flat parameters on `device`; `each` is given every prediction of a class.
    ///
    /// # Errors
    /// Parameters that do not fit the plan; a lost device.
    pub async fn run(
        &mut self,
        device: &Device,
        parameters: &[f32],
        each: &mut dyn FnMut(Scored<'_>) -> Result<()>,
    ) -> Result<FieldEvaluation> {
        let Some(slot) = self.plan.io.parameters else {
            return Err(Error::internal("the plan has no parameters"));
        };
        let engine = match &mut self.engine {
            Some(engine) => engine,
            none => none.insert(Engine::new(device, self.plan.clone()).await?),
        };
        engine.write(slot, parameters).await?;
        let examples = ExampleBatches {
            set: &self.set,
            batches: &self.batches,
            segment: self.segment,
        };
        measure(engine, examples, self.wanted, each).await
    }

    /// The losses of the model that `trained` trains, whose parameters are read where they lie.
    ///
    /// # Errors
    /// A lost device.
    pub async fn run_shared(&mut self, trained: &mut Engine) -> Result<FieldEvaluation> {
        let engine = match &mut self.engine {
            Some(engine) => engine,
            none => none.insert(trained.share(self.plan.clone()).await?),
        };
        let examples = ExampleBatches {
            set: &self.set,
            batches: &self.batches,
            segment: self.segment,
        };
        measure(engine, examples, Wanted::default(), &mut |_| Ok(())).await
    }
}

/// Row `r` of a matrix in a slot.
pub(super) fn row(slot: &[f32], m: Matrix, r: usize) -> &[f32] {
    &slot[m.offset + r * m.stride..][..m.cols]
}

/// Examples, minibatch by minibatch, and by how many steps they are read; 0 for all at once.
struct ExampleBatches<'a> {
    set: &'a ExampleSet,
    batches: &'a LineBatches,
    segment: usize,
}

/// What the model that an executor holds makes of examples.
async fn measure(
    engine: &mut Engine,
    ExampleBatches {
        set,
        batches,
        segment,
    }: ExampleBatches<'_>,
    wanted: Wanted,
    each: &mut dyn FnMut(Scored<'_>) -> Result<()>,
) -> Result<FieldEvaluation> {
    let (plan, model) = (engine.plan().clone(), set.model());
    let mut sums = vec![LossSum::default(); model.losses().len()];
    let mut labels: Vec<Option<Labels>> = Vec::new();
    for (loss, output) in model.losses().iter().zip(&plan.io.outputs) {
        let of_class = |_: &Matrix| matches!(loss.target, Target::Class(_));
        let scores = output.scores.filter(of_class);
        labels.push(scores.map(|scores| Labels::new(scores.cols)));
    }
    let mut numbers: Vec<Option<Numbers>> = (0..model.losses().len())
        .map(|loss| Numbers::of(set, &plan, loss, wanted.season))
        .collect();
    let next = |(loss, output): (&Loss, &Output)| {
        let counts = wanted.accuracy && matches!(loss.target, Target::Next(_));
        (counts && output.scores.is_some()).then_some(0)
    };
    let mut right: Vec<Option<usize>> = model
        .losses()
        .iter()
        .zip(&plan.io.outputs)
        .map(next)
        .collect();
    let by_example = model
        .losses()
        .iter()
        .position(|loss| loss.steps().is_none());
    let by_example = by_example.filter(|_| wanted.glimpses);
    let mut seen = Vec::new();
    // Draws are others in every minibatch, and the same whenever these examples are measured.
    let key = rng::key(0, Purpose::Draw);
    for (number, examples) in batches.iter().enumerate() {
        let columns = set.columns(examples)?;
        for (first, part) in set.segments(&columns, segment) {
            let minibatch = Minibatch::new(&plan, &part, &Weighting::Sums)?;
            let minibatch = match first {
                0 => minibatch,
                _ => minibatch.going_on(),
            };
            let inputs = minibatch.inputs().draws(key, number as u64);
            engine.run(&inputs).await?;
            engine.outcomes(true).await?;
            if let Some(loss) = by_example {
                seen.extend(glimpses(engine, &plan, &minibatch, loss, examples).await?);
            }
            let losses = match plan.io.losses {
                Some(slot) => engine.read(slot).await?,
                None => Vec::new(),
            };
            for (n, (sum, labels)) in sums.iter_mut().zip(&mut labels).enumerate() {
                let (output, places) = (&plan.io.outputs[n], minibatch.places(n));
                // By row: the example's place in the minibatch, and the step within the whole of its sequence.
                let places = places.iter().map(|(place, step)| (*place, first + step));
                if let Some(of) = output.losses {
                    let own = losses[of.offset..].iter().zip(places.clone());
                    let measured =
                        own.filter(|(_, (n, step))| set.is_measured(examples[*n], *step));
                    for (loss, _) in measured {
                        sum.nats += f64::from(*loss);
                        sum.count += 1;
                    }
                }
                if output.losses.is_some()
                    && let Some(numbers) = &mut numbers[n]
                    && let Some(value) = output.values.first().copied().flatten()
                {
                    let all = engine.read(value.slot).await?;
                    for (r, (place, step)) in places.clone().enumerate() {
                        let example = examples[place];
                        if !set.is_measured(example, step) {
                            continue;
                        }
                        // What predicts once does so at the last step.
                        let step = match model.losses()[n].steps() {
                            Some(_) => step,
                            None => set.steps(numbers.forecast.field, example) - 1,
                        };
                        let column = &columns[numbers.forecast.field];
                        numbers.add(row(&all, value, r), step, column, place);
                    }
                }
                // Without losses, what is said at every step of numbers along it.
                if output.losses.is_none()
                    && numbers[n].as_ref().is_some_and(|of| of.forecast.is_along())
                    && let Some(value) = output.values.first().copied().flatten()
                {
                    let all = engine.read(value.slot).await?;
                    for (r, (place, step)) in places.clone().enumerate() {
                        each(Scored {
                            loss: n,
                            example: examples[place],
                            step,
                            scores: row(&all, value, r),
                        })?;
                    }
                }
                if let (Some(right), Some(scores)) = (&mut right[n], output.scores) {
                    let all = engine.read(scores.slot).await?;
                    let gold = minibatch.targets(n).iter().enumerate();
                    *right += gold
                        .filter(|(r, gold)| largest(row(&all, scores, *r)) == **gold)
                        .count();
                }
                let (Some(labels), Some(scores)) = (labels, output.scores) else {
                    continue;
                };
                let all = engine.read(scores.slot).await?;
                for (r, (place, step)) in places.enumerate() {
                    let own = row(&all, scores, r);
                    let example = examples[place];
                    if let Some(gold) = minibatch.targets(n).get(r) {
                        labels.add(example, step, *gold, own);
                    }
                    each(Scored {
                        loss: n,
                        example,
                        step,
                        scores: own,
                    })?;
                }
            }
        }
    }
    let found = labels.into_iter().zip(right).zip(numbers);
    let losses = model.losses().iter().zip(sums).zip(found);
    let losses: Vec<LossEvaluation> = losses
        .map(|((loss, sum), ((labels, right), numbers))| LossEvaluation {
            field: loss.target.field(),
            nats: sum.nats / sum.count.max(1) as f64,
            count: sum.count,
            labels,
            right,
            numbers,
        })
        .collect();
    let shares = model.losses().iter().map(|loss| loss.weight);
    Ok(FieldEvaluation {
        nats: losses.iter().zip(shares).map(|(l, w)| w * l.nats).sum(),
        losses,
        glimpses: seen,
    })
}
