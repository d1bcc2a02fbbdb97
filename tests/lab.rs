//! `lab` as a user meets it: its list, a run of an experiment, and refusals.

mod sandbox;

use std::fs;

use sandbox::Sandbox;
use wgrnn::lab::EXPERIMENTS;

#[test]
fn the_list_has_every_experiment() {
    let list = Sandbox::new().ok("lab");
    for (line, experiment) in list.lines().zip(EXPERIMENTS) {
        assert!(
            line.starts_with(experiment.name()) && line.ends_with(experiment.about()),
            "{line}"
        );
    }
    assert_eq!(list.lines().count(), EXPERIMENTS.len());
}

#[test]
fn bad_input_exits_2_before_anything_is_measured() {
    let sandbox = Sandbox::new();
    let names: Vec<&str> = EXPERIMENTS.iter().map(|e| e.name()).collect();
    let mut parts = vec![
        "unknown experiment `latsch`",
        "did you mean `latch`",
        "or all",
    ];
    parts.extend(names);
    sandbox.refuses("lab latsch", 2, &parts);
    sandbox.refuses(
        "lab --seed 2",
        2,
        &["--seed", "name of an experiment", "latch"],
    );
    fs::create_dir(sandbox.at("full")).unwrap();
    fs::write(sandbox.at("full/a.txt"), "kept").unwrap();
    sandbox.refuses(
        "lab latch --out full",
        2,
        &["--out full", "new folder", "settings.toml"],
    );
    // The last one's folder is looked at before the first one runs.
    let last = EXPERIMENTS[EXPERIMENTS.len() - 1].name();
    fs::create_dir_all(sandbox.at(&format!("all/{last}"))).unwrap();
    fs::write(sandbox.at(&format!("all/{last}/a.txt")), "kept").unwrap();
    sandbox.refuses("lab all --out all", 2, &["--out", last]);
    fs::remove_dir_all(sandbox.at("all")).unwrap();
    fs::create_dir(sandbox.at("all")).unwrap();
    fs::write(sandbox.at("all/index.html"), "<p>mine").unwrap();
    sandbox.refuses("lab all --out all", 2, &["--out", "index.html"]);
    assert_eq!(sandbox.run("lab latch --quick --full").code, 2);
}

/// A run that is killed at any moment leaves what it has measured, and the same command goes on.
#[test]
fn a_killed_run_goes_on() {
    let sandbox = Sandbox::new();
    let go = "lab gradient-flow --out flow";
    let before = sandbox.killed_after(go, "flow/points.jsonl", 2);
    let measured = before.lines().count();
    assert!((2..32).contains(&measured), "{measured}");
    sandbox.ok(go);
    let after = fs::read_to_string(sandbox.at("flow/points.jsonl")).unwrap();
    assert!(after.starts_with(&before));
    assert_eq!(after.lines().count(), 32);
}

/// Pieces of notes and pens' strokes, each a line.
fn own_files(sandbox: &Sandbox) {
    let lines = |count: u64, line: &dyn Fn(u64) -> String| -> String {
        (0..count).map(|n| line(n) + "\n").collect()
    };
    let notes = |n: u64| format!("[[60,{}],[{}],[],[62]]", 64 + n % 3, 61 + n % 5);
    fs::write(sandbox.at("pieces.jsonl"), lines(30, &notes)).unwrap();
    fs::write(sandbox.at("others.jsonl"), lines(7, &notes)).unwrap();
    let pens = |n: u64| format!("[[{n},-3.5,0],[40.0,{n},0],[1,2,1]]");
    fs::write(sandbox.at("pens.jsonl"), lines(40, &pens)).unwrap();
}

