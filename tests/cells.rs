//! `cells` as a user meets it: the language's page, constants, `cells check`, `cells compare`, and the words about how a
//! cell's biases start.

mod sandbox;

use std::fs;

use serde_json::Value;
use wgrnn::cell::Cell;
use wgrnn::train::Saved;

use sandbox::{Sandbox, TINY};

/// A cell with two states, a nested product, a constant, and x used elementwise.
const MINE: &str = "state h, s\nconst keep = 0.9 # the share that stays\nr = sigmoid(linear(x, h) + peep(s))\n\
                    n = tanh(linear(x, r * h) + x)\ns = keep * s + (1 - keep) * n\nh = r * h + (1 - r) * tanh(s)\n";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("mine.cell"), MINE).unwrap();
    sandbox
}

#[test]
fn the_language_is_one_page() {
    let page = Sandbox::new().ok("cells --language");
    for word in ["state h", "peep(c)", "sigmoid(a)", "--cell-const", "65536"] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn a_constant_is_shown_stored_and_resumed_with() {
    let sandbox = sandbox();
    let shown = sandbox.ok("cells show mine.cell --cell-const keep=0.25");
    assert!(shown.contains("const keep = 0.25 # the share that stays"));
    let args = "--cell mine.cell --embed 6 --cell-const keep=0.25";
    sandbox.ok(&format!("train a.txt --out r --steps 4 {TINY} {args}"));
    let constant = |sandbox: &Sandbox| {
        let saved = Saved::read(&sandbox.newest("r").1).unwrap();
        let text = &saved.about.cells[0];
        Cell::parse(&text.name, &text.text).unwrap().constants()
    };
    let want = vec![("keep".to_string(), 0.25)];
    assert_eq!(constant(&sandbox), want);
    // Its file is not needed any more, and another value would be another model.
    fs::remove_file(sandbox.at("mine.cell")).unwrap();
    sandbox.ok("train --resume r --steps 6");
    assert_eq!((sandbox.newest("r").0, constant(&sandbox)), (6, want));
    sandbox.ok("profile r --device cpu --steps 4 --cell-const keep=0.5");
    let refused = "train --resume r --steps 9 --cell-const keep=0.5";
    sandbox.refuses(refused, 2, &["--cell-const", "keep=0.25"]);
}

#[test]
fn unknown_constants_and_biases_are_refused_with_the_known_ones() {
    let sandbox = sandbox();
    let parts = ["cell-const", "no constant kep", "did you mean keep?"];
    for command in ["cells show", "cells check"] {
        let args = format!("{command} mine.cell --cell-const kep=1");
        sandbox.refuses(&args, 2, &parts);
    }
    let mine = "--cell mine.cell --cell-const kep=1";
    for command in ["train a.txt", "profile --device cpu", "check"] {
        sandbox.refuses(&format!("{command} {mine}"), 2, &parts);
    }
    let args = "cells compare a.txt --cells lstm,mine.cell --cell-const kep=1";
    sandbox.refuses(args, 2, &parts);
    sandbox.refuses("cells show lstm --cell-const a", 2, &["NAME=VALUE"]);
    let train = |flags: &str| format!("train a.txt --steps 2 {TINY} {flags}");
    for (flags, parts) in [
        (
            "--gate-bias f=1,q=2",
            &["gate-bias", "called q", "i, f, g, o"][..],
        ),
        ("--gate-bias f", &["--gate-bias", "NAME=VALUE"]),
        ("--chrono 2", &["--chrono", "above 2"]),
        ("--cell rnn --chrono 9", &["chrono", "cell rnn has no gate"]),
        ("--cell lstm,lstm-97 --layers 2 --chrono 9", &["lstm-97"]),
        ("--input-scale 1", &["--input-scale", "got uniform"]),
    ] {
        sandbox.refuses(&train(flags), 2, parts);
    }
    for (n, flags) in [
        "--init identity --cell rnn --input-scale 0.1",
        "--init spectral --cell gru --chrono 20",
        "--gate-bias f=2,o=-1 --chrono 20",
    ]
    .iter()
    .enumerate()
    {
        sandbox.ok(&format!("{} --out r{n}", train(flags)));
    }
}

#[test]
fn check_gives_a_verdict() {
    let sandbox = sandbox();
    let args = "cells check mine.cell --cell-const keep=0.8 --json";
    let found = json(&sandbox.ok(args));
    assert_eq!(found["verdict"], "ok");
    let parts = found["parts"].as_array().unwrap();
    let names: Vec<&str> = parts.iter().map(|p| p["part"].as_str().unwrap()).collect();
    assert_eq!(names, ["finite differences", "device", "training"]);
    let gradients = &parts[0]["figures"];
    assert!(gradients["compared"].as_u64().unwrap() > 300);
    assert!(gradients["worst"].as_f64().unwrap() <= gradients["allowed"].as_f64().unwrap());
    match parts[1]["status"].as_str().unwrap() {
        "ok" => assert!(parts[1]["figures"]["compared"].as_u64().unwrap() > 50),
        "not checked" => println!("skipped: {}", parts[1]["text"]),
        other => panic!("device: {other}"),
    }
    let training = &parts[2]["figures"];
    assert!(training["loss"].as_f64().unwrap() < training["limit"].as_f64().unwrap());

    let text = sandbox.ok("cells check gru --device cpu");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("not checked --device cpu"), "{text}");
    assert!(text.ends_with("gru: ok\n"), "{text}");
}

