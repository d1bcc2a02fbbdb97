//! Layers: each declares its parameters once and writes its forward and backward operations into a plan.
//!
//! What flows between layers is a [`Signal`]; what flows back is a matrix of its gradient.

mod adaptive;
mod bidirectional;
mod builder;
mod chunked;
mod dropout;
mod linear;
mod penalty;
mod recurrent;
mod sampled;
mod softmax_xent;
mod stack;

pub use adaptive::Adaptive;
pub use bidirectional::Bidirectional;
pub use builder::Builder;
pub use chunked::{Chunked, Cut};
pub use dropout::{Dropout, Form};
pub use linear::Linear;
pub use penalty::Penalty;
pub use recurrent::Recurrent;
pub use sampled::Sampled;
pub use softmax_xent::SoftmaxXent;
pub use stack::{Block, Connections, Stack};

use crate::error::{Error, Result};
use crate::op::Matrix;

/// A parameter's place in the flat parameters and, the same, in the flat gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Param {
    /// Its values.
    pub value: Matrix,
    /// Its gradient.
    pub grad: Matrix,
}

impl Param {
    /// Columns `from .. from + cols` of both.
    pub fn columns(self, from: usize, cols: usize) -> Param {
        Param {
            value: self.value.columns(from, cols),
            grad: self.grad.columns(from, cols),
        }
    }
}

/// What a layer reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// Token ids as one-hot vectors [T * B, V], never written out.
    OneHot {
        /// V.
        vocab: usize,
    },
    /// Token ids looked up in a table [V, D]; a layer may use the table itself.
    Embedded(Param),
    /// Rows [T * B, D].
    Rows(Matrix),
}

impl Signal {
    /// The width that the next layer sees.
    pub fn width(&self) -> usize {
        match self {
            Signal::OneHot { vocab } => *vocab,
            Signal::Embedded(table) => table.value.cols,
            Signal::Rows(rows) => rows.cols,
        }
    }
}

/// The rows of a signal that a layer made: layers make nothing else.
fn rows_of(signal: Signal) -> Result<Matrix> {
    match signal {
        Signal::Rows(rows) => Ok(rows),
        _ => Err(Error::internal("a layer gave no rows")),
    }
}

/// One layer of a model.
pub trait Layer {
    /// Writes the forward operations; returns what the next layer reads.
    ///
    /// # Errors
    /// The layer does not fit its input.
    fn forward(&mut self, builder: &mut Builder, input: Signal) -> Result<Signal>;

    /// Writes the backward operations, given the gradient with respect to what `forward` returned; returns the gradient
    /// with respect to its input, where that is rows.
    fn backward(&mut self, builder: &mut Builder, upstream: Matrix) -> Option<Matrix>;
}
