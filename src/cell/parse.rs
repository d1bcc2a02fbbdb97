//! The language of cells and of programs on rows: text to definitions, with the line and column of every fault.

use crate::error::{Error, Result};

/// Texts beyond this many bytes are refused unread.
pub const MAX_BYTES: usize = 64 * 1024;
/// Brackets and operators may nest this deep.
pub const MAX_DEPTH: usize = 64;
/// Words, numbers and symbols in one line; bounds every recursion over what was parsed.
pub const MAX_TOKENS: usize = 1000;

/// A position in the text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// An expression as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A name.
    Name(String, Position),
    /// A number.
    Number(f64),
    /// A function or an operator, by its name, applied to operands.
    Call(String, Vec<Expr>, Position),
}

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
    /// A cell, which declares `state`, `output`, `bias` and `const`.
    Cell,
    /// A program on rows, which declares `row`, `number`, `output` and `const`.
    Rows,
}

/// A whole text as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The states, in the order of their declaration; the first is the output unless `output` says otherwise.
    pub states: Vec<(String, Position)>,
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

/// An error of the text called `text`.
pub fn fault(text: &str, position: Position, message: impl std::fmt::Display) -> Error {
    Error::data(format!(
        "{text}:{}:{}: {message}",
        position.line, position.column
    ))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(f64),
    Symbol(char),
}

/// Parses the text of the cell, or of the program on rows, called `cell`.
pub fn parse(language: Language, cell: &str, text: &str) -> Result<Parsed> {
    if text.len() > MAX_BYTES {
        let what = match language {
            Language::Cell => "cell",
            Language::Rows => "program on rows",
        };
        return Err(Error::data(format!(
            "{cell}: a {what} is at most {MAX_BYTES} bytes, this text has {}",
            text.len()
        )));
    }
    let mut parsed = Parsed::default();
    for (number, line) in text.lines().enumerate() {
        let tokens = tokens(cell, number + 1, line)?;
        if tokens.is_empty() {
            continue;
        }
        if tokens.len() > MAX_TOKENS {
            let message = format!("a line has at most {MAX_TOKENS} words and symbols");
            return Err(fault(cell, tokens[MAX_TOKENS].1, message));
        }
        let end = Position {
            line: number + 1,
            column: line.chars().count() + 1,
        };
        let mut line = LineParser {
            language,
            cell,
            tokens: &tokens,
            next: 0,
            end,
            depth: 0,
        };
        line.statement(&mut parsed)?;
    }
    Ok(parsed)
}

fn tokens(cell: &str, number: usize, line: &str) -> Result<Vec<(Token, Position)>> {
    let chars: Vec<char> = line.chars().collect();
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        let position = Position {
            line: number,
            column: i + 1,
        };
        let start = i;
        if c == '#' {
            break;
        } else if c.is_whitespace() {
            i += 1;
        } else if c.is_ascii_alphabetic() || c == '_' {
            while i < chars.len() && (chars[i].is_ascii_alphanumeric() || chars[i] == '_') {
                i += 1;
            }
            found.push((Token::Name(chars[start..i].iter().collect()), position));
        } else if c.is_ascii_digit() || c == '.' {
            while i < chars.len()
                && (chars[i].is_ascii_alphanumeric()
                    || chars[i] == '.'
                    || (matches!(chars[i], '+' | '-') && matches!(chars[i - 1], 'e' | 'E')))
            {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            match word.parse::<f64>() {
                Ok(value) if value.is_finite() => found.push((Token::Number(value), position)),
                _ => return Err(fault(cell, position, format!("`{word}` is not a number"))),
            }
        } else if "=+-*/(),".contains(c) {
            i += 1;
            found.push((Token::Symbol(c), position));
        } else {
            return Err(fault(
                cell,
                position,
                format!("`{}` has no meaning here", c.escape_default()),
            ));
        }
    }
    Ok(found)
}

struct LineParser<'a> {
    language: Language,
    cell: &'a str,
    tokens: &'a [(Token, Position)],
    next: usize,
    end: Position,
    depth: usize,
}

