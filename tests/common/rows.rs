//! Plans of nothing but programs on rows, with their derivatives.
#![allow(dead_code)] // each file of tests uses its part

use wgrnn::cell::rows::RowProgram;
use wgrnn::layer::{AxisShape, Builder, Signal, Value, row_loss, rows};
use wgrnn::op::{Plan, SlotId};

/// The axis and the width of a plan's rows.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The most rows that are packed together; else 4 steps of 3 rows.
    pub packed: Option<usize>,
    /// Columns of a row.
    pub width: usize,
}

/// A plan, and for each input of its program the slots of its values and of its gradient.
pub struct Made {
    pub plan: Plan,
    pub inputs: Vec<[SlotId; 2]>,
}

/// The sum of products by which what is no loss becomes one.
fn total(of: &RowProgram) -> RowProgram {
    let text = if of.is_loss() {
        "number v, k\nloss = v * k"
    } else {
        "row v, k\nloss = sum(v * k)"
    };
    RowProgram::parse("total", text).unwrap()
}

/// The loss that `program` is, its positions weighted; with `layer`, what it makes goes through another loss.
pub fn plan(program: &RowProgram, sizes: Sizes, layer: bool) -> Made {
    let mut builder = Builder::new(true);
    let axis = builder.add_axis(AxisShape {
        steps: 4,
        batch: 3,
        packed: sizes.packed,
        segments: 1,
    });
    builder.add_ids(axis, 5, 0, 0);
    let mut inputs = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    for input in &program.inputs {
        let cols = input.width.columns(sizes.width);
        let from = builder.activation(axis, input.name.clone(), cols);
        let kept = builder.activation(axis, format!("kept.{}", input.name), cols);
        inputs.push([from.slot, kept.slot]);
        let name = format!("keep.{}", input.name);
        values.push(
            builder.made_rows(input.name.clone(), from, axis, move |builder, gradient| {
                builder.add(name, gradient, kept, false);
            }),
        );
    }
    if layer {
        let made = rows(&mut builder, "rows", program, &values).unwrap();
        let cols = program.output.columns(sizes.width);
        let k = builder.activation(axis, "k", cols);
        let k = builder.value("k", Signal::Rows(k), axis);
        row_loss(&mut builder, "total", &total(program), &[made, k], true).unwrap();
    } else {
        row_loss(&mut builder, "loss", program, &values, true).unwrap();
    }
    builder.go_back();
    let plan = builder.finish();
    assert_eq!(plan.faults(), [""; 0]);
    Made { plan, inputs }
}
