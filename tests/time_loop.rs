//! The loop over time within a dispatch: what it makes, when it is taken, and that it changes no bit.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::device;
use common::pairs::{adamw, compared, spec, trained_bits};
use wgrnn::cell::{Noise, library};
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::model::{Dims, Mode, Spec};
use wgrnn::op::Plan;

/// Small tiles with loops of two steps, so that a segment has several dispatches and a last one that is shorter.
fn looped(device: &GpuDevice) -> [Tile; 3] {
    let subgroups = match device.adapter.subgroup as usize {
        size @ (4 | 8 | 16 | 32) => Tile {
            scan_rows: size,
            product_rows: size,
            ..Tile::subgroups(size, 2)
        },
        _ => Tile::SOFTWARE,
    };
    let few = Tile {
        scan_rows: 4,
        product_rows: 4,
        ..Tile::SOFTWARE
    };
    [Tile::NAIVE, few, subgroups].map(|tile| Tile {
        loop_steps: 2,
        ..tile
    })
}

/// Every operation in order from the CPU's slots, in a first minibatch and in one that goes on.
fn compare(device: &Arc<GpuDevice>, plan: Plan, tile: &Tile, what: &str) {
    assert_eq!(loops(&plan, tile), scans(&plan), "{what}: not looped");
    compared(device, plan, tile, what);
}

/// How many kernels loop over time.
fn loops(plan: &Plan, tile: &Tile) -> usize {
    let sources = Gpu::sources(plan, tile).unwrap();
    sources.iter().filter(|s| s.0.ends_with(".loop")).count()
}

/// How many there would be if all recurrent layers did.
fn scans(plan: &Plan) -> usize {
    plan.ops.iter().filter(|op| op.kind() == "scan").count()
}

/// One row a thread: with more, software drivers compile some of these kernels for minutes.
#[test]
fn every_cell_agrees_with_the_plain_code() {
    let device = device();
    let tile = Tile {
        loop_steps: 2,
        ..Tile::NAIVE
    };
    for name in library::names() {
        if library::builtin(name).unwrap().is_feed_forward() {
            continue;
        }
        let dims = Dims { steps: 5, batch: 3 };
        let plan = spec(name, 7, 1, 7).plan(dims, Mode::Gradients).unwrap();
        compare(&device, plan, &tile, name);
    }
}

/// Rows for several workgroups, several units a thread, random factors, both directions, learned states.
#[test]
fn rows_of_several_workgroups_masks_and_directions_agree() {
    let device = device();
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    for (cell, hidden, batch) in [("lstm", 68, 41), ("gru-cho", 9, 18), ("slstm", 20, 9)] {
        for tile in looped(&device) {
            let spec = Spec {
                noise,
                bidirectional: cell == "gru-cho",
                learn_initial: true,
                ..spec(cell, hidden, 2, 0)
            };
            let plan = spec
                .plan(Dims { steps: 3, batch }, Mode::Gradients)
                .unwrap();
            compare(&device, plan, &tile, cell);
        }
    }
}

/// It is the same sums in the same order, so that a tuned run may be resumed on another machine.
#[test]
fn looping_changes_no_bit() {
    let device = device();
    let train = |tile: &Tile| -> Vec<u32> {
        let dims = Dims { steps: 7, batch: 9 };
        let plan = spec("lstm", 20, 2, 0).plan(dims, adamw());
        trained_bits(&device, plan.unwrap(), tile)
    };
    for tile in looped(&device) {
        let usual = train(&Tile {
            loop_steps: 0,
            ..tile
        });
        assert!(usual == train(&tile), "{tile}");
        assert!(usual.iter().any(|bits| *bits != usual[0]));
    }
}

/// Dispatches of a plan of one layer.
fn dispatches(cell: &str, hidden: usize, dims: Dims, tile: Tile) -> usize {
    let plan = spec(cell, hidden, 1, 0).plan(dims, Mode::Gradients);
    Gpu::count(&plan.unwrap(), &tile).unwrap()
}

