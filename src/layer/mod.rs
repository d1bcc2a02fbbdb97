//! Layers: each declares its parameters once, writes its forward operations into a plan, and leaves on the tape how its
//! gradients go back.
//!
//! What flows between layers are [values](Value), any number of them in and out of a layer; how their gradients add up is
//! the law of the tape, see [`Builder::give`].

mod above;
mod adaptive;
mod attend;
mod axis;
mod bidirectional;
mod builder;
mod chunked;
mod draws;
mod dropout;
mod filters;
mod hard;
mod join;
mod linear;
mod penalty;
mod recurrent;
mod rows;
mod sampled;
mod softmax_xent;
mod stop;
mod tape;

pub use above::{ColumnPart, last, pool, spread};
pub use adaptive::Adaptive;
pub use attend::{AttentionRows, Scores, attend};
pub use axis::{Axis, AxisShape};
pub use bidirectional::{Both, bidirectional};
pub use builder::Builder;
pub use chunked::{Chunked, Cut};
pub use draws::{draws, zeros};
pub use dropout::{DropoutForm, DropoutLayer};
pub use filters::{filters, read_patch, write_patch};
pub use hard::hard;
pub use join::{concat, split, split_into, sum};
pub use linear::Linear;
pub use penalty::Penalty;
pub use recurrent::Recurrent;
pub use rows::{row_loss, rows};
pub use sampled::Sampled;
pub use softmax_xent::CrossEntropy;
pub use stop::{retina, right, stop};
pub use tape::{Signal, Value};

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
