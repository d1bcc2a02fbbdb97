//! Large vocabularies: a head in chunks, tables larger than a binding, sparse updates, adaptive and sampled softmax.

mod common;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use common::{device, inputs, near, pairs};

use wgrnn::cell::library;
use wgrnn::exec::check::Twins;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::{self, Dims, Init, Mode, Scheme, Softmax, Spec, Update, initialize};
use wgrnn::op::{Hyper, Op, Plan, Report, Rule, SlotId};
use wgrnn::task::MadeUp;
use wgrnn::task::differences::differences;

const VOCAB: usize = 21;
const DIMS: Dims = Dims { steps: 3, batch: 2 };

fn spec(tie: bool, scores_at_once: usize) -> Spec {
    Spec {
        vocab: VOCAB,
        cells: vec![Arc::new(library::builtin("lstm").unwrap())],
        hidden: 5,
        embed: 5,
        tie,
        scores_at_once,
        ..Spec::default()
    }
}

fn tokens(count: usize, seed: u64) -> Vec<u32> {
    common::tokens(count, VOCAB, seed)
}

/// One run from drawn weights.
fn run(plan: Plan, weights: Option<&[f32]>) -> (Cpu<f64>, Report) {
    let plan = Arc::new(plan);
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.6,
        ..Init::default()
    };
    let mut cpu = Cpu::new(plan.clone());
    let start = initialize(&plan, &init).unwrap();
    let parameters = cpu.write(plan.io.parameters.unwrap());
    for (to, from) in parameters.iter_mut().zip(start) {
        *to = f64::from(from);
    }
    let shape = &plan.slot(plan.recipes.ids().unwrap()).shape;
    let rows = (shape[0] - 1) * shape[1];
    let targets = plan.recipes.targets().map(|_| tokens(rows, 8));
    let ids = tokens(shape[0] * shape[1], 7);
    let outcome = cpu.run(
        &inputs(&ids, true, 1.0 / rows as f64)
            .targets(targets.as_deref())
            .weights(weights),
    );
    (cpu, outcome.unwrap().report)
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64]) {
    let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    assert!(largest > 0.0, "{what}: all zero");
    // Sums of a few dozen terms in another order.
    near(what, got, want, 1e-14 * largest.max(1.0));
}

fn slot(plan: &Plan, slot: Option<SlotId>) -> SlotId {
    slot.unwrap_or_else(|| panic!("a plan of {} operations lacks a slot", plan.ops.len()))
}

/// How many chunks of scores a plan has.
fn chunks(plan: &Plan) -> usize {
    let stats = |op: &&Op| matches!(op, Op::SoftmaxStats(_));
    plan.ops.iter().filter(stats).count()
}

// 6 rows of 21 scores: 60 are 3 rows of 20 and of 1; 24 are 6 rows of 4; 8 are 2 rows of 4.
const CUTS: [(usize, usize); 4] = [(1000, 0), (60, 3), (24, 6), (8, 18)];

#[test]
fn a_head_in_chunks_has_the_losses_and_gradients_of_the_whole() {
    for tie in [false, true] {
        for apart in [false, true] {
            let made = |at_once| Spec {
                targets_apart: apart,
                ..spec(tie, at_once)
            };
            let plan = |at_once| made(at_once).plan(DIMS, Mode::Gradients).unwrap();
            let (whole, report) = run(plan(usize::MAX), None);
            for (at_once, count) in CUTS {
                let plan = plan(at_once);
                assert_eq!(chunks(&plan), count, "{at_once}");
                let held = plan.find("chunk.head").map_or(0, |s| plan.slot(s).len());
                assert!(held <= at_once, "{held}");
                let (cut, other) = run(plan, None);
                let what = format!("tied {tie}, apart {apart}, {at_once} at once");
                close(
                    &what,
                    &[other.loss, other.norm],
                    &[report.loss, report.norm],
                );
                for of in [|p: &Plan| p.io.losses, |p: &Plan| p.io.gradients] {
                    let read = |cpu: &Cpu<f64>| {
                        let plan = cpu.plan();
                        cpu.read(slot(plan, of(plan))).to_vec()
                    };
                    close(&what, &read(&cut), &read(&whole));
                }
            }
        }
    }
}

