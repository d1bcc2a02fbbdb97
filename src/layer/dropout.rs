//! Dropout between layers; without training it passes its input on.

use super::{Builder, Signal, Value};
use crate::error::{Error, Result};
use crate::op::dropout::Share;
use crate::op::{self, Op};

/// Which elements of a layer's rows are kept or dropped together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropoutForm {
    /// Every element for itself.
    #[default]
    Element,
    /// The same mask at every step of a minibatch.
    Locked,
    /// The rows of a token, wherever it stands.
    Token,
}

/// Dropout of rows or of embedded ids.
#[derive(Clone, Debug)]
pub struct DropoutLayer {
    name: String,
    rate: f64,
    form: DropoutForm,
}

impl DropoutLayer {
    /// Dropout with the given rate in [0, 1); `name` tells it apart from others.
    pub fn new(name: impl Into<String>, rate: f64, form: DropoutForm) -> DropoutLayer {
        DropoutLayer {
            name: name.into(),
            rate,
            form,
        }
    }

    /// Writes the layer.
    ///
    /// # Errors
    /// Usage, for one-hot vectors, and for ids whose rows are dropped by token where there are none.
    pub fn write(self, builder: &mut Builder, input: Value) -> Result<Value> {
        if self.rate == 0.0 || !builder.training {
            return Ok(input);
        }
        let share = match (self.form, builder.signal(input)) {
            (DropoutForm::Element, _) => Share::Nothing,
            (DropoutForm::Locked, _) => Share::Steps {
                batch: builder.axis(input).batch,
            },
            (DropoutForm::Token, Signal::OneHot { ids, .. } | Signal::Embedded { ids, .. }) => {
                Share::Token { ids }
            }
            (DropoutForm::Token, Signal::Rows(_)) => {
                return Err(Error::internal("dropout of tokens whose ids are unknown"));
            }
        };
        let Some(rows) = builder.as_rows(&self.name, input) else {
            return Err(Error::usage(
                "dropout of the input needs an embedding: set --embed above 0",
            ));
        };
        let (from, axis) = (builder.rows(rows)?, builder.axis(rows));
        let name = format!("dropped.{}", self.name);
        let to = builder.activation(axis, name.as_str(), from.cols);
        let op = op::Dropout {
            name: format!("dropout.{}", self.name),
            control: builder.control,
            from,
            to,
            rate: self.rate,
            stream: builder.stream(),
            share,
            at: 0,
        };
        builder.push(Op::Dropout(op.clone()));
        Ok(builder.made_rows(name, to, axis, move |builder, upstream| {
            builder.push(Op::Dropout(op::Dropout {
                name: format!("{}.backward", op.name),
                from: upstream,
                to: upstream,
                ..op
            }));
            builder.give(rows, upstream);
        }))
    }
}
