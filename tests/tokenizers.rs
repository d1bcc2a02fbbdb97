//! A tokenizer.json as a user meets it: the text comes back as it is, or what is lost is told; and what is unknown to a
//! vocabulary is told by `eval`.

mod sandbox;

use std::fs;

use serde_json::{Value, json};

use sandbox::{Sandbox, TINY};

#[cfg(feature = "subwords")]
const LINE: &str = "The cat sat\non a mat.\n";

/// One of sentence pieces: `▁` stands for a space, and for one before the text.
#[cfg(feature = "subwords")]
fn pieces(normalizer: Value) -> String {
    let spaces =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let words = [
        "<unk>", "▁cat", "▁sat", "▁a", "▁mat", "The", "the", "on", "▁", ".", "\n",
    ];
    let letters = "abcdefghijklmnopqrstuvwxyzT".chars().map(String::from);
    let vocab: Vec<(String, f64)> = words
        .map(String::from)
        .into_iter()
        .chain(letters)
        .enumerate()
        .map(|(n, word)| (word, -0.1 * n as f64))
        .collect();
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": spaces, "post_processor": null, "decoder": spaces,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": false}})
    .to_string()
}

#[cfg(feature = "subwords")]
#[test]
fn no_line_begins_with_a_space_that_is_not_there() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("a.txt"), LINE.repeat(60)).unwrap();
    fs::write(sandbox.at("t.json"), pieces(Value::Null)).unwrap();
    let done = sandbox.run(
        "train a.txt --tokenizer t.json --out r --hidden 24 --lr 0.05 --steps 120 --batch 2 --seq-len 20 --device cpu -q",
    );
    assert_eq!(
        (done.code, done.err.contains("tokenizer")),
        (0, false),
        "{}",
        done.err
    );
    // What comes out is the text, letter by letter.
    let text = sandbox.ok("sample r --prime The --length 80 --temperature 0");
    assert!(text.starts_with(&LINE.repeat(3)), "{text:?}");
    let both = sandbox.ok("sample r --prime The --length 80 --temperature 0 --count 2");
    assert_eq!(both.matches(text.trim_end()).count(), 2, "{both:?}");
    // The same of a line of its own.
    sandbox.ok(&format!(
        "train a.txt --lines --tokenizer t.json --out l --steps 2 {TINY}"
    ));
    let text = sandbox.ok("sample l --prime on --length 0");
    assert_eq!(text, "on\n");
    sandbox.ok("eval r a.txt");
}

#[cfg(feature = "subwords")]
#[test]
fn what_a_tokenizer_loses_is_told_before_training() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("a.txt"), LINE.repeat(60)).unwrap();
    let flat = json!({"type": "Sequence", "normalizers": [{"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": "\\s"}, "content": " "}]});
    fs::write(sandbox.at("t.json"), pieces(flat)).unwrap();
    let done = sandbox.run(&format!(
        "train a.txt --tokenizer t.json --out r --steps 2 {TINY}"
    ));
    assert_eq!(done.code, 0, "{}", done.err);
    let parts = [
        "a.txt: ",
        "no tokens for 120 of 120 line ends",
        "\"The cat sat ",
        "\"the cat sat ",
    ];
    for part in parts {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
}

