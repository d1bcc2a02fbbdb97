//! The graph of a program on rows of a known width: which nodes are rows, and numbers made of rows.

use super::Width;
use crate::cell::graph::{Fold, Graph, Id, Node};
use crate::cell::operator::{Binary, Unary};

/// Nodes, of which each has an element for every column of a row or is one number.
#[derive(Clone, Debug)]
pub(super) struct RowGraph {
    pub nodes: Graph,
    /// How wide each argument is.
    pub inputs: Vec<Width>,
    /// Columns of a row, D.
    pub width: usize,
    /// Whether each node is a row, as far as one was asked for.
    rows: Vec<bool>,
}

impl RowGraph {
    pub fn new(inputs: Vec<Width>, width: usize) -> RowGraph {
        let mut nodes = Graph::default();
        for n in 0..inputs.len() {
            nodes.leaf(Node::Argument(n));
        }
        RowGraph {
            nodes,
            inputs,
            width,
            rows: Vec::new(),
        }
    }

    /// The nodes of all arguments.
    pub fn arguments(&mut self) -> Vec<Id> {
        let all = 0..self.inputs.len();
        all.map(|n| self.nodes.leaf(Node::Argument(n))).collect()
    }

    /// One more argument.
    pub fn argument(&mut self, width: Width) -> Id {
        self.inputs.push(width);
        self.nodes.leaf(Node::Argument(self.inputs.len() - 1))
    }

    /// Whether a node is a row. What was folded to a constant is a number, whatever it was made of.
    pub fn is_row(&mut self, id: Id) -> bool {
        for id in self.rows.len()..self.nodes.len() {
            let row = match self.nodes.node(id) {
                Node::Argument(n) => self.inputs[n] == Width::Row,
                Node::Place => true,
                Node::Unary(..) | Node::Binary(..) => self.nodes.operands(id).any(|o| self.rows[o]),
                _ => false,
            };
            self.rows.push(row);
        }
        self.rows[id]
    }

    fn fold(&mut self, fold: Fold, a: Id) -> Id {
        self.nodes.leaf(Node::Fold(fold, a))
    }

    /// The sum over a row, over which a number is spread.
    pub fn sum(&mut self, a: Id) -> Id {
        if self.is_row(a) {
            return self.fold(Fold::Sum, a);
        }
        let width = self.nodes.constant(self.width as f64);
        self.nodes.mul(a, width)
    }

    /// The mean over a row.
    pub fn mean(&mut self, a: Id) -> Id {
        if !self.is_row(a) {
            return a;
        }
        let (sum, width) = (self.sum(a), self.nodes.constant(self.width as f64));
        self.nodes.binary(Binary::Div, sum, width)
    }

    /// The largest element of a row.
    pub fn max(&mut self, a: Id) -> Id {
        if self.is_row(a) {
            self.fold(Fold::Max, a)
        } else {
            a
        }
    }

    /// The logarithm of the sum of the exponentials of a row.
    pub fn log_sum(&mut self, row: Id) -> Id {
        if !self.is_row(row) {
            let more = self.nodes.constant((self.width as f64).ln());
            return self.nodes.add(row, more);
        }
        let max = self.max(row);
        let below = self.nodes.sub(row, max);
        let exponentials = self.nodes.unary(Unary::Exp, below);
        let sum = self.sum(exponentials);
        self.nodes.leaf(Node::LogSum { row, max, sum })
    }

    /// 1 at the first of the largest elements of a row, else 0. The place is compared, not the element: a kernel may
    /// round it otherwise where it makes it again.
    pub fn first_largest(&mut self, row: Id) -> Id {
        let first = self.fold(Fold::First, row);
        let place = self.nodes.leaf(Node::Place);
        let behind = self.nodes.binary(Binary::Greater, place, first);
        let before = self.nodes.binary(Binary::Greater, first, place);
        let one = self.nodes.constant(1.0);
        let rest = self.nodes.sub(one, behind);
        self.nodes.sub(rest, before)
    }
}
