//! Texts about other texts as a user meets them: train an encoder and decoder, predict with beams, measure; what is refused.
//! All on the processor, with data made here.

mod sandbox;

use std::fs;

use sandbox::Sandbox;
use serde_json::Value;

const MODEL: &str = "field source: tokens\nfield target: tokens\nm = rnn(embed(source))\n\
    h = rnn(embed(target), start = m)\nloss cross_entropy(linear(h), next(target))\n";

/// Words of two or three letters, each with what it is when every letter is capital.
fn words() -> Vec<(String, String)> {
    let letters = ["a", "b", "c", "d"];
    let two = letters.map(|a| letters.map(|b| format!("{a}{b}")));
    let two: Vec<String> = two.into_iter().flatten().collect();
    let three = two.iter().map(|word| format!("{word}{}", &word[..1]));
    let all = two.iter().cloned().chain(three);
    all.map(|word| (word.clone(), word.to_uppercase()))
        .collect()
}

/// A folder with a run `r` that has learned some of the words, and files with the sources and the targets of all.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    let write =
        |name: &str, lines: Vec<String>| fs::write(sandbox.at(name), lines.concat()).unwrap();
    write("pairs.model", vec![MODEL.into()]);
    let line = |text: &String| format!("{text}\n");
    let words = words();
    write("source.txt", words.iter().map(|(s, _)| line(s)).collect());
    write("target.txt", words.iter().map(|(_, t)| line(t)).collect());
    write(
        "back.txt",
        words.iter().rev().map(|(s, _)| line(s)).collect(),
    );
    sandbox.ok(
        "train --model pairs.model source=source.txt target=target.txt --out r --epochs 60 --hidden 16 --embed 8 \
         --lr 0.02 --batch 8 --device cpu -q",
    );
    sandbox
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn answers_lie_in_the_order_of_the_examples_and_beams_rank_them() {
    let sandbox = trained();
    let ask = |args: &str| sandbox.ok(&format!("predict r {args} --device cpu"));
    let plain = ask("source=source.txt");
    let words = words();
    let right = lines(&plain)
        .iter()
        .zip(&words)
        .filter(|(got, (_, want))| *got == want)
        .count();
    assert!(right > words.len() / 2, "{plain}");
    assert_eq!(ask("source=source.txt --beam 1"), plain);
    let back = ask("source=back.txt");
    let turned: Vec<&str> = lines(&back).into_iter().rev().collect();
    assert_eq!(turned, lines(&plain));

    let best = ask("source=source.txt --beam 4");
    let several = ask("source=source.txt --beam 4 --nbest 3");
    let rows: Vec<Vec<&str>> = several
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows.len(), 3 * words.len());
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(
        numbers,
        (3..rows.len() + 3).map(|n| n / 3).collect::<Vec<_>>()
    );
    let first: Vec<&str> = rows.chunks(3).map(|three| three[0][2]).collect();
    assert_eq!(first, lines(&best));
    for three in rows.chunks(3) {
        let scores: Vec<f64> = three.iter().map(|row| row[1].parse().unwrap()).collect();
        assert!(
            scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 0.0,
            "{three:?}"
        );
        assert!(three[0][2] != three[1][2] && three[1][2] != three[2][2]);
    }
    let early = ask("source=source.txt --beam 4 --early-stop");
    let (early, best) = (lines(&early), lines(&best));
    let same = early.iter().zip(&best).filter(|(a, b)| a == b).count();
    assert!(same > words.len() / 2, "{early:?}");
    assert_eq!(ask("source=source.txt --early-stop"), plain);
    let scored = ask("source=source.txt --beam 4 --scores");
    let want = rows
        .chunks(3)
        .map(|three| format!("{}\t{}", three[0][1], three[0][2]));
    assert_eq!(lines(&scored), want.collect::<Vec<_>>());
    let json = ask("source=source.txt --beam 4 --nbest 2 --json --length-penalty wu=0.6");
    assert_eq!(json.lines().count(), words.len());
    for line in json.lines() {
        let found: Value = serde_json::from_str(line).unwrap();
        let text = &found["texts"][0];
        assert_eq!(
            text["score_is"],
            "log probability / ((5 + predictions) / 6)^0.6"
        );
        let predictions = text["text"].as_str().unwrap().chars().count() + 1;
        let divisor = ((5.0 + predictions as f64) / 6.0).powf(0.6);
        let [sum, score] = ["log_probability", "score"].map(|name| text[name].as_f64().unwrap());
        assert!((sum / divisor - score).abs() < 1e-9);
    }
}

