//! The cell language: text to definitions, with the line and column of every fault.

use crate::error::{Error, Result};

/// Texts beyond this many bytes are refused unread.
pub const MAX_BYTES: usize = 64 * 1024;
/// Brackets and operators may nest this deep.
pub const MAX_DEPTH: usize = 64;
/// Words, numbers and symbols in one line; bounds every recursion over what was parsed.
pub const MAX_TOKENS: usize = 1000;

/// A place in the text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// An expression as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A name.
    Name(String, Place),
    /// A number.
    Number(f64),
    /// A function or an operator, by its name, applied to operands.
    Call(String, Vec<Expr>, Place),
}

/// A line `name = expression`.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The variable that it makes.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// What it is.
    pub expr: Expr,
}

/// A whole cell as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// The states, in the order of their declaration; the first is the output unless `output` says otherwise.
    pub states: Vec<(String, Place)>,
    /// The state that is the cell's output.
    pub output: Option<(String, Place)>,
    /// Initial values of the biases of a variable's products.
    pub biases: Vec<(String, f64, Place)>,
    /// Named constants.
    pub constants: Vec<(String, f64, Place)>,
    /// The equations, in order.
    pub definitions: Vec<Definition>,
}

/// An error of a cell's text.
pub fn fault(cell: &str, place: Place, message: impl std::fmt::Display) -> Error {
    Error::data(format!("{cell}:{}:{}: {message}", place.line, place.column))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(f64),
    Symbol(char),
}

/// Parses the text of the cell called `cell`.
pub fn parse(cell: &str, text: &str) -> Result<Program> {
    if text.len() > MAX_BYTES {
        return Err(Error::data(format!(
            "{cell}: a cell is at most {MAX_BYTES} bytes, this text has {}",
            text.len()
        )));
    }
    let mut program = Program::default();
    for (number, line) in text.lines().enumerate() {
        let tokens = tokens(cell, number + 1, line)?;
        if tokens.is_empty() {
            continue;
        }
        if tokens.len() > MAX_TOKENS {
            let message = format!("a line has at most {MAX_TOKENS} words and symbols");
            return Err(fault(cell, tokens[MAX_TOKENS].1, message));
        }
        let end = Place {
            line: number + 1,
            column: line.chars().count() + 1,
        };
        let mut line = Line {
            cell,
            tokens: &tokens,
            next: 0,
            end,
            depth: 0,
        };
        line.statement(&mut program)?;
    }
    Ok(program)
}

fn tokens(cell: &str, number: usize, line: &str) -> Result<Vec<(Token, Place)>> {
    let chars: Vec<char> = line.chars().collect();
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        let place = Place {
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
            found.push((Token::Name(chars[start..i].iter().collect()), place));
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
                Ok(value) if value.is_finite() => found.push((Token::Number(value), place)),
                _ => return Err(fault(cell, place, format!("`{word}` is not a number"))),
            }
        } else if "=+-*/(),".contains(c) {
            i += 1;
            found.push((Token::Symbol(c), place));
        } else {
            return Err(fault(
                cell,
                place,
                format!("`{}` has no meaning here", c.escape_default()),
            ));
        }
    }
    Ok(found)
}

struct Line<'a> {
    cell: &'a str,
    tokens: &'a [(Token, Place)],
    next: usize,
    end: Place,
    depth: usize,
}

impl Line<'_> {
    fn place(&self) -> Place {
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
            self.place(),
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

    fn name(&mut self, what: &str) -> Result<(String, Place)> {
        let place = self.place();
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok((name, place))
            }
            _ => self.error(what),
        }
    }

    fn setting(&mut self) -> Result<(String, f64, Place)> {
        let (name, place) = self.name("a name")?;
        self.expect('=')?;
        let minus = self.eat('-');
        match self.peek() {
            Some(Token::Number(value)) => {
                let value = if minus { -value } else { *value };
                self.next += 1;
                Ok((name, value, place))
            }
            _ => self.error("a number"),
        }
    }

    fn statement(&mut self, program: &mut Program) -> Result<()> {
        let (word, place) = self.name("a name")?;
        let declares = matches!(self.peek(), Some(Token::Name(_)));
        match word.as_str() {
            "state" if declares => loop {
                program.states.push(self.name("the name of a state")?);
                if !self.eat(',') {
                    break;
                }
            },
            "output" if declares => {
                program.output = Some(self.name("the name of a state")?);
            }
            "bias" if declares => program.biases.push(self.setting()?),
            "const" if declares => program.constants.push(self.setting()?),
            _ => {
                self.expect('=')?;
                let expr = self.sum()?;
                program.definitions.push(Definition {
                    name: word,
                    place,
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
            let place = self.place();
            let Some(symbol) = symbols.into_iter().find(|s| self.eat(*s)) else {
                return Ok(left);
            };
            links += 1;
            if links > MAX_DEPTH {
                return Err(fault(
                    self.cell,
                    place,
                    format!("a chain of operators has at most {MAX_DEPTH} links"),
                ));
            }
            let right = operand(self)?;
            left = Expr::Call(symbol.to_string(), vec![left, right], place);
        }
    }

    fn sum(&mut self) -> Result<Expr> {
        self.chain(['+', '-'], Self::product)
    }

    fn product(&mut self) -> Result<Expr> {
        self.chain(['*', '/'], Self::factor)
    }

    fn factor(&mut self) -> Result<Expr> {
        let place = self.place();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(fault(
                self.cell,
                place,
                format!("expressions nest at most {MAX_DEPTH} deep"),
            ));
        }
        let result = self.factor_inside(place);
        self.depth -= 1;
        result
    }

    fn factor_inside(&mut self, place: Place) -> Result<Expr> {
        match self.peek().cloned() {
            Some(Token::Symbol('-')) => {
                self.next += 1;
                let operand = self.factor()?;
                Ok(Expr::Call("neg".into(), vec![operand], place))
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
                    return Ok(Expr::Name(name, place));
                }
                let mut operands = vec![self.sum()?];
                while self.eat(',') {
                    operands.push(self.sum()?);
                }
                self.expect(')')?;
                Ok(Expr::Call(name, operands, place))
            }
            _ => self.error("an expression"),
        }
    }
}
