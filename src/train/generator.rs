//! Text from a model: one step at a time, each next token drawn from the scores of the last.

use std::sync::Arc;

use super::state;
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::{Dims, Mode, Spec};
use crate::op::{Plan, SlotId};
use crate::rng::{Purpose, Stream};
use crate::task::Inputs;

/// How a token is drawn from its scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Scores are divided by this; 0 takes the best one.
    pub temperature: f64,
    /// Only the best so many are drawn from; 0 for all.
    pub top_k: usize,
    /// Only the best whose probabilities sum up to this are drawn from; 1 for all.
    pub top_p: f64,
    /// The seed of the draws.
    pub seed: u64,
}

impl Default for Choice {
    fn default() -> Self {
        Choice {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            seed: 1,
        }
    }
}

/// Several texts, B side by side.
#[derive(Debug)]
pub struct Generator {
    engine: Engine,
    logits: SlotId,
    batch: usize,
    vocab: usize,
    fresh: bool,
    /// The number of the next draw.
    position: u64,
}

impl Generator {
    /// The plan of one step of `batch` rows.
    ///
    /// # Errors
    /// Sizes that do not fit together.
    pub fn plan(spec: &Spec, batch: usize) -> Result<Plan> {
        spec.plan(Dims { steps: 1, batch }, Mode::Scores)
    }

    /// A generator of the model with flat `parameters`, for a plan that [`Generator::plan`] made.
    ///
    /// # Errors
    /// A plan of something else, parameters that do not fit it; a lost device.
    pub async fn new(device: &Device, plan: Arc<Plan>, parameters: &[f32]) -> Result<Generator> {
        let mut engine = Engine::new(device, plan.clone()).await?;
        if let Some(slot) = plan.io.parameters {
            engine.write(slot, parameters).await?;
        }
        Generator::of(engine)
    }

    /// A generator of the model that `trained` trains, as it is whenever a token is read.
    ///
    /// # Errors
    /// As [`Generator::new`].
    pub async fn shared(trained: &mut Engine, plan: Arc<Plan>) -> Result<Generator> {
        Generator::of(trained.share(plan).await?)
    }

    fn of(engine: Engine) -> Result<Generator> {
        let plan = engine.plan();
        let Some(logits) = plan.io.logits else {
            return Err(Error::internal("the plan has no scores"));
        };
        let scores = plan.matrix(logits);
        Ok(Generator {
            engine,
            logits,
            batch: scores.rows,
            vocab: scores.cols,
            fresh: true,
            position: 0,
        })
    }

    /// Starts another text: zero states, draws counted from `position`.
    pub fn restart(&mut self, position: u64) {
        (self.fresh, self.position) = (true, position);
    }

    /// How many texts are made side by side, B.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Reads one token in every row `[B]`; returns the scores of the next [B, V].
    ///
    /// # Errors
    /// A wrong number of tokens or an unknown one; a lost device.
    pub async fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        self.advance(tokens).await?;
        self.scores().await
    }

    /// The scores [B, V] after the token that was read last.
    ///
    /// # Errors
    /// A lost device.
    pub async fn scores(&mut self) -> Result<Vec<f32>> {
        self.engine.outcomes(true).await?;
        self.engine.read(self.logits).await
    }

    /// How many symbols have a score, V.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// Goes on from these states [S, B, H] of each layer.
    ///
    /// # Errors
    /// States that do not fit the plan; a lost device.
    pub async fn go_on_from(&mut self, states: &[Vec<f32>]) -> Result<()> {
        let plan = self.engine.plan().clone();
        if states.len() != plan.io.states.len() {
            return Err(Error::internal(format!(
                "states: expected those of {} layers, found {}",
                plan.io.states.len(),
                states.len()
            )));
        }
        for (layout, last) in plan.io.states.iter().zip(states) {
            let all = state::at_last_step(&plan, layout, last)?;
            self.engine.write(layout.slot, &all).await?;
        }
        self.fresh = false;
        Ok(())
    }

    /// Reads one token in every row `[B]` and leaves the scores where they are.
    ///
    /// # Errors
    /// A wrong number of tokens or an unknown one; a lost device.
    pub async fn advance(&mut self, tokens: &[u32]) -> Result<()> {
        // The second row is the place of targets, which scores do not look at.
        let ids: Vec<u32> = tokens.iter().chain(tokens).copied().collect();
        let inputs = Inputs::new(&ids).reset(std::mem::take(&mut self.fresh));
        self.engine.run(&inputs).await?;
        self.engine.outcomes(false).await?;
        Ok(())
    }

    /// Draws the next token of every row `[B]` from scores [B, V].
    ///
    /// # Errors
    /// Checkpoint, when scores are not finite.
    pub fn draw(&mut self, scores: &[f32], choice: &Choice) -> Result<Vec<u32>> {
        let mut stream = Stream::new(choice.seed, Purpose::Sample, self.position);
        self.position += 1;
        let rows = scores.chunks_exact(self.vocab);
        rows.map(|row| pick(row, choice, stream.uniform()).map(|token| token as u32))
            .collect()
    }
}

/// The first score that is not finite, with its token.
fn not_finite(scores: &[f32]) -> Option<(usize, f32)> {
    let mut scores = scores.iter().copied().enumerate();
    scores.find(|(_, score)| !score.is_finite())
}

