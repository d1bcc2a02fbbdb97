//! The binary as a user meets it: exit codes, one clear line, nothing written on refusal; train, resume, sample, eval,
//! export and import end to end.

mod sandbox;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wgrnn::train::{Data, Run};

use sandbox::{Sandbox, TINY, finish};

/// A finished run `r` of six steps.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("train a.txt --out r --steps 6 {TINY}"));
    sandbox
}

#[test]
fn bad_text_exits_3() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("empty.txt"), "").unwrap();
    fs::write(sandbox.at("short.txt"), "ab").unwrap();
    fs::write(sandbox.at("latin.txt"), b"abc\xe9def").unwrap();
    sandbox.refuses("train empty.txt", 3, &["empty.txt", "empty"]);
    sandbox.refuses("train -", 3, &["standard input", "empty"]);
    sandbox.refuses("train short.txt", 3, &["tokens"]);
    sandbox.refuses(
        "train short.txt --val 0",
        3,
        &["2 tokens", "at least 1601", "--batch"],
    );
    let parts = ["latin.txt", "offset 3", "--vocab byte"];
    sandbox.refuses("train latin.txt", 3, &parts);
}

#[test]
fn bad_settings_files_exit_3_with_line_and_nearest_key() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("a.toml"), "hidden = 5\nhiden = 3\n").unwrap();
    fs::write(sandbox.at("b.toml"), "lr = -1\nschedule = \"cosin\"\n").unwrap();
    fs::write(sandbox.at("c.toml"), "lr = = 1\n").unwrap();
    let parts = ["a.toml:2", "hiden", "hidden"];
    sandbox.refuses("train a.txt --config a.toml", 3, &parts);
    let parts = ["b.toml:1: lr", "b.toml:2: schedule", "cosine"];
    sandbox.refuses("train a.txt --config b.toml", 3, &parts);
    sandbox.refuses("train a.txt --config c.toml", 3, &["c.toml:1"]);
}

#[test]
fn bad_flags_exit_2_and_name_every_fault() {
    let sandbox = Sandbox::new();
    for (flags, parts) in [
        ("--hidden 0", &["--hidden", "got 0"][..]),
        ("--hidden 1000000000", &["--hidden", "got 1000000000"]),
        ("--hidden 99999999999999999999", &["--hidden"]),
        ("--lr nan", &["--lr", "NaN"]),
        ("--lr -1", &["--lr", "-1"]),
        ("--lr inf", &["--lr", "inf"]),
        ("--lr -inf", &["--lr"]),
        ("--dropout 1", &["--dropout", "below 1"]),
        ("--dropout-input 0.1", &["--dropout-input", "embed"]),
        (
            "--propagation-penalty 1 --cell rnn,lstm --layers 2 --batch 1 --seq-len 9",
            &["propagation-penalty", "lstm"],
        ),
        ("--norm-stabilizer -1", &["--norm-stabilizer", "-1"]),
        ("--cell lst", &["--cell", "lstm"]),
        ("--optimizer adamm", &["--optimizer", "adam"]),
        ("--schedule cosin", &["--schedule", "cosine"]),
        ("--preset char-rn", &["--preset", "char-rnn"]),
        ("--epochs 0", &["--epochs"]),
        ("--batch 0 --seq-len 0", &["--batch", "--seq-len"]),
        ("--tie", &["--tie", "embed"]),
        ("--nonsense 3", &["--nonsense"]),
    ] {
        sandbox.refuses(&format!("train a.txt {flags}"), 2, parts);
    }
    // One command, every fault.
    let parts = ["--hidden", "--lr", "--cell"];
    sandbox.refuses("train a.txt --hidden 0 --lr 0 --cell x", 2, &parts);
    sandbox.refuses("frobnicate", 2, &["frobnicate"]);
    sandbox.refuses("sample r --temperature -1", 2, &["--temperature"]);
    sandbox.refuses("sample r --top-p 2", 2, &["--top-p"]);
    sandbox.refuses("sample r --count 0", 2, &["--count"]);
}

