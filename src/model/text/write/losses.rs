//! The losses of a model: cross-entropy of a linear layer, and programs on rows.

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
            operands,
        } = &loss.form
        else {
            return Err(Error::internal("a loss that is no program"));
        };
        let axis = self.axis(loss.along)?;
        let line = match number {
            0 => "loss".to_string(),
            n => format!("loss.{}", n + 1),
        };
        let mut values = Vec::new();
        for (place, operand) in operands.iter().enumerate() {
            // Without a loss only what is predicted counts.
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
        let mut program = RowProgram::parse(name, text)?;
        for (constant, value) in constants {
            program.set_constant(constant, *value);
        }
        let rows = values
            .iter()
            .map(|value| value.map(|value| builder.rows(value)).transpose());
        let rows: Vec<Option<Matrix>> = rows.collect::<Result<_>>()?;
        let losses = if self.mode == Mode::Scores {
            None
        } else {
            let widths: Vec<usize> = rows.iter().flatten().map(|m| m.cols).collect();
            program.width(&widths).map_err(|e| {
                let message = format!("`{name}`: {}", e.message);
                fault(&self.model.name, loss.position, message)
            })?;
            let all: Vec<Value> = values.into_iter().flatten().collect();
            let weighted = self.weighted();
            Some(layer::row_loss(builder, &line, &program, &all, weighted)?)
        };
        Ok(Output {
            field: loss.target.field(),
            axis: axis.number(),
            losses,
            scores: None,
            values: rows,
        })
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
        let (field, training) = (loss.target.field(), builder.training);
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
