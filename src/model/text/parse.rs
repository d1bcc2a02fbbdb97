//! The model language: text to fields, lines and losses as written, with the line and column of every fault.

use crate::error::Result;
use crate::syntax::{self, Dialect, Expr, Line, Position};

/// What a field is, as written.
#[derive(Clone, Debug, PartialEq)]
pub enum WrittenKind {
    /// `tokens`.
    Tokens,
    /// `tokens within F`.
    Within(String, Position),
    /// `class`.
    Class,
    /// `classes along F`.
    Classes(String, Position),
    /// `vector`.
    Vector,
    /// `reals`.
    Reals,
    /// `bits`.
    Bits,
    /// `set`.
    Set,
}

/// A line `field NAME: kind`.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenField {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub position: Position,
    /// What it is.
    pub kind: WrittenKind,
}

/// A line that makes something.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The name on the left; none for a loss.
    pub name: Option<String>,
    /// Where the line begins.
    pub position: Position,
    /// What it is.
    pub expr: Expr,
}

/// A whole model as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedModel {
    /// The fields, in order.
    pub fields: Vec<WrittenField>,
    /// The lines, in order.
    pub lines: Vec<Written>,
}

const DIALECT: Dialect = Dialect {
    what: "model",
    symbols: "=+-*/(),:",
    arguments: true,
};

/// Parses the text of the model called `model`.
///
/// # Errors
/// Data: what is no line of a model, with its place.
pub fn parse(model: &str, text: &str) -> Result<ParsedModel> {
    let mut parsed = ParsedModel::default();
    syntax::lines(DIALECT, model, text, |line| statement(line, &mut parsed))?;
    Ok(parsed)
}

fn statement(line: &mut Line<'_>, parsed: &mut ParsedModel) -> Result<()> {
    let (word, position) = line.name("`field`, `loss` or a name")?;
    let more = line.is_name();
    if word == "field" && more {
        let (name, position) = line.name("the name of a field")?;
        line.expect(':')?;
        let kind = kind(line)?;
        parsed.fields.push(WrittenField {
            name,
            position,
            kind,
        });
        return Ok(());
    }
    let name = if word == "loss" && more {
        None
    } else {
        line.expect('=')?;
        Some(word)
    };
    let expr = line.expression()?;
    parsed.lines.push(Written {
        name,
        position,
        expr,
    });
    Ok(())
}

fn kind(line: &mut Line<'_>) -> Result<WrittenKind> {
    if line.eat_word("tokens") {
        if !line.eat_word("within") {
            return Ok(WrittenKind::Tokens);
        }
        let (field, position) = line.name("the name of a field of tokens")?;
        Ok(WrittenKind::Within(field, position))
    } else if line.eat_word("classes") {
        if !line.eat_word("along") {
            return line.error("`along` and the name of a field with steps");
        }
        let (field, position) = line.name("the name of a field with steps")?;
        Ok(WrittenKind::Classes(field, position))
    } else if line.eat_word("class") {
        Ok(WrittenKind::Class)
    } else if line.eat_word("vector") {
        Ok(WrittenKind::Vector)
    } else if line.eat_word("reals") {
        Ok(WrittenKind::Reals)
    } else if line.eat_word("bits") {
        Ok(WrittenKind::Bits)
    } else if line.eat_word("set") {
        Ok(WrittenKind::Set)
    } else {
        line.error("`tokens`, `class`, `classes`, `vector`, `reals`, `bits` or `set`")
    }
}
