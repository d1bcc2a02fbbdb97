//! A plan of nothing but sums over a sequence's own steps and rows handed to each of them.

use wgrnn::layer::{AxisShape, Builder};
use wgrnn::op::steps::{Pool, StepsForm};
use wgrnn::op::{Matrix, Op, Plan, Steps};

/// Both forms of sums, means and maxima, written and added to, over `width` columns; `packed` rows, or segments.
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
    let values = builder.activation(axis, "values", width);
    for (form, pool, accumulate) in [
        (StepsForm::Sum, Pool::Sum, false),
        (StepsForm::Sum, Pool::Mean, true),
        (StepsForm::Sum, Pool::Max, false),
        (StepsForm::Spread, Pool::Mean, false),
        (StepsForm::Spread, Pool::Sum, true),
        (StepsForm::Spread, Pool::Max, false),
        (StepsForm::Spread, Pool::Max, true),
    ] {
        builder.push(Op::Steps(Steps {
            name: format!("steps.{form:?}.{pool:?}.{accumulate}"),
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
            pool,
            values: (pool == Pool::Max && form == StepsForm::Spread).then_some(values),
            accumulate,
        }));
    }
    builder.finish()
}
