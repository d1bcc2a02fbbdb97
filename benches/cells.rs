//! What a cell costs beside its products: for every cell the time of a step's kernels, forward and backward, against that
//! of its recurrent products alone, made by the plain matrix product of the same device in the same run.
//!
//!     cargo bench --bench cells -- --hidden 128 --batch 32 --seq-len 50

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use common::at_least_one;
use wgrnn::cell::{Cell, library};
use wgrnn::exec::profile::profile;
use wgrnn::exec::{Device, Inputs, gpu};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use wgrnn::op::{Control, Direction, Hyper, MatMul, Matrix, Op, Plan, Role, Scan};
use wgrnn::rng::{Purpose, Stream};
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
    /// Steps T of a window
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    seq_len: usize,
    /// Where to run: cpu, gpu, an adapter's index or a part of its name
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Timed windows of a round
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
            let opened = pollster::block_on(gpu::Device::open(&gpu::Choice::parse(name)))?;
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
    let names: Vec<String> = match arguments.cells.is_empty() {
        true => library::names().map(str::to_string).collect(),
        false => arguments.cells.clone(),
    };
    for name in names {
        let cell = library::builtin(&name)?;
        let recurrent = cell.sources.iter().enumerate();
        let recurrent = recurrent.filter(|(s, _)| cell.input_source() != Some(*s));
        let lanes: usize = recurrent.map(|(_, source)| source.lanes.len()).sum();
        if lanes == 0 {
            println!("{name:<14} {lanes:>8} {:>12} {:>12} {:>8}", "", "", "none");
            continue;
        }
        let mut rounds = (0..arguments.rounds)
            .map(|_| times(&device, &cell, arguments))
            .collect::<Result<Vec<(f64, f64)>>>()?;
        rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (step, products) = rounds[rounds.len() / 2];
        let ratio = step / products;
        println!("{name:<14} {lanes:>8} {step:>12.1} {products:>12.1} {ratio:>8.2}");
    }
    Ok(())
}

/// Microseconds of a time step, forward and backward: of the cell's kernels, and of its recurrent products alone.
fn times(device: &Device, cell: &Cell, arguments: &Arguments) -> Result<(f64, f64)> {
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
    let mut plan = spec.plan(dims, Mode::Gradients)?;
    let scans: Vec<Scan> = { plan.ops.iter() }
        .filter_map(|op| match op {
            Op::Scan(scan) => Some(scan.clone()),
            _ => None,
        })
        .collect();
    for scan in &scans {
        push_products(&mut plan, scan);
    }
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
    let inputs = Inputs {
        ids: &ids,
        targets: None,
        weights: None,
        starts: None,
        control: Control {
            reset: 1,
            ..Control::default()
        },
        hyper: Hyper {
            scale: 1.0 / (dims.steps * dims.batch) as f64,
            ..Hyper::default()
        },
    };
    let start = initialize(&plan, &init)?;
    let found = profile(device, plan, &start, &inputs, arguments.steps);
    let found = pollster::block_on(found)?;
    let of = |prefixes: [&str; 2]| {
        let rows = found.rows.iter();
        let rows = rows.filter(|r| prefixes.iter().any(|p| r.label.starts_with(p)));
        1e6 * rows.map(|r| r.seconds).sum::<f64>() / dims.steps as f64
    };
    Ok((
        of(["forward.l0", "backward.l0"]),
        of(["product.", "product."]),
    ))
}

/// The products of every step of a scan: a row of states times the weight of each source.
fn push_products(plan: &mut Plan, scan: &Scan) {
    let direction = match scan.direction {
        Direction::Forward => "forward",
        Direction::Backward => "backward",
    };
    for (s, weight) in scan.weights.iter().enumerate() {
        let Some(weight) = *weight else { continue };
        let mut slot = |what: &str, rows: usize, cols: usize| {
            let name = format!("product.{direction}.{s}.{what}");
            let slot = plan.add(name, &[rows, cols], Role::Activation);
            plan.matrix(slot)
        };
        let a = slot("a", scan.steps * scan.batch, weight.rows);
        let c = slot("c", scan.batch, weight.cols);
        for t in 0..scan.steps {
            plan.ops.push(Op::MatMul(MatMul {
                name: format!("product.{direction}.{s}.{t}"),
                a: Matrix {
                    offset: t * scan.batch * weight.rows,
                    rows: scan.batch,
                    ..a
                },
                b: weight,
                c,
                transpose_a: false,
                transpose_b: false,
                bias: None,
                accumulate: false,
            }));
        }
    }
}
