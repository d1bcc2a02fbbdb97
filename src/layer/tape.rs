//! Values, and the tape on which every maker of some leaves how their gradient goes back.
//!
//! The law of the tape: a value's gradient is complete when its maker is reached on the way back, and only its maker may
//! change it in place. The first gradient that a value is given becomes its own, later ones are added to it; one that is
//! lent is copied first. Disjoint columns of a gradient that are given to several values are each one's own.

use super::{Axis, Builder, Param};
use crate::error::{Error, Result};
use crate::op::{Matrix, SlotId};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// Token ids as one-hot vectors [T * B, V], never written out.
    OneHot {
        /// The slot of the ids.
        ids: SlotId,
        /// V.
        vocab: usize,
    },
    /// Token ids looked up in a table [V, D]; a layer may use the table itself.
    Embedded {
        /// The slot of the ids.
        ids: SlotId,
        /// The table.
        table: Param,
    },
    /// Rows [T * B, D].
    Rows(Matrix),
}

impl Signal {
    /// The width that the next layer sees.
    pub fn width(&self) -> usize {
        match self {
            Signal::OneHot { vocab, .. } => *vocab,
            Signal::Embedded { table, .. } => table.value.cols,
            Signal::Rows(rows) => rows.cols,
        }
    }
}

/// A value of a model in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(usize);

#[derive(Debug)]
struct Entry {
    name: String,
    signal: Signal,
    axis: Axis,
    gradient: Option<Matrix>,
}

/// Writes the operations that take the gradients of what a maker made to what it was made of. A value without a gradient
/// has nothing that hangs on it.
type GoBack = Box<dyn FnOnce(&mut Builder, &[Option<Matrix>])>;

/// All values, and their makers in order.
#[derive(Default)]
pub(super) struct Tape {
    values: Vec<Entry>,
    makers: Vec<(Vec<Value>, GoBack)>,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let makers = self.makers.iter().map(|(made, _)| made);
        let values = f.debug_list().entries(&self.values).finish();
        values.and_then(|()| f.debug_list().entries(makers).finish())
    }
}

impl Builder {
    /// A new value along `axis`, called `name`.
    pub fn value(&mut self, name: impl Into<String>, signal: Signal, axis: Axis) -> Value {
        self.tape.values.push(Entry {
            name: name.into(),
            signal,
            axis,
            gradient: None,
        });
        Value(self.tape.values.len() - 1)
    }

    /// Leaves on the tape, when training, how the gradients of `made` go back: `back` is given each one's, where it has
    /// one, and gives ([`Builder::give`]) or lends ([`Builder::lend`]) to the values that they were made of.
    pub fn made(
        &mut self,
        made: &[Value],
        back: impl FnOnce(&mut Builder, &[Option<Matrix>]) + 'static,
    ) {
        if self.training {
            self.tape.makers.push((made.to_vec(), Box::new(back)));
        }
    }

    /// Rows that a maker made of other values, with how their gradient goes back.
    pub fn made_rows(
        &mut self,
        name: impl Into<String>,
        rows: Matrix,
        axis: Axis,
        back: impl FnOnce(&mut Builder, Matrix) + 'static,
    ) -> Value {
        let value = self.value(name, Signal::Rows(rows), axis);
        self.made(&[value], |builder, gradients| {
            if let [Some(gradient)] = gradients {
                back(builder, *gradient);
            }
        });
        value
    }

    /// Whether a value's gradient is of use: whether its maker left how it goes back.
    pub fn wants(&self, value: Value) -> bool {
        let mut makers = self.tape.makers.iter();
        makers.any(|(made, _)| made.contains(&value))
    }

    /// What a value is.
    pub fn signal(&self, value: Value) -> Signal {
        self.tape.values[value.0].signal
    }

    /// The axis that a value lies along.
    pub fn axis(&self, value: Value) -> Axis {
        self.tape.values[value.0].axis
    }

    /// A value's rows.
    ///
    /// # Errors
    /// Internal, for ids that no layer has read.
    pub fn rows(&self, value: Value) -> Result<Matrix> {
        let Entry { name, signal, .. } = &self.tape.values[value.0];
        match signal {
            Signal::Rows(rows) => Ok(*rows),
            Signal::OneHot { .. } | Signal::Embedded { .. } => {
                Err(Error::internal(format!("{name}: ids are no rows")))
            }
        }
    }

    /// Gives a value a gradient that nobody else uses from here on.
    pub fn give(&mut self, to: Value, gradient: Matrix) {
        let own = self.tape.values[to.0].gradient;
        match own {
            Some(own) => self.add(self.adding(to), gradient, own, true),
            None => self.tape.values[to.0].gradient = Some(gradient),
        }
    }

    /// Lets a value have a gradient that others use too.
    pub fn lend(&mut self, to: Value, gradient: Matrix) {
        let Entry {
            name,
            axis,
            gradient: own,
            ..
        } = &self.tape.values[to.0];
        let (name, axis, own) = (format!("d.{name}"), *axis, *own);
        let into = own.unwrap_or_else(|| self.activation(axis, name, gradient.cols));
        self.add(self.adding(to), gradient, into, own.is_some());
        self.tape.values[to.0].gradient = Some(into);
    }

    fn adding(&self, to: Value) -> String {
        format!("{}.backward", self.tape.values[to.0].name)
    }

    /// Writes the backward pass: walks the tape back.
    pub fn go_back(&mut self) {
        while let Some((made, back)) = self.tape.makers.pop() {
            let gradient = |value: &Value| self.tape.values[value.0].gradient;
            let gradients: Vec<Option<Matrix>> = made.iter().map(gradient).collect();
            if gradients.iter().any(Option::is_some) {
                back(self, &gradients);
            }
        }
    }
}
