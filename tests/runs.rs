//! Runs over their life as a user meets them: trained on from weights, validated on a text of their own, resumed after
//! their folder was changed by hand, and ended by losses beyond belief.

mod sandbox;

use std::fs;
use std::io::Write;

use serde_json::Value;

use sandbox::{Sandbox, TINY};

/// Other lines of the alphabet of `a.txt`.
fn other(sandbox: &Sandbox, name: &str, from: usize, to: usize) {
    let text = fs::read_to_string(sandbox.at("a.txt")).unwrap();
    let chars = text.chars().rev().cycle().skip(from).take(to - from);
    fs::write(sandbox.at(name), chars.collect::<String>()).unwrap();
}

fn metrics(sandbox: &Sandbox, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.at(run).join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn exported_weights_train_on_with_another_text_and_all_but_the_shape_changed() {
    let sandbox = Sandbox::new();
    other(&sandbox, "b.txt", 0, 1500);
    sandbox.ok(&format!("train a.txt --out r --steps 6 {TINY}"));
    sandbox.refuses(
        "train b.txt --resume r --steps 9",
        2,
        &["b.txt", "wgrnn export r", "wgrnn import"],
    );
    sandbox.refuses(
        "train --resume r --steps 9 --batch 3",
        2,
        &["--batch", "wgrnn export r"],
    );
    sandbox.ok("export r --out w.safetensors");
    sandbox.ok("import w.safetensors --out s");
    for (flag, part) in [
        ("--hidden 7", "what shapes the model"),
        ("--cell gru", "what shapes the model"),
        ("--vocab word", "what shapes the model"),
        ("--init xavier", "there already"),
        ("--preset char-rnn", "give the settings themselves"),
    ] {
        let name = flag.split(' ').next().unwrap();
        sandbox.refuses(&format!("train b.txt --resume s {flag}"), 2, &[name, part]);
    }
    let free = "--seq-len 9 --batch 3 --optimizer sgd --schedule cosine --warmup 2 --reduce row --val 0.2 --seed 5 \
                --zoneout 0.1 --save-every 4";
    sandbox.ok(&format!("train b.txt --resume s --steps 8 {free} -q"));
    let settings = fs::read_to_string(sandbox.at("s/settings.toml")).unwrap();
    // The rate of the rule that was chosen, not of the one before.
    for line in [
        "seq-len = 9",
        "batch = 3",
        "optimizer = \"sgd\"",
        "lr = 0.5",
        "seed = 5",
    ] {
        assert!(settings.lines().any(|l| l == line), "{line}: {settings}");
    }
    // From here on it is a run as any other.
    sandbox.refuses("train --resume s --steps 9 --batch 4", 2, &["--batch"]);
    sandbox.ok("train --resume s --steps 9 -q");
}

#[test]
fn a_validation_text_of_its_own_is_what_eval_measures() {
    let sandbox = Sandbox::new();
    other(&sandbox, "v.txt", 0, 700);
    other(&sandbox, "w.txt", 900, 1300);
    for (run, more, files) in [
        ("r", "--eval-every 2", "v.txt w.txt"),
        ("l", "--lines --eval-every 2", "v.txt"),
        ("b", "--vocab byte --eval-every 2", "v.txt"),
    ] {
        sandbox.ok(&format!(
            "train a.txt {TINY} --steps 6 -q {more} --out {run} --valid {files}"
        ));
        let lines = metrics(&sandbox, run);
        let best = lines.iter().rfind(|l| l["best"] == true).unwrap();
        let found = sandbox.ok(&format!("eval {run} {files} --json"));
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!(found["nats"], best["validation"], "{run}");
        assert_eq!(found["step"], best["step"], "{run}");
    }
    // All of the training text is trained on.
    let settings = fs::read_to_string(sandbox.at("r/settings.toml")).unwrap();
    assert!(settings.contains("val = 0.0\n"), "{settings}");
    sandbox.ok(&format!("train a.txt {TINY} --plan --valid v.txt"));
    sandbox.ok("train --resume r --steps 7 -q");
    fs::rename(sandbox.at("v.txt"), sandbox.at("moved.txt")).unwrap();
    sandbox.refuses("train --resume r --steps 9", 7, &["v.txt", "--valid FILE"]);
    sandbox.ok("train --resume r --steps 8 -q --valid moved.txt w.txt");
    sandbox.refuses(
        "train --resume r --steps 9 --valid w.txt",
        2,
        &["w.txt", "validation text", "BLAKE3"],
    );
    sandbox.refuses("train --resume r --steps 9 --val 0.1", 2, &["--val"]);
}

#[test]
fn a_validation_text_may_be_compressed_and_of_sub_words() {
    let sandbox = Sandbox::new();
    other(&sandbox, "v.txt", 0, 700);
    other(&sandbox, "w.txt", 900, 1300);
    let bytes = |name: &str| fs::read(sandbox.at(name)).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes("v.txt")).unwrap();
    fs::write(sandbox.at("v.gz"), gzip.finish().unwrap()).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(&bytes("w.txt")[..], level);
    fs::write(sandbox.at("w.zst"), zstd).unwrap();
    let pieces = cfg!(feature = "subwords").then_some(("p", "--vocab bpe --max-vocab 270"));
    for (run, more) in [("r", ""), ("l", "--lines")].into_iter().chain(pieces) {
        let train = format!("train a.txt {TINY} {more} --valid v.gz w.zst");
        sandbox.ok(&format!("{train} --plan"));
        sandbox.ok(&format!("{train} --steps 4 --eval-every 2 -q --out {run}"));
        sandbox.ok(&format!("train --resume {run} --steps 6 -q"));
        let lines = metrics(&sandbox, run);
        let best = lines.iter().rfind(|l| l["best"] == true).unwrap();
        for files in ["v.gz w.zst", "v.txt w.txt"] {
            let found = sandbox.ok(&format!("eval {run} {files} --json"));
            let found: Value = serde_json::from_str(&found).unwrap();
            assert_eq!(found["nats"], best["validation"], "{run}: {files}");
        }
    }
    let cut = &bytes("v.gz")[..40];
    fs::write(sandbox.at("cut.gz"), cut).unwrap();
    sandbox.refuses(
        "train a.txt --valid cut.gz",
        3,
        &["--valid", "cut.gz", "cut short"],
    );
}

