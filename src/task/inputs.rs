//! A minibatch of token ids, and the contents that it gives to the slots of a plan.

use super::candidates::Draws;
use super::clusters::CountedRows;
use super::{candidates, clusters, packing, tables};
use crate::error::{Error, Result};
use crate::exec::{FillSlots, Filling, Fillings};
use crate::op::{Control, Hyper, Plan, SlotId, scatter};

/// What a run reads: token ids, whose targets are the next ids unless they are given, and the run's numbers.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    ids: &'a [u32],
    targets: Option<&'a [u32]>,
    weights: Option<&'a [f32]>,
    starts: Option<&'a [u32]>,
    control: Control,
    hyper: Hyper,
}

impl<'a> Inputs<'a> {
    /// Token ids [T+1, B], or [R+1] of packed sequences; every other number is zero.
    pub fn new(ids: &'a [u32]) -> Inputs<'a> {
        Inputs {
            ids,
            targets: None,
            weights: None,
            starts: None,
            control: Control::default(),
            hyper: Hyper::default(),
        }
    }

    /// Targets [T, B], for a plan that has a slot for them.
    #[must_use]
    pub fn targets(self, targets: Option<&'a [u32]>) -> Inputs<'a> {
        Inputs { targets, ..self }
    }

    /// Weights of the positions [T, B], for a plan that has a slot for them; all 1 where absent.
    #[must_use]
    pub fn weights(self, weights: Option<&'a [f32]>) -> Inputs<'a> {
        Inputs { weights, ..self }
    }

    /// For a plan of packed sequences: the row at which each step starts, and where the last ends [T + 1].
    #[must_use]
    pub fn starts(self, starts: Option<&'a [u32]>) -> Inputs<'a> {
        Inputs { starts, ..self }
    }

    /// Random key and step, and whether the states start at zero.
    #[must_use]
    pub fn control(self, control: Control) -> Inputs<'a> {
        Inputs { control, ..self }
    }

    /// Whether the states start at zero.
    #[must_use]
    pub fn reset(mut self, reset: bool) -> Inputs<'a> {
        self.control.reset = u32::from(reset);
        self
    }

    /// The random key and step.
    #[must_use]
    pub fn draws(mut self, key: [u32; 2], step: u64) -> Inputs<'a> {
        self.control.key = key;
        self.control.step = [step as u32, (step >> 32) as u32];
        self
    }

    /// Learning rate and scale.
    #[must_use]
    pub fn hyper(self, hyper: Hyper) -> Inputs<'a> {
        Inputs { hyper, ..self }
    }

    /// What each position's gradient is multiplied by.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Inputs<'a> {
        self.hyper.scale = scale;
        self
    }

    /// Whether this goes with the plan's kind of sequences.
    fn check(&self, plan: &Plan) -> Result<()> {
        let recipes = &plan.recipes;
        for (what, given, slot) in [
            ("targets", self.targets.is_some(), recipes.targets),
            ("weights", self.weights.is_some(), recipes.weights),
        ] {
            if given && slot.is_none() {
                let message = format!("{what}: the plan takes none");
                return Err(Error::internal(message));
            }
        }
        let expected = match plan.axes.len() {
            0 => "none",
            1 => "some",
            _ => return Err(Error::internal("token ids of one axis for several")),
        };
        if plan.axes.is_empty() == self.starts.is_some() {
            return Err(Error::internal(format!("starts: expected {expected}")));
        }
        if self.starts.is_some() && self.control.reset != 1 {
            return Err(Error::internal("packed sequences start from a reset state"));
        }
        let all = [self.ids, self.targets.unwrap_or(&[])];
        // Before anything is made of them that a wrong one would break.
        let fault = |ids: &&[u32]| plan.words_fault(recipes.ids?, ids);
        let fault = all.iter().find_map(fault);
        match fault {
            Some(fault) => Err(Error::internal(format!("token ids {fault}"))),
            None => Ok(()),
        }
    }
}

