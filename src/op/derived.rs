//! What the host works out from a minibatch's token ids for large vocabularies: which rows an output cluster sees, which
//! symbols are candidates of a sampled softmax, which rows of a table have a gradient.

use std::collections::HashMap;

use super::{Matrix, SlotId, SparseUpdate, scatter};
use crate::rng::{Purpose, Stream};

/// Everything of this kind that a plan wants.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// Adaptive softmax.
    pub clusters: Option<Clusters>,
    /// Sampled softmax.
    pub candidates: Option<Candidates>,
    /// Tables whose gradients are compact rows.
    pub tables: Vec<SparseTable>,
}

/// What it is worked out from.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The input ids of the rows that count.
    pub ids: &'a [u32],
    /// Their targets.
    pub targets: &'a [u32],
    /// Weights of the rows.
    pub weights: Option<&'a [f32]>,
    /// The run's random key.
    pub key: [u32; 2],
    /// The training step.
    pub step: [u32; 2],
}

/// The contents of a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Filling {
    /// Whole numbers.
    Words(Vec<u32>),
    /// Numbers.
    Numbers(Vec<f32>),
}

type Fillings = Vec<(SlotId, Filling)>;

impl Derived {
    /// Whether a plan wants nothing of it.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_none() && self.candidates.is_none() && self.tables.is_empty()
    }

    /// The slots' contents for a minibatch.
    pub fn fill(&self, given: &Given<'_>) -> Fillings {
        let mut all = Vec::new();
        if let Some(clusters) = &self.clusters {
            clusters.fill(given, &mut all);
        }
        let mut drawn = Vec::new();
        if let Some(candidates) = &self.candidates {
            drawn = candidates.fill(given, &mut all);
        }
        for table in &self.tables {
            table.fill(given.ids, &drawn, &mut all);
        }
        all
    }
}

/// The clusters of an adaptive softmax: symbols `0 .. cutoffs[0]` have scores of their own, cluster i is
/// `cutoffs[i] .. cutoffs[i + 1]`.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// Where the clusters start; the last is V.
    pub cutoffs: Vec<usize>,
    /// The most rows, R.
    pub rows: usize,
    /// Words `[R]`: each row's target among the first symbols and the clusters.
    pub head: SlotId,
    /// How many rows each cluster has.
    pub counts: SlotId,
    /// The clusters.
    pub tails: Vec<Tail>,
}

/// The slots of a cluster.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Words `[R]`: its rows, padded with zeros.
    pub rows: SlotId,
    /// Words `[R]`: their targets within the cluster.
    pub targets: SlotId,
    /// The index that takes its rows back to their places, as [`scatter::index`] makes one [R + R + 1].
    pub index: SlotId,
    /// Their weights `[R]`, where rows have weights.
    pub weights: Option<SlotId>,
}

impl Clusters {
    fn fill(&self, given: &Given<'_>, all: &mut Fillings) {
        let shortlist = self.cutoffs[0];
        let mut head = vec![0; self.rows];
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); self.tails.len()];
        for (r, target) in given.targets.iter().enumerate() {
            let cluster = self.cutoffs.partition_point(|c| *c <= *target as usize);
            head[r] = match cluster {
                0 => *target,
                n => {
                    members[n - 1].push(r as u32);
                    (shortlist + n - 1) as u32
                }
            };
        }
        let counts = members.iter().map(|m| m.len() as u32).collect();
        all.push((self.head, Filling::Words(head)));
        all.push((self.counts, Filling::Words(counts)));
        for ((tail, rows), first) in self.tails.iter().zip(members).zip(&self.cutoffs) {
            let mut targets: Vec<u32> = { rows.iter() }
                .map(|r| given.targets[*r as usize] - *first as u32)
                .collect();
            targets.resize(self.rows, 0);
            all.push((tail.targets, Filling::Words(targets)));
            let index = scatter::index(&rows, self.rows, self.rows);
            all.push((tail.index, Filling::Words(index)));
            if let Some(slot) = tail.weights {
                let weight = |r: &u32| given.weights.map_or(1.0, |w| w[*r as usize]);
                let mut weights: Vec<f32> = rows.iter().map(weight).collect();
                weights.resize(self.rows, 0.0);
                all.push((slot, Filling::Numbers(weights)));
            }
            let mut rows = rows;
            rows.resize(self.rows, 0);
            all.push((tail.rows, Filling::Words(rows)));
        }
    }
}

