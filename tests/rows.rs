//! Programs on rows: derivatives against finite differences in f64, fast code and an adapter beside the plain code.

mod common;

use std::sync::Arc;

use common::rows::{Made, Sizes, plan};
use common::{device, lacks};
use wgrnn::cell::rows::{RowProgram, library};
use wgrnn::exec::check::Twins;
use wgrnn::exec::cpu::{Cpu, Number};
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::op::{Op, Plan, Role, SlotId};
use wgrnn::task::MadeUp;

/// Every fold, alone and within others; numbers spread over rows and rows that meet numbers.
const TEXTS: &[(&str, &str)] = &[
    ("mean", "row x\no = mean(x * x) * x"),
    ("sum", "row x, y\nnumber w\no = sum(x * y) * w + x * w"),
    ("max", "row x\nnumber w\no = x * max(w * x) - max(-x)"),
    ("logsum", "row x\nnumber w\no = x - logsum(w * x)"),
    (
        "number",
        "row x\nnumber w\no = logsum(w * x) + max(x) / (2 + mean(x * x)) - w",
    ),
    (
        "spread",
        "row x\nnumber w\ns = 0 * x + w\no = sum(s) + mean(s) * max(s) + logsum(s) + sum(x)",
    ),
    (
        "nested",
        "row x, y\nm = mean(x)\nv = mean((x - m) * (x - m))\no = (x - m) / sqrt(v + 0.5) * tanh(y)",
    ),
    ("numbers", "number v, w\no = v * tanh(w)"),
    (
        "max of two",
        "row x, y\no = max(x, y) * min(x, 0.3) + max(max(x, y))",
    ),
    (
        "between",
        "row a, b, c\nnumber w\noutput o\no = sigmoid(a) * b + w * exp(-relu(c))",
    ),
];

fn programs() -> Vec<RowProgram> {
    let texts = TEXTS.iter();
    let own = texts.map(|(name, text)| RowProgram::parse(name, text).unwrap());
    let losses = library::names().map(|name| library::builtin(name).unwrap());
    own.chain(losses).collect()
}

const SIZES: [Sizes; 4] = [
    Sizes {
        packed: None,
        width: 1,
    },
    Sizes {
        packed: None,
        width: 3,
    },
    Sizes {
        packed: Some(11),
        width: 17,
    },
    // Longer than a strip of the fast code.
    Sizes {
        packed: Some(9),
        width: 150,
    },
];

/// Numbers from -1.3 to 1.3 that lie apart from one another (the golden ratio's multiples do), so that no step of a difference
/// crosses a kink.
fn fill<F: Number>(plan: &Plan, cpu: &mut Cpu<F>) {
    for (n, slot) in plan.slots.iter().enumerate() {
        if slot.role == Role::Activation && !slot.is_empty() {
            for (i, x) in cpu.write(SlotId(n)).iter_mut().enumerate() {
                let share = ((i + 37 * n) as f64 * 0.618_033_988_749_895).fract();
                *x = F::of((2.6 * share - 1.3) * (0.7 + 0.1 * (n % 4) as f64));
            }
        }
    }
}

/// A plan with its minibatch, after one run in f64 by the fast code.
struct Ran {
    plan: Arc<Plan>,
    made: MadeUp,
    cpu: Cpu<f64>,
}

impl Ran {
    fn new(plan: Plan) -> Ran {
        let plan = Arc::new(plan);
        let made = MadeUp::new(&plan, 3).unwrap();
        let mut cpu = Cpu::new(plan.clone());
        fill(&plan, &mut cpu);
        loss(&mut cpu, &plan, &made);
        Ran { plan, made, cpu }
    }
}

/// The sum of the losses, times the scale.
fn loss(cpu: &mut Cpu<f64>, plan: &Plan, made: &MadeUp) -> f64 {
    cpu.run(&made.inputs().scale(0.4)).unwrap();
    let losses = cpu.read(plan.io.losses.unwrap());
    0.4 * losses.iter().sum::<f64>()
}

#[test]
fn gradients_are_finite_differences() {
    for program in programs() {
        for sizes in SIZES {
            for layer in [false, true]
                .into_iter()
                .filter(|l| *l || program.is_loss())
            {
                let Made { plan, inputs } = plan(&program, sizes, layer);
                let Ran {
                    plan,
                    made,
                    mut cpu,
                } = Ran::new(plan);
                let counted = made.rows(&plan);
                for [from, kept] in inputs {
                    let gradient = cpu.read(kept).to_vec();
                    let cols = plan.matrix(from).cols;
                    // Every element of small rows, some of long ones.
                    for i in (0..counted * cols).step_by(1 + cols / 5) {
                        let x = cpu.read(from)[i];
                        let mut at = |x: f64| {
                            cpu.write(from)[i] = x;
                            loss(&mut cpu, &plan, &made)
                        };
                        let step = 1e-6;
                        let slope = (at(x + step) - at(x - step)) / (2.0 * step);
                        at(x);
                        let off = (gradient[i] - slope).abs();
                        assert!(
                            off < 1e-7 * (1.0 + slope.abs()),
                            "{} {sizes:?} layer {layer}, {}[{i}]: got {}, want {slope}",
                            program.name,
                            plan.slot(from).name,
                            gradient[i]
                        );
                    }
                }
            }
        }
    }
}

