//! Half precision on an adapter: what is stored as f16, and that gradients, updates and runs stay what they are.

mod common;
mod sandbox;

use std::sync::Arc;

use common::pairs::{APART, clipped_both, parameters};
use common::{device, inputs, lacks, tokens};
use pollster::block_on;
use sandbox::{Sandbox, TINY, injected};
use wgrnn::cell::library;
use wgrnn::data::{Tokens, VocabKind, VocabularyRecipe};
use wgrnn::exec::Device;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::{Dims, Mode, Spec, Update};
use wgrnn::op::{Hyper, LossScale, Plan, Report, Rule};
use wgrnn::train::{About, Checkpoint, Event, Figures, Job, Length, Settings, State, Trainer};

const VOCAB: usize = 11;

fn spec(cell: &str, hidden: usize, layers: usize, embed: usize) -> Spec {
    let cell = Arc::new(library::builtin(cell).unwrap());
    Spec {
        vocab: VOCAB,
        cells: vec![cell; layers],
        hidden,
        embed,
        half: true,
        ..Spec::default()
    }
}

/// The relative error of each parameter's gradient, |half - f64| / |f64| with norms over the parameter.
fn errors(spec: &Spec, dims: Dims, tile: &Tile) -> Vec<(String, f64)> {
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    assert!(plan.halved());
    let weights = parameters(&plan);
    let ids = tokens((dims.steps + 1) * dims.batch, VOCAB, 3);
    let scale = 1.0 / (dims.steps * dims.batch) as f64;
    let inputs = inputs(&ids, true, scale);
    // The truth knows nothing of half precision or of factors.
    let wide = Spec {
        half: false,
        ..spec.clone()
    };
    let wide = Arc::new(wide.plan(dims, Mode::Gradients).unwrap());
    let mut cpu = Cpu::<f64>::new(wide.clone());
    let parameters = plan.io.parameters.unwrap();
    let weights64: Vec<f64> = weights.iter().map(|x| f64::from(*x)).collect();
    cpu.write(wide.io.parameters.unwrap())
        .copy_from_slice(&weights64);
    cpu.run(&inputs).unwrap();
    let mut gpu = block_on(Gpu::with_tile(device(), plan.clone(), tile)).unwrap();
    gpu.write(parameters, &weights).unwrap();
    block_on(gpu.run(&inputs)).unwrap();
    let slot = plan.io.gradients.unwrap();
    let got = block_on(gpu.read(slot)).unwrap();
    let want = cpu.read(wide.io.gradients.unwrap());
    let factor = LossScale::START.exp2();
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let errors = plan.parameters.iter().map(|p| {
        let range = p.matrix.offset..p.matrix.end();
        let size = norm(&mut want[range.clone()].iter().copied());
        let off = range.map(|i| f64::from(got[i]) / factor - want[i]);
        (p.name.clone(), norm(&mut { off }) / size)
    });
    errors.collect()
}

#[test]
fn gradients_in_half_precision_are_those_of_f64_to_the_bits_of_f16() {
    if lacks("half") {
        return;
    }
    for cell in ["rnn", "lstm", "gru", "gru-cho"] {
        for (hidden, layers, embed, dims, tile) in [
            (13, 1, 0, Dims { steps: 7, batch: 3 }, Tile::NAIVE),
            (16, 2, 0, Dims { steps: 5, batch: 4 }, Tile::SOFTWARE),
            (13, 2, 5, Dims { steps: 9, batch: 3 }, APART),
        ] {
            for (name, error) in errors(&spec(cell, hidden, layers, embed), dims, &tile) {
                // A rounding to 11 bits errs by 2^-11 = 5e-4 at most; four follow one another: a gate's sum, the gate, the
                // gradient from above, the delta.
                let what = format!("{cell} {hidden} x {layers} {name}: {error:e}");
                assert!(error <= 2e-3, "{what}");
                assert!(error > 1e-6, "{what} is that of f32");
            }
        }
    }
}

#[test]
fn penalties_are_scaled_as_the_loss_is() {
    if lacks("half") {
        return;
    }
    let mut spec = spec("lstm", 13, 2, 5);
    spec.penalties.activation = 0.5;
    spec.penalties.temporal = 0.4;
    spec.penalties.norm = 0.3;
    for (name, error) in errors(&spec, Dims { steps: 7, batch: 3 }, &Tile::SOFTWARE) {
        assert!(error <= 2e-3, "{name}: {error:e}");
    }
    spec.penalties.propagation = 0.1;
    let refused = spec.plan(Dims { steps: 7, batch: 3 }, Mode::Gradients);
    let message = refused.unwrap_err().message;
    assert!(message.contains("propagation"), "{message}");
}

