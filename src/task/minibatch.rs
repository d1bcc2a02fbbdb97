//! A minibatch of examples of several fields, laid out for a plan: sequences of every axis by falling length, step after
//! step, and the places by which rows go from one axis to another.

use super::Inputs;
use super::contents::Contents;
use super::laid::Laid;
use super::layout::{by_example, layouts, steps};
use super::written::{Beginning, is_written};
use crate::error::{Error, Result};
use crate::op::{FieldShape, Part, Plan, Recipe, SlotId};

/// What a field holds for every example of a minibatch.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// A sequence of token ids, without marks.
    Tokens(Vec<Vec<u32>>),
    /// The same, where the model reads other tokens than it is to predict: as many, sequence by sequence.
    Mixed {
        /// What is to be predicted.
        tokens: Vec<Vec<u32>>,
        /// What is read.
        read: Vec<Vec<u32>>,
    },
    /// For every step of another field a sequence of token ids, as letters of words.
    Within(Vec<Vec<Vec<u32>>>),
    /// A class.
    Class(Vec<u32>),
    /// A class for every step of another field.
    Classes(Vec<Vec<u32>>),
    /// A real vector.
    Vector(Vec<Vec<f32>>),
    /// A sequence of real vectors [n, D], all steps of one behind another.
    Reals(Vec<Vec<f32>>),
    /// Sequences of token ids that are being written, in a plan of [steps](crate::op::StepPart).
    Written {
        /// How many examples there are.
        examples: usize,
        /// The beginnings, in any order: a step's rows.
        rows: Vec<Beginning>,
    },
    /// Nothing that is known, as of what is to be predicted; so many examples.
    Absent(usize),
}

impl Column {
    /// How many examples there are.
    pub fn len(&self) -> usize {
        match self {
            Column::Tokens(all) | Column::Classes(all) | Column::Mixed { tokens: all, .. } => {
                all.len()
            }
            Column::Within(all) => all.len(),
            Column::Class(all) => all.len(),
            Column::Vector(all) | Column::Reals(all) => all.len(),
            Column::Written { examples, .. } | Column::Absent(examples) => *examples,
        }
    }

    /// The examples `of`, by their places.
    #[must_use]
    pub fn some(&self, of: &[usize]) -> Column {
        fn pick<T: Clone>(all: &[T], of: &[usize]) -> Vec<T> {
            of.iter().map(|n| all[*n].clone()).collect()
        }
        match self {
            Column::Tokens(all) => Column::Tokens(pick(all, of)),
            Column::Mixed { tokens, read } => Column::Mixed {
                tokens: pick(tokens, of),
                read: pick(read, of),
            },
            Column::Within(all) => Column::Within(pick(all, of)),
            Column::Class(all) => Column::Class(pick(all, of)),
            Column::Classes(all) => Column::Classes(pick(all, of)),
            Column::Vector(all) => Column::Vector(pick(all, of)),
            Column::Reals(all) => Column::Reals(pick(all, of)),
            Column::Written { .. } | Column::Absent(_) => Column::Absent(of.len()),
        }
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn kind(&self) -> &'static str {
        match self {
            Column::Tokens(_) => "tokens",
            Column::Mixed { .. } => "tokens beside those that are read",
            Column::Within(_) => "tokens within another field",
            Column::Class(_) => "classes",
            Column::Classes(_) => "classes along another field",
            Column::Vector(_) => "vectors",
            Column::Reals(_) => "sequences of vectors",
            Column::Written { .. } => "beginnings of tokens",
            Column::Absent(_) => "nothing",
        }
    }
}

/// How the rows of the losses count.
#[derive(Clone, Debug, PartialEq)]
pub enum Weighting {
    /// Every row once, in a plan that weighs its rows: losses are sums, as evaluation wants them.
    Sums,
    /// Every loss is the mean over its own rows, and these means add up: the objective of training.
    Means(Vec<LossWeight>),
}

/// How a loss counts in the objective.
#[derive(Clone, Debug, PartialEq)]
pub struct LossWeight {
    /// What its mean is multiplied by.
    pub share: f64,
    /// The weight of a row by the class of its target, for a plan that weighs its rows; all 1 where empty.
    pub classes: Vec<f32>,
}

/// Counts once, and its rows equally.
impl Default for LossWeight {
    fn default() -> LossWeight {
        LossWeight {
            share: 1.0,
            classes: Vec::new(),
        }
    }
}

/// A minibatch of examples, laid out for a plan.
#[derive(Clone, Debug)]
pub struct Minibatch {
    words: Vec<(SlotId, Vec<u32>)>,
    numbers: Vec<(SlotId, Vec<f32>)>,
    starts: Vec<Vec<u32>>,
    scale: f64,
    places: Vec<Vec<(usize, usize)>>,
    targets: Vec<Vec<u32>>,
    part: Part,
    goes_on: bool,
}

