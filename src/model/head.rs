//! What is above the recurrent layers: scores of the next token and their loss, in one of several ways.

use super::{Mode, Spec};
use crate::error::{Error, Result};
use crate::layer::{Adaptive, Builder, Chunked, CrossEntropy, Cut, Linear, Param, Sampled, Value};
use crate::op::{Fill, LogSoftmax, Matrix, Op, Output, RowSource, SlotId};

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

/// An embedding's table in the making.
pub(super) struct Table<'a> {
    /// What it is named after.
    pub label: &'a str,
    /// How many symbols there are.
    pub symbols: usize,
    /// The width.
    pub width: usize,
    /// The slot of the ids that are read, and how many there are.
    pub ids: (SlotId, usize),
    /// Whether its gradient may be compact rows: one layer reads it, and it alone or a sampled softmax over its symbols.
    pub sparse: bool,
}

/// What a loss is made of.
pub(super) struct Head<'a> {
    /// What its linear layer is named after.
    pub label: &'a str,
    /// Where targets and weights come from.
    pub loss: CrossEntropy,
    /// What the scores are made of.
    pub input: Value,
    /// The weight of another layer that it shares.
    pub shared: Option<Param>,
    /// The scores, where other lines read them, too; else they are made here.
    pub made: Option<Value>,
    /// How scores become a loss.
    pub softmax: &'a Softmax,
    /// Whether scores leave as log probabilities.
    pub log: bool,
}

impl Spec {
    /// Declares an embedding's table.
    pub(super) fn embedding(&self, builder: &mut Builder, table: &Table<'_>) -> Param {
        let shape = [table.symbols, table.width];
        let name = format!("{}.weight", table.label);
        let (ids, rows) = table.ids;
        let inputs = (RowSource::Inputs, rows);
        match (self.sparse && table.sparse, self.tie, &self.softmax) {
            (true, false, _) => builder.sparse_parameter(&name, shape, &[inputs], Some(ids)),
            (true, true, Softmax::Sampled { samples }) => {
                let candidates = (RowSource::Candidates, samples + rows);
                builder.sparse_parameter(&name, shape, &[inputs, candidates], Some(ids))
            }
            _ => builder.parameter(name, shape, &shape, false, vec![Fill::Embedding]),
        }
    }

    /// Writes scores and the loss of predicting them, when training with what gives the gradient to the layers below.
    pub(super) fn head(&self, builder: &mut Builder, head: Head<'_>, mode: Mode) -> Result<Output> {
        let Head {
            label,
            loss,
            input,
            mut shared,
            made,
            softmax,
            log,
        } = head;
        let (axis, symbols) = (builder.axis(input), loss.symbols);
        let output = |losses: Option<Matrix>, scores: Option<Matrix>| Output {
            field: Some(loss.field),
            axis: axis.number(),
            losses,
            scores,
            values: Vec::new(),
            rounds: Vec::new(),
        };
        match softmax {
            Softmax::Full => {}
            Softmax::Adaptive { cutoffs } => {
                let head = Adaptive {
                    name: label.into(),
                    cutoffs: cutoffs.clone(),
                    vocab: symbols,
                    div: DIV,
                    loss,
                    at_once: self.scores_at_once,
                };
                if mode == Mode::Scores {
                    let scores = head.scores(builder, input)?;
                    return Ok(output(None, Some(scores)));
                }
                return Ok(output(Some(head.write(builder, input)?), None));
            }
            Softmax::Sampled { samples } => {
                if *samples == 0 || *samples > symbols / 2 {
                    return Err(Error::usage(format!(
                        "samples: expected 1 to half of the vocabulary's {symbols} symbols, got {samples}"
                    )));
                }
                if builder.training {
                    let head = Sampled {
                        name: label.into(),
                        vocab: symbols,
                        samples: *samples,
                        shared,
                        sparse: self.sparse,
                        loss,
                    };
                    return Ok(output(Some(head.write(builder, input)?), None));
                }
                if shared.is_none() {
                    let shape = [symbols, builder.signal(input).width()];
                    let weight =
                        Sampled::weight(builder, label, axis, shape, self.sparse, *samples);
                    shared = Some(weight);
                }
            }
        }
        let cut = Cut::new(axis.rows(), symbols, self.scores_at_once).filter(|_| made.is_none());
        if cut.is_some() && builder.training && self.label_smoothing > 0.0 {
            return Err(Error::usage(format!(
                "label-smoothing: expected 0, as scores of {symbols} symbols at {} positions are made in chunks, got {}",
                axis.rows(),
                self.label_smoothing
            )));
        }
        if cut.is_some() && mode != Mode::Scores {
            let head = Chunked {
                name: label.into(),
                vocab: symbols,
                shared,
                loss,
                at_once: self.scores_at_once,
            };
            return Ok(output(Some(head.write(builder, input)?), None));
        }
        let scores = match made {
            Some(made) => made,
            None => Linear::new(label, symbols, shared).write(builder, input)?,
        };
        let rows = builder.rows(scores)?;
        if mode != Mode::Scores {
            return Ok(output(Some(loss.write(builder, scores)?), Some(rows)));
        }
        if log {
            builder.push(Op::LogSoftmax(LogSoftmax {
                name: format!("{label}.log_softmax"),
                from: rows,
                add: None,
                to: rows,
            }));
        }
        Ok(output(None, Some(rows)))
    }
}
