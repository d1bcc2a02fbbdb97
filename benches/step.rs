//! Times one training step and prints a line of JSON, as the peers in `benches/peers` do:
//!
//!     cargo bench --bench step -- --hidden 128 --layers 1 --batch 32 --seq-len 50 --vocab 65
//!
//! `benches/compare.py` starts it beside the peers; `RAYON_NUM_THREADS` sets the threads of the CPU executor.
//! `ready_ms` is from nothing to a device with memory and compiled kernels, `first_step_ms` to the end of the first step.

mod common;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{Shape, Step, at_least_one};
use serde_json::json;
use wgrnn::exec::cpu::packed_bytes;
use wgrnn::op::{Cost, Slot};

/// Times one training step: one-hot input, recurrent layers, head, cross-entropy, backward, clipping by norm, Adam
#[derive(Parser)]
#[command(name = "step")]
struct Arguments {
    #[command(flatten)]
    shape: Shape,
    /// Where to run: cpu, gpu, auto (a real GPU), an adapter's index or a part of its name
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Timed steps
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    steps: usize,
    /// Steps before them
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    warm_up: usize,
    /// Time as many steps as fit into so many seconds, of at most 200, instead of --steps
    #[arg(long)]
    seconds: Option<f64>,
    /// Tell the plan's slots with their bytes, too
    #[arg(long)]
    slots: bool,
    /// Print the usual shapes, a line of JSON each, and run nothing
    #[arg(long)]
    shapes: bool,
    /// Given by `cargo bench`, without effect
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("step: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> wgrnn::Result<()> {
    if arguments.shapes {
        for shape in Shape::usual() {
            println!("{}", json!(shape));
        }
        return Ok(());
    }
    let shape = &arguments.shape;
    let baseline = peak();
    let started = Instant::now();
    let mut step = Step::new(shape, &arguments.device)?;
    let ready = started.elapsed().as_secs_f64();
    step.run()?;
    let first = started.elapsed().as_secs_f64();
    let (warm_up, steps) = match arguments.seconds {
        None => (arguments.warm_up - 1, arguments.steps),
        Some(seconds) => {
            let mut once = f64::INFINITY;
            for _ in 0..2 {
                let start = Instant::now();
                step.run()?;
                once = once.min(start.elapsed().as_secs_f64());
            }
            let steps = ((seconds / once).round() as usize).clamp(2, 200);
            (steps / 4, steps)
        }
    };
    for _ in 0..warm_up {
        step.run()?;
    }
    let mut times = Vec::new();
    let mut loss = 0.0;
    for _ in 0..steps {
        let start = Instant::now();
        loss = step.run()?.report.loss / shape.positions() as f64;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    let median = (times[(times.len() - 1) / 2] + times[middle]) / 2.0;
    let mut line = json!({
        "peer": "wgrnn",
        "version": env!("CARGO_PKG_VERSION"),
        "device": step.device_name(),
        "threads": step.threads(),
        "embed": null,
        "steps": steps,
        "ready_ms": round(1e3 * ready),
        "first_step_ms": round(1e3 * first),
        "loss": loss,
        "ms_median": round(median),
        "ms_min": round(times[0]),
    });
    let plan = step.plan();
    let cost: Cost = plan.ops.iter().map(|op| op.cost()).sum();
    line["gflop"] = json!(1e-9 * cost.flops);
    line["operations"] = json!(plan.ops.len());
    line["baseline_bytes"] = json!(baseline);
    line["peak_bytes"] = json!(peak());
    if arguments.slots {
        let slot = |s: &Slot| json!({"name": s.name, "shape": s.shape, "role": format!("{:?}", s.role), "bytes": 4 * s.len()});
        line["slots"] = plan.slots.iter().map(slot).collect();
        line["packed_bytes"] = json!(match step.threads() {
            Some(_) => packed_bytes(plan),
            None => 0,
        });
    }
    if let (Some(line), serde_json::Value::Object(shape)) = (line.as_object_mut(), json!(shape)) {
        line.extend(shape);
    }
    println!("{line}");
    Ok(())
}

/// The most bytes of memory that this process has held; none where the system does not say.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}

fn round(ms: f64) -> f64 {
    (ms * 1e4).round() / 1e4
}
