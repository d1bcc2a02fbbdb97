//! The CPU executor: runs a plan in f32, which people without a GPU train on, or in f64 for finite differences.
//!
//! Every operation has its plain code in `op`; the two that take the time, products and scans, have fast twins here.

mod attend;
mod elided;
mod execute;
pub mod limits;
mod matmul;
mod parallel;
mod product;
mod rows;
mod scan;
mod slices;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use self::elided::Elided;
pub use self::execute::Number;
use self::product::{PackedOperand, ProductWorkspace};
use super::{FillSlots, Filling, Outcome, Timings};
use crate::cell::real::Real;
use crate::error::{Error, Result};
use crate::op::{Matrix, Op, Part, Plan, Report, Role, Scan, SlotId};

/// A plan and its slots in memory.
#[derive(Debug)]
pub struct Cpu<F> {
    plan: Arc<Plan>,
    reals: Vec<Vec<F>>,
    words: Vec<Vec<u32>>,
    runs: u64,
    plain: bool,
    /// Where operands of products are packed.
    workspace: Option<ProductWorkspace<F>>,
    /// Where the weights of a scan are packed.
    packed: Vec<PackedOperand<F>>,
    /// The right operand that the workspace holds, and whether it is used transposed.
    held: Option<(Matrix, bool)>,
    elided: Elided,
    /// Whether a run is long enough to keep every core awake for it.
    awake: bool,
    /// Whether what is stopped stays what an earlier run has made it.
    stopped: bool,
}

/// Operations of arithmetic from which on that is so: a tenth of a millisecond on two cores.
const AWAKE: f64 = 2e7;

impl<F: Number> Cpu<F> {
    /// The executor of `plan`, every slot zero.
    pub fn new(plan: Arc<Plan>) -> Cpu<F> {
        let sized = |role: bool, len: usize| if role { len } else { 0 };
        let slots = plan.slots.iter();
        let reals = slots
            .clone()
            .map(|s| vec![F::ZERO; sized(s.role != Role::Words, s.len())]);
        let words = slots.map(|s| vec![0; sized(s.role == Role::Words, s.len())]);
        let flops: f64 = plan.ops.iter().map(|op| op.cost().flops).sum();
        Cpu {
            awake: flops > AWAKE,
            stopped: false,
            held: None,
            elided: Elided::of(&plan),
            reals: reals.collect(),
            words: words.collect(),
            plan,
            runs: 0,
            plain: false,
            workspace: None,
            packed: Vec::new(),
        }
    }

