//! Noise inside a step: zoneout and dropout of the recurrent state, as rewritings of a cell's graph.

use super::graph::Node;
use super::{Cell, Mask, SourceKind};

/// Rates of noise inside a cell; all 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    /// The probability with which a unit of the output state keeps its previous value (Krueger 2017).
    pub zoneout: f64,
    /// The same for the other states.
    pub zoneout_memory: f64,
    /// The rate of dropout of what recurrent products multiply, the same units at every step (Gal and Ghahramani 2016).
    pub recurrent: f64,
}

impl Cell {
    /// This cell with noise. In training units are chosen at random; else zoneout takes its expectation and dropout, which
    /// scales what it keeps, is left out.
    ///
    /// Source: Krueger et al., "Zoneout" (2017), equations 4 and 5: a state that looks at another sees it before its
    /// zoneout. Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks" (2016),
    /// equation 7: one mask a sequence and matrix product.
    pub fn with_noise(&self, noise: Noise, training: bool) -> Cell {
        let mut cell = self.clone();
        if cell.is_feed_forward() {
            return cell;
        }
        for k in 0..cell.states.len() {
            let rate = if k == cell.output {
                noise.zoneout
            } else {
                noise.zoneout_memory
            };
            if rate > 0.0 {
                cell.zone_out(k, rate, training);
            }
        }
        if training && noise.recurrent > 0.0 {
            cell.drop_sources(noise.recurrent);
        }
        cell
    }

    /// Whether no step looks at the one before: all steps may then run at once.
    pub fn is_feed_forward(&self) -> bool {
        // What is attended to has rows by steps.
        if !self.attentions.is_empty() {
            return false;
        }
        let mut roots = self.new_states.clone();
        for source in &self.sources {
            match source.kind {
                SourceKind::Previous(_) => return false,
                SourceKind::Made { node, .. } => roots.push(node),
                SourceKind::Input => {}
            }
        }
        let used = self.graph.reachable(roots);
        (0..self.graph.len())
            .all(|id| !used[id] || !matches!(self.graph.node(id), Node::Previous(_)))
    }

    /// s = (1 - keep) * s' + keep * new
    fn zone_out(&mut self, state: usize, rate: f64, training: bool) {
        let keep = if training {
            self.mask(Mask {
                rate,
                scale: 1.0,
                locked: false,
            })
        } else {
            self.graph.constant(1.0 - rate)
        };
        let graph = &mut self.graph;
        let before = graph.leaf(Node::Previous(state));
        let one = graph.constant(1.0);
        let rest = graph.sub(one, keep);
        let stays = graph.mul(rest, before);
        let moves = graph.mul(keep, self.new_states[state]);
        self.new_states[state] = graph.add(stays, moves);
    }

    /// Every vector that a recurrent product multiplies goes through a mask of its own first.
    fn drop_sources(&mut self, rate: f64) {
        for s in 0..self.sources.len() {
            let node = match self.sources[s].kind {
                SourceKind::Input => continue,
                SourceKind::Previous(k) => self.graph.leaf(Node::Previous(k)),
                SourceKind::Made { node, .. } => node,
            };
            let mask = self.mask(Mask {
                rate,
                scale: 1.0 / (1.0 - rate),
                locked: true,
            });
            let attends = |slot| {
                let mut attentions = self.attentions.iter();
                attentions.any(|a| a.slot == slot || a.placed().any(|query| query.0 == slot))
            };
            let slot = match self.sources[s].kind {
                // The query and what is attended to stay as they are.
                SourceKind::Made { slot, .. } if !attends(slot) => slot,
                _ => self.made(),
            };
            let node = self.graph.mul(mask, node);
            self.sources[s].kind = SourceKind::Made { slot, node };
        }
    }

    fn mask(&mut self, mask: Mask) -> usize {
        self.masks.push(mask);
        self.graph.leaf(Node::Mask(self.masks.len() - 1))
    }
}