#[test]
fn sizes_beyond_memory_are_refused_with_bytes() {
    let sandbox = trained();
    let parts = ["bytes", "GiB"];
    let huge = "train a.txt --hidden 65536 --layers 64 --batch 2 --seq-len 5";
    sandbox.refuses(huge, 2, &parts);
    // What takes the memory here is the minibatch: a smaller one is named.
    fs::write(sandbox.at("b.txt"), "abcdefgh".repeat(20_000)).unwrap();
    let wide = "train b.txt --hidden 8192 --layers 1 --batch 65536 --seq-len 2";
    sandbox.refuses(wide, 2, &["bytes", "--batch", "fits"]);
    sandbox.refuses("train a.txt --batch 65536 --seq-len 65536", 3, &["tokens"]);
    sandbox.refuses("sample r --count 65536 --length 4294967295", 2, &parts);
}

#[test]
fn a_taken_folder_exits_2() {
    let sandbox = trained();
    sandbox.refuses("train a.txt --out r", 2, &["r: holds a run", "--resume r"]);
    fs::create_dir(sandbox.at("other")).unwrap();
    fs::write(sandbox.at("other/x"), "mine").unwrap();
    sandbox.refuses("train a.txt --out other", 2, &["other"]);
    sandbox.refuses("train a.txt --out a.txt", 2, &["a.txt"]);
    sandbox.refuses(
        "import r/checkpoints/best.safetensors --out r",
        2,
        &["r: holds"],
    );
}

#[test]
fn a_resumed_run_keeps_its_shape_and_text() {
    let sandbox = trained();
    let parts = ["--hidden", "trained with 6, got 7", "--cell"];
    let args = "train --resume r --steps 9 --hidden 7 --cell gru";
    sandbox.refuses(args, 2, &parts);
    for flag in [
        "--layers 2",
        "--embed 3",
        "--vocab byte",
        "--seq-len 4",
        "--batch 3",
        "--val 0.1",
    ] {
        let name = flag.split(' ').next().unwrap();
        sandbox.refuses(&format!("train --resume r --steps 9 {flag}"), 2, &[name]);
    }
    fs::write(sandbox.at("b.txt"), "the cat sat on a mat; ".repeat(13)).unwrap();
    sandbox.refuses("train b.txt --resume r --steps 9", 2, &["b.txt", "BLAKE3"]);
    sandbox.refuses("train --resume r", 2, &["nothing is left to do", "6 steps"]);
    sandbox.refuses("train --resume r --out q", 2, &["--out"]);
    fs::write(sandbox.at("a.txt"), "the cat sat on a mat. ".repeat(12)).unwrap();
    sandbox.refuses("train --resume r --steps 9", 2, &["a.txt", "BLAKE3"]);
}

#[test]
fn what_is_no_run_exits_4() {
    let sandbox = trained();
    fs::create_dir(sandbox.at("empty")).unwrap();
    sandbox.refuses("sample empty", 4, &["empty", "run"]);
    sandbox.refuses("sample nowhere", 4, &["nowhere"]);
    sandbox.refuses("eval empty a.txt", 4, &["empty"]);
    sandbox.refuses("train --resume empty", 4, &["empty"]);
    sandbox.refuses("export empty --out x.safetensors", 4, &["empty"]);
    sandbox.refuses("import a.txt --out q", 4, &["a.txt"]);

    let best = sandbox.at("r/checkpoints/best.safetensors");
    let last = sandbox.at("r/checkpoints/step-00000006.safetensors");
    let whole = fs::read(&last).unwrap();
    // Truncated.
    fs::write(&best, &whole[..whole.len() / 2]).unwrap();
    sandbox.refuses("sample r", 4, &["best.safetensors"]);
    sandbox.refuses("sample r --checkpoint best", 4, &["best.safetensors"]);
    // One bit.
    let mut flipped = whole.clone();
    let at = flipped.len() - 3;
    flipped[at] ^= 1;
    for entry in fs::read_dir(sandbox.at("r/checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), &flipped).unwrap();
    }
    let parts = ["no checkpoint is whole", "checksum"];
    sandbox.refuses("sample r --checkpoint last", 4, &parts);
    sandbox.refuses("train --resume r --steps 9", 4, &parts);
    // Foreign.
    let bytes = safetensors::serialize(
        Vec::<(String, safetensors::tensor::TensorView)>::new(),
        None,
    );
    fs::write(&best, bytes.unwrap()).unwrap();
    sandbox.refuses("sample r", 4, &["best.safetensors", "import"]);
}

#[test]
fn a_damaged_newest_checkpoint_gives_way_to_the_one_before() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!(
        "train a.txt --out r --steps 6 --save-every 3 {TINY}"
    ));
    fs::write(sandbox.at("r/checkpoints/step-00000006.safetensors"), "x").unwrap();
    let done = sandbox.run("train --resume r --steps 8");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("warning: "), "{}", done.err);
    assert_eq!(sandbox.newest("r").0, 8);
}

