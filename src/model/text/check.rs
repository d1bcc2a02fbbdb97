//! From lines to values: names become values, calls become functions, and values meet along one axis or are refused.

mod axes;
mod losses;
mod rounds;
mod whole;

pub(super) use rounds::{any_round, sharing};

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::functions::{self, Call};
use super::graph::{Along, Function, Loss, ModelField, ModelFieldKind, ValueNode};
use super::parse::{ParsedModel, WrittenKind};
use crate::error::{Error, Result, did_you_mean};
use crate::syntax::{Expr, Position, fault};

/// What a name on the left, or a field, stands for.
#[derive(Clone, Copy)]
enum Meaning {
    Field(usize),
    Value(usize),
}

/// A model in the making.
pub(super) struct Checker<'a> {
    model: &'a str,
    parsed: &'a ParsedModel,
    fields: Vec<ModelField>,
    nodes: Vec<ValueNode>,
    losses: Vec<Loss>,
    /// By name: its meaning, its place, and whether something uses it.
    names: Vec<(&'a str, Meaning, Position, bool)>,
    /// The name of the line that is being read.
    line: String,
    /// Of lines that are made several times: their first line's place, and which round is read, from 1 on.
    round: Option<(Position, usize)>,
    /// The names that the round has made so far.
    made: Vec<&'a str>,
    earlier: BTreeMap<usize, usize>,
    /// The first `next` or `ahead` of every field.
    next: Vec<Option<Position>>,
    /// Whether a loss is read: what it predicts may be ahead of what is read.
    in_loss: bool,
    /// Losses that the text may name beside the built-in ones.
    own_losses: &'a BTreeMap<String, String>,
}

/// Checked fields, values and losses.
pub(super) struct Checked {
    pub fields: Vec<ModelField>,
    pub nodes: Vec<ValueNode>,
    pub losses: Vec<Loss>,
    /// By value: that of the round before, which it stands for from its line on.
    pub earlier: BTreeMap<usize, usize>,
}

/// Checks what was written.
pub(super) fn check(
    model: &str,
    parsed: &ParsedModel,
    own_losses: &BTreeMap<String, String>,
) -> Result<Checked> {
    let mut this = Checker {
        model,
        parsed,
        fields: Vec::new(),
        nodes: Vec::new(),
        losses: Vec::new(),
        names: Vec::new(),
        line: String::new(),
        round: None,
        made: Vec::new(),
        earlier: BTreeMap::new(),
        next: Vec::new(),
        in_loss: false,
        own_losses,
    };
    this.fields()?;
    this.lines()?;
    this.finish()
}

/// Whether a line cannot have this name, as layers or parameters are called so.
fn reserved(name: &str) -> bool {
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    let layer = |prefix: &str| name.strip_prefix(prefix).is_some_and(number);
    ["field", "loss"].contains(&name) || layer("loss_") || layer("project_l") || layer("norm_l")
}

impl<'a> Checker<'a> {
    pub(super) fn fault(&self, position: Position, message: impl std::fmt::Display) -> Error {
        fault(self.model, position, message)
    }

    /// Refuses a name that is reserved or known.
    pub(super) fn declare(&self, name: &str, position: Position) -> Result<()> {
        if reserved(name) {
            return Err(self.fault(position, format!("`{name}` is a reserved word")));
        }
        match self.names.iter().find(|known| known.0 == name) {
            Some(known) if self.goes_on(known, position) => Ok(()),
            Some((_, meaning, first, _)) => {
                let what = match meaning {
                    Meaning::Field(_) => "a field",
                    Meaning::Value(_) => "made",
                };
                let line = first.line;
                Err(self.fault(
                    position,
                    format!("`{name}` is {what} already in line {line}"),
                ))
            }
            None => Ok(()),
        }
    }