#[test]
fn a_head_in_chunks_evaluates_weighted_positions() {
    let weights = [1.0, 0.0, 0.5, 1.0, 0.0, 2.0];
    let plan = |at_once| spec(false, at_once).plan(DIMS, Mode::Evaluate).unwrap();
    let (whole, report) = run(plan(usize::MAX), Some(&weights));
    for (at_once, count) in CUTS {
        let plan = plan(at_once);
        assert_eq!(chunks(&plan), count);
        let (cut, other) = run(plan, Some(&weights));
        close("loss", &[other.loss], &[report.loss]);
        let losses = |cpu: &Cpu<f64>| cpu.read(slot(cpu.plan(), cpu.plan().io.losses)).to_vec();
        close("losses", &losses(&cut), &losses(&whole));
        assert_eq!(losses(&cut)[1], 0.0);
    }
}

#[test]
fn a_head_in_chunks_has_right_gradients() {
    for tie in [false, true] {
        for at_once in [60, 8] {
            let plan = spec(tie, at_once).plan(DIMS, Mode::Gradients).unwrap();
            for slope in differences(Arc::new(plan), at_once == 8).unwrap() {
                assert!(slope.passed(), "tied {tie}, {at_once}: {}", slope.fault());
            }
        }
    }
}

const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
    decoupled: false,
};

const SGD: Rule = Rule::Sgd {
    momentum: 0.0,
    nesterov: false,
    weight_decay: 0.0,
};

fn train(rule: Rule) -> Mode {
    Mode::Train(Update {
        rule,
        clip_norm: 0.5,
        clip_value: 0.05,
    })
}

/// Every operation, then whole steps, on an adapter whose bindings hold `binding` bytes, against the plain code.
fn compare(what: &str, plan: Plan, tile: &Tile, binding: u64) {
    let plan = Arc::new(plan);
    let gpu = Gpu::with_binding(device(), plan.clone(), tile, binding);
    let gpu = pollster::block_on(gpu).unwrap();
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.4,
        ..Init::default()
    };
    let parameters = initialize(&plan, &init).unwrap();
    let mut twins = Twins::new(gpu, &parameters).unwrap();
    let made: Vec<MadeUp> = (0..3).map(|n| MadeUp::new(&plan, n).unwrap()).collect();
    let rows = made[0].rows(&plan);
    let inputs = |n: usize| {
        made[n].inputs().reset(n == 0).hyper(Hyper {
            lr: 0.1,
            scale: 1.0 / rows as f64,
            update: n as f64 + 1.0,
            correction1: 0.1,
            correction2: 0.001,
        })
    };
    let mut found = pollster::block_on(twins.operations(&inputs(0))).unwrap();
    assert!(found.len() >= plan.ops.len());
    if plan.io.gradients.is_some() {
        found.extend(pollster::block_on(twins.steps((1..3).map(inputs))).unwrap());
    }
    for row in &found {
        assert!(row.passed(), "{what}: {}", row.fault());
    }
}

const TILES: [(&str, Tile); 3] = [
    ("naive", Tile::NAIVE),
    ("software", Tile::SOFTWARE),
    ("GPU", pairs::APART),
];

#[test]
fn a_head_in_chunks_on_a_gpu() {
    for (tile, sizes) in &TILES {
        for (tie, at_once, mode) in [
            (false, 60, train(SGD)),
            (true, 24, train(SGD)),
            (false, 60, Mode::Evaluate),
        ] {
            let plan = spec(tie, at_once).plan(DIMS, mode).unwrap();
            compare(&format!("{tile}, {at_once} at once"), plan, sizes, 1 << 27);
        }
    }
}

/// A model whose tables and arenas are several times what a binding of 20 KiB holds.
fn large(tie: bool) -> Spec {
    Spec {
        vocab: 1501,
        hidden: 8,
        embed: 8,
        ..spec(tie, 2048)
    }
}

const BINDING: u64 = 20 << 10;

