//! The GPU executor against the plain code, operation by operation, on the plans of real models.
//!
//! Every operation starts from the same slots on both sides, its results poisoned with NaN beforehand on the GPU.

mod adapter;
mod common;

use std::sync::Arc;

use adapter::device;
use common::pairs::{APART, Batch, parameters};
use wgrnn::cell::{Cell, Noise, library};
use wgrnn::exec::Timings;
use wgrnn::exec::check::Twins;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::model::Connections;
use wgrnn::model::{Dims, Drops, Mode, Penalties, Spec, Unroll, Update};
use wgrnn::op::{Plan, Role, Rule};
use wgrnn::task::Inputs;

fn spec(cell: &str, hidden: usize, layers: usize, embed: usize, dropout: f64) -> Spec {
    let cell = Arc::new(library::builtin(cell).unwrap());
    Spec {
        vocab: 11,
        cells: vec![cell; layers],
        hidden,
        embed,
        dropout,
        ..Spec::default()
    }
}

const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
    decoupled: true,
};

fn train(rule: Rule) -> Mode {
    Mode::Train(Update {
        rule,
        clip_norm: 0.5,
        clip_value: 0.05,
    })
}

fn twins(device: &Arc<GpuDevice>, plan: Plan, tile: &Tile) -> Twins {
    let plan = Arc::new(plan);
    let parameters = parameters(&plan);
    let gpu = Gpu::with_tile(device.clone(), plan, tile);
    Twins::new(pollster::block_on(gpu).unwrap(), &parameters).unwrap()
}

/// Every operation in order: the GPU gets the CPU's slots, runs it, and everything that it writes must agree.
fn compare(twins: &mut Twins, minibatch: &Batch) {
    let inputs = minibatch.inputs();
    let rows = pollster::block_on(twins.operations(&inputs)).unwrap();
    assert!(rows.len() >= twins.plan().ops.len());
    let faults: Vec<String> = rows
        .iter()
        .filter(|r| !r.passed())
        .map(|r| r.fault())
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The tile of an adapter that is trusted with subgroups, which every software driver of the tests has.
fn subgroups(device: &GpuDevice) -> Tile {
    let size = device.adapter.subgroup as usize;
    match (size, device.adapter.software) {
        (4 | 8 | 16 | 32, _) => Tile::subgroups(size, 2),
        (size, true) => panic!("{}: subgroups of {size}", device.adapter.name),
        (_, false) => Tile::SOFTWARE,
    }
}

/// Odd and even sizes, with every tile.
const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];
/// An odd size in each kind of tile.
const ODD: [usize; 3] = [0, 2, 5];

/// A cell at some sizes.
fn check_cell(cell: &str, sizes: &[usize]) {
    let device = device();
    let subgroups = subgroups(&device);
    let all = [
        (subgroups, 37, 3, 5, 2),
        (subgroups, 68, 41, 2, 1),
        (Tile::NAIVE, 37, 3, 1, 1),
        (Tile::SOFTWARE, 37, 3, 5, 2),
        (Tile::SOFTWARE, 8, 9, 5, 2),
        (APART, 37, 3, 5, 2),
    ];
    for (tile, hidden, batch, steps, layers) in sizes.iter().map(|n| all[*n]) {
        let spec = spec(cell, hidden, layers, 0, 0.0);
        let plan = spec.plan(Dims { steps, batch }, Mode::Gradients).unwrap();
        let minibatch = Batch::new(&plan, 1, true);
        let mut pair = twins(&device, plan, &tile);
        compare(&mut pair, &minibatch);
        // Once more from the states that the first minibatch left.
        let next = Batch::new(pair.plan(), 2, false);
        compare(&mut pair, &next);
    }
}

/// An adapter that passes its check between a stop and the resumption gets other tiles.
#[test]
fn subgroups_change_no_bit() {
    let device = device();
    let minibatches = |plan: &Plan| [1, 2, 3].map(|seed| Batch::new(plan, seed, seed == 1));
    let train = |tile: &Tile| -> Vec<u32> {
        let plan = spec("lstm", 20, 2, 0, 0.2)
            .plan(Dims { steps: 4, batch: 9 }, train(ADAM))
            .unwrap();
        let mut pair = twins(&device, plan, tile);
        for minibatch in minibatches(&pair.plan().clone()) {
            pollster::block_on(pair.gpu().run(&minibatch.inputs())).unwrap();
        }
        let slot = pair.plan().io.parameters.unwrap();
        let values = pollster::block_on(pair.gpu().read(slot)).unwrap();
        values.iter().map(|v| v.to_bits()).collect()
    };
    let usual = train(&Tile::SOFTWARE);
    assert!(usual == train(&subgroups(&device)));
    assert!(usual.iter().any(|bits| *bits != usual[0]));
}

