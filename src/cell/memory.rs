//! Which gates decide how long a state remembers, found in the equations rather than by their names.

use super::graph::{Graph, Id, Node};
use super::operator::{Binary, Unary};
use super::{Cell, Vector, VectorKind};

/// What an open gate does to a state's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open, it keeps the previous value: f in c = f * c + i * g, z in h = (1 - z) * n + z * h.
    Keeps,
    /// Open, it writes what is new: i in c = f * c + i * g, z in h = (1 - z) * h + z * n.
    Writes,
}

impl Cell {
    /// The variables whose biases set how long the cell remembers, each once; empty where no gate does.
    ///
    /// A gate is a sigmoid with a bias. In the sum that is a state's new value, one that multiplies the previous value
    /// keeps, one whose rest `1 - z` multiplies it writes (`h + z * (n - h)` counts as such), and so do the gates of the
    /// other terms. A cell that gates in another way, such as exponentially, has the variables called f and i.
    pub fn memory_gates(&self) -> Vec<(&str, Effect)> {
        let mut found = Vec::new();
        for state in 0..self.states.len() {
            let terms: Vec<Vec<Id>> = addends(&self.graph, self.new_states[state])
                .into_iter()
                .map(|term| factors(&self.graph, term))
                .collect();
            let before = found.len();
            for term in &terms {
                self.gates_of_past(state, term, &mut found);
            }
            if found.len() > before {
                let gates = terms.iter().flatten().filter_map(|f| self.gate(*f));
                for gate in gates {
                    note(&mut found, gate, Effect::Writes);
                }
            }
        }
        if found.is_empty() && self.bias_of("f").is_some() {
            found.push(("f", Effect::Keeps));
            if self.bias_of("i").is_some() {
                found.push(("i", Effect::Writes));
            }
        }
        found
    }

    /// The gates of a term that has the state's previous value as a factor.
    fn gates_of_past<'a>(
        &'a self,
        state: usize,
        factors: &[Id],
        found: &mut Vec<(&'a str, Effect)>,
    ) {
        let past = |id: Id| self.graph.node(id) == Node::Previous(state);
        // What an open gate does here, and what the gate's rest `1 - z` would do.
        let mut open = None;
        for factor in factors {
            match self.graph.node(*factor) {
                _ if past(*factor) => open = Some(Effect::Keeps),
                Node::Binary(Binary::Sub, a, _) if past(a) => open = Some(Effect::Keeps),
                Node::Binary(Binary::Sub, _, b) if past(b) => open = Some(Effect::Writes),
                _ => {}
            }
        }
        let Some(open) = open else { return };
        for factor in factors {
            if let Some(gate) = self.gate(*factor) {
                note(found, gate, open);
            }
            if let Node::Binary(Binary::Sub, one, gate) = self.graph.node(*factor)
                && self.graph.value(one) == Some(1.0)
                && let Some(gate) = self.gate(gate)
                && open == Effect::Keeps
            {
                note(found, gate, Effect::Writes);
            }
        }
    }

    /// The variable whose bias opens a sigmoid.
    fn gate(&self, id: Id) -> Option<&str> {
        let Node::Unary(Unary::Sigmoid, inner) = self.graph.node(id) else {
            return None;
        };
        let bias = |id: &Id| match self.graph.node(*id) {
            Node::Vector(v) if self.vectors[v].is_bias() => Some(v),
            _ => None,
        };
        let terms = addends(&self.graph, inner);
        let vector = terms.iter().find_map(bias)?;
        Some(&self.vectors[vector].variable)
    }

    /// The vector for which holds what is said of the bias of `variable`: the bias of a `linear` over x, else that of
    /// another; where those vanish in a `norm`, its shift.
    pub fn bias_of(&self, variable: &str) -> Option<usize> {
        let all = 0..self.vectors.len();
        let own = all.filter(|v| self.vectors[*v].variable == variable && !self.vanishes(*v));
        let rank = |v: &usize| match self.vectors[*v].kind {
            VectorKind::Bias { input: true, .. } => Some(0),
            VectorKind::Bias { .. } => Some(1),
            VectorKind::Shift => Some(2),
            _ => None,
        };
        let ranked = own.filter_map(|v| Some((rank(&v)?, v)));
        ranked.min().map(|(_, v)| v)
    }

    /// Whether a vector stands in a sum from which its mean is taken away: equal for all units, it then says nothing.
    fn vanishes(&self, vector: usize) -> bool {
        (0..self.graph.len()).any(|id| match self.graph.node(id) {
            Node::Binary(Binary::Sub, sum, mean) if self.graph.node(mean) == Node::Mean(sum) => {
                self.adds(sum, vector)
            }
            Node::Standard { row, .. } => self.adds(row, vector),
            _ => false,
        })
    }

    /// Whether a vector is an addend of a sum.
    fn adds(&self, sum: Id, vector: usize) -> bool {
        let terms = addends(&self.graph, sum);
        let mut nodes = terms.iter().map(|id| self.graph.node(*id));
        nodes.any(|node| node == Node::Vector(vector))
    }

