//! The primitive operations, one file each: what they compute, their plain CPU code, their cost.
//!
//! The plain code is the reference that the executors are compared with; it is written to be read. Parameters'
//! gradients are either written or, with `accumulate`, added to; activations are always written.

use std::ops::Range;

pub mod add;
pub mod attend;
pub mod batch_matmul;
pub mod carry;
pub mod categorical;
pub mod column_sum;
pub mod concurrent;
mod copies;
mod double;
pub mod dropout;
pub mod filters;
mod flat_kernel;
pub mod gather;
mod half;
pub mod log_softmax;
pub mod loss_scale;
pub mod matmul;
mod matrix;
mod merge;
pub mod norm;
mod numbers;
pub mod operand;
pub mod optimizer;
mod packing;
pub mod pair_sum;
mod parameter;
pub mod part_sum;
mod parted;
mod plan;
pub mod product_parts;
pub mod propagation;
pub mod recipes;
pub mod retina;
pub mod rows;
pub mod sampled_scores;
pub mod scan;
pub mod scatter;
mod slot;
pub mod softmax_gradient;
pub mod softmax_stats;
pub mod softmax_xent;
pub mod sparse_update;
pub mod split;
mod states;
mod step_part;
pub mod steps;
pub mod together;
pub mod transpose;
mod wavefront;
pub mod zero;

pub use add::Add;
pub use attend::Attend;
pub use batch_matmul::BatchMatMul;
pub use carry::{Carry, Parents};
pub use categorical::Categorical;
pub use column_sum::ColumnSum;
pub use concurrent::ConcurrentScans;
pub use dropout::Dropout;
pub use filters::Filters;
pub use flat_kernel::FlatKernel;
pub use gather::Gather;
pub use log_softmax::LogSoftmax;
pub use loss_scale::LossScale;
pub use matmul::MatMul;
pub use matrix::{Matrix, RowCount};
pub use norm::Norm;
pub use numbers::{Control, Hyper, Report};
pub use operand::{Access, Operand, Precision};
pub use optimizer::{Optimizer, Rule};
pub use packing::{PackedAxis, Packing};
pub use pair_sum::PairSum;
pub use parameter::{Fill, Gate, Parameter};
pub use part_sum::PartSum;
pub use plan::{Exchange, Io, Output, Plan};
pub use product_parts::ProductParts;
pub use propagation::Propagation;
pub use recipes::{
    Candidates, Clusters, FieldShape, LossRows, Reach, Recipe, Recipes, RowSource, SparseTable,
    Tail,
};
pub use retina::Retina;
pub use rows::Rows;
pub use sampled_scores::SampledScores;
pub use scan::{Direction, Scan};
pub use scatter::Scatter;
pub use slot::{Bound, Role, Slot, SlotId};
pub use softmax_gradient::SoftmaxGradient;
pub use softmax_stats::SoftmaxStats;
pub use softmax_xent::SoftmaxXent;
pub use sparse_update::SparseUpdate;
pub use split::Limits;
pub use states::StateLayout;
pub use step_part::{Part, StepPart};
pub use steps::Steps;
pub use together::Together;
pub use transpose::Transpose;
pub use zero::Zero;

/// What an operation costs at least, for rates and shares of a machine's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating point operations, a multiply-add counting as two.
    pub flops: f64,
    /// Bytes that must be read and written once, with 4-byte numbers.
    pub bytes: f64,
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), |a, b| Cost {
            flops: a.flops + b.flops,
            bytes: a.bytes + b.bytes,
        })
    }
}

/// One of the segments into which a minibatch is cut, for operations whose slots are shared by all segments.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Its number.
    pub index: usize,
    /// The position in the minibatch, in rows, of its first row.
    pub first: usize,
    /// How many segments there are.
    pub count: usize,
}

/// What one kind of operation says of itself.
pub trait Operation: Clone {
    /// The name of its file here and of its shader.
    const KIND: &'static str;

    /// Its own name in the plan, such as `forward.l0`.
    fn name(&self) -> &str;

    /// Everything that it touches.
    fn operands(&mut self) -> Vec<Operand<'_>>;

