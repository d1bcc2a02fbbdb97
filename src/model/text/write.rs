//! From a checked model to the operations of a plan: every value by its layer, then every loss.

mod filters;
mod fits;
mod losses;
mod starts;
mod widths;

use std::sync::Arc;

use self::filters::FiltersOf;
use super::Model;
use super::check::{any_round, sharing};
use super::graph::{
    self, Along, AttendScores, Function, LayerSizes, Loss, LossForm, ModelFieldKind, ValueNode,
};
use crate::cell::rows::RowProgram;
use crate::cell::{Cell, library};
use crate::error::{Error, Result};
use crate::layer::{
    self, AttentionRows, Axis, Builder, ColumnPart, DropoutForm, DropoutLayer, Linear, Param,
    Signal, Value,
};
use crate::model::head::Table;
use crate::model::stack::{self, Beside, LayerStates};
use crate::model::{Mode, Spec};
use crate::op::{Matrix, Reach, Recipe, Role};
use crate::syntax::fault;

/// Where the rows of a model's fields lie.
pub(super) struct FieldAxes {
    /// The axis of every field of tokens.
    pub axes: Vec<Option<Axis>>,
    /// The axis with one row an example.
    pub examples: Option<Axis>,
    /// By field: symbols, classes, or the width of vectors.
    pub sizes: Vec<usize>,
    /// Whether it is a stream, in which every next token is a target.
    pub stream: bool,
}

struct Writer<'a> {
    model: &'a Model,
    spec: &'a Spec,
    mode: Mode,
    rows: &'a FieldAxes,
    /// What each value was made into.
    values: Vec<Option<Value>>,
    /// The last states of the recurrent layers whose states others begin with, layer by layer.
    lasts: Vec<Vec<LayerStates>>,
    /// The weight that each layer may share.
    weights: Vec<Option<Param>>,
    /// By the first `split` of a value into so many parts, and by hard attention: all that was made.
    splits: Vec<Option<Vec<Value>>>,
    /// What each line of attention looks at.
    looks: Vec<Option<AttentionRows>>,
    /// The filters so far.
    filters: Vec<(FiltersOf, Value)>,
    /// How wide a loss wants each value, where it says it.
    wanted: Vec<Option<usize>>,
}

/// Writes the forward pass and the losses.
pub(super) fn write(
    model: &Model,
    builder: &mut Builder,
    spec: &Spec,
    rows: &FieldAxes,
    mode: Mode,
) -> Result<()> {
    let mut writer = Writer {
        model,
        spec,
        mode,
        rows,
        values: vec![None; model.nodes.len()],
        wanted: widths::wanted(model, spec, &rows.sizes)?,
        lasts: vec![Vec::new(); model.nodes.len()],
        weights: vec![None; model.nodes.len()],
        splits: vec![None; model.nodes.len()],
        looks: vec![None; model.nodes.len()],
        filters: Vec::new(),
    };
    builder.of_rounds = Some(any_round);
    let ahead = graph::ahead(&model.fields, &model.nodes);
    for (number, node) in model.nodes.iter().enumerate() {
        // A loss makes its own linear layer, unless its scores are read, too; nobody knows yet what is ahead.
        let read = model
            .nodes
            .iter()
            .any(|node| node.operands.contains(&number));
        let own = |loss: &Loss| !read && loss.form == LossForm::CrossEntropy { scores: number };
        if model.losses.iter().any(own) || (mode == Mode::Scores && ahead[number]) {
            continue;
        }
        writer.values[number] = writer.node(builder, number, node)?;
        if let Some(message) = &builder.apart {
            return Err(writer.fault(node, message));
        }
    }
    for (number, loss) in model.losses.iter().enumerate() {
        writer.loss(builder, number, loss)?;
    }
    builder.plan.io.logits = builder.plan.io.outputs[0].scores.map(|scores| scores.slot);
    Ok(())
}

