//! `profile --predict` as a user runs it: what a training step would take on a device that is not there.

mod sandbox;

use sandbox::Sandbox;
use serde_json::Value;
use wgrnn::exec::cost::DeviceTable;

fn number(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or(f64::NAN);
    assert!(number.is_finite(), "{value} is no number");
    number
}

fn sum(rows: &[Value], key: &str) -> f64 {
    rows.iter().map(|row| number(&row[key])).sum()
}

/// A device that is not there: every kernel of the plan as a real adapter goes through it, and what each waits for.
#[test]
fn a_step_is_predicted_for_a_device_that_is_not_there() {
    let sandbox = Sandbox::new();
    let predict = |args: &str| {
        let found = sandbox.ok(&format!("profile --json --predict {args}"));
        serde_json::from_str::<Value>(&found).unwrap()
    };
    let shape = "--cell lstm --hidden 512 --batch 32 --seq-len 25";
    let mut steps = Vec::new();
    for device in DeviceTable::names() {
        let found = predict(&format!("{device} {shape}"));
        let rows = found["kernels"].as_array().unwrap();
        let total = number(&found["total"]["step_ms"]);
        assert!((sum(rows, "ms") - total).abs() <= 1e-9 * total, "{found}");
        assert!((sum(rows, "share") - 1.0).abs() < 1e-9);
        assert_eq!(found["total"]["calls"], 2 * 25 + 8, "{device}");
        let scan = rows.iter().find(|r| r["name"] == "forward.l0.0").unwrap();
        assert_eq!(scan["calls"], 25);
        // A dispatch and eight rounds of loads are the least, and no device takes a tenth of a millisecond.
        let us = number(&scan["us_per_call"]);
        assert!((1.5..100.0).contains(&us), "{device}: {us} us");
        steps.push((device, total));
    }
    // The small ones of the list are slower than the large one.
    let of = |name: &str| steps.iter().find(|s| s.0 == name).unwrap().1;
    assert!(of("h100") < of("v100") && of("h100") < of("a770") && of("h100") < of("m3-max"));
    // A device without latencies to speak of has other limits, one without arithmetic that one.
    let table = |name: &str, changed: [(&str, &str); 2]| {
        let text = include_str!("../assets/devices/h100.toml");
        let line = |line: &str| {
            let new = changed
                .iter()
                .find(|(key, _)| line.starts_with(&format!("{key} =")));
            new.map_or(line.to_string(), |(key, value)| format!("{key} = {value}"))
        };
        let text: Vec<String> = text.lines().map(line).collect();
        std::fs::write(sandbox.at(name), text.join("\n")).unwrap();
        let found = predict(&format!("{name} {shape}"));
        let rows = found["kernels"].as_array().unwrap();
        let scan = rows.iter().find(|r| r["name"] == "forward.l0.0").unwrap();
        scan["bound"].as_str().unwrap().to_string()
    };
    assert_eq!(
        table("slow.toml", [("gflops", "50"), ("cores", "132")]),
        "compute"
    );
    let waits = table("far.toml", [("l2-ns", "9000"), ("memory-ns", "9900")]);
    assert!(["latency", "barriers"].contains(&waits.as_str()), "{waits}");
    assert_eq!(
        table("idle.toml", [("dispatch-us", "90"), ("cores", "132")]),
        "dispatch"
    );
    let told = sandbox.ok("profile --predict m3-max");
    for part in [
        "predicted for Apple M3 Max",
        "not measured",
        "limit",
        "step",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn devices_that_cannot_be_predicted_for_are_errors() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.at("bad.toml"), "cores = 3\n").unwrap();
    for (args, code, part) in [
        ("--predict h200", 2, "h100, v100"),
        ("--predict none.toml", 7, "none.toml"),
        ("--predict bad.toml", 3, "bad.toml"),
        ("--predict h100 --device cpu", 2, "--device"),
        ("--predict h100 --steps 3", 2, "--steps"),
    ] {
        sandbox.refuses(&format!("profile {args}"), code, &[part]);
    }
}