impl LineParser<'_> {
    fn position(&self) -> Position {
        self.tokens.get(self.next).map_or(self.end, |t| t.1)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|t| &t.0)
    }

    fn error<T>(&self, expected: &str) -> Result<T> {
        let came = match self.peek() {
            None => "the end of the line".to_string(),
            Some(Token::Name(name)) => format!("`{name}`"),
            Some(Token::Number(value)) => format!("`{value}`"),
            Some(Token::Symbol(symbol)) => format!("`{symbol}`"),
        };
        Err(fault(
            self.cell,
            self.position(),
            format!("expected {expected}, found {came}"),
        ))
    }

    fn eat(&mut self, symbol: char) -> bool {
        let found = self.peek() == Some(&Token::Symbol(symbol));
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: char) -> Result<()> {
        if self.eat(symbol) {
            Ok(())
        } else {
            self.error(&format!("`{symbol}`"))
        }
    }

    fn name(&mut self, what: &str) -> Result<(String, Position)> {
        let position = self.position();
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok((name, position))
            }
            _ => self.error(what),
        }
    }

    fn setting(&mut self) -> Result<(String, f64, Position)> {
        let (name, position) = self.name("a name")?;
        self.expect('=')?;
        let minus = self.eat('-');
        match self.peek() {
            Some(Token::Number(value)) => {
                let value = if minus { -value } else { *value };
                self.next += 1;
                Ok((name, value, position))
            }
            _ => self.error("a number"),
        }
    }

    fn statement(&mut self, parsed: &mut Parsed) -> Result<()> {
        let (word, position) = self.name("a name")?;
        let declares = matches!(self.peek(), Some(Token::Name(_)));
        let (cell, rows) = match self.language {
            Language::Cell => (declares, false),
            Language::Rows => (false, declares),
        };
        match word.as_str() {
            "state" if cell => loop {
                parsed.states.push(self.name("the name of a state")?);
                if !self.eat(',') {
                    break;
                }
            },
            "row" | "number" if rows => loop {
                let (name, position) = self.name("the name of an input")?;
                parsed.inputs.push((name, word == "row", position));
                if !self.eat(',') {
                    break;
                }
            },
            "output" if declares => {
                parsed.output = Some(self.name(if cell {
                    "the name of a state"
                } else {
                    "the name of an equation"
                })?);
            }
            "bias" if cell => parsed.biases.push(self.setting()?),
            "const" if declares => parsed.constants.push(self.setting()?),
            _ => {
                self.expect('=')?;
                let expr = self.sum()?;
                parsed.definitions.push(Definition {
                    name: word,
                    position,
                    expr,
                });
            }
        }
        if self.next < self.tokens.len() {
            return self.error("the end of the line");
        }
        Ok(())
    }

    fn chain(
        &mut self,
        symbols: [char; 2],
        operand: fn(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        let mut left = operand(self)?;
        let mut links = 0;
        loop {
            let position = self.position();
            let Some(symbol) = symbols.into_iter().find(|s| self.eat(*s)) else {
                return Ok(left);
            };
            links += 1;
            if links > MAX_DEPTH {
                return Err(fault(
                    self.cell,
                    position,
                    format!("a chain of operators has at most {MAX_DEPTH} links"),
                ));
            }
            let right = operand(self)?;
            left = Expr::Call(symbol.to_string(), vec![left, right], position);
        }
    }

    fn sum(&mut self) -> Result<Expr> {
        self.chain(['+', '-'], Self::product)
    }

    fn product(&mut self) -> Result<Expr> {
        self.chain(['*', '/'], Self::factor)
    }

    fn factor(&mut self) -> Result<Expr> {
        let position = self.position();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(fault(
                self.cell,
                position,
                format!("expressions nest at most {MAX_DEPTH} deep"),
            ));
        }
        let result = self.factor_inside(position);
        self.depth -= 1;
        result
    }

    fn factor_inside(&mut self, position: Position) -> Result<Expr> {
        match self.peek().cloned() {
            Some(Token::Symbol('-')) => {
                self.next += 1;
                let operand = self.factor()?;
                Ok(Expr::Call("neg".into(), vec![operand], position))
            }
            Some(Token::Symbol('(')) => {
                self.next += 1;
                let inner = self.sum()?;
                self.expect(')')?;
                Ok(inner)
            }
            Some(Token::Number(value)) => {
                self.next += 1;
                Ok(Expr::Number(value))
            }
            Some(Token::Name(name)) => {
                self.next += 1;
                if !self.eat('(') {
                    return Ok(Expr::Name(name, position));
                }
                let mut operands = vec![self.sum()?];
                while self.eat(',') {
                    operands.push(self.sum()?);
                }
                self.expect(')')?;
                Ok(Expr::Call(name, operands, position))
            }
            _ => self.error("an expression"),
        }
    }
}
