//! Models as text: from a few lines of equations of a sequence to the plan that executors run.
//!
//! [`Model::parse`] turns a text into fields, values and losses that fit together (`parse`, `check`); [`Model::plan`]
//! writes their layers into a plan (`write`) for given [`Sizes`] and the settings of a [`Spec`]. The text says what is
//! made of what; everything else, such as the cell, the hidden size or the softmax, the line may say or the settings do.
//! The language: `assets/models/LANGUAGE.md`.
//!
//! A classifier, from its text to its loss:
//!
//! ```
//! use std::sync::Arc;
//! use wgrnn::cell::library;
//! use wgrnn::exec::cpu::Cpu;
//! use wgrnn::model::text::{FieldSize, Model, Sizes};
//! use wgrnn::model::{Init, Mode, Spec, initialize};
//! use wgrnn::task::{Column, LossWeight, Minibatch, Weighting};
//!
//! # fn main() -> wgrnn::Result<()> {
//! let model = Model::parse("classify", "
//!     field text: tokens
//!     field label: class
//!     h = rnn(embed(text))
//!     loss cross_entropy(linear(last(h)), label)
//! ")?;
//! let cells = vec![Arc::new(library::builtin("gru")?)];
//! let settings = Spec { cells, hidden: 8, embed: 5, ..Spec::default() };
//! // The most that a minibatch may need: examples, and by field steps and rows.
//! let tokens = FieldSize::Tokens { symbols: 10, marks: [0, 0], steps: 6, rows: 12 };
//! let sizes = Sizes { examples: 3, fields: vec![tokens, FieldSize::Classes(4)] };
//! let plan = Arc::new(model.plan(&settings, &sizes, Mode::Gradients)?);
//! assert_eq!(plan.parameters[1].name, "h.weight_ih_l0");
//!
//! // A column a field; sequences are sorted and packed here.
//! let text = vec![vec![3, 1], vec![4, 1, 5, 9, 2, 6], vec![5, 3, 5]];
//! let columns = [Column::Tokens(text), Column::Class(vec![0, 3, 1])];
//! let means = Weighting::Means(vec![LossWeight::default()]);
//! let minibatch = Minibatch::new(&plan, &columns, &means)?;
//!
//! let mut cpu = Cpu::<f32>::new(plan.clone());
//! let parameters = initialize(&plan, &Init::default())?;
//! cpu.write(plan.io.parameters.unwrap()).copy_from_slice(&parameters);
//! let report = cpu.run(&minibatch.inputs())?.report;
//! let loss = report.loss * minibatch.scale(); // the mean over the examples, in nats
//! assert!((loss - f64::ln(4.0)).abs() < 0.1);
//! // The rows of a loss lie by falling length of their sequences.
//! assert_eq!(minibatch.places(0), [(1, 0), (2, 0), (0, 0)]); // (example, step)
//! # Ok(())
//! # }
//! ```

mod check;
mod functions;
mod graph;
pub mod language;
pub mod library;
mod parse;
mod reading;
mod stateful;
mod steps;
#[cfg(test)]
mod tests;
mod write;

pub(super) use library::language;

use std::collections::BTreeMap;

use self::graph::{Along, Function, LossForm, StartOf, ValueNode};
pub use self::graph::{Loss, ModelField, ModelFieldKind, Target};
pub use self::reading::{Forecast, Painting, Reading};
use super::{Mode, Softmax, Spec, Unroll};
use crate::error::{Error, Result};
use crate::layer::{Axis, AxisShape, Builder};
use crate::op::FieldShape;
use write::FieldAxes;

/// A model: fields, values and losses that fit together.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name, by which errors name its text: that of its file without the ending.
    pub name: String,
    /// The text.
    pub text: String,
    fields: Vec<ModelField>,
    nodes: Vec<ValueNode>,
    losses: Vec<Loss>,
    /// By value: that of the round before, which it stands for from its line on.
    earlier: BTreeMap<usize, usize>,
    rounds: usize,
    own_losses: BTreeMap<String, String>,
}

/// The most that a minibatch of a plan may need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The most examples, B.
    pub examples: usize,
    /// The size of every field.
    pub fields: Vec<FieldSize>,
}

