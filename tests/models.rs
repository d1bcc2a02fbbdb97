//! Models as text: every built-in one and every function by finite differences, packed against alone, and what texts are
//! refused for.

use std::sync::Arc;

use wgrnn::cell::library as cells;
use wgrnn::exec::cpu::Cpu;
use wgrnn::model::text::{FieldKind, FieldSize, Model, Sizes, library};
use wgrnn::model::{Mode, Spec};
use wgrnn::op::Plan;
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::differences::{differences, worst};
use wgrnn::task::{Column, MadeUp, Minibatch, Weighting};

/// Odd sizes: 4 examples of at most 5 steps, 13 rows in all.
const EXAMPLES: usize = 4;

fn settings(cell: &str, layers: usize) -> Spec {
    let cell = Arc::new(cells::builtin(cell).unwrap());
    Spec {
        cells: vec![cell; layers],
        hidden: 3,
        embed: 5,
        ..Spec::default()
    }
}

/// Sizes of every field of a model.
fn sizes(model: &Model, examples: usize, steps: usize, rows: usize) -> Sizes {
    let size = |kind: FieldKind| match kind {
        FieldKind::Tokens { within, .. } => FieldSize::Tokens {
            symbols: 7,
            marks: [5, 6],
            steps: steps - usize::from(within.is_some()),
            rows: if within.is_some() { 2 * rows } else { rows },
        },
        FieldKind::Class | FieldKind::Classes { .. } => FieldSize::Classes(3),
        FieldKind::Vector => FieldSize::Vector(5),
    };
    Sizes {
        examples,
        fields: model.fields().iter().map(|f| size(f.kind)).collect(),
    }
}

fn plan(model: &Model, spec: &Spec, mode: Mode) -> Arc<Plan> {
    let sizes = sizes(model, EXAMPLES, 5, 13);
    Arc::new(model.plan(spec, &sizes, mode).unwrap())
}

fn check_differences(model: &Model, spec: &Spec) {
    for fast in [false, true] {
        let slopes = differences(plan(model, spec, Mode::Gradients), fast).unwrap();
        assert!(slopes.len() > 20, "{}", model.name);
        let worst = worst(&slopes).unwrap();
        assert!(worst.passed(), "{}: {}", model.name, worst.fault());
        let zero = slopes.iter().filter(|s| s.want.abs() > 1e-6).count();
        assert!(2 * zero > slopes.len(), "{}: most slopes are 0", model.name);
    }
}

#[test]
fn every_builtin_model_passes_finite_differences() {
    for name in library::names() {
        let model = library::builtin(name).unwrap();
        check_differences(&model, &settings("gru", 1));
    }
}

/// A minibatch of examples of different lengths, in an order that is not that of any axis.
fn examples(model: &Model) -> Vec<Column> {
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
            FieldKind::Tokens { within: None, .. } => {
                Column::Tokens(lengths.iter().map(|n| draw(7, n[field % 2])).collect())
            }
            FieldKind::Tokens { .. } => {
                let words = lengths.iter().map(|n| n[0]);
                let word = |n: usize| (0..n).map(|w| draw(7, 1 + (w + n) % 3)).collect();
                Column::Within(words.map(word).collect())
            }
            FieldKind::Class => Column::Class(draw(3, lengths.len())),
            FieldKind::Classes { along } => {
                Column::Classes(lengths.iter().map(|n| draw(3, n[along % 2])).collect())
            }
            FieldKind::Vector => {
                let vector = |_: &[usize; 2]| (0..5).map(|_| numbers.normal() as f32).collect();
                Column::Vector(lengths.iter().map(vector).collect())
            }
        })
        .collect()
}

/// One of the examples alone.
fn one(columns: &[Column], n: usize) -> Vec<Column> {
    let alone = |column: &Column| match column {
        Column::Tokens(all) => Column::Tokens(vec![all[n].clone()]),
        Column::Within(all) => Column::Within(vec![all[n].clone()]),
        Column::Class(all) => Column::Class(vec![all[n]]),
        Column::Classes(all) => Column::Classes(vec![all[n].clone()]),
        Column::Vector(all) => Column::Vector(vec![all[n].clone()]),
    };
    columns.iter().map(alone).collect()
}

/// The sum of the losses and the gradients of it, at the same parameters in every plan of a model. What an earlier run left
/// in the slots must not matter.
fn run(plan: &Arc<Plan>, columns: &[Column], fast: bool) -> (f64, Vec<f64>) {
    let minibatch = Minibatch::new(plan, columns, &Weighting::Sums).unwrap();
    let mut cpu = if fast {
        Cpu::<f64>::new(plan.clone())
    } else {
        Cpu::<f64>::plain(plan.clone())
    };
    let mut stream = Stream::new(9, Purpose::Check, 1);
    for p in cpu.write(plan.io.parameters.unwrap()) {
        *p = 0.6 * stream.normal();
    }
    cpu.run(&MadeUp::new(plan, 1).inputs()).unwrap();
    let report = cpu.run(&minibatch.inputs()).unwrap().report;
    assert!(report.finite);
    (report.loss, cpu.read(plan.io.gradients.unwrap()).to_vec())
}

fn check_packed(model: &Model, spec: &Spec, room: Sizes) {
    let columns = examples(model);
    let plan_of = |sizes: &Sizes| Arc::new(model.plan(spec, sizes, Mode::Gradients).unwrap());
    let together = plan_of(&room);
    for fast in [false, true] {
        let (got, gradients) = run(&together, &columns, fast);
        let mut want = 0.0;
        let mut sums = vec![0.0; gradients.len()];
        for n in 0..EXAMPLES {
            let alone = plan_of(&sizes(model, 1, 5, 5));
            let (loss, gradients) = run(&alone, &one(&columns, n), false);
            want += loss;
            sums.iter_mut().zip(&gradients).for_each(|(s, g)| *s += g);
        }
        let name = &model.name;
        assert!((got - want).abs() < 1e-12 * want, "{name}: {got} {want}");
        let largest = sums.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        assert!(largest > 1e-3, "{name}");
        for (i, (got, want)) in gradients.iter().zip(&sums).enumerate() {
            let off = (got - want).abs();
            assert!(off < 1e-12 * (1.0 + largest), "{name} [{i}]: {got} {want}");
        }
    }
}

#[test]
fn packed_examples_are_those_alone() {
    for name in library::names() {
        let model = library::builtin(name).unwrap();
        let spec = settings("lstm", 2);
        check_packed(&model, &spec, sizes(&model, EXAMPLES, 5, 15));
        // Room for more of everything.
        check_packed(&model, &spec, sizes(&model, EXAMPLES + 2, 7, 24));
    }
}
