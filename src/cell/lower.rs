//! From definitions to a cell: names become values, `linear` becomes gates and a bias.

use std::collections::HashMap;

use super::attention::ATTENTIONS;
use super::function;
use super::graph::{Graph, Id, Node};
use super::parse::{Definition, Expr, Parsed, Position, fault};
use super::{
    Attention, Cell, GateProduct, ProductSource, ScoreKind, SourceKind, Vector, VectorKind,
};
use crate::error::{Error, Result, did_you_mean};

/// The names that an equation cannot give to a variable.
const RESERVED: [&str; 13] = [
    "x", "linear", "peep", "mean", "norm", "dot", "additive", "window", "state", "memory",
    "output", "bias", "const",
];

/// The functions that are no pointwise operators.
const OWN: &[&str] = &[
    "linear", "peep", "mean", "norm", "dot", "additive", "window",
];

struct Lowering<'a> {
    cell: &'a str,
    parsed: &'a Parsed,
    graph: Graph,
    names: HashMap<&'a str, Id>,
    sources: Vec<(SourceKind, Vec<usize>)>,
    gates: Vec<GateProduct>,
    vectors: Vec<Vector>,
    attentions: Vec<Attention>,
    raw_input: bool,
}

pub(super) fn lower(name: &str, text: &str, parsed: &Parsed) -> Result<Cell> {
    if parsed.states.is_empty() {
        return Err(Error::data(format!(
            "{name}: a cell needs a line `state NAME`: what it hands to its next step"
        )));
    }
    let mut this = Lowering {
        cell: name,
        parsed,
        graph: Graph::default(),
        names: HashMap::new(),
        sources: Vec::new(),
        gates: Vec::new(),
        vectors: Vec::new(),
        attentions: Vec::new(),
        raw_input: false,
    };
    this.declare()?;
    let mut made: HashMap<&str, Id> = HashMap::new();
    for definition in &parsed.definitions {
        let name = definition.name.as_str();
        if RESERVED.contains(&name) {
            return Err(this.fault(definition.position, format!("`{name}` is a reserved word")));
        }
        if this.is_memory(name) {
            let message = format!("`{name}` is a memory, which no equation makes");
            return Err(this.fault(definition.position, message));
        }
        if made.contains_key(name) || parsed.constants.iter().any(|c| c.0 == name) {
            return Err(this.fault(
                definition.position,
                format!("`{name}` is made a second time"),
            ));
        }
        let id = this.expression(definition, &definition.expr)?;
        this.names.insert(name, id);
        made.insert(name, id);
    }
    this.finish(text, &made)
}

impl<'a> Lowering<'a> {
    fn fault(&self, position: Position, message: impl std::fmt::Display) -> Error {
        fault(self.cell, position, message)
    }

    fn declare(&mut self) -> Result<()> {
        let parsed = self.parsed;
        for (k, (state, position)) in parsed.states.iter().enumerate() {
            if RESERVED.contains(&state.as_str()) {
                return Err(self.fault(*position, format!("`{state}` is a reserved word")));
            }
            let id = self.graph.leaf(Node::Previous(k));
            if self.names.insert(state, id).is_some() {
                return Err(self.fault(*position, format!("state `{state}` is declared twice")));
            }
        }
        for (n, (memory, position)) in parsed.memories.iter().enumerate() {
            if RESERVED.contains(&memory.as_str()) {
                return Err(self.fault(*position, format!("`{memory}` is a reserved word")));
            }
            let earlier = parsed.memories[..n].iter().any(|m| m.0 == *memory);
            if earlier || self.names.contains_key(memory.as_str()) {
                return Err(self.fault(*position, format!("`{memory}` is declared twice")));
            }
        }
        for (constant, value, position) in &parsed.constants {
            let id = self.graph.constant(*value);
            if self.is_memory(constant) {
                return Err(self.fault(*position, format!("`{constant}` is declared twice")));
            }
            if self.names.insert(constant, id).is_some() {
                return Err(self.fault(*position, format!("`{constant}` is declared twice")));
            }
        }
        for (variable, _, position) in &parsed.biases {
            if !parsed.definitions.iter().any(|d| d.name == *variable) {
                return Err(self.fault(*position, format!("no equation makes `{variable}`")));
            }
        }
        Ok(())
    }