#[test]
fn check_finds_what_is_wrong_with_a_cell() {
    let sandbox = Sandbox::new();
    let cell = |name: &str, line: &str| {
        fs::write(sandbox.at(name), format!("state h\n{line}\n")).unwrap();
    };
    // It forgets, so it cannot learn what came before the last symbol.
    cell("forgets.cell", "h = tanh(linear(x)) + 0.0001 * h");
    let args = "cells check forgets.cell --device cpu";
    sandbox.refuses(args, 1, &["forgets: training failed"]);
    // It has no finite loss.
    cell("log.cell", "h = log(linear(x, h))");
    let args = "cells check log.cell --device cpu";
    sandbox.refuses(args, 1, &["finite differences failed", "training failed"]);
    let done = sandbox.run("cells check forgets.cell --device cpu --json");
    assert_eq!(done.code, 1);
    assert_eq!(json(&done.out)["verdict"], "failed");
    sandbox.refuses("cells check gru --device no-such", 5, &["no-such"]);
    sandbox.refuses("cells check gruu", 2, &["did you mean `gru`"]);
}

/// Sizes at which training takes a moment.
const SMALL: &str = "--budget 1500 --seq-len 5 --batch 4 --device cpu";

#[test]
fn compare_fills_every_budget_and_sorts() {
    let sandbox = sandbox();
    let before = sandbox.files();
    let cells = "lstm,mut1,mine.cell,elman";
    let args = format!("cells compare a.txt --cells {cells} --chars 2001 {SMALL} --json");
    let found = json(&sandbox.ok(&args));
    assert_eq!(sandbox.files(), before, "it wrote something");
    // Whole steps: 2001 characters are 101 steps of 20.
    assert_eq!(
        (&found["steps"], &found["characters"]),
        (&101.into(), &2020.into())
    );
    let rows = found["cells"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let vocab = found["vocab"].as_u64().unwrap();
    let mut last = 0.0;
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap();
        let (nats, bits) = (number("nats"), number("bits"));
        assert!(nats >= last && nats < (vocab as f64).ln(), "{row}");
        assert!((bits - nats / std::f64::consts::LN_2).abs() < 1e-12);
        last = nats;
        let parameters = number("parameters");
        assert!(parameters <= 1500.0 && parameters > 1200.0, "{row}");
        assert!(number("tokens_per_second") > 0.0);
    }
    // The head has V (H + 1) parameters, elman V H + H H + H: one more unit would not fit.
    let row = rows.iter().find(|r| r["cell"] == "elman").unwrap();
    let total = |h: u64| vocab * (h + 1) + vocab * h + h * h + h;
    let hidden = row["hidden"].as_u64().unwrap();
    assert_eq!(row["parameters"], total(hidden));
    assert!(total(hidden) <= 1500 && total(hidden + 1) > 1500);
    // A cell that uses x elementwise has an embedding as wide as H, and it counts: V H more.
    let row = rows.iter().find(|r| r["cell"] == "mut1").unwrap();
    let hidden = row["hidden"].as_u64().unwrap();
    assert_eq!(row["embed"], hidden);
    let cell = wgrnn::cell::library::builtin("mut1").unwrap();
    let layer = cell.parameters(hidden as usize, hidden as usize) as u64;
    assert_eq!(row["parameters"], vocab * (2 * hidden + 1) + layer);
}

#[test]
fn compare_prints_a_table_in_which_a_diverged_cell_says_so() {
    let sandbox = Sandbox::new();
    fs::write(
        sandbox.at("boom.cell"),
        "state h\nh = exp(linear(x, h)) + h\n",
    )
    .unwrap();
    let args = format!("cells compare a.txt --cells boom.cell,elman --steps 40 --lr 0.5 {SMALL}");
    let done = sandbox.run(&args);
    assert_eq!(done.code, 0, "{}", done.err);
    let rows: Vec<&str> = done.out.lines().skip(3).collect();
    assert!(
        rows[0].starts_with("elman") && rows[0].ends_with("best"),
        "{rows:?}"
    );
    assert!(
        rows[1].starts_with("boom") && rows[1].contains("diverged"),
        "{rows:?}"
    );
    assert!(done.err.contains("1/2 boom"), "{}", done.err);
}

#[test]
fn compare_refuses_what_cannot_be() {
    let sandbox = Sandbox::new();
    for (flags, parts) in [
        ("--budget 10", &["--budget 10", "one hidden unit has"][..]),
        ("--val 0", &["--val 0"]),
        ("--schedule plateau", &["plateau"]),
        ("--cells lstm,gruu", &["gruu"]),
        ("--cells elman --chrono 9", &["elman has no gate"]),
        ("--steps 3 --chars 9", &["--chars"]),
    ] {
        sandbox.refuses(&format!("cells compare a.txt {flags}"), 2, parts);
    }
}