#[test]
#[ignore = "a step of tests/long.sh: `every_built_in_cell_agrees_with_the_plain_code` at more sizes"]
fn rnn_agrees_with_the_plain_code() {
    check_cell("rnn", &ALL);
}

#[test]
fn lstm_agrees_with_the_plain_code() {
    check_cell("lstm", &ALL);
}

#[test]
#[ignore = "a step of tests/long.sh: `every_built_in_cell_agrees_with_the_plain_code` at more sizes"]
fn gru_agrees_with_the_plain_code() {
    check_cell("gru", &ALL);
}

#[test]
fn gru_cho_agrees_with_the_plain_code() {
    check_cell("gru-cho", &ODD);
}

#[test]
fn every_built_in_cell_agrees_with_the_plain_code() {
    let device = device();
    // Sums that threads share have tests of their own.
    let alone = Tile {
        slices: [1, 1],
        ..APART
    };
    for name in library::names() {
        for tile in [subgroups(&device), Tile::SOFTWARE, alone] {
            let spec = spec(name, 12, 1, 12, 0.0);
            let dims = Dims { steps: 3, batch: 5 };
            let plan = spec.plan(dims, Mode::Gradients).unwrap();
            let minibatch = Batch::new(&plan, 4, true);
            compare(&mut twins(&device, plan, &tile), &minibatch);
        }
    }
}

#[test]
fn embeddings_dropout_and_tied_heads_agree_with_the_plain_code() {
    let device = device();
    for (embed, tie, hidden) in [(5, false, 37), (8, true, 8), (12, false, 8)] {
        for tile in [subgroups(&device), Tile::SOFTWARE, APART] {
            let spec = Spec {
                tie,
                ..spec("lstm", hidden, 2, embed, 0.3)
            };
            // Few positions take the rows of the embedding, many its table.
            for dims in [Dims { steps: 1, batch: 3 }, Dims { steps: 5, batch: 3 }] {
                let plan = spec.plan(dims, train(ADAM)).unwrap();
                let minibatch = Batch::new(&plan, 3, true);
                compare(&mut twins(&device, plan, &tile), &minibatch);
            }
        }
    }
}

/// Sizes that fill a workgroup's lanes and that do not, one step and several, whole fours and odd ones.
#[test]
fn regularisers_agree_with_the_plain_code() {
    let device = device();
    for (cell, hidden, steps, tile) in [
        ("lstm", 37, 4, Tile::GPU),
        ("gru-cho", 8, 4, Tile::SOFTWARE),
        ("gru-cho", 12, 4, subgroups(&device)),
        ("rnn", 8, 4, Tile::SOFTWARE),
        ("rnn", 37, 4, Tile::GPU),
        ("rnn", 5, 1, Tile::GPU),
        ("rnn", 5, 3, Tile::NAIVE),
    ] {
        let spec = Spec {
            drops: Drops {
                input: 0.3,
                tokens: 0.3,
                weights: 0.4,
                locked: steps == 4,
            },
            penalties: Penalties {
                activation: 0.5,
                temporal: 0.4,
                norm: 0.3,
                propagation: if cell == "rnn" { 0.2 } else { 0.0 },
            },
            ..spec(cell, hidden, 2, 6, 0.3)
        };
        let plan = spec.plan(Dims { steps, batch: 5 }, train(ADAM)).unwrap();
        let mut pair = twins(&device, plan, &tile);
        for seed in 0..2 {
            let minibatch = Batch::new(pair.plan(), seed, seed == 0);
            compare(&mut pair, &minibatch);
        }
    }
}

