//! Times one training step and prints a line of JSON, as the peers in `benches/peers` do:
//!
//!     cargo bench --bench step -- --hidden 128 --layers 1 --batch 32 --seq-len 50 --vocab 65
//!
//! `benches/compare.py` starts it beside the peers; `RAYON_NUM_THREADS` sets the threads of the CPU executor.

mod common;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{Shape, Step, at_least_one};
use serde_json::json;

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
    let mut step = Step::new(shape, &arguments.device)?;
    for _ in 0..arguments.warm_up {
        step.run()?;
    }
    let mut times = Vec::new();
    let mut loss = 0.0;
    for _ in 0..arguments.steps {
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
        "steps": arguments.steps,
        "loss": loss,
        "ms_median": round(median),
        "ms_min": round(times[0]),
    });
    if let (Some(line), serde_json::Value::Object(shape)) = (line.as_object_mut(), json!(shape)) {
        line.extend(shape);
    }
    println!("{line}");
    Ok(())
}

fn round(ms: f64) -> f64 {
    (ms * 1e4).round() / 1e4
}
