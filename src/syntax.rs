//! What the languages of cells and models share: the lexer, expressions, and errors with line and column.

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
    Number(f64, Position),
    /// Text in quotation marks, in a dialect that has it.
    Text(String, Position),
    /// A function or an operator, by its name, applied to operands.
    Call(String, Vec<Expr>, Position),
    /// An operand of a call with the name of an argument, in a dialect that has them.
    Argument(String, Box<Expr>, Position),
}

impl Expr {
    /// Where it stands: an operator's own place.
    pub fn position(&self) -> Position {
        match self {
            Expr::Name(_, position)
            | Expr::Number(_, position)
            | Expr::Text(_, position)
            | Expr::Call(_, _, position)
            | Expr::Argument(_, _, position) => *position,
        }
    }
}

/// What sets a language apart from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// What a text is: `cell`.
    pub what: &'static str,
    /// The characters that mean something by themselves.
    pub symbols: &'static str,
    /// Whether operands may be text in quotation marks, and have the names of arguments.
    pub arguments: bool,
}

/// An error of the text called `name`.
pub fn fault(name: &str, position: Position, message: impl std::fmt::Display) -> Error {
    Error::data(format!(
        "{name}:{}:{}: {message}",
        position.line, position.column
    ))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(f64),
    Text(String),
    Symbol(char),
}

/// Reads a text line by line: `statement` is called for every line that has something on it, and must leave nothing of it.
///
/// # Errors
/// Data: what is wrong with the text, with its place.
pub fn lines(
    dialect: Dialect,
    name: &str,
    text: &str,
    mut statement: impl FnMut(&mut Line<'_>) -> Result<()>,
) -> Result<()> {
    if text.len() > MAX_BYTES {
        return Err(Error::data(format!(
            "{name}: a {} is at most {MAX_BYTES} bytes, this text has {}",
            dialect.what,
            text.len()
        )));
    }
    for (number, line) in text.lines().enumerate() {
        let tokens = tokens(dialect, name, number + 1, line)?;
        if tokens.is_empty() {
            continue;
        }
        if tokens.len() > MAX_TOKENS {
            let message = format!("a line has at most {MAX_TOKENS} words and symbols");
            return Err(fault(name, tokens[MAX_TOKENS].1, message));
        }
        let end = Position {
            line: number + 1,
            column: line.chars().count() + 1,
        };
        let mut line = Line {
            dialect,
            name,
            tokens: &tokens,
            next: 0,
            end,
            depth: 0,
        };
        statement(&mut line)?;
        if line.next < tokens.len() {
            return line.error("the end of the line");
        }
    }
    Ok(())
}

fn tokens(
    dialect: Dialect,
    name: &str,
    number: usize,
    line: &str,
) -> Result<Vec<(Token, Position)>> {
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
                _ => return Err(fault(name, position, format!("`{word}` is not a number"))),
            }
        } else if dialect.symbols.contains(c) {
            i += 1;
            found.push((Token::Symbol(c), position));
        } else if c == '"' && dialect.arguments {
            let length = chars[i + 1..].iter().position(|c| *c == '"');
            let Some(length) = length else {
                return Err(fault(name, position, "`\"` is never closed in its line"));
            };
            let text = chars[i + 1..=i + length].iter().collect();
            found.push((Token::Text(text), position));
            i += length + 2;
        } else {
            return Err(fault(
                name,
                position,
                format!("`{}` has no meaning here", c.escape_default()),
            ));
        }
    }
    Ok(found)
}

/// A line of a text, as far as it is read.
#[derive(Debug)]
pub struct Line<'a> {
    dialect: Dialect,
    name: &'a str,
    tokens: &'a [(Token, Position)],
    next: usize,
    end: Position,
    depth: usize,
}

