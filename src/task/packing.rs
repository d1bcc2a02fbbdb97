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

/// For every row, padded with zeros to R: the same sequence's row as many steps from its end.
pub(super) fn flip(packing: &Packing, starts: &[u32]) -> Vec<u32> {
    // How many steps sequence b has: as many as have more than b rows.
    let active: Vec<u32> = starts.windows(2).map(|w| w[1] - w[0]).collect();
    let length = |b: u32| active.partition_point(|rows| *rows > b);
    let mut rows = Vec::with_capacity(packing.rows);
    for (t, count) in active.iter().enumerate() {
        rows.extend((0..*count).map(|b| starts[length(b) - 1 - t] + b));
    }
    rows.resize(packing.rows, 0);
    rows
}

/// Starts of made-up sequences: the first as long as there are steps, each after it shorter, as many as the rows allow.
pub(super) fn falling(packing: &Packing) -> Vec<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flipping_twice_changes_nothing() {
        let packing = Packing {
            steps: 5,
            batch: 4,
            rows: 12,
        };
        // Lengths 4, 2, 2, 1.
        let starts = [0, 4, 7, 8, 9, 9];
        let flip = flip(&packing, &starts);
        assert_eq!(flip, [8, 5, 6, 3, 7, 1, 2, 4, 0, 0, 0, 0]);
        for (row, other) in flip.iter().enumerate().take(9) {
            assert_eq!(flip[*other as usize] as usize, row);
        }
    }
}
