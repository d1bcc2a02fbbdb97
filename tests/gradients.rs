//! Every gradient against central finite differences in f64: every cell, odd shapes, every way in for the tokens.

use std::sync::Arc;

use wgrnn::cell::{Cell, library};
use wgrnn::exec::cpu::Cpu;
use wgrnn::model::{Dims, Drops, Init, Mode, Penalties, Scheme, Spec, initialize};
use wgrnn::op::Plan;
use wgrnn::task::Inputs;
use wgrnn::task::differences::{differences, differences_at, worst};

fn spec(cell: Cell, hidden: usize, layers: usize, embed: usize) -> Spec {
    let cell = Arc::new(cell);
    Spec {
        vocab: 5,
        cells: vec![cell; layers],
        hidden,
        embed,
        ..Spec::default()
    }
}

fn check(spec: &Spec, dims: Dims, fast: bool) {
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let slopes = differences(plan.clone(), fast).unwrap();
    for slope in &slopes {
        assert!(slope.passed(), "{} {}", spec.cell_names(), slope.fault());
    }
    assert!(slopes.len() > 20, "{} gradients", slopes.len());
    // A loss that depends on nothing has right gradients too.
    let steepest = slopes.iter().map(|s| s.want.abs()).fold(0.0, f64::max);
    assert!(steepest > 1e-3, "no slope is above {steepest}");
    let looked_at = |name: &str| slopes.iter().any(|s| s.name == name);
    for parameter in &plan.parameters {
        assert!(looked_at(&parameter.name), "{}", parameter.name);
    }
    for layout in &plan.io.states {
        let name = format!("initial {}", plan.slot(layout.slot).name);
        assert!(looked_at(&name), "{name}");
    }
}

#[test]
fn every_cell_one_hot() {
    for name in library::names() {
        let cell = library::builtin(name).unwrap();
        let embed = if cell.raw_input { 3 } else { 0 };
        check(&spec(cell, 3, 2, embed), Dims { steps: 4, batch: 2 }, false);
    }
}

#[test]
fn every_cell_fast() {
    for name in library::names() {
        let cell = library::builtin(name).unwrap();
        let embed = if cell.raw_input { 5 } else { 3 };
        check(&spec(cell, 5, 1, embed), Dims { steps: 3, batch: 3 }, true);
    }
}

#[test]
fn embedding_as_table_and_as_rows() {
    // 5 symbols: with 6 positions the table of embedding times weight is used, with 4 the rows.
    for dims in [Dims { steps: 3, batch: 2 }, Dims { steps: 2, batch: 2 }] {
        let cell = library::builtin("gru").unwrap();
        check(&spec(cell, 3, 1, 2), dims, false);
    }
}

#[test]
fn tied_weights_and_dropout() {
    let cell = library::builtin("lstm").unwrap();
    for embed in [3, 4] {
        let mut spec = spec(cell.clone(), embed, 2, embed);
        spec.tie = true;
        spec.dropout = 0.4;
        check(&spec, Dims { steps: 3, batch: 2 }, true);
    }
}

#[test]
fn cells_from_text_with_several_states_sources_and_peepholes() {
    let texts = [
        (
            "two-made",
            "state h, s\nconst a = 0.3\nu = tanh(linear(x, h) + peep(s))\nv = sigmoid(linear(u, s))\nw = relu(linear(u * v))\ns = a * s + (1 - a) * max(w, v)\nh = v * tanh(s) - u / (2 + exp(-s))\n",
        ),
        (
            "raw-input",
            "state h\nz = sigmoid(linear(x))\nr = sigmoid(x + linear(h))\nn = tanh(linear(r * h) + tanh(x))\nh = n * z + h * (1 - z)\n",
        ),
        (
            "chain",
            "state h\na = tanh(linear(tanh(h)))\nb = tanh(linear(a, x))\nc = sigmoid(linear(b, a))\nh = c * b + min(a, h)\n",
        ),
    ];
    for (name, text) in texts {
        let cell = Cell::parse(name, text).unwrap();
        check(
            &spec(cell.clone(), 3, 2, 3),
            Dims { steps: 3, batch: 2 },
            false,
        );
        check(&spec(cell, 3, 1, 3), Dims { steps: 5, batch: 1 }, true);
    }
}

#[test]
fn layers_of_different_cells() {
    let cells = ["gru", "lstm-peephole", "rnn"].map(|n| Arc::new(library::builtin(n).unwrap()));
    let spec = Spec {
        cells: cells.to_vec(),
        ..spec(library::builtin("rnn").unwrap(), 3, 1, 0)
    };
    check(&spec, Dims { steps: 3, batch: 2 }, true);
}