#[test]
fn no_device_exits_5() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("train a.txt --device gpu");
    // No driver is found where there is none to be found.
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(variable, "/nonexistent.json");
    }
    if cfg!(target_os = "linux") {
        let done = finish(&mut command);
        assert_eq!(done.code, 5, "{}", done.err);
        assert!(done.err.contains("mesa-vulkan-drivers"), "{}", done.err);
        assert!(!sandbox.at("runs").exists());
    } else {
        println!("skipped: only Linux lets a test hide its adapters");
    }
    sandbox.refuses(
        "train a.txt --device no-such-adapter",
        5,
        &["no-such-adapter"],
    );
    sandbox.refuses("train a.txt --device 99", 5, &["99"]);
}

#[test]
fn a_diverging_run_exits_6_and_keeps_the_last_good_checkpoint() {
    let sandbox = Sandbox::new();
    let args = format!("train a.txt --out r --steps 500 --optimizer sgd --lr 3e38 {TINY}");
    let done = sandbox.run(&args);
    assert_eq!(done.code, 6, "{}", done.err);
    for part in [
        "error: step",
        "first bad tensor",
        " of lstm in layer l0 is ",
        "sequence ",
        "last good checkpoint",
    ] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    let (_, checkpoint) = sandbox.newest("r");
    for (name, tensor) in &checkpoint.tensors {
        let Data::F32(data) = &tensor.data else {
            panic!("{name}")
        };
        assert!(data.iter().all(|x| x.is_finite()), "{name}");
    }
    sandbox.ok("sample r --length 5 --checkpoint last");
}

#[test]
fn missing_and_unreadable_files_exit_7() {
    let sandbox = trained();
    sandbox.refuses("train nowhere.txt", 7, &["nowhere.txt"]);
    sandbox.refuses("train r", 7, &["cannot read r"]);
    sandbox.refuses("train a.txt --config no.toml", 7, &["no.toml"]);
    sandbox.refuses("train a.txt --cell no.cell", 7, &["no.cell"]);
    sandbox.refuses("eval r nowhere.txt", 7, &["nowhere.txt"]);
    sandbox.refuses("import no.safetensors --out q", 7, &["no.safetensors"]);
    sandbox.refuses("export r --out no/such/x.safetensors", 7, &["no/such"]);
    fs::remove_file(sandbox.at("a.txt")).unwrap();
    sandbox.refuses("train --resume r --steps 9", 7, &["a.txt"]);
}

#[test]
fn prime_text_with_unknown_characters_exits_3() {
    let sandbox = trained();
    let done = finish(sandbox.command("sample r --prime").arg("héllo"));
    assert_eq!(done.code, 3, "{}", done.err);
    assert!(
        done.err.contains("--prime") && done.err.contains("'é'"),
        "{}",
        done.err
    );
    fs::write(sandbox.at("x.txt"), "xyz").unwrap();
    sandbox.refuses("eval r x.txt", 3, &["x.txt", "'x'"]);
}

