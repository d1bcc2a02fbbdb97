//! Attention within a step: a row weighs the rows of a memory, which all steps share, by what the step has made so far.

use super::graph::{Id, Node};
use super::{Cell, SourceKind};

/// How a cell scores the rows of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScoreKind {
    /// `query . row`. Luong, Pham, Manning 2015, section 3.1.
    Dot,
    /// `v . tanh(query + key)`, with keys that are a product of the memory's rows. Bahdanau, Cho, Bengio 2015, appendix
    /// A.1.2.
    Additive,
    /// By their place j, from 1 on: the sum over the units of `a exp(-b (k - j)^2)`, as weights without a softmax. Graves
    /// 2013, "Generating sequences with recurrent neural networks", equation 46.
    Window,
}

/// The functions of cells that look at a memory: a name, the scores, and how many queries they take.
pub(super) const ATTENTIONS: [(&str, ScoreKind, usize); 3] = [
    ("dot", ScoreKind::Dot, 1),
    ("additive", ScoreKind::Additive, 1),
    ("window", ScoreKind::Window, 3),
];

/// One attention of a cell: `a = dot(m, q)`, `a = additive(m, q)` or `w = window(m, a, b, k)`. A step makes the queries, then
/// the rows of the memory are weighed, then what they sum to is there for the rest of the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// The variable whose equation holds it.
    pub variable: String,
    /// Which of the cell's memories.
    pub memory: usize,
    /// How its rows are scored.
    pub scores: ScoreKind,
    /// The nodes of the queries `[H]`.
    pub queries: Vec<Id>,
    /// Where the first query waits, among the values made within the step; the others lie behind it.
    pub query_slot: usize,
    /// Where the result `[H]` lies, among them.
    pub slot: usize,
}

impl Attention {
    /// The function that the cell's text calls.
    pub fn function(&self) -> &'static str {
        let own = ATTENTIONS.iter().find(|of| of.1 == self.scores);
        own.map_or("", |of| of.0)
    }

    /// The queries, each with its place.
    pub(super) fn placed(&self) -> impl Iterator<Item = (usize, Id)> + '_ {
        (self.query_slot..).zip(self.queries.iter().copied())
    }
}

impl Cell {
    /// How many rows `[H]` the largest query has.
    pub fn widest_query(&self) -> usize {
        let all = self.attentions.iter().map(|a| a.queries.len());
        all.max().unwrap_or(0)
    }

    /// The places of values made within the step: those of sources, of queries and of what is attended to.
    pub fn made(&self) -> usize {
        let sources = self.sources.iter().filter_map(|s| match s.kind {
            SourceKind::Made { slot, .. } => Some(slot),
            _ => None,
        });
        let queries = self.attentions.iter().flat_map(Attention::placed);
        let attended = self.attentions.iter().map(|a| a.slot);
        let attentions = queries.map(|q| q.0).chain(attended);
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
        sources.chain(self.attentions.iter().flat_map(Attention::placed))
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