const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
    decoupled: false,
};

fn training(spec: &Spec) -> Arc<Plan> {
    let update = Update {
        rule: ADAM,
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    let dims = Dims { steps: 7, batch: 3 };
    Arc::new(spec.plan(dims, Mode::Train(update)).unwrap())
}

#[test]
fn rows_of_a_window_are_f16_and_nothing_else_is() {
    if lacks("half") {
        return;
    }
    let spec = spec("lstm", 13, 2, 5);
    let plan = training(&spec);
    let halves = plan.slots.iter().filter(|s| s.half);
    let mut names: Vec<&str> = halves.map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    let want = [
        "d.head.input",
        "d.input.l1",
        "out.head",
        "saved.l0",
        "saved.l1",
    ];
    assert_eq!(names, want);
    let wide = training(&Spec {
        half: false,
        ..spec.clone()
    });
    let rows: u64 = plan
        .slots
        .iter()
        .filter(|s| s.half)
        .map(|s| s.bytes())
        .sum();
    // What loss scaling keeps is all that comes to it.
    assert_eq!(plan.bytes() + rows, wide.bytes() + 16);
    let device = device();
    let before = device.held();
    let gpu = block_on(Gpu::new(device.clone(), plan.clone())).unwrap();
    let halved = device.held() - before;
    drop(gpu);
    let _gpu = block_on(Gpu::new(device.clone(), wide)).unwrap();
    assert!(halved < device.held() - before);
}

/// A segment on a device, with its weights.
struct Bench {
    plan: Arc<Plan>,
    gpu: Gpu,
    ids: Vec<u32>,
}

impl Bench {
    fn new(spec: &Spec) -> Bench {
        let plan = training(spec);
        let mut gpu = block_on(Gpu::new(device(), plan.clone())).unwrap();
        gpu.write(plan.io.parameters.unwrap(), &parameters(&plan))
            .unwrap();
        let ids = tokens(8 * 3, VOCAB, 3);
        Bench { plan, gpu, ids }
    }

    fn run(&mut self) -> Report {
        let inputs = inputs(&self.ids, true, 1.0).hyper(Hyper {
            lr: 0.01,
            scale: 1.0 / 21.0,
            ..Hyper::default()
        });
        block_on(self.gpu.run(&inputs)).unwrap();
        let outcomes = block_on(self.gpu.outcomes(true)).unwrap();
        outcomes.last().unwrap().report
    }

    fn slot(&mut self, name: &str) -> Vec<f32> {
        let slot = self.plan.find(name).unwrap_or_else(|| panic!("{name}"));
        block_on(self.gpu.read(slot)).unwrap()
    }

    fn put(&mut self, name: &str, values: &[f32]) {
        let slot = self.plan.find(name).unwrap_or_else(|| panic!("{name}"));
        self.gpu.write(slot, values).unwrap();
    }
}

#[test]
fn what_f16_cannot_hold_is_rounded() {
    if lacks("half") {
        return;
    }
    let spec = spec("lstm", 13, 1, 5);
    let mut half = Bench::new(&spec);
    let mut wide = Bench::new(&Spec {
        half: false,
        ..spec
    });
    half.run();
    wide.run();
    for name in ["saved.l0", "out.head"] {
        let (got, want) = (half.slot(name), wide.slot(name));
        let rounded = |x: &f32| half::f16::from_f32(*x).to_f32() == *x;
        assert!(got.iter().all(rounded), "{name}: not f16");
        assert!(
            !want.iter().all(rounded),
            "{name}: f16 before it is asked for"
        );
    }
    // Weights and states have all their bits.
    for name in ["parameters", "state.l0", "gradients"] {
        let rounded = |x: &f32| half::f16::from_f32(*x).to_f32() == *x;
        assert!(!half.slot(name).iter().all(rounded), "{name}");
    }
}

#[test]
fn an_odd_number_of_halves_is_written_and_read_back() {
    if lacks("half") {
        return;
    }
    let mut bench = Bench::new(&spec("rnn", 13, 1, 0));
    let len = bench.slot("d.head.input").len();
    assert_eq!(len % 2, 1, "{len}");
    let values: Vec<f32> = (0..len).map(|i| i as f32 - 100.5).collect();
    bench.put("d.head.input", &values);
    assert_eq!(bench.slot("d.head.input"), values);
}

#[test]
fn a_gradient_beyond_f16_changes_nothing_but_the_factor() {
    if lacks("half") {
        return;
    }
    let mut bench = Bench::new(&spec("lstm", 13, 1, 0));
    let arenas = ["parameters", "optimizer.exp_avg", "optimizer.exp_avg_sq"];
    // 2^40: a share of 1/21 of it is beyond 65504.
    bench.put("scaling", &[25.0, 7.0, 0.0, 0.0]);
    let before = arenas.map(|name| bench.slot(name));
    let report = bench.run();
    assert!(report.beyond && !report.finite && report.loss.is_finite());
    assert_eq!(arenas.map(|name| bench.slot(name)), before);
    assert_eq!(bench.slot("scaling"), [24.0, 0.0, 0.0, 0.0]);
    // Within its range the same minibatch updates, as the first update that is made.
    bench.put("scaling", &[0.0; 4]);
    let report = bench.run();
    assert!(report.finite && !report.beyond);
    assert_ne!(bench.slot("parameters"), before[0]);
    let scaling = bench.slot("scaling");
    assert_eq!(scaling[..2], [0.0, 1.0]);
    assert!((scaling[2] - 0.1).abs() < 1e-7 && (scaling[3] - 0.001).abs() < 1e-9);
    // A loss that is not finite is not a matter of the factor.
    let mut weights = bench.slot("parameters");
    weights[3] = f32::NAN;
    bench.put("parameters", &weights);
    let report = bench.run();
    assert!(!report.finite && !report.beyond);
    assert_eq!(bench.slot("scaling"), scaling);
}

#[test]
fn the_factor_changes_an_update_by_rounding_alone() {
    if lacks("half") {
        return;
    }
    let spec = spec("gru", 16, 2, 0);
    let updated = |exponent: f32| {
        let mut bench = Bench::new(&spec);
        bench.put("scaling", &[exponent, 0.0, 0.0, 0.0]);
        let report = bench.run();
        (report.norm, bench.slot("optimizer.exp_avg"))
    };
    let (norm, moment) = updated(0.0);
    let (other, shifted) = updated(-6.0);
    assert!((norm / other - 1.0).abs() < 1e-3, "{norm} {other}");
    let largest = moment.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    for (a, b) in moment.iter().zip(&shifted) {
        assert!((a - b).abs() <= 1e-3 * largest, "{a} {b}");
    }
}

/// A text with some structure.
fn text() -> String {
    let words = ["the", "cat", "sat", "on", "a", "mat", "and", "ran", "off"];
    (0..60)
        .map(|i| words[(i * i + i / 3) % words.len()])
        .collect::<Vec<_>>()
        .join(" ")
}

fn settings() -> Settings {
    Settings {
        cell: "gru".into(),
        hidden: 7,
        layers: 2,
        embed: 5,
        dropout: 0.2,
        seq_len: 5,
        batch: 3,
        clip_norm: 1.0,
        seed: 9,
        sample_every: 0,
        save_every: 0,
        half: true,
        ..Settings::default()
    }
}

/// Trains to a step from a state's file, or the start with some loss scale; gives the last state's file and all figures.
fn train(
    settings: &Settings,
    steps: u64,
    from: Result<&[u8], Vec<f32>>,
) -> (Vec<u8>, Vec<Figures>) {
    let recipe = VocabularyRecipe {
        kind: VocabKind::Char,
        ..VocabularyRecipe::default()
    };
    let text = text();
    let vocabulary = recipe.build(text.as_bytes()).unwrap();
    let cell = library::builtin(&settings.cell).unwrap();
    let tokens = vocabulary.encode(text.as_bytes()).unwrap();
    let about = About {
        program: "test".into(),
        settings: settings.to_toml().unwrap(),
        symbols: vocabulary.clone().into(),
        cells: vec![(&cell).into()],
        text: None,
        valid: None,
        floor: None,
    };
    let spec = wgrnn::train::spec(
        settings,
        about.cells().unwrap(),
        about.vocabulary().unwrap().len(),
    );
    let length = Length::Steps(steps);
    let none = Tokens::from(Vec::new());
    let job = Job::new(settings.clone(), spec, length, Tokens::from(tokens), none).unwrap();
    let plan = job.plan.clone();
    let state = match from {
        Err(scaling) => State {
            scaling: Some(scaling),
            ..job.start().unwrap()
        },
        Ok(bytes) => {
            let checkpoint = Checkpoint::from_bytes(bytes).unwrap();
            State::from_checkpoint(&plan, &checkpoint).unwrap()
        }
    };
    let mut trainer = block_on(Trainer::new(Device::Gpu(device()), job, state)).unwrap();
    let (mut last, mut figures) = (Vec::new(), Vec::new());
    loop {
        match block_on(trainer.next(0.0, false)).unwrap() {
            Event::Steps(new) => figures.extend(new),
            Event::Save { state, best: false } => {
                let checkpoint = state.to_checkpoint(&plan, &about).unwrap();
                last = checkpoint.to_bytes().unwrap();
            }
            Event::Finished => return (last, figures),
            _ => {}
        }
    }
}

#[test]
fn a_run_that_left_updates_out_goes_on_to_the_bit() {
    if lacks("half") {
        return;
    }
    // 2^24: a share of 1/15 of it is beyond f16, and so are a few smaller ones.
    let start = || Err(vec![9.0, 0.0, 0.0, 0.0]);
    let settings = settings();
    let (whole, figures) = train(&settings, 16, start());
    let skipped: Vec<u64> = figures.iter().map(|f| f.skipped.unwrap()).collect();
    assert!((2..12).contains(&skipped[15]), "{skipped:?}");
    assert_eq!(skipped[1], 2);
    let whole = Checkpoint::from_bytes(&whole).unwrap();
    // Among skipped steps, and after them.
    for stop in [2, 13] {
        let (half, before) = train(&settings, stop, start());
        let (rest, after) = train(&settings, 16, Ok(&half));
        let all: Vec<u64> = before
            .iter()
            .chain(&after)
            .map(|f| f.skipped.unwrap())
            .collect();
        assert_eq!(all, skipped);
        let losses = before.iter().chain(&after).map(|f| f.loss);
        assert!(
            losses.eq(figures.iter().map(|f| f.loss)),
            "stopped at {stop}"
        );
        let rest = Checkpoint::from_bytes(&rest).unwrap();
        assert_eq!(rest.tensors, whole.tensors, "stopped at {stop}");
        let counter = |c: &Checkpoint| c.meta.pointer("/counters/skipped").cloned();
        assert_eq!(counter(&rest), counter(&whole));
    }
}

#[test]
fn runs_go_over_to_half_precision_and_back() {
    if lacks("half") {
        return;
    }
    let (half, wide) = (
        settings(),
        Settings {
            half: false,
            ..settings()
        },
    );
    let (file, _) = train(&half, 10, Err(vec![9.0, 0.0, 0.0, 0.0]));
    let checkpoint = Checkpoint::from_bytes(&file).unwrap();
    assert!(checkpoint.tensors.contains_key("optimizer.scaling"));
    let (back, figures) = train(&wide, 14, Ok(&file));
    assert!(
        figures
            .iter()
            .all(|f| f.skipped.is_none() && f.loss.is_finite())
    );
    let checkpoint = Checkpoint::from_bytes(&back).unwrap();
    assert!(!checkpoint.tensors.contains_key("optimizer.scaling"));
    let (_, figures) = train(&half, 18, Ok(&back));
    assert_eq!(figures.len(), 4);
    // What was left out before stays counted; no more came to it.
    let left = figures[0].skipped.unwrap();
    assert!(left >= 2 && figures.iter().all(|f| f.skipped == Some(left)));
    // The same steps with and without differ by rounding.
    let (_, other) = train(&wide, 18, Ok(&back));
    for (a, b) in figures.iter().zip(&other) {
        assert!((a.loss - b.loss).abs() < 5e-3, "{} {}", a.loss, b.loss);
    }
}

/// The binary's fault seam is there in debug builds alone.
#[test]
fn what_has_no_half_precision_refuses_it_before_any_work() {
    let sandbox = Sandbox::new();
    for args in [
        "train a.txt --half --device cpu",
        "train missing.txt --half --device cpu",
        "profile --half --device cpu",
    ] {
        sandbox.refuses(args, 5, &["half: cpu", "shader-f16"]);
    }
    sandbox.refuses(
        "train a.txt --half --cooperative --device cpu",
        5,
        &["cooperative"],
    );
    if device().adapter.cooperative == 0 {
        let (name, feature) = (device().adapter.name.clone(), "wgpu-cooperative-matrix");
        for args in ["train a.txt --half", "profile --half", "check --half"] {
            let args = format!("{args} --cooperative --device gpu");
            sandbox.refuses(&args, 5, &[&name, feature, "16 x 16"]);
        }
    }
    sandbox.refuses(
        "train a.txt --half --propagation-penalty 0.1 --cell rnn --device gpu",
        2,
        &["--half", "propagation-penalty 0", "got 0.1"],
    );
    if !cfg!(debug_assertions) {
        println!("SKIPPED: faults cannot be injected in a release build of the program");
        return;
    }
    let name = &device().adapter.name;
    for args in [
        "train a.txt --half --device gpu --out r",
        "profile --half --device gpu",
        "check --half",
    ] {
        let done = injected(&sandbox, args, "wide");
        assert_eq!(done.code, 5, "{args}: {}", done.err);
        for part in ["half: ", name, "shader-f16"] {
            assert!(done.err.contains(part), "{args}: {}", done.err);
        }
        assert!(!sandbox.at("r").exists(), "{args}");
    }
}

#[test]
fn a_run_of_the_program_says_what_was_left_out_and_goes_on_without() {
    if lacks("half") {
        return;
    }
    let sandbox = Sandbox::new();
    let flags = format!("{TINY} --device gpu --layers 2 --val 0");
    let out = sandbox.ok(&format!(
        "train a.txt {flags} --half --steps 6 --out r --json"
    ));
    assert!(
        out.contains("\"skipped\":0") || out.contains("\"skipped\": 0"),
        "{out}"
    );
    let metrics = std::fs::read_to_string(sandbox.at("r/metrics.jsonl")).unwrap();
    let first = metrics.lines().next().unwrap();
    assert!(first.contains("\"skipped\":0"), "{first}");
    let out = sandbox.ok("train --resume r --half=false --steps 9 --device cpu --json");
    assert!(!out.contains("skipped"), "{out}");
    sandbox.ok("eval r a.txt --device cpu");
}

/// What `check` does with `--half`, on one cell.
#[test]
fn half_precision_agrees_with_the_plain_code() {
    if lacks("half") {
        return;
    }
    let sandbox = Sandbox::new();
    let sizes = "--hidden 12 --layers 2 --batch 5 --seq-len 4";
    for extra in ["plain", "regularized", "packed", "pieces"] {
        let args = format!("check --half --cell gru-cho {sizes} --extra {extra}");
        let out = sandbox.ok(&args);
        assert!(out.contains("loss-scale.begin"), "{out}");
    }
    if cfg!(debug_assertions) {
        let args = format!("check --half --cell lstm {sizes}");
        let done = injected(&sandbox, &args, "wrong");
        assert_eq!(done.code, 1, "{}", done.err);
        assert!(done.err.contains("forward.l0"), "{}", done.err);
    }
}

#[test]
fn a_short_run_ends_at_the_loss_of_f32() {
    if lacks("half") {
        return;
    }
    let last = |half: bool| {
        let settings = Settings {
            hidden: 24,
            layers: 1,
            embed: 0,
            dropout: 0.0,
            lr: 0.01,
            half,
            ..settings()
        };
        let start = if half {
            Err(vec![0.0; 4])
        } else {
            Err(Vec::new())
        };
        let (_, figures) = train(&settings, 150, start);
        let tail = figures[130..].iter().map(|f| f.loss).sum::<f64>() / 20.0;
        (figures[0].loss, tail)
    };
    let (first, wide) = last(false);
    let (same, half) = last(true);
    println!("{first} {same}, {wide} {half}");
    assert!((first - same).abs() < 1e-3, "{first} {same}");
    assert!(wide < first - 1.0, "{wide} after {first}");
    // Two runs of f32 from other seeds differ by more.
    assert!((wide - half).abs() < 0.05, "{wide} {half}");
}

/// The value comes first, of gradients that have a factor on the device.
#[test]
fn both_clips_cut_gradients_with_a_factor_as_the_plain_code_does() {
    if lacks("half") {
        return;
    }
    let of = |plan: &Plan| plan.io.gradients.unwrap();
    clipped_both(&device(), &spec("lstm", 13, 1, 5), ADAM, of);
}
