//! `train --plan`: it writes nothing, its sums hold, and its total is what a run really takes.

use std::fs;

use serde_json::Value;

mod sandbox;
use sandbox::Sandbox;

fn plan(sandbox: &Sandbox, flags: &str) -> Value {
    planned(sandbox, &format!("b.txt {flags}"))
}

/// The plan of a run with these files and flags.
fn planned(sandbox: &Sandbox, args: &str) -> Value {
    let before = sandbox.files();
    let out = sandbox.ok(&format!("train {args} --device cpu --plan --json"));
    assert_eq!(sandbox.files(), before, "it wrote something");
    serde_json::from_str::<Value>(&out).unwrap()["plan"].take()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::write(
        sandbox.at("b.txt"),
        "the quick brown fox jumps\n".repeat(8000),
    )
    .unwrap();
    sandbox
}

fn number(plan: &Value, pointer: &str) -> u64 {
    let value = plan.pointer(pointer).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("{pointer} in {plan}"))
}

#[test]
fn sums_hold_and_sizes_are_those_of_the_model() {
    let sandbox = sandbox();
    let plan = plan(
        &sandbox,
        "--hidden 64 --layers 2 --batch 8 --seq-len 20 --sample-every 0",
    );
    let bytes = plan["bytes"].as_object().unwrap();
    let total = bytes["total"].as_u64().unwrap();
    let sum: u64 = bytes.values().map(|b| b.as_u64().unwrap()).sum();
    assert_eq!(sum, 2 * total);
    // V 21: lstm layers of 4 H (D + H) weights and two biases of 4 H each, a head of V (H + 1).
    let vocab = 21;
    let layer = |width: u64| 4 * 64 * (width + 64 + 2);
    let parameters = layer(vocab) + layer(64) + vocab * 65;
    assert_eq!(number(&plan, "/parameters"), parameters);
    // Adam has two arenas; arenas are padded to whole fours.
    let weights = number(&plan, "/bytes/weights");
    assert!((4 * parameters..4 * parameters + 64).contains(&weights));
    assert_eq!(number(&plan, "/bytes/optimiser"), 2 * weights);
    assert_eq!(number(&plan, "/bytes/states"), 4 * 2 * 2 * 21 * 8 * 64);
    assert_eq!(number(&plan, "/bytes/sampling"), 0);
    assert_eq!(plan["fits"], true);
    assert!(number(&plan, "/largest_batch") >= 8);
}

#[test]
fn the_table_names_every_purpose() {
    let sandbox = sandbox();
    let out = sandbox.ok("train b.txt --device cpu --plan --hidden 16");
    for part in [
        "parameters",
        "weights",
        "gradients",
        "optimiser",
        "states",
        "activations",
        "inputs",
        "evaluation",
        "sampling",
        "checkpoints",
        "text",
        "minibatch",
        "packed",
        "program",
        "total",
        "largest slot",
        "fits cpu",
        "--batch",
    ] {
        assert!(out.contains(part), "no {part} in\n{out}");
    }
}

#[test]
fn pieces_take_a_tenth_of_the_activations() {
    let sandbox = sandbox();
    let flags = "--hidden 32 --batch 2 --seq-len 10000";
    let of = |flags: &str| {
        let plan = plan(&sandbox, flags);
        number(&plan, "/bytes/activations") + number(&plan, "/bytes/states")
    };
    let (whole, pieces) = (of(flags), of(&format!("{flags} --recompute 100")));
    assert!(10 * pieces < whole, "{pieces} of {whole} bytes");
    let fewer = of(&format!("{flags} --recompute 100 --recompute-states 5"));
    assert!(fewer < pieces, "{fewer} and {pieces} bytes");
}

#[test]
fn what_does_not_fit_says_so_and_is_refused_with_the_table() {
    let sandbox = sandbox();
    let huge = "--hidden 65536 --layers 64 --batch 2 --seq-len 5";
    let plan = plan(&sandbox, huge);
    assert_eq!(plan["fits"], false);
    assert!(plan["largest_batch"].is_null());
    let done = sandbox.run(&format!("train b.txt --device cpu {huge}"));
    assert_eq!(done.code, 2);
    for part in [
        "weights",
        "largest slot",
        "does not fit",
        "error: the model",
    ] {
        assert!(done.err.contains(part), "no {part} in\n{}", done.err);
    }
}

