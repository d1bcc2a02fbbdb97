//! What the host says of packed sequences: how many rows each step has, and where a row's step before lies.

use crate::op::Packing;

/// The words of the slot of counts, from where each step starts [T + 1].
pub(super) fn counts(starts: &[u32]) -> Vec<u32> {
    let rows = starts.last().copied().unwrap_or(0);
    [0, rows].iter().chain(starts).copied().collect()
}

/// For every row, padded with zeros to R: where the states [B + R] hold the step before.
pub(super) fn before(packing: &Packing, starts: &[u32]) -> Vec<u32> {
    let mut rows = Vec::with_capacity(packing.rows);
    for (t, step) in starts.windows(2).enumerate() {
        let first = match t {
            0 => 0,
            t => packing.batch as u32 + starts[t - 1],
        };
        rows.extend((0..step[1] - step[0]).map(|b| first + b));
    }
    rows.resize(packing.rows, 0);
    rows
}

/// Starts of made-up sequences: the first as long as there are steps, each after it shorter, as many as the rows allow.
pub fn falling(packing: &Packing) -> Vec<u32> {
    let mut starts = vec![0; packing.steps + 1];
    let mut left = packing.rows;
    for b in 0..packing.batch {
        let length = packing.steps.saturating_sub(b).max(1);
        if length <= left {
            left -= length;
            starts[1..=length].iter_mut().for_each(|n| *n += 1);
        }
    }
    for t in 0..packing.steps {
        starts[t + 1] += starts[t];
    }
    starts
}