/// Sequences of different lengths: sums over counted rows that are and are not whole fours, stages, means, masks, layers
/// without a memory, and fewer sequences than fit.
#[test]
fn packed_sequences_agree_with_the_plain_code() {
    let device = device();
    for (cell, hidden, embed, rows, tile) in [
        ("lstm", 8, 6, 14, Tile::SOFTWARE),
        ("lstm", 12, 6, 14, subgroups(&device)),
        ("mut1", 9, 9, 11, subgroups(&device)),
        ("lstm", 9, 0, 17, APART),
        ("mut1", 8, 8, 14, APART),
        ("gru-ln", 8, 5, 9, Tile::SOFTWARE),
        ("rnn", 5, 70, 11, Tile::NAIVE),
    ] {
        let spec = Spec {
            packed: rows,
            layer_norm: cell == "lstm",
            learn_initial: true,
            noise: wgrnn::cell::Noise {
                zoneout: 0.3,
                recurrent: 0.25,
                ..Default::default()
            },
            ..spec(cell, hidden, 2, embed, 0.3)
        };
        let dims = Dims { steps: 5, batch: 4 };
        let mut pair = twins(&device, spec.plan(dims, train(ADAM)).unwrap(), &tile);
        for seed in 0..2 {
            let mut minibatch = Batch::new(pair.plan(), seed, true);
            if seed == 1 {
                minibatch.made.starts = Some(vec![0, 3, 5, 6, 6, 6]);
            }
            compare(&mut pair, &minibatch);
        }
    }
}

#[test]
fn targets_that_are_not_the_next_inputs_agree_with_the_plain_code() {
    let device = device();
    for (embed, tile) in [(0, APART), (6, Tile::SOFTWARE), (6, Tile::NAIVE)] {
        let spec = Spec {
            targets_apart: true,
            ..spec("lstm", 8, 2, embed, 0.0)
        };
        let plan = spec.plan(Dims { steps: 4, batch: 5 }, train(ADAM)).unwrap();
        let mut pair = twins(&device, plan, &tile);
        for seed in 0..2 {
            let minibatch = Batch::new(pair.plan(), seed, seed == 0);
            compare(&mut pair, &minibatch);
            let slot = pair.plan().recipes.targets().unwrap();
            let targets = pollster::block_on(pair.gpu().read_words(slot)).unwrap();
            assert_eq!(Some(targets), minibatch.made.targets);
        }
    }
}

#[test]
fn every_rule_agrees_with_the_plain_code() {
    let device = device();
    let sgd = |momentum, nesterov| Rule::Sgd {
        momentum,
        nesterov,
        weight_decay: 0.1,
    };
    let rms = |momentum| Rule::RmsProp {
        alpha: 0.95,
        eps: 1e-8,
        momentum,
        weight_decay: 0.0,
    };
    let rules = [
        sgd(0.0, false),
        sgd(0.9, false),
        sgd(0.9, true),
        Rule::Adagrad {
            eps: 1e-10,
            weight_decay: 0.0,
        },
        rms(0.0),
        rms(0.9),
        ADAM,
        Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            decoupled: false,
        },
    ];
    for rule in rules {
        for tile in [Tile::SOFTWARE, APART] {
            let dims = Dims { steps: 2, batch: 3 };
            let plan = spec("rnn", 7, 1, 0, 0.0).plan(dims, train(rule)).unwrap();
            let mut pair = twins(&device, plan, &tile);
            for seed in 0..3 {
                let minibatch = Batch::new(pair.plan(), seed, seed == 0);
                compare(&mut pair, &minibatch);
            }
        }
    }
}

