//! Models of fields as a user meets them: train, resume, measure, ask, export; models of one's own; what is refused, with which
//! exit code and words. All on the processor, with data made here.

mod sandbox;

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use sandbox::{Done, Sandbox, finish, injected};
use wgrnn::model::text::library;
use wgrnn::rng::{Purpose, Stream};

/// A tiny model that learns within moments.
const TINY: &str = "--hidden 8 --lr 0.03 --batch 8 --device cpu -q";

/// Names of two kinds, by turns: those that end in a, and those that end in o.
fn names() -> Vec<(&'static str, String)> {
    let stems = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t"];
    let more = ["a", "e", "i", "o", "u"].map(|vowel| stems.map(|stem| format!("{stem}{vowel}n")));
    let all = more.into_iter().flatten().enumerate();
    all.map(|(n, stem)| match n % 2 {
        0 => ("f", format!("{stem}a")),
        _ => ("m", format!("{stem}o")),
    })
    .collect()
}

fn table(names: &[(&str, String)]) -> String {
    let rows = names
        .iter()
        .map(|(label, name)| format!("{label}\t{name}\n"));
    rows.collect()
}

/// Sentences with a tag for every word, a word a line.
const TAGGED: &str = "the\tD\ndog\tN\nsees\tV\na\tD\ncat\tN\n\na\tD\ncat\tN\nruns\tV\n\nthe\tD\ncat\tN\nsees\tV\na\tD\ndog\tN\n\n\
                      dog\tN\nruns\tV\n\n";

/// A folder with `names.tsv` and `tags.conll`.
fn folder() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("names.tsv"), table(&names())).unwrap();
    fs::write(sandbox.at("tags.conll"), TAGGED).unwrap();
    sandbox
}

/// The same with a run `r` that has learned the names.
fn trained() -> Sandbox {
    let sandbox = folder();
    sandbox.ok(&format!(
        "train --model classify names.tsv --out r --epochs 30 {TINY}"
    ));
    sandbox
}

fn json(sandbox: &Sandbox, args: &str) -> Value {
    serde_json::from_str(&sandbox.ok(args)).unwrap()
}

/// What the program answers to `text` on standard input.
fn asked(sandbox: &Sandbox, args: &str, text: &str) -> String {
    fs::write(sandbox.at("stdin"), text).unwrap();
    let mut command = sandbox.command(args);
    command.stdin(Stdio::from(fs::File::open(sandbox.at("stdin")).unwrap()));
    let Done { code, out, err } = finish(&mut command);
    assert_eq!(code, 0, "{args}: {err}");
    out
}

#[test]
fn a_classifier_is_trained_measured_and_asked() {
    let sandbox = trained();
    let text = sandbox.ok("eval r names.tsv --device cpu --confusion c.csv");
    let line = text.lines().next().unwrap();
    assert!(
        line.starts_with("label: accuracy 1.0000 (majority 0."),
        "{text}"
    );
    assert!(line.ends_with("nats over 60 predictions"), "{text}");
    let confusion = fs::read_to_string(sandbox.at("c.csv")).unwrap();
    assert_eq!(
        confusion.trim_end(),
        "right \\ predicted,f,m\nf,30,0\nm,0,30"
    );
    let value = json(&sandbox, "eval r names.tsv --device cpu --json");
    assert_eq!(value["examples"], 60);
    let loss = &value["losses"][0];
    assert_eq!(
        (&loss["accuracy"], &loss["count"]),
        (&1.0.into(), &60.into())
    );
    assert_eq!(loss["classes"]["f"]["n"], 30);
    assert_eq!(loss["nats"], value["nats"]);

    // Every label in its place; what the file says of labels is not looked at.
    let gold: Vec<&str> = names().iter().map(|(label, _)| *label).collect();
    let answers = sandbox.ok("predict r names.tsv --device cpu");
    assert_eq!(answers.lines().collect::<Vec<&str>>(), gold);
    let other = answers
        .lines()
        .map(|label| if label == "f" { "m" } else { "f" });
    let wrong: Vec<_> = other
        .zip(names())
        .map(|(label, (_, name))| (label, name))
        .collect();
    fs::write(sandbox.at("wrong.tsv"), table(&wrong)).unwrap();
    assert_eq!(sandbox.ok("predict r wrong.tsv --device cpu"), answers);
    let lost = json(&sandbox, "eval r wrong.tsv --device cpu --json");
    assert_eq!(lost["losses"][0]["accuracy"], 0.0);

    // The names alone, from standard input; then the probabilities of both labels.
    let alone = "bana\nkeno\n";
    assert_eq!(
        asked(&sandbox, "predict r --format text --device cpu", alone),
        "f\nm\n"
    );
    let top = asked(
        &sandbox,
        "predict r --format text --top 2 --device cpu",
        alone,
    );
    for (line, first) in top.lines().zip(["f", "m"]) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!((cells.len(), cells[0]), (4, first), "{top}");
        assert_ne!(cells[2], first);
        let p = [1, 3].map(|n| cells[n].parse::<f64>().unwrap());
        assert!(p[0] > 0.5 && (p[0] + p[1] - 1.0).abs() < 2e-4, "{top}");
    }
    let lines = asked(
        &sandbox,
        "predict r - --format text --json --device cpu",
        alone,
    );
    let objects: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(
        (objects.len(), &objects[1]["label"][0]["label"]),
        (2, &"m".into())
    );
}

