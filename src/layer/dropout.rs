//! Dropout between layers; without training it passes its input on.

use super::{Builder, Layer, Signal};
use crate::error::{Error, Result};
use crate::op::dropout::Share;
use crate::op::{self, Matrix, Op};

/// Which elements of a layer's rows are kept or dropped together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Every element for itself.
    #[default]
    Element,
    /// The same mask at every step of a window.
    Locked,
    /// The rows of a token, wherever it stands.
    Token,
}

/// Dropout of rows or of embedded ids.
#[derive(Debug)]
pub struct Dropout {
    name: String,
    rate: f64,
    form: Form,
    stream: u32,
    input: Option<Signal>,
}

impl Dropout {
    /// Dropout with the given rate in [0, 1); `name` tells it apart from others.
    pub fn new(name: impl Into<String>, rate: f64, form: Form) -> Dropout {
        Dropout {
            name: name.into(),
            rate,
            form,
            stream: 0,
            input: None,
        }
    }

    fn op(&self, builder: &Builder, suffix: &str, from: Matrix, to: Matrix) -> Op {
        let (batch, ids) = (builder.batch, builder.ids);
        Op::Dropout(op::Dropout {
            name: format!("dropout.{}{suffix}", self.name),
            control: builder.control,
            from,
            to,
            rate: self.rate,
            stream: self.stream,
            share: match self.form {
                Form::Element => Share::Nothing,
                Form::Locked => Share::Steps { batch },
                Form::Token => Share::Token { ids },
            },
            at: 0,
        })
    }
}

impl Layer for Dropout {
    fn forward(&mut self, builder: &mut Builder, input: Signal) -> Result<Signal> {
        self.input = Some(input);
        if self.rate == 0.0 || !builder.training {
            return Ok(input);
        }
        let Some(from) = builder.as_rows(&self.name, input) else {
            return Err(Error::usage(
                "dropout of the input needs an embedding: set --embed above 0",
            ));
        };
        self.stream = builder.stream();
        let to = builder.activation(format!("dropped.{}", self.name), from.cols);
        let op = self.op(builder, "", from, to);
        builder.push(op);
        Ok(Signal::Rows(to))
    }

    fn backward(&mut self, builder: &mut Builder, upstream: Matrix) -> Option<Matrix> {
        if self.rate == 0.0 {
            return Some(upstream);
        }
        let op = self.op(builder, ".backward", upstream, upstream);
        builder.push(op);
        let input = self.input?;
        builder.rows_backward(&self.name, input, upstream)
    }
}
