//! The memories that a layer's cell looks at: their keys before the loop over time, and the gradients along them after it.

use super::Recurrent;
use crate::cell::ScoreKind;
use crate::error::{Error, Result};
use crate::layer::attend::{Pairs, matrices, memory_backward, score_vector};
use crate::layer::{Axis, Builder, Linear, Param, Value};
use crate::op::attend::PairScores;
use crate::op::pair_sum::PairForm;
use crate::op::scan::{Scan, ScanAttention};

/// What an attention's backward pass needs of its forward pass.
#[derive(Debug)]
pub(super) struct SavedAttention {
    memory: Value,
    scoring: PairScores<Value, Param>,
    /// The sums along the memory, in training.
    along: Option<PairForm>,
}

impl Recurrent {
    /// The same layer, whose cell's memories are `memories`, in the cell's order: rows [M, H] along packed axes.
    pub fn memories(self, memories: Vec<Value>) -> Self {
        Recurrent { memories, ..self }
    }

    /// Writes the keys of each attention, and says where its memory lies.
    ///
    /// # Errors
    /// Usage: another number of memories than the cell has, or one of another width than H.
    pub(super) fn write_memories(
        &self,
        builder: &mut Builder,
        axis: Axis,
    ) -> Result<(Vec<ScanAttention>, Vec<SavedAttention>)> {
        let (h, name) = (self.hidden, &self.cell.name);
        let (expected, found) = (self.cell.memories.len(), self.memories.len());
        if expected != found {
            return Err(Error::usage(format!(
                "cell {name}: expected as many memories as it looks at, {expected}, found {found}: a model gives them, `rnn(v, memory = m)`"
            )));
        }
        let (mut attentions, mut looking) = (Vec::new(), Vec::new());
        for attention in &self.cell.attentions {
            let memory = self.memories[attention.memory];
            let width = builder.signal(memory).width();
            if width != h {
                let written = &self.cell.memories[attention.memory];
                return Err(Error::usage(format!(
                    "cell {name}: memory {written} is {width} wide, expected the hidden size, {h}: `linear(v)` makes it that"
                )));
            }
            let variable = &attention.variable;
            let scoring = match attention.scores {
                ScoreKind::Dot => PairScores::Dot(memory),
                ScoreKind::Additive => {
                    let keys = self.parameter_name(&format!("keys_{variable}"));
                    let vector = self.parameter_name(&format!("v_{variable}"));
                    PairScores::Additive(
                        Linear::new(keys, h, None).write(builder, memory)?,
                        score_vector(builder, format!("{vector}.weight"), h),
                    )
                }
                ScoreKind::Window => PairScores::Window,
            };
            let below = builder.axis(memory);
            let label = format!("{}.{variable}", self.label);
            let weights = builder.activation(axis, format!("attention.{label}"), below.steps);
            attentions.push(ScanAttention {
                memory: builder.looked_at(&label, axis, below)?,
                scoring: matrices(builder, scoring)?,
                values: builder.rows(memory)?,
                weights,
                scores: None,
            });
            let along = if builder.training {
                Some(builder.looking(&label, axis, below)?)
            } else {
                None
            };
            looking.push(SavedAttention {
                memory,
                scoring,
                along,
            });
        }
        Ok((attentions, looking))
    }

    /// Slots for the gradients of the scores, before the scan back through time.
    pub(super) fn scores_backward(
        &self,
        builder: &mut Builder,
        axis: Axis,
        attentions: &mut [ScanAttention],
    ) {
        for (of, written) in attentions.iter_mut().zip(&self.cell.attentions) {
            let name = format!("d.scores.{}.{}", self.label, written.variable);
            of.scores = Some(builder.activation(axis, name, of.weights.cols));
        }
    }

    /// After the scan: the gradients of the memories, of keys and of vectors, from what it has left of all steps.
    pub(super) fn memories_backward(
        &self,
        builder: &mut Builder,
        axis: Axis,
        scan: &Scan,
        looking: &[SavedAttention],
    ) {
        let of = scan.attentions.iter().zip(looking);
        for (a, (attention, looking)) in of.enumerate() {
            let written = &self.cell.attentions[a];
            let deltas = self.compiled.attention_deltas[a];
            let upstream = deltas.and_then(|[result, _]| scan.delta_rows(result));
            let query = scan.made_rows(written.query_slot);
            let (Some(upstream), Some(query), Some(scores), Some(along)) =
                (upstream, query, attention.scores, looking.along)
            else {
                continue;
            };
            let counted = |m| crate::op::Matrix {
                row_count: axis.row_count(),
                ..m
            };
            let pairs = Pairs {
                weights: attention.weights,
                scores,
                upstream: counted(upstream),
                query: counted(query),
            };
            let label = format!("{}.{}", self.label, written.variable);
            let of = (looking.memory, looking.scoring);
            memory_backward(builder, &label, along, &pairs, of);
        }
    }
}
