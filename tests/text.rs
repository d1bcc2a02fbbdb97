//! Texts as a user meets them: words and sub-words from training to sampling, compressed files, texts that cannot be used.

mod room;

use std::fs;
use std::io::Write;

use serde_json::Value;

use room::{Room, TINY, finish};

/// A text of lines with words.
fn room() -> Room {
    let room = Room::new();
    let line = "the cat sat on the mat\na dog saw the cat\n\n";
    fs::write(room.at("w.txt"), line.repeat(9)).unwrap();
    room
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn words_train_resume_evaluate_and_sample() {
    let room = room();
    room.ok(&format!(
        "train w.txt --vocab word --out r --steps 6 {TINY} --val 0.2"
    ));
    let text = room.ok("eval r w.txt");
    assert!(
        text.contains("nats/word") && text.contains("bits/word"),
        "{text}"
    );
    let found = json(&room.ok("eval r w.txt --json"));
    // Eleven words and three line ends, nine times; the first is given.
    assert_eq!(
        (&found["count"], &found["unit"]),
        (&(9 * 14 - 1).into(), &"word".into())
    );
    let text = room.ok("sample r --prime the --length 9 --temperature 0");
    assert!(
        text.starts_with("the ")
            && text
                .trim_end()
                .chars()
                .all(|c| "acdeghmnostw \n".contains(c)),
        "{text:?}"
    );
    room.ok("train --resume r --steps 9");
    assert_eq!(room.newest("r").0, 9);
    // A straight run of as many steps gives the same weights.
    room.ok(&format!(
        "train w.txt --vocab word --out s --steps 9 {TINY} --val 0.2"
    ));
    assert_eq!(room.newest("r").1.tensors, room.newest("s").1.tensors);
    // A word that was never seen has no id, unless rare ones were folded.
    room.refuses("sample r --prime cow", 3, &["--prime", "\"cow\" at byte 0"]);
    room.ok(&format!(
        "train w.txt --vocab word --max-vocab 5 --out u --steps 2 {TINY}"
    ));
    let text = room.ok("sample u --prime cow --length 0");
    assert_eq!(text, "<unk>\n");
}

#[test]
fn a_compressed_text_is_the_text() {
    let room = room();
    let text = fs::read(room.at("w.txt")).unwrap();
    fs::write(room.at("w.gz"), gzip(&text)).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    fs::write(
        room.at("w.any"),
        ruzstd::encoding::compress_to_vec(&text[..], level),
    )
    .unwrap();
    room.ok(&format!("train w.txt --out r --steps 4 {TINY}"));
    let loss = |name: &str| json(&room.ok(&format!("eval r {name} --json")))["nats"].clone();
    assert_eq!(loss("w.gz"), loss("w.txt"));
    assert_eq!(loss("w.any"), loss("w.txt"));
    // Its hash is that of the text, so a run goes on with either.
    room.ok("train w.gz --resume r --steps 6");
    let packed = fs::read(room.at("w.gz")).unwrap();
    fs::write(room.at("cut.gz"), &packed[..packed.len() - 9]).unwrap();
    let parts = ["cut.gz: the gzip data is cut short"];
    room.refuses("train cut.gz", 3, &parts);
    room.refuses("eval r cut.gz", 3, &parts);
    // Standard input is read once, and used twice.
    let mut command = room.command(&format!("train - --out p --steps 4 {TINY}"));
    command.stdin(fs::File::open(room.at("w.gz")).unwrap());
    assert_eq!(finish(&mut command).code, 0);
    let hash = |run: &str| room.newest(run).1.meta["about"]["text"]["hash"].clone();
    assert_eq!(hash("p"), hash("r"));
}

#[test]
fn texts_that_say_nothing_exit_3() {
    let room = room();
    fs::write(room.at("one.txt"), "aaaaaaaaaaaa").unwrap();
    fs::write(room.at("blank.txt"), "\n\n  \n").unwrap();
    room.refuses(
        "train one.txt",
        3,
        &["one.txt", "at least 2 different symbols", "only 'a'"],
    );
    room.refuses(
        "train blank.txt --vocab word",
        3,
        &["blank.txt", "only <eos>"],
    );
    fs::write(room.at("latin.txt"), b"abc\xe9def").unwrap();
    let parts = ["latin.txt", "offset 3", "--vocab byte"];
    room.refuses("train latin.txt --vocab word", 3, &parts);
}

#[cfg(feature = "subwords")]
#[test]
fn sub_words_train_and_stay_with_the_run() {
    let room = room();
    room.ok(&format!(
        "train w.txt --vocab bpe --max-vocab 270 --out r --steps 4 {TINY}"
    ));
    let text = room.ok("eval r w.txt");
    assert!(text.contains("nats/token"), "{text}");
    let text = room.ok("sample r --prime the --length 5");
    assert!(text.starts_with("the"), "{text}");
    // Its tokenizer is one for others, too.
    let about = room.newest("r").1.meta["about"].clone();
    let tokenizer = about["vocabulary"]["tokenizer"].as_str().unwrap();
    fs::write(room.at("t.json"), tokenizer).unwrap();
    room.ok(&format!(
        "train w.txt --tokenizer t.json --out s --steps 4 {TINY}"
    ));
    assert_eq!(room.newest("r").1.tensors, room.newest("s").1.tensors);
    fs::remove_file(room.at("t.json")).unwrap();
    room.ok("train --resume s --steps 6");
    room.ok("sample s --length 3");

    fs::write(room.at("foreign.json"), r#"{"vocab": ["a", "b"]}"#).unwrap();
    let parts = ["foreign.json: no tokenizer.json that can be read"];
    room.refuses("train w.txt --tokenizer foreign.json", 3, &parts);
    room.refuses("train w.txt --tokenizer nowhere.json", 7, &["nowhere.json"]);
    room.refuses(
        "train w.txt --tokenizer t.json --vocab word --max-vocab 2 --bucket 3",
        2,
        &["--tokenizer", "--max-vocab", "--bucket"],
    );
}
