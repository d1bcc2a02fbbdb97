//! Made-up minibatches, for what must run without data: checks, finite differences, profiles.

use super::packing::falling;
use super::{Column, Inputs, LossWeight, Minibatch, Weighting};
use crate::error::Result;
use crate::op::{Bound, FieldShape, Plan, Recipe, SlotId};
use crate::rng::{Purpose, Stream};

/// A minibatch of random token ids. Packed sequences are one as long as there are steps, and each after it a step shorter.
#[derive(Clone, Debug)]
pub struct MadeUp {
    /// Token ids [T+1, B].
    pub ids: Vec<u32>,
    /// Targets [T, B], where the plan has a slot for them: none of them is the next input but by chance.
    pub targets: Option<Vec<u32>>,
    /// Weights of the positions [T, B] in [0, 1), where the plan has a slot for them.
    pub weights: Option<Vec<f32>>,
    /// Where packed steps start [T+1].
    pub starts: Option<Vec<u32>>,
    /// For a plan of several fields, examples of these; then there is nothing else.
    fields: Option<Minibatch>,
}

impl MadeUp {
    /// For `plan`, drawn from `seed`.
    ///
    /// # Errors
    /// Internal: a plan of several fields in which no example has room.
    pub fn new(plan: &Plan, seed: u64) -> Result<MadeUp> {
        MadeUp::drawn(plan, &mut Stream::new(seed, Purpose::Check, 0))
    }

    /// For `plan`, from the next numbers of `stream`.
    pub(super) fn drawn(plan: &Plan, stream: &mut Stream) -> Result<MadeUp> {
        let fields = examples(plan, stream)?;
        let mut draw = |slot: SlotId| -> Vec<u32> {
            let slot = plan.slot(slot);
            let below = match slot.bound {
                Bound::Below(below) => below,
                Bound::Any | Bound::BelowOrNone(_) | Bound::Counts => 1,
            };
            let id = |u: f32| ((f64::from(u) * below as f64) as u32).min(below as u32 - 1);
            (0..slot.len()).map(|_| id(stream.uniform())).collect()
        };
        let ids = plan.recipes.ids().map(&mut draw).unwrap_or_default();
        let targets = plan.recipes.targets().map(&mut draw);
        let weights = plan.recipes.weights().map(|slot| {
            let count = plan.slot(slot).len();
            (0..count).map(|_| stream.uniform()).collect()
        });
        Ok(MadeUp {
            ids,
            targets,
            weights,
            starts: plan.packing().map(|packing| falling(&packing)),
            fields,
        })
    }

    /// How many rows count: predictions that are made.
    pub fn rows(&self, plan: &Plan) -> usize {
        if let Some(fields) = &self.fields {
            return fields.predictions();
        }
        let packed = self.starts.as_ref().and_then(|starts| starts.last());
        packed.map_or_else(
            || {
                let ids = plan.recipes.ids().map(|slot| &plan.slot(slot).shape);
                ids.map_or(0, |shape| (shape[0] - 1) * shape[1])
            },
            |rows| *rows as usize,
        )
    }

    /// Whether states start at zero: sequences begin and end within the minibatch.
    pub fn resets(&self) -> bool {
        self.starts.is_some() || self.fields.is_some()
    }

    /// What the sum of the losses is multiplied by to give their mean.
    pub fn scale(&self, plan: &Plan) -> f64 {
        match &self.fields {
            Some(fields) => fields.scale(),
            None => 1.0 / self.rows(plan) as f64,
        }
    }

    /// What a run of it reads. Packed sequences start from a reset state.
    pub fn inputs(&self) -> Inputs<'_> {
        if let Some(fields) = &self.fields {
            return fields.inputs();
        }
        Inputs::new(&self.ids)
            .targets(self.targets.as_deref())
            .weights(self.weights.as_deref())
            .starts(self.starts.as_deref())
            .reset(self.resets())
    }
}

/// Examples for a plan of several fields, or of one that has numbers or is looked back at; none for another, whose slots are filled with
/// anything.
fn examples(plan: &Plan, stream: &mut Stream) -> Result<Option<Minibatch>> {
    let recipes = &plan.recipes;
    let more = |recipe: &Recipe| match recipe {
        Recipe::Ids { back, .. } => *back > 0,
        Recipe::Grams { .. } | Recipe::Positions { .. } | Recipe::Numbers { .. } => true,
        _ => false,
    };
    if recipes.fields.len() < 2 && recipes.find(more).is_none() {
        return Ok(None);
    }
    let columns = Columns::drawn(plan, stream);
    let losses = vec![LossWeight::default(); plan.io.outputs.len()];
    Minibatch::new(plan, &columns, &Weighting::Means(losses)).map(Some)
}