/// The size of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldSize {
    /// Of tokens.
    Tokens {
        /// How many symbols there are.
        symbols: usize,
        /// The symbols that stand before and behind a sequence that is predicted, the first also where `previous` looks back
        /// past the beginning.
        marks: [u32; 2],
        /// The most rows of a sequence: its tokens, and one more where it is predicted.
        steps: usize,
        /// The most rows of all sequences of a minibatch.
        rows: usize,
    },
    /// Of classes, an example's or a step's: how many there are.
    Classes(usize),
    /// Of vectors, an example's or a step's: their width.
    Vector(usize),
    /// Of reals or bits.
    Reals {
        /// The width of a step's vector.
        width: usize,
        /// The most steps of a sequence that are read.
        steps: usize,
        /// The most steps of all sequences of a minibatch that are read.
        rows: usize,
    },
}

impl FieldSize {
    fn count(self) -> usize {
        match self {
            FieldSize::Tokens { symbols, .. } => symbols,
            FieldSize::Classes(count)
            | FieldSize::Vector(count)
            | FieldSize::Reals { width: count, .. } => count,
        }
    }

    /// The most steps of a sequence that are read and those of all, where there are any.
    fn steps(self) -> Option<(usize, usize)> {
        match self {
            FieldSize::Tokens { steps, rows, .. } | FieldSize::Reals { steps, rows, .. } => {
                Some((steps, rows))
            }
            FieldSize::Classes(_) | FieldSize::Vector(_) => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            FieldSize::Tokens { .. } => "tokens",
            FieldSize::Classes(_) => "classes",
            FieldSize::Vector(_) => "vectors",
            FieldSize::Reals { .. } => "reals",
        }
    }
}

impl Model {
    /// Reads and checks the text of the model `name`.
    ///
    /// # Errors
    /// Data: whatever is wrong with the text, with line and column.
    pub fn parse(name: &str, text: &str) -> Result<Model> {
        Model::with_losses(name, text, &BTreeMap::new())
    }

    /// The same where the text may name losses beside the built-in ones: programs on rows, by their names and texts. One that
    /// is called as a built-in one is a fault.
    ///
    /// # Errors
    /// As [`Model::parse`], and what is wrong with such a program.
    pub fn with_losses(name: &str, text: &str, own: &BTreeMap<String, String>) -> Result<Model> {
        let parsed = parse::parse(name, text)?;
        let check::Checked {
            fields,
            nodes,
            losses,
            earlier,
        } = check::check(name, &parsed, own)?;
        let programs = losses.iter().filter_map(|loss| match &loss.form {
            LossForm::Program { name, .. } => Some(name),
            LossForm::CrossEntropy { .. } => None,
        });
        let used = programs.filter_map(|name| own.get_key_value(name));
        let used = used
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect();
        Ok(Model {
            name: name.into(),
            text: text.into(),
            fields,
            nodes,
            own_losses: used,
            losses,
            earlier,
            rounds: parsed
                .blocks
                .iter()
                .map(|block| block.times.0 as usize)
                .max()
                .unwrap_or(1),
        })
    }

    /// The texts of the losses that it names and that are not built in, by their names.
    pub fn own_losses(&self) -> &BTreeMap<String, String> {
        &self.own_losses
    }

    /// The fields of the data, in the order in which everything else numbers them.
    pub fn fields(&self) -> &[ModelField] {
        &self.fields
    }

    /// The losses, in order.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// The plan of this model for minibatches of sequences within `sizes`. Of `spec` count the settings of its layers and
    /// of its loss: everything but `vocab`, `packed` and `targets_apart`, which follow from the fields.
    ///
    /// # Errors
    /// Usage: sizes that are not those of the fields, and settings that do not go together; Data: widths that do not fit, with
    /// line and column.
    pub fn plan(&self, spec: &Spec, sizes: &Sizes, mode: Mode) -> Result<super::Plan> {
        self.plan_of(spec, sizes, mode, None)
    }

    /// The plan, where a field is `written` for one step of each of its sequences.
    fn plan_of(
        &self,
        spec: &Spec,
        sizes: &Sizes,
        mode: Mode,
        written: Option<usize>,
    ) -> Result<super::Plan> {
        self.check(spec, sizes, mode)?;
        let training = mode.trains();
        let mut builder = Builder::new(training);
        let rows = self.rows(&mut builder, spec, sizes, written)?;
        builder.plan.recipes.fields = self.field_shapes(spec, sizes, &rows, mode);
        builder.initial = mode == Mode::Gradients;
        builder.scaled = spec.half && training;
        write::write(self, &mut builder, spec, &rows, mode)?;
        // One minibatch in one segment, whatever the axis.
        let axis = rows.examples.or(rows.axes.iter().flatten().next().copied());
        let axis = axis.ok_or_else(|| Error::internal("a model without an axis"))?;
        spec.conclude(builder, axis, (1, Unroll::default()), mode)
    }

