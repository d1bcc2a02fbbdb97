//! What a run takes: bytes by purpose, before anything is allocated.

use serde::Serialize;

use super::job::Job;
use crate::exec::cpu;
use crate::op::{Op, Plan, Role};

/// Bytes that a process takes before it trains anything: its code, its threads, what a text leaves. Measured as the peak
/// resident set of a run of a few units on a text of 5 kB (Linux, x86-64, 29 November 2026: 12.9 MiB), rounded up.
const PROGRAM: u64 = 13 << 20;
/// Bytes of a symbol: in the vocabulary, and in what a checkpoint says about the run. Measured with 400,000 words of 13 letters.
const OF_SYMBOL: u64 = 128;
/// Bytes of an operation in a plan beside itself: its name, its lists of weights and vectors.
const OF_OPERATION: u64 = 400;
/// While a checkpoint is written there are the state read back, its tensors under their names, and the file's bytes.
const COPIES: u64 = 3;

/// A slot by its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Largest {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its bytes.
    pub bytes: u64,
}

/// What a training run takes. All sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Footprint {
    /// Learned numbers.
    pub parameters: usize,
    /// The training plan's parameters.
    pub weights: u64,
    /// Their gradients.
    pub gradients: u64,
    /// The optimiser's arenas.
    pub optimizer: u64,
    /// States of the recurrent layers.
    pub states: u64,
    /// What the operations of a training step leave for one another.
    pub activations: u64,
    /// What the host gives with every step, and what comes back.
    pub inputs: u64,
    /// The plan that evaluates.
    pub evaluation: u64,
    /// The plans that draw samples and, with scheduled sampling, inputs.
    pub sampling: u64,
    /// Copies in the host's memory while a checkpoint is written.
    pub checkpoints: u64,
    /// The text's tokens.
    pub text: u64,
    /// A minibatch in the host's memory, from which slots are filled.
    pub minibatch: u64,
    /// Operands of products, packed for the processor.
    pub packed: u64,
    /// The program, the vocabulary, and the operations of the plans.
    pub program: u64,
    /// The largest slot of all plans.
    pub largest: Largest,
}

impl Footprint {
    /// What `job` takes, on the `processor` or on an adapter. The plans that evaluate and draw samples share the weights.
    pub fn new(job: &Job, processor: bool) -> Footprint {
        let plan = &job.plan;
        let of = |roles: &[Role]| -> u64 {
            let slots = plan.slots.iter().filter(|s| roles.contains(&s.role));
            slots.map(|s| s.bytes()).sum()
        };
        let (weights, optimizer) = (of(&[Role::Parameters]), of(&[Role::Optimizer]));
        let states = plan.io.states.iter();
        let last_states: u64 = states.clone().map(|s| 4 * s.step_len() as u64).sum();
        // Reading a layer's last states back takes a copy of all its steps, before there is a checkpoint.
        let all_states = states.map(|s| 4 * plan.slot(s.slot).len() as u64);
        let reading = weights + optimizer + all_states.max().unwrap_or(0);
        let writing = COPIES * (weights + optimizer + last_states);
        let (evaluation, sampling) = (job.evaluation_plan(), job.sampling_plans());
        let own = |p: &Plan| p.bytes() - p.io.parameters.map_or(0, |slot| p.slot(slot).bytes());
        let plans = job.plans();
        let operations: usize = plans.iter().map(|p| p.ops.len()).sum();
        Footprint {
            parameters: plan.parameter_count(),
            weights,
            gradients: of(&[Role::Gradients]),
            optimizer,
            states: of(&[Role::State]),
            activations: of(&[Role::Activation]),
            inputs: of(&[Role::Words, Role::Numbers, Role::Results]),
            evaluation: evaluation.map_or(0, own),
            sampling: sampling.iter().map(|p| own(p)).sum(),
            checkpoints: reading.max(writing),
            text: job.text_bytes(),
            minibatch: plans.iter().map(|p| filled(p)).max().unwrap_or(0),
            packed: if processor {
                plans.iter().map(|p| cpu::packed_bytes(p)).sum()
            } else {
                0
            },
            program: PROGRAM
                + OF_SYMBOL * job.spec.vocab as u64
                + operations as u64 * (size_of::<Op>() as u64 + OF_OPERATION),
            largest: largest(&plans),
        }
    }

    /// Each purpose in a word or two, with its bytes.
    pub fn rows(&self) -> [(&'static str, u64); 13] {
        [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimiser", self.optimizer),
            ("states", self.states),
            ("activations", self.activations),
            ("inputs", self.inputs),
            ("evaluation", self.evaluation),
            ("sampling", self.sampling),
            ("checkpoints", self.checkpoints),
            ("text", self.text),
            ("minibatch", self.minibatch),
            ("packed", self.packed),
            ("program", self.program),
        ]
    }

    /// What lies where the plans run: all slots.
    pub fn slots(&self) -> u64 {
        let rows = self.rows();
        rows[..8].iter().map(|r| r.1).sum()
    }

    /// What lies in the host's memory whatever the plans run on.
    pub fn host(&self) -> u64 {
        self.total() - self.slots()
    }

    /// Everything.
    pub fn total(&self) -> u64 {
        self.rows().iter().map(|r| r.1).sum()
    }
}

/// Bytes of the slots of a plan that are filled from a minibatch.
fn filled(plan: &Plan) -> u64 {
    let slots = plan.recipes.slots.iter();
    slots.map(|(slot, _)| plan.slot(*slot).bytes()).sum()
}

fn largest(plans: &[&Plan]) -> Largest {
    let slots = plans.iter().flat_map(|p| &p.slots);
    let largest = slots.max_by_key(|s| s.bytes());
    largest.map_or(
        Largest {
            name: String::new(),
            shape: Vec::new(),
            bytes: 0,
        },
        |slot| Largest {
            name: slot.name.clone(),
            shape: slot.shape.clone(),
            bytes: slot.bytes(),
        },
    )
}
