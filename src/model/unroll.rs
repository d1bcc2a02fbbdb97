//! A minibatch's plan made of the plan of a segment: the segment's operations, written out for one segment after another.
//!
//! All segments share the slots of one, so that a minibatch of many steps needs the activations of few. What comes from the host,
//! and every position's loss, lies in slots of the whole minibatch, of which an operation is told where its segment begins.
//! Gradients with respect to parameters add up. Within a minibatch a segment's backward pass goes on where that of the later
//! segment ended: with its carried adjoints, and with the deltas of its first step as those of "the next step"; so the
//! result is that of a plan without segments. Between minibatches gradients are cut off and states go on.

use std::collections::HashSet;

use super::recompute::{Action, schedule};
use crate::error::{Error, Result};
use crate::layer::{Axis, Builder};
use crate::op::scan::Scan;
use crate::op::{Access, Add, Direction, Matrix, Op, Plan, Role, Segment, SlotId, Zero};

/// How a training plan is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unroll {
    /// Steps of a segment, whose activations are computed again for the backward pass; 0 keeps those of all steps.
    pub recompute: usize,
    /// How many states between segments are kept; 0 for all.
    pub states: usize,
    /// Minibatches of an update.
    pub minibatches: usize,
}

/// One minibatch in one segment.
impl Default for Unroll {
    fn default() -> Unroll {
        Unroll {
            recompute: 0,
            states: 0,
            minibatches: 1,
        }
    }
}

impl Unroll {
    /// Steps of a segment and segments of a minibatch of `steps` steps.
    ///
    /// # Errors
    /// Usage: segments that are not equal.
    pub(super) fn segments(&self, steps: usize) -> Result<(usize, usize)> {
        let segment = match self.recompute {
            0 => steps,
            segment => segment,
        };
        match steps % segment.max(1) {
            0 => Ok((segment, steps / segment.max(1))),
            rest => Err(Error::usage(format!(
                "recompute: expected a divisor of seq-len {steps}, got {segment}, which leaves {rest} steps"
            ))),
        }
    }
}

/// What is special about an operation of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Sets the state before a minibatch.
    Start,
    /// The same for every segment, such as a transposed weight.
    Once,
    /// Needed for the states behind the segment.
    States,
    /// Sets the adjoints behind a minibatch to zero.
    Adjoints,
    /// A backward scan through time.
    Back,
    /// Belongs to the state before the first step.
    Initial,
    /// Reads the parameters' gradients, which must be complete.
    Last,
    /// Anything else.
    Plain,
}

/// Replaces the operations of a segment, of which those from `backward` on are the backward pass, by those of `minibatches`
/// minibatches of `segments` segments.
///
/// # Errors
/// Usage: operations that look across the boundary of a segment.
pub(super) fn unroll(
    builder: &mut Builder,
    axis: Axis,
    backward: usize,
    segments: usize,
    unroll: Unroll,
) -> Result<()> {
    if segments == 1 && unroll.minibatches == 1 {
        return Ok(());
    }
    let ops = std::mem::take(&mut builder.plan.ops);
    refuse(&ops, segments)?;
    let classes = classes(&builder.plan, &ops, backward);
    let kept = match unroll.states {
        0 => segments,
        states => states.min(segments),
    };
    let states = builder.plan.io.states.clone();
    let mut kept_states = Vec::new();
    for layout in states.iter().filter(|_| segments > 1) {
        let name = &builder.plan.slot(layout.slot).name;
        let name = name.replacen("state", "kept-states", 1);
        // One more for the state behind the minibatch, where the next one begins.
        let [s, b, h] = layout.step_shape();
        let shape = [kept + 1, s, b, h];
        kept_states.push(builder.plan.add(name, &shape, Role::Activation));
    }
    let mut writer = SegmentWriter {
        builder,
        axis,
        written: vec![false; ops.len()],
        ops,
        classes,
        backward,
        segments,
        minibatches: unroll.minibatches,
        kept,
        kept_states,
    };
    for minibatch in 0..unroll.minibatches {
        writer.minibatch(minibatch)?;
    }
    writer.all(|class| class == Class::Last, 0, 0)
}

/// Refuses rows that a run counts, and what looks from a step at its neighbour where that may lie in another segment.
fn refuse(ops: &[Op], segments: usize) -> Result<()> {
    for op in ops {
        let mut touched = op.reads().into_iter().chain(op.writes());
        if touched.any(|m| m.row_count.is_some()) {
            return Err(Error::usage(format!(
                "recompute, accumulate: expected rows of a minibatch that are all in use; {} has rows that a run counts",
                op.name()
            )));
        }
        // Penalties on neighbouring steps are among what does not go together, see `exclusions`.
        if segments > 1 && op.scans().iter().any(|scan| scan.reversed) {
            return Err(Error::usage(
                "recompute: bidirectional looks from a step at its neighbour, which may lie in another segment; leave out one of \
                 the two",
            ));
        }
    }
    Ok(())
}

