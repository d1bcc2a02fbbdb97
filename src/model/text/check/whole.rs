//! What only the whole of a model shows: everything is used, scores belong to their loss, and nothing that is predicted is read.

use super::super::graph::{
    self, Along, Function, Loss, LossForm, ModelFieldKind, StartOf, Target, ValueNode,
};
use super::{Checked, Checker, Meaning};
use crate::error::{Error, Result};
use crate::syntax::Position;

impl Checker<'_> {
    /// What only the whole model shows.
    pub(super) fn finish(self) -> Result<Checked> {
        if self.losses.is_empty() {
            return Err(Error::data(format!(
                "{}: a model needs a line `loss cross_entropy(linear(v), target)`",
                self.model
            )));
        }
        self.draws_alone()?;
        if let Some((name, meaning, position, _)) = self.names.iter().find(|name| !name.3) {
            let what = match meaning {
                Meaning::Field(_) => "a field that nothing uses",
                Meaning::Value(_) => "made and never used",
            };
            return Err(self.fault(*position, format!("`{name}` is {what}")));
        }
        self.scores_used_once()?;
        self.draws_are_learned()?;
        self.classes_read_or_predicted()?;
        for (field, next) in self.next.iter().enumerate() {
            if let Some(next) = next {
                self.steps_apart(field, *next)?;
            }
        }
        self.nothing_ahead_read()?;
        Ok(Checked {
            fields: self.fields,
            nodes: self.nodes,
            losses: self.losses,
            earlier: self.earlier,
        })
    }

    /// Later steps are not predicted, at each step, from what reads all of them.
    fn nothing_ahead_read(&self) -> Result<()> {
        for loss in &self.losses {
            let Along::Steps(field) = loss.along else {
                continue;
            };
            let values = match &loss.form {
                LossForm::CrossEntropy { scores } => vec![*scores],
                LossForm::Program { rounds, .. } => rounds.concat(),
            };
            let ahead = |node: &ValueNode| matches!(node.function, Function::Ahead { field: f, .. } if f == field);
            if !matches!(loss.target, Target::Next(_)) && !self.nodes.iter().any(ahead) {
                continue;
            }
            if let Some(node) = values
                .iter()
                .find_map(|value| self.looks_ahead(*value, field))
            {
                let message = format!(
                    "`next({})` must not be predicted from what reads all of it, as {} does",
                    self.fields[field].name,
                    self.describe(node)
                );
                return Err(self.fault(loss.position, message));
            }
        }
        let ahead = graph::ahead(&self.fields, &self.nodes);
        for (value, node) in self.nodes.iter().enumerate() {
            let found = node.operands.iter().find(|operand| ahead[**operand]);
            if let Some(operand) = found.filter(|_| !node.function.keeps_data()) {
                let message = format!(
                    "{} is what a loss predicts, so that no layer may read it, as {} does",
                    self.describe(*operand),
                    self.describe(value)
                );
                return Err(self.fault(node.position, message));
            }
        }
        Ok(())
    }

    /// The linear layer of a cross-entropy is a part of it, so that nothing else uses it.
    fn scores_used_once(&self) -> Result<()> {
        for (n, loss) in self.losses.iter().enumerate() {
            let LossForm::CrossEntropy { scores } = loss.form else {
                continue;
            };
            let uses = |(m, other): (usize, &Loss)| match &other.form {
                LossForm::CrossEntropy { scores: other } => m < n && *other == scores,
                LossForm::Program { rounds, .. } => rounds.concat().contains(&scores),
            };
            let again = self.losses.iter().enumerate().any(uses);
            let shared = |node: &ValueNode| {
                let weight = match node.function {
                    Function::Linear { weight, .. } | Function::Embed { weight, .. } => weight,
                    _ => None,
                };
                let right = matches!(node.function, Function::Right { .. });
                (!right && node.operands.contains(&scores)) || weight == Some(scores)
            };
            if again || self.nodes.iter().any(shared) {
                let message = format!(
                    "the scores of a loss belong to it alone, but something else uses {}",
                    self.describe(scores)
                );
                return Err(self.fault(loss.position, message));
            }
        }
        Ok(())
    }

    /// Where hard attention looks is learned by its `log_prob` alone.
    fn draws_are_learned(&self) -> Result<()> {
        let learned = |value: usize| {
            let mut nodes = self.nodes.iter();
            nodes.any(|node| node.function == Function::LogProb && node.operands == [value])
        };
        let mut hard = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.function == Function::Hard);
        match hard.find(|(value, _)| !learned(*value)) {
            None => Ok(()),
            Some((_, node)) => Err(self.fault(
                node.position,
                format!(
                    "`hard` learns where to look by how likely its draws were: expected a line `loss policy(log_prob({}), ..)`",
                    node.label
                ),
            )),
        }
    }

    /// What is predicted must not be read.
    fn classes_read_or_predicted(&self) -> Result<()> {
        for loss in &self.losses {
            let Target::Class(predicted) = loss.target else {
                continue;
            };
            let read = |node: &&ValueNode| matches!(node.function, Function::Read { field, .. } if field == predicted);
            if let Some(node) = self.nodes.iter().find(read) {
                let message = format!(
                    "`{}` is predicted here and read in line {}",
                    self.fields[predicted].name, node.position.line
                );
                return Err(self.fault(loss.position, message));
            }
        }
        Ok(())
    }

    /// A predicted field is read at a step more than tokens, or fewer than it has numbers for, so that nothing else can have a
    /// row for each of these.
    fn steps_apart(&self, field: usize, next: Position) -> Result<()> {
        for other in &self.fields {
            let along = match other.kind {
                ModelFieldKind::Classes { along } | ModelFieldKind::RealsAlong { along, .. } => {
                    along
                }
                ModelFieldKind::Tokens {
                    within: Some(along),
                    ..
                } => along,
                _ => continue,
            };
            if along == field {
                let message = format!(
                    "`{}` has something for every step of `{}`, which is read at other steps than it has, as line {} predicts them",
                    other.name, self.fields[field].name, next.line
                );
                return Err(self.fault(other.position, message));
            }
        }
        Ok(())
    }

    /// The first value behind `value` that reads later steps of a field at an earlier one.
    fn looks_ahead(&self, value: usize, field: usize) -> Option<usize> {
        let mut open = vec![value];
        let mut seen = vec![false; self.nodes.len()];
        while let Some(value) = open.pop() {
            if std::mem::replace(&mut seen[value], true) {
                continue;
            }
            let node = &self.nodes[value];
            let of = |operand: &usize| self.nodes[*operand].along == Along::Steps(field);
            let all = match &node.function {
                Function::Recurrent {
                    both,
                    start,
                    memories,
                    ..
                } => {
                    let ends = match start {
                        Some(StartOf::States(start)) => of(&node.operands[*start]),
                        _ => false,
                    };
                    let looks = memories.iter().any(|memory| of(&node.operands[*memory]));
                    ends || looks || (*both && node.along == Along::Steps(field))
                }
                Function::Attend { .. } => of(&node.operands[0]),
                Function::Last | Function::Pool(_) => node.operands.iter().any(of),
                _ => false,
            };
            if all {
                return Some(value);
            }
            open.extend(&node.operands);
        }
        None
    }
}
