//! Scans side by side: which ones, that they compute the same, and in how few dispatches.

mod common;

use std::sync::Arc;

use common::device;
use common::pairs::{Batch, adamw, compared, parameters, spec, trained_bits};
use wgrnn::cell::Noise;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::model::Connections;
use wgrnn::model::{Dims, Mode, Spec};
use wgrnn::op::{Op, Plan};

const DIMS: Dims = Dims { steps: 7, batch: 5 };

/// Models of which some layers go side by side, each with how many of its scans do.
fn models() -> Vec<(&'static str, Spec, usize)> {
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    let deep = Spec {
        dropout: 0.3,
        learn_initial: true,
        ..spec("lstm", 6, 3, 4)
    };
    let both = Spec {
        bidirectional: true,
        ..spec("gru", 5, 2, 0)
    };
    let residual = Spec {
        connections: Connections {
            residual: true,
            skip: false,
        },
        ..spec("gru-cho", 6, 3, 6)
    };
    let mut mixed = spec("lstm-ln", 5, 1, 0);
    mixed.cells.extend(spec("gru-cho", 5, 2, 0).cells);
    vec![
        ("two layers", spec("lstm", 8, 2, 0), 4),
        ("dropout, learned states", deep, 6),
        ("both directions", both, 8),
        (
            "noise",
            Spec {
                noise,
                ..spec("rnn", 8, 2, 0)
            },
            4,
        ),
        ("residual", residual, 6),
        ("cells of different stages", mixed, 6),
    ]
}

