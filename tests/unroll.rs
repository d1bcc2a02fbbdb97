//! Segments in checkpoint segments: the result is that of the plan without them, for every cell and whatever is counted by
//! step.

mod common;

use std::sync::Arc;

use common::{inputs, near};

use wgrnn::cell::{Noise, library};
use wgrnn::exec::cpu::Cpu;
use wgrnn::model::Connections;
use wgrnn::model::{Dims, Drops, Mode, Penalties, Spec, Unroll};
use wgrnn::op::{Op, Plan, Role};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;
use wgrnn::task::differences::differences;

const VOCAB: usize = 7;

fn spec(cell: &str, hidden: usize, layers: usize, embed: usize) -> Spec {
    let cell = Arc::new(library::builtin(cell).unwrap());
    Spec {
        vocab: VOCAB,
        cells: vec![cell; layers],
        hidden,
        embed,
        ..Spec::default()
    }
}

fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, Purpose::Check, 0);
    (0..n).map(|_| 0.5 * stream.normal()).collect()
}

/// An executor with random parameters and carried states, the same for all plans of a model.
fn executor(plan: &Arc<Plan>, fast: bool) -> Cpu<f64> {
    let mut cpu = if fast {
        Cpu::new(plan.clone())
    } else {
        Cpu::plain(plan.clone())
    };
    let slot = plan.io.parameters.unwrap();
    cpu.write(slot).copy_from_slice(&numbers(plan.arena, 3));
    for (l, layout) in plan.io.states.iter().enumerate() {
        let last = numbers(layout.step_len(), 5 + l as u64);
        layout.write(layout.steps, &last, cpu.write(layout.slot));
    }
    cpu
}

/// With the draws of a step.
fn at_step(step: u32, inputs: Inputs<'_>) -> Inputs<'_> {
    inputs.draws([3, 4], u64::from(step))
}

/// Losses, gradients, gradients of the initial states and the states after a run.
fn run(cpu: &mut Cpu<f64>, step: u32, reset: bool, scale: f64) -> Vec<(String, Vec<f64>)> {
    let plan = cpu.plan().clone();
    let io = &plan.io;
    let count = plan.slot(plan.recipes.ids().unwrap()).len();
    let ids = common::tokens(count, VOCAB, 9 + u64::from(step));
    let outcome = cpu.run(&at_step(step, inputs(&ids, reset, scale)));
    let report = outcome.unwrap().report;
    let mut all = vec![
        (
            "report".to_string(),
            vec![report.loss, report.norm, report.penalty],
        ),
        ("losses".into(), cpu.read(io.losses.unwrap()).to_vec()),
        ("gradients".into(), cpu.read(io.gradients.unwrap()).to_vec()),
    ];
    for m in &io.initial {
        let values = cpu.read(m.slot);
        let part = values[m.offset..m.offset + m.rows * m.cols].to_vec();
        all.push(("initial".into(), part));
    }
    for layout in &io.states {
        let last = layout.read(layout.steps, cpu.read(layout.slot));
        all.push((plan.slot(layout.slot).name.clone(), last));
    }
    all
}

#[track_caller]
fn equal(what: &str, got: &[(String, Vec<f64>)], want: &[(String, Vec<f64>)]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for ((name, got), (_, want)) in got.iter().zip(want) {
        assert_eq!(got.len(), want.len(), "{what}: {name}");
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            // Sums of the same terms in another order.
            let tolerance = 1e-12 * want.abs().max(1.0);
            let error = (got - want).abs();
            assert!(
                error <= tolerance,
                "{what}: {name} [{i}]: got {got}, want {want}"
            );
        }
    }
}

/// Compares a plan in checkpoint segments with the plain one over two minibatches, the second of which goes on from the
/// first.
#[track_caller]
fn same(what: &str, spec: &Spec, dims: Dims, how: Unroll, fast: bool) {
    let plain = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let segmented = Arc::new(spec.unrolled(dims, how, Mode::Gradients).unwrap());
    let (mut plain, mut segmented) = (executor(&plain, fast), executor(&segmented, fast));
    let scale = 1.0 / (dims.steps * dims.batch) as f64;
    for (step, reset) in [(0, true), (1, false)] {
        let want = run(&mut plain, step, reset, scale);
        let got = run(&mut segmented, step, reset, scale);
        let steepest = want[2].1.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        assert!(steepest > 1e-3, "{what}: no gradient is above {steepest}");
        equal(&format!("{what}, {how:?}, step {step}"), &got, &want);
    }
}

const DIMS: Dims = Dims {
    steps: 12,
    batch: 2,
};

fn segments(recompute: usize, states: usize) -> Unroll {
    Unroll {
        recompute,
        states,
        minibatches: 1,
    }
}

#[test]
fn every_cell_in_one_and_two_layers() {
    for name in library::names() {
        for layers in [1, 2] {
            for (embed, fast) in [(0, false), (3, true)] {
                let raw = library::builtin(name).unwrap().raw_input;
                let embed = if raw { 3 } else { embed };
                let spec = spec(name, 3, layers, embed);
                same(name, &spec, DIMS, segments(3, 0), fast);
                same(name, &spec, DIMS, segments(2, 2), fast);
            }
        }
    }
}

