//! Minibatches: what the host fills a plan's slots with, from token ids that were read or made up.
//!
//! A plan's [recipes](crate::op::Recipes) say what is wanted; what an executor takes are the [contents of
//! slots](crate::exec::FillSlots).

mod candidates;
mod clusters;
mod contents;
pub mod differences;
mod draws;
mod grams;
mod inputs;
mod laid;
mod layout;
mod made_up;
mod minibatch;
mod packing;
mod tables;
mod written;

pub use grams::gram;
pub use inputs::Inputs;
pub use made_up::MadeUp;
pub use minibatch::{Column, LossWeight, Minibatch, Weighting};
pub use written::{Beginning, looks_back};

#[cfg(test)]
mod tests {
    use crate::exec::{Filling, Fillings};
    use crate::op::SlotId;

    fn of<'a>(fillings: &'a Fillings<'_>, slot: usize) -> &'a Filling<'a> {
        let found = fillings.iter().find(|f| f.0 == SlotId(slot));
        &found.expect("a filling").1
    }

    /// The words that a slot is filled with.
    pub fn words<'a>(fillings: &'a Fillings<'_>, slot: usize) -> &'a [u32] {
        match of(fillings, slot) {
            Filling::Words(words) => words,
            other => panic!("{other:?}"),
        }
    }

    /// The numbers that a slot is filled with.
    pub fn numbers<'a>(fillings: &'a Fillings<'_>, slot: usize) -> &'a [f32] {
        match of(fillings, slot) {
            Filling::Numbers(numbers) => numbers,
            other => panic!("{other:?}"),
        }
    }
}
