//! A program on rows ready to run: passes over a row that end in numbers of it, then what is stored.

use super::Width;
use super::graph::RowGraph;
use crate::cell::graph::{Fold, Id, Node};
use crate::cell::operator::RowOperand;
use crate::cell::real::Real;
use crate::cell::stage::{LoadPlace, Program};

/// Below every element of a row, from where the search for the largest starts: within the range of f32.
pub const LOWEST: f64 = -3.4e38;

/// Where a program on rows finds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLoad {
    /// An input that is a row.
    Row(usize),
    /// The place of a unit in its row.
    Place,
    /// A number of the row: an input by its number, behind the inputs what the passes make, in their order.
    Number(usize),
}

impl LoadPlace for RowLoad {
    fn number(self) -> Option<usize> {
        match self {
            RowLoad::Number(n) => Some(n),
            _ => None,
        }
    }
}

/// Where a program on rows leaves a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowStore {
    /// An output.
    Output(usize),
    /// What is folded into one of the pass's numbers.
    Fold(usize),
}

/// A pass over a row.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What is worked out for every element.
    pub program: Program<RowLoad, RowStore>,
    /// What each [`RowStore::Fold`] comes to.
    pub folds: Vec<Fold>,
    /// The number of the row that the first of them is.
    pub first: usize,
}

/// A program on rows of a known width.
#[derive(Clone, Debug)]
pub struct RowCode {
    /// The program's name.
    pub name: String,
    /// Columns of a row, D.
    pub width: usize,
    /// How wide each input is.
    pub inputs: Vec<Width>,
    /// How wide each output is.
    pub outputs: Vec<Width>,
    /// The passes that end in numbers, in order.
    pub passes: Vec<Pass>,
    /// The last pass: the outputs that are rows.
    pub rows: Program<RowLoad, RowStore>,
    /// The outputs that are numbers, made of numbers alone.
    pub numbers: Program<RowLoad, RowStore>,
    graph: RowGraph,
    roots: Vec<(Id, Width)>,
}

impl RowCode {
    pub(super) fn new(name: &str, graph: RowGraph, roots: Vec<(Id, Width)>) -> RowCode {
        let nodes = &graph.nodes;
        let used = nodes.reachable(roots.iter().map(|r| r.0));
        // How many passes come before each node: a fold is known after that of its row.
        let mut level: Vec<usize> = Vec::with_capacity(nodes.len());
        for id in 0..nodes.len() {
            let before = nodes.operands(id).map(|o| level[o]).max().unwrap_or(0);
            level.push(before + usize::from(matches!(nodes.node(id), Node::Fold(..))));
        }
        let mut folds: Vec<Id> = (0..nodes.len())
            .filter(|id| used[*id] && matches!(nodes.node(*id), Node::Fold(..)))
            .collect();
        folds.sort_by_key(|id| level[*id]);
        let first = graph.inputs.len();
        let load = |id: Id| match nodes.node(id) {
            Node::Argument(n) if graph.inputs[n] == Width::Row => Some(RowLoad::Row(n)),
            Node::Argument(n) => Some(RowLoad::Number(n)),
            Node::Place => Some(RowLoad::Place),
            Node::Fold(..) => {
                let place = folds.iter().position(|f| *f == id);
                place.map(|n| RowLoad::Number(first + n))
            }
            _ => None,
        };
        let mut passes: Vec<Pass> = Vec::new();
        for (n, id) in folds.iter().enumerate() {
            let Node::Fold(fold, _) = nodes.node(*id) else {
                continue;
            };
            if n == 0 || level[folds[n - 1]] < level[*id] {
                passes.push(Pass {
                    program: Program::default(),
                    folds: Vec::new(),
                    first: first + n,
                });
            }
            if let Some(pass) = passes.last_mut() {
                pass.folds.push(fold);
            }
        }
        for pass in &mut passes {
            let own = &folds[pass.first - first..][..pass.folds.len()];
            let rows = own.iter().flat_map(|id| nodes.operands(*id));
            let outputs: Vec<(RowStore, Id)> = rows
                .enumerate()
                .map(|(n, row)| (RowStore::Fold(n), row))
                .collect();
            pass.program = Program::of(nodes, &outputs, load);
        }
        let outputs = |width: Width| -> Vec<(RowStore, Id)> {
            let all = roots.iter().enumerate();
            all.filter(|(_, root)| root.1 == width)
                .map(|(n, root)| (RowStore::Output(n), root.0))
                .collect()
        };
        RowCode {
            name: name.to_string(),
            width: graph.width,
            inputs: graph.inputs.clone(),
            outputs: roots.iter().map(|root| root.1).collect(),
            passes,
            rows: Program::of(nodes, &outputs(Width::Row), load),
            numbers: Program::of(nodes, &outputs(Width::Number), load),
            graph,
            roots,
        }
    }

