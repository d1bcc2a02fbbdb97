//! Which models can read a long series segment by segment, with states that go on from one to the next.

use super::graph::{Along, Function, ModelFieldKind, ValueNode};
use super::{FieldSize, Model, Sizes, Target};
use crate::error::{Error, Result};
use crate::syntax::fault;

impl Model {
    /// Whether the states of recurrent layers say all that a step needs to know of those before it, so that a series may be
    /// read in segments: the model predicts the next steps of its one field at each of its steps, from that step and carried
    /// states alone.
    ///
    /// # Errors
    /// Usage, for other fields and losses; Data, with its place, for a line that looks at steps of another segment.
    pub fn check_stateful(&self) -> Result<()> {
        let series = match self.fields() {
            [field] => matches!(field.kind, ModelFieldKind::Reals { set: false, .. }),
            _ => false,
        };
        let next = |target: Target| matches!(target, Target::Numbers(_));
        let mut losses = self.losses().iter();
        if !series || !losses.all(|loss| loss.steps().is_some() && next(loss.target)) {
            return Err(Error::usage(format!(
                "stateful: expected a model that predicts the next numbers of its one field at every step, got model {}",
                self.name
            )));
        }
        match self
            .nodes
            .iter()
            .find_map(|node| Some((node, beyond(node)?)))
        {
            None => Ok(()),
            Some((node, what)) => Err(fault(
                &self.name,
                node.position,
                format!(
                    "stateful: expected lines that know earlier steps by carried states alone, found {what}"
                ),
            )),
        }
    }
}

impl Sizes {
    /// The same for `examples` segments, all of `steps` steps, as a plan with carried states has them.
    #[must_use]
    pub fn of_segments(mut self, examples: usize, steps: usize) -> Sizes {
        self.examples = examples;
        for field in &mut self.fields {
            if let FieldSize::Reals {
                steps: most, rows, ..
            } = field
            {
                (*most, *rows) = (steps, examples * steps);
            }
        }
        self
    }
}

/// What of a line looks beyond its segment, by another way than carried states.
fn beyond(node: &ValueNode) -> Option<&'static str> {
    match &node.function {
        Function::Read { back: 1.., .. } => Some("a look back by `previous`"),
        Function::Window { .. } => Some("a look back by `window`"),
        Function::Recurrent { both: true, .. } => Some("layers that read backward, too"),
        Function::Recurrent { start: Some(_), .. } => Some("layers that begin with given states"),
        Function::Recurrent { memories, .. } if !memories.is_empty() => Some("a memory"),
        Function::Attend { .. } => Some("attention over steps"),
        Function::Last | Function::Pool(_) => Some("what a whole sequence comes to"),
        _ if node.along == Along::Examples => Some("a value of a whole sequence"),
        _ => None,
    }
}
