//! Products in parts, along whichever axis helps.

use super::super::Matrix;
use super::MatMul;

/// An axis of a product.
#[derive(Clone, Copy, PartialEq)]
enum SplitAxis {
    M,
    N,
    K,
}

/// Cuts a product in halves until its matrices fit and it is no longer than `flops`, or until there is nothing left to
/// cut. To be shorter, only rows and columns are cut: no sum is made in another order.
pub(super) fn products(
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

/// The part of a product that a range of K makes.
pub(super) fn terms(op: &MatMul, first: usize, count: usize) -> MatMul {
    part(op, SplitAxis::K, first, count)
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
        Matrix::new(SlotId(slot), rows, cols)
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
        assert!(all.len() >= 8, "{} parts", all.len());
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