    fn expression(&mut self, definition: &'a Definition, expr: &'a Expr) -> Result<Id> {
        match expr {
            Expr::Number(value, _) => Ok(self.graph.constant(*value)),
            Expr::Text(_, position) | Expr::Argument(_, _, position) => {
                Err(self.fault(*position, "expected an expression"))
            }
            Expr::Name(name, _) if name == "x" => {
                self.raw_input = true;
                Ok(self.graph.leaf(Node::Input))
            }
            Expr::Name(name, position) => match self.names.get(name.as_str()) {
                Some(id) => Ok(*id),
                None => Err(self.unknown(name, *position)),
            },
            Expr::Call(name, operands, position) => match name.as_str() {
                "linear" => self.linear(definition, operands, *position),
                "peep" => {
                    function::arity(self.cell, name, 1, operands.len(), *position)?;
                    let value = self.expression(definition, &operands[0])?;
                    let vector = self.vector(definition, VectorKind::Peep);
                    Ok(self.graph.mul(vector, value))
                }
                "dot" | "additive" | "window" => {
                    self.attention(definition, name, operands, *position)
                }
                "mean" | "norm" => {
                    function::arity(self.cell, name, 1, operands.len(), *position)?;
                    let value = self.expression(definition, &operands[0])?;
                    Ok(match name.as_str() {
                        "mean" => self.graph.mean(value),
                        _ => self.norm(definition, value),
                    })
                }
                _ => self.operator(definition, name, operands, *position),
            },
        }
    }

    fn is_memory(&self, name: &str) -> bool {
        self.parsed.memories.iter().any(|m| m.0 == name)
    }

    /// `dot(m, q)`; `additive(m, q)`, whose query is then `linear(q)`; `window(m, a, b, k)`.
    fn attention(
        &mut self,
        definition: &'a Definition,
        name: &str,
        operands: &'a [Expr],
        position: Position,
    ) -> Result<Id> {
        let Some((_, scores, count)) = ATTENTIONS.iter().find(|of| of.0 == name) else {
            return Err(self.unknown(name, position));
        };
        function::arity(self.cell, name, 1 + count, operands.len(), position)?;
        let named = match &operands[0] {
            Expr::Name(name, _) => self.parsed.memories.iter().position(|m| m.0 == *name),
            _ => None,
        };
        let Some(memory) = named else {
            let message = format!(
                "`{name}` expects the name of a memory first, which a line `memory NAME` declares"
            );
            return Err(self.fault(operands[0].position(), message));
        };
        let mut queries = Vec::new();
        for operand in &operands[1..] {
            let query = if *scores == ScoreKind::Additive {
                self.linear(definition, std::slice::from_ref(operand), position)?
            } else {
                self.expression(definition, operand)?
            };
            if self.graph.value(query).is_some() {
                let message = format!("`{name}` expects a query that steps make, found a constant");
                return Err(self.fault(operand.position(), message));
            }
            queries.push(query);
        }
        self.attentions.push(Attention {
            variable: definition.name.clone(),
            memory,
            scores: *scores,
            queries,
            query_slot: 0,
            slot: 0,
        });
        Ok(self.graph.leaf(Node::Attended(self.attentions.len() - 1)))
    }

    /// Gives queries and what is attended to their places: those of a product's source where they are that, else new ones
    /// behind these.
    fn attended(&self) -> Vec<Attention> {
        let sources = self.sources.iter().filter_map(|(kind, _)| match kind {
            SourceKind::Made { slot, node } => Some((*node, *slot)),
            _ => None,
        });
        let mut places: Vec<(Id, usize)> = sources.collect();
        let new = |places: &mut Vec<(Id, usize)>, id: Id| {
            places.push((id, places.len()));
            places.len() - 1
        };
        let place = |places: &mut Vec<(Id, usize)>, id: Id| {
            let known = places.iter().find(|(node, _)| *node == id).map(|p| p.1);
            known.unwrap_or_else(|| new(places, id))
        };
        let made = (0..self.graph.len()).filter_map(|id| match self.graph.node(id) {
            Node::Attended(a) => Some((a, id)),
            _ => None,
        });
        let mut attentions = self.attentions.clone();
        for (a, id) in made {
            let attention = &mut attentions[a];
            attention.query_slot = match attention.queries[..] {
                [query] => place(&mut places, query),
                // Several lie side by side, wherever else one of them lies.
                ref several => {
                    let slots = several.iter().map(|query| new(&mut places, *query));
                    slots.min().unwrap_or(0)
                }
            };
            attention.slot = place(&mut places, id);
        }
        attentions
    }

