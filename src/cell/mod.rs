//! Recurrent cells: from a few lines of equations to everything that training needs.
//!
//! [`parse`](Cell::parse) turns a text into a [`Cell`]: a [`graph`] of pointwise nodes whose leaves are products, learned
//! vectors and previous states. [`Cell::compile`] differentiates it (`derive`), cuts both directions into [`Stage`]s
//! (`level`, `compile`, `stage`), and `wgsl` and `eval` give the same stages to the GPU and the CPU. Nothing here knows of tensors or devices.

mod attention;
mod compile;
pub mod constants;
mod derive;
pub mod eval;
mod function;
pub mod fused;
pub mod graph;
pub mod language;
mod level;
pub mod library;
mod lower;
mod memory;
mod names;
mod noise;
mod normal;
pub mod operator;
pub mod parse;
mod print;
pub mod real;
pub mod reduction;
pub mod rows;
pub mod simd;
pub mod stage;
#[cfg(test)]
mod tests;
pub mod wgsl;

pub use attention::{Attention, ScoreKind};
pub use fused::{FusedProduct, SumFeed};
use graph::{Graph, Id};
pub use memory::Effect;
pub use noise::Noise;
pub use normal::Normal;
pub use stage::{Compiled, Stage};

/// What a product multiplies: a vector that belongs to a whole row, so it must be complete before any unit's product.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductSource {
    /// Which vector.
    pub kind: SourceKind,
    /// The parameter's name without its layer: `weight_ih`, `weight_hh`, `weight_n`.
    pub weight: String,
    /// The gates that it feeds, in the order of their blocks in the weight.
    pub gates: Vec<usize>,
}

/// Which vector a [`ProductSource`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// The input x `[D]`.
    Input,
    /// A state of the previous step `[H]`.
    Previous(usize),
    /// A value made within the step `[H]`, such as r * h: the `slot`-th of them, at this node.
    Made {
        /// Its place among the made sources.
        slot: usize,
        /// The node that is the value.
        node: Id,
    },
}

/// One block of H columns of a product: the share that one source gives to one `linear`.
#[derive(Clone, Debug, PartialEq)]
pub struct GateProduct {
    /// The variable whose equation holds the `linear`.
    pub variable: String,
    /// The index of its source.
    pub source: usize,
    /// Its block of H columns in the source's weight.
    pub block: usize,
}

/// A learned vector `[H]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// The variable whose equation holds it.
    pub variable: String,
    /// What it is for.
    pub kind: VectorKind,
}

/// What a learned vector is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VectorKind {
    /// The bias of a `linear`.
    Bias {
        /// Whether the input is among the arguments of that `linear`.
        input: bool,
        /// The initial value that the cell's `bias` line asks for.
        start: Option<f64>,
    },
    /// A peephole: multiplies a value elementwise.
    Peep,
    /// The gain of a layer normalisation, at first 1.
    Gain,
    /// The shift of a layer normalisation, at first 0.
    Shift,
}

/// Random factors that keep a unit or drop it, made anew where they are used from (key, step of training, stream, element).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    /// The probability of 0.
    pub rate: f64,
    /// The factor otherwise.
    pub scale: f64,
    /// Whether all steps of a segment share the factors of a row and unit.
    pub locked: bool,
}

impl Mask {
    /// A unit is kept when its random word is at least this.
    pub fn threshold(&self) -> u32 {
        (self.rate * 4_294_967_296.0) as u32
    }
}

impl Vector {
    /// The parameter that holds it, without its layer: `bias_ih`, `bias_hh`, `peep`.
    pub fn parameter(&self) -> &'static str {
        match self.kind {
            VectorKind::Bias { input: true, .. } => "bias_ih",
            VectorKind::Bias { input: false, .. } => "bias_hh",
            VectorKind::Peep => "peep",
            VectorKind::Gain => "norm_weight",
            VectorKind::Shift => "norm_bias",
        }
    }
}

/// A cell: the equations of one step.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its name: that of its file without the ending.
    pub name: String,
    /// The text that it was made from.
    pub text: String,
    /// The states' names.
    pub states: Vec<String>,
    /// The state that is the output.
    pub output: usize,
    /// The nodes of one step.
    pub graph: Graph,
    /// What the equations make, in their order: a variable and its node.
    pub variables: Vec<(String, Id)>,
    /// The new value of each state.
    pub new_states: Vec<Id>,
    /// What products multiply.
    pub sources: Vec<ProductSource>,
    /// The blocks of the products, in the order of the equations.
    pub gates: Vec<GateProduct>,
    /// The learned vectors, in the order of the equations.
    pub vectors: Vec<Vector>,
    /// The memories that it looks at, by name.
    pub memories: Vec<String>,
    /// The attentions, in the order of the equations.
    pub attentions: Vec<Attention>,
    /// The random factors; a cell as it is written has none.
    pub masks: Vec<Mask>,
    /// Whether an equation uses x elementwise, so that D must equal H.
    pub raw_input: bool,
}

impl Cell {
    /// Reads the text of the cell `name`.
    ///
    /// # Errors
    /// Whatever is wrong with the text, with line and column.
    pub fn parse(name: &str, text: &str) -> crate::Result<Cell> {
        lower::lower(
            name,
            text,
            &parse::parse(parse::Language::Cell, name, text)?,
        )
    }

    /// Differentiates the cell and cuts both directions into stages.
    pub fn compile(&self) -> Compiled {
        compile::compile(self, true, derive::carries(self))
    }

    /// The same, in which the adjoints of `states`, too, go on from step to step as rows of their own: what was made of the
    /// states behind the last step sends adjoints to them.
    pub fn compile_carrying(&self, states: impl Fn(usize) -> bool) -> Compiled {
        let carries = derive::carries(self).into_iter().enumerate();
        let carries = carries.map(|(k, carries)| carries || states(k)).collect();
        compile::compile(self, true, carries)
    }

    /// The forward stages alone, keeping nothing for a backward pass.
    pub fn compile_inference(&self) -> Compiled {
        compile::compile(self, false, derive::carries(self))
    }

    /// The source that is the input, when a product has it.
    pub fn input_source(&self) -> Option<usize> {
        self.sources
            .iter()
            .position(|s| s.kind == SourceKind::Input)
    }

    /// Whether the cell looks at its input x at all, in a product or elementwise.
    pub fn reads_input(&self) -> bool {
        self.raw_input || self.input_source().is_some()
    }

    /// Learned numbers of a layer of this cell with input width `d` and hidden size `h`.
    pub fn parameters(&self, d: usize, h: usize) -> usize {
        let products: usize = self
            .sources
            .iter()
            .map(|s| {
                let rows = if s.kind == SourceKind::Input { d } else { h };
                rows * s.gates.len() * h
            })
            .sum();
        // Keys of additive scores have a product and a bias, and the scores a vector.
        let additive = self
            .attentions
            .iter()
            .filter(|a| a.scores == ScoreKind::Additive)
            .count();
        products + self.vectors.len() * h + additive * (h * h + 2 * h)
    }
}
