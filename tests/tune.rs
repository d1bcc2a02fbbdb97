//! `tune`: what it finds is remembered, used where the adapter passed the check, and never kept where it is wrong.

mod sandbox;

use sandbox::{Done, Sandbox, build, injected, passed};
use serde_json::Value;

const SIZES: &str = "--device gpu --hidden 8 --layers 1 --batch 4 --seq-len 3 --vocab-size 9";

fn tune(sandbox: &Sandbox, inject: &str) -> Done {
    injected(sandbox, &format!("tune {SIZES} --seconds 6 --json"), inject)
}

/// The tile that a profile of a model was made with.
fn tile(sandbox: &Sandbox, sizes: &str) -> Value {
    let done = injected(sandbox, &format!("profile {sizes} --steps 2 --json"), "");
    assert_eq!(done.code, 0, "{}", done.err);
    serde_json::from_str::<Value>(&done.out).unwrap()["tile"].clone()
}

#[test]
fn a_tile_is_remembered_and_used_on_an_adapter_that_passed() {
    let sandbox = Sandbox::new();
    let done = tune(&sandbox, "");
    assert_eq!(done.code, 0, "{}", done.err);
    let found: Value = serde_json::from_str(&done.out).unwrap();
    let ms = |key: &str| found[key].as_f64().unwrap();
    assert!(
        ms("best_ms") > 0.0 && ms("best_ms") <= ms("usual_ms"),
        "{found}"
    );
    let measured = found["measured"].as_array().unwrap();
    assert!(
        measured.len() > 1 && measured[0]["what"] == "the usual",
        "{found}"
    );
    assert_eq!(measured[0]["ms"], found["usual_ms"]);
    let file = sandbox.at("cache/wgrnn/tiles.toml");
    assert_eq!(found["file"], file.to_str().unwrap());

    // Another tile in its place, so that it is told from the usual one.
    let text = std::fs::read_to_string(&file).unwrap();
    let lanes = |n: usize| format!("lanes = {n}\n");
    let own = found["tile"]["lanes"].as_u64().unwrap() as usize;
    let other = if own == 2 { 1 } else { 2 };
    let list = text.replace(&lanes(own), &lanes(other));
    assert_ne!(list, text);
    std::fs::write(&file, &list).unwrap();
    assert_eq!(tile(&sandbox, SIZES)["tuned"], false, "no check passed yet");

    let (name, driver) = (&found["adapter"], &found["driver"]);
    let backend = toml::from_str::<toml::Table>(&text).unwrap()["tiles"][0]["backend"].to_string();
    let backend: Value = serde_json::from_str(&backend).unwrap();
    let trust = passed(name, &backend, driver, &build());
    std::fs::write(sandbox.at("cache/wgrnn/passed.toml"), trust).unwrap();
    let used = tile(&sandbox, SIZES);
    assert_eq!(used["tuned"], true, "{used}");
    assert_eq!(used["sizes"]["lanes"], other);
    let wider = SIZES.replace("--hidden 8", "--hidden 12");
    assert_eq!(tile(&sandbox, &wider)["tuned"], false, "another shape");

    // Sizes that no kernel has, and a list that is none, are as good as nothing.
    for bad in [list.replace(&lanes(other), &lanes(0)), "[[tiles".into()] {
        std::fs::write(&file, bad).unwrap();
        assert_eq!(tile(&sandbox, SIZES)["tuned"], false);
    }
}

#[test]
fn a_tile_whose_kernels_are_wrong_is_not_remembered() {
    if !cfg!(debug_assertions) {
        println!("SKIPPED: faults cannot be injected in a release build of the program");
        return;
    }
    let sandbox = Sandbox::new();
    let done = tune(&sandbox, "wrong");
    assert_eq!(done.code, 5, "{}", done.err);
    assert!(done.err.contains("nothing is remembered"), "{}", done.err);
    assert!(!sandbox.at("cache/wgrnn/tiles.toml").exists());
}

#[test]
fn the_processor_has_nothing_to_tune() {
    let sandbox = Sandbox::new();
    let done = injected(&sandbox, "tune --device cpu --hidden 8", "");
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.contains("--device"), "{}", done.err);
}
