//! A checked model: its fields, its values in the order in which they are made, and its losses.

use crate::op::steps::Pool;
use crate::syntax::Position;

/// A field of the data.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelField {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ModelFieldKind,
    /// Where its name stands in the text.
    pub position: Position,
}

/// What a field is. Other fields are named by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelFieldKind {
    /// A sequence of symbols an example.
    Tokens {
        /// Whether `next` takes it: it is read from a start mark on, and predicted to an end mark.
        predicted: bool,
        /// Whether `previous` or `grams` takes it, which reads start marks before the first token.
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
    /// A real vector for every step of a field.
    RealsAlong {
        /// That field.
        along: usize,
        /// Whether a loss names it: nothing else may read it.
        predicted: bool,
    },
    /// A real vector a step, or a row of a set.
    Reals {
        /// Whether its rows have no order.
        set: bool,
        /// Whether its numbers are bits, 0 or 1.
        bits: bool,
        /// Whether `next` or `ahead` takes it: of n steps those are read that have as many behind them as are predicted.
        predicted: bool,
    },
}

impl ModelFieldKind {
    /// Whether it has steps of its own: a sequence an example, or one within another field.
    pub fn has_steps(self) -> bool {
        matches!(
            self,
            ModelFieldKind::Tokens { .. } | ModelFieldKind::Reals { .. }
        )
    }
}

/// What a value has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Every step of a field of tokens or reals.
    Steps(usize),
    /// Every example.
    Examples,
}

/// How a value is made of others.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// A field's tokens or numbers, so many steps earlier, or its vectors.
    Read {
        /// The field.
        field: usize,
        /// How many steps earlier.
        back: usize,
    },
    /// Each token of a field with those before it, as one symbol.
    Grams {
        /// The field.
        field: usize,
        /// How many tokens.
        tokens: usize,
        /// How many symbols there are.
        symbols: usize,
    },
    /// The number of each step of a field within its sequence, as a symbol.
    Positions {
        /// The field.
        field: usize,
        /// How many symbols there are.
        symbols: usize,
    },
    /// The numbers of so many steps of a field side by side, the row's own the last of them.
    Window {
        /// The field.
        field: usize,
        /// How many steps.
        steps: usize,
    },
    /// Columns side by side, so many times.
    Repeat {
        /// How often, where the line says it.
        times: Option<usize>,
    },
    /// The numbers of the next steps of a field side by side, which a loss predicts.
    Ahead {
        /// The field.
        field: usize,
        /// How many steps, where the line says it.
        steps: Option<usize>,
    },
    /// Rows of 0.
    Zeros {
        /// The width, where the line says it.
        width: Option<usize>,
    },
    /// A draw from Gaussians: the first operand their means, the second the logarithms of their variances.
    Sample,
    /// The same without a way back for gradients.
    Stop,
    /// What an eye sees of the first operand, an image, at the place that is the second.
    Glimpse {
        /// Numbers of a square's side.
        size: usize,
        /// How many squares.
        scales: usize,
        /// Pixels of an image's row, where the line says it.
        width: Option<usize>,
    },
    /// What Gaussian filters, placed by the second operand, see of the first, an image.
    ReadPatch {
        /// Filters of a side.
        size: usize,
        /// Pixels of an image's row, where the line says it.
        width: Option<usize>,
    },
    /// The first operand, a square, as an image by Gaussian filters that the second places; as wide as the third.
    WritePatch {
        /// Pixels of an image's row, where the line says it.
        width: Option<usize>,
    },
    /// The probability that scores give to what is to be predicted.
    Right {
        /// That.
        target: Target,
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
        /// Which layers.
        sizes: LayerSizes,
        /// The operand that is given beside the input at every step.
        given: Option<usize>,
        /// What the states are before the first step.
        start: Option<StartOf>,
        /// The operands that the cell looks at, in the order of its memories.
        memories: Vec<usize>,
        /// The layers whose parameters these share, which say the cell and both sizes.
        weight: Option<usize>,
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
    /// Attention: for every row of the second operand the weighted sum of the first one's rows of the same example.
    Attend {
        /// How they are scored.
        scores: AttendScores,
    },
    /// Of an operand that is attention: in training a row drawn by its weights, out of it the likeliest.
    Hard,
    /// How likely what was drawn was: the logarithm, of hard attention.
    LogProb,
    /// The entropy of what hard attention draws by.
    Entropy,
    /// The last row of every sequence; of both directions, each where it ended.
    Last,
    /// What a sequence's rows come to.
    Pool(Pool),
}

