//! Texts as a user meets them: words and sub-words from training to sampling, compressed files, texts that cannot be used.

mod sandbox;

use std::fs;
use std::io::Write;

use serde_json::Value;

use sandbox::{Sandbox, TINY, finish};

/// A text of lines with words.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let line = "the cat sat on the mat\na dog saw the cat\n\n";
    fs::write(sandbox.at("w.txt"), line.repeat(9)).unwrap();
    sandbox
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
    let sandbox = sandbox();
    sandbox.ok(&format!(
        "train w.txt --vocab word --out r --steps 6 {TINY} --val 0.2"
    ));
    let text = sandbox.ok("eval r w.txt");
    assert!(
        text.contains("nats/word") && text.contains("bits/word"),
        "{text}"
    );
    let found = json(&sandbox.ok("eval r w.txt --json"));
    // Eleven words and three line ends, nine times; the first is given.
    assert_eq!(
        (&found["count"], &found["unit"]),
        (&(9 * 14 - 1).into(), &"word".into())
    );
    let text = sandbox.ok("sample r --prime the --length 9 --temperature 0");
    assert!(
        text.starts_with("the ")
            && text
                .trim_end()
                .chars()
                .all(|c| "acdeghmnostw \n".contains(c)),
        "{text:?}"
    );
    sandbox.ok("train --resume r --steps 9");
    assert_eq!(sandbox.newest("r").0, 9);
    // A straight run of as many steps gives the same weights.
    sandbox.ok(&format!(
        "train w.txt --vocab word --out s --steps 9 {TINY} --val 0.2"
    ));
    assert_eq!(sandbox.newest("r").1.tensors, sandbox.newest("s").1.tensors);
    // A word that was never seen has no id, unless rare ones were folded.
    sandbox.refuses("sample r --prime cow", 3, &["--prime", "\"cow\" at byte 0"]);
    sandbox.ok(&format!(
        "train w.txt --vocab word --max-vocab 5 --out u --steps 2 {TINY}"
    ));
    let text = sandbox.ok("sample u --prime cow --length 0");
    assert_eq!(text, "<unk>\n");
}

#[test]
fn a_compressed_text_is_the_text() {
    let sandbox = sandbox();
    let text = fs::read(sandbox.at("w.txt")).unwrap();
    fs::write(sandbox.at("w.gz"), gzip(&text)).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    fs::write(
        sandbox.at("w.any"),
        ruzstd::encoding::compress_to_vec(&text[..], level),
    )
    .unwrap();
    sandbox.ok(&format!("train w.txt --out r --steps 4 {TINY}"));
    let loss = |name: &str| json(&sandbox.ok(&format!("eval r {name} --json")))["nats"].clone();
    assert_eq!(loss("w.gz"), loss("w.txt"));
    assert_eq!(loss("w.any"), loss("w.txt"));
    // Its hash is that of the text, so a run goes on with either.
    sandbox.ok("train w.gz --resume r --steps 6");
    let packed = fs::read(sandbox.at("w.gz")).unwrap();
    fs::write(sandbox.at("cut.gz"), &packed[..packed.len() - 9]).unwrap();
    let parts = ["cut.gz: the gzip data is cut short"];
    sandbox.refuses("train cut.gz", 3, &parts);
    sandbox.refuses("eval r cut.gz", 3, &parts);
    // Standard input is read once, and used twice.
    let mut command = sandbox.command(&format!("train - --out p --steps 4 {TINY}"));
    command.stdin(fs::File::open(sandbox.at("w.gz")).unwrap());
    assert_eq!(finish(&mut command).code, 0);
    let hash = |run: &str| sandbox.newest(run).1.meta["about"]["text"]["hash"].clone();
    assert_eq!(hash("p"), hash("r"));
}