#[test]
fn a_resumed_run_may_recompute_and_keeps_its_windows() {
    let sandbox = sandbox();
    let flags = "--device cpu --hidden 8 --batch 2 --seq-len 10 -q";
    sandbox.ok(&format!(
        "train b.txt --out r --steps 4 --accumulate 2 {flags}"
    ));
    sandbox.ok("train --resume r --steps 8 --recompute 5 --recompute-states 1 --device cpu -q");
    sandbox.refuses(
        "train --resume r --steps 12 --accumulate 3 --device cpu",
        2,
        &["--accumulate", "trained with 2"],
    );
}

/// The bytes that are planned for a run, and the peak of its resident set, which Linux tells while a process lives.
#[cfg(target_os = "linux")]
fn planned_and_measured(sandbox: &Sandbox, args: &str, steps: &str) -> (u64, u64) {
    let want = number(&planned(sandbox, args), "/bytes/total");
    let args = format!("train {args} --device cpu --out r -q {steps}");
    let mut child = sandbox.command(&args).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse().ok());
        peak = peak.max(1024 * kib.unwrap_or(0u64));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success(), "{args}");
    fs::remove_dir_all(sandbox.at("r")).unwrap();
    (want, peak)
}

#[cfg(target_os = "linux")]
#[track_caller]
fn within_15_percent(what: &str, (want, peak): (u64, u64)) {
    let error = peak as f64 / want as f64 - 1.0;
    println!(
        "{what}: planned {want}, measured {peak} ({:+.1}%)",
        100.0 * error
    );
    assert!(
        error.abs() < 0.15,
        "{what}: planned {want} bytes, measured {peak}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_total_is_the_measured_peak_within_15_percent() {
    let sandbox = sandbox();
    for flags in [
        "--hidden 384 --layers 2 --batch 16 --seq-len 30",
        "--hidden 128 --batch 16 --seq-len 2000",
        "--hidden 128 --batch 16 --seq-len 2000 --recompute 50 --accumulate 2",
    ] {
        let steps = "--steps 2 --eval-every 1 --sample-every 1 --save-every 1";
        let found = planned_and_measured(&sandbox, &format!("b.txt {flags}"), steps);
        within_15_percent(flags, found);
    }
}

/// Of a series most may be what the host fills in, which it holds beside the slots.
#[cfg(target_os = "linux")]
#[test]
fn the_total_of_a_series_is_the_measured_peak_within_15_percent() {
    let sandbox = sandbox();
    let row = |n: usize| format!("{},{},{}\n", n % 7, n % 11, n % 13);
    let rows: String = (0..4000).map(row).collect();
    fs::write(sandbox.at("s.csv"), format!("a,b,c\n{rows}")).unwrap();
    let model =
        "field past: reals\nh = rnn(window(past, 24))\nloss squared(linear(h), next(past))\n";
    fs::write(sandbox.at("own.model"), model).unwrap();
    for flags in [
        "--model own.model s.csv --context 200 --hidden 16 --batch 512 --stride 5",
        "--model forecast s.csv --context 200 --hidden 96 --batch 128 --stride 20",
    ] {
        let steps = "--steps 2 --eval-every 1 --save-every 1";
        within_15_percent(flags, planned_and_measured(&sandbox, flags, steps));
    }
}

/// Of pairs of one length, so that no row of a slot is left untouched: such rows are planned and never lie in memory.
#[cfg(target_os = "linux")]
#[test]
fn the_total_of_pairs_is_the_measured_peak_within_15_percent() {
    let sandbox = sandbox();
    let sentence = |n: usize| (0..20).map(move |k| format!("w{}", (31 * n + 7 * k) % 1500));
    let text = |n: usize| sentence(n).collect::<Vec<String>>().join(" ");
    let pairs: String = (0..500)
        .map(|n| format!("{}\t{}\n", text(n), text(n + 3)))
        .collect();
    fs::write(sandbox.at("p.tsv"), pairs).unwrap();
    let files = "p.tsv --valid p.tsv --columns source=1,target=2 --vocab word";
    let flags = format!("--model translate-feed {files} --hidden 96 --embed 64 --batch 64");
    let steps = "--steps 2 --eval-every 1 --save-every 1";
    within_15_percent(
        "translate-feed",
        planned_and_measured(&sandbox, &flags, steps),
    );
}
