//! Scheduled sampling (Bengio 2015): the inputs of a training segment, some of them drawn by the model itself.
//!
//! Before the segment is trained on, the model reads it step by step, without dropout and other noise, from the states that
//! the segment starts with. Each input but the first is kept with probability epsilon, else replaced by a token drawn from
//! the scores of the step before, which itself read mixed inputs. The targets stay the true tokens. No gradient flows
//! through a draw, so that training on the inputs found here gives the paper's gradient; what differs is that a draw sees
//! the model without noise where the training step has some.

use super::generator::{self, Generator};
use crate::error::{Error, Kind, Result};
use crate::rng::{Purpose, Stream};

/// How the inputs of a training step are mixed.
#[derive(Clone, Copy, Debug)]
pub struct Mixing {
    /// The seed of choices and draws.
    pub seed: u64,
    /// The training step, which choices and draws hang on as well as on the token's place in the minibatch.
    pub step: u64,
    /// The probability with which a true token stays.
    pub epsilon: f64,
}

/// A segment to be mixed.
#[derive(Clone, Copy, Debug)]
pub struct MixedSegment<'a> {
    /// The true tokens [T+1, B].
    pub ids: &'a [u32],
    /// Each layer's states [S, B, H] before the first step; none at a sequence's start.
    pub states: Option<&'a [Vec<f32>]>,
    /// How.
    pub mixing: Mixing,
}

impl Mixing {
    /// The two numbers in [0, 1) of a position: whether its token is replaced, and by which.
    pub(super) fn numbers(&self, position: usize) -> [f32; 2] {
        let mut stream = Stream::new(self.seed, Purpose::Mix, self.step);
        stream.seek(2 * position as u64);
        [stream.uniform(), stream.uniform()]
    }
}

/// Mixes segments of B rows, on any device. Each step that needs a draw waits for its scores.
#[derive(Debug)]
pub struct Mixer {
    generator: Generator,
}

impl Mixer {
    /// A mixer that reads with `generator`, which makes B texts side by side.
    pub fn new(generator: Generator) -> Mixer {
        Mixer { generator }
    }

    /// The segment's tokens [T+1, B] with the inputs that the model replaces. The last row, which is no input, stays.
    ///
    /// # Errors
    /// Internal for sizes that do not fit the plan; Diverged where scores are not finite; a lost device.
    pub async fn mix(&mut self, segment: &MixedSegment<'_>) -> Result<Vec<u32>> {
        let batch = self.generator.batch();
        let mut mixed = segment.ids.to_vec();
        if !mixed.len().is_multiple_of(batch) || mixed.len() < 2 * batch {
            return Err(Error::internal(format!(
                "ids: expected whole rows of {batch}, two or more, found {} elements",
                mixed.len()
            )));
        }
        let inputs = batch..mixed.len() - batch;
        let mixing = &segment.mixing;
        let replaced = |p: &usize| f64::from(mixing.numbers(*p)[0]) >= mixing.epsilon;
        let places: Vec<usize> = inputs.filter(replaced).collect();
        // Nothing after the last replaced input hangs on the model.
        let Some(last) = places.last().map(|p| p / batch) else {
            return Ok(mixed);
        };
        self.generator.restart(0);
        if let Some(states) = segment.states {
            self.generator.go_on_from(states).await?;
        }
        for step in 0..last {
            let first = step * batch;
            self.generator.advance(&mixed[first..first + batch]).await?;
            let next = first + batch..first + 2 * batch;
            let mut here = places.iter().filter(|p| next.contains(p)).peekable();
            if here.peek().is_none() {
                continue;
            }
            let scores = self.generator.scores().await?;
            for place in here {
                let row = place % batch;
                let vocab = self.generator.vocab();
                let [_, u] = mixing.numbers(*place);
                let drawn = generator::draw(&scores[row * vocab..(row + 1) * vocab], u, &[]);
                mixed[*place] = drawn.map_err(|bad| diverged(mixing.step, step, row, bad))?;
            }
        }
        Ok(mixed)
    }
}

/// The error of a draw in step `number` of training from a score that is not finite.
pub(super) fn diverged(
    number: u64,
    step: usize,
    row: usize,
    (token, score): (usize, f32),
) -> Error {
    Error::new(
        Kind::Diverged,
        format!(
            "step {}: scheduled sampling: the model's score of token {token} at position {step}, row {row}, is {score}, \
             expected a finite number; try a lower --lr or --clip-norm",
            number + 1
        ),
    )
}
