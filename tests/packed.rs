//! Sequences of different lengths, packed: losses and gradients are those of the sequences one by one.

mod golden;

use std::sync::Arc;

use wgrnn::cell::library;
use wgrnn::exec::cpu::{Cpu, Number};
use wgrnn::model::{self, Dims, Mode, Spec, Update};
use wgrnn::op::{Hyper, Plan, Rule};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;
use wgrnn::task::differences::{differences, worst};

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
    let mut cpu = if fast {
        Cpu::<f64>::new(plan.clone())
    } else {
        Cpu::<f64>::plain(plan.clone())
    };
    let mut stream = Stream::new(9, Purpose::Check, 1);
    for p in cpu.write(plan.io.parameters.unwrap()) {
        *p = 0.6 * stream.normal();
    }
    // What an earlier run left must not matter.
    for slot in [plan.io.logits, plan.io.losses].into_iter().flatten() {
        cpu.write(slot).fill(7.0);
    }
    let inputs = Inputs::new(&packed.ids)
        .targets(Some(&packed.targets))
        .starts(is_packed.then_some(packed.starts.as_slice()))
        .reset(true)
        .scale(0.25);
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

/// Backward in time every sequence begins at its own end, from one-hot and from embedded ids, dense and as compact rows.
#[test]
fn both_directions_of_packed_sequences_are_those_of_the_sequences_alone() {
    for (cell, layers, hidden, embed) in [
        ("lstm", 2, 4, 0),
        ("gru-cho", 1, 3, 5),
        ("rnn", 2, 3, VOCAB + 9),
        ("mut1", 1, 4, 4),
    ] {
        let spec = Spec {
            bidirectional: true,
            learn_initial: cell == "rnn",
            embed,
            ..spec(cell, layers, hidden)
        };
        for fast in [false, true] {
            check(&spec, &LENGTHS, 6, 5, 17, fast);
            check(&spec, &[2, 1], 3, 4, 9, fast);
        }
    }
}

#[test]
fn capacity_for_more_and_longer_sequences_changes_nothing() {
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
        spec.bidirectional = cell == "lstm-peephole";
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
    assert!(error.message.contains("temporal-penalty"), "{error}");
}

#[test]
fn starts_that_do_not_fit_are_refused() {
    let mut spec = spec("rnn", 1, 3);
    spec.packed = 12;
    let dims = Dims { steps: 4, batch: 3 };
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let packing = plan.packing().unwrap();
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

/// PyTorch's packed sequences: every loss, every gradient, and twenty steps of Adam; and its masked loss of padded ones,
/// which a plan with weights computes.
fn golden_sequences<F: Number>(fast: bool, tolerance: f64) {
    for name in ["rnn", "lstm", "gru-tied"] {
        let file = golden::load(&format!("sequences/{name}"));
        let words = |name: &str| -> Vec<u32> { file.get(name).iter().map(|x| *x as u32).collect() };
        let lengths: Vec<usize> = file.get("lengths").iter().map(|x| *x as usize).collect();
        let (batch, steps) = (lengths.len(), lengths[0]);
        let (ids, targets) = (words("ids"), words("targets"));
        let sequences: Vec<(Vec<u32>, Vec<u32>)> = lengths
            .iter()
            .enumerate()
            .map(|(b, n)| {
                let column = |all: &[u32]| (0..*n).map(|t| all[t * batch + b]).collect();
                (column(&ids), column(&targets))
            })
            .collect();
        let count: usize = lengths.iter().sum();
        for pad in [false, true] {
            let rows = if pad { steps * batch } else { count };
            let packed = if pad {
                Packed {
                    starts: (0..=steps).map(|t| (t * batch) as u32).collect(),
                    ids: ids.iter().copied().chain([0]).collect(),
                    targets: targets.clone(),
                }
            } else {
                pack(&sequences, steps, rows)
            };
            let weights: Vec<f32> = (0..steps * batch)
                .map(|row| f32::from(u8::from(row / batch < lengths[row % batch])))
                .collect();
            let cell = Arc::new(library::builtin(file.cell()).unwrap());
            let spec = Spec {
                vocab: file.size("V"),
                cells: vec![cell; file.size("layers")],
                hidden: file.size("H"),
                embed: file.size("embed"),
                tie: file.tied(),
                packed: rows,
                weighted: pad,
                ..Spec::default()
            };
            let adam = Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.0,
                decoupled: false,
            };
            let update = Update {
                rule: adam,
                clip_norm: 0.0,
                clip_value: 0.0,
            };
            for mode in [Mode::Gradients, Mode::Train(update)] {
                let plan = Arc::new(spec.plan(Dims { steps, batch }, mode).unwrap());
                let mut cpu = if fast {
                    Cpu::<F>::new(plan.clone())
                } else {
                    Cpu::<F>::plain(plan.clone())
                };
                let names: Vec<String> = plan.parameters.iter().map(|p| p.name.clone()).collect();
                let tensors: Vec<Vec<F>> = names
                    .iter()
                    .map(|n| file.get(n).iter().map(|x| F::of(*x)).collect())
                    .collect();
                let parts = names.iter().zip(&tensors);
                let parts = parts.map(|(n, data)| (n.as_str(), file.shape(n), data.as_slice()));
                let flat = model::import(&plan, parts).unwrap();
                cpu.write(plan.io.parameters.unwrap())
                    .copy_from_slice(&flat);
                let step = |cpu: &mut Cpu<F>, n: u64| {
                    let (correction1, correction2) = adam.corrections(n);
                    let inputs = Inputs::new(&packed.ids)
                        .targets(Some(&packed.targets))
                        .weights(pad.then_some(weights.as_slice()))
                        .starts(Some(&packed.starts))
                        .reset(true)
                        .hyper(Hyper {
                            lr: 1e-2,
                            scale: 1.0 / count as f64,
                            update: n as f64,
                            correction1,
                            correction2,
                        });
                    cpu.run(&inputs).unwrap().report.loss / count as f64
                };
                let check = |prefix: &str, values: &[F]| {
                    for (name, tensor) in model::export(&plan, values) {
                        let got: Vec<f64> = tensor.data.iter().map(|x| x.f64()).collect();
                        file.assert_close(&format!("{prefix}{name}"), &got, tolerance);
                    }
                };
                if mode == Mode::Gradients {
                    file.assert_close("loss", &[step(&mut cpu, 1)], tolerance);
                    check("grad.", cpu.read(plan.io.gradients.unwrap()));
                    let losses = cpu.read(plan.io.losses.unwrap());
                    let mut table = vec![0.0; steps * batch];
                    for t in 0..steps {
                        let here = packed.starts[t] as usize..packed.starts[t + 1] as usize;
                        for (b, row) in here.enumerate() {
                            table[t * batch + b] = losses[row].f64();
                        }
                    }
                    file.assert_close("losses", &table, tolerance);
                } else {
                    let losses: Vec<f64> = (1..=20).map(|n| step(&mut cpu, n)).collect();
                    file.assert_close("adam.losses", &losses, tolerance);
                    check("adam.", cpu.read(plan.io.parameters.unwrap()));
                }
            }
        }
    }
}

#[test]
fn packed_and_masked_sequences_agree_with_pytorch() {
    for fast in [false, true] {
        golden_sequences::<f64>(fast, 1e-10);
        golden_sequences::<f32>(fast, 1e-4);
    }
}
