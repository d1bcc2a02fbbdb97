//! What a run draws: random numbers as functions of its key and its step.

use crate::rng::{Purpose, Stream};

/// What the draws of a run are a function of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws {
    seed: u64,
    step: u64,
}

impl Draws {
    /// From the run's random key and its step.
    pub fn new(key: [u32; 2], step: [u32; 2]) -> Draws {
        let whole = |[low, high]: [u32; 2]| u64::from(low) | u64::from(high) << 32;
        Draws {
            seed: whole(key),
            step: whole(step),
        }
    }

    /// The words of a purpose.
    pub fn stream(self, purpose: Purpose) -> Stream {
        Stream::new(self.seed, purpose, self.step)
    }

    /// The first `count` of draw `number` of a plan, from the unit Gaussian. They are made here for every executor, so that all
    /// have the same bits.
    pub fn gaussians(self, number: u32, count: usize) -> Vec<f32> {
        let mut stream = self.stream(Purpose::Draw);
        stream.seek(u64::from(number) << 40);
        (0..count).map(|_| stream.normal() as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_gaussian_and_differ_by_key_step_and_number() {
        let draws = Draws::new([1, 2], [3, 0]);
        let all = draws.gaussians(1, 20_000);
        let n = all.len() as f64;
        let mean = all.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let square = all.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n;
        // Four deviations: 1 / sqrt(n), sqrt(2 / n).
        assert!(
            mean.abs() < 0.03 && (square - 1.0).abs() < 0.04,
            "{mean} {square}"
        );
        assert_eq!(draws.gaussians(1, 7), all[..7]);
        for other in [Draws::new([9, 2], [3, 0]), Draws::new([1, 2], [4, 0])] {
            assert_ne!(other.gaussians(1, 7), all[..7]);
        }
        assert_ne!(draws.gaussians(2, 7), all[..7]);
    }
}