    /// What it reads, the counts of its rows and what it adds to included.
    fn reads(&self) -> Vec<Matrix> {
        operand::reads(&self.clone().operands())
    }

    /// What it writes or adds to.
    fn writes(&self) -> Vec<Matrix> {
        operand::writes(&self.clone().operands())
    }

    /// What it costs.
    fn cost(&self) -> Cost;

    /// What each of its kernels costs, all calls together and in the order in which an executor makes them: a scan's
    /// stages, a norm's parts, else the operation as a whole.
    fn costs(&self) -> Vec<Cost> {
        vec![self.cost()]
    }

    /// Whether its shapes fit together.
    ///
    /// # Errors
    /// What does not fit, with both shapes.
    fn check(&self) -> Result<(), String>;

    /// Its sizes in words, for tables.
    fn shape(&self) -> String;

    /// The longest chain of sums behind one element of its result, from which a tolerance follows; 0 where it copies.
    fn sum_length(&self) -> usize;

    /// The operations that do the same, each with matrices that kernels can be given as far as a cut can bring that about. An
    /// operation that says nothing is never cut.
    fn split(&self, _: &dyn Limits) -> Vec<Self> {
        vec![self.clone()]
    }

    /// Moves it to a segment of a minibatch.
    fn place(&mut self, segment: Segment);

    /// The same on some of its rows, where each row of the result hangs on that row alone of what has as many; else none.
    fn band(&self, _: Range<usize>) -> Option<Self> {
        None
    }

    /// The table of which each of several kernels may have some rows, and what lies beside it row by row.
    fn tables_mut(&mut self) -> Vec<&mut Matrix> {
        Vec::new()
    }

    /// Its dispatch parameters, which keep its kernels from being others for it: where its segment begins, and its first random stream.
    fn dispatch_parameters(&self) -> [usize; 2] {
        [0, 0]
    }

    /// The scans that it consists of; none for other operations.
    fn scans(&self) -> &[Scan] {
        &[]
    }
}

macro_rules! ops {
    ($($variant:ident: $doc:literal),+ $(,)?) => {
        /// One operation of a plan.
        #[derive(Clone, Debug)]
        pub enum Op { $(#[doc = $doc] $variant($variant)),+ }

        impl Op {
            /// See [`Operation::KIND`].
            pub fn kind(&self) -> &'static str {
                match self { $(Op::$variant(_) => $variant::KIND),+ }
            }

            /// See [`Operation::name`].
            pub fn name(&self) -> &str {
                match self { $(Op::$variant(op) => op.name()),+ }
            }

            /// See [`Operation::operands`].
            pub fn operands(&mut self) -> Vec<Operand<'_>> {
                match self { $(Op::$variant(op) => op.operands()),+ }
            }

            /// See [`Operation::reads`].
            pub fn reads(&self) -> Vec<Matrix> {
                match self { $(Op::$variant(op) => op.reads()),+ }
            }

            /// See [`Operation::writes`].
            pub fn writes(&self) -> Vec<Matrix> {
                match self { $(Op::$variant(op) => op.writes()),+ }
            }

            /// See [`Operation::cost`].
            pub fn cost(&self) -> Cost {
                match self { $(Op::$variant(op) => op.cost()),+ }
            }

            /// See [`Operation::costs`].
            pub fn costs(&self) -> Vec<Cost> {
                match self { $(Op::$variant(op) => op.costs()),+ }
            }

            /// See [`Operation::check`].
            ///
            /// # Errors
            /// What does not fit, with both shapes.
            pub fn check(&self) -> Result<(), String> {
                match self { $(Op::$variant(op) => op.check()),+ }
            }

            /// See [`Operation::shape`].
            pub fn shape(&self) -> String {
                match self { $(Op::$variant(op) => op.shape()),+ }
            }

            /// See [`Operation::sum_length`].
            pub fn sum_length(&self) -> usize {
                match self { $(Op::$variant(op) => op.sum_length()),+ }
            }

            /// See [`Operation::place`].
            pub fn place(&mut self, segment: Segment) {
                match self { $(Op::$variant(op) => op.place(segment)),+ }
            }

            /// See [`Operation::band`].
            pub fn band(&self, rows: Range<usize>) -> Option<Op> {
                match self { $(Op::$variant(op) => op.band(rows).map(Op::$variant)),+ }
            }

            /// See [`Operation::tables_mut`].
            pub fn tables_mut(&mut self) -> Vec<&mut Matrix> {
                match self { $(Op::$variant(op) => op.tables_mut()),+ }
            }

            /// See [`Operation::dispatch_parameters`].
            pub fn dispatch_parameters(&self) -> [usize; 2] {
                match self { $(Op::$variant(op) => op.dispatch_parameters()),+ }
            }

            /// See [`Operation::split`].
            pub fn split(&self, limits: &dyn Limits) -> Vec<Op> {
                match self { $(Op::$variant(op) => op.split(limits).into_iter().map(Op::$variant).collect()),+ }
            }

            /// See [`Operation::scans`].
            pub fn scans(&self) -> &[Scan] {
                match self { $(Op::$variant(op) => op.scans()),+ }
            }
        }
    };
}

