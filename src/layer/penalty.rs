//! A penalty on what passes by: the rows go on unchanged, and their gradient grows by the penalty's.

use std::sync::Arc;

use super::{Axis, Builder, Value};
use crate::cell::rows::{Factors, RowProgram};
use crate::error::Result;
use crate::op::rows::{RowInput, RowOutput};
use crate::op::{Hyper, Matrix, Op, Rows};

/// A penalty on rows; without training it does nothing.
#[derive(Clone, Debug)]
pub struct Penalty {
    name: String,
    program: RowProgram,
    weight: f64,
}

impl Penalty {
    /// `weight` times the mean of a loss: of all rows where it looks at one row, else of the pairs of neighbouring steps, of
    /// which each counts for its earlier row. `name` tells it apart from others.
    pub fn new(name: impl Into<String>, program: RowProgram, weight: f64) -> Penalty {
        Penalty {
            name: name.into(),
            program,
            weight,
        }
    }

    /// Writes the layer: the value that it returns is its input, with the penalty.
    ///
    /// # Errors
    /// Internal, for an input that is not rows; data, for a program that is no loss of one row or of two.
    pub fn write(self, builder: &mut Builder, input: Value) -> Result<Value> {
        let (from, axis) = (builder.rows(input)?, builder.axis(input));
        let name = format!("penalty.{}", self.name);
        let factors = Factors {
            weight: true,
            scale: builder.scaled,
        };
        let code = if self.program.inputs.len() == 1 {
            self.program.with_gradient(from.cols, &[true], factors)?
        } else {
            self.program.of_neighbours(from.cols, factors)?
        };
        let code = Arc::new(code);
        Ok(
            builder.made_rows(name.clone(), from, axis, move |builder, upstream| {
                let mut inputs = self.inputs(from, axis);
                if builder.scaled {
                    inputs.push(RowInput::Hyper(builder.hyper, Hyper::FACTOR));
                }
                let losses = builder.penalties(axis);
                builder.push(Op::Rows(Rows {
                    name,
                    code,
                    inputs,
                    outputs: vec![RowOutput::Losses(losses), RowOutput::Rows(upstream, true)],
                    at: 0,
                }));
                builder.give(input, upstream);
            }),
        )
    }

    /// The rows that the program looks at, and each one's share of the weight.
    fn inputs(&self, from: Matrix, axis: Axis) -> Vec<RowInput> {
        if self.program.inputs.len() == 1 {
            let share = self.weight / from.rows as f64;
            return vec![RowInput::Rows(from), RowInput::Share(share)];
        }
        // A single step has no pairs.
        let share = match from.rows.saturating_sub(axis.batch) {
            0 => 0.0,
            pairs => self.weight / pairs as f64,
        };
        let step = axis.batch as isize;
        vec![
            RowInput::Neighbour(from, -step),
            RowInput::Rows(from),
            RowInput::Neighbour(from, step),
            RowInput::Share(share),
        ]
    }
}
