//! A step as a Chrome trace (the JSON that Perfetto and chrome://tracing open): a track of the device and one of the host.

use serde_json::{Value, json};
use wgrnn::exec::gpu::{HostPhase, Traced};
use wgrnn::exec::profile::between;
use wgrnn::op::Plan;

const DEVICE: u32 = 1;
const HOST: u32 = 2;

/// The events of one timed step. The clocks of device and host have no common zero: the device's track is laid so that
/// its first kernel begins where the host begins to submit.
pub fn events(traced: &Traced, plan: &Plan, device: &str) -> Value {
    let name = |what: &str, track: u32, name: &str| json!({"ph": "M", "name": what, "pid": 1, "tid": track, "args": {"name": name}});
    let mut events = vec![
        name("process_name", DEVICE, "wgrnn: one training step"),
        name("thread_name", DEVICE, device),
    ];
    if !traced.host.is_empty() {
        events.push(name("thread_name", HOST, "host"));
    }
    let span = |label: &str, track: u32, start: f64, seconds: f64, args: Value| {
        json!({
            "ph": "X", "name": label, "pid": 1, "tid": track, "ts": 1e6 * start, "dur": 1e6 * seconds, "args": args,
        })
    };
    let submitting = traced.host.iter().find(|p| p.0 == HostPhase::Submitting);
    let zero = submitting.map_or(0.0, |p| p.1);
    for (phase, from, to) in &traced.host {
        let label = match phase {
            HostPhase::Inputs => "inputs",
            HostPhase::Waiting => "waiting",
            HostPhase::Recording => "recording",
            HostPhase::Submitting => "submitting",
            HostPhase::Done => "done",
        };
        events.push(span(label, HOST, *from, to - from, json!({})));
    }
    let gaps = between(&traced.spans);
    for (n, of) in traced.spans.iter().enumerate() {
        let op = &plan.ops[of.op];
        let mut args = json!({"operation": op.name(), "kind": op.kind(), "shape": op.shape()});
        // What the device waits before the next kernel begins.
        args["gap_us"] = json!(gaps.get(n).map(|gap| 1e6 * gap));
        events.push(span(&of.label, DEVICE, zero + of.start, of.seconds, args));
    }
    json!({"displayTimeUnit": "ns", "traceEvents": events})
}
