//! What texts of different lengths are compared by, and how much of what they are about they have looked at.

use crate::error::{Error, Result};

/// What the sum of a text's log probabilities is divided by to give its score. Lengths count every prediction, that of the end
/// mark too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LengthPenalty {
    /// 1: the score is the log probability.
    None,
    /// n: the mean log probability of a prediction.
    #[default]
    Average,
    /// `((5 + n) / 6)^alpha` (Wu et al. 2016, "Google's neural machine translation system", equation 14).
    Wu(f64),
}

impl LengthPenalty {
    /// From `none`, `average` or `wu=ALPHA`.
    ///
    /// # Errors
    /// Usage: another text, or an alpha that is not 0 to 10.
    pub fn parse(text: &str) -> Result<LengthPenalty> {
        let alpha = |text: &str| {
            text.parse::<f64>()
                .ok()
                .filter(|a| (0.0..=10.0).contains(a))
        };
        let found = match text {
            "none" => Some(LengthPenalty::None),
            "average" => Some(LengthPenalty::Average),
            _ => text
                .strip_prefix("wu=")
                .and_then(alpha)
                .map(LengthPenalty::Wu),
        };
        found.ok_or_else(|| {
            Error::usage(format!(
                "expected none, average or wu=ALPHA with an alpha of 0 to 10, got {text}"
            ))
        })
    }

    /// What the sum over `predictions` of them is divided by.
    pub fn divisor(self, predictions: usize) -> f64 {
        let n = predictions as f64;
        match self {
            LengthPenalty::None => 1.0,
            LengthPenalty::Average => n.max(1.0),
            LengthPenalty::Wu(alpha) => ((5.0 + n) / 6.0).powf(alpha),
        }
    }

    /// What a score is, in words.
    pub fn meaning(self) -> String {
        match self {
            LengthPenalty::None => "log probability".into(),
            LengthPenalty::Average => "log probability / predictions".into(),
            LengthPenalty::Wu(alpha) => {
                format!("log probability / ((5 + predictions) / 6)^{alpha}")
            }
        }
    }
}

/// What ended texts are compared by: the log probability by the length penalty, and the coverage penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scoring {
    /// What the log probability is divided by.
    pub length: LengthPenalty,
    /// What the sum over the steps of the memory of ln min(c, 1) counts, c being the sum of a step's weights over all predictions
    /// (beta of Wu et al. 2016, equation 14); 0 for no such term.
    pub coverage: f64,
}

/// Weights beneath any f32 sum; a step that nothing looked at counts as little as this, rather than without bound.
const UNSEEN: f64 = 1e-10;

impl Scoring {
    /// The score of a text of this log probability and so many predictions, whose weights of each step sum up to `covered`.
    pub fn score(self, log_probability: f64, predictions: usize, covered: &[f64]) -> f64 {
        let own = log_probability / self.length.divisor(predictions);
        if self.coverage == 0.0 {
            return own;
        }
        let terms = covered.iter().map(|c| c.clamp(UNSEEN, 1.0).ln());
        own + self.coverage * terms.sum::<f64>()
    }

    /// What no text scores more than that goes on from a beginning of this log probability, with `most` predictions at most: the
    /// coverage is 0 or less.
    pub fn bound(self, log_probability: f64, most: usize) -> f64 {
        log_probability / self.length.divisor(most)
    }

    /// What a score is, in words.
    pub fn meaning(self) -> String {
        let length = self.length.meaning();
        match self.coverage {
            0.0 => length,
            beta => format!("{length} + {beta} x sum over the source of ln min(weights, 1)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_costs() {
        let of = |coverage| Scoring {
            length: LengthPenalty::Average,
            coverage,
        };
        let covered = [0.25, 1.0, 2.5, 0.0];
        assert_eq!(of(0.0).score(-6.0, 3, &covered), -2.0);
        let want = -2.0 + 0.5 * (0.25f64.ln() + 1e-10f64.ln());
        assert!((of(0.5).score(-6.0, 3, &covered) - want).abs() < 1e-12);
        assert!(of(0.5).score(-6.0, 3, &covered) <= of(0.5).bound(-6.0, 3));
        assert!(of(0.5).meaning().contains("+ 0.5 x"));
    }

    #[test]
    fn a_penalty_divides_by_a_power_of_the_length() {
        let of = |text: &str| LengthPenalty::parse(text).unwrap();
        assert_eq!(of("none").divisor(7), 1.0);
        assert_eq!(of("average").divisor(7), 7.0);
        assert_eq!(of("average").divisor(0), 1.0);
        // ((5 + 19) / 6)^0.5
        assert_eq!(of("wu=0.5").divisor(19), 2.0);
        assert_eq!(of("wu=0.5"), LengthPenalty::Wu(0.5));
        for bad in [
            "", "wu", "wu=", "wu=-0.1", "wu=nan", "wu=11", "mean", "None",
        ] {
            let e = LengthPenalty::parse(bad).unwrap_err();
            assert!(e.message.ends_with(&format!("got {bad}")), "{e}");
        }
    }
}
