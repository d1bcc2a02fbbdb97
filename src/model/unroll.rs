//! A window's plan made of the plan of a piece: the piece's operations, written out for one piece after another.
//!
//! All pieces share the slots of one, so that a window of many steps needs the activations of few. What comes from the host,
//! and every position's loss, lies in slots of the whole window, of which an operation is told where its piece begins.
//! Gradients with respect to parameters add up. Within a window a piece's backward pass goes on where that of the later
//! piece ended: with its carried adjoints, and with the deltas of its first step as those of "the next step"; so the
//! result is that of a plan without pieces. Between windows gradients are cut off and states go on.

use std::collections::HashSet;

use super::recompute::{Action, schedule};
use crate::error::{Error, Result};
use crate::layer::{Axis, Builder};
use crate::op::scan::Scan;
use crate::op::{Access, Add, Direction, Matrix, Op, Plan, Role, Segment, SlotId, Zero, penalty};

/// How a training plan is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unroll {
    /// Steps of a piece, whose activations are computed again for the backward pass; 0 keeps those of all steps.
    pub recompute: usize,
    /// How many states between pieces are kept; 0 for all.
    pub states: usize,
    /// Windows of an update.
    pub windows: usize,
}

/// One window in one piece.
impl Default for Unroll {
    fn default() -> Unroll {
        Unroll {
            recompute: 0,
            states: 0,
            windows: 1,
        }
    }
}

impl Unroll {
    /// Steps of a piece and pieces of a window of `steps` steps.
    ///
    /// # Errors
    /// Usage: pieces that are not equal.
    pub(super) fn pieces(&self, steps: usize) -> Result<(usize, usize)> {
        let piece = match self.recompute {
            0 => steps,
            piece => piece,
        };
        match steps % piece.max(1) {
            0 => Ok((piece, steps / piece.max(1))),
            rest => Err(Error::usage(format!(
                "recompute: expected a divisor of seq-len {steps}, got {piece}, which leaves {rest} steps"
            ))),
        }
    }
}

/// What is special about an operation of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Sets the state before a window.
    Start,
    /// The same for every piece, such as a transposed weight.
    Once,
    /// Needed for the states behind the piece.
    States,
    /// Sets the adjoints behind a window to zero.
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

/// Replaces the operations of a piece, of which those from `backward` on are the backward pass, by those of `windows`
/// windows of `pieces` pieces.
///
/// # Errors
/// Usage: operations that look across the boundary of a piece.
pub(super) fn unroll(
    builder: &mut Builder,
    axis: Axis,
    backward: usize,
    pieces: usize,
    unroll: Unroll,
) -> Result<()> {
    if pieces == 1 && unroll.windows == 1 {
        return Ok(());
    }
    if builder.plan.recipes.joint() {
        return Err(Error::usage(
            "recompute, accumulate: expected a full softmax and dense gradients, which are the same for every piece",
        ));
    }
    let ops = std::mem::take(&mut builder.plan.ops);
    refuse(&ops, pieces)?;
    let classes = classes(&builder.plan, &ops, backward);
    let kept = match unroll.states {
        0 => pieces,
        states => states.min(pieces),
    };
    let states = builder.plan.io.states.clone();
    let mut kept_states = Vec::new();
    for layout in states.iter().filter(|_| pieces > 1) {
        let name = &builder.plan.slot(layout.slot).name;
        let name = name.replacen("state", "kept-states", 1);
        // One more for the state behind the window, where the next one begins.
        let [s, b, h] = layout.step_shape();
        let shape = [kept + 1, s, b, h];
        kept_states.push(builder.plan.add(name, &shape, Role::Activation));
    }
    let mut writer = Writer {
        builder,
        axis,
        written: vec![false; ops.len()],
        ops,
        classes,
        backward,
        pieces,
        windows: unroll.windows,
        kept,
        kept_states,
    };
    for window in 0..unroll.windows {
        writer.window(window)?;
    }
    writer.all(|class| class == Class::Last, 0, 0)
}

/// Refuses rows that a run counts, and what looks from a step at its neighbour where that may lie in another piece.
fn refuse(ops: &[Op], pieces: usize) -> Result<()> {
    for op in ops {
        let mut touched = op.reads().into_iter().chain(op.writes());
        if touched.any(|m| m.row_count.is_some()) {
            return Err(Error::usage(format!(
                "recompute, accumulate: expected rows of a window that are all in use; {} has rows that a run counts",
                op.name()
            )));
        }
        if pieces > 1
            && let Some(key) = looks_aside(op)
        {
            return Err(Error::usage(format!(
                "recompute: {key} looks from a step at its neighbour, which may lie in another piece; leave out one of the two"
            )));
        }
    }
    Ok(())
}

/// The setting that makes an operation look from a step at its neighbour.
fn looks_aside(op: &Op) -> Option<&'static str> {
    if op.scans().iter().any(|scan| scan.reversed) {
        return Some("bidirectional");
    }
    if let Op::Penalty(op) = op {
        return match op.form {
            penalty::Form::Activation => None,
            penalty::Form::Temporal => Some("temporal-penalty"),
            penalty::Form::Norm => Some("norm-stabilizer"),
        };
    }
    matches!(op, Op::Propagation(_)).then_some("propagation-penalty")
}