    /// The same with the plain code of every operation: slow, and made to be compared with.
    pub fn plain(plan: Arc<Plan>) -> Cpu<F> {
        Cpu {
            plain: true,
            elided: Elided::default(),
            ..Cpu::new(plan)
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// From here on what the plan [has stopped](crate::op::Io::stopped) stays what the last run has made it: constants, as they are
    /// where a slope is measured that is to be that of the gradients.
    pub fn keep_stopped(&mut self) {
        self.stopped = true;
    }

    /// Runs the whole plan on one minibatch.
    ///
    /// # Errors
    /// Internal, for a minibatch that does not fit the plan.
    pub fn run(&mut self, minibatch: &dyn FillSlots) -> Result<Outcome> {
        self.run_part(minibatch, Part::Whole)
    }

    /// Runs a part of the plan; the slots that the rest would fill stay as they are.
    ///
    /// # Errors
    /// As [`Cpu::run`]; internal, for the steps of a plan that has none.
    pub fn run_part(&mut self, minibatch: &dyn FillSlots, part: Part) -> Result<Outcome> {
        self.fill(minibatch, part)?;
        let plan = self.plan.clone();
        let of_part = |op: &usize| part == Part::Whole || plan.runs_at_steps(*op);
        // On one of the pool's threads, so that no operation has to hand its work over and wait.
        parallel::awake(self.awake, || {
            let mut ops = (0..plan.ops.len()).filter(of_part);
            ops.try_for_each(|op| self.run_op(op))
        })?;
        Ok(self.outcome())
    }

    /// Runs the whole plan and adds each operation's time to `timings`.
    ///
    /// # Errors
    /// As [`Cpu::run`].
    pub fn run_timed(
        &mut self,
        minibatch: &dyn FillSlots,
        timings: &mut Timings,
    ) -> Result<Outcome> {
        self.set(minibatch)?;
        parallel::awake(self.awake, || {
            (0..self.plan.ops.len()).try_for_each(|op| {
                let start = Instant::now();
                self.run_op(op)?;
                timings.seconds[op] += start.elapsed().as_secs_f64();
                timings.calls[op] += 1;
                Ok::<_, Error>(())
            })
        })?;
        Ok(self.outcome())
    }

    /// Fills the slots that the host fills, without running anything.
    ///
    /// # Errors
    /// As [`Cpu::run`].
    pub fn set(&mut self, minibatch: &dyn FillSlots) -> Result<()> {
        self.fill(minibatch, Part::Whole)
    }

    fn fill(&mut self, minibatch: &dyn FillSlots, part: Part) -> Result<()> {
        for (slot, filling) in super::fill::fillings(&self.plan, minibatch, part)? {
            let numbers = &mut self.reals[slot.0];
            match filling {
                Filling::Words(Cow::Owned(words)) => self.words[slot.0] = words,
                Filling::Words(Cow::Borrowed(words)) => {
                    self.words[slot.0].copy_from_slice(words);
                }
                Filling::Numbers(from) => fill(numbers, from.iter().map(|x| f64::from(*x))),
                Filling::Doubles(from) => fill(numbers, from.iter().copied()),
            }
        }
        Ok(())
    }

    fn outcome(&mut self) -> Outcome {
        let report = self.plan.io.report.map_or(
            Report {
                finite: true,
                ..Report::default()
            },
            |slot| {
                let numbers: Vec<f64> = self.reals[slot.0].iter().map(|x| x.f64()).collect();
                Report::from_numbers(&numbers)
            },
        );
        self.runs += 1;
        Outcome {
            run: self.runs - 1,
            report,
        }
    }

    /// A slot of numbers.
    pub fn read(&self, slot: SlotId) -> &[F] {
        &self.reals[slot.0]
    }

    /// A slot of numbers, to be changed.
    pub fn write(&mut self, slot: SlotId) -> &mut [F] {
        self.held = None;
        &mut self.reals[slot.0]
    }

    /// Gives a slot of numbers other ones, as many as the plan says.
    pub(super) fn put(&mut self, slot: SlotId, values: Vec<F>) {
        debug_assert_eq!(values.len(), self.plan.slot(slot).len());
        self.held = None;
        self.reals[slot.0] = values;
    }

    /// Takes a slot's numbers away until others are put there: no run can be made without them.
    pub(super) fn take(&mut self, slot: SlotId) -> Vec<F> {
        std::mem::take(&mut self.reals[slot.0])
    }

    /// A slot of words.
    pub fn read_words(&self, slot: SlotId) -> &[u32] {
        &self.words[slot.0]
    }

    /// Runs one operation of the plan.
    ///
    /// # Errors
    /// An operation that does not exist.
    pub fn run_op(&mut self, op: usize) -> Result<()> {
        let plan = self.plan.clone();
        let Some(op) = plan.ops.get(op) else {
            return Err(Error::internal(format!("no operation {op} in the plan")));
        };
        let stopped = |m: &Matrix| plan.io.stopped.contains(&m.slot);
        if self.stopped && op.writes().iter().all(stopped) {
            return Ok(());
        }
        self.execute(op);
        Ok(())
    }
}

fn fill<F: Real>(numbers: &mut [F], from: impl Iterator<Item = f64>) {
    for (to, from) in numbers.iter_mut().zip(from) {
        *to = F::of(from);
    }
}

/// Bytes of operands that an f32 executor of `plan` keeps packed, at most.
pub fn packed_bytes(plan: &Plan) -> u64 {
    let product = |op: &Op| {
        if let Op::MatMul(op) = op {
            let (m, k, n) = op.dims();
            product::room_elements([m, k, n])
        } else {
            0
        }
    };
    let scan = |s: &Scan| s.terms() * s.hidden * s.hidden;
    let products = plan.ops.iter().map(product).max().unwrap_or(0);
    let scans = plan.ops.iter().flat_map(Op::scans).map(scan);
    4 * (products + scans.max().unwrap_or(0)) as u64
}

/// Runs `f` with the widest vector instructions that are worth code of their own for loops over numbers of type F.
#[inline(always)]
fn simd<F: Real>(f: impl FnOnce()) {
    struct SimdTask<C>(C);
    impl<C: FnOnce()> pulp::NullaryFnOnce for SimdTask<C> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            self.0();
        }
    }
    F::widest_loop(SimdTask(f));
}

/// A range's length in rows, for splitting work.
fn halves(rows: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let each = rows.div_ceil(parts.max(1));
    (0..parts)
        .map(move |p| (p * each).min(rows)..((p + 1) * each).min(rows))
        .filter(|r| !r.is_empty())
}
