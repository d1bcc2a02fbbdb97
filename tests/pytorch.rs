//! The engine against PyTorch's golden values (tests/golden): outputs, states, scores, losses, every gradient, and
//! twenty steps of every optimiser, in f64 and f32, with the fast and with the plain executor.

mod golden;

use std::sync::Arc;

use golden::Golden;
use wgrnn::cell::library;
use wgrnn::cell::real::Real;
use wgrnn::exec::cpu::{Cpu, Number};
use wgrnn::model::Connections;
use wgrnn::model::{self, Dims, Mode, Spec, Update};
use wgrnn::op::{Hyper, Plan, Report, Rule, SlotId};
use wgrnn::task::Inputs;

/// Some hundred roundings in another order than PyTorch's are 1e-14 apart; the optimisers' roots and quotients of small
/// gradients over twenty steps make that more.
const F64: f64 = 1e-9;
/// The same in f32, whose unit in the last place is 6e-8.
const F32: f64 = 1e-4;

fn spec(file: &Golden) -> Spec {
    let cell = Arc::new(library::builtin(file.cell()).unwrap());
    Spec {
        vocab: file.size("V"),
        cells: vec![cell; file.size("layers")],
        hidden: file.size("H"),
        embed: file.embed().unwrap_or(0),
        tie: file.tied(),
        bidirectional: file.extra("bidirectional"),
        project: file.project(),
        layer_norm: file.extra("layer_norm"),
        connections: Connections {
            residual: file.extra("residual"),
            skip: file.extra("skip"),
        },
        ..Spec::default()
    }
}

/// An executor of a golden file's model, and the tolerance of its number type.
struct Engine<'a, F> {
    file: &'a Golden,
    cpu: Cpu<F>,
    ids: Vec<u32>,
    tolerance: f64,
    /// The largest relative error seen, and where.
    worst: (f64, String),
}

impl<'a, F: Number> Engine<'a, F> {
    fn new(file: &'a Golden, mode: Mode, fast: bool) -> Self {
        let dims = Dims {
            steps: file.size("T"),
            batch: file.size("B"),
        };
        let plan = Arc::new(spec(file).plan(dims, mode).unwrap());
        let mut cpu = if fast {
            Cpu::new(plan.clone())
        } else {
            Cpu::plain(plan.clone())
        };
        let names = file.parameters();
        let tensors: Vec<Vec<F>> = names.iter().map(|name| to(file.get(name))).collect();
        let parts = names.iter().zip(&tensors);
        let parts = parts.map(|(name, data)| (name.as_str(), file.shape(name), data.as_slice()));
        let flat = model::import(&plan, parts).unwrap();
        cpu.write(plan.io.parameters.unwrap())
            .copy_from_slice(&flat);
        let mut engine = Engine {
            file,
            cpu,
            ids: file.ids(),
            tolerance: if size_of::<F>() == 8 { F64 } else { F32 },
            worst: (0.0, String::new()),
        };
        engine.set_states();
        engine
    }

    fn plan(&self) -> Arc<Plan> {
        self.cpu.plan().clone()
    }

