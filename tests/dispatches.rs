//! How little a training step asks of a GPU beside its kernels, each dispatch of which costs microseconds there: dispatches
//! by the plan as a real adapter goes through it, writes and submissions by count; and that merged operations make what they
//! made apart.

mod common;

use std::sync::Arc;

use common::pairs::{Batch, adamw, compared, parameters, spec, twins};
use common::{device, lacks};
use wgrnn::exec::check::Twins;
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::model::{Dims, Drops, Mode, Penalties, Spec, Update};
use wgrnn::op::{Op, Plan, Rule};

/// Merged as on a GPU, with threads that software drivers compile quickly, and parts as short as the sums are here.
const SMALL: Tile = Tile {
    slices: [4, 8],
    slice_rows: [2, 3],
    part_depth: 4,
    ..Tile::GPU
};

/// The same, each operation by itself.
const APART: Tile = Tile {
    merged: false,
    ..SMALL
};

fn together(plan: &Plan) -> usize {
    let merged = |op: &&Op| matches!(op, Op::Together(_));
    plan.ops.iter().filter(merged).count()
}

/// How many products are in parts, and how many sums of parts the norm makes.
fn parts(plan: &Plan) -> (usize, usize) {
    let of = |op: &Op| match op {
        Op::ProductParts(_) => (1, 0),
        Op::Norm(norm) => (0, norm.completes.len()),
        _ => (0, 0),
    };
    let inner = |op: &Op| match op {
        Op::Together(op) => op.ops.clone(),
        op => vec![op.clone()],
    };
    let all = plan.ops.iter().flat_map(inner);
    all.map(|op| of(&op))
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

/// Beside those of the steps: states and input, scores, loss, two levels of gradients, norm and update.
#[test]
fn a_step_has_few_dispatches_beside_those_of_its_scan() {
    for steps in [1, 25, 50] {
        for (hidden, batch, embed) in [(128, 32, 0), (512, 32, 0), (256, 64, 64), (512, 128, 0)] {
            let dims = Dims { steps, batch };
            let plan = spec("lstm", hidden, 1, embed).plan(dims, adamw()).unwrap();
            let count = |tile| Gpu::count(&plan, tile).unwrap();
            let what = format!("T {steps} H {hidden} B {batch} embed {embed}");
            assert!(
                count(&Tile::GPU) <= 2 * steps + 8,
                "{what}: {}",
                count(&Tile::GPU)
            );
            let apart = Tile {
                merged: false,
                ..Tile::GPU
            };
            assert!(count(&apart) >= 2 * steps + 14, "{what}: {}", count(&apart));
            // Few tiles and many rows: both weights' gradients are in parts, and no dispatch more for that.
            if (steps, hidden, batch) == (50, 128, 32) {
                let (plan, _) = Gpu::outlines(&plan, &Tile::GPU).unwrap();
                assert_eq!(parts(&plan), (2, 2), "{what}");
            }
        }
    }
}

/// In half precision and beside penalties, too: whatever the host fills lies in one buffer.
#[test]
fn a_step_is_one_write_and_one_submission() {
    let device = device();
    let spec = spec("lstm", 12, 1, 0);
    let half = Spec {
        half: true,
        ..spec.clone()
    };
    let packed = Spec {
        packed: 11,
        ..spec.clone()
    };
    for spec in [spec, packed, half] {
        if spec.half && lacks("half") {
            continue;
        }
        let plan = Arc::new(spec.plan(Dims { steps: 4, batch: 3 }, adamw()).unwrap());
        let mut gpu =
            pollster::block_on(Gpu::with_tile(device.clone(), plan.clone(), &SMALL)).unwrap();
        assert!(plan.filled().count() >= 4);
        for seed in 0..3 {
            let before = (device.uploads(), device.submissions());
            let batch = Batch::new(&plan, seed, true);
            pollster::block_on(gpu.run(&batch.inputs())).unwrap();
            let after = (device.uploads(), device.submissions());
            assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
        }
        // What was written arrived where it belongs.
        let control = plan.recipes.control.unwrap();
        let words = pollster::block_on(gpu.read_words(control)).unwrap();
        assert_eq!(words, Batch::new(&plan, 2, true).control.words());
    }
}

fn everything() -> Vec<(Spec, Mode)> {
    let base = spec("lstm", 12, 2, 6);
    let dropped = Spec {
        dropout: 0.25,
        drops: Drops {
            input: 0.25,
            ..Drops::default()
        },
        learn_initial: true,
        penalties: Penalties {
            activation: 0.25,
            ..Penalties::default()
        },
        bidirectional: true,
        ..base.clone()
    };
    let packed = Spec {
        packed: 11,
        ..base.clone()
    };
    let clipped = Mode::Train(Update {
        rule: Rule::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
        },
        clip_norm: 0.1,
        clip_value: 0.05,
    });
    vec![
        (base.clone(), adamw()),
        (dropped, adamw()),
        (packed, adamw()),
        (base.clone(), clipped),
        (base, Mode::Gradients),
    ]
}

