//! Every matrix of an operation, for code that moves them.

use super::scan::Hoisted;
use super::{Matrix, Op, Scan};

impl Op {
    /// Every matrix that the operation addresses. What a norm sums up is not among them: it is never moved.
    pub(crate) fn matrices_mut(&mut self) -> Vec<&mut Matrix> {
        match self {
            Op::Carry(op) => op.start.iter_mut().collect(),
            Op::Zero(op) => vec![&mut op.to],
            Op::Add(op) => vec![&mut op.from, &mut op.to],
            Op::Gather(op) => vec![&mut op.table, &mut op.out],
            Op::MatMul(op) => { [&mut op.a, &mut op.b, &mut op.c].into_iter() }
                .chain(&mut op.bias)
                .collect(),
            Op::Transpose(op) => vec![&mut op.from, &mut op.to],
            Op::Scan(op) => of_scan(op),
            Op::Abreast(op) => op.scans.iter_mut().flat_map(of_scan).collect(),
            Op::Dropout(op) => vec![&mut op.from, &mut op.to],
            Op::SoftmaxXent(op) => vec![&mut op.logits, &mut op.losses],
            Op::SoftmaxStats(op) => { [&mut op.logits, &mut op.stats].into_iter() }
                .chain(&mut op.weights)
                .chain(&mut op.losses)
                .collect(),
            Op::SoftmaxGradient(op) => { [&mut op.logits, &mut op.stats].into_iter() }
                .chain(&mut op.weights)
                .collect(),
            Op::ColumnSum(op) => vec![&mut op.from, &mut op.into],
            Op::Scatter(op) => vec![&mut op.from, &mut op.into],
            Op::Penalty(op) => vec![&mut op.from, &mut op.grad, &mut op.losses],
            Op::Propagation(op) => {
                vec![&mut op.upstream, &mut op.sent, &mut op.pull, &mut op.losses]
            }
            Op::Norm(_) | Op::LossScale(_) => Vec::new(),
            Op::LogSoftmax(op) => { [&mut op.from, &mut op.to].into_iter() }
                .chain(&mut op.add)
                .collect(),
            Op::SampledScores(op) => vec![&mut op.scores],
            Op::SparseUpdate(op) => {
                { [&mut op.update.parameters, &mut op.update.gradients].into_iter() }
                    .chain(&mut op.update.arenas)
                    .collect()
            }
            Op::Optimizer(op) => { [&mut op.parameters, &mut op.gradients].into_iter() }
                .chain(&mut op.arenas)
                .collect(),
        }
    }
}

fn of_scan(op: &mut Scan) -> Vec<&mut Matrix> {
    let kept = op.kept;
    let hoisted = match &mut op.hoisted {
        Hoisted::Nothing => None,
        // Where it lies in kept's slot it stays with it.
        Hoisted::Rows(m) => Some(m).filter(|m| Some(m.slot) != kept),
        Hoisted::Table { table, .. } => Some(table),
    };
    { hoisted.into_iter() }
        .chain(&mut op.input)
        .chain(op.weights.iter_mut().flatten())
        .chain(&mut op.vectors)
        .chain(&mut op.upstream)
        .collect()
}