/// One run from weights that the seed of a test draws.
fn run(spec: &Spec, dims: Dims) -> (Arc<Plan>, Cpu<f64>) {
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let mut cpu = Cpu::<f64>::new(plan.clone());
    let init = Init {
        scheme: Scheme::Normal,
        scale: 0.7,
        seed: 5,
        ..Init::default()
    };
    let weights = initialize(&plan, &init).unwrap();
    let slot = cpu.write(plan.io.parameters.unwrap());
    for (to, from) in slot.iter_mut().zip(weights) {
        *to = f64::from(from);
    }
    let positions = (dims.steps + 1) * dims.batch;
    let ids: Vec<u32> = (0..positions as u32).map(|i| i * i % 5).collect();
    cpu.run(
        &Inputs::new(&ids)
            .draws([3, 4], 9)
            .reset(true)
            .scale(1.0 / (dims.steps * dims.batch) as f64),
    )
    .unwrap();
    (plan, cpu)
}

#[test]
fn every_form_of_dropout() {
    let forms = [
        (0.0, 0.4, 0.0, 0.0, true),
        (0.4, 0.3, 0.0, 0.0, false),
        (0.4, 0.3, 0.0, 0.0, true),
        (0.0, 0.0, 0.5, 0.0, false),
        (0.0, 0.0, 0.0, 0.5, false),
        (0.3, 0.2, 0.2, 0.3, true),
    ];
    for (dropout, input, tokens, weights, locked) in forms {
        // gru-cho multiplies a made value too, rnn has a single matrix.
        for cell in ["lstm", "gru-cho", "rnn"] {
            let spec = Spec {
                dropout,
                drops: Drops {
                    input,
                    tokens,
                    weights,
                    locked,
                },
                ..spec(library::builtin(cell).unwrap(), 3, 2, 3)
            };
            check(&spec, Dims { steps: 3, batch: 2 }, cell == "lstm");
        }
    }
}

#[test]
fn targets_that_are_not_the_next_inputs() {
    for (cell, embed) in [("lstm", 0), ("gru-cho", 3), ("rnn", 7)] {
        let spec = Spec {
            targets_apart: true,
            drops: Drops {
                tokens: if embed > 0 { 0.2 } else { 0.0 },
                ..Drops::default()
            },
            ..spec(library::builtin(cell).unwrap(), 3, 2, embed)
        };
        for fast in [false, true] {
            check(&spec, Dims { steps: 3, batch: 2 }, fast);
            // Many positions take the embedding's table, few its rows.
            check(&spec, Dims { steps: 1, batch: 2 }, fast);
        }
    }
}

/// The losses are those of the given targets under the scores of the inputs.
#[test]
fn losses_are_those_of_the_targets() {
    let spec = Spec {
        targets_apart: true,
        ..spec(library::builtin("lstm").unwrap(), 3, 1, 0)
    };
    let dims = Dims { steps: 4, batch: 2 };
    let scored = Arc::new(spec.plan(dims, Mode::Scores).unwrap());
    let trained = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    assert!(scored.recipes.targets().is_none());
    let ids: Vec<u32> = (0..10).map(|i| i * i % 5).collect();
    let targets: Vec<u32> = (0..8).map(|i| (3 * i + 1) % 5).collect();
    assert_ne!(targets, ids[2..]);
    let executor = |plan: &Arc<Plan>, targets: Option<&[u32]>| {
        let mut cpu = Cpu::<f64>::new(plan.clone());
        let parameters = cpu.write(plan.io.parameters.unwrap());
        for (i, to) in parameters.iter_mut().enumerate() {
            *to = (i as f64).sin();
        }
        let inputs = Inputs::new(&ids).targets(targets).reset(true);
        cpu.run(&inputs).map(|_| cpu)
    };
    let scores = executor(&scored, None).unwrap();
    let scores = scores.read(scored.io.logits.unwrap());
    let check = |given: Option<&[u32]>, want: &[u32]| {
        let cpu = executor(&trained, given).unwrap();
        let losses = cpu.read(trained.io.losses.unwrap());
        for ((loss, row), target) in losses.iter().zip(scores.chunks(5)).zip(want) {
            let sum: f64 = row.iter().map(|s| s.exp()).sum();
            let want = sum.ln() - row[*target as usize];
            assert!((loss - want).abs() < 1e-13, "got {loss}, want {want}");
        }
    };
    check(Some(&targets), &targets);
    check(None, &ids[2..]);
    for (plan, targets, what) in [
        (&trained, &targets[1..], "targets"),
        (&trained, &[7; 8][..], "found 7"),
        (&scored, &targets[..], "targets"),
    ] {
        let e = executor(plan, Some(targets)).unwrap_err();
        assert!(e.message.contains(what), "{e}");
    }
}

