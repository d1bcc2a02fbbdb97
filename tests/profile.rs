//! `profile` as a user runs it, on the CPU and on a (software) adapter: what it prints adds up, names every kernel once,
//! and its trace opens.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use wgrnn::cell::library;
use wgrnn::exec::Device;
use wgrnn::exec::gpu::{self, AdapterChoice, Gpu, Tile};
use wgrnn::exec::profile::profile;
use wgrnn::model::{Dims, Mode, Spec, Update};
use wgrnn::op::{Hyper, Plan, Rule};
use wgrnn::task::Inputs;

/// Two layers of a cell with two stages, small.
const TINY: &str = "--cell gru-cho --hidden 8 --layers 2 --seq-len 5 --batch 3 --vocab-size 11 --dropout 0.1 --steps 5";

fn plan() -> Plan {
    let cell = Arc::new(library::builtin("gru-cho").unwrap());
    let spec = Spec {
        vocab: 11,
        cells: vec![cell; 2],
        hidden: 8,
        dropout: 0.1,
        ..Spec::default()
    };
    let update = Update {
        rule: Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        },
        clip_norm: 0.0,
        clip_value: 0.0,
    };
    spec.plan(Dims { steps: 5, batch: 3 }, Mode::Train(update))
        .unwrap()
}

fn wgrnn(folder: &Path, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgrnn"))
        .args(args.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn ok(folder: &Path, args: &str) -> String {
    let done = wgrnn(folder, args);
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{args}: {err}");
    String::from_utf8(done.stdout).unwrap()
}

/// The profile on a device, and its trace.
fn profiled(device: &str) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let args = format!("profile {TINY} --device {device} --json --trace step.json");
    let out = ok(folder.path(), &args);
    let trace = std::fs::read(folder.path().join("step.json")).unwrap();
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "only the trace is written: {names:?}");
    (
        serde_json::from_str(&out).unwrap(),
        serde_json::from_slice(&trace).unwrap(),
    )
}

/// The paths of all leaves with their types; elements of an array count once.
fn schema(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                schema(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(all) => {
            for value in all {
                schema(value, &format!("{path}[]"), found);
            }
        }
        Value::Null => drop(found.insert(format!("{path}: null"))),
        Value::Bool(_) => drop(found.insert(format!("{path}: bool"))),
        Value::Number(_) => drop(found.insert(format!("{path}: number"))),
        Value::String(_) => drop(found.insert(format!("{path}: string"))),
    }
}

/// The schema, but for the settings, which are those of training.
fn shown(value: &Value) -> String {
    let mut value = value.clone();
    let settings = value["settings"].take();
    for (name, want) in [("hidden", Value::from(8)), ("dropout", 0.1.into())] {
        assert_eq!(settings[name], want, "{settings}");
    }
    let mut found = BTreeSet::new();
    schema(&value, "", &mut found);
    found.into_iter().collect::<Vec<_>>().join("\n")
}

fn number(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or(f64::NAN);
    assert!(number.is_finite(), "{value} is no number");
    number
}

fn sum(rows: &[Value], key: &str) -> f64 {
    rows.iter().map(|row| number(&row[key])).sum()
}

/// What holds for a profile on any device.
fn sound(found: &Value) {
    for key in ["gflops", "gbytes"] {
        let limit = number(&found["limits"][key]);
        assert!(limit > 0.0, "{key}: {limit}");
    }
    let rows = found["kernels"].as_array().unwrap();
    let total = &found["total"];
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
    assert!(near(sum(rows, "ms"), number(&total["ms"])), "{found}");
    assert!(near(sum(rows, "calls"), number(&total["calls"])));
    assert!(near(sum(rows, "share"), 1.0));
    let within = number(&total["ms"]) <= number(&total["timed_step_ms"]);
    assert!(within, "kernels take longer than their step: {total}");
    assert!(number(&total["ms"]) > 0.0 && number(&total["step_ms"]) > 0.0);
    for key in ["gflops", "gbytes"] {
        let weighted: f64 = rows
            .iter()
            .map(|r| number(&r[key]) * number(&r["ms"]))
            .sum();
        let whole = number(&total[key]) * number(&total["ms"]);
        assert!(near(weighted, whole), "{key}: {weighted} and {whole}");
    }
    let times: Vec<f64> = rows.iter().map(|r| number(&r["ms"])).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    for row in rows {
        let shares = ["gflops", "gbytes"].map(|k| number(&row[k]) / number(&found["limits"][k]));
        let share = number(&row["limit_share"]);
        assert!(near(shares[0].max(shares[1]), share), "{row}");
        let nearer = ["memory", "compute"][usize::from(shares[0] > shares[1])];
        let bound = if share < 0.25 { "latency" } else { nearer };
        assert_eq!(row["bound"], bound, "{row}");
    }
}

