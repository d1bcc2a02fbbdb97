//! What is above the recurrent layers: scores of the next token and their loss, in one of several ways.

use super::{Mode, Spec};
use crate::error::{Error, Result};
use crate::layer::{
    Adaptive, Axis, Builder, Chunked, Cut, Linear, Param, Sampled, SoftmaxXent, Value,
};
use crate::op::{Fill, Matrix, RowSource, SlotId};

/// How scores become a loss.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Softmax {
    /// Over all symbols.
    #[default]
    Full,
    /// Over clusters of symbols and within them (Grave 2017). Symbols are by falling frequency.
    Adaptive {
        /// Where the clusters start, rising.
        cutoffs: Vec<usize>,
    },
    /// While training over drawn symbols and the targets (Jean 2015), else over all.
    Sampled {
        /// How many symbols are drawn for a minibatch.
        samples: usize,
    },
}

/// By how much each cluster's projection is narrower than that of the cluster before: torch's default.
const DIV: usize = 4;

impl Softmax {
    /// Cutoffs where none are given: a fortieth and a quarter of the vocabulary.
    pub fn default_cutoffs(vocab: usize) -> Vec<usize> {
        let mut cutoffs = vec![(vocab / 40).max(1), (vocab / 4).max(2)];
        cutoffs.retain(|c| *c < vocab);
        cutoffs
    }
}

impl Spec {
    /// The embedding's table, for a model that has one.
    pub(super) fn embedding(&self, builder: &mut Builder, axis: Axis) -> Option<Param> {
        let shape = [self.vocab, self.embed];
        let name = "embedding.weight";
        if self.embed == 0 {
            return None;
        }
        let inputs = (RowSource::Inputs, axis.rows());
        Some(match (self.sparse, self.tie, &self.softmax) {
            (true, false, _) => builder.sparse_parameter(name, shape, &[inputs]),
            (true, true, Softmax::Sampled { samples }) => {
                let candidates = (RowSource::Candidates, samples + axis.rows());
                builder.sparse_parameter(name, shape, &[inputs, candidates])
            }
            _ => builder.parameter(name, shape, &shape, false, vec![Fill::Weight]),
        })
    }

    /// Writes scores and the loss of predicting `ids`, when training with what gives the gradient to the layers below:
    /// returns the losses; nothing where only scores are asked for.
    pub(super) fn head(
        &self,
        builder: &mut Builder,
        ids: SlotId,
        input: Value,
        shared: Option<Param>,
        mode: Mode,
    ) -> Result<Option<Matrix>> {
        let axis = builder.axis(input);
        let loss = SoftmaxXent {
            ids,
            weighted: mode == Mode::Evaluate || self.weighted,
            apart: builder.training && self.targets_apart || self.packed > 0,
        };
        let mut shared = shared;
        match &self.softmax {
            Softmax::Full => {}
            Softmax::Adaptive { cutoffs } => {
                let head = Adaptive {
                    cutoffs: cutoffs.clone(),
                    vocab: self.vocab,
                    div: DIV,
                    loss,
                    at_once: self.scores_at_once,
                };
                if mode == Mode::Scores {
                    let scores = head.scores(builder, input)?;
                    builder.plan.io.logits = Some(scores.slot);
                    return Ok(None);
                }
                return head.write(builder, input).map(Some);
            }
            Softmax::Sampled { samples } => {
                if *samples == 0 || *samples > self.vocab / 2 {
                    return Err(Error::usage(format!(
                        "samples: expected 1 to half of the vocabulary's {} symbols, got {samples}",
                        self.vocab
                    )));
                }
                if builder.training {
                    let head = Sampled {
                        vocab: self.vocab,
                        samples: *samples,
                        shared,
                        sparse: self.sparse,
                        loss,
                    };
                    return head.write(builder, input).map(Some);
                }
                if shared.is_none() {
                    let shape = [self.vocab, builder.signal(input).width()];
                    let weight = Sampled::weight(builder, axis, shape, self.sparse, *samples);
                    shared = Some(weight);
                }
            }
        }
        let cut = Cut::new(axis.rows(), self.vocab, self.scores_at_once);
        if cut.is_some() && mode != Mode::Scores {
            let head = Chunked {
                name: "head".into(),
                vocab: self.vocab,
                shared,
                loss,
                at_once: self.scores_at_once,
            };
            return head.write(builder, input).map(Some);
        }
        let scores = Linear::new("head", self.vocab, shared).write(builder, input)?;
        builder.plan.io.logits = Some(builder.rows(scores)?.slot);
        if mode == Mode::Scores {
            return Ok(None);
        }
        loss.write(builder, scores).map(Some)
    }
}
