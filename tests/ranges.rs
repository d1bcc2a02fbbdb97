//! Scans whose rows are more than a binding holds: their kernels bind ranges of them, and no bit changes.

mod common;

use std::sync::Arc;

use common::pairs::{Batch, parameters, spec};
use common::{device, lacks, near};
use pollster::block_on;
use wgrnn::cell::Noise;
use wgrnn::exec::check::Twins;
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::model::Connections;
use wgrnn::model::{Dims, Drops, Mode, Spec, Unroll};
use wgrnn::op::{Matrix, Op, Plan};

const DIMS: Dims = Dims {
    steps: 64,
    batch: 4,
};

/// Tiles that make different kernels.
fn tiles(device: &GpuDevice) -> [Tile; 2] {
    let four = match device.adapter.subgroup as usize {
        size @ (4 | 8 | 16 | 32) => Tile {
            scan_rows: size,
            product_rows: size,
            ..Tile::subgroups(size, 2)
        },
        _ => Tile::SOFTWARE,
    };
    [Tile::NAIVE, four]
}

/// Whether a scan has rows of all steps there.
fn of_scans(name: &str) -> bool {
    ["state.", "saved.", "delta."]
        .iter()
        .any(|of| name.starts_with(of))
}

/// Bytes of a `parts`-th of the largest of those slots, and space for all scores and for the gradients that a norm sums up at
/// once.
fn binding(plan: &Plan, parts: u64) -> u64 {
    let slots = plan.slots.iter().filter(|s| of_scans(&s.name));
    let largest = slots.map(|s| s.bytes()).max().unwrap();
    let whole = [plan.io.logits, plan.io.gradients].map(|s| plan.slot(s.unwrap()).bytes());
    // Vectors of four are bound whole.
    let binding = whole
        .into_iter()
        .fold(largest / parts, u64::max)
        .next_multiple_of(16);
    assert!(2 * binding <= largest, "{binding} of {largest}");
    binding
}

/// What the scans leave in two minibatches on an adapter whose bindings hold `binding` bytes, then the gradients.
fn results(
    device: &Arc<GpuDevice>,
    plan: &Arc<Plan>,
    tile: &Tile,
    binding: u64,
) -> [Vec<Vec<f64>>; 2] {
    let gpu = Gpu::with_binding(device.clone(), plan.clone(), tile, binding);
    let mut gpu = block_on(gpu).unwrap();
    gpu.write(plan.io.parameters.unwrap(), &parameters(plan))
        .unwrap();
    let [mut rows, mut gradients] = [Vec::new(), Vec::new()];
    for (seed, reset) in [(1, true), (2, false)] {
        let batch = Batch::new(plan, seed, reset || plan.packing().is_some());
        block_on(gpu.run(&batch.inputs())).unwrap();
        for (n, slot) in plan.slots.iter().enumerate() {
            if of_scans(&slot.name) || slot.name.starts_with("scratch.") {
                rows.push(block_on(gpu.read_as::<f64>(wgrnn::op::SlotId(n))).unwrap());
            }
        }
        let slot = plan.io.gradients.unwrap();
        gradients.push(block_on(gpu.read_as::<f64>(slot)).unwrap());
    }
    [rows, gradients]
}

/// With bindings of a `parts`-th of the largest slot: the bits of what the scans make, and every operation beside the plain
/// code.
fn compare(what: &str, plan: Plan, parts: u64, tiles: &[Tile]) {
    let (device, plan) = (device(), Arc::new(plan));
    let binding = binding(&plan, parts);
    for tile in tiles {
        let what = format!("{what}, {tile}");
        let [want, whole] = results(&device, &plan, tile, device.adapter.max_binding);
        let [got, cut] = results(&device, &plan, tile, binding);
        assert!(want.iter().flatten().any(|x| *x != 0.0), "{what}");
        for (got, want) in got.iter().zip(&want) {
            let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(bits(got) == bits(want), "{what}: other bits");
        }
        for (got, want) in cut.iter().zip(&whole) {
            let scale = want.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            assert!(scale > 1e-3, "{what}");
            near(&what, got, want, 2e-5 * scale);
        }
        let gpu = block_on(Gpu::with_binding(
            device.clone(),
            plan.clone(),
            tile,
            binding,
        ));
        let mut twins = Twins::new(gpu.unwrap(), &parameters(&plan)).unwrap();
        let batch = Batch::new(&plan, 3, true);
        for row in block_on(twins.operations(&batch.inputs())).unwrap() {
            assert!(row.passed(), "{what}: {}", row.fault());
        }
    }
}