/// How attention scores a query and a row of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttendScores {
    /// By their inner product.
    Dot,
    /// By a layer of tanh, as wide as the line says, or the settings.
    Additive {
        /// The width, where the line says it.
        width: Option<usize>,
    },
}

/// What a line says of its recurrent layers; the settings say the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerSizes {
    /// The cell's name.
    pub cell: Option<String>,
    /// The hidden size.
    pub hidden: Option<usize>,
    /// How many layers.
    pub layers: Option<usize>,
}

/// What the states of recurrent layers begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOf {
    /// Every layer's output state with the value of this operand, a row a sequence.
    Value(usize),
    /// Layer by layer with the last states of this operand, itself recurrent layers.
    States(usize),
}

impl Function {
    /// Whether what it makes of data is data still, as no layer has a part in it.
    pub(super) fn keeps_data(&self) -> bool {
        match self {
            Function::Last
            | Function::Split { .. }
            | Function::Pointwise { .. }
            | Function::Concat
            | Function::Repeat { .. }
            | Function::Stop
            | Function::Add => true,
            Function::Read { .. }
            | Function::Window { .. }
            | Function::Ahead { .. }
            | Function::Grams { .. }
            | Function::Positions { .. }
            | Function::Zeros { .. }
            | Function::Sample
            | Function::Glimpse { .. }
            | Function::ReadPatch { .. }
            | Function::WritePatch { .. }
            | Function::Right { .. }
            | Function::Embed { .. }
            | Function::Linear { .. }
            | Function::Recurrent { .. }
            | Function::Dropout { .. }
            | Function::Norm
            | Function::Attend { .. }
            | Function::Hard
            | Function::LogProb
            | Function::Entropy
            | Function::Pool(_) => false,
        }
    }
}

/// By value, whether it hangs on what a loss predicts: later steps, numbers along steps, or how likely what is right is.
pub(super) fn ahead(fields: &[ModelField], nodes: &[ValueNode]) -> Vec<bool> {
    let mut all: Vec<bool> = Vec::new();
    for node in nodes {
        let own = match node.function {
            Function::Ahead { .. } | Function::Right { .. } => true,
            Function::Read { field, .. } => matches!(
                fields[field].kind,
                ModelFieldKind::RealsAlong {
                    predicted: true,
                    ..
                }
            ),
            _ => false,
        };
        all.push(own || node.operands.iter().any(|operand| all[*operand]));
    }
    all
}

/// By value, whether it hangs on a draw.
pub(super) fn drawn(nodes: &[ValueNode]) -> Vec<bool> {
    let mut all: Vec<bool> = Vec::new();
    for node in nodes {
        let own = matches!(node.function, Function::Sample | Function::Hard);
        all.push(own || node.operands.iter().any(|operand| all[*operand]));
    }
    all
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
    /// Numbers of a field.
    Numbers(usize),
    /// Nothing of the data: what draws cost.
    Draws,
}

impl Target {
    /// The field, where it is something of the data.
    pub fn field(self) -> Option<usize> {
        match self {
            Target::Next(field) | Target::Class(field) | Target::Numbers(field) => Some(field),
            Target::Draws => None,
        }
    }
}

/// What a loss is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LossForm {
    /// Softmax and cross-entropy of a linear layer.
    CrossEntropy {
        /// The layer.
        scores: usize,
    },
    /// A program on rows.
    Program {
        /// The program's name, and its text.
        name: String,
        text: String,
        /// The constants that the line sets.
        constants: Vec<(String, f64)>,
        /// Its inputs, by the rounds of lines that are made several times: their losses add up.
        rounds: Vec<Vec<usize>>,
    },
}

/// A line of a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// What it is made of.
    pub(super) form: LossForm,
    /// What it has a row for.
    pub(super) along: Along,
    /// What it predicts.
    pub target: Target,
    /// What its mean is multiplied by in the objective.
    pub weight: f64,
    /// Where it stands in the text.
    pub position: Position,
}

impl Loss {
    /// The field at whose steps it predicts; none where it predicts once an example.
    pub fn steps(&self) -> Option<usize> {
        match self.along {
            Along::Steps(field) => Some(field),
            Along::Examples => None,
        }
    }
}
