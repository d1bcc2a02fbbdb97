//! Two layers over the same input, one in each direction of time; their outputs side by side.
//!
//! Source: Schuster and Paliwal, "Bidirectional recurrent neural networks" (1997).

use super::{Builder, Layer, Recurrent, Signal, rows_of};
use crate::error::Result;
use crate::op::Matrix;

/// A bidirectional layer: rows [T * B, 2 H], forward units first.
#[derive(Debug)]
pub struct Bidirectional {
    label: String,
    forward: Recurrent,
    backward: Recurrent,
    hidden: usize,
}

impl Bidirectional {
    /// Two layers of the hidden size `hidden`; `backward` runs from the last step to the first.
    pub fn new(
        label: impl Into<String>,
        forward: Recurrent,
        backward: Recurrent,
        hidden: usize,
    ) -> Self {
        Bidirectional {
            label: label.into(),
            forward,
            backward: backward.reversed(),
            hidden,
        }
    }
}

impl Layer for Bidirectional {
    fn forward(&mut self, builder: &mut Builder, input: Signal) -> Result<Signal> {
        let parts = [
            rows_of(self.forward.forward(builder, input)?)?,
            rows_of(self.backward.forward(builder, input)?)?,
        ];
        let name = format!("both.{}", self.label);
        Ok(Signal::Rows(builder.side_by_side(&name, &parts)))
    }

    fn backward(&mut self, builder: &mut Builder, upstream: Matrix) -> Option<Matrix> {
        let h = self.hidden;
        // In the opposite order of `forward`, as everything backward.
        let second = self.backward.backward(builder, upstream.columns(h, h));
        let first = self.forward.backward(builder, upstream.columns(0, h));
        let (to, from) = (first?, second?);
        builder.add(format!("both.{}.backward", self.label), from, to, true);
        Some(to)
    }
}
