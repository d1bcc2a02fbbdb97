//! Double precision on an adapter: functions, gradients, operations and training in f64 are the CPU's to its roundings.

mod common;
mod sandbox;

use std::sync::Arc;

use common::{device, inputs, lacks, tokens};
use pollster::block_on;
use sandbox::{Sandbox, TINY, injected};
use serde_json::Value;
use wgrnn::Kind;
use wgrnn::cell::{Cell, library};
use wgrnn::exec::check::Twins;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::gpu::{Fault, Gpu, Tile};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, Update, initialize};
use wgrnn::op::{Hyper, Plan, Rule};
use wgrnn::rng::{Purpose, Stream, key};
use wgrnn::task::Inputs;

const VOCAB: usize = 11;

fn spec(cell: Cell, hidden: usize, layers: usize, embed: usize) -> Spec {
    Spec {
        vocab: VOCAB,
        // A cell that uses x elementwise needs an input as wide as H.
        embed: if cell.raw_input { hidden } else { embed },
        cells: std::iter::repeat_n(Arc::new(cell), layers).collect(),
        hidden,
        ..Spec::default()
    }
}

fn builtin(name: &str) -> Cell {
    library::builtin(name).unwrap()
}

fn doubled(mut plan: Plan) -> Arc<Plan> {
    plan.double().unwrap();
    Arc::new(plan)
}

/// Parameters that no f32 holds.
fn start(plan: &Plan) -> Vec<f64> {
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.4,
        seed: 5,
        ..Init::default()
    };
    let mut stream = Stream::new(8, Purpose::Check, 0);
    let fine = |x: f32| f64::from(x) * (1.0 + 1e-8 * stream.normal());
    initialize(plan, &init)
        .unwrap()
        .into_iter()
        .map(fine)
        .collect()
}

/// Both executors of a plan with the same parameters.
fn both(plan: &Arc<Plan>, tile: &Tile) -> (Gpu, Cpu<f64>) {
    let mut gpu = block_on(Gpu::with_tile(device(), plan.clone(), tile)).unwrap();
    let mut cpu = Cpu::<f64>::new(plan.clone());
    let parameters = start(plan);
    let slot = plan.io.parameters.unwrap();
    gpu.write_as(slot, &parameters).unwrap();
    cpu.write(slot).copy_from_slice(&parameters);
    (gpu, cpu)
}

/// The numbers nearest to a rounding's edge, to 0 and to what is infinite, and many between.
fn arguments() -> Vec<f64> {
    let mut all = vec![
        0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e308,
        -1e308,
    ];
    for exponent in -300..=300 {
        all.extend([1.0, -1.0, 2.7, -8.9].map(|x| x * 10f64.powi(exponent)));
    }
    for i in -1400..=1418 {
        all.push(f64::from(i) * 0.5 + 1e-3);
        all.push(1.0 + f64::from(i) * 1e-4);
    }
    all.resize(all.len().next_multiple_of(8 * 7), 0.5);
    all
}

type Function = fn(f64) -> f64;

#[test]
fn functions_are_within_a_few_roundings_of_f64() {
    if lacks("double") {
        return;
    }
    // What each adds to is 0; a state must be looked at.
    let lines = [
        "state h, e, l, s, r",
        "e = exp(x) + e",
        "l = log(x) + l",
        "s = sigmoid(x) + s",
        "r = sqrt(x) + r",
        "h = tanh(x) + h",
    ];
    let text = lines.join("\n");
    let arguments = arguments();
    // In vectors of four, and one at a time.
    for hidden in [8, 7] {
        let rows = arguments.len() / hidden;
        let mut spec = spec(Cell::parse("functions", &text).unwrap(), hidden, 1, hidden);
        spec.vocab = rows;
        let dims = Dims {
            steps: 1,
            batch: rows,
        };
        let plan = doubled(spec.plan(dims, Mode::Evaluate).unwrap());
        let mut gpu = block_on(Gpu::with_tile(device(), plan.clone(), &Tile::SOFTWARE)).unwrap();
        let table = plan.parameters.iter().find(|p| p.matrix.rows == rows);
        let table = table.unwrap().matrix;
        let mut parameters = vec![0.0; plan.arena];
        for (n, x) in arguments.iter().enumerate() {
            parameters[table.offset + n / hidden * table.stride + n % hidden] = *x;
        }
        gpu.write_as(plan.io.parameters.unwrap(), &parameters)
            .unwrap();
        let ids: Vec<u32> = (0..2 * rows).map(|n| (n % rows) as u32).collect();
        block_on(gpu.run(&inputs(&ids, true, 1.0))).unwrap();
        // [S, T + 1, B, H]
        let states: Vec<f64> = block_on(gpu.read_as(plan.io.states[0].slot)).unwrap();
        let plane = rows * hidden;
        let functions: [(&str, Function); 5] = [
            ("tanh", f64::tanh),
            ("exp", f64::exp),
            ("log", f64::ln),
            ("sigmoid", |x| 1.0 / (1.0 + f64::exp(-x))),
            ("sqrt", f64::sqrt),
        ];
        for (s, (name, f)) in functions.into_iter().enumerate() {
            let mut worst = (0.0, 0.0);
            for (n, x) in arguments.iter().enumerate() {
                let (got, want) = (states[(2 * s + 1) * plane + n], f(*x));
                // What is subnormal may be flushed.
                let same = got == want || (got.is_nan() && want.is_nan());
                if same || want.abs() < 1e-307 && got.abs() < 1e-307 {
                    continue;
                }
                let error = (got - want).abs() / want.abs();
                assert!(
                    error <= 8e-16,
                    "{name}({x:e}) H {hidden}: got {got:e}, want {want:e}"
                );
                if error > worst.0 {
                    worst = (error, *x);
                }
            }
            println!("{name} H {hidden}: {:.1e} at {:e}", worst.0, worst.1);
        }
    }
}