/// A number below `below`.
fn number(stream: &mut Stream, below: usize) -> usize {
    ((f64::from(stream.uniform()) * below as f64) as usize).min(below - 1)
}

/// Made-up columns: as many examples as fit, of lengths in no order.
struct Columns<'a> {
    plan: &'a Plan,
    stream: &'a mut Stream,
    examples: usize,
    made: Vec<Column>,
}

impl Columns<'_> {
    fn drawn(plan: &Plan, stream: &mut Stream) -> Vec<Column> {
        // What lies within another axis must have room for every row there.
        let most = plan
            .axes
            .iter()
            .map(|axis| axis.packing.batch.min(axis.packing.rows));
        let mut this = Columns {
            plan,
            stream,
            examples: most.min().unwrap_or(1),
            made: Vec::new(),
        };
        for field in &plan.recipes.fields {
            let column = this.column(*field);
            this.made.push(column);
        }
        this.made
    }

    fn column(&mut self, field: FieldShape) -> Column {
        let examples = self.examples;
        match field {
            FieldShape::Class { classes } => {
                Column::Class((0..examples).map(|_| self.symbol(classes)).collect())
            }
            FieldShape::Vector { width } => {
                let mut vector = || (0..width).map(|_| self.stream.normal() as f32).collect();
                Column::Vector((0..examples).map(|_| vector()).collect())
            }
            FieldShape::Reals {
                axis, width, bits, ..
            } => {
                let lengths = match axis {
                    Some(axis) => self.lengths(axis, examples),
                    None => vec![1; examples],
                };
                let steps = lengths.into_iter().map(|rows| field.steps_of(rows));
                let steps: Vec<usize> = steps.collect();
                let mut number = || match bits {
                    true => f32::from(u8::from(self.stream.uniform() < 0.3)),
                    false => self.stream.normal() as f32,
                };
                let mut of = |steps: usize| (0..steps * width).map(|_| number()).collect();
                Column::Reals(steps.into_iter().map(&mut of).collect())
            }
            FieldShape::RealsAlong { width, along } => {
                let lengths = self.lengths_of(along);
                let mut of = |n: usize| {
                    let numbers = (0..n * width).map(|_| self.stream.normal() as f32);
                    numbers.collect()
                };
                Column::Reals(lengths.into_iter().map(&mut of).collect())
            }
            FieldShape::Classes { classes, along } => {
                let lengths = self.lengths_of(along);
                let of = |n: usize| (0..n).map(|_| self.symbol(classes)).collect();
                Column::Classes(lengths.into_iter().map(of).collect())
            }
            FieldShape::Tokens {
                axis: None,
                symbols,
                ..
            } => Column::Tokens((0..examples).map(|_| vec![self.symbol(symbols)]).collect()),
            FieldShape::Tokens {
                axis: Some(axis),
                symbols,
                ..
            } => {
                let above = self.plan.axes[axis].above;
                let is = |field: &FieldShape| above.is_some() && field.axis() == above;
                let within = self.plan.recipes.fields.iter().position(is);
                let outer = within.map(|field| self.lengths_of(field));
                let count = outer
                    .as_ref()
                    .map_or(examples, |lengths| lengths.iter().sum());
                let lengths = self.lengths(axis, count);
                let of = |rows: usize| {
                    let steps = 0..field.steps_of(rows);
                    steps.map(|_| self.symbol(symbols)).collect()
                };
                let mut all: Vec<Vec<u32>> = lengths.into_iter().map(of).collect();
                match outer {
                    None => Column::Tokens(all),
                    Some(outer) => {
                        let of = |n: usize| all.drain(..n).collect();
                        Column::Within(outer.into_iter().map(of).collect())
                    }
                }
            }
        }
    }

    fn symbol(&mut self, below: usize) -> u32 {
        number(self.stream, below) as u32
    }

    /// The lengths of a field's sequences.
    fn lengths_of(&self, field: usize) -> Vec<usize> {
        match (&self.made[field], self.plan.recipes.fields[field]) {
            (Column::Tokens(all), _) => all.iter().map(Vec::len).collect(),
            (Column::Reals(all), FieldShape::Reals { width, .. }) => {
                all.iter().map(|numbers| numbers.len() / width).collect()
            }
            _ => vec![0; self.examples],
        }
    }

    /// Rows of `count` sequences that fill an axis as far as they can; each has one at least.
    fn lengths(&mut self, axis: usize, count: usize) -> Vec<usize> {
        let packing = self.plan.axes[axis].packing;
        let mut rows = vec![1; count];
        let mut left = packing.rows.saturating_sub(count);
        // A few attempts too many, as some meet a sequence of full length.
        for _ in 0..4 * packing.rows {
            let row = &mut rows[number(self.stream, count)];
            if left > 0 && *row < packing.steps {
                *row += 1;
                left -= 1;
            }
        }
        rows
    }
}