#[test]
fn a_window_takes_as_few_dispatches_as_its_loops_allow() {
    let count = |cell, hidden, steps, loop_steps| {
        let tile = Tile {
            loop_steps,
            scan_rows: 4,
            ..Tile::SOFTWARE
        };
        let dims = Dims { steps, batch: 8 };
        dispatches(cell, hidden, dims, tile)
    };
    // Two stages forward; backward as many as the cell has.
    let stages = 2 + library::builtin("gru-cho")
        .unwrap()
        .compile()
        .backward
        .len();
    let others = count("gru-cho", 8, 7, 0) - 7 * stages;
    assert_eq!(count("gru-cho", 8, 7, 1024), others + 2);
    assert_eq!(count("gru-cho", 8, 7, 3), others + 2 * 3);
    // 4 rows x 256 units x 4 sums x 256 x 2 operations are 2.1 million a step, 40 ms at 5 GFLOP/s 95 steps.
    let others = count("lstm", 256, 500, 0) - 500 * 2;
    assert_eq!(
        count("lstm", 256, 500, 1024),
        others + 2 * 500_usize.div_ceil(95)
    );
}

/// llvmpipe ends a thread's loops after 65,535 rounds.
#[test]
fn no_loop_has_more_rounds_than_llvmpipe_goes_through() {
    let tile = |loop_steps| Tile {
        loop_steps,
        ..Tile::NAIVE
    };
    let dims = Dims {
        steps: 1000,
        batch: 1,
    };
    let cell = library::builtin("rnn").unwrap().compile();
    assert_eq!((cell.forward.len(), cell.backward.len()), (1, 1));
    let others = dispatches("rnn", 250, dims, tile(0)) - 2 * 1000;
    let looped = dispatches("rnn", 250, dims, tile(1000)) - others;
    // Each step has the product's 250 rounds.
    assert!(
        looped >= 2 * (1000 * 250_usize).div_ceil(65_535),
        "{looped}"
    );
    assert!(looped < 20, "{looped}");
}

/// Sums over rows make kernels with barriers that software drivers compile for minutes.
#[test]
fn a_cell_of_many_sums_over_rows_goes_step_by_step_in_software() {
    let device = device();
    if !device.adapter.software {
        println!("skipped: {} is no software driver", device.adapter.name);
        return;
    }
    let plan = spec("lstm-ln", 8, 1, 0).plan(Dims { steps: 2, batch: 8 }, Mode::Gradients);
    let plan = Arc::new(plan.unwrap());
    let dispatches = |loop_steps| {
        let tile = Tile {
            loop_steps,
            scan_rows: 4,
            ..Tile::NAIVE
        };
        let gpu = pollster::block_on(Gpu::with_tile(device.clone(), plan.clone(), &tile));
        (gpu.unwrap().dispatches(), Gpu::count(&plan, &tile).unwrap())
    };
    let (on_device, elsewhere) = dispatches(2);
    assert_eq!(on_device, dispatches(0).0);
    assert!(elsewhere < on_device);
}

/// The rule: what cannot loop goes step by step.
#[test]
fn what_cannot_loop_goes_step_by_step() {
    let tile = Tile {
        loop_steps: 64,
        ..Tile::GPU
    };
    let dims = Dims { steps: 4, batch: 3 };
    let plan = |spec: Spec, dims| spec.plan(dims, Mode::Gradients).unwrap();
    let simple = plan(spec("lstm", 37, 2, 0), dims);
    assert_eq!((loops(&simple, &tile), scans(&simple)), (4, 4));
    assert_eq!(loops(&simple, &Tile::GPU), 0);
    let packed = Spec {
        packed: 9,
        ..spec("lstm", 37, 2, 0)
    };
    assert_eq!(loops(&plan(packed, dims), &tile), 0);
    assert_eq!(
        loops(
            &plan(spec("lstm", 37, 1, 0), Dims { steps: 1, ..dims }),
            &tile
        ),
        0
    );
    assert_eq!(loops(&plan(spec("highway", 8, 1, 8), dims), &tile), 0);
    // 256 threads have at most four units each.
    let hidden = |hidden| loops(&plan(spec("rnn", hidden, 1, 0), dims), &tile);
    assert_eq!((hidden(1024), hidden(1025)), (2, 0));
    let kernels = Gpu::sources(&simple, &tile).unwrap();
    let names: BTreeSet<&str> = kernels.iter().map(|k| k.0.as_str()).collect();
    assert!(names.contains("forward.l1.loop") && !names.contains("forward.l1.0"));
}