    pub(super) fn fields(&mut self) -> Result<()> {
        for written in &self.parsed.fields {
            self.declare(&written.name, written.position)?;
            let kind = match &written.kind {
                WrittenKind::Tokens => ModelFieldKind::Tokens {
                    predicted: false,
                    looked_back: false,
                    within: None,
                },
                WrittenKind::Within(name, position) => ModelFieldKind::Tokens {
                    predicted: false,
                    looked_back: false,
                    within: Some(self.tokens(name, *position)?),
                },
                WrittenKind::Class => ModelFieldKind::Class,
                WrittenKind::Classes(name, position) => ModelFieldKind::Classes {
                    along: self.steps(name, *position)?,
                },
                WrittenKind::Vector => ModelFieldKind::Vector,
                WrittenKind::RealsAlong(name, position) => ModelFieldKind::RealsAlong {
                    along: self.steps(name, *position)?,
                    predicted: false,
                },
                WrittenKind::Reals | WrittenKind::Bits | WrittenKind::Set => {
                    ModelFieldKind::Reals {
                        set: written.kind == WrittenKind::Set,
                        bits: written.kind == WrittenKind::Bits,
                        predicted: false,
                    }
                }
            };
            let number = self.fields.len();
            self.names.push((
                &written.name,
                Meaning::Field(number),
                written.position,
                false,
            ));
            self.next.push(None);
            self.fields.push(ModelField {
                name: written.name.clone(),
                kind,
                position: written.position,
            });
        }
        Ok(())
    }

    /// The field of tokens called `name`, declared above.
    fn tokens(&mut self, name: &str, position: Position) -> Result<usize> {
        let tokens = |kind: ModelFieldKind| matches!(kind, ModelFieldKind::Tokens { .. });
        self.field_above(name, position, ("tokens", tokens))
    }

    /// The field with steps called `name`, declared above.
    fn steps(&mut self, name: &str, position: Position) -> Result<usize> {
        self.field_above(
            name,
            position,
            ("tokens, reals or bits", ModelFieldKind::has_steps),
        )
    }

    fn field_above(
        &mut self,
        name: &str,
        position: Position,
        (expected, fits): (&str, impl Fn(ModelFieldKind) -> bool),
    ) -> Result<usize> {
        let field = self.fields.iter().position(|field| field.name == name);
        match field {
            Some(field) if fits(self.fields[field].kind) => {
                self.names[field].3 = true;
                Ok(field)
            }
            Some(_) => {
                let message = format!("expected a field of {expected}, found `{name}`");
                Err(self.fault(position, message))
            }
            None => {
                let known = self.fields.iter().map(|field| field.name.as_str());
                let hint = did_you_mean(name, known);
                let message = format!("no field above is called `{name}`{hint}");
                Err(self.fault(position, message))
            }
        }
    }

    /// The value of a whole line, whose outermost call is named by it.
    pub(super) fn line(&mut self, expr: &Expr) -> Result<usize> {
        let label = self.label();
        match expr {
            Expr::Call(..) => self.call(expr, Some(label)),
            _ => {
                let value = self.value(expr)?;
                let name = &self.nodes[value].label;
                let message = format!("a second name for `{name}`: expected a function or a sum");
                Err(self.fault(expr.position(), message))
            }
        }
    }