fn classes(plan: &Plan, ops: &[Op], backward: usize) -> Vec<Class> {
    let constant = constant(plan, ops);
    let through_time = |scan: &&Scan| plan.io.states.iter().any(|s| s.slot == scan.state);
    let scans = ops.iter().flat_map(Op::scans);
    let works: HashSet<SlotId> = { scans.filter(through_time) }
        .filter_map(|scan| scan.work)
        .collect();
    let slots = |matrices: Vec<Matrix>| matrices.into_iter().map(|m| m.slot);
    let class = |(op, constant): (&Op, bool)| {
        // Adjoints come first in a work slot; the totals at its end are every piece's own.
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

/// Whether an operation leaves the same for every piece: it reads parameters and what such operations made, and nothing
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
        let written: HashSet<SlotId> = { ops.iter() }
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

struct Writer<'a> {
    builder: &'a mut Builder,
    axis: Axis,
    /// The operations of a piece.
    ops: Vec<Op>,
    classes: Vec<Class>,
    /// Which of them were written before.
    written: Vec<bool>,
    /// The first one of the backward pass.
    backward: usize,
    pieces: usize,
    windows: usize,
    kept: usize,
    /// For every layer's state, the slot of kept ones; none where a window is one piece.
    kept_states: Vec<SlotId>,
}

impl Writer<'_> {
    fn window(&mut self, window: usize) -> Result<()> {
        match window {
            0 => self.all(|class| class == Class::Start, 0, 0)?,
            _ => self.advance(),
        }
        if self.pieces == 1 {
            return self.whole(window, 0);
        }
        for action in schedule(self.pieces, self.kept) {
            match action {
                Action::Keep(place) => self.keep(0, place, false),
                Action::Restore(place) => self.keep(0, place, true),
                Action::Forward(piece) => {
                    let forward = |class| matches!(class, Class::Once | Class::States);
                    self.some(0..self.backward, forward, window, piece)?;
                    self.advance();
                }
                Action::Backward(piece) => {
                    self.whole(window, piece)?;
                    if piece + 1 == self.pieces {
                        self.keep(self.axis.steps, self.kept, false);
                    }
                }
            }
        }
        self.keep(self.axis.steps, self.kept, true);
        Ok(())
    }

    /// A piece forward and backward.
    fn whole(&mut self, window: usize, piece: usize) -> Result<()> {
        let (last, first) = (piece + 1 == self.pieces, (window, piece) == (0, 0));
        let these = |class| match class {
            Class::Start | Class::Last => false,
            Class::Adjoints => last,
            Class::Initial => first,
            Class::Once | Class::States | Class::Back | Class::Plain => true,
        };
        self.all(these, window, piece)
    }

    fn all(&mut self, these: impl Fn(Class) -> bool, window: usize, piece: usize) -> Result<()> {
        self.some(0..self.ops.len(), these, window, piece)
    }

    /// Writes the operations of some classes for a piece.
    fn some(
        &mut self,
        range: std::ops::Range<usize>,
        these: impl Fn(Class) -> bool,
        window: usize,
        piece: usize,
    ) -> Result<()> {
        for i in range {
            let class = self.classes[i];
            if !these(class) || (class == Class::Once && self.written[i]) {
                continue;
            }
            let again = std::mem::replace(&mut self.written[i], true);
            let mut op = self.ops[i].clone();
            if again {
                // A gradient that an earlier piece has written is added to.
                let gradient = |m: &Matrix| self.builder.plan.slot(m.slot).role == Role::Gradients;
                op.accumulate(gradient).map_err(|_| {
                    Error::internal(format!("{}: cannot add to a gradient", op.name()))
                })?;
            }
            if !matches!(class, Class::Once | Class::Last) {
                let index = window * self.pieces + piece;
                op.place(Segment {
                    index,
                    first: index * self.axis.rows(),
                    count: self.pieces * self.windows,
                });
            }
            if let (Class::Back, Op::Scan(scan)) = (class, &mut op) {
                scan.initial &= (window, piece) == (0, 0);
                self.next_deltas(&scan.clone(), piece);
            }
            self.builder.push(op);
        }
        Ok(())
    }

    /// The deltas behind the last step of a piece: none behind the window, else those of the later piece's first step.
    fn next_deltas(&mut self, scan: &Scan, piece: usize) {
        let Some(slot) = scan.delta.filter(|_| self.pieces > 1) else {
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
        if piece + 1 == self.pieces {
            let name = format!("next.{}", scan.name);
            self.builder.push(Op::Zero(Zero { name, to }));
        } else {
            self.copy(format!("next.{}", scan.name), from, to)
        }
    }

    /// Copies the states before step `step` of the piece to their kept ones, or back.
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

    /// The states behind the piece become those before it.
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
