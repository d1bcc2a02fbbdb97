//! Sums of a step that several threads share, as on a real GPU: what they make, that runs repeat to the bit, and that a slice
//! which is left out does not go unseen.

mod common;

use std::sync::Arc;

use common::pairs::{Batch, adamw, compared, parameters, spec, trained_bits, twins};
use common::{device, lacks};
use wgrnn::cell::{Noise, library};
use wgrnn::exec::check::Twins;
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::{Dims, Mode, Spec};
use wgrnn::op::{Direction, Op, Plan};

/// Fewer threads and rows than on a GPU, so that small sizes have several workgroups, bands and portions; products have tests of
/// their own (`products`), and here the kernel that a driver in software compiles sooner.
const SMALL: Tile = Tile {
    slices: [4, 8],
    slice_rows: [2, 3],
    full: 0,
    shared: false,
    ..Tile::GPU
};

/// How many kernels of a plan share sums.
fn shared(plan: &Plan, tile: &Tile) -> usize {
    let sources = Gpu::sources(plan, tile).unwrap();
    let texts = sources.iter().map(|s| &s.1);
    texts.filter(|text| text.contains("fn added(")).count()
}

/// Odd sizes take scalars, sizes divisible by four vectors; fewer rows than a workgroup has, and more; one step and several.
#[test]
fn every_cell_agrees_with_the_plain_code() {
    let device = device();
    for name in library::names() {
        // Scalars and vectors differ in nothing that hangs on the cell's equations but how many stages there are.
        let odd = ["lstm", "gru-cho", "mut1", "lstm-ln"].contains(&name);
        let sizes = [(20, 7, 2), (5, 1, 4)];
        for (hidden, batch, steps) in sizes.into_iter().take(1 + usize::from(odd)) {
            let spec = spec(name, hidden, 1, hidden);
            let plan = spec.plan(Dims { steps, batch }, Mode::Gradients).unwrap();
            let compiled = spec.cells[0].compile();
            let products = compiled.forward.iter().any(|s| !s.sums.is_empty());
            assert_eq!(shared(&plan, &SMALL) > 0, products, "{name}");
            compared(
                &device,
                plan,
                &SMALL,
                &format!("{name} H {hidden} B {batch}"),
            );
        }
    }
}

/// The tile of GPUs, whose threads have so much that software drivers compile for seconds.
#[test]
fn sizes_that_do_and_do_not_fill_the_tile_of_gpus_agree() {
    let device = device();
    for (cell, hidden, batch, steps) in [
        ("lstm", 5, 1, 4),
        ("gru-cho", 17, 3, 1),
        ("lstm", 20, 3, 4),
        ("mut1", 64, 9, 2),
        ("lstm-ln", 20, 1, 1),
    ] {
        let plan = spec(cell, hidden, 1, hidden).plan(Dims { steps, batch }, Mode::Gradients);
        let what = format!("{cell} H {hidden} B {batch}");
        compared(&device, plan.unwrap(), &Tile::GPU, &what);
    }
}

/// Where there would be fewer workgroups than a device has parts, threads have fewer rows.
#[test]
fn few_workgroups_become_more_of_fewer_rows() {
    let plan = spec("lstm", 64, 1, 0).plan(
        Dims {
            steps: 2,
            batch: 32,
        },
        Mode::Gradients,
    );
    let plan = plan.unwrap();
    let groups = |fewest| {
        let tile = Tile {
            fewest,
            ..Tile::GPU
        };
        let all = Gpu::workgroups(&plan, &tile).unwrap().into_iter();
        let scans = all.filter(|(name, _)| name.contains("ward.l0.0"));
        scans.map(|(_, [x, y, _])| x * y).collect::<Vec<u32>>()
    };
    // Units by rows: 4 x 2 forward, 8 x 2 backward; then of 4 rows and of 1 row in bands.
    assert_eq!(groups(1), [8, 16]);
    assert_eq!(groups(32), [32, 32]);
    let tile = Tile {
        fewest: 1000,
        ..SMALL
    };
    let plan = spec("gru", 20, 1, 6).plan(Dims { steps: 2, batch: 7 }, Mode::Gradients);
    compared(&device(), plan.unwrap(), &tile, "fewer rows");
}

/// Where workgroups are plenty, fewer threads share a sum and a workgroup has more rows and units.
#[test]
fn many_workgroups_become_fewer_of_more_rows() {
    let groups = |hidden, batch| {
        let plan = spec("lstm", hidden, 1, 0).plan(Dims { steps: 2, batch }, Mode::Gradients);
        let all = Gpu::workgroups(&plan.unwrap(), &Tile::GPU).unwrap();
        let scans = all
            .into_iter()
            .filter(|(name, _)| name.contains("ward.l0.0"));
        scans.map(|(_, [x, y, _])| x * y).collect::<Vec<u32>>()
    };
    // 16 x 16 forward and 8 x 16 backward; then as many units and rows as leave 128 workgroups and more.
    assert_eq!(groups(512, 32), [64, 128]);
    assert_eq!(groups(2048, 128), [256, 256]);
    let tile = Tile { full: 1, ..SMALL };
    for (cell, hidden, batch) in [("lstm", 36, 9), ("gru", 40, 13), ("lstm-ln", 36, 9)] {
        let plan = |tile: &Tile| {
            let plan =
                spec(cell, hidden, 1, hidden).plan(Dims { steps: 2, batch }, Mode::Gradients);
            let plan = plan.unwrap();
            (Gpu::workgroups(&plan, tile).unwrap(), plan)
        };
        assert_ne!(plan(&tile).0, plan(&SMALL).0, "{cell}");
        compared(&device(), plan(&tile).1, &tile, cell);
    }
}