fn names(found: &Value) -> Vec<String> {
    let rows = found["kernels"].as_array().unwrap();
    let mut names: Vec<String> = rows
        .iter()
        .map(|r| r["name"].as_str().unwrap().into())
        .collect();
    names.sort();
    names
}

/// The spans of a track: name, start and end in microseconds.
fn track(trace: &Value, track: u64) -> Vec<(String, f64, f64)> {
    let events = trace["traceEvents"].as_array().unwrap();
    let spans = events
        .iter()
        .filter(|e| e["ph"] == "X" && e["tid"] == track);
    spans
        .map(|e| {
            let (start, length) = (number(&e["ts"]), number(&e["dur"]));
            assert!(start >= 0.0 && length >= 0.0, "{e}");
            (e["name"].as_str().unwrap().into(), start, start + length)
        })
        .collect()
}

fn apart(spans: &[(String, f64, f64)]) {
    for pair in spans.windows(2) {
        // Rounding of the sum of start and length; a clock's tick is a thousand times as long.
        assert!(pair[0].2 <= pair[1].1 + 1e-6, "{pair:?} overlap");
    }
}

#[test]
fn on_the_cpu_every_operation_is_a_row() {
    let (found, trace) = profiled("cpu");
    sound(&found);
    let plan = plan();
    let mut want: Vec<String> = plan.ops.iter().map(|op| op.name().to_string()).collect();
    want.sort();
    assert_eq!(names(&found), want);
    let spans = track(&trace, 1);
    apart(&spans);
    let order: Vec<&str> = spans.iter().map(|s| s.0.as_str()).collect();
    let plan_order: Vec<&str> = plan.ops.iter().map(|op| op.name()).collect();
    assert_eq!(order, plan_order);
    insta::assert_snapshot!(shown(&found), @r"
    .clock: string
    .date: string
    .device: string
    .driver: null
    .gaps: null
    .host: null
    .kernels[].bound: string
    .kernels[].calls: number
    .kernels[].gbytes: number
    .kernels[].gflops: number
    .kernels[].kind: string
    .kernels[].limit_share: number
    .kernels[].ms: number
    .kernels[].name: string
    .kernels[].shape: string
    .kernels[].share: number
    .kernels[].spread_ms: number
    .limits.gbytes: number
    .limits.gflops: number
    .model.batch: number
    .model.cell: string
    .model.embed: number
    .model.hidden: number
    .model.layers: number
    .model.minibatch: string
    .model.model: string
    .model.optimizer: string
    .model.parameters: number
    .model.seq_len: number
    .model.vocab: number
    .program: string
    .settings: null
    .steps: number
    .tile: null
    .total.calls: number
    .total.gbytes: number
    .total.gflops: number
    .total.ms: number
    .total.step_ms: number
    .total.timed_step_ms: number
    .trace: string
    ");
}

#[test]
fn on_an_adapter_every_kernel_is_a_row() {
    let (found, trace) = profiled("gpu");
    sound(&found);
    let plan = plan();
    let sources = Gpu::sources(&plan, &Tile::SOFTWARE).unwrap();
    let mut want: Vec<String> = sources.into_iter().map(|s| s.0).collect();
    want.sort();
    assert_eq!(found["clock"], "device", "the adapter has no timestamps");
    assert_eq!(names(&found), want);
    let dispatches = number(&found["host"]["dispatches"]);
    assert_eq!(dispatches, number(&found["total"]["calls"]));
    // Two stages a step, two layers, forward; each of them once a step.
    for row in found["kernels"].as_array().unwrap() {
        if row["name"].as_str().unwrap().starts_with("forward.l") {
            assert_eq!(row["calls"], 5, "{row}");
        }
    }
    let spans = track(&trace, 1);
    assert_eq!(spans.len() as f64, dispatches);
    apart(&spans);
    // Kernels and the gaps between them fill the device's time, and the table's gaps are those of a step like it.
    let gaps: f64 = trace["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["args"]["gap_us"].as_f64())
        .sum();
    let kernels: f64 = spans.iter().map(|s| s.2 - s.1).sum();
    let whole = spans[spans.len() - 1].2 - spans[0].1;
    assert!((kernels + gaps - whole).abs() <= 1e-6 * whole, "{gaps} us");
    let told = &found["gaps"];
    assert_eq!(number(&told["count"]), dispatches - 1.0);
    let all = number(&told["ms"]) + number(&found["total"]["ms"]);
    assert!(all <= number(&found["total"]["timed_step_ms"]), "{told}");
    let [median, longest] = ["median_us", "longest_us"].map(|k| number(&told[k]));
    assert!(
        median <= longest && longest <= 1e3 * number(&told["ms"]),
        "{told}"
    );
    assert!(names(&found).contains(&told["after"].as_str().unwrap().to_string()));
    // A device is not at work for longer than the step takes.
    let host = &found["host"];
    let share = number(&host["device_share"]);
    assert!(share > 0.0 && share <= 1.0, "{host}");
    assert!(number(&host["longest_submission_ms"]) <= number(&host["device_ms"]) * 20.0);
    assert!(number(&host["submissions"]) >= 1.0, "{host}");
    let host = track(&trace, 2);
    apart(&host);
    for phase in ["recording", "submitting"] {
        assert!(host.iter().any(|s| s.0 == phase), "{phase}: {host:?}");
    }
    insta::assert_snapshot!(shown(&found), @r"
    .clock: string
    .date: string
    .device: string
    .driver: string
    .gaps.after: string
    .gaps.count: number
    .gaps.longest_us: number
    .gaps.median_us: number
    .gaps.ms: number
    .host.device_ms: number
    .host.device_share: number
    .host.dispatches: number
    .host.inputs_ms: number
    .host.longest_submission_ms: number
    .host.recording_ms: number
    .host.submissions: number
    .host.submitting_ms: number
    .host.us_per_dispatch: number
    .host.waiting_ms: number
    .kernels[].bound: string
    .kernels[].calls: number
    .kernels[].gbytes: number
    .kernels[].gflops: number
    .kernels[].kind: string
    .kernels[].limit_share: number
    .kernels[].ms: number
    .kernels[].name: string
    .kernels[].shape: string
    .kernels[].share: number
    .kernels[].spread_ms: number
    .limits.gbytes: number
    .limits.gflops: number
    .model.batch: number
    .model.cell: string
    .model.embed: number
    .model.hidden: number
    .model.layers: number
    .model.minibatch: string
    .model.model: string
    .model.optimizer: string
    .model.parameters: number
    .model.seq_len: number
    .model.vocab: number
    .program: string
    .settings: null
    .steps: number
    .tile.sizes.cooperative: number
    .tile.sizes.fewest: number
    .tile.sizes.flat: number
    .tile.sizes.full: number
    .tile.sizes.group: number
    .tile.sizes.lanes: number
    .tile.sizes.matrices: number
    .tile.sizes.merged: bool
    .tile.sizes.part_depth: number
    .tile.sizes.product_columns: number
    .tile.sizes.product_rows: number
    .tile.sizes.scan_rows: number
    .tile.sizes.scan_units[]: number
    .tile.sizes.shared: bool
    .tile.sizes.slice_rows[]: number
    .tile.sizes.slices[]: number
    .tile.sizes.span: number
    .tile.sizes.subgroup: number
    .tile.sizes.unchecked: bool
    .tile.sizes.vector: bool
    .tile.sizes.wavefront_steps: number
    .tile.tuned: bool
    .total.calls: number
    .total.gbytes: number
    .total.gflops: number
    .total.ms: number
    .total.step_ms: number
    .total.timed_step_ms: number
    .trace: string
    ");
}

/// An adapter that cannot time its kernels: the host's clock around whole operations serves.
#[test]
fn without_timestamps_every_operation_is_a_row() {
    let mut device = pollster::block_on(gpu::GpuDevice::open(&AdapterChoice::Gpu))
        .unwrap()
        .unwrap();
    Arc::get_mut(&mut device).unwrap().adapter.timestamps = false;
    let plan = Arc::new(plan());
    let inputs = Inputs::new(&[1; 18])
        .draws([1, 2], 0)
        .reset(true)
        .hyper(Hyper {
            lr: 0.0,
            scale: 0.1,
            update: 1.0,
            correction1: 0.1,
            correction2: 0.001,
        });
    let parameters = vec![0.1; plan.arena];
    let device = Device::Gpu(device);
    let found = profile(&device, plan.clone(), &parameters, &inputs, 4);
    let found = pollster::block_on(found).unwrap();
    assert!(!found.timestamps);
    let rows: Vec<&str> = found.rows.iter().map(|r| r.label.as_str()).collect();
    let want: Vec<&str> = plan.ops.iter().map(|op| op.name()).collect();
    assert_eq!(rows, want);
    for (row, op) in found.rows.iter().zip(&plan.ops) {
        assert_eq!((row.calls, row.cost), (1, op.cost()), "{}", row.label);
        assert!(row.seconds > 0.0, "{row:?}");
    }
    let sum: f64 = found.rows.iter().map(|r| r.seconds).sum();
    assert!(sum <= found.timed, "{sum} s in {} s", found.timed);
    assert!(found.limits.flops > 0.0 && found.limits.flops.is_finite());
    assert!(found.limits.bytes > 0.0 && found.limits.bytes.is_finite());
}

/// What an operation's kernels cost is what the operation costs, one cost for each kernel.
#[test]
fn costs_of_kernels_add_up() {
    let plan = plan();
    for op in &plan.ops {
        let costs = op.costs();
        let whole: wgrnn::op::Cost = costs.iter().copied().sum();
        assert_eq!(whole, op.cost(), "{}", op.name());
        let single = Plan {
            ops: vec![op.clone()],
            ..plan.clone()
        };
        let kernels = Gpu::sources(&single, &Tile::SOFTWARE).unwrap();
        assert_eq!(kernels.len(), costs.len(), "{}", op.name());
        let moved = costs.iter().all(|c| c.bytes > 0.0);
        assert!(moved, "{} has a kernel that touches nothing", op.name());
    }
}

#[test]
fn the_table_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let out = ok(folder.path(), &format!("profile {TINY} --device cpu"));
    for part in ["gru-cho: 2 x H 8", "limits: ", "forward.l0", "of the limit"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let cells = |line: &str| -> Vec<f64> {
        let words = line.split_whitespace().skip(1).take(3);
        words
            .map(|w| w.trim_end_matches('%').parse().unwrap())
            .collect()
    };
    let mut lines = out.lines().skip_while(|l| !l.starts_with("kernel"));
    let rows: Vec<&str> = lines
        .by_ref()
        .skip(1)
        .take_while(|l| !l.is_empty())
        .collect();
    let (last, rows) = rows.split_last().unwrap();
    assert!(last.starts_with("total"), "{out}");
    for column in 0..3 {
        let sum: f64 = rows.iter().map(|r| cells(r)[column]).sum();
        // Each row and the total are rounded to a tenth of a percent or a ten-thousandth of a millisecond.
        let rounding = (rows.len() + 1) as f64 * [0.0, 5e-5, 0.05][column] + 1e-9;
        let off = (sum - cells(last)[column]).abs();
        assert!(off <= rounding, "column {column} is off by {off}: {out}");
    }
}

#[test]
fn a_run_brings_its_settings_its_cell_and_its_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let cells = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/cells");
    std::fs::copy(cells.join("rnn.cell"), at("own.cell")).unwrap();
    std::fs::write(at("a.txt"), "abcdef ".repeat(40)).unwrap();
    let train = "train a.txt --steps 1 --cell own.cell --hidden 6 --batch 2 --seq-len 5 --device cpu --out r -q";
    ok(folder.path(), train);
    // The cell's text is in the run.
    std::fs::remove_file(at("own.cell")).unwrap();
    let model = |args: &str| -> Value {
        let out = ok(
            folder.path(),
            &format!("profile r --device cpu --steps 1 --json {args}"),
        );
        let found: Value = serde_json::from_str(&out).unwrap();
        found["model"].clone()
    };
    let own = model("");
    for (key, want) in [("hidden", 6), ("batch", 2), ("seq_len", 5), ("vocab", 7)] {
        assert_eq!(own[key], want, "{key}: {own}");
    }
    assert_eq!(own["cell"], "own");
    let changed = model("--hidden 8 --cell gru");
    assert_eq!(
        (&changed["hidden"], &changed["cell"]),
        (&8.into(), &"gru".into())
    );
    let done = wgrnn(folder.path(), "profile r --vocab-size 9");
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{err}");
    assert!(err.contains("--vocab-size"), "{err}");
}

/// The flags of `train` that change what a step computes change what is profiled.
#[test]
fn the_model_has_all_flags_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let shapes = |flags: &str, device: &str| -> BTreeSet<String> {
        let args = format!("profile {TINY} --device {device} --json {flags}");
        let found: Value = serde_json::from_str(&ok(folder.path(), &args)).unwrap();
        let row = |r: &Value| format!("{} {}", r["name"], r["shape"]);
        found["kernels"]
            .as_array()
            .unwrap()
            .iter()
            .map(row)
            .collect()
    };
    let plain = shapes("", "cpu");
    for (flags, part) in [
        ("--lines", ""),
        ("--lines --batch-tokens 20", ""),
        ("--lines --pad", ""),
        ("--softmax adaptive --cutoffs 5", "head"),
        (
            "--softmax sampled --samples 4 --sparse lazy --embed 6",
            "head",
        ),
        ("--zoneout 0.2", ""),
        ("--dropout-weights 0.3 --temporal-penalty 0.1", "penalty"),
        ("--recompute 1 --accumulate 2", ""),
    ] {
        let found = shapes(flags, "cpu");
        if !flags.contains("zoneout") && !flags.contains("pad") {
            assert!(found != plain, "{flags} changes nothing");
        }
        assert!(
            found.iter().any(|row| row.contains(part)),
            "{flags}: {found:?}"
        );
        // Each asks the adapter for its limits, which takes seconds in software.
        if ["--lines", "--lines --pad"].contains(&flags) || flags.contains("sampled") {
            assert!(!shapes(flags, "gpu").is_empty());
        }
    }
}

/// A profile of the tiny model on the CPU beside an earlier one, of which `change` makes another: what is said of it, and
/// the errors and warnings.
fn against(folder: &Path, change: impl Fn(&mut Value)) -> (Value, String) {
    let then = ok(folder, &format!("profile {TINY} --device cpu --json"));
    let mut then: Value = serde_json::from_str(&then).unwrap();
    change(&mut then);
    std::fs::write(folder.join("then.json"), then.to_string()).unwrap();
    let args = format!("profile {TINY} --device cpu --json --against then.json");
    let done = wgrnn(folder, &args);
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{err}");
    let now: Value = serde_json::from_slice(&done.stdout).unwrap();
    sound(&now);
    (now, err)
}

#[test]
fn a_saved_profile_stands_beside_the_present_one() {
    let folder = tempfile::tempdir().unwrap();
    let (now, _) = against(folder.path(), |then| {
        let kernels = then["kernels"].as_array_mut().unwrap();
        for kernel in kernels.iter_mut() {
            match kernel["name"].as_str().unwrap() {
                "update" => kernel["name"] = "older".into(),
                // More than all that the machine may do meanwhile.
                "loss" => kernel["ms"] = 1e6.into(),
                _ => {}
            }
        }
        let total: f64 = kernels.iter().map(|k| number(&k["ms"])).sum();
        then["total"]["ms"] = total.into();
    });
    let found = &now["against"];
    let rows = found["kernels"].as_array().unwrap();
    let row = |name: &str| {
        let mut same = rows.iter().filter(|r| r["name"] == name);
        let row = same.next().unwrap_or_else(|| panic!("no {name}: {found}"));
        assert!(same.next().is_none(), "{name} twice: {found}");
        row
    };
    assert_eq!(rows.len(), now["kernels"].as_array().unwrap().len() + 1);
    assert_eq!(rows[0]["name"], "loss", "the biggest change is first");
    let loss = row("loss");
    assert_eq!(
        (&loss["then_ms"], &loss["marked"]),
        (&1e6.into(), &true.into())
    );
    assert!(number(&loss["ratio"]) < 1e-2, "{loss}");
    assert_eq!(row("older")["now_ms"], Value::Null);
    assert_eq!(row("update")["then_ms"], Value::Null);
    // One percent of a million milliseconds is far above what anything else changed by.
    let marked = rows.iter().filter(|r| r["marked"] == true).count();
    assert_eq!(marked, 1, "{found}");
    for (key, of) in [("total", "ms"), ("step", "step_ms")] {
        let part = &found[key];
        let now_ms = number(&now["total"][of]);
        assert_eq!(number(&part["now_ms"]), now_ms, "{part}");
        let want = now_ms / number(&part["then_ms"]);
        assert!(
            (number(&part["ratio"]) - want).abs() <= 1e-9 * want,
            "{part}"
        );
    }
    let changes = sum(rows, "change_ms");
    let all = number(&found["total"]["now_ms"]) - number(&found["total"]["then_ms"]);
    assert!(
        (changes - all).abs() <= 1e-6 * all.abs(),
        "{changes}, {all}"
    );
    let args = format!("profile {TINY} --device cpu --against then.json");
    let table = ok(folder.path(), &args);
    for part in ["against then.json: 20", "older", "gone", "new", "<- less"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn what_is_not_alike_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let (now, err) = against(folder.path(), |then| {
        then["device"] = "another one".into();
        then["model"]["hidden"] = 16.into();
        then["settings"]["hidden"] = 16.into();
        then["settings"]["tie"] = true.into();
    });
    let want = [
        "another device: another one then, cpu",
        "another model: hidden 16 then, 8 now",
        "another setting: tie true then, false now",
    ];
    let differs = now["against"]["differs"].as_array().unwrap();
    assert_eq!(differs.len(), want.len(), "{differs:?}");
    for (difference, want) in differs.iter().zip(want) {
        assert!(
            difference.as_str().unwrap().starts_with(want),
            "{difference}"
        );
        assert!(
            err.contains(&format!("warning: then.json: {want}")),
            "{err}"
        );
    }
}

#[test]
fn what_is_no_profile_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = ok(
        folder.path(),
        &format!("profile {TINY} --device cpu --json"),
    );
    let changed = |change: fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&whole).unwrap();
        change(&mut value);
        value.to_string()
    };
    for (content, part) in [
        (String::new(), "EOF"),
        ("not JSON".into(), "expected"),
        ("{}".into(), "missing field `program`"),
        (whole[..whole.len() / 2].into(), "EOF"),
        (changed(|v| v["kernels"] = 3.into()), "invalid type"),
        (changed(|v| v["kernels"][0]["ms"] = (-1).into()), ": -1"),
        (
            changed(|v| v["kernels"][0]["ms"] = 77.into()),
            "with a total of",
        ),
        (changed(|v| v["total"]["step_ms"] = Value::Null), "null"),
    ] {
        std::fs::write(folder.path().join("bad.json"), content).unwrap();
        // An adapter that does not exist: the file is read before anything is measured.
        let done = wgrnn(folder.path(), "profile --against bad.json --device nosuch");
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(3), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        for part in [
            "bad.json: expected what `wgrnn profile --json` prints",
            part,
        ] {
            assert!(err.contains(part), "{part}: {err}");
        }
    }
}

#[test]
fn faults_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code, part) in [
        (
            "--steps 1 --hidden 4 --device cpu --trace no/step.json",
            7,
            "no/step.json",
        ),
        ("--device cpu --cell none", 2, "none"),
        ("--device cpu --hidden 0", 2, "hidden"),
        ("--device cpu --steps 0", 2, "--steps"),
        ("--device nosuch", 5, "nosuch"),
        ("nowhere --device cpu", 4, "nowhere"),
        ("--device cpu --against no.json", 7, "no.json"),
    ] {
        let done = wgrnn(folder.path(), &format!("profile {args}"));
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{args}: {err}");
        assert!(err.contains(part), "{args}: {err}");
    }
}
