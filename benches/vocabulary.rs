//! Training steps of a model with a large vocabulary, on tokens that it draws itself: time, and the memory that it takes.
//!
//!     cargo bench --bench vocabulary
//!     cargo bench --bench vocabulary -- --softmax adaptive
//!     cargo bench --bench vocabulary -- --device gpu --batch 4
//!
//! One layer, embedding as wide as the hidden state and tied where the head allows it, plain SGD. Tokens are drawn like
//! words, the n-th most frequent with a probability near 1 / n, so that ids are by falling frequency.

use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use wgrnn::cell::library;
use wgrnn::exec::{Device, Engine};
use wgrnn::model::{Dims, Init, Mode, Scheme, Softmax, Spec, Update, initialize};
use wgrnn::op::{Hyper, Role, Rule};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;
use wgrnn::{Error, Result};

/// Steps of a model with a large vocabulary.
#[derive(Parser)]
struct Arguments {
    /// cpu, gpu, an adapter's index or a part of its name
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Symbols, V
    #[arg(long, default_value_t = 800_000)]
    vocab: usize,
    /// Hidden size and width of the embedding, H
    #[arg(long, default_value_t = 512)]
    hidden: usize,
    /// Rows of the minibatch, B
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Steps of the minibatch, T
    #[arg(long, default_value_t = 20)]
    seq_len: usize,
    /// full, adaptive or sampled
    #[arg(long, default_value = "full", value_parser = ["full", "adaptive", "sampled"])]
    softmax: String,
    /// Training steps, of which the first is not timed where there are more
    #[arg(long, default_value_t = 2)]
    steps: usize,
    /// Given by cargo, of no use here
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    pollster::block_on(measure(&arguments))
}

async fn measure(a: &Arguments) -> Result<()> {
    let spec = Spec {
        vocab: a.vocab,
        cells: vec![Arc::new(library::builtin("lstm")?)],
        hidden: a.hidden,
        embed: a.hidden,
        tie: a.softmax != "adaptive",
        softmax: match a.softmax.as_str() {
            "adaptive" => Softmax::Adaptive {
                cutoffs: Softmax::default_cutoffs(a.vocab),
            },
            "sampled" => Softmax::Sampled { samples: 8192 },
            _ => Softmax::Full,
        },
        sparse: true,
        ..Spec::default()
    };
    let dims = Dims {
        steps: a.seq_len,
        batch: a.batch,
    };
    let update = Update {
        rule: Rule::Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        },
        clip_norm: 5.0,
        clip_value: 0.0,
    };
    let plan = Arc::new(spec.plan(dims, Mode::Train(update))?);
    let device = Device::open(&a.device).await?;
    println!(
        "{} softmax, V {}, H {}, B {}, T {}, {}: {} operations, {} parameters",
        a.softmax,
        a.vocab,
        a.hidden,
        a.batch,
        a.seq_len,
        device.name(),
        plan.ops.len(),
        plan.parameter_count()
    );
    for (what, role) in [
        ("parameters", Role::Parameters),
        ("gradients", Role::Gradients),
        ("optimiser", Role::Optimizer),
        ("activations", Role::Activation),
        ("states", Role::State),
    ] {
        let slots = plan.slots.iter().filter(|s| s.role == role);
        let bytes: usize = slots.map(|s| 4 * s.len()).sum();
        println!("  {what:<12} {:>8.1} MiB", bytes as f64 / 1_048_576.0);
    }
    println!(
        "  all          {:>8.1} MiB",
        plan.bytes() as f64 / 1_048_576.0
    );

    let slot = plan
        .io
        .parameters
        .ok_or_else(|| Error::internal("no parameters"))?;
    let mut engine = Engine::new(&device, plan.clone()).await?;
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.05,
        ..Init::default()
    };
    engine.put(slot, initialize(&plan, &init)?).await?;
    let rows = a.seq_len * a.batch;
    let mut seconds = Vec::new();
    for step in 0..a.steps.max(1) {
        let mut stream = Stream::new(step as u64, Purpose::Check, 0);
        let token = |_| (f64::from(stream.uniform()) * (a.vocab as f64).ln()).exp() as u32;
        let ids: Vec<u32> = (0..rows + a.batch)
            .map(token)
            .map(|t| t.min(a.vocab as u32 - 1))
            .collect();
        let start = Instant::now();
        let inputs = Inputs::new(&ids)
            .draws([0, 0], step as u64)
            .reset(step == 0)
            .hyper(Hyper {
                lr: 1.0,
                scale: 1.0 / rows as f64,
                update: step as f64 + 1.0,
                correction1: 1.0,
                correction2: 1.0,
            });
        engine.run(&inputs).await?;
        let outcomes = engine.outcomes(true).await?;
        let took = start.elapsed().as_secs_f64();
        let report = outcomes
            .last()
            .ok_or_else(|| Error::internal("no report"))?;
        let loss = report.report.loss / rows as f64;
        println!(
            "step {step}: {took:.3} s, loss {loss:.4} nats, norm {:.4}",
            report.report.norm
        );
        if !report.report.finite {
            return Err(Error::internal("a step that is not finite is no measure"));
        }
        seconds.push(took);
    }
    if seconds.len() > 1 {
        seconds.remove(0);
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "{:.3} s a step (median of {})",
        seconds[seconds.len() / 2],
        seconds.len()
    );
    // Linux tells; elsewhere `time -l` or the like does.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find(|l| l.starts_with("VmHWM")) {
        let kib: f64 = peak
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0.0);
        println!("peak resident memory {:.1} MiB", kib / 1024.0);
    }
    Ok(())
}