#[test]
fn slots_larger_than_a_binding_are_bound_in_parts() {
    for (tile, sizes) in &TILES {
        // All scores at once make products over all symbols, which no binding holds: sums in parts.
        for (tie, mode, at_once, batch) in [
            (false, train(ADAM), 2048, 4),
            (true, train(SGD), 2048, 4),
            (true, train(SGD), usize::MAX, 1),
            (true, Mode::Evaluate, 2048, 4),
            (false, Mode::Scores, 2048, 4),
        ] {
            let spec = Spec {
                scores_at_once: at_once,
                ..large(tie)
            };
            let plan = spec.plan(Dims { batch, ..DIMS }, mode).unwrap();
            let parameters = plan.slot(plan.io.parameters.unwrap()).len();
            assert!(4 * parameters as u64 > 2 * BINDING);
            compare(
                &format!("{tile}, tied {tie}, {at_once} at once, {mode:?}"),
                plan,
                sizes,
                BINDING,
            );
        }
    }
}

#[test]
fn what_no_binding_holds_is_refused_by_name() {
    let plan = Arc::new(large(true).plan(DIMS, train(SGD)).unwrap());
    let gpu = Gpu::with_binding(device(), plan, &Tile::SOFTWARE, 512);
    let error = pollster::block_on(gpu).unwrap_err();
    assert_eq!(error.kind, wgrnn::Kind::Device);
    let named = error.message.contains("parameters [1, ") && error.message.contains("at most 512");
    assert!(named, "{error}");
}

fn adaptive(at_once: usize) -> Spec {
    Spec {
        hidden: 16,
        embed: 5,
        softmax: Softmax::Adaptive {
            cutoffs: vec![4, 11],
        },
        ..spec(false, at_once)
    }
}

fn sampled(tie: bool, sparse: bool) -> Spec {
    Spec {
        softmax: Softmax::Sampled { samples: 6 },
        sparse,
        ..spec(tie, usize::MAX)
    }
}

#[track_caller]
fn gradients_are_right(what: &str, spec: &Spec, dims: Dims) {
    for fast in [false, true] {
        let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
        let slopes = differences(plan.clone(), fast).unwrap();
        for slope in &slopes {
            assert!(slope.passed(), "{what}: {}", slope.fault());
        }
        for parameter in &plan.parameters {
            let of = |s: &&wgrnn::task::differences::Slope| s.name == parameter.name;
            let steepest = slopes.iter().filter(of).map(|s| s.want.abs());
            let steepest = steepest.fold(0.0, f64::max);
            assert!(steepest > 1e-4, "{what}: {} moves nothing", parameter.name);
        }
    }
}

#[test]
fn an_adaptive_softmax_has_right_gradients() {
    for (at_once, packed, sparse) in [(usize::MAX, 0, false), (24, 0, true), (60, 9, false)] {
        let spec = Spec {
            packed,
            sparse,
            ..adaptive(at_once)
        };
        let dims = Dims { steps: 4, batch: 3 };
        gradients_are_right(&format!("{at_once} at once, packed {packed}"), &spec, dims);
    }
}

#[test]
fn a_sampled_softmax_and_compact_rows_have_right_gradients() {
    for tie in [false, true] {
        for sparse in [false, true] {
            for packed in [0, 9] {
                let spec = Spec {
                    packed,
                    ..sampled(tie, sparse)
                };
                let what = format!("tied {tie}, sparse {sparse}, packed {packed}");
                gradients_are_right(&what, &spec, Dims { steps: 4, batch: 3 });
            }
        }
    }
    let sparse = Spec {
        sparse: true,
        ..spec(false, 60)
    };
    gradients_are_right("a sparse embedding", &sparse, DIMS);
}

/// Log probabilities of the next symbol after each of the tokens of one text, by a plan of single steps.
fn log_probabilities(spec: &Spec, parameters: &[f64], text: &[u32]) -> Vec<Vec<f64>> {
    let plan = Arc::new(
        spec.plan(Dims { steps: 1, batch: 1 }, Mode::Scores)
            .unwrap(),
    );
    let mut cpu: Cpu<f64> = Cpu::new(plan.clone());
    cpu.write(plan.io.parameters.unwrap())
        .copy_from_slice(parameters);
    let steps = text.iter().enumerate().map(|(t, token)| {
        cpu.run(&inputs(&[*token, 0], t == 0, 1.0)).unwrap();
        cpu.read(plan.io.logits.unwrap()).to_vec()
    });
    steps.collect()
}

