//! Pascanu's regulariser against a computation that shares no code with it: a network of one layer written out, and the
//! penalty's finite differences in the recurrent weight with states and gradients held fixed.

use std::sync::Arc;

use wgrnn::cell::library;
use wgrnn::exec::cpu::Cpu;
use wgrnn::model::{Dims, Mode, Penalties, Spec};
use wgrnn::op::Plan;
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;

const V: usize = 5;
const H: usize = 3;
const T: usize = 4;
const B: usize = 2;
const SCALE: f64 = 1.0 / (T * B) as f64;
const WEIGHT: f64 = 0.7;

fn plan(cell: &str, propagation: f64) -> Arc<Plan> {
    let spec = Spec {
        vocab: V,
        cells: vec![Arc::new(library::builtin(cell).unwrap())],
        hidden: H,
        penalties: Penalties {
            propagation,
            ..Penalties::default()
        },
        ..Spec::default()
    };
    let dims = Dims { steps: T, batch: B };
    Arc::new(spec.plan(dims, Mode::Gradients).unwrap())
}

struct Case {
    parameters: Vec<f64>,
    start: Vec<f64>,
    ids: Vec<u32>,
}

fn case(plan: &Plan) -> Case {
    let mut stream = Stream::new(3, Purpose::Check, 0);
    Case {
        parameters: (0..plan.arena).map(|_| 0.8 * stream.normal()).collect(),
        start: (0..B * H).map(|_| 0.5 * stream.normal()).collect(),
        ids: (0..(T + 1) * B)
            .map(|_| (stream.uniform() * V as f32) as u32)
            .collect(),
    }
}

/// Gradients and the report's numbers.
fn run(plan: &Arc<Plan>, case: &Case) -> (Vec<f64>, Vec<f64>) {
    let mut cpu = Cpu::<f64>::new(plan.clone());
    let io = &plan.io;
    cpu.write(io.parameters.unwrap())
        .copy_from_slice(&case.parameters);
    // The states [1, T+1, B, H] go on from the last step.
    cpu.write(io.states[0].slot)[T * B * H..].copy_from_slice(&case.start);
    cpu.run(&Inputs::new(&case.ids).scale(SCALE)).unwrap();
    let report = cpu.read(io.report.unwrap()).to_vec();
    (cpu.read(io.gradients.unwrap()).to_vec(), report)
}

fn parameter<'a>(plan: &Plan, values: &'a [f64], name: &str) -> Option<&'a [f64]> {
    let found = plan.parameters.iter().find(|p| p.name == name)?;
    Some(&values[found.matrix.offset..found.matrix.end()])
}

/// For every step and row: dE/dh_t, and dE/d(pre-activation of step t).
type Adjoints = Vec<[[f64; H]; 2]>;

/// Forward and backward through h = tanh(W x + b + R h') and scores = U h + c, all by hand.
fn adjoints(plan: &Plan, case: &Case) -> Adjoints {
    let get = |name| parameter(plan, &case.parameters, name);
    let (w, r) = (get("rnn.weight_ih_l0"), get("rnn.weight_hh_l0"));
    let (w, r) = (w.unwrap(), r.unwrap());
    let (u, c) = (get("head.weight").unwrap(), get("head.bias").unwrap());
    let biases = [get("rnn.bias_ih_l0"), get("rnn.bias_hh_l0")];
    let mut result = vec![[[0.0; H]; 2]; T * B];
    for b in 0..B {
        let mut states = [[0.0; H]; T + 1];
        states[0].copy_from_slice(&case.start[b * H..][..H]);
        for t in 0..T {
            let x = case.ids[t * B + b] as usize;
            for j in 0..H {
                let bias: f64 = biases.iter().flatten().map(|bias| bias[j]).sum();
                let back: f64 = (0..H).map(|k| states[t][k] * r[k * H + j]).sum();
                states[t + 1][j] = (w[x * H + j] + bias + back).tanh();
            }
        }
        let mut later = [0.0; H];
        for t in (0..T).rev() {
            let h = states[t + 1];
            let scores: Vec<f64> = (0..V)
                .map(|s| c[s] + (0..H).map(|j| u[s * H + j] * h[j]).sum::<f64>())
                .collect();
            let sum: f64 = scores.iter().map(|s| s.exp()).sum();
            let target = case.ids[(t + 1) * B + b] as usize;
            let mut g = later;
            for (s, score) in scores.iter().enumerate() {
                let d = SCALE * (score.exp() / sum - if s == target { 1.0 } else { 0.0 });
                for j in 0..H {
                    g[j] += d * u[s * H + j];
                }
            }
            let delta: [f64; H] = std::array::from_fn(|j| g[j] * (1.0 - h[j] * h[j]));
            later = std::array::from_fn(|k| (0..H).map(|j| delta[j] * r[k * H + j]).sum());
            result[t * B + b] = [g, delta];
        }
    }
    result
}

/// The penalty for a recurrent weight, the adjoints held fixed.
fn omega(r: &[f64], adjoints: &Adjoints) -> f64 {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let of_row = |[g, delta]: &[[f64; H]; 2]| {
        let v: [f64; H] = std::array::from_fn(|k| (0..H).map(|j| delta[j] * r[k * H + j]).sum());
        (norm(&v) / norm(g) - 1.0).powi(2)
    };
    WEIGHT * adjoints.iter().map(of_row).sum::<f64>() / (T * B) as f64
}

