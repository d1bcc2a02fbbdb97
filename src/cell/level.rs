//! In which stage of a step each value can be known: products and reductions wait for whole rows of an earlier stage.

use super::graph::{Graph, Id, Node};
use super::stage::Load;
use super::{Cell, SourceKind, reduction};

/// The stage in which each node can be known, given that of the leaves that wait for a product.
pub(super) fn levels(graph: &Graph, waits: impl Fn(Id, &[usize]) -> Option<usize>) -> Vec<usize> {
    let mut level = Vec::with_capacity(graph.len());
    for id in 0..graph.len() {
        let own = match waits(id, &level) {
            Some(stage) => stage,
            None => graph.operands(id).map(|o| level[o]).max().unwrap_or(0),
        };
        level.push(own);
    }
    level
}

/// The levels when a leaf may wait for a node that comes after it, whose level `waits` takes from the round before.
pub(super) fn settled(
    cell: &Cell,
    graph: &Graph,
    waits: impl Fn(Id, &[usize], &[usize]) -> Option<usize>,
) -> Vec<usize> {
    let mut level = vec![0; graph.len()];
    // Levels rise along chains of made sources, which are acyclic: as many rounds as sources settle them.
    for _ in 0..=cell.sources.len() + cell.attentions.len() {
        let before = level;
        level = levels(graph, |id, level| waits(id, &before, level));
    }
    level
}

/// A leaf that a program loads wherever it likes.
pub(super) fn leaf(graph: &Graph, id: Id) -> Option<Load> {
    match graph.node(id) {
        Node::Input => Some(Load::Input),
        Node::Previous(k) => Some(Load::Previous(k)),
        Node::Vector(v) => Some(Load::Vector(v)),
        Node::Mask(m) => Some(Load::Mask(m)),
        _ => None,
    }
}

/// The stage in which a reduction can be known, its rows waiting in memory: that of a row which lies there before the
/// step, else the one after it is made. Absent for any other node.
pub(super) fn reduction_level(graph: &Graph, level: &[usize], node: Node) -> Option<usize> {
    let of = |row: Id| match leaf(graph, row) {
        Some(_) => 0,
        None => level[row] + 1,
    };
    reduction::rows(node).map(of).max()
}

/// The rows from node `first` on of reductions that the roots need, unless they lie in memory before the step.
pub(super) fn waiting(graph: &Graph, roots: impl Iterator<Item = Id>, first: Id) -> Vec<Id> {
    let used = graph.reachable(roots);
    let mut waiting: Vec<Id> = Vec::new();
    for id in (first..graph.len()).filter(|id| used[*id]) {
        for row in reduction::rows(graph.node(id)) {
            if row >= first && leaf(graph, row).is_none() && !waiting.contains(&row) {
                waiting.push(row);
            }
        }
    }
    waiting
}

pub(super) fn gate_level(cell: &Cell, level: &[usize], gate: usize) -> usize {
    match cell.sources[cell.gates[gate].source].kind {
        SourceKind::Made { node, .. } if cell.slot_of_attended(node).is_some() => level[node],
        SourceKind::Made { node, .. } => level[node] + 1,
        _ => 0,
    }
}

pub(super) fn find(graph: &Graph, wanted: impl Fn(&Graph, Id) -> bool) -> Option<Id> {
    (0..graph.len()).find(|id| wanted(graph, *id))
}

pub(super) fn back_level(graph: &Graph, level: &[usize], source: usize) -> Option<usize> {
    find(graph, |g, id| g.node(id) == Node::Back(source)).map(|id| level[id])
}
