//! Half precision on an adapter: what is stored as f16, and that gradients, updates and runs stay what they are.

mod common;

use std::sync::Arc;

use common::{device, inputs, tokens};
use pollster::block_on;
use wgrnn::cell::library;
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use wgrnn::op::Plan;

const VOCAB: usize = 11;

fn spec(cell: &str, hidden: usize, layers: usize, embed: usize) -> Spec {
    let cell = Arc::new(library::builtin(cell).unwrap());
    Spec {
        vocab: VOCAB,
        cells: vec![cell; layers],
        hidden,
        embed,
        half: true,
        ..Spec::default()
    }
}

fn start(plan: &Plan) -> Vec<f32> {
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.4,
        seed: 5,
        ..Init::default()
    };
    initialize(plan, &init).unwrap()
}

/// The relative error of each parameter's gradient, |half - f64| / |f64| with norms over the parameter.
fn errors(spec: &Spec, dims: Dims, tile: &Tile) -> Vec<(String, f64)> {
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    assert!(plan.halved());
    let weights = start(&plan);
    let ids = tokens((dims.steps + 1) * dims.batch, VOCAB, 3);
    let scale = 1.0 / (dims.steps * dims.batch) as f64;
    let inputs = inputs(&ids, true, scale);
    let mut cpu = Cpu::<f64>::new(plan.clone());
    let parameters = plan.io.parameters.unwrap();
    let wide: Vec<f64> = weights.iter().map(|x| f64::from(*x)).collect();
    cpu.write(parameters).copy_from_slice(&wide);
    cpu.run(&inputs).unwrap();
    let mut gpu = block_on(Gpu::with_tile(device(), plan.clone(), tile)).unwrap();
    gpu.write(parameters, &weights).unwrap();
    block_on(gpu.run(&inputs)).unwrap();
    let slot = plan.io.gradients.unwrap();
    let got = block_on(gpu.read(slot)).unwrap();
    let want = cpu.read(slot);
    let factor = 1.0;
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let errors = plan.parameters.iter().map(|p| {
        let range = p.matrix.offset..p.matrix.end();
        let size = norm(&mut want[range.clone()].iter().copied());
        let off = range.map(|i| f64::from(got[i]) / factor - want[i]);
        (p.name.clone(), norm(&mut { off }) / size)
    });
    errors.collect()
}

#[test]
fn gradients_in_half_precision_are_those_of_f64_to_the_bits_of_f16() {
    for cell in ["rnn", "lstm", "gru", "gru-cho"] {
        for (hidden, layers, embed, dims, tile) in [
            (13, 1, 0, Dims { steps: 7, batch: 3 }, Tile::NAIVE),
            (16, 2, 0, Dims { steps: 5, batch: 4 }, Tile::SOFTWARE),
            (13, 2, 5, Dims { steps: 9, batch: 3 }, Tile::GPU),
        ] {
            for (name, error) in errors(&spec(cell, hidden, layers, embed), dims, &tile) {
                println!("{cell} {hidden} x {layers} {name}: {error:.1e}");
                // A rounding to 11 bits errs by 2^-11 = 5e-4 at most, a few of them follow one another.
                assert!(
                    error <= 5e-3,
                    "{cell} {hidden} x {layers} {name}: {error:e}"
                );
                assert!(error > 1e-6, "{cell} {name}: {error:e} is that of f32");
            }
        }
    }
}
