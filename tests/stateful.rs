//! A long series in segments with carried states: their losses are those of the series in one piece, a run goes on to the bit, and
//! what knows earlier steps by another way is refused with its line.

mod common;
mod sandbox;

use std::fmt::Write;
use std::fs;
use std::sync::Arc;

use serde_json::Value;

use common::device;
use common::models::settings;
use sandbox::Sandbox;
use wgrnn::exec::cpu::{Cpu, Number};
use wgrnn::exec::{Device, Engine};
use wgrnn::model::text::{FieldSize, Model, Sizes};
use wgrnn::model::{Init, Mode, Spec, initialize};
use wgrnn::op::Plan;
use wgrnn::task::{Column, Minibatch, Weighting};

/// Steps of a segment, segments of a series, series side by side, numbers of a step.
const STEPS: usize = 4;
const SEGMENTS: usize = 3;
const ROWS: usize = 2;
const WIDTH: usize = 3;

/// The numbers of so many steps of a series, from a step on.
fn numbers(row: usize, steps: std::ops::Range<usize>) -> Vec<f32> {
    let at = |n: usize| ((n * 37 + row * 11) % 17) as f32 / 8.0 - 1.0;
    steps
        .flat_map(|step| (0..WIDTH).map(move |c| at(step * WIDTH + c)))
        .collect()
}

/// The plan that measures the model in segments of so many steps.
fn plan(spec: &Spec, steps: usize, stateful: bool) -> Arc<Plan> {
    let text = "field past: reals\nh = rnn(past)\nloss squared(linear(h), next(past))\n";
    let model = Model::parse("m", text).unwrap();
    let spec = Spec {
        stateful: if stateful { steps } else { 0 },
        ..spec.clone()
    };
    let size = FieldSize::Reals {
        width: WIDTH,
        steps,
        rows: ROWS * steps,
    };
    let sizes = Sizes {
        examples: ROWS,
        fields: vec![size],
    };
    Arc::new(model.plan(&spec, &sizes, Mode::Evaluate).unwrap())
}

/// The minibatch of the steps from `first` on, and the one behind them, which the last of them predicts.
fn minibatch(plan: &Plan, first: usize, steps: usize) -> Minibatch {
    let rows = (0..ROWS).map(|row| numbers(row, first..first + steps + 1));
    let minibatch = Minibatch::new(plan, &[Column::Reals(rows.collect())], &Weighting::Sums);
    let minibatch = minibatch.unwrap();
    // Only a plan with carried states has any to go on with.
    if first > 0 && !plan.io.states.is_empty() {
        minibatch.going_on()
    } else {
        minibatch
    }
}

/// The losses of all rows, step after step.
fn losses<F: Number>(spec: &Spec, steps: usize, stateful: bool) -> Vec<f64> {
    let plan = plan(spec, steps, stateful);
    let mut cpu = Cpu::<F>::new(plan.clone());
    let parameters = initialize(&plan, &init()).unwrap();
    let to = cpu.write(plan.io.parameters.unwrap());
    let each = to.iter_mut().zip(&parameters);
    each.for_each(|(to, p)| *to = F::of(f64::from(*p)));
    let mut all = Vec::new();
    for first in (0..STEPS * SEGMENTS).step_by(steps) {
        cpu.run(&minibatch(&plan, first, steps).inputs()).unwrap();
        let own = &cpu.read(plan.io.losses.unwrap())[..steps * ROWS];
        all.extend(own.iter().map(|loss| loss.f64()));
    }
    all
}

fn init() -> Init {
    Init {
        seed: 5,
        ..Init::default()
    }
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!((a.len(), b.len()), (STEPS * SEGMENTS * ROWS, a.len()));
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    off.fold(0.0, f64::max)
}

#[test]
fn segments_with_carried_states_have_the_losses_of_one_piece() {
    for cell in ["lstm", "gru", "mut1"] {
        let spec = Spec {
            learn_initial: cell == "gru",
            ..settings(cell, 2)
        };
        let whole = losses::<f64>(&spec, STEPS * SEGMENTS, false);
        let segments = losses::<f64>(&spec, STEPS, true);
        assert!(worst(&whole, &segments) < 1e-12, "{cell}");
        let single = losses::<f64>(&spec, 1, true);
        assert!(worst(&whole, &single) < 1e-12, "{cell}");
        // Without carrying them on, they are others.
        let apart = losses::<f64>(&spec, STEPS, false);
        assert!(worst(&whole, &apart) > 1e-3, "{cell}");
    }
}

