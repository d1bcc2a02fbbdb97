//! Square matrices with a known spectrum: orthonormal rows, and a spectral radius of 1.

use crate::rng::Stream;

/// Iterations from which a radius is read.
const ITERATIONS: usize = 1000;

/// Makes the rows of a square matrix orthonormal, by Gram and Schmidt's process done twice for accuracy.
pub fn orthogonal(mut m: Vec<f64>, n: usize) -> Vec<f64> {
    for i in 0..n {
        for _ in 0..2 {
            for j in 0..i {
                let (before, row) = m.split_at_mut(i * n);
                let (other, row) = (&before[j * n..(j + 1) * n], &mut row[..n]);
                let dot: f64 = other.iter().zip(row.iter()).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let row = &mut m[i * n..(i + 1) * n];
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        row.iter_mut().for_each(|a| *a /= norm);
    }
    m
}

/// The spectral radius of a square matrix: the growth of |A^k v| for a random v.
///
/// Conjugate pairs make single steps oscillate, so the growth is the slope of a line through log |A^k v| over the second
/// half of the iterations, when smaller eigenvalues have died away. A matrix that takes v to zero has radius 0.
pub fn spectral_radius(m: &[f64], n: usize, stream: &mut Stream) -> f64 {
    let mut v: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
    let mut log = 0.0;
    let mut logs = Vec::with_capacity(ITERATIONS);
    for _ in 0..ITERATIONS {
        let product = |row: &[f64]| row.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>();
        let next: Vec<f64> = m.chunks_exact(n).map(product).collect();
        let norm = next.iter().map(|a| a * a).sum::<f64>().sqrt();
        if norm == 0.0 {
            return 0.0;
        }
        log += norm.ln();
        logs.push(log);
        v = next;
        v.iter_mut().for_each(|a| *a /= norm);
    }
    slope(&logs[ITERATIONS / 2..]).exp()
}

/// The slope of the line nearest to equally spaced values.
fn slope(values: &[f64]) -> f64 {
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let (mut along, mut square) = (0.0, 0.0);
    for (i, value) in values.iter().enumerate() {
        let at = i as f64 - middle;
        along += at * value;
        square += at * at;
    }
    along / square
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn stream(n: u64) -> Stream {
        Stream::new(3, Purpose::Init, n)
    }

    fn normal(n: usize, stream: &mut Stream) -> Vec<f64> {
        (0..n * n).map(|_| stream.normal()).collect()
    }

    /// Zero but for 1 by 1 and 2 by 2 blocks on the diagonal: (radius, angle), an angle of 0 for a real eigenvalue.
    fn blocks(list: &[(f64, f64)]) -> (Vec<f64>, usize) {
        let n = list.iter().map(|b| if b.1 == 0.0 { 1 } else { 2 }).sum();
        let (mut m, mut at) = (vec![0.0; n * n], 0);
        for (radius, angle) in list {
            m[at * n + at] = radius * angle.cos();
            if *angle != 0.0 {
                m[at * n + at + 1] = -radius * angle.sin();
                m[(at + 1) * n + at] = radius * angle.sin();
                m[(at + 1) * n + at + 1] = radius * angle.cos();
                at += 1;
            }
            at += 1;
        }
        (m, n)
    }

    fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
        let element = |i: usize| (0..n).map(|k| a[i / n * n + k] * b[k * n + i % n]).sum();
        (0..n * n).map(element).collect()
    }

    fn transposed(a: &[f64], n: usize) -> Vec<f64> {
        (0..n * n).map(|i| a[i % n * n + i / n]).collect()
    }

    #[track_caller]
    fn near(m: &[f64], n: usize, want: f64) {
        for seed in 0..3 {
            let got = spectral_radius(m, n, &mut stream(seed));
            assert!((got / want - 1.0).abs() <= 0.005, "got {got}, want {want}");
        }
    }

    #[test]
    fn orthogonal_rows_have_unit_length_and_no_overlap() {
        let n = 17;
        let q = orthogonal(normal(n, &mut stream(0)), n);
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = (0..n).map(|k| q[i * n + k] * q[j * n + k]).sum();
                let want = f64::from(u8::from(i == j));
                assert!((dot - want).abs() < 1e-12, "rows {i}, {j}: {dot}");
            }
        }
    }

    #[test]
    fn radius_of_one_element_permutations_and_rotations() {
        near(&[-3.0], 1, 3.0);
        // A cycle of 5 times 0.7: five eigenvalues of one magnitude.
        let n = 5;
        let cycle = |i: usize| f64::from(u8::from(i % n == (i / n + 1) % n)) * 0.7;
        let cycle: Vec<f64> = (0..n * n).map(cycle).collect();
        near(&cycle, n, 0.7);
        for angle in [0.01, 0.3, 1.0, 1.57, 3.1] {
            let (m, n) = blocks(&[(1.3, angle), (1.2, 2.0), (-1.25, 0.0)]);
            near(&m, n, 1.3);
        }
    }

    #[test]
    fn radius_of_matrices_with_a_chosen_spectrum() {
        let list = [
            (0.9, 0.2),
            (0.9, 0.0),
            (-0.895, 0.0),
            (0.88, 1.9),
            (0.3, 0.0),
        ];
        let (d, n) = blocks(&list);
        // Normal: Q D Q^T.
        let q = orthogonal(normal(n, &mut stream(8)), n);
        let m = product(&product(&q, &d, n), &transposed(&q, n), n);
        near(&m, n, 0.9);
        // Far from normal: a shear S D S^-1 stretches the ellipse that a conjugate pair walks on.
        let mut shear = vec![0.0; n * n];
        let mut back = vec![0.0; n * n];
        for i in 0..n {
            shear[i * n + i] = 1.0;
            back[i * n + i] = 1.0;
        }
        shear[1] = 7.0;
        back[1] = -7.0;
        near(&product(&product(&shear, &d, n), &back, n), n, 0.9);
    }

    #[test]
    fn nothing_grows_out_of_zero() {
        assert_eq!(
            spectral_radius(&[0.0, 1.0, 0.0, 0.0], 2, &mut stream(0)),
            0.0
        );
    }
}