#[test]
fn cells_and_stacks_in_ranges_change_no_bit() {
    let tiles = tiles(&device());
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    for (cell, hidden, layers, embed) in [
        ("lstm", 8, 2, 0),
        ("gru-cho", 9, 1, 5),
        ("mut1", 8, 1, 8),
        ("lstm-ln", 5, 1, 0),
    ] {
        let spec = Spec {
            noise,
            learn_initial: true,
            dropout: 0.3,
            ..spec(cell, hidden, layers, embed)
        };
        compare(cell, spec.plan(DIMS, Mode::Gradients).unwrap(), 3, &tiles);
    }
}

#[test]
fn both_directions_and_layers_without_a_memory_in_ranges_change_no_bit() {
    let tiles = tiles(&device());
    let both = Spec {
        bidirectional: true,
        connections: Connections {
            residual: true,
            skip: false,
        },
        drops: Drops {
            input: 0.3,
            tokens: 0.3,
            ..Drops::default()
        },
        ..spec("gru", 8, 2, 8)
    };
    compare("both", both.plan(DIMS, Mode::Gradients).unwrap(), 3, &tiles);
    let highway = spec("highway", 8, 2, 8).plan(DIMS, Mode::Gradients);
    compare("highway", highway.unwrap(), 3, &tiles);
}

#[test]
fn packed_rows_in_ranges_change_no_bit() {
    let tiles = tiles(&device());
    // Without noise products are of the next step's deltas, with it of this step's.
    for (cell, hidden, rows, recurrent) in [
        ("lstm", 8, 163, 0.0),
        ("gru-cho", 9, 187, 0.25),
        ("mut1", 8, 256, 0.25),
    ] {
        let spec = Spec {
            packed: rows,
            learn_initial: true,
            noise: Noise {
                recurrent,
                ..Noise::default()
            },
            dropout: 0.3,
            ..spec(cell, hidden, 2, 8)
        };
        compare(cell, spec.plan(DIMS, Mode::Gradients).unwrap(), 3, &tiles);
    }
}

#[test]
fn pieces_of_windows_in_ranges_change_no_bit() {
    let how = Unroll {
        recompute: 32,
        ..Unroll::default()
    };
    let plan = spec("lstm", 8, 1, 0).unrolled(DIMS, how, Mode::Gradients);
    compare("pieces", plan.unwrap(), 2, &tiles(&device()));
}

#[test]
fn half_precision_in_ranges_changes_no_bit() {
    if lacks("half") {
        return;
    }
    for packed in [0, 256] {
        let spec = Spec {
            half: true,
            packed,
            ..spec("lstm", 8, 2, 0)
        };
        compare(
            "half",
            spec.plan(DIMS, Mode::Gradients).unwrap(),
            2,
            &[Tile::SOFTWARE],
        );
    }
}

#[test]
fn double_precision_in_ranges_changes_no_bit() {
    if lacks("double") {
        return;
    }
    let mut plan = spec("lstm", 8, 1, 0).plan(DIMS, Mode::Gradients).unwrap();
    plan.double().unwrap();
    compare("double", plan, 3, &[Tile::SOFTWARE]);
}

