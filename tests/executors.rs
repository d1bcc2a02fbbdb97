//! The fast CPU executor against the plain one, over whole plans of random odd shapes: three training steps of every
//! library cell. And what must be equal to the bit: any number of threads, and a row alone or in a batch.

use std::sync::Arc;

use proptest::prelude::*;
use wgrnn::cell::library;
use wgrnn::cell::real::Real;
use wgrnn::exec::cpu::{Cpu, Number};
use wgrnn::layer::Recurrent;
use wgrnn::model::{self, Dims, Drops, Init, Mode, Penalties, Scheme, Spec, Update};
use wgrnn::op::{Add, Hyper, MatMul, Op, Plan, Role, Rule, SlotId};
use wgrnn::rng::{Purpose, Stream, key};
use wgrnn::task::Inputs;

/// A model, a size of minibatch, and a seed for parameters and tokens.
#[derive(Clone, Debug)]
struct Case {
    cell: &'static str,
    vocab: usize,
    hidden: usize,
    layers: usize,
    embed: usize,
    tie: bool,
    dropout: f64,
    drops: Drops,
    penalties: Penalties,
    steps: usize,
    batch: usize,
    seed: u64,
}

impl Case {
    fn plan(&self, mode: Mode) -> Arc<Plan> {
        let cell = Arc::new(library::builtin(self.cell).unwrap());
        let spec = Spec {
            vocab: self.vocab,
            cells: vec![cell.clone(); self.layers],
            hidden: self.hidden,
            // A tied head and a cell that uses x elementwise need an embedding as wide as H.
            embed: if self.tie || cell.raw_input {
                self.hidden
            } else {
                self.embed
            },
            dropout: self.dropout,
            drops: self.drops,
            penalties: Penalties {
                propagation: if Recurrent::propagates(&cell) {
                    self.penalties.norm
                } else {
                    0.0
                },
                ..self.penalties
            },
            tie: self.tie,
            ..Spec::default()
        };
        let dims = Dims {
            steps: self.steps,
            batch: self.batch,
        };
        Arc::new(spec.plan(dims, mode).unwrap())
    }

    /// The tokens [T+1, B] of a minibatch.
    fn ids(&self, minibatch: u64) -> Vec<u32> {
        let mut stream = Stream::new(self.seed, Purpose::Check, minibatch);
        (0..(self.steps + 1) * self.batch)
            .map(|_| (stream.uniform() * self.vocab as f32) as u32)
            .collect()
    }

    /// The longest sum of a product: over the hidden size times the gates that a source feeds (the adjoint of that
    /// source), the input, the vocabulary (the gradient of the head's input), or over all rows of the minibatch (a
    /// weight's gradient).
    fn longest_sum(&self) -> usize {
        let cell = library::builtin(self.cell).unwrap();
        let gates = cell
            .sources
            .iter()
            .map(|s| s.gates.len())
            .max()
            .unwrap_or(1);
        [
            self.hidden * gates,
            self.embed,
            self.vocab,
            self.steps * self.batch,
        ]
        .into_iter()
        .max()
        .unwrap_or(1)
    }

    /// Whether the cell takes means of rows.
    fn normalizes(&self) -> bool {
        let compiled = library::builtin(self.cell).unwrap().compile();
        compiled.forward.iter().any(|s| !s.reductions.is_empty())
    }

    /// How many products follow one another: a step of two stages is twice as deep.
    fn depth(&self) -> usize {
        let cell = library::builtin(self.cell).unwrap();
        self.steps * self.layers * cell.compile().backward.len()
    }
}

/// A fresh executor whose parameters are drawn and whose other slots, where a run must write before it reads, hold NaN.
fn executor<F: Number>(plan: &Arc<Plan>, fast: bool, seed: u64) -> Cpu<F> {
    let mut cpu = if fast {
        Cpu::new(plan.clone())
    } else {
        Cpu::plain(plan.clone())
    };
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.4,
        seed,
        ..Init::default()
    };
    let start = model::initialize(plan, &init).unwrap();
    let parameters = cpu.write(plan.io.parameters.unwrap());
    for (to, from) in parameters.iter_mut().zip(start) {
        *to = F::of(f64::from(from));
    }
    for (slot, of) in plan.slots.iter().enumerate() {
        if matches!(of.role, Role::Activation | Role::Results) {
            // The deltas [T+1, ...] of the step after the last are never written: they stay the zeros they start as.
            let deltas = |op: &Op| matches!(op, Op::Scan(scan) if scan.delta == Some(SlotId(slot)));
            let zeros = if plan.ops.iter().any(deltas) {
                of.len() / of.shape[0]
            } else {
                0
            };
            cpu.write(SlotId(slot))[..of.len() - zeros].fill(F::of(f64::NAN));
        }
    }
    cpu
}

