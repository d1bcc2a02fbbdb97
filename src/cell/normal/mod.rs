//! The normal form of a cell: equations that algebra says are one have one hash, however they are written.
//!
//! Every value becomes a polynomial over atoms: states, products, learned vectors, and operators on other polynomials. So sums
//! and products are equal in any order and bracketing, constants meet, brackets open, and x - x is gone. What a learned number
//! can take up is no difference either: linear(x) + linear(h) is linear(x, h), and 0.9 * linear(x) is linear(x), where nothing
//! else uses them; 1 - sigmoid(linear(x)) is then sigmoid(linear(x)) under another name, if all that uses it follows.

mod absorb;
mod build;
mod flip;
mod polynomial;
mod refine;
#[cfg(test)]
mod tests;

use self::polynomial::Polynomial;
use super::graph::Fold;
use super::operator::{Binary, Unary};
use super::{Cell, ScoreKind, VectorKind};

/// An atom's place in the list of a [`NormalForm`].
type AtomId = usize;

/// What a product multiplies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Multiplied {
    Input,
    Previous(usize),
    Made(Polynomial),
}

impl Multiplied {
    /// Whether it is the same but for roundings.
    fn is(&self, other: &Multiplied) -> bool {
        match (self, other) {
            (Multiplied::Made(a), Multiplied::Made(b)) => a.rounded() == b.rounded(),
            _ => self == other,
        }
    }
}

/// What a polynomial treats as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Atom {
    Input,
    Previous(usize),
    /// A gate's share of a product, and what is multiplied.
    Product(usize, Multiplied),
    /// A learned vector, and whether it is a bias.
    Vector(usize, bool),
    Unary(Unary, Polynomial),
    Binary(Binary, Polynomial, Polynomial),
    /// What looks at whole rows: which it is, and of what.
    Row(RowFunction, Vec<Polynomial>),
    /// A memory's number, how its rows are scored, and the queries.
    Attended(usize, ScoreKind, Vec<Polynomial>),
    Mask(usize),
}

/// What looks at whole rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RowFunction {
    Mean,
    Standard,
    Fold(Fold),
}

/// A cell as polynomials.
#[derive(Clone, Debug)]
struct NormalForm {
    atoms: Vec<Atom>,
    /// The new value of each state.
    states: Vec<Polynomial>,
    output: usize,
}

/// What algebra makes of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    /// Equal for cells that are equal by algebra; else different, but for rare chance.
    pub hash: u64,
    /// Parameters that the output does not hang on, each as `product of VARIABLE` or `bias_ih of VARIABLE`.
    pub idle: Vec<String>,
    /// Whether what a step puts out hangs on an earlier step.
    pub recurrent: bool,
    /// Whether it hangs on the input.
    pub reads_input: bool,
}

impl Cell {
    /// What algebra makes of the cell.
    pub fn normal(&self) -> Normal {
        let mut form = build::form(self);
        let used = form.reached();
        let has = |wanted: &dyn Fn(&Atom) -> bool| used.iter().any(|id| wanted(&form.atoms[*id]));
        let gates = (0..self.gates.len()).filter(|gate| {
            let is = |atom: &Atom| matches!(atom, Atom::Product(own, _) if own == gate);
            !has(&is)
        });
        let vectors = (0..self.vectors.len()).filter(|vector| {
            let is = |atom: &Atom| matches!(atom, Atom::Vector(own, _) if own == vector);
            !has(&is)
        });
        let idle = gates
            .map(|gate| format!("product of {}", self.gates[gate].variable))
            .chain(vectors.map(|vector| {
                let vector = &self.vectors[vector];
                format!("{} of {}", vector.parameter(), vector.variable)
            }))
            .collect();
        let recurrent = has(&|atom| {
            matches!(
                atom,
                Atom::Previous(_) | Atom::Product(_, Multiplied::Previous(_))
            )
        });
        let reads_input =
            has(&|atom| matches!(atom, Atom::Input | Atom::Product(_, Multiplied::Input)));
        form.absorb();
        form.settle_signs();
        Normal {
            hash: form.least_hash(),
            idle,
            recurrent,
            reads_input,
        }
    }
}

impl Atom {
    /// The polynomials that it is made of.
    fn inner(&self) -> Vec<&Polynomial> {
        match self {
            Atom::Product(_, Multiplied::Made(a)) | Atom::Unary(_, a) => vec![a],
            Atom::Binary(_, a, b) => vec![a, b],
            Atom::Row(_, all) | Atom::Attended(_, _, all) => all.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The same, to be changed.
    fn inner_mut(&mut self) -> Vec<&mut Polynomial> {
        match self {
            Atom::Product(_, Multiplied::Made(a)) | Atom::Unary(_, a) => vec![a],
            Atom::Binary(_, a, b) => vec![a, b],
            Atom::Row(_, all) | Atom::Attended(_, _, all) => all.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is the same of -a as of a: weights take up the sign.
    fn takes_any_sign(&self) -> bool {
        matches!(self, Atom::Product(..))
    }

    /// The state that it looks at.
    fn state(&self) -> Option<usize> {
        match self {
            Atom::Previous(k) | Atom::Product(_, Multiplied::Previous(k)) => Some(*k),
            _ => None,
        }
    }
}

impl NormalForm {
    /// The states that the output hangs on, itself among them, and the atoms that it hangs on, rising.
    fn live(&self) -> (Vec<usize>, Vec<AtomId>) {
        let mut states = vec![self.output];
        let mut reached = vec![false; self.atoms.len()];
        let mut next = 0;
        while next < states.len() {
            let mut open: Vec<AtomId> = self.states[states[next]].atoms().collect();
            while let Some(id) = open.pop() {
                if std::mem::replace(&mut reached[id], true) {
                    continue;
                }
                let atom = &self.atoms[id];
                open.extend(atom.inner().into_iter().flat_map(Polynomial::atoms));
                if let Some(state) = atom.state()
                    && !states.contains(&state)
                {
                    states.push(state);
                }
            }
            next += 1;
        }
        states.sort_unstable();
        let atoms = (0..reached.len()).filter(|id| reached[*id]);
        (states, atoms.collect())
    }

    /// The atoms that the output hangs on, rising.
    fn reached(&self) -> Vec<AtomId> {
        self.live().1
    }
}

/// Whether a learned vector is added.
fn is_bias(kind: VectorKind) -> bool {
    matches!(kind, VectorKind::Bias { .. } | VectorKind::Shift)
}