#[test]
fn losses_of_an_adaptive_softmax_are_its_log_probabilities() {
    let spec = adaptive(24);
    let dims = Dims {
        steps: 12,
        batch: 1,
    };
    let weights: Vec<f32> = (0..12).map(|t| t as f32 / 8.0).collect();
    let (cpu, report) = run(spec.plan(dims, Mode::Evaluate).unwrap(), Some(&weights));
    let plan = cpu.plan();
    let ids = cpu.read_words(plan.recipes.ids().unwrap()).to_vec();
    let parameters = cpu.read(plan.io.parameters.unwrap());
    let rows = log_probabilities(&spec, parameters, &ids[..12]);
    for row in &rows {
        let total: f64 = row.iter().map(|x| x.exp()).sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
    }
    let want: Vec<f64> = (0..12)
        .map(|t| -rows[t][ids[t + 1] as usize] * f64::from(weights[t]))
        .collect();
    close("losses", cpu.read(plan.io.losses.unwrap()), &want);
    close("sum", &[report.loss], &[want.iter().sum()]);
}

#[test]
fn the_loss_of_a_sampled_softmax_is_that_of_its_candidates() {
    let spec = sampled(true, true);
    let (cpu, report) = run(spec.plan(DIMS, Mode::Gradients).unwrap(), None);
    let plan = cpu.plan();
    let ids = cpu.read_words(plan.recipes.ids().unwrap()).to_vec();
    let slot = |name: &str| plan.find(name).unwrap();
    let candidates = cpu.read_words(slot("candidates"));
    let corrections = cpu.read(slot("candidates.corrections"));
    // The log of 1 - (1 - p)^n for one number n of draws, p = log((id + 2) / (id + 1)) / log(V + 1).
    let missed = |id: u32| {
        let id = f64::from(id);
        1.0 - ((id + 2.0) / (id + 1.0)).ln() / (VOCAB as f64 + 1.0).ln()
    };
    let expected = |id: u32, draws: i32| (1.0 - missed(id).powi(draws)).ln();
    let fits = |draws: i32| {
        let pairs = candidates.iter().zip(corrections).take(6);
        pairs.fold(true, |all, (id, c)| {
            all && (expected(*id, draws) - c).abs() < 1e-6
        })
    };
    assert!((6..1000).any(fits), "{candidates:?} {corrections:?}");
    let parameters = cpu.read(plan.io.parameters.unwrap());
    let mut want = 0.0;
    for b in 0..DIMS.batch {
        let text: Vec<u32> = (0..=DIMS.steps).map(|t| ids[t * DIMS.batch + b]).collect();
        let rows = log_probabilities(&spec, parameters, &text[..DIMS.steps]);
        for (row, target) in rows.iter().zip(&text[1..]) {
            let score = |c: usize| row[candidates[c] as usize] - corrections[c];
            let own = candidates.iter().position(|c| c == target).unwrap();
            let rivals = (0..6).filter(|c| *c != own).map(score);
            let total: f64 = rivals.chain([score(own)]).map(f64::exp).sum();
            want += total.ln() - score(own);
        }
    }
    close("loss", &[report.loss], &[want]);
}

const ADAGRAD: Rule = Rule::Adagrad {
    eps: 1e-10,
    weight_decay: 0.0,
};

/// The tokens of a step of [`trained`], and of these the inputs.
fn tokens_of(step: u32) -> Vec<u32> {
    tokens(8, u64::from(step))
}

fn inputs_of(step: u32) -> Vec<u32> {
    tokens_of(step)[..6].to_vec()
}

/// The parameters under their names after some steps from the same start.
fn trained(spec: &Spec, rule: Rule, steps: u32) -> BTreeMap<String, Vec<f64>> {
    let plan = Arc::new(spec.plan(DIMS, train(rule)).unwrap());
    let mut cpu: Cpu<f64> = Cpu::new(plan.clone());
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.6,
        ..Init::default()
    };
    let start = initialize(&plan, &init).unwrap();
    let slot = plan.io.parameters.unwrap();
    for (to, from) in cpu.write(slot).iter_mut().zip(start) {
        *to = f64::from(from);
    }
    for step in 0..steps {
        let update = f64::from(step + 1);
        let ids = tokens_of(step);
        let outcome = cpu.run(
            &inputs(&ids, true, 1.0)
                .draws([0, 0], u64::from(step))
                .reset(true)
                .hyper(Hyper {
                    lr: 0.3,
                    scale: 1.0 / 6.0,
                    update,
                    correction1: 1.0 - 0.9f64.powf(update),
                    correction2: 1.0 - 0.999f64.powf(update),
                }),
        );
        assert!(outcome.unwrap().report.finite);
    }
    let tensors = model::export(&plan, cpu.read(slot));
    tensors
        .into_iter()
        .map(|(name, t)| (name, t.data))
        .collect()
}