#[test]
fn an_adapter_carries_states_as_the_plain_code_does() {
    let spec = settings("lstm", 2);
    let plan = plan(&spec, STEPS, true);
    let parameters = initialize(&plan, &init()).unwrap();
    let want = losses::<f32>(&spec, STEPS * SEGMENTS, false);
    let mut found = Vec::new();
    let device = Device::Gpu(device());
    pollster::block_on(async {
        let engine = Engine::with_parameters(&device, plan.clone(), &parameters);
        let mut engine = engine.await.unwrap();
        for first in (0..STEPS * SEGMENTS).step_by(STEPS) {
            let minibatch = minibatch(&plan, first, STEPS);
            engine.run(&minibatch.inputs()).await.unwrap();
            engine.outcomes(true).await.unwrap();
            let own = engine.read(plan.io.losses.unwrap()).await.unwrap();
            found.extend(own[..STEPS * ROWS].iter().map(|loss| f64::from(*loss)));
        }
    });
    assert!(worst(&want, &found) < 1e-5);
}

/// A series of two waves, so many steps of it.
fn table(steps: usize) -> String {
    let mut text = String::from("a,b\n");
    for step in 0..steps {
        let angle = step as f64 / 3.0;
        writeln!(text, "{},{}", angle.sin(), (angle / 2.0).cos()).unwrap();
    }
    text
}

const CONTEXT: usize = 8;
const TRAIN: usize = 65;

/// A folder with a series of which 65 steps are trained on, eight segments and the last prediction's.
fn folder() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("s.csv"), table(TRAIN + 20)).unwrap();
    let flags = format!(
        "train --model forecast s.csv --split {TRAIN},20 --context {CONTEXT} --hidden 6 --device cpu -q"
    );
    (sandbox, flags)
}

fn nats(sandbox: &Sandbox, args: &str) -> f64 {
    let value: Value = serde_json::from_str(&sandbox.ok(args)).unwrap();
    value["nats"].as_f64().unwrap()
}

#[test]
fn training_reads_one_series_from_segment_to_segment() {
    let (sandbox, flags) = folder();
    // At a rate of nothing the losses of an epoch are those of the weights that it begins with.
    let run = "--stateful --batch 1 --lr 1e-30 --epochs 2 --out r";
    sandbox.ok(&format!("{flags} {run}"));
    let losses = sandbox.losses("r");
    assert_eq!(losses.len(), 2 * TRAIN / CONTEXT);
    let (first, second) = losses.split_at(TRAIN / CONTEXT);
    // States begin anew where an epoch does.
    assert_eq!(first, second);
    let mean = first
        .iter()
        .map(|loss| loss.parse::<f64>().unwrap())
        .sum::<f64>()
        / 8.0;
    let whole = nats(&sandbox, "eval r --part train --device cpu --json");
    assert!((mean - whole).abs() < 1e-6 * whole, "{mean} {whole}");
    // The same weights on a series in one piece.
    sandbox.ok("export r --out w.safetensors");
    sandbox.ok("import w.safetensors --out one");
    let segments = nats(&sandbox, "eval r s.csv --device cpu --json");
    let whole = nats(&sandbox, "eval one s.csv --device cpu --json");
    assert!(
        (segments - whole).abs() < 1e-6 * whole,
        "{segments} {whole}"
    );
    // Examples of their own have other losses.
    let apart = run
        .replace("--stateful", "")
        .replace("--out r", "--out apart");
    sandbox.ok(&format!("{flags} {apart}"));
    assert_ne!(sandbox.losses("apart")[..8], *first);
}

#[test]
fn several_series_are_measured_one_after_another() {
    let (sandbox, flags) = folder();
    let flags = flags.replace(&format!("--split {TRAIN},20"), "--val 0.2");
    sandbox.ok(&format!("{flags} --stateful --batch 2 --steps 5 --out r"));
    sandbox.ok("export r --out w.safetensors");
    sandbox.ok("import w.safetensors --out one");
    let series = |steps: usize| {
        let text = table(steps);
        let rows: Vec<String> = text.lines().skip(1).map(|row| format!("[{row}]")).collect();
        format!("[{}]\n", rows.join(","))
    };
    fs::write(sandbox.at("two.jsonl"), series(30) + &series(21)).unwrap();
    let two = |run: &str| {
        nats(
            &sandbox,
            &format!("eval {run} two.jsonl --device cpu --json"),
        )
    };
    let (segments, whole) = (two("r"), two("one"));
    assert!(
        (segments - whole).abs() < 1e-6 * whole,
        "{segments} {whole}"
    );
}

