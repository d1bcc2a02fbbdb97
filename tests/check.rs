//! `check` as the means to trust an adapter: its report, its list of adapters that passed, and `train --check`.

mod sandbox;

use sandbox::{Sandbox, build, injected, passed};
use serde_json::Value;

/// One small cell, one small model.
const SMALL: &str = "check --cell lstm --hidden 6 --layers 1 --batch 2 --seq-len 3";
const TINY: &str = "train a.txt --hidden 6 --seq-len 5 --batch 2 --sample-every 0 --steps 2 -q";

/// The program's fault seam is there in debug builds alone.
fn seam() -> bool {
    if !cfg!(debug_assertions) {
        println!("SKIPPED: faults cannot be injected in a release build of the program");
    }
    cfg!(debug_assertions)
}

fn report(sandbox: &Sandbox) -> Value {
    let text = std::fs::read(sandbox.at("report.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn a_report_holds_what_a_bug_report_needs() {
    let sandbox = Sandbox::new();
    let done = injected(&sandbox, &format!("{SMALL} --report report.json"), "");
    assert_eq!(done.code, 0, "{}", done.err);
    let report = report(&sandbox);
    assert_eq!(report["verdict"], "passed");
    assert_eq!(report["error"], Value::Null);
    let program = report["program"].as_str().unwrap();
    assert!(program.starts_with(env!("CARGO_PKG_VERSION")), "{program}");
    for key in ["name", "driver", "backend", "kind", "limits"] {
        let text = report["adapter"][key].as_str().unwrap();
        assert!(!text.is_empty(), "{key}");
    }
    assert!(
        done.out
            .contains(report["adapter"]["name"].as_str().unwrap())
    );
    let limits = report["adapter"]["limits"].as_str().unwrap();
    assert!(
        limits.contains("max_storage_buffer_binding_size"),
        "{limits}"
    );
    for key in ["gflops", "gbytes"] {
        assert!(report["measured"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    let model = &report["models"][0];
    let (rows, speeds) = (&model["rows"], &model["speeds"]);
    assert!(rows.as_array().unwrap().len() > 10);
    let operations = |list: &Value| -> Vec<String> {
        let name = |row: &Value| row["operation"].as_str().unwrap().to_string();
        list.as_array().unwrap().iter().map(name).collect()
    };
    let mut compared = operations(rows);
    compared.dedup();
    for (speed, name) in speeds.as_array().unwrap().iter().zip(operations(speeds)) {
        assert!(speed["us"].as_f64().unwrap() > 0.0, "{speed}");
        assert!(
            compared.contains(&name),
            "{name} was timed and not compared"
        );
    }
    assert!(!operations(speeds).is_empty());
    // A part of the check is no reason to trust an adapter.
    assert!(!sandbox.at("cache/wgrnn").exists());
}

#[test]
fn a_report_is_written_where_the_check_fails() {
    if !seam() {
        return;
    }
    let sandbox = Sandbox::new();
    let args = format!("{SMALL} --report report.json");
    let done = injected(&sandbox, &args, "wrong");
    assert_eq!(done.code, 1, "{}", done.err);
    let wrong = report(&sandbox);
    assert_eq!(wrong["verdict"], "failed");
    let faults = wrong["faults"].as_array().unwrap();
    assert!(
        faults[0].as_str().unwrap().contains("forward.l0"),
        "{faults:?}"
    );
    let done = injected(&sandbox, &args, "lost-after=1");
    assert_eq!(done.code, 5, "{}", done.err);
    let lost = report(&sandbox);
    assert_eq!(lost["verdict"], "ended early");
    assert!(
        lost["error"].as_str().unwrap().contains("lost"),
        "{}",
        lost["error"]
    );
}

#[test]
fn train_check_trains_nothing_on_a_device_that_is_wrong() {
    let sandbox = Sandbox::new();
    let lines = "the cat sat on a mat\na dog ran\n".repeat(8);
    std::fs::write(sandbox.at("a.txt"), lines).unwrap();
    // Streams with noise and Adam, lines, a large softmax: the run's own model, whatever it is.
    for (n, model) in [
        "--cell gru --layers 2 --dropout 0.2",
        "--lines",
        "--softmax adaptive --cutoffs 4 --sparse lazy",
    ]
    .iter()
    .enumerate()
    {
        let done = injected(
            &sandbox,
            &format!("{TINY} --device gpu {model} --check --out good{n}"),
            "",
        );
        assert_eq!(done.code, 0, "{model}: {}", done.err);
        if !seam() {
            continue;
        }
        let args = format!("{TINY} --device gpu {model} --check --out bad{n}");
        let done = injected(&sandbox, &args, "wrong");
        assert_eq!(done.code, 5, "{model}: {}", done.err);
        for part in ["--check", "forward.l0", "nothing was trained"] {
            assert!(done.err.contains(part), "{model}: {}", done.err);
        }
        assert!(!sandbox.at(&format!("bad{n}")).exists());
    }
    let done = injected(
        &sandbox,
        &format!("{TINY} --device gpu --check --resume good0"),
        "",
    );
    assert_eq!(done.code, 2, "a text and a run's own: {}", done.err);
    let cpu = injected(
        &sandbox,
        &format!("{TINY} --device cpu --check --out cpu"),
        "",
    );
    assert_eq!(cpu.code, 2, "{}", cpu.err);
}

#[test]
fn the_list_of_adapters_that_passed_is_of_this_build_and_a_failure_ends_it() {
    let sandbox = Sandbox::new();
    let adapters = |sandbox: &Sandbox| -> Vec<Value> {
        let done = injected(sandbox, "devices --json", "");
        let all: Value = serde_json::from_str(&done.out).unwrap();
        let list = all["devices"].as_array().unwrap().clone();
        list.into_iter()
            .filter(|d| d.get("checked").is_some())
            .collect()
    };
    let all = adapters(&sandbox);
    let adapter = all.last().expect("an adapter");
    assert_eq!(adapter["checked"], false);
    let build = build();
    let list =
        |build: &str, driver: &Value| passed(&adapter["name"], &adapter["backend"], driver, build);
    std::fs::create_dir_all(sandbox.at("cache/wgrnn")).unwrap();
    let write = |text: &str| std::fs::write(sandbox.at("cache/wgrnn/passed.toml"), text).unwrap();
    let checked = || adapters(&sandbox).last().unwrap()["checked"].clone();
    write(&list("0.1.0 another", &adapter["driver"]));
    assert_eq!(checked(), false, "another build");
    write(&list(&build, &"another".into()));
    assert_eq!(checked(), false, "another driver");
    write("no [[ toml");
    assert_eq!(checked(), false);
    write(&list(&build, &adapter["driver"]));
    assert_eq!(checked(), true);
    let done = injected(
        &sandbox,
        &format!("{SMALL} --device {}", adapter["device"]),
        "",
    );
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(checked(), true, "a part that passes changes nothing");
    if seam() {
        injected(
            &sandbox,
            &format!("{SMALL} --device {}", adapter["device"]),
            "wrong",
        );
        assert_eq!(checked(), false, "a failure ends the trust");
    }
}

/// Kernels that go through several steps: those of one workgroup along the units wait for nobody, and so run anywhere.
#[test]
fn kernels_that_span_workgroups_are_checked_on_demand() {
    let sandbox = Sandbox::new();
    let small = "check --spanning --hidden 8 --batch 3 --seq-len 4";
    let done = injected(&sandbox, &format!("{small} --cell lstm"), "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.contains(" workgroups meet, of 1024"),
        "{}",
        done.out
    );
    assert!(done.out.contains(", spanning workgroups"), "{}", done.out);
    let none = injected(&sandbox, &format!("{small} --cell lstm-ln"), "");
    assert_eq!(none.code, 5, "{}", none.err);
    assert!(
        none.err.contains("no kernel of these models"),
        "{}",
        none.err
    );
    if seam() {
        let wrong = injected(&sandbox, &format!("{small} --cell lstm"), "wrong");
        assert_eq!(wrong.code, 1, "{}", wrong.err);
        assert!(wrong.err.contains("forward.l0 (scan"), "{}", wrong.err);
    }
}