#[test]
fn compact_rows_train_like_whole_gradients_where_the_rule_allows_it() {
    for rule in [SGD, ADAGRAD] {
        for (what, spec) in [
            ("full", spec(false, 60)),
            ("adaptive", adaptive(1000)),
            ("sampled", sampled(false, false)),
            ("sampled, tied", sampled(true, false)),
        ] {
            let whole = trained(&spec, rule, 3);
            let rows = trained(
                &Spec {
                    sparse: true,
                    ..spec
                },
                rule,
                3,
            );
            assert_eq!(
                whole.keys().collect::<Vec<_>>(),
                rows.keys().collect::<Vec<_>>()
            );
            for (name, want) in &whole {
                close(&format!("{what}, {rule:?}: {name}"), &rows[name], want);
            }
        }
    }
}

#[test]
fn rows_that_are_not_used_rest_and_the_others_train_as_ever() {
    let dense = spec(false, 1000);
    let rows = Spec {
        sparse: true,
        ..dense.clone()
    };
    let table = |spec: &Spec, steps| trained(spec, ADAM, steps)["embedding.weight"].clone();
    let start = table(&rows, 0);
    for steps in [1, 3] {
        let (whole, sparse) = (table(&dense, steps), table(&rows, steps));
        let used: HashSet<u32> = (0..steps).flat_map(inputs_of).collect();
        assert!(used.len() > 3 && used.len() < VOCAB);
        for row in 0..VOCAB {
            let row_of = |table: &[f64]| table[row * 5..][..5].to_vec();
            let what = format!("row {row} after {steps} steps");
            match used.contains(&(row as u32)) {
                false => {
                    assert_eq!(row_of(&sparse), row_of(&start), "{what}");
                    // Weight decay alone moves every row of a table.
                    assert_ne!(row_of(&whole), row_of(&start), "{what}");
                }
                // Before any row has rested, the two are one algorithm.
                true if steps == 1 => close(&what, &row_of(&sparse), &row_of(&whole)),
                true => assert_ne!(row_of(&sparse), row_of(&start), "{what}"),
            }
        }
    }
}

#[test]
fn an_adaptive_softmax_is_that_of_pytorch() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/vocabulary/adaptive.safetensors"
    );
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        let view = file.tensor(name).unwrap();
        let words = view.data().chunks_exact(8);
        words
            .map(|w| f64::from_le_bytes(w.try_into().unwrap()))
            .collect()
    };
    let ids: Vec<u32> = file
        .tensor("ids")
        .unwrap()
        .data()
        .chunks_exact(8)
        .map(|w| i64::from_le_bytes(w.try_into().unwrap()) as u32)
        .collect();
    let (vocab, steps, batch) = (40, 5, 3);
    let spec = Spec {
        vocab,
        embed: 6,
        hidden: 32,
        softmax: Softmax::Adaptive {
            cutoffs: vec![7, 19],
        },
        ..spec(false, 100)
    };
    let plan = Arc::new(spec.plan(Dims { steps, batch }, Mode::Gradients).unwrap());
    let names: Vec<&String> = plan.parameters.iter().map(|p| &p.name).collect();
    let data: Vec<Vec<f64>> = names.iter().map(|name| numbers(name)).collect();
    let shapes: Vec<Vec<usize>> = names
        .iter()
        .map(|name| file.tensor(name).unwrap().shape().to_vec())
        .collect();
    let parts = names.iter().zip(&shapes).zip(&data);
    let parts = parts.map(|((name, shape), data)| (name.as_str(), &shape[..], &data[..]));
    let flat = model::import(&plan, parts).unwrap();
    let mut cpu: Cpu<f64> = Cpu::new(plan.clone());
    cpu.write(plan.io.parameters.unwrap())
        .copy_from_slice(&flat);
    cpu.run(&inputs(&ids, true, 1.0 / (steps * batch) as f64))
        .unwrap();
    // Some hundred roundings in another order.
    let near = |what: &str, got: &[f64], want: &[f64]| near(what, got, want, 1e-12);
    near(
        "losses",
        cpu.read(plan.io.losses.unwrap()),
        &numbers("losses"),
    );
    let gradients = model::export(&plan, cpu.read(plan.io.gradients.unwrap()));
    for name in names {
        near(
            name,
            &gradients[name].data,
            &numbers(&format!("grad.{name}")),
        );
    }
    let want = numbers("log_prob");
    for b in 0..batch {
        let text: Vec<u32> = (0..steps).map(|t| ids[t * batch + b]).collect();
        for (t, row) in log_probabilities(&spec, &flat, &text).iter().enumerate() {
            near("log_prob", row, &want[(t * batch + b) * vocab..][..vocab]);
        }
    }
}

