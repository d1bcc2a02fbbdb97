//! How an operation is split where its matrices are larger than a binding, or where a dispatch of it would take too long.

use super::binding_range::BindingLimits;
use super::tile::Tile;
use crate::op::dropout::Share;
use crate::op::{
    Add, Carry, ColumnSum, Dropout, Gather, MatMul, Matrix, Op, Optimizer, Plan, Zero,
};

/// The operations that do the same, each with matrices that bindings can hold as far as a cut can bring that about.
pub(super) fn split(op: &Op, plan: &Plan, fit: BindingLimits, tile: &Tile) -> Vec<Op> {
    match op {
        Op::MatMul(op) => {
            let mut all = Vec::new();
            let fits = |m: &Matrix| fit.holds(plan, m);
            products(op, &fits, tile.deepest(), fit.flops, &mut all);
            all.into_iter().map(Op::MatMul).collect()
        }
        Op::Optimizer(op) => {
            let parts = fit.parts(plan, &op.parameters, 64);
            let part = |(first, count): (usize, usize)| {
                Op::Optimizer(Optimizer {
                    parameters: op.parameters.columns(first, count),
                    gradients: op.gradients.columns(first, count),
                    arenas: { op.arenas.iter() }
                        .map(|a| a.columns(first, count))
                        .collect(),
                    ..op.clone()
                })
            };
            match parts.len() {
                0 | 1 => vec![Op::Optimizer(op.clone())],
                _ => parts.into_iter().map(part).collect(),
            }
        }
        Op::Zero(op) => match fit.parts(plan, &op.to, 64) {
            columns if op.to.rows == 1 && columns.len() > 1 => { columns.into_iter() }
                .map(|(first, count)| {
                    let to = op.to.columns(first, count);
                    Op::Zero(Zero { to, ..op.clone() })
                })
                .collect(),
            _ => banded(fit.common_bands(plan, &[op.to], 1), |first, count| {
                let to = op.to.band(first, count);
                Op::Zero(Zero { to, ..op.clone() })
            }),
        },
        Op::Add(op) => {
            let unit = op.flip.unwrap_or(1);
            banded(
                fit.common_bands(plan, &[op.from, op.to], unit),
                |first, count| {
                    // In reverse order the first rows come from the last ones.
                    let source = match op.flip {
                        Some(_) => op.from.rows - first - count,
                        None => first,
                    };
                    Op::Add(Add {
                        from: op.from.band(source, count),
                        to: op.to.band(first, count),
                        ..op.clone()
                    })
                },
            )
        }
        Op::Gather(op) => banded(fit.common_bands(plan, &[op.out], 1), |first, count| {
            Op::Gather(Gather {
                out: op.out.band(first, count),
                at: op.at + first,
                ..op.clone()
            })
        }),
        Op::Dropout(op) => {
            let unit = match op.share {
                Share::Steps { batch } => batch,
                _ => 1,
            };
            banded(
                fit.common_bands(plan, &[op.from, op.to], unit),
                |first, count| {
                    Op::Dropout(Dropout {
                        from: op.from.band(first, count),
                        to: op.to.band(first, count),
                        at: op.at + first,
                        ..op.clone()
                    })
                },
            )
        }
        Op::ColumnSum(op) => banded(fit.common_bands(plan, &[op.from], 1), |first, count| {
            Op::ColumnSum(ColumnSum {
                from: op.from.band(first, count),
                accumulate: op.accumulate || first > 0,
                ..op.clone()
            })
        }),
        Op::Carry(op) => match fit.within(plan, op.state).binding {
            binding if plan.slot(op.state).len() > binding => (0..op.states)
                .map(|state| {
                    Op::Carry(Carry {
                        first: op.first + state * (op.last + op.width),
                        states: 1,
                        start: op.start.map(|m| m.band(state, 1)),
                        ..op.clone()
                    })
                })
                .collect(),
            _ => vec![Op::Carry(op.clone())],
        },
        // A scatter and an update of rows are split by their kernels, a scan has ranges, and a norm's sums are cut anyway; the
        // rest must fit.
        Op::Scatter(_)
        | Op::SparseUpdate(_)
        | Op::Scan(_)
        | Op::ConcurrentScans(_)
        | Op::Norm(_)
        | Op::Transpose(_)
        | Op::SoftmaxXent(_)
        | Op::SoftmaxStats(_)
        | Op::SoftmaxGradient(_)
        | Op::LogSoftmax(_)
        | Op::SampledScores(_)
        | Op::Penalty(_)
        | Op::Propagation(_)
        | Op::LossScale(_) => vec![op.clone()],
    }
}

/// An operation on bands of rows, first and count of each.
fn banded(bands: Vec<(usize, usize)>, of: impl Fn(usize, usize) -> Op) -> Vec<Op> {
    let bands = bands.into_iter();
    bands.map(|(first, count)| of(first, count)).collect()
}

/// An axis of a product.
#[derive(Clone, Copy, PartialEq)]
enum SplitAxis {
    M,
    N,
    K,
}

