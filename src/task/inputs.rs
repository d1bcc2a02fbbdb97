//! A minibatch of token ids, and the contents that it gives to the slots of a plan.

use super::Minibatch;
use super::laid::{self, Laid};
use crate::error::{Error, Result};
use crate::exec::{FillSlots, Filling, Fillings};
use crate::op::{Control, Hyper, Part, Plan, SlotId};

/// What a run reads: token ids, whose targets are the next ids unless they are given, or the rows of several fields; and
/// the run's numbers.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    fields: Option<&'a Minibatch>,
    ids: &'a [u32],
    targets: Option<&'a [u32]>,
    weights: Option<&'a [f32]>,
    starts: Option<&'a [u32]>,
    control: Control,
    hyper: Hyper,
    forced: &'a [(SlotId, Vec<f32>)],
}

impl<'a> Inputs<'a> {
    /// Token ids [T+1, B], or [R+1] of packed sequences; every other number is zero.
    pub fn new(ids: &'a [u32]) -> Inputs<'a> {
        Inputs {
            fields: None,
            ids,
            targets: None,
            weights: None,
            starts: None,
            control: Control::default(),
            hyper: Hyper::default(),
            forced: &[],
        }
    }

    /// The rows of several fields, whose states start at zero unless they go on, and whose gradients have the minibatch's scale; every other
    /// number is zero.
    pub fn of(fields: &'a Minibatch) -> Inputs<'a> {
        let inputs = Inputs {
            fields: Some(fields),
            ..Inputs::new(&[])
        };
        inputs.reset(!fields.goes_on()).scale(fields.scale())
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

    /// What the draws of some slots come to, instead of random numbers.
    #[must_use]
    pub fn forced(self, forced: &'a [(SlotId, Vec<f32>)]) -> Inputs<'a> {
        Inputs { forced, ..self }
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
            ("targets", self.targets.is_some(), recipes.targets()),
            ("weights", self.weights.is_some(), recipes.weights()),
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
        let fault = |ids: &&[u32]| plan.words_fault(recipes.ids()?, ids);
        let fault = all.iter().find_map(fault);
        match fault {
            Some(fault) => Err(Error::internal(format!("token ids {fault}"))),
            None => Ok(()),
        }
    }
}

impl FillSlots for Inputs<'_> {
    fn fill(&self, plan: &Plan) -> Result<Fillings<'_>> {
        if let Some(fields) = self.fields {
            let laid = Laid {
                forced: self.forced,
                ..fields.laid()
            };
            let mut all = laid::fill(plan, laid, &self.control, &self.hyper)?;
            if let (Part::Step, Some(steps)) = (fields.part(), &plan.step) {
                all.retain(|(slot, _)| steps.filled.contains(slot));
            }
            return Ok(all);
        }
        self.check(plan)?;
        let mut laid = Laid {
            words: Vec::new(),
            numbers: Vec::new(),
            starts: self.starts.into_iter().collect(),
            forced: self.forced,
        };
        if let Some(slot) = plan.recipes.ids() {
            let shape = &plan.slot(slot).shape;
            if self.ids.len() != plan.slot(slot).len() {
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
            laid.words.push((slot, self.ids));
            let apart = plan.recipes.targets();
            laid.words.extend(apart.map(|slot| (slot, targets)));
            laid.numbers.extend(plan.recipes.weights().map(|slot| {
                let ones = || vec![1.0f32; plan.slot(slot).len()].into();
                (slot, self.weights.map_or_else(ones, Filling::from))
            }));
        }
        laid::fill(plan, laid, &self.control, &self.hyper)
    }
}
