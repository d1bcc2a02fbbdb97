//! What makes a model train better than it fits: noise and penalties.

/// Dropout elsewhere than after the recurrent layers, and its form; rates in [0, 1), 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drops {
    /// Of the embedded input.
    pub input: f64,
    /// Of the embeddings of whole tokens, the same ones in all of a minibatch.
    pub tokens: f64,
    /// Of the recurrent weights.
    pub weights: f64,
    /// Whether dropout of the input and between layers has one mask for all steps of a minibatch.
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