/// Neither kernels that span workgroups nor wavefronts bind ranges: what was asked for is left out, and said.
#[test]
fn kernels_that_span_workgroups_and_wavefronts_are_left_out_of_ranges() {
    let device = device();
    let plan = Arc::new(spec("lstm", 8, 2, 0).plan(DIMS, Mode::Gradients).unwrap());
    let binding = binding(&plan, 3);
    let tile = Tile {
        span: 4,
        wavefront_steps: 4,
        ..Tile::NAIVE
    };
    let gpu = Gpu::with_binding(device.clone(), plan.clone(), &tile, binding);
    let left_out = block_on(gpu).unwrap().left_out().to_vec();
    let spans = left_out
        .iter()
        .filter(|why| why.contains("more than a binding"));
    assert_eq!(spans.count(), 4, "{left_out:?}");
    assert!(left_out[0].starts_with("wavefront: "), "{left_out:?}");
    let [want, _] = results(&device, &plan, &Tile::NAIVE, device.adapter.max_binding);
    let [got, _] = results(&device, &plan, &tile, binding);
    assert!(got == want);
}

/// A step's rows must fit, and are named where they do not.
#[test]
fn a_step_that_no_binding_holds_is_refused_by_name() {
    let dims = Dims {
        steps: 2,
        batch: 128,
    };
    let plan = Arc::new(spec("lstm", 8, 1, 0).plan(dims, Mode::Gradients).unwrap());
    let gpu = Gpu::with_binding(device(), plan, &Tile::NAIVE, 15_000);
    let error = block_on(gpu).unwrap_err();
    assert_eq!(error.kind, wgrnn::Kind::Device, "{error}");
    let named = error.message.contains("state.l0 [") && error.message.contains("at most 15000");
    assert!(named, "{error}");
}

/// Every operation beside the plain code where a binding holds no more than it must, all scores and all gradients; of the
/// kind `is` there are some whose rows are more than that.
#[track_caller]
fn beside(what: &str, spec: &Spec, is: impl Fn(&Op) -> bool) {
    let dims = Dims {
        steps: 32,
        batch: 16,
    };
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let whole = [plan.io.logits, plan.io.gradients].map(|s| plan.slot(s.unwrap()).bytes());
    let binding = whole.into_iter().fold(0, u64::max);
    let mut cut = plan.ops.iter().filter(|op| is(op));
    let large = |m: &Matrix| 4 * (m.rows * m.cols) as u64 > 2 * binding;
    assert!(
        cut.any(|op| op.writes().iter().any(large)),
        "{what}: nothing is cut"
    );
    let gpu = Gpu::with_binding(device(), plan.clone(), &Tile::SOFTWARE, binding);
    let mut twins = Twins::new(block_on(gpu).unwrap(), &parameters(&plan)).unwrap();
    let batch = Batch::new(&plan, 1, true);
    for row in block_on(twins.operations(&batch.inputs())).unwrap() {
        assert!(row.passed(), "{what}: {}", row.fault());
    }
}

/// So that the embedded input is rows of the segment.
fn dropped_input() -> Drops {
    Drops {
        input: 0.3,
        ..Drops::default()
    }
}

#[test]
fn dropout_of_every_step_in_parts_has_the_masks_of_the_whole() {
    let spec = Spec {
        drops: dropped_input(),
        ..spec("rnn", 32, 1, 32)
    };
    beside("dropout", &spec, |op| matches!(op, Op::Dropout(_)));
}

#[test]
fn positions_in_the_reverse_order_are_copied_in_parts() {
    let both = Spec {
        bidirectional: true,
        ..spec("rnn", 32, 1, 0)
    };
    beside(
        "both",
        &both,
        |op| matches!(op, Op::Add(add) if add.flip.is_some()),
    );
}

#[test]
fn products_of_counted_rows_are_cut_by_these_rows() {
    let packed = Spec {
        packed: 500,
        drops: dropped_input(),
        ..spec("rnn", 32, 1, 32)
    };
    let counted = |op: &Op| matches!(op, Op::MatMul(op) if op.c.row_count.is_some());
    beside("packed", &packed, counted);
}
