//! Draws from attention: of each row's weights one step of its memory, how likely it was, and how the scores learn of it.

use super::attend::Memory;
use super::{Cost, FlatKernel, Matrix, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// In which direction.
#[derive(Clone, Copy, Debug)]
pub enum CategoricalForm {
    /// `drawn[r]` is 1 at one step of the memory's sequence that row r looks at, and 0 at its others; `facts[r]` are the
    /// logarithm of that step's weight, and the entropy `-sum_j w_j log w_j` of all of them.
    Draw {
        /// Two draws a row from the unit Gaussian [R, 2], of which `u = exp(-(a^2 + b^2) / 2)` is uniform: the first step is
        /// taken whose weight and those before it sum to more than u. Without them the step of the largest weight.
        draws: Option<Matrix>,
    },
    /// The gradient with respect to the scores whose softmax the weights are:
    /// `scores[r, j] = log_prob[r] (drawn[r, j] - w_j) - entropy[r] w_j (log w_j + facts[r, 1])`.
    Scores {
        /// The gradient of the logarithm [R, 1].
        log_prob: Matrix,
        /// The gradient of the entropy [R, 1].
        entropy: Matrix,
        /// The gradient of the scores [R, S].
        scores: Matrix,
    },
}

/// A categorical draw by the weights of attention, or the gradient of its facts.
#[derive(Clone, Debug)]
pub struct Categorical {
    /// The name in the plan.
    pub name: String,
    /// What is made.
    pub form: CategoricalForm,
    /// What the rows look at.
    pub memory: Memory,
    /// The weights [R, S]: each row's are above 0 or 0, and sum to 1.
    pub weights: Matrix,
    /// What is drawn [R, S]; what lies beyond a sequence's steps stays as it is.
    pub drawn: Matrix,
    /// The logarithm of the weight that was drawn and the entropy of all [R, 2].
    pub facts: Matrix,
}

impl Categorical {
    /// Columns of the facts.
    pub const FACTS: usize = 2;

    /// The plain code of a row's draw: `weights` and `drawn` are as long as its sequence.
    #[inline(always)]
    pub fn plain_draw<F: Real>(
        weights: &[F],
        draws: Option<&[F]>,
        drawn: &mut [F],
        facts: &mut [F],
    ) {
        let uniform = draws.map(|d| (F::of(-0.5) * (d[0] * d[0] + d[1] * d[1])).exp());
        let (mut taken, mut best, mut sum, mut entropy) = (false, 0, F::ZERO, F::ZERO);
        for (j, w) in weights.iter().enumerate() {
            sum += *w;
            // Rounding may leave the last sum below u: then the last step with any weight is drawn.
            let (takes, last) =
                uniform.map_or((*w > weights[best], false), |u| (*w > F::ZERO, sum > u));
            if takes && !taken {
                best = j;
            }
            taken = taken || last;
            if *w > F::ZERO {
                entropy += F::ZERO - *w * w.ln();
            }
        }
        for (j, to) in drawn.iter_mut().enumerate() {
            *to = if j == best { F::ONE } else { F::ZERO };
        }
        facts[0] = weights.get(best).map_or(F::ZERO, |w| w.ln());
        facts[1] = entropy;
    }

    /// The plain code of a row of the scores' gradient, as long as its sequence.
    #[inline(always)]
    pub fn plain_scores<F: Real>(
        weights: &[F],
        drawn: &[F],
        (log_prob, entropy): (F, F),
        of_all: F,
        scores: &mut [F],
    ) {
        for ((to, w), drawn) in scores.iter_mut().zip(weights).zip(drawn) {
            *to = log_prob * (*drawn - *w);
            if *w > F::ZERO {
                *to += F::ZERO - entropy * *w * (w.ln() + of_all);
            }
        }
    }

    /// Its kernel.
    pub fn kernel(&self) -> FlatKernel {
        let mut matrices = match self.form {
            CategoricalForm::Draw { draws } => {
                let mut matrices = vec![("facts", self.facts)];
                matrices.extend(draws.map(|draws| ("draws", draws)));
                matrices
            }
            CategoricalForm::Scores {
                log_prob,
                entropy,
                scores,
            } => vec![
                ("scores", scores),
                ("likely", log_prob),
                ("entropy", entropy),
                ("facts", self.facts),
            ],
        };
        matrices.extend([("weights", self.weights), ("drawn", self.drawn)]);
        FlatKernel {
            flags: vec![
                (
                    "SCORES",
                    matches!(self.form, CategoricalForm::Scores { .. }),
                ),
                (
                    "LIKELIEST",
                    matches!(self.form, CategoricalForm::Draw { draws: None }),
                ),
            ],
            sizes: vec![
                ("STEPS", self.memory.steps),
                ("FIRST", self.memory.packed.first),
            ],
            buffers: vec![
                ("sequences", self.memory.sequences),
                ("starts", self.memory.packed.counts),
            ],
            matrices,
            rows: self.weights.rows,
        }
    }
}

impl Operation for Categorical {
    const KIND: &'static str = "categorical";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let memory = self.memory;
        let mut operands = vec![
            Operand::slot(memory.sequences, self.weights.rows),
            Operand::slot(memory.packed.counts, memory.words()),
            Operand::read(&mut self.weights).sum(),
        ];
        match &mut self.form {
            CategoricalForm::Draw { draws } => {
                operands.extend(draws.as_mut().map(Operand::read));
                // Beyond a sequence's steps nothing is written.
                operands.push(Operand::update(&mut self.drawn).sum());
                operands.push(Operand::write(&mut self.facts).sum());
            }
            CategoricalForm::Scores {
                log_prob,
                entropy,
                scores,
            } => {
                operands.push(Operand::read(&mut self.drawn).sum());
                operands.push(Operand::read(&mut self.facts).sum());
                operands.push(Operand::read(log_prob));
                operands.push(Operand::read(entropy));
                operands.push(Operand::update(scores).sum());
            }
        }
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 4.0 * area(&self.weights) as f64,
            bytes: bytes(2 * area(&self.weights) + area(&self.facts)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (rows, steps) = (self.weights.rows, self.memory.steps);
        let shape = |m: &Matrix| (m.rows, m.cols);
        same("weights", (rows, steps), shape(&self.weights))?;
        same("drawn", (rows, steps), shape(&self.drawn))?;
        same("facts", (rows, Self::FACTS), shape(&self.facts))?;
        match &self.form {
            CategoricalForm::Draw { draws: None } => Ok(()),
            CategoricalForm::Draw { draws: Some(draws) } => same("draws", (rows, 2), shape(draws)),
            CategoricalForm::Scores {
                log_prob,
                entropy,
                scores,
            } => {
                same("log_prob", (rows, 1), shape(log_prob))?;
                same("entropy", (rows, 1), shape(entropy))?;
                same("scores", (rows, steps), shape(scores))
            }
        }
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.weights.rows, self.weights.cols)
    }

    fn sum_length(&self) -> usize {
        self.memory.steps
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(weights: &[f64], draws: Option<&[f64]>) -> (Vec<f64>, [f64; 2]) {
        let (mut drawn, mut facts) = (vec![9.0; weights.len()], [0.0; 2]);
        Categorical::plain_draw(weights, draws, &mut drawn, &mut facts);
        (drawn, facts)
    }

    /// Two numbers of which exp(-(a^2 + b^2) / 2) is u.
    fn of_uniform(u: f64) -> [f64; 2] {
        [(-u.ln()).sqrt(); 2]
    }

    #[test]
    fn the_step_is_drawn_at_which_the_weights_exceed_a_uniform_number() {
        let weights = [0.25, 0.0, 0.5, 0.25];
        let entropy = 2.0 * 0.25 * 4f64.ln() + 0.5 * 2f64.ln();
        for (u, step) in [(0.2, 0), (0.26, 2), (0.74, 2), (0.76, 3), (1.0, 3)] {
            let (drawn, facts) = draw(&weights, Some(&of_uniform(u)));
            let mut want = [0.0; 4];
            want[step] = 1.0;
            assert_eq!(drawn, want, "{u}");
            assert_eq!(facts[0], weights[step].ln());
            assert!((facts[1] - entropy).abs() < 1e-15);
        }
        // What rounding leaves over goes to the last step with a weight.
        let (drawn, _) = draw(&[0.5, 0.4, 0.0], Some(&of_uniform(0.95)));
        assert_eq!(drawn, [0.0, 1.0, 0.0]);
        assert_eq!(draw(&weights, None).0, [0.0, 0.0, 1.0, 0.0]);
    }

    /// Williams 1992: over all draws, the reward less a baseline times the gradient of the logarithm comes to the gradient of
    /// the expected reward, which is enumerated here.
    #[test]
    fn over_all_draws_the_gradient_is_that_of_the_expected_reward() {
        let scores = [0.3, -1.0, 0.8, 0.1];
        let rewards = [1.0, -2.0, 0.5, 3.0];
        let baseline = 0.7;
        let weights = |scores: &[f64]| -> Vec<f64> {
            let e: Vec<f64> = scores.iter().map(|s| s.exp()).collect();
            let sum: f64 = e.iter().sum();
            e.iter().map(|e| e / sum).collect()
        };
        let expected = |scores: &[f64]| -> f64 {
            let all = weights(scores);
            all.iter().zip(rewards).map(|(w, reward)| w * reward).sum()
        };
        let w = weights(&scores);
        let count = 100_000;
        let mut mean = [0.0; 4];
        for n in 0..count {
            let u = (f64::from(n) + 0.5) / f64::from(count);
            let (drawn, facts) = draw(&w, Some(&of_uniform(u)));
            let step = drawn.iter().position(|d| *d == 1.0).expect("a draw");
            let mut gradient = [0.0; 4];
            let by = (rewards[step] - baseline, 0.0);
            Categorical::plain_scores(&w, &drawn, by, facts[1], &mut gradient);
            for (mean, g) in mean.iter_mut().zip(gradient) {
                *mean += g / f64::from(count);
            }
        }
        for (j, mean) in mean.iter().enumerate() {
            let at = |by: f64| {
                let mut moved = scores;
                moved[j] += by;
                expected(&moved)
            };
            let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
            // A share of 1 / count of the draws falls to a neighbour.
            assert!((mean - slope).abs() < 1e-4, "{j}: {mean} {slope}");
        }
    }

    #[test]
    fn the_gradient_of_the_entropy_is_its_slope() {
        let scores = [0.3, -1.0, 0.8];
        let of = |scores: &[f64]| {
            let sum: f64 = scores.iter().map(|s| s.exp()).sum();
            let w: Vec<f64> = scores.iter().map(|s| s.exp() / sum).collect();
            let facts = draw(&w, None).1;
            (w, facts)
        };
        let (w, facts) = of(&scores);
        let (drawn, _) = draw(&w, None);
        let mut gradient = [0.0; 3];
        Categorical::plain_scores(&w, &drawn, (0.0, 1.0), facts[1], &mut gradient);
        for (j, g) in gradient.iter().enumerate() {
            let at = |by: f64| {
                let mut moved = scores;
                moved[j] += by;
                of(&moved).1[1]
            };
            assert!((g - (at(1e-6) - at(-1e-6)) / 2e-6).abs() < 1e-9);
        }
    }
}