    /// The same with some of its outputs alone.
    pub fn only(&self, outputs: &[usize]) -> RowCode {
        let roots = outputs.iter().map(|n| self.roots[*n]).collect();
        RowCode::new(&self.name, self.graph.clone(), roots)
    }

    /// Which inputs any output depends on.
    pub fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.inputs.len()];
        let reached = self.graph.nodes.reachable(self.roots.iter().map(|r| r.0));
        for id in (0..reached.len()).filter(|id| reached[*id]) {
            if let Node::Argument(n) = self.graph.nodes.node(id) {
                used[n] = true;
            }
        }
        used
    }

    /// The operators that are worked out for every element of a row, in all passes.
    pub fn operators(&self) -> usize {
        let passes = self.passes.iter().map(|pass| pass.program.instrs.len());
        passes.sum::<usize>() + self.rows.instrs.len()
    }

    /// The plain code for one row, node by node: every value is a row, a number one that is the same in each column. `store`
    /// is given the outputs one after another.
    pub fn plain<F: Real>(&self, inputs: &[&[F]], mut store: impl FnMut(usize, &[F])) {
        let nodes = &self.graph.nodes;
        let used = nodes.reachable(self.roots.iter().map(|r| r.0));
        let mut values: Vec<Vec<F>> = vec![Vec::new(); nodes.len()];
        for id in (0..nodes.len()).filter(|id| used[*id]) {
            let mut row = vec![F::ZERO; self.width];
            match nodes.node(id) {
                Node::Argument(n) if self.inputs[n] == Width::Row => {
                    row.copy_from_slice(&inputs[n][..self.width]);
                }
                Node::Argument(n) => row.fill(inputs[n][0]),
                Node::Place => {
                    for (place, to) in row.iter_mut().enumerate() {
                        *to = F::of(place as f64);
                    }
                }
                Node::Constant(bits) => row.fill(F::of(f64::from_bits(bits))),
                Node::Unary(op, a) => op.rows(&mut row, [RowOperand::each(&values[a])]),
                Node::Binary(op, a, b) => {
                    op.rows(&mut row, [a, b].map(|o| RowOperand::each(&values[o])));
                }
                Node::Fold(fold, a) => row.fill(folded(fold, &values[a])),
                Node::LogSum { max, sum, .. } => {
                    for ((to, max), sum) in row.iter_mut().zip(&values[max]).zip(&values[sum]) {
                        *to = sum.ln() + *max;
                    }
                }
                node => unreachable!("{node:?} stands in no program on rows"),
            }
            values[id] = row;
        }
        for (n, (id, width)) in self.roots.iter().enumerate() {
            store(n, &values[*id][..width.columns(self.width)]);
        }
    }
}

/// What a row comes to.
fn folded<F: Real>(fold: Fold, row: &[F]) -> F {
    let (mut sum, mut largest, mut first) = (F::ZERO, F::of(LOWEST), 0);
    for (place, x) in row.iter().enumerate() {
        sum += *x;
        if *x > largest {
            (largest, first) = (*x, place);
        }
    }
    match fold {
        Fold::Sum => sum,
        Fold::Max => largest,
        Fold::First => F::of(first as f64),
    }
}
