//! The rows that each cluster of an adaptive softmax sees: those whose target lies in it.

use crate::exec::Fillings;
use crate::op::{Clusters, scatter};

/// The rows of a minibatch that count.
pub(super) struct CountedRows<'a> {
    /// Their targets.
    pub targets: &'a [u32],
    /// Weights of the rows.
    pub weights: Option<&'a [f32]>,
}

/// The contents of the clusters' slots.
pub(super) fn fill(clusters: &Clusters, given: &CountedRows<'_>, all: &mut Fillings<'_>) {
    let shortlist = clusters.cutoffs[0];
    let mut head = vec![0u32; clusters.rows];
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); clusters.tails.len()];
    for (r, target) in given.targets.iter().enumerate() {
        let cluster = clusters.cutoffs.partition_point(|c| *c <= *target as usize);
        head[r] = match cluster {
            0 => *target,
            n => {
                members[n - 1].push(r as u32);
                (shortlist + n - 1) as u32
            }
        };
    }
    let counts: Vec<u32> = members.iter().map(|m| m.len() as u32).collect();
    all.push((clusters.head, head.into()));
    all.push((clusters.counts, counts.into()));
    for ((tail, rows), first) in clusters.tails.iter().zip(members).zip(&clusters.cutoffs) {
        let own = rows
            .iter()
            .map(|r| given.targets[*r as usize] - *first as u32);
        let mut targets: Vec<u32> = own.collect();
        targets.resize(clusters.rows, 0);
        all.push((tail.targets, targets.into()));
        let index = scatter::index(&rows, clusters.rows, clusters.rows);
        all.push((tail.index, index.into()));
        if let Some(slot) = tail.weights {
            let weight = |r: &u32| given.weights.map_or(1.0, |w| w[*r as usize]);
            let mut weights: Vec<f32> = rows.iter().map(weight).collect();
            weights.resize(clusters.rows, 0.0);
            all.push((slot, weights.into()));
        }
        let mut rows = rows;
        rows.resize(clusters.rows, 0);
        all.push((tail.rows, rows.into()));
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{LossRows, SlotId, Tail};
    use crate::task::tests::{numbers, words};

    #[test]
    fn clusters_get_the_rows_of_their_targets() {
        let tail = |first: usize| Tail {
            rows: SlotId(first),
            targets: SlotId(first + 1),
            index: SlotId(first + 2),
            weights: Some(SlotId(first + 3)),
        };
        let clusters = Clusters {
            of: LossRows {
                targets: SlotId(30),
                first: 0,
                weights: None,
            },
            cutoffs: vec![4, 6, 10],
            rows: 6,
            head: SlotId(0),
            counts: SlotId(1),
            tails: vec![tail(10), tail(20)],
        };
        let mut all = Vec::new();
        let weights = [0.5, 1.0, 2.0, 3.0, 4.0];
        let given = CountedRows {
            targets: &[3, 9, 4, 0, 6],
            weights: Some(&weights),
        };
        fill(&clusters, &given, &mut all);
        assert_eq!(words(&all, 0), [3, 5, 4, 0, 5, 0]);
        assert_eq!(words(&all, 1), [1, 2]);
        assert_eq!(words(&all, 10)[..1], [2]);
        assert_eq!(words(&all, 11)[..1], [0]);
        assert_eq!(words(&all, 20)[..2], [1, 4]);
        assert_eq!(words(&all, 21)[..2], [3, 0]);
        // CountedRows 1 and 4 get the cluster's rows 0 and 1.
        assert_eq!(words(&all, 22)[..2], [0, 1]);
        assert_eq!(words(&all, 22)[6..], [0, 0, 1, 1, 1, 2, 2]);
        assert_eq!(numbers(&all, 23)[..2], [1.0, 4.0]);
    }
}
