//! The adapter that tests run on, and a small plan to run there.
#![allow(dead_code)] // each file of tests uses its part

use std::sync::Arc;

use wgrnn::Result;
use wgrnn::cell::library;
use wgrnn::exec::gpu::{AdapterChoice, Gpu, GpuDevice, INSTALL};
use wgrnn::model::{Dims, Init, Mode, Spec, Update, initialize};
use wgrnn::op::{Hyper, Plan, Rule};
use wgrnn::task::Inputs;

/// Any adapter; where `TEST_ADAPTER` names one, none whose name does not hold that.
pub fn device() -> Arc<GpuDevice> {
    let device = match pollster::block_on(GpuDevice::open(&AdapterChoice::Gpu)) {
        Ok(Some(device)) => device,
        Ok(None) => panic!("no adapter: {INSTALL}"),
        Err(error) => panic!("{error}"),
    };
    let wanted = std::env::var("TEST_ADAPTER").unwrap_or_default();
    let name = &device.adapter.name;
    assert!(name.contains(&wanted), "expected {wanted}, found {name}");
    device
}

/// A layer of an LSTM that is trained on segments of so many steps.
pub fn plan(steps: usize) -> Arc<Plan> {
    let spec = Spec {
        vocab: 11,
        cells: vec![Arc::new(library::builtin("lstm").unwrap())],
        hidden: 8,
        dropout: 0.2,
        ..Spec::default()
    };
    let update = Update {
        rule: Rule::Sgd {
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        },
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    let dims = Dims { steps, batch: 3 };
    Arc::new(spec.plan(dims, Mode::Train(update)).unwrap())
}

/// The plan on the device, with parameters to start from.
pub fn engine(device: &Arc<GpuDevice>, plan: &Arc<Plan>) -> Gpu {
    let mut gpu = pollster::block_on(Gpu::new(device.clone(), plan.clone())).unwrap();
    let init = Init {
        seed: 3,
        ..Init::default()
    };
    let parameters = initialize(plan, &init).unwrap();
    gpu.write(plan.io.parameters.unwrap(), &parameters).unwrap();
    gpu
}

/// Trains a step on a made-up minibatch.
pub fn step(gpu: &mut Gpu, n: u32) -> Result<()> {
    let ids = gpu.plan().slot(gpu.plan().recipes.ids().unwrap()).len();
    let ids: Vec<u32> = (0..ids as u32).map(|i| (i * i + n) % 11).collect();
    pollster::block_on(
        gpu.run(
            &Inputs::new(&ids)
                .draws([1, 2], u64::from(n))
                .reset(n == 0)
                .hyper(Hyper {
                    lr: 0.1,
                    scale: 1.0 / ids.len() as f64,
                    update: f64::from(n) + 1.0,
                    correction1: 1.0,
                    correction2: 1.0,
                }),
        ),
    )
}
