//! Times one training step of an LSTM language model in burn on wgpu: a peer that `wgrnn` is measured against.
//!
//!     cargo run --release --locked -- --hidden 128 --layers 1 --batch 32 --seq-len 50 --vocab 65
//!
//! A step is one-hot input [B, T, V], stacked nn::Lstm, linear head, mean cross-entropy over B * T rows, backward,
//! clipping by norm (burn clips every parameter on its own), Adam; the carried state is detached. Every step is timed
//! between two synchronisations. Prints one line of JSON with the fields of ../pytorch.py; `device` is the adapter.

use std::process::ExitCode;
use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig, Lstm, LstmConfig, LstmState};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};

const USAGE: &str = "usage: burn-peer [--device auto|software|discrete:N|integrated:N|virtual:N] [--hidden H] \
    [--layers N] [--batch B] [--seq-len T] [--vocab V] [--steps N] [--warm-up N]";

struct Arguments {
    device: DeviceKind,
    hidden: usize,
    layers: usize,
    batch: usize,
    seq_len: usize,
    vocab: usize,
    steps: usize,
    warm_up: usize,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        device: DeviceKind::DefaultDevice,
        hidden: 128,
        layers: 1,
        batch: 32,
        seq_len: 50,
        vocab: 65,
        steps: 5,
        warm_up: 2,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next().ok_or(format!("{name}: no value\n{USAGE}"))?;
        let field = match name.as_str() {
            "--device" => {
                arguments.device = device_kind(&value)?;
                continue;
            }
            "--hidden" => &mut arguments.hidden,
            "--layers" => &mut arguments.layers,
            "--batch" => &mut arguments.batch,
            "--seq-len" => &mut arguments.seq_len,
            "--vocab" => &mut arguments.vocab,
            "--steps" => &mut arguments.steps,
            "--warm-up" => &mut arguments.warm_up,
            _ => return Err(format!("unknown argument {name}\n{USAGE}")),
        };
        *field = match value.parse() {
            Ok(0) | Err(_) => {
                return Err(format!(
                    "{name}: expected a whole number of at least 1, found {value}"
                ));
            }
            Ok(number) => number,
        };
    }
    Ok(arguments)
}

fn device_kind(text: &str) -> Result<DeviceKind, String> {
    let (kind, index) = text.split_once(':').unwrap_or((text, "0"));
    let index = index.parse();
    match (kind, index) {
        ("auto", Ok(0)) => Ok(DeviceKind::DefaultDevice),
        ("software", Ok(0)) => Ok(DeviceKind::Cpu),
        ("discrete", Ok(n)) => Ok(DeviceKind::DiscreteGpu(n)),
        ("integrated", Ok(n)) => Ok(DeviceKind::IntegratedGpu(n)),
        ("virtual", Ok(n)) => Ok(DeviceKind::VirtualGpu(n)),
        _ => Err(format!("--device: unknown device {text}\n{USAGE}")),
    }
}

#[derive(Module, Debug)]
struct LanguageModel {
    layers: Vec<Lstm>,
    head: Linear,
}

type States = Vec<Option<LstmState<2>>>;

impl LanguageModel {
    fn new(arguments: &Arguments, device: &Device) -> LanguageModel {
        let (v, h) = (arguments.vocab, arguments.hidden);
        LanguageModel {
            layers: (0..arguments.layers)
                .map(|l| LstmConfig::new(if l == 0 { v } else { h }, h, true).init(device))
                .collect(),
            head: LinearConfig::new(h, v).init(device),
        }
    }

    /// Scores [B * T, V] of one-hot input x [B, T, V], and the detached last states.
    fn forward(&self, mut x: Tensor<3>, states: States) -> (Tensor<2>, States) {
        let mut last = Vec::new();
        for (layer, state) in self.layers.iter().zip(states) {
            let (y, state) = layer.forward(x, state);
            x = y;
            last.push(Some(LstmState::new(
                state.cell.detach(),
                state.hidden.detach(),
            )));
        }
        let [b, t, h] = x.dims();
        (self.head.forward(x.reshape([b * t, h])), last)
    }
}

/// The version of burn that was built.
fn version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("name = \"burn\"\nversion = \"").nth(1);
    entry.and_then(|e| e.split('"').next()).unwrap_or("unknown")
}

/// Which of burn's features were built in.
fn features() -> String {
    let all = [
        ("wgpu", true),
        ("vulkan", cfg!(feature = "vulkan")),
        ("fusion", cfg!(feature = "fusion")),
        ("autotune", cfg!(feature = "autotune")),
    ];
    let built = all.iter().filter(|f| f.1).map(|f| f.0);
    built.collect::<Vec<_>>().join("+")
}

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("burn-peer: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<serde_json::Value, String> {
    let arguments = arguments()?;
    let (device, setup) = Device::wgpu_options()
        .device_kind(arguments.device.clone())
        .init_with_setup()
        .map_err(|e| format!("no device: {e}"))?;
    let adapter = setup.adapter.get_info();
    let device = device.autodiff();
    device.seed(1);
    let (b, t, v) = (arguments.batch, arguments.seq_len, arguments.vocab);

    let mut word = 1u32;
    let ids: Vec<i32> = (0..b * (t + 1))
        .map(|_| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((word >> 8) % v as u32) as i32
        })
        .collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [b, t + 1]), &device);
    let inputs = ids.clone().slice([0..b, 0..t]).reshape([b, t, 1]);
    let targets = ids.slice([0..b, 1..t + 1]).reshape([b * t]);
    let symbols = TensorData::new((0..v as i32).collect(), [1, 1, v]);
    let symbols = Tensor::<3, Int>::from_data(symbols, &device);

    let mut model = LanguageModel::new(&arguments, &device);
    let criterion = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer = AdamConfig::new()
        .with_epsilon(1e-8)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(5.0)))
        .init();
    let mut states: States = vec![None; arguments.layers];
    let sync = || device.sync().map_err(|e| format!("the device failed: {e}"));
    let mut times = Vec::new();
    let mut last = None;
    for step in 0..arguments.warm_up + arguments.steps {
        sync()?;
        let start = Instant::now();
        // One-hot by comparison: burn's one_hot() reads the ids back to check them.
        let x = inputs.clone().equal(symbols.clone()).float();
        let (logits, new) = model.forward(x, states);
        states = new;
        let loss = criterion.forward(logits, targets.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(2e-3, model, gradients);
        sync()?;
        if step >= arguments.warm_up {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        last = Some(loss);
    }
    let loss = last.map_or(f32::NAN, |loss| loss.into_scalar::<f32>());
    if !loss.is_finite() {
        return Err(format!("the loss is {loss}"));
    }

    times.sort_by(f64::total_cmp);
    let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
    let round = |ms: f64| (ms * 1e4).round() / 1e4;
    Ok(serde_json::json!({
        "peer": "burn",
        "version": version(),
        "features": features(),
        "device": adapter.name,
        "threads": null,
        "cell": "lstm",
        "H": arguments.hidden,
        "layers": arguments.layers,
        "B": b,
        "T": t,
        "V": v,
        "embed": null,
        "steps": arguments.steps,
        "loss": loss,
        "ms_median": round(median),
        "ms_min": round(times[0]),
    }))
}
