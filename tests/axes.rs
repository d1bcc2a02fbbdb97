//! Operations of more workgroups than one axis of a dispatch has, 65,535: they lie along a second one.

mod common;

use std::sync::Arc;

use common::device;
use pollster::block_on;
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::op::{ColumnSum, Op, Plan, Role, SlotId};

/// What the last slot of a plan of one operation holds behind it; the others hold small whole numbers, which all sums give
/// exactly.
fn made(shapes: &[[usize; 2]], op: impl Fn(&Plan) -> Op) -> Vec<f32> {
    let mut plan = Plan::default();
    for (n, shape) in shapes.iter().enumerate() {
        plan.add(format!("slot{n}"), shape, Role::Activation);
    }
    plan.ops.push(op(&plan));
    let last = shapes.len() - 1;
    let mut gpu = block_on(Gpu::with_tile(device(), Arc::new(plan), &Tile::GPU)).unwrap();
    for (n, [rows, cols]) in shapes[..last].iter().enumerate() {
        let values: Vec<f32> = (0..rows * cols).map(|i| number(n, i)).collect();
        gpu.write(SlotId(n), &values).unwrap();
    }
    block_on(gpu.run_op(0)).unwrap();
    block_on(gpu.read(SlotId(last))).unwrap()
}

/// Element `i` of slot `n`.
fn number(n: usize, i: usize) -> f32 {
    ((i * 7 + n) % 13) as f32 - 6.0
}

#[track_caller]
fn equal(got: &[f32], want: impl Fn(usize) -> f32) {
    let wrong = (0..got.len()).find(|i| got[*i] != want(*i));
    assert_eq!(wrong, None, "of {}", got.len());
}

#[test]
fn a_sum_of_many_columns() {
    // Eight columns a workgroup.
    let (rows, cols) = (3, 8 * 65_535 + 9);
    let got = made(&[[rows, cols], [1, cols]], |plan| {
        Op::ColumnSum(ColumnSum {
            name: "sum".into(),
            from: plan.matrix(SlotId(0)),
            into: plan.matrix(SlotId(1)),
            accumulate: false,
            reset_only: None,
        })
    });
    equal(&got, |c| (0..rows).map(|r| number(0, r * cols + c)).sum());
}