impl Writer<'_> {
    fn fault(&self, node: &ValueNode, message: impl std::fmt::Display) -> Error {
        fault(&self.model.name, node.position, message)
    }

    /// The value of an operand.
    fn value(&self, node: usize) -> Result<Value> {
        let label = &self.model.nodes[node].label;
        self.values[node].ok_or_else(|| Error::internal(format!("{label}: no value yet")))
    }

    fn axis(&self, along: Along) -> Result<Axis> {
        let axis = match along {
            Along::Steps(field) => self.rows.axes[field],
            Along::Examples => self.rows.examples,
        };
        axis.ok_or_else(|| Error::internal("a value along no axis"))
    }

    /// The rows of an operand: ids are looked up.
    fn operand(&self, builder: &mut Builder, node: &ValueNode, place: usize) -> Result<Value> {
        let value = self.value(node.operands[place])?;
        let name = match node.operands.len() {
            1 => format!("line.{}", node.label),
            _ => format!("line.{}.{place}", node.label),
        };
        builder.as_rows(&name, value).ok_or_else(|| {
            let label = &self.model.nodes[node.operands[place]].label;
            Error::internal(format!("{label}: no rows"))
        })
    }

    /// All operands along the axis of what is made of them.
    fn operands(&self, builder: &mut Builder, node: &ValueNode) -> Result<Vec<Value>> {
        self.places(builder, node, 0..node.operands.len())
    }

    /// The operands at some places along the axis of what is made of them.
    fn places(
        &self,
        builder: &mut Builder,
        node: &ValueNode,
        places: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<Value>> {
        let axis = self.axis(node.along)?;
        let mut values = Vec::new();
        for place in places {
            let value = self.operand(builder, node, place)?;
            let name = format!("line.{}.{place}", node.label);
            values.push(if builder.axis(value) == axis {
                value
            } else {
                layer::spread(builder, &name, value, axis)?
            });
        }
        Ok(values)
    }

    fn node(
        &mut self,
        builder: &mut Builder,
        number: usize,
        node: &ValueNode,
    ) -> Result<Option<Value>> {
        let spec = self.spec;
        let name = format!("line.{}", node.label);
        Ok(Some(match &node.function {
            Function::Read { field, back } => match self.model.fields[*field].kind {
                ModelFieldKind::Vector
                | ModelFieldKind::RealsAlong { .. }
                | ModelFieldKind::Reals { .. } => {
                    self.numbers(builder, node, *field, Reach::back(*back))?
                }
                _ => return Ok(None),
            },
            Function::Grams { .. } | Function::Positions { .. } => return Ok(None),
            Function::Window { field, steps } => {
                self.numbers(builder, node, *field, Reach::window(*steps))?
            }
            Function::Zeros { width } => {
                let width = width.or(self.wanted[number]).unwrap_or(spec.hidden);
                layer::zeros(builder, &name, self.axis(node.along)?, width)
            }
            Function::Sample => {
                let operands = self.operands(builder, node)?;
                self.one_width(builder, node, &operands)?;
                let width = builder.signal(operands[0]).width();
                let axis = self.axis(node.along)?;
                let draws = layer::draws(builder, &format!("{name}.draws"), axis, width);
                if spec.prior {
                    return Ok(Some(draws));
                }
                let program = RowProgram::parse(&node.label, SAMPLE)?;
                layer::rows(
                    builder,
                    &name,
                    &program,
                    &[&operands[..], &[draws]].concat(),
                )?
            }
            Function::Stop => {
                let input = self.operand(builder, node, 0)?;
                layer::stop(builder, &name, input)?
            }
            Function::Glimpse {
                size,
                scales,
                width,
            } => {
                self.place(builder, node, "glimpse", (2, "two"))?;
                let [width, _] = self.image_sides(builder, node, ("glimpse", 0), *width)?;
                let operands = self.operands(builder, node)?;
                let [image, at] = operands[..] else {
                    return Err(self.fault(node, "no place"));
                };
                layer::retina(builder, &name, [image, at], width, [*size, *scales])?
            }
            Function::ReadPatch { size, width } => self.read_patch(builder, node, *size, *width)?,
            Function::WritePatch { width } => self.write_patch(builder, node, *width)?,
            Function::Right { target } => {
                let scores = self.operand(builder, node, 0)?;
                let Some(field) = target.field() else {
                    return Err(self.fault(node, "nothing that is right"));
                };
                let symbols = self.rows.sizes[field];
                self.scores_of(builder, node, scores, field)?;
                layer::right(builder, &name, scores, (field, symbols))?
            }
            Function::Repeat { times } => {
                let input = self.operand(builder, node, 0)?;
                let times = times.unwrap_or(spec.horizon);
                layer::concat(builder, &name, &vec![input; times])?
            }
            Function::Ahead { field, steps } => {
                let reach = Reach::ahead(steps.unwrap_or(spec.horizon));
                self.numbers(builder, node, *field, reach)?
            }
            Function::Embed { width, weight } => self.embed(builder, number, *width, *weight)?,
            Function::Linear {
                width,
                weight,
                parts,
            } => {
                let input = self.operand(builder, node, 0)?;
                let shared = self.shared(*weight);
                let own = shared.map(|weight| weight.value.rows);
                let width = width.or(own).or(self.wanted[number]);
                let width = width.or_else(|| self.wanted_by_memory(builder, number));
                let width = width.unwrap_or(spec.hidden);
                self.fits(builder, node, input, shared, width)?;
                let linear = Linear::new(&node.label, width, shared).parts(*parts);
                let (value, param) = linear.write_shared(builder, input)?;
                self.weights[number] = Some(param);
                value
            }
            Function::Recurrent {
                both,
                given,
                start,
                memories,
                weight,
                ..
            } => {
                let stack = self.stack(node, *both)?;
                let input = match given {
                    None => self.value(node.operands[0])?,
                    Some(given) => {
                        let operands = self.places(builder, node, [0, *given])?;
                        self.check_given(node, &stack)?;
                        layer::concat(builder, &format!("given.{}", node.label), &operands)?
                    }
                };
                let memories = memories
                    .iter()
                    .map(|place| self.operand(builder, node, *place));
                let memories = memories.collect::<Result<Vec<Value>>>()?;
                self.check_memories(builder, node, &stack, &memories)?;
                let beside = Beside {
                    start: self.start(builder, node, &stack, *start)?,
                    memories,
                    above: self.above_last(number)?,
                };
                let made = match weight {
                    None => stack.stack_from(builder, &node.label, input, &beside)?,
                    Some(of) => {
                        let of = &self.model.nodes[*of].label;
                        let known = builder.share(of);
                        let name = sharing(of, number);
                        let made = stack.stack_from(builder, &name, input, &beside)?;
                        self.nothing_of_its_own(builder, node, known)?;
                        made
                    }
                };
                self.lasts[number] = made.last;
                made.output
            }
            Function::Hard => {
                let Some(looked) = self.looks[node.operands[0]] else {
                    return Err(self.fault(node, "no attention"));
                };
                let all = layer::hard(builder, &node.label, looked)?;
                self.splits[number] = Some(all.to_vec());
                all[0]
            }
            Function::LogProb => self.of_draw(node, 1)?,
            Function::Entropy => self.of_draw(node, 2)?,
            Function::Split { parts, part } => {
                let input = self.operand(builder, node, 0)?;
                self.equal_parts(builder, node, input, *parts)?;
                let same = |other: &ValueNode| match other.function {
                    Function::Split { parts: n, .. } => {
                        n == *parts && other.operands == node.operands
                    }
                    _ => false,
                };
                let before = self.model.nodes[..number].iter().position(same);
                let all = match before.and_then(|first| self.splits[first].clone()) {
                    Some(all) => all,
                    None => {
                        let all = layer::split(builder, &name, input, *parts)?;
                        self.splits[number] = Some(all.clone());
                        all
                    }
                };
                all[*part]
            }
            Function::Dropout { rate } => {
                let input = self.operand(builder, node, 0)?;
                let rate = rate.unwrap_or(spec.dropout);
                DropoutLayer::new(name, rate, DropoutForm::Element).write(builder, input)?
            }
            Function::Norm => {
                let input = self.operand(builder, node, 0)?;
                stack::layer_norm(builder, format!("{}.norm", node.label), input)?
            }
            Function::Concat => {
                let operands = self.operands(builder, node)?;
                layer::concat(builder, &name, &operands)?
            }
            Function::Add => {
                let operands = self.operands(builder, node)?;
                self.one_width(builder, node, &operands)?;
                layer::sum(builder, &name, &operands)?
            }
            Function::Pointwise { program } => {
                let operands = self.operands(builder, node)?;
                self.one_width(builder, node, &operands)?;
                let program = RowProgram::parse(&node.label, program)?;
                layer::rows(builder, &name, &program, &operands)?
            }
            Function::Attend { scores } => {
                let memory = self.operand(builder, node, 0)?;
                let query = self.operand(builder, node, 1)?;
                let scores = match scores {
                    AttendScores::Dot => {
                        self.one_width(builder, node, &[memory, query])?;
                        layer::Scores::Dot
                    }
                    AttendScores::Additive { width } => {
                        layer::Scores::Additive(width.unwrap_or(spec.hidden))
                    }
                };
                let (made, looked) = layer::attend(builder, &node.label, memory, query, scores)?;
                self.looks[number] = Some(looked);
                made
            }
            Function::Last => {
                let input = self.operand(builder, node, 0)?;
                let width = builder.signal(input).width();
                let parts = self.ends(node, width)?;
                layer::last(builder, &name, input, self.axis(node.along)?, &parts)?
            }
            Function::Pool(pool) => {
                let input = self.operand(builder, node, 0)?;
                layer::pool(builder, &name, input, self.axis(node.along)?, *pool)?
            }
        }))
    }

    /// What hard attention says beside its row: the logarithm of how likely that was, or the entropy.
    fn of_draw(&self, node: &ValueNode, fact: usize) -> Result<Value> {
        let drawn = self.splits[node.operands[0]].as_ref();
        let found = drawn.and_then(|all| all.get(fact).copied());
        found.ok_or_else(|| self.fault(node, "no draw"))
    }

    /// A field's numbers, which the host fills in.
    fn numbers(
        &self,
        builder: &mut Builder,
        node: &ValueNode,
        field: usize,
        reach: Reach,
    ) -> Result<Value> {
        let recipe = Recipe::Numbers { field, reach };
        let axis = self.axis(node.along)?;
        let width = reach.steps * self.rows.sizes[field];
        let name = match reach.first {
            0 => format!("vectors.{field}"),
            _ if reach.steps > 1 && reach.first < 0 => {
                format!("vectors.{field}.window.{}", reach.steps)
            }
            1.. => format!("vectors.{field}.next.{}", reach.steps),
            _ => format!("vectors.{field}.previous.{}", -reach.first),
        };
        let slot = builder.plan.recipes.find(|known| *known == recipe);
        let slot = slot.unwrap_or_else(|| {
            let shape = [axis.rows(), width];
            let slot = builder.plan.add(&name, &shape, Role::Numbers);
            builder.plan.recipes.slots.push((slot, recipe));
            slot
        });
        let rows = Matrix {
            row_count: axis.row_count(),
            ..builder.plan.matrix(slot)
        };
        Ok(builder.value(name, Signal::Rows(rows), axis))
    }

    fn shared(&self, weight: Option<usize>) -> Option<Param> {
        weight.and_then(|node| self.weights[node])
    }

    fn embed(
        &mut self,
        builder: &mut Builder,
        number: usize,
        width: Option<usize>,
        weight: Option<usize>,
    ) -> Result<Value> {
        let (model, spec) = (self.model, self.spec);
        let node = &model.nodes[number];
        let read = &model.nodes[node.operands[0]];
        let axis = self.axis(node.along)?;
        let (ids, symbols) = match read.function {
            Function::Read { field, back } => {
                let symbols = self.rows.sizes[field];
                let ids = if is_tokens(model, field) {
                    builder.add_ids(axis, symbols, field, back)
                } else {
                    let recipe = Recipe::Classes { field };
                    builder.add_rows(axis, format!("classes.{field}"), recipe, symbols)
                };
                (ids, symbols)
            }
            Function::Grams {
                field,
                tokens,
                symbols,
            } => {
                let recipe = Recipe::Grams {
                    field,
                    tokens,
                    symbols,
                };
                let name = format!("grams.{field}.{tokens}.{symbols}");
                (builder.add_rows(axis, name, recipe, symbols), symbols)
            }
            Function::Positions { field, symbols } => {
                let recipe = Recipe::Positions { field, symbols };
                let name = format!("positions.{field}.{symbols}");
                (builder.add_rows(axis, name, recipe, symbols), symbols)
            }
            _ => return Err(self.fault(node, "no field to embed")),
        };
        let one_hot = Signal::OneHot {
            ids,
            vocab: symbols,
        };
        let width = match width.unwrap_or(spec.embed) {
            0 if self.read_as_rows(number) => spec.hidden,
            width => width,
        };
        let signal = match (weight, self.shared(weight)) {
            (Some(_), None) => one_hot,
            (_, Some(table)) if table.value.rows != symbols => {
                let rows = table.value.rows;
                let name = &read.label;
                return Err(self.fault(
                    node,
                    format!("weight: a table of {rows} symbols, but `{name}` has {symbols}"),
                ));
            }
            (_, Some(table)) => Signal::Embedded { ids, table },
            (None, None) if width == 0 => one_hot,
            (None, None) => {
                let uses = |node: &&ValueNode| match node.function {
                    Function::Embed { weight, .. } | Function::Linear { weight, .. } => {
                        weight == Some(number)
                    }
                    _ => false,
                };
                let table = spec.embedding(
                    builder,
                    &Table {
                        label: &node.label,
                        symbols,
                        width,
                        ids: (ids, axis.rows()),
                        sparse: !model.nodes.iter().any(|node| uses(&node)),
                    },
                );
                self.weights[number] = Some(table);
                Signal::Embedded { ids, table }
            }
        };
        let value = builder.value(&node.label, signal, axis);
        match read.function {
            // A class is no token.
            Function::Read { field, .. } if !is_tokens(model, field) => Ok(value),
            _ => {
                let name = format!("{}.tokens", node.label);
                DropoutLayer::new(name, spec.drops.tokens, DropoutForm::Token).write(builder, value)
            }
        }
    }

    /// Whether a line reads an embedding as rows: any but one whose cells read nothing else, which take one-hot vectors too.
    fn read_as_rows(&self, number: usize) -> bool {
        let nodes = self.model.nodes.iter().enumerate();
        nodes.into_iter().any(|(n, node)| match node.function {
            Function::Recurrent { given: None, .. } => node.operands[1..].contains(&number),
            Function::Embed { weight, .. } => weight == Some(number) && self.read_as_rows(n),
            Function::Linear { weight, .. } if weight == Some(number) => true,
            _ => node.operands.contains(&number),
        })
    }

    /// The settings of a line's recurrent layers.
    fn stack(&self, node: &ValueNode, both: bool) -> Result<Spec> {
        let mut spec = self.spec.clone();
        let Function::Recurrent { sizes, .. } = &node.function else {
            return Ok(spec);
        };
        let LayerSizes {
            cell,
            hidden,
            layers,
        } = sizes;
        spec.bidirectional |= both;
        spec.hidden = hidden.unwrap_or(spec.hidden);
        if let Some(name) = cell {
            let cell: Arc<Cell> = Arc::new(library::builtin(name)?);
            spec.cells
                .iter_mut()
                .for_each(|known| *known = cell.clone());
        }
        let own = spec.cells.len();
        if let Some(layers) = layers.filter(|layers| *layers != own) {
            let first = spec.cells.first().cloned();
            let mixed = spec
                .cells
                .iter()
                .any(|cell| Some(&cell.name) != first.as_ref().map(|c| &c.name));
            match first {
                Some(cell) if !mixed => spec.cells = vec![cell; layers],
                _ => {
                    let message = format!(
                        "layers: expected {own}, as the settings name a cell for each of so many layers, found {layers}"
                    );
                    return Err(self.fault(node, message));
                }
            }
        }
        Ok(spec)
    }

    /// Where the columns of an operand of `last` end.
    fn ends(&self, node: &ValueNode, width: usize) -> Result<Vec<ColumnPart>> {
        let whole = vec![ColumnPart {
            cols: width,
            reversed: false,
        }];
        let source = &self.model.nodes[node.operands[0]];
        let Function::Recurrent { both, .. } = source.function else {
            return Ok(whole);
        };
        let stack = self.stack(source, both)?;
        if !stack.bidirectional {
            return Ok(whole);
        }
        let feed_forward = stack.cells.iter().any(|cell| cell.is_feed_forward());
        if stack.project > 0 || feed_forward {
            let what = if stack.project > 0 {
                "project above 0"
            } else {
                "a cell without a memory"
            };
            let message = format!(
                "`last` expects both directions side by side, each of which ends elsewhere; found them mixed by {what}"
            );
            return Err(self.fault(node, message));
        }
        let part = |reversed| ColumnPart {
            cols: stack.hidden,
            reversed,
        };
        let blocks = width / (2 * stack.hidden);
        Ok([part(false), part(true)].repeat(blocks))
    }
}

/// What a draw from a Gaussian is of the unit Gaussian's e.
const SAMPLE: &str = "row mu, s, e\nmade = mu + exp(0.5 * s) * e\n";

fn is_tokens(model: &Model, field: usize) -> bool {
    matches!(model.fields[field].kind, ModelFieldKind::Tokens { .. })
}
