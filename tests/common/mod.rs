//! What tests of whole plans share: tokens, inputs, comparisons, an adapter.
#![allow(dead_code)] // each file of tests uses its part

pub mod models;
pub mod pairs;
pub mod rows;
pub mod steps;

use std::io::Write;
use std::sync::Arc;

use wgrnn::exec::gpu::{AdapterChoice, Gpu, GpuDevice, INSTALL};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;

/// `n` tokens below `vocab`.
pub fn tokens(n: usize, vocab: usize, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed, Purpose::Check, 0);
    (0..n)
        .map(|_| (stream.uniform() * vocab as f32) as u32)
        .collect()
}

/// A segment of a stream whose targets are the next ids; the loss is multiplied by `scale`.
pub fn inputs(ids: &[u32], reset: bool, scale: f64) -> Inputs<'_> {
    Inputs::new(ids).reset(reset).scale(scale)
}

/// Every number within `tolerance` of what is wanted; NaN is not.
#[track_caller]
pub fn near(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let fits = (got - want).abs() <= tolerance;
        assert!(fits, "{what} [{i}]: got {got}, want {want}");
    }
}

/// The adapter that a driver in software gives where there is no other.
pub fn device() -> Arc<GpuDevice> {
    match pollster::block_on(GpuDevice::open(&AdapterChoice::Gpu)) {
        Ok(Some(device)) => device,
        Ok(None) => panic!("no adapter: {INSTALL}"),
        Err(error) => panic!("{error}"),
    }
}

/// Whether the adapter lacks what plans in half or in double precision need. It then has to refuse such a plan by name, which
/// is all that there is to test; and that no more was tested is said.
pub fn lacks(precision: &str) -> bool {
    let device = device();
    let dims = wgrnn::model::Dims { steps: 2, batch: 1 };
    let mut spec = pairs::spec("rnn", 4, 1, 0);
    spec.half = precision == "half";
    let mut plan = spec.plan(dims, pairs::adamw()).unwrap();
    if precision == "double" {
        plan.double().unwrap();
    }
    match pollster::block_on(Gpu::new(device.clone(), Arc::new(plan))) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind, wgrnn::Kind::Device, "{error}");
            let what = format!("{precision}: {} (", device.adapter.name);
            assert!(error.message.starts_with(&what), "{error}");
            // Not by a macro, whose lines nobody sees of a test that passes.
            let line = format!("NOT CHECKED: {error}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            true
        }
    }
}
