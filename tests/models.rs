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
use wgrnn::task::{Column, LossWeight, Minibatch, Weighting};

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
