//! The learning rate as a pure function of progress.

use serde::{Deserialize, Serialize};

use super::settings::{ScheduleName, Settings};

/// Where a run is, as far as the learning rate asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps that are done; 0 at the first step.
    pub step: u64,
    /// Epochs that are done.
    pub epoch: u64,
    /// The part of the run that is done, in [0, 1]: steps of all steps, or time of all time.
    pub fraction: f64,
    /// What evaluations have led to so far.
    pub plateau: Plateau,
}

/// A learning rate and how it changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate that everything is relative to.
    pub lr: f64,
    /// How it changes.
    pub shape: ScheduleShape,
}

/// How a learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleShape {
    /// It stays.
    Constant,
    /// Times `factor` when `after` epochs are done, and every `every` epochs from then on.
    Decay {
        /// The factor.
        factor: f64,
        /// Epochs before the first decay.
        after: u64,
        /// Epochs between decays.
        every: u64,
    },
    /// Times `gamma` every `size` steps.
    Step {
        /// Steps between changes.
        size: u64,
        /// The factor.
        gamma: f64,
    },
    /// Linear rise over `warmup` steps, then half a cosine down to `min` at the run's end.
    Cosine {
        /// Steps of the rise.
        warmup: u64,
        /// The rate at the end.
        min: f64,
    },
    /// Times what [`Plateau`] says, never below `min`.
    Plateau {
        /// The lowest rate.
        min: f64,
        /// The factor of one reduction.
        factor: f64,
        /// Evaluations without progress that are borne.
        patience: u64,
    },
}

/// What a plateau schedule remembers of the evaluations: data, to be stored with a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The lowest validation loss so far, in nats per token.
    #[serde(with = "exact")]
    pub best: Option<f64>,
    /// Evaluations since then, or since the last reduction.
    pub stale: u64,
    /// How often the rate was reduced.
    pub reductions: u32,
}

/// By how much, relative to the best, a loss must fall to count as progress: PyTorch's default.
const THRESHOLD: f64 = 1e-4;

impl Schedule {
    /// The schedule that checked settings ask for.
    pub fn new(settings: &Settings) -> Self {
        let shape = match settings.schedule {
            ScheduleName::Constant => ScheduleShape::Constant,
            ScheduleName::Decay => ScheduleShape::Decay {
                factor: settings.lr_decay,
                after: settings.decay_after,
                every: settings.decay_every,
            },
            ScheduleName::Step => ScheduleShape::Step {
                size: settings.step_size,
                gamma: settings.gamma,
            },
            ScheduleName::Cosine => ScheduleShape::Cosine {
                warmup: settings.warmup,
                min: settings.lr_min,
            },
            ScheduleName::Plateau => ScheduleShape::Plateau {
                min: settings.lr_min,
                factor: settings.plateau_factor,
                patience: settings.patience,
            },
        };
        Schedule {
            lr: settings.lr,
            shape,
        }
    }

    /// The learning rate of the step after `at.step` steps.
    pub fn lr(&self, at: &Progress) -> f64 {
        match self.shape {
            ScheduleShape::Constant => self.lr,
            ScheduleShape::Decay {
                factor,
                after,
                every,
            } => {
                let epochs = at.epoch;
                match epochs.checked_sub(after) {
                    // The end of epoch 0 is not an event.
                    Some(late) if epochs > 0 => {
                        let first = u64::from(after > 0);
                        self.lr * power(factor, late / every.max(1) + first)
                    }
                    _ => self.lr,
                }
            }
            ScheduleShape::Step { size, gamma } => self.lr * power(gamma, at.step / size.max(1)),
            ScheduleShape::Cosine { warmup, .. } if at.step < warmup => {
                self.lr * (at.step + 1) as f64 / warmup as f64
            }
            ScheduleShape::Cosine { warmup, min } => {
                // The part of the run that the warm-up took; exact where the fraction is one of steps.
                let risen = match at.step {
                    0 => 0.0,
                    step => at.fraction * warmup as f64 / step as f64,
                };
                let p = if risen < 1.0 {
                    ((at.fraction - risen) / (1.0 - risen)).clamp(0.0, 1.0)
                } else {
                    1.0
                };
                min + (self.lr - min) * 0.5 * (1.0 + (std::f64::consts::PI * p).cos())
            }
            ScheduleShape::Plateau { min, factor, .. } => {
                (self.lr * power(factor, at.plateau.reductions.into())).max(min)
            }
        }
    }