#[test]
fn a_tagger_answers_in_columns() {
    let sandbox = folder();
    sandbox.ok(&format!(
        "train --model tag tags.conll --vocab word --val 0 --out t --epochs 80 {TINY}"
    ));
    let text = sandbox.ok("eval t tags.conll --device cpu");
    let line = text.lines().next().unwrap();
    let (token, sentence) = (
        "tags: token accuracy 1.0000 (most frequent tag 1.0000)",
        "sentence accuracy 1.0000",
    );
    assert!(line.starts_with(token) && line.contains(sentence), "{text}");
    assert_eq!(sandbox.ok("predict t tags.conll --device cpu"), TAGGED);
    let words: String = TAGGED
        .lines()
        .map(|line| format!("{}\n", line.split('\t').next().unwrap()))
        .collect();
    fs::write(sandbox.at("words.conll"), words).unwrap();
    assert_eq!(sandbox.ok("predict t words.conll --device cpu"), TAGGED);
}

/// Dropout, a share that is held out and the order of minibatches are all drawn, and go on as if nothing had been.
/// Sentences of words each of whose tags says whether the next word begins with a vowel, half of them by chance: V or C, and C
/// at the end.
fn ahead(sentences: u64, seed: u64) -> String {
    let mut stream = Stream::new(seed, Purpose::Check, 0);
    let mut below = |n: usize| (f64::from(stream.uniform()) * n as f64) as usize;
    let mut text = String::new();
    for _ in 0..sentences {
        let words = (0..4 + below(5)).map(|_| {
            let (vowel, other) = (["a", "e", "o"][below(3)], ["b", "k", "m"][below(3)]);
            match below(2) {
                0 => format!("{vowel}{other}"),
                _ => format!("{other}{vowel}"),
            }
        });
        let words: Vec<String> = words.collect();
        for (n, word) in words.iter().enumerate() {
            let next = words.get(n + 1).and_then(|next| next.chars().next());
            let tag = if next.is_some_and(|c| "aeo".contains(c)) {
                'V'
            } else {
                'C'
            };
            text.push_str(&format!("{word}\t{tag}\n"));
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_tag_that_hangs_on_the_next_word_needs_both_directions() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("train.conll"), ahead(300, 1)).unwrap();
    let test = ahead(100, 2);
    fs::write(sandbox.at("test.conll"), &test).unwrap();
    let one = library::builtin("tag")
        .unwrap()
        .text
        .replace("birnn(", "rnn(");
    fs::write(sandbox.at("one.model"), one).unwrap();
    let mut reached = Vec::new();
    for model in ["tag", "one.model"] {
        sandbox.ok(&format!(
            "train --model {model} train.conll --val 0 --embed 8 --epochs 6 --out {model}.r {TINY}"
        ));
        let value = json(
            &sandbox,
            &format!("eval {model}.r test.conll --device cpu --json"),
        );
        reached.push(value["losses"][0]["accuracy"].as_f64().unwrap());
    }
    // The best that can be said of the next word by those before it is the more frequent tag.
    let (all, consonants) = (test.matches('\t').count(), test.matches("\tC").count());
    let chance = consonants as f64 / all as f64;
    assert!(reached[0] > 0.98, "{reached:?}");
    assert!(
        reached[1] > 0.4 && reached[1] < chance + 0.03,
        "{reached:?} {chance}"
    );
}

#[test]
fn a_resumed_run_equals_one_that_never_stopped() {
    let sandbox = folder();
    // Letters in pairs, too, which are numbered by a rule of their own.
    let grams = "field text: tokens\nfield label: class\npairs = embed(grams(text, 2, 64), width = 5)\n\
                 both = concat(last(rnn(embed(text))), sum(pairs))\nloss cross_entropy(linear(dropout(both)), label)\n";
    fs::write(sandbox.at("grams.model"), grams).unwrap();
    for (model, data) in [
        ("grams.model", "names.tsv"),
        ("classify", "names.tsv"),
        ("tag", "tags.conll --vocab word"),
    ] {
        let flags = format!(
            "--model {model} {data} --val 0.2 --dropout 0.3 --layers 2 --embed 4 --save-every 0 {TINY}"
        );
        let (whole, parts) = (format!("{model}-whole"), format!("{model}-parts"));
        sandbox.ok(&format!("train {flags} --out {whole} --steps 21"));
        sandbox.ok(&format!("train {flags} --out {parts} --steps 8"));
        sandbox.ok(&format!(
            "train --resume {parts} --steps 15 --device cpu -q"
        ));
        sandbox.ok(&format!(
            "train --resume {parts} --steps 21 --device cpu -q"
        ));
        let ((a, whole_state), (b, parts_state)) = (sandbox.newest(&whole), sandbox.newest(&parts));
        assert_eq!((a, b), (21, 21));
        assert!(whole_state.tensors.len() > 10);
        assert_eq!(whole_state.tensors, parts_state.tensors, "{model}");
        let losses = |run: &str| sandbox.losses(run);
        assert_eq!(losses(&whole).len(), 21);
        assert_eq!(losses(&whole), losses(&parts), "{model}");
    }
}

#[test]
fn the_best_is_chosen_and_a_run_ends_as_settings_say() {
    let sandbox = folder();
    // At such a rate no evaluation is better than the first.
    let still = "train --model classify names.tsv --hidden 4 --lr 1e-12 --eval-every 2 --steps 40 --device cpu -q --json";
    let done = json(
        &sandbox,
        &format!("{still} --stop-after 3 --best-by macro-f1"),
    );
    assert_eq!(
        (&done["step"], &done["best_metric"]["by"]),
        (&8.into(), &"macro-f1".into())
    );
    let done = json(&sandbox, &format!("{still} --best-by loss"));
    assert_eq!(
        (&done["step"], &done["best_metric"]["by"]),
        (&40.into(), &"loss".into())
    );
    let done = json(&sandbox, still);
    assert_eq!(done["best_metric"]["by"], "accuracy");

    // Of three names of one kind and one of the other, the rare one wins where it weighs more.
    let rare = "m\tbob\nm\tbob\nm\tbob\nf\tbob\n".repeat(5);
    fs::write(sandbox.at("rare.tsv"), format!("label\ttext\n{rare}")).unwrap();
    let train = format!("train --model classify rare.tsv --val 0 --epochs 20 {TINY}");
    for (weights, want) in [("none", "m"), ("f=20", "f"), ("f=1,m=1", "m")] {
        sandbox.ok(&format!("{train} --class-weights {weights} --out w"));
        let answers = sandbox.ok("predict w rare.tsv --device cpu");
        assert!(answers.lines().all(|l| l == want), "{weights}: {answers}");
        fs::remove_dir_all(sandbox.at("w")).unwrap();
    }
    // Balanced, both are as likely: the loss says so.
    let done = json(
        &sandbox,
        &format!("{train} --class-weights balanced --json"),
    );
    assert!(
        (done["loss"].as_f64().unwrap() - 2f64.ln()).abs() < 0.02,
        "{done}"
    );
}

#[test]
fn what_is_held_out_is_drawn_by_the_seed_or_a_file_of_its_own() {
    let sandbox = folder();
    // All of one kind, then all of the other: the end of the file alone would be of one.
    let mut sorted = names();
    sorted.sort();
    fs::write(sandbox.at("sorted.tsv"), table(&sorted)).unwrap();
    let run = |args: &str| {
        json(
            &sandbox,
            &format!("train --model classify {args} {TINY} --json"),
        )
    };
    let half = "sorted.tsv --val 0.5 --epochs 40";
    let done = run(half);
    assert!(
        done["best_metric"]["value"].as_f64().unwrap() > 0.9,
        "{done}"
    );
    let (again, other) = (run(half), run(&format!("{half} --seed 2")));
    assert_eq!(again["validation"], done["validation"]);
    assert_ne!(other["validation"], done["validation"]);

    assert_eq!(
        run("names.tsv --val 0 --steps 3")["validation"],
        Value::Null
    );
    let done = run("names.tsv --valid sorted.tsv --out v --epochs 2");
    let value = json(
        &sandbox,
        "eval v sorted.tsv --checkpoint last --device cpu --json",
    );
    let (told, found) = (
        done["validation"].as_f64().unwrap(),
        value["nats"].as_f64().unwrap(),
    );
    assert!((told - found).abs() < 1e-6, "{told} {found}");
}

#[test]
fn settings_and_models_that_do_not_fit_exit_2_or_3_with_every_fault() {
    let sandbox = folder();
    let train = |args: &str, code: i32, parts: &[&str]| {
        sandbox.refuses(&format!("train {args} --device cpu"), code, parts);
    };
    train(
        "--model clasify names.tsv",
        2,
        &["unknown model `clasify`", "did you mean `classify`?"],
    );
    let useless = "--model classify names.tsv --tie --seq-len 5 --lines --sample-every 3";
    let parts = [
        "--tie: expected none, as model classify",
        "--seq-len",
        "--lines",
        "--sample-every",
    ];
    train(useless, 2, &parts);
    let parts = [
        "--class-weights: expected a model of fields",
        "--best-by",
        "--columns",
    ];
    train(
        "a.txt --class-weights balanced --columns text=1 --best-by accuracy",
        2,
        &parts,
    );
    train(
        "--model classify",
        2,
        &["expected files with the fields text, label"],
    );
    train(
        "--model classify names.tsv --class-weights f=2,q=1",
        3,
        &["(f, m)", "\"q\""],
    );
    train(
        "--model classify names.tsv --valid names.tsv --val 0.1",
        2,
        &["--val: expected 0"],
    );
    train("--model no.model names.tsv", 7, &["no.model"]);
    for (name, text, place) in [
        (
            "call",
            "field t: tokens\nfield l: class\nloss cross_entropy(linear(last(rnn(embd(t)))), l)\n",
            "call.model:3:36: unknown function `embd`; did you mean `embed`?",
        ),
        (
            "meet",
            "field a: tokens\nfield b: tokens\nfield l: class\nh = embed(a) + embed(b)\nloss cross_entropy(linear(last(h)), l)\n",
            "meet.model:4:14: `+` expects values along one axis",
        ),
        (
            "rows",
            "field t: tokens\nfield l: class\nh = rnn(mean(embed(t)))\nloss cross_entropy(linear(h), l)\n",
            "rows.model:3:5: `rnn` expects a value with rows along a field of tokens",
        ),
    ] {
        let file = format!("{name}.model");
        fs::write(sandbox.at(&file), text).unwrap();
        train(&format!("--model {file} names.tsv"), 3, &[place]);
        sandbox.refuses(&format!("models show {file}"), 3, &[place]);
        sandbox.refuses(&format!("models check {file} --device cpu"), 3, &[place]);
    }
}

#[test]
fn data_that_do_not_fit_exit_3_with_file_and_line() {
    let sandbox = trained();
    let write = |name: &str, text: &str| fs::write(sandbox.at(name), text).unwrap();
    write("strange.tsv", "f\tbana\nx\tzed\n");
    for command in ["eval r", "train --model classify names.tsv --valid"] {
        let parts = ["strange.tsv: line 2", "(f, m)", "\"x\""];
        sandbox.refuses(&format!("{command} strange.tsv --device cpu"), 3, &parts);
    }
    write("three.txt", "bana\nkeno\nluna\n");
    write("two.txt", "f\nm\n");
    let parts = ["3 in three.txt and 2 in two.txt", "three.txt: line 3"];
    for command in ["train --model classify", "eval r"] {
        sandbox.refuses(
            &format!("{command} text=three.txt label=two.txt --device cpu"),
            3,
            &parts,
        );
    }
    write("empty.tsv", "f\tbana\n\tkeno\n");
    let parts = ["empty.tsv: line 2", "label"];
    sandbox.refuses("train --model classify empty.tsv --device cpu", 3, &parts);
    write(
        "short.jsonl",
        "{\"text\": \"the dog\", \"tags\": [\"D\", \"N\"]}\n{\"text\": \"a cat\", \"tags\": [\"D\"]}\n",
    );
    let parts = ["short.jsonl: line 2", "2 words", "1 label"];
    sandbox.refuses(
        "train --model tag short.jsonl --vocab word --device cpu",
        3,
        &parts,
    );
    for command in ["train --model classify", "eval r", "predict r"] {
        sandbox.refuses(
            &format!("{command} nowhere.tsv --device cpu"),
            7,
            &["nowhere.tsv"],
        );
    }
}

#[test]
fn a_run_keeps_its_model_and_refuses_another_in_its_file() {
    let sandbox = folder();
    let text = "field text: tokens\nfield label: class\nh = rnn(embed(text))\nloss cross_entropy(linear(last(h)), label)\n";
    let file = sandbox.at("my.model");
    fs::write(&file, text).unwrap();
    sandbox.ok(&format!(
        "train --model my.model names.tsv --out r --steps 5 {TINY}"
    ));
    // Words about it are none of its lines.
    fs::write(&file, format!("# Mine.\n{text}")).unwrap();
    sandbox.ok("train --resume r --steps 6 --device cpu -q");
    fs::write(&file, text.replace("last(h)", "mean(h)")).unwrap();
    let parts = [
        "my.model: is not the model that r was trained with",
        "put it back, or move it away",
    ];
    sandbox.refuses("train --resume r --steps 9 --device cpu", 3, &parts);
    // What only reads the run has its model.
    sandbox.ok("eval r names.tsv --device cpu");
    fs::remove_file(&file).unwrap();
    sandbox.ok("train --resume r --steps 9 --device cpu -q");
    sandbox.refuses(
        "train --resume r --steps 12 --model tag --device cpu",
        2,
        &["--model", "my.model"],
    );
}

#[test]
fn an_export_comes_back_and_says_nothing_of_its_run() {
    let sandbox = folder();
    fs::create_dir(sandbox.at("texts")).unwrap();
    let text = "field text: tokens\nfield label: class\nh = rnn(embed(text))\nloss cross_entropy(linear(last(h)), label)\n";
    for place in ["texts/my.model", "my.model"] {
        fs::write(sandbox.at(place), text).unwrap();
    }
    let train = |model: &str, out: &str| {
        let flags = format!("--hidden 6 --steps 5 --device cpu -q --out {out}");
        sandbox.ok(&format!("train --model {model} names.tsv {flags}"));
    };
    train("my.model", "r");
    train("texts/my.model", "q");
    sandbox.ok("export r --checkpoint last --out r.safetensors");
    sandbox.ok("export q --checkpoint last --out q.safetensors");
    let bytes = |name: &str| fs::read(sandbox.at(name)).unwrap();
    assert_eq!(bytes("r.safetensors"), bytes("q.safetensors"));
    let told = sandbox.ok("import q.safetensors --out copy");
    assert!(told.contains("model my.model, "), "{told}");
    let nats = |run: &str| {
        json(
            &sandbox,
            &format!("eval {run} names.tsv --checkpoint last --device cpu --json"),
        )["nats"]
            .clone()
    };
    assert_eq!(nats("r"), nats("copy"));
    // Only what shapes the model is fixed.
    sandbox.refuses(
        "train --resume copy --steps 4 --device cpu",
        2,
        &["give files"],
    );
    sandbox.refuses(
        "train --resume copy names.tsv --hidden 7 --device cpu",
        2,
        &["--hidden"],
    );
    sandbox.ok("train --resume copy names.tsv --steps 4 --batch 3 --class-weights balanced --device cpu -q");
    assert_eq!(sandbox.newest("copy").0, 4);
}

#[test]
fn texts_are_written_about_what_is_given() {
    let sandbox = folder();
    sandbox.ok(&format!(
        "train --model describe names.tsv --columns kind=1,text=2 --out r --epochs 40 {TINY}"
    ));
    // What a name ends in hangs on its kind, however it begins.
    for (kind, end) in [("f", "a\n"), ("m", "o\n")] {
        let one = sandbox.ok(&format!(
            "sample r --given kind={kind} --prime den --temperature 0"
        ));
        assert!(
            one.starts_with("den") && one.ends_with(end),
            "{kind}: {one}"
        );
    }
    let several = "sample r --given kind=m --count 3 --length 20 --seed 5 --json";
    let texts = sandbox.ok(several);
    let texts: Vec<Value> = texts
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(texts.len(), 3);
    assert!(
        texts.iter().any(|text| text["text"] != texts[0]["text"]),
        "{texts:?}"
    );
    assert_eq!(
        sandbox.ok("sample r --given kind=f --prime do --length 0"),
        "do\n"
    );
    for (args, code, parts) in [
        ("sample r", 2, ["--given kind=VALUE", "describe"]),
        ("sample r --given kind=z", 3, ["--given", "z"]),
        (
            "sample r --given kind=f --given kind=m",
            2,
            ["--given kind", "twice"],
        ),
        ("sample r --given kind", 2, ["--given", "FIELD=VALUE"]),
        ("sample r --given text=ann", 2, ["--given text", "--prime"]),
        (
            "sample r --given sort=f",
            2,
            ["--given sort", "no such field"],
        ),
    ] {
        sandbox.refuses(args, code, &parts);
    }
    fs::write(sandbox.at("lines.txt"), "a moon\na soon\n".repeat(8)).unwrap();
    sandbox.ok(&format!(
        "train --model n-gram lines.txt --out g --epochs 30 {TINY}"
    ));
    let text = sandbox.ok("sample g --temperature 0 --prime a");
    assert!(["a moon\n", "a soon\n"].contains(&text.as_str()), "{text}");
    sandbox.ok(&format!(
        "train lines.txt --out t --seq-len 5 --steps 1 {TINY}"
    ));
    sandbox.refuses(
        "sample t --given text=a",
        2,
        &["--given text=a", "one of a text"],
    );
}

#[test]
fn a_step_of_any_model_is_profiled_and_predicted() {
    let sandbox = trained();
    let small = "--steps 2 --batch 3 --length 4 --device cpu";
    // What the run keeps: its letters, its two classes and its H.
    let of_run = json(&sandbox, &format!("profile r {small} --json"));
    let shown = of_run["model"]["minibatch"].as_str().unwrap();
    assert!(
        shown.starts_with("model classify, 3 examples; text of ")
            && shown.ends_with("label of 2 classes"),
        "{shown}"
    );
    assert_eq!(of_run["model"]["hidden"], 8);
    let kernels = of_run["kernels"].as_array().unwrap();
    let names: Vec<&str> = kernels
        .iter()
        .map(|k| k["name"].as_str().unwrap())
        .collect();
    assert!(
        names
            .iter()
            .any(|name| name.contains("gru") || name.contains("h.l0")),
        "{names:?}"
    );
    for model in ["tag-letters", "caption-global", "n-gram", "bag-of-words"] {
        let table = sandbox.ok(&format!(
            "profile --model {model} --hidden 5 --vocab-size 9 {small}"
        ));
        assert!(
            table.contains(&format!("model {model}, 3 examples")),
            "{table}"
        );
        assert!(table.contains("ms where every kernel is timed"), "{table}");
    }
    let predicted = sandbox.ok("profile r --predict h100 --length 4");
    assert!(
        predicted.contains("model classify, 8 examples"),
        "{predicted}"
    );
    sandbox.refuses(
        "profile r --model tag",
        2,
        &["--model: r has model classify"],
    );
    sandbox.refuses("profile --length 5", 2, &["--length", "--seq-len"]);
    sandbox.refuses("profile --model tag --seq-len 5", 2, &["--seq-len", "tag"]);
}

#[test]
fn what_takes_texts_alone_says_what_to_use_instead() {
    let sandbox = trained();
    for (args, parts) in [
        ("sample r", ["found model classify", "`predict` answers"]),
        ("check --model tag", ["--model", "models check tag"]),
        (
            "check losses --model tag",
            ["--model: expected the model of a text", "models check tag"],
        ),
        (
            "cells compare --model tag",
            ["--model: expected the model of a text", "models check tag"],
        ),
        ("eval r names.tsv --dynamic 0.1", ["--dynamic", "classify"]),
    ] {
        sandbox.refuses(args, 2, &parts);
    }
}

#[test]
fn models_are_listed_and_shown() {
    let sandbox = folder();
    let list = sandbox.ok("models");
    let rows = json(&sandbox, "models --json");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), list.lines().count());
    for (row, line) in rows.iter().zip(list.lines()) {
        let (name, about) = (
            row["name"].as_str().unwrap(),
            row["about"].as_str().unwrap(),
        );
        assert!(
            line.starts_with(name) && line.ends_with(about) && about.len() > 20,
            "{line}"
        );
        sandbox.ok(&format!("models show {name}"));
    }
    // [symbols, embed] of the table; [3, 2 H] of the head.
    let show = json(
        &sandbox,
        "models show tag-letters --hidden 6 --embed 5 --json",
    );
    let shape = |name: &str| {
        let parameters = show["parameters"].as_array().unwrap();
        let found = parameters.iter().find(|p| p["name"] == name);
        found.map(|p| p["shape"].to_string()).unwrap_or_default()
    };
    assert_eq!(shape("spelled.embed.weight"), "[7,5]");
    assert_eq!(shape("loss.linear.weight"), "[3,12]");
    assert_eq!(shape("h.weight_ih_l0"), "[24,17]");
    let text = sandbox.ok("models show tag-letters --hidden 6 --embed 5");
    let has = |start: &str, end: &str| {
        text.lines()
            .any(|l| l.trim_start().starts_with(start) && l.ends_with(end))
    };
    assert!(
        has("state.spelled.birnn.l0 ", "every step of letters        6"),
        "{text}"
    );
    assert!(
        has("last.line.spelled ", "every step of text           12"),
        "{text}"
    );
    assert!(
        has("letters ", "nothing: the letters of the words of text"),
        "{text}"
    );
    // Without a word about it an embedding is as wide as H, where lines want rows.
    assert!(
        sandbox
            .ok("models show bag-of-words")
            .contains("H 128, embeddings one-hot, or H wide where rows are read")
    );
    let page = sandbox.ok("models --language");
    for part in [
        "# The model language",
        "cross_entropy",
        "tokens within",
        "birnn(v)",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    sandbox.refuses("models show clasify", 2, &["did you mean `classify`?"]);
}