/// Checkpoint segments: every operation, and the gradients of the whole run beside those of the plan without them.
#[test]
fn checkpoint_segments_agree_with_the_plain_code_and_with_the_plan_without_them() {
    let device = device();
    let dims = Dims { steps: 6, batch: 3 };
    for (cell, hidden, embed, tile) in [
        ("lstm", 8, 0, Tile::SOFTWARE),
        ("gru-cho", 9, 5, Tile::NAIVE),
    ] {
        let noise = Noise {
            zoneout: 0.2,
            recurrent: 0.2,
            ..Noise::default()
        };
        let spec = Spec {
            noise,
            learn_initial: true,
            drops: Drops {
                input: if embed > 0 { 0.3 } else { 0.0 },
                tokens: if embed > 0 { 0.3 } else { 0.0 },
                weights: 0.3,
                locked: false,
            },
            penalties: Penalties {
                activation: 0.5,
                ..Penalties::default()
            },
            ..spec(cell, hidden, 2, embed, 0.3)
        };
        for (recompute, states, minibatches) in [(2, 0, 1), (1, 2, 2)] {
            let how = Unroll {
                recompute,
                states,
                minibatches,
            };
            let plan = spec.unrolled(dims, how, Mode::Gradients).unwrap();
            let mut pair = twins(&device, plan, &tile);
            for seed in 0..2 {
                let minibatch = Batch::new(pair.plan(), seed, seed == 0);
                compare(&mut pair, &minibatch);
            }
            if minibatches > 1 {
                continue;
            }
            let plan = pair.plan().clone();
            let plain = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
            let parameters = parameters(&plain);
            let mut cpu: Cpu<f32> = Cpu::plain(plain.clone());
            let slot = plain.io.parameters.unwrap();
            cpu.write(slot).copy_from_slice(&parameters);
            let mut gpu =
                pollster::block_on(Gpu::with_tile(device.clone(), plan.clone(), &tile)).unwrap();
            gpu.write(plan.io.parameters.unwrap(), &parameters).unwrap();
            for seed in 0..2 {
                let minibatch = Batch::new(&plain, seed, seed == 0);
                cpu.run(&minibatch.inputs()).unwrap();
                pollster::block_on(gpu.run(&minibatch.inputs())).unwrap();
                let want = cpu.read(plain.io.gradients.unwrap());
                let got = pollster::block_on(gpu.read(plan.io.gradients.unwrap())).unwrap();
                let scale = want.iter().fold(0.0f32, |a, b| a.max(b.abs()));
                assert!(scale > 1e-3);
                for (i, (got, want)) in got.iter().zip(want).enumerate() {
                    // A few hundred roundings of f32 in a chain of 6 steps.
                    let fits = (got - want).abs() <= 2e-5 * scale;
                    assert!(fits, "{cell} {how:?} [{i}]: got {got}, want {want}");
                }
            }
        }
    }
}

#[test]
fn weighted_losses_agree_with_the_plain_code() {
    let device = device();
    for tile in [Tile::SOFTWARE, APART] {
        let dims = Dims { steps: 5, batch: 3 };
        let plan = spec("gru", 9, 1, 0, 0.0)
            .plan(dims, Mode::Evaluate)
            .unwrap();
        let minibatch = Batch::new(&plan, 6, true);
        compare(&mut twins(&device, plan, &tile), &minibatch);
    }
}

#[test]
fn whole_runs_report_in_order_and_late() {
    let device = device();
    let dims = Dims { steps: 5, batch: 3 };
    let plan = spec("lstm", 8, 2, 0, 0.2).plan(dims, train(ADAM)).unwrap();
    let mut pair = twins(&device, plan, &Tile::SOFTWARE);
    let mut wants = Vec::new();
    let mut gots = Vec::new();
    for seed in 0..12 {
        let minibatch = Batch::new(pair.plan(), seed, seed == 0);
        let inputs = minibatch.inputs();
        wants.push(pair.cpu().run(&inputs).unwrap());
        pollster::block_on(pair.gpu().run(&inputs)).unwrap();
        gots.extend(pollster::block_on(pair.gpu().outcomes(false)).unwrap());
    }
    gots.extend(pollster::block_on(pair.gpu().outcomes(true)).unwrap());
    assert_eq!(gots.len(), wants.len());
    for (got, want) in gots.iter().zip(&wants) {
        assert_eq!(got.run, want.run);
        assert!(got.report.finite);
        // Twelve updates let roundings drift apart; a wrong kernel is off by far more.
        let off = (got.report.loss - want.report.loss).abs() / want.report.loss;
        assert!(off <= 1e-4, "run {}: {got:?}, {want:?}", got.run);
    }
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let device = device();
    let dims = Dims { steps: 2, batch: 3 };
    for poison in [f32::NAN, f32::INFINITY] {
        let plan = spec("lstm", 8, 1, 0, 0.0).plan(dims, train(ADAM)).unwrap();
        let mut pair = twins(&device, plan, &Tile::SOFTWARE);
        let io = pair.plan().io.clone();
        let slot = io.parameters.unwrap();
        let mut parameters = pollster::block_on(pair.gpu().read(slot)).unwrap();
        // Where the last matrix, the head's, lies: its scores are then not finite.
        let head = pair
            .plan()
            .parameters
            .iter()
            .find(|p| p.name == "head.weight")
            .unwrap();
        parameters[head.matrix.offset] = poison;
        pair.gpu().write(slot, &parameters).unwrap();
        let minibatch = Batch::new(pair.plan(), 1, true);
        pollster::block_on(pair.gpu().run(&minibatch.inputs())).unwrap();
        let outcome = pollster::block_on(pair.gpu().outcomes(true)).unwrap();
        assert!(!outcome[0].report.finite, "{poison}: {outcome:?}");
        let after = pollster::block_on(pair.gpu().read(slot)).unwrap();
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&after), bits(&parameters));
        for arena in io.optimizer {
            let values = pollster::block_on(pair.gpu().read(arena)).unwrap();
            assert!(values.iter().all(|x| *x == 0.0));
        }
    }
}