/// What the largest element of a sum of a few hundred terms errs by in f64 is 1e-14 of it; that much is left for what
/// grows from step to step.
const GRADIENT: f64 = 1e-11;

fn gradients(names: &[&str]) {
    for name in names {
        let mut shapes = vec![
            (7, 2, 0, 5, 3, Tile::SOFTWARE),
            (8, 1, 8, 4, 5, Tile::SOFTWARE),
        ];
        if matches!(*name, "lstm" | "gru" | "rnn-ln") {
            shapes.push((5, 1, 3, 3, 2, Tile::GPU));
        }
        for (hidden, layers, embed, steps, batch, tile) in shapes {
            let spec = spec(builtin(name), hidden, layers, embed);
            let plan = doubled(spec.plan(Dims { steps, batch }, Mode::Gradients).unwrap());
            let (mut gpu, mut cpu) = both(&plan, &tile);
            let ids = tokens((steps + 1) * batch, VOCAB, 3);
            let inputs = inputs(&ids, true, 1.0 / (steps * batch) as f64);
            block_on(gpu.run(&inputs)).unwrap();
            let want = cpu.run(&inputs).unwrap().report;
            let got = block_on(gpu.outcomes(true)).unwrap()[0].report;
            assert!(
                (got.loss - want.loss).abs() <= 1e-13 * want.loss,
                "{got:?} {want:?}"
            );
            // More digits than f32 has: nothing on the way is one.
            assert_ne!(got.loss, f64::from(got.loss as f32));
            let slot = plan.io.gradients.unwrap();
            let (got, want): (Vec<f64>, _) = (block_on(gpu.read_as(slot)).unwrap(), cpu.read(slot));
            let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            assert!(largest > 1e-4);
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let what = format!("{name} {hidden} x {layers} [{i}]: got {got:e}, want {want:e}");
                assert!((got - want).abs() <= GRADIENT * largest, "{what}");
            }
        }
    }
}

/// The built-in cells in parts, for several threads.
fn part(n: usize) {
    let names: Vec<&str> = library::names().skip(n).step_by(3).collect();
    gradients(&names);
}

#[test]
fn gradients_of_every_cell_are_those_of_f64_a() {
    if lacks("double") {
        return;
    }
    part(0);
}

#[test]
fn gradients_of_every_cell_are_those_of_f64_b() {
    if lacks("double") {
        return;
    }
    part(1);
}

#[test]
fn gradients_of_every_cell_are_those_of_f64_c() {
    if lacks("double") {
        return;
    }
    part(2);
}

fn training(rule: Rule, dropout: f64, layers: usize) -> Plan {
    let spec = Spec {
        dropout,
        ..spec(builtin("lstm"), 12, layers, 0)
    };
    let update = Update {
        rule,
        clip_norm: 1.0,
        clip_value: 0.1,
    };
    let dims = Dims { steps: 6, batch: 4 };
    spec.plan(dims, Mode::Train(update)).unwrap()
}

