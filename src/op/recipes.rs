//! What the host fills before a run: the slots that a minibatch brings contents for, and what they are made of.
//!
//! Who makes a minibatch knows these recipes; an executor knows only that such slots are filled, see [`Plan::filled`].
//!
//! [`Plan::filled`]: super::Plan::filled

use super::{Matrix, SlotId};

/// The slots that the host fills, by what it makes them of; absent where the plan has no such thing.
#[derive(Clone, Debug, Default)]
pub struct Recipes {
    /// How many rows count, for matrices and scans whose rows differ from run to run; see [`Packing`](super::Packing).
    pub counts: Option<SlotId>,
    /// Control words, see [`Control`](super::Control).
    pub control: Option<SlotId>,
    /// Numbers set for every run, see [`Hyper`](super::Hyper).
    pub hyper: Option<SlotId>,
    /// The slots that hold a minibatch's data, or what follows from it.
    pub slots: Vec<(SlotId, Recipe)>,
    /// What the fields of the data are, as far as slots are made of them, in the order of their numbers.
    pub fields: Vec<FieldShape>,
    /// The packed axis with one row an example, where there is one.
    pub examples: Option<usize>,
    /// Adaptive softmax.
    pub clusters: Option<Clusters>,
    /// Sampled softmax.
    pub candidates: Option<Candidates>,
    /// Tables whose gradients are compact rows.
    pub tables: Vec<SparseTable>,
}

/// What a slot is filled with. Rows lie along an axis of the plan; see [`PackedAxis`](super::PackedAxis) for the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Token ids of a field [T+1, B]: row t is what step t reads and, where the field's loss has no targets of its own, the
    /// target of step t - 1. Of packed sequences [R+1].
    Ids {
        /// The field.
        field: usize,
        /// How many steps earlier in its sequence each row's token stands.
        back: usize,
    },
    /// For every row of a field of tokens: its token and those before it, as one symbol; see
    /// [`task::gram`](crate::task::gram).
    Grams {
        /// The field.
        field: usize,
        /// How many tokens.
        tokens: usize,
        /// How many symbols there are.
        symbols: usize,
    },
    /// For every row of a field with steps: its number within its sequence, as one of so many symbols; the last of them stands for
    /// all that are behind it.
    Positions {
        /// The field.
        field: usize,
        /// How many symbols there are.
        symbols: usize,
    },
    /// The classes of a field, or what is to be predicted of its tokens, a word for every row.
    Classes {
        /// The field.
        field: usize,
    },
    /// What a loss predicts, which is not the next ids: tokens one step on, or classes, a word for every row.
    Targets {
        /// The field.
        field: usize,
        /// The loss.
        loss: usize,
    },
    /// Weights of the rows in a loss.
    Weights {
        /// The loss.
        loss: usize,
    },
    /// Real vectors of a field, a row an example or a step.
    Numbers {
        /// The field.
        field: usize,
        /// Those of which steps.
        reach: Reach,
    },
    /// Draws from the unit Gaussian, a function of the run's random key and step.
    Draws {
        /// Which of the plan's draws they are.
        stream: u32,
    },
    /// The ids of a slot in the order of [`PackedAxis::flip`](super::PackedAxis::flip).
    Flipped {
        /// That slot.
        ids: SlotId,
    },
    /// For the words of a slot that count, as places in a table: row numbers sorted by word, then where each word's run
    /// starts, as [`scatter::index`](super::scatter::index) makes them.
    Index {
        /// That slot.
        of: SlotId,
    },
    /// For every row above an axis: the last row of the sequence that is it.
    Last {
        /// The axis.
        axis: usize,
    },
    /// For every row above an axis: which of the axis' sequences is it, and so its first row.
    Order {
        /// The axis.
        axis: usize,
    },
    /// For every sequence of an axis: which row above the axis it is.
    Above {
        /// The axis.
        axis: usize,
    },
    /// For every row along an axis: the sequence of a memory that its example has.
    Attended {
        /// The axis.
        axis: usize,
        /// The memory's axis, whose sequences are examples.
        memory: usize,
    },
    /// For every sequence of a memory: that of an axis whose example is the same.
    Attending {
        /// The axis, whose sequences are examples or whose rows are.
        axis: usize,
        /// The memory's axis, whose sequences are examples.
        memory: usize,
    },
    /// For every row of an axis along which sequences are written: the row of the run before from which it goes on.
    Parents {
        /// The axis.
        axis: usize,
    },
}

/// Steps side by side in a row, counted from the row's own; before the first step of a sequence everything is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// How much later than the row's the first of them is; earlier where it is negative.
    pub first: isize,
    /// How many.
    pub steps: usize,
}

impl Reach {
    /// The one so many steps back.
    pub fn back(steps: usize) -> Reach {
        Reach {
            first: -(steps as isize),
            steps: 1,
        }
    }

    /// So many, of which the row's own is the last.
    pub fn window(steps: usize) -> Reach {
        Reach {
            first: 1 - steps as isize,
            steps,
        }
    }

    /// So many from the next one on.
    pub fn ahead(steps: usize) -> Reach {
        Reach { first: 1, steps }
    }
}