fn run<F: Number>(cpu: &mut Cpu<F>, case: &Case, minibatch: u64, ids: &[u32]) {
    let update = minibatch + 1;
    cpu.run(
        &Inputs::new(ids)
            .draws(key(case.seed, Purpose::Dropout), minibatch)
            .reset(minibatch == 0)
            .hyper(Hyper {
                lr: 0.05,
                scale: 1.0 / (case.steps * case.batch) as f64,
                update: update as f64,
                correction1: 1.0 - 0.9f64.powi(update as i32),
                correction2: 1.0 - 0.99f64.powi(update as i32),
            }),
    )
    .unwrap();
}

/// Momentum, so that all three steps' gradients are in the end in one arena. Adam would not do: it divides a gradient
/// that is all rounding by itself.
const SGD: Mode = Mode::Train(Update {
    rule: Rule::Sgd {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.01,
    },
    clip_norm: 0.5,
    clip_value: 0.0,
});

/// The slots that mean something after a run: activations may be left out or shared by fast code.
fn lasting(plan: &Plan) -> Vec<SlotId> {
    let io = [plan.io.losses, plan.io.logits].into_iter().flatten();
    let kept = (0..plan.slots.len()).map(SlotId).filter(|slot| {
        matches!(
            plan.slot(*slot).role,
            Role::Parameters | Role::Gradients | Role::Optimizer | Role::State | Role::Results
        )
    });
    io.chain(kept).collect()
}

/// The first element beyond |got - want| <= tolerance * max(|want|, root mean square of all of `want`), or the largest
/// share of the tolerance that was used. A NaN is beyond.
fn compare<F: Real>(name: &str, got: &[F], want: &[F], tolerance: f64) -> Result<f64, String> {
    let square: f64 = want.iter().map(|w| w.f64() * w.f64()).sum();
    let size = (square / want.len().max(1) as f64).sqrt();
    let mut worst: f64 = 0.0;
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let (g, w) = (got.f64(), want.f64());
        let (off, limit) = ((g - w).abs(), tolerance * w.abs().max(size));
        let within = off <= limit;
        if !within {
            return Err(format!(
                "{name} [{i}]: got {g:e}, want {w:e}, off by {off:e}, limit {limit:e}"
            ));
        }
        if off > 0.0 {
            worst = worst.max(off / limit);
        }
    }
    Ok(worst)
}

/// Three training steps with both executors.
fn fast_equals_plain<F: Number>(case: &Case, tolerance: f64) -> Result<f64, String> {
    let plan = case.plan(SGD);
    let mut fast = executor::<F>(&plan, true, case.seed);
    let mut plain = executor::<F>(&plan, false, case.seed);
    let mut worst: f64 = 0.0;
    for minibatch in 0..3 {
        let ids = case.ids(minibatch);
        run(&mut fast, case, minibatch, &ids);
        run(&mut plain, case, minibatch, &ids);
        for slot in lasting(&plan) {
            let name = format!("step {minibatch}, {}", plan.slot(slot).name);
            worst = worst.max(compare(
                &name,
                fast.read(slot),
                plain.read(slot),
                tolerance,
            )?);
        }
    }
    Ok(worst)
}

