//! Numbers of a whole row, the same for all its units: means, and what normalising a row and its gradient need.

use super::graph::{Graph, Id, Node};
use super::real::Real;
use super::simd::SIDE;
use super::stage::{Instr, Load, Program};

/// What is added to a variance before its root is taken, as PyTorch's LayerNorm does.
pub const EPS: f64 = 1e-5;

/// A number that a stage makes of rows in memory before its program runs. Means are given by their place among the
/// stage's reductions, where they come first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reduction {
    /// The mean of a row.
    Mean(Load),
    /// 1 / sqrt(variance + [`EPS`]) of a row.
    Scale {
        /// The row.
        row: Load,
        /// Its mean.
        mean: usize,
    },
    /// The mean of `sent * (row - mean)`.
    Slope {
        /// What is sent back to the normalised row.
        sent: Load,
        /// The row.
        row: Load,
        /// Its mean.
        mean: usize,
    },
}

impl Reduction {
    /// The number, of rows of `width` units that `load` gives and of the earlier reductions that `before` gives.
    #[inline(always)]
    pub fn value<'a, F: Real>(
        self,
        width: usize,
        before: impl Fn(usize) -> F,
        load: impl Fn(Load) -> &'a [F],
    ) -> F {
        let row = |what: Load| &load(what)[..width];
        match self {
            Reduction::Mean(of) => mean(
                [row(of)],
                #[inline(always)]
                |[a]| a,
            ),
            Reduction::Scale { row: of, mean: m } => {
                let m = before(m);
                let variance = mean(
                    [row(of)],
                    #[inline(always)]
                    |[a]| (a - m) * (a - m),
                );
                F::ONE / (variance + F::of(EPS)).sqrt()
            }
            Reduction::Slope {
                sent,
                row: of,
                mean: m,
            } => {
                let m = before(m);
                mean(
                    [row(sent), row(of)],
                    #[inline(always)]
                    |[dy, a]| dy * (a - m),
                )
            }
        }
    }

    /// The rows that it reads.
    pub fn rows(self) -> impl Iterator<Item = Load> {
        let (row, sent) = match self {
            Reduction::Mean(row) | Reduction::Scale { row, .. } => (row, None),
            Reduction::Slope { sent, row, .. } => (row, Some(sent)),
        };
        [row].into_iter().chain(sent)
    }
}

/// The mean of a function of rows; sums side by side, so that the loop becomes vector code.
// One counter goes through several rows at once.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn mean<F: Real, const N: usize>(rows: [&[F]; N], f: impl Fn([F; N]) -> F) -> F {
    let n = rows[0].len();
    let mut chunks: [&[[F; SIDE]]; N] = [&[]; N];
    let mut rests: [&[F]; N] = [&[]; N];
    for r in 0..N {
        (chunks[r], rests[r]) = rows[r][..n].as_chunks();
    }
    let mut lanes = [F::ZERO; SIDE];
    for c in 0..n / SIDE {
        let mut here = [[F::ZERO; SIDE]; N];
        for r in 0..N {
            here[r] = chunks[r][c];
        }
        for i in 0..SIDE {
            let mut values = [F::ZERO; N];
            for r in 0..N {
                values[r] = here[r][i];
            }
            lanes[i] += f(values);
        }
    }
    // Behind this the compiler does not see that lanes are added up in the end, for which it would make the loop of
    // registers of four.
    let lanes = std::hint::black_box(lanes);
    let mut total = F::ZERO;
    for i in 0..n % SIDE {
        let mut values = [F::ZERO; N];
        for r in 0..N {
            values[r] = rests[r][i];
        }
        total += f(values);
    }
    (total + across(lanes)) / F::of(n as f64)
}

/// The sum of lanes, halves onto halves: a chain of sums one after another would take longer than the loop that made them.
#[inline(always)]
pub(crate) fn across<F: Real>(mut lanes: [F; SIDE]) -> F {
    let mut half = SIDE / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The rows that a reduction needs in memory; none of any other node.
pub(super) fn rows(node: Node) -> impl Iterator<Item = Id> {
    let (row, sent) = match node {
        Node::Mean(row) | Node::Scale { row, .. } => (Some(row), None),
        Node::Slope { sent, row, .. } => (Some(row), Some(sent)),
        _ => (None, None),
    };
    row.into_iter().chain(sent)
}

/// Whether a node is a reduction.
pub(super) fn is(node: Node) -> bool {
    rows(node).next().is_some()
}

/// Every reduction of the graph.
pub(super) fn all(graph: &Graph) -> Vec<Id> {
    let ids = 0..graph.len();
    ids.filter(|id| is(graph.node(*id))).collect()
}

/// How a reduction is loaded, counted among `all`.
pub(super) fn load(all: &[Id], id: Id) -> Option<Load> {
    all.iter().position(|r| *r == id).map(Load::Reduction)
}

/// The reductions that a program loads, each after the mean that it rests on. The program's loads, which counted among
/// `all`, count among them from then on; `load` says where a row lies.
pub(super) fn of_program(
    graph: &Graph,
    all: &[Id],
    program: &mut Program,
    load: impl Fn(Id) -> Option<Load>,
) -> Vec<Reduction> {
    let mut found: Vec<Id> = Vec::new();
    let mut number = |id: Id| {
        let rests_on = match graph.node(id) {
            Node::Scale { mean, .. } | Node::Slope { mean, .. } => Some(mean),
            _ => None,
        };
        let mut last = 0;
        for id in rests_on.into_iter().chain([id]) {
            last = match found.iter().position(|f| *f == id) {
                Some(known) => known,
                None => {
                    found.push(id);
                    found.len() - 1
                }
            };
        }
        last
    };
    for instr in &mut program.instrs {
        if let Instr::Load(Load::Reduction(n)) = instr {
            *n = number(all[*n]);
        }
    }
    let place = |id: Id| match load(id) {
        Some(load) => load,
        None => unreachable!("{:?} waits in no memory", graph.node(id)),
    };
    let at = |mean: Id| found.iter().position(|f| *f == mean).unwrap_or(0);
    let made = found.iter().map(|id| match graph.node(*id) {
        Node::Scale { row, mean } => Reduction::Scale {
            row: place(row),
            mean: at(mean),
        },
        Node::Slope { sent, row, mean } => Reduction::Slope {
            sent: place(sent),
            row: place(row),
            mean: at(mean),
        },
        Node::Mean(row) => Reduction::Mean(place(row)),
        node => unreachable!("{node:?} is no reduction"),
    });
    made.collect()
}