/// What a field is, as far as slots are made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldShape {
    /// A sequence of token ids for every row above the axis along which they lie.
    Tokens {
        /// The packed axis; none in a plan for streams, or where nothing reads them.
        axis: Option<usize>,
        /// How many symbols there are.
        symbols: usize,
        /// The symbols that stand before and behind a sequence. One that is predicted is read from the first on, so that it
        /// has a row more than tokens.
        marks: [u32; 2],
        /// Whether a loss predicts the next token.
        predicted: bool,
    },
    /// One class an example.
    Class {
        /// How many classes there are.
        classes: usize,
    },
    /// One class for every step of another field.
    Classes {
        /// How many classes there are.
        classes: usize,
        /// The field.
        along: usize,
    },
    /// A real vector an example.
    Vector {
        /// Its width.
        width: usize,
    },
    /// A real vector for every step of another field.
    RealsAlong {
        /// Its width.
        width: usize,
        /// The field.
        along: usize,
    },
    /// A sequence of real vectors an example.
    Reals {
        /// The packed axis along which they lie.
        axis: Option<usize>,
        /// The width of a vector.
        width: usize,
        /// Whether its numbers are 0 or 1.
        bits: bool,
        /// How many steps at the end of a sequence are predicted and have no row.
        ahead: usize,
    },
}

impl FieldShape {
    /// How many rows a sequence of so many steps has, along the field's own axis.
    pub fn rows_of(&self, steps: usize) -> usize {
        match self {
            FieldShape::Tokens { predicted, .. } => steps + usize::from(*predicted),
            FieldShape::Reals { ahead, .. } => steps.saturating_sub(*ahead),
            FieldShape::Class { .. }
            | FieldShape::Classes { .. }
            | FieldShape::Vector { .. }
            | FieldShape::RealsAlong { .. } => 1,
        }
    }

    /// How many steps a sequence of so many rows has.
    pub fn steps_of(&self, rows: usize) -> usize {
        match self {
            FieldShape::Tokens { predicted, .. } => rows - usize::from(*predicted),
            FieldShape::Reals { ahead, .. } => rows + ahead,
            FieldShape::Class { .. }
            | FieldShape::Classes { .. }
            | FieldShape::Vector { .. }
            | FieldShape::RealsAlong { .. } => 1,
        }
    }

    /// The field along whose steps it lies.
    fn along(&self) -> Option<usize> {
        match self {
            FieldShape::Classes { along, .. } | FieldShape::RealsAlong { along, .. } => {
                Some(*along)
            }
            FieldShape::Tokens { .. }
            | FieldShape::Reals { .. }
            | FieldShape::Class { .. }
            | FieldShape::Vector { .. } => None,
        }
    }

    /// The packed axis along which a field's own steps lie.
    pub fn axis(&self) -> Option<usize> {
        match self {
            FieldShape::Tokens { axis, .. } | FieldShape::Reals { axis, .. } => *axis,
            FieldShape::Class { .. }
            | FieldShape::Classes { .. }
            | FieldShape::Vector { .. }
            | FieldShape::RealsAlong { .. } => None,
        }
    }
}

impl Recipes {
    /// The packed axis along which a field lies: that of its own steps, or of those of another field.
    pub fn axis_of(&self, field: usize) -> Option<usize> {
        let of = self.fields.get(field)?.along().unwrap_or(field);
        self.fields.get(of)?.axis()
    }

    /// The slot of the first recipe for which `these` holds.
    pub fn find(&self, these: impl Fn(&Recipe) -> bool) -> Option<SlotId> {
        self.all(these).next()
    }

    /// The slots of all recipes for which `these` holds.
    pub fn all(&self, these: impl Fn(&Recipe) -> bool) -> impl Iterator<Item = SlotId> {
        let slots = self.slots.iter();
        slots
            .filter(move |(_, recipe)| these(recipe))
            .map(|(slot, _)| *slot)
    }

    /// The token ids that are read, the first slot of such.
    pub fn ids(&self) -> Option<SlotId> {
        self.find(|recipe| matches!(recipe, Recipe::Ids { .. }))
    }

    /// The targets of the first loss that has some of its own.
    pub fn targets(&self) -> Option<SlotId> {
        self.find(|recipe| matches!(recipe, Recipe::Targets { .. }))
    }

    /// The weights of the rows in the first loss that has some.
    pub fn weights(&self) -> Option<SlotId> {
        self.find(|recipe| matches!(recipe, Recipe::Weights { .. }))
    }

    /// The index of the words of a slot.
    pub fn index(&self, of: SlotId) -> Option<SlotId> {
        self.find(|recipe| *recipe == Recipe::Index { of })
    }
}

/// Where the targets of a loss lie, and the weights of its rows.
#[derive(Clone, Copy, Debug)]
pub struct LossRows {
    /// The slot of the targets.
    pub targets: SlotId,
    /// The word of the first row's target.
    pub first: usize,
    /// The slot of the weights, where rows have weights.
    pub weights: Option<SlotId>,
}

/// The clusters of an adaptive softmax: symbols `0 .. cutoffs[0]` have scores of their own, cluster i is
/// `cutoffs[i] .. cutoffs[i + 1]`.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// The loss whose rows they divide.
    pub of: LossRows,
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
    /// The loss whose targets they are for.
    pub of: LossRows,
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
    /// The ids that are read: R rows, one an id.
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
    /// The slot of the ids that are read, where it is among the sources.
    pub inputs: Option<SlotId>,
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