fn cases() -> impl Strategy<Value = Case> {
    let cells: Vec<&'static str> = library::names().collect();
    let sizes = (
        2..14usize,
        1..20usize,
        1..4usize,
        0..8usize,
        1..8usize,
        1..6usize,
    );
    let ways = (
        any::<bool>(),
        prop_oneof![Just(0.0), Just(0.3)],
        any::<[bool; 4]>(),
        any::<u64>(),
    );
    (proptest::sample::select(cells), sizes, ways).prop_map(|(cell, sizes, ways)| Case {
        cell,
        vocab: sizes.0,
        hidden: sizes.1,
        layers: sizes.2,
        embed: sizes.3,
        steps: sizes.4,
        batch: sizes.5,
        tie: ways.0 && sizes.3 > 4,
        dropout: ways.1,
        drops: Drops {
            input: if ways.2[0] && sizes.3 > 0 { 0.2 } else { 0.0 },
            tokens: if ways.2[1] && sizes.3 > 0 { 0.2 } else { 0.0 },
            weights: if ways.2[2] { 0.3 } else { 0.0 },
            locked: ways.2[1],
        },
        penalties: if ways.2[3] {
            Penalties {
                activation: 0.2,
                temporal: 0.3,
                norm: 0.1,
                ..Penalties::default()
            }
        } else {
            Penalties::default()
        },
        seed: ways.3,
    })
}

/// Each rounding is at most half a unit; a sum of n terms in another order differs by n units in the worst case, and the
/// recurrence passes that on through T steps of every layer and three updates. 8 covers the functions within a step, which a
/// gradient passes twice: forward and backward.
///
/// A normalisation divides by the deviation of a row, which a random row of few units may bring near the root of its eps:
/// each step of each layer may then enlarge a rounding some hundred times. A million covers that in f64 and leaves 1e-9;
/// f32 has no digits left for it.
fn tolerance(case: &Case, epsilon: f64) -> f64 {
    let conditioning = if case.normalizes() { 1e6 } else { 1.0 };
    2.0 * 8.0 * epsilon * (case.longest_sum() + case.depth()) as f64 * conditioning
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fast_equals_plain_f64(case in cases()) {
        let got = fast_equals_plain::<f64>(&case, tolerance(&case, f64::EPSILON));
        prop_assert!(got.is_ok(), "{}", got.unwrap_err());
    }

    #[test]
    fn fast_equals_plain_f32(case in cases().prop_filter("no digits left", |c| !c.normalizes())) {
        let got = fast_equals_plain::<f32>(&case, tolerance(&case, f64::from(f32::EPSILON)));
        prop_assert!(got.is_ok(), "{}", got.unwrap_err());
    }
}

/// Large enough for every split over threads, for packed products, and for tiles with odd rests.
fn large(cell: &'static str, embed: usize) -> Case {
    Case {
        cell,
        vocab: 71,
        hidden: 67,
        layers: 2,
        embed,
        tie: false,
        dropout: 0.3,
        drops: Drops {
            input: if embed > 0 { 0.2 } else { 0.0 },
            tokens: if embed > 33 { 0.2 } else { 0.0 },
            weights: 0.3,
            locked: cell == "lstm",
        },
        penalties: Penalties {
            activation: 0.2,
            temporal: 0.3,
            norm: 0.1,
            ..Penalties::default()
        },
        steps: 9,
        batch: 37,
        seed: 5,
    }
}

#[test]
fn fast_equals_plain_in_large_models() {
    for (cell, embed) in [("lstm", 0), ("gru", 33), ("gru-cho", 0), ("rnn", 129)] {
        let case = large(cell, embed);
        let narrow = fast_equals_plain::<f32>(&case, tolerance(&case, f64::from(f32::EPSILON)));
        let wide = fast_equals_plain::<f64>(&case, tolerance(&case, f64::EPSILON));
        println!("{cell}: share of the tolerance, f32 {narrow:?}, f64 {wide:?}");
        for got in [narrow, wide] {
            got.unwrap_or_else(|fault| panic!("{cell}: {fault}"));
        }
    }
}

/// How far f32 is from f64 with the same plain code: shows that the tolerance above is no larger than it must be, and
/// that it holds for any order of the sums.
#[test]
fn the_tolerance_fits_what_f32_rounding_does() {
    let mut worst: f64 = 0.0;
    for (cell, embed) in [("lstm", 0), ("gru", 33), ("gru-cho", 0), ("elman", 7)] {
        let case = Case {
            batch: 11,
            hidden: 37,
            ..large(cell, embed)
        };
        let plan = case.plan(SGD);
        let mut narrow = executor::<f32>(&plan, false, case.seed);
        let mut wide = executor::<f64>(&plan, false, case.seed);
        for minibatch in 0..3 {
            let ids = case.ids(minibatch);
            run(&mut narrow, &case, minibatch, &ids);
            run(&mut wide, &case, minibatch, &ids);
            for slot in lasting(&plan) {
                let got: Vec<f64> = narrow.read(slot).iter().map(|x| x.f64()).collect();
                let tolerance = tolerance(&case, f64::from(f32::EPSILON));
                let name = format!("{cell}, step {minibatch}, {}", plan.slot(slot).name);
                let share = compare(&name, &got, wide.read(slot), tolerance);
                worst = worst.max(share.unwrap_or_else(|fault| panic!("{fault}")));
            }
        }
    }
    println!("f32 uses {worst:.3} of the tolerance");
    assert!(
        worst > 1e-3,
        "the tolerance is loose: {worst:e} of it is used"
    );
}

