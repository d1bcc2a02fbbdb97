//! A linear layer with softmax and cross-entropy that never holds the scores of all rows and symbols: exact, in chunks of
//! the vocabulary and, where these would get too narrow, of the rows.
//!
//! Pass one finds every row's maximum, sum of exponentials and loss. Pass two makes the scores of a chunk once more, turns
//! them into their gradient in place, and adds their part to the gradients of weight, bias and input. It starts with the
//! chunk that pass one left in memory.

use super::linear::{Weights, declare};
use super::softmax_xent::{CrossEntropy, Positions};
use super::{Builder, Param, Value};
use crate::error::{Error, Result};
use crate::op::{ColumnSum, MatMul, Matrix, Op, SoftmaxGradient, SoftmaxStats};

/// How the scores [R, V] are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Rows at once.
    pub rows: usize,
    /// Symbols at once.
    pub symbols: usize,
}

impl Cut {
    /// The cut of `rows` x `vocab` scores of which at most `most` may be held at once; none where all of them may.
    pub fn new(rows: usize, vocab: usize, most: usize) -> Option<Cut> {
        if rows.saturating_mul(vocab) <= most {
            return None;
        }
        // Products over a few symbols, or a few rows, would mostly load and store.
        let narrowest = (most.isqrt() / 4).clamp(ALIGN, vocab.next_multiple_of(ALIGN));
        let even = |n: usize, at_most: usize| n.div_ceil(n.div_ceil(at_most.max(1)));
        let rows = even(rows, rows.min(most / narrowest));
        // Chunks that start at whole fours of the weight's rows share their kernels.
        let wide = if most / rows >= 16 * WIDE {
            WIDE
        } else {
            ALIGN
        };
        let symbols = even(vocab, most / rows / wide * wide).next_multiple_of(wide);
        Some(Cut {
            rows,
            symbols: symbols.min(vocab),
        })
    }
}

/// Symbols of a chunk come in multiples of this,
const ALIGN: usize = 4;
/// and of this where there are many.
const WIDE: usize = 64;

/// A linear layer with its loss, every row against a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Classifier<'a> {
    /// Its name in slots and operations.
    pub name: &'a str,
    /// The rows [R, D].
    pub x: Matrix,
    /// The weight [V, D].
    pub weight: Param,
    /// The bias [1, V].
    pub bias: Option<Param>,
    /// Targets, weights and losses of the rows.
    pub positions: Positions,
}

/// What every chunk needs besides.
struct Parts {
    /// Symbols at once.
    symbols: usize,
    scores: Matrix,
    stats: Matrix,
    /// The gradient of `x`.
    grad: Option<Matrix>,
    /// Whether earlier operations left gradients of weight and bias to be added to.
    added: [bool; 2],
}