/// How many scans run beside another one.
fn beside(plan: &Plan) -> usize {
    let scans = plan.ops.iter().filter_map(|op| match op {
        Op::ConcurrentScans(op) => Some(op.scans.iter().map(|s| s.name.clone())),
        _ => None,
    });
    scans
        .flatten()
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

/// Everything that three steps leave in the slots of a plan.
fn slots(plan: &Arc<Plan>, seed: u64) -> Vec<(String, Vec<u64>)> {
    let mut cpu: Cpu<f64> = Cpu::plain(plan.clone());
    let start = parameters(plan)
        .into_iter()
        .map(f64::from)
        .collect::<Vec<_>>();
    cpu.write(plan.io.parameters.unwrap())
        .copy_from_slice(&start);
    for n in 0..3 {
        let batch = Batch::new(plan, seed + n, n == 0);
        cpu.run(&batch.inputs()).unwrap();
    }
    let numbers = plan
        .slots
        .iter()
        .filter(|s| s.role != wgrnn::op::Role::Words);
    let bits = |name: &str| {
        let values = cpu.read(plan.find(name).unwrap());
        values.iter().map(|v| v.to_bits()).collect()
    };
    numbers.map(|s| (s.name.clone(), bits(&s.name))).collect()
}

/// The order is another one; the numbers are not.
#[test]
fn side_by_side_everything_has_the_same_bits() {
    for (what, spec, scans) in models() {
        let plan = Arc::new(spec.plan(DIMS, adamw()).unwrap());
        let want = slots(&plan, 3);
        for steps in [1, 2, 3] {
            let other = plan
                .concurrent(steps, 8)
                .unwrap_or_else(|| panic!("{what}: nothing goes side by side"));
            assert_eq!(other.faults(), Vec::<String>::new(), "{what}");
            assert_eq!(beside(&other), scans, "{what}, {steps} steps");
            for (got, want) in slots(&Arc::new(other), 3).into_iter().zip(&want) {
                assert!(got == *want, "{what}, {steps} steps: {}", want.0);
            }
        }
    }
}

/// A layer that reads the states below directly, packed rows and segments too short for a wavefront stay one after another.
#[test]
fn what_cannot_go_side_by_side_stays_as_it_is() {
    let none = |spec: Spec, dims: Dims, steps| {
        let plan = spec.plan(dims, adamw()).unwrap();
        assert_eq!(
            plan.concurrent(steps, 8).map(|p| beside(&p)),
            None,
            "{:?}",
            spec.cell_names()
        );
    };
    none(spec("lstm", 6, 1, 0), DIMS, 2);
    none(spec("lstm", 6, 2, 0), DIMS, 4);
    none(spec("highway", 6, 2, 6), DIMS, 2);
    let packed = Spec {
        packed: 9,
        ..spec("lstm", 6, 2, 0)
    };
    none(packed, DIMS, 2);
    // It reads the states below themselves: backward alone.
    let raw = spec("mut1", 6, 2, 6).plan(DIMS, adamw()).unwrap();
    assert_eq!(raw.concurrent(2, 8).map(|p| beside(&p)), Some(2));
    let plan = spec("lstm", 6, 2, 0).plan(DIMS, adamw()).unwrap();
    assert!(plan.concurrent(2, 1).is_none());
    // Of three layers two at most: the third one is by itself.
    let plan = spec("lstm", 6, 3, 0).plan(DIMS, adamw()).unwrap();
    assert_eq!(plan.concurrent(2, 2).map(|p| beside(&p)), Some(4));
}

fn wavefronts(device: &GpuDevice) -> Vec<Tile> {
    let few = Tile {
        scan_rows: 4,
        product_rows: 4,
        ..Tile::SOFTWARE
    };
    let mut tiles = vec![Tile::NAIVE, few];
    if let size @ (4 | 8 | 16) = device.adapter.subgroup as usize {
        tiles.push(Tile {
            scan_rows: size,
            product_rows: size,
            ..Tile::subgroups(size, 2)
        });
    }
    tiles
        .into_iter()
        .map(|tile| Tile {
            wavefront_steps: 2,
            ..tile
        })
        .collect()
}

#[test]
fn kernels_of_several_scans_agree_with_the_plain_code() {
    let device = device();
    for (n, (what, spec, _)) in models().into_iter().enumerate() {
        // Drivers in software take long to compile what has many rows a thread: one model shows it.
        let tiles = wavefronts(&device).len().min(if n == 0 { 3 } else { 1 });
        for tile in wavefronts(&device).into_iter().take(tiles) {
            let plan = spec.plan(DIMS, Mode::Gradients).unwrap();
            let ran = compared(&device, plan, &tile, what);
            // Where few bindings are to be had, kernels of a cell with many stay by themselves.
            assert!(
                beside(&ran) > 0 || device.adapter.max_bindings < 16,
                "{what}"
            );
        }
    }
}

/// A tuned run may be resumed where nothing is tuned.
#[test]
fn a_wavefront_changes_no_bit() {
    let device = device();
    for tile in wavefronts(&device) {
        let plan = || spec("lstm", 20, 3, 0).plan(DIMS, adamw()).unwrap();
        let usual = Tile {
            wavefront_steps: 0,
            ..tile
        };
        let want = trained_bits(&device, plan(), &usual);
        assert!(want == trained_bits(&device, plan(), &tile), "{tile}");
        assert!(want.iter().any(|bits| *bits != want[0]));
    }
}

#[test]
fn a_wavefront_takes_a_dispatch_a_step_for_all_layers() {
    let tile = |wavefront_steps| Tile {
        wavefront_steps,
        ..Tile::SOFTWARE
    };
    let count = |layers, wavefront| {
        let dims = Dims {
            steps: 48,
            batch: 4,
        };
        let plan = spec("lstm", 8, layers, 0)
            .plan(dims, Mode::Gradients)
            .unwrap();
        Gpu::count(&plan, &tile(wavefront)).unwrap()
    };
    // Besides: what is cut into six parts was one dispatch, forward and backward.
    for layers in [2, 3] {
        let others = count(layers, 0) - 2 * 48 * layers;
        let cut = 2 * 5 * (layers - 1);
        assert_eq!(count(layers, 8), 2 * (48 + 8 * (layers - 1)) + others + cut);
    }
}

/// What the tile asks for and the plan cannot have is said.
#[test]
fn what_was_left_out_is_told_with_its_reason() {
    let device = device();
    let left_out = |spec: Spec, tile: &Tile| {
        let plan = Arc::new(spec.plan(DIMS, Mode::Gradients).unwrap());
        let gpu = pollster::block_on(Gpu::with_tile(device.clone(), plan, tile)).unwrap();
        gpu.left_out().to_vec()
    };
    let tile = Tile {
        wavefront_steps: 2,
        ..Tile::NAIVE
    };
    assert_eq!(left_out(spec("lstm", 6, 2, 0), &tile), Vec::<String>::new());
    let one = left_out(spec("lstm", 6, 1, 0), &tile);
    let why = "wavefront: no two scans of the plan can run side by side in a kernel of at most ";
    assert!(one.len() == 1 && one[0].starts_with(why), "{one:?}");
    let packed = Spec {
        packed: 9,
        ..spec("lstm", 6, 1, 0)
    };
    let spanning = Tile {
        span: 2,
        ..Tile::NAIVE
    };
    let packed = left_out(packed, &spanning);
    assert_eq!(
        packed[0],
        "forward.l0: no kernel spans workgroups: no threads share its sums"
    );
}