#[test]
fn a_nan_is_never_equal() {
    let fault = compare("x", &[1.0, f64::NAN], &[1.0, 2.0], 1e300).unwrap_err();
    assert!(fault.starts_with("x [1]: got NaN"), "{fault}");
    assert!(compare("x", &[1.0], &[f64::NAN], 1e300).is_err());
}

/// The bits of every lasting slot after three training steps within a pool of `threads`.
fn bits<F: Number>(case: &Case, threads: usize) -> Vec<(String, Vec<u64>)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(|| {
        let plan = case.plan(SGD);
        let mut cpu = executor::<F>(&plan, true, case.seed);
        for minibatch in 0..3 {
            run(&mut cpu, case, minibatch, &case.ids(minibatch));
        }
        let of = |slot| cpu.read(slot).iter().map(|x| x.f64().to_bits()).collect();
        let slots = lasting(&plan).into_iter();
        slots
            .map(|slot| (plan.slot(slot).name.clone(), of(slot)))
            .collect()
    })
}

fn threads_change_nothing<F: Number>() {
    for (cell, embed) in [("lstm", 0), ("gru", 33), ("gru-cho", 65)] {
        let case = large(cell, embed);
        let one = bits::<F>(&case, 1);
        for threads in [2, 3] {
            for ((name, one), (_, many)) in one.iter().zip(bits::<F>(&case, threads)) {
                let differ = one.iter().zip(&many).filter(|(a, b)| a != b).count();
                assert_eq!(
                    differ, 0,
                    "{cell}: {name}: elements that {threads} threads change"
                );
            }
        }
    }
}

#[test]
fn threads_change_no_bit_f32() {
    threads_change_nothing::<f32>();
}

#[test]
fn threads_change_no_bit_f64() {
    threads_change_nothing::<f64>();
}

/// Two minibatches, the second from the carried states; gives (losses [T, B], states [S, T+1, B, H] of each layer).
fn evaluate<F: Number>(case: &Case, ids: [&[u32]; 2]) -> Vec<(Vec<F>, Vec<Vec<F>>)> {
    let plan = case.plan(Mode::Evaluate);
    let mut cpu = executor::<F>(&plan, true, case.seed);
    let results = ids.into_iter().enumerate().map(|(minibatch, ids)| {
        run(&mut cpu, case, minibatch as u64, ids);
        let states = plan.io.states.iter().map(|s| cpu.read(s.slot).to_vec());
        (cpu.read(plan.io.losses.unwrap()).to_vec(), states.collect())
    });
    results.collect()
}

fn rows_do_not_see_the_batch<F: Number>(case: &Case) {
    let batch = case.batch;
    let all = [case.ids(0), case.ids(1)];
    let together = evaluate::<F>(case, [&all[0], &all[1]]);
    for b in 0..batch {
        let mine = all
            .clone()
            .map(|ids| -> Vec<u32> { ids.into_iter().skip(b).step_by(batch).collect() });
        let single = Case {
            batch: 1,
            ..case.clone()
        };
        let alone = evaluate::<F>(&single, [&mine[0], &mine[1]]);
        for (minibatch, (alone, together)) in alone.iter().zip(&together).enumerate() {
            let what = format!(
                "{} embed {}: row {b}, minibatch {minibatch}",
                case.cell, case.embed
            );
            let losses: Vec<F> = together.0.iter().skip(b).step_by(batch).copied().collect();
            assert_eq!(alone.0, losses, "{what}: losses");
            for (layer, (alone, together)) in alone.1.iter().zip(&together.1).enumerate() {
                let planes = together.chunks(case.hidden).skip(b).step_by(batch);
                let mine: Vec<F> = planes.flatten().copied().collect();
                assert_eq!(*alone, mine, "{what}: states of layer {layer}");
            }
        }
    }
}