/// Learned states, both directions, noise, several layers; sequences of different lengths, some of which end early.
#[test]
fn masks_directions_and_packed_rows_agree() {
    let device = device();
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    for (cell, hidden, packed) in [
        ("lstm", 12, 0),
        ("gru", 9, 0),
        ("lstm", 20, 17),
        ("mut1", 9, 11),
    ] {
        let spec = Spec {
            noise,
            bidirectional: packed == 0,
            learn_initial: true,
            packed,
            ..spec(cell, hidden, 2, hidden)
        };
        let plan = spec.plan(Dims { steps: 5, batch: 6 }, adamw()).unwrap();
        assert!(shared(&plan, &SMALL) > 0);
        let mut pair = twins(&device, plan, &SMALL);
        for seed in [1, 2] {
            // What is packed starts from a reset.
            let batch = Batch::new(pair.plan(), seed, seed == 1 || packed > 0);
            for row in pollster::block_on(pair.operations(&batch.inputs())).unwrap() {
                assert!(row.passed(), "{cell} packed {packed}: {}", row.fault());
            }
        }
    }
}

#[test]
fn half_precision_agrees() {
    if lacks("half") {
        return;
    }
    let spec = Spec {
        half: true,
        ..spec("lstm", 20, 2, 6)
    };
    let plan = spec.plan(Dims { steps: 4, batch: 3 }, adamw()).unwrap();
    assert!(plan.halved() && shared(&plan, &Tile::GPU) > 0);
    compared(&device(), plan, &Tile::GPU, "half");
}

#[test]
fn double_precision_agrees() {
    if lacks("double") {
        return;
    }
    for hidden in [17, 20] {
        let spec = spec("lstm", hidden, 1, 6);
        let mut plan = spec.plan(Dims { steps: 4, batch: 9 }, adamw()).unwrap();
        plan.double().unwrap();
        assert!(shared(&plan, &Tile::GPU) > 0);
        let plan = Arc::new(plan);
        let start: Vec<f64> = parameters(&plan)
            .iter()
            .map(|x| f64::from(*x) * 1.000_000_01)
            .collect();
        let gpu = Gpu::with_tile(device(), plan, &Tile::GPU);
        let mut twins = Twins::<f64>::new(pollster::block_on(gpu).unwrap(), &start).unwrap();
        let batch = Batch::new(twins.plan(), 1, true);
        for row in pollster::block_on(twins.operations(&batch.inputs())).unwrap() {
            assert!(row.passed(), "{}", row.fault());
        }
    }
}

/// Parts are added in the order of their slices, whichever comes first.
#[test]
fn two_runs_give_the_same_bits() {
    let device = device();
    let train = || {
        let plan = spec("gru", 36, 2, 0).plan(Dims { steps: 5, batch: 9 }, adamw());
        trained_bits(&device, plan.unwrap(), &Tile::GPU)
    };
    let first = train();
    assert!(first == train());
    assert!(first.iter().any(|bits| *bits != first[0]));
}

/// The backward scan reads the weights of the forward one, and no copy of them is made; where a minibatch is cut into pieces
/// each of which makes the copies again they stay.
#[test]
fn no_weight_is_copied() {
    let device = device();
    let spec = spec("lstm", 8, 2, 0);
    let plan = spec.plan(Dims { steps: 3, batch: 2 }, adamw()).unwrap();
    let copies = |plan: &Plan| {
        plan.ops
            .iter()
            .filter(|op| op.kind() == "transpose")
            .count()
    };
    let turned = |plan: &Plan| {
        let scans = plan.ops.iter().flat_map(Op::scans);
        let backward = scans.filter(|s| s.direction == Direction::Backward);
        backward
            .flat_map(|s| s.turned.clone())
            .filter(|t| *t)
            .count()
    };
    for (tile, want) in [(Tile::GPU, 2), (Tile::SOFTWARE, 0)] {
        let pair = twins(&device, plan.clone(), &tile);
        assert_eq!(turned(pair.plan()), want);
        assert_eq!(copies(&plan) - copies(pair.plan()), want);
    }
}

/// Of each kernel that shares sums: wherever parts are added the last one is left out.
#[test]
fn a_slice_that_is_left_out_is_found() {
    let device = device();
    for label in ["forward.l0.0", "backward.l0.0", "backward.l0.initial"] {
        // As many fours of units that every slice has some.
        let spec = Spec {
            learn_initial: true,
            ..spec("lstm", 64, 1, 0)
        };
        let plan = spec.plan(Dims { steps: 3, batch: 3 }, adamw()).unwrap();
        let mut left_out = 0;
        let mut edit = |name: &str, text: &str| {
            let changed = text.replace("n < count", "n + 1u < count");
            if name != label {
                return text.to_string();
            }
            left_out += usize::from(changed != text);
            changed
        };
        let plan = Arc::new(plan);
        let gpu = Gpu::edited(device.clone(), plan.clone(), &Tile::GPU, &mut edit);
        let gpu = pollster::block_on(gpu).unwrap();
        assert_eq!(left_out, 1, "{label}");
        let mut pair = Twins::new(gpu, &parameters(&plan)).unwrap();
        let batch = Batch::new(&plan, 1, true);
        let rows = pollster::block_on(pair.operations(&batch.inputs())).unwrap();
        let blamed = rows.iter().filter(|r| !r.passed()).map(|r| r.op.as_str());
        let blamed: Vec<&str> = blamed.collect();
        assert!(!blamed.is_empty(), "{label}: unseen");
        assert!(blamed.iter().all(|op| label.starts_with(op)), "{blamed:?}");
    }
}