    /// What the plateau's memory becomes after an evaluation; unchanged for other schedules. A loss that is not a number
    /// is no progress.
    pub fn observe(&self, plateau: Plateau, loss: f64) -> Plateau {
        let ScheduleShape::Plateau { patience, .. } = self.shape else {
            return plateau;
        };
        let progress = match plateau.best {
            None => loss.is_finite(),
            Some(best) => loss < best - best.abs() * THRESHOLD,
        };
        if progress {
            return Plateau {
                best: Some(loss),
                stale: 0,
                ..plateau
            };
        }
        if plateau.stale < patience {
            return Plateau {
                stale: plateau.stale + 1,
                ..plateau
            };
        }
        Plateau {
            stale: 0,
            reductions: plateau.reductions.saturating_add(1),
            ..plateau
        }
    }
}

fn power(factor: f64, times: u64) -> f64 {
    factor.powf(times as f64)
}

/// A float as the shortest decimal text that gives the same bits back: JSON readers may round a number's last bit.
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        value.map(|v| v.to_string()).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|t| {
            t.parse()
                .map_err(|_| D::Error::custom(format!("expected a number, got {t}")))
        })
        .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64, steps_per_epoch: u64, fraction: f64) -> Progress {
        Progress {
            step,
            epoch: step / steps_per_epoch.max(1),
            fraction,
            plateau: Plateau::default(),
        }
    }

    fn schedule(lr: f64, shape: ScheduleShape) -> Schedule {
        Schedule { lr, shape }
    }

    #[track_caller]
    fn near(got: f64, want: f64) {
        // A few roundings of f64.
        assert!(
            (got - want).abs() <= 1e-14 * want.abs(),
            "got {got}, want {want}"
        );
    }

    #[test]
    fn char_rnn_decays_when_ten_epochs_are_done_and_then_every_epoch() {
        let s = schedule(
            2e-3,
            ScheduleShape::Decay {
                factor: 0.97,
                after: 10,
                every: 1,
            },
        );
        near(s.lr(&at(0, 423, 0.0)), 2e-3);
        near(s.lr(&at(4229, 423, 0.0)), 2e-3);
        near(s.lr(&at(4230, 423, 0.0)), 2e-3 * 0.97);
        near(s.lr(&at(4230 + 423, 423, 0.0)), 2e-3 * 0.97 * 0.97);
    }

    #[test]
    fn torch_rnn_halves_every_five_epochs() {
        let s = schedule(
            1.0,
            ScheduleShape::Decay {
                factor: 0.5,
                after: 5,
                every: 5,
            },
        );
        let rates: Vec<f64> = (0..16).map(|epoch| s.lr(&at(epoch * 7, 7, 0.0))).collect();
        assert_eq!(rates[4..6], [1.0, 0.5]);
        assert_eq!(rates[9..11], [0.5, 0.25]);
        assert_eq!(rates[14..16], [0.25, 0.125]);
    }

    #[test]
    fn a_decay_from_the_start_still_gives_the_first_epoch_the_full_rate() {
        let s = schedule(
            1.0,
            ScheduleShape::Decay {
                factor: 0.5,
                after: 0,
                every: 1,
            },
        );
        let rates: Vec<f64> = (0..3).map(|epoch| s.lr(&at(epoch * 7, 7, 0.0))).collect();
        assert_eq!(rates, [1.0, 0.5, 0.25]);
    }

    #[test]
    fn step_changes_every_size_steps() {
        let s = schedule(
            1.0,
            ScheduleShape::Step {
                size: 3,
                gamma: 0.1,
            },
        );
        near(s.lr(&at(2, 1, 0.0)), 1.0);
        near(s.lr(&at(3, 1, 0.0)), 0.1);
        near(s.lr(&at(8, 1, 0.0)), 0.01);
    }

    #[test]
    fn cosine_rises_and_falls_over_the_whole_run() {
        let s = schedule(
            1.0,
            ScheduleShape::Cosine {
                warmup: 4,
                min: 0.2,
            },
        );
        let total = 104.0;
        let rate = |step: u64| s.lr(&at(step, 10, step as f64 / total));
        near(rate(0), 0.25);
        near(rate(3), 1.0);
        near(rate(4), 1.0);
        near(rate(54), 0.6);
        near(rate(104), 0.2);
        near(rate(200), 0.2);
        for step in 4..104 {
            assert!(rate(step + 1) < rate(step));
        }
        // By time: the warm-up's 4 steps took 10% of the time, 55% is halfway through the rest.
        near(s.lr(&at(22, 10, 0.55)), 0.6);
    }

    #[test]
    fn plateau_reduces_after_patience_and_never_below_its_floor() {
        let s = schedule(
            1.0,
            ScheduleShape::Plateau {
                min: 0.2,
                factor: 0.5,
                patience: 1,
            },
        );
        let mut plateau = Plateau::default();
        let mut rates = Vec::new();
        for loss in [2.0, 1.0, 1.0, 0.99995, f64::NAN, 0.5, 0.6, 0.6, 0.6, 0.6] {
            plateau = s.observe(plateau, loss);
            rates.push(s.lr(&Progress {
                plateau,
                ..at(0, 1, 0.0)
            }));
        }
        assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]);
        assert_eq!(plateau.best, Some(0.5));
        assert_eq!(
            schedule(1.0, ScheduleShape::Constant).observe(plateau, 0.1),
            plateau
        );
    }

    #[test]
    fn a_plateau_survives_json_to_the_bit() {
        let plateau = Plateau {
            // Not every JSON reader gives this one back exactly.
            best: Some(1.234_567_890_123_456_7e-5),
            stale: 3,
            reductions: 2,
        };
        for plateau in [plateau, Plateau::default()] {
            let text = serde_json::to_string(&plateau).unwrap();
            assert_eq!(serde_json::from_str::<Plateau>(&text).unwrap(), plateau);
        }
        assert!(
            serde_json::from_str::<Plateau>(r#"{"best":"x","stale":0,"reductions":0}"#).is_err()
        );
    }

    #[test]
    fn settings_reach_every_shape() {
        let of = |schedule| {
            Schedule::new(&Settings {
                schedule,
                lr: 0.5,
                lr_min: 0.1,
                warmup: 3,
                patience: 7,
                ..Settings::default()
            })
        };
        assert_eq!(
            of(ScheduleName::Constant),
            schedule(0.5, ScheduleShape::Constant)
        );
        let shape = ScheduleShape::Decay {
            factor: 0.97,
            after: 10,
            every: 1,
        };
        assert_eq!(of(ScheduleName::Decay), schedule(0.5, shape));
        let shape = ScheduleShape::Step {
            size: 1000,
            gamma: 0.5,
        };
        assert_eq!(of(ScheduleName::Step), schedule(0.5, shape));
        let shape = ScheduleShape::Cosine {
            warmup: 3,
            min: 0.1,
        };
        assert_eq!(of(ScheduleName::Cosine), schedule(0.5, shape));
        let shape = ScheduleShape::Plateau {
            min: 0.1,
            factor: 0.5,
            patience: 7,
        };
        assert_eq!(of(ScheduleName::Plateau), schedule(0.5, shape));
    }
}