#[test]
fn adaptive_and_sampled_softmax_and_compact_rows_on_a_gpu() {
    for (tile, sizes) in &TILES {
        for (name, spec, mode) in [
            ("adaptive", adaptive(60), train(SGD)),
            ("adaptive", adaptive(1000), Mode::Evaluate),
            ("adaptive", adaptive(1000), Mode::Scores),
            ("sampled", sampled(true, true), train(SGD)),
            ("sampled", sampled(false, false), train(ADAM)),
            ("sampled", sampled(false, true), train(ADAM)),
        ] {
            let plan = spec.plan(DIMS, mode).unwrap();
            compare(&format!("{tile}, {name}, {mode:?}"), plan, sizes, 1 << 27);
        }
        let sparse = Spec {
            softmax: Softmax::Sampled { samples: 20 },
            sparse: true,
            ..large(true)
        };
        let plan = sparse.plan(DIMS, train(ADAGRAD)).unwrap();
        compare(&format!("{tile}, sparse rows"), plan, sizes, BINDING);
    }
}

#[test]
fn long_rows_and_columns_lose_nothing_on_a_gpu() {
    // llvmpipe leaves loops after 65,535 rounds.
    let spec = Spec {
        vocab: 70_001,
        hidden: 2,
        embed: 2,
        ..spec(true, usize::MAX)
    };
    let plan = spec.plan(Dims { steps: 1, batch: 2 }, train(SGD)).unwrap();
    compare("a long row", plan, &Tile::SOFTWARE, 1 << 27);
    let spec = Spec {
        vocab: 300_001,
        ..spec
    };
    let plan = spec.plan(Dims { steps: 1, batch: 1 }, train(SGD)).unwrap();
    compare("a longer row", plan, &Tile::SOFTWARE, 1 << 27);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let refused = |spec: Spec, part: &str| {
        let error = spec.plan(DIMS, Mode::Gradients).unwrap_err();
        assert_eq!(error.kind, wgrnn::Kind::Usage);
        assert!(error.message.contains(part), "{error}");
    };
    let cutoffs = |cutoffs: &[usize]| Spec {
        softmax: Softmax::Adaptive {
            cutoffs: cutoffs.to_vec(),
        },
        ..adaptive(1000)
    };
    for bad in [&[][..], &[0, 4], &[4, 4], &[9, 4], &[4, 21]] {
        refused(cutoffs(bad), "cutoffs: expected rising numbers");
    }
    refused(cutoffs(&[2, 4, 8]), "leave nothing of 16");
    refused(
        Spec {
            tie: true,
            embed: 16,
            ..adaptive(1000)
        },
        "tie: expected softmax full or sampled",
    );
    for samples in [0, 11] {
        let softmax = Softmax::Sampled { samples };
        refused(
            Spec {
                softmax,
                ..sampled(false, false)
            },
            "samples: expected",
        );
    }
}

/// The value comes first, of rows that are updated alone as of all others.
#[test]
fn both_clips_cut_sparse_rows_as_the_plain_code_does() {
    let spec = Spec {
        sparse: true,
        ..pairs::spec("gru", 6, 1, 5)
    };
    let rows = |plan: &Plan| {
        let update = plan.ops.iter().find_map(|op| match op {
            Op::SparseUpdate(op) => Some(op.update.gradients.slot),
            _ => None,
        });
        update.unwrap()
    };
    pairs::clipped_both(&device(), &spec, ADAGRAD, rows);
}