/// The candidates of a sampled softmax: symbols drawn for the whole minibatch without repetition, the n-th with a
/// probability of log((n + 2) / (n + 1)) / log(V + 1), then the targets that were not drawn.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// V.
    pub vocab: usize,
    /// How many are drawn.
    pub samples: usize,
    /// The most rows, R; there are `samples` + R columns, N.
    pub rows: usize,
    /// Words `[N]`: the candidates, padded with the first of them.
    pub ids: SlotId,
    /// Numbers `[N]`: the log of how often each is expected to be drawn.
    pub corrections: SlotId,
    /// Words `[R]`: the column of each row's target.
    pub targets: SlotId,
    /// The index that takes columns to symbols, as [`scatter::index`] makes one [N + V + 1]; for dense gradients.
    pub index: Option<SlotId>,
}

impl Candidates {
    /// Returns the candidates without padding.
    fn fill(&self, given: &Given<'_>, all: &mut Fillings) -> Vec<u32> {
        let (mut ids, tries) = self.draw(given);
        let mut columns: HashMap<u32, usize> = HashMap::new();
        for (column, id) in ids.iter().enumerate() {
            columns.insert(*id, column);
        }
        let mut targets: Vec<u32> = Vec::with_capacity(self.rows);
        for target in given.targets {
            let column = *columns.entry(*target).or_insert_with(|| {
                ids.push(*target);
                ids.len() - 1
            });
            targets.push(column as u32);
        }
        targets.resize(self.rows, 0);
        let columns = self.samples + self.rows;
        let mut corrections: Vec<f32> = { ids.iter() }
            .map(|id| self.expected(*id, tries).ln() as f32)
            .collect();
        corrections.resize(columns, 0.0);
        let mut padded = ids.clone();
        padded.resize(columns, ids[0]);
        all.push((self.ids, Filling::Words(padded)));
        all.push((self.corrections, Filling::Numbers(corrections)));
        all.push((self.targets, Filling::Words(targets)));
        if let Some(slot) = self.index {
            let index = scatter::index(&ids, columns, self.vocab);
            all.push((slot, Filling::Words(index)));
        }
        ids
    }

    /// Distinct symbols, and how many draws they took.
    fn draw(&self, given: &Given<'_>) -> (Vec<u32>, u64) {
        let seed = u64::from(given.key[0]) | u64::from(given.key[1]) << 32;
        let step = u64::from(given.step[0]) | u64::from(given.step[1]) << 32;
        let mut stream = Stream::new(seed, Purpose::Candidates, step);
        let range = (self.vocab as f64 + 1.0).ln();
        let mut known = std::collections::HashSet::new();
        let mut ids = Vec::with_capacity(self.samples + self.rows);
        let mut tries = 0;
        while ids.len() < self.samples {
            tries += 1;
            // Two words: the 24 bits of one do not reach every symbol of a large vocabulary.
            let (high, low) = (stream.uniform(), stream.uniform());
            let u = f64::from(high) + f64::from(low) / 16_777_216.0;
            let id = ((u * range).exp() as usize).saturating_sub(1);
            let id = id.min(self.vocab - 1) as u32;
            if known.insert(id) {
                ids.push(id);
            }
        }
        (ids, tries)
    }

    /// How often `id` is expected among the symbols of so many draws: 1 - (1 - p)^tries.
    fn expected(&self, id: u32, tries: u64) -> f64 {
        let n = f64::from(id);
        let p = (1.0 / (n + 1.0)).ln_1p() / (self.vocab as f64 + 1.0).ln();
        -(tries as f64 * (-p).ln_1p()).exp_m1()
    }
}

/// Whose rows a table's gradient sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The inputs: R rows, one an id.
    Inputs,
    /// The candidates: N rows.
    Candidates,
}

/// A table [V, D] whose gradient is compact rows [M, D], one for every distinct id in use.
#[derive(Clone, Debug)]
pub struct SparseTable {
    /// The table among the parameters.
    pub table: Matrix,
    /// The gradient; rows without an id are 0.
    pub rows: Matrix,
    /// Words `[M]`: the rows' ids, [`SparseUpdate::NONE`] where there is none.
    pub ids: SlotId,
    /// Whose rows it sums up, how many those are at most, and the index that takes them to rows of the gradient, as
    /// [`scatter::index`] makes one.
    pub sources: Vec<(Source, usize, SlotId)>,
}

impl SparseTable {
    fn fill(&self, inputs: &[u32], candidates: &[u32], all: &mut Fillings) {
        let of = |source: Source| match source {
            Source::Inputs => inputs,
            Source::Candidates => candidates,
        };
        let used = self.sources.iter().flat_map(|(source, _, _)| of(*source));
        let mut ids: Vec<u32> = used.copied().collect();
        ids.sort_unstable();
        ids.dedup();
        for (source, rows, slot) in &self.sources {
            let place = |id: &u32| ids.partition_point(|known| known < id) as u32;
            let places: Vec<u32> = of(*source).iter().map(place).collect();
            let index = scatter::index(&places, *rows, self.rows.rows);
            all.push((*slot, Filling::Words(index)));
        }
        ids.resize(self.rows.rows, SparseUpdate::NONE);
        all.push((self.ids, Filling::Words(ids)));
    }

