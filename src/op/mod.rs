//! The primitive operations, one file each: what they compute, their plain CPU code, their cost.
//!
//! The plain code is the reference that the executors are compared with; it is written to be read. Parameters'
//! gradients are either written or, with `accumulate`, added to; activations are always written.

pub mod abreast;
pub mod add;
pub mod carry;
pub mod column_sum;
pub mod derived;
mod double;
pub mod dropout;
pub mod gather;
mod half;
pub mod log_softmax;
pub mod loss_scale;
pub mod matmul;
mod matrices;
pub mod norm;
pub mod optimizer;
pub mod penalty;
mod plan;
pub mod propagation;
pub mod sampled_scores;
pub mod scan;
pub mod scatter;
pub mod softmax_gradient;
pub mod softmax_stats;
pub mod softmax_xent;
pub mod sparse_update;
pub mod transpose;
mod wave;
pub mod zero;

pub use abreast::Abreast;
pub use add::Add;
pub use carry::Carry;
pub use column_sum::ColumnSum;
pub use derived::{Candidates, Clusters, Derived, Filling, SparseTable, Tail};
pub use dropout::Dropout;
pub use gather::Gather;
pub use log_softmax::LogSoftmax;
pub use loss_scale::LossScale;
pub use matmul::MatMul;
pub use norm::Norm;
pub use optimizer::{Optimizer, Rule};
pub use penalty::Penalty;
pub use plan::{
    Control, Fill, Gate, Hyper, Io, Live, Matrix, Packing, Parameter, Plan, Report, Role, Slot,
    SlotId,
};
pub use propagation::Propagation;
pub use sampled_scores::SampledScores;
pub use scan::{Direction, Scan};
pub use scatter::Scatter;
pub use softmax_gradient::SoftmaxGradient;
pub use softmax_stats::SoftmaxStats;
pub use softmax_xent::SoftmaxXent;
pub use sparse_update::SparseUpdate;
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

macro_rules! ops {
    ($($variant:ident: $doc:literal),+ $(,)?) => {
        /// One operation of a plan.
        #[derive(Clone, Debug)]
        pub enum Op { $(#[doc = $doc] $variant($variant)),+ }

        impl Op {
            /// Its kind: the name of its file here and of its shader.
            pub fn kind(&self) -> &'static str {
                match self { $(Op::$variant(_) => $variant::KIND),+ }
            }

            /// Its own name in the plan, such as `forward.l0`.
            pub fn name(&self) -> &str {
                match self { $(Op::$variant(op) => &op.name),+ }
            }

            /// What it reads, the counts of its rows included.
            pub fn reads(&self) -> Vec<Matrix> {
                let mut reads = match self { $(Op::$variant(op) => op.reads()),+ };
                let writes = self.writes();
                let live = reads.iter().chain(&writes).filter_map(|m| m.live);
                let counts: Vec<Matrix> = live.map(|l| gather::words(l.slot, l.word + 1)).collect();
                reads.extend(counts);
                reads
            }

            /// What it writes (and, where it adds to it, reads).
            pub fn writes(&self) -> Vec<Matrix> {
                match self { $(Op::$variant(op) => op.writes()),+ }
            }

            /// What it costs.
            pub fn cost(&self) -> Cost {
                match self { $(Op::$variant(op) => op.cost()),+ }
            }

            /// What each of its kernels costs, all calls together and in the order in which an executor makes them:
            /// a scan's stages, a norm's parts, else the operation as a whole.
            pub fn costs(&self) -> Vec<Cost> {
                match self {
                    Op::Scan(op) => op.costs(),
                    Op::Abreast(op) => op.costs(),
                    Op::Norm(op) => op.costs(),
                    op => vec![op.cost()],
                }
            }

            /// Whether its shapes fit together.
            pub fn check(&self) -> Result<(), String> {
                match self { $(Op::$variant(op) => op.check()),+ }
            }

            /// Its sizes in words, for tables.
            pub fn shape(&self) -> String {
                match self { $(Op::$variant(op) => op.shape()),+ }
            }
        }
    };
}

impl Op {
    /// The operation with each of its matrices whose rows may be counted replaced by what `f` makes of it; `None` where
    /// no matrix has counted rows.
    pub fn counted(&self, f: impl Fn(Matrix) -> Matrix) -> Option<Op> {
        let mut op = self.clone();
        let matrices: Vec<&mut Matrix> = match &mut op {
            Op::Add(op) => vec![&mut op.from, &mut op.to],
            Op::Gather(op) => vec![&mut op.out],
            Op::MatMul(op) => vec![&mut op.a, &mut op.b, &mut op.c],
            Op::Dropout(op) => vec![&mut op.from, &mut op.to],
            Op::SoftmaxXent(op) => vec![&mut op.logits],
            Op::SoftmaxStats(op) => vec![&mut op.logits],
            Op::SoftmaxGradient(op) => vec![&mut op.logits],
            Op::SampledScores(op) => vec![&mut op.scores],
            Op::ColumnSum(op) => vec![&mut op.from],
            Op::Penalty(op) => vec![&mut op.from, &mut op.grad],
            _ => Vec::new(),
        };
        let mut any = false;
        for matrix in matrices {
            any |= matrix.live.is_some();
            *matrix = f(*matrix);
        }
        any.then_some(op)
    }
}

ops! {
    Carry: "Each state's first step: zero, or the last step of the run before.",
    Zero: "Zeroes a matrix.",
    Add: "Adds a matrix to another, or copies it.",
    Gather: "Rows of a table by token id.",
    MatMul: "A matrix product.",
    Transpose: "A transposed copy.",
    Scan: "A recurrent layer over a range of steps, forward or backward.",
    Abreast: "Recurrent layers that need nothing of one another, side by side.",
    Dropout: "Zeroes random elements and scales the rest; the same mask both ways.",
    SoftmaxXent: "Softmax, cross-entropy and its gradient in place.",
    SoftmaxStats: "Maximum, sum of exponentials and target's score of rows, over a chunk of the vocabulary.",
    SoftmaxGradient: "The gradient of softmax and cross-entropy in place, over a chunk of the vocabulary.",
    LogSoftmax: "Log probabilities of rows of scores.",
    SampledScores: "Corrects the scores of sampled candidates.",
    ColumnSum: "Sums of columns: the gradient of a bias.",
    Scatter: "Sums rows by token id: the gradient of a table.",
    Penalty: "A penalty on activations, with its gradient.",
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
    match row.rows == 1 && row.cols >= end {
        true => Ok(()),
        false => Err(format!(
            "{what}: expected a row of at least {end}, found [{}, {}]",
            row.rows, row.cols
        )),
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
