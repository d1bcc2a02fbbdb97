//! Predicted classes beside the right ones.

use serde::{Deserialize, Serialize};

use super::FieldEvaluation;
use crate::error::Result;
use crate::metrics::{Confusion, largest};
use crate::train::settings::BestBy;

/// The classes that a model predicts, and the right ones, in the order in which minibatches come.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// How many classes there are.
    pub classes: usize,
    /// The right class of every prediction.
    pub gold: Vec<u32>,
    /// The one with the highest score; of equal ones the first.
    pub predicted: Vec<u32>,
    /// For every prediction the example, among those of the set, and the step within it.
    pub places: Vec<(u32, usize)>,
}

impl Labels {
    pub(super) fn new(classes: usize) -> Labels {
        Labels {
            classes,
            ..Labels::default()
        }
    }

    pub(super) fn add(&mut self, example: u32, step: usize, gold: u32, scores: &[f32]) {
        self.gold.push(gold);
        self.predicted.push(largest(scores));
        self.places.push((example, step));
    }

    /// How often each class was taken for each.
    ///
    /// # Errors
    /// Internal, for a class beyond their number.
    pub fn confusion(&self) -> Result<Confusion> {
        Confusion::of(self.classes, &self.gold, &self.predicted)
    }
}

/// By what models are compared, and what one reaches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// By what.
    pub by: BestBy,
    /// What was found: nats, or a share from 0 to 1.
    pub value: f64,
}

impl Metric {
    /// That of an evaluation: `by`, where it has classes; else its loss. Of several losses with classes the first counts.
    ///
    /// # Errors
    /// As [`Labels::confusion`].
    pub fn of(found: &FieldEvaluation, by: BestBy) -> Result<Metric> {
        let labels = found.losses.iter().find_map(|loss| loss.labels.as_ref());
        Ok(match (by, labels) {
            (BestBy::Accuracy, Some(labels)) => Metric {
                by,
                value: labels.confusion()?.accuracy().share().unwrap_or(0.0),
            },
            (BestBy::MacroF1, Some(labels)) => Metric {
                by,
                value: labels.confusion()?.macro_f1(),
            },
            _ => Metric {
                by: BestBy::Loss,
                value: found.nats,
            },
        })
    }

    /// A number that is lower for a better model.
    pub fn score(self) -> f64 {
        match self.by {
            BestBy::Loss => self.value,
            BestBy::Accuracy | BestBy::MacroF1 => -self.value,
        }
    }
}