const RULES: [Rule; 2] = [
    Rule::RmsProp {
        alpha: 0.95,
        eps: 1e-8,
        momentum: 0.0,
        weight_decay: 0.0,
    },
    Rule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        decoupled: true,
    },
];

fn step(ids: &[u32], rule: Rule, n: u64) -> Inputs<'_> {
    let (correction1, correction2) = rule.corrections(n + 1);
    inputs(ids, n == 0, 1.0)
        .draws(key(5, Purpose::Dropout), n)
        .reset(n == 0)
        .hyper(Hyper {
            lr: 0.02,
            scale: 1.0 / 24.0,
            update: n as f64 + 1.0,
            correction1,
            correction2,
        })
}

#[test]
fn losses_of_a_training_stay_together() {
    if lacks("double") {
        return;
    }
    for rule in RULES {
        let plan = doubled(training(rule, 0.25, 2));
        let (mut gpu, mut cpu) = both(&plan, &Tile::SOFTWARE);
        let mut losses = Vec::new();
        for n in 0..40 {
            let ids = tokens(28, VOCAB, n % 4);
            let inputs = step(&ids, rule, n);
            block_on(gpu.run(&inputs)).unwrap();
            let want = cpu.run(&inputs).unwrap().report;
            let got = block_on(gpu.outcomes(true)).unwrap()[0].report;
            // A loss is 24 terms of 1 or 2, which training takes further apart than 1e-14.
            let near = (got.loss - want.loss).abs() <= 1e-10;
            assert!(near, "{rule:?} step {n}: {} {}", got.loss, want.loss);
            assert!((got.norm - want.norm).abs() <= 1e-10);
            losses.push(want.loss);
        }
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let (first, last) = (mean(&losses[..4]), mean(&losses[36..]));
        assert!(last < 0.96 * first, "{losses:?}");
    }
}