#[test]
fn a_stopped_run_goes_on_with_its_states() {
    let (sandbox, flags) = folder();
    let flags = format!("{flags} --stateful --batch 2 --dropout 0.2 --layers 2 --save-every 0");
    sandbox.ok(&format!("{flags} --out whole --steps 11"));
    sandbox.ok(&format!("{flags} --out parts --steps 6"));
    sandbox.ok("train --resume parts --steps 11 --device cpu -q");
    let ((a, whole), (b, parts)) = (sandbox.newest("whole"), sandbox.newest("parts"));
    assert_eq!((a, b), (11, 11));
    let states = whole
        .tensors
        .keys()
        .filter(|name| name.starts_with("state."));
    assert_eq!(states.count(), 2);
    assert_eq!(whole.tensors, parts.tensors);
    assert_eq!(sandbox.losses("whole"), sandbox.losses("parts"));
    sandbox.ok("predict whole s.csv --steps 3 --device cpu");
}

/// What goes on step by step, and what is read as a whole every time as its lines look back, if only at 0 times what they see.
#[test]
fn steps_with_carried_states_go_on_as_whole_series_do() {
    let sandbox = Sandbox::new();
    let series = |from: usize| -> Vec<Value> {
        let steps = (from..from + 5 + from).map(|n| Value::from(vec![(n as f64).sin()]));
        steps.collect()
    };
    // Of different lengths: the shorter ones go on while the others are read.
    let lines: Vec<String> = (0..3)
        .map(|n| format!("{}\n", Value::from(series(n))))
        .collect();
    fs::write(sandbox.at("s.jsonl"), lines.concat()).unwrap();
    let mut said = Vec::new();
    for (name, input) in [("steps", "past"), ("whole", "past + 0 * previous(past, 1)")] {
        let text = format!(
            "field past: reals\nh = rnn({input})\nloss gaussian(linear(h), linear(h), next(past))\n"
        );
        fs::write(sandbox.at(&format!("{name}.model")), text).unwrap();
        sandbox.ok(&format!(
            "train --model {name}.model s.jsonl --hidden 6 --lr 0.02 --steps 40 --val 0 --device cpu -q --out {name}"
        ));
        let predicted = sandbox.ok(&format!("predict {name} s.jsonl --steps 6 --device cpu"));
        let drawn = format!(
            "sample {name} --begin s.jsonl --begin-steps 4 --count 3 --length 5 --device cpu"
        );
        let text = predicted + &sandbox.ok(&drawn);
        let cells = text
            .split([',', '\n'])
            .filter_map(|cell| cell.parse::<f64>().ok());
        said.push(cells.collect::<Vec<f64>>());
    }
    let [steps, whole] = &said[..] else {
        panic!("{said:?}")
    };
    // Series, step, mean and deviation of what is predicted; series, step and number of what is drawn.
    assert_eq!(
        (steps.len(), whole.len()),
        (3 * 6 * 4 + 3 * 9 * 3, steps.len())
    );
    let off = steps.iter().zip(whole).map(|(a, b)| (a - b).abs());
    assert!(
        off.clone().fold(0.0, f64::max) < 1e-4,
        "{steps:?} {whole:?}"
    );
}

#[test]
fn what_cannot_be_carried_is_refused() {
    let (sandbox, flags) = folder();
    let flags = flags.replace(&format!("--context {CONTEXT}"), "");
    let lines = "field past: reals\nh = rnn(concat(past, previous(past, 2)))\nloss squared(linear(h), next(past))\n";
    fs::write(sandbox.at("back.model"), lines).unwrap();
    fs::write(sandbox.at("p.jsonl"), "[[1],[2],[3]]\n[[1],[2],[4]]\n").unwrap();
    let own = flags.replace("forecast", "back.model");
    let several = flags
        .replace("s.csv", "p.jsonl")
        .replace("--split 65,20", "--val 0");
    for (args, parts) in [
        (
            format!("{flags} --stateful"),
            "stateful: expected a context",
        ),
        (
            format!("{flags} --stateful --context 8 --stride 2"),
            "stride: expected none",
        ),
        (
            format!("{flags} --stateful --context 8 --accumulate 2"),
            "accumulate: expected none",
        ),
        (
            format!("{own} --stateful --context 8"),
            "back.model:2:22: stateful: expected lines",
        ),
        (
            format!("{several} --stateful --context 1"),
            "stateful: expected one series to train on, found 2",
        ),
        (
            format!(
                "{} --stateful --context 8",
                flags.replace("forecast", "forecast-window")
            ),
            "stateful: expected a model that predicts the next numbers",
        ),
        (
            format!("{flags} --stateful --context 8 --batch 9"),
            "8 segments to train on, expected at least 9",
        ),
    ] {
        let done = sandbox.run(&args);
        assert!([2, 3].contains(&done.code), "{args}: {}", done.err);
        sandbox.refuses(&args, done.code, &[parts]);
    }
}