#[test]
fn a_run_resumed_twice_equals_one_that_never_stopped() {
    let sandbox = Sandbox::new();
    let noise = "--dropout 0.3 --dropout-input 0.2 --dropout-embedding 0.1 --dropout-weights 0.2 --dropout-locked \
                 --activation-penalty 0.2 --temporal-penalty 0.1 --norm-stabilizer 0.1 \
                 --scheduled-sampling exponential --sampling-k 0.95";
    let flags = format!("{TINY} --layers 2 --embed 4 {noise} --save-every 0 -q");
    sandbox.ok(&format!("train a.txt --out whole --steps 40 {flags}"));
    sandbox.ok(&format!("train a.txt --out parts --steps 17 {flags}"));
    sandbox.ok("train --resume parts --steps 31 -q");
    sandbox.ok("train --resume parts --steps 40 -q");
    let ((a, whole), (b, parts)) = (sandbox.newest("whole"), sandbox.newest("parts"));
    assert_eq!((a, b), (40, 40));
    assert_eq!(whole.tensors, parts.tensors);
    let metrics = |run: &str| -> Vec<(u64, String)> {
        let text = fs::read_to_string(sandbox.at(run).join("metrics.jsonl")).unwrap();
        let lines = text
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        lines
            .filter(|l| l.get("loss").is_some())
            .map(|l| (l["step"].as_u64().unwrap(), l["loss"].to_string()))
            .collect()
    };
    assert_eq!(metrics("whole"), metrics("parts"));
    assert_eq!(metrics("whole").len(), 40);
    // Settings that were resolved are in the folder, and a second run can be made of them.
    sandbox.ok("train a.txt --config parts/settings.toml --out again -q");
    assert_eq!(sandbox.newest("again").1.tensors, whole.tensors);
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_the_run_goes_on() {
    let sandbox = Sandbox::new();
    let args = format!("train a.txt --out r --epochs 100000000 {TINY} --save-every 1000000 --json");
    let mut child = sandbox
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = sandbox.at("r/metrics.jsonl");
    let limit = Instant::now() + Duration::from_secs(60);
    while fs::metadata(&metrics).map_or(0, |m| m.len()) < 100 {
        assert!(Instant::now() < limit, "no step within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(130));
    let (step, _) = sandbox.newest("r");
    assert!(step > 0);
    let next = step + 3;
    let done = sandbox.run(&format!("train --resume r --steps {next} -q"));
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(sandbox.newest("r").0, next);
}

#[test]
fn train_prints_the_command_that_samples() {
    let sandbox = Sandbox::new();
    let done = sandbox.run(&format!("train a.txt --steps 3 {TINY}"));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("run: runs/a-1\n"), "{}", done.out);
    let command = done.out.lines().last().unwrap();
    let command = command.strip_prefix("sample from it: ").unwrap();
    let done = finish(
        Command::new("sh")
            .args(["-c", &format!("{command} --length 7")])
            .current_dir(sandbox.folder.path()),
    );
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(done.out.len(), 8);
    assert!(done.err.contains("device: "), "{}", done.err);
    // A second run finds a folder of its own; standard input has a name, too.
    sandbox.ok(&format!("train a.txt --steps 3 {TINY}"));
    assert!(sandbox.at("runs/a-2").exists());
    let mut command = sandbox.command(&format!("train - --steps 3 {TINY}"));
    let done = finish(command.stdin(fs::File::open(sandbox.at("a.txt")).unwrap()));
    assert_eq!(done.code, 0, "{}", done.err);
    sandbox.refuses(
        "train --resume runs/stdin-1 --steps 5",
        2,
        &["standard input"],
    );
}

#[test]
fn the_built_in_corpus_shows_its_floor() {
    let sandbox = Sandbox::new();
    let out = sandbox.ok(&format!("train --steps 2 --json {TINY}"));
    let result: Value = serde_json::from_str(&out).unwrap();
    let (floor, loss) = (&result["floor"], &result["validation"]);
    assert!(floor.as_f64().unwrap() > 0.5);
    assert!(loss.as_f64().unwrap() > floor.as_f64().unwrap());
    assert_eq!(result["run"], "runs/builtin-1");
    sandbox.ok("train --resume runs/builtin-1 --steps 3 -q");
}

#[test]
fn sample_is_a_function_of_its_seed() {
    let sandbox = trained();
    let of = |args: &str| sandbox.ok(&format!("sample r --length 30 {args}"));
    assert_eq!(of("--seed 3"), of("--seed 3"));
    assert_ne!(of("--seed 3"), of("--seed 4"));
    assert_eq!(of("--temperature 0 --seed 1"), of("--top-k 1 --seed 2"));
    assert!(of("--prime the").starts_with("the"));
    let lines = of("--count 3 --json");
    let texts: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(texts.len(), 3);
    assert_ne!(texts[0]["text"], texts[1]["text"]);
    assert_eq!(texts[2]["text"].as_str().unwrap().len(), 30);
    // A reader that goes away is no error.
    let mut child = sandbox
        .command("sample r --length 2000000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(!err.contains("error"), "{err}");
}

#[test]
fn eval_gives_one_figure_for_all_batch_sizes() {
    let sandbox = trained();
    fs::write(
        sandbox.at("long.txt"),
        "the cat sat on a mat; ".repeat(1500),
    )
    .unwrap();
    let of = |batch: u32| -> Value {
        let out = sandbox.ok(&format!("eval r long.txt --json --batch {batch}"));
        serde_json::from_str(&out).unwrap()
    };
    let (one, many) = (of(1), of(100));
    let nats = |v: &Value| v["nats"].as_f64().unwrap();
    // f32 sums of a segment's losses round in another order.
    assert!((nats(&one) - nats(&many)).abs() <= 1e-6, "{one} {many}");
    assert_eq!(one["count"], 22 * 1500 - 1);
    let bits = one["bits"].as_f64().unwrap();
    assert!((bits - nats(&one) / 2f64.ln()).abs() < 1e-9);
    assert!((one["perplexity"].as_f64().unwrap() - nats(&one).exp()).abs() < 1e-6);
    let text = sandbox.ok("eval r long.txt --checkpoint last");
    assert!(
        text.contains("nats/char") && text.contains("perplexity"),
        "{text}"
    );
}

#[test]
fn an_export_comes_back_and_pytorchs_names_too() {
    let sandbox = Sandbox::new();
    let flags = "--hidden 6 --layers 2 --embed 5 --seq-len 5 --batch 2 -q";
    sandbox.ok(&format!("train a.txt --out r --cell gru --steps 6 {flags}"));
    sandbox.ok("export r --checkpoint last --out w.safetensors");
    sandbox.refuses("export r --out w.safetensors", 2, &["exists"]);
    sandbox.ok("import w.safetensors --out copy");
    let loss = |run: &str| {
        let out = sandbox.ok(&format!("eval {run} a.txt --json --checkpoint last"));
        serde_json::from_str::<Value>(&out).unwrap()["nats"].clone()
    };
    assert_eq!(loss("r"), loss("copy"));
    sandbox.refuses("import w.safetensors --out q --cell gru", 2, &["--cell"]);

    // The same tensors as a PyTorch module of other names would hold them, without any metadata.
    let bytes = fs::read(sandbox.at("w.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let names: Vec<String> = file.names().iter().map(|n| n.to_string()).collect();
    let expected = "rnn.weight_ih_l1";
    assert!(names.iter().any(|n| n == expected), "{names:?}");
    for prefix in ["", "model.encoder."] {
        let renamed = file.tensors().into_iter().map(|(name, view)| {
            let name = match name.as_str() {
                "head.weight" => "fc.weight".to_string(),
                "head.bias" => "fc.bias".to_string(),
                "embedding.weight" => "emb.weight".to_string(),
                other => other.replace("rnn.", prefix),
            };
            (name, view)
        });
        let bytes = safetensors::serialize(renamed, None).unwrap();
        fs::write(sandbox.at("torch.safetensors"), bytes).unwrap();
        let needs = ["--cell", "--vocab-from"];
        sandbox.refuses("import torch.safetensors --out t", 2, &needs);
        sandbox.refuses(
            "import torch.safetensors --out t --cell gruu --vocab-from a.txt",
            2,
            &["gru"],
        );
        sandbox.refuses(
            "import torch.safetensors --out t --cell lstm --vocab-from a.txt",
            4,
            &["weight_hh_l0", "3 gates of 6 units", "--cell gru"],
        );
        fs::write(sandbox.at("two.txt"), "ab").unwrap();
        sandbox.refuses(
            "import torch.safetensors --out t --cell gru --vocab-from two.txt",
            3,
            &["two.txt", "2 symbols"],
        );
        sandbox.ok("import torch.safetensors --out t --cell gru --vocab-from a.txt");
        assert_eq!(loss("r"), loss("t"));
        fs::remove_dir_all(sandbox.at("t")).unwrap();
    }
    // What was imported can be sampled from and trained on.
    sandbox.ok("sample copy --length 5");
    sandbox.refuses("train --resume copy --steps 4", 2, &["give one"]);
    // An export brings no segment and no minibatch of its run, so the text is one that the usual ones fit.
    let line = fs::read_to_string(sandbox.at("a.txt")).unwrap();
    fs::write(sandbox.at("long.txt"), line.repeat(20)).unwrap();
    sandbox.ok("train long.txt --resume copy --steps 4 -q");
    assert_eq!(sandbox.newest("copy").0, 4);
}

#[test]
fn cells_devices_and_help() {
    let sandbox = Sandbox::new();
    let list = sandbox.ok("cells");
    for name in ["rnn", "lstm", "gru", "gru-cho"] {
        assert!(list.lines().any(|l| l.starts_with(name)), "{list}");
    }
    let rows: Value = serde_json::from_str(&sandbox.ok("cells --json")).unwrap();
    assert!(
        rows.as_array()
            .unwrap()
            .iter()
            .any(|r| r["name"] == "gru-cho")
    );
    let show = sandbox.ok("cells show gru-cho --input 3 --hidden 5");
    for part in [
        "n = tanh(linear(x, r * h))",
        "forward",
        "backward",
        "stage 1",
    ] {
        assert!(show.contains(part), "{part}: {show}");
    }
    // Three gates: 3 H (D + H) weights and 3 H biases.
    assert!(show.contains(&format!("H 5: {}", 15 * 8 + 15)), "{show}");
    fs::write(sandbox.at("my.cell"), "state h\nh = tanh(linear(x, h))\n").unwrap();
    assert!(sandbox.ok("cells show my.cell").contains("backward"));
    sandbox.refuses("cells show lst", 2, &["lstm"]);
    fs::write(sandbox.at("bad.cell"), "state h\nh = tanh(\n").unwrap();
    sandbox.refuses("cells show bad.cell", 3, &["bad"]);
    assert!(sandbox.ok("devices").starts_with("cpu"));
    for command in [
        "train", "sample", "eval", "cells", "devices", "export", "import",
    ] {
        let help = sandbox.ok(&format!("{command} --help"));
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(help.contains(&format!("wgrnn {command}")), "{command}");
    }
}

#[test]
fn a_cell_of_ones_own_trains_and_stays_with_the_run() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("my.cell"), "state h\nh = tanh(linear(x, h))\n").unwrap();
    sandbox.ok(&format!(
        "train a.txt --out r --cell my.cell --steps 3 {TINY}"
    ));
    fs::remove_file(sandbox.at("my.cell")).unwrap();
    sandbox.ok("sample r --length 5");
    sandbox.ok("train --resume r --steps 5 -q");
}

#[test]
fn outputs_are_stable_for_scripts() {
    let sandbox = trained();
    let keys = |text: &str| -> Vec<String> {
        let value: Value = serde_json::from_str(text).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    };
    let train = sandbox.ok(&format!("train a.txt --out q --steps 2 --json {TINY}"));
    let want = [
        "best",
        "elapsed",
        "epochs",
        "floor",
        "loss",
        "parameters",
        "run",
        "sample",
        "step",
        "validation",
    ];
    assert_eq!(keys(&train), want);
    let eval = sandbox.ok("eval r a.txt --json");
    let want = [
        "bits",
        "checkpoint",
        "count",
        "known_nats",
        "known_perplexity",
        "nats",
        "perplexity",
        "step",
        "symbols",
        "text",
        "unit",
        "unknown",
        "unknown_predictions",
        "unknown_share",
    ];
    assert_eq!(keys(&eval), want);
    let sample = sandbox.ok("sample r --length 3 --json");
    assert_eq!(keys(&sample), ["prime", "sample", "text"]);
    assert!(Path::new(&sandbox.at("q/settings.toml")).exists());
}

#[test]
fn check_compares_and_names_what_it_does_not_know() {
    let sandbox = Sandbox::new();
    let small = "check --cell gru-cho --hidden 5 --batch 2";
    let text = sandbox.ok(&format!("{small} --seq-len 2 --json"));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["faults"], 0);
    let rows = value["models"][0]["rows"].as_array().unwrap();
    assert_eq!(value["compared"], rows.len());
    for operation in ["forward.l0", "backward.l0", "update", "4 steps"] {
        let row = rows.iter().find(|r| r["operation"] == operation);
        let row = row.unwrap_or_else(|| panic!("{operation} was not compared"));
        assert_eq!(row["passed"], true, "{row}");
        assert!(row["nmse"].as_f64().unwrap() < 1e-9, "{row}");
    }
    let after = sandbox.ok(&format!("{small} --seq-len 2 --from backward.l0"));
    assert!(after.contains("backward.l0") && !after.contains("head.forward"));

    // Where threads share sums, scans read weights as they lie, and no copy is made; products are in parts.
    let copy = "transpose.weight_hh.l0";
    assert!(text.contains(copy), "{text}");
    let shared = sandbox.ok(&format!("{small} --seq-len 9 --split"));
    assert!(shared.contains("shared sums") && shared.contains("backward.l0"));
    assert!(shared.contains("in 3 parts") && !text.contains("product.parts"));
    assert!(!shared.contains(copy), "{shared}");

    let unknown = sandbox.run(&format!("{small} --seq-len 2 --from nowhere"));
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("nowhere") && unknown.err.contains("head.forward"));
    let cpu = sandbox.run("check --device cpu");
    assert_eq!(cpu.code, 2);
    let none = finish(
        sandbox
            .command("check")
            .env("VK_DRIVER_FILES", sandbox.at("none.json"))
            .env("VK_ICD_FILENAMES", sandbox.at("none.json")),
    );
    assert_eq!(none.code, 5);
    assert!(none.err.contains("mesa-vulkan-drivers"), "{}", none.err);
}

/// Training on an adapter resumes to the bit as well, with dropout and in mid-epoch.
#[test]
fn a_run_on_an_adapter_resumes_to_the_bit() {
    let sandbox = Sandbox::new();
    let flags = format!("train a.txt {TINY} --dropout 0.3 --layers 2 --val 0 --device gpu -q");
    sandbox.ok(&format!("{flags} --steps 9 --out whole"));
    sandbox.ok(&format!("{flags} --steps 4 --out halves"));
    sandbox.ok("train --resume halves --steps 9 --device gpu -q");
    let tensors = |run: &str| {
        let run = Run::open(&sandbox.at(run)).unwrap();
        run.newest().unwrap().checkpoint.tensors
    };
    let (whole, halves) = (tensors("whole"), tensors("halves"));
    assert!(whole.len() > 20);
    assert_eq!(
        whole.keys().collect::<Vec<_>>(),
        halves.keys().collect::<Vec<_>>()
    );
    for (name, tensor) in &whole {
        assert!(halves[name] == *tensor, "{name} differs");
    }
}
