//! What `check` found, as a file for a bug report.

use serde_json::{Value, json};
use wgrnn::exec::check::SlotComparison;
use wgrnn::exec::gpu::{GpuDevice, measure_limits};

use super::super::adapter_cache;
use super::models::{ModelComparison, Speed};

/// What is told of every model.
pub fn model(title: &str, found: &ModelComparison) -> Value {
    let rows: Vec<Value> = found.rows.iter().map(value).collect();
    let mut model = json!({"model": title, "rows": rows});
    if !found.speeds.is_empty() {
        let speed = |s: &Speed| json!({"operation": s.op, "kind": s.kind, "shape": s.shape, "us": 1e6 * s.seconds});
        model["speeds"] = found.speeds.iter().map(speed).collect();
    }
    model
}

/// How a slot compares.
fn value(row: &SlotComparison) -> Value {
    let (index, got, want) = row.worst;
    json!({
        "operation": row.op, "kind": row.kind, "shape": row.shape, "slot": row.slot, "nmse": row.nmse,
        "worst": {"index": index, "got": got.to_string(), "want": want.to_string()},
        "tolerance": row.tolerance, "faults": row.faults, "passed": row.passed(),
    })
}

/// The whole report. `error` is what ended the check early.
pub fn report(
    device: &GpuDevice,
    models: &[Value],
    compared: usize,
    faults: &[String],
    error: Option<&str>,
) -> Value {
    let a = &device.adapter;
    let measured = match error {
        None => pollster::block_on(measure_limits(device)).ok(),
        Some(_) => None,
    };
    json!({
        "program": adapter_cache::build(),
        "system": {
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "threads": std::thread::available_parallelism().map_or(1, usize::from),
        },
        "adapter": {
            "name": a.name, "driver": a.driver, "backend": a.backend, "kind": a.kind, "software": a.software,
            "max_binding_bytes": a.max_binding, "max_bindings": a.max_bindings,
            "workgroup_memory_bytes": a.workgroup_memory, "workgroup_threads": a.workgroup_threads,
            "timestamps": a.timestamps, "limits": device.limits(),
        },
        "measured": measured.map(|m| json!({"gflops": 1e-9 * m.flops, "gbytes": 1e-9 * m.bytes})),
        "models": models,
        "compared": compared,
        "faults": faults,
        "error": error,
        "verdict": match (error, faults) {
            (Some(_), _) => "ended early",
            (None, []) => "passed",
            (None, _) => "failed",
        },
    })
}
