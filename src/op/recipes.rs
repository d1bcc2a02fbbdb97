//! What the host fills before a run: the slots that a minibatch brings contents for, and what they are made of.
//!
//! Who makes a minibatch knows these recipes; an executor knows only that such slots are filled, see [`Plan::filled`].
//!
//! [`Plan::filled`]: super::Plan::filled

use super::{Matrix, SlotId};

/// The slots that the host fills, by what it makes them of; absent where the plan has no such thing.
#[derive(Clone, Debug, Default)]
pub struct Recipes {
    /// Token ids [T+1, B]: row t is the input of step t and, where there are no `targets`, the target of step t - 1.
    pub ids: Option<SlotId>,
    /// Targets [T, B] that are not the next inputs.
    pub targets: Option<SlotId>,
    /// For the rows of `ids` [T * B]: row numbers sorted by token id, then where each id's run starts [V + 1].
    pub index: Option<SlotId>,
    /// The token ids of the rows, each sequence from its end on, for packed sequences that are read in that direction too.
    pub flipped: Option<FlippedIds>,
    /// Weights of the positions [T, B] in the loss.
    pub weights: Option<SlotId>,
    /// How many rows count, for matrices and scans whose rows differ from run to run; see [`Packing`](super::Packing).
    pub counts: Option<SlotId>,
    /// Control words, see [`Control`](super::Control).
    pub control: Option<SlotId>,
    /// Numbers set for every run, see [`Hyper`](super::Hyper).
    pub hyper: Option<SlotId>,
    /// Adaptive softmax.
    pub clusters: Option<Clusters>,
    /// Sampled softmax.
    pub candidates: Option<Candidates>,
    /// Tables whose gradients are compact rows.
    pub tables: Vec<SparseTable>,
}

impl Recipes {
    /// What the index of these ids is called, and its slot.
    pub fn index_of(&mut self, ids: SlotId) -> (&'static str, &mut Option<SlotId>) {
        match &mut self.flipped {
            Some(flipped) if flipped.ids == ids => ("index.flipped", &mut flipped.index),
            _ => ("index", &mut self.index),
        }
    }
}

/// Token ids in the order of [`PackedAxis::flip`](super::PackedAxis::flip).
#[derive(Clone, Copy, Debug)]
pub struct FlippedIds {
    /// Words `[R]`: the ids.
    pub ids: SlotId,
    /// Their index, as [`Recipes::index`].
    pub index: Option<SlotId>,
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
    /// The index that takes its rows back to their places, as [`scatter::index`](super::scatter::index) makes one [R + R + 1].
    pub index: SlotId,
    /// Their weights `[R]`, where rows have weights.
    pub weights: Option<SlotId>,
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
    /// The index that takes columns to symbols, as [`scatter::index`](super::scatter::index) makes one [N + V + 1]; for dense gradients.
    pub index: Option<SlotId>,
}

/// Whose rows a table's gradient sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSource {
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
    /// Words `[M]`: the rows' ids, [`SparseUpdate::NONE`](super::SparseUpdate::NONE) where there is none.
    pub ids: SlotId,
    /// Whose rows it sums up, how many those are at most, and the index that takes them to rows of the gradient, as
    /// [`scatter::index`](super::scatter::index) makes one.
    pub sources: Vec<(RowSource, usize, SlotId)>,
}

impl SparseTable {
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
