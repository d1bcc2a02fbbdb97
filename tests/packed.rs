//! Sequences of different lengths, packed: losses and gradients are those of the sequences one by one.

use std::sync::Arc;

use wgrnn::cell::library;
use wgrnn::exec::Inputs;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::differences::{differences, worst};
use wgrnn::model::{Dims, Mode, Spec};
use wgrnn::op::{Control, Hyper, Plan};
use wgrnn::rng::{Purpose, Stream};

const VOCAB: usize = 6;
/// Falling; of the steps one loses two sequences at once, and one keeps all.
const LENGTHS: [usize; 5] = [6, 4, 4, 2, 1];

/// The inputs and targets of sequences of these lengths.
fn sequences(lengths: &[usize]) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut stream = Stream::new(5, Purpose::Check, 0);
    let mut draw = |n: usize| -> Vec<u32> {
        let token = |_| (stream.uniform() * VOCAB as f32) as u32;
        (0..n).map(token).collect()
    };
    lengths.iter().map(|n| (draw(*n), draw(*n))).collect()
}

struct Packed {
    starts: Vec<u32>,
    ids: Vec<u32>,
    targets: Vec<u32>,
}

/// Step after step, padded to `rows` rows and `steps` steps.
fn pack(sequences: &[(Vec<u32>, Vec<u32>)], steps: usize, rows: usize) -> Packed {
    let mut packed = Packed {
        starts: vec![0],
        ids: Vec::new(),
        targets: Vec::new(),
    };
    for t in 0..steps {
        for (inputs, targets) in sequences.iter().filter(|s| s.0.len() > t) {
            packed.ids.push(inputs[t]);
            packed.targets.push(targets[t]);
        }
        packed.starts.push(packed.ids.len() as u32);
    }
    packed.ids.resize(rows + 1, 0);
    packed.targets.resize(rows, 0);
    packed
}

fn spec(cell: &str, layers: usize, hidden: usize) -> Spec {
    let cell = Arc::new(library::builtin(cell).unwrap());
    Spec {
        vocab: VOCAB,
        cells: vec![cell; layers],
        hidden,
        embed: hidden,
        targets_apart: true,
        ..Spec::default()
    }
}

fn run(plan: &Arc<Plan>, fast: bool, packed: &Packed, is_packed: bool) -> (Vec<f64>, Vec<f64>) {
    let mut cpu = match fast {
        true => Cpu::<f64>::new(plan.clone()),
        false => Cpu::<f64>::plain(plan.clone()),
    };
    let mut stream = Stream::new(9, Purpose::Check, 1);
    for p in cpu.write(plan.io.parameters.unwrap()) {
        *p = 0.6 * stream.normal();
    }
    // What an earlier run left must not matter.
    for slot in [plan.io.logits, plan.io.losses].into_iter().flatten() {
        cpu.write(slot).fill(7.0);
    }
    let inputs = Inputs {
        ids: &packed.ids,
        targets: Some(&packed.targets),
        weights: None,
        starts: is_packed.then_some(packed.starts.as_slice()),
        control: Control {
            reset: 1,
            ..Control::default()
        },
        hyper: Hyper {
            scale: 0.25,
            ..Hyper::default()
        },
    };
    let outcome = cpu.run(&inputs).unwrap();
    assert!(outcome.report.finite);
    let gradients = cpu.read(plan.io.gradients.unwrap()).to_vec();
    let mut losses = cpu.read(plan.io.losses.unwrap()).to_vec();
    losses.push(outcome.report.loss);
    (gradients, losses)
}

/// The sums of gradients and losses over the sequences, each alone in a minibatch.
fn alone(spec: &Spec, lengths: &[usize]) -> (Vec<f64>, f64) {
    let mut sums = Vec::new();
    let mut total = 0.0;
    for (inputs, targets) in sequences(lengths) {
        let dims = Dims {
            steps: inputs.len(),
            batch: 1,
        };
        let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
        let one = pack(&[(inputs, targets)], dims.steps, dims.steps);
        let (gradients, losses) = run(&plan, false, &one, false);
        sums.resize(gradients.len(), 0.0);
        sums.iter_mut().zip(&gradients).for_each(|(s, g)| *s += g);
        total += losses.last().unwrap();
    }
    (sums, total)
}

