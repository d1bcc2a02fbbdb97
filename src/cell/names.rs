//! What the values of a step are called, in the words of a cell's equations.

use super::graph::{Id, Node};
use super::stage::{Adjoint, Load, Store};
use super::{Cell, Compiled, SourceKind};

impl Cell {
    /// What the forward pass of training leaves in memory for every row and step, in the order of evaluation: the new
    /// states, and the kept values with the places that `compiled` gives them.
    pub fn left_by_step(&self, compiled: &Compiled) -> Vec<(Store, Id)> {
        let states = self.new_states.iter().enumerate();
        let saved = compiled.saved_nodes.iter().enumerate();
        let made = self.made_values().into_iter();
        let made = made.map(|(slot, node)| (Store::Made(slot), node));
        let mut all: Vec<(Store, Id)> = states
            .map(|(k, id)| (Store::New(k), *id))
            .chain(saved.map(|(i, id)| (Store::Saved(i), *id)))
            .chain(made)
            .collect();
        all.sort_by_key(|(_, id)| *id);
        all
    }

    /// The variable that a node is, or of which it is a part.
    pub fn value_name(&self, id: Id) -> String {
        // What noise makes of a state has no other name; where two variables are one node, the state is the better known.
        if let Some(k) = self.new_states.iter().position(|s| *s == id) {
            return self.states[k].clone();
        }
        if let Some((name, _)) = self.variables.iter().find(|v| v.1 == id) {
            return name.clone();
        }
        let multiplied =
            |kind: SourceKind| matches!(kind, SourceKind::Made { node, .. } if node == id);
        if let Some(source) = self.sources.iter().find(|s| multiplied(s.kind)) {
            return format!("what {} multiplies", source.weight);
        }
        let whole = self.variables.iter().find(|v| self.reaches(v.1)[id]);
        match whole {
            Some((name, _)) => format!("a part of {name}"),
            None => "a value of the step".into(),
        }
    }

    /// Which nodes a node depends on within the step, through its products too.
    fn reaches(&self, root: Id) -> Vec<bool> {
        let mut roots = vec![root];
        loop {
            let reached = self.graph.reachable(roots.iter().copied());
            let fed = |node: &Id| {
                self.gates.iter().enumerate().any(|(gate, of)| {
                    let made = matches!(self.sources[of.source].kind, SourceKind::Made { node: n, .. } if n == *node);
                    made && (0..reached.len())
                        .any(|id| reached[id] && self.graph.node(id) == Node::GateProduct(gate))
                })
            };
            let more = super::derive::made_nodes(self).filter(|node| !reached[*node] && fed(node));
            let more: Vec<Id> = more.collect();
            if more.is_empty() {
                return reached;
            }
            roots.extend(more);
        }
    }

    /// Of what a delta is the gradient.
    pub fn delta_name(&self, compiled: &Compiled, delta: usize) -> String {
        let mut variables: Vec<&str> = Vec::new();
        for (gate, of) in self.gates.iter().zip(&compiled.gate_delta) {
            if *of == Some(delta) && !variables.contains(&gate.variable.as_str()) {
                variables.push(&gate.variable);
            }
        }
        if !variables.is_empty() {
            return format!("the gradient of the linear of {}", variables.join(" and "));
        }
        if compiled.input_delta == Some(delta) {
            return "the gradient of x".into();
        }
        self.adjoint_name(compiled, Adjoint::Delta(delta))
    }

    /// Of which learned vectors something is the gradient.
    pub fn adjoint_name(&self, compiled: &Compiled, adjoint: Adjoint) -> String {
        let of = (0..self.vectors.len()).filter(|v| compiled.vector_adjoint[*v] == Some(adjoint));
        let names: Vec<String> = of.map(|v| self.load_name(Load::Vector(v))).collect();
        format!("the gradient of {}", names.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::library;
    use super::*;

    #[track_caller]
    fn check(cell: &Cell, want: &[&str]) {
        let left = cell.left_by_step(&cell.compile());
        let names: Vec<String> = left.iter().map(|(_, id)| cell.value_name(*id)).collect();
        assert_eq!(names, want);
    }

    #[test]
    fn what_a_step_leaves_has_the_names_of_its_equations() {
        let lstm = library::builtin("lstm").unwrap();
        check(&lstm, &["i", "f", "g", "o", "c", "h"]);
        // The product of the state stands within the equation of n.
        let gru = library::builtin("gru").unwrap();
        check(&gru, &["r", "z", "a part of n", "n", "h"]);
        let made = "state h\nr = sigmoid(linear(x, h))\nh = tanh(linear(x, r * h))\n";
        let made = Cell::parse("made", made).unwrap();
        check(&made, &["r", "what weight_h multiplies", "h"]);
    }

    #[test]
    fn deltas_have_the_names_of_what_they_are_the_gradients_of() {
        let lstm = library::builtin("lstm").unwrap();
        let compiled = lstm.compile();
        let names: Vec<String> = (0..compiled.deltas)
            .map(|d| lstm.delta_name(&compiled, d))
            .collect();
        let want = ["i", "f", "g", "o"].map(|v| format!("the gradient of the linear of {v}"));
        assert_eq!(names, want);
    }
}
