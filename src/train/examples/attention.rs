//! What a text that is written looks at: the weights of each prediction over the steps of what was read.

use std::ops::Range;

use crate::op::attend::{AttendForm, Memory};
use crate::op::{Matrix, Op, Packing, Plan};

/// An attention of a model by which a text is written: each prediction weighs the steps of a field.
#[derive(Clone, Debug)]
pub struct ModelAttention {
    /// Its name in the model: that of the line, and the function where it stands within one.
    pub name: String,
    /// The number of the field whose steps are weighed.
    pub field: usize,
    /// The weights of a run [rows, S].
    pub(super) weights: Matrix,
}

/// What the predictions of a text weigh the steps of a field by.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// Steps of the field, S.
    pub steps: usize,
    /// By prediction, that of the end mark too, the weights of all steps [T, S]; each row's sum is 1.
    pub weights: Vec<Vec<f32>>,
}

impl ModelAttention {
    /// Those of a plan that writes texts: what every step runs and weighs the steps of a field of an example.
    pub(super) fn of(plan: &Plan) -> Vec<ModelAttention> {
        let ops = plan.ops.iter().enumerate();
        let ops = ops.filter(|(n, _)| plan.runs_at_steps(*n));
        ops.flat_map(|(_, op)| ModelAttention::all(plan, op))
            .collect()
    }

    /// Those of an operation: its own, or those within the steps of a layer.
    fn all(plan: &Plan, op: &Op) -> Vec<ModelAttention> {
        if let Op::Attend(attend) = op
            && let AttendForm::Forward { weights, .. } = attend.form
        {
            let name = attend.name.trim_end_matches(".forward").to_string();
            return ModelAttention::new(plan, name, attend.memory, weights)
                .into_iter()
                .collect();
        }
        let within = op.scans().iter().flat_map(|scan| {
            let layer = scan.name.trim_start_matches("forward.");
            let each = scan.cell.attentions.iter().zip(&scan.attentions);
            each.filter_map(move |(written, of)| {
                let name = format!("{layer}.{}", written.variable);
                ModelAttention::new(plan, name, of.memory, of.weights)
            })
        });
        within.collect()
    }

    /// The weights of some rows of a run, of all that the run made, over so many steps.
    pub(super) fn rows<'a>(
        &self,
        all: &'a [f32],
        steps: usize,
        rows: Range<usize>,
    ) -> Vec<&'a [f32]> {
        let of = self.weights;
        let row = |row: usize| &all[of.offset + row * of.stride..][..steps];
        rows.map(row).collect()
    }

    fn new(plan: &Plan, name: String, memory: Memory, weights: Matrix) -> Option<ModelAttention> {
        let first = memory.packed.first;
        let mut axes = plan.axes.iter();
        let axis = axes.position(|axis| axis.first + Packing::STARTS == first);
        let mut fields = plan.recipes.fields.iter();
        let field = fields.position(|field| axis.is_some() && field.axis() == axis)?;
        Some(ModelAttention {
            name,
            field,
            weights,
        })
    }
}

/// The weights of a text in the making.
#[derive(Debug)]
pub(super) struct Looked {
    /// Steps of the field, S.
    steps: usize,
    /// By prediction, the weights of the rows of all beginnings [rows, S].
    weights: Vec<Vec<f32>>,
}

impl Looked {
    /// Of no prediction yet, over so many steps.
    pub fn new(steps: usize) -> Looked {
        Looked {
            steps,
            weights: Vec::new(),
        }
    }

    /// Keeps those of the text's rows in a run.
    pub fn push(&mut self, rows: &[&[f32]]) {
        self.weights.push(rows.concat());
    }

    /// Those of a text that was found: which row each prediction was made from.
    pub fn along(&self, rows: &[usize]) -> Alignment {
        let steps = self.steps;
        let each = self.weights.iter().zip(rows);
        Alignment {
            steps,
            weights: each
                .map(|(weights, row)| weights[row * steps..][..steps].to_vec())
                .collect(),
        }
    }
}