#[test]
fn a_row_is_the_same_alone_and_in_a_batch() {
    for cell in library::names() {
        for (embed, hidden, batch) in [(0, 7, 5), (5, 67, 5), (33, 13, 17)] {
            let case = Case {
                batch,
                hidden,
                ..large(cell, embed)
            };
            rows_do_not_see_the_batch::<f32>(&case);
            rows_do_not_see_the_batch::<f64>(&case);
        }
    }
}

/// Products in a row share a packed operand as long as nothing changes it: not an operation, and not the host.
#[test]
fn an_operand_that_changed_is_packed_anew() {
    let mut plan = Plan::default();
    let mut matrix = |name: &str, rows: usize, cols: usize| {
        let slot = plan.add(name, &[rows, cols], Role::Activation);
        plan.matrix(slot)
    };
    let (a, b, change) = (matrix("a", 9, 7), matrix("b", 7, 5), matrix("change", 7, 5));
    let results = ["first", "second", "third"].map(|name| matrix(name, 9, 5));
    let product = |c| {
        Op::MatMul(MatMul {
            name: "product".into(),
            a,
            b,
            c,
            transpose_a: false,
            transpose_b: false,
            bias: None,
            accumulate: false,
        })
    };
    let add = Op::Add(Add {
        name: "change".into(),
        from: change,
        to: b,
        accumulate: true,
        flip: None,
    });
    plan.ops = vec![
        product(results[0]),
        add,
        product(results[1]),
        product(results[2]),
    ];
    let plan = Arc::new(plan);
    let run = |mut cpu: Cpu<f64>| -> Vec<Vec<f64>> {
        for m in [a, b, change] {
            let fill = |(i, x): (usize, &mut f64)| *x = (i * 7 % 11) as f64 - 5.0;
            cpu.write(m.slot).iter_mut().enumerate().for_each(fill);
        }
        (0..3).for_each(|op| cpu.run_op(op).unwrap());
        cpu.write(b.slot).fill(2.0);
        cpu.run_op(3).unwrap();
        results.iter().map(|m| cpu.read(m.slot).to_vec()).collect()
    };
    let want = run(Cpu::plain(plan.clone()));
    assert_eq!(run(Cpu::new(plan)), want);
    assert!(want[0] != want[1] && want[1] != want[2]);
}

/// Transposed weights that only scans read are not written out, unless something changes the weights before they are read.
#[test]
fn transposed_copies_are_elided_where_the_weights_stay() {
    let case = Case {
        cell: "lstm",
        vocab: 5,
        hidden: 6,
        layers: 1,
        embed: 0,
        tie: false,
        dropout: 0.0,
        drops: Drops::default(),
        penalties: Penalties::default(),
        steps: 3,
        batch: 4,
        seed: 1,
    };
    let plan = case.plan(Mode::Gradients);
    let copy = plan.find("weights.l0^T").unwrap();
    let written = |plan: &Plan, fast: bool| {
        let mut cpu: Cpu<f64> = if fast {
            Cpu::new(Arc::new(plan.clone()))
        } else {
            Cpu::plain(Arc::new(plan.clone()))
        };
        cpu.write(plan.io.parameters.unwrap()).fill(0.5);
        (0..plan.ops.len()).for_each(|op| cpu.run_op(op).unwrap());
        cpu.read(copy).iter().any(|x| *x != 0.0)
    };
    assert!(written(&plan, false) && !written(&plan, true));
    let is_copy = |op: &Op| matches!(op, Op::Transpose(_));
    let at = plan.ops.iter().position(is_copy).unwrap();
    let Op::Transpose(transpose) = &plan.ops[at] else {
        unreachable!("it was found as one");
    };
    let change = Op::Add(Add {
        name: "change".into(),
        from: transpose.from,
        to: transpose.from,
        accumulate: true,
        flip: None,
    });
    let with = |place: usize| {
        let mut other = (*plan).clone();
        other.ops.insert(place, change.clone());
        other
    };
    assert!(written(&with(at + 1), true));
    assert!(!written(&with(at), true) && !written(&with(plan.ops.len()), true));
}
