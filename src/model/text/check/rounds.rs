//! Lines in the order in which they are made: those between `repeat N` and `end` round by round, with what each hands on.

use super::super::functions::{self, Call};
use super::super::graph::{Function, ValueNode};
use super::super::parse::WrittenLine;
use super::{Checker, Meaning};
use crate::error::Result;
use crate::syntax::Position;

/// The most rounds, and the most lines of all rounds.
const MOST_ROUNDS: usize = 1000;
const MOST_LINES: usize = 4096;

/// What stands between a line's name and its round's number in the label of a value, and in no name.
const ROUND: char = '@';

/// What is called so in one round, whatever the round; none of what stands in no lines that are made several times.
pub(in super::super) fn any_round(label: &str) -> Option<String> {
    let (name, rest) = label.split_once(ROUND)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit());
    Some(format!("{name}{}", &rest[digits.unwrap_or(rest.len())..]))
}

/// What layers are called whose parameters are those of `label`, which stands in no lines that are made several times.
pub(in super::super) fn sharing(label: &str, number: usize) -> String {
    format!("{label}{ROUND}{number}")
}

impl<'a> Checker<'a> {
    /// Whether a value is one of lines that are made several times.
    pub(in super::super) fn is_in_rounds(&self, value: usize) -> bool {
        any_round(&self.nodes[value].label).is_some()
    }

    /// All lines.
    pub(super) fn lines(&mut self) -> Result<()> {
        let parsed = self.parsed;
        let mut blocks = parsed.blocks.iter().peekable();
        let mut at = 0;
        while at < parsed.lines.len() {
            let Some(block) = blocks.next_if(|block| block.lines.start == at) else {
                self.written(&parsed.lines[at])?;
                at += 1;
                continue;
            };
            let (times, position) = block.times;
            let times = functions::whole(self, "repeat", times, 1..=MOST_ROUNDS, position)?;
            let lines = times * block.lines.len();
            if lines > MOST_LINES {
                let message = format!(
                    "repeat: expected at most {MOST_LINES} lines in all, found {times} times {}",
                    block.lines.len()
                );
                return Err(self.fault(position, message));
            }
            for round in 1..=times {
                self.round = Some((block.position, round));
                self.made.clear();
                for written in &parsed.lines[block.lines.clone()] {
                    self.written(written)?;
                }
            }
            self.round = None;
            at = block.lines.end;
        }
        Ok(())
    }

    fn written(&mut self, written: &'a WrittenLine) -> Result<()> {
        let Some(name) = &written.name else {
            return self.loss(&written.expr);
        };
        self.declare(name, written.position)?;
        self.line = name.clone();
        let value = self.line(&written.expr)?;
        let meaning = Meaning::Value(value);
        self.made.push(name);
        let Some(at) = self.names.iter().position(|known| known.0 == name) else {
            self.names.push((name, meaning, written.position, false));
            return Ok(());
        };
        let (_, before, place, used) = self.names[at];
        let first = self.round.is_some_and(|(_, round)| round == 1);
        if first && !used {
            let line = written.position.line;
            let message = format!("`{name}` is made again in line {line} before anything uses it");
            return Err(self.fault(place, message));
        }
        if let Meaning::Value(before) = before {
            self.earlier.insert(value, before);
        }
        // What the last round hands on nobody need use.
        self.names[at] = (name, meaning, written.position, used && !first);
        Ok(())
    }

    /// Whether a name may be made again in the line at a place: a value from above the lines that are made several times, or that of
    /// the same line in the round before.
    pub(super) fn goes_on(
        &self,
        (name, meaning, place, _): &(&str, Meaning, Position, bool),
        position: Position,
    ) -> bool {
        let Meaning::Value(value) = meaning else {
            return false;
        };
        let above = !self.is_in_rounds(*value);
        self.round.is_some() && (above || *place == position) && !self.made.contains(name)
    }

    /// What values of the line that is read are named after.
    pub(super) fn label(&self) -> String {
        match self.round {
            Some((_, round)) => format!("{}{ROUND}{round}", self.line),
            None => self.line.clone(),
        }
    }

    /// `rounds(v)`: v of every round, side by side.
    pub(super) fn rounds(&mut self, call: &Call<'_>, label: Option<String>) -> Result<usize> {
        let (operand, position) = (call.operands[0], call.position);
        let value = self.value(operand)?;
        functions::must_be_rows(self, "rounds", value, operand.position())?;
        if self.round.is_some() || !self.is_in_rounds(value) {
            let message = format!(
                "`rounds` expects a value of the lines between `repeat` and `end`, and stands behind them, found {}",
                self.describe(value)
            );
            return Err(self.fault(position, message));
        }
        let mut all = vec![value];
        while let Some(before) = self.earlier.get(&all[all.len() - 1])
            && self.is_in_rounds(*before)
        {
            all.push(*before);
        }
        all.reverse();
        self.made(Function::Concat, all, ["rounds"; 2], position, label)
    }

    /// A table of a later round is that of the first; all other layers find theirs by their names.
    pub(super) fn shared_table(&self, function: Function, label: &str) -> Function {
        let own = any_round(label);
        // The first round's is the first that is called so.
        let same = |node: &ValueNode| own.is_some() && any_round(&node.label) == own;
        let first = self.nodes.iter().position(same);
        match (function, first) {
            (Function::Embed { weight: None, .. }, Some(first)) => Function::Embed {
                width: None,
                weight: Some(first),
            },
            (function, _) => function,
        }
    }
}