#[test]
fn windows_of_slots_larger_than_a_binding_are_bound_in_parts() {
    if lacks("double") {
        return;
    }
    let spec = Spec {
        vocab: 1501,
        scores_at_once: 2048,
        ..spec(builtin("gru"), 8, 1, 8)
    };
    let update = Update {
        rule: RULES[1],
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    let dims = Dims { steps: 3, batch: 4 };
    let plan = doubled(spec.plan(dims, Mode::Train(update)).unwrap());
    let binding = 40 << 10;
    let parameters = plan.slot(plan.io.parameters.unwrap());
    assert!(parameters.bytes() > 2 * binding && parameters.width() == 8);
    let tile = Tile::SOFTWARE;
    let gpu = Gpu::with_binding(device(), plan.clone(), &tile, binding);
    let mut twins = Twins::new(block_on(gpu).unwrap(), &start(&plan)).unwrap();
    let ids = tokens(16, 1501, 1);
    let rows = block_on(twins.operations(&step(&ids, RULES[1], 0))).unwrap();
    assert!(rows.len() >= plan.ops.len());
    for row in rows {
        assert!(row.passed(), "{}", row.fault());
    }
}

#[test]
fn numbers_come_and_go_with_all_their_digits() {
    if lacks("double") {
        return;
    }
    let plan = doubled(training(RULES[0], 0.0, 1));
    let slot = plan.io.parameters.unwrap();
    let mut gpu = block_on(Gpu::new(device(), plan.clone())).unwrap();
    let wide = start(&plan);
    gpu.write_as(slot, &wide).unwrap();
    assert_eq!(block_on(gpu.read_as::<f64>(slot)).unwrap(), wide);
    // The nearest f32, where that is asked for.
    let single: Vec<f32> = wide.iter().map(|x| *x as f32).collect();
    assert_eq!(block_on(gpu.read(slot)).unwrap(), single);
    let back: Vec<f64> = single.iter().map(|x| f64::from(*x)).collect();
    assert_ne!(back, wide);
    for put in [false, true] {
        gpu.write_as(slot, &wide).unwrap();
        if put {
            block_on(gpu.put(slot, single.clone())).unwrap()
        } else {
            gpu.write(slot, &single).unwrap()
        }
        assert_eq!(block_on(gpu.read_as::<f64>(slot)).unwrap(), back);
    }
    let error = gpu.write_as(slot, &wide[1..]).unwrap_err();
    assert!(error.message.contains("parameters"), "{error}");
    let hyper = Hyper {
        lr: 0.1,
        scale: 1.0 / 3.0,
        ..Hyper::default()
    };
    let ids = tokens(28, VOCAB, 3);
    let given = inputs(&ids, true, 1.0).hyper(hyper);
    gpu.set(&given).unwrap();
    let got: Vec<f64> = block_on(gpu.read_as(plan.recipes.hyper.unwrap())).unwrap();
    assert_eq!(got, hyper.numbers());
}

#[test]
fn what_cannot_be_in_double_precision_is_refused() {
    let half = Spec {
        half: true,
        ..spec(builtin("lstm"), 8, 2, 0)
    };
    let update = Update {
        rule: RULES[0],
        clip_norm: 0.0,
        clip_value: 0.0,
    };
    let mut plan = half
        .plan(Dims { steps: 2, batch: 2 }, Mode::Train(update))
        .unwrap();
    let error = plan.double().unwrap_err();
    assert_eq!(error.kind, Kind::Usage, "{error}");
    assert!(plan.halved() && !plan.doubled());

    let device = device();
    device.inject(Fault::Single);
    let plan = doubled(training(RULES[0], 0.0, 1));
    let error = block_on(Gpu::new(device, plan)).unwrap_err();
    assert_eq!(error.kind, Kind::Device);
    assert!(error.message.contains("shader-f64"), "{error}");
}

/// Only a program with assertions takes injected faults.
fn seam() -> bool {
    cfg!(debug_assertions)
}

#[test]
fn check_in_double_precision_sees_what_is_wrong() {
    if lacks("double") {
        return;
    }
    let sandbox = Sandbox::new();
    let args = "check --double --cell gru --hidden 6 --json";
    let good: Value = serde_json::from_str(&injected(&sandbox, args, "").out).unwrap();
    assert_eq!(good["faults"], 0);
    let rows = good["models"][0]["rows"].as_array().unwrap();
    // Sums of f32 err by more.
    for row in rows.iter().filter(|r| r["operation"] != "norm") {
        assert!(row["tolerance"].as_f64().unwrap() < 1e-11, "{row}");
    }
    if seam() {
        let wrong = injected(&sandbox, args, "wrong");
        assert_eq!(wrong.code, 1);
        assert!(wrong.err.contains("forward.l0"), "{}", wrong.err);
        let without = injected(&sandbox, args, "single");
        assert_eq!(without.code, 5);
        assert!(without.err.contains("shader-f64"), "{}", without.err);
    }
    let both = injected(&sandbox, "check --double --half", "");
    assert_eq!(both.code, 2, "{}", both.err);
}

#[test]
fn check_losses_compares_a_training() {
    if lacks("double") {
        return;
    }
    let sandbox = Sandbox::new();
    let args = format!("check losses a.txt {TINY} --layers 2 --dropout 0.2 --steps 12 --double");
    let good = injected(&sandbox, &format!("{args} --json"), "");
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);
    let found: Value = serde_json::from_str(&good.out).unwrap();
    assert!(found["largest"].as_f64().unwrap() < 1e-12, "{}", good.out);
    assert_eq!(found["precision"], "f64");
    let losses = |side: &str| -> Vec<f64> {
        let all = found[side].as_array().unwrap();
        all.iter().map(|x| x.as_f64().unwrap()).collect()
    };
    assert_eq!((losses("gpu").len(), losses("cpu").len()), (12, 12));
    // They are those that a training in f32 has, whose seed, text and minibatches are the same.
    let train =
        format!("train a.txt {TINY} --layers 2 --dropout 0.2 --steps 12 --device cpu --out run");
    assert_eq!(injected(&sandbox, &train, "").code, 0);
    let metrics = std::fs::read_to_string(sandbox.at("run/metrics.jsonl")).unwrap();
    let lines = metrics
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    let trained: Vec<f64> = lines.filter_map(|l| l["loss"].as_f64()).collect();
    assert_eq!(trained.len(), 12, "{metrics}");
    common::near("losses", &losses("cpu"), &trained, 1e-5);

    let single = injected(&sandbox, &args.replace(" --double", ""), "");
    assert_eq!(single.code, 0, "{}{}", single.out, single.err);
    assert!(single.out.contains("f32, 12 losses"), "{}", single.out);
    if seam() {
        let wrong = injected(&sandbox, &args, "wrong");
        assert_eq!(wrong.code, 1, "{}", wrong.out);
        assert!(wrong.err.contains("is the first above"), "{}", wrong.err);
    }
    sandbox.refuses(&format!("{args} --epochs 2"), 2, &["expected --steps"]);
    sandbox.refuses(&args.replace("--double", "--half"), 2, &["half"]);
}
