//! A profile as JSON: what `--json` prints, and what `--against` reads.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wgrnn::Result;
use wgrnn::exec::Device;
use wgrnn::exec::profile::{Bottleneck, Profile, ProfileRow, rate};
use wgrnn::op::Cost;
use wgrnn::train::Settings;

use super::super::adapter_cache;
use super::Profiled;
use super::work::PlannedStep;
use super::work::matters;

/// Calls, seconds and cost of all rows together.
pub fn total(rows: &[ProfileRow]) -> (u64, f64, Cost) {
    let calls = rows.iter().map(|r| r.calls).sum();
    let seconds = rows.iter().map(|r| r.seconds).sum();
    (calls, seconds, rows.iter().map(|r| r.cost).sum())
}

/// The name of a limit.
pub fn word(bound: Bottleneck) -> &'static str {
    match bound {
        Bottleneck::Compute => "compute",
        Bottleneck::Memory => "memory",
        Bottleneck::Latency => "latency",
    }
}

/// Whose clock the kernels' times are from.
pub fn clock(found: &Profile) -> &'static str {
    if found.timestamps { "device" } else { "host" }
}

/// The whole profile.
///
/// # Errors
/// Internal, when the settings cannot be written down.
pub fn value(of: &Profiled) -> Result<Value> {
    let (found, step) = (&of.found, &of.work.step);
    let (calls, seconds, cost) = total(&found.rows);
    let kernel = |row: &ProfileRow| {
        let (share, bound) = row.share(&found.limits);
        json!({
            "name": row.label,
            "kind": row.kind,
            "shape": row.shape,
            "calls": row.calls,
            "ms": 1e3 * row.seconds,
            "spread_ms": 1e3 * row.spread,
            "share": rate(row.seconds, seconds),
            "gflops": 1e-9 * rate(row.cost.flops, row.seconds),
            "gbytes": 1e-9 * rate(row.cost.bytes, row.seconds),
            "limit_share": share,
            "bound": word(bound),
        })
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(json!({
        "program": adapter_cache::build(),
        "date": utc(now.map_or(0, |t| t.as_secs())),
        "device": of.device.name(),
        "driver": driver(&of.device),
        "tile": tile(of),
        "model": model(step),
        "settings": those_that_matter(&step.settings)?,
        "steps": of.steps,
        "clock": clock(found),
        "limits": {
            "gflops": 1e-9 * found.limits.flops,
            "gbytes": 1e-9 * found.limits.bytes,
        },
        "kernels": found.rows.iter().map(kernel).collect::<Vec<_>>(),
        "total": {
            "calls": calls,
            "ms": 1e3 * seconds,
            "gflops": 1e-9 * rate(cost.flops, seconds),
            "gbytes": 1e-9 * rate(cost.bytes, seconds),
            "timed_step_ms": 1e3 * found.timed,
            "step_ms": 1e3 * found.wall,
        },
        "gaps": found.gaps.as_ref().map(|gaps| json!({
            "count": gaps.count,
            "ms": 1e3 * gaps.sum,
            "median_us": 1e6 * gaps.median,
            "longest_us": 1e6 * gaps.longest,
            "after": gaps.after,
        })),
        "host": found.host.map(|host| json!({
            "inputs_ms": 1e3 * host.inputs,
            "recording_ms": 1e3 * host.recording,
            "submitting_ms": 1e3 * host.submitting,
            "waiting_ms": 1e3 * host.waiting,
            "dispatches": host.dispatches,
            "us_per_dispatch": 1e6 * host.per_dispatch(),
            "device_ms": host.device.map(|s| 1e3 * s),
            "device_share": host.busy(found.wall),
            "submissions": host.submissions,
            "longest_submission_ms": 1e3 * host.longest,
        })),
    }))
}

/// The model and the minibatch.
pub fn model(step: &PlannedStep) -> Value {
    let PlannedStep {
        settings,
        spec,
        plan,
        minibatch,
        ..
    } = step;
    json!({
        "cell": spec.cell_names(),
        "hidden": spec.hidden,
        "layers": spec.cells.len(),
        "embed": spec.embed,
        "model": settings.model,
        "minibatch": minibatch,
        "vocab": spec.vocab,
        "batch": settings.batch,
        "seq_len": settings.seq_len,
        "optimizer": settings.optimizer.name(),
        "parameters": plan.parameter_count(),
    })
}

/// The kernels' sizes, on a GPU.
fn tile(of: &Profiled) -> Value {
    match &of.device {
        Device::Cpu => Value::Null,
        Device::Gpu(gpu) => {
            let (tile, tuned) = gpu.tile(&of.work.step.plan);
            json!({"sizes": tile, "tuned": tuned, "left_out": of.found.left_out})
        }
    }
}

fn driver(device: &Device) -> Option<&str> {
    match device {
        Device::Cpu => None,
        Device::Gpu(gpu) => Some(&gpu.adapter.driver),
    }
}

/// The settings that change what a step computes, by name.
pub fn those_that_matter(settings: &Settings) -> Result<Value> {
    let mut table = settings.to_table()?;
    table.retain(|name, _| matters(name));
    Ok(json!(table))
}

/// A moment, in seconds since 1970, as `2026-11-22T11:05:00Z`.
fn utc(seconds: u64) -> String {
    let (mut day, rest) = (seconds / 86400, seconds % 86400);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        day + 1
    )
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn moments_are_dates() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_345_542, "2026-11-22T11:05:42Z"),
        ] {
            assert_eq!(utc(seconds), want);
        }
    }
}