/// Cuts a product in halves until its matrices fit and it is no longer than `flops`, or until there is nothing left to
/// cut. To be shorter, only rows and columns are cut: no sum is made in another order.
fn products(
    op: &MatMul,
    fits: &dyn Fn(&Matrix) -> bool,
    deepest: usize,
    flops: f64,
    all: &mut Vec<MatMul>,
) {
    let (m, k, n) = op.dims();
    let length = |axis: SplitAxis| match axis {
        SplitAxis::M => m,
        SplitAxis::N => n,
        SplitAxis::K => k,
    };
    // The axes along a matrix's rows and columns in memory.
    let turned =
        |turned: bool, axes: [SplitAxis; 2]| if turned { [axes[1], axes[0]] } else { axes };
    let matrices = [
        (op.a, turned(op.transpose_a, [SplitAxis::M, SplitAxis::K])),
        (op.b, turned(op.transpose_b, [SplitAxis::K, SplitAxis::N])),
        (op.c, [SplitAxis::M, SplitAxis::N]),
    ];
    let large = matrices.iter().find(|(matrix, _)| !fits(matrix));
    let cuttable = |axis: &&SplitAxis| length(**axis) > 1;
    let axis = large.and_then(|(_, axes)| axes.iter().find(cuttable));
    let deep = (k > deepest).then_some(&SplitAxis::K).filter(cuttable);
    let long = 2.0 * m as f64 * k as f64 * n as f64 > flops;
    let longer = if m > n {
        [SplitAxis::M, SplitAxis::N]
    } else {
        [SplitAxis::N, SplitAxis::M]
    };
    let even = |axis: &&SplitAxis| cuttable(axis) && length(**axis) >= 128;
    let long = long.then(|| longer.iter().find(even)).flatten();
    let axis = axis.or(deep).or(long);
    let Some(axis) = axis.copied() else {
        all.push(op.clone());
        return;
    };
    let whole = length(axis);
    let half = whole.div_ceil(2);
    let half = match whole {
        128.. => half.next_multiple_of(64),
        8.. => half.next_multiple_of(4),
        _ => half,
    };
    for (first, count) in [(0, half), (half, whole - half)] {
        products(&part(op, axis, first, count), fits, deepest, flops, all);
    }
}

/// The part of a product that a range of one axis makes.
fn part(op: &MatMul, axis: SplitAxis, first: usize, count: usize) -> MatMul {
    let rows = |m: Matrix| m.band(first, count);
    let columns = |m: Matrix| m.columns(first, count);
    let along = |m: Matrix, rows_first: bool| if rows_first { rows(m) } else { columns(m) };
    let mut part = op.clone();
    match axis {
        SplitAxis::M => {
            part.a = along(op.a, !op.transpose_a);
            part.c = rows(op.c);
        }
        SplitAxis::N => {
            part.b = along(op.b, op.transpose_b);
            part.c = columns(op.c);
            part.bias = op.bias.map(columns);
        }
        SplitAxis::K => {
            part.a = along(op.a, op.transpose_a);
            part.b = along(op.b, !op.transpose_b);
            if first > 0 {
                part.accumulate = true;
                part.bias = None;
            }
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    fn matrix(slot: usize, rows: usize, cols: usize) -> Matrix {
        Matrix {
            slot: SlotId(slot),
            offset: 0,
            rows,
            cols,
            stride: cols,
            row_count: None,
        }
    }

    /// Whole numbers: sums in any order are equal.
    fn numbers(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i * 7 % 11) as f64 - 5.0).collect()
    }

    #[test]
    fn a_product_in_parts_is_the_product() {
        let (m, k, n) = (13, 150, 21);
        for (transpose_a, transpose_b) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            for accumulate in [false, true] {
                let turned =
                    |turned: bool, rows, cols| if turned { (cols, rows) } else { (rows, cols) };
                let (a, b) = (turned(transpose_a, m, k), turned(transpose_b, k, n));
                let op = MatMul {
                    name: "product".into(),
                    a: matrix(0, a.0, a.1),
                    b: matrix(1, b.0, b.1),
                    c: matrix(2, m, n),
                    transpose_a,
                    transpose_b,
                    bias: Some(matrix(3, 1, n)),
                    accumulate,
                };
                let values = [m * k, k * n, m * n, n].map(numbers);
                let run = |op: &MatMul, c: &mut [f64]| {
                    let at = |m: Matrix| &values[m.slot.0][m.offset..];
                    op.plain(at(op.a), at(op.b), op.bias.map(at), &mut c[op.c.offset..]);
                };
                let mut want = values[2].clone();
                run(&op, &mut want);
                for most in [2000, 700, 100, 40] {
                    let mut all = Vec::new();
                    products(&op, &|m| m.end() - m.offset <= most, 64, f64::MAX, &mut all);
                    let large = all
                        .iter()
                        .find(|p| [p.a, p.b, p.c].iter().any(|m| m.end() - m.offset > most));
                    assert!(large.is_none(), "{large:?}");
                    assert!(all.iter().all(|p| p.dims().1 <= 64));
                    let mut got = values[2].clone();
                    for part in &all {
                        run(part, &mut got);
                    }
                    assert_eq!(got, want, "{transpose_a} {transpose_b} {most}");
                }
            }
        }
    }

    #[test]
    fn a_long_product_is_cut_by_rows_and_columns_alone() {
        let (m, k, n) = (300, 40, 700);
        let op = MatMul {
            name: "product".into(),
            a: matrix(0, m, k),
            b: matrix(1, k, n),
            c: matrix(2, m, n),
            transpose_a: false,
            transpose_b: false,
            bias: None,
            accumulate: false,
        };
        let cost = |(m, k, n): (usize, usize, usize)| 2.0 * (m * k * n) as f64;
        let mut all = Vec::new();
        products(&op, &|_| true, 1000, 2e6, &mut all);
        assert!(all.len() >= 8, "{} pieces", all.len());
        assert_eq!(
            all.iter().map(|p| cost(p.dims())).sum::<f64>(),
            cost((m, k, n))
        );
        for part in &all {
            assert!(part.dims().1 == k && cost(part.dims()) <= 2e6, "{part:?}");
        }
        let mut one = Vec::new();
        products(&op, &|_| true, 1000, 1e9, &mut one);
        assert_eq!(one.len(), 1);
    }
}
