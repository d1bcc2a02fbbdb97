//! The figures of training steps: losses per token, smoothed and averaged over epochs.

use serde::{Deserialize, Serialize};

use super::feed::EpochPlace;

/// The share of the smoothed loss that stays at each step, as min-char-rnn has it.
const SMOOTHING: f64 = 0.999;

/// The figures of one training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Steps that were done after this one: the first step's figures have 1.
    pub step: u64,
    /// Epochs that were done before this step.
    pub epoch: u64,
    /// Nats per token.
    pub loss: f64,
    /// Running mean of the loss, which starts at ln V, what a model without knowledge pays; where there is no V, at the first
    /// step's loss.
    pub smooth: f64,
    /// The learning rate.
    pub lr: f64,
    /// The gradient's norm before clipping; with both clips that of the gradient cut by value, which is what is scaled.
    pub norm: f64,
    /// The sum of the penalties, which the objective has beside the loss; 0 where there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub penalty: f64,
    /// With scheduled sampling: the probability with which an input was a true token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Predictions of this step.
    pub tokens: usize,
    /// At the last step of an epoch of lines: the share of padding in minibatches padded to their longest line, which is
    /// not computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding: Option<f64>,
    /// In half precision: how many updates of the run were left out so far, as their gradient was beyond f16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// At an epoch's last step: the mean loss of its predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<f64>,
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// Makes figures of losses; a part of a checkpoint, so that they go on where they stopped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meter {
    /// The smoothed loss.
    pub smooth: f64,
    /// The sum of this epoch's losses.
    pub epoch_loss: f64,
    /// How many they are, each as much as it has predictions beside the others.
    pub epoch_steps: f64,
}

impl Meter {
    /// The start, for a vocabulary of `vocab` symbols; 1 where nothing is known of the loss.
    pub fn new(vocab: usize) -> Meter {
        Meter {
            smooth: (vocab as f64).ln(),
            epoch_loss: 0.0,
            epoch_steps: 0.0,
        }
    }

    /// Takes a step: its index from 0, where that lies among the epochs, the summed loss of its predictions, how many
    /// they are beside those of other steps (`share`, 1 where all have as many), rate and norm.
    pub fn take(
        &mut self,
        step: u64,
        place: EpochPlace,
        made: StepLoss,
        lr: f64,
        norm: f64,
    ) -> Figures {
        let loss = made.loss / made.tokens as f64;
        if step == 0 && self.smooth == 0.0 {
            self.smooth = loss;
        }
        self.smooth = SMOOTHING * self.smooth + (1.0 - SMOOTHING) * loss;
        self.epoch_loss += made.share * loss;
        self.epoch_steps += made.share;
        let ends = place.ends();
        let train = ends.then(|| self.epoch_loss / self.epoch_steps);
        if ends {
            (self.epoch_loss, self.epoch_steps) = (0.0, 0.0);
        }
        Figures {
            step: step + 1,
            epoch: place.epoch,
            loss,
            smooth: self.smooth,
            lr,
            norm,
            penalty: 0.0,
            epsilon: None,
            tokens: made.tokens,
            padding: None,
            skipped: None,
            train,
        }
    }
}

/// What a step's predictions made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// The sum of their losses, in nats.
    pub loss: f64,
    /// How many they are.
    pub tokens: usize,
    /// How many that is beside other steps' number: 1 where all have as many.
    pub share: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_starts_at_ln_v_and_epochs_are_averaged() {
        let mut of_numbers = Meter::new(1);
        let place = EpochPlace {
            epoch: 0,
            index: 0,
            steps: 9,
        };
        let made = |loss| StepLoss {
            loss,
            tokens: 1,
            share: 1.0,
        };
        assert_eq!(of_numbers.take(0, place, made(4.0), 0.1, 1.0).smooth, 4.0);
        let second = of_numbers.take(1, place, made(2.0), 0.1, 1.0).smooth;
        assert!((second - 3.998).abs() < 1e-12);
        let mut meter = Meter::new(10);
        let figures: Vec<Figures> = [3.0, 1.0, 5.0]
            .iter()
            .enumerate()
            .map(|(step, loss)| {
                let step = step as u64;
                let place = EpochPlace {
                    epoch: step / 2,
                    index: step % 2,
                    steps: 2,
                };
                let made = StepLoss {
                    loss: 4.0 * loss,
                    tokens: 4,
                    share: if step == 0 { 3.0 } else { 1.0 },
                };
                meter.take(step, place, made, 0.1, 1.0)
            })
            .collect();
        let first = 0.999 * 10f64.ln() + 0.003;
        assert!((figures[0].smooth - first).abs() < 1e-12);
        assert_eq!((figures[0].step, figures[0].epoch), (1, 0));
        assert_eq!(figures[0].train, None);
        assert_eq!(figures[1].train, Some(2.5));
        assert_eq!((figures[2].step, figures[2].epoch), (3, 1));
        assert_eq!((meter.epoch_loss, meter.epoch_steps), (5.0, 1.0));
    }
}