fn classes(plan: &Plan, ops: &[Op], backward: usize) -> Vec<Class> {
    let constant = constant(plan, ops);
    let through_time = |scan: &&Scan| plan.io.states.iter().any(|s| s.slot == scan.state);
    let scans = ops.iter().flat_map(Op::scans);
    let works: HashSet<SlotId> = scans
        .filter(through_time)
        .filter_map(|scan| scan.scratch)
        .collect();
    let slots = |matrices: Vec<Matrix>| matrices.into_iter().map(|m| m.slot);
    let class = |(op, constant): (&Op, bool)| {
        // Adjoints come first in a scratch slot; the totals at its end are every segment's own.
        let adjoints = |zero: &Zero| works.contains(&zero.to.slot) && zero.to.offset == 0;
        let backward = |scan: &Scan| scan.direction == Direction::Backward && through_time(&scan);
        // What is made of gradients, unlike what adds to them.
        let last = op.clone().operands().iter().any(|o| {
            matches!(o.access, Access::Read) && plan.slot(o.matrix().slot).role == Role::Gradients
        });
        if matches!(op, Op::Carry(_)) {
            Class::Start
        } else if constant {
            Class::Once
        } else if matches!(op, Op::Zero(zero) if adjoints(zero)) {
            Class::Adjoints
        } else if op.scans().iter().any(backward) {
            Class::Back
        } else if matches!(op, Op::ColumnSum(sum) if sum.reset_only.is_some()) {
            Class::Initial
        } else if last {
            Class::Last
        } else {
            Class::Plain
        }
    };
    let mut classes: Vec<Class> = ops.iter().zip(constant).map(class).collect();
    let mut needed: HashSet<SlotId> = plan.io.states.iter().map(|s| s.slot).collect();
    for i in (0..backward).rev() {
        let wanted = slots(ops[i].writes()).any(|slot| needed.contains(&slot));
        if classes[i] == Class::Plain && wanted {
            classes[i] = Class::States;
            needed.extend(slots(ops[i].reads()));
        }
    }
    classes
}

/// Whether an operation leaves the same for every segment: it reads parameters and what such operations made, and nothing
/// else writes where it does.
fn constant(plan: &Plan, ops: &[Op]) -> Vec<bool> {
    let mut constant: Vec<bool> = ops.iter().map(|op| !op.reads().is_empty()).collect();
    loop {
        // Slots that some other operation writes.
        let mut varied: HashSet<SlotId> = HashSet::new();
        for (op, _) in ops
            .iter()
            .zip(&constant)
            .filter(|(_, constant)| !**constant)
        {
            varied.extend(op.writes().iter().map(|m| m.slot));
        }
        let written: HashSet<SlotId> = ops
            .iter()
            .flat_map(|op| op.writes().into_iter().map(|m| m.slot))
            .collect();
        let stays = |slot: SlotId| {
            let known = [plan.io.parameters, plan.recipes.control, plan.recipes.hyper];
            known.contains(&Some(slot)) || (written.contains(&slot) && !varied.contains(&slot))
        };
        let mut changed = false;
        for (op, constant) in ops.iter().zip(&mut constant) {
            let fits = op.reads().iter().all(|m| stays(m.slot))
                && op.writes().iter().all(|m| {
                    !varied.contains(&m.slot) && plan.slot(m.slot).role == Role::Activation
                });
            changed |= *constant && !fits;
            *constant &= fits;
        }
        if !changed {
            return constant;
        }
    }
}

struct SegmentWriter<'a> {
    builder: &'a mut Builder,
    axis: Axis,
    /// The operations of a segment.
    ops: Vec<Op>,
    classes: Vec<Class>,
    /// Which of them were written before.
    written: Vec<bool>,
    /// The first one of the backward pass.
    backward: usize,
    segments: usize,
    minibatches: usize,
    kept: usize,
    /// For every layer's state, the slot of kept ones; none where a minibatch is one segment.
    kept_states: Vec<SlotId>,
}

