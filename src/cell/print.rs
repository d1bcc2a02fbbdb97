//! A compiled cell in words: the equations of both directions, for `cells show`.

use std::fmt::Write;

use super::reduction::{EPS, Reduction};
use super::stage::{Instr, Load, Program, Stage, Store, TermOperand};
use super::{Cell, Compiled};

impl Cell {
    /// The stages as equations, forward and backward: attentions and sums of products first, then the elementwise part.
    pub fn equations(&self, compiled: &Compiled) -> [String; 2] {
        let forward = |a: usize| self.attention(a);
        let backward = |a: usize| self.query_gradient(compiled, a);
        [
            self.of_stages(&compiled.forward, forward),
            self.of_stages(&compiled.backward, backward),
        ]
    }

    fn of_stages(&self, stages: &[Stage], attention: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for (s, stage) in stages.iter().enumerate() {
            let _ = writeln!(text, "stage {s}");
            for a in &stage.attentions {
                let _ = writeln!(text, "  {}", attention(*a));
            }
            for (i, sum) in stage.sums.iter().enumerate() {
                let terms = sum.terms.iter().map(|term| {
                    let source = &self.sources[term.source];
                    let gate = &self.gates[source.gates[term.block]];
                    let transposed = if sum.transposed { "^T" } else { "" };
                    format!(
                        "{}[{}]{transposed} {}",
                        source.weight,
                        gate.variable,
                        self.operand(term.operand)
                    )
                });
                let terms: Vec<String> = terms.collect();
                let _ = writeln!(text, "  sum{i} = {}", terms.join(" + "));
            }
            for (i, reduction) in stage.reductions.iter().enumerate() {
                let name = |row: Load| self.load_name(row);
                let value = match *reduction {
                    Reduction::Mean(row) => format!("mean({})", name(row)),
                    Reduction::Scale { row, .. } => {
                        format!("1 / sqrt(variance({}) + {EPS})", name(row))
                    }
                    Reduction::Slope { sent, row, mean } => {
                        format!("mean({} * ({} - number{mean}))", name(sent), name(row))
                    }
                };
                let _ = writeln!(text, "  number{i} = {value}");
            }
            text.push_str(&self.program(&stage.program));
        }
        text
    }

    /// An attention as it is written, with its places.
    fn attention(&self, a: usize) -> String {
        let attention = &self.attentions[a];
        let scores = attention.function();
        let memory = &self.memories[attention.memory];
        let queries = attention.placed().map(|query| format!(", made{}", query.0));
        let (queries, to) = (queries.collect::<String>(), attention.slot);
        format!("made{to} = {scores}({memory}{queries})")
    }

    /// What comes back through an attention to its query.
    fn query_gradient(&self, compiled: &Compiled, a: usize) -> String {
        match compiled.attention_deltas[a] {
            Some([from, to]) => {
                let parts = to..to + self.attentions[a].queries.len();
                let deltas = parts.map(|delta| format!("delta{delta}"));
                let deltas = deltas.collect::<Vec<_>>().join(", ");
                format!("{deltas} = delta{from} back through {}", self.attention(a))
            }
            None => String::new(),
        }
    }

    fn operand(&self, operand: TermOperand) -> String {
        match operand {
            TermOperand::Previous(k) => format!("{}'", self.states[k]),
            TermOperand::Made(i) => format!("made{i}"),
            TermOperand::Delta(i) => format!("delta{i}"),
            TermOperand::NextDelta(i) => format!("delta{i}[t+1]"),
        }
    }

