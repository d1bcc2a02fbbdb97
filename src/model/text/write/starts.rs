//! What recurrent layers begin with: a value, or the last states of others.

use super::super::graph::{Along, Function, ModelFieldKind, StartOf, ValueNode};
use super::Writer;
use crate::error::{Error, Result};
use crate::layer::{self, Axis, Builder, Value};
use crate::model::Spec;
use crate::model::stack::{LayerStates, Start, StartStates};

impl Writer<'_> {
    /// What the layers of a line begin with.
    pub(super) fn start(
        &self,
        builder: &mut Builder,
        node: &ValueNode,
        stack: &Spec,
        start: Option<StartOf>,
    ) -> Result<Start> {
        let Some(start) = start else {
            return Ok(Start::Settings);
        };
        self.check_memory(node, stack)?;
        match start {
            StartOf::Value(place) => {
                let value = self.operand(builder, node, place)?;
                self.check_start(node, stack, builder.signal(value).width())?;
                Ok(Start::Output(value))
            }
            StartOf::States(place) => {
                let source = node.operands[place];
                let known = self.check_states(node, stack, source)?;
                let layers = self.lasts[source].iter().enumerate();
                let layers = layers.map(|(l, from)| {
                    let label = format!("{}.l{l}", node.label);
                    let states = directed(builder, &label, stack.both_ways(l), from)?;
                    let names = &known.cells[l].states;
                    let own = |direction: Vec<Value>| {
                        let of = |state: &String| {
                            let place = names.iter().position(|name| name == state)?;
                            direction.get(place).copied()
                        };
                        stack.cells[l].states.iter().map(of).collect()
                    };
                    Ok(states.into_iter().map(own).collect())
                });
                Ok(Start::States(layers.collect::<Result<Vec<StartStates>>>()?))
            }
        }
    }

    /// The axis along which the last states of a line's layers are made: none where nothing begins with them.
    pub(super) fn above_last(&self, number: usize) -> Result<Option<Axis>> {
        let begins = |node: &&ValueNode| match node.function {
            Function::Recurrent {
                start: Some(StartOf::States(place)),
                ..
            } => node.operands[place] == number,
            _ => false,
        };
        let Some(node) = self.model.nodes.iter().find(begins) else {
            return Ok(None);
        };
        let Along::Steps(field) = node.along else {
            return Err(Error::internal(format!("{}: no sequences", node.label)));
        };
        let above = match self.model.fields[field].kind {
            ModelFieldKind::Tokens {
                within: Some(other),
                ..
            } => Along::Steps(other),
            _ => Along::Examples,
        };
        self.axis(above).map(Some)
    }
}

/// The last states of a layer for one that begins with them, in both directions or in one.
fn directed(
    builder: &mut Builder,
    label: &str,
    both: bool,
    from: &LayerStates,
) -> Result<LayerStates> {
    match &from[..] {
        [one] if both => Ok(vec![one.clone(); 2]),
        [ahead, back] if !both => {
            let pairs = ahead.iter().zip(back).enumerate();
            let states = pairs.map(|(k, (ahead, back))| {
                layer::concat(builder, &format!("start.{label}.{k}"), &[*ahead, *back])
            });
            Ok(vec![states.collect::<Result<_>>()?])
        }
        _ => Ok(from.clone()),
    }
}