#[test]
fn two_runs_give_the_same_bits() {
    let device = device();
    let run = || {
        let dims = Dims { steps: 5, batch: 9 };
        let plan = spec("gru", 37, 2, 0, 0.5).plan(dims, train(ADAM)).unwrap();
        let mut pair = twins(&device, plan, &APART);
        for seed in 0..4 {
            let minibatch = Batch::new(pair.plan(), seed, seed == 0);
            pollster::block_on(pair.gpu().run(&minibatch.inputs())).unwrap();
        }
        let slot = pair.plan().io.parameters.unwrap();
        let values = pollster::block_on(pair.gpu().read(slot)).unwrap();
        values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn gates_stay_finite_for_any_finite_input() {
    let device = device();
    let text = "# all.cell\nstate h\na = sigmoid(linear(x))\nb = tanh(linear(x))\nh = a + b\n";
    let cell = Cell::parse("all", text).unwrap();
    let dims = Dims { steps: 1, batch: 1 };
    let base = Spec {
        cells: vec![Arc::new(cell)],
        ..spec("rnn", 64, 1, 0, 0.0)
    };
    let plan = Arc::new(base.plan(dims, Mode::Scores).unwrap());
    for tile in [Tile::SOFTWARE, Tile::NAIVE] {
        let gpu = Gpu::with_tile(device.clone(), plan.clone(), &tile);
        let mut gpu = pollster::block_on(gpu).unwrap();
        let weight = plan
            .parameters
            .iter()
            .find(|p| p.name.contains("weight_ih"))
            .unwrap();
        let mut parameters = vec![0.0f32; plan.arena];
        let values: Vec<f32> = (0..32)
            .flat_map(|e| [10f32.powi(e - 1), -(10f32.powi(e - 1))])
            .collect();
        for (j, x) in values.iter().enumerate() {
            parameters[weight.matrix.offset + j] = *x;
            parameters[weight.matrix.offset + 64 + j] = *x;
        }
        gpu.write(plan.io.parameters.unwrap(), &parameters).unwrap();
        let inputs = Inputs::new(&[0, 0]).reset(true);
        pollster::block_on(gpu.run(&inputs)).unwrap();
        let state = pollster::block_on(gpu.read(plan.find("state.l0").unwrap())).unwrap();
        for (x, h) in values.iter().zip(&state[64..]) {
            let want = 1.0 / (1.0 + (-f64::from(*x)).exp()) + f64::from(*x).tanh();
            assert!(
                (f64::from(*h) - want).abs() <= 1e-6,
                "{x}: got {h}, want {want}"
            );
        }
    }
}

#[test]
fn timed_runs_count_every_dispatch() {
    let device = device();
    let dims = Dims { steps: 5, batch: 3 };
    let plan = spec("gru-cho", 8, 1, 0, 0.0)
        .plan(dims, train(ADAM))
        .unwrap();
    let mut pair = twins(&device, plan, &Tile::SOFTWARE);
    let minibatch = Batch::new(pair.plan(), 1, true);
    let mut timings = Timings::new(pair.plan());
    let inputs = minibatch.inputs();
    let timed = pair.gpu().run_timed(&inputs, &mut timings);
    let kernels = pollster::block_on(timed).unwrap();
    assert!(timings.calls.iter().all(|c| *c == 1));
    let forward = kernels.iter().filter(|k| k.label.starts_with("forward.l0"));
    let calls: Vec<u64> = forward.map(|k| k.calls).collect();
    assert_eq!(calls, [5, 5], "two stages, five steps: {kernels:?}");
    assert!(timings.seconds.iter().sum::<f64>() > 0.0);
    let outcome = pollster::block_on(pair.gpu().outcomes(true)).unwrap();
    assert_eq!(outcome.len(), 1);
}

#[test]
fn a_lost_device_is_an_error_and_nothing_is_read_from_it() {
    let device = device();
    let dims = Dims { steps: 2, batch: 3 };
    let plan = spec("rnn", 8, 1, 0, 0.0).plan(dims, train(ADAM)).unwrap();
    let mut pair = twins(&device, plan, &Tile::SOFTWARE);
    let minibatch = Batch::new(pair.plan(), 1, true);
    pollster::block_on(pair.gpu().run(&minibatch.inputs())).unwrap();
    device.destroy();
    let slot = pair.plan().io.parameters.unwrap();
    let read = pollster::block_on(pair.gpu().read(slot)).unwrap_err();
    assert_eq!(read.kind, wgrnn::Kind::Device, "{read}");
    let again = pollster::block_on(pair.gpu().run(&minibatch.inputs())).unwrap_err();
    assert_eq!(again.kind, wgrnn::Kind::Device, "{again}");
    assert!(device.lost());
}

#[test]
fn a_slot_beyond_the_limit_is_refused_by_name() {
    let device = device();
    let mut plan = Plan::default();
    plan.add("huge", &[1, 1 << 40], Role::Activation);
    let refused = pollster::block_on(Gpu::new(device, Arc::new(plan)));
    let Err(error) = refused else {
        panic!("4 TiB fit");
    };
    assert_eq!(error.kind, wgrnn::Kind::Device);
    assert!(error.message.contains("huge"), "{error}");
}

/// A fault injected in one kernel of a plan is found and the kernel's operation named; nothing else is blamed.
#[test]
fn an_injected_fault_is_found_and_named() {
    let device = device();
    let dims = Dims { steps: 4, batch: 3 };
    for (cell, label, from, to) in [
        ("lstm", "backward.l0", "= tanh_safe(", "= 0.99 * tanh_safe("),
        ("lstm", "forward.l1", "= sigmoid(", "= 1.001 * sigmoid("),
        ("lstm", "norm", "sqrt(", "1.001 * sqrt("),
        ("lstm", "penalty.norm.l1", "sqrt(", "1.001 * sqrt("),
        (
            "rnn",
            "penalty.propagation.l0",
            "/ select(1.0, g, counts) - 1.0",
            "/ select(1.0, g, counts) - 1.01",
        ),
        (
            "lstm",
            "penalty.temporal",
            "let v11 = (v10 + v10);",
            "let v11 = 1.01 * (v10 + v10);",
        ),
        (
            "lstm",
            "dropout.embedding.tokens",
            "/ 2u != pair",
            "/ 2u > 99u",
        ),
        (
            "lstm",
            "dropout.weight_hh.l0.backward",
            ">= THRESHOLD",
            "> 0u",
        ),
    ] {
        let spec = Spec {
            drops: Drops {
                tokens: 0.5,
                weights: 0.5,
                ..Drops::default()
            },
            penalties: Penalties {
                activation: 0.5,
                temporal: 0.4,
                norm: 0.3,
                propagation: if cell == "rnn" { 0.5 } else { 0.0 },
            },
            ..spec(cell, 9, 2, 5, 0.0)
        };
        let plan = Arc::new(spec.plan(dims, train(ADAM)).unwrap());
        let mut injected = false;
        let mut edit = |name: &str, text: &str| {
            if !name.starts_with(label) {
                return text.to_string();
            }
            let changed = text.replace(from, to);
            injected |= changed != text;
            changed
        };
        let gpu = Gpu::edited(device.clone(), plan.clone(), &Tile::SOFTWARE, &mut edit);
        let gpu = pollster::block_on(gpu).unwrap();
        let mut pair = Twins::new(gpu, &parameters(&plan)).unwrap();
        let minibatch = Batch::new(&plan, 1, true);
        let inputs = minibatch.inputs();
        let rows = pollster::block_on(pair.operations(&inputs)).unwrap();
        let blamed: Vec<&str> = rows
            .iter()
            .filter(|r| !r.passed())
            .map(|r| r.op.as_str())
            .collect();
        assert!(injected, "{label}: the text to change is gone");
        assert!(!blamed.is_empty(), "{label}: the fault went unseen");
        assert!(
            blamed.iter().all(|b| b.starts_with(label)),
            "{label}: {blamed:?}"
        );
    }
}

/// The CPU runs up to an operation and the GPU after it, wherever the cut lies.
#[test]
fn the_gpu_takes_over_at_any_operation() {
    let device = device();
    let dims = Dims { steps: 3, batch: 2 };
    let plan = spec("gru-cho", 5, 1, 0, 0.0)
        .plan(dims, train(ADAM))
        .unwrap();
    let names: Vec<String> = plan.ops.iter().map(|op| op.name().to_string()).collect();
    let minibatch = Batch::new(&plan, 1, true);
    for name in &names {
        let plan = spec("gru-cho", 5, 1, 0, 0.0)
            .plan(dims, train(ADAM))
            .unwrap();
        let mut pair = twins(&device, plan, &Tile::SOFTWARE);
        let rows = pollster::block_on(pair.from_op(&minibatch.inputs(), name)).unwrap();
        let faults: Vec<String> = rows
            .iter()
            .filter(|r| !r.passed())
            .map(|r| r.fault())
            .collect();
        assert!(faults.is_empty(), "from {name}: {}", faults.join("\n"));
        assert!(!rows.is_empty());
    }
    let plan = spec("gru-cho", 5, 1, 0, 0.0)
        .plan(dims, train(ADAM))
        .unwrap();
    let mut pair = twins(&device, plan, &Tile::SOFTWARE);
    let error = pollster::block_on(pair.from_op(&minibatch.inputs(), "nowhere")).unwrap_err();
    assert!(error.message.contains("head.forward"), "{error}");
}

/// Noise inside cells, and everything that stands between layers, at sizes for scalar and for vector kernels.
#[test]
fn noise_and_composed_layers_agree_with_the_plain_code() {
    let device = device();
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    for (cell, hidden, tile) in [
        ("lstm", 7, Tile::SOFTWARE),
        ("gru-cho", 8, APART),
        ("slstm", 8, Tile::SOFTWARE),
        ("lstm-ln", 12, APART),
    ] {
        let dims = Dims { steps: 3, batch: 3 };
        let noisy = Spec {
            noise,
            ..spec(cell, hidden, 1, 5, 0.0)
        };
        let composed = Spec {
            project: 6,
            bidirectional: true,
            layer_norm: true,
            learn_initial: true,
            connections: Connections {
                residual: true,
                skip: true,
            },
            ..spec(cell, hidden, 2, 5, 0.2)
        };
        // The layers' own kernels are the same for any cell.
        let composed = ["lstm", "gru-cho"].contains(&cell).then_some(composed);
        for spec in [Some(noisy), composed].into_iter().flatten() {
            let plan = spec.plan(dims, train(ADAM)).unwrap();
            let mut twins = twins(&device, plan.clone(), &tile);
            for reset in [false, true] {
                compare(&mut twins, &Batch::new(&plan, 3, reset));
            }
        }
    }
}

/// A layer without a memory takes all positions at once, more than one row of workgroups may hold.
#[test]
fn a_layer_of_more_positions_than_one_row_of_workgroups_agrees() {
    let device = device();
    let spec = spec("highway", 4, 1, 4, 0.0);
    let dims = Dims {
        steps: 300,
        batch: 60,
    };
    // One thread a workgroup: 18,000 positions of four units are 72,000 workgroups, along x and y.
    let tile = Tile {
        group: 1,
        vector: false,
        scan_rows: 1,
        scan_units: [1, 1],
        ..Tile::NAIVE
    };
    let plan = spec.plan(dims, Mode::Gradients).unwrap();
    let minibatch = Batch::new(&plan, 3, true);
    compare(&mut twins(&device, plan, &tile), &minibatch);
}
