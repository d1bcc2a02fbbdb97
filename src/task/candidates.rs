//! The candidates of a sampled softmax: symbols drawn for a minibatch, and its targets.

use std::collections::HashMap;

use super::draws::Draws;
use crate::exec::Fillings;
use crate::op::{Candidates, scatter};
use crate::rng::Purpose;

impl Draws {
    /// Distinct symbols, and how many draws they took.
    fn symbols(self, candidates: &Candidates) -> (Vec<u32>, u64) {
        let mut stream = self.stream(Purpose::Candidates);
        let range = (candidates.vocab as f64 + 1.0).ln();
        let mut known = std::collections::HashSet::new();
        let mut ids = Vec::with_capacity(candidates.samples + candidates.rows);
        let mut tries = 0;
        while ids.len() < candidates.samples {
            tries += 1;
            // Two words: the 24 bits of one do not reach every symbol of a large vocabulary.
            let (high, low) = (stream.uniform(), stream.uniform());
            let u = f64::from(high) + f64::from(low) / 16_777_216.0;
            let id = ((u * range).exp() as usize).saturating_sub(1);
            let id = id.min(candidates.vocab - 1) as u32;
            if known.insert(id) {
                ids.push(id);
            }
        }
        (ids, tries)
    }
}

/// The contents of the slots of `candidates`, and the candidates without padding.
pub(super) fn fill(
    candidates: &Candidates,
    targets: &[u32],
    draws: Draws,
    all: &mut Fillings<'_>,
) -> Vec<u32> {
    let (mut ids, tries) = draws.symbols(candidates);
    let mut columns: HashMap<u32, usize> = HashMap::new();
    for (column, id) in ids.iter().enumerate() {
        columns.insert(*id, column);
    }
    let mut places: Vec<u32> = Vec::with_capacity(candidates.rows);
    for target in targets {
        let column = *columns.entry(*target).or_insert_with(|| {
            ids.push(*target);
            ids.len() - 1
        });
        places.push(column as u32);
    }
    places.resize(candidates.rows, 0);
    let columns = candidates.samples + candidates.rows;
    let correction = |id: &u32| expected(candidates.vocab, *id, tries).ln() as f32;
    let mut corrections: Vec<f32> = ids.iter().map(correction).collect();
    corrections.resize(columns, 0.0);
    let mut padded = ids.clone();
    padded.resize(columns, ids[0]);
    all.push((candidates.ids, padded.into()));
    all.push((candidates.corrections, corrections.into()));
    all.push((candidates.targets, places.into()));
    if let Some(slot) = candidates.index {
        let index = scatter::index(&ids, columns, candidates.vocab);
        all.push((slot, index.into()));
    }
    ids
}

/// How often `id` is expected among the symbols of so many draws: 1 - (1 - p)^tries.
fn expected(vocab: usize, id: u32, tries: u64) -> f64 {
    let n = f64::from(id);
    let p = (1.0 / (n + 1.0)).ln_1p() / (vocab as f64 + 1.0).ln();
    -(tries as f64 * (-p).ln_1p()).exp_m1()
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{LossRows, SlotId};
    use crate::task::tests::words;

    fn candidates(vocab: usize, samples: usize, rows: usize) -> Candidates {
        Candidates {
            of: LossRows {
                targets: SlotId(3),
                first: 0,
                weights: None,
            },
            vocab,
            samples,
            rows,
            ids: SlotId(0),
            corrections: SlotId(1),
            targets: SlotId(2),
            index: None,
        }
    }

    #[test]
    fn candidates_are_distinct_and_hold_every_target() {
        let targets = [7, 93, 7, 0];
        let mut all = Vec::new();
        let ids = fill(
            &candidates(100, 12, 4),
            &targets,
            Draws::new([1, 2], [3, 0]),
            &mut all,
        );
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len());
        assert!((12..=15).contains(&ids.len()));
        for (column, target) in words(&all, 2).iter().zip(targets) {
            assert_eq!(ids[*column as usize], target);
        }
        assert_eq!(words(&all, 0).len(), 16);
    }

    #[test]
    fn symbols_are_drawn_as_often_as_expected() {
        let candidates = candidates(50, 10, 0);
        let (mut seen, mut expected) = (vec![0.0; 50], vec![0.0; 50]);
        let runs = 4000;
        for step in 0..runs {
            let (ids, tries) = Draws::new([1, 2], [step, 0]).symbols(&candidates);
            for id in ids {
                seen[id as usize] += 1.0;
            }
            for id in 0..50 {
                expected[id as usize] += super::expected(50, id, tries);
            }
        }
        for id in 0..50 {
            // Four deviations of a count, and what conditioning on the number of tries changes.
            let off = (seen[id] - expected[id]) / f64::from(runs);
            assert!(off.abs() < 0.05, "{id}: {} {}", seen[id], expected[id]);
        }
        assert!(seen[0] > 2.0 * seen[20]);
    }
}
