//! `profile --predict DEVICE`: what a training step would take on a device that is not there, kernel by kernel.

use std::path::Path;

use clap::ArgMatches;
use serde_json::{Value, json};
use wgrnn::exec::cost::{DeviceTable, Prediction, predict};
use wgrnn::exec::gpu::Tile;
use wgrnn::exec::profile::rate;
use wgrnn::{Error, Result};

use super::super::{adapter_cache, out};
use super::report::{model, those_that_matter};
use super::table::{name_width, title};
use super::work::PlannedStep;

/// Bytes of a device's table at most.
const LARGEST: u64 = 1 << 16;

/// The prediction for `device`, a name or a file; the step is that of the flags.
///
/// # Errors
/// Those of the flags and of the model; Usage for an unknown device, Io and Data for a file that is no table.
pub fn run(m: &ArgMatches, device: &str) -> Result<()> {
    let device = table(device)?;
    let step = PlannedStep::new(m)?;
    let found = predict(&step.plan, &Tile::GPU, &device)?;
    if m.get_flag("json") {
        return out::json(&value(&step, &device, &found)?);
    }
    print(&step, &device, &found)
}

fn table(device: &str) -> Result<DeviceTable> {
    if !device.ends_with(".toml") {
        return DeviceTable::built_in(device)
            .map_err(|e| Error::new(e.kind, format!("--predict: {}", e.message)));
    }
    let path = Path::new(device);
    let size = std::fs::metadata(path).map_err(|e| Error::io("read", path, &e))?;
    if size.len() > LARGEST {
        return Err(Error::data(format!(
            "{device}: expected a device's table of at most {LARGEST} bytes, found {}",
            size.len()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e))?;
    DeviceTable::parse(device, &text)
}

fn value(step: &PlannedStep, device: &DeviceTable, found: &Prediction) -> Result<Value> {
    let kernels = found.kernels.iter().map(|k| {
        json!({
            "name": k.label,
            "calls": k.calls,
            "ms": 1e3 * k.seconds,
            "us_per_call": 1e6 * rate(k.seconds, k.calls as f64),
            "share": rate(k.seconds, found.seconds),
            "gflops": 1e-9 * rate(k.flops, k.seconds),
            "bound": k.limit.word(),
        })
    });
    Ok(json!({
        "program": adapter_cache::build(),
        "predicted": true,
        "device": device.name,
        "source": device.source,
        "tile": Tile::GPU,
        "model": model(step),
        "settings": those_that_matter(&step.settings)?,
        "kernels": kernels.collect::<Vec<_>>(),
        "total": {
            "calls": found.kernels.iter().map(|k| k.calls).sum::<usize>(),
            "step_ms": 1e3 * found.seconds,
        },
    }))
}

fn print(step: &PlannedStep, device: &DeviceTable, found: &Prediction) -> Result<()> {
    out::line(&title(step))?;
    out::line(&format!(
        "predicted for {}, not measured; good to a factor of two",
        device.name
    ))?;
    out::line(&format!("device: {}", device.source))?;
    out::line(&format!("tile: {}\n", Tile::GPU))?;
    let width = name_width(found.kernels.iter().map(|k| k.label.as_str()));
    out::line(&format!(
        "{:<width$} {:>6} {:>10} {:>10} {:>6} {:>9}  limit",
        "kernel", "calls", "us/call", "ms/step", "share", "GFLOP/s"
    ))?;
    let mut kernels: Vec<_> = found.kernels.iter().collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for k in kernels {
        out::line(&format!(
            "{:<width$} {:>6} {:>10.2} {:>10.4} {:>5.1}% {:>9.1}  {}",
            k.label,
            k.calls,
            1e6 * rate(k.seconds, k.calls as f64),
            1e3 * k.seconds,
            1e2 * rate(k.seconds, found.seconds),
            1e-9 * rate(k.flops, k.seconds),
            k.limit.word()
        ))?;
    }
    let calls: usize = found.kernels.iter().map(|k| k.calls).sum();
    out::line(&format!(
        "{:<width$} {calls:>6} {:>10} {:>10.4}",
        "step",
        "",
        1e3 * found.seconds
    ))
}