    /// What a loaded value is called in equations.
    pub fn load_name(&self, load: Load) -> String {
        match load {
            Load::Sum(i) => format!("sum{i}"),
            Load::Reduction(i) => format!("number{i}"),
            Load::Mask(i) => format!("mask{i}"),
            Load::InputProjection(block) => {
                let source = self.input_source().map(|s| &self.sources[s]);
                let gate = source.map(|s| &self.gates[s.gates[block]].variable);
                format!("weight_ih[{}] x", gate.map_or("?", |g| g))
            }
            Load::Input => "x".into(),
            Load::Previous(k) => format!("{}'", self.states[k]),
            Load::New(k) => self.states[k].clone(),
            Load::Made(i) => format!("made{i}"),
            Load::Vector(v) => {
                let vector = &self.vectors[v];
                format!("{}[{}]", vector.parameter(), vector.variable)
            }
            Load::Saved(i) => format!("saved{i}"),
            Load::Delta(i) => format!("delta{i}"),
            Load::Upstream => format!("d{}_above", self.states[self.output]),
            Load::Carry(k) => format!("d{}_next", self.states[k]),
            Load::Scratch(i) => format!("scratch{i}"),
        }
    }

    /// What a stored value is called in equations.
    pub fn store_name(&self, store: Store) -> String {
        match store {
            Store::New(k) => self.states[k].clone(),
            Store::Made(i) => format!("made{i}"),
            Store::Saved(i) => format!("saved{i}"),
            Store::Delta(i) => format!("delta{i}"),
            Store::Carry(k) => format!("d{}'", self.states[k]),
            Store::Scratch(i) => format!("scratch{i}"),
            Store::Initial(k) => format!("d{}[0]", self.states[k]),
            Store::Total(i) => format!("total{i}"),
        }
    }

    /// Straight-line code as equations; a value used once is written where it is used.
    fn program(&self, program: &Program) -> String {
        let mut uses = vec![0usize; program.instrs.len()];
        for instr in &program.instrs {
            match *instr {
                Instr::Unary(_, a) => uses[a] += 1,
                Instr::Binary(_, a, b) => {
                    uses[a] += 1;
                    uses[b] += 1;
                }
                _ => {}
            }
        }
        let mut text = String::new();
        let mut written: Vec<String> = Vec::new();
        for (i, instr) in program.instrs.iter().enumerate() {
            let (value, leaf) = match *instr {
                Instr::Load(load) => (self.load_name(load), true),
                Instr::Constant(value) => (value.to_string(), true),
                Instr::Unary(op, a) if op.name() == "neg" => (format!("-{}", written[a]), false),
                Instr::Unary(op, a) => {
                    let inner = written[a].trim_start_matches('(').trim_end_matches(')');
                    let balanced = inner.len() + 2 == written[a].len();
                    let inner = if balanced { inner } else { &written[a] };
                    (format!("{}({inner})", op.name()), false)
                }
                Instr::Binary(op, a, b) if op.name().chars().all(char::is_alphabetic) => (
                    format!("{}({}, {})", op.name(), written[a], written[b]),
                    false,
                ),
                Instr::Binary(op, a, b) => (
                    format!("({} {} {})", written[a], op.name(), written[b]),
                    false,
                ),
            };
            let stored = program.stores.iter().find(|s| s.1 == i);
            if !leaf && (uses[i] > 1 || (uses[i] > 0 && stored.is_some())) {
                let name = stored.map_or(format!("v{i}"), |s| self.store_name(s.0));
                let _ = writeln!(text, "  {name} = {value}");
                written.push(name);
            } else {
                written.push(value);
            }
        }
        for (store, register) in &program.stores {
            let name = self.store_name(*store);
            if written[*register] != name {
                let _ = writeln!(text, "  {name} = {}", written[*register]);
            }
        }
        text
    }

    /// One line for a list: states, parameters per unit, stages.
    pub fn summary(&self, compiled: &Compiled) -> String {
        let memories = match &self.memories[..] {
            [] => String::new(),
            names => format!("; looks at {}", names.join(", ")),
        };
        format!(
            "states {}{memories}; {} products and {} vectors of H; {} stage{} forward, {} backward",
            self.states.join(", "),
            self.gates.len(),
            self.vectors.len(),
            compiled.forward.len(),
            if compiled.forward.len() == 1 { "" } else { "s" },
            compiled.backward.len(),
        )
    }
}