impl Line<'_> {
    /// Where the next word or symbol stands.
    pub fn position(&self) -> Position {
        self.tokens.get(self.next).map_or(self.end, |t| t.1)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|t| &t.0)
    }

    /// Whether a name comes next.
    pub fn is_name(&self) -> bool {
        matches!(self.peek(), Some(Token::Name(_)))
    }

    /// An error: something else than what was expected came.
    ///
    /// # Errors
    /// Always.
    pub fn error<T>(&self, expected: &str) -> Result<T> {
        let came = match self.peek() {
            None => "the end of the line".to_string(),
            Some(Token::Name(name)) => format!("`{name}`"),
            Some(Token::Number(value)) => format!("`{value}`"),
            Some(Token::Text(text)) => format!("`\"{text}\"`"),
            Some(Token::Symbol(symbol)) => format!("`{symbol}`"),
        };
        Err(fault(
            self.name,
            self.position(),
            format!("expected {expected}, found {came}"),
        ))
    }

    /// Whether a symbol comes next.
    pub fn comes(&self, symbol: char) -> bool {
        self.peek() == Some(&Token::Symbol(symbol))
    }

    /// Takes a number that must come next, which the error calls `what`.
    ///
    /// # Errors
    /// No number came.
    pub fn number(&mut self, what: &str) -> Result<(f64, Position)> {
        let position = self.position();
        match self.peek() {
            Some(Token::Number(value)) => {
                let value = *value;
                self.next += 1;
                Ok((value, position))
            }
            _ => self.error(what),
        }
    }

    /// Takes a symbol, if it comes next.
    pub fn eat(&mut self, symbol: char) -> bool {
        let found = self.comes(symbol);
        self.next += usize::from(found);
        found
    }

    /// Takes a word, if it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if name == word);
        self.next += usize::from(found);
        found
    }

    /// Takes a symbol that must come next.
    ///
    /// # Errors
    /// Another one came.
    pub fn expect(&mut self, symbol: char) -> Result<()> {
        if self.eat(symbol) {
            Ok(())
        } else {
            self.error(&format!("`{symbol}`"))
        }
    }

    /// Takes a name, which the error calls `what`.
    ///
    /// # Errors
    /// No name came.
    pub fn name(&mut self, what: &str) -> Result<(String, Position)> {
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

    /// Takes `NAME = NUMBER`.
    ///
    /// # Errors
    /// Something else came.
    pub fn setting(&mut self) -> Result<(String, f64, Position)> {
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

    /// Takes an expression.
    ///
    /// # Errors
    /// What comes is none, or nests too deep.
    pub fn expression(&mut self) -> Result<Expr> {
        self.chain(['+', '-'], Self::product)
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
                    self.name,
                    position,
                    format!("a chain of operators has at most {MAX_DEPTH} links"),
                ));
            }
            let right = operand(self)?;
            left = Expr::Call(symbol.to_string(), vec![left, right], position);
        }
    }

    fn product(&mut self) -> Result<Expr> {
        self.chain(['*', '/'], Self::factor)
    }

    fn factor(&mut self) -> Result<Expr> {
        let position = self.position();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(fault(
                self.name,
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
                let inner = self.expression()?;
                self.expect(')')?;
                Ok(inner)
            }
            Some(Token::Number(value)) => {
                self.next += 1;
                Ok(Expr::Number(value, position))
            }
            Some(Token::Name(name)) => {
                self.next += 1;
                if !self.eat('(') {
                    return Ok(Expr::Name(name, position));
                }
                let mut operands = vec![self.operand()?];
                while self.eat(',') {
                    operands.push(self.operand()?);
                }
                self.expect(')')?;
                Ok(Expr::Call(name, operands, position))
            }
            _ => self.error("an expression"),
        }
    }

    fn operand(&mut self) -> Result<Expr> {
        let position = self.position();
        let named = self.tokens.get(self.next + 1).map(|t| &t.0) == Some(&Token::Symbol('='));
        let name = match self.peek() {
            Some(Token::Name(name)) if self.dialect.arguments && named => name.clone(),
            _ => return self.expression(),
        };
        self.next += 2;
        let value = match self.peek() {
            Some(Token::Text(text)) => {
                let text = Expr::Text(text.clone(), self.position());
                self.next += 1;
                text
            }
            _ => self.expression()?,
        };
        Ok(Expr::Argument(name, Box::new(value), position))
    }
}
