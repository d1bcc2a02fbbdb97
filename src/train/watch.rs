//! Whether a run's losses are beyond belief although every number is finite.
//!
//! A guess among V symbols costs ln V nats, so that a model which pays several times that, step after step, knows less than
//! nothing. One bad step may pass, and a start that is far off may come down: most of the last steps must be above a
//! multiple of both the guess and the first loss.

use std::collections::VecDeque;

use crate::error::{Error, Kind};

/// Steps that are looked at.
const WINDOW: usize = 50;
/// Losses above this many times the guess, or the first loss where that is more, are beyond belief.
const TIMES: f64 = 3.0;
/// Looks at the losses of a run's steps.
#[derive(Debug)]
pub(super) struct Watch {
    guess: f64,
    /// The guess or the first loss, whichever is more.
    base: Option<f64>,
    /// Whether each of the last steps was beyond belief.
    above: VecDeque<bool>,
    /// The step of the newest loss, and that loss.
    last: (u64, f64),
}

impl Watch {
    /// For a model of `vocab` symbols.
    pub fn new(vocab: usize) -> Watch {
        Watch {
            // Of one symbol there is nothing to guess.
            guess: (vocab.max(2) as f64).ln(),
            base: None,
            above: VecDeque::new(),
            last: (0, 0.0),
        }
    }

    /// Takes the loss in nats per token of step `step`, counted from 1; an error where most of the last steps are beyond
    /// belief.
    ///
    /// # Errors
    /// Diverged.
    pub fn step(&mut self, step: u64, loss: f64) -> Result<(), Error> {
        let base = *self.base.get_or_insert(loss.max(self.guess));
        if self.above.len() == WINDOW {
            self.above.pop_front();
        }
        self.above.push_back(loss > TIMES * base);
        self.last = (step, loss);
        if self.above.len() == WINDOW {
            self.end()
        } else {
            Ok(())
        }
    }

    /// The end of the run: the same where there are fewer steps.
    ///
    /// # Errors
    /// Diverged.
    pub fn end(&self) -> Result<(), Error> {
        let above = self.above.iter().filter(|above| **above).count();
        if 2 * above <= self.above.len() {
            return Ok(());
        }
        let ((step, loss), steps) = (self.last, self.above.len());
        Err(self.diverged(
            step,
            &format!(
                "the loss is {loss:.4e} nats, and {above} of the last {steps} steps were as far off"
            ),
        ))
    }

    /// Takes a validation loss after `step` steps; an error where its perplexity is beyond any number.
    ///
    /// # Errors
    /// Diverged.
    pub fn validation(&self, step: u64, loss: f64) -> Result<(), Error> {
        // A model that knows its training text by heart may be far off on another, but not without measure.
        if loss.exp().is_finite() {
            Ok(())
        } else {
            Err(self.diverged(step, &format!("the validation loss is {loss:.4e} nats")))
        }
    }

    /// Where some of the last steps were beyond belief: the newest step whose weights had none of these losses.
    pub fn good_until(&self) -> Option<u64> {
        let first = self.above.iter().position(|above| *above)?;
        let back = (self.above.len() - first) as u64;
        // A loss is that of the weights before its step.
        Some(self.last.0.saturating_sub(back + 1))
    }

    fn diverged(&self, step: u64, what: &str) -> Error {
        Error::new(
            Kind::Diverged,
            format!(
                "step {step}: the run has diverged: {what}, where a guess costs {:.3}; try a lower --lr, or --clip-norm",
                self.guess
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step at which losses end a run, if any does.
    fn ends(vocab: usize, losses: impl IntoIterator<Item = f64>) -> Option<u64> {
        let mut watch = Watch::new(vocab);
        for (n, loss) in losses.into_iter().enumerate() {
            if watch.step(n as u64 + 1, loss).is_err() {
                return Some(n as u64 + 1);
            }
        }
        watch.end().err().map(|_| watch.last.0)
    }

    #[test]
    fn losses_far_above_a_guess_end_a_run() {
        let guess = 65f64.ln();
        let run = |good: usize, bad: usize| {
            let good = std::iter::repeat_n(guess, good);
            good.chain(std::iter::repeat_n(40.0, bad))
        };
        assert_eq!(ends(65, run(1, 300)), Some(50));
        // Half of the window is not most of it.
        assert_eq!(ends(65, run(100, 25)), None);
        assert_eq!(ends(65, run(100, 26)), Some(126));
        // A short run is judged at its end.
        assert_eq!(ends(65, run(1, 2)), Some(3));
        assert_eq!(ends(2, [0.7, 0.7, 9.0, 9.0, 9.0]), Some(5));
    }

    #[test]
    fn spikes_far_starts_and_hard_texts_do_not() {
        let guess = 65f64.ln();
        let spikes = (0..500).map(|n| if n % 3 == 0 { 1e4 } else { 2.0 });
        assert_eq!(ends(65, [guess].into_iter().chain(spikes)), None);
        // Large initial weights: the start is far above a guess, and comes down.
        assert_eq!(ends(65, (0..200).map(|n| 90.0 - 0.1 * f64::from(n))), None);
        assert_eq!(ends(2, std::iter::repeat_n(2.0, 200)), None);
        assert_eq!(ends(65, std::iter::repeat_n(2.9 * guess, 200)), None);
        assert_eq!(ends(65, [guess]), None);
    }

    #[test]
    fn a_validation_loss_may_be_bad_and_not_absurd() {
        let watch = Watch::new(65);
        watch.validation(7, 200.0).unwrap();
        for absurd in [800.0, f64::INFINITY, f64::NAN] {
            let error = watch.validation(7, absurd).unwrap_err();
            assert_eq!(error.kind, Kind::Diverged, "{absurd}");
        }
    }

    #[test]
    fn checkpoints_before_the_first_bad_loss_are_good() {
        let mut watch = Watch::new(65);
        for step in 1..=60 {
            watch.step(step, 4.0).unwrap();
        }
        assert_eq!(watch.good_until(), None);
        for step in 61..=85 {
            watch.step(step, 99.0).unwrap();
        }
        // The loss of step 61 is that of the weights after 60 steps.
        assert_eq!(watch.good_until(), Some(59));
    }
}
