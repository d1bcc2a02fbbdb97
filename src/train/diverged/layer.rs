//! Where a recurrent layer's values are not finite: which of its cell's variables, at which step, of which sequence and unit.

use super::written_again;
use crate::cell::stage::{Adjoint, Store};
use crate::error::Result;
use crate::exec::Engine;
use crate::op::{Direction, Op, Packing, Plan, Scan, SlotId};

/// A run of a scan as it lies in memory.
struct Left<'a> {
    plan: &'a Plan,
    scan: &'a Scan,
    /// The slot of counts; empty where no rows are packed.
    counts: Vec<u32>,
}

/// The first value of a scan that is not finite, in the order in which its steps make them, in words; `later` are the
/// operations behind it.
///
/// # Errors
/// A lost device.
pub(super) async fn first(
    engine: &mut Engine,
    plan: &Plan,
    scan: &Scan,
    later: &[Op],
) -> Result<Option<String>> {
    let counts = match scan.packed {
        Some(packed) => engine.read_words(packed.counts).await?,
        None => Vec::new(),
    };
    let left = Left { plan, scan, counts };
    // What a later operation has written over tells nothing of this one: deltas may lie where values were kept.
    let own = |slot: Option<SlotId>| slot.filter(|s| !written_again(later, &plan.matrix(*s)));
    let mut read = async |slot: Option<SlotId>| match slot {
        Some(slot) => engine.read(slot).await,
        None => Ok(Vec::new()),
    };
    match scan.direction {
        Direction::Forward => {
            let state = read(own(Some(scan.state))).await?;
            let saved = read(own(scan.saved)).await?;
            Ok(left.forward(&state, &saved))
        }
        Direction::Backward => {
            let delta = read(own(scan.delta)).await?;
            let found = left.backward(&delta);
            if found.is_some() {
                return Ok(found);
            }
            let scratch = read(own(scan.scratch)).await?;
            Ok(left.adjoints(&scratch))
        }
    }
}

/// The first unit `[H]` from element `from` on that is not finite, and its value; none where nothing is there.
fn bad(values: &[f32], from: usize, hidden: usize) -> Option<(usize, f32)> {
    let row = values.get(from..from + hidden)?;
    let unit = row.iter().position(|x| !x.is_finite())?;
    Some((unit, row[unit]))
}

