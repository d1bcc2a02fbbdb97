//! From a cell's graph to polynomials.

use std::collections::HashMap;

use super::polynomial::Polynomial;
use super::{Atom, AtomId, Multiplied, NormalForm, RowFunction, is_bias};
use crate::cell::graph::{Id, Node};
use crate::cell::operator::{Binary, RowOperand, Unary};
use crate::cell::{Cell, SourceKind};

struct Building<'a> {
    cell: &'a Cell,
    atoms: Vec<Atom>,
    known: HashMap<Atom, AtomId>,
    /// Of every node so far.
    values: Vec<Polynomial>,
}

pub(super) fn form(cell: &Cell) -> NormalForm {
    let mut this = Building {
        cell,
        atoms: Vec::new(),
        known: HashMap::new(),
        values: Vec::new(),
    };
    for id in 0..cell.graph.len() {
        let value = this.node(id);
        this.values.push(value);
    }
    let new = cell.new_states.iter();
    NormalForm {
        states: new.map(|id| this.values[*id].clone()).collect(),
        atoms: this.atoms,
        output: cell.output,
    }
}

impl Building<'_> {
    /// An atom, made once.
    fn atom(&mut self, atom: Atom) -> Polynomial {
        let mut key = atom.clone();
        for inner in key.inner_mut() {
            *inner = inner.rounded();
        }
        let id = *self.known.entry(key).or_insert_with(|| {
            self.atoms.push(atom);
            self.atoms.len() - 1
        });
        Polynomial::atom(id)
    }

    fn node(&mut self, id: Id) -> Polynomial {
        let value = |id: Id| self.values[id].clone();
        match self.cell.graph.node(id) {
            Node::Input => self.atom(Atom::Input),
            Node::Previous(k) => self.atom(Atom::Previous(k)),
            Node::GateProduct(gate) => self.product(gate),
            Node::Vector(v) => {
                let bias = is_bias(self.cell.vectors[v].kind);
                self.atom(Atom::Vector(v, bias))
            }
            Node::Constant(bits) => Polynomial::constant(f64::from_bits(bits)),
            Node::Unary(op, a) => self.unary(op, value(a)),
            Node::Binary(op, a, b) => self.binary(op, value(a), value(b)),
            Node::Mean(a) => self.atom(Atom::Row(RowFunction::Mean, vec![value(a)])),
            Node::Standard { row, .. } => {
                self.atom(Atom::Row(RowFunction::Standard, vec![value(row)]))
            }
            Node::Fold(fold, a) => self.atom(Atom::Row(RowFunction::Fold(fold), vec![value(a)])),
            Node::Attended(a) => {
                let attention = &self.cell.attentions[a];
                let queries = attention.queries.iter().map(|query| value(*query));
                let queries = queries.collect();
                self.atom(Atom::Attended(attention.memory, attention.scores, queries))
            }
            Node::Mask(m) => self.atom(Atom::Mask(m)),
            // The scale of a standardised row is part of it; the others are in no cell's step.
            Node::Scale { .. }
            | Node::Slope { .. }
            | Node::Argument(_)
            | Node::Place
            | Node::LogSum { .. }
            | Node::Upstream
            | Node::Carry(_)
            | Node::Back(_)
            | Node::Query(..) => Polynomial::default(),
        }
    }

    /// The weights take up what their source is multiplied by.
    fn product(&mut self, gate: usize) -> Polynomial {
        let source = self.cell.sources[self.cell.gates[gate].source].kind;
        let multiplied = match source {
            SourceKind::Input => Multiplied::Input,
            SourceKind::Previous(k) => Multiplied::Previous(k),
            SourceKind::Made { node, .. } => {
                let value = &self.values[node];
                let sign = if value.is_first() { 1.0 } else { -1.0 };
                let value = value.scaled(sign / value.size());
                match value.only().map(|id| &self.atoms[id]) {
                    Some(Atom::Input) => Multiplied::Input,
                    Some(Atom::Previous(k)) => Multiplied::Previous(*k),
                    _ if value.0.is_empty() => return value,
                    _ => Multiplied::Made(value),
                }
            }
        };
        self.atom(Atom::Product(gate, multiplied))
    }

    fn unary(&mut self, op: Unary, a: Polynomial) -> Polynomial {
        if let Some(a) = a.value() {
            let mut out = [0.0];
            op.rows(&mut out, [RowOperand::each(&[a])]);
            return Polynomial::constant(out[0]);
        }
        match op {
            Unary::Neg => a.scaled(-1.0),
            Unary::Relu => {
                // relu(s a) = s relu(a) for s above 0.
                let size = a.size();
                let unit = a.scaled(1.0 / size);
                let within = unit.only().map(|id| &self.atoms[id]);
                let never_below = matches!(
                    within,
                    Some(Atom::Unary(Unary::Relu | Unary::Sigmoid | Unary::Exp, _))
                );
                let unit = match never_below {
                    true => unit,
                    false => self.atom(Atom::Unary(op, unit)),
                };
                unit.scaled(size)
            }
            // tanh(-a) = -tanh(a) and sigmoid(-a) = 1 - sigmoid(a): one of both is the atom.
            Unary::Tanh if !a.is_first() => {
                let odd = self.atom(Atom::Unary(op, a.scaled(-1.0)));
                odd.scaled(-1.0)
            }
            Unary::Sigmoid if !a.is_first() => {
                let odd = self.atom(Atom::Unary(op, a.scaled(-1.0)));
                Polynomial::constant(1.0).plus(&odd.scaled(-1.0))
            }
            _ => self.atom(Atom::Unary(op, a)),
        }
    }

    fn binary(&mut self, op: Binary, a: Polynomial, b: Polynomial) -> Polynomial {
        let known = a.value().zip(b.value());
        if let Some((a, b)) = known {
            let mut out = [0.0];
            op.rows(&mut out, [&[a], &[b]].map(|v| RowOperand::each(v)));
            return Polynomial::constant(out[0]);
        }
        match op {
            Binary::Add => a.plus(&b),
            Binary::Sub => a.plus(&b.scaled(-1.0)),
            Binary::Mul => match a.times(&b) {
                Some(made) => made,
                None => self.atom(Atom::Binary(op, a, b)),
            },
            Binary::Div => match b.value() {
                Some(b) => a.scaled(1.0 / b),
                None => self.atom(Atom::Binary(op, a, b)),
            },
            _ => self.atom(Atom::Binary(op, a, b)),
        }
    }
}
