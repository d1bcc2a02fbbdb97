//! The figures of training steps: losses per token, smoothed and averaged over epochs.

use serde::{Deserialize, Serialize};

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
    /// Running mean of the loss, which starts at ln V, what a model without knowledge pays.
    pub smooth: f64,
    /// The learning rate.
    pub lr: f64,
    /// The gradient's norm before clipping.
    pub norm: f64,
    /// The sum of the penalties, which the objective has beside the loss; 0 where there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub penalty: f64,
    /// With scheduled sampling: the probability with which an input was a true token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// At an epoch's last step: the mean loss of its steps.
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
    /// How many they are.
    pub epoch_steps: u64,
}

impl Meter {
    /// The start, for a vocabulary of `vocab` symbols.
    pub fn new(vocab: usize) -> Meter {
        Meter {
            smooth: (vocab as f64).ln(),
            epoch_loss: 0.0,
            epoch_steps: 0,
        }
    }

    /// Takes the loss of the step with index `step` (from 0), of which an epoch has `per_epoch`.
    pub fn take(&mut self, step: u64, per_epoch: u64, loss: f64, lr: f64, norm: f64) -> Figures {
        self.smooth = SMOOTHING * self.smooth + (1.0 - SMOOTHING) * loss;
        self.epoch_loss += loss;
        self.epoch_steps += 1;
        let ends = (step + 1).is_multiple_of(per_epoch.max(1));
        let train = ends.then(|| self.epoch_loss / self.epoch_steps as f64);
        if ends {
            (self.epoch_loss, self.epoch_steps) = (0.0, 0);
        }
        Figures {
            step: step + 1,
            epoch: step / per_epoch.max(1),
            loss,
            smooth: self.smooth,
            lr,
            norm,
            penalty: 0.0,
            epsilon: None,
            train,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_starts_at_ln_v_and_epochs_are_averaged() {
        let mut meter = Meter::new(10);
        let figures: Vec<Figures> = [3.0, 1.0, 5.0]
            .iter()
            .enumerate()
            .map(|(step, loss)| meter.take(step as u64, 2, *loss, 0.1, 1.0))
            .collect();
        let first = 0.999 * 10f64.ln() + 0.003;
        assert!((figures[0].smooth - first).abs() < 1e-12);
        assert_eq!((figures[0].step, figures[0].epoch), (1, 0));
        assert_eq!(figures[0].train, None);
        assert_eq!(figures[1].train, Some(2.0));
        assert_eq!((figures[2].step, figures[2].epoch), (3, 1));
        assert_eq!((meter.epoch_loss, meter.epoch_steps), (5.0, 1));
    }
}