#[test]
fn what_is_unknown_is_told_with_the_loss() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("a.txt"), "a b c d\n".repeat(50)).unwrap();
    fs::write(sandbox.at("b.txt"), "a b x d\n".repeat(50)).unwrap();
    fs::write(sandbox.at("c.txt"), "a b c d\n".repeat(50) + "x").unwrap();
    sandbox.ok(&format!(
        "train a.txt --vocab word --max-vocab 4 --out r --steps 20 --lr 0.05 {TINY}"
    ));
    // Four symbols: the end of a line, two words, and <unk> for the others.
    let done = sandbox.run("eval r b.txt --json");
    let found: Value = serde_json::from_str(&done.out).unwrap();
    // Of each line's five symbols two words are unknown.
    let unknown = 100;
    let count = |name: &str| found[name].as_u64().unwrap();
    assert_eq!((count("symbols"), count("count")), (250, 249));
    assert_eq!(
        (count("unknown"), count("unknown_predictions")),
        (unknown, unknown)
    );
    assert_eq!(found["unknown_share"], json!(0.4));
    assert!(
        done.err.contains("warning: ") && done.err.contains("b.txt: "),
        "{}",
        done.err
    );
    let known = found["known_nats"].as_f64().unwrap();
    assert!((known.exp() - found["known_perplexity"].as_f64().unwrap()).abs() < 1e-9);
    assert!(known != found["nats"].as_f64().unwrap());
    let text = sandbox.ok("eval r b.txt");
    let share = "; 40.0% of the text's words are <unk>: not comparable";
    assert!(
        text.contains(share) && text.contains("predictions of known words alone: "),
        "{text}"
    );
    // What is given counts as well, though no prediction is of it.
    fs::write(sandbox.at("one.txt"), "x\n").unwrap();
    let done = sandbox.run("eval r one.txt --json");
    let found: Value = serde_json::from_str(&done.out).unwrap();
    let numbers = ["symbols", "count", "unknown", "unknown_predictions"]
        .map(|name| found[name].as_u64().unwrap());
    assert_eq!(numbers, [2, 1, 1, 0]);
    assert_eq!(
        (&found["unknown_share"], &found["known_nats"]),
        (&json!(0.5), &found["nats"])
    );
    assert!(
        done.err.contains("one.txt: 50.0% of the words are unknown"),
        "{}",
        done.err
    );
    let text = sandbox.ok("eval r one.txt");
    assert!(
        text.contains("; 50.0% of the text's words are <unk>: not") && !text.contains("alone"),
        "{text}"
    );
    // While the model learns from the text, the known ones are not looked at apart.
    let learned = sandbox.ok("eval r one.txt --dynamic 0.1 --json");
    let found: Value = serde_json::from_str(&learned).unwrap();
    assert_eq!(
        (
            &found["unknown"],
            &found["unknown_predictions"],
            &found["known_nats"]
        ),
        (&json!(1), &Value::Null, &Value::Null)
    );
    // A share below a hundredth is no warning.
    sandbox.ok(&format!(
        "train a.txt c.txt --vocab word --min-count 2 --out s --steps 2 {TINY}"
    ));
    let done = sandbox.run("eval s c.txt");
    assert!(
        done.out.contains("; 0.4% of the text's words are <unk> (")
            && !done.err.contains("warning"),
        "{} {}",
        done.out,
        done.err
    );
    // Where there is no such symbol the text is refused, and all is known otherwise.
    sandbox.ok(&format!("train a.txt --out u --steps 2 {TINY}"));
    let found: Value = serde_json::from_str(&sandbox.ok("eval u a.txt --json")).unwrap();
    assert_eq!(
        (&found["unknown"], &found["known_nats"]),
        (&json!(0), &found["nats"])
    );
    sandbox.refuses("eval u b.txt", 3, &["b.txt", "'x' (U+0078)", "--min-count"]);
}

#[test]
fn a_model_of_bytes_reads_any_text() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("a.txt"), "plain text\n".repeat(30)).unwrap();
    fs::write(sandbox.at("b.bin"), (0..=255).collect::<Vec<u8>>()).unwrap();
    sandbox.ok(&format!(
        "train a.txt --vocab byte --out r --steps 2 {TINY}"
    ));
    let found: Value = serde_json::from_str(&sandbox.ok("eval r b.bin --json")).unwrap();
    assert_eq!(
        (&found["count"], &found["unknown"]),
        (&json!(255), &json!(0))
    );
    sandbox.ok("sample r --prime é --length 3");
}

#[test]
fn quiet_runs_keep_warnings_and_leave_out_remarks() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("a.txt"), "a b c\n\n".repeat(300) + "z\n").unwrap();
    fs::write(sandbox.at("few.txt"), "a b c\n".repeat(60) + "x\n").unwrap();
    fs::write(sandbox.at("many.txt"), "a x\n".repeat(9)).unwrap();
    let run = |valid: &str, more: &str| {
        let out = format!("{valid}{}", more.len());
        sandbox.run(&format!(
            "train a.txt --valid {valid}.txt --lines --vocab word --min-count 2 --out {out} --steps 2 {TINY} {more}"
        ))
    };
    let (few, many) = (
        "few.txt: 1 of 242 words (0.41%) are unknown",
        "warning: many.txt: 9 of 27 words (33.33%)",
    );
    let told = run("few", "");
    for part in [few, "a.txt: 300 lines empty, skipped"] {
        assert!(told.err.contains(part), "{part}: {}", told.err);
    }
    let told = run("few", "-q");
    assert_eq!(
        (told.code, told.err.contains("words")),
        (0, false),
        "{}",
        told.err
    );
    assert!(!told.err.contains("empty"), "{}", told.err);
    let told = run("many", "-q");
    assert!(told.err.contains(many), "{}", told.err);
}