/// The token that the uniform number `u` in [0, 1) draws from `scores` as they are, but for those that are `never` drawn, or the
/// first bad score and its token.
/// Training does this thousands of times a second, so that nothing is sorted: intervals are in the order of the tokens.
pub(super) fn draw(
    scores: &[f32],
    u: f32,
    never: &[u32],
) -> std::result::Result<u32, (usize, f32)> {
    if let Some(bad) = not_finite(scores) {
        return Err(bad);
    }
    let some = || {
        let all = scores.iter().enumerate();
        all.filter(|(token, _)| !never.contains(&(*token as u32)))
    };
    let best = some().fold(f32::NEG_INFINITY, |best, (_, score)| best.max(*score));
    let weight = |score: &f32| f64::from(score - best).exp();
    let mut at = f64::from(u) * some().map(|(_, score)| weight(score)).sum::<f64>();
    let mut drawn = 0;
    for (token, score) in some() {
        let weight = weight(score);
        // Rounding may carry past the end: then it is the last token that has any weight.
        if weight > 0.0 {
            drawn = token as u32;
            at -= weight;
        }
        if at < 0.0 {
            break;
        }
    }
    Ok(drawn)
}

/// The token that the uniform number `u` in [0, 1) draws from `scores`.
pub(super) fn pick(scores: &[f32], choice: &Choice, u: f32) -> Result<usize> {
    if let Some((token, score)) = not_finite(scores) {
        return Err(Error::checkpoint(format!(
            "the model's score of token {token} is {score}, expected a finite number"
        )));
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Stable: of equal scores the smaller token comes first.
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let best = f64::from(scores[order[0]]);
    if choice.temperature == 0.0 {
        return Ok(order[0]);
    }
    if choice.top_k > 0 {
        order.truncate(choice.top_k);
    }
    let weight = |token: &usize| ((f64::from(scores[*token]) - best) / choice.temperature).exp();
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let mut kept = weights.len();
    if choice.top_p < 1.0 {
        let mut sum = 0.0;
        for (n, weight) in weights.iter().enumerate() {
            sum += weight;
            if sum >= choice.top_p * total {
                kept = n + 1;
                break;
            }
        }
    }
    let mut at = f64::from(u) * weights[..kept].iter().sum::<f64>();
    for (token, weight) in order.iter().zip(&weights[..kept]) {
        at -= weight;
        if at < 0.0 {
            return Ok(*token);
        }
    }
    Ok(order[kept - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of the scores' tokens is drawn by evenly spread numbers.
    fn shares(scores: &[f32], choice: Choice) -> Vec<f64> {
        let n = 10_000;
        let mut counts = vec![0.0; scores.len()];
        for i in 0..n {
            counts[pick(scores, &choice, i as f32 / n as f32).unwrap()] += 1.0 / n as f64;
        }
        counts
    }

    #[track_caller]
    fn near(got: &[f64], want: &[f64]) {
        // A ten-thousandth for each border between tokens.
        let near = got.iter().zip(want).all(|(g, w)| (g - w).abs() < 3e-4);
        assert!(near, "got {got:?}, want {want:?}");
    }

    #[test]
    fn shares_follow_temperature_and_cuts() {
        let ln = |x: f32| x.ln();
        let scores = [ln(0.1), ln(0.6), ln(0.3)];
        let plain = Choice::default();
        near(&shares(&scores, plain), &[0.1, 0.6, 0.3]);
        let hot = Choice {
            temperature: 0.5,
            ..plain
        };
        near(
            &shares(&scores, hot),
            &[0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46],
        );
        let best = Choice {
            temperature: 0.0,
            ..plain
        };
        near(&shares(&scores, best), &[0.0, 1.0, 0.0]);
        let two = Choice { top_k: 2, ..plain };
        near(&shares(&scores, two), &[0.0, 2.0 / 3.0, 1.0 / 3.0]);
        let most = Choice {
            top_p: 0.7,
            ..plain
        };
        near(&shares(&scores, most), &[0.0, 2.0 / 3.0, 1.0 / 3.0]);
        let first = Choice {
            top_p: 0.5,
            ..plain
        };
        near(&shares(&scores, first), &[0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_plain_draw_has_the_models_shares() {
        let scores = [0.1, 0.6, 0.0, 0.3].map(|p: f32| p.ln().max(-1e4));
        let n = 10_000;
        let mut counts = [0.0; 4];
        for i in 0..n {
            counts[draw(&scores, i as f32 / n as f32, &[]).unwrap() as usize] += 1.0 / n as f64;
        }
        near(&counts, &[0.1, 0.6, 0.0, 0.3]);
        let largest = 1.0 - f32::EPSILON / 2.0;
        for u in [0.0, largest] {
            assert_eq!(draw(&[-1e30, 3e38, -3e38], u, &[]), Ok(1));
        }
    }

    #[test]
    fn scores_that_are_not_finite_are_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert_eq!(draw(&[0.0, bad], 0.5, &[]).unwrap_err().0, 1);
            let e = pick(&[0.0, bad], &Choice::default(), 0.5).unwrap_err();
            assert!(e.message.contains("token 1"), "{e}");
        }
    }
}
