//! Adaptive softmax (Grave et al. 2017): frequent symbols have scores of their own beside one score a cluster of rare ones;
//! within a cluster, scores come from a narrower projection, and only rows whose target lies there make them.
//!
//! Parameters and figures are those of `torch.nn.AdaptiveLogSoftmaxWithLoss`: `head.weight` [C0 + K, D],
//! `tail.i.0.weight` [D / div^(i+1), D] and `tail.i.1.weight` [symbols of the cluster, D / div^(i+1)], no bias. A loss is
//! exact: -log (probability of the cluster times that of the symbol in it).

use super::chunked::Classifier;
use super::softmax_xent::{CrossEntropy, Positions};
use super::{Builder, Param, Value};
use crate::error::{Error, Result};
use crate::op::{
    Add, Bound, Clusters, Fill, Gather, LogSoftmax, MatMul, Matrix, Op, Role, RowCount, Scatter,
    SlotId, Tail,
};

/// The layer.
#[derive(Debug)]
pub struct Adaptive {
    /// The layer's name.
    pub name: String,
    /// Where the clusters start, rising; V is not among them.
    pub cutoffs: Vec<usize>,
    /// V.
    pub vocab: usize,
    /// By how much each cluster's projection is narrower than that of the cluster before.
    pub div: usize,
    /// Where targets and weights come from.
    pub loss: CrossEntropy,
    /// How many scores may be held at once.
    pub at_once: usize,
}

/// The weights of a cluster.
struct Cluster {
    name: String,
    project: Param,
    weight: Param,
}

fn linear(builder: &mut Builder, name: String, shape: [usize; 2]) -> Param {
    builder.parameter(name, shape, &shape, false, vec![Fill::Weight])
}

/// C = A B^T.
fn product(builder: &mut Builder, name: String, a: Matrix, b: Matrix, c: Matrix) {
    builder.push(Op::MatMul(MatMul {
        name,
        a,
        b,
        c,
        transpose_a: false,
        transpose_b: true,
        bias: None,
        accumulate: false,
    }));
}

/// A row as a column.
fn column(row: Matrix) -> Matrix {
    Matrix {
        rows: row.cols,
        cols: 1,
        stride: 1,
        ..row
    }
}

