//! The next step of numbers, drawn from what a loss says of it.

use crate::error::{Error, Result};
use crate::model::text::Reading;
use crate::rng::Stream;

/// Draws the numbers of the next step from the operands of its loss, which says how they are read. `temperature` below 1 keeps to
/// what is likely: it divides the scores of bits and of a mixture's parts, and multiplies variances (Ha and Eck 2018, "A neural
/// representation of sketch drawings", section 3.3); at 0 the likeliest is taken.
///
/// # Errors
/// Usage, for losses that give no probabilities.
pub fn draw(
    reading: Reading,
    said: &[Vec<f32>],
    temperature: f64,
    stream: &mut Stream,
) -> Result<Vec<f32>> {
    match (reading, said) {
        (Reading::Bits, [scores, ..]) => Ok(bits(scores, temperature, stream)),
        (Reading::Gaussian, [means, variances, ..]) => {
            let each = means.iter().zip(variances);
            let draw = |(mean, log): (&f32, &f32)| {
                let deviation = deviation(*log) * temperature.sqrt();
                (f64::from(*mean) + deviation * stream.normal()) as f32
            };
            Ok(each.map(draw).collect())
        }
        (Reading::Mixture, [scores, means, variances, ..]) => {
            let part = choose(scores, temperature, stream);
            let deviation = deviation(variances[part]) * temperature.sqrt();
            let number = f64::from(means[part]) + deviation * stream.normal();
            Ok(vec![number as f32])
        }
        (Reading::Handwriting, [a, m1, m2, s1, s2, r, e, ..]) => {
            let part = choose(a, temperature, stream);
            let of = |all: &[f32]| f64::from(all[part]);
            let spread = temperature.sqrt();
            let (z1, z2) = (stream.normal(), stream.normal());
            let rho = of(r).tanh();
            // Of two normals the second is correlated to the first.
            let x = of(m1) + of(s1).exp() * spread * z1;
            let y = of(m2) + of(s2).exp() * spread * (rho * z1 + (1.0 - rho * rho).sqrt() * z2);
            let lift = bits(e, temperature, stream);
            Ok(vec![x as f32, y as f32, lift[0]])
        }
        _ => Err(Error::usage(
            "expected a model whose loss says how probable the next step is (bernoulli, gaussian, mixture or handwriting of `next(F)`); \
             `predict` says what comes next",
        )),
    }
}

/// The deviation whose square has this logarithm, as losses say variances.
pub fn deviation(log: f32) -> f64 {
    (0.5 * f64::from(log)).exp()
}

/// Bits with these scores.
fn bits(scores: &[f32], temperature: f64, stream: &mut Stream) -> Vec<f32> {
    let bit = |score: &f32| {
        let score = f64::from(*score);
        let one = match temperature {
            0.0 => score > 0.0,
            t => f64::from(stream.uniform()) < 1.0 / (1.0 + (-score / t).exp()),
        };
        f32::from(u8::from(one))
    };
    scores.iter().map(bit).collect()
}

/// One of the parts with these scores.
fn choose(scores: &[f32], temperature: f64, stream: &mut Stream) -> usize {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let first = scores.iter().position(|score| *score == most).unwrap_or(0);
    if temperature == 0.0 {
        return first;
    }
    let weight = |score: &f32| (f64::from(score - most) / temperature).exp();
    let sum: f64 = scores.iter().map(weight).sum();
    let mut left = f64::from(stream.uniform()) * sum;
    for (n, score) in scores.iter().enumerate() {
        left -= weight(score);
        if left < 0.0 {
            return n;
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    const DRAWS: usize = 20_000;

    /// Mean and mean square of many draws' numbers, and the mean product of the first two.
    fn moments(reading: Reading, said: &[Vec<f32>], temperature: f64) -> (Vec<f64>, Vec<f64>, f64) {
        let mut stream = Stream::new(5, Purpose::Sample, 0);
        let (mut means, mut squares, mut product) = (vec![0.0; 3], vec![0.0; 3], 0.0);
        for _ in 0..DRAWS {
            let drawn = draw(reading, said, temperature, &mut stream).unwrap();
            for (n, x) in drawn.iter().enumerate() {
                means[n] += f64::from(*x);
                squares[n] += f64::from(*x).powi(2);
            }
            if let [x, y, ..] = drawn[..] {
                product += f64::from(x) * f64::from(y);
            }
        }
        // Divided at the end, so that the mean of equal numbers is exactly theirs.
        let mean = |sums: Vec<f64>| sums.iter().map(|sum| sum / DRAWS as f64).collect();
        (mean(means), mean(squares), product / DRAWS as f64)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.04
    }

    #[test]
    fn draws_have_the_moments_of_what_is_said() {
        // p = 1/4: log(1/3).
        let (means, _, _) = moments(Reading::Bits, &[vec![-1.0986, 30.0]], 1.0);
        assert!(near(means[0], 0.25) && near(means[1], 1.0), "{means:?}");
        // Deviation 1/2: the logarithm of the variance is log(1/4).
        let said = [vec![2.0], vec![-1.3863]];
        let (means, squares, _) = moments(Reading::Gaussian, &said, 1.0);
        assert!(near(means[0], 2.0) && near(squares[0], 4.25), "{squares:?}");
        // Two parts of weight 3/4 and 1/4, of means 1 and -1 and deviations 1/2 and 1.
        let said = [vec![1.0986, 0.0], vec![1.0, -1.0], vec![-1.3863, 0.0]];
        let (means, squares, _) = moments(Reading::Mixture, &said, 1.0);
        assert!(
            near(means[0], 0.5) && near(squares[0], 1.4375),
            "{squares:?}"
        );
        // The same weights; in both parts a correlation of 1/2.
        let (r, half) = (0.5f32.atanh(), 0.5f32.ln());
        let said = [
            vec![1.0986, 0.0],
            vec![1.0, -1.0],
            vec![0.0, 0.0],
            vec![half, half],
            vec![0.0, 0.0],
            vec![r, r],
            vec![0.0],
        ];
        let (means, squares, product) = moments(Reading::Handwriting, &said, 1.0);
        assert!(near(means[0], 0.5) && near(means[1], 0.0) && near(means[2], 0.5));
        assert!(
            near(squares[0], 1.25) && near(squares[1], 1.0),
            "{squares:?}"
        );
        assert!(near(product, 0.25), "{product}");
        // At 0 the likeliest part, its mean, and no lift.
        let (means, squares, _) = moments(Reading::Handwriting, &said, 0.0);
        assert_eq!((means[1], means[2], squares[1]), (0.0, 0.0, 0.0));
        assert!(near(squares[0], 1.0));
    }

    #[test]
    fn what_says_no_probability_is_refused() {
        let mut stream = Stream::new(5, Purpose::Sample, 0);
        assert!(draw(Reading::Value, &[vec![1.0]], 1.0, &mut stream).is_err());
    }
}
