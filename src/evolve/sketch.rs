//! A cell as a graph that can be changed, and its text.

use std::collections::HashMap;

use crate::cell::graph::{Id, Node};
use crate::cell::operator::{Binary, Unary};
use crate::cell::{Cell, SourceKind, VectorKind};
use crate::error::{Error, Result};

/// A part's place in its [`Sketch`].
pub type PartId = usize;

/// One value of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum SketchPart {
    /// The input x.
    Input,
    /// The previous step's value of a state.
    State(usize),
    /// A number.
    Number(f64),
    /// A product for each operand and one bias, and where that starts if not where others do.
    Linear(Vec<PartId>, Option<f64>),
    /// An operator with one operand.
    Unary(Unary, PartId),
    /// An operator with two.
    Binary(Binary, PartId, PartId),
}

/// The equations of one step, to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    /// Names of the states; the first is the output.
    pub states: Vec<String>,
    /// The values. In a [tidy](Sketch::tidy) sketch operands come before what is made of them.
    pub parts: Vec<SketchPart>,
    /// The new value of each state.
    pub new_states: Vec<PartId>,
}

impl SketchPart {
    /// What it is made of.
    pub fn operands(&self) -> Vec<PartId> {
        match self {
            SketchPart::Input | SketchPart::State(_) | SketchPart::Number(_) => Vec::new(),
            SketchPart::Linear(operands, _) => operands.clone(),
            SketchPart::Unary(_, a) => vec![*a],
            SketchPart::Binary(_, a, b) => vec![*a, *b],
        }
    }

    /// The same, to be changed.
    pub fn operands_mut(&mut self) -> Vec<&mut PartId> {
        match self {
            SketchPart::Input | SketchPart::State(_) | SketchPart::Number(_) => Vec::new(),
            SketchPart::Linear(operands, _) => operands.iter_mut().collect(),
            SketchPart::Unary(_, a) => vec![a],
            SketchPart::Binary(_, a, b) => vec![a, b],
        }
    }

    /// Whether it is made of nothing.
    pub fn is_leaf(&self) -> bool {
        matches!(
            self,
            SketchPart::Input | SketchPart::State(_) | SketchPart::Number(_)
        )
    }
}

impl Sketch {
    /// The equations of `cell`.
    ///
    /// # Errors
    /// Usage: a cell that has more than `linear` and operators on elements.
    pub fn of(cell: &Cell) -> Result<Sketch> {
        let mut this = SketchReader {
            cell,
            parts: Vec::new(),
            made: HashMap::new(),
            linears: linears(cell),
        };
        let mut new: Vec<PartId> = Vec::new();
        for id in &cell.new_states {
            new.push(this.part(*id)?);
        }
        let mut parts = this.parts;
        // The output comes first.
        let order: Vec<usize> = std::iter::once(cell.output)
            .chain((0..cell.states.len()).filter(|k| *k != cell.output))
            .collect();
        for part in &mut parts {
            if let SketchPart::State(k) = part {
                *k = order.iter().position(|old| old == k).unwrap_or(0);
            }
        }
        let sketch = Sketch {
            states: order.iter().map(|k| cell.states[*k].clone()).collect(),
            new_states: order.iter().map(|k| new[*k]).collect(),
            parts,
        };
        sketch
            .tidy()
            .ok_or_else(|| Error::internal(format!("{}: a value hangs on itself", cell.name)))
    }

    /// The same without values and states that the output does not hang on, operands before what is made of them; none where a
    /// value hangs on itself.
    pub fn tidy(&self) -> Option<Sketch> {
        let mut states = vec![0];
        let mut next = 0;
        let mut place: HashMap<PartId, PartId> = HashMap::new();
        let mut parts = Vec::new();
        while next < states.len() {
            let root = self.new_states[states[next]];
            self.collect(root, &mut Vec::new(), &mut place, &mut parts)?;
            for part in &parts {
                if let SketchPart::State(k) = part
                    && !states.contains(k)
                {
                    states.push(*k);
                }
            }
            next += 1;
        }
        states.sort_unstable();
        for part in &mut parts {
            if let SketchPart::State(k) = part {
                *k = states.iter().position(|old| old == k)?;
            }
        }
        Some(Sketch {
            new_states: states.iter().map(|k| place[&self.new_states[*k]]).collect(),
            states: states.iter().map(|k| self.states[*k].clone()).collect(),
            parts,
        })
    }

