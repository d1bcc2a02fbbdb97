//! What a minibatch brings: contents for every slot that the host fills, checked before an executor takes them.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::op::{Part, Plan, Role, SlotId};

/// The contents of a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Filling<'a> {
    /// 32-bit whole numbers.
    Words(Cow<'a, [u32]>),
    /// Numbers.
    Numbers(Cow<'a, [f32]>),
    /// Numbers that an executor in double precision takes as they are.
    Doubles(Cow<'a, [f64]>),
}

impl<'a> From<&'a [u32]> for Filling<'a> {
    fn from(words: &'a [u32]) -> Filling<'a> {
        Filling::Words(Cow::Borrowed(words))
    }
}

impl From<Vec<u32>> for Filling<'_> {
    fn from(words: Vec<u32>) -> Self {
        Filling::Words(Cow::Owned(words))
    }
}

impl<'a> From<&'a [f32]> for Filling<'a> {
    fn from(numbers: &'a [f32]) -> Filling<'a> {
        Filling::Numbers(Cow::Borrowed(numbers))
    }
}

impl From<Vec<f32>> for Filling<'_> {
    fn from(numbers: Vec<f32>) -> Self {
        Filling::Numbers(Cow::Owned(numbers))
    }
}

impl From<Vec<f64>> for Filling<'_> {
    fn from(numbers: Vec<f64>) -> Self {
        Filling::Doubles(Cow::Owned(numbers))
    }
}

impl Filling<'_> {
    fn len(&self) -> usize {
        match self {
            Filling::Words(words) => words.len(),
            Filling::Numbers(numbers) => numbers.len(),
            Filling::Doubles(numbers) => numbers.len(),
        }
    }
}

/// The contents of slots, in any order.
pub type Fillings<'a> = Vec<(SlotId, Filling<'a>)>;

/// Fills the slots of a plan that the host fills, each once: what a run needs.
pub trait FillSlots: Sync {
    /// The contents of every slot that [`Plan::filled`] lists; for a run of the steps alone those of
    /// [`StepPart::filled`](crate::op::StepPart::filled).
    ///
    /// # Errors
    /// Internal, naming what does not fit the plan.
    fn fill(&self, plan: &Plan) -> Result<Fillings<'_>>;
}

/// What `minibatch` brings for a part of `plan`: every slot once, of its type and size, and words within the slot's bound.
///
/// # Errors
/// Internal, naming the slot: callers make minibatches that fit.
pub(super) fn fillings<'a>(
    plan: &Plan,
    minibatch: &'a dyn FillSlots,
    part: Part,
) -> Result<Fillings<'a>> {
    let all = minibatch.fill(plan)?;
    let mut open: Vec<SlotId> = match (part, &plan.step) {
        (Part::Whole, _) => plan.filled().collect(),
        (Part::Step, Some(step)) => step.filled.clone(),
        (Part::Step, None) => {
            return Err(Error::internal("a plan that writes nothing has no steps"));
        }
    };
    for (id, filling) in &all {
        let slot = plan.slot(*id);
        let fault = |what: String| Err(Error::internal(format!("{}: {what}", slot.name)));
        match open.iter().position(|o| o == id) {
            Some(at) => open.swap_remove(at),
            None => return fault("filled twice, or not from the host".into()),
        };
        if matches!(filling, Filling::Words(_)) != (slot.role == Role::Words) {
            return fault(format!("expected {:?}, found the other kind", slot.role));
        }
        if filling.len() != slot.len() {
            let (shape, found) = (&slot.shape, filling.len());
            return fault(format!("expected {shape:?}, found {found} elements"));
        }
        if let Filling::Words(words) = filling
            && let Some(what) = plan.words_fault(*id, words)
        {
            return fault(what);
        }
    }
    match open.first() {
        Some(slot) => Err(Error::internal(format!(
            "{}: expected contents from the host, found none",
            plan.slot(*slot).name
        ))),
        None => Ok(all),
    }
}
