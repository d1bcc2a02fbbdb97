//! From definitions to the graph of a program on rows: every value is a row or one number a row.

use std::collections::{HashMap, HashSet};

use super::graph::RowGraph;
use super::{DeclaredInput, MAX_INPUTS, RowProgram, Width};
use crate::cell::function;
use crate::cell::graph::Id;
use crate::cell::parse::{Expr, Parsed, Position, fault};
use crate::error::{Error, Result, did_you_mean};

/// The names that an equation cannot give to a variable.
const RESERVED: [&str; 8] = [
    "row", "number", "output", "const", "mean", "sum", "max", "logsum",
];

/// The functions of a row.
const FOLDS: &[&str] = &["mean", "sum", "max", "logsum"];

/// The declared inputs.
///
/// # Errors
/// None, too many of them, a reserved name, or one that is declared twice.
pub(super) fn inputs(text: &str, parsed: &Parsed) -> Result<Vec<DeclaredInput>> {
    if parsed.inputs.is_empty() {
        return Err(Error::data(format!(
            "{text}: a program on rows needs a line `row NAME` or `number NAME`: what it reads"
        )));
    }
    let mut found: Vec<DeclaredInput> = Vec::new();
    for (name, row, position) in &parsed.inputs {
        let message = if RESERVED.contains(&name.as_str()) {
            format!("`{name}` is a reserved word")
        } else if found.iter().any(|input| input.name == *name) {
            format!("`{name}` is declared twice")
        } else if found.len() == MAX_INPUTS {
            format!("`{name}` is one input too many: expected at most {MAX_INPUTS}")
        } else {
            found.push(DeclaredInput {
                name: name.clone(),
                width: if *row { Width::Row } else { Width::Number },
                position: *position,
            });
            continue;
        };
        return Err(fault(text, *position, message));
    }
    Ok(found)
}

/// The variable that is the output, and where it stands: the last equation's where no line says it.
///
/// # Errors
/// No equation, or an `output` that none makes.
pub(super) fn output<'a>(text: &str, parsed: &'a Parsed) -> Result<(&'a str, Position)> {
    let Some(last) = parsed.definitions.last() else {
        return Err(Error::data(format!(
            "{text}: a program on rows needs an equation `NAME = ...`: what it makes"
        )));
    };
    let Some((name, position)) = &parsed.output else {
        return Ok((&last.name, last.position));
    };
    let found = parsed.definitions.iter().find(|d| d.name == *name);
    match found {
        Some(definition) => Ok((name, definition.position)),
        None => Err(fault(
            text,
            *position,
            format!("no equation makes `{name}`"),
        )),
    }
}

/// A value, and how wide it is as it is written; a node may be narrower where terms fold away.
type TypedId = (Id, Width);

struct RowLowering<'a, 'g> {
    text: &'a str,
    parsed: &'a Parsed,
    graph: &'g mut RowGraph,
    names: HashMap<&'a str, TypedId>,
    used: HashSet<&'a str>,
}

