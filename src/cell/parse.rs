//! The cell language: text to definitions, with the line and column of every fault.

use crate::error::Result;
use crate::syntax::{self, Dialect, Line};

pub use crate::syntax::{Expr, MAX_BYTES, MAX_DEPTH, MAX_TOKENS, Position, fault};

/// A line `name = expression`.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The variable that it makes.
    pub name: String,
    /// Where the name stands.
    pub position: Position,
    /// What it is.
    pub expr: Expr,
}

/// A whole cell as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedCell {
    /// The states, in the order of their declaration; the first is the output unless `output` says otherwise.
    pub states: Vec<(String, Position)>,
    /// The state that is the cell's output.
    pub output: Option<(String, Position)>,
    /// Initial values of the biases of a variable's products.
    pub biases: Vec<(String, f64, Position)>,
    /// Named constants.
    pub constants: Vec<(String, f64, Position)>,
    /// The equations, in order.
    pub definitions: Vec<Definition>,
}

const DIALECT: Dialect = Dialect {
    what: "cell",
    symbols: "=+-*/(),",
    arguments: false,
};

/// Parses the text of the cell called `cell`.
pub fn parse(cell: &str, text: &str) -> Result<ParsedCell> {
    let mut parsed = ParsedCell::default();
    syntax::lines(DIALECT, cell, text, |line| statement(line, &mut parsed))?;
    Ok(parsed)
}

fn statement(line: &mut Line<'_>, parsed: &mut ParsedCell) -> Result<()> {
    let (word, position) = line.name("a name")?;
    let declares = line.is_name();
    match word.as_str() {
        "state" if declares => loop {
            parsed.states.push(line.name("the name of a state")?);
            if !line.eat(',') {
                break;
            }
        },
        "output" if declares => {
            parsed.output = Some(line.name("the name of a state")?);
        }
        "bias" if declares => parsed.biases.push(line.setting()?),
        "const" if declares => parsed.constants.push(line.setting()?),
        _ => {
            line.expect('=')?;
            let expr = line.expression()?;
            parsed.definitions.push(Definition {
                name: word,
                position,
                expr,
            });
        }
    }
    Ok(())
}
