//! What a linear model explains, and what of that each of its groups of terms does.

/// One of the rows: its terms, of which each belongs to a group, and what they are to explain.
#[derive(Clone, Debug)]
pub struct Row {
    /// The terms.
    pub terms: Vec<f64>,
    /// The number.
    pub number: f64,
}

/// Keeps sums of squares of terms that say the same solvable; far below what a share is rounded to.
const RIDGE: f64 = 1e-9;

/// By how much the share of the variance of the numbers that the terms explain falls without those of `group`, where
/// `groups` says of each term what group it is of. None where there are no more rows than terms.
pub fn share_of(rows: &[Row], groups: &[usize], group: usize) -> Option<f64> {
    let all = explained(rows, |_| true)?;
    let without = explained(rows, |term| groups[term] != group)?;
    Some(all - without)
}

/// The share of the variance that those terms explain that `taken` takes, beside a constant.
pub fn explained(rows: &[Row], taken: impl Fn(usize) -> bool) -> Option<f64> {
    let left = left(rows, taken)?;
    let mean = rows.iter().map(|row| row.number).sum::<f64>() / rows.len() as f64;
    let whole: f64 = rows.iter().map(|row| (row.number - mean).powi(2)).sum();
    let left: f64 = left.iter().map(|x| x * x).sum();
    (whole > 0.0).then(|| 1.0 - left / whole)
}

/// Of every number what those terms do not explain that `taken` takes, beside a constant.
pub fn left(rows: &[Row], taken: impl Fn(usize) -> bool) -> Option<Vec<f64>> {
    let terms = |row: &Row| -> Vec<f64> {
        let own = row.terms.iter().enumerate().filter(|(n, _)| taken(*n));
        std::iter::once(1.0).chain(own.map(|(_, x)| *x)).collect()
    };
    let rows_of_terms: Vec<Vec<f64>> = rows.iter().map(terms).collect();
    let width = rows_of_terms.first()?.len();
    if rows.len() <= width {
        return None;
    }
    // The normal equations, and on their right what is to be explained.
    let mut system = vec![vec![0.0; width + 1]; width];
    for (terms, row) in rows_of_terms.iter().zip(rows) {
        for (a, line) in terms.iter().zip(&mut system) {
            for (b, sum) in terms.iter().chain([&row.number]).zip(line) {
                *sum += a * b;
            }
        }
    }
    for (n, line) in system.iter_mut().enumerate() {
        line[n] += RIDGE * rows.len() as f64;
    }
    let solution = solved(system)?;
    let said = |terms: &Vec<f64>| -> f64 { terms.iter().zip(&solution).map(|(x, w)| x * w).sum() };
    let pairs = rows_of_terms.iter().zip(rows);
    Some(pairs.map(|(terms, row)| row.number - said(terms)).collect())
}

/// The solution of a system of equations, whose right sides stand last, by Gauss's elimination.
fn solved(mut system: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = system.len();
    for n in 0..size {
        let largest =
            (n..size).max_by(|a, b| system[*a][n].abs().total_cmp(&system[*b][n].abs()))?;
        system.swap(n, largest);
        let pivot = system[n].clone();
        if pivot[n] == 0.0 {
            return None;
        }
        for line in &mut system[n + 1..] {
            let factor = line[n] / pivot[n];
            for (x, p) in line.iter_mut().zip(&pivot).skip(n) {
                *x -= factor * p;
            }
        }
    }
    let mut solution = vec![0.0; size];
    for n in (0..size).rev() {
        let known: f64 = (n + 1..size).map(|m| system[n][m] * solution[m]).sum();
        solution[n] = (system[n][size] - known) / system[n][n];
    }
    Some(solution)
}