#[test]
fn merged_operations_agree_with_the_plain_code() {
    let device = device();
    for (n, (spec, mode)) in everything().into_iter().enumerate() {
        let plan = spec.plan(Dims { steps: 4, batch: 3 }, mode).unwrap();
        let ran = if spec.packed > 0 {
            let mut pair = twins(&device, plan, &SMALL);
            let batch = Batch::new(pair.plan(), 1, true);
            for row in pollster::block_on(pair.operations(&batch.inputs())).unwrap() {
                assert!(row.passed(), "{n}: {}", row.fault());
            }
            pair.plan().clone()
        } else {
            compared(&device, plan, &SMALL, &format!("{n}"))
        };
        assert!(together(&ran) >= 3, "{n}: {}", together(&ran));
        let (cut, summed) = parts(&ran);
        assert!(cut >= 2 && summed >= 2, "{n}: {cut} {summed}");
        assert_eq!(ran.faults(), Vec::<String>::new());
    }
}

#[test]
fn merged_operations_agree_in_half_and_double_precision() {
    let device = device();
    let dims = Dims { steps: 4, batch: 3 };
    let base = spec("gru", 12, 1, 6);
    if !lacks("half") {
        let half = Spec {
            half: true,
            ..base.clone()
        };
        let ran = compared(&device, half.plan(dims, adamw()).unwrap(), &SMALL, "half");
        assert!(together(&ran) >= 3);
    }
    if !lacks("double") {
        let mut plan = base.plan(dims, adamw()).unwrap();
        plan.double().unwrap();
        let start: Vec<f64> = parameters(&plan).iter().map(|x| f64::from(*x)).collect();
        let gpu = Gpu::with_tile(device, Arc::new(plan), &SMALL);
        let mut twins = Twins::<f64>::new(pollster::block_on(gpu).unwrap(), &start).unwrap();
        assert!(together(twins.plan()) >= 3);
        let batch = Batch::new(twins.plan(), 1, true);
        for row in pollster::block_on(twins.operations(&batch.inputs())).unwrap() {
            assert!(row.passed(), "{}", row.fault());
        }
    }
}

/// No sum is in another order.
#[test]
fn merged_and_apart_give_the_same_bits() {
    let device = device();
    for (n, (spec, mode)) in everything().into_iter().enumerate() {
        let plan = spec.plan(Dims { steps: 4, batch: 3 }, mode).unwrap();
        if !matches!(n, 1 | 3) {
            continue;
        }
        let bits = |tile| common::pairs::trained_bits(&device, plan.clone(), tile);
        let merged = bits(&SMALL);
        assert!(merged == bits(&APART), "{n}");
        assert!(merged.iter().any(|b| *b != merged[0]));
    }
}

