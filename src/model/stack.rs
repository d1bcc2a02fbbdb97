//! The layers between the embedding and the head: blocks on top of one another, and the connections that pass blocks by.

use std::sync::Arc;

use super::Spec;
use crate::cell::Cell;
use crate::cell::rows::library;
use crate::error::{Error, Result};
use crate::layer::{
    Builder, Dropout, Form, Linear, Penalty, Recurrent, Value, bidirectional, concat, sum,
};

/// How values pass blocks by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// From the second block on, a block's input is added to what its inner layers make (He 2016, for recurrent stacks
    /// Wu 2016).
    pub residual: bool,
    /// Every block also reads the input of the stack, and the stack's output is that of all blocks side by side (Graves
    /// 2013).
    pub skip: bool,
}

/// Layer normalisation between layers is a cell without a memory.
const LAYER_NORM: &str = "state h\nh = norm(x)\n";

impl Spec {
    /// Writes the layers from the embedded ids on, or from one-hot vectors.
    pub(super) fn stack(&self, builder: &mut Builder, ids: Value) -> Result<Value> {
        let mut value = self.dropped(builder, ids)?;
        let x = if self.connections.skip && self.cells.len() > 1 {
            Some(builder.as_rows("skip", value).ok_or_else(|| {
                Error::usage("skip connections pass an embedding on, so they need --embed")
            })?)
        } else {
            None
        };
        let mut outputs = Vec::new();
        for l in 0..self.cells.len() {
            let below = value;
            if let Some(x) = x.filter(|_| l > 0) {
                value = concat(builder, &format!("skip.l{l}"), &[value, x])?;
            }
            value = self.inner(builder, l, value)?;
            if self.connections.residual && l > 0 {
                value = residual(builder, l, below, value)?;
            }
            value = self.after(builder, l, value)?;
            outputs.push(value);
        }
        if x.is_some() {
            concat(builder, "skip.all", &outputs)
        } else {
            Ok(value)
        }
    }

    fn form(&self) -> Form {
        if self.drops.locked {
            Form::Locked
        } else {
            Form::Element
        }
    }

    /// What is dropped before the first recurrent layer.
    fn dropped(&self, builder: &mut Builder, ids: Value) -> Result<Value> {
        let tokens = Dropout::new("tokens", self.drops.tokens, Form::Token);
        let tokens = tokens.write(builder, ids)?;
        Dropout::new("input", self.drops.input, self.form()).write(builder, tokens)
    }

    /// The layers of block `l` that a residual connection passes by: the recurrent one, and what belongs to it.
    fn inner(&self, builder: &mut Builder, l: usize, input: Value) -> Result<Value> {
        let cell = &self.cells[l];
        let layer = |label: String| {
            Recurrent::new(cell.clone(), self.hidden, label)
                .noisy(self.noise)
                .still(self.still)
                .drop_weights(self.drops.weights)
                .propagation(self.penalties.propagation)
                .learned(self.learn_initial)
        };
        let label = format!("l{l}");
        let mut value = if self.bidirectional && !cell.is_feed_forward() {
            let both = [layer(label.clone()), layer(format!("{label}_reverse"))];
            bidirectional(builder, &label, both, input)?
        } else {
            layer(label.clone()).write(builder, input)?
        };
        if !cell.is_feed_forward() {
            value = penalized(builder, "norm", l, self.penalties.norm, value)?;
        }
        if self.project > 0 {
            let project = Linear::new(format!("project_{label}"), self.project, None);
            value = project.write(builder, value)?;
        }
        Ok(value)
    }

    /// The layers at the end of block `l`.
    fn after(&self, builder: &mut Builder, l: usize, mut value: Value) -> Result<Value> {
        if self.layer_norm {
            let cell = Arc::new(Cell::parse("layer-norm", LAYER_NORM)?);
            let width = builder.rows(value)?.cols;
            let norm = Recurrent::new(cell, width, format!("norm_l{l}"));
            value = norm.write(builder, value)?;
        }
        let last = l + 1 == self.cells.len();
        let of_last = |weight: f64| if last { weight } else { 0.0 };
        let (temporal, activation) = (self.penalties.temporal, self.penalties.activation);
        value = penalized(builder, "temporal", l, of_last(temporal), value)?;
        value = Dropout::new(format!("l{l}"), self.dropout, self.form()).write(builder, value)?;
        penalized(builder, "activation", l, of_last(activation), value)
    }
}

fn residual(builder: &mut Builder, l: usize, below: Value, through: Value) -> Result<Value> {
    let (from, to) = (builder.rows(below)?.cols, builder.rows(through)?.cols);
    if from != to {
        return Err(Error::usage(format!(
            "residual connections add a layer's input to its output: layer l{l} reads {from} values and makes {to}",
        )));
    }
    sum(builder, &format!("residual.l{l}"), &[below, through])
}

/// A penalty by the loss called `name`.
fn penalized(
    builder: &mut Builder,
    name: &str,
    l: usize,
    weight: f64,
    value: Value,
) -> Result<Value> {
    if weight > 0.0 {
        let program = library::builtin(name)?;
        Penalty::new(format!("{name}.l{l}"), program, weight).write(builder, value)
    } else {
        Ok(value)
    }
}
