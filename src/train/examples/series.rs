//! A long series cut by time: into a part to train on, one to validate and one to test, and these into windows.

use crate::error::{Error, Result};
use crate::model::text::Model;
use crate::train::settings::Settings;

/// Which steps of a series are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesPart {
    /// Those that are trained on.
    Train,
    /// Those after them.
    Valid,
    /// Those after both, where `split` says so.
    Test,
    /// All.
    All,
}

impl SeriesPart {
    /// The part called `name`: train, valid or test.
    ///
    /// # Errors
    /// Usage, for another name.
    pub fn parse(name: &str) -> Result<SeriesPart> {
        match name {
            "train" => Ok(SeriesPart::Train),
            "valid" => Ok(SeriesPart::Valid),
            "test" => Ok(SeriesPart::Test),
            _ => Err(Error::usage(format!(
                "--part: expected train, valid or test, got {name}"
            ))),
        }
    }
}

/// Examples that a series was cut into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// By example its first step, counted over all series, and how many it has.
    pub spans: Vec<(usize, usize)>,
    /// By example the first of its steps whose prediction is measured.
    pub measured: Vec<usize>,
}

/// How series are cut.
#[derive(Clone, Debug)]
pub struct SeriesCut {
    /// The field.
    field: String,
    /// Steps that are predicted behind each that is read.
    ahead: usize,
    /// Steps that an example reads; 0 is all before.
    context: usize,
    /// How far apart training's examples begin.
    stride: usize,
    /// Whether every step predicts, not the last one alone.
    along: bool,
    /// Whether training's examples are segments that follow one another with carried states.
    stateful: bool,
    /// Steps to train on, to validate and to test; none: the last `val` of each series are validated.
    split: Option<[usize; 3]>,
    val: f64,
}

impl SeriesCut {
    /// How `settings` say that the series of `model` are cut, of which there are `examples`; none where they are sequences that
    /// stand for themselves.
    ///
    /// # Errors
    /// Usage, for a horizon or a stride without a use; for cuts of a model that does not predict the next steps of its one field; for a `split` of several series or
    /// one that is none; for a single series of which no context is said, where only its last steps would be predicted.
    pub fn new(model: &Model, settings: &Settings, examples: usize) -> Result<Option<SeriesCut>> {
        if settings.horizon != 1 && !model.has_open_horizon() {
            return Err(Error::usage(format!(
                "horizon: expected none, as no line of model {} leaves it open (`ahead(F)`), got {}",
                model.name, settings.horizon
            )));
        }
        if settings.stride > 0 && settings.context == 0 {
            return Err(Error::usage(format!(
                "stride: expected a context beside it, which is what examples read, got {} alone",
                settings.stride
            )));
        }
        if settings.stateful {
            model.check_stateful()?;
        }
        let asked = match &settings.split {
            Some(split) => Some(format!("split {split}")),
            None if settings.context > 0 => Some(format!("context {}", settings.context)),
            None => None,
        };
        let ahead = match model.fields() {
            [_] => model.ahead(0, settings.horizon),
            _ => 0,
        };
        if ahead == 0 {
            return match asked {
                None => Ok(None),
                Some(asked) => Err(Error::usage(format!(
                    "model {}: expected no {asked}, as it is not the next steps of its one field that it predicts",
                    model.name
                ))),
            };
        }
        if asked.is_none() && examples > 1 {
            return Ok(None);
        }
        let along = model.losses().iter().any(|loss| loss.steps().is_some());
        if settings.context == 0 && !along {
            return Err(Error::usage(format!(
                "context: expected how many steps model {} reads before those that it predicts, got none",
                model.name
            )));
        }
        let split = settings.split.as_deref().map(parts).transpose()?;
        if split.is_some() && examples > 1 {
            return Err(Error::usage(format!(
                "split: expected one series, found {examples}; val holds out the last steps of each"
            )));
        }
        let stride = match settings.stride {
            0 if along && settings.context > 0 => settings.context,
            0 => 1,
            stride => stride,
        };
        Ok(Some(SeriesCut {
            field: model.fields()[0].name.clone(),
            ahead,
            context: settings.context,
            stride,
            along,
            stateful: settings.stateful,
            split,
            val: settings.val,
        }))
    }

