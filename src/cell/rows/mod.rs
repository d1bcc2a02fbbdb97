//! Programs on rows: a few equations that are worked out row by row, such as activations, losses and penalties.
//!
//! [`RowProgram::parse`] takes a text in the syntax of the cells. Its inputs are rows, all equally wide, or one number a
//! row; what its last equation makes is the output, likewise. For rows of a width it becomes a [`RowCode`]: its value,
//! its derivative, or a loss with both, all of which are programs on rows themselves.

mod code;
mod derive;
mod graph;
pub mod library;
mod lower;

use std::fmt::{Display, Formatter};

pub use code::{LOWEST, Pass, RowCode, RowLoad, RowStore};
use derive::reverse;
use graph::RowGraph;

use super::graph::Id;
use super::parse::{Language, Parsed, Position, fault, parse};
use crate::error::{Error, Result};

/// The most inputs of a program.
pub const MAX_INPUTS: usize = 12;

/// How wide a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// D elements.
    Row,
    /// One number a row, spread over the row where it meets one.
    Number,
}

impl Width {
    /// Columns, where rows are `width` wide.
    pub fn columns(self, width: usize) -> usize {
        match self {
            Width::Row => width,
            Width::Number => 1,
        }
    }
}

impl Display for Width {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Width::Row => "a row",
            Width::Number => "one number a row",
        })
    }
}

/// A declared input.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredInput {
    /// Its name.
    pub name: String,
    /// How wide it is.
    pub width: Width,
    position: Position,
}

/// A program on rows as it was written.
#[derive(Clone, Debug)]
pub struct RowProgram {
    /// Its name: that of its file without the ending.
    pub name: String,
    /// The text that it was made from.
    pub text: String,
    /// Its inputs, in the order of their declaration.
    pub inputs: Vec<DeclaredInput>,
    /// How wide its output is.
    pub output: Width,
    parsed: Parsed,
}

/// What multiplies a loss, beside the program's inputs: each is one more input, a number a row, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// Whether the row has a weight, which multiplies the loss and its gradient.
    pub weight: bool,
    /// Whether there is a scale, which multiplies the gradient alone.
    pub scale: bool,
}

impl RowProgram {
    /// Reads the text of the program `name`.
    ///
    /// # Errors
    /// Whatever is wrong with the text, with line and column.
    pub fn parse(name: &str, text: &str) -> Result<RowProgram> {
        let parsed = parse(Language::Rows, name, text)?;
        let inputs = lower::inputs(name, &parsed)?;
        let mut program = RowProgram {
            name: name.to_string(),
            text: text.to_string(),
            inputs,
            output: Width::Row,
            parsed,
        };
        // Widths and names are the same whatever the rows' width is.
        program.output = program.value(2)?.2;
        Ok(program)
    }

    /// Whether its output is one number a row, as that of a loss.
    pub fn is_loss(&self) -> bool {
        self.output == Width::Number
    }

    /// The width of its rows, given that of each input.
    ///
    /// # Errors
    /// Another number of inputs; one that is not as wide as the others or, where one number a row is declared, not 1 wide: with
    /// line and column of its declaration and both widths.
    pub fn width(&self, widths: &[usize]) -> Result<usize> {
        if widths.len() != self.inputs.len() {
            let names: Vec<&str> = self.inputs.iter().map(|i| i.name.as_str()).collect();
            return Err(Error::data(format!(
                "{}: expected {} inputs ({}), found {}",
                self.name,
                self.inputs.len(),
                names.join(", "),
                widths.len()
            )));
        }
        let mut first: Option<(&DeclaredInput, usize)> = None;
        for (input, width) in self.inputs.iter().zip(widths) {
            let message = match (input.width, first) {
                (Width::Number, _) if *width != 1 => {
                    format!(
                        "`{}` is one number a row: expected width 1, found {width}",
                        input.name
                    )
                }
                (Width::Row, Some((other, expected))) if *width != expected => format!(
                    "`{}` is a row as wide as `{}`: expected width {expected}, found {width}",
                    input.name, other.name
                ),
                (Width::Row, None) => {
                    first = Some((input, *width));
                    continue;
                }
                _ => continue,
            };
            return Err(fault(&self.name, input.position, message));
        }
        Ok(first.map_or(1, |(_, width)| width))
    }

    /// The names of its constants.
    pub fn constants(&self) -> impl Iterator<Item = &str> {
        self.parsed.constants.iter().map(|(name, ..)| name.as_str())
    }

    /// Gives a constant another value; whether there is one of this name.
    pub fn set_constant(&mut self, name: &str, value: f64) -> bool {
        let mut constants = self.parsed.constants.iter_mut();
        let found = constants.find(|(known, ..)| known == name);
        found.map(|constant| constant.1 = value).is_some()
    }

    fn widths(&self) -> Vec<Width> {
        self.inputs.iter().map(|input| input.width).collect()
    }

