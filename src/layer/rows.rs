//! Programs on rows as layers: what one makes of values, and a loss that is one.

use std::sync::Arc;

use super::{Axis, Builder, Value, concat, split_into};
use crate::cell::rows::{Factors, RowProgram};
use crate::error::{Error, Result};
use crate::op::rows::{RowInput, RowOutput};
use crate::op::{Hyper, Matrix, Op, Rows, SlotId};

/// The inputs of a program, laid out along one axis.
struct ProgramInputs {
    values: Vec<Value>,
    matrices: Vec<Matrix>,
    axis: Axis,
    /// Columns of the inputs that are rows, D.
    width: usize,
    /// Which of them have a gradient that somebody uses.
    wanted: Vec<bool>,
}

impl ProgramInputs {
    fn new(
        builder: &mut Builder,
        name: &str,
        program: &RowProgram,
        inputs: &[Value],
    ) -> Result<ProgramInputs> {
        let (mut values, mut matrices) = (Vec::new(), Vec::new());
        for value in inputs {
            let value = builder.as_rows(name, *value).unwrap_or(*value);
            matrices.push(builder.rows(value)?);
            values.push(value);
        }
        let mut slots: Vec<SlotId> = matrices.iter().map(|m| m.slot).collect();
        slots.sort();
        slots.dedup();
        if slots.len() > MOST_SLOTS {
            values = side_by_side(builder, name, &values)?;
            let rows = values.iter().map(|value| builder.rows(*value));
            matrices = rows.collect::<Result<_>>()?;
        }
        let widths: Vec<usize> = matrices.iter().map(|m| m.cols).collect();
        let width = program.width(&widths)?;
        let axis = builder.axis(values[0]);
        if let Some(other) = values.iter().position(|v| builder.axis(*v) != axis) {
            return Err(Error::internal(format!(
                "{}: `{}` and `{}` lie along different axes",
                program.name, program.inputs[0].name, program.inputs[other].name
            )));
        }
        let wanted = values.iter().map(|value| builder.wants(*value)).collect();
        Ok(ProgramInputs {
            values,
            matrices,
            axis,
            width,
            wanted,
        })
    }

    fn rows(&self) -> Vec<RowInput> {
        self.matrices.iter().copied().map(RowInput::Rows).collect()
    }

    /// Matrices for the gradients that are wanted, with whose they are.
    fn gradients(
        &self,
        builder: &mut Builder,
        name: &str,
        program: &RowProgram,
    ) -> Vec<(Value, Matrix)> {
        let all = self.values.iter().zip(&self.wanted).zip(&program.inputs);
        let wanted = all.filter(|((_, wanted), _)| **wanted);
        wanted
            .map(|((value, _), input)| {
                let cols = input.width.columns(self.width);
                let name = format!("d.{name}.{}", input.name);
                (*value, builder.activation(self.axis, name, cols))
            })
            .collect()
    }
}

/// Slots in which inputs may lie: with those of weights, a scale, counts and one result they are what a kernel binds.
const MOST_SLOTS: usize = 4;

/// Values copied into one slot.
fn side_by_side(builder: &mut Builder, name: &str, values: &[Value]) -> Result<Vec<Value>> {
    let name = format!("{name}.inputs");
    let all = concat(builder, &name, values)?;
    let widths = values.iter().map(|value| builder.signal(*value).width());
    let widths: Vec<usize> = widths.collect();
    split_into(builder, &name, all, &widths)
}

fn give(builder: &mut Builder, gradients: Vec<(Value, Matrix)>) {
    for (value, gradient) in gradients {
        builder.give(value, gradient);
    }
}

/// What a program makes of values along one axis, as wide as its rows or 1 wide; `name` is that of the operation and the value.
///
/// # Errors
/// Data, for values of other widths than the program expects, with line and column; internal, for values along different axes or
/// ids that are no rows.
pub fn rows(
    builder: &mut Builder,
    name: &str,
    program: &RowProgram,
    inputs: &[Value],
) -> Result<Value> {
    let inputs = ProgramInputs::new(builder, name, program, inputs)?;
    let (axis, width) = (inputs.axis, inputs.width);
    let out = builder.activation(axis, name, program.output.columns(width));
    builder.push(Op::Rows(Rows {
        name: name.to_string(),
        code: Arc::new(program.forward(width)?),
        inputs: inputs.rows(),
        outputs: vec![RowOutput::Rows(out, false)],
        at: 0,
    }));
    let code = Arc::new(program.backward(width, &inputs.wanted)?);
    let (name, program) = (name.to_string(), program.clone());
    Ok(
        builder.made_rows(name.clone(), out, axis, move |builder, upstream| {
            let gradients = inputs.gradients(builder, &name, &program);
            if gradients.is_empty() {
                return;
            }
            let outputs = gradients.iter();
            let outputs = outputs.map(|(_, m)| RowOutput::Rows(*m, false)).collect();
            let mut all = inputs.rows();
            all.push(RowInput::Rows(upstream));
            builder.push(Op::Rows(Rows {
                name: format!("{name}.backward"),
                code,
                inputs: all,
                outputs,
                at: 0,
            }));
            give(builder, gradients);
        }),
    )
}

/// A loss that a program makes of values along one axis: the row of the positions' losses [1, R], each times its position's
/// weight where `weighted`. When training, every value is given its gradient, times the host's scale of the loss.
///
/// # Errors
/// Data, for a program whose output is a row; as [`rows`].
pub fn row_loss(
    builder: &mut Builder,
    name: &str,
    program: &RowProgram,
    inputs: &[Value],
    weighted: bool,
) -> Result<Matrix> {
    program.must_be_loss()?;
    let inputs = ProgramInputs::new(builder, name, program, inputs)?;
    let wanted: Vec<bool> = inputs
        .wanted
        .iter()
        .map(|w| *w && builder.training)
        .collect();
    let inputs = ProgramInputs { wanted, ..inputs };
    let scale = inputs.wanted.contains(&true);
    let factors = Factors {
        weight: weighted,
        scale,
    };
    let code = program.with_gradient(inputs.width, &inputs.wanted, factors)?;
    let (losses, weights) = builder.losses(inputs.axis, weighted);
    let mut all = inputs.rows();
    all.extend(weights.map(RowInput::Positions));
    if scale {
        all.push(RowInput::Hyper(builder.hyper, Hyper::SCALE));
    }
    let gradients = inputs.gradients(builder, name, program);
    let mut outputs = vec![RowOutput::Losses(losses)];
    outputs.extend(gradients.iter().map(|(_, m)| RowOutput::Rows(*m, false)));
    builder.push(Op::Rows(Rows {
        name: name.to_string(),
        code: Arc::new(code),
        inputs: all,
        outputs,
        at: 0,
    }));
    give(builder, gradients);
    Ok(losses)
}
