//! Scheduled sampling's schedules: how the probability of a true token as an input falls from step to step.
//!
//! Source: Bengio, Vinyals, Jaitly, Shazeer, "Scheduled sampling for sequence prediction with recurrent neural networks"
//! (2015), section 2.4.

use super::settings::{Settings, TeacherForcingName};

/// How the probability epsilon of a true token as an input depends on the training step s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TeacherForcing {
    /// epsilon = max(floor, k - slope * s).
    Linear {
        /// At the first step.
        k: f64,
        /// Its fall a step.
        slope: f64,
        /// The lowest one.
        floor: f64,
    },
    /// epsilon = k^s, k < 1.
    Exponential {
        /// The factor of a step.
        k: f64,
    },
    /// epsilon = k / (k + exp(s / k)), k >= 1.
    InverseSigmoid {
        /// How long it stays near 1: it is a half at step k ln k.
        k: f64,
    },
}

impl TeacherForcing {
    /// The schedule that checked settings ask for; none where all inputs are true.
    pub fn new(settings: &Settings) -> Option<TeacherForcing> {
        let k = |default| settings.sampling_k.unwrap_or(default);
        match settings.scheduled_sampling {
            TeacherForcingName::Off => None,
            TeacherForcingName::Linear => Some(TeacherForcing::Linear {
                k: k(1.0),
                slope: settings.sampling_slope.unwrap_or(1e-4),
                floor: settings.sampling_floor.unwrap_or(0.0),
            }),
            TeacherForcingName::Exponential => Some(TeacherForcing::Exponential { k: k(0.9999) }),
            TeacherForcingName::InverseSigmoid => {
                Some(TeacherForcing::InverseSigmoid { k: k(1000.0) })
            }
        }
    }

    /// The probability with which an input of the step after `step` steps is a true token, in [0, 1].
    pub fn epsilon(&self, step: u64) -> f64 {
        let s = step as f64;
        let epsilon = match *self {
            TeacherForcing::Linear { k, slope, floor } => (k - slope * s).max(floor),
            TeacherForcing::Exponential { k } => k.powf(s),
            TeacherForcing::InverseSigmoid { k } => k / (k + (s / k).exp()),
        };
        epsilon.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(got: f64, want: f64) {
        // A few roundings of f64; a power of many factors takes one each.
        assert!((got - want).abs() <= 1e-12 * want, "got {got}, want {want}");
    }

    #[test]
    fn schedules_have_the_papers_values() {
        let linear = TeacherForcing::Linear {
            k: 0.9,
            slope: 0.125,
            floor: 0.25,
        };
        for (step, want) in [(0, 0.9), (1, 0.775), (5, 0.275), (6, 0.25), (1 << 60, 0.25)] {
            near(linear.epsilon(step), want);
        }
        let exponential = TeacherForcing::Exponential { k: 0.75 };
        let mut product = 1.0;
        for step in 0..200 {
            near(exponential.epsilon(step), product);
            product *= 0.75;
        }
        assert_eq!(exponential.epsilon(u64::MAX), 0.0);
        let sigmoid = TeacherForcing::InverseSigmoid { k: 20.0 };
        near(sigmoid.epsilon(0), 20.0 / 21.0);
        near(sigmoid.epsilon(20), 20.0 / (20.0 + std::f64::consts::E));
        // 20 ln 20 = 59.9: from there on more inputs are the model's than true.
        assert!(sigmoid.epsilon(59) > 0.5 && sigmoid.epsilon(60) < 0.5);
        assert_eq!(sigmoid.epsilon(u64::MAX), 0.0);
    }

    #[test]
    fn settings_reach_every_schedule() {
        let of = |scheduled_sampling, sampling_k| {
            TeacherForcing::new(&Settings {
                scheduled_sampling,
                sampling_k,
                ..Settings::default()
            })
        };
        assert_eq!(of(TeacherForcingName::Off, None), None);
        let linear = |k| TeacherForcing::Linear {
            k,
            slope: 1e-4,
            floor: 0.0,
        };
        assert_eq!(of(TeacherForcingName::Linear, None), Some(linear(1.0)));
        assert_eq!(of(TeacherForcingName::Linear, Some(0.5)), Some(linear(0.5)));
        let exponential = |k| Some(TeacherForcing::Exponential { k });
        assert_eq!(
            of(TeacherForcingName::Exponential, None),
            exponential(0.9999)
        );
        assert_eq!(
            of(TeacherForcingName::Exponential, Some(0.5)),
            exponential(0.5)
        );
        let sigmoid = |k| Some(TeacherForcing::InverseSigmoid { k });
        assert_eq!(
            of(TeacherForcingName::InverseSigmoid, None),
            sigmoid(1000.0)
        );
        assert_eq!(
            of(TeacherForcingName::InverseSigmoid, Some(3.0)),
            sigmoid(3.0)
        );
        let settings = Settings {
            scheduled_sampling: TeacherForcingName::Linear,
            sampling_slope: Some(0.5),
            sampling_floor: Some(0.25),
            ..Settings::default()
        };
        let want = TeacherForcing::Linear {
            k: 1.0,
            slope: 0.5,
            floor: 0.25,
        };
        assert_eq!(TeacherForcing::new(&settings), Some(want));
    }
}