/// Text in another encoding, as editors on Windows save it.
fn utf16(text: &str) -> Vec<u8> {
    let units = [0xfeff].into_iter().chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn what_is_no_text_is_refused_with_the_way_out() {
    let sandbox = sandbox();
    sandbox.ok(&format!("train w.txt --out r --steps 2 {TINY}"));
    fs::write(sandbox.at("win.txt"), b"one\nit\x92s\n").unwrap();
    fs::write(sandbox.at("wide.txt"), utf16("one two\n")).unwrap();
    fs::write(sandbox.at("a.zip"), b"PK\x03\x04\x14\0\0\0").unwrap();
    fs::write(sandbox.at("a.xz"), b"\xfd7zXZ\0\0\x04").unwrap();
    for (file, parts) in [
        (
            "win.txt",
            &[
                "0x92 at offset 6 (line 2)",
                "iconv -f WINDOWS-1252 -t UTF-8 win.txt > OUT.txt",
            ][..],
        ),
        (
            "wide.txt",
            &["UTF-16 text", "iconv -f UTF-16 -t UTF-8 wide.txt"],
        ),
        ("a.zip", &["a zip archive", "unzip -p a.zip"]),
        ("a.xz", &["xz data", "xz -dc a.xz"]),
    ] {
        sandbox.refuses(&format!("train {file}"), 3, parts);
        sandbox.refuses(&format!("eval r {file}"), 3, parts);
        sandbox.refuses(&format!("cells compare {file}"), 3, parts);
        // A flag is named only where there is one.
        let told = |args: &str| {
            sandbox
                .run(&format!("{args} {file}"))
                .err
                .contains("--vocab")
        };
        assert_eq!(told("train"), file == "win.txt", "{file}");
        assert!(!told("eval r") && !told("cells compare"), "{file}");
        // From standard input as well.
        let mut command = sandbox.command("eval r -");
        command.stdin(fs::File::open(sandbox.at(file)).unwrap());
        let done = finish(&mut command);
        assert_eq!(done.code, 3, "{}", done.err);
        let named = done.err.contains(parts[0]) && done.err.contains("standard input: ");
        assert!(named && done.err.lines().count() == 1, "{}", done.err);
    }
    sandbox.refuses(
        "train w.txt r",
        7,
        &["cannot read r: expected a file, found a folder"],
    );
}

#[test]
fn what_is_strange_in_a_text_is_told_before_training() {
    let sandbox = Sandbox::new();
    let plain = "some words and more\nthen a line\n".repeat(40);
    let of = |name: &str, text: &[u8], flags: &str| {
        fs::write(sandbox.at(name), text).unwrap();
        let args = format!("train {name} --out {name}.run --steps 2 --quiet {TINY} {flags}");
        let done = sandbox.run(&args);
        assert_eq!(done.code, 0, "{}", done.err);
        done.err
    };
    let err = of("nul", &[plain.as_bytes(), b"\0\0\n"].concat(), "--val 0");
    assert!(err.contains("warning: nul: 2 NUL characters"), "{err}");
    let err = of("wide", &utf16(&plain)[2..], "--val 0");
    assert!(err.contains("looks like UTF-16LE"), "{err}");
    let err = of("mac", plain.replace('\n', "\r").as_bytes(), "--val 0");
    assert!(err.contains("80 carriage returns"), "{err}");
    let err = of("dos", plain.replace('\n', "\r\n").as_bytes(), "--val 0");
    assert!(err.contains("80 line ends are a carriage return"), "{err}");
    // Lines and words of all three are the same.
    for flags in ["--lines", "--vocab word"] {
        let mut runs = Vec::new();
        for (n, end) in ["\n", "\r\n", "\r"].iter().enumerate() {
            let name = format!("t{n}{}", flags.len());
            let err = of(
                &name,
                plain.replace('\n', end).as_bytes(),
                &format!("{flags} --val 0"),
            );
            assert_eq!(err, "", "{end:?}");
            runs.push(sandbox.newest(&format!("{name}.run")).1.tensors);
        }
        assert!(runs.windows(2).all(|w| w[0] == w[1]), "{flags}");
    }
}

#[test]
fn validation_on_what_was_trained_on_is_told() {
    let sandbox = Sandbox::new();
    let line = |n: u64| {
        format!(
            "{:016x} {:016x}\n",
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            n * n * n
        )
    };
    let text: String = (1..60).map(line).collect();
    fs::write(sandbox.at("b.txt"), &text).unwrap();
    fs::write(sandbox.at("c.txt"), &text).unwrap();
    let told = |files: &str, flags: &str| {
        let _ = fs::remove_dir_all(sandbox.at("r"));
        let done = sandbox.run(&format!(
            "train {files} --out r --steps 2 -q {TINY} {flags}"
        ));
        assert_eq!(done.code, 0, "{}", done.err);
        done.err
    };
    assert_eq!(told("b.txt", "--val 0.1"), "");
    let err = told("b.txt b.txt", "--val 0.1");
    assert!(
        err.contains("b.txt: given twice") && err.contains("validation text is not new"),
        "{err}"
    );
    let err = told("b.txt c.txt", "--val 0.1 --lines");
    assert!(err.contains("c.txt: the same text as b.txt"), "{err}");
    assert!(err.contains("12 of 12 lines"), "{err}");
    // What is held out is in the training text of one file too.
    fs::write(sandbox.at("d.txt"), text.repeat(2)).unwrap();
    let err = told("d.txt", "--val 0.1");
    assert!(err.contains("4 of 4 pieces of 100 tokens"), "{err}");
    assert!(!told("b.txt c.txt", "--val 0").contains("validation"));
}

#[test]
fn a_texts_own_marks_do_not_end_samples() {
    let sandbox = Sandbox::new();
    let line = "<s> a line </s> with <eos> words\n";
    fs::write(sandbox.at("m.txt"), line.repeat(30)).unwrap();
    let flags =
        "--steps 60 --lr 0.05 --val 0 --hidden 16 --batch 4 --seq-len 8 --sample-every 0 -q";
    sandbox.ok(&format!("train m.txt --lines --vocab word --out l {flags}"));
    sandbox.ok(&format!("train m.txt --vocab word --out s {flags}"));
    assert_eq!(sandbox.ok("sample l --temperature 0"), line);
    let text = sandbox.ok("sample s --temperature 0 --length 16");
    assert_eq!(text, format!("{line}{line}\n"));
    // Each line has seven words and its end, each of them counted.
    let count = |run: &str| json(&sandbox.ok(&format!("eval {run} m.txt --json")))["count"].clone();
    assert_eq!(
        (count("l"), count("s")),
        ((30 * 8).into(), (30 * 8 - 1).into())
    );
    // A prime of several lines is not one line.
    for prime in ["a line\n</s>", "a\r", "\n"] {
        let done = finish(sandbox.command("sample l --prime").arg(prime));
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(
            done.err.contains("--prime: expected one line"),
            "{}",
            done.err
        );
    }
    let done = finish(
        sandbox
            .command("sample s --length 0 --prime")
            .arg("a\rline"),
    );
    assert_eq!(done.out, "a\nline\n", "{}", done.err);
}

#[test]
fn marks_at_the_beginning_of_files_are_no_part_of_them() {
    let sandbox = sandbox();
    let marked = |from: &str, to: &str| {
        let bytes = [b"\xef\xbb\xbf", &fs::read(sandbox.at(from)).unwrap()[..]].concat();
        fs::write(sandbox.at(to), bytes).unwrap();
    };
    fs::write(sandbox.at("s.toml"), "hidden = 6\nsample-every = 0\n").unwrap();
    fs::write(sandbox.at("my.cell"), "state h\nh = tanh(linear(x, h))\n").unwrap();
    marked("w.txt", "marked.txt");
    marked("s.toml", "marked.toml");
    marked("my.cell", "marked.cell");
    let flags = "--steps 3 --seq-len 5 --batch 2";
    sandbox.ok(&format!(
        "train w.txt --config s.toml --cell my.cell --out a {flags}"
    ));
    let args = "train marked.txt --config marked.toml --cell marked.cell --out b";
    sandbox.ok(&format!("{args} {flags}"));
    let tensors = |run: &str| sandbox.newest(run).1.tensors;
    assert_eq!(tensors("a"), tensors("b"));
    // The run's own settings, after an editor has added one.
    marked("b/settings.toml", "b/settings.toml");
    sandbox.ok("train --resume b --steps 5");
    fs::write(sandbox.at("wide.toml"), utf16("hidden = 6\n")).unwrap();
    sandbox.refuses(
        "train w.txt --config wide.toml",
        3,
        &["wide.toml: not UTF-8", "UTF-16"],
    );
    sandbox.refuses("train w.txt --cell win.cell", 7, &["win.cell"]);
    fs::write(sandbox.at("win.cell"), b"# it\x92s\nstate h\n").unwrap();
    sandbox.refuses(
        "train w.txt --cell win.cell",
        3,
        &["win.cell: not UTF-8: byte 0x92 at offset 4 (line 1)"],
    );
}

/// Names that are no UTF-8 come in and come back; no other file is taken for them.
#[cfg(target_os = "linux")]
#[test]
fn names_of_files_need_not_be_utf8() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let sandbox = sandbox();
    let name = |text: &[u8]| OsString::from_vec(text.to_vec());
    let put =
        |to: &[u8], text: &str| fs::write(sandbox.folder.path().join(name(to)), text).unwrap();
    put(b"caf\xe9.txt", &"the cat sat on a mat; ".repeat(12));
    put(b"caf\xe9.toml", "hidden = 6\nsample-every = 0\n");
    put(b"caf\xe9.cell", "state h\nh = tanh(linear(x, h))\n");
    // What a lossy name would find.
    put("caf\u{fffd}.txt".as_bytes(), "another text");
    let run = |args: &str, names: &[&[u8]]| {
        let mut names = names.iter();
        let mut command = sandbox.command("");
        for word in args.split(' ') {
            match word {
                "@" => command.arg(name(names.next().unwrap())),
                word => command.arg(word),
            };
        }
        let done = finish(&mut command);
        assert_eq!(done.code, 0, "{args}: {}", done.err);
        done
    };
    let flags = "--steps 3 --seq-len 5 --batch 2 -q --json";
    let done = run(
        &format!("train @ --config @ --cell @ --out @ {flags}"),
        &[b"caf\xe9.txt", b"caf\xe9.toml", b"caf\xe9.cell", b"r\xe9"],
    );
    let told = json(&done.out)["sample"].as_str().unwrap().to_string();
    assert!(told.ends_with(r"sample $'r\xe9'"), "{told}");
    let settings =
        fs::read_to_string(sandbox.folder.path().join(name(b"r\xe9/settings.toml"))).unwrap();
    assert!(
        settings.contains("\ncell = \"file:caf%E9.cell\"\n"),
        "{settings}"
    );
    run("train --resume @ --steps 5 -q", &[b"r\xe9"]);
    run("eval @ @ --json", &[b"r\xe9", b"caf\xe9.txt"]);
    run("sample @ --length 3 --json", &[b"r\xe9"]);
    run("export @ --out @ --json", &[b"r\xe9", b"\xe9.safetensors"]);
    run("import @ --out @ --json", &[b"\xe9.safetensors", b"\xe9"]);
    run("cells show @", &[b"caf\xe9.cell"]);
    // A settings file names it in the same way.
    put(b"again.toml", &settings);
    run(
        "train @ --config again.toml --out again -q --steps 1",
        &[b"caf\xe9.txt"],
    );
    // Bytes are a prime of bytes.
    run(
        "train @ --vocab byte --out bytes -q --steps 1 --seq-len 5 --batch 2",
        &[b"caf\xe9.txt"],
    );
    let done = finish(sandbox.command("sample again --prime").arg(name(b"a\xe9")));
    assert_eq!(done.code, 3);
    assert!(
        done.err
            .contains("--prime: not UTF-8: byte 0xE9 at offset 1"),
        "{}",
        done.err
    );
}

