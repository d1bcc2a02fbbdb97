//! Fast scans. The rows of a minibatch never meet in the time loop, so each core takes some rows through all steps; per
//! stage it makes one product for all gates that share an operand, then runs the cell's program while the sums are hot.

mod context;
mod prepare;
mod rows;
mod step;

use context::Shared;
use prepare::PreparedStage;
use rows::{RowSlices, parts};

use super::product::{FEW, PackedOperand};
use crate::cell::real::Real;
use crate::op::scan::{Scan, Slices};

/// Multiply-adds in a step below which a second core costs more than it brings.
const WORTH: usize = 1 << 13;

/// How many times that a step must be worth that is not followed by others.
const ALONE: usize = 64;

/// Whether the scan is worth a second core.
fn worth(op: &Scan) -> bool {
    let (b, h) = (op.batch, op.hidden);
    // Without a product, what a step does is to be worth it alone, as a feed-forward layer's is.
    let work = match op.terms() {
        0 => b * h,
        terms if op.range.len() > 1 => b * h * h * terms,
        // Waking a core for a single step is a cost that no further steps share.
        terms => b * h * h * terms / ALONE,
    };
    work > WORTH
}

/// Runs the scan `op` on its slots; `packed` is where its weights are packed, once for all steps.
pub fn run<F: Real>(op: &Scan, slices: &mut Slices<'_, F>, packed: &mut Vec<PackedOperand<F>>) {
    let h = op.hidden;
    let mut weights = 0;
    let stages: Vec<PreparedStage> = op
        .stages()
        .iter()
        .map(|s| PreparedStage::new(op, s, &mut weights))
        .collect();
    let last = PreparedStage::new(op, &op.compiled.initial, &mut weights);
    let worth = worth(op);
    let threads = if worth {
        rayon::current_num_threads()
    } else {
        1
    };
    // A sample is drawn step by step: packing would cost more than the products.
    let few = op.range.len() * op.batch <= FEW;
    packed.resize(weights.max(packed.len()), PackedOperand::default());
    let used = stages.iter().chain(op.initial.then_some(&last));
    for p in used.filter(|_| !few).flat_map(|s| &s.products) {
        let weight = p.weight(op, (&slices.weights, &slices.turned));
        packed[p.packed].pack(p.deep * h, p.wide * h, weight, worth);
    }
    let starts = slices.starts;
    let parts = parts(op, starts, threads);
    let written = [
        &mut *slices.state,
        &mut *slices.saved,
        &mut *slices.delta,
        &mut *slices.scratch,
    ];
    let (inputs, pairs): (Vec<_>, Vec<_>) = slices
        .attentions
        .iter_mut()
        .map(|of| (of.inputs, &mut *of.pairs))
        .unzip();
    let mut rows = RowSlices::of(op, starts, &parts, written, pairs);
    let shared = Shared {
        op,
        starts,
        input_projection: slices.input_projection,
        ids: slices.ids,
        input: slices.input,
        weights: &slices.weights,
        turned: &slices.turned,
        packed,
        few,
        vectors: &slices.vectors,
        attentions: inputs,
        control: slices.control,
        upstream: slices.upstream,
        values: op.saved_values(),
    };
    // The last part is this thread's own.
    let own = rows.pop();
    rayon::scope(|scope| {
        let (shared, stages, last) = (&shared, &stages, &last);
        for rows in rows {
            scope.spawn(move |_| shared.steps(rows, stages, last));
        }
        if let Some(own) = own {
            shared.steps(own, stages, last);
        }
    });
}
