//! Sums over a sequence's own steps, and rows handed to each of them: an adapter beside the plain code.

mod common;

use std::sync::Arc;

use common::device;
use common::steps::plan;
use wgrnn::exec::check::Twins;
use wgrnn::exec::cpu::Number;
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::op::{Plan, Role, SlotId};
use wgrnn::task::MadeUp;

fn check<F: Number>(what: &str, plan: Plan, tile: &Tile) {
    let plan = Arc::new(plan);
    assert_eq!(plan.faults(), [""; 0]);
    let gpu = pollster::block_on(Gpu::with_tile(device(), plan.clone(), tile)).unwrap();
    let mut twins = Twins::<F>::new(gpu, &[]).unwrap();
    for (n, slot) in plan.slots.iter().enumerate() {
        if slot.role == Role::Activation && !slot.is_empty() {
            for (i, x) in twins.cpu().write(SlotId(n)).iter_mut().enumerate() {
                *x = F::of((i as f64 * 0.7).sin());
            }
        }
    }
    let made = MadeUp::new(&plan, 1).unwrap();
    let rows = pollster::block_on(twins.operations(&made.inputs())).unwrap();
    assert_eq!(rows.len(), plan.ops.len(), "{what}");
    for row in rows {
        assert!(row.passed(), "{what}: {}", row.fault());
    }
}

#[test]
fn steps_agree_with_the_plain_code() {
    for (packed, width) in [(None, 8), (None, 3), (Some(9), 8), (Some(12), 5)] {
        for tile in [Tile::SOFTWARE, Tile::GPU] {
            let what = format!("packed {packed:?}, {width} wide, {tile}");
            check::<f32>(&what, plan(packed, width), &tile);
            if device().doubles() {
                let mut double = plan(packed, width);
                double.double().unwrap();
                check::<f64>(&what, double, &tile);
            }
        }
    }
}
