//! Attention within a step: a row weighs the rows of a memory, which all steps share, by what the step has made so far.

use super::graph::{Id, Node};
use super::{Cell, SourceKind};

/// One attention of a cell: `a = dot(m, q)` or `a = additive(m, q)`. A step makes the query, then the rows of the memory are
/// weighed, then what they sum to is there for the rest of the step. Bahdanau, Cho, Bengio 2015, appendix A.1.2; Luong,
/// Pham, Manning 2015, section 3.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// The variable whose equation holds it.
    pub variable: String,
    /// Which of the cell's memories.
    pub memory: usize,
    /// Whether scores are `v . tanh(query + key)`, with keys that are a product of the memory's rows, and not
    /// `query . row`.
    pub additive: bool,
    /// The node of the query `[H]`.
    pub query: Id,
    /// Where the query waits, among the values made within the step.
    pub query_slot: usize,
    /// Where the result `[H]` lies, among them.
    pub slot: usize,
}

impl Cell {
    /// The places of values made within the step: those of sources, of queries and of what is attended to.
    pub fn made(&self) -> usize {
        let sources = self.sources.iter().filter_map(|s| match s.kind {
            SourceKind::Made { slot, .. } => Some(slot),
            _ => None,
        });
        let attentions = self.attentions.iter().flat_map(|a| [a.query_slot, a.slot]);
        sources.chain(attentions).max().map_or(0, |slot| slot + 1)
    }

    /// What the program of a step leaves among the values made within it, each with its place; what is attended to comes there
    /// by itself.
    pub(super) fn made_values(&self) -> Vec<(usize, Id)> {
        let mut values: Vec<(usize, Id)> = Vec::new();
        for value in self.multiplied_or_asked() {
            // What is attended to lies there already; where a source is that, too, it has nothing of its own.
            let there = self.slot_of_attended(value.1) == Some(value.0);
            if !there && !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// What products multiply and attentions ask with, each with its place.
    fn multiplied_or_asked(&self) -> impl Iterator<Item = (usize, Id)> + '_ {
        let sources = self.sources.iter().filter_map(|s| match s.kind {
            SourceKind::Made { slot, node } => Some((slot, node)),
            _ => None,
        });
        sources.chain(self.attentions.iter().map(|a| (a.query_slot, a.query)))
    }

    /// The place of what is attended to, where a node is that.
    pub(super) fn slot_of_attended(&self, id: Id) -> Option<usize> {
        match self.graph.node(id) {
            Node::Attended(a) => Some(self.attentions[a].slot),
            _ => None,
        }
    }

    /// The place among the values made within the step where a node lies that products multiply or attentions ask with.
    pub(super) fn made_slot(&self, id: Id) -> Option<usize> {
        let mut made = self.multiplied_or_asked();
        made.find(|(_, node)| *node == id).map(|(slot, _)| slot)
    }
}