    /// Where a part of a series of `steps` steps begins and ends.
    ///
    /// # Errors
    /// Data, for a series that is shorter than its parts.
    fn bounds(&self, part: SeriesPart, steps: usize) -> Result<(usize, usize)> {
        let [train, valid, test] = match self.split {
            Some(split) => split,
            None => {
                let valid = (self.val * steps as f64).round() as usize;
                [steps - valid, valid, 0]
            }
        };
        let all = train + valid + test;
        if all > steps && part != SeriesPart::All {
            return Err(Error::data(format!(
                "split: expected at least {all} steps, found {steps}"
            )));
        }
        Ok(match part {
            SeriesPart::Train => (0, train),
            SeriesPart::Valid => (train, train + valid),
            SeriesPart::Test => (train + valid, all),
            SeriesPart::All => (0, steps),
        })
    }

    /// The steps that are trained on, of series of `lengths` steps: spans as [`Windows`] has them.
    ///
    /// # Errors
    /// Data, for a series that is shorter than its parts.
    pub fn training(&self, lengths: &[usize]) -> Result<Vec<(usize, usize)>> {
        let mut spans = Vec::new();
        let mut start = 0;
        for steps in lengths {
            let (first, end) = self.bounds(SeriesPart::Train, *steps)?;
            spans.push((start + first, end - first));
            start += steps;
        }
        Ok(spans)
    }

    /// The examples that predict the steps of a part of series of `lengths` steps. To train, examples are `stride` apart; to
    /// measure, every step counts once, and where every step predicts, with all that came before it.
    ///
    /// # Errors
    /// Data, where no example has room, with the numbers; Usage, for several series that are to be trained on as one stream.
    pub fn windows(&self, part: SeriesPart, lengths: &[usize], train: bool) -> Result<Windows> {
        if self.stateful && train && lengths.len() > 1 {
            return Err(Error::usage(format!(
                "stateful: expected one series to train on, found {}",
                lengths.len()
            )));
        }
        let mut windows = Windows::default();
        let mut start = 0;
        for steps in lengths {
            let (first, end) = self.bounds(part, *steps)?;
            let room = self.context.max(1) + self.ahead;
            if self.along && (!train || self.context == 0) {
                let begin = if train { first } else { 0 };
                if end > first && end - begin > self.ahead {
                    windows.spans.push((start + begin, end - begin));
                    windows.measured.push(first - begin);
                }
            } else if end >= room {
                // The first step that the first example predicts.
                let mut next = (self.context).max(if self.along { 0 } else { first });
                let stride = if train { self.stride } else { 1 };
                while next + self.ahead <= end {
                    windows.spans.push((start + next - self.context, room));
                    windows.measured.push(0);
                    next += stride;
                }
                // What is left over at the end is in one more that overlaps, which no carried state fits.
                if self.along && !self.stateful && next - stride + self.ahead < end {
                    windows.spans.push((start + end - room, room));
                    windows.measured.push(0);
                }
            }
            start += steps;
        }
        if windows.spans.is_empty() && part != SeriesPart::Valid {
            let most = lengths.iter().max().copied().unwrap_or(0);
            return Err(Error::data(format!(
                "field {}: expected a series of at least {} steps in this part, {} to read and {} to predict, found at most {most} in all",
                self.field,
                self.context.max(1) + self.ahead,
                self.context.max(1),
                self.ahead
            )));
        }
        Ok(windows)
    }
}

