//! A penalty on what passes by: the rows go on unchanged, and their gradient grows by the penalty's.

use super::{Builder, Layer, Signal};
use crate::error::{Error, Result};
use crate::op::penalty::{self, Form};
use crate::op::{Matrix, Op};

/// A penalty on rows; without training it does nothing.
#[derive(Debug)]
pub struct Penalty {
    name: String,
    form: Form,
    weight: f64,
    from: Option<Matrix>,
}

impl Penalty {
    /// A penalty of the given form, times `weight`; `name` tells it apart from others.
    pub fn new(name: impl Into<String>, form: Form, weight: f64) -> Penalty {
        Penalty {
            name: name.into(),
            form,
            weight,
            from: None,
        }
    }
}

impl Layer for Penalty {
    fn forward(&mut self, _: &mut Builder, input: Signal) -> Result<Signal> {
        let Signal::Rows(rows) = input else {
            return Err(Error::internal("a penalty on what is not rows"));
        };
        self.from = Some(rows);
        Ok(input)
    }

    /// `upstream` is changed in place: nothing else may need it without the penalty.
    fn backward(&mut self, builder: &mut Builder, upstream: Matrix) -> Option<Matrix> {
        let from = self.from?;
        let losses = builder.penalties();
        builder.push(Op::Penalty(penalty::Penalty {
            name: format!("penalty.{}", self.name),
            form: self.form,
            weight: self.weight,
            batch: builder.batch,
            from,
            grad: upstream,
            losses,
            scaled: builder.scaled.then_some(builder.hyper),
            at: 0,
        }));
        Some(upstream)
    }
}
