//! What texts of different lengths are compared by.

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
    /// `((5 + n) / 6)^alpha` (Wu et al. 2016, "Google's neural machine translation system", equation 14, without its coverage).
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

#[cfg(test)]
mod tests {
    use super::*;

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
