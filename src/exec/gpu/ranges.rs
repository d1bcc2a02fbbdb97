//! Ranges of a scan's rows: where a slot with the rows of all steps is more than one binding may hold, each of several
//! kernels binds a range of them.
//!
//! A place is a row's number among those of all steps. A range owns places that follow one another, those of whole steps
//! where rows are neither packed nor without a memory, and binds what its places read and write: of states and of deltas
//! B rows more, so that those of the step before, or behind, are among them. The kernels of most ranges have one text: a
//! range's first place is among their dispatch parameters, in place of how many steps they go through.

use super::binding_range::{BindingLimits, BindingRanges};
use super::kernel::DispatchParameters;
use crate::op::scan::InputProjection;
use crate::op::{Direction, Matrix, Plan, Scan, SlotId};

/// What a scan has of every place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanRows {
    /// The states of this number.
    State(usize),
    Saved,
    Delta,
    InputProjection,
    Input,
    Upstream,
}

/// Rows of a slot that kernels bind in ranges.
#[derive(Clone, Copy, Debug)]
struct Use {
    rows: ScanRows,
    slot: SlotId,
    /// The element at which the row of place 0 begins.
    first: usize,
    /// Elements from one row to the next.
    stride: usize,
    /// Of a range, the rows from this many behind its first place on,
    from: usize,
    /// to this many behind its last place.
    to: usize,
    /// Whether rows are in the reverse order of places.
    reversed: bool,
}

/// How a scan's rows are cut.
pub(super) struct Ranges {
    uses: Vec<Use>,
    /// Places of a range, fewer in the last one.
    owned: usize,
    /// All places.
    places: usize,
    /// Whether a step's rows may lie in several ranges.
    parted: bool,
}

/// A range as its kernels see it.
pub(super) struct BoundRange {
    /// Places that it owns, where it need not own whole steps.
    pub parted: Option<usize>,
    /// The slots of the states, one each where they are bound apart.
    pub states: Vec<SlotId>,
    /// The element of its binding range at which the row of its first place begins, or, in reverse order, ends.
    firsts: Vec<(ScanRows, isize)>,
}

impl BoundRange {
    /// The element, of its binding range, of the row of the range's first place; none for rows that are bound whole.
    pub fn first(&self, rows: ScanRows) -> Option<isize> {
        self.firsts.iter().find(|f| f.0 == rows).map(|f| f.1)
    }
}

impl Ranges {
    /// None where every slot fits a binding, or not even a range of two steps does.
    pub fn of(scan: &Scan, plan: &Plan, fit: BindingLimits) -> Option<Ranges> {
        // What looks at a memory binds all of it.
        if !scan.attentions.is_empty() {
            return None;
        }
        let uses = uses(scan, plan, fit);
        let memory = !scan.cell.is_feed_forward();
        let parted = scan.packed.is_some() || !memory;
        let least = if memory { scan.batch } else { 1 };
        let (mut most, mut align) = (scan.rows, 1);
        for of in &uses {
            let fit = fit.within(plan, of.slot);
            let rows = fit.binding.saturating_sub(fit.align) / of.stride;
            most = most.min(rows.saturating_sub(of.to - of.from));
            align = align.max(fit.align);
        }
        if uses.is_empty() || most < least {
            return None;
        }
        // BindingRanges that begin like one another make for one text.
        let unit = if parted { 1 } else { scan.batch };
        let even = unit * (align / common(unit, align));
        let unit = if most / even * even >= least {
            even
        } else {
            unit
        };
        let most = most / unit * unit;
        // Two at least: the states of one are then far from the next ones'.
        let parts = scan.rows.div_ceil(most).max(2);
        let owned = scan.rows.div_ceil(parts).next_multiple_of(unit).max(least);
        Some(Ranges {
            uses,
            owned,
            places: scan.rows,
            parted,
        })
    }

    /// The first places of the ranges that have rows of these steps.
    pub fn firsts(&self, scan: &Scan) -> Vec<usize> {
        let touched = |first: &usize| {
            let initial = scan.initial && *first == 0;
            initial
                || scan
                    .range
                    .clone()
                    .any(|t| self.at(scan, t).any(|f| f == *first))
        };
        (0..self.places)
            .step_by(self.owned)
            .filter(touched)
            .collect()
    }