#[test]
fn every_penalty() {
    let weights = [
        (0.7, 0.0, 0.0),
        (0.0, 0.9, 0.0),
        (0.0, 0.0, 0.8),
        (0.7, 0.9, 0.8),
    ];
    for (activation, temporal, norm) in weights {
        for (cell, dropout) in [("lstm", 0.4), ("gru", 0.0), ("rnn", 0.4)] {
            let spec = Spec {
                dropout,
                penalties: Penalties {
                    activation,
                    temporal,
                    norm,
                    ..Penalties::default()
                },
                ..spec(library::builtin(cell).unwrap(), 3, 2, 0)
            };
            // A single step has no pairs.
            for steps in [1, 4] {
                check(&spec, Dims { steps, batch: 3 }, cell == "gru");
            }
        }
    }
}

/// A penalty is no part of the loss, and what its weight is 0 for is not in the plan.
#[test]
fn penalties_are_reported_apart_and_leave_no_trace_when_off() {
    let dims = Dims { steps: 4, batch: 2 };
    let base = spec(library::builtin("lstm").unwrap(), 3, 2, 0);
    let penalized = Spec {
        penalties: Penalties {
            activation: 0.7,
            temporal: 0.9,
            norm: 0.8,
            ..Penalties::default()
        },
        ..base.clone()
    };
    let noisy = Spec {
        embed: 3,
        dropout: 0.2,
        drops: Drops {
            input: 0.2,
            tokens: 0.2,
            weights: 0.2,
            locked: true,
        },
        ..penalized.clone()
    };
    let run = |spec: &Spec| {
        let (plan, cpu) = run(spec, dims);
        cpu.read(plan.io.report.unwrap()).to_vec()
    };
    let (plain, with) = (run(&base), run(&penalized));
    assert_eq!(plain[0], with[0], "the loss");
    assert_ne!(plain[1], with[1], "the gradient's norm");
    assert_eq!(plain[3], 0.0);
    assert!(with[3] > 0.01, "{with:?}");

    let kinds = |spec: &Spec, mode| {
        let plan = spec.plan(dims, mode).unwrap();
        let kinds: Vec<&str> = plan.ops.iter().map(|op| op.kind()).collect();
        let of = |kind| kinds.iter().filter(|k| **k == kind).count();
        (of("rows"), of("dropout"))
    };
    assert_eq!(kinds(&base, Mode::Gradients), (0, 0));
    // The norm's for each layer, the others for the last.
    assert_eq!(kinds(&penalized, Mode::Gradients), (4, 0));
    // Tokens, input, both layers' outputs and both layers' weights, each forward and backward.
    assert_eq!(kinds(&noisy, Mode::Gradients), (4, 12));
    for mode in [Mode::Evaluate, Mode::Scores] {
        assert_eq!(kinds(&noisy, mode), (0, 0));
    }
}

/// A minibatch's mask of the weights is the same for the gradient: what was dropped has none.
#[test]
fn dropped_weights_have_no_gradient() {
    for (cell, propagation, least, most) in [("lstm", 0.0, 48, 96), ("rnn", 0.3, 7, 29)] {
        let spec = Spec {
            drops: Drops {
                weights: 0.5,
                ..Drops::default()
            },
            penalties: Penalties {
                propagation,
                ..Penalties::default()
            },
            ..spec(library::builtin(cell).unwrap(), 6, 1, 0)
        };
        let (plan, cpu) = run(&spec, Dims { steps: 3, batch: 2 });
        let weight = plan
            .parameters
            .iter()
            .find(|p| p.name == "rnn.weight_hh_l0")
            .unwrap();
        let gradients = cpu.read(plan.io.gradients.unwrap());
        let gradients = &gradients[weight.matrix.offset..weight.matrix.end()];
        let dropped = cpu.read(plan.find("dropped.weights.l0").unwrap());
        let zeros = dropped.iter().filter(|w| **w == 0.0).count();
        assert!(
            (least..=most).contains(&zeros),
            "{zeros} of {} dropped",
            dropped.len()
        );
        for (i, (weight, gradient)) in dropped.iter().zip(gradients).enumerate() {
            assert_eq!(*weight == 0.0, *gradient == 0.0, "{cell} [{i}]");
        }
    }
}

