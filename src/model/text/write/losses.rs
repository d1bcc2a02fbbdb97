//! The losses of a model: cross-entropy of a linear layer, and programs on rows.

use super::super::check::any_round;
use super::super::graph::{Along, Function, Loss, LossForm, Target, ValueNode};
use super::Writer;
use crate::cell::rows::RowProgram;
use crate::error::{Error, Result};
use crate::layer::{self, Builder, CrossEntropy, Param, Value};
use crate::model::head::Head;
use crate::model::{Mode, Softmax};
use crate::op::{Matrix, Output};
use crate::syntax::fault;

impl Writer<'_> {
    /// Writes a loss.
    pub(super) fn loss(&self, builder: &mut Builder, number: usize, loss: &Loss) -> Result<()> {
        let output = match &loss.form {
            LossForm::CrossEntropy { scores } => {
                self.cross_entropy(builder, number, loss, *scores)?
            }
            LossForm::Program { .. } => self.program(builder, number, loss)?,
        };
        builder.plan.io.outputs.push(output);
        Ok(())
    }

    /// Whether the rows of losses have weights.
    fn weighted(&self) -> bool {
        let several = self.model.losses.len() > 1;
        self.mode == Mode::Evaluate || self.spec.weighted || several
    }

    /// A loss that a program on rows makes.
    fn program(&self, builder: &mut Builder, number: usize, loss: &Loss) -> Result<Output> {
        let LossForm::Program {
            name,
            text,
            constants,
            rounds,
        } = &loss.form
        else {
            return Err(Error::internal("a loss that is no program"));
        };
        let line = match number {
            0 => "loss".to_string(),
            n => format!("loss.{}", n + 1),
        };
        let mut program = RowProgram::parse(name, text)?;
        for (constant, value) in constants {
            program.set_constant(constant, *value);
        }
        let mut made = Vec::new();
        for (round, operands) in rounds.iter().enumerate() {
            let line = match round {
                0 => line.clone(),
                n => format!("{line}.round.{}", n + 1),
            };
            made.push(self.inputs(builder, &line, loss, operands)?);
        }
        let rows: Vec<Option<Matrix>> = made[0]
            .iter()
            .map(|value| value.map(|value| builder.rows(value)).transpose())
            .collect::<Result<_>>()?;
        let losses = if self.mode == Mode::Scores {
            None
        } else {
            let widths: Vec<usize> = rows.iter().flatten().map(|m| m.cols).collect();
            let of_program = |e: Error| {
                let message = format!("`{name}`: {}", e.message);
                fault(&self.model.name, loss.position, message)
            };
            program.width(&widths).map_err(of_program)?;
            let made = made.iter().map(|values| values.iter().flatten().copied());
            let made: Vec<Vec<Value>> = made.map(Iterator::collect).collect();
            let weighted = self.weighted();
            Some(match &made[..] {
                [one] => layer::row_loss(builder, &line, &program, one, weighted)?,
                rounds => {
                    let sum =
                        sum_of_rounds(builder, &line, &program, rounds).map_err(of_program)?;
                    let program = RowProgram::parse(name, "row a\nloss = sum(a)\n")?;
                    layer::row_loss(builder, &format!("{line}.sum"), &program, &[sum], weighted)?
                }
            })
        };
        Ok(Output {
            field: loss.target.field(),
            axis: self.axis(loss.along)?.number(),
            losses,
            scores: None,
            values: rows,
            rounds: self.before(builder, rounds[0][0])?,
        })
    }

    /// The operands of a loss along its axis. Without a loss only what is predicted counts.
    fn inputs(
        &self,
        builder: &mut Builder,
        line: &str,
        loss: &Loss,
        operands: &[usize],
    ) -> Result<Vec<Option<Value>>> {
        let axis = self.axis(loss.along)?;
        let mut values = Vec::new();
        for (place, operand) in operands.iter().enumerate() {
            let Some(value) = self.values[*operand] else {
                values.push(None);
                continue;
            };
            let of = format!("{line}.{place}");
            let value = builder.as_rows(&of, value).unwrap_or(value);
            values.push(Some(if builder.axis(value) == axis {
                value
            } else {
                layer::spread(builder, &of, value, axis)?
            }));
        }
        Ok(values)
    }

    /// What a value was in the rounds before its own, the first of them first.
    fn before(&self, builder: &Builder, value: usize) -> Result<Vec<Matrix>> {
        let mut all = Vec::new();
        let mut at = value;
        while let Some(earlier) = self.model.earlier.get(&at) {
            // What a line above the rounds made.
            if any_round(&self.model.nodes[*earlier].label).is_none() {
                break;
            }
            all.push(builder.rows(self.value(*earlier)?)?);
            at = *earlier;
        }
        all.reverse();
        Ok(all)
    }

    fn cross_entropy(
        &self,
        builder: &mut Builder,
        number: usize,
        loss: &Loss,
        scores: usize,
    ) -> Result<Output> {
        let (model, spec) = (self.model, self.spec);
        let node = &model.nodes[scores];
        let input = self.value(node.operands[0])?;
        let training = builder.training;
        let Some(field) = loss.target.field() else {
            return Err(self.fault(node, "scores of nothing"));
        };
        let symbols = self.rows.sizes[field];
        let Function::Linear { width, weight, .. } = node.function else {
            return Err(self.fault(node, "no scores"));
        };
        if let Some(width) = width.filter(|width| *width != symbols) {
            let name = &model.fields[field].name;
            return Err(self.fault(
                node,
                format!("width: expected {symbols}, as `{name}` has so many, found {width}"),
            ));
        }
        let predicts_next = matches!(loss.target, Target::Next(_));
        let made = self.values[scores];
        if made.is_some() && predicts_next && (spec.tie || spec.softmax != Softmax::Full) {
            let message = "tie, softmax: expected false and full, as `right` reads the scores";
            return Err(self.fault(node, message));
        }
        let shared = if weight.is_some() {
            let shared = self.shared(weight);
            self.fits(builder, node, input, shared, symbols)?;
            shared
        } else if predicts_next && spec.tie {
            self.table(field)
        } else {
            None
        };
        let next = match loss.target {
            Target::Next(field)
                if self.rows.stream && spec.packed == 0 && !(training && spec.targets_apart) =>
            {
                Some(builder.add_ids(self.axis(Along::Steps(field))?, symbols, field, 0))
            }
            _ => None,
        };
        spec.head(
            builder,
            Head {
                label: &node.label,
                loss: CrossEntropy {
                    loss: number,
                    field,
                    symbols,
                    weighted: self.weighted(),
                    smoothing: spec.label_smoothing,
                    next,
                },
                input,
                shared,
                made,
                softmax: if predicts_next {
                    &spec.softmax
                } else {
                    &Softmax::Full
                },
                log: !self.rows.stream,
            },
            self.mode,
        )
    }

    /// The first table of a field's symbols.
    fn table(&self, field: usize) -> Option<Param> {
        let nodes = self.model.nodes.iter().zip(&self.weights);
        let of_field = |node: &ValueNode| {
            let read = node
                .operands
                .first()
                .map(|n| &self.model.nodes[*n].function);
            matches!(node.function, Function::Embed { .. })
                && matches!(read, Some(Function::Read { field: f, .. }) if *f == field)
        };
        nodes
            .filter(|(node, _)| of_field(node))
            .find_map(|(_, weight)| *weight)
    }
}

/// The losses of rounds, added up row by row.
fn sum_of_rounds(
    builder: &mut Builder,
    line: &str,
    program: &RowProgram,
    rounds: &[Vec<Value>],
) -> Result<Value> {
    let mut costs = Vec::new();
    for (round, values) in rounds.iter().enumerate() {
        let name = format!("{line}.cost.{}", round + 1);
        costs.push(layer::rows(builder, &name, program, values)?);
    }
    layer::sum(builder, &format!("{line}.costs"), &costs)
}