    /// The program for rows of `width`: its graph, its output, and how wide that is.
    fn value(&self, width: usize) -> Result<(RowGraph, Id, Width)> {
        let mut graph = RowGraph::new(self.widths(), width);
        let arguments = graph.arguments();
        let (value, of) = lower::lower(self, &mut graph, &arguments)?;
        Ok((graph, value, of))
    }

    fn code(&self, graph: RowGraph, roots: Vec<(Id, Width)>) -> RowCode {
        RowCode::new(&self.name, graph, roots)
    }

    /// Its output, for rows of `width`.
    ///
    /// # Errors
    /// A constant that is not finite for this width.
    pub fn forward(&self, width: usize) -> Result<RowCode> {
        let (graph, value, of) = self.value(width)?;
        Ok(self.code(graph, vec![(value, of)]))
    }

    /// Its derivative: of its inputs and, behind them, the adjoint of its output it makes the adjoint of each input
    /// that is wanted, in their order.
    ///
    /// # Errors
    /// As [`RowProgram::forward`].
    pub fn backward(&self, width: usize, wanted: &[bool]) -> Result<RowCode> {
        let (mut graph, value, of) = self.value(width)?;
        let sent = graph.argument(of);
        let inputs = graph.arguments();
        let adjoints = reverse(&mut graph, &[(value, sent)], &inputs);
        let roots = self.wanted(&adjoints, wanted);
        Ok(self.code(graph, roots))
    }

    fn wanted(&self, adjoints: &[Id], wanted: &[bool]) -> Vec<(Id, Width)> {
        let all = self.inputs.iter().zip(adjoints).zip(wanted);
        all.filter(|(_, wanted)| **wanted)
            .map(|((input, adjoint), _)| (*adjoint, input.width))
            .collect()
    }

    /// A loss with its gradient: weight * loss, then weight * scale * its derivative by each input that is wanted.
    ///
    /// # Errors
    /// Where the output is a row; as [`RowProgram::forward`].
    pub fn with_gradient(
        &self,
        width: usize,
        wanted: &[bool],
        factors: Factors,
    ) -> Result<RowCode> {
        self.must_be_loss()?;
        let (mut graph, value, _) = self.value(width)?;
        let inputs = graph.arguments();
        let (loss, sent) = weighted(&mut graph, value, factors);
        let adjoints = reverse(&mut graph, &[(value, sent)], &inputs);
        let mut roots = vec![(loss, Width::Number)];
        roots.extend(self.wanted(&adjoints, wanted));
        Ok(self.code(graph, roots))
    }

    /// A loss of two rows, for neighbours along a chain of rows: of the row before, the row itself and the row after it
    /// makes weight * loss(itself, after), and weight * scale times the derivative by itself of both pairs that it is in.
    ///
    /// # Errors
    /// Where the inputs are not two rows or the output is a row; as [`RowProgram::forward`].
    pub fn of_neighbours(&self, width: usize, factors: Factors) -> Result<RowCode> {
        self.must_be_loss()?;
        if self.widths() != [Width::Row; 2] {
            return Err(Error::data(format!(
                "{}: a loss of neighbours expects two rows",
                self.name
            )));
        }
        let mut graph = RowGraph::new(vec![Width::Row; 3], width);
        let rows = graph.arguments();
        let [before, own, after] = [rows[0], rows[1], rows[2]];
        let (value, _) = lower::lower(self, &mut graph, &[own, after])?;
        let (earlier, _) = lower::lower(self, &mut graph, &[before, own])?;
        let (loss, sent) = weighted(&mut graph, value, factors);
        let adjoints = reverse(&mut graph, &[(value, sent), (earlier, sent)], &[own]);
        let roots = vec![(loss, Width::Number), (adjoints[0], Width::Row)];
        Ok(self.code(graph, roots))
    }

    /// Whether its output is one number a row.
    ///
    /// # Errors
    /// Where it is a row, with the line that makes it.
    pub fn must_be_loss(&self) -> Result<()> {
        if self.is_loss() {
            return Ok(());
        }
        let (name, position) = lower::output(&self.name, &self.parsed)?;
        let message = format!(
            "a loss is {}, found `{name}`, {}",
            Width::Number,
            Width::Row
        );
        Err(fault(&self.name, position, message))
    }
}

/// The weighted loss, and the adjoint that is sent to the loss without its weight.
fn weighted(graph: &mut RowGraph, value: Id, factors: Factors) -> (Id, Id) {
    let one = graph.nodes.constant(1.0);
    let mut factor = |has: bool| {
        if has {
            graph.argument(Width::Number)
        } else {
            one
        }
    };
    let (weight, scale) = (factor(factors.weight), factor(factors.scale));
    let loss = graph.nodes.mul(value, weight);
    (loss, graph.nodes.mul(weight, scale))
}

#[cfg(test)]
mod tests;
