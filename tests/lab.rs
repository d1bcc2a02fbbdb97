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
    sandbox.refuses(
        "lab memorise --device gpu --out new",
        2,
        &["--device", "memorise", "cpu", "got gpu"],
    );
    assert_eq!(sandbox.run("lab latch --quick --full").code, 2);
}

/// A run that is killed at any moment leaves what it has measured, and the same command goes on.
#[test]
fn a_killed_run_goes_on() {
    let sandbox = Sandbox::new();
    let go = "lab gradient-flow --out flow";
    let mut child = sandbox
        .command(go)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let points = sandbox.at("flow/points.jsonl");
    let lines = || fs::read_to_string(&points).map_or(0, |text| text.lines().count());
    while lines() < 2 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let text = fs::read_to_string(&points).unwrap();
    let before = text[..text.rfind('\n').unwrap() + 1].to_owned();
    let measured = before.lines().count();
    assert!((2..32).contains(&measured), "{measured}");
    sandbox.ok(go);
    let after = fs::read_to_string(&points).unwrap();
    assert!(after.starts_with(&before));
    assert_eq!(after.lines().count(), 32);
}
