//! Weights of classes in a loss.

use super::names::ClassNames;
use crate::error::{Error, Result};

/// How much an example of each class weighs in a loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeights {
    /// All the same.
    #[default]
    None,
    /// n / (k n_c): every class weighs the same as a whole, where n examples are of k classes, n_c of class c.
    Balanced,
    /// As given by name; 1 for the others.
    Given(Vec<(String, f32)>),
}

impl ClassWeights {
    /// Reads `none`, `balanced` or `a=2,b=0.5`.
    ///
    /// # Errors
    /// `Kind::Usage` for what is written otherwise, a weight below 0, and a name that stands twice.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "none" => return Ok(ClassWeights::None),
            "balanced" => return Ok(ClassWeights::Balanced),
            _ => {}
        }
        let mut all: Vec<(String, f32)> = Vec::new();
        for part in text.split(',') {
            let pair = part.rsplit_once('=');
            let pair = pair
                .and_then(|(name, weight)| Some((name.trim(), weight.trim().parse::<f32>().ok()?)));
            let pair = pair
                .filter(|(name, weight)| !name.is_empty() && weight.is_finite() && *weight >= 0.0);
            let Some((name, weight)) = pair else {
                return Err(Error::usage(format!(
                    "--class-weights: expected none, balanced or CLASS=WEIGHT,.. with weights from 0, found {part:?}"
                )));
            };
            if all.iter().any(|(other, _)| other == name) {
                return Err(Error::usage(format!(
                    "--class-weights: {name} stands there twice"
                )));
            }
            all.push((name.to_string(), weight));
        }
        Ok(ClassWeights::Given(all))
    }

    /// The weight of every class, `counts` being how many examples training has of each. A balanced class without examples,
    /// of which no loss comes, does not count among the k and weighs 1.
    ///
    /// # Errors
    /// `Kind::Data` for a name that is no class, and where no example weighs anything.
    pub fn weights(&self, names: &ClassNames, counts: &[u64]) -> Result<Vec<f32>> {
        let mut weights = vec![1.0; names.len()];
        match self {
            ClassWeights::None => {}
            ClassWeights::Balanced => {
                let n = counts.iter().sum::<u64>() as f64;
                let k = counts.iter().filter(|count| **count > 0).count() as f64;
                for (weight, count) in weights.iter_mut().zip(counts) {
                    if *count > 0 {
                        *weight = (n / (k * *count as f64)) as f32;
                    }
                }
            }
            ClassWeights::Given(given) => {
                for (name, weight) in given {
                    let class = names.find(name).ok_or_else(|| {
                        Error::data(format!("--class-weights: {}", names.stranger(name)))
                    })?;
                    weights[class as usize] = *weight;
                }
            }
        }
        let any = weights.iter().zip(counts).any(|(w, n)| *w > 0.0 && *n > 0);
        if !any {
            return Err(Error::data(
                "--class-weights: expected a class with examples that weighs more than 0, found none",
            ));
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        let names = ClassNames::of(["a", "a", "a", "b", "c", "c"].into_iter()).unwrap();
        let of = |text: &str, counts: &[u64]| ClassWeights::parse(text)?.weights(&names, counts);
        // compute_class_weight("balanced", classes=[a, c, b], y): 6 / (3 * [3, 2, 1]).
        let close = |got: &[f32], want: &[f32]| {
            assert!(
                got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6),
                "{got:?}"
            );
        };
        close(&of("balanced", &[3, 2, 1]).unwrap(), &[2.0 / 3.0, 1.0, 2.0]);
        close(&of("balanced", &[3, 1, 0]).unwrap(), &[2.0 / 3.0, 2.0, 1.0]);
        close(&of("b=2,a=0.5", &[3, 2, 1]).unwrap(), &[0.5, 1.0, 2.0]);
        close(&of("none", &[3, 2, 1]).unwrap(), &[1.0; 3]);
        let e = of("ab=2", &[3, 2, 1]).unwrap_err();
        assert!(
            e.kind == Kind::Data && e.message.contains("found \"ab\" (is it a?)"),
            "{e}"
        );
        assert_eq!(of("a=0,b=0,c=0", &[3, 2, 1]).unwrap_err().kind, Kind::Data);
        for bad in ["", "a", "a=-1", "a=x", "a=nan", "=1", "a=1,a=2"] {
            assert_eq!(
                ClassWeights::parse(bad).unwrap_err().kind,
                Kind::Usage,
                "{bad}"
            );
        }
    }
}
