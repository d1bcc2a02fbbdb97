//! The layers between the embedding and the head: blocks on top of one another, and the connections that pass blocks by.

use std::sync::Arc;

use super::Spec;
use crate::cell::Cell;
use crate::cell::rows::library;
use crate::error::{Error, Result};
use crate::layer::{
    Axis, Builder, DropoutForm, DropoutLayer, Linear, Penalty, Recurrent, Value, bidirectional,
    concat, sum,
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

/// The states of a layer, by direction and in the order of its cell: each a row a sequence.
pub(super) type LayerStates = Vec<Vec<Value>>;

/// The same of states before the first step, where they are given.
pub(super) type StartStates = Vec<Vec<Option<Value>>>;

/// What the states of a stack are before the first step.
#[derive(Debug)]
pub(super) enum Start {
    /// Zero or learned, as the settings say.
    Settings,
    /// Every layer's output state this value, the others zero.
    Output(Value),
    /// By layer, each state its own.
    States(Vec<StartStates>),
}

/// What a stack has beside its input.
#[derive(Debug)]
pub(super) struct Beside {
    /// What its states begin with.
    pub start: Start,
    /// What cells with memories look at, in the order of these.
    pub memories: Vec<Value>,
    /// The axis along which the last states are made, where they are asked for.
    pub above: Option<Axis>,
}

/// What a stack makes.
pub(super) struct Stack {
    /// Its output.
    pub output: Value,
    /// By layer the states behind the last step of every sequence, where they are asked for.
    pub last: Vec<LayerStates>,
}

impl Start {
    /// By state of layer `l`, for one direction of it.
    fn of(&self, l: usize, direction: usize, cell: &Cell) -> Vec<Option<Value>> {
        match self {
            Start::Settings => Vec::new(),
            Start::Output(value) => {
                let own = |k| (k == cell.output).then_some(*value);
                (0..cell.states.len()).map(own).collect()
            }
            Start::States(layers) => layers[l][direction].clone(),
        }
    }
}

impl Spec {
    /// Whether block `l` runs in both directions.
    pub(super) fn both_ways(&self, l: usize) -> bool {
        self.bidirectional && !self.cells[l].is_feed_forward()
    }

    /// Writes the layers of the stack called `name` over a value: rows, embedded ids or one-hot vectors.
    pub(super) fn stack_from(
        &self,
        builder: &mut Builder,
        name: &str,
        input: Value,
        beside: &Beside,
    ) -> Result<Stack> {
        // The layers of a stack called so are known by their numbers.
        let stack = match name {
            "rnn" => String::new(),
            name => format!("{name}."),
        };
        let dropped = DropoutLayer::new(format!("{stack}input"), self.drops.input, self.form());
        let mut value = dropped.write(builder, input)?;
        let x = if self.connections.skip && self.cells.len() > 1 {
            Some(
                builder
                    .as_rows(&format!("{stack}skip"), value)
                    .ok_or_else(|| {
                        Error::usage("skip connections pass an embedding on, so they need --embed")
                    })?,
            )
        } else {
            None
        };
        let (mut outputs, mut last) = (Vec::new(), Vec::new());
        for l in 0..self.cells.len() {
            let (below, label) = (value, format!("{stack}l{l}"));
            if let Some(x) = x.filter(|_| l > 0) {
                value = concat(builder, &format!("skip.{label}"), &[value, x])?;
            }
            let states;
            (value, states) = self.inner(builder, l, &label, value, beside)?;
            last.push(states);
            if self.connections.residual && l > 0 {
                value = residual(builder, &label, below, value)?;
            }
            value = self.after(builder, l, &label, value)?;
            outputs.push(value);
        }
        let output = if x.is_some() {
            concat(builder, &format!("skip.{stack}all"), &outputs)?
        } else {
            value
        };
        Ok(Stack { output, last })
    }

    fn form(&self) -> DropoutForm {
        if self.drops.locked {
            DropoutForm::Locked
        } else {
            DropoutForm::Element
        }
    }

    /// The layers of block `l` that a residual connection passes by: the recurrent one, and what belongs to it.
    fn inner(
        &self,
        builder: &mut Builder,
        l: usize,
        label: &str,
        input: Value,
        of: &Beside,
    ) -> Result<(Value, LayerStates)> {
        let cell = &self.cells[l];
        let layer = |label: String, direction| {
            Recurrent::new(cell.clone(), self.hidden, label)
                .noisy(self.noise)
                .still(self.still)
                .drop_weights(self.drops.weights)
                .propagation(self.penalties.propagation)
                .learned(self.learn_initial)
                .starts(of.start.of(l, direction, cell))
                .memories(of.memories[..cell.memories.len().min(of.memories.len())].to_vec())
                .last_states(of.above)
        };
        let (mut value, last) = if self.both_ways(l) {
            let both = [layer(label.into(), 0), layer(format!("{label}_reverse"), 1)];
            let both = bidirectional(builder, label, both, input)?;
            (both.output, both.last.into())
        } else {
            let (output, last) = layer(label.into(), 0).write_with_states(builder, input)?;
            (output, vec![last])
        };
        if !cell.is_feed_forward() {
            value = penalized(builder, "norm", label, self.penalties.norm, value)?;
        }
        if self.project > 0 {
            let project = Linear::new(beside(label, "project"), self.project, None);
            value = project.write(builder, value)?;
        }
        Ok((value, last))
    }

    /// The layers at the end of block `l`.
    fn after(
        &self,
        builder: &mut Builder,
        l: usize,
        label: &str,
        mut value: Value,
    ) -> Result<Value> {
        if self.layer_norm {
            value = layer_norm(builder, beside(label, "norm"), value)?;
        }
        let last = l + 1 == self.cells.len();
        let of_last = |weight: f64| if last { weight } else { 0.0 };
        let (temporal, activation) = (self.penalties.temporal, self.penalties.activation);
        value = penalized(builder, "temporal", label, of_last(temporal), value)?;
        value = DropoutLayer::new(label, self.dropout, self.form()).write(builder, value)?;
        penalized(builder, "activation", label, of_last(activation), value)
    }
}

/// What is called after a layer: `project_l0` beside `l0`.
fn beside(label: &str, what: &str) -> String {
    match label.rsplit_once('.') {
        Some((stack, layer)) => format!("{stack}.{what}_{layer}"),
        None => format!("{what}_{label}"),
    }
}

/// Layer normalisation of rows.
///
/// # Errors
/// Internal: a value that is no rows.
pub(super) fn layer_norm(builder: &mut Builder, label: String, value: Value) -> Result<Value> {
    let cell = Arc::new(Cell::parse("layer-norm", LAYER_NORM)?);
    let width = builder.rows(value)?.cols;
    Recurrent::new(cell, width, label).write(builder, value)
}

fn residual(builder: &mut Builder, label: &str, below: Value, through: Value) -> Result<Value> {
    let (from, to) = (builder.rows(below)?.cols, builder.rows(through)?.cols);
    if from != to {
        return Err(Error::usage(format!(
            "residual connections add a layer's input to its output: layer {label} reads {from} values and makes {to}",
        )));
    }
    sum(builder, &format!("residual.{label}"), &[below, through])
}

/// A penalty by the loss called `name`.
fn penalized(
    builder: &mut Builder,
    name: &str,
    label: &str,
    weight: f64,
    value: Value,
) -> Result<Value> {
    if weight > 0.0 {
        let program = library::builtin(name)?;
        Penalty::new(format!("{name}.{label}"), program, weight).write(builder, value)
    } else {
        Ok(value)
    }
}
