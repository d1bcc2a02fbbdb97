//! The lines of losses: cross-entropy of a linear layer, or a program on rows of values, and what each predicts.

use super::super::functions::{self, Call};
use super::super::graph::{self, Along, Function, Loss, LossForm, ModelFieldKind, Target};
use super::{Checker, Meaning};
use crate::cell::rows::{RowProgram, library};
use crate::error::{Result, did_you_mean};
use crate::syntax::{Expr, Position};

/// What a line of a loss may be.
const EXPECTED: &str = "expected a loss: `cross_entropy(linear(v), target)`, or a program on rows such as \
                        `squared(v, next(F))`";

impl Checker<'_> {
    /// `cross_entropy(linear(v), target)`, or a program on rows and its inputs.
    pub(super) fn loss(&mut self, expr: &Expr) -> Result<()> {
        let Expr::Call(name, operands, position) = expr else {
            return Err(self.fault(expr.position(), EXPECTED));
        };
        // That of an earlier round.
        let same = |loss: &Loss| loss.position == *position;
        let known = self.losses.iter().position(same);
        self.line = match known.unwrap_or(self.losses.len()) {
            0 => "loss".into(),
            n => format!("loss_{}", n + 1),
        };
        if name == functions::LOSS && self.round.is_some() {
            let message = "a loss within `repeat` is a program on rows; `cross_entropy` stands behind its `end`";
            return Err(self.fault(*position, message));
        }
        let loss = if name == functions::LOSS {
            self.cross_entropy(operands, *position)?
        } else {
            self.in_loss = true;
            let loss = self.program(name, operands, *position);
            self.in_loss = false;
            loss?
        };
        let Some(known) = known.map(|known| &mut self.losses[known]) else {
            self.losses.push(loss);
            return Ok(());
        };
        let along = known.along;
        if let (LossForm::Program { rounds, .. }, LossForm::Program { rounds: more, .. }) =
            (&mut known.form, loss.form)
        {
            rounds.extend(more);
        }
        if along == loss.along {
            return Ok(());
        }
        let (first, found) = (self.along(along), self.along(loss.along));
        let message = format!("`{name}` expects {first} in every round, found {found}");
        Err(self.fault(*position, message))
    }

    fn cross_entropy(&mut self, operands: &[Expr], position: Position) -> Result<Loss> {
        let call = Call::of_loss(self, operands, position)?;
        let name = functions::LOSS;
        let target = self.target(call.operands[1])?;
        let scores = self.value(call.operands[0])?;
        let node = &self.nodes[scores];
        if !matches!(node.function, Function::Linear { .. }) {
            let message = format!(
                "`{name}` expects `linear(v)`, found {}",
                self.describe(scores)
            );
            return Err(self.fault(call.operands[0].position(), message));
        }
        let along = self.along_target(name, target, scores, position)?;
        let weight = functions::number(self, &call, "weight", "a number above 0", |w| w > 0.0)?;
        Ok(Loss {
            form: LossForm::CrossEntropy { scores },
            along,
            target,
            weight: weight.unwrap_or(1.0),
            position,
        })
    }

    /// A program on rows: its inputs in order, then its constants and the loss's weight by name.
    fn program(&mut self, name: &str, written: &[Expr], position: Position) -> Result<Loss> {
        let built_in = library::LOSSES.iter().find(|known| known.0 == name);
        let built_in = built_in.map(|(_, text)| *text);
        let own = self.own_losses.get(name).map(String::as_str);
        if let (Some(_), Some(_)) = (built_in, own) {
            let message = format!(
                "`{name}` is a built-in loss and that of the file {name}.loss: expected another name"
            );
            return Err(self.fault(position, message));
        }
        let Some(text) = built_in.or(own) else {
            let mut known: Vec<&str> = library::names().collect();
            known.extend(self.own_losses.keys().map(String::as_str));
            known.push(functions::LOSS);
            let hint = did_you_mean(name, known.iter().copied());
            let message = format!(
                "`{name}` is no loss{hint}; expected one of {}",
                known.join(", ")
            );
            return Err(self.fault(position, message));
        };
        let mut program = RowProgram::parse(name, text)?;
        program.must_be_loss()?;
        let (mut operands, mut constants, mut weight) = (Vec::new(), Vec::new(), None);
        for expr in written {
            let Expr::Argument(argument, value, at) = expr else {
                if !constants.is_empty() || weight.is_some() {
                    let message = "an operand stands before the arguments with names";
                    return Err(self.fault(expr.position(), message));
                }
                let value = self.value(expr)?;
                functions::must_be_rows(self, name, value, expr.position())?;
                operands.push(value);
                continue;
            };
            let Some(number) = functions::constant(value) else {
                let message = format!("{argument}: expected a number");
                return Err(self.fault(value.position(), message));
            };
            if argument == "weight" {
                if weight.is_some() {
                    return Err(self.fault(*at, "`weight` is given twice"));
                }
                if number <= 0.0 {
                    let message = "weight: expected a number above 0";
                    return Err(self.fault(value.position(), message));
                }
                weight = Some(number);
                continue;
            }
            if constants.iter().any(|(known, _)| known == argument) {
                return Err(self.fault(*at, format!("`{argument}` is given twice")));
            }
            if !program.set_constant(argument, number) {
                let known: Vec<&str> = ["weight"].into_iter().chain(program.constants()).collect();
                let hint = did_you_mean(argument, known.iter().copied());
                let known = known.join(", ");
                let message =
                    format!("`{name}` has no argument `{argument}`{hint} (it has {known})");
                return Err(self.fault(*at, message));
            }
            constants.push((argument.clone(), number));
        }
        // Constants may make a number that is none.
        program.forward(2)?;
        if operands.len() != program.inputs.len() {
            let names: Vec<&str> = program.inputs.iter().map(|i| i.name.as_str()).collect();
            let message = format!(
                "`{name}` expects {} operands ({}), found {}",
                names.len(),
                names.join(", "),
                operands.len()
            );
            return Err(self.fault(position, message));
        }
        let along = self.meet_along(&operands, name, position)?;
        // Whether they are those of draws shows once all lines are known.
        let target = self.numbers_of(&operands);
        let target = target.map_or(Target::Draws, Target::Numbers);
        Ok(Loss {
            form: LossForm::Program {
                name: name.into(),
                text: text.into(),
                constants,
                rounds: vec![operands],
            },
            along,
            target,
            weight: weight.unwrap_or(1.0),
            position,
        })
    }

    /// What a loss of no numbers costs is draws.
    pub(super) fn draws_alone(&self) -> Result<()> {
        for loss in &self.losses {
            let LossForm::Program { name, rounds, .. } = &loss.form else {
                continue;
            };
            let of_draws = |operands: &Vec<usize>| self.are_of_draws(operands);
            if loss.target == Target::Draws && !rounds.iter().all(of_draws) {
                let message = format!(
                    "`{name}` expects numbers of a field to predict, such as `next(F)`, among its operands, or what hangs on a `sample`"
                );
                return Err(self.fault(loss.position, message));
            }
        }
        Ok(())
    }

    /// Whether these are what a `sample` draws by, or one of them hangs on its draws.
    fn are_of_draws(&self, operands: &[usize]) -> bool {
        let drawn = graph::drawn(&self.nodes);
        if operands.iter().any(|operand| drawn[*operand]) {
            return true;
        }
        let mut samples = self
            .nodes
            .iter()
            .filter(|node| node.function == Function::Sample);
        samples.any(|node| {
            let mut of = operands.iter();
            of.all(|operand| node.operands.contains(operand))
        })
    }

    /// The field whose numbers are operands of a loss without any layer between: what it predicts. What is ahead comes first.
    fn numbers_of(&self, operands: &[usize]) -> Option<usize> {
        let of = |ahead: bool| {
            let mut fields: Vec<Option<usize>> = Vec::new();
            for node in &self.nodes {
                fields.push(match node.function {
                    Function::Ahead { field, .. } => Some(field),
                    Function::Read { field, .. } | Function::Window { field, .. } => {
                        Some(field).filter(|_| !ahead)
                    }
                    _ if node.function.keeps_data() => {
                        node.operands.iter().find_map(|operand| fields[*operand])
                    }
                    _ => None,
                });
            }
            operands.iter().find_map(|operand| fields[*operand])
        };
        of(true).or_else(|| of(false))
    }

    /// `right(linear(v), target)`: how likely what is right is, for losses alone.
    pub(super) fn right(&mut self, call: &Call<'_>, label: Option<String>) -> Result<usize> {
        let target = self.target(call.operands[1])?;
        let scores = self.value(call.operands[0])?;
        functions::must_be_rows(self, "right", scores, call.operands[0].position())?;
        self.along_target("right", target, scores, call.position)?;
        let function = Function::Right { target };
        self.made(function, vec![scores], ["right"; 2], call.position, label)
    }

    /// What there is a row for where this is predicted; refuses scores that have none for each.
    fn along_target(
        &self,
        name: &str,
        target: Target,
        scores: usize,
        position: Position,
    ) -> Result<Along> {
        let kind = target.field().map(|field| self.fields[field].kind);
        let along = match (target, kind) {
            (Target::Next(field), _) => Along::Steps(field),
            (_, Some(ModelFieldKind::Classes { along })) => Along::Steps(along),
            _ => Along::Examples,
        };
        if self.nodes[scores].along == along {
            return Ok(along);
        }
        let field = target.field().map(|field| self.fields[field].name.as_str());
        let message = format!(
            "`{name}` expects {} for `{}`, found {}",
            self.along(along),
            field.unwrap_or_default(),
            self.describe(scores)
        );
        Err(self.fault(position, message))
    }

    fn target(&mut self, expr: &Expr) -> Result<Target> {
        match expr {
            Expr::Call(name, operands, position) if name == "next" => {
                let call = Call::new(self, name, operands, *position)?;
                let field = self.field_of(&call, 0)?;
                let ModelFieldKind::Tokens {
                    predicted, within, ..
                } = &mut self.fields[field].kind
                else {
                    let message = "cross_entropy: `next` expects a field of tokens; numbers are what a program on rows \
                                   predicts, such as `squared`";
                    return Err(self.fault(*position, message));
                };
                *predicted = true;
                if within.is_some() {
                    let message = "`next` of a field within another is not to be had";
                    return Err(self.fault(*position, message));
                }
                self.next[field].get_or_insert(*position);
                Ok(Target::Next(field))
            }
            Expr::Name(name, position) => {
                let meaning = self.name(name, *position)?;
                if let Meaning::Field(field) = meaning
                    && let ModelFieldKind::Class | ModelFieldKind::Classes { .. } =
                        self.fields[field].kind
                {
                    return Ok(Target::Class(field));
                }
                let message =
                    format!("expected `next(F)` or a field of classes to predict, found `{name}`");
                Err(self.fault(*position, message))
            }
            other => {
                let message = "expected `next(F)` or a field of classes to predict";
                Err(self.fault(other.position(), message))
            }
        }
    }

    /// `next(F)` or `ahead(F, k)` as a value: numbers of a field, which a loss alone may read.
    pub(super) fn ahead(&mut self, call: &Call<'_>) -> Result<usize> {
        let (name, position) = (call.signature.name, call.position);
        if !self.in_loss {
            let message = format!("`{name}` is what a loss predicts, not a value");
            return Err(self.fault(position, message));
        }
        let field = self.field_of(call, 0)?;
        let ModelFieldKind::Reals { predicted, .. } = &mut self.fields[field].kind else {
            let message = format!(
                "`{name}` expects a field of reals or bits here; tokens are what `cross_entropy` predicts"
            );
            return Err(self.fault(position, message));
        };
        *predicted = true;
        self.next[field].get_or_insert(position);
        let steps = match (name, call.operands.get(1)) {
            ("next", _) => Some(1),
            (_, None) => None,
            (_, Some(operand)) => Some(functions::steps(self, operand)?),
        };
        Ok(self.data(Function::Ahead { field, steps }, field, position))
    }
}
