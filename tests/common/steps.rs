//! A plan of nothing but sums over a sequence's own steps and rows handed to each of them.

use wgrnn::layer::{AxisShape, Builder};
use wgrnn::op::steps::StepsForm;
use wgrnn::op::{Matrix, Op, Plan, Steps};

/// Both forms, as they are and as means, written and added to, over `width` columns; `packed` rows, or segments.
pub fn plan(packed: Option<usize>, width: usize) -> Plan {
    let mut builder = Builder::new(false);
    let axis = builder.add_axis(AxisShape {
        steps: 5,
        batch: 3,
        packed,
        segments: 1,
    });
    let rows = builder.activation(axis, "rows", width);
    let sequences = builder.scratch("sequences", axis.batch, width + 4);
    for (form, mean, accumulate) in [
        (StepsForm::Sum, false, false),
        (StepsForm::Sum, true, true),
        (StepsForm::Spread, true, false),
        (StepsForm::Spread, false, true),
    ] {
        builder.push(Op::Steps(Steps {
            name: format!("steps.{form:?}.{mean}.{accumulate}"),
            form,
            rows,
            // Behind other columns.
            sequences: Matrix {
                offset: 4,
                cols: width,
                ..sequences
            },
            steps: axis.steps,
            batch: axis.batch,
            packed: axis.packed(true),
            mean,
            accumulate,
        }));
    }
    builder.finish()
}
