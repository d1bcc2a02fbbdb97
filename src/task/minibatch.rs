//! A minibatch of examples of several fields, laid out for a plan: sequences of every axis by falling length, step after
//! step, and the places by which rows go from one axis to another.

use super::Inputs;
use super::grams::gram;
use super::laid::Laid;
use crate::error::{Error, Result};
use crate::op::{FieldShape, Packing, Plan, Reach, Recipe, SlotId};

/// What a field holds for every example of a minibatch.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// A sequence of token ids, without marks.
    Tokens(Vec<Vec<u32>>),
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
    /// Nothing that is known, as of what is to be predicted; so many examples.
    Absent(usize),
}

impl Column {
    /// How many examples there are.
    pub fn len(&self) -> usize {
        match self {
            Column::Tokens(all) | Column::Classes(all) => all.len(),
            Column::Within(all) => all.len(),
            Column::Class(all) => all.len(),
            Column::Vector(all) | Column::Reals(all) => all.len(),
            Column::Absent(examples) => *examples,
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
            Column::Within(all) => Column::Within(pick(all, of)),
            Column::Class(all) => Column::Class(pick(all, of)),
            Column::Classes(all) => Column::Classes(pick(all, of)),
            Column::Vector(all) => Column::Vector(pick(all, of)),
            Column::Reals(all) => Column::Reals(pick(all, of)),
            Column::Absent(_) => Column::Absent(of.len()),
        }
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn kind(&self) -> &'static str {
        match self {
            Column::Tokens(_) => "tokens",
            Column::Within(_) => "tokens within another field",
            Column::Class(_) => "classes",
            Column::Classes(_) => "classes along another field",
            Column::Vector(_) => "vectors",
            Column::Reals(_) => "sequences of vectors",
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
}

/// The rows of an axis.
#[derive(Default)]
struct Layout {
    /// Where steps start [T + 1].
    starts: Vec<u32>,
    /// By row: the row above it and the step.
    rows: Vec<(usize, usize)>,
    /// By row above: its sequence, and by sequence the row above.
    order: Vec<u32>,
    above: Vec<u32>,
    /// By sequence: how many rows it has.
    lengths: Vec<usize>,
    /// By row: the example and the step of the example's own sequence.
    places: Vec<(usize, usize)>,
}

impl Minibatch {
    /// Lays out the examples of `columns`, one column a field.
    ///
    /// # Errors
    /// Internal: columns that do not fit the plan's fields, one another or its sizes, sequences without a row, and weights of a
    /// plan that has none.
    pub fn new(plan: &Plan, columns: &[Column], weighting: &Weighting) -> Result<Minibatch> {
        let examples = check(plan, columns)?;
        let layouts = layouts(plan, columns, examples)?;
        let mut minibatch = Minibatch {
            words: Vec::new(),
            numbers: Vec::new(),
            starts: layouts.iter().map(|l| l.starts.clone()).collect(),
            scale: 1.0,
            places: Vec::new(),
            targets: Vec::new(),
        };
        let by_example = by_example(plan, &layouts, examples);
        let source = Source {
            plan,
            columns,
            layouts: &layouts,
            by_example: &by_example,
        };
        for (slot, recipe) in &plan.recipes.slots {
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

    pub(super) fn laid(&self) -> Laid<'_> {
        let words = self.words.iter();
        let numbers = self.numbers.iter();
        Laid {
            words: words.map(|(slot, words)| (*slot, &words[..])).collect(),
            numbers: numbers
                .map(|(slot, numbers)| (*slot, numbers[..].into()))
                .collect(),
            starts: self.starts.iter().map(|starts| &starts[..]).collect(),
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
            (Column::Tokens(_), FieldShape::Tokens { axis, .. }) => !within(axis),
            (Column::Within(_), FieldShape::Tokens { axis, .. }) => within(axis),
            (Column::Class(_), FieldShape::Class { .. }) => true,
            (Column::Classes(all), FieldShape::Classes { along, .. }) => {
                let steps = |example| steps(&columns[*along], fields[*along], example);
                let mut both = all.iter().enumerate();
                both.all(|(example, classes)| Some(classes.len()) == steps(example))
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

/// The rows of every packed axis.
fn layouts(plan: &Plan, columns: &[Column], examples: usize) -> Result<Vec<Layout>> {
    let mut layouts: Vec<Layout> = Vec::new();
    for (number, axis) in plan.axes.iter().enumerate() {
        let is = |field: &FieldShape| field.axis() == Some(number);
        let field = plan.recipes.fields.iter().position(is);
        let layout = match field {
            None => one_row_each(&axis.packing, first_order(plan, columns, examples)),
            Some(field) => {
                let shape = plan.recipes.fields[field];
                let above: Vec<(usize, usize)> = match axis.above {
                    Some(above) => layouts[above].places.clone(),
                    None => (0..examples).map(|example| (example, 0)).collect(),
                };
                let lengths = above.iter().map(|(example, step)| match &columns[field] {
                    Column::Within(all) => match all[*example].get(*step) {
                        Some(tokens) => Ok(shape.rows_of(tokens.len())),
                        None => Err(Error::internal(format!(
                            "example {example}: fewer sequences within than steps"
                        ))),
                    },
                    column => {
                        let steps = steps(column, shape, *example);
                        Ok(steps.map_or(0, |steps| shape.rows_of(steps)))
                    }
                });
                let within = matches!(columns[field], Column::Within(_));
                let lengths = lengths.collect::<Result<Vec<usize>>>()?;
                by_falling_length(&axis.packing, &lengths, &above, within)
            }
        };
        if layout.lengths.contains(&0) {
            return Err(Error::internal(format!(
                "axis {number}: a sequence without a row"
            )));
        }
        let most = [
            ("sequences", layout.above.len(), axis.packing.batch),
            (
                "steps",
                layout.lengths.first().copied().unwrap_or(0),
                axis.packing.steps,
            ),
            ("rows", layout.rows.len(), axis.packing.rows),
        ];
        if let Some((what, found, most)) = most.into_iter().find(|(_, found, most)| found > most) {
            return Err(Error::internal(format!(
                "axis {number}: expected at most {most} {what}, found {found}"
            )));
        }
        layouts.push(layout);
    }
    Ok(layouts)
}

/// The order of the examples' rows: that of the first axis whose sequences the examples are, by falling length.
fn first_order(plan: &Plan, columns: &[Column], examples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..examples).collect();
    let first = plan.order_of_examples();
    let fields = &plan.recipes.fields;
    let is = |field: &FieldShape| first.is_some() && field.axis() == first;
    if let Some(field) = fields.iter().position(is) {
        let steps = |example: &usize| steps(&columns[field], fields[field], *example);
        order.sort_by_key(|example| std::cmp::Reverse(steps(example)));
    }
    order
}

/// How many steps an example's own sequence has; none of what is no sequence.
fn steps(column: &Column, shape: FieldShape, example: usize) -> Option<usize> {
    match (column, shape) {
        (Column::Tokens(all), _) => Some(all[example].len()),
        (Column::Reals(all), FieldShape::Reals { width, .. }) => Some(all[example].len() / width),
        _ => None,
    }
}

/// The layout of the examples, a row each.
fn one_row_each(packing: &Packing, order: Vec<usize>) -> Layout {
    let count = order.len() as u32;
    let mut starts = vec![0];
    starts.resize(packing.steps + 1, count);
    Layout {
        starts,
        rows: (0..order.len()).map(|row| (row, 0)).collect(),
        order: (0..count).collect(),
        above: (0..count).collect(),
        lengths: vec![1; order.len()],
        places: order.into_iter().map(|example| (example, 0)).collect(),
    }
}

/// The layout of sequences of `lengths`, one for every row above, of which `above` says example and step.
fn by_falling_length(
    packing: &Packing,
    lengths: &[usize],
    above: &[(usize, usize)],
    within: bool,
) -> Layout {
    let mut sorted: Vec<usize> = (0..lengths.len()).collect();
    sorted.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
    let mut layout = Layout {
        starts: vec![0],
        order: vec![0; lengths.len()],
        above: sorted.iter().map(|row| *row as u32).collect(),
        lengths: sorted.iter().map(|row| lengths[*row]).collect(),
        ..Layout::default()
    };
    for (sequence, row) in sorted.iter().enumerate() {
        layout.order[*row] = sequence as u32;
    }
    let longest = layout.lengths.first().copied().unwrap_or(0);
    for step in 0..longest.max(packing.steps) {
        let active = layout.lengths.partition_point(|length| *length > step);
        for row in &sorted[..active] {
            layout.rows.push((*row, step));
            // What lies within a step is at the step's place.
            layout.places.push(if within {
                above[*row]
            } else {
                (above[*row].0, step)
            });
        }
        layout.starts.push(layout.rows.len() as u32);
    }
    layout
}

/// The example of every row of what has one row an example.
fn by_example(plan: &Plan, layouts: &[Layout], examples: usize) -> Vec<usize> {
    match plan.recipes.examples {
        Some(axis) => layouts[axis]
            .places
            .iter()
            .map(|(example, _)| *example)
            .collect(),
        None => (0..examples).collect(),
    }
}

/// What slots are filled from.
struct Source<'a> {
    plan: &'a Plan,
    columns: &'a [Column],
    layouts: &'a [Layout],
    by_example: &'a [usize],
}

impl Source<'_> {
    fn tokens(&self, field: usize) -> Option<(&Layout, usize, [u32; 2], bool)> {
        match self.plan.recipes.fields[field] {
            FieldShape::Tokens {
                axis: Some(axis),
                marks,
                predicted,
                ..
            } => Some((&self.layouts[axis], axis, marks, predicted)),
            _ => None,
        }
    }

    /// The tokens of the sequence that is a row above a field's axis.
    fn sequence(&self, field: usize, axis: usize, above: usize) -> &[u32] {
        let (example, step) = match self.plan.axes[axis].above {
            Some(parent) => self.layouts[parent].places[above],
            None => (above, 0),
        };
        match &self.columns[field] {
            Column::Tokens(all) => &all[example],
            Column::Within(all) => &all[example][step],
            _ => &[],
        }
    }

    /// The token so many steps before a row of a field. The start mark stands before the first one, where it is read as a row
    /// and where a look back passes it.
    fn token(&self, field: usize, (above, step): (usize, usize), back: usize) -> Option<u32> {
        let (_, axis, [start, _], predicted) = self.tokens(field)?;
        let place = step.checked_sub(back + usize::from(predicted));
        Some(place.map_or(start, |place| self.sequence(field, axis, above)[place]))
    }

    /// The words that a recipe makes of the rows that count; none for what holds no data.
    fn words(&self, recipe: Recipe) -> Option<Vec<u32>> {
        match recipe {
            Recipe::Ids { field, back } => {
                let rows = self.tokens(field)?.0.rows.iter();
                rows.map(|row| self.token(field, *row, back)).collect()
            }
            Recipe::Grams {
                field,
                tokens,
                symbols,
            } => {
                let vocabulary = match self.plan.recipes.fields[field] {
                    FieldShape::Tokens { symbols, .. } => symbols,
                    _ => return None,
                };
                let rows = self.tokens(field)?.0.rows.iter();
                let word = |row: &(usize, usize)| {
                    let ids = (0..tokens).rev().map(|back| self.token(field, *row, back));
                    let ids = ids.collect::<Option<Vec<u32>>>()?;
                    Some(gram(&ids, vocabulary, symbols))
                };
                rows.map(word).collect()
            }
            Recipe::Targets { field, .. } | Recipe::Classes { field } => self.targets(field),
            Recipe::Last { axis } => {
                let layout = &self.layouts[axis];
                let last = |sequence: &u32| {
                    let steps = layout.lengths[*sequence as usize];
                    layout.starts[steps - 1] + sequence
                };
                Some(layout.order.iter().map(last).collect())
            }
            Recipe::Order { axis } => Some(self.layouts[axis].order.clone()),
            Recipe::Above { axis } => Some(self.layouts[axis].above.clone()),
            Recipe::Numbers { .. }
            | Recipe::Weights { .. }
            | Recipe::Flipped { .. }
            | Recipe::Index { .. } => None,
        }
    }

    fn targets(&self, field: usize) -> Option<Vec<u32>> {
        match (&self.columns[field], self.plan.recipes.fields[field]) {
            (Column::Class(all), _) => Some(self.by_example.iter().map(|n| all[*n]).collect()),
            (Column::Classes(all), FieldShape::Classes { along, .. }) => {
                let places = &self.layouts[self.plan.recipes.fields[along].axis()?].places;
                let places = places.iter();
                let class = |(example, step): &(usize, usize)| all[*example][*step];
                Some(places.map(class).collect())
            }
            _ => {
                let (layout, axis, [_, end], _) = self.tokens(field)?;
                let next = |(above, step): &(usize, usize)| {
                    let tokens = self.sequence(field, axis, *above);
                    tokens.get(*step).copied().unwrap_or(end)
                };
                Some(layout.rows.iter().map(next).collect())
            }
        }
    }

    /// Example and step of every row of a loss along an axis.
    fn places(&self, axis: Option<usize>) -> Vec<(usize, usize)> {
        match axis.map(|axis| &self.layouts[axis]) {
            Some(layout) => layout.places.clone(),
            None => self
                .by_example
                .iter()
                .map(|example| (*example, 0))
                .collect(),
        }
    }

    fn numbers(&self, field: usize, reach: Reach) -> Vec<f32> {
        match (&self.columns[field], self.plan.recipes.fields[field]) {
            (Column::Vector(all), _) => self
                .by_example
                .iter()
                .flat_map(|n| all[*n].clone())
                .collect(),
            (
                Column::Reals(all),
                FieldShape::Reals {
                    axis: Some(axis),
                    width,
                    ..
                },
            ) => {
                let places = &self.layouts[axis].places;
                let mut numbers = Vec::with_capacity(places.len() * reach.steps * width);
                for (example, step) in places {
                    let sequence = &all[*example];
                    for n in 0..reach.steps {
                        let at = step.checked_add_signed(reach.first + n as isize);
                        let own = at.and_then(|at| sequence.get(at * width..(at + 1) * width));
                        match own {
                            Some(own) => numbers.extend_from_slice(own),
                            None => numbers.resize(numbers.len() + width, 0.0),
                        }
                    }
                }
                numbers
            }
            _ => Vec::new(),
        }
    }
}