    /// The value that the cell's `bias` line gives to `variable`.
    pub fn bias_start(&self, variable: &str) -> Option<f64> {
        self.vectors.iter().find_map(|v| match v.kind {
            VectorKind::Bias { start, .. } if v.variable == variable => start,
            _ => None,
        })
    }

    /// The variables whose equations have a bias, each once, in the order of the equations.
    pub fn biased(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for vector in &self.vectors {
            if vector.is_bias() && !names.contains(&vector.variable.as_str()) {
                names.push(&vector.variable);
            }
        }
        names
    }
}

impl Vector {
    /// A bias, or the shift of a `norm`, in which a bias below it vanishes.
    fn is_bias(&self) -> bool {
        matches!(self.kind, VectorKind::Bias { .. } | VectorKind::Shift)
    }
}

fn note<'a>(found: &mut Vec<(&'a str, Effect)>, gate: &'a str, effect: Effect) {
    if !found.iter().any(|(name, _)| *name == gate) {
        found.push((gate, effect));
    }
}

fn addends(graph: &Graph, root: Id) -> Vec<Id> {
    parts(graph, root, &[Binary::Add, Binary::Sub], false)
}

fn factors(graph: &Graph, root: Id) -> Vec<Id> {
    parts(graph, root, &[Binary::Mul], true)
}

/// The operands of a tree of such operators. A shared node counts once, so that the work is bounded by the graph.
fn parts(graph: &Graph, root: Id, operators: &[Binary], negated: bool) -> Vec<Id> {
    let (mut open, mut seen, mut found) = (vec![root], vec![false; graph.len()], Vec::new());
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut seen[id], true) {
            continue;
        }
        match graph.node(id) {
            Node::Binary(op, a, b) if operators.contains(&op) => open.extend([b, a]),
            Node::Unary(Unary::Neg, a) if negated => open.push(a),
            _ => found.push(id),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::library;
    use super::*;
    use Effect::{Keeps, Writes};

    #[test]
    fn gates_of_the_library() {
        for (name, want) in [
            ("lstm", &[("f", Keeps), ("i", Writes)][..]),
            ("lstm-peephole", &[("f", Keeps), ("i", Writes)]),
            ("lstm-fgr", &[("f", Keeps), ("i", Writes)]),
            ("lstm-niaf", &[("f", Keeps), ("i", Writes)]),
            ("lstm-nig", &[("f", Keeps)]),
            ("lstm-cifg", &[("i", Writes)]),
            ("slstm", &[("f", Keeps), ("i", Writes)]),
            ("lstm-ln", &[("f", Keeps), ("i", Writes)]),
            ("gru", &[("z", Keeps)]),
            ("gru-ln", &[("z", Keeps)]),
            ("gru-cho", &[("z", Keeps)]),
            ("mut1", &[("z", Writes)]),
            ("mut2", &[("z", Writes)]),
            ("mut3", &[("z", Writes)]),
            ("rnn", &[]),
            ("rnn-relu", &[]),
            ("rnn-linear", &[]),
            ("elman", &[]),
            ("rnn-leaky", &[]),
            ("lstm-idea", &[]),
            ("lstm-97", &[]),
            ("lstm-nfg", &[]),
        ] {
            let cell = library::builtin(name).unwrap();
            let mut found = cell.memory_gates();
            found.sort_by_key(|g| g.0);
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn what_is_said_of_a_bias_holds_where_it_matters() {
        for (line, want) in [
            ("linear(x) + linear(h)", "bias_ih"),
            ("linear(h)", "bias_hh"),
            ("norm(linear(x)) + norm(linear(h))", "norm_bias"),
            ("norm(linear(x)) + linear(h)", "bias_hh"),
            ("linear(norm(h))", "bias_hh"),
        ] {
            let text = format!("state h\nf = sigmoid({line})\nh = f * h + linear(x)\n");
            let cell = Cell::parse("c", &text).unwrap();
            let found = cell.bias_of("f").map(|v| cell.vectors[v].parameter());
            assert_eq!(found, Some(want), "{line}");
        }
    }

    #[test]
    fn other_spellings_of_one_gate() {
        for (line, want) in [
            ("h = h + z * (n - h)", Writes),
            ("h = n + z * (h - n)", Keeps),
            ("h = h * (1 - z) - -n * z", Writes),
        ] {
            let text =
                format!("state h\nz = sigmoid(linear(x, h))\nn = tanh(linear(x, h))\n{line}\n");
            let cell = Cell::parse("c", &text).unwrap();
            assert_eq!(cell.memory_gates(), [("z", want)], "{line}");
        }
    }

    #[test]
    fn shared_sums_do_not_explode() {
        let mut text = String::from("state h\na0 = tanh(linear(x, h)) + h\n");
        for n in 1..200 {
            text.push_str(&format!("a{n} = a{} + a{}\n", n - 1, n - 1));
        }
        text.push_str("h = a199\n");
        let cell = Cell::parse("c", &text).unwrap();
        assert!(cell.memory_gates().is_empty());
    }
}
