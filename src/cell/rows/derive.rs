//! Reverse mode over a program on rows.

use super::graph::RowGraph;
use crate::cell::derive::sent;
use crate::cell::graph::{Fold, Id, Node};
use crate::cell::operator::Unary;

/// The adjoints of the nodes `of`, where those of some nodes are given; 0 where nothing depends on one. What a row sends to a
/// number is summed over the row.
pub(super) fn reverse(graph: &mut RowGraph, given: &[(Id, Id)], of: &[Id]) -> Vec<Id> {
    let made = graph.nodes.len();
    let mut adjoints: Vec<Option<Id>> = vec![None; made];
    let add = |graph: &mut RowGraph, adjoints: &mut [Option<Id>], to: Id, term: Id| {
        adjoints[to] = Some(match adjoints[to] {
            None => term,
            Some(sum) => graph.nodes.add(sum, term),
        });
    };
    for (id, adjoint) in given {
        add(graph, &mut adjoints, *id, *adjoint);
    }
    for id in (0..made).rev() {
        let Some(dy) = adjoints[id] else { continue };
        match graph.nodes.node(id) {
            Node::Fold(Fold::Sum, row) => add(graph, &mut adjoints, row, dy),
            Node::Fold(Fold::Max, row) => {
                let largest = graph.first_largest(row);
                let term = graph.nodes.mul(dy, largest);
                add(graph, &mut adjoints, row, term);
            }
            // The softmax of the row.
            Node::LogSum { row, .. } => {
                let below = graph.nodes.sub(row, id);
                let share = graph.nodes.unary(Unary::Exp, below);
                let term = graph.nodes.mul(dy, share);
                add(graph, &mut adjoints, row, term);
            }
            _ => {
                for (operand, term) in sent(&mut graph.nodes, id, dy).into_iter().flatten() {
                    let term = if graph.is_row(id) && !graph.is_row(operand) {
                        graph.sum(term)
                    } else {
                        term
                    };
                    add(graph, &mut adjoints, operand, term);
                }
            }
        }
    }
    let zero = graph.nodes.constant(0.0);
    of.iter().map(|id| adjoints[*id].unwrap_or(zero)).collect()
}
