//! Which classes are taken for which: precision, recall and F1 follow from it.

use super::accuracy::{Accuracy, check_equal};
use crate::error::{Error, Result};

/// How often each class is taken for each: counts `[K, K]`, rows are right answers, columns predictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

/// What is said of one class. Where nothing is divided by nothing it is 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// The share of its predictions that are right.
    pub precision: f64,
    /// The share of its examples that are predicted.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// Its examples among the right answers.
    pub support: u64,
    /// How often it is predicted.
    pub predicted: u64,
}

/// Right ones of so many predicted and so many examples: precision, recall and F1.
pub(super) fn scores(right: u64, predicted: u64, support: u64) -> (f64, f64, f64) {
    let share = |of: u64, all: u64| if all > 0 { of as f64 / all as f64 } else { 0.0 };
    let f1 = share(2 * right, predicted + support);
    (share(right, predicted), share(right, support), f1)
}

impl Confusion {
    /// Of `predicted` classes `[N]` below `classes`, K.
    ///
    /// # Errors
    /// `Kind::Internal` for lists of unequal length, and classes that there are not.
    pub fn of(classes: usize, gold: &[u32], predicted: &[u32]) -> Result<Self> {
        check_equal(gold.len(), predicted.len())?;
        let mut counts = vec![0u64; classes * classes];
        for (gold, predicted) in gold.iter().zip(predicted) {
            let (row, column) = (*gold as usize, *predicted as usize);
            if row >= classes || column >= classes {
                return Err(Error::internal(format!(
                    "expected classes below {classes}, found {row} and {column}"
                )));
            }
            counts[row * classes + column] += 1;
        }
        Ok(Confusion { classes, counts })
    }

    /// How often examples of class `gold` are predicted as `predicted`; 0 for classes that there are not.
    pub fn count(&self, gold: u32, predicted: u32) -> u64 {
        let (row, column) = (gold as usize, predicted as usize);
        if row < self.classes && column < self.classes {
            self.counts[row * self.classes + column]
        } else {
            0
        }
    }

    /// The share of right predictions.
    pub fn accuracy(&self) -> Accuracy {
        Accuracy {
            right: (0..self.classes as u32).map(|c| self.count(c, c)).sum(),
            total: self.counts.iter().sum(),
        }
    }

    /// What is said of one class.
    pub fn class(&self, class: u32) -> ClassScores {
        let all = || 0..self.classes as u32;
        let support = all().map(|other| self.count(class, other)).sum();
        let predicted = all().map(|other| self.count(other, class)).sum();
        let (precision, recall, f1) = scores(self.count(class, class), predicted, support);
        ClassScores {
            precision,
            recall,
            f1,
            support,
            predicted,
        }
    }

    /// The mean F1 of the classes, each counting the same. As scikit-learn does without a list of labels, classes that are
    /// neither among the right answers nor predicted do not count; those that are only one of both count with an F1 of 0.
    pub fn macro_f1(&self) -> f64 {
        let all = (0..self.classes as u32).map(|class| self.class(class));
        let met: Vec<f64> = all
            .filter(|scores| scores.support + scores.predicted > 0)
            .map(|scores| scores.f1)
            .collect();
        if met.is_empty() {
            return 0.0;
        }
        met.iter().sum::<f64>() / met.len() as f64
    }

    /// A table for people and spreadsheets: right answers down, predictions across, with the `names` of the classes and
    /// `separator` between columns. Names with a comma, a quote or a line end are quoted as in RFC 4180 where that is a comma;
    /// else tabs and line ends in them become spaces.
    pub fn table(&self, names: &[&str], separator: char) -> String {
        let name = |class: usize| {
            let name = names.get(class).copied().unwrap_or_default();
            if separator != ',' {
                return name.replace(['\t', '\n', '\r'], " ");
            }
            if name.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", name.replace('"', "\"\""))
            } else {
                name.to_string()
            }
        };
        let mut text = String::from("right \\ predicted");
        for class in 0..self.classes {
            text.push(separator);
            text.push_str(&name(class));
        }
        text.push('\n');
        for (class, row) in self.counts.chunks(self.classes.max(1)).enumerate() {
            text.push_str(&name(class));
            for count in row {
                text.push(separator);
                text.push_str(&count.to_string());
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// sklearn.metrics.precision_recall_fscore_support([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 3]), by its definitions:
    ///
    /// | class | right | predicted | support | precision | recall | F1 |
    /// |---|---|---|---|---|---|---|
    /// | 0 | 1 | 2 | 2 | 1/2 | 1/2 | 1/2 |
    /// | 1 | 1 | 2 | 1 | 1/2 | 1 | 2/3 |
    /// | 2 | 1 | 1 | 3 | 1 | 1/3 | 1/2 |
    /// | 3 | 0 | 1 | 0 | 0 | 0 | 0 |
    ///
    /// Class 4 is in neither; f1_score(average="macro") is (1/2 + 2/3 + 1/2 + 0) / 4.
    #[test]
    fn scores_are_those_of_scikit_learn() {
        let c = Confusion::of(5, &[0, 0, 1, 2, 2, 2], &[0, 1, 1, 2, 0, 3]).unwrap();
        let of = |precision, recall, f1, support, predicted| ClassScores {
            precision,
            recall,
            f1,
            support,
            predicted,
        };
        assert_eq!(c.class(0), of(0.5, 0.5, 0.5, 2, 2));
        assert_eq!(c.class(1), of(0.5, 1.0, 2.0 / 3.0, 1, 2));
        assert_eq!(c.class(2), of(1.0, 1.0 / 3.0, 0.5, 3, 1));
        assert_eq!(c.class(3), of(0.0, 0.0, 0.0, 0, 1));
        assert_eq!(c.class(4), of(0.0, 0.0, 0.0, 0, 0));
        assert!((c.macro_f1() - 5.0 / 12.0).abs() < 1e-12);
        assert_eq!(c.accuracy(), Accuracy { right: 3, total: 6 });
        assert_eq!((c.count(2, 3), c.count(3, 2), c.count(9, 0)), (1, 0, 0));
        assert_eq!(Confusion::of(2, &[], &[]).unwrap().macro_f1(), 0.0);
        assert_eq!(
            Confusion::of(2, &[2], &[0]).unwrap_err().kind,
            Kind::Internal
        );
    }

    #[test]
    fn a_table_has_right_answers_down_and_predictions_across() {
        let c = Confusion::of(2, &[0, 0, 1], &[0, 1, 1]).unwrap();
        let tsv = "right \\ predicted\ta b\tc,\"d\"\na b\t1\t1\nc,\"d\"\t0\t1\n";
        assert_eq!(c.table(&["a\tb", "c,\"d\""], '\t'), tsv);
        let csv = "right \\ predicted,a,\"c,\"\"d\"\"\"\na,1,1\n\"c,\"\"d\"\"\",0,1\n";
        assert_eq!(c.table(&["a", "c,\"d\""], ','), csv);
    }
}