impl SegmentWriter<'_> {
    fn minibatch(&mut self, minibatch: usize) -> Result<()> {
        match minibatch {
            0 => self.all(|class| class == Class::Start, 0, 0)?,
            _ => self.advance(),
        }
        if self.segments == 1 {
            return self.whole(minibatch, 0);
        }
        for action in schedule(self.segments, self.kept) {
            match action {
                Action::Keep(place) => self.keep(0, place, false),
                Action::Restore(place) => self.keep(0, place, true),
                Action::Forward(segment) => {
                    let forward = |class| matches!(class, Class::Once | Class::States);
                    self.some(0..self.backward, forward, minibatch, segment)?;
                    self.advance();
                }
                Action::Backward(segment) => {
                    self.whole(minibatch, segment)?;
                    if segment + 1 == self.segments {
                        self.keep(self.axis.steps, self.kept, false);
                    }
                }
            }
        }
        self.keep(self.axis.steps, self.kept, true);
        Ok(())
    }

    /// A segment forward and backward.
    fn whole(&mut self, minibatch: usize, segment: usize) -> Result<()> {
        let (last, first) = (segment + 1 == self.segments, (minibatch, segment) == (0, 0));
        let these = |class| match class {
            Class::Start | Class::Last => false,
            Class::Adjoints => last,
            Class::Initial => first,
            Class::Once | Class::States | Class::Back | Class::Plain => true,
        };
        self.all(these, minibatch, segment)
    }

    fn all(
        &mut self,
        these: impl Fn(Class) -> bool,
        minibatch: usize,
        segment: usize,
    ) -> Result<()> {
        self.some(0..self.ops.len(), these, minibatch, segment)
    }

    /// Writes the operations of some classes for a segment.
    fn some(
        &mut self,
        range: std::ops::Range<usize>,
        these: impl Fn(Class) -> bool,
        minibatch: usize,
        segment: usize,
    ) -> Result<()> {
        for i in range {
            let class = self.classes[i];
            if !these(class) || (class == Class::Once && self.written[i]) {
                continue;
            }
            let again = std::mem::replace(&mut self.written[i], true);
            let mut op = self.ops[i].clone();
            if again {
                // A gradient that an earlier segment has written is added to.
                let gradient = |m: &Matrix| self.builder.plan.slot(m.slot).role == Role::Gradients;
                op.accumulate(gradient).map_err(|_| {
                    Error::internal(format!("{}: cannot add to a gradient", op.name()))
                })?;
            }
            if !matches!(class, Class::Once | Class::Last) {
                let index = minibatch * self.segments + segment;
                op.place(Segment {
                    index,
                    first: index * self.axis.rows(),
                    count: self.segments * self.minibatches,
                });
            }
            if let (Class::Back, Op::Scan(scan)) = (class, &mut op) {
                scan.initial &= (minibatch, segment) == (0, 0);
                self.next_deltas(&scan.clone(), segment);
            }
            self.builder.push(op);
        }
        Ok(())
    }

    /// The deltas behind the last step of a segment: none behind the minibatch, else those of the later segment's first step.
    fn next_deltas(&mut self, scan: &Scan, segment: usize) {
        let Some(slot) = scan.delta.filter(|_| self.segments > 1) else {
            return;
        };
        let cols = scan.batch * scan.compiled.deltas * scan.hidden;
        let step = |t: usize| Matrix {
            slot,
            offset: t * cols,
            rows: 1,
            cols,
            stride: cols,
            row_count: None,
        };
        let (from, to) = (step(0), step(scan.steps));
        if segment + 1 == self.segments {
            let name = format!("next.{}", scan.name);
            self.builder.push(Op::Zero(Zero { name, to }));
        } else {
            self.copy(format!("next.{}", scan.name), from, to)
        }
    }

    /// Copies the states before step `step` of the segment to their kept ones, or back.
    fn keep(&mut self, step: usize, place: usize, back: bool) {
        let states = self.builder.plan.io.states.clone();
        for (state, slot) in states.into_iter().zip(self.kept_states.clone()) {
            let current = state.step(step);
            let kept = Matrix {
                slot,
                offset: place * current.rows * current.cols,
                stride: current.cols,
                ..current
            };
            let name = &self.builder.plan.slot(state.slot).name;
            if back {
                self.copy(format!("restore.{name}"), kept, current)
            } else {
                self.copy(format!("keep.{name}"), current, kept)
            }
        }
    }

    /// The states behind the segment become those before it.
    fn advance(&mut self) {
        for state in self.builder.plan.io.states.clone() {
            let (from, to) = (state.last(), state.step(0));
            let name = format!("advance.{}", self.builder.plan.slot(state.slot).name);
            self.copy(name, from, to);
        }
    }

    fn copy(&mut self, name: String, from: Matrix, to: Matrix) {
        self.builder.push(Op::Add(Add {
            name,
            from,
            to,
            accumulate: false,
            flip: None,
        }));
    }
}
