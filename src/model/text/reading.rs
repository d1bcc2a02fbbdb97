//! How what a loss compares with numbers of a field is read as a prediction of these.

use super::Model;
use super::graph::{self, Function, Loss, LossForm, ModelFieldKind, Target};

/// How the first operand of a loss says what the numbers will be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// It is their mean, or for `absolute` their median.
    Value,
    /// It is this quantile of each.
    Quantile(f64),
    /// It is their mean, and the second operand the logarithm of their variance.
    Gaussian,
    /// It is the scores of bits: log(p / (1 - p)).
    Bits,
    /// It is the scores of a mixture's parts, the second their means, the third the logarithms of their variances.
    Mixture,
    /// It is the scores of a mixture's parts, and the others what these are, see `assets/losses/handwriting.loss`.
    Handwriting,
    /// What a loss of one's own makes of it is not known.
    Own,
}

/// What a loss predicts of a field of reals or bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// The field.
    pub field: usize,
    /// How many steps on the first of them is: 1, or 0 of numbers that lie along the steps that are read.
    pub first: usize,
    /// How many steps, from that one on, side by side.
    pub steps: usize,
    /// How it is read.
    pub reading: Reading,
}

impl Forecast {
    /// Whether these are numbers along the steps that are read, and not of later ones.
    pub fn is_along(&self) -> bool {
        self.first == 0
    }
}

/// How a model makes an example's vector again of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Painting {
    /// The loss that compares them.
    pub loss: usize,
    /// The field of vectors.
    pub field: usize,
    /// Whether its first operand is the scores of bits; else it is the vector.
    pub bits: bool,
}

impl Reading {
    /// Whether the first operand is as many numbers as are predicted, each beside what it is to be: errors can be said of them.
    pub fn is_of_values(self) -> bool {
        matches!(
            self,
            Reading::Value | Reading::Quantile(_) | Reading::Gaussian
        )
    }
}

impl Model {
    /// What a model paints: the first loss that compares a field of vectors with what is made of draws.
    pub fn painting(&self) -> Option<Painting> {
        let drawn = graph::drawn(&self.nodes);
        let of = |(loss, found): (usize, &Loss)| {
            let LossForm::Program { name, rounds, .. } = &found.form else {
                return None;
            };
            let Target::Numbers(field) = found.target else {
                return None;
            };
            let vector = self.fields[field].kind == ModelFieldKind::Vector;
            let painted = vector && found.steps().is_none() && drawn[rounds[0][0]];
            painted.then_some(Painting {
                loss,
                field,
                bits: name == "bernoulli",
            })
        };
        self.losses.iter().enumerate().find_map(of)
    }

    /// What loss `loss` predicts, where it is all numbers of a field's next steps, or of one along steps; `horizon` is that of the
    /// settings.
    pub fn forecast(&self, loss: usize, horizon: usize) -> Option<Forecast> {
        let LossForm::Program {
            name,
            constants,
            rounds,
            ..
        } = &self.losses.get(loss)?.form
        else {
            return None;
        };
        // What rounds say of numbers adds up to nothing that is read as one prediction.
        let [operands] = &rounds[..] else {
            return None;
        };
        let quantile = || {
            let q = constants.iter().find(|(name, _)| name == "q");
            q.map_or(0.5, |(_, q)| *q)
        };
        let reading = match name.as_str() {
            "squared" | "absolute" => Reading::Value,
            "quantile" => Reading::Quantile(quantile()),
            "gaussian" => Reading::Gaussian,
            "bernoulli" => Reading::Bits,
            "mixture" => Reading::Mixture,
            "handwriting" => Reading::Handwriting,
            own if self.own_losses.contains_key(own) => Reading::Own,
            _ => return None,
        };
        let mut node = &self.nodes[*operands.last()?];
        // The three numbers of a pen, each a part of the step.
        if reading == Reading::Handwriting {
            let parts = operands[operands.len() - 3..].iter().enumerate();
            let of = |(n, operand): (usize, &usize)| {
                let node = &self.nodes[*operand];
                let (parts, part) = (3, n);
                (node.function == Function::Split { parts, part }).then(|| node.operands[0])
            };
            let whole: Vec<usize> = parts.map(of).collect::<Option<_>>()?;
            node = &self.nodes[whole[0]];
            let same = |n: &usize| self.nodes[*n].function == node.function;
            if !whole.iter().all(same) {
                return None;
            }
        }
        if node.function == Function::Last {
            node = &self.nodes[node.operands[0]];
        }
        let (field, first, steps) = match node.function {
            Function::Ahead { field, steps } => (field, 1, steps.unwrap_or(horizon)),
            Function::Read { field, .. }
                if matches!(self.fields[field].kind, ModelFieldKind::RealsAlong { .. }) =>
            {
                (field, 0, 1)
            }
            _ => return None,
        };
        Some(Forecast {
            field,
            first,
            steps,
            reading,
        })
    }
}
