//! A minibatch laid out in rows, and everything that a plan's slots are filled with from it.

use super::clusters::CountedRows;
use super::draws::Draws;
use super::{candidates, clusters, packing, tables};
use crate::error::{Error, Result};
use crate::exec::{Filling, Fillings};
use crate::op::{Control, FieldShape, Hyper, LossRows, Plan, Recipe, SlotId, scatter};

/// The contents of the slots that hold a minibatch's data; those of the others follow from them.
pub(super) struct Laid<'a> {
    /// Words: ids, targets, places.
    pub words: Vec<(SlotId, &'a [u32])>,
    /// Weights and vectors.
    pub numbers: Vec<(SlotId, Filling<'a>)>,
    /// Where the steps of each packed axis start.
    pub starts: Vec<&'a [u32]>,
    /// What draws come to instead of random numbers, by slot.
    pub forced: &'a [(SlotId, Vec<f32>)],
}

impl<'a> Laid<'a> {
    fn words(&self, slot: SlotId) -> &'a [u32] {
        let found = self.words.iter().find(|(known, _)| *known == slot);
        found.map_or(&[], |(_, words)| words)
    }

    /// How many rows along a packed axis count.
    fn rows(&self, axis: usize) -> Option<usize> {
        let starts = self.starts.get(axis)?;
        starts.last().map(|rows| *rows as usize)
    }

    /// The words of a slot that count.
    fn counted(&self, plan: &Plan, slot: SlotId) -> &'a [u32] {
        let (words, recipes) = (self.words(slot), &plan.recipes);
        let recipe = recipes.slots.iter().find(|(known, _)| *known == slot);
        let recipe = recipe.map(|(_, recipe)| *recipe);
        // One step more lies behind the ids.
        let all = match recipe {
            Some(Recipe::Ids { .. }) => words.len() - plan.slot(slot).shape[1],
            _ => words.len(),
        };
        let axis = recipe.and_then(|recipe| axis_of(plan, recipe));
        &words[..axis.and_then(|axis| self.rows(axis)).unwrap_or(all)]
    }

    /// The targets of a loss that count.
    fn targets(&self, plan: &Plan, of: LossRows) -> &'a [u32] {
        match of.first {
            0 => self.counted(plan, of.targets),
            // The next of the ids.
            first => &self.words(of.targets)[first..],
        }
    }

    fn weights(&self, of: LossRows) -> Option<&[f32]> {
        let of_loss = |(slot, _): &&(SlotId, Filling<'a>)| Some(*slot) == of.weights;
        match self.numbers.iter().find(of_loss) {
            Some((_, Filling::Numbers(weights))) => Some(weights),
            _ => None,
        }
    }
}

/// The packed axis along which the rows lie that a recipe makes a word for each.
fn axis_of(plan: &Plan, recipe: Recipe) -> Option<usize> {
    let of_field = |field: usize| plan.recipes.axis_of(field);
    match recipe {
        Recipe::Ids { field, .. }
        | Recipe::Grams { field, .. }
        | Recipe::Positions { field, .. } => of_field(field),
        Recipe::Targets { field, .. } | Recipe::Classes { field } => {
            match plan.recipes.fields.get(field)? {
                FieldShape::Tokens { .. }
                | FieldShape::Reals { .. }
                | FieldShape::Classes { .. }
                | FieldShape::RealsAlong { .. } => of_field(field),
                FieldShape::Class { .. } | FieldShape::Vector { .. } => plan.recipes.examples,
            }
        }
        Recipe::Last { axis } | Recipe::Order { axis } => plan.axes[axis].above,
        Recipe::Numbers { field, .. } => of_field(field).or(plan.recipes.examples),
        Recipe::Attended { axis, .. } => Some(axis),
        Recipe::Attending { .. }
        | Recipe::Flipped { .. }
        | Recipe::Draws { .. }
        | Recipe::Weights { .. }
        | Recipe::Index { .. }
        | Recipe::Above { .. }
        | Recipe::Parents { .. } => None,
    }
}