    /// Refuses what does not go together before anything is made.
    fn check(&self, spec: &Spec, sizes: &Sizes, mode: Mode) -> Result<()> {
        let (expected, found) = (self.fields.len(), sizes.fields.len());
        if expected != found {
            let message = format!("sizes: expected those of {expected} fields, found {found}");
            return Err(Error::usage(message));
        }
        for (field, size) in self.fields.iter().zip(&sizes.fields) {
            let fits = match field.kind {
                ModelFieldKind::Tokens { .. } => matches!(size, FieldSize::Tokens { .. }),
                ModelFieldKind::Class | ModelFieldKind::Classes { .. } => {
                    matches!(size, FieldSize::Classes(_))
                }
                ModelFieldKind::Vector | ModelFieldKind::RealsAlong { .. } => {
                    matches!(size, FieldSize::Vector(_))
                }
                ModelFieldKind::Reals { .. } => matches!(size, FieldSize::Reals { .. }),
            };
            let marked = match size {
                FieldSize::Tokens { symbols, marks, .. } => {
                    marks.iter().all(|mark| (*mark as usize) < *symbols)
                }
                _ => true,
            };
            let stepped = size
                .steps()
                .is_none_or(|(steps, rows)| steps > 0 && rows > 0);
            let room = size.count() > 0 && marked && stepped;
            if !fits || !room || sizes.examples == 0 {
                let (name, kind) = (&field.name, size.kind());
                return Err(Error::usage(format!(
                    "sizes: expected those of field {name} ({:?}), none of them 0, found {kind}: {size:?}",
                    field.kind
                )));
            }
        }
        if spec.bidirectional {
            return Err(Error::usage(
                "bidirectional: expected false, as a model says so by birnn, got true",
            ));
        }
        let next = |loss: &&Loss| matches!(loss.target, Target::Next(_));
        let next = self.losses.iter().filter(next).count();
        if spec.softmax != Softmax::Full && next != 1 {
            return Err(Error::usage(format!(
                "softmax: expected full, as {} losses predict the next token, got another",
                next
            )));
        }
        if spec.tie && next == 0 {
            return Err(Error::usage(
                "tie: expected false, as no loss predicts the next token, got true",
            ));
        }
        if spec.stateful > 0 {
            self.check_stateful()?;
        }
        // What looks at steps by their place knows no packed sequences.
        let packed = Spec {
            packed: 1,
            bidirectional: false,
            ..spec.clone()
        };
        packed.check(mode, Unroll::default(), 1)
    }