/// An update that is left out because its gradients are not finite leaves everything as it was, whoever makes the report.
#[test]
fn an_update_that_ends_the_norm_leaves_out_what_is_not_finite() {
    let device = device();
    let plan = spec("lstm", 12, 1, 0).plan(Dims { steps: 4, batch: 3 }, adamw());
    let plan = Arc::new(plan.unwrap());
    let slot = plan.io.parameters.unwrap();
    let mut start = parameters(&plan);
    let middle = start.len() / 2;
    start[middle] = f32::NAN;
    let mut gpu = pollster::block_on(Gpu::with_tile(device, plan.clone(), &SMALL)).unwrap();
    let ends = |op: &Op| matches!(op, Op::Optimizer(update) if update.ends.is_some());
    assert!(gpu.plan().ops.iter().any(ends));
    gpu.write(slot, &start).unwrap();
    let batch = Batch::new(&plan, 1, true);
    pollster::block_on(gpu.run(&batch.inputs())).unwrap();
    let outcomes = pollster::block_on(gpu.outcomes(true)).unwrap();
    assert!(!outcomes[0].report.finite);
    let left = pollster::block_on(gpu.read(slot)).unwrap();
    let bits = |all: &[f32]| all.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    assert!(bits(&left) == bits(&start));
}

/// The run of a token that many rows have is shared by threads, none of which may be left out; of tokens that few rows have
/// none is.
#[test]
fn long_runs_of_a_token_are_shared() {
    let device = device();
    let of = |steps| {
        let plan = spec("rnn", 5, 1, 0).plan(Dims { steps, batch: 3 }, Mode::Gradients);
        let plan = plan.unwrap();
        let name = |op: &&Op| matches!(op, Op::Scatter(_));
        let name = plan.ops.iter().find(name).unwrap().name().to_string();
        let mut sources = Gpu::sources(&plan, &APART).unwrap().into_iter();
        let text = sources.find(|source| source.0 == name).unwrap().1;
        (plan, name, text.contains("const LANES: u32 = 8u;"))
    };
    assert!(!of(4).2);
    let (plan, name, shared) = of(40);
    assert!(shared);
    compared(&device, plan.clone(), &APART, "long runs");
    seen(&device, plan, &APART, "l < LANES", "l + 1u < LANES", &name);
}

/// A part that the norm leaves out when it adds them up.
#[test]
fn a_part_left_out_by_the_norm_is_seen() {
    let plan = spec("rnn", 5, 1, 0).plan(Dims { steps: 4, batch: 3 }, adamw());
    let plan = plan.unwrap();
    seen(
        &device(),
        plan,
        &SMALL,
        "p < SUM0_PARTS",
        "p + 1u < SUM0_PARTS",
        "norm",
    );
}

/// A fault that is planted where one kernel has `from` is seen in the operation called `name`, and nowhere else.
fn seen(device: &Arc<GpuDevice>, plan: Plan, tile: &Tile, from: &str, to: &str, name: &str) {
    let mut planted = 0;
    let mut edit = |of: &str, text: &str| {
        let faulty = of == name && text.contains(from);
        planted += usize::from(faulty);
        if faulty {
            text.replace(from, to)
        } else {
            text.to_string()
        }
    };
    let start = parameters(&plan);
    let gpu = Gpu::edited(device.clone(), Arc::new(plan), tile, &mut edit);
    let mut twins = Twins::<f32>::new(pollster::block_on(gpu).unwrap(), &start).unwrap();
    assert_eq!(planted, 1);
    let batch = Batch::new(twins.plan(), 1, true);
    let rows = pollster::block_on(twins.operations(&batch.inputs())).unwrap();
    let faults = rows.iter().filter(|row| !row.passed());
    let mut faults: Vec<&str> = faults.map(|row| row.op.as_str()).collect();
    faults.dedup();
    assert_eq!(faults, [name]);
}