#[test]
fn validation_texts_that_cannot_be_are_refused() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("one.txt"), "a").unwrap();
    fs::write(sandbox.at("greek.txt"), "αβγ").unwrap();
    sandbox.refuses("train a.txt --valid gone.txt", 7, &["gone.txt"]);
    sandbox.refuses("train a.txt --valid one.txt", 3, &["--valid", "one.txt"]);
    sandbox.refuses(
        "train a.txt --valid greek.txt",
        3,
        &["--valid", "greek.txt"],
    );
    sandbox.refuses(
        "train a.txt --valid one.txt --val 0.1",
        2,
        &["--val", "valid"],
    );
    sandbox.refuses("train --valid a.txt", 2, &["--valid", "text to train on"]);
    sandbox.refuses("train - --valid -", 2, &["--valid", "standard input"]);
    sandbox.ok(&format!("train a.txt --out r --steps 2 {TINY}"));
    sandbox.refuses(
        "train --resume r --steps 4 --valid a.txt",
        2,
        &["--valid", "0.05"],
    );
}

#[test]
fn what_was_changed_in_a_run_by_hand_is_named_by_its_file() {
    let sandbox = Sandbox::new();
    let cell = "state h\nconst k = 1\nh = k * tanh(linear(x, h))\n";
    fs::write(sandbox.at("my.cell"), cell).unwrap();
    sandbox.ok(&format!(
        "train a.txt --out r --steps 6 {TINY} --cell my.cell --eval-every 2 --cell-const k=0.5"
    ));
    let path = sandbox.at("r/settings.toml");
    let settings = fs::read_to_string(&path).unwrap();
    let edit = |from: &str, to: &str| {
        assert!(settings.contains(from), "{from}");
        fs::write(&path, settings.replace(from, to)).unwrap();
    };
    edit("\nseed = 1\n", "\nseed = 2\n");
    sandbox.refuses(
        "train --resume r --steps 9",
        3,
        &["r/settings.toml: seed", "1", "2"],
    );
    edit("\nseed = 1\n", "\nsead = 1\n");
    sandbox.refuses(
        "train --resume r --steps 9",
        3,
        &["settings.toml:", "sead", "seed"],
    );
    edit("\npatience = 2\n", "\npatience = 5\n");
    let told = sandbox.run("train --resume r --steps 7 -q").err;
    assert!(
        told.contains("settings.toml: patience: 5 from here on, 2 before"),
        "{told}"
    );

    fs::write(sandbox.at("my.cell"), format!("# mine\n\n{cell}")).unwrap();
    sandbox.ok("train --resume r --steps 8 -q");
    fs::write(sandbox.at("my.cell"), cell.replace("tanh", "sigmoid")).unwrap();
    sandbox.refuses(
        "train --resume r --steps 9",
        3,
        &["my.cell", "not the cell"],
    );
    fs::remove_file(sandbox.at("my.cell")).unwrap();
    sandbox.ok("train --resume r --steps 9 -q");

    let text = fs::read_to_string(sandbox.at("r/metrics.jsonl")).unwrap();
    fs::write(sandbox.at("r/metrics.jsonl"), text.replacen('{', "<", 1)).unwrap();
    sandbox.ok("train --resume r --steps 10 -q");
    let after = fs::read_to_string(sandbox.at("r/metrics.jsonl")).unwrap();
    assert!(after.lines().count() > text.lines().count(), "{after}");

    fs::remove_file(sandbox.at("r/checkpoints/best.safetensors")).unwrap();
    fs::remove_file(sandbox.at("r/metrics.jsonl")).unwrap();
    let told = sandbox.run("train --resume r --steps 12 -q").err;
    for part in ["best.safetensors: is missing", "metrics.jsonl: is missing"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(sandbox.at("r/checkpoints/best.safetensors").exists());
    fs::rename(sandbox.at("r/checkpoints"), sandbox.at("elsewhere")).unwrap();
    sandbox.refuses("train --resume r --steps 14", 4, &["found no checkpoints"]);
}

#[test]
fn losses_beyond_belief_end_a_run_with_6() {
    let sandbox = Sandbox::new();
    for (run, flags) in [
        ("adam", "--lr 1000 --steps 60 --save-every 5"),
        ("sgd", "--optimizer sgd --lr 3000 --steps 60 --save-every 5"),
        ("short", "--lr 1000 --steps 3 --save-every 1"),
        ("one", "--lr 1000 --steps 1"),
        // By the losses of the training alone.
        ("blind", "--val 0 --lr 1000 --steps 60 --save-every 5"),
    ] {
        let args = format!("train a.txt {TINY} -q --out {run} {flags}");
        let failed = sandbox.run(&args);
        let told = failed.err;
        assert_eq!(failed.code, 6, "{run}: {told}");
        for part in ["diverged", "--lr", "checkpoint"] {
            assert!(told.contains(part), "{run}: {part}: {told}");
        }
    }
}

#[test]
fn a_short_run_has_a_speed_or_none_but_not_0() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!(
        "train a.txt --out r --steps 4 {TINY} --eval-every 1 -q"
    ));
    let lines = metrics(&sandbox, "r");
    let mut speeds = lines.iter().filter(|l| l.get("validation").is_some());
    let positive = |l: &Value| l["tokens_per_second"].as_f64().is_some_and(|s| s > 0.0);
    assert!(speeds.all(positive), "{lines:?}");
}
