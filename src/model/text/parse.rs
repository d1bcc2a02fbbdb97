//! The model language: text to fields, lines and losses as written, with the line and column of every fault.

use std::ops::Range;

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
    /// `reals along F`.
    RealsAlong(String, Position),
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
pub struct WrittenLine {
    /// The name on the left; none for a loss.
    pub name: Option<String>,
    /// Where the line begins.
    pub position: Position,
    /// What it is.
    pub expr: Expr,
}

/// Lines between `repeat N` and `end`.
#[derive(Clone, Debug, PartialEq)]
pub struct RepeatBlock {
    /// How often they are made, and where that stands.
    pub times: (f64, Position),
    /// Which of the model's lines.
    pub lines: Range<usize>,
    /// Where it begins.
    pub position: Position,
}

/// A whole model as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedModel {
    /// The fields, in order.
    pub fields: Vec<WrittenField>,
    /// The lines, in order.
    pub lines: Vec<WrittenLine>,
    /// Which lines are made several times, in order; none of them lies within another.
    pub blocks: Vec<RepeatBlock>,
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
    let mut open = None;
    syntax::lines(DIALECT, model, text, |line| {
        statement(model, line, &mut parsed, &mut open)
    })?;
    match open {
        None => Ok(parsed),
        Some(RepeatBlock { position, .. }) => {
            let message = "`repeat` without the line `end` behind its lines";
            Err(syntax::fault(model, position, message))
        }
    }
}

/// A line that begins or ends lines that are made several times; whether it was one.
fn block(
    model: &str,
    line: &mut Line<'_>,
    (word, position): (&str, Position),
    parsed: &mut ParsedModel,
    open: &mut Option<RepeatBlock>,
) -> Result<bool> {
    let fault = |message: &str| Err(syntax::fault(model, position, message));
    if line.comes('=') || !["repeat", "end"].contains(&word) {
        return Ok(false);
    }
    let at = parsed.lines.len();
    if word == "repeat" {
        if open.is_some() {
            return fault("a `repeat` within another is not to be had");
        }
        *open = Some(RepeatBlock {
            times: line.number("how often, a whole number")?,
            lines: at..at,
            position,
        });
        return Ok(true);
    }
    match open.take() {
        None => fault("`end` without a line `repeat N` above"),
        Some(block) if block.lines.start == at => fault("a `repeat` without a line to make"),
        Some(block) => {
            let lines = block.lines.start..at;
            parsed.blocks.push(RepeatBlock { lines, ..block });
            Ok(true)
        }
    }
}

fn statement(
    model: &str,
    line: &mut Line<'_>,
    parsed: &mut ParsedModel,
    open: &mut Option<RepeatBlock>,
) -> Result<()> {
    let (word, position) = line.name("`field`, `loss` or a name")?;
    if block(model, line, (&word, position), parsed, open)? {
        return Ok(());
    }
    let more = line.is_name();
    if word == "field" && more {
        if open.is_some() {
            let message = "a field is declared once: expected its line above `repeat`";
            return Err(syntax::fault(model, position, message));
        }
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
    parsed.lines.push(WrittenLine {
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
        if !line.eat_word("along") {
            return Ok(WrittenKind::Reals);
        }
        let (field, position) = line.name("the name of a field with steps")?;
        Ok(WrittenKind::RealsAlong(field, position))
    } else if line.eat_word("bits") {
        Ok(WrittenKind::Bits)
    } else if line.eat_word("set") {
        Ok(WrittenKind::Set)
    } else {
        line.error("`tokens`, `class`, `classes`, `vector`, `reals`, `bits` or `set`")
    }
}
