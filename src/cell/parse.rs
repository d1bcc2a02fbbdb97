//! The language of cells and of programs on rows: text to definitions, with the line and column of every fault.

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

/// What a text is: its declarations differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A cell, which declares `state`, `memory`, `output`, `bias` and `const`.
    Cell,
    /// A program on rows, which declares `row`, `number`, `output` and `const`.
    Rows,
}

/// A whole text as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The states, in the order of their declaration; the first is the output unless `output` says otherwise.
    pub states: Vec<(String, Position)>,
    /// The memories that a cell looks at, in the order of their declaration.
    pub memories: Vec<(String, Position)>,
    /// The inputs of a program on rows, in the order of their declaration: whether each is a row, or one number a row.
    pub inputs: Vec<(String, bool, Position)>,
    /// What the `output` line names.
    pub output: Option<(String, Position)>,
    /// Initial values of the biases of a variable's products.
    pub biases: Vec<(String, f64, Position)>,
    /// Named constants.
    pub constants: Vec<(String, f64, Position)>,
    /// The equations, in order.
    pub definitions: Vec<Definition>,
}

impl Language {
    fn dialect(self) -> Dialect {
        Dialect {
            what: match self {
                Language::Cell => "cell",
                Language::Rows => "program on rows",
            },
            symbols: "=+-*/(),",
            arguments: false,
        }
    }
}

/// Parses the text of the cell, or of the program on rows, called `cell`.
pub fn parse(language: Language, cell: &str, text: &str) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    syntax::lines(language.dialect(), cell, text, |line| {
        statement(language, line, &mut parsed)
    })?;
    Ok(parsed)
}

fn statement(language: Language, line: &mut Line<'_>, parsed: &mut Parsed) -> Result<()> {
    let (word, position) = line.name("a name")?;
    let declares = line.is_name();
    let cell = declares && language == Language::Cell;
    let rows = declares && language == Language::Rows;
    match word.as_str() {
        "state" if cell => loop {
            parsed.states.push(line.name("the name of a state")?);
            if !line.eat(',') {
                break;
            }
        },
        "memory" if cell => loop {
            parsed.memories.push(line.name("the name of a memory")?);
            if !line.eat(',') {
                break;
            }
        },
        "row" | "number" if rows => loop {
            let (name, position) = line.name("the name of an input")?;
            parsed.inputs.push((name, word == "row", position));
            if !line.eat(',') {
                break;
            }
        },
        "output" if declares => {
            parsed.output = Some(line.name(if cell {
                "the name of a state"
            } else {
                "the name of an equation"
            })?);
        }
        "bias" if cell => parsed.biases.push(line.setting()?),
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
