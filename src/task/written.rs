//! Sequences that are being written: the rows of a step, each a beginning that goes on from a row of the step before.

use super::layout::Layout;
use crate::error::{Error, Result};
use crate::op::{FieldShape, Plan, Recipe};

/// A beginning of a sequence, whose next token a step makes scores of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Its example, among those of the minibatch.
    pub example: usize,
    /// The row of the step before from which it goes on; nothing looks at it in the first step.
    pub parent: usize,
    /// How many tokens it has.
    pub step: usize,
    /// The last of its tokens, as many as the plan [looks at](looks_back); all of them where it has fewer.
    pub last: Vec<u32>,
}

impl Beginning {
    /// The token so many steps before the last; none before the first, where the start mark stands.
    pub(super) fn token(&self, back: usize) -> Option<u32> {
        let at = self.last.len().checked_sub(back + 1)?;
        self.last.get(at).copied()
    }
}

/// How many of the last tokens of a field a plan looks at.
pub fn looks_back(plan: &Plan, field: usize) -> usize {
    let recipes = plan.recipes.slots.iter();
    let tokens = recipes.map(|(_, recipe)| match recipe {
        Recipe::Ids { field: of, back } if *of == field => back + 1,
        Recipe::Grams {
            field: of, tokens, ..
        } if *of == field => *tokens,
        _ => 0,
    });
    tokens.max().unwrap_or(0)
}

/// Whether sequences of a field are written in a plan.
pub(super) fn is_written(plan: &Plan, field: &FieldShape) -> bool {
    field
        .axis()
        .is_some_and(|axis| plan.axes[axis].parents.is_some())
}

/// The layout of beginnings, a row each in one step; `above` is the example of every row above them.
pub(super) fn layout(rows: &[Beginning], steps: usize, above: &[usize]) -> Result<Layout> {
    let place = |row: &Beginning| {
        let found = above.iter().position(|example| *example == row.example);
        found.ok_or_else(|| {
            let (example, count) = (row.example, above.len());
            Error::internal(format!("a beginning for example {example} of {count}"))
        })
    };
    let places: Vec<usize> = rows.iter().map(place).collect::<Result<_>>()?;
    let mut starts = vec![0];
    starts.resize(steps + 1, rows.len() as u32);
    let first = |row: usize| places.iter().position(|place| *place == row);
    Ok(Layout {
        starts,
        rows: places.iter().map(|row| (*row, 0)).collect(),
        order: (0..above.len())
            .map(|row| first(row).unwrap_or(0) as u32)
            .collect(),
        above: places.iter().map(|row| *row as u32).collect(),
        lengths: vec![1; rows.len()],
        places: rows.iter().map(|row| (row.example, 0)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_as_they_come_below_the_rows_of_their_examples() {
        let beginning = |example, last: &[u32]| Beginning {
            example,
            parent: 0,
            step: last.len(),
            last: last.to_vec(),
        };
        let rows = [beginning(2, &[7, 8]), beginning(0, &[]), beginning(2, &[9])];
        // Rows above lie by falling length of some other sequence.
        let found = layout(&rows, 1, &[1, 2, 0]).unwrap();
        assert_eq!((found.starts, found.above), (vec![0, 3], vec![1, 2, 1]));
        assert_eq!(found.places, [(2, 0), (0, 0), (2, 0)]);
        assert_eq!(found.order, [0, 0, 1]);
        assert!(layout(&rows, 1, &[1, 2]).is_err());
        let tokens = |row: &Beginning| [0, 1, 2].map(|back| row.token(back));
        assert_eq!(tokens(&rows[0]), [Some(8), Some(7), None]);
        assert_eq!(tokens(&rows[1]), [None; 3]);
    }
}
