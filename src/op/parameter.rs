//! What a model learns: where it lies, how files name it, how it starts.

use super::Matrix;

/// How a parameter starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// A weight of the input with this many inputs (rows) in its product; drawn as the settings say.
    Weight,
    /// The rows of an embedding; drawn as weights are where settings say nothing of them.
    Embedding,
    /// A recurrent weight, one H x H block a lane; may be orthogonal.
    Recurrent,
    /// A bias, drawn or zero as the settings say.
    Bias,
    /// A value that no setting changes.
    Fixed(f64),
    /// The bias of a cell's variable, for which settings or the cell may have a value of its own.
    Gate(Gate),
}

/// Whose bias a block of H elements is, as far as its start hangs on that.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The variable of the cell.
    pub variable: String,
    /// The layer's label.
    pub layer: String,
    /// Where the cell starts it.
    pub start: Option<f64>,
    /// Whether it is drawn as other biases where nothing is said of it; else it starts at 0.
    pub drawn: bool,
    /// 1: an open gate keeps a state; -1: it writes it; 0: neither.
    pub memory: f64,
}

/// One parameter: a matrix [rows, cols] in the flat arena, blocks of columns with their own names and start.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name in files, PyTorch's where PyTorch has one: `rnn.weight_ih_l0`.
    pub name: String,
    /// Where it lies in the arena.
    pub matrix: Matrix,
    /// Whether files hold it transposed, as PyTorch's weights [out, in].
    pub transposed: bool,
    /// The shape in files: `[out, in]`, or `[n]` for a vector.
    pub file_shape: Vec<usize>,
    /// How equal blocks of columns start; one entry for a parameter of a single block.
    pub fill: Vec<Fill>,
}