/// Contents for every slot of `plan` that the host fills.
///
/// # Errors
/// Internal: starts of steps that cannot be.
pub(super) fn fill<'a>(
    plan: &Plan,
    laid: Laid<'a>,
    control: &Control,
    hyper: &Hyper,
) -> Result<Fillings<'a>> {
    let recipes = &plan.recipes;
    let mut all: Fillings<'a> = Vec::new();
    all.extend(
        recipes
            .control
            .map(|slot| (slot, control.words().to_vec().into())),
    );
    all.extend(
        recipes
            .hyper
            .map(|slot| (slot, hyper.numbers().to_vec().into())),
    );
    let mut counts = Vec::new();
    let mut flips = Vec::new();
    for (axis, starts) in plan.axes.iter().zip(&laid.starts) {
        let packing = axis.packing;
        if let Some(fault) = packing.fault(starts) {
            return Err(Error::internal(format!("starts: {fault}")));
        }
        counts.extend(packing::counts(starts));
        let before = axis.before;
        all.extend(before.map(|slot| (slot, packing::before(&packing, starts).into())));
        flips.push(
            axis.flip
                .map(|slot| (slot, packing::flip(&packing, starts))),
        );
    }
    all.extend(recipes.counts.map(|slot| (slot, counts.into())));
    // Flipped ids come before what is made of them.
    let mut flipped = Vec::new();
    for (slot, recipe) in &recipes.slots {
        let Recipe::Flipped { ids } = recipe else {
            continue;
        };
        let source = recipes.slots.iter().find(|(known, _)| known == ids);
        let axis = source.and_then(|(_, recipe)| axis_of(plan, *recipe));
        let flip = axis.and_then(|axis| flips.get(axis)?.as_ref());
        let (Some(axis), Some((_, flip))) = (axis, flip) else {
            return Err(Error::internal("flipped ids along no packed axis"));
        };
        let words = laid.words(*ids);
        // The steps of sequences that are written look at none but their own ids.
        if words.is_empty() {
            continue;
        }
        let words: Vec<u32> = flip.iter().map(|row| words[*row as usize]).collect();
        flipped.push((*slot, laid.rows(axis).unwrap_or(0), words));
    }
    for (slot, recipe) in &recipes.slots {
        let Recipe::Index { of } = recipe else {
            continue;
        };
        let own = flipped.iter().find(|(known, ..)| known == of);
        if own.is_none() && laid.words(*of).is_empty() {
            continue;
        }
        let (words, most) = match own {
            Some((_, count, words)) => (&words[..*count], words.len()),
            None => {
                let most =
                    plan.slot(*of).len() - plan.slot(*of).shape[1] * usize::from(is_ids(plan, *of));
                (laid.counted(plan, *of), most)
            }
        };
        // Sequences packed together are never cut into segments.
        let rows = most / plan.matrix(*slot).rows;
        all.push((*slot, index(plan, *slot, rows, words)));
    }
    all.extend(
        flipped
            .into_iter()
            .map(|(slot, _, words)| (slot, words.into())),
    );
    all.extend(
        flips
            .into_iter()
            .flatten()
            .map(|(slot, flip)| (slot, flip.into())),
    );
    if let Some(of) = &recipes.clusters {
        let rows = CountedRows {
            targets: laid.targets(plan, of.of),
            weights: laid.weights(of.of),
        };
        clusters::fill(of, &rows, &mut all);
    }
    let draws = Draws::new(control.key, control.step);
    for (slot, recipe) in &recipes.slots {
        if let Recipe::Draws { stream } = recipe {
            let forced = laid.forced.iter().find(|(known, _)| known == slot);
            all.push(match forced {
                Some((_, forced)) => (*slot, forced[..].into()),
                None => (
                    *slot,
                    draws.gaussians(*stream, plan.slot(*slot).len()).into(),
                ),
            });
        }
    }
    let mut drawn = Vec::new();
    if let Some(of) = &recipes.candidates {
        drawn = candidates::fill(of, laid.targets(plan, of.of), draws, &mut all);
    }
    for table in &recipes.tables {
        let inputs = table.inputs.map_or(&[][..], |ids| laid.counted(plan, ids));
        tables::fill(table, inputs, &drawn, &mut all);
    }
    all.extend(
        laid.words
            .iter()
            .map(|(slot, words)| (*slot, (*words).into())),
    );
    all.extend(laid.numbers);
    Ok(all)
}

fn is_ids(plan: &Plan, slot: SlotId) -> bool {
    let mut slots = plan
        .recipes
        .all(|recipe| matches!(recipe, Recipe::Ids { .. }));
    slots.any(|ids| ids == slot)
}

/// The index of the words of every segment of `rows` rows [segments, rows + V + 1].
fn index(plan: &Plan, slot: SlotId, rows: usize, words: &[u32]) -> Filling<'static> {
    let places = plan.matrix(slot).cols - rows - 1;
    let segments = words.chunks(rows.max(1));
    let index = segments.flat_map(|words| scatter::index(words, rows, places));
    index.collect::<Vec<u32>>().into()
}
