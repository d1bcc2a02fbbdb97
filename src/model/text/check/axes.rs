//! Where values meet: the axis of what a function makes of others, and errors of values that lie apart.

use super::super::graph::{Along, Function, ModelFieldKind, StartOf};
use super::Checker;
use crate::error::{Error, Result};
use crate::syntax::Position;

impl Checker<'_> {
    /// The axis of what a function makes: that on which its operands meet, or the one above.
    pub(super) fn meet(
        &self,
        function: &Function,
        values: &[usize],
        name: &str,
        position: Position,
    ) -> Result<Along> {
        let first = self.nodes[values[0]].along;
        match function {
            Function::Last | Function::Pool(_) => match first {
                Along::Steps(field) => {
                    if *function == Function::Last {
                        self.must_have_order(field, name, position)?;
                    }
                    Ok(self.above(field))
                }
                Along::Examples => {
                    let message = format!(
                        "`{name}` expects a value with rows along a field of tokens, reals or bits, found {}",
                        self.describe(values[0])
                    );
                    Err(self.fault(position, message))
                }
            },
            Function::Recurrent {
                start,
                given,
                memories,
                ..
            } => match first {
                Along::Steps(field) => {
                    self.must_have_order(field, name, position)?;
                    let above = self.above(field);
                    for memory in memories {
                        let memory = values[*memory];
                        let fits = self.sequences(memory) == Some(Along::Examples);
                        if !fits || above != Along::Examples {
                            let found = if fits { values[0] } else { memory };
                            let message = format!(
                                "memory: expected rows that are the steps of an example's sequence, looked at by such steps, found {}",
                                self.describe(found)
                            );
                            return Err(self.fault(position, message));
                        }
                    }
                    if let Some(given) = given.map(|given| values[given])
                        && self.nodes[given].along != above
                        && self.nodes[given].along != first
                    {
                        return Err(self.apart(values[0], given, (name, position)));
                    }
                    let (found, start) = match start {
                        None => (above, None),
                        Some(StartOf::Value(start)) => {
                            (self.nodes[values[*start]].along, Some(*start))
                        }
                        Some(StartOf::States(start)) => {
                            let along = self.sequences(values[*start]);
                            (along.unwrap_or(Along::Examples), Some(*start))
                        }
                    };
                    if let Some(start) = start.filter(|_| found != above) {
                        let message = format!(
                            "start: expected {}, or an `rnn` whose sequences are that, found {}",
                            self.along(above),
                            self.describe(values[start])
                        );
                        return Err(self.fault(position, message));
                    }
                    Ok(first)
                }
                Along::Examples => {
                    let message = format!(
                        "`{name}` expects a value with rows along a field of tokens, reals or bits, found {}",
                        self.describe(values[0])
                    );
                    Err(self.fault(position, message))
                }
            },
            Function::Attend { .. } => {
                let query = self.nodes[values[1]].along;
                let memory = self.sequences(values[0]) == Some(Along::Examples);
                let rows = match query {
                    Along::Steps(field) => self.above(field) == Along::Examples,
                    Along::Examples => true,
                };
                if memory && rows {
                    return Ok(query);
                }
                let (what, of) = if memory {
                    (
                        "a query with a row an example or a row a step of its sequence",
                        1,
                    )
                } else {
                    (
                        "a memory whose rows are the steps of an example's sequence",
                        0,
                    )
                };
                let message = format!(
                    "`{name}` expects {what}, found {}",
                    self.describe(values[of])
                );
                Err(self.fault(position, message))
            }
            Function::Concat
            | Function::Add
            | Function::Sample
            | Function::Glimpse { .. }
            | Function::ReadPatch { .. }
            | Function::WritePatch { .. }
            | Function::Pointwise { .. } => self.meet_along(values, name, position),
            _ => Ok(first),
        }
    }

    /// Refuses a set where rows are read one after another.
    pub(super) fn must_have_order(
        &self,
        field: usize,
        name: &str,
        position: Position,
    ) -> Result<()> {
        let found = &self.fields[field];
        if !matches!(found.kind, ModelFieldKind::Reals { set: true, .. }) {
            return Ok(());
        }
        let message = format!(
            "`{name}` expects rows in order, found those of the set `{}` of line {}; `mean`, `max`, `sum`, `dot` and `additive` take them in any",
            found.name, found.position.line
        );
        Err(self.fault(position, message))
    }

    /// What the sequences of a value's rows are; none of rows an example.
    pub(in super::super) fn sequences(&self, value: usize) -> Option<Along> {
        match self.nodes[value].along {
            Along::Steps(field) => Some(self.above(field)),
            Along::Examples => None,
        }
    }

    /// The axis on which values meet: their own, where one with a row for each sequence of it is the same at every step.
    pub(super) fn meet_along(
        &self,
        values: &[usize],
        name: &str,
        position: Position,
    ) -> Result<Along> {
        let mut along = (self.nodes[values[0]].along, values[0]);
        for value in &values[1..] {
            let other = self.nodes[*value].along;
            along = match (along.0, other) {
                (a, b) if a == b => along,
                (Along::Steps(field), b) if self.above(field) == b => along,
                (a, Along::Steps(field)) if self.above(field) == a => (other, *value),
                _ => return Err(self.apart(along.1, *value, (name, position))),
            };
        }
        // What lies two axes above one step does not reach it.
        for value in values {
            let own = self.nodes[*value].along;
            let above = match along.0 {
                Along::Steps(field) => self.above(field),
                Along::Examples => Along::Examples,
            };
            if own != along.0 && own != above {
                return Err(self.apart(along.1, *value, (name, position)));
            }
        }
        Ok(along.0)
    }

    /// What the sequences of a field are.
    pub(super) fn above(&self, field: usize) -> Along {
        match self.fields[field].kind {
            ModelFieldKind::Tokens {
                within: Some(other),
                ..
            } => Along::Steps(other),
            _ => Along::Examples,
        }
    }

    /// An error of two values that do not meet.
    pub(super) fn apart(&self, a: usize, b: usize, (name, position): (&str, Position)) -> Error {
        let message = format!(
            "`{name}` expects values along one axis, found {} and {}",
            self.describe(a),
            self.describe(b)
        );
        self.fault(position, message)
    }

    /// A value in words: its name, its line and what it has a row for.
    pub(super) fn describe(&self, value: usize) -> String {
        let node = &self.nodes[value];
        let along = self.along(node.along);
        format!("`{}` of line {} ({along})", node.label, node.position.line)
    }

    pub(super) fn along(&self, along: Along) -> String {
        match along {
            Along::Steps(field) => {
                let (name, kind) = (&self.fields[field].name, self.fields[field].kind);
                match kind {
                    ModelFieldKind::Reals { set: true, .. } => {
                        format!("the rows of the set `{name}`")
                    }
                    _ => format!("a row a step of `{name}`"),
                }
            }
            Along::Examples => "a row an example".into(),
        }
    }
}