impl Classifier<'_> {
    /// Writes the losses and, when training, everything of the backward pass; returns the gradient with respect to the
    /// rows. At most `most` scores are held at once.
    pub fn write(&self, builder: &mut Builder, most: usize) -> Option<Matrix> {
        let Classifier { name, x, .. } = *self;
        let vocab = self.weight.value.rows;
        let whole = Cut {
            rows: x.rows,
            symbols: vocab,
        };
        let cut = Cut::new(x.rows, vocab, most).unwrap_or(whole);
        // Rows that a run counts are counted from the first one on.
        let rows = if x.row_count.is_some() {
            x.rows
        } else {
            cut.rows
        };
        let stats = builder.scratch(format!("{name}.stats"), x.rows, SoftmaxStats::STATS);
        let scores = builder.scratch(format!("chunk.{name}"), rows, cut.symbols);
        let grad = builder.training.then(|| Matrix {
            row_count: x.row_count,
            ..builder.scratch(format!("d.{name}.input"), x.rows, x.cols)
        });
        let mut added = |p: Param| builder.training && builder.accumulate(p.grad);
        let parts = Parts {
            symbols: cut.symbols,
            scores,
            stats,
            grad,
            added: [added(self.weight), self.bias.is_some_and(&mut added)],
        };
        for first in (0..x.rows).step_by(rows) {
            self.band(builder, &parts, first, rows.min(x.rows - first));
        }
        grad
    }

    /// Both passes over `rows` rows from `first` on.
    fn band(&self, builder: &mut Builder, parts: &Parts, first: usize, rows: usize) {
        let Positions {
            ids,
            first: targets,
            weights,
            losses,
        } = self.positions;
        let (name, vocab) = (self.name, self.weight.value.rows);
        let stats = parts.stats.band(first, rows);
        let weights = weights.map(|w| w.columns(first, rows));
        let chunks: Vec<(usize, usize)> = (0..vocab)
            .step_by(parts.symbols)
            .map(|from| (from, parts.symbols.min(vocab - from)))
            .collect();
        for (from, symbols) in &chunks {
            self.scores(builder, parts, (first, rows), (*from, *symbols));
            let last = from + symbols == vocab;
            builder.push(Op::SoftmaxStats(SoftmaxStats {
                name: format!("{name}.stats"),
                logits: self.chunk(parts, rows, *symbols),
                from: *from,
                ids,
                first: targets + first,
                weights,
                stats,
                losses: last.then(|| losses.columns(first, rows)),
            }));
        }
        let Some(grad) = parts.grad else { return };
        for (n, (from, symbols)) in chunks.iter().copied().rev().enumerate() {
            if n > 0 {
                self.scores(builder, parts, (first, rows), (from, symbols));
            }
            let upstream = self.chunk(parts, rows, symbols);
            builder.push(Op::SoftmaxGradient(SoftmaxGradient {
                name: format!("{name}.gradient"),
                logits: upstream,
                from,
                ids,
                first: targets + first,
                weights,
                hyper: builder.hyper,
                stats,
            }));
            let x = self.x.band(first, rows);
            let [weight_added, bias_added] = parts.added.map(|added| added || first > 0);
            let product = |name: String, a: Matrix, b: Matrix, c: Matrix| MatMul {
                name,
                a,
                b,
                c,
                transpose_a: false,
                transpose_b: false,
                bias: None,
                accumulate: false,
            };
            let band = self.weight.grad.band(from, symbols);
            builder.push(Op::MatMul(MatMul {
                transpose_a: true,
                accumulate: weight_added,
                ..product(format!("{name}.weight.backward"), upstream, x, band)
            }));
            if let Some(bias) = self.bias {
                builder.push(Op::ColumnSum(ColumnSum {
                    name: format!("{name}.bias.backward"),
                    from: upstream,
                    into: bias.grad.columns(from, symbols),
                    accumulate: bias_added,
                    reset_only: None,
                }));
            }
            let band = self.weight.value.band(from, symbols);
            let grad = grad.band(first, rows);
            builder.push(Op::MatMul(MatMul {
                accumulate: n > 0,
                ..product(format!("{name}.input.backward"), upstream, band, grad)
            }));
        }
    }

    /// The scores of a chunk.
    fn scores(
        &self,
        builder: &mut Builder,
        parts: &Parts,
        (first, rows): (usize, usize),
        (from, symbols): (usize, usize),
    ) {
        builder.push(Op::MatMul(MatMul {
            name: format!("{}.forward", self.name),
            a: self.x.band(first, rows),
            b: self.weight.value.band(from, symbols),
            c: self.chunk(parts, rows, symbols),
            transpose_a: false,
            transpose_b: true,
            bias: self.bias.map(|b| b.value.columns(from, symbols)),
            accumulate: false,
        }));
    }

    /// The place of a chunk's scores: the last chunks may be smaller than the slot.
    fn chunk(&self, parts: &Parts, rows: usize, symbols: usize) -> Matrix {
        Matrix {
            rows,
            cols: symbols,
            stride: symbols,
            row_count: self.x.row_count,
            ..parts.scores
        }
    }
}

/// A linear layer over the whole vocabulary with its loss; its weight may be an embedding's.
#[derive(Debug)]
pub struct Chunked {
    /// The layer's name.
    pub name: String,
    /// V.
    pub vocab: usize,
    /// A weight [V, D] that an embedding shares.
    pub shared: Option<Param>,
    /// Where targets and weights come from.
    pub loss: CrossEntropy,
    /// How many scores may be held at once.
    pub at_once: usize,
}

impl Chunked {
    /// Writes the losses and, when training, the backward pass; returns the losses.
    ///
    /// # Errors
    /// One-hot input, or a shared weight of another shape.
    pub fn write(&self, builder: &mut Builder, input: Value) -> Result<Matrix> {
        let Some(input) = builder.as_rows(&self.name, input) else {
            return Err(Error::internal("a linear layer of one-hot ids"));
        };
        let (x, axis) = (builder.rows(input)?, builder.axis(input));
        let Weights { weight, bias } =
            declare(builder, &self.name, self.vocab, x.cols, self.shared)?;
        let positions = self.loss.positions(builder, axis);
        let classifier = Classifier {
            name: &self.name,
            x,
            weight,
            bias: Some(bias),
            positions,
        };
        if let Some(grad) = classifier.write(builder, self.at_once) {
            builder.give(input, grad);
        }
        Ok(positions.losses)
    }
}

#[cfg(test)]
mod tests {
    use super::Cut;

    #[test]
    fn a_cut_holds_no_more_than_it_may() {
        assert_eq!(Cut::new(640, 10_000, 1 << 25), None);
        let large = Cut::new(640, 800_000, 1 << 25).unwrap();
        assert_eq!((large.rows, large.symbols % 64), (640, 0));
        for (rows, vocab, most) in [
            (640, 800_000, 1 << 25),
            (320_000, 1000, 1 << 25),
            (1 << 20, 1 << 20, 1 << 25),
            (6, 21, 60),
            (40, 21, 24),
            (3, 1_000_003, 1 << 10),
        ] {
            let cut = Cut::new(rows, vocab, most).unwrap();
            let what = format!("{rows} x {vocab} at most {most}: {cut:?}");
            assert!(cut.rows >= 1 && cut.rows <= rows, "{what}");
            assert!(cut.symbols >= 1 && cut.symbols <= vocab, "{what}");
            assert!(cut.rows * cut.symbols <= most, "{what}");
        }
    }
}
