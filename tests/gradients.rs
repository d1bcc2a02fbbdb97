//! Every gradient against central finite differences in f64: every cell, odd shapes, every way in for the tokens.

use std::sync::Arc;

use wgrnn::cell::{Cell, library};
use wgrnn::exec::Inputs;
use wgrnn::exec::cpu::Cpu;
use wgrnn::model::{Dims, Drops, Mode, Penalties, Spec};
use wgrnn::op::{Control, Hyper, Plan};
use wgrnn::rng::{Purpose, Stream};

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

struct Setup {
    plan: Arc<Plan>,
    parameters: Vec<f64>,
    states: Vec<Vec<f64>>,
    ids: Vec<u32>,
    scale: f64,
}

impl Setup {
    fn new(spec: &Spec, dims: Dims) -> Setup {
        let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
        let mut stream = Stream::new(11, Purpose::Check, 0);
        let parameters = (0..plan.arena).map(|_| 0.7 * stream.normal()).collect();
        let states = plan.io.states.iter().map(|s| {
            let len = plan.slot(*s).len();
            (0..len).map(|_| 0.5 * stream.normal()).collect()
        });
        let states = states.collect();
        let positions = (dims.steps + 1) * dims.batch;
        let ids = (0..positions)
            .map(|_| (stream.uniform() * spec.vocab as f32) as u32)
            .collect();
        Setup {
            plan,
            parameters,
            states,
            ids,
            scale: 1.0 / (dims.steps * dims.batch) as f64,
        }
    }

    /// Runs the plan; the states' last step is carried to the first, so the initial states are written there.
    fn run(&self, cpu: &mut Cpu<f64>, parameters: &[f64], states: &[Vec<f64>]) -> f64 {
        let io = &self.plan.io;
        cpu.write(io.parameters.unwrap())
            .copy_from_slice(parameters);
        for (slot, values) in io.states.iter().zip(states) {
            cpu.write(*slot).copy_from_slice(values);
        }
        let outcome = cpu
            .run(&Inputs {
                ids: &self.ids,
                weights: None,
                control: Control {
                    key: [3, 4],
                    step: [9, 0],
                    reset: 0,
                },
                hyper: Hyper {
                    scale: self.scale,
                    ..Hyper::default()
                },
            })
            .unwrap();
        outcome.report.loss * self.scale + outcome.report.penalty
    }
}

fn agree(what: &str, got: f64, want: f64) {
    // Central differences with a step of 1e-5 err by about 1e-10 times the third derivative; rounding adds 1e-11.
    let tolerance = 2e-7 * want.abs().max(1e-2);
    assert!(
        (got - want).abs() <= tolerance,
        "{what}: got {got:e}, finite difference {want:e}"
    );
}

fn check(spec: &Spec, dims: Dims, fast: bool) {
    let setup = Setup::new(spec, dims);
    let io = setup.plan.io.clone();
    let mut cpu = if fast {
        Cpu::<f64>::new(setup.plan.clone())
    } else {
        Cpu::<f64>::plain(setup.plan.clone())
    };
    let loss = setup.run(&mut cpu, &setup.parameters, &setup.states);
    assert!(loss.is_finite() && loss > 0.1, "loss {loss}");
    let gradients = cpu.read(io.gradients.unwrap()).to_vec();
    let initial: Vec<Vec<f64>> = io
        .initial
        .iter()
        .map(|m| cpu.read(m.slot)[m.offset..m.offset + m.rows * m.cols].to_vec())
        .collect();
    let step = 1e-5;
    let slope = |up: f64, down: f64| (up - down) / (2.0 * step);
    let mut seen = 0;
    for parameter in &setup.plan.parameters {
        let m = parameter.matrix;
        // A stride through large parameters keeps the test short; 7 is prime to every size here.
        let count = m.rows * m.cols;
        for i in (0..count).step_by(if count > 60 { 7 } else { 1 }) {
            let at = m.offset + i;
            let mut p = setup.parameters.clone();
            p[at] += step;
            let up = setup.run(&mut cpu, &p, &setup.states);
            p[at] = setup.parameters[at] - step;
            let down = setup.run(&mut cpu, &p, &setup.states);
            let what = format!("{} {} [{i}]", spec.cell_names(), parameter.name);
            agree(&what, gradients[at], slope(up, down));
            seen += 1;
        }
    }
    // The initial states lie in the last step of the states' slots [S, T+1, B, H]. Backward runs from the top layer.
    for (layer, initial) in initial.iter().rev().enumerate() {
        let plane = dims.batch * spec.hidden;
        for (i, got) in initial.iter().enumerate() {
            let at = (i / plane * (dims.steps + 1) + dims.steps) * plane + i % plane;
            let mut states = setup.states.clone();
            states[layer][at] += step;
            let up = setup.run(&mut cpu, &setup.parameters, &states);
            states[layer][at] -= 2.0 * step;
            let down = setup.run(&mut cpu, &setup.parameters, &states);
            let what = format!("{} initial state, layer {layer} [{i}]", spec.cell_names());
            agree(&what, *got, slope(up, down));
        }
    }
    assert!(seen > 20, "only {seen} gradients were looked at");
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
        let setup = Setup::new(spec, dims);
        let mut cpu = Cpu::<f64>::plain(setup.plan.clone());
        setup.run(&mut cpu, &setup.parameters, &setup.states);
        let report = setup.plan.io.report.unwrap();
        cpu.read(report).to_vec()
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
        (of("penalty"), of("dropout"))
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
        let setup = Setup::new(&spec, Dims { steps: 3, batch: 2 });
        let mut cpu = Cpu::<f64>::new(setup.plan.clone());
        setup.run(&mut cpu, &setup.parameters, &setup.states);
        let weight = { setup.plan.parameters.iter() }
            .find(|p| p.name == "rnn.weight_hh_l0")
            .unwrap();
        let gradients = cpu.read(setup.plan.io.gradients.unwrap());
        let gradients = &gradients[weight.matrix.offset..weight.matrix.end()];
        let dropped = cpu.read(setup.plan.find("dropped.weights.l0").unwrap());
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

/// Penalties and dropout where signals take more than one way.
#[test]
fn regularisers_on_layers_that_are_not_a_plain_stack() {
    let dims = Dims { steps: 4, batch: 2 };
    let noisy = |s: &mut Spec| {
        s.dropout = 0.3;
        s.drops = Drops {
            input: 0.2,
            tokens: 0.2,
            weights: 0.3,
            locked: true,
        };
        s.penalties = Penalties {
            activation: 0.7,
            temporal: 0.9,
            norm: 0.8,
            ..Penalties::default()
        };
    };
    for fast in [false, true] {
        let spec = model(&["lstm", "gru", "highway"], |s| {
            noisy(s);
            s.connections.residual = true;
            s.connections.skip = true;
            s.layer_norm = true;
        });
        // A skip connection widens what a highway reads, which must be H.
        let spec = Spec {
            cells: spec.cells[..2].to_vec(),
            project: 4,
            ..spec
        };
        check(&spec, dims, fast);
        let both = model(&["gru", "highway", "lstm"], |s| {
            noisy(s);
            s.bidirectional = true;
            s.project = 3;
            s.noise.zoneout = 0.3;
        });
        check(&both, dims, fast);
    }
}
