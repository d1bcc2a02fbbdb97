//! Symbolic reverse mode over one step.

use super::graph::{Graph, Id, Node};
use super::{Cell, SourceKind};

/// The adjoints of a step: every leaf's, as nodes of a graph that continues the cell's.
pub(super) struct Adjoints {
    pub graph: Graph,
    pub of: Vec<Option<Id>>,
}

impl Adjoints {
    fn accumulate(&mut self, id: Id, term: Id) {
        if self.of.len() <= id {
            self.of.resize(id + 1, None);
        }
        self.of[id] = Some(match self.of[id] {
            None => term,
            Some(sum) => self.graph.add(sum, term),
        });
    }

    pub fn get(&self, node: Node, graph: &Graph) -> Option<Id> {
        let mut graph = graph.clone();
        let known = graph.len();
        let id = graph.leaf(node);
        if id < known {
            self.of.get(id).copied().flatten()
        } else {
            None
        }
    }
}

/// What a pointwise node whose adjoint is `dy` sends to its operands; nothing for any other node.
pub(super) fn sent(graph: &mut Graph, id: Id, dy: Id) -> [Option<(Id, Id)>; 2] {
    match graph.node(id) {
        Node::Unary(op, a) => {
            let [da] = op.adjoints(graph, [a], id, dy);
            [da.map(|da| (a, da)), None]
        }
        Node::Binary(op, a, b) => {
            let [da, db] = op.adjoints(graph, [a, b], id, dy);
            [da.map(|da| (a, da)), db.map(|db| (b, db))]
        }
        _ => [None; 2],
    }
}

/// States whose previous value an equation uses elementwise: within a sequence only these have an adjoint to carry.
pub(super) fn carries(cell: &Cell) -> Vec<bool> {
    let mut roots = cell.new_states.clone();
    roots.extend(made_nodes(cell));
    let used = cell.graph.reachable(roots);
    // Lowering makes the previous states first, so node k is state k.
    (0..cell.states.len()).map(|k| used[k]).collect()
}

pub(super) fn made_nodes(cell: &Cell) -> impl Iterator<Item = Id> + '_ {
    cell.made_values().into_iter().map(|(_, node)| node)
}

/// Walks the step backward. The adjoint of a state is what the layer above, the next step's elementwise part and the
/// next step's products send to it; that of a made source comes through this step's products.
pub(super) fn reverse(cell: &Cell, carries: &[bool]) -> Adjoints {
    let forward = cell.graph.len();
    let mut adjoints = Adjoints {
        graph: cell.graph.clone(),
        of: vec![None; forward],
    };
    for (k, id) in cell.new_states.iter().enumerate() {
        if k == cell.output {
            let upstream = adjoints.graph.leaf(Node::Upstream);
            adjoints.accumulate(*id, upstream);
        }
        if carries[k] {
            let carry = adjoints.graph.leaf(Node::Carry(k));
            adjoints.accumulate(*id, carry);
        }
    }
    for (s, source) in cell.sources.iter().enumerate() {
        let target = match source.kind {
            SourceKind::Input => continue,
            SourceKind::Previous(k) => cell.new_states[k],
            SourceKind::Made { node, .. } => node,
        };
        let back = adjoints.graph.leaf(Node::Back(s));
        adjoints.accumulate(target, back);
    }
    for id in (0..forward).rev() {
        let Some(dy) = adjoints.of[id] else { continue };
        match cell.graph.node(id) {
            // A mean hands each unit the mean of what all units sent to it.
            Node::Mean(a) => {
                let da = adjoints.graph.mean(dy);
                adjoints.accumulate(a, da);
            }
            // The adjoint of the rows of the memory is summed after the last step.
            Node::Attended(a) => {
                for (part, query) in cell.attentions[a].queries.iter().enumerate() {
                    let adjoint = adjoints.graph.leaf(Node::Query(a, part));
                    adjoints.accumulate(*query, adjoint);
                }
            }
            Node::Standard { row, mean, scale } => {
                let graph = &mut adjoints.graph;
                let da = graph.standard_adjoint([row, mean, scale], id, dy);
                adjoints.accumulate(row, da);
            }
            _ => {
                for (operand, term) in sent(&mut adjoints.graph, id, dy).into_iter().flatten() {
                    adjoints.accumulate(operand, term);
                }
            }
        }
    }
    // A carry without a path to the loss is stored as zero.
    adjoints.graph.constant(0.0);
    adjoints
}