    fn unknown(&self, name: &str, position: Position) -> Error {
        if self.is_memory(name) {
            let message = format!(
                "`{name}` is a memory, at which `dot({name}, q)`, `additive({name}, q)` and `window({name}, a, b, k)` look"
            );
            return self.fault(position, message);
        }
        if let Some(later) = self.parsed.definitions.iter().find(|d| d.name == name) {
            let message = format!(
                "`{name}` is used before line {} makes it; declare it with `state` to use its previous value",
                later.position.line
            );
            return self.fault(position, message);
        }
        let known = self.names.keys().copied().chain(["x"]);
        let hint = did_you_mean(name, known);
        self.fault(position, format!("unknown name `{name}`{hint}"))
    }

    fn operator(
        &mut self,
        definition: &'a Definition,
        name: &str,
        operands: &'a [Expr],
        position: Position,
    ) -> Result<Id> {
        let operator = function::operator(self.cell, name, operands.len(), OWN, position)?;
        let mut made = [0; 2];
        for (made, operand) in made.iter_mut().zip(operands) {
            *made = self.expression(definition, operand)?;
        }
        Ok(operator.apply(&mut self.graph, made))
    }

    /// linear(a, b) = W_a a + W_b b + bias, named after the variable whose equation it stands in.
    fn linear(
        &mut self,
        definition: &'a Definition,
        operands: &'a [Expr],
        position: Position,
    ) -> Result<Id> {
        let mut sum = None;
        let mut input = false;
        for operand in operands {
            let kind = match operand {
                Expr::Name(name, _) if name == "x" => {
                    input = true;
                    SourceKind::Input
                }
                _ => {
                    let id = self.expression(definition, operand)?;
                    self.source_kind(id)
                }
            };
            if matches!(kind, SourceKind::Made { node, .. } if self.graph.value(node).is_some()) {
                return Err(self.fault(position, "`linear` of a constant is a bias: leave it out"));
            }
            let gate = self.gate(definition, kind);
            let product = self.graph.leaf(Node::GateProduct(gate));
            sum = Some(match sum {
                None => product,
                Some(sum) => self.graph.add(sum, product),
            });
        }
        let start = self.parsed.biases.iter();
        let start = start
            .filter(|b| b.0 == definition.name)
            .map(|b| b.1)
            .next_back();
        let bias = self.vector(definition, VectorKind::Bias { input, start });
        let Some(sum) = sum else {
            return Err(self.fault(position, "`linear` needs an operand"));
        };
        Ok(self.graph.add(sum, bias))
    }

    /// norm(a) = gain * (a - mean(a)) / sqrt(variance(a) + eps) + shift over the units of a row.
    /// Source: Ba, Kiros, Hinton, "Layer normalization" (2016), equation 4.
    fn norm(&mut self, definition: &Definition, a: Id) -> Id {
        let unit = self.graph.standard(a);
        let gain = self.vector(definition, VectorKind::Gain);
        let scaled = self.graph.mul(gain, unit);
        let shift = self.vector(definition, VectorKind::Shift);
        self.graph.add(scaled, shift)
    }

    fn source_kind(&self, id: Id) -> SourceKind {
        if let Node::Previous(k) = self.graph.node(id) {
            return SourceKind::Previous(k);
        }
        let mut made = 0;
        for (kind, _) in &self.sources {
            if let SourceKind::Made { node, .. } = kind {
                if *node == id {
                    return *kind;
                }
                made += 1;
            }
        }
        SourceKind::Made {
            slot: made,
            node: id,
        }
    }

    fn gate(&mut self, definition: &Definition, kind: SourceKind) -> usize {
        let gate = self.gates.len();
        let known = self.sources.iter().position(|(k, _)| *k == kind);
        let source = known.unwrap_or_else(|| {
            self.sources.push((kind, Vec::new()));
            self.sources.len() - 1
        });
        self.sources[source].1.push(gate);
        self.gates.push(GateProduct {
            variable: definition.name.clone(),
            source,
            block: self.sources[source].1.len() - 1,
        });
        gate
    }