    /// The states of the golden file, in the cell's order: `h`, and `c` where there is one.
    fn states(&self) -> &'static [&'static str] {
        if self.file.has("c0") {
            &["h", "c"]
        } else {
            &["h"]
        }
    }

    /// Elements of one state of one layer at one step, B * H.
    fn plane(&self) -> usize {
        self.file.size("B") * self.file.size("H")
    }

    /// Where plane `t` of state `s` starts in a layer's slot [S, T+1, B, H].
    fn at(&self, s: usize, t: usize) -> usize {
        (s * (self.file.size("T") + 1) + t) * self.plane()
    }

    /// Puts h0 and c0 where a run that does not reset takes its first states from: at step T. A layer here is one
    /// direction of it, in PyTorch's order: both directions of the lowest first.
    fn set_states(&mut self) {
        let plane = self.plane();
        for (layer, layout) in self.plan().io.states.iter().enumerate() {
            for (s, state) in self.states().iter().enumerate() {
                let at = self.at(s, self.file.size("T"));
                let values: Vec<F> =
                    to(&self.file.get(&format!("{state}0"))[layer * plane..][..plane]);
                self.cpu.write(layout.slot)[at..at + plane].copy_from_slice(&values);
            }
        }
    }

    fn run(&mut self, hyper: Hyper) -> Report {
        let outcome = self.cpu.run(&Inputs::new(&self.ids).hyper(Hyper {
            scale: 1.0 / self.rows() as f64,
            ..hyper
        }));
        outcome.unwrap().report
    }

    /// T * B.
    fn rows(&self) -> usize {
        self.file.size("T") * self.file.size("B")
    }

    fn check(&mut self, name: &str, got: &[F]) {
        let got: Vec<f64> = got.iter().map(|x| x.f64()).collect();
        self.check_f64(name, &got);
    }

    fn check_f64(&mut self, name: &str, got: &[f64]) {
        let error = self.file.assert_close(name, got, self.tolerance);
        if error > self.worst.0 {
            self.worst = (error, format!("{} {name}", self.file.name));
        }
    }

    /// Compares a flat arena with the tensors `prefix` + parameter; `prefix` is `grad.` or an optimiser's.
    fn check_arena(&mut self, prefix: &str, flat: &[F]) {
        let tensors = model::export(&self.plan(), flat);
        let names: Vec<&String> = tensors.keys().collect();
        assert_eq!(names, self.file.parameters().iter().collect::<Vec<_>>());
        for (name, tensor) in &tensors {
            assert_eq!(tensor.shape, self.file.shape(name));
            self.check(&format!("{prefix}{name}"), &tensor.data);
        }
    }

    fn check_states(&mut self) {
        let (plane, steps, states) = (self.plane(), self.file.size("T"), self.states());
        let slots: Vec<SlotId> = self.plan().io.states.iter().map(|s| s.slot).collect();
        for (s, state) in states.iter().enumerate() {
            let from = self.at(s, steps);
            let last: Vec<F> = slots
                .iter()
                .flat_map(|slot| self.cpu.read(*slot)[from..from + plane].to_vec())
                .collect();
            self.check(&format!("{state}n"), &last);
        }
        // h is the output, and its planes 1 to T are the steps: the backward direction's from the last position to
        // the first. Directions lie side by side.
        let (h, directions) = (self.file.size("H"), self.file.directions());
        let mut top = Vec::new();
        for row in 0..steps * self.file.size("B") {
            for (direction, slot) in slots[slots.len() - directions..].iter().enumerate() {
                let (position, b) = (row / self.file.size("B"), row % self.file.size("B"));
                let step = match direction {
                    0 => position,
                    _ => steps - 1 - position,
                };
                let at = self.at(0, step + 1) + b * h;
                top.extend_from_slice(&self.cpu.read(*slot)[at..at + h]);
            }
        }
        self.check("output", &top);
    }

    fn check_losses(&mut self, report: Report) {
        let losses = self.cpu.read(self.plan().io.losses.unwrap()).to_vec();
        let logprob: Vec<F> = losses.into_iter().map(|x| -x).collect();
        self.check("logprob", &logprob);
        self.check_f64("loss", &[report.loss / self.rows() as f64]);
        assert!(report.finite, "{}", self.file.name);
    }

    fn check_initial(&mut self) {
        let (plane, plan, states) = (self.plane(), self.plan(), self.states());
        for (s, state) in states.iter().enumerate() {
            // The backward pass runs from the top layer down.
            let got: Vec<F> = plan
                .io
                .initial
                .iter()
                .rev()
                .flat_map(|m| self.cpu.read(m.slot)[m.offset + s * plane..][..plane].to_vec())
                .collect();
            self.check(&format!("grad.{state}0"), &got);
        }
    }
}

fn to<F: Real>(values: &[f64]) -> Vec<F> {
    values.iter().map(|x| F::of(*x)).collect()
}

/// Keeps the worse of two errors.
fn worse(worst: &mut (f64, String), other: (f64, String)) {
    if other.0 > worst.0 {
        *worst = other;
    }
}

#[test]
fn every_kind_of_layer_has_golden_values() {
    let files: Vec<Golden> = golden::names().iter().map(|n| golden::load(n)).collect();
    for cell in [
        "rnn", "rnn-relu", "lstm", "gru", "rnn-ln", "lstm-ln", "gru-ln",
    ] {
        let known = |file: &Golden| file.cell() == cell && file.is_plain();
        assert!(files.iter().any(known), "{cell}");
    }
    for extra in ["bidirectional", "layer_norm", "residual", "skip"] {
        assert!(files.iter().any(|file| file.extra(extra)), "{extra}");
    }
    assert!(files.iter().any(|file| file.project() > 0), "project");
}

