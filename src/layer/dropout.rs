//! Dropout between layers; without training it passes its input on.

use super::{Builder, Layer, Signal};
use crate::error::{Error, Result};
use crate::op::{self, Matrix, Op};

/// Dropout of rows or of embedded ids.
#[derive(Debug)]
pub struct Dropout {
    name: String,
    rate: f64,
    stream: u32,
    input: Option<Signal>,
}

impl Dropout {
    /// Dropout with the given rate in [0, 1); `name` tells it apart from others.
    pub fn new(name: impl Into<String>, rate: f64) -> Dropout {
        Dropout {
            name: name.into(),
            rate,
            stream: 0,
            input: None,
        }
    }

    fn op(&self, builder: &Builder, suffix: &str, from: Matrix, to: Matrix) -> Op {
        Op::Dropout(op::Dropout {
            name: format!("dropout.{}{suffix}", self.name),
            control: builder.control,
            from,
            to,
            rate: self.rate,
            stream: self.stream,
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
            return Err(Error::internal("dropout of one-hot ids: use an embedding"));
        };
        self.stream = builder.stream();
        let to = builder.activation(format!("dropped.{}", self.name), from.cols);
        let op = self.op(builder, "", from, to);
        builder.push(op);
        Ok(Signal::Rows(to))
    }

    fn backward(&mut self, builder: &mut Builder, upstream: Matrix) -> Option<Matrix> {
        if self.rate > 0.0 {
            let op = self.op(builder, ".backward", upstream, upstream);
            builder.push(op);
        }
        let input = self.input?;
        builder.rows_backward(&self.name, input, upstream)
    }
}
