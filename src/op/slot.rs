//! The named arrays of a plan: what they hold, who fills them, and what their words keep to.

use super::{PackedAxis, Packing, SparseUpdate};

/// A slot of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub usize);

/// What a slot holds, which decides who fills it and how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All parameters, one flat arena; see [`Plan::parameters`](super::Plan::parameters) for the names inside.
    Parameters,
    /// Their gradients, laid out like the first part of the parameters, see [`Plan::dense`](super::Plan::dense).
    Gradients,
    /// A flat arena of the optimiser, laid out like the parameters.
    Optimizer,
    /// 32-bit whole numbers that the host writes before a run: token ids, orders, control words.
    Words,
    /// Numbers that the host writes before a run: hyper-parameters, weights of positions.
    Numbers,
    /// What operations leave for one another within a run.
    Activation,
    /// States, whose last step is the next minibatch's first; kept between runs.
    State,
    /// A few numbers that the host reads after a run.
    Results,
}

/// What the words of a slot keep to, so that no operation reaches beyond a matrix by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    /// Anything: no operation finds a place by them.
    #[default]
    Any,
    /// Every one is below it.
    Below(usize),
    /// Every one is below it or [`SparseUpdate::NONE`].
    BelowOrNone(usize),
    /// They are the counts of the plan's packed axes, see [`PackedAxis`].
    Counts,
}

impl Bound {
    pub(super) fn fault(&self, words: &[u32], axes: &[PackedAxis]) -> Option<String> {
        let beyond = |most: usize, none: Option<u32>| {
            let wrong = |word: &u32| *word as usize >= most && Some(*word) != none;
            let at = words.iter().position(wrong)?;
            Some(format!(
                "[{at}]: expected below {most}, found {}",
                words[at]
            ))
        };
        match self {
            Bound::Any => None,
            Bound::Below(most) => beyond(*most, None),
            Bound::BelowOrNone(most) => beyond(*most, Some(SparseUpdate::NONE)),
            Bound::Counts => axes.iter().find_map(|axis| {
                let starts = axis.first + Packing::STARTS;
                let starts = &words[starts..=starts + axis.packing.steps];
                axis.packing.fault(starts)
            }),
        }
    }
}

/// A named array.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its name, as in the equations: `state.l0`.
    pub name: String,
    /// Its shape, the last axis contiguous.
    pub shape: Vec<usize>,
    /// What it holds.
    pub role: Role,
    /// What its words keep to, where the host fills it with words.
    pub bound: Bound,
    /// Whether an adapter holds its numbers in half precision, f16; see [`Plan::halve`](super::Plan::halve).
    pub half: bool,
    /// Whether an adapter holds its numbers in double precision, f64; see [`Plan::double`](super::Plan::double).
    pub double: bool,
}

impl Slot {
    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of an element on an adapter.
    pub fn width(&self) -> usize {
        match (self.half, self.double) {
            (true, _) => 2,
            (_, true) => 8,
            _ => 4,
        }
    }

    /// Bytes of all elements on an adapter.
    pub fn bytes(&self) -> u64 {
        (self.width() * self.len()) as u64
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
