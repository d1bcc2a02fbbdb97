//! The rows that one thread takes through a scan: which ones, and their part of every slot that a scan writes.

use std::ops::Range;

use super::super::halves;
use crate::op::Scan;

/// Some rows of every slot that a scan writes: for every plane and step, these rows' elements.
pub struct RowSlices<'a, F> {
    pub part: Range<usize>,
    pub state: Vec<&'a mut [F]>,
    pub saved: Vec<&'a mut [F]>,
    pub delta: Vec<&'a mut [F]>,
    pub scratch: Vec<&'a mut [F]>,
    pub totals: &'a mut [F],
    /// By attention what is written of every pair, for every step.
    pub pairs: Vec<Vec<&'a mut [F]>>,
}

/// The rows of `part` among the first `active` ones.
pub fn within(part: &Range<usize>, active: usize) -> usize {
    part.end.min(active) - part.start.min(active)
}

/// Rows for each of `threads` threads, so that each has as much to do over all steps.
pub fn parts(op: &Scan, starts: &[u32], threads: usize) -> Vec<Range<usize>> {
    if starts.is_empty() || threads == 1 {
        return halves(op.batch, threads).collect();
    }
    let active = |t: usize| op.active(t, starts);
    let total: usize = (0..op.steps).map(active).sum();
    let upto = |row: usize| -> usize { (0..op.steps).map(|t| active(t).min(row)).sum() };
    let mut parts = Vec::new();
    let mut first = 0;
    for n in 1..=threads {
        let end = if n == threads {
            op.batch
        } else {
            (first..op.batch)
                .find(|row| upto(*row) * threads >= total * n)
                .unwrap_or(op.batch)
        };
        if first < end {
            parts.push(first..end);
        }
        first = end;
    }
    parts
}

/// Cuts the planes of a slot, which have so many rows of `row` elements each, into parts of rows. What lies behind the
/// planes is no part's.
fn cut<'a, F>(
    mut values: &'a mut [F],
    planes: impl Iterator<Item = usize>,
    row: usize,
    parts: &[Range<usize>],
) -> Vec<Vec<&'a mut [F]>> {
    let mut cuts: Vec<Vec<&mut [F]>> = parts.iter().map(|_| Vec::new()).collect();
    if values.is_empty() {
        return cuts;
    }
    for rows in planes {
        for (part, cut) in parts.iter().zip(&mut cuts) {
            let (mine, rest) = values.split_at_mut(within(part, rows) * row);
            cut.push(mine);
            values = rest;
        }
    }
    cuts
}

impl<'a, F> RowSlices<'a, F> {
    /// The slots' elements for each of `parts`: of states, of what is saved, of deltas and of scratch.
    pub fn of(
        op: &Scan,
        starts: &[u32],
        parts: &[Range<usize>],
        [states, saved, delta, scratch]: [&'a mut [F]; 4],
        pairs: Vec<&'a mut [F]>,
    ) -> Vec<RowSlices<'a, F>> {
        let (b, h, steps) = (op.batch, op.hidden, op.steps);
        let active = |t: usize| op.active(t, starts);
        let (planes, deltas) = (op.scratch_planes(), op.compiled.deltas);
        let (scratch, totals) = scratch.split_at_mut((planes * b * h).min(scratch.len()));
        let saved = cut(saved, (0..steps).map(active), op.saved_values() * h, parts);
        let delta = cut(delta, (0..=steps).map(active), deltas * h, parts);
        let scratch = cut(scratch, std::iter::repeat_n(b, planes), h, parts);
        let one = std::iter::once(b);
        let totals = cut(totals, one, op.compiled.totals * h, parts);
        let slices = parts.iter().zip(saved).zip(delta).zip(scratch).zip(totals);
        let of_part = |((((part, saved), delta), scratch), mut totals): (
            (((&Range<usize>, _), _), _),
            Vec<_>,
        )| {
            RowSlices {
                part: part.clone(),
                state: Vec::new(),
                saved,
                delta,
                scratch,
                totals: totals.pop().unwrap_or_default(),
                pairs: Vec::new(),
            }
        };
        let mut all: Vec<RowSlices<F>> = slices.map(of_part).collect();
        for (pairs, of) in pairs.into_iter().zip(&op.attentions) {
            let rows = (0..steps).map(active);
            for (slices, cut) in all
                .iter_mut()
                .zip(cut(pairs, rows, of.weights.stride, parts))
            {
                slices.pairs.push(cut);
            }
        }
        for plane in states.chunks_mut((op.rows + b) * h) {
            let rows = [b].into_iter().chain((0..steps).map(active));
            for (slices, cut) in all.iter_mut().zip(cut(plane, rows, h, parts)) {
                slices.state.extend(cut);
            }
        }
        all
    }
}