fn check(spec: &Spec, lengths: &[usize], steps: usize, batch: usize, rows: usize, fast: bool) {
    let (want, loss) = alone(spec, lengths);
    let spec = Spec {
        packed: rows,
        ..spec.clone()
    };
    let plan = Arc::new(spec.plan(Dims { steps, batch }, Mode::Gradients).unwrap());
    let packed = pack(&sequences(lengths), steps, rows);
    let (got, losses) = run(&plan, fast, &packed, true);
    let name = spec.cell_names();
    let count: usize = lengths.iter().sum();
    assert!(losses[..count].iter().all(|l| *l > 0.0));
    assert!(losses[count..rows].iter().all(|l| *l == 0.0), "{losses:?}");
    assert!((losses.last().unwrap() - loss).abs() < 1e-12 * loss);
    let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    assert!(largest > 1e-3);
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let off = (got - want).abs();
        assert!(off < 1e-12 * (1.0 + largest), "{name} [{i}]: {got} {want}");
    }
}

#[test]
fn packed_gradients_of_every_cell_are_those_of_the_sequences_alone() {
    for name in library::names() {
        let spec = spec(name, 2, 4);
        for fast in [false, true] {
            check(&spec, &LENGTHS, 6, 5, 17, fast);
        }
    }
}

#[test]
fn room_for_more_and_longer_sequences_changes_nothing() {
    let mut spec = spec("lstm", 2, 3);
    spec.tie = true;
    spec.layer_norm = true;
    spec.learn_initial = true;
    spec.connections.residual = true;
    for fast in [false, true] {
        check(&spec, &LENGTHS, 9, 8, 40, fast);
        check(&spec, &[3, 3, 3], 3, 3, 9, fast);
        check(&spec, &[1], 2, 2, 5, fast);
    }
}

#[test]
fn cores_share_packed_rows() {
    // Enough work for several threads.
    let lengths: Vec<usize> = (0..24).map(|i| 9 - i / 3).collect();
    let rows = lengths.iter().sum();
    check(&spec("gru", 1, 40), &lengths, 9, 24, rows, true);
}

#[test]
fn packed_plans_pass_finite_differences() {
    for cell in ["lstm-peephole", "mut1", "gru-ln"] {
        let mut spec = spec(cell, 2, 3);
        (spec.packed, spec.embed) = (15, 3);
        spec.dropout = 0.25;
        spec.learn_initial = true;
        let dims = Dims { steps: 5, batch: 4 };
        let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
        for fast in [false, true] {
            let slopes = differences(plan.clone(), fast).unwrap();
            assert!(slopes.len() > 100);
            let worst = worst(&slopes).unwrap();
            assert!(worst.passed(), "{cell}: {}", worst.fault());
        }
    }
}

#[test]
fn what_looks_at_neighbouring_steps_is_refused() {
    let dims = Dims { steps: 4, batch: 3 };
    let mut spec = spec("rnn", 1, 3);
    spec.packed = 12;
    spec.penalties.temporal = 0.1;
    let error = spec.plan(dims, Mode::Gradients).unwrap_err();
    assert!(error.message.contains("temporal penalty"), "{error}");
}

#[test]
fn starts_that_do_not_fit_are_refused() {
    let mut spec = spec("rnn", 1, 3);
    spec.packed = 12;
    let dims = Dims { steps: 4, batch: 3 };
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let packing = plan.packing.unwrap();
    assert_eq!(packing.fault(&[0, 3, 5, 5, 5]), None);
    for starts in [
        &[0, 4, 5, 5, 5][..],
        &[0, 1, 3, 3, 3],
        &[0, 3, 5, 5],
        &[1, 3, 5, 5, 5],
        &[0, 0, 0, 0, 0],
        &[0, 3, 2, 2, 2],
    ] {
        assert!(packing.fault(starts).is_some(), "{starts:?}");
    }
}