/// Losses of rows that do not count are 0.
#[test]
fn rows_that_do_not_count_have_no_loss() {
    let program = library::builtin("squared").unwrap();
    let Made { plan, .. } = plan(&program, SIZES[2], false);
    let Ran { plan, made, cpu } = Ran::new(plan);
    let counted = made.rows(&plan);
    let losses = cpu.read(plan.io.losses.unwrap());
    assert!(counted < losses.len(), "{counted} of {}", losses.len());
    assert!(losses[..counted].iter().all(|l| *l > 0.0));
    assert!(losses[counted..].iter().all(|l| *l == 0.0));
}

fn near<F: Number>(what: &str, got: &[F], want: &[F], tolerance: f64) {
    let largest = want.iter().fold(0.0, |m, x| x.f64().abs().max(m));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let off = (got.f64() - want.f64()).abs();
        assert!(
            off <= tolerance * largest,
            "{what} [{i}]: got {got}, want {want}"
        );
    }
}

fn fast_beside_plain<F: Number>(tolerance: f64) {
    for program in programs() {
        for sizes in SIZES {
            let Made { plan, inputs } = plan(&program, sizes, true);
            let plan = Arc::new(plan);
            let made = MadeUp::new(&plan, 3).unwrap();
            let run = |mut cpu: Cpu<F>| {
                fill(&plan, &mut cpu);
                cpu.run(&made.inputs().scale(0.4)).unwrap();
                cpu
            };
            let fast = run(Cpu::new(plan.clone()));
            let plain = run(Cpu::plain(plan.clone()));
            let kept = inputs.iter().map(|slots| slots[1]);
            for slot in kept.chain(plan.io.losses) {
                let what = format!("{} {sizes:?} {}", program.name, plan.slot(slot).name);
                near(&what, fast.read(slot), plain.read(slot), tolerance);
            }
        }
    }
}

#[test]
fn fast_code_agrees_with_the_plain_code() {
    fast_beside_plain::<f64>(1e-13);
    fast_beside_plain::<f32>(2e-5);
}

fn on_adapter<F: Number>(what: &str, plan: Plan, tile: &Tile) {
    let plan = Arc::new(plan);
    let gpu = pollster::block_on(Gpu::with_tile(device(), plan.clone(), tile)).unwrap();
    let mut twins = Twins::<F>::new(gpu, &[]).unwrap();
    fill(&plan, twins.cpu());
    let made = MadeUp::new(&plan, 1).unwrap();
    let rows = pollster::block_on(twins.operations(&made.inputs().scale(0.4))).unwrap();
    // Operations that share a dispatch are compared as one, under all their names.
    let compared = |op: &Op| {
        rows.iter()
            .any(|row| row.op.split('+').any(|name| name == op.name()))
    };
    let left: Vec<&str> = plan
        .ops
        .iter()
        .filter(|op| !compared(op))
        .map(Op::name)
        .collect();
    assert!(left.is_empty(), "{what}: {left:?}");
    for row in rows {
        assert!(row.passed(), "{what}: {}", row.fault());
    }
}

#[test]
fn an_adapter_agrees_with_the_plain_code() {
    for (n, program) in programs().iter().enumerate() {
        for (sizes, tile) in [
            (SIZES[n % 2], Tile::SOFTWARE),
            (SIZES[2], Tile::GPU),
            (SIZES[3], Tile::SOFTWARE),
        ] {
            let what = format!("{} {sizes:?} {tile}", program.name);
            on_adapter::<f32>(&what, plan(program, sizes, true).plan, &tile);
            if program.is_loss() {
                on_adapter::<f32>(&what, plan(program, sizes, false).plan, &tile);
            }
        }
    }
}

#[test]
fn in_double_and_in_half_precision_too() {
    for name in ["bernoulli", "mixture", "norm"] {
        let program = library::builtin(name).unwrap();
        let made = || plan(&program, SIZES[2], true).plan;
        if !lacks("double") {
            let mut double = made();
            double.double().unwrap();
            on_adapter::<f64>(name, double, &Tile::SOFTWARE);
        }
        let mut half = made();
        half.halve();
        let held = |what: &str| {
            let found = half.slots.iter().find(|slot| slot.name == what);
            found.map(|slot| slot.half)
        };
        assert_eq!(held(&program.inputs[0].name), Some(true));
        // Numbers of rows and losses stay whole.
        assert_eq!((held("rows"), held("losses")), (Some(false), Some(false)));
        if !lacks("half") {
            on_adapter::<f32>(name, half, &Tile::SOFTWARE);
        }
    }
}