#[test]
fn the_gradient_is_the_immediate_derivative_of_the_penalty() {
    for cell in ["elman", "rnn"] {
        let (without, with) = (plan(cell, 0.0), plan(cell, WEIGHT));
        let case = case(&without);
        let (base, plain) = run(&without, &case);
        let (gradients, report) = run(&with, &case);
        let adjoints = adjoints(&without, &case);
        let r = parameter(&without, &case.parameters, "rnn.weight_hh_l0").unwrap();
        let want = omega(r, &adjoints);
        assert!(want > 0.01, "{cell}: {want}");
        // Sums of a few dozen numbers near 1 in f64.
        assert!(
            (report[3] - want).abs() < 1e-13,
            "{cell}: {report:?}, want {want}"
        );
        assert_eq!(report[0], plain[0], "{cell}: the loss");
        for p in &without.parameters {
            for i in 0..p.matrix.rows * p.matrix.cols {
                let at = p.matrix.offset + i;
                let got = gradients[at] - base[at];
                let slope = if p.name == "rnn.weight_hh_l0" {
                    let shifted = |by: f64| {
                        let mut r = r.to_vec();
                        r[i] += by;
                        omega(&r, &adjoints)
                    };
                    (shifted(1e-5) - shifted(-1e-5)) / 2e-5
                } else {
                    0.0
                };
                let what = format!("{cell} {} [{i}]", p.name);
                // Central differences of step 1e-5 err by 1e-10 and by rounding of 1e-11.
                assert!(
                    (got - slope).abs() < 1e-9,
                    "{what}: got {got:e}, want {slope:e}"
                );
            }
        }
    }
}

/// Every layer has a penalty of its own; a cell with a gate around its state, or with two, is refused by name.
#[test]
fn layers_each_have_one_and_other_cells_are_refused() {
    let spec = |cells: &[&str], propagation| Spec {
        vocab: V,
        cells: cells
            .iter()
            .map(|c| Arc::new(library::builtin(c).unwrap()))
            .collect(),
        hidden: H,
        penalties: Penalties {
            propagation,
            ..Penalties::default()
        },
        ..Spec::default()
    };
    let dims = Dims { steps: T, batch: B };
    let count = |spec: Spec, mode| {
        let plan = spec.plan(dims, mode).unwrap();
        let ops = plan.ops.iter();
        ops.filter(|op| op.kind() == "propagation").count()
    };
    assert_eq!(count(spec(&["rnn", "elman"], 0.1), Mode::Gradients), 2);
    assert_eq!(count(spec(&["rnn", "elman"], 0.0), Mode::Gradients), 0);
    assert_eq!(count(spec(&["lstm"], 0.0), Mode::Gradients), 0);
    for mode in [Mode::Evaluate, Mode::Scores] {
        assert_eq!(count(spec(&["rnn", "elman"], 0.1), mode), 0);
    }
    for cell in ["lstm", "gru", "rnn-leaky", "gru-cho", "lstm-idea"] {
        let error = spec(&["rnn", cell], 0.1).plan(dims, Mode::Gradients);
        let error = error.unwrap_err();
        assert_eq!(error.kind, wgrnn::Kind::Usage, "{cell}");
        assert!(error.message.contains("propagation-penalty"), "{error}");
        assert!(error.message.ends_with(&format!("got {cell}")), "{error}");
    }
}

/// In a layer that runs from the last step to the first, what arrives at a step comes from the step before.
#[test]
fn a_reversed_layer_counts_its_own_steps() {
    let cell = Arc::new(library::builtin("elman").unwrap());
    let spec = Spec {
        vocab: V,
        cells: vec![cell],
        hidden: H,
        bidirectional: true,
        penalties: Penalties {
            propagation: WEIGHT,
            ..Penalties::default()
        },
        ..Spec::default()
    };
    let dims = Dims { steps: T, batch: B };
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let case = case(&plan);
    let mut cpu = Cpu::<f64>::new(plan.clone());
    cpu.write(plan.io.parameters.unwrap())
        .copy_from_slice(&case.parameters);
    cpu.run(&Inputs::new(&case.ids).scale(SCALE)).unwrap();
    let read = |name: &str| cpu.read(plan.find(name).unwrap());
    let above = read("d.head.input");
    let mut want = 0.0;
    for (side, name) in ["l0", "l0_reverse"].into_iter().enumerate() {
        let weight = format!("rnn.weight_hh_{name}");
        let r = parameter(&plan, &case.parameters, &weight).unwrap();
        let delta = read(&format!("delta.{name}"));
        let adjoints: Adjoints = (0..T * B)
            .map(|row| {
                let (t, b) = (row / B, row % B);
                let step = if side == 0 { t } else { T - 1 - t };
                let position = step * B + b;
                // The deltas after the last step are zero.
                let next = &delta[((t + 1) * B + b) * H..][..H];
                let g = std::array::from_fn(|k| {
                    let later: f64 = (0..H).map(|j| next[j] * r[k * H + j]).sum();
                    above[(position * 2 + side) * H + k] + later
                });
                let own = &delta[row * H..][..H];
                [g, std::array::from_fn(|j| own[j])]
            })
            .collect();
        want += omega(r, &adjoints);
    }
    let got = cpu.read(plan.io.report.unwrap())[3];
    assert!((got - want).abs() < 1e-13, "{got}, want {want}");
}
