//! Made-up minibatches, for what must run without a text: checks, finite differences, profiles.

use super::Inputs;
use super::packing::falling;
use crate::op::{Bound, Plan, SlotId};
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
}

impl MadeUp {
    /// For `plan`, drawn from `seed`.
    pub fn new(plan: &Plan, seed: u64) -> MadeUp {
        MadeUp::drawn(plan, &mut Stream::new(seed, Purpose::Check, 0))
    }

    /// For `plan`, from the next numbers of `stream`.
    pub(super) fn drawn(plan: &Plan, stream: &mut Stream) -> MadeUp {
        let mut draw = |slot: SlotId| -> Vec<u32> {
            let slot = plan.slot(slot);
            let below = match slot.bound {
                Bound::Below(below) => below,
                Bound::Any | Bound::BelowOrNone(_) | Bound::Counts => 1,
            };
            let id = |u: f32| ((f64::from(u) * below as f64) as u32).min(below as u32 - 1);
            (0..slot.len()).map(|_| id(stream.uniform())).collect()
        };
        let ids = plan.recipes.ids.map(&mut draw).unwrap_or_default();
        let targets = plan.recipes.targets.map(&mut draw);
        let weights = plan.recipes.weights.map(|slot| {
            let count = plan.slot(slot).len();
            (0..count).map(|_| stream.uniform()).collect()
        });
        MadeUp {
            ids,
            targets,
            weights,
            starts: plan.packing().map(|packing| falling(&packing)),
        }
    }

    /// How many rows count: predictions that are made.
    pub fn rows(&self, plan: &Plan) -> usize {
        let packed = self.starts.as_ref().and_then(|starts| starts.last());
        packed.map_or_else(
            || {
                let ids = plan.recipes.ids.map(|slot| &plan.slot(slot).shape);
                ids.map_or(0, |shape| (shape[0] - 1) * shape[1])
            },
            |rows| *rows as usize,
        )
    }

    /// What a run of it reads. Packed sequences start from a reset state.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs::new(&self.ids)
            .targets(self.targets.as_deref())
            .weights(self.weights.as_deref())
            .starts(self.starts.as_deref())
            .reset(self.starts.is_some())
    }
}