    /// The first places of the ranges in which step `t` may have rows. Of packed rows there is one at every step at least.
    fn at(&self, scan: &Scan, t: usize) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let end = ((t + 1) * scan.batch).min(self.places);
        let start = if self.parted { t } else { t * scan.batch };
        let owned = self.owned;
        let ranges = start / owned..end.div_ceil(owned).max(start / owned);
        ranges.map(move |range| range * owned)
    }

    /// Puts what the range at `first` binds of them in place of the scan's slots.
    pub fn bind(&self, scan: &mut Scan, first: usize, bindings: &mut BindingRanges) -> BoundRange {
        let count = self.owned.min(self.places - first);
        let saved = scan.saved;
        let mut states = vec![scan.state; scan.cell.states.len()];
        let mut firsts = Vec::new();
        let mut in_saved: Option<(SlotId, usize)> = None;
        for of in &self.uses {
            let (start, end) = of.elements(first, count, self.places);
            let (slot, from) = match in_saved.filter(|_| Some(of.slot) == saved) {
                // All that lies there has the same rows.
                Some((slot, from)) => {
                    bindings.widen(slot, end);
                    (slot, from)
                }
                None => {
                    let from = start / bindings.align(of.slot) * bindings.align(of.slot);
                    (bindings.add(of.slot, from, end), from)
                }
            };
            if Some(of.slot) == saved {
                in_saved = Some((slot, from));
            }
            let row = if of.reversed {
                of.first + (self.places - first) * of.stride
            } else {
                of.first + first * of.stride
            };
            firsts.push((of.rows, row as isize - from as isize));
            match of.rows {
                ScanRows::State(k) => states[k] = slot,
                ScanRows::Saved => scan.saved = Some(slot),
                ScanRows::Delta => scan.delta = Some(slot),
                ScanRows::InputProjection => {
                    if let InputProjection::Rows(m) = &mut scan.input_projection {
                        m.slot = slot;
                    }
                }
                ScanRows::Input => scan.input.iter_mut().for_each(|m| m.slot = slot),
                ScanRows::Upstream => scan.upstream.iter_mut().for_each(|m| m.slot = slot),
            }
        }
        BoundRange {
            parted: self.parted.then_some(self.owned),
            states,
            firsts,
        }
    }

    /// The dispatches of a scan whose kernels are, range by range of `firsts`, those of its `stages` stages, behind those of
    /// the first range that of the initial states where they are made.
    pub fn order(
        &self,
        scan: &Scan,
        firsts: &[usize],
        at: u32,
        stream: u32,
    ) -> Vec<(usize, Vec<DispatchParameters>)> {
        let stages = scan.stages().len();
        let initial = scan.initial && scan.direction == Direction::Backward;
        let kernel = |first: usize| {
            let range = firsts.iter().position(|f| *f == first).unwrap_or(0);
            range * stages + usize::from(initial && range > 0)
        };
        let step = |t: usize| {
            self.at(scan, t).flat_map(move |first| {
                (0..stages).map(move |s| {
                    (
                        kernel(first) + s,
                        vec![[t as u32, at, stream, first as u32]],
                    )
                })
            })
        };
        match scan.direction {
            Direction::Forward => scan.range.clone().flat_map(step).collect(),
            Direction::Backward => {
                let last = initial.then(|| (stages, vec![[u32::MAX, at, stream, 0]]));
                let steps = scan.range.clone().rev().flat_map(step);
                steps.chain(last).collect()
            }
        }
    }
}

impl Use {
    /// What a range binds of it, from the first element to one past the last.
    fn elements(&self, first: usize, count: usize, places: usize) -> (usize, usize) {
        let start = if self.reversed {
            places - first - count
        } else {
            first + self.from
        };
        let end = start - self.from + count + self.to;
        (
            self.first + start * self.stride,
            self.first + end * self.stride,
        )
    }
}

/// The rows that lie in slots that no binding holds.
fn uses(scan: &Scan, plan: &Plan, fit: BindingLimits) -> Vec<Use> {
    let large = |slot: SlotId| plan.slot(slot).len() > fit.within(plan, slot).binding;
    let h = scan.hidden;
    let behind = if scan.cell.is_feed_forward() {
        0
    } else {
        scan.batch
    };
    let mut all = Vec::new();
    let plain = |rows, slot, stride| Use {
        rows,
        slot,
        first: 0,
        stride,
        from: 0,
        to: 0,
        reversed: false,
    };
    if large(scan.state) {
        all.extend((0..scan.cell.states.len()).map(|k| Use {
            first: scan.state_row(k, 0, 0, &[]),
            // Without a memory nobody looks at the step before.
            from: scan.batch - behind,
            to: scan.batch,
            ..plain(ScanRows::State(k), scan.state, h)
        }));
    }
    if let Some(slot) = scan.saved.filter(|s| large(*s)) {
        all.push(plain(ScanRows::Saved, slot, scan.saved_values() * h));
    }
    if let Some(slot) = scan.delta.filter(|s| large(*s)) {
        all.push(Use {
            to: behind,
            ..plain(ScanRows::Delta, slot, scan.compiled.deltas * h)
        });
    }
    let input_projection = match &scan.input_projection {
        InputProjection::Rows(m) => Some(*m),
        _ => None,
    };
    let matrices: [(ScanRows, Option<Matrix>); 3] = [
        (ScanRows::InputProjection, input_projection),
        (ScanRows::Input, scan.input),
        (ScanRows::Upstream, scan.upstream),
    ];
    for (rows, m) in matrices {
        let of = |m: &Matrix| {
            if Some(m.slot) == scan.saved {
                large(m.slot)
            } else {
                !fit.holds(plan, m)
            }
        };
        all.extend(m.filter(of).map(|m| Use {
            first: m.offset,
            reversed: scan.reversed,
            ..plain(rows, m.slot, m.stride)
        }));
    }
    all
}

/// The greatest common divisor.
fn common(a: usize, b: usize) -> usize {
    match b {
        0 => a,
        b => common(b, a % b),
    }
}
