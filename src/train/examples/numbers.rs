//! Predicted numbers beside what came, and beside what repeating an earlier step would say.

use super::ExampleSet;
use crate::metrics::{Errors, SetCounts};
use crate::model::text::{Forecast, Reading};
use crate::op::{FieldShape, Plan};
use crate::task::Column;

/// How far off the predictions of a loss are, in the numbers that the model reads: standardised, where they are.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// What is predicted.
    pub forecast: Forecast,
    /// The model.
    pub model: Errors,
    /// The last step that was read, for every step ahead.
    pub last: Errors,
    /// The step a season earlier, with the season's length; as many predictions as have one.
    pub season: Option<(usize, Errors)>,
    /// Of bits, which of them.
    pub sets: SetCounts,
    width: usize,
}

impl Numbers {
    /// Of a loss; none of one that predicts something else.
    pub(super) fn of(
        set: &ExampleSet,
        plan: &Plan,
        loss: usize,
        season: Option<usize>,
    ) -> Option<Numbers> {
        let forecast = set.model().forecast(loss, set.horizon)?;
        if !forecast.reading.is_of_values() && forecast.reading != Reading::Bits {
            return None;
        }
        let (FieldShape::Reals { width, .. } | FieldShape::RealsAlong { width, .. }) =
            plan.recipes.fields[forecast.field]
        else {
            return None;
        };
        let errors = Errors::new(forecast.steps, width);
        Some(Numbers {
            forecast,
            model: errors.clone(),
            last: errors.clone(),
            season: season.map(|season| (season, errors)),
            sets: SetCounts::default(),
            width,
        })
    }

    /// Adds what step `at` of example `place` of a minibatch predicts, where `column` is what the field holds.
    pub(super) fn add(&mut self, value: &[f32], at: usize, column: &Column, place: usize) {
        let Column::Reals(all) = column else {
            return;
        };
        let (sequence, width) = (&all[place], self.width);
        let next = at + self.forecast.first;
        let step = |n: usize| sequence.get(n * width..(n + 1) * width);
        let steps = next..next + self.forecast.steps;
        let Some(found) = sequence.get(steps.start * width..steps.end * width) else {
            return;
        };
        if self.forecast.reading == Reading::Bits {
            let bits =
                |x: &[f32], above: f32| -> Vec<bool> { x.iter().map(|x| *x > above).collect() };
            let (predicted, there) = (bits(value, 0.0), bits(found, 0.5));
            self.sets.add(predicted.into_iter(), there.into_iter());
            let p: Vec<f32> = value.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
            self.model.add(&p, found);
        } else {
            self.model.add(value, found);
        }
        if let Some(last) = at.checked_sub(1 - self.forecast.first).and_then(step) {
            self.last.add(&last.repeat(self.forecast.steps), found);
        }
        if let Some((season, errors)) = &mut self.season {
            let mut earlier = Vec::with_capacity(found.len());
            for n in steps {
                // Of a season that is still to come, the one before.
                let seasons = (n - at).div_ceil(*season);
                match n.checked_sub(seasons * *season).and_then(step) {
                    Some(numbers) => earlier.extend_from_slice(numbers),
                    None => return,
                }
            }
            errors.add(&earlier, found);
        }
    }
}