#[test]
fn texts_that_say_nothing_exit_3() {
    let sandbox = sandbox();
    fs::write(sandbox.at("one.txt"), "aaaaaaaaaaaa").unwrap();
    fs::write(sandbox.at("blank.txt"), "\n\n  \n").unwrap();
    sandbox.refuses(
        "train one.txt",
        3,
        &["one.txt", "at least 2 different symbols", "only 'a'"],
    );
    sandbox.refuses(
        "train blank.txt --vocab word",
        3,
        &["blank.txt", "only <eos>"],
    );
    fs::write(sandbox.at("latin.txt"), b"abc\xe9def").unwrap();
    let parts = ["latin.txt", "offset 3", "--vocab byte"];
    sandbox.refuses("train latin.txt --vocab word", 3, &parts);
}

#[cfg(feature = "subwords")]
#[test]
fn sub_words_train_and_stay_with_the_run() {
    let sandbox = sandbox();
    sandbox.ok(&format!(
        "train w.txt --vocab bpe --max-vocab 270 --out r --steps 4 {TINY}"
    ));
    let text = sandbox.ok("eval r w.txt");
    assert!(text.contains("nats/token"), "{text}");
    let text = sandbox.ok("sample r --prime the --length 5");
    assert!(text.starts_with("the"), "{text}");
    // Its tokenizer is one for others, too.
    let about = sandbox.newest("r").1.meta["about"].clone();
    let tokenizer = about["vocabulary"]["tokenizer"].as_str().unwrap();
    fs::write(sandbox.at("t.json"), tokenizer).unwrap();
    sandbox.ok(&format!(
        "train w.txt --tokenizer t.json --out s --steps 4 {TINY}"
    ));
    assert_eq!(sandbox.newest("r").1.tensors, sandbox.newest("s").1.tensors);
    fs::remove_file(sandbox.at("t.json")).unwrap();
    sandbox.ok("train --resume s --steps 6");
    sandbox.ok("sample s --length 3");

    fs::write(sandbox.at("foreign.json"), r#"{"vocab": ["a", "b"]}"#).unwrap();
    let parts = ["foreign.json: no tokenizer.json that can be read"];
    sandbox.refuses("train w.txt --tokenizer foreign.json", 3, &parts);
    sandbox.refuses("train w.txt --tokenizer nowhere.json", 7, &["nowhere.json"]);
    sandbox.refuses(
        "train w.txt --tokenizer t.json --vocab word --max-vocab 2 --bucket 3",
        2,
        &["--tokenizer", "--max-vocab", "--bucket"],
    );
}
