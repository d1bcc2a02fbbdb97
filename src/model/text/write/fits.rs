//! What does not fit together once widths are known: one error each, with the line.

use super::super::graph::{Function, ValueNode};
use super::Writer;
use crate::cell::Cell;
use crate::error::Result;
use crate::layer::{Builder, Param, Value};
use crate::model::Spec;

impl Writer<'_> {
    /// Refuses operands of several widths.
    pub(super) fn one_width(
        &self,
        builder: &Builder,
        node: &ValueNode,
        operands: &[Value],
    ) -> Result<()> {
        let [a, b] = operands else {
            return Ok(());
        };
        let widths = [a, b].map(|value| builder.signal(*value).width());
        if widths[0] == widths[1] {
            return Ok(());
        }
        let [a, b] = [0, 1].map(|n| &self.model.nodes[node.operands[n]]);
        Err(self.fault(
            node,
            format!(
                "expected values of one width, found `{}` of line {} ({}) and `{}` of line {} ({})",
                a.label, a.position.line, widths[0], b.label, b.position.line, widths[1]
            ),
        ))
    }

    /// Refuses a place, the second operand of `what`, of other than `expected` numbers.
    pub(super) fn place(
        &self,
        builder: &Builder,
        node: &ValueNode,
        what: &str,
        expected: (usize, &str),
    ) -> Result<()> {
        let of = &self.model.nodes[node.operands[1]];
        let found = builder.signal(self.value(node.operands[1])?).width();
        if found == expected.0 {
            return Ok(());
        }
        let (name, line, expected) = (&of.label, of.position.line, expected.1);
        Err(self.fault(
            node,
            format!(
                "`{what}` expects a place of {expected} numbers, found `{name}` of line {line} ({found})"
            ),
        ))
    }

    /// Refuses an image, an operand of `what`, that has no such rows of pixels; how many pixels a row has, and how many rows.
    pub(super) fn image_sides(
        &self,
        builder: &Builder,
        node: &ValueNode,
        (what, operand): (&str, usize),
        width: Option<usize>,
    ) -> Result<[usize; 2]> {
        let pixels = builder.signal(self.value(node.operands[operand])?).width();
        let found = width.unwrap_or(pixels.isqrt());
        let fits = match width {
            Some(width) => pixels.is_multiple_of(width),
            None => found * found == pixels,
        };
        if fits {
            return Ok([found, pixels / found]);
        }
        let of = &self.model.nodes[node.operands[operand]];
        let (name, line) = (&of.label, of.position.line);
        let expected = match width {
            Some(width) => format!("an image of rows of {width} pixels"),
            None => "a square image, or its `width`".to_string(),
        };
        Err(self.fault(
            node,
            format!("`{what}` expects {expected}, found `{name}` of line {line} ({pixels} pixels)"),
        ))
    }

    /// Refuses a patch, the first operand of `write`, that is no square; how many numbers a side has.
    pub(super) fn patch_size(&self, builder: &Builder, node: &ValueNode) -> Result<usize> {
        let found = builder.signal(self.value(node.operands[0])?).width();
        let size = found.isqrt();
        if size * size == found {
            return Ok(size);
        }
        let of = &self.model.nodes[node.operands[0]];
        let (name, line) = (&of.label, of.position.line);
        Err(self.fault(
            node,
            format!("`write` expects a square of numbers, found `{name}` of line {line} ({found})"),
        ))
    }

    /// Refuses scores of other symbols than a field has.
    pub(super) fn scores_of(
        &self,
        builder: &Builder,
        node: &ValueNode,
        scores: Value,
        field: usize,
    ) -> Result<()> {
        let (found, expected) = (builder.signal(scores).width(), self.rows.sizes[field]);
        if found == expected {
            return Ok(());
        }
        let name = &self.model.fields[field].name;
        Err(self.fault(
            node,
            format!("`right` expects {expected} scores, as `{name}` has so many, found {found}"),
        ))
    }

    /// Refuses columns that cannot be cut into so many equal parts.
    pub(super) fn equal_parts(
        &self,
        builder: &Builder,
        node: &ValueNode,
        input: Value,
        parts: usize,
    ) -> Result<()> {
        let width = builder.signal(input).width();
        if width.is_multiple_of(parts) {
            return Ok(());
        }
        let of = &self.model.nodes[node.operands[0]];
        Err(self.fault(
            node,
            format!(
                "expected a value whose width is a multiple of {parts}, found `{}` of line {} ({width})",
                of.label, of.position.line
            ),
        ))
    }

    /// Refuses a shared weight of another shape than a linear layer's own would have.
    pub(super) fn fits(
        &self,
        builder: &Builder,
        node: &ValueNode,
        input: Value,
        shared: Option<Param>,
        width: usize,
    ) -> Result<()> {
        let parts = match node.function {
            Function::Linear { parts, .. } => parts,
            _ => 1,
        };
        self.equal_parts(builder, node, input, parts)?;
        let own = (width, builder.signal(input).width() / parts);
        match shared.map(|weight| (weight.value.rows, weight.value.cols)) {
            Some((rows, cols)) if (rows, cols) != own => Err(self.fault(
                node,
                format!(
                    "weight: expected [{}, {}], found [{rows}, {cols}]",
                    own.0, own.1
                ),
            )),
            _ => Ok(()),
        }
    }

    /// What is given stands beside x in every `linear` over x; a cell that uses x elementwise has no place for it.
    pub(super) fn check_given(&self, node: &ValueNode, stack: &Spec) -> Result<()> {
        match stack.cells.first() {
            Some(cell) if cell.raw_input => Err(self.fault(
                node,
                format!(
                    "given: cell {} uses x elementwise, so that nothing can stand beside it",
                    cell.name
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Every memory of a cell is given, as wide as its state, and nothing that no cell looks at.
    pub(super) fn check_memories(
        &self,
        builder: &Builder,
        node: &ValueNode,
        stack: &Spec,
        memories: &[Value],
    ) -> Result<()> {
        let expected = stack.cells.iter().max_by_key(|cell| cell.memories.len());
        let Some(cell) = expected.filter(|cell| cell.memories.len() != memories.len()) else {
            let wrong = |m: &&Value| builder.signal(**m).width() != stack.hidden;
            return match memories.iter().find(wrong) {
                None => Ok(()),
                Some(memory) => Err(self.fault(
                    node,
                    format!(
                        "memory: expected a value as wide as the state ({}), found {}: `linear(v)` makes it that",
                        stack.hidden,
                        builder.signal(*memory).width()
                    ),
                )),
            };
        };
        let numbers = |n: usize| match n {
            0 => "none".to_string(),
            1 => "1 memory".to_string(),
            n => format!("{n} memories"),
        };
        let (expected, found) = (numbers(cell.memories.len()), numbers(memories.len()));
        let name = &cell.name;
        let message = format!("memory: expected {expected}, as cell {name} has, found {found}");
        Err(self.fault(node, message))
    }

    /// A start needs states to begin in.
    pub(super) fn check_memory(&self, node: &ValueNode, stack: &Spec) -> Result<()> {
        if let Some(cell) = stack.cells.iter().find(|cell| cell.is_feed_forward()) {
            let name = &cell.name;
            let message = format!("start: cell {name} has no memory that could begin so");
            return Err(self.fault(node, message));
        }
        if stack.learn_initial {
            let message =
                "start: expected learn-initial false, as states begin with a value, found true";
            return Err(self.fault(node, message));
        }
        Ok(())
    }

    /// A state is as wide as what it begins with.
    pub(super) fn check_start(&self, node: &ValueNode, stack: &Spec, width: usize) -> Result<()> {
        if width != stack.hidden {
            let message = format!(
                "start: expected a value as wide as the state ({}), found {width}",
                stack.hidden
            );
            return Err(self.fault(node, message));
        }
        Ok(())
    }

    /// Refuses layers that share the parameters of others and have learned ones beside the `known` of the plan.
    pub(super) fn nothing_of_its_own(
        &self,
        builder: &Builder,
        node: &ValueNode,
        known: usize,
    ) -> Result<()> {
        match builder.plan.parameters.get(known) {
            None => Ok(()),
            Some(own) => Err(self.fault(
                node,
                format!(
                    "weight: expected layers that learn nothing else, found {}",
                    own.name
                ),
            )),
        }
    }

    /// Layers that begin with the last states of others are as many, with the same states, as wide.
    /// Returns the settings of these others.
    pub(super) fn check_states(
        &self,
        node: &ValueNode,
        stack: &Spec,
        source: usize,
    ) -> Result<Spec> {
        let source = &self.model.nodes[source];
        let Function::Recurrent { both, .. } = source.function else {
            return Err(self.fault(node, "start: no recurrent layers"));
        };
        let of = |expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            let (label, line) = (&source.label, source.position.line);
            let message = format!(
                "start: expected {expected}, as `{label}` of line {line} has, found {found}"
            );
            self.fault(node, message)
        };
        let from = self.stack(source, both)?;
        let layers = |spec: &Spec| match spec.cells.len() {
            1 => "1 layer".to_string(),
            n => format!("{n} layers"),
        };
        if stack.cells.len() != from.cells.len() {
            return Err(of(&layers(&from), &layers(stack)));
        }
        for (l, (cell, known)) in stack.cells.iter().zip(&from.cells).enumerate() {
            let states = |cell: &Cell| {
                let states = cell.states.join(", ");
                format!("the states {states} of cell {}", cell.name)
            };
            let same = (&cell.states, cell.output) == (&known.states, known.output);
            // What a cell feeds to its next step beside the states of the other begins with zero.
            let mut others = known.states.iter();
            let more = !cell.memories.is_empty() && others.all(|state| cell.states.contains(state));
            if !same && !more {
                return Err(of(&states(known), &states(cell)));
            }
            let sides = if from.both_ways(l) && !stack.both_ways(l) {
                2
            } else {
                1
            };
            if stack.hidden != from.hidden * sides {
                let hidden = |hidden: usize| format!("hidden {hidden}");
                return Err(of(&hidden(from.hidden * sides), &hidden(stack.hidden)));
            }
        }
        Ok(from)
    }
}
