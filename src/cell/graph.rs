//! The expression graph of a cell: nodes made once however often they are written, with obvious terms folded away.

use std::collections::HashMap;

use super::operator::{Binary, RowOperand, Unary};

/// A node's index. Operands always have smaller indices, so the order of indices is an order of evaluation.
pub type Id = usize;

/// What a [`Node::Fold`] makes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// The sum of its elements.
    Sum,
    /// The largest element.
    Max,
    /// The place of the first of the largest elements.
    First,
}

/// One value of a step, for one row of the minibatch and one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// The input x itself, which then must be as wide as the hidden state.
    Input,
    /// The previous step's value of a state.
    Previous(usize),
    /// One gate's share of a matrix product: see [`super::GateProduct`].
    GateProduct(usize),
    /// A learned vector (bias or peephole): see [`super::Vector`].
    Vector(usize),
    /// A constant, as the bits of an f64 so that nodes can be hashed.
    Constant(u64),
    /// An operator with one operand.
    Unary(Unary, Id),
    /// An operator with two operands.
    Binary(Binary, Id, Id),
    /// The mean over the units of a row: known only once the whole row is.
    Mean(Id),
    /// 1 / sqrt(variance + eps) of a row, likewise.
    Scale {
        /// The row.
        row: Id,
        /// Its mean.
        mean: Id,
    },
    /// A row less its mean, times its scale. Its adjoint goes to the row alone, through the mean and the scale too.
    Standard {
        /// The row.
        row: Id,
        /// Its mean.
        mean: Id,
        /// Its scale.
        scale: Id,
    },
    /// Backward: the mean of `sent * (row - mean)`.
    Slope {
        /// What is sent back to the standardised row.
        sent: Id,
        /// The row.
        row: Id,
        /// Its mean.
        mean: Id,
    },
    /// What a row takes from a memory: see [`super::Attention`].
    Attended(usize),
    /// A random factor: see [`super::Mask`].
    Mask(usize),
    /// An input of a program on rows: see [`super::rows`].
    Argument(usize),
    /// The place of a unit in its row, from 0 on.
    Place,
    /// What all elements of a row come to.
    Fold(Fold, Id),
    /// log(sum(exp(row))) = max + log(sum), `sum` being that of exp(row - max). Its adjoint goes to the row alone.
    LogSum {
        /// The row.
        row: Id,
        /// Its largest element.
        max: Id,
        /// The sum of exponentials.
        sum: Id,
    },
    /// Backward: the gradient of the loss with respect to the cell's output, from the layer above.
    Upstream,
    /// Backward: the adjoint that the next step's elementwise part sends to a state.
    Carry(usize),
    /// Backward: the adjoint that comes back through the products of one source: see [`super::ProductSource`].
    Back(usize),
    /// Backward: the adjoint that comes back to one of the queries of an attention.
    Query(usize, usize),
}

/// Nodes in an order of evaluation.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, Id>,
}