/// The index of the ids of every segment of `rows` rows [segments, rows + V + 1].
fn index(plan: &Plan, slot: SlotId, rows: usize, ids: &[u32]) -> Filling<'static> {
    let words = plan.matrix(slot).cols;
    let segments = ids.chunks(rows.max(1));
    let index = segments.flat_map(|ids| scatter::index(ids, rows, words - rows - 1));
    index.collect::<Vec<u32>>().into()
}

impl FillSlots for Inputs<'_> {
    fn fill(&self, plan: &Plan) -> Result<Fillings<'_>> {
        self.check(plan)?;
        let recipes = &plan.recipes;
        let mut all: Fillings<'_> = Vec::new();
        let mut flip = None;
        let control = recipes.control;
        all.extend(control.map(|slot| (slot, self.control.words().to_vec().into())));
        let hyper = recipes.hyper;
        all.extend(hyper.map(|slot| (slot, self.hyper.numbers().to_vec().into())));
        if let (Some(axis), Some(starts)) = (plan.axes.first(), self.starts) {
            let packing = axis.packing;
            if let Some(fault) = packing.fault(starts) {
                return Err(Error::internal(format!("starts: {fault}")));
            }
            let counts = recipes.counts;
            all.extend(counts.map(|slot| (slot, packing::counts(starts).into())));
            let before = axis.before;
            all.extend(before.map(|slot| (slot, packing::before(&packing, starts).into())));
            flip = axis.flip.map(|_| packing::flip(&packing, starts));
        }
        let Some(ids) = recipes.ids else {
            return Ok(all);
        };
        let shape = &plan.slot(ids).shape;
        if self.ids.len() != plan.slot(ids).len() {
            let found = self.ids.len();
            let message = format!("ids: expected {shape:?}, found {found} elements");
            return Err(Error::internal(message));
        }
        let positions = (shape[0] - 1) * shape[1];
        let targets = self.targets.unwrap_or(&self.ids[shape[1]..]);
        if targets.len() != positions {
            let found = targets.len();
            let message = format!("targets: expected {positions}, found {found} elements");
            return Err(Error::internal(message));
        }
        let count = self.starts.and_then(|s| s.last()).map(|n| *n as usize);
        let count = count.unwrap_or(positions);
        if let Some(slot) = recipes.index {
            // Sequences packed together are never cut into segments.
            let rows = positions / plan.matrix(slot).rows;
            all.push((slot, index(plan, slot, rows, &self.ids[..count])));
        }
        if let (Some(flipped), Some(flip)) = (recipes.flipped, &flip) {
            let row = |row: &u32| self.ids[*row as usize];
            let ids: Vec<u32> = flip.iter().map(row).collect();
            if let Some(slot) = flipped.index {
                all.push((slot, index(plan, slot, positions, &ids[..count])));
            }
            all.push((flipped.ids, ids.into()));
        }
        let slot = plan.axes.first().and_then(|axis| axis.flip);
        all.extend(slot.zip(flip).map(|(slot, flip)| (slot, flip.into())));
        all.push((ids, self.ids.into()));
        all.extend(recipes.targets.map(|slot| (slot, targets.into())));
        if let Some(slot) = recipes.weights {
            let ones = || vec![1.0f32; plan.slot(slot).len()].into();
            all.push((slot, self.weights.map_or_else(ones, Filling::from)));
        }
        let rows = CountedRows {
            ids: &self.ids[..count],
            targets: &targets[..count],
            weights: self.weights,
        };
        if let Some(of) = &recipes.clusters {
            clusters::fill(of, &rows, &mut all);
        }
        let mut drawn = Vec::new();
        if let Some(of) = &recipes.candidates {
            let draws = Draws::new(self.control.key, self.control.step);
            drawn = candidates::fill(of, rows.targets, draws, &mut all);
        }
        for table in &recipes.tables {
            tables::fill(table, rows.ids, &drawn, &mut all);
        }
        Ok(all)
    }
}
