//! A penalty on what passes by: the rows go on unchanged, and their gradient grows by the penalty's.

use super::{Builder, Value};
use crate::error::Result;
use crate::op::Op;
use crate::op::penalty::{self, Form};

/// A penalty on rows; without training it does nothing.
#[derive(Clone, Debug)]
pub struct Penalty {
    name: String,
    form: Form,
    weight: f64,
}

impl Penalty {
    /// A penalty of the given form, times `weight`; `name` tells it apart from others.
    pub fn new(name: impl Into<String>, form: Form, weight: f64) -> Penalty {
        Penalty {
            name: name.into(),
            form,
            weight,
        }
    }

    /// Writes the layer: the value that it returns is its input, with the penalty.
    ///
    /// # Errors
    /// Internal, for an input that is not rows.
    pub fn write(self, builder: &mut Builder, input: Value) -> Result<Value> {
        let (from, axis) = (builder.rows(input)?, builder.axis(input));
        let name = format!("penalty.{}", self.name);
        let Penalty { form, weight, .. } = self;
        Ok(
            builder.made_rows(name.clone(), from, axis, move |builder, upstream| {
                let losses = builder.penalties(axis);
                builder.push(Op::Penalty(penalty::Penalty {
                    name,
                    form,
                    weight,
                    batch: axis.batch,
                    from,
                    grad: upstream,
                    losses,
                    scaled: builder.scaled.then_some(builder.hyper),
                    at: 0,
                }));
                builder.give(input, upstream);
            }),
        )
    }
}