    fn vector(&mut self, definition: &Definition, kind: VectorKind) -> Id {
        let index = self.vectors.len();
        self.vectors.push(Vector {
            variable: definition.name.clone(),
            kind,
        });
        self.graph.leaf(Node::Vector(index))
    }

    fn finish(self, text: &str, made: &HashMap<&str, Id>) -> Result<Cell> {
        let mut new_states = Vec::new();
        for (state, position) in &self.parsed.states {
            match made.get(state.as_str()) {
                Some(id) => new_states.push(*id),
                None => {
                    let message = format!("state `{state}` is never made; add `{state} = ...`");
                    return Err(self.fault(*position, message));
                }
            }
        }
        let output = match &self.parsed.output {
            None => 0,
            Some((name, position)) => {
                let found = self.parsed.states.iter().position(|s| s.0 == *name);
                found.ok_or_else(|| {
                    self.fault(*position, format!("the output `{name}` must be a state"))
                })?
            }
        };
        let mut roots = new_states.clone();
        for (kind, _) in &self.sources {
            if let SourceKind::Made { node, .. } = kind {
                roots.push(*node);
            }
        }
        roots.extend(self.attentions.iter().flat_map(|a| a.queries.iter()));
        for (n, (memory, position)) in self.parsed.memories.iter().enumerate() {
            if !self.attentions.iter().any(|a| a.memory == n) {
                let message = format!(
                    "nothing looks at memory `{memory}`: add `dot({memory}, q)`, `additive({memory}, q)` or `window({memory}, a, b, k)`"
                );
                return Err(self.fault(*position, message));
            }
        }
        let used = self.graph.reachable(roots);
        for definition in &self.parsed.definitions {
            let name = definition.name.as_str();
            // A second name for a previous state may feed products alone.
            let feeds = |s: &(SourceKind, _)| matches!(s.0, SourceKind::Previous(k) if self.graph.node(made[name]) == Node::Previous(k));
            if !used[made[name]] && !self.sources.iter().any(feeds) {
                return Err(self.fault(
                    definition.position,
                    format!("`{name}` is made and never used"),
                ));
            }
        }
        for (k, (state, position)) in self.parsed.states.iter().enumerate() {
            // The states' previous values were the first nodes.
            let product = |s: &(SourceKind, _)| s.0 == SourceKind::Previous(k);
            if k != output && !used[k] && !self.sources.iter().any(product) {
                let message = format!(
                    "no equation uses the previous value of state `{state}`: drop it from the `state` line"
                );
                return Err(self.fault(*position, message));
            }
        }
        let sources = self.sources.iter().enumerate().map(|(i, (kind, gates))| {
            let weight = match kind {
                SourceKind::Input => "weight_ih".to_string(),
                SourceKind::Previous(k) if *k == output => "weight_hh".to_string(),
                SourceKind::Previous(k) => format!("weight_prev_{}", self.parsed.states[*k].0),
                SourceKind::Made { .. } => format!(
                    "weight_{}{}",
                    self.gates[gates[0]].variable,
                    self.duplicate(i)
                ),
            };
            ProductSource {
                kind: *kind,
                weight,
                gates: gates.clone(),
            }
        });
        let variables = self.parsed.definitions.iter();
        let variables = variables.map(|d| (d.name.clone(), made[d.name.as_str()]));
        Ok(Cell {
            name: self.cell.to_string(),
            text: text.to_string(),
            states: self.parsed.states.iter().map(|s| s.0.clone()).collect(),
            output,
            new_states,
            variables: variables.collect(),
            sources: sources.collect(),
            gates: self.gates.clone(),
            vectors: self.vectors.clone(),
            memories: self.parsed.memories.iter().map(|m| m.0.clone()).collect(),
            attentions: self.attended(),
            masks: Vec::new(),
            raw_input: self.raw_input,
            graph: self.graph,
        })
    }

    /// A number that tells apart made sources whose first gates belong to one variable.
    fn duplicate(&self, source: usize) -> String {
        let variable =
            |s: &(SourceKind, Vec<usize>)| -> String { self.gates[s.1[0]].variable.clone() };
        let mine = variable(&self.sources[source]);
        let earlier = self.sources[..source]
            .iter()
            .filter(|s| matches!(s.0, SourceKind::Made { .. }) && variable(s) == mine)
            .count();
        if earlier == 0 {
            String::new()
        } else {
            format!("_{}", earlier + 1)
        }
    }
}