ops! {
    Carry: "Each state's first step: zero, or the last step of the run before.",
    Zero: "Zeroes a matrix.",
    Add: "Adds a matrix to another, or copies it.",
    Gather: "Rows of a table by token id.",
    MatMul: "A matrix product.",
    ProductParts: "A matrix product whose sums are cut into parts.",
    PartSum: "Adds the parts of a product.",
    Transpose: "A transposed copy.",
    Scan: "A recurrent layer over a range of steps, forward or backward.",
    ConcurrentScans: "Recurrent layers that need nothing of one another, side by side.",
    Together: "Operations that need nothing of one another.",
    Dropout: "Zeroes random elements and scales the rest; the same mask both ways.",
    SoftmaxXent: "Softmax, cross-entropy and its gradient in place.",
    SoftmaxStats: "Maximum, sum of exponentials and target's score of rows, over a chunk of the vocabulary.",
    SoftmaxGradient: "The gradient of softmax and cross-entropy in place, over a chunk of the vocabulary.",
    LogSoftmax: "Log probabilities of rows of scores.",
    SampledScores: "Corrects the scores of sampled candidates.",
    ColumnSum: "Sums of columns: the gradient of a bias.",
    Scatter: "Sums rows by token id: the gradient of a table.",
    Steps: "Sums a sequence's own steps, or hands its row to each of them.",
    Attend: "Attention over memories, or the gradient of its scores.",
    PairSum: "Sums along the pairs of attention: gradients of queries, keys and values.",
    Categorical: "A draw by the weights of attention, or the gradient of how likely it was.",
    Rows: "A program on rows: an activation, a loss, a penalty.",
    Retina: "What an eye sees of images at places.",
    Filters: "Gaussian filters in a grid over images, or the gradient of what places them.",
    BatchMatMul: "A matrix product for each row.",
    Propagation: "The penalty on how the gradient's length changes from step to step, with its derivative.",
    Norm: "The gradient's norm and whether all is finite.",
    LossScale: "The factor of gradients in half precision.",
    Optimizer: "Clips the gradient and updates the parameters.",
    SparseUpdate: "Clips the gradient and updates the rows of a table that a minibatch used.",
}

/// Bytes of `elements` 4-byte numbers.
fn bytes(elements: usize) -> f64 {
    4.0 * elements as f64
}

/// Elements of a matrix, as its cost counts them.
fn area(m: &Matrix) -> usize {
    m.rows * m.cols
}

/// An error where a row [1, n] does not reach the position `end`.
fn covers(what: &str, end: usize, row: &Matrix) -> Result<(), String> {
    if row.rows == 1 && row.cols >= end {
        Ok(())
    } else {
        Err(format!(
            "{what}: expected a row of at least {end}, found [{}, {}]",
            row.rows, row.cols
        ))
    }
}

/// An error of shapes that should be equal.
fn same(what: &str, expected: (usize, usize), found: (usize, usize)) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!(
            "{what}: expected [{}, {}], found [{}, {}]",
            expected.0, expected.1, found.0, found.1
        ))
    }
}