impl Minibatch {
    /// Lays out the examples of `columns`, one column a field.
    ///
    /// # Errors
    /// Internal: columns that do not fit the plan's fields, one another or its sizes, sequences without a row, and weights of a
    /// plan that has none.
    pub fn new(plan: &Plan, columns: &[Column], weighting: &Weighting) -> Result<Minibatch> {
        Minibatch::of_part(plan, columns, weighting, Part::Whole)
    }

    /// Lays out what the steps of a plan that writes sequences read, behind a run of the whole plan on the same examples.
    ///
    /// # Errors
    /// As [`Minibatch::new`].
    pub fn step(plan: &Plan, columns: &[Column]) -> Result<Minibatch> {
        Minibatch::of_part(plan, columns, &Weighting::Sums, Part::Step)
    }

    fn of_part(
        plan: &Plan,
        columns: &[Column],
        weighting: &Weighting,
        part: Part,
    ) -> Result<Minibatch> {
        let examples = check(plan, columns)?;
        let layouts = layouts(plan, columns, examples)?;
        let mut minibatch = Minibatch {
            words: Vec::new(),
            numbers: Vec::new(),
            starts: layouts.iter().map(|l| l.starts.clone()).collect(),
            scale: 1.0,
            places: Vec::new(),
            targets: Vec::new(),
            part,
            goes_on: false,
        };
        let by_example = by_example(plan, &layouts, examples);
        let source = Contents {
            plan,
            columns,
            layouts: &layouts,
            by_example: &by_example,
        };
        let steps = plan.step.as_ref().filter(|_| part == Part::Step);
        let read = |slot: &SlotId| steps.is_none_or(|steps| steps.filled.contains(slot));
        for (slot, recipe) in plan.recipes.slots.iter().filter(|(slot, _)| read(slot)) {
            let len = plan.slot(*slot).len();
            if let Recipe::Numbers { field, reach } = recipe {
                let mut numbers = source.numbers(*field, *reach);
                numbers.resize(len, 0.0);
                minibatch.numbers.push((*slot, numbers));
            } else if let Some(mut words) = source.words(*recipe) {
                words.resize(len, 0);
                minibatch.words.push((*slot, words));
            }
        }
        let outputs = plan.io.outputs.iter();
        minibatch.places = outputs.map(|output| source.places(output.axis)).collect();
        let losses = 0..minibatch.places.len();
        minibatch.targets = losses.map(|loss| minibatch.of_loss(plan, loss)).collect();
        minibatch.weigh(plan, weighting)?;
        Ok(minibatch)
    }

    /// The same as segments that go on with the states of the run before, row by row, in a plan whose states are
    /// [carried](crate::model::Spec::stateful).
    #[must_use]
    pub fn going_on(self) -> Minibatch {
        Minibatch {
            goes_on: true,
            ..self
        }
    }

    /// Whether states go on from the run before.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on || self.part == Part::Step
    }

    /// What a run of it reads.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs::of(self)
    }

    /// What the sum of the losses, and every row's gradient, is multiplied by to give the objective.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// For every row of a loss: the example, and the step within it.
    pub fn places(&self, loss: usize) -> &[(usize, usize)] {
        &self.places[loss]
    }

    /// For every row of a loss: what is to be predicted.
    pub fn targets(&self, loss: usize) -> &[u32] {
        &self.targets[loss]
    }

    /// How many predictions there are, of all losses.
    pub fn predictions(&self) -> usize {
        self.places.iter().map(Vec::len).sum()
    }

    /// What of the plan runs.
    pub fn part(&self) -> Part {
        self.part
    }

    pub(super) fn laid(&self) -> Laid<'_> {
        let words = self.words.iter();
        let numbers = self.numbers.iter();
        Laid {
            words: words.map(|(slot, words)| (*slot, &words[..])).collect(),
            numbers: numbers
                .map(|(slot, numbers)| (*slot, numbers[..].into()))
                .collect(),
            starts: self.starts.iter().map(|starts| &starts[..]).collect(),
            forced: &[],
        }
    }

    /// The words of a loss' targets, one for every row that counts; none in a plan for scores.
    fn of_loss(&self, plan: &Plan, loss: usize) -> Vec<u32> {
        let is = |recipe: &Recipe| matches!(recipe, Recipe::Targets { loss: n, .. } if *n == loss);
        let slot = plan.recipes.find(is);
        let words = self.words.iter().find(|(other, _)| Some(*other) == slot);
        let rows = self.places[loss].len();
        words.map_or(Vec::new(), |(_, words)| words[..rows].to_vec())
    }

    /// Fills the slots of weights, and finds the scale.
    fn weigh(&mut self, plan: &Plan, weighting: &Weighting) -> Result<()> {
        let (losses, recipes) = (self.places.len(), &plan.recipes);
        for loss in 0..losses {
            let LossWeight { share, classes } = match weighting {
                Weighting::Sums => LossWeight::default(),
                Weighting::Means(weights) => weights.get(loss).cloned().unwrap_or_default(),
            };
            let weight = |target: &u32| {
                let weight = classes.get(*target as usize);
                weight.map_or(1.0, |weight| f64::from(*weight))
            };
            // A plan for scores has no loss.
            if plan.io.outputs[loss].losses.is_none() {
                continue;
            }
            let rows: Vec<f64> = match &self.targets[loss][..] {
                // Numbers are of no class.
                [] => vec![1.0; self.places[loss].len()],
                targets => targets.iter().map(weight).collect(),
            };
            let sum: f64 = rows.iter().sum();
            let mut factor = 1.0;
            if let Weighting::Means(_) = weighting {
                if losses > 1 {
                    factor = share / sum;
                } else {
                    self.scale = share / sum;
                }
            }
            let slot = recipes.find(|recipe| *recipe == Recipe::Weights { loss });
            let Some(slot) = slot else {
                if classes.is_empty() && factor == 1.0 {
                    continue;
                }
                return Err(Error::internal("weights: the plan takes none"));
            };
            let weights = rows.iter().map(|weight| (factor * weight) as f32);
            let mut weights: Vec<f32> = weights.collect();
            weights.resize(plan.slot(slot).len(), 0.0);
            self.numbers.push((slot, weights));
        }
        Ok(())
    }
}

