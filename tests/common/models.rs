//! Models as text: small settings and sizes, and examples of every kind of field.

use std::sync::Arc;

use wgrnn::cell::library;
use wgrnn::model::text::{FieldSize, Model, ModelFieldKind, Sizes};
use wgrnn::model::{Mode, Spec};
use wgrnn::op::Plan;
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Column;

/// Odd sizes: 4 examples of at most 5 steps, 15 rows in all.
pub const EXAMPLES: usize = 4;
/// Numbers of a step.
pub const REALS: usize = 3;

/// Patches read of images and written, of an example and of steps, of images that are no squares, and by filters that lie partly
/// outside; some are placed by one value.
pub fn patches() -> Model {
    let text = "field image: vector\nfield text: tokens\nfield label: class\n\
        two = concat(image, linear(image, width = 9))\nat = tanh(linear(image)) + 0.7\n\
        a = read(two, at, size = 2, width = 6)\nb = read(two * two, at, size = 2, width = 6)\n\
        c = write(linear(a * b, width = 9), at, two, width = 6)\n\
        h = rnn(embed(text))\n\
        d = write(linear(h, width = 4), linear(h), split(embed(text, width = 12), 1, 2), width = 3)\n\
        loss cross_entropy(linear(read(d, at, size = 3, width = 2)), next(text))\n\
        loss cross_entropy(linear(concat(a, b, c)), label)\n";
    Model::parse("patches", text).unwrap()
}

/// Layers of a built-in cell, of odd widths.
pub fn settings(cell: &str, layers: usize) -> Spec {
    let cell = Arc::new(library::builtin(cell).unwrap());
    Spec {
        cells: vec![cell; layers],
        hidden: 3,
        embed: 5,
        horizon: 2,
        ..Spec::default()
    }
}

/// Sizes of every field of a model.
pub fn sizes(model: &Model, examples: usize, steps: usize, rows: usize) -> Sizes {
    let size = |kind: ModelFieldKind| match kind {
        ModelFieldKind::Tokens { within, .. } => FieldSize::Tokens {
            symbols: 7,
            marks: [5, 6],
            steps: steps - usize::from(within.is_some()),
            rows: if within.is_some() { 2 * rows } else { rows },
        },
        ModelFieldKind::Class | ModelFieldKind::Classes { .. } => FieldSize::Classes(3),
        ModelFieldKind::Vector => FieldSize::Vector(9),
        ModelFieldKind::RealsAlong { .. } => FieldSize::Vector(2),
        ModelFieldKind::Reals { .. } => FieldSize::Reals {
            width: REALS,
            steps,
            rows,
        },
    };
    Sizes {
        examples,
        fields: model.fields().iter().map(|f| size(f.kind)).collect(),
    }
}

/// The plan of a model for [`EXAMPLES`].
pub fn plan(model: &Model, spec: &Spec, mode: Mode) -> Arc<Plan> {
    let sizes = sizes(model, EXAMPLES, 5, 15);
    Arc::new(model.plan(spec, &sizes, mode).unwrap())
}

/// A minibatch of examples of different lengths, in an order that is not that of any axis.
pub fn examples(model: &Model) -> Vec<Column> {
    let mut stream = Stream::new(3, Purpose::Check, 0);
    let mut draw = |below: usize, n: usize| -> Vec<u32> {
        (0..n)
            .map(|_| (stream.uniform() * below as f32) as u32)
            .collect()
    };
    let lengths = [[2, 4], [4, 1], [1, 3], [4, 3]];
    let mut numbers = Stream::new(4, Purpose::Check, 0);
    let fields = model.fields();
    let kinds = fields.iter().map(|f| f.kind).enumerate();
    kinds
        .map(|(field, kind)| match kind {
            ModelFieldKind::Tokens { within: None, .. } => {
                Column::Tokens(lengths.iter().map(|n| draw(7, n[field % 2])).collect())
            }
            ModelFieldKind::Tokens { .. } => {
                let words = lengths.iter().map(|n| n[0]);
                let word = |n: usize| (0..n).map(|w| draw(7, 1 + (w + n) % 3)).collect();
                Column::Within(words.map(word).collect())
            }
            ModelFieldKind::Class => Column::Class(draw(3, lengths.len())),
            ModelFieldKind::Classes { along } => {
                Column::Classes(lengths.iter().map(|n| draw(3, n[along % 2])).collect())
            }
            ModelFieldKind::Reals { bits, .. } => {
                let ahead = model.ahead(field, 2);
                let mut number = |_| match bits {
                    true => f32::from(u8::from(numbers.normal() > 0.5)),
                    false => numbers.normal() as f32,
                };
                let mut steps = |n: &[usize; 2]| {
                    let count = REALS * (n[field % 2] + ahead);
                    (0..count).map(&mut number).collect()
                };
                Column::Reals(lengths.iter().map(&mut steps).collect())
            }
            ModelFieldKind::RealsAlong { along, .. } => {
                let steps = |n: &[usize; 2]| {
                    let count = 2 * n[along % 2];
                    (0..count).map(|_| numbers.normal() as f32).collect()
                };
                Column::Reals(lengths.iter().map(steps).collect())
            }
            ModelFieldKind::Vector => {
                let vector = |_: &[usize; 2]| (0..9).map(|_| numbers.normal() as f32).collect();
                Column::Vector(lengths.iter().map(vector).collect())
            }
        })
        .collect()
}
