//! The columns of a table of predicted numbers: what each loss says of them, in the units of the data.

use wgrnn::data::fields::FieldCode;
use wgrnn::model::text::{Forecast, Reading};
use wgrnn::train::examples::{Said, deviation};
use wgrnn::{Error, Result};

/// Makes a number of what a loss says, its operands without those of the data, and the step of the block.
type NumberFn<'a> = dyn Fn(&[Vec<f32>], usize) -> f64 + 'a;

/// A column of the table.
pub struct TableColumn<'a> {
    /// What its first line calls it.
    pub name: String,
    /// The loss that says it.
    pub loss: usize,
    /// Its number in a row.
    pub number: Box<NumberFn<'a>>,
}

/// The names of a field's columns as a table has them: those of the training's, or the field's with their number.
pub fn column_names(field: &str, code: &FieldCode) -> Vec<String> {
    let FieldCode::Steps { width, names, .. } = code else {
        return Vec::new();
    };
    let quoted = |name: &String| {
        if name.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.clone()
        }
    };
    match (&names[..], width) {
        ([], 1) => vec![field.to_string()],
        ([], _) => (0..*width).map(|c| format!("{field}.{c}")).collect(),
        (names, _) => names.iter().map(quoted).collect(),
    }
}

/// The columns of all losses: what comes next of each column of the field, and what more the loss says of it. `said` is what
/// was said once, which shows how wide the value of a loss of one's own is.
///
/// # Errors
/// Internal, for a field without numbers.
pub fn all<'a>(
    field: &str,
    code: &'a FieldCode,
    forecasts: &'a [Forecast],
    said: Option<&Said>,
) -> Result<Vec<TableColumn<'a>>> {
    let FieldCode::Steps { width, scale, .. } = code else {
        return Err(Error::internal("a table of what is no numbers"));
    };
    let (width, own) = (*width, column_names(field, code));
    let unit = |c: usize| {
        let scale = scale.as_ref().map(|scale| scale[c]);
        scale.map_or((0.0, 1.0), |scale| (scale.mean, scale.deviation))
    };
    let mut columns = Vec::new();
    for (loss, forecast) in forecasts.iter().enumerate() {
        let mut add = |name: String, number: Box<NumberFn<'a>>| {
            columns.push(TableColumn { name, loss, number });
        };
        // In its own units, whatever says it in those of the model.
        let value = |c: usize, of: Box<NumberFn<'a>>| -> Box<NumberFn<'a>> {
            let (mean, deviation) = unit(c);
            Box::new(move |said, step| of(said, step) * deviation + mean)
        };
        let first = |c: usize| -> Box<NumberFn<'a>> {
            value(
                c,
                Box::new(move |said, step| f64::from(said[0][step * width + c])),
            )
        };
        match forecast.reading {
            Reading::Value => (0..width).for_each(|c| add(own[c].clone(), first(c))),
            Reading::Bits => {
                for (c, name) in own.iter().enumerate() {
                    let number = move |said: &[Vec<f32>], step: usize| {
                        probability(said[0][step * width + c])
                    };
                    add(format!("{name}.probability"), Box::new(number));
                }
            }
            Reading::Quantile(q) => {
                (0..width).for_each(|c| add(format!("{}.q{q}", own[c]), first(c)));
            }
            Reading::Gaussian => {
                (0..width).for_each(|c| add(own[c].clone(), first(c)));
                for (c, name) in own.iter().enumerate() {
                    let by = unit(c).1;
                    let number = move |said: &[Vec<f32>], step: usize| {
                        deviation(said[1][step * width + c]) * by
                    };
                    add(format!("{name}.deviation"), Box::new(number));
                }
            }
            Reading::Mixture => {
                let mean = |said: &[Vec<f32>], _| mean(&said[0], |part| said[1][part].into());
                add(own[0].clone(), value(0, Box::new(mean)));
                let by = unit(0).1;
                let number = move |said: &[Vec<f32>], _| spread(said) * by;
                add(format!("{}.deviation", own[0]), Box::new(number));
            }
            Reading::Handwriting => {
                for (c, name) in own.iter().enumerate().take(2) {
                    let of =
                        move |said: &[Vec<f32>], _| mean(&said[0], |part| said[1 + c][part].into());
                    add(name.clone(), value(c, Box::new(of)));
                }
                let lift = |said: &[Vec<f32>], _| probability(said[6][0]);
                add(format!("{}.probability", own[2]), Box::new(lift));
            }
            Reading::Own => {
                let found = said.map_or(0, |said| said[loss][0].len());
                if found == forecast.steps * width {
                    (0..width).for_each(|c| add(own[c].clone(), first(c)));
                } else {
                    let line = match loss {
                        0 => "loss".to_string(),
                        n => format!("loss.{}", n + 1),
                    };
                    for n in 0..found {
                        let number = move |said: &[Vec<f32>], _| f64::from(said[0][n]);
                        add(format!("{line}.{n}"), Box::new(number));
                    }
                }
            }
        }
    }
    Ok(columns)
}