/// The output of the program as a node of `graph`, where its inputs are the nodes `arguments`.
pub(super) fn lower(
    program: &RowProgram,
    graph: &mut RowGraph,
    arguments: &[Id],
) -> Result<TypedId> {
    let (text, parsed) = (program.name.as_str(), &program.parsed);
    let mut this = RowLowering {
        text,
        parsed,
        graph,
        names: HashMap::new(),
        used: HashSet::new(),
    };
    for (input, id) in program.inputs.iter().zip(arguments) {
        this.names.insert(&input.name, (*id, input.width));
    }
    for (name, value, position) in &parsed.constants {
        let id = this.graph.nodes.constant(*value);
        if RESERVED.contains(&name.as_str()) {
            return Err(this.fault(*position, format!("`{name}` is a reserved word")));
        }
        if this.names.insert(name, (id, Width::Number)).is_some() {
            return Err(this.fault(*position, format!("`{name}` is declared twice")));
        }
    }
    for definition in &parsed.definitions {
        let (name, position) = (definition.name.as_str(), definition.position);
        if RESERVED.contains(&name) {
            return Err(this.fault(position, format!("`{name}` is a reserved word")));
        }
        if this.names.contains_key(name) {
            return Err(this.fault(position, format!("`{name}` is made a second time")));
        }
        let value = this.expression(&definition.expr)?;
        this.names.insert(name, value);
    }
    let (output, _) = output(text, parsed)?;
    for input in program.inputs.iter() {
        if !this.used.contains(input.name.as_str()) {
            let message = format!("input `{}` is never used", input.name);
            return Err(this.fault(input.position, message));
        }
    }
    for definition in &parsed.definitions {
        let name = definition.name.as_str();
        if name != output && !this.used.contains(name) {
            let message = format!("`{name}` is made and never used");
            return Err(this.fault(definition.position, message));
        }
    }
    Ok(this.names[output])
}

impl<'a> RowLowering<'a, '_> {
    fn fault(&self, position: Position, message: impl std::fmt::Display) -> Error {
        fault(self.text, position, message)
    }

    fn expression(&mut self, expr: &'a Expr) -> Result<TypedId> {
        match expr {
            Expr::Number(value, _) => Ok((self.graph.nodes.constant(*value), Width::Number)),
            Expr::Text(_, position) | Expr::Argument(_, _, position) => {
                Err(self.fault(*position, "expected an expression"))
            }
            Expr::Name(name, position) => match self.names.get(name.as_str()) {
                Some(value) => {
                    self.used.insert(name);
                    Ok(*value)
                }
                None => Err(self.unknown(name, *position)),
            },
            Expr::Call(name, operands, position) => {
                // `max` of two operands takes the larger of each element.
                let folds = name != "max" || operands.len() == 1;
                let value = if folds && FOLDS.contains(&name.as_str()) {
                    self.fold(name, operands, *position)?
                } else {
                    self.operator(name, operands, *position)?
                };
                match self.graph.nodes.value(value.0) {
                    Some(number) if !number.is_finite() => {
                        Err(self.fault(*position, format!("`{name}` makes {number} of constants")))
                    }
                    _ => Ok(value),
                }
            }
        }
    }

    fn unknown(&self, name: &str, position: Position) -> Error {
        if let Some(later) = self.parsed.definitions.iter().find(|d| d.name == name) {
            let line = later.position.line;
            return self.fault(
                position,
                format!("`{name}` is used before line {line} makes it"),
            );
        }
        let known = self.names.keys().copied();
        let hint = did_you_mean(name, known);
        self.fault(position, format!("unknown name `{name}`{hint}"))
    }

    fn operator(
        &mut self,
        name: &str,
        operands: &'a [Expr],
        position: Position,
    ) -> Result<TypedId> {
        let operator = function::operator(self.text, name, operands.len(), FOLDS, position)?;
        let (mut made, mut width) = ([0; 2], Width::Number);
        for (made, operand) in made.iter_mut().zip(operands) {
            let (id, of) = self.expression(operand)?;
            *made = id;
            if of == Width::Row {
                width = of;
            }
        }
        Ok((operator.apply(&mut self.graph.nodes, made), width))
    }

    fn fold(&mut self, name: &str, operands: &'a [Expr], position: Position) -> Result<TypedId> {
        function::arity(self.text, name, 1, operands.len(), position)?;
        let (row, width) = self.expression(&operands[0])?;
        if width == Width::Number {
            let message = format!("`{name}` expects {}, found {width}", Width::Row);
            return Err(self.fault(position, message));
        }
        let id = match name {
            "mean" => self.graph.mean(row),
            "sum" => self.graph.sum(row),
            "max" => self.graph.max(row),
            _ => self.graph.log_sum(row),
        };
        Ok((id, Width::Number))
    }
}
