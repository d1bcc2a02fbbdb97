//! Widths that follow from what takes a value: what a loss compares with numbers of a field is as wide as these.

use super::super::Model;
use super::super::graph::{AttendScores, Function, LossForm};
use super::Writer;
use crate::cell::rows::{RowProgram, Width};
use crate::error::Result;
use crate::layer::Builder;
use crate::model::Spec;
use crate::op::Filters;

/// By value, the width at which a loss compares it with numbers of a field, or at which it places filters, through pointwise operators
/// and sums, too; `sizes` are those of the fields.
pub(super) fn wanted(model: &Model, spec: &Spec, sizes: &[usize]) -> Result<Vec<Option<usize>>> {
    let data = of_data(model, spec, sizes);
    let mut wanted = vec![None; model.nodes.len()];
    for loss in &model.losses {
        let LossForm::Program {
            name, text, rounds, ..
        } = &loss.form
        else {
            continue;
        };
        let program = RowProgram::parse(name, text)?;
        for operands in rounds {
            let inputs = program.inputs.iter().zip(operands);
            let rows = inputs.filter(|(input, _)| input.width == Width::Row);
            let rows: Vec<usize> = rows.map(|(_, operand)| *operand).collect();
            let Some(width) = rows.iter().find_map(|operand| data[*operand]) else {
                continue;
            };
            for operand in rows {
                wanted[operand].get_or_insert(width);
            }
        }
    }
    for node in &model.nodes {
        match node.function {
            Function::Right { target } => {
                if let Some(field) = target.field() {
                    wanted[node.operands[0]].get_or_insert(sizes[field]);
                }
            }
            Function::ReadPatch { .. } | Function::WritePatch { .. } => {
                wanted[node.operands[1]].get_or_insert(Filters::NUMBERS);
            }
            _ => {}
        }
    }
    for (number, node) in model.nodes.iter().enumerate().rev() {
        let keeps = matches!(
            node.function,
            Function::Add | Function::Pointwise { .. } | Function::Dropout { .. }
        );
        if let Some(width) = wanted[number].filter(|_| keeps) {
            for operand in &node.operands {
                wanted[*operand].get_or_insert(width);
            }
        }
    }
    Ok(wanted)
}

impl Writer<'_> {
    /// How wide a memory is whose rows have inner products with this value.
    pub(super) fn wanted_by_memory(&self, builder: &Builder, number: usize) -> Option<usize> {
        let dot = Function::Attend {
            scores: AttendScores::Dot,
        };
        let mut nodes = self.model.nodes.iter();
        let node = nodes.find(|node| node.function == dot && node.operands[1] == number)?;
        let memory = self.values[node.operands[0]]?;
        Some(builder.signal(memory).width())
    }
}

/// The widths of values that are data.
fn of_data(model: &Model, spec: &Spec, sizes: &[usize]) -> Vec<Option<usize>> {
    let mut widths: Vec<Option<usize>> = Vec::new();
    for node in &model.nodes {
        let mut operands = node.operands.iter().map(|operand| widths[*operand]);
        let width = match node.function {
            Function::Read { field, .. } => Some(sizes[field]),
            Function::Window { field, steps } => Some(sizes[field] * steps),
            Function::Repeat { times } => {
                let times = times.unwrap_or(spec.horizon);
                operands.next().flatten().map(|width| width * times)
            }
            Function::Ahead { field, steps } => Some(sizes[field] * steps.unwrap_or(spec.horizon)),
            Function::Split { parts, .. } => operands.next().flatten().map(|width| width / parts),
            Function::Concat => operands.sum(),
            _ if node.function.keeps_data() => operands.next().flatten(),
            _ => None,
        };
        widths.push(width);
    }
    widths
}