    /// Adds a part behind those that it is made of; none where it hangs on itself, being `within` its own making.
    fn collect(
        &self,
        id: PartId,
        within: &mut Vec<PartId>,
        place: &mut HashMap<PartId, PartId>,
        parts: &mut Vec<SketchPart>,
    ) -> Option<PartId> {
        if let Some(known) = place.get(&id) {
            return Some(*known);
        }
        if within.contains(&id) {
            return None;
        }
        within.push(id);
        let mut part = self.parts[id].clone();
        for operand in part.operands_mut() {
            *operand = self.collect(*operand, within, place, parts)?;
        }
        within.pop();
        parts.push(part);
        place.insert(id, parts.len() - 1);
        Some(parts.len() - 1)
    }

    /// Marks what a part is made of, itself included.
    pub fn made_of(&self, id: PartId) -> Vec<bool> {
        let mut marked = vec![false; self.parts.len()];
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut marked[id], true) {
                open.extend(self.parts[id].operands());
            }
        }
        marked
    }
}

/// The nodes that are whole `linear`s, with their gates and bias.
fn linears(cell: &Cell) -> HashMap<Id, (Vec<usize>, Option<f64>)> {
    let gates_of = |sum: Id| -> Option<Vec<usize>> {
        let (mut open, mut gates) = (vec![sum], Vec::new());
        while let Some(id) = open.pop() {
            match cell.graph.node(id) {
                Node::GateProduct(gate) => gates.push(gate),
                Node::Binary(Binary::Add, a, b) => open.extend([a, b]),
                _ => return None,
            }
        }
        gates.sort_unstable();
        Some(gates)
    };
    let bias = |id: Id| match cell.graph.node(id) {
        Node::Vector(v) => match cell.vectors[v].kind {
            VectorKind::Bias { start, .. } => Some(start),
            _ => None,
        },
        _ => None,
    };
    let mut found = HashMap::new();
    for id in 0..cell.graph.len() {
        if let Node::Binary(Binary::Add, a, b) = cell.graph.node(id) {
            for (sum, vector) in [(a, b), (b, a)] {
                if let (Some(start), Some(gates)) = (bias(vector), gates_of(sum)) {
                    found.insert(id, (gates, start));
                }
            }
        }
    }
    found
}

struct SketchReader<'a> {
    cell: &'a Cell,
    parts: Vec<SketchPart>,
    made: HashMap<Id, PartId>,
    linears: HashMap<Id, (Vec<usize>, Option<f64>)>,
}

impl SketchReader<'_> {
    fn part(&mut self, id: Id) -> Result<PartId> {
        if let Some(known) = self.made.get(&id) {
            return Ok(*known);
        }
        let part = match (self.linears.get(&id).cloned(), self.cell.graph.node(id)) {
            (Some((gates, start)), _) => {
                let mut operands = Vec::new();
                for gate in gates {
                    let source = self.cell.sources[self.cell.gates[gate].source].kind;
                    operands.push(match source {
                        SourceKind::Input => self.leaf(SketchPart::Input),
                        SourceKind::Previous(k) => self.leaf(SketchPart::State(k)),
                        SourceKind::Made { node, .. } => self.part(node)?,
                    });
                }
                SketchPart::Linear(operands, start)
            }
            (None, Node::Input) => SketchPart::Input,
            (None, Node::Previous(k)) => SketchPart::State(k),
            (None, Node::Constant(bits)) => SketchPart::Number(f64::from_bits(bits)),
            (None, Node::Unary(op, a)) => SketchPart::Unary(op, self.part(a)?),
            (None, Node::Binary(op, a, b)) => SketchPart::Binary(op, self.part(a)?, self.part(b)?),
            (None, _) => {
                return Err(Error::usage(format!(
                    "{}: expected a cell of linear and operators on elements alone, found another part",
                    self.cell.name
                )));
            }
        };
        let place = self.leaf(part);
        self.made.insert(id, place);
        Ok(place)
    }

    /// A part; what nothing learned is in is made once.
    fn leaf(&mut self, part: SketchPart) -> PartId {
        let known = self.parts.iter().position(|p| part.is_leaf() && *p == part);
        known.unwrap_or_else(|| {
            self.parts.push(part);
            self.parts.len() - 1
        })
    }
}
