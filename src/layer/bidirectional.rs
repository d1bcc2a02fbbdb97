//! Two recurrent layers over the same input, one in each direction of time; their outputs side by side.
//!
//! Source: Schuster and Paliwal, "Bidirectional recurrent neural networks" (1997). Of packed sequences the second layer
//! reads rows that are flipped, each sequence from its own end on, and its outputs are flipped back: the index of that is its
//! own inverse, forward and backward.

use super::{Axis, Builder, Recurrent, Signal, Value, concat};
use crate::error::Result;
use crate::op::{Bound, Recipe, SlotId};

/// What a bidirectional layer makes.
#[derive(Clone, Debug)]
pub struct Both {
    /// The outputs side by side: rows [T * B, 2 H], those of the forward layer first.
    pub output: Value,
    /// By direction the states behind each sequence's last step, where they are asked for: see
    /// [`Recurrent::write_with_states`]. The backward layer's last step is the sequence's first.
    pub last: [Vec<Value>; 2],
}

/// Writes a bidirectional layer called `label`; `backward` runs from the last step of every sequence to its first.
///
/// # Errors
/// An input that does not fit the layers.
pub fn bidirectional(
    builder: &mut Builder,
    label: &str,
    [forward, backward]: [Recurrent; 2],
    input: Value,
) -> Result<Both> {
    let (first, ahead) = forward.write_with_states(builder, input)?;
    let (second, back) = match builder.flip(builder.axis(input)) {
        None => backward.reversed().write_with_states(builder, input)?,
        Some(flip) => {
            let flipped = flipped(builder, flip, &format!("input.{label}"), input)?;
            let (output, last) = backward.write_with_states(builder, flipped)?;
            let name = format!("output.{label}");
            (self::flipped(builder, flip, &name, output)?, last)
        }
    };
    Ok(Both {
        output: concat(builder, &format!("both.{label}"), &[first, second])?,
        last: [ahead, back],
    })
}

/// The rows of a value, or its one-hot ids, flipped.
fn flipped(builder: &mut Builder, flip: SlotId, name: &str, value: Value) -> Result<Value> {
    let axis = builder.axis(value);
    if let Signal::OneHot { ids, vocab } = builder.signal(value) {
        let ids = builder.flipped_ids(axis, ids);
        let name = format!("flipped.{name}");
        return Ok(builder.value(name, Signal::OneHot { ids, vocab }, axis));
    }
    // Ids that are embedded have rows.
    let value = builder.as_rows(name, value).unwrap_or(value);
    let (rows, name) = (builder.rows(value)?, format!("flipped.{name}"));
    let out = builder.gather(axis, name.clone(), name.clone(), flip, rows);
    let back = format!("{name}.backward");
    Ok(
        builder.made_rows(name, out, axis, move |builder, upstream| {
            let gradient = builder.gather(axis, back.clone(), back, flip, upstream);
            builder.give(value, gradient);
        }),
    )
}

impl Builder {
    /// The slot with the index that flips the packed sequences of an axis; none along another axis.
    fn flip(&mut self, axis: Axis) -> Option<SlotId> {
        let number = axis.number()?;
        if let Some(slot) = self.plan.axes[number].flip {
            return Some(slot);
        }
        let bound = Bound::Below(axis.rows());
        let name = match number {
            0 => "flip".into(),
            n => format!("flip.{n}"),
        };
        let slot = self.plan.add_words(name, &[1, axis.rows()], bound);
        self.plan.axes[number].flip = Some(slot);
        Some(slot)
    }

    /// The slot of the ids of the rows along a packed axis, flipped.
    fn flipped_ids(&mut self, axis: Axis, ids: SlotId) -> SlotId {
        let recipe = Recipe::Flipped { ids };
        if let Some(slot) = self.plan.recipes.find(|known| *known == recipe) {
            return slot;
        }
        let slot = self.plan.slot(ids);
        let (name, bound) = (format!("{}.flipped", slot.name), slot.bound);
        let slot = self.plan.add_words(name, &[1, axis.rows()], bound);
        self.plan.recipes.slots.push((slot, recipe));
        slot
    }
}
