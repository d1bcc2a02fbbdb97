//! Shares of right answers.

use crate::error::{Error, Result};

/// How many answers are right, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Right answers.
    pub right: u64,
    /// All answers.
    pub total: u64,
}

impl Accuracy {
    /// Counts one more answer.
    pub fn add(&mut self, right: bool) {
        self.right += u64::from(right);
        self.total += 1;
    }

    /// Of these answers.
    pub fn of(answers: impl Iterator<Item = bool>) -> Self {
        let mut all = Accuracy::default();
        answers.for_each(|right| all.add(right));
        all
    }

    /// The share that is right, from 0 to 1; none of no answers.
    pub fn share(&self) -> Option<f64> {
        (self.total > 0).then(|| self.right as f64 / self.total as f64)
    }
}

/// Refuses lists that do not belong together.
pub(super) fn check_equal(gold: usize, predicted: usize) -> Result<()> {
    if gold == predicted {
        return Ok(());
    }
    Err(Error::internal(format!(
        "expected as many predictions as right answers, {gold}, found {predicted}"
    )))
}

/// The accuracy of `predicted` classes `[N]`: of sequences, or of tokens one after another.
///
/// # Errors
/// `Kind::Internal` for lists of unequal length.
pub fn accuracy(gold: &[u32], predicted: &[u32]) -> Result<Accuracy> {
    accuracy_where(gold, predicted, |_| true)
}

/// The accuracy at the places that count, such as those of words that training has not seen.
///
/// # Errors
/// As [`accuracy`].
pub fn accuracy_where(
    gold: &[u32],
    predicted: &[u32],
    counts: impl Fn(usize) -> bool,
) -> Result<Accuracy> {
    check_equal(gold.len(), predicted.len())?;
    let places = (0..gold.len()).filter(|n| counts(*n));
    Ok(Accuracy::of(places.map(|n| gold[n] == predicted[n])))
}

/// How many sequences are right from end to end; `ends` says where each one ends in the lists.
///
/// # Errors
/// As [`accuracy`]; for ends that do not ascend to the lists' length.
pub fn sequence_accuracy(ends: &[usize], gold: &[u32], predicted: &[u32]) -> Result<Accuracy> {
    check_equal(gold.len(), predicted.len())?;
    let last = ends.last().copied().unwrap_or(0);
    if last != gold.len() || !ends.is_sorted() {
        return Err(Error::internal(format!(
            "expected ends of sequences up to {}, found others",
            gold.len()
        )));
    }
    let starts = [0].iter().chain(ends);
    let right = starts
        .zip(ends)
        .map(|(start, end)| gold[*start..*end] == predicted[*start..*end]);
    Ok(Accuracy::of(right))
}

/// How often the right class is among the first `k` of `ranked` `[N, k]`, the best first.
///
/// # Errors
/// `Kind::Internal` where it is not N times k.
pub fn top_k(gold: &[u32], ranked: &[u32], k: usize) -> Result<Accuracy> {
    check_equal(gold.len() * k, ranked.len())?;
    if k == 0 {
        return Ok(Accuracy {
            right: 0,
            total: gold.len() as u64,
        });
    }
    let rows = gold.iter().zip(ranked.chunks_exact(k));
    Ok(Accuracy::of(rows.map(|(class, best)| best.contains(class))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn shares_of_right_answers() {
        let (gold, predicted) = ([0, 1, 2, 2, 1], [0, 2, 2, 2, 1]);
        let of = |right, total| Ok(Accuracy { right, total });
        assert_eq!(accuracy(&gold, &predicted), of(4, 5));
        assert_eq!(accuracy(&gold, &predicted).unwrap().share(), Some(0.8));
        assert_eq!(accuracy_where(&gold, &predicted, |n| n < 2), of(1, 2));
        assert_eq!(sequence_accuracy(&[2, 5], &gold, &predicted), of(1, 2));
        assert_eq!(top_k(&[0, 1], &[1, 0, 2, 0], 2), of(1, 2));
        assert_eq!(accuracy(&[], &[]).unwrap().share(), None);
        for fault in [
            accuracy(&[0], &[]),
            sequence_accuracy(&[1], &[0, 0], &[0, 0]),
            sequence_accuracy(&[2, 1, 2], &[0, 0], &[0, 0]),
            top_k(&[0], &[0], 2),
        ] {
            assert_eq!(fault.unwrap_err().kind, Kind::Internal);
        }
    }
}
