//! Every operation of two plans on its own; the throughput is in floating point operations (1 Gelem/s is 1 GFLOP/s).
//!
//!     cargo bench --bench operations
//!     WGRNN_BENCH_DEVICES=gpu cargo bench --bench operations -- forward.l0
//!
//! On a GPU each call is a submission of its own and a wait for it.

mod common;

use std::time::Duration;

use common::{Shape, Step, devices};
use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let usual = Shape::usual();
    for device in &devices() {
        for shape in [&usual[0], &usual[3]] {
            operations(&mut criterion, device, shape);
        }
    }
    criterion.final_summary();
}

fn operations(criterion: &mut Criterion, device: &str, shape: &Shape) {
    let mut step = Step::new(shape, device).unwrap();
    // A rate of 0 keeps the weights where they are however often the update runs.
    step.lr = 0.0;
    step.run().unwrap();
    let plan = step.plan().clone();
    let mut group = criterion.benchmark_group(format!("{device} {}", shape.name()));
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for (n, op) in plan.ops.iter().enumerate() {
        let cost = op.cost();
        group.throughput(if cost.flops > 0.0 {
            Throughput::Elements(cost.flops as u64)
        } else {
            Throughput::Bytes(cost.bytes as u64)
        });
        // Operations of one name differ in number.
        let name = format!("{n:02} {} {}", op.name(), op.shape());
        group.bench_function(name, |bencher| bencher.iter(|| step.run_op(n).unwrap()));
    }
    group.finish();
}
