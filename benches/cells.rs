//! What a cell costs beside its products: for every cell the time of a step's kernels, forward and backward, against that
//! of a cell that is as many recurrent products, their sum, and nothing else, on the same device in the same run.
//!
//!     cargo bench --bench cells -- --hidden 128 --batch 32 --seq-len 50

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use common::at_least_one;
use wgrnn::cell::{Cell, library};
use wgrnn::exec::profile::profile;
use wgrnn::exec::{Device, gpu};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;
use wgrnn::{Error, Result};

/// Symbols of the made-up text.
const VOCAB: usize = 65;

/// Times every cell's step against its recurrent products alone
#[derive(Parser)]
#[command(name = "cells")]
struct Arguments {
    /// Cells, separated by commas (default: all)
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// Hidden size H
    #[arg(long, default_value_t = 128, value_parser = at_least_one)]
    hidden: usize,
    /// Rows B
    #[arg(long, default_value_t = 32, value_parser = at_least_one)]
    batch: usize,
    /// Steps T of a segment
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    seq_len: usize,
    /// Where to run: cpu, gpu, an adapter's index or a part of its name
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Timed segments of a round
    #[arg(long, default_value_t = 8, value_parser = at_least_one)]
    steps: usize,
    /// Rounds, of which the median ratio counts
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    rounds: usize,
    /// Given by `cargo bench`, without effect
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cells: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let device = match arguments.device.as_str() {
        "cpu" => Device::Cpu,
        name => {
            let opened =
                pollster::block_on(gpu::GpuDevice::open(&gpu::AdapterChoice::parse(name)))?;
            let none = || Error::device(format!("{name}: there is no real GPU"));
            let device = opened.ok_or_else(none)?;
            device.trust();
            Device::Gpu(device)
        }
    };
    let Arguments {
        hidden,
        batch,
        seq_len,
        ..
    } = arguments;
    println!(
        "H {hidden}, B {batch}, T {seq_len}, {}; microseconds a step, median of {} rounds\n",
        device.name(),
        arguments.rounds
    );
    println!(
        "{:<14} {:>8} {:>12} {:>12} {:>8}",
        "cell", "products", "step", "products us", "ratio"
    );
    let names: Vec<String> = if arguments.cells.is_empty() {
        library::names().map(str::to_string).collect()
    } else {
        arguments.cells.clone()
    };
    for name in names {
        let cell = library::builtin(&name)?;
        let recurrent = cell.sources.iter().enumerate();
        let recurrent = recurrent.filter(|(s, _)| cell.input_source() != Some(*s));
        let gates: usize = recurrent.map(|(_, source)| source.gates.len()).sum();
        if gates == 0 {
            println!("{name:<14} {gates:>8} {:>12} {:>12} {:>8}", "", "", "none");
            continue;
        }
        let mut rounds = (0..arguments.rounds)
            .map(|_| {
                let step = time(&device, &cell, arguments)?;
                Ok((step, time(&device, &products(gates)?, arguments)?))
            })
            .collect::<Result<Vec<(f64, f64)>>>()?;
        rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (step, products) = rounds[rounds.len() / 2];
        let ratio = step / products;
        println!("{name:<14} {gates:>8} {step:>12.1} {products:>12.1} {ratio:>8.2}");
    }
    Ok(())
}

/// A cell that is so many products of its state and nothing else.
fn products(count: usize) -> Result<Cell> {
    let mut text = String::from("state h\n");
    for n in 0..count {
        text += &format!("p{n} = linear(h)\n");
    }
    let sum: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
    Cell::parse("products", &format!("{text}h = x + {}\n", sum.join(" + ")))
}

/// Microseconds of a time step of a cell's kernels, forward and backward.
fn time(device: &Device, cell: &Cell, arguments: &Arguments) -> Result<f64> {
    let spec = Spec {
        vocab: VOCAB,
        cells: vec![Arc::new(cell.clone())],
        hidden: arguments.hidden,
        embed: if cell.raw_input { arguments.hidden } else { 0 },
        ..Spec::default()
    };
    let dims = Dims {
        steps: arguments.seq_len,
        batch: arguments.batch,
    };
    let plan = spec.plan(dims, Mode::Gradients)?;
    let plan = Arc::new(plan);
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.08,
        ..Init::default()
    };
    let mut stream = Stream::new(1, Purpose::Check, 0);
    let ids: Vec<u32> = (0..(dims.steps + 1) * dims.batch)
        .map(|_| (stream.uniform() * VOCAB as f32) as u32)
        .collect();
    let inputs = Inputs::new(&ids)
        .reset(true)
        .scale(1.0 / (dims.steps * dims.batch) as f64);
    let start = initialize(&plan, &init)?;
    let found = profile(device, plan, &start, &inputs, arguments.steps);
    let found = pollster::block_on(found)?;
    let rows = found.rows.iter();
    let rows =
        rows.filter(|r| r.label.starts_with("forward.l0") || r.label.starts_with("backward.l0"));
    Ok(1e6 * rows.map(|r| r.seconds).sum::<f64>() / dims.steps as f64)
}
