//! Errors of predicted numbers: squared and absolute, by step ahead and by column, in the units of the numbers or any other.

/// Sums of errors, for each of some steps ahead and each column of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors {
    /// D, columns of a step.
    width: usize,
    /// Squares [steps, D].
    squared: Vec<f64>,
    /// Absolute values [steps, D].
    absolute: Vec<f64>,
    /// How many predictions of all steps there are.
    count: u64,
}

impl Errors {
    /// None yet, of `steps` steps of `width` columns.
    pub fn new(steps: usize, width: usize) -> Errors {
        Errors {
            width,
            squared: vec![0.0; steps * width],
            absolute: vec![0.0; steps * width],
            count: 0,
        }
    }

    /// Adds a prediction of all steps, `[steps, width]`, beside what came.
    pub fn add(&mut self, predicted: &[f32], found: &[f32]) {
        let errors = predicted.iter().zip(found);
        let sums = self.squared.iter_mut().zip(&mut self.absolute);
        for ((predicted, found), (squared, absolute)) in errors.zip(sums) {
            let error = f64::from(*predicted) - f64::from(*found);
            *squared += error * error;
            *absolute += error.abs();
        }
        self.count += 1;
    }

    /// How many predictions of all steps were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many steps ahead are predicted.
    pub fn steps(&self) -> usize {
        self.squared.len().checked_div(self.width).unwrap_or(0)
    }

    fn mean(&self, sums: &[f64], scale: impl Fn(usize) -> f64, steps: &[usize]) -> Option<f64> {
        let places = steps
            .iter()
            .flat_map(|step| (0..self.width).map(move |c| (step, c)));
        let sum: f64 = places
            .map(|(step, c)| sums[step * self.width + c] * scale(c))
            .sum();
        let count = self.count as f64 * (steps.len() * self.width) as f64;
        (count > 0.0).then(|| sum / count)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.steps()).collect()
    }

    /// The mean squared error over all steps and columns, where column c is in units of which one is `unit(c)` others; none of no
    /// prediction.
    pub fn mse(&self, unit: impl Fn(usize) -> f64) -> Option<f64> {
        self.mean(&self.squared, |c| unit(c) * unit(c), &self.all())
    }

    /// The mean absolute error, likewise.
    pub fn mae(&self, unit: impl Fn(usize) -> f64) -> Option<f64> {
        self.mean(&self.absolute, unit, &self.all())
    }

    /// The mean squared error of each step ahead, over all columns.
    pub fn mse_by_step(&self) -> Vec<f64> {
        let of = |step| self.mean(&self.squared, |_| 1.0, &[step]);
        (0..self.steps()).filter_map(of).collect()
    }

    /// Mean squared and mean absolute error of a column over all steps, in units of which one is `unit` others; none of no
    /// prediction.
    pub fn of_column(&self, column: usize, unit: f64) -> Option<(f64, f64)> {
        let own = |c: usize| if c == column { self.width as f64 } else { 0.0 };
        let squared = self.mean(&self.squared, |c| own(c) * unit * unit, &self.all())?;
        let absolute = self.mean(&self.absolute, |c| own(c) * unit, &self.all())?;
        Some((squared, absolute))
    }
}

/// How well sets are predicted: true positives, false positives, false negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCounts {
    /// Predicted, and there.
    pub right: u64,
    /// Predicted, and not there.
    pub wrong: u64,
    /// Not predicted, and there.
    pub missed: u64,
}

impl SetCounts {
    /// Adds a step: bits that are predicted where their probability is above 1/2, beside those that came.
    pub fn add(
        &mut self,
        predicted: impl Iterator<Item = bool>,
        found: impl Iterator<Item = bool>,
    ) {
        for pair in predicted.zip(found) {
            match pair {
                (true, true) => self.right += 1,
                (true, false) => self.wrong += 1,
                (false, true) => self.missed += 1,
                (false, false) => {}
            }
        }
    }

    /// The accuracy of frames, TP / (TP + FP + FN), of Bay, Ehmann and Downie (2009); none where nothing is there or predicted.
    pub fn accuracy(self) -> Option<f64> {
        let all = self.right + self.wrong + self.missed;
        (all > 0).then(|| self.right as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_means_by_step_and_column() {
        let mut errors = Errors::new(2, 2);
        assert_eq!(errors.mse(|_| 1.0), None);
        errors.add(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 3.5, 4.0]);
        errors.add(&[0.0, 0.0, 0.0, 0.0], &[1.0, 0.0, 0.5, -3.0]);
        // Squares: 0, 4, .25, 0 and 1, 0, .25, 9.
        assert_eq!(errors.mse(|_| 1.0), Some(14.5 / 8.0));
        assert_eq!(
            errors.mae(|_| 1.0),
            Some((2.0 + 0.5 + 1.0 + 0.5 + 3.0) / 8.0)
        );
        assert_eq!(errors.mse_by_step(), [5.0 / 4.0, 9.5 / 4.0]);
        assert_eq!(errors.of_column(1, 10.0), Some((1300.0 / 4.0, 50.0 / 4.0)));
        let units = |c: usize| [1.0, 10.0][c];
        assert_eq!(errors.mse(units), Some((1.5 + 1300.0) / 8.0));
        assert_eq!((errors.count(), errors.steps()), (2, 2));
    }

    #[test]
    fn frames_count_what_is_there_or_predicted() {
        let mut counts = SetCounts::default();
        assert_eq!(counts.accuracy(), None);
        let bits = |text: &str| text.chars().map(|c| c == '1').collect::<Vec<bool>>();
        counts.add(bits("11000").into_iter(), bits("10010").into_iter());
        assert_eq!((counts.right, counts.wrong, counts.missed), (1, 1, 1));
        assert_eq!(counts.accuracy(), Some(1.0 / 3.0));
    }
}