impl Adaptive {
    /// Whether cutoffs rise from 1 to below V.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(cutoffs: &[usize], vocab: usize) -> std::result::Result<(), String> {
        let rising = cutoffs.windows(2).all(|w| w[0] < w[1]);
        let first = cutoffs.first().is_some_and(|c| *c >= 1);
        if rising && first && cutoffs.last().is_some_and(|c| *c < vocab) {
            Ok(())
        } else {
            Err(format!(
                "expected rising numbers from 1 to below the vocabulary's {vocab}, got {cutoffs:?}"
            ))
        }
    }

    /// What something of the clusters is called.
    fn tail_name(&self, what: &str) -> String {
        match self.name.as_str() {
            "head" => format!("tail.{what}"),
            name => format!("{name}.tail.{what}"),
        }
    }

    fn declare(&self, builder: &mut Builder, wide: usize) -> Result<(Param, Vec<Cluster>)> {
        Adaptive::check(&self.cutoffs, self.vocab)
            .map_err(|e| Error::usage(format!("cutoffs: {e}")))?;
        let clusters = self.cutoffs.len();
        let shape = [self.cutoffs[0] + clusters, wide];
        let head = linear(builder, format!("{}.weight", self.name), shape);
        let mut tails = Vec::new();
        let mut narrow = wide;
        for (i, from) in self.cutoffs.iter().enumerate() {
            let to = self.cutoffs.get(i + 1).copied().unwrap_or(self.vocab);
            narrow /= self.div;
            if narrow == 0 {
                return Err(Error::usage(format!(
                    "cutoffs: {clusters} clusters, each {} times as narrow as the one before, leave nothing of {wide} values",
                    self.div
                )));
            }
            let name = self.tail_name(&i.to_string());
            let project = linear(builder, format!("{name}.0.weight"), [narrow, wide]);
            let weight = linear(builder, format!("{name}.1.weight"), [to - from, narrow]);
            tails.push(Cluster {
                name,
                project,
                weight,
            });
        }
        Ok((head, tails))
    }

    /// Writes the losses and, when training, the backward pass; returns the losses.
    ///
    /// # Errors
    /// One-hot input; cutoffs that do not rise, or too many for the width of the input.
    pub fn write(&self, builder: &mut Builder, input: Value) -> Result<Matrix> {
        let Some(input) = builder.as_rows(&self.name, input) else {
            return Err(Error::internal("a linear layer of one-hot ids"));
        };
        let (x, axis) = (builder.rows(input)?, builder.axis(input));
        let (head, tails) = self.declare(builder, x.cols)?;
        let positions = self.loss.positions(builder, axis);
        let rows = x.rows;
        let words = |builder: &mut Builder, name: String, count: usize, below: usize| {
            let bound = Bound::Below(below);
            builder.plan.add_words(name, &[1, count], bound)
        };
        let scores = head.value.rows;
        let targets = words(builder, format!("{}.targets", self.name), rows, scores);
        let counts = words(builder, self.tail_name("counts"), tails.len(), rows + 1);
        let classifier = Classifier {
            name: &self.name,
            x,
            weight: head,
            bias: None,
            positions: Positions {
                ids: targets,
                first: 0,
                ..positions
            },
        };
        let grad = classifier.write(builder, self.at_once);
        let mut slots = Vec::new();
        for (word, tail) in tails.iter().enumerate() {
            let name = &tail.name;
            let own = Tail {
                rows: words(builder, format!("{name}.rows"), rows, rows),
                targets: words(
                    builder,
                    format!("{name}.targets"),
                    rows,
                    tail.weight.value.rows,
                ),
                index: builder.add_index(format!("{name}.index"), 1, rows, rows),
                weights: positions.weights.map(|_| {
                    let name = format!("{name}.weights");
                    builder.plan.add(name, &[1, rows], Role::Numbers)
                }),
            };
            let row_count = RowCount {
                slot: counts,
                word,
                before: 0,
            };
            self.tail(builder, tail, &own, x, row_count, positions.losses, grad);
            slots.push(own);
        }
        let ends = self.cutoffs.iter().chain([&self.vocab]);
        builder.plan.recipes.clusters = Some(Clusters {
            of: positions.rows(),
            cutoffs: ends.copied().collect(),
            rows,
            head: targets,
            counts,
            tails: slots,
        });
        if let Some(grad) = grad {
            builder.give(input, grad);
        }
        Ok(positions.losses)
    }

    /// A cluster's part: its rows' losses are added to `losses`, their gradient to `grad`.
    #[allow(clippy::too_many_arguments)] // one caller, and every one of them is another thing
    fn tail(
        &self,
        builder: &mut Builder,
        cluster: &Cluster,
        slots: &Tail,
        x: Matrix,
        row_count: RowCount,
        losses: Matrix,
        grad: Option<Matrix>,
    ) {
        let Cluster {
            name,
            project,
            weight,
        } = cluster;
        let rows = x.rows;
        let counted = |m: Matrix| Matrix {
            row_count: Some(row_count),
            ..m
        };
        let own = counted(builder.scratch(format!("{name}.x"), rows, x.cols));
        builder.push(Op::Gather(Gather {
            name: format!("{name}.gather"),
            ids: slots.rows,
            table: x.uncounted(),
            out: own,
            at: 0,
        }));
        let narrow = counted(builder.scratch(format!("{name}.h"), rows, project.value.rows));
        product(
            builder,
            format!("{name}.project"),
            own,
            project.value,
            narrow,
        );
        let row = |slot: SlotId| Matrix {
            slot,
            offset: 0,
            ..losses
        };
        let own_losses = builder.scratch(format!("{name}.losses"), 1, rows);
        let classifier = Classifier {
            name,
            x: narrow,
            weight: *weight,
            bias: None,
            positions: Positions {
                ids: slots.targets,
                first: 0,
                weights: slots.weights.map(row),
                losses: own_losses,
            },
        };
        let below = classifier.write(builder, self.at_once);
        let mut back = |name: String, from: Matrix, into: Matrix| {
            builder.push(Op::Scatter(Scatter {
                name,
                index: slots.index,
                from,
                into: into.uncounted(),
                accumulate: true,
                at: 0,
            }));
        };
        back(format!("{name}.losses"), column(own_losses), column(losses));
        let (Some(below), Some(grad)) = (below, grad) else {
            return;
        };
        let product = |name: String, a: Matrix, b: Matrix, c: Matrix, accumulate: bool| {
            Op::MatMul(MatMul {
                name,
                a,
                b,
                c,
                // The gradient of the weight sums over rows.
                transpose_a: c.slot == project.grad.slot,
                transpose_b: false,
                bias: None,
                accumulate,
            })
        };
        let into = counted(builder.scratch(format!("d.{name}.x"), rows, x.cols));
        let added = builder.accumulate(project.grad);
        let weight_name = format!("{name}.project.backward");
        builder.push(product(weight_name, below, own, project.grad, added));
        let input_name = format!("{name}.x.backward");
        builder.push(product(input_name, below, project.value, into, false));
        builder.push(Op::Scatter(Scatter {
            name: format!("{name}.gather.backward"),
            index: slots.index,
            from: into,
            into: grad.uncounted(),
            accumulate: true,
            at: 0,
        }));
    }

    /// Writes the log probabilities of all symbols [R, V].
    ///
    /// # Errors
    /// As [`Adaptive::write`].
    pub fn scores(&self, builder: &mut Builder, input: Value) -> Result<Matrix> {
        let Some(input) = builder.as_rows(&self.name, input) else {
            return Err(Error::internal("a linear layer of one-hot ids"));
        };
        let (x, axis) = (builder.rows(input)?, builder.axis(input));
        let (head, tails) = self.declare(builder, x.cols)?;
        let all = builder.activation(axis, format!("out.{}", self.name), self.vocab);
        let shortlist = self.cutoffs[0];
        let first = builder.activation(axis, "out.clusters", head.value.rows);
        let name = &self.name;
        product(builder, format!("{name}.forward"), x, head.value, first);
        builder.push(Op::LogSoftmax(LogSoftmax {
            name: format!("{name}.log_softmax"),
            from: first,
            add: None,
            to: first,
        }));
        builder.push(Op::Add(Add {
            name: format!("{name}.shortlist"),
            from: first.columns(0, shortlist),
            to: all.columns(0, shortlist),
            accumulate: false,
            flip: None,
        }));
        for (i, (tail, from)) in tails.iter().zip(&self.cutoffs).enumerate() {
            let name = &tail.name;
            let narrow = builder.activation(axis, format!("{name}.h"), tail.project.value.rows);
            product(
                builder,
                format!("{name}.project"),
                x,
                tail.project.value,
                narrow,
            );
            let to = all.columns(*from, tail.weight.value.rows);
            product(
                builder,
                format!("{name}.forward"),
                narrow,
                tail.weight.value,
                to,
            );
            builder.push(Op::LogSoftmax(LogSoftmax {
                name: format!("{name}.log_softmax"),
                from: to,
                add: Some(first.columns(shortlist + i, 1)),
                to,
            }));
        }
        Ok(all)
    }
}