impl Left<'_> {
    fn starts(&self) -> &[u32] {
        let words = |first| self.counts.get(first..=first + self.scan.steps);
        self.scan
            .packed
            .and_then(|packed| words(packed.first))
            .unwrap_or(&[])
    }

    /// States [S, T+1, B, H] and kept values [T, B, K, H].
    fn forward(&self, state: &[f32], saved: &[f32]) -> Option<String> {
        let (scan, starts) = (self.scan, self.starts());
        for (k, name) in scan.cell.states.iter().enumerate() {
            for b in 0..scan.batch {
                if let Some(unit) = bad(state, scan.state_row(k, 0, b, starts), scan.hidden) {
                    let name = format!("{name} before the first step");
                    return Some(self.text(&name, &format!("sequence {b}"), unit, scan.state));
                }
            }
        }
        let values = scan.cell.left_by_step(&scan.compiled);
        for t in 0..scan.steps {
            for (store, node) in &values {
                for b in 0..scan.active(t, starts) {
                    let saved_row =
                        |value| (saved, scan.saved_row(value, t, b, starts), scan.saved);
                    let (from, at, slot) = match *store {
                        Store::New(k) => {
                            let at = scan.state_row(k, t + 1, b, starts);
                            (state, at, Some(scan.state))
                        }
                        Store::Saved(i) => saved_row(i),
                        Store::Made(i) => saved_row(scan.compiled.saved + i),
                        _ => continue,
                    };
                    if let (Some(unit), Some(slot)) = (bad(from, at, scan.hidden), slot) {
                        let name = scan.cell.value_name(*node);
                        return Some(self.text(&name, &self.place(t, b), unit, slot));
                    }
                }
            }
        }
        None
    }

    /// Deltas [T+1, B, D, H], from the last step to the first, in the order in which a step makes them.
    fn backward(&self, delta: &[f32]) -> Option<String> {
        let (scan, starts) = (self.scan, self.starts());
        let slot = scan.delta?;
        let stores = scan
            .compiled
            .backward
            .iter()
            .flat_map(|stage| &stage.program.stores);
        let deltas: Vec<usize> = stores
            .filter_map(|(store, _)| match store {
                Store::Delta(d) => Some(*d),
                _ => None,
            })
            .collect();
        for t in (0..scan.steps).rev() {
            for d in &deltas {
                for b in 0..scan.active(t, starts) {
                    if let Some(unit) = bad(delta, scan.delta_row(*d, t, b, starts), scan.hidden) {
                        let name = scan.cell.delta_name(&scan.compiled, *d);
                        return Some(self.text(&name, &self.place(t, b), unit, slot));
                    }
                }
            }
        }
        None
    }

    /// What the backward pass holds of the step that it did last: planes [B, H], then totals [B, N, H].
    fn adjoints(&self, scratch: &[f32]) -> Option<String> {
        let scan = self.scan;
        let states = &scan.cell.states;
        let slot = scan.scratch?;
        for plane in 0..scan.scratch_planes() {
            let name = if let Some(state) = states.get(plane) {
                format!("the gradient that goes back to {state}")
            } else if let Some(first) = plane.checked_sub(scan.initial_plane(0)) {
                format!("the gradient of the first {}", states[first])
            } else {
                "a value between the stages of a step".to_string()
            };
            for b in 0..scan.batch {
                if let Some(unit) = bad(scratch, scan.scratch_row(plane, b), scan.hidden) {
                    return Some(self.text(&name, &format!("sequence {b}"), unit, slot));
                }
            }
        }
        for total in 0..scan.compiled.totals {
            for b in 0..scan.batch {
                if let Some(unit) = bad(scratch, scan.total_row(total, b), scan.hidden) {
                    let name = scan
                        .cell
                        .adjoint_name(&scan.compiled, Adjoint::Total(total));
                    return Some(self.text(&name, &format!("sequence {b}"), unit, slot));
                }
            }
        }
        None
    }

    /// Step and sequence of the minibatch that row `b` works on at step `t` of the scan.
    fn place(&self, t: usize, b: usize) -> String {
        let position = self.scan.at + self.scan.position(t, b, self.starts());
        // Its axis is the last one whose words begin at those that the scan reads, or before.
        let packed = self.scan.packed.map_or(0, |packed| packed.first);
        let axis = self.plan.axes.iter().rfind(|axis| axis.first <= packed);
        let starts = axis.and_then(|axis| {
            let first = axis.first + Packing::STARTS;
            self.counts.get(first..=first + axis.packing.steps)
        });
        let (step, sequence) = match starts {
            Some(starts) => {
                let step = starts.partition_point(|s| *s as usize <= position) - 1;
                (step, position - starts[step] as usize)
            }
            None => {
                let shape = self
                    .plan
                    .recipes
                    .ids()
                    .map(|ids| &self.plan.slot(ids).shape);
                let batch = shape.map_or(self.scan.batch, |shape| shape[1]);
                (position / batch, position % batch)
            }
        };
        format!("step {step}, sequence {sequence}")
    }

    fn text(&self, name: &str, place: &str, (unit, value): (usize, f32), slot: SlotId) -> String {
        let scan = self.scan;
        let (_, layer) = scan.name.split_once('.').unwrap_or(("", &scan.name));
        format!(
            "{name} of {} in layer {layer} is {value} at {place}, unit {unit}, all counted from 0 ({})",
            scan.cell.name,
            self.plan.slot(slot).name
        )
    }
}
