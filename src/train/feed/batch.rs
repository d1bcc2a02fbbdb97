//! One step's minibatch: of a text in token ids, or examples of a model's fields.

use crate::data::{PackedSequences, StateCarry, StreamMinibatch};
use crate::op::Packing;
use crate::task;

/// The inputs of one step.
#[derive(Debug)]
pub enum Batch {
    /// Of a text.
    Text(TextBatch),
    /// Examples of several fields.
    Examples(ExampleBatch),
}

impl Batch {
    /// How many predictions count.
    pub fn counted(&self) -> usize {
        match self {
            Batch::Text(batch) => batch.counted,
            Batch::Examples(batch) => batch.minibatch.predictions(),
        }
    }

    /// What the sum of its losses is multiplied by for their mean, where that is not the mean over what counts.
    pub fn scale(&self) -> Option<f64> {
        match self {
            Batch::Text(_) => None,
            Batch::Examples(batch) => Some(batch.minibatch.scale()),
        }
    }
}

/// A minibatch of examples.
#[derive(Debug)]
pub struct ExampleBatch {
    /// What a run reads.
    pub minibatch: task::Minibatch,
    /// Which examples they are.
    pub examples: Vec<u32>,
}

/// A minibatch of a text.
#[derive(Debug)]
pub struct TextBatch {
    /// Token ids as the plan takes them.
    pub ids: Vec<u32>,
    /// Targets, where they are not the next ids.
    pub targets: Option<Vec<u32>>,
    /// Weights of the predictions, where not all count.
    pub weights: Option<Vec<f32>>,
    /// Where packed steps start.
    pub starts: Option<Vec<u32>>,
    /// How many predictions count.
    pub counted: usize,
    /// Sequences side by side.
    pub rows: usize,
    /// Whether the state goes on.
    pub carry: StateCarry,
}

impl From<StreamMinibatch> for TextBatch {
    fn from(minibatch: StreamMinibatch) -> TextBatch {
        TextBatch {
            counted: minibatch.counted(),
            rows: minibatch.batch,
            carry: minibatch.carry,
            targets: None,
            weights: minibatch.weights,
            starts: None,
            ids: minibatch.ids,
        }
    }
}

impl TextBatch {
    /// A minibatch of lines, filled up to the plan's sizes with what no operation looks at.
    pub fn packed(packed: PackedSequences, packing: &Packing) -> TextBatch {
        let (counted, rows) = (packed.rows(), packed.batch());
        let mut starts: Vec<u32> = packed.starts.iter().map(|start| *start as u32).collect();
        starts.resize(packing.steps + 1, counted as u32);
        let (mut ids, mut targets) = (packed.ids, packed.targets);
        ids.resize(packing.rows + 1, 0);
        targets.resize(packing.rows, 0);
        TextBatch {
            ids,
            targets: Some(targets),
            weights: None,
            starts: Some(starts),
            counted,
            rows,
            carry: StateCarry::Reset,
        }
    }

    /// The targets, and whether each counts.
    fn targets(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        let targets = self.targets.as_deref().unwrap_or(&self.ids[self.rows..]);
        targets.iter().enumerate().map(|(at, target)| {
            let counts = match &self.weights {
                None => at < self.counted,
                Some(weights) => weights[at] != 0.0,
            };
            (*target, counts)
        })
    }

    /// How many of the predictions that count are of `symbol`.
    pub fn predictions_of(&self, symbol: u32) -> usize {
        self.targets().filter(|t| *t == (symbol, true)).count()
    }

    /// The predictions of `symbol` no longer count.
    pub fn leave_out(&mut self, symbol: u32) {
        let weights = self
            .targets()
            .map(|(target, counts)| f32::from(u8::from(counts && target != symbol)));
        let weights: Vec<f32> = weights.collect();
        self.counted = weights.iter().filter(|w| **w != 0.0).count();
        self.weights = Some(weights);
    }

    /// The same with every sequence as long as the longest; what fills them has no weight.
    pub(super) fn padded(packed: &PackedSequences, packing: &Packing) -> TextBatch {
        let (steps, rows) = (packed.steps(), packed.batch());
        let mut ids = vec![0; packing.rows + 1];
        let mut targets = vec![0; packing.rows];
        let mut weights = vec![0.0; packing.rows];
        for t in 0..steps {
            for b in 0..packed.active(t) {
                let (from, to) = (packed.starts[t] + b, t * rows + b);
                (ids[to], targets[to]) = (packed.ids[from], packed.targets[from]);
                weights[to] = 1.0;
            }
        }
        TextBatch {
            ids,
            targets: Some(targets),
            weights: Some(weights),
            starts: Some(
                (0..=packing.steps)
                    .map(|t| (t.min(steps) * rows) as u32)
                    .collect(),
            ),
            counted: packed.rows(),
            rows,
            carry: StateCarry::Reset,
        }
    }
}
