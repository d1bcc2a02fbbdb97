//! Operations of more workgroups than one axis of a dispatch has, 65,535: they lie along a second one.

mod common;

use std::sync::Arc;

use common::device;
use pollster::block_on;
use wgrnn::cell::library::builtin;
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::{Dims, Mode, Spec, Update};
use wgrnn::op::{ColumnSum, Op, Plan, Role, Rule, SlotId};

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

/// No axis of a dispatch has more than 65,535 workgroups, whatever the model's size.
#[test]
fn large_models_have_no_more_workgroups_than_an_axis() {
    let update = Update {
        rule: Rule::Adagrad {
            eps: 1e-10,
            weight_decay: 0.0,
        },
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    let mut most = 0;
    for (cell, packed, vocab, batch) in [
        ("lstm", 0, 7, 1 << 21),
        ("highway", 0, 7, 1 << 21),
        ("gru-ln", 5 << 19, 7, 1 << 21),
        ("lstm", 0, 3 << 20, 16),
    ] {
        let cell = Arc::new(builtin(cell).unwrap());
        let dims = Dims { steps: 2, batch };
        let spec = Spec {
            vocab,
            cells: vec![cell.clone(), cell],
            hidden: 640,
            embed: 640,
            packed,
            ..Spec::default()
        };
        let plan = spec.plan(dims, Mode::Train(update)).unwrap();
        for tile in [Tile::GPU, Tile::SOFTWARE, Tile::NAIVE] {
            for (label, groups) in Gpu::workgroups(&plan, &tile).unwrap() {
                let axis = groups.into_iter().max().unwrap_or(0);
                assert!(axis <= 65_535, "{label}: {groups:?}");
                most = most.max(groups[1]);
            }
        }
    }
    assert!(most > 1, "every operation is small");
}