/// Whether the columns are those of the plan's fields; how many examples they have.
fn check(plan: &Plan, columns: &[Column]) -> Result<usize> {
    let fields = &plan.recipes.fields;
    if columns.len() != fields.len() {
        return Err(Error::internal(format!(
            "expected {} fields, found {}",
            fields.len(),
            columns.len()
        )));
    }
    let examples = columns.first().map_or(0, Column::len);
    for (n, (column, field)) in columns.iter().zip(fields).enumerate() {
        let within = |axis: &Option<usize>| {
            let above = axis.and_then(|axis| plan.axes[axis].above);
            above.is_some() && above != plan.recipes.examples
        };
        let fits = match (column, field) {
            (Column::Written { rows, .. }, field) => is_written(plan, field) && !rows.is_empty(),
            (_, field) if is_written(plan, field) => false,
            (Column::Tokens(_), FieldShape::Tokens { axis, .. }) => !within(axis),
            (Column::Mixed { tokens, read }, FieldShape::Tokens { axis, .. }) => {
                let lengths = |all: &[Vec<u32>]| all.iter().map(Vec::len).collect::<Vec<_>>();
                !within(axis) && lengths(tokens) == lengths(read)
            }
            (Column::Within(_), FieldShape::Tokens { axis, .. }) => within(axis),
            (Column::Class(_), FieldShape::Class { .. }) => true,
            (Column::Classes(all), FieldShape::Classes { along, .. }) => {
                let steps = |example| steps(&columns[*along], fields[*along], example);
                let mut both = all.iter().enumerate();
                both.all(|(example, classes)| Some(classes.len()) == steps(example))
            }
            (Column::Reals(all), FieldShape::RealsAlong { width, along }) => {
                let steps = |example| steps(&columns[*along], fields[*along], example);
                let mut both = all.iter().enumerate();
                both.all(|(example, numbers)| {
                    Some(numbers.len()) == steps(example).map(|steps| steps * width)
                })
            }
            (Column::Vector(all), FieldShape::Vector { width }) => {
                all.iter().all(|vector| vector.len() == *width)
            }
            (Column::Reals(all), FieldShape::Reals { width, .. }) => all
                .iter()
                .all(|numbers| numbers.len().is_multiple_of(*width)),
            (Column::Absent(_), _) => !reads(plan, n),
            _ => false,
        };
        if !fits {
            let kind = column.kind();
            return Err(Error::internal(format!(
                "field {n}: expected {field:?}, found {kind}"
            )));
        }
        if column.len() != examples || examples == 0 {
            let found = column.len();
            return Err(Error::internal(format!(
                "field {n}: expected {examples} examples, at least one, found {found}"
            )));
        }
    }
    Ok(examples)
}

/// Whether a slot, or the layout of an axis, is made of a field.
fn reads(plan: &Plan, field: usize) -> bool {
    let own = |recipe: &Recipe| match recipe {
        Recipe::Ids { field, .. }
        | Recipe::Grams { field, .. }
        | Recipe::Positions { field, .. }
        | Recipe::Targets { field, .. }
        | Recipe::Classes { field }
        | Recipe::Numbers { field, .. } => Some(*field),
        _ => None,
    };
    plan.recipes.fields[field].axis().is_some()
        || plan
            .recipes
            .find(|recipe| own(recipe) == Some(field))
            .is_some()
}