#[test]
fn models_are_checked_and_faults_are_named() {
    let sandbox = folder();
    let check = "models check classify --hidden 4 --device cpu";
    let text = sandbox.ok(check);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("finite differences ok "), "{text}");
    assert!(
        lines[1].starts_with("device             not checked --device cpu"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("training           ok          loss from 1."),
        "{text}"
    );
    assert_eq!(lines[3], "classify: ok");
    let value = json(&sandbox, &format!("{check} --cell gru --json"));
    assert_eq!(
        (&value["model"], &value["verdict"]),
        (&"classify".into(), &"ok".into())
    );
    let figures = &value["parts"][2]["figures"];
    assert!(
        figures["loss"].as_f64() < figures["limit"].as_f64(),
        "{figures}"
    );
    assert!(
        figures["limit"].as_f64() < figures["first"].as_f64(),
        "{figures}"
    );

    // One that sees next to nothing of its words does not learn.
    let blind = "field t: tokens\nfield l: class\nh = dropout(mean(embed(t)), rate = 0.998)\nloss cross_entropy(linear(h), l)\n";
    fs::write(sandbox.at("blind.model"), blind).unwrap();
    let done = sandbox.run("models check blind.model --device cpu");
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    assert!(
        done.err
            .contains("error: blind.model: training failed: loss from 1."),
        "{}",
        done.err
    );
    assert!(
        !done.err.contains("finite differences failed"),
        "{}",
        done.err
    );
    sandbox.refuses(
        "models check tag --hidden 100",
        2,
        &["--hidden: expected at most 64"],
    );
}

/// A wrong sum on an adapter is found in a model's own operations, by `models check` and before a training.
#[test]
fn a_wrong_adapter_is_found_by_a_models_own_operations() {
    if !cfg!(debug_assertions) {
        println!("SKIPPED: faults cannot be injected in a release build of the program");
        return;
    }
    let sandbox = folder();
    let done = injected(&sandbox, "models check classify --hidden 4", "wrong");
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    assert!(
        done.err.contains("classify: device failed: "),
        "{}",
        done.err
    );
    let args = "train --model classify names.tsv --hidden 4 --steps 2 --check --device gpu --out g";
    let done = injected(&sandbox, args, "wrong");
    assert_eq!(done.code, 5, "{}{}", done.out, done.err);
    assert!(done.err.contains("nothing was trained"), "{}", done.err);
    assert!(!sandbox.at("g").exists());
    let done = injected(&sandbox, args, "");
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(
        done.err.contains("comparisons of this model at 4 examples"),
        "{}",
        done.err
    );
}