#[test]
fn every_number_of_steps_and_states() {
    let spec = Spec {
        dropout: 0.4,
        ..spec("lstm", 3, 2, 0)
    };
    for recompute in [1, 2, 3, 4, 6, 12] {
        for states in [0, 1, 2, 3, 7, 100] {
            same("lstm", &spec, DIMS, segments(recompute, states), true);
        }
    }
}

#[test]
fn noise_is_that_of_the_whole_window() {
    let noisy = |locked| Spec {
        dropout: 0.4,
        drops: Drops {
            input: 0.3,
            tokens: 0.3,
            weights: 0.4,
            locked,
        },
        noise: Noise {
            zoneout: 0.3,
            zoneout_memory: 0.2,
            recurrent: 0.3,
        },
        ..spec("lstm", 3, 2, 3)
    };
    for locked in [false, true] {
        for fast in [false, true] {
            same("noise", &noisy(locked), DIMS, segments(4, 2), fast);
        }
    }
    // Without dropout of the input the table of embedding times weight is used, and its gradient.
    let table = Spec {
        drops: Drops {
            weights: 0.4,
            ..Drops::default()
        },
        ..noisy(false)
    };
    same("table", &table, DIMS, segments(6, 0), true);
}

#[test]
fn composed_models() {
    let base = |cell: &str, embed| spec(cell, 4, 2, embed);
    let connected = |residual, skip| Connections { residual, skip };
    let specs = [
        (
            "learned",
            Spec {
                learn_initial: true,
                ..base("gru", 0)
            },
        ),
        (
            "norm",
            Spec {
                layer_norm: true,
                dropout: 0.3,
                ..base("lstm", 3)
            },
        ),
        (
            "residual",
            Spec {
                connections: connected(true, false),
                ..base("lstm", 3)
            },
        ),
        (
            "skip",
            Spec {
                connections: connected(true, true),
                dropout: 0.3,
                ..base("gru", 3)
            },
        ),
        (
            "tied",
            Spec {
                tie: true,
                dropout: 0.3,
                ..base("lstm", 4)
            },
        ),
        (
            // A segment of one step has 14 scores, one of 4 steps 56: chunks of the vocabulary, and of the rows too.
            "chunked head",
            Spec {
                scores_at_once: 12,
                dropout: 0.3,
                ..base("lstm", 3)
            },
        ),
        (
            "chunked and tied",
            Spec {
                scores_at_once: 8,
                tie: true,
                ..base("gru", 4)
            },
        ),
        (
            "project",
            Spec {
                project: 3,
                tie: true,
                ..base("rnn", 3)
            },
        ),
        (
            "all",
            Spec {
                learn_initial: true,
                layer_norm: true,
                tie: true,
                dropout: 0.3,
                connections: connected(true, false),
                penalties: Penalties {
                    activation: 0.7,
                    ..Penalties::default()
                },
                ..base("lstm-peephole", 4)
            },
        ),
    ];
    for (name, spec) in specs {
        for how in [segments(4, 0), segments(2, 2), segments(1, 3)] {
            if spec.scores_at_once < 14 {
                let plan = spec.unrolled(DIMS, how, Mode::Gradients).unwrap();
                let chunk = |op: &&Op| matches!(op, Op::SoftmaxStats(_));
                let chunks = plan.ops.iter().filter(chunk).count();
                assert!(chunks >= 2 * DIMS.steps / how.recompute, "{name}: {chunks}");
            }
            same(name, &spec, DIMS, how, true);
            same(name, &spec, DIMS, how, false);
        }
    }
}

#[test]
fn finite_differences_agree() {
    for name in ["lstm", "gru", "lstm-fgr", "slstm"] {
        let spec = Spec {
            dropout: 0.3,
            learn_initial: true,
            ..spec(name, 3, 2, 0)
        };
        let dims = Dims { steps: 6, batch: 2 };
        let plan = spec
            .unrolled(dims, segments(2, 2), Mode::Gradients)
            .unwrap();
        let slopes = differences(Arc::new(plan), true).unwrap();
        assert!(slopes.len() > 20);
        for slope in &slopes {
            assert!(slope.passed(), "{name}: {}", slope.fault());
        }
    }
}