    /// The gradient of element [row, column] of the table, given the ids in use and the rows' values.
    pub fn gradient<F: Copy>(
        &self,
        ids: &[u32],
        rows: &[F],
        row: usize,
        column: usize,
    ) -> Option<F> {
        let place = ids.iter().position(|id| *id as usize == row)?;
        Some(rows[self.rows.offset + place * self.rows.stride + column])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(ids: &'a [u32], targets: &'a [u32]) -> Given<'a> {
        Given {
            ids,
            targets,
            weights: None,
            key: [1, 2],
            step: [3, 0],
        }
    }

    fn words(fillings: &Fillings, slot: usize) -> &[u32] {
        let found = fillings.iter().find(|f| f.0 == SlotId(slot));
        match found {
            Some((_, Filling::Words(words))) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clusters_get_the_rows_of_their_targets() {
        let tail = |first: usize| Tail {
            rows: SlotId(first),
            targets: SlotId(first + 1),
            index: SlotId(first + 2),
            weights: Some(SlotId(first + 3)),
        };
        let clusters = Clusters {
            cutoffs: vec![4, 6, 10],
            rows: 6,
            head: SlotId(0),
            counts: SlotId(1),
            tails: vec![tail(10), tail(20)],
        };
        let mut all = Vec::new();
        let weights = [0.5, 1.0, 2.0, 3.0, 4.0];
        let given = Given {
            weights: Some(&weights),
            ..given(&[], &[3, 9, 4, 0, 6])
        };
        clusters.fill(&given, &mut all);
        assert_eq!(words(&all, 0), [3, 5, 4, 0, 5, 0]);
        assert_eq!(words(&all, 1), [1, 2]);
        assert_eq!(words(&all, 10)[..1], [2]);
        assert_eq!(words(&all, 11)[..1], [0]);
        assert_eq!(words(&all, 20)[..2], [1, 4]);
        assert_eq!(words(&all, 21)[..2], [3, 0]);
        // Rows 1 and 4 get the cluster's rows 0 and 1.
        assert_eq!(words(&all, 22)[..2], [0, 1]);
        assert_eq!(words(&all, 22)[6..], [0, 0, 1, 1, 1, 2, 2]);
        let numbers = all.iter().find(|f| f.0 == SlotId(23));
        let Some((_, Filling::Numbers(numbers))) = numbers else {
            panic!("no weights");
        };
        assert_eq!(numbers[..2], [1.0, 4.0]);
    }

    fn candidates(vocab: usize, samples: usize, rows: usize) -> Candidates {
        Candidates {
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
        let ids = candidates(100, 12, 4).fill(&given(&[], &targets), &mut all);
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
            let given = Given {
                step: [step, 0],
                ..given(&[], &[])
            };
            let (ids, tries) = candidates.draw(&given);
            for id in ids {
                seen[id as usize] += 1.0;
            }
            for id in 0..50 {
                expected[id as usize] += candidates.expected(id, tries);
            }
        }
        for id in 0..50 {
            // Four deviations of a count, and what conditioning on the number of tries changes.
            let off = (seen[id] - expected[id]) / f64::from(runs);
            assert!(off.abs() < 0.05, "{id}: {} {}", seen[id], expected[id]);
        }
        assert!(seen[0] > 2.0 * seen[20]);
    }

    #[test]
    fn a_table_sums_each_id_once_whoever_used_it() {
        let table = SparseTable {
            table: super::super::gather::words(SlotId(9), 0),
            rows: Matrix {
                rows: 7,
                ..super::super::gather::words(SlotId(8), 2)
            },
            ids: SlotId(0),
            sources: vec![
                (Source::Inputs, 4, SlotId(1)),
                (Source::Candidates, 3, SlotId(2)),
            ],
        };
        let mut all = Vec::new();
        table.fill(&[5, 2, 5], &[8, 2], &mut all);
        let none = SparseUpdate::NONE;
        assert_eq!(words(&all, 0), [2, 5, 8, none, none, none, none]);
        // Rows 1; 0 and 2; none; ...
        assert_eq!(words(&all, 1), [1, 0, 2, 0, 0, 1, 3, 3, 3, 3, 3, 3]);
        assert_eq!(words(&all, 2), [1, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]);
    }
}