/// `8640,2880,2880`, or without the last: steps to train on, to validate and to test.
fn parts(text: &str) -> Result<[usize; 3]> {
    let parts: Option<Vec<usize>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    match parts.as_deref() {
        Some([train, valid]) if *train > 0 => Ok([*train, *valid, 0]),
        Some([train, valid, test]) if *train > 0 => Ok([*train, *valid, *test]),
        _ => Err(Error::usage(format!(
            "split: expected steps to train on, to validate and to test, such as 8640,2880,2880, got {text}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, settings: Settings) -> Result<Option<SeriesCut>> {
        let model = Model::parse("m", text).unwrap();
        SeriesCut::new(&model, &settings, 1)
    }

    const NEXT: &str = "field past: reals\nloss squared(linear(rnn(past)), next(past))\n";
    const WINDOW: &str =
        "field past: reals\nloss squared(linear(last(rnn(past))), last(ahead(past)))\n";

    #[test]
    fn parts_of_a_series_lie_one_after_another() {
        let settings = Settings {
            context: 4,
            horizon: 2,
            split: Some("10,5,5".into()),
            ..Settings::default()
        };
        let of = cut(WINDOW, settings).unwrap().unwrap();
        assert_eq!(of.training(&[25]).unwrap(), [(0, 10)]);
        let train = of.windows(SeriesPart::Train, &[25], true).unwrap();
        // The first reads steps 0 to 3 and predicts 4 and 5, the last predicts 8 and 9.
        assert_eq!(train.spans, [(0, 6), (1, 6), (2, 6), (3, 6), (4, 6)]);
        // What is predicted lies in the part, what is read may lie before it.
        let valid = of.windows(SeriesPart::Valid, &[25], false).unwrap();
        assert_eq!(valid.spans, [(6, 6), (7, 6), (8, 6), (9, 6)]);
        let test = of.windows(SeriesPart::Test, &[25], false).unwrap();
        assert_eq!(test.spans.last(), Some(&(14, 6)));
        let all = of.windows(SeriesPart::All, &[25], false).unwrap();
        assert_eq!(all.spans.last(), Some(&(19, 6)));
        let e = of.windows(SeriesPart::Test, &[19], false).unwrap_err();
        assert!(e.message.contains("at least 20 steps, found 19"), "{e}");
    }

    #[test]
    fn every_step_of_a_part_is_measured_once_with_all_before_it() {
        let settings = Settings {
            context: 4,
            val: 0.25,
            ..Settings::default()
        };
        let of = cut(NEXT, settings).unwrap().unwrap();
        let train = of.windows(SeriesPart::Train, &[16, 8], true).unwrap();
        // 12 and 6 steps to train on; what is over lies in one that overlaps.
        assert_eq!(train.spans, [(0, 5), (4, 5), (7, 5), (16, 5), (17, 5)]);
        let valid = of.windows(SeriesPart::Valid, &[16, 8], false).unwrap();
        assert_eq!(valid.spans, [(0, 16), (16, 8)]);
        assert_eq!(valid.measured, [12, 6]);
        let whole = cut(NEXT, Settings::default()).unwrap().unwrap();
        let train = whole.windows(SeriesPart::Train, &[40], true).unwrap();
        assert_eq!((train.spans, train.measured), (vec![(0, 38)], vec![0]));
    }

    #[test]
    fn cuts_that_cannot_be_are_refused() {
        let fault = |text: &str, settings: Settings| cut(text, settings).unwrap_err().message;
        let label =
            "field x: reals\nfield label: class\nloss cross_entropy(linear(last(rnn(x))), label)\n";
        let context = Settings {
            context: 3,
            ..Settings::default()
        };
        assert!(fault(label, context.clone()).contains("no context 3"));
        assert!(cut(label, Settings::default()).unwrap().is_none());
        assert!(fault(WINDOW, Settings::default()).starts_with("context: "));
        let stride = Settings {
            stride: 2,
            ..Settings::default()
        };
        assert!(fault(NEXT, stride).starts_with("stride: expected a context"));
        let horizon = Settings {
            horizon: 2,
            ..context.clone()
        };
        assert!(cut(WINDOW, horizon.clone()).is_ok());
        assert!(fault(NEXT, horizon).starts_with("horizon: expected none"));
        for split in ["8", "a,2", "0,3", "1,2,3,4", ""] {
            let settings = Settings {
                split: Some(split.into()),
                ..context.clone()
            };
            assert!(fault(WINDOW, settings).starts_with("split: "), "{split}");
        }
        let short = cut(WINDOW, context).unwrap().unwrap();
        let e = short.windows(SeriesPart::Train, &[3], true).unwrap_err();
        assert!(e.message.contains("at least 4 steps"), "{e}");
    }
}