/// The gradient of an update from several segments is the sum of theirs, each from the states that the one before left.
#[test]
fn minibatches_add_up() {
    let specs = [
        spec("lstm", 3, 2, 0),
        Spec {
            learn_initial: true,
            tie: true,
            ..spec("gru", 3, 1, 3)
        },
        Spec {
            scores_at_once: 20,
            ..spec("lstm", 3, 1, 3)
        },
        Spec {
            penalties: Penalties {
                activation: 0.4,
                temporal: 0.5,
                norm: 0.6,
                propagation: 0.3,
            },
            ..spec("rnn", 3, 1, 3)
        },
    ];
    let dims = Dims { steps: 4, batch: 2 };
    for spec in specs {
        for (recompute, fast) in [(0, true), (0, false), (2, true)] {
            if recompute > 0 && spec.penalties.temporal > 0.0 {
                continue;
            }
            let how = Unroll {
                recompute,
                states: 0,
                minibatches: 3,
            };
            let plain = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
            let joined = Arc::new(spec.unrolled(dims, how, Mode::Gradients).unwrap());
            let (mut plain, mut joined) = (executor(&plain, fast), executor(&joined, fast));
            let scale = 1.0 / 24.0;
            for (step, reset) in [(0, true), (1, false)] {
                let got = run(&mut joined, step, reset, scale);
                let _io = joined.plan().io.clone();
                let slot = joined.plan().recipes.ids().unwrap();
                let ids = joined.read_words(slot).to_vec();
                let mut sums = vec![0.0; plain.plan().arena];
                let (mut losses, mut penalty) = (Vec::new(), 0.0);
                for segment in 0..3 {
                    let ids = &ids[segment * 8..][..10];
                    let part = inputs(ids, reset && segment == 0, 1.0 / 8.0);
                    let outcome = plain.run(&at_step(step, part));
                    penalty += outcome.unwrap().report.penalty / 3.0;
                    let io = &plain.plan().io;
                    losses.extend_from_slice(plain.read(io.losses.unwrap()));
                    let gradients = plain.read(io.gradients.unwrap());
                    for (sum, g) in sums.iter_mut().zip(gradients) {
                        *sum += g / 3.0;
                    }
                }
                near("penalty", &got[0].1[2..3], &[penalty], 1e-12);
                near("losses", &got[1].1, &losses, 1e-12);
                near("gradients", &got[2].1, &sums, 1e-12);
            }
        }
    }
}

#[test]
fn activations_are_those_of_a_segment() {
    let bytes = |plan: &Plan| -> usize {
        let slots = plan.slots.iter();
        let kept = slots.filter(|s| matches!(s.role, Role::Activation | Role::State));
        kept.map(|s| 4 * s.len()).sum()
    };
    let spec = spec("lstm", 16, 2, 0);
    let dims = Dims {
        steps: 400,
        batch: 4,
    };
    let plain = bytes(&spec.plan(dims, Mode::Gradients).unwrap());
    let segmented = bytes(
        &spec
            .unrolled(dims, segments(20, 0), Mode::Gradients)
            .unwrap(),
    );
    // A segment holds its deltas beside what it kept, which run forward again; a whole minibatch has one place for both.
    assert!(9 * segmented < plain, "{segmented} of {plain} bytes");
}

#[test]
fn what_does_not_fit_is_refused() {
    let base = spec("rnn", 3, 1, 0);
    let fault = |spec: &Spec, how| {
        let e = spec.unrolled(DIMS, how, Mode::Gradients).unwrap_err();
        assert_eq!(e.kind, wgrnn::Kind::Usage, "{e}");
        e.message
    };
    let uneven = fault(&base, segments(5, 0));
    for part in ["recompute", "seq-len 12", "got 5"] {
        assert!(uneven.contains(part), "{uneven}");
    }
    for (key, temporal, norm, propagation) in [
        ("temporal-penalty", 0.5, 0.0, 0.0),
        ("norm-stabilizer", 0.0, 0.5, 0.0),
        ("propagation-penalty", 0.0, 0.0, 0.5),
    ] {
        let penalties = Penalties {
            activation: 0.0,
            temporal,
            norm,
            propagation,
        };
        let spec = Spec {
            penalties,
            ..base.clone()
        };
        let text = fault(&spec, segments(3, 0));
        assert!(text.contains(key), "{text}");
    }
    let both = Spec {
        bidirectional: true,
        ..base
    };
    assert!(fault(&both, segments(3, 0)).contains("bidirectional"));
}

#[test]
fn deltas_take_the_place_of_what_was_kept_where_nothing_reads_it_again() {
    let in_place = |plan: &Plan| {
        let mut scans = plan.ops.iter().filter_map(|op| match op {
            Op::Scan(scan) if scan.upstream.is_some() => Some(scan.in_place()),
            _ => None,
        });
        scans.next().unwrap()
    };
    // A rnn keeps nothing; the others that are listed as false have several stages backward.
    for (cell, want) in [
        ("lstm", true),
        ("lstm-peephole", true),
        ("gru", true),
        ("gru-cho", false),
        ("lstm-ln", false),
        ("rnn", false),
    ] {
        let spec = spec(cell, 4, 1, 0);
        let whole = spec.plan(DIMS, Mode::Gradients).unwrap();
        assert_eq!(in_place(&whole), want, "{cell}");
        let cut = spec
            .unrolled(DIMS, segments(2, 0), Mode::Gradients)
            .unwrap();
        assert!(!in_place(&cut), "{cell} in segments");
    }
}