/// The probability of a bit from its score.
fn probability(score: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(score)).exp())
}

/// The mean over the parts of a mixture, which have these scores, of what each part has.
fn mean(scores: &[f32], of: impl Fn(usize) -> f64) -> f64 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = scores.iter().map(|s| f64::from(s - most).exp()).collect();
    let parts = weights.iter().enumerate().map(|(n, weight)| weight * of(n));
    parts.sum::<f64>() / weights.iter().sum::<f64>()
}

/// The deviation of a mixture: the root of its parts' variances and of what their means differ by.
fn spread(said: &[Vec<f32>]) -> f64 {
    let middle = mean(&said[0], |part| said[1][part].into());
    let square = |part: usize| {
        let away = f64::from(said[1][part]) - middle;
        deviation(said[2][part]).powi(2) + away * away
    };
    mean(&said[0], square).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrnn::data::fields::ColumnScale;

    fn numbers(reading: Reading, width: usize, said: Vec<Vec<f32>>) -> Vec<(String, f64)> {
        let scale = (0..width).map(|c| ColumnScale {
            mean: 10.0 * c as f64,
            deviation: 2.0,
        });
        let code = FieldCode::Steps {
            width,
            names: Vec::new(),
            scale: Some(scale.collect()),
        };
        let forecast = Forecast {
            field: 0,
            first: 1,
            steps: 1,
            reading,
        };
        let all = [forecast];
        let columns = all_of(&code, &all, &vec![said.clone()]);
        let of = |column: TableColumn<'_>| {
            let number = (column.number)(&said, 0);
            (column.name, number)
        };
        columns.into_iter().map(of).collect()
    }

    fn all_of<'a>(
        code: &'a FieldCode,
        forecasts: &'a [Forecast],
        said: &Said,
    ) -> Vec<TableColumn<'a>> {
        all("x", code, forecasts, Some(said)).unwrap()
    }

    #[track_caller]
    fn assert_numbers(found: &[(String, f64)], want: &[(&str, f64)]) {
        assert_eq!(found.len(), want.len(), "{found:?}");
        for ((name, x), (wanted, y)) in found.iter().zip(want) {
            assert!(name == wanted && (x - y).abs() < 1e-5, "{found:?}");
        }
    }

    /// By hand: weights 3/4 and 1/4, means 1 and -1, variances 1 and 4. The mean is 1/2; the variance 3/4 (1 + 1/4) + 1/4 (4 + 9/4)
    /// = 5/2; both in units of 2.
    #[test]
    fn a_mixture_has_the_mean_and_the_deviation_of_its_parts() {
        let scores = vec![3f32.ln() + 5.0, 5.0];
        let said = vec![scores.clone(), vec![1.0, -1.0], vec![0.0, 4f32.ln()]];
        let want = [("x", 1.0), ("x.deviation", 2.0 * 2.5f64.sqrt())];
        assert_numbers(&numbers(Reading::Mixture, 1, said), &want);
        // A pen's means are 1/2 and -1/2; its deviations and correlations do not count; the lift's score is log 3.
        let rest = vec![0.3, 0.2];
        let said = vec![
            scores,
            vec![1.0, -1.0],
            vec![-1.0, 1.0],
            rest.clone(),
            rest.clone(),
            rest,
            vec![3f32.ln()],
        ];
        let want = [("x.0", 1.0), ("x.1", 9.0), ("x.2.probability", 0.75)];
        assert_numbers(&numbers(Reading::Handwriting, 3, said), &want);
    }

    #[test]
    fn a_loss_of_ones_own_has_columns_of_the_field_or_its_own() {
        let want = [("x.0", 2.0), ("x.1", 14.0)];
        assert_numbers(&numbers(Reading::Own, 2, vec![vec![1.0, 2.0]]), &want);
        let want = [("loss.0", 1.0), ("loss.1", 2.0), ("loss.2", 3.0)];
        assert_numbers(&numbers(Reading::Own, 2, vec![vec![1.0, 2.0, 3.0]]), &want);
    }
}
