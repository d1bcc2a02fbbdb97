//! Small models on an adapter beside the plain code.

use std::sync::Arc;

use wgrnn::cell::library;
use wgrnn::exec::check::Twins;
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, Update, initialize};
use wgrnn::op::{Control, Hyper, Plan, Rule, SlotId};
use wgrnn::task::{Inputs, MadeUp};

/// As on a GPU, but for the merging of operations, which has tests of its own (`dispatches`): a driver in software compiles
/// kernels of many operations for a long time.
pub const APART: Tile = Tile {
    merged: false,
    ..Tile::GPU
};

/// A stack of a built-in cell over eleven symbols.
pub fn spec(cell: &str, hidden: usize, layers: usize, embed: usize) -> Spec {
    let cell = Arc::new(library::builtin(cell).unwrap());
    Spec {
        vocab: 11,
        cells: vec![cell; layers],
        hidden,
        embed,
        ..Spec::default()
    }
}

/// Parameters that leave no gate shut.
pub fn parameters(plan: &Plan) -> Vec<f32> {
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.4,
        seed: 5,
        ..Init::default()
    };
    initialize(plan, &init).unwrap()
}

/// Training with clipped gradients and decay.
pub fn adamw() -> Mode {
    Mode::Train(Update {
        rule: Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            decoupled: true,
        },
        clip_norm: 0.5,
        clip_value: 0.0,
    })
}

/// Training whose gradients are clipped by value and by norm, which both cut something of [`clipped_both`]'s minibatch.
fn both_clips(rule: Rule) -> Mode {
    Mode::Train(Update {
        rule,
        clip_norm: 0.02,
        clip_value: 0.004,
    })
}

/// Every operation of an update with both clips beside the plain code; of the gradients in the slots that `of` chooses some
/// are cut by the first clip, and what is left is more than the second allows.
pub fn clipped_both(
    device: &Arc<GpuDevice>,
    spec: &Spec,
    rule: Rule,
    of: impl Fn(&Plan) -> SlotId,
) {
    let dims = Dims { steps: 5, batch: 3 };
    let mut twins = twins(
        device,
        spec.plan(dims, both_clips(rule)).unwrap(),
        &Tile::SOFTWARE,
    );
    let plan = twins.plan().clone();
    let batch = Batch::new(&plan, 1, true);
    for row in pollster::block_on(twins.operations(&batch.inputs())).unwrap() {
        assert!(row.passed(), "{}", row.fault());
    }
    let cpu = twins.cpu();
    // Gradients in half precision have a factor.
    let factor = match cpu.read(plan.recipes.hyper.unwrap())[6] {
        0.0 => 1.0,
        factor => factor,
    };
    let largest = cpu
        .read(of(&plan))
        .iter()
        .fold(0.0f32, |most, g| most.max(g.abs()));
    assert!(largest / factor > 0.008, "{largest} / {factor}");
    let norm = cpu.read(plan.io.report.unwrap())[1];
    assert!(norm > 0.03, "{norm}");
    let square: f32 = cpu
        .read(plan.io.gradients.unwrap())
        .iter()
        .map(|g| (g / factor).powi(2))
        .sum();
    assert!(square.sqrt() > 1.5 * norm, "{square} {norm}");
}

/// A minibatch of ids, which go with `plan`.
pub struct Batch {
    pub made: MadeUp,
    pub control: Control,
    pub hyper: Hyper,
}

impl Batch {
    /// Drawn from `seed`; `reset` starts from the first states.
    pub fn new(plan: &Plan, seed: u64, reset: bool) -> Batch {
        let made = MadeUp::new(plan, seed).unwrap();
        let rows = made.rows(plan);
        Batch {
            made,
            control: Control {
                key: [seed as u32, 77],
                step: [3, 0],
                reset: u32::from(reset),
            },
            hyper: Hyper {
                lr: 0.01,
                scale: 1.0 / rows as f64,
                update: 1.0,
                correction1: 0.1,
                correction2: 0.001,
            },
        }
    }

    /// What a run is given.
    pub fn inputs(&self) -> Inputs<'_> {
        self.made.inputs().control(self.control).hyper(self.hyper)
    }
}

/// The plain code and an adapter with the same parameters.
pub fn twins(device: &Arc<GpuDevice>, plan: Plan, tile: &Tile) -> Twins {
    let parameters = parameters(&plan);
    let gpu = Gpu::with_tile(device.clone(), Arc::new(plan), tile);
    Twins::new(pollster::block_on(gpu).unwrap(), &parameters).unwrap()
}

/// Every operation in order from the CPU's slots, in a first minibatch and in one that goes on; returns the plan as it ran.
pub fn compared(device: &Arc<GpuDevice>, plan: Plan, tile: &Tile, what: &str) -> Arc<Plan> {
    let mut twins = twins(device, plan, tile);
    for (seed, reset) in [(1, true), (2, false)] {
        let batch = Batch::new(twins.plan(), seed, reset);
        let rows = pollster::block_on(twins.operations(&batch.inputs())).unwrap();
        assert!(rows.len() >= twins.plan().ops.len());
        for row in rows {
            assert!(row.passed(), "{what}: {}", row.fault());
        }
    }
    twins.plan().clone()
}

/// The parameters after three minibatches on the adapter.
pub fn trained_bits(device: &Arc<GpuDevice>, plan: Plan, tile: &Tile) -> Vec<u32> {
    let mut pair = twins(device, plan, tile);
    for (seed, reset) in [(1, true), (2, false), (3, false)] {
        let batch = Batch::new(pair.plan(), seed, reset);
        pollster::block_on(pair.gpu().run(&batch.inputs())).unwrap();
    }
    let slot = pair.plan().io.parameters.unwrap();
    let values = pollster::block_on(pair.gpu().read(slot)).unwrap();
    values.iter().map(|v| v.to_bits()).collect()
}