#[test]
fn files_that_are_no_task_are_refused() {
    let sandbox = Sandbox::new();
    own_files(&sandbox);
    fs::write(
        sandbox.at("wide.jsonl"),
        "[[1,2,3,4],[1,2,3,5]]\n".repeat(9),
    )
    .unwrap();
    fs::write(sandbox.at("one.jsonl"), "[[60],[61]]\n").unwrap();
    fs::write(sandbox.at("short.jsonl"), "[[60],[61]]\n[[60]]\n").unwrap();
    fs::write(sandbox.at("bad.jsonl"), "[[60],[61]]\n[[60\n").unwrap();
    for (args, code, parts) in [
        (
            "variants pieces.jsonl",
            2,
            &["expected MODEL=FILE", "got pieces.jsonl"][..],
        ),
        ("variants chorale=", 2, &["expected MODEL=FILE", "chorale="]),
        (
            "variants choral=pieces.jsonl",
            2,
            &["unknown model `choral`", "chorale"],
        ),
        ("variants chorale=none.jsonl", 7, &["none.jsonl"]),
        ("variants chorale=bad.jsonl", 3, &["bad.jsonl", "line 2"]),
        (
            "variants chorale=one.jsonl",
            3,
            &["one.jsonl", "at least 2 examples", "found 1"],
        ),
        (
            "variants chorale=pieces.jsonl chorale=short.jsonl",
            3,
            &["short.jsonl: line 2: field notes", "more than 1 steps"],
        ),
        (
            "variants chorale=pieces.jsonl --valid chorale=short.jsonl",
            3,
            &["short.jsonl: line 2: field notes", "more than 1 steps"],
        ),
        (
            "variants translate=pieces.jsonl",
            2,
            &["translate", "numbers or notes", "source"],
        ),
        (
            "variants bag-of-words=pieces.jsonl",
            2,
            &["bag-of-words", "found"],
        ),
        (
            "variants strokes=wide.jsonl",
            3,
            &["strokes", "wide.jsonl", "multiple of 3", "(4)"],
        ),
        (
            "variants chorale=pieces.jsonl --valid strokes=pens.jsonl",
            2,
            &["--valid strokes=", "files to train on"],
        ),
        (
            "latch chorale=pieces.jsonl",
            2,
            &["latch", "no files", "variants"],
        ),
        (
            "all chorale=pieces.jsonl",
            2,
            &["all", "no files", "variants"],
        ),
        (
            "latsch chorale=pieces.jsonl",
            2,
            &["latsch", "did you mean `latch`"],
        ),
    ] {
        sandbox.refuses(&format!("lab {args}"), code, parts);
    }
    assert!(!sandbox.at("lab").exists());
}

/// Two tasks of files: points say which files, others are another run, and what was measured is kept.
#[test]
fn variants_are_tried_on_files() {
    let sandbox = Sandbox::new();
    own_files(&sandbox);
    let files = "chorale=pieces.jsonl strokes=pens.jsonl";
    let go = format!("lab variants {files} --valid chorale=others.jsonl --out tried");
    let points = sandbox.killed_after(&go, "tried/points.jsonl", 2);
    for line in points.lines() {
        let point: serde_json::Value = serde_json::from_str(line).unwrap();
        let (point, nats) = (&point["point"], &point["result"]["nats"]);
        let music = point["task"] == "chorale";
        assert!(music || point["task"] == "strokes", "{line}");
        // A tenth of 40 is held out where no file is; notes have no noise.
        let counts = if music { (30, 7) } else { (36, 4) };
        assert_eq!(
            (point["examples"].as_u64(), point["held_out"].as_u64()),
            (Some(counts.0), Some(counts.1))
        );
        assert_eq!(point["noise"].as_f64() == Some(0.0), music, "{line}");
        assert!(nats.as_f64().is_some_and(f64::is_finite), "{line}");
    }
    let settings = fs::read_to_string(sandbox.at("tried/settings.toml")).unwrap();
    for part in [
        "pieces.jsonl (blake3 ",
        "held out others.jsonl",
        "strokes=pens.jsonl",
    ] {
        assert!(settings.contains(part), "{settings}");
    }
    let text = fs::read_to_string(sandbox.at("pens.jsonl")).unwrap();
    fs::write(sandbox.at("pens.jsonl"), text.replace("-3.5", "-3.25")).unwrap();
    sandbox.refuses(&go, 2, &["--out tried", "pens.jsonl (blake3 "]);
    fs::write(sandbox.at("pens.jsonl"), text).unwrap();
    let more = sandbox.killed_after(&go, "tried/points.jsonl", points.lines().count() + 1);
    assert!(more.starts_with(&points) && more.len() > points.len());
}
