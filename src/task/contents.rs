//! What a minibatch fills slots with, by what their recipes say: words and numbers, row by row.

use super::Column;
use super::grams::gram;
use super::layout::Layout;
use crate::op::{FieldShape, Plan, Reach, Recipe};

/// What slots are filled from.
pub(super) struct Contents<'a> {
    pub plan: &'a Plan,
    pub columns: &'a [Column],
    pub layouts: &'a [Layout],
    pub by_example: &'a [usize],
}

impl Contents<'_> {
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

    /// What is to be predicted of the sequence that is a row above a field's axis.
    fn sequence(&self, field: usize, axis: usize, above: usize) -> &[u32] {
        self.place(field, axis, above).0
    }

    /// The tokens of the sequence that is a row above a field's axis: those to be predicted, and those that are read.
    fn place(&self, field: usize, axis: usize, above: usize) -> (&[u32], &[u32]) {
        let (example, step) = match self.plan.axes[axis].above {
            Some(parent) => self.layouts[parent].places[above],
            None => (above, 0),
        };
        match &self.columns[field] {
            Column::Tokens(all) => (&all[example], &all[example]),
            Column::Mixed { tokens, read } => (&tokens[example], &read[example]),
            Column::Within(all) => (&all[example][step], &all[example][step]),
            _ => (&[], &[]),
        }
    }

    /// The token so many steps before row `row` of a field. The start mark stands before the first one, where it is read as a
    /// row and where a look back passes it.
    fn token(&self, field: usize, row: usize, back: usize) -> Option<u32> {
        let (layout, axis, [start, _], predicted) = self.tokens(field)?;
        if let Column::Written { rows, .. } = &self.columns[field] {
            return Some(rows[row].token(back).unwrap_or(start));
        }
        let (above, step) = layout.rows[row];
        let place = step.checked_sub(back + usize::from(predicted));
        Some(place.map_or(start, |place| self.place(field, axis, above).1[place]))
    }

    /// The words that a recipe makes of the rows that count; none for what holds no data.
    pub fn words(&self, recipe: Recipe) -> Option<Vec<u32>> {
        match recipe {
            Recipe::Ids { field, back } => {
                let rows = 0..self.tokens(field)?.0.rows.len();
                rows.map(|row| self.token(field, row, back)).collect()
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
                let rows = 0..self.tokens(field)?.0.rows.len();
                let word = |row: usize| {
                    let ids = (0..tokens).rev().map(|back| self.token(field, row, back));
                    let ids = ids.collect::<Option<Vec<u32>>>()?;
                    Some(gram(&ids, vocabulary, symbols))
                };
                rows.map(word).collect()
            }
            Recipe::Positions { field, symbols } => {
                let axis = self.plan.recipes.fields[field].axis()?;
                let position = |step: usize| step.min(symbols - 1) as u32;
                Some(match &self.columns[field] {
                    Column::Written { rows, .. } => {
                        rows.iter().map(|row| position(row.step)).collect()
                    }
                    _ => {
                        let rows = self.layouts[axis].rows.iter();
                        rows.map(|(_, step)| position(*step)).collect()
                    }
                })
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
            Recipe::Attended { axis, memory } => {
                let sequences = self.sequences_by_example(memory);
                let places = self.layouts[axis].places.iter();
                Some(places.map(|(example, _)| sequences[*example]).collect())
            }
            Recipe::Attending { axis, memory } => {
                let sequences = self.sequences_by_example(axis);
                let above = self.layouts[memory].above.iter();
                let example = |row: &u32| self.by_example[*row as usize];
                Some(above.map(|row| sequences[example(row)]).collect())
            }
            Recipe::Parents { axis } => {
                let of = |field: &FieldShape| field.axis() == Some(axis);
                let field = self.plan.recipes.fields.iter().position(of)?;
                match &self.columns[field] {
                    Column::Written { rows, .. } => {
                        Some(rows.iter().map(|row| row.parent as u32).collect())
                    }
                    _ => None,
                }
            }
            Recipe::Numbers { .. }
            | Recipe::Draws { .. }
            | Recipe::Weights { .. }
            | Recipe::Flipped { .. }
            | Recipe::Index { .. } => None,
        }
    }

    /// By example: its sequence along an axis, or its row along the axis of examples.
    fn sequences_by_example(&self, axis: usize) -> Vec<u32> {
        let mut sequences = vec![0; self.by_example.len()];
        for (above, sequence) in self.layouts[axis].order.iter().enumerate() {
            sequences[self.by_example[above]] = *sequence;
        }
        sequences
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
    pub fn places(&self, axis: Option<usize>) -> Vec<(usize, usize)> {
        match axis.map(|axis| &self.layouts[axis]) {
            Some(layout) => layout.places.clone(),
            None => self
                .by_example
                .iter()
                .map(|example| (*example, 0))
                .collect(),
        }
    }

    pub fn numbers(&self, field: usize, reach: Reach) -> Vec<f32> {
        match (&self.columns[field], self.plan.recipes.fields[field]) {
            (Column::Vector(all), _) => self
                .by_example
                .iter()
                .flat_map(|n| all[*n].clone())
                .collect(),
            (
                Column::Reals(all),
                FieldShape::Reals { width, .. } | FieldShape::RealsAlong { width, .. },
            ) => {
                let Some(axis) = self.plan.recipes.axis_of(field) else {
                    return Vec::new();
                };
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
