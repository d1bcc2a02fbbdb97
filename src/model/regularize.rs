//! What makes a model train better than it fits: noise and penalties, and the layers that they put into the stack.

use super::Spec;
use crate::layer::{Dropout, Form, Layer, Penalty};
use crate::op::penalty;

/// Dropout elsewhere than after the recurrent layers, and its form; rates in [0, 1), 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drops {
    /// Of the embedded input.
    pub input: f64,
    /// Of the embeddings of whole tokens, the same ones in all of a minibatch.
    pub tokens: f64,
    /// Of the recurrent weights.
    pub weights: f64,
    /// Whether dropout of the input and between layers has one mask for all steps of a window.
    pub locked: bool,
}

/// What the objective has beside the loss, each times its weight; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalties {
    /// Large outputs of the last layer, after dropout.
    pub activation: f64,
    /// Changes of the last layer's output from step to step, before dropout.
    pub temporal: f64,
    /// Changes of the length of every recurrent layer's output from step to step.
    pub norm: f64,
    /// Changes of the gradient's length on its way back from step to step, in every recurrent layer; only for cells with
    /// one state that goes through a product alone.
    pub propagation: f64,
}

impl Spec {
    fn form(&self) -> Form {
        if self.drops.locked {
            Form::Locked
        } else {
            Form::Element
        }
    }

    /// The layers before the first recurrent one.
    pub(super) fn before(&self) -> Vec<Box<dyn Layer>> {
        let Drops { input, tokens, .. } = self.drops;
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        for (name, rate, form) in [
            ("tokens", tokens, Form::Token),
            ("input", input, self.form()),
        ] {
            if rate > 0.0 {
                layers.push(Box::new(Dropout::new(name, rate, form)));
            }
        }
        layers
    }

    /// The penalty on the length of what recurrent layer `l` makes, right after it.
    pub(super) fn stabilizer(&self, l: usize) -> Option<Box<dyn Layer>> {
        penalty("norm", l, penalty::Form::Norm, self.penalties.norm)
    }

    /// The layers at the end of block `l`.
    pub(super) fn after(&self, l: usize) -> Vec<Box<dyn Layer>> {
        let last = l + 1 == self.cells.len();
        let of_last = |weight: f64| if last { weight } else { 0.0 };
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        let Penalties {
            activation,
            temporal,
            ..
        } = self.penalties;
        layers.extend(penalty(
            "temporal",
            l,
            penalty::Form::Temporal,
            of_last(temporal),
        ));
        if self.dropout > 0.0 {
            let dropout = Dropout::new(format!("l{l}"), self.dropout, self.form());
            layers.push(Box::new(dropout));
        }
        let activation = of_last(activation);
        layers.extend(penalty(
            "activation",
            l,
            penalty::Form::Activation,
            activation,
        ));
        layers
    }
}

fn penalty(name: &str, l: usize, form: penalty::Form, weight: f64) -> Option<Box<dyn Layer>> {
    let name = format!("{name}.l{l}");
    (weight > 0.0).then(|| Box::new(Penalty::new(name, form, weight)) as _)
}