    /// The value of an expression.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<usize> {
        match expr {
            Expr::Call(..) => self.call(expr, None),
            Expr::Name(name, position) => match self.name(name, *position)? {
                Meaning::Value(value) => Ok(value),
                Meaning::Field(field) => {
                    if let ModelFieldKind::RealsAlong { predicted, .. } =
                        &mut self.fields[field].kind
                    {
                        *predicted |= self.in_loss;
                    }
                    self.read(field, 0, *position)
                }
            },
            Expr::Number(value, position) => {
                Err(self.fault(*position, format!("expected a value, found `{value}`")))
            }
            Expr::Text(text, position) => {
                Err(self.fault(*position, format!("expected a value, found `\"{text}\"`")))
            }
            Expr::Argument(name, _, position) => {
                Err(self.fault(*position, format!("expected a value, found `{name} =`")))
            }
        }
    }

    /// What a name stands for, which is now used.
    fn name(&mut self, name: &str, position: Position) -> Result<Meaning> {
        if let Some(known) = self.names.iter_mut().find(|known| known.0 == name) {
            known.3 = true;
            return Ok(known.1);
        }
        let later = self.parsed.lines.iter();
        let later = later
            .filter(|line| line.name.as_deref() == Some(name))
            .map(|line| line.position);
        let fields = self.parsed.fields.iter().filter(|field| field.name == name);
        if let Some(later) = later.chain(fields.map(|field| field.position)).next() {
            let line = later.line;
            let message = if line == position.line {
                format!("`{name}` is used in the line that makes it")
            } else {
                format!("`{name}` is used before line {line} makes it")
            };
            return Err(self.fault(position, message));
        }
        let hint = did_you_mean(name, self.names.iter().map(|known| known.0));
        Err(self.fault(position, format!("unknown name `{name}`{hint}")))
    }

    /// A field's rows.
    fn read(&mut self, field: usize, back: usize, position: Position) -> Result<usize> {
        Ok(self.data(Function::Read { field, back }, field, position))
    }

    /// What a field has.
    fn data(&mut self, function: Function, field: usize, position: Position) -> usize {
        let along = match self.fields[field].kind {
            ModelFieldKind::Tokens { .. } | ModelFieldKind::Reals { .. } => Along::Steps(field),
            ModelFieldKind::Classes { along } | ModelFieldKind::RealsAlong { along, .. } => {
                Along::Steps(along)
            }
            ModelFieldKind::Class | ModelFieldKind::Vector => Along::Examples,
        };
        self.push(ValueNode {
            function,
            operands: Vec::new(),
            label: self.fields[field].name.clone(),
            position,
            along,
        })
    }

    fn push(&mut self, node: ValueNode) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The label of a call within a line: the line's, the function's, and a number from the second one on.
    fn nested(&self, function: &str) -> String {
        let first = format!("{}.{function}", self.label());
        let taken = |label: &String| self.nodes.iter().any(|node| node.label == *label);
        let more = (2..).map(|n| format!("{first}_{n}"));
        std::iter::once(first.clone())
            .chain(more)
            .find(|label| !taken(label))
            .unwrap_or(first)
    }

    fn call(&mut self, expr: &Expr, label: Option<String>) -> Result<usize> {
        let Expr::Call(name, operands, position) = expr else {
            return self.value(expr);
        };
        let position = *position;
        if let Some(operator) = functions::pointwise(name, operands.len()) {
            return self.operator(operator, operands, position, label);
        }
        let call = Call::new(self, name, operands, position)?;
        if name == "next" || name == "ahead" {
            return self.ahead(&call);
        }
        match name.as_str() {
            "window" => return self.window(&call),
            "previous" => return self.previous(&call),
            "grams" => return self.grams(&call),
            "positions" => return self.positions(&call),
            "right" => return self.right(&call, label),
            "rounds" => return self.rounds(&call, label),
            _ => {}
        }
        // `split` says by numbers which part it takes, `repeat` how often.
        let values = if name == "split" || name == "repeat" {
            1
        } else {
            call.operands.len()
        };
        let values = call.operands[..values].iter();
        let mut values = values
            .map(|operand| self.value(operand))
            .collect::<Result<Vec<usize>>>()?;
        let function = functions::function(self, &call, &mut values)?;
        let label = label.unwrap_or_else(|| self.nested(name));
        let function = self.shared_table(function, &label);
        self.made(function, values, [name, name], position, Some(label))
    }

    /// A value that a function makes of others. It is `written` so, and a `word` stands for it in the label of a call within
    /// a line.
    fn made(
        &mut self,
        function: Function,
        operands: Vec<usize>,
        [written, word]: [&str; 2],
        position: Position,
        label: Option<String>,
    ) -> Result<usize> {
        let along = self.meet(&function, &operands, written, position)?;
        let label = label.unwrap_or_else(|| self.nested(word));
        Ok(self.push(ValueNode {
            function,
            operands,
            label,
            position,
            along,
        }))
    }

    /// A pointwise operator of values and numbers.
    fn operator(
        &mut self,
        operator: &'static str,
        operands: &[Expr],
        position: Position,
        label: Option<String>,
    ) -> Result<usize> {
        let numbers: Vec<Option<f64>> = operands.iter().map(functions::constant).collect();
        let mut values = Vec::new();
        for (operand, number) in operands.iter().zip(&numbers) {
            if number.is_none() {
                let value = self.value(operand)?;
                functions::must_be_rows(self, operator, value, operand.position())?;
                values.push(value);
            }
        }
        if values.is_empty() {
            let message = "expected a value, found numbers alone";
            return Err(self.fault(position, message));
        }
        let function = if operator == "+" && values.len() == 2 {
            Function::Add
        } else {
            Function::Pointwise {
                program: functions::program(operator, &numbers),
            }
        };
        let written = if operator == "neg" { "-" } else { operator };
        let word = match operator {
            "+" => "plus",
            "-" => "minus",
            "*" => "times",
            "/" => "over",
            word => word,
        };
        self.made(function, values, [written, word], position, label)
    }

    /// `window(F, k)`.
    fn window(&mut self, call: &Call<'_>) -> Result<usize> {
        let field = self.field_of(call, 0)?;
        let ModelFieldKind::Reals { .. } = self.fields[field].kind else {
            let message =
                "`window` expects a field of reals or bits; of tokens, `previous` gives each";
            return Err(self.fault(call.position, message));
        };
        let steps = functions::steps(self, call.operands[1])?;
        Ok(self.data(Function::Window { field, steps }, field, call.position))
    }

    /// `previous(F, k)`.
    fn previous(&mut self, call: &Call<'_>) -> Result<usize> {
        let field = self.field_of(call, 0)?;
        let back = functions::steps(self, call.operands[1])?;
        self.look_back(field);
        self.read(field, back, call.position)
    }

    /// `grams(F, n, k)`.
    fn grams(&mut self, call: &Call<'_>) -> Result<usize> {
        let field = self.field_of(call, 0)?;
        let tokens = self.whole(call, 1, "the number of tokens", 2..=64)?;
        let symbols = self.whole(
            call,
            2,
            "the number of symbols",
            2..=functions::MOST_SYMBOLS,
        )?;
        self.look_back(field);
        Ok(self.push(ValueNode {
            function: Function::Grams {
                field,
                tokens,
                symbols,
            },
            operands: Vec::new(),
            // As it is written: a message says what to put into `embed`.
            label: format!("grams({}, {tokens}, {symbols})", self.fields[field].name),
            position: call.position,
            along: Along::Steps(field),
        }))
    }

    /// `positions(F, k)`.
    fn positions(&mut self, call: &Call<'_>) -> Result<usize> {
        let field = self.field_of(call, 0)?;
        let symbols = self.whole(
            call,
            1,
            "the number of positions",
            1..=functions::MOST_SYMBOLS,
        )?;
        Ok(self.push(ValueNode {
            function: Function::Positions { field, symbols },
            operands: Vec::new(),
            label: format!("positions({}, {symbols})", self.fields[field].name),
            position: call.position,
            along: Along::Steps(field),
        }))
    }

    /// A whole number that an operand says.
    fn whole(
        &self,
        call: &Call<'_>,
        operand: usize,
        what: &str,
        range: RangeInclusive<usize>,
    ) -> Result<usize> {
        match call.operands[operand] {
            Expr::Number(value, position) => functions::whole(self, what, *value, range, *position),
            other => {
                let message = format!("{what}: expected a whole number");
                Err(self.fault(other.position(), message))
            }
        }
    }

    /// Start marks stand before a field's first token.
    fn look_back(&mut self, field: usize) {
        if let ModelFieldKind::Tokens { looked_back, .. } = &mut self.fields[field].kind {
            *looked_back = true;
        }
    }

    /// The field with steps that an operand names.
    fn field_of(&mut self, call: &Call<'_>, operand: usize) -> Result<usize> {
        let expr = call.operands[operand];
        let (symbols, what) = match call.signature.name {
            "grams" => (true, "tokens"),
            _ => (false, "tokens, reals or bits"),
        };
        let fits = |kind: ModelFieldKind| match kind {
            ModelFieldKind::Tokens { .. } => true,
            kind => !symbols && kind.has_steps(),
        };
        if let Expr::Name(name, position) = expr
            && let Meaning::Field(field) = self.name(name, *position)?
            && fits(self.fields[field].kind)
        {
            // A set has none, but lies in one.
            if call.signature.name != "positions" {
                self.must_have_order(field, call.signature.name, *position)?;
            }
            return Ok(field);
        }
        let message = format!("`{}` expects a field of {what}", call.signature.name);
        Err(self.fault(expr.position(), message))
    }

    /// Whether a value is symbols: a field's tokens or classes.
    pub(super) fn is_symbols(&self, value: usize) -> bool {
        match self.nodes[value].function {
            Function::Read { field, .. } => !matches!(
                self.fields[field].kind,
                ModelFieldKind::Vector
                    | ModelFieldKind::RealsAlong { .. }
                    | ModelFieldKind::Reals { .. }
            ),
            Function::Grams { .. } | Function::Positions { .. } => true,
            _ => false,
        }
    }

    /// The checked value of a node.
    pub(super) fn node(&self, value: usize) -> &ValueNode {
        &self.nodes[value]
    }

    /// The value that the name of an argument stands for.
    pub(super) fn named(&mut self, name: &str, position: Position) -> Result<usize> {
        match self.name(name, position)? {
            Meaning::Value(value) => Ok(value),
            Meaning::Field(_) => Err(self.fault(
                position,
                format!("expected a value with a weight, found the field `{name}`"),
            )),
        }
    }
}