fn models_agree<F: Number>(fast: bool) {
    let mut worst = (0.0, String::new());
    for name in golden::names() {
        let file = golden::load(&name);
        for mode in [Mode::Scores, Mode::Evaluate] {
            let mut engine = Engine::<F>::new(&file, mode, fast);
            let report = engine.run(Hyper::default());
            let logits = engine.cpu.read(engine.plan().io.logits.unwrap()).to_vec();
            engine.check("logits", &logits);
            engine.check_states();
            if mode == Mode::Evaluate {
                engine.check_losses(report);
            }
            worse(&mut worst, engine.worst);
        }
        let mut engine = Engine::<F>::new(&file, Mode::Gradients, fast);
        let report = engine.run(Hyper::default());
        engine.check_states();
        engine.check_losses(report);
        let gradients = engine
            .cpu
            .read(engine.plan().io.gradients.unwrap())
            .to_vec();
        engine.check_arena("grad.", &gradients);
        engine.check_initial();
        worse(&mut worst, engine.worst);
    }
    println!("worst relative error {:.2e} in {}", worst.0, worst.1);
}

#[test]
fn models_agree_in_f64_fast() {
    models_agree::<f64>(true);
}

#[test]
fn models_agree_in_f64_plain() {
    models_agree::<f64>(false);
}

#[test]
fn models_agree_in_f32_fast() {
    models_agree::<f32>(true);
}

#[test]
fn models_agree_in_f32_plain() {
    models_agree::<f32>(false);
}

/// The update that an entry of the settings' `optimizers` describes, and its learning rate.
fn update(entry: &serde_json::Value) -> (Update, f64) {
    let args = &entry["args"];
    let known = [
        "lr",
        "momentum",
        "nesterov",
        "weight_decay",
        "eps",
        "alpha",
        "betas",
    ];
    for name in args.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "unknown argument {name}");
    }
    let number = |name: &str| args.get(name).map_or(0.0, |x| x.as_f64().unwrap());
    let weight_decay = number("weight_decay");
    let class = entry["torch"].as_str().unwrap();
    let rule = match class {
        "SGD" => Rule::Sgd {
            momentum: number("momentum"),
            nesterov: args.get("nesterov").is_some_and(|x| x.as_bool().unwrap()),
            weight_decay,
        },
        "Adagrad" => Rule::Adagrad {
            eps: number("eps"),
            weight_decay,
        },
        "RMSprop" => Rule::RmsProp {
            alpha: number("alpha"),
            eps: number("eps"),
            momentum: number("momentum"),
            weight_decay,
        },
        "Adam" | "AdamW" => Rule::Adam {
            beta1: args["betas"][0].as_f64().unwrap(),
            beta2: args["betas"][1].as_f64().unwrap(),
            eps: number("eps"),
            weight_decay,
            decoupled: class == "AdamW",
        },
        other => panic!("unknown optimiser {other}"),
    };
    let limit = |name: &str| entry.get(name).map_or(0.0, |x| x.as_f64().unwrap());
    let update = Update {
        rule,
        clip_norm: limit("clip_norm"),
        clip_value: limit("clip_value"),
    };
    (update, number("lr"))
}

fn optimisers_agree<F: Number>(fast: bool) {
    let mut worst = (0.0, String::new());
    let mut seen = std::collections::BTreeSet::new();
    for name in golden::names() {
        let file = golden::load(&name);
        for (optimiser, entry) in file.settings["optimizers"].as_object().unwrap() {
            let (update, lr) = update(entry);
            let mut engine = Engine::<F>::new(&file, Mode::Train(update), fast);
            let (mut losses, mut norms) = (Vec::new(), Vec::new());
            for step in 1..=file.size("steps") as u64 {
                engine.set_states();
                let (correction1, correction2) = update.rule.corrections(step);
                let report = engine.run(Hyper {
                    lr,
                    update: step as f64,
                    correction1,
                    correction2,
                    ..Hyper::default()
                });
                losses.push(report.loss / engine.rows() as f64);
                norms.push(report.norm);
            }
            engine.check_f64(&format!("{optimiser}.losses"), &losses);
            engine.check_f64(&format!("{optimiser}.norms"), &norms);
            let after = engine
                .cpu
                .read(engine.plan().io.parameters.unwrap())
                .to_vec();
            engine.check_arena(&format!("{optimiser}."), &after);
            worse(&mut worst, engine.worst);
            seen.insert(optimiser.clone());
        }
    }
    println!("worst relative error {:.2e} in {}", worst.0, worst.1);
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    let all = [
        "adagrad",
        "adam",
        "adamw",
        "clip_both",
        "clip_norm",
        "clip_value",
        "rmsprop",
        "sgd",
    ];
    assert_eq!(seen, all, "every optimiser has golden values");
}

#[test]
fn optimisers_agree_in_f64_fast() {
    optimisers_agree::<f64>(true);
}

#[test]
fn optimisers_agree_in_f64_plain() {
    optimisers_agree::<f64>(false);
}

#[test]
fn optimisers_agree_in_f32_fast() {
    optimisers_agree::<f32>(true);
}

#[test]
fn optimisers_agree_in_f32_plain() {
    optimisers_agree::<f32>(false);
}