/// Small models with one thing each; an embedding of the hidden size, so that every cell fits.
fn model(cells: &[&str], change: impl FnOnce(&mut Spec)) -> Spec {
    let cells = cells.iter().map(|n| Arc::new(library::builtin(n).unwrap()));
    let mut spec = Spec {
        vocab: 5,
        cells: cells.collect(),
        hidden: 3,
        embed: 3,
        ..Spec::default()
    };
    change(&mut spec);
    spec
}

#[test]
fn layers_that_are_not_a_plain_stack() {
    let dims = Dims { steps: 4, batch: 2 };
    for fast in [false, true] {
        check(
            &model(&["gru", "highway", "highway", "lstm"], |_| ()),
            dims,
            fast,
        );
        check(
            &model(&["lstm", "gru", "rnn"], |s| s.connections.residual = true),
            dims,
            fast,
        );
        check(
            &model(&["rnn", "gru", "lstm"], |s| s.connections.skip = true),
            dims,
            fast,
        );
        check(&model(&["gru", "gru-cho"], |s| s.project = 2), dims, fast);
        check(
            &model(&["lstm", "gru"], |s| s.layer_norm = true),
            dims,
            fast,
        );
        check(
            &model(&["lstm", "rnn", "gru-cho"], |s| {
                s.connections.residual = true;
                s.connections.skip = true;
                s.layer_norm = true;
                s.project = 4;
                s.dropout = 0.3;
            }),
            dims,
            fast,
        );
    }
}

#[test]
fn both_directions_of_time() {
    for fast in [false, true] {
        for dims in [Dims { steps: 4, batch: 2 }, Dims { steps: 1, batch: 3 }] {
            // Rows, a table, and one-hot symbols.
            check(
                &model(&["lstm", "gru"], |s| s.bidirectional = true),
                dims,
                fast,
            );
            let one_hot = |s: &mut Spec| {
                s.embed = 0;
                s.bidirectional = true;
                s.connections.residual = true;
            };
            check(&model(&["gru-cho", "rnn"], one_hot), dims, fast);
            check(&model(&["mut1"], |s| s.bidirectional = true), dims, fast);
        }
    }
}

#[test]
fn noise_inside_cells() {
    let dims = Dims { steps: 4, batch: 3 };
    for cell in [
        "rnn", "lstm", "gru-cho", "mut1", "lstm-fgr", "slstm", "highway",
    ] {
        for fast in [false, true] {
            check(
                &model(&[cell, cell], |s| s.noise.recurrent = 0.4),
                dims,
                fast,
            );
            check(
                &model(&[cell], |s| {
                    s.noise.zoneout = 0.3;
                    s.noise.zoneout_memory = 0.5;
                    s.noise.recurrent = 0.2;
                }),
                dims,
                fast,
            );
        }
    }
}

#[test]
fn learned_initial_states() {
    let dims = Dims { steps: 3, batch: 2 };
    for fast in [false, true] {
        let spec = model(&["lstm", "gru-cho"], |s| s.learn_initial = true);
        check(&spec, dims, fast);
        let both = |s: &mut Spec| {
            s.learn_initial = true;
            s.bidirectional = true;
        };
        check(&model(&["lstm", "gru"], both), dims, fast);
    }
}

/// Units whose arguments are 3e-7 above the zero of their `relu`, within the smallest step of the differences: there the
/// loss has no slope, and a point beside it is compared.
#[test]
fn a_kink_is_stepped_aside_from() {
    let cell = Cell::parse("kink", "state h\nh = relu(linear(x, h))\n").unwrap();
    let spec = Spec {
        vocab: 3,
        cells: vec![Arc::new(cell)],
        hidden: 2,
        ..Spec::default()
    };
    let dims = Dims { steps: 1, batch: 2 };
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let parameters = plan.parameters.clone();
    let slopes = differences_at(plan, false, &mut |flat| {
        for parameter in parameters.iter().filter(|p| p.name.starts_with("rnn.")) {
            let m = parameter.matrix;
            let input = parameter.name.contains("weight_ih");
            flat[m.offset..m.end()].fill(if input { 3e-7 } else { 0.0 });
        }
    });
    let slopes = slopes.unwrap();
    let rnn = slopes.iter().filter(|s| s.name.starts_with("rnn."));
    assert!(rnn.filter(|s| s.got.abs() > 1e-3).count() > 2);
    let worst = worst(&slopes).unwrap();
    assert!(worst.passed(), "{}", worst.fault());
}
