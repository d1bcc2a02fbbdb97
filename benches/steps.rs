//! Whole training steps: the usual shapes, and every built-in cell at the smallest of them.
//!
//!     cargo bench --bench steps
//!     WGRNN_BENCH_DEVICES=gpu cargo bench --bench steps -- 'H128 x1'

mod common;

use std::time::Duration;

use common::{Shape, Step, devices};
use criterion::{Criterion, Throughput};
use wgrnn::cell::library;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut shapes = Shape::usual();
    let smallest = shapes[0].clone();
    let others = library::names().filter(|name| *name != smallest.cell);
    shapes.extend(others.map(|name| Shape {
        cell: name.into(),
        ..smallest.clone()
    }));
    for device in &devices() {
        let mut group = criterion.benchmark_group(format!("step {device}"));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(4));
        for shape in &shapes {
            group.throughput(Throughput::Elements(shape.positions() as u64));
            group.bench_function(shape.name(), |bencher| {
                let mut step = Step::new(shape, device).unwrap();
                bencher.iter(|| step.run().unwrap());
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