#[test]
fn lengths_and_repeats_are_as_asked_for() {
    let sandbox = trained();
    let ask = |args: &str| sandbox.ok(&format!("predict r source=source.txt --device cpu {args}"));
    for line in lines(&ask("--min-length 5 --max-length 6 --beam 2")) {
        assert!((5..=6).contains(&line.chars().count()), "{line}");
    }
    for line in lines(&ask("--max-length 1")) {
        assert!(line.chars().count() <= 1, "{line}");
    }
    for line in lines(&ask("--block-ngram 1 --min-length 4 --max-length 9")) {
        let mut letters: Vec<char> = line.chars().collect();
        let count = letters.len();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), count, "{line}");
    }
    assert_eq!(ask("--block-ngram 0"), ask(""));
    let drawn = ask("--temperature 2 --seed 4");
    assert_eq!(ask("--temperature 2 --seed 4"), drawn);
    assert_ne!(drawn, ask(""));
}

#[test]
fn eval_measures_what_beams_find() {
    let sandbox = trained();
    let eval = |args: &str| {
        sandbox.ok(&format!(
            "eval r source=source.txt target=target.txt --device cpu {args}"
        ))
    };
    let share = |text: &str| {
        let at = text.find("exact ").unwrap();
        text[at + 6..]
            .split(' ')
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let greedy = eval("");
    assert!(greedy.contains("perplexity (true inputs)"), "{greedy}");
    assert!(
        greedy.contains("target: accuracy (true inputs) 0."),
        "{greedy}"
    );
    assert!(
        greedy.contains("of 32 texts, each token the likeliest"),
        "{greedy}"
    );
    let predicted = sandbox.ok("predict r source=source.txt --device cpu");
    let right = predicted
        .lines()
        .zip(words())
        .filter(|(got, (_, want))| got == want)
        .count();
    assert!(
        (share(&greedy) - right as f64 / 32.0).abs() < 1e-3,
        "{greedy}"
    );
    let wide = eval("--beam 3");
    assert!(wide.contains("the best of 3 beams"), "{wide}");
    assert!(share(&eval("--max-length 1")) == 0.0);
    // What is predicted, as its own reference, has all that it has.
    fs::write(sandbox.at("own.txt"), &predicted).unwrap();
    let bleu = eval("--bleu none --reference own.txt");
    assert!(
        bleu.contains("nrefs:2|case:mixed|eff:no|tok:none"),
        "{bleu}"
    );
    let at = bleu.find("BLEU = ").unwrap();
    assert!(bleu[at..].contains(" 100.0/"), "{bleu}");
    assert!(bleu.contains("chrF2 = 100.00"), "{bleu}");
    let alone = eval("--bleu 13a --json");
    let found: Value = serde_json::from_str(&alone).unwrap();
    let chrf = found["losses"][0]["chrf"].as_f64().unwrap();
    assert!(chrf > 10.0 && chrf < 100.0, "{alone}");
    fs::write(sandbox.at("short.txt"), "A\n").unwrap();
    let of = "eval r source=source.txt target=target.txt --device cpu";
    sandbox.refuses(
        &format!("{of} --bleu none --reference short.txt"),
        3,
        &["short.txt", "expected 32", "found 1"],
    );
    sandbox.refuses(&format!("{of} --reference own.txt"), 2, &["--bleu"]);
    sandbox.refuses(&format!("{of} --bleu intl"), 2, &["--bleu", "13a"]);
}

#[test]
fn flags_of_texts_that_cannot_be_are_refused() {
    let sandbox = trained();
    for (args, parts) in [
        ("--beam 0", ["--beam", "1..=1000"]),
        ("--beam 1001", ["--beam", "1..=1000"]),
        (
            "--beam 2 --nbest 3",
            ["--nbest: expected at most --beam, 2", "got 3"],
        ),
        ("--nbest 0", ["--nbest", "1..=1000"]),
        (
            "--min-length 3 --max-length 2",
            ["--min-length: expected at most --max-length, 2", "got 3"],
        ),
        (
            "--length-penalty mean",
            [
                "--length-penalty: expected none, average or wu=ALPHA",
                "got mean",
            ],
        ),
        (
            "--coverage-penalty 11",
            ["--coverage-penalty: expected 0 to 10", "got 11"],
        ),
        (
            "--coverage-penalty nan",
            ["--coverage-penalty: expected 0 to 10", "got NaN"],
        ),
        (
            "--coverage-penalty 0.2",
            [
                "coverage-penalty: expected a model with one attention",
                "with 0",
            ],
        ),
        ("--length-penalty wu=-1", ["--length-penalty", "got wu=-1"]),
        ("--beam 2 --temperature 1", ["--beam: expected 1", "got 2"]),
        ("--top 2", ["--top: expected none", "writes texts"]),
    ] {
        sandbox.refuses(&format!("predict r source=source.txt {args}"), 2, &parts);
    }
    sandbox.refuses(
        "train --model translate-feed source=source.txt target=source.txt --cell gru --out no",
        2,
        &["--cell: expected none", "model translate-feed"],
    );
    sandbox.refuses(
        "train source.txt --cell gru-attend --out no",
        2,
        &["cell gru-attend", "looks at memory m"],
    );
    fs::write(sandbox.at("names.tsv"), "label\ttext\nf\tanna\nm\totto\n").unwrap();
    sandbox.ok("train --model classify names.tsv --out c --epochs 1 --hidden 4 --device cpu -q");
    for flag in [
        "--beam 2",
        "--early-stop",
        "--nbest 1",
        "--length-penalty none",
        "--coverage-penalty 0.1",
        "--max-length 3",
        "--min-length 1",
        "--block-ngram 2",
        "--scores",
        "--replace-unk",
        "--attention looked.jsonl",
        "--svg drawn",
    ] {
        let name = flag.split(' ').next().unwrap();
        sandbox.refuses(
            &format!("predict c names.tsv {flag}"),
            2,
            &[name, "predicts labels"],
        );
        let of_predict = [
            "--nbest",
            "--scores",
            "--replace-unk",
            "--attention",
            "--svg",
        ];
        if !of_predict.contains(&name) {
            sandbox.refuses(
                &format!("eval c names.tsv {flag}"),
                2,
                &[name, "expected a model that writes texts"],
            );
        }
    }
}

/// Of attention after the layers, and of that in the cell.
#[test]
fn what_texts_look_at_is_drawn_and_stands_for_unknown_words() {
    looked_at("translate", "a");
    looked_at("translate-feed", "h.l0.a");
}

fn looked_at(model: &str, attention: &str) {
    let sandbox = Sandbox::new();
    let words = ["ga", "bu", "meu", "zo", "ki", "lo"];
    // Every word alone and beside every other, and one that is seen once.
    let mut source: Vec<String> = words.iter().map(|word| format!("{word}\n")).collect();
    for a in words {
        source.extend(words.map(|b| format!("{a} {b}\n")));
    }
    source.push("rare ga\n".into());
    fs::write(sandbox.at("source.txt"), source.concat()).unwrap();
    fs::write(sandbox.at("target.txt"), source.concat().to_uppercase()).unwrap();
    sandbox.ok(&format!(
        "train --model {model} source=source.txt target=target.txt --vocab word --out r --epochs 60 --hidden 16 --embed 8 \
         --lr 0.02 --batch 8 --dropout 0 --device cpu -q"
    ));
    fs::write(sandbox.at("new.txt"), "ga zo bu\nodd ki\n").unwrap();
    let ask = |args: &str| sandbox.ok(&format!("predict r source=new.txt --device cpu {args}"));
    let plain = ask("--beam 3");
    assert_eq!(
        ask("--beam 3 --attention looked.jsonl --svg drawn.svg"),
        plain
    );
    let parsed = |text: String| -> Vec<Value> {
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let saved = |name: &str| parsed(fs::read_to_string(sandbox.at(name)).unwrap());
    let found = saved("looked.jsonl");
    // What the weights come to is in the score, whether or not they are asked for.
    let covered = "--beam 3 --coverage-penalty 0.4 --scores --json";
    let scored = ask(&format!("{covered} --attention covered.jsonl"));
    assert_eq!(ask(covered), scored);
    let mut least = 0.0f64;
    for (text, line) in parsed(scored).iter().zip(saved("covered.jsonl")) {
        let rows: Vec<Vec<f64>> = serde_json::from_value(line["weights"].clone()).unwrap();
        let all = |step: usize| rows.iter().map(|row| row[step]).sum::<f64>();
        let terms = (0..rows[0].len()).map(|step| all(step).min(1.0).ln());
        let coverage: f64 = terms.sum();
        let [sum, score] = ["log_probability", "score"].map(|name| text[name].as_f64().unwrap());
        assert!((sum / rows.len() as f64 + 0.4 * coverage - score).abs() < 1e-4);
        least = least.min(coverage);
    }
    assert!(least < -1e-3, "{least}");
    let plain = lines(&plain);
    assert_eq!(found.len(), 2);
    let strings = |value: &Value| -> Vec<String> {
        let all = value.as_array().unwrap().iter();
        all.map(|word| word.as_str().unwrap().to_string()).collect()
    };
    assert_eq!(strings(&found[1]["source"]), ["odd", "ki"]);
    let mut replaced = Vec::new();
    for (n, line) in found.iter().enumerate() {
        assert_eq!(
            (&line["example"], &line["rank"]),
            (&(n + 1).into(), &1.into())
        );
        assert_eq!(line["attention"], attention);
        let (source, target) = (strings(&line["source"]), strings(&line["target"]));
        assert_eq!(target.join(" "), format!("{} </s>", plain[n]));
        let rows = line["weights"].as_array().unwrap();
        assert_eq!(rows.len(), target.len());
        let mut text = Vec::new();
        for (word, row) in target.iter().zip(rows) {
            let row: Vec<f64> = row
                .as_array()
                .unwrap()
                .iter()
                .map(|w| w.as_f64().unwrap())
                .collect();
            assert_eq!(row.len(), source.len());
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{row:?}");
            let most = (0..row.len())
                .max_by(|a, b| row[*a].total_cmp(&row[*b]))
                .unwrap();
            text.push(if word == "<unk>" {
                source[most].clone()
            } else {
                word.clone()
            });
        }
        text.pop();
        replaced.push(text.join(" "));
    }
    // What training saw once is unknown, and so is a word that it did not see: one stands for the other.
    assert!(plain[1].contains("<unk>"), "{plain:?}");
    let known = ask("--beam 3 --replace-unk");
    assert_eq!(lines(&known), replaced);
    assert!(!known.contains("<unk>") && known.contains("odd"), "{known}");
    let svg = fs::read_to_string(sandbox.at("drawn.svg")).unwrap();
    assert!(svg.contains("odd") && svg.contains("&lt;unk&gt;"), "{svg}");
    ask("--beam 3 --nbest 2 --attention looked.jsonl --svg drawn");
    let ranks = fs::read_to_string(sandbox.at("looked.jsonl")).unwrap();
    assert_eq!(ranks.lines().count(), 4);
    assert_eq!(
        ranks
            .lines()
            .next()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()),
        Some(found[0].clone())
    );
    assert!(sandbox.at("drawn/1.svg").exists() && sandbox.at("drawn/2.svg").exists());
    assert!(!sandbox.at("drawn/3.svg").exists());
}

#[test]
fn attention_is_asked_of_models_that_have_it_alone() {
    let sandbox = trained();
    for flag in [
        "--attention looked.jsonl",
        "--svg drawn.svg",
        "--replace-unk",
    ] {
        let name = flag.split(' ').next().unwrap();
        sandbox.refuses(
            &format!("predict r source=source.txt --device cpu {flag}"),
            2,
            &[
                name,
                "expected a model whose text looks at",
                "got pairs.model",
            ],
        );
    }
    assert!(!sandbox.at("looked.jsonl").exists());
    // Letters are one-hot vectors here, which both directions of the source read.
    sandbox.ok("train --model translate source=source.txt target=target.txt --out all --epochs 1 --hidden 4 --device cpu -q");
    let texts = sandbox.ok("predict all source=source.txt --device cpu --attention looked.jsonl");
    assert_eq!(texts.lines().count(), 32);
    assert!(sandbox.at("looked.jsonl").exists());
    // A byte is no word of the source.
    sandbox.ok(
        "train --model translate source=source.txt target=target.txt --vocab byte --out bytes --epochs 1 --hidden 4 --embed 2 \
         --device cpu -q",
    );
    sandbox.refuses(
        "predict bytes source=source.txt --device cpu --replace-unk",
        2,
        &[
            "--replace-unk: expected words or characters",
            "bytes of target",
        ],
    );
}

#[test]
fn bleu_by_the_length_of_the_source_is_that_of_its_texts() {
    let sandbox = trained();
    let eval = |args: &str| {
        sandbox.ok(&format!(
            "eval r source=source.txt target=target.txt --device cpu --bleu none {args}"
        ))
    };
    let found: Value = serde_json::from_str(&eval("--by-length 2 --json")).unwrap();
    let all = &found["losses"][0];
    let groups = all["by_length"].as_array().unwrap();
    let ranges = groups
        .iter()
        .map(|g| [&g["from"], &g["to"], &g["texts"]].map(|n| n.as_u64().unwrap()));
    assert_eq!(ranges.collect::<Vec<_>>(), [[1, 2, 16], [3, 4, 16]]);
    let one: Value = serde_json::from_str(&eval("--by-length 9 --json")).unwrap();
    let one = &one["losses"][0]["by_length"];
    assert_eq!(
        (one.as_array().unwrap().len(), &one[0]["bleu"]),
        (1, &all["bleu"])
    );
    assert_eq!(one[0]["chrf"], all["chrf"]);
    // The shorter words alone.
    let words = words();
    for (name, of) in [("s2.txt", 0), ("t2.txt", 1)] {
        let lines = words.iter().filter(|(s, _)| s.len() == 2);
        let lines: Vec<String> = lines.map(|(s, t)| format!("{}\n", [s, t][of])).collect();
        fs::write(sandbox.at(name), lines.concat()).unwrap();
    }
    let short = sandbox.ok("eval r source=s2.txt target=t2.txt --device cpu --bleu none --json");
    let short: Value = serde_json::from_str(&short).unwrap();
    let short = &short["losses"][0];
    assert_eq!(
        [&groups[0]["bleu"], &groups[0]["chrf"]],
        [&short["bleu"], &short["chrf"]]
    );
    assert!(groups[0]["chrf"] != groups[1]["chrf"], "{groups:?}");
    let text = eval("--by-length 2");
    assert!(
        text.contains("of 16 texts whose source has 1 to 2 tokens: BLEU = "),
        "{text}"
    );
    let of = "eval r source=source.txt target=target.txt --device cpu";
    sandbox.refuses(
        &format!("{of} --by-length 2"),
        2,
        &["--by-length 2", "--bleu"],
    );
    sandbox.refuses(
        &format!("{of} --bleu none --by-length 0"),
        2,
        &["--by-length", "1..=65536"],
    );
}

/// What is trained with the model's own words among the inputs is another model, by the seed alone; files that cannot be are named
/// with both numbers, and nothing is written.
#[test]
fn decoders_are_trained_on_what_they_say_and_bad_pairs_are_refused() {
    let sandbox = trained();
    let train = |out: &str, more: &str| {
        sandbox.ok(&format!(
            "train --model pairs.model source=source.txt target=target.txt --out {out} --hidden 8 --embed 4 --batch 8 \
             --device cpu -q {more}"
        ));
        sandbox.ok(&format!(
            "eval {out} source=source.txt target=target.txt --device cpu --max-length 4"
        ))
    };
    let mixed = "--scheduled-sampling linear --sampling-k 0.9 --sampling-slope 0.05";
    let first = train("a", &format!("{mixed} --epochs 4"));
    assert_eq!(train("b", &format!("{mixed} --epochs 4")), first);
    assert_ne!(train("c", "--epochs 4"), first);
    train("d", &format!("{mixed} --epochs 2"));
    sandbox.ok("train --resume d --epochs 4 --device cpu -q");
    let again = "eval d source=source.txt target=target.txt --device cpu --max-length 4";
    assert_eq!(sandbox.ok(again), first);
    for (source, target, parts) in [
        (
            "ab\n\nba\n",
            "AB\nBA\nAA\n",
            ["s.txt: line 2: field source", "found nothing"],
        ),
        (
            "ab\nba\n",
            "AB\n\n",
            ["t.txt: line 2: field target", "found nothing"],
        ),
        (
            "ab\nba\naa\n",
            "AB\nBA\n",
            ["found 3 in s.txt and 2 in t.txt", "s.txt: line 3"],
        ),
        (
            "ab\nba\n",
            "A\nAA\n",
            [
                "field target: expected a vocabulary of at least 2 chars",
                "found 1",
            ],
        ),
    ] {
        fs::write(sandbox.at("s.txt"), source).unwrap();
        fs::write(sandbox.at("t.txt"), target).unwrap();
        let args = "train --model pairs.model source=s.txt target=t.txt --out no --device cpu";
        sandbox.refuses(args, 3, &parts);
        assert!(!sandbox.at("no").exists());
    }
    fs::write(sandbox.at("s.txt"), "ab\n\n").unwrap();
    sandbox.refuses(
        "predict r source=s.txt",
        3,
        &["s.txt: line 2: field source", "found nothing"],
    );
    // Longer than any in training, and answered all the same.
    fs::write(sandbox.at("s.txt"), format!("{}\nab\n", "abcd".repeat(20))).unwrap();
    let both = sandbox.ok("predict r source=s.txt --device cpu");
    assert_eq!(both.lines().count(), 2, "{both}");
    fs::write(sandbox.at("names.tsv"), "label\ttext\nf\tanna\nm\totto\n").unwrap();
    sandbox.refuses(
        "train --model classify names.tsv --out no --scheduled-sampling linear",
        2,
        &[
            "scheduled-sampling: model classify",
            "predicts a next token",
        ],
    );
}
