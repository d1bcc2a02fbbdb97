//! A checked model: its fields, its values in the order in which they are made, and its losses.

use crate::op::steps::Pool;
use crate::syntax::Position;

/// A field of the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: FieldKind,
    /// Where its name stands in the text.
    pub position: Position,
}

/// What a field is. Other fields are named by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A sequence of symbols an example.
    Tokens {
        /// Whether `next` takes it: it is read from a start mark on, and predicted to an end mark.
        predicted: bool,
        /// Whether `previous` takes it, which reads start marks before the first token.
        looked_back: bool,
        /// The field of tokens each of which is a sequence of this one, for one that lies within another.
        within: Option<usize>,
    },
    /// A class an example.
    Class,
    /// A class for every token of a field.
    Classes {
        /// That field.
        along: usize,
    },
    /// A real vector an example.
    Vector,
}

/// What a value has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Every step of a field of tokens.
    Steps(usize),
    /// Every example.
    Examples,
}

/// How a value is made of others.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// A field's tokens, so many steps earlier, or its vectors.
    Read {
        /// The field.
        field: usize,
        /// How many steps earlier.
        back: usize,
    },
    /// Rows of a table by token.
    Embed {
        /// The width, where the line says it.
        width: Option<usize>,
        /// The value whose table it shares.
        weight: Option<usize>,
    },
    /// A linear layer.
    Linear {
        /// The width, where the line says it.
        width: Option<usize>,
        /// The value whose weight it shares.
        weight: Option<usize>,
        /// Of how many equal parts of the columns each goes through it.
        parts: usize,
    },
    /// Some of the columns: one of equal parts.
    Split {
        /// How many parts.
        parts: usize,
        /// Which of them, from 0 on.
        part: usize,
    },
    /// Recurrent layers over the first operand.
    Recurrent {
        /// Whether in both directions.
        both: bool,
        /// The cell's name, where the line says it.
        cell: Option<String>,
        /// The hidden size, where the line says it.
        hidden: Option<usize>,
        /// How many layers, where the line says it.
        layers: Option<usize>,
        /// The operand that is given beside the input at every step.
        given: Option<usize>,
        /// The operand with the states before the first step.
        start: Option<usize>,
    },
    /// Dropout.
    Dropout {
        /// The rate, where the line says it.
        rate: Option<f64>,
    },
    /// Layer normalisation.
    Norm,
    /// Columns side by side.
    Concat,
    /// The sum of operands.
    Add,
    /// A pointwise operator: a program on rows whose inputs are the operands.
    Pointwise {
        /// Its text.
        program: String,
    },
    /// The last row of every sequence; of both directions, each where it ended.
    Last,
    /// What a sequence's rows come to.
    Pool(Pool),
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueNode {
    /// How it is made.
    pub function: Function,
    /// Of which values.
    pub operands: Vec<usize>,
    /// What its parameters are named after.
    pub label: String,
    /// Where it stands in the text.
    pub position: Position,
    /// What it has a row for.
    pub along: Along,
}

/// What a loss predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The next token of a field.
    Next(usize),
    /// The class of an example, or of every step.
    Class(usize),
}

impl Target {
    /// The field.
    pub fn field(self) -> usize {
        match self {
            Target::Next(field) | Target::Class(field) => field,
        }
    }
}

/// A loss: softmax and cross-entropy of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// The linear layer.
    pub(super) scores: usize,
    /// What it predicts.
    pub target: Target,
    /// What its mean is multiplied by in the objective.
    pub weight: f64,
    /// Where it stands in the text.
    pub position: Position,
}