    /// Whether a line draws random numbers, in training and out of it.
    pub fn draws(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| node.function == Function::Sample)
    }

    /// Whether its lines look at an image an example by `glimpse`.
    pub fn has_glimpses(&self) -> bool {
        let eye = |node: &&ValueNode| matches!(node.function, Function::Glimpse { .. });
        let mut eyes = self.nodes.iter().filter(eye).peekable();
        eyes.peek().is_some() && eyes.all(|node| node.along == Along::Examples)
    }

    /// Whether a line is held constant as far as gradients go: training then lowers something else than the sum of the losses.
    pub fn stops(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| node.function == Function::Stop)
    }

    /// How often a line is made at most: the largest N of `repeat N`.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Whether a line has recurrent layers of the cell that the settings name.
    pub fn takes_cell(&self) -> bool {
        let of_settings = |node: &ValueNode| matches!(&node.function, Function::Recurrent { sizes, .. } if sizes.cell.is_none());
        self.nodes.iter().any(of_settings)
    }

    /// Whether the layers of a line begin with a row an example that no line makes: the last states of others.
    fn ends_by_example(&self, node: &ValueNode) -> bool {
        let states = match node.function {
            Function::Recurrent { start, .. } => start,
            _ => None,
        };
        let within = |field: usize| {
            let kind = self.fields[field].kind;
            matches!(kind, ModelFieldKind::Tokens { within, .. } if within.is_some())
        };
        matches!(states, Some(StartOf::States(_)))
            && matches!(node.along, Along::Steps(field) if !within(field))
    }

    /// Adds the axes of a minibatch of sequences.
    fn rows(
        &self,
        builder: &mut Builder,
        spec: &Spec,
        sizes: &Sizes,
        written: Option<usize>,
    ) -> Result<FieldAxes> {
        let by_example = self
            .nodes
            .iter()
            .any(|node| node.along == Along::Examples || self.ends_by_example(node))
            || self.losses.iter().any(|loss| loss.along == Along::Examples);
        let examples = by_example.then(|| {
            builder.add_axis(AxisShape {
                steps: 1,
                batch: sizes.examples,
                packed: Some(sizes.examples),
                segments: 1,
            })
        });
        builder.plan.recipes.examples = examples.and_then(|axis| axis.number());
        let mut axes: Vec<Option<Axis>> = Vec::new();
        for (n, (field, size)) in self.fields.iter().zip(&sizes.fields).enumerate() {
            let Some((steps, rows)) = size.steps() else {
                axes.push(None);
                continue;
            };
            let within = match field.kind {
                ModelFieldKind::Tokens { within, .. } => within,
                _ => None,
            };
            let above = match within {
                Some(other) => axes[other],
                None => examples,
            };
            let mut made = builder.add_axis(AxisShape {
                steps,
                batch: match within {
                    Some(_) => above.map_or(1, |axis| axis.rows()),
                    None if written == Some(n) => rows,
                    None => sizes.examples,
                },
                packed: Some(rows),
                segments: 1,
            });
            if let Some(number) = made.number() {
                builder.plan.axes[number].above = above.and_then(|axis| axis.number());
            }
            if written == Some(n) {
                builder.write_along(made);
            }
            made.carried = spec.stateful > 0;
            if made.carried && rows != steps * made.batch {
                let (name, batch) = (&field.name, made.batch);
                return Err(Error::internal(format!(
                    "field {name}: expected {batch} segments of {steps} steps each, found {rows} rows"
                )));
            }
            axes.push(Some(made));
        }
        Ok(FieldAxes {
            axes,
            examples,
            sizes: sizes.fields.iter().map(|size| size.count()).collect(),
            stream: false,
        })
    }

    /// What a minibatch must know of the fields.
    fn field_shapes(
        &self,
        spec: &Spec,
        sizes: &Sizes,
        rows: &FieldAxes,
        mode: Mode,
    ) -> Vec<FieldShape> {
        let of = |(n, size): (usize, &FieldSize)| {
            let axis = rows.axes[n].and_then(|axis| axis.number());
            match (self.fields[n].kind, *size) {
                (ModelFieldKind::Tokens { predicted, .. }, size) => FieldShape::Tokens {
                    axis,
                    symbols: size.count(),
                    marks: match size {
                        FieldSize::Tokens { marks, .. } => marks,
                        _ => [0, 0],
                    },
                    predicted,
                },
                (ModelFieldKind::Class, size) => FieldShape::Class {
                    classes: size.count(),
                },
                (ModelFieldKind::Classes { along }, size) => FieldShape::Classes {
                    classes: size.count(),
                    along,
                },
                (ModelFieldKind::Vector, size) => FieldShape::Vector {
                    width: size.count(),
                },
                (ModelFieldKind::RealsAlong { along, .. }, size) => FieldShape::RealsAlong {
                    width: size.count(),
                    along,
                },
                (ModelFieldKind::Reals { bits, .. }, size) => FieldShape::Reals {
                    axis,
                    width: size.count(),
                    bits,
                    // Without losses all steps are read.
                    ahead: match mode {
                        Mode::Scores => 0,
                        _ => self.ahead(n, spec.horizon),
                    },
                },
            }
        };
        sizes.fields.iter().enumerate().map(of).collect()
    }

    /// How many steps of a field the losses predict behind each that is read, where `horizon` is that of the settings.
    pub fn ahead(&self, field: usize, horizon: usize) -> usize {
        let nodes = self.nodes.iter();
        let ahead = nodes.filter_map(|node| match node.function {
            Function::Ahead { field: f, steps } if f == field => Some(steps.unwrap_or(horizon)),
            _ => None,
        });
        ahead.max().unwrap_or(0)
    }

    /// Whether a loss predicts as many steps ahead as a run's settings say, as its line does not.
    pub fn has_open_horizon(&self) -> bool {
        let open = |node: &ValueNode| matches!(node.function, Function::Ahead { steps: None, .. });
        self.nodes.iter().any(open)
    }

    /// Writes the forward pass and the losses of a [`Spec`] along the one axis of its one field.
    pub(super) fn stream(
        &self,
        builder: &mut Builder,
        spec: &Spec,
        axis: Axis,
        mode: Mode,
    ) -> Result<()> {
        let rows = FieldAxes {
            axes: vec![Some(axis)],
            examples: None,
            sizes: vec![spec.vocab],
            stream: true,
        };
        builder.plan.recipes.fields = vec![FieldShape::Tokens {
            axis: axis.number(),
            symbols: spec.vocab,
            marks: [0, 0],
            predicted: true,
        }];
        write::write(self, builder, spec, &rows, mode)
    }
}