impl Graph {
    /// The node at `id`.
    pub fn node(&self, id: Id) -> Node {
        self.nodes[id]
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A leaf, or any node as it stands, made once.
    pub fn leaf(&mut self, node: Node) -> Id {
        *self.known.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    /// A constant.
    pub fn constant(&mut self, value: f64) -> Id {
        // 0 and -0 are one constant.
        self.leaf(Node::Constant((value + 0.0).to_bits()))
    }

    /// The value of a constant node.
    pub fn value(&self, id: Id) -> Option<f64> {
        match self.node(id) {
            Node::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Applies a unary operator.
    pub fn unary(&mut self, op: Unary, a: Id) -> Id {
        if let Some(a) = self.value(a) {
            let mut out = [0.0];
            op.rows(&mut out, [RowOperand::each(&[a])]);
            return self.constant(out[0]);
        }
        match (op, self.node(a)) {
            (Unary::Neg, Node::Unary(Unary::Neg, inner)) => inner,
            _ => self.leaf(Node::Unary(op, a)),
        }
    }

    /// Applies a binary operator; sums and products are stored with the smaller index first.
    pub fn binary(&mut self, op: Binary, a: Id, b: Id) -> Id {
        let (va, vb) = (self.value(a), self.value(b));
        if let (Some(a), Some(b)) = (va, vb) {
            let mut out = [0.0];
            op.rows(&mut out, [&[a], &[b]].map(|v| RowOperand::each(v)));
            return self.constant(out[0]);
        }
        match op {
            Binary::Add if va == Some(0.0) => return b,
            Binary::Add | Binary::Sub if vb == Some(0.0) => return a,
            Binary::Sub if va == Some(0.0) => return self.unary(Unary::Neg, b),
            Binary::Mul if va == Some(1.0) => return b,
            Binary::Mul | Binary::Div if vb == Some(1.0) => return a,
            Binary::Mul if va == Some(0.0) || vb == Some(0.0) => return self.constant(0.0),
            Binary::Add => {
                if let Node::Unary(Unary::Neg, inner) = self.node(b) {
                    return self.binary(Binary::Sub, a, inner);
                }
                if let Node::Unary(Unary::Neg, inner) = self.node(a) {
                    return self.binary(Binary::Sub, b, inner);
                }
            }
            Binary::Sub => {
                if let Node::Unary(Unary::Neg, inner) = self.node(b) {
                    return self.binary(Binary::Add, a, inner);
                }
            }
            _ => {}
        }
        let commutes = matches!(op, Binary::Add | Binary::Mul);
        let (a, b) = if commutes && b < a { (b, a) } else { (a, b) };
        self.leaf(Node::Binary(op, a, b))
    }

    /// The mean of a row over its units.
    pub fn mean(&mut self, a: Id) -> Id {
        match self.node(a) {
            Node::Constant(_) | Node::Mean(_) => a,
            _ => self.leaf(Node::Mean(a)),
        }
    }

    /// A row less its mean, divided by sqrt(variance + eps) over its units.
    pub fn standard(&mut self, row: Id) -> Id {
        let mean = self.mean(row);
        if mean == row {
            return self.constant(0.0);
        }
        let scale = self.leaf(Node::Scale { row, mean });
        self.leaf(Node::Standard { row, mean, scale })
    }

    /// The adjoint of the row of a [`Node::Standard`] whose value is `y`, given that of the value:
    /// scale * (dy - mean(dy) - y * mean(dy * y)).
    pub fn standard_adjoint(&mut self, [row, mean, scale]: [Id; 3], y: Id, dy: Id) -> Id {
        let common = self.mean(dy);
        let slope = match self.value(dy) {
            Some(_) => self.constant(0.0),
            None => self.leaf(Node::Slope {
                sent: dy,
                row,
                mean,
            }),
        };
        let slope = self.mul(slope, scale);
        let along = self.mul(y, slope);
        let rest = self.sub(dy, common);
        let rest = self.sub(rest, along);
        self.mul(rest, scale)
    }

    /// a + b.
    pub fn add(&mut self, a: Id, b: Id) -> Id {
        self.binary(Binary::Add, a, b)
    }

    /// a - b.
    pub fn sub(&mut self, a: Id, b: Id) -> Id {
        self.binary(Binary::Sub, a, b)
    }

    /// a * b.
    pub fn mul(&mut self, a: Id, b: Id) -> Id {
        self.binary(Binary::Mul, a, b)
    }

    /// The operands of a node.
    pub fn operands(&self, id: Id) -> impl Iterator<Item = Id> + use<> {
        let operands = match self.node(id) {
            Node::Unary(_, a) | Node::Mean(a) | Node::Fold(_, a) => [Some(a), None, None],
            Node::Binary(_, a, b) | Node::Scale { row: a, mean: b } => [Some(a), Some(b), None],
            Node::Standard {
                row: a,
                mean: b,
                scale: c,
            }
            | Node::Slope {
                sent: a,
                row: b,
                mean: c,
            } => [Some(a), Some(b), Some(c)],
            // The row is in both of them.
            Node::LogSum { max, sum, .. } => [Some(max), Some(sum), None],
            _ => [None; 3],
        };
        operands.into_iter().flatten()
    }

    /// Marks every node that the roots depend on, themselves included.
    pub fn reachable(&self, roots: impl IntoIterator<Item = Id>) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        for root in roots {
            reached[root] = true;
        }
        for id in (0..self.len()).rev() {
            if reached[id] {
                for operand in self.operands(id) {
                    reached[operand] = true;
                }
            }
        }
        reached
    }
}
