//! Hostile input, in seconds: the functions that the fuzzer calls, on its seeds, on what it once found, and on changed
//! copies of both. All of it together must stay within bounded memory.

use std::fs;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use wgrnn::cell::library;
use wgrnn::data::{VocabKind, VocabularyRecipe};
use wgrnn::train::Settings;

#[path = "fuzz/hostile.rs"]
mod hostile;

/// The files of a folder of the tree, by name; none where it is not there.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = fs::read_dir(&folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// What fuzzing begins with: good files of every form.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let with = |mode: u8, bytes: &[u8]| [&[mode], bytes].concat();
    match name {
        "checkpoint" => {
            let (_, tiny) = hostile::tiny();
            let bytes = tiny.to_bytes().unwrap();
            // The same file as `sealed` takes it: without the beginning that it adds.
            let end = bytes.windows(9).position(|w| w == b"\",\"wgrnn\"").unwrap();
            let rest = [&bytes[..8], &bytes[end..]].concat();
            assert!(hostile::sealed(&rest) == bytes);
            vec![
                with(0, &bytes),
                with(1, &rest),
                with(2, tiny.meta.to_string().as_bytes()),
            ]
        }
        "settings" => {
            let mut all: Vec<_> = files("assets/presets")
                .iter()
                .map(|text| with(0, text))
                .collect();
            let written = Settings::default().to_toml().unwrap();
            all.push(with(0, written.as_bytes()));
            all.push(with(
                1,
                b"cell=gru,lstm\nlayers=2\nhidden=9\nembed=9\ntie=true\nlr=0.1\n",
            ));
            all.push(with(
                1,
                b"lines=true\nbatch-tokens=100\nmax-line=20\nlong-lines=cut\nbucket=3\n",
            ));
            all.push(with(
                1,
                b"softmax=adaptive\ncutoffs=2,4\naccumulate=3\nrecompute=5\nseq-len=15\n",
            ));
            all
        }
        "cell" => {
            let all = files("assets/cells");
            all.into_iter()
                .filter(|text| text.windows(6).any(|w| w == b"state "))
                .collect()
        }
        "tokenizer" => {
            let text = "the cat sat on the mat, the dog sat on the cat\n".repeat(9);
            let of = |kind, lines| {
                let recipe = VocabularyRecipe {
                    kind,
                    lines,
                    max_size: Some(270),
                    ..VocabularyRecipe::default()
                };
                recipe.build(text.as_bytes()).unwrap()
            };
            let mut all = Vec::new();
            for lines in [false, true] {
                for kind in [VocabKind::Char, VocabKind::Byte, VocabKind::Word] {
                    let stored = serde_json::to_vec(&of(kind, lines)).unwrap();
                    all.push(with(2, &stored));
                }
            }
            if cfg!(feature = "subwords") {
                let stored = serde_json::to_value(of(VocabKind::Piece, false)).unwrap();
                let json = stored["tokenizer"].as_str().unwrap();
                all.extend([with(0, json.as_bytes()), with(1, json.as_bytes())]);
                all.push(with(2, stored.to_string().as_bytes()));
            }
            for model in [
                r#"{"type":"WordLevel","vocab":{"a":0,"b":1,"[UNK]":2},"unk_token":"[UNK]"}"#,
                r#"{"type":"WordPiece","vocab":{"a":0,"@@b":1,"[UNK]":2},"unk_token":"[UNK]","continuing_subword_prefix":"@@","max_input_chars_per_word":9}"#,
                r#"{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.5],["b",-2.5]],"byte_fallback":false}"#,
                r#"{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"],"dropout":null,"unk_token":null,"fuse_unk":false}"#,
            ] {
                let json = format!(
                    r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{{"id":3,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}],"normalizer":{{"type":"Lowercase"}},"pre_tokenizer":{{"type":"Split","pattern":{{"Regex":"\\s+"}},"behavior":"Isolated","invert":false}},"post_processor":null,"decoder":{{"type":"Fuse"}},"model":{model}}}"#
                );
                all.push(with(0, json.as_bytes()));
            }
            all
        }
        "corpus" => {
            let text = "the cat sat on the mat\n\nthe caf\u{e9}, \u{1d11e} <unk>\r\n".repeat(4);
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            let gzip = gzip.finish().unwrap();
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            let zstd = ruzstd::encoding::compress_to_vec(text.as_bytes(), level);
            let forms = [text.into_bytes(), gzip, zstd];
            let modes = [0, 1, 2, 3, 4, 5, 6, 7, 24];
            modes
                .iter()
                .flat_map(|mode| forms.iter().map(|form| with(*mode, form)))
                .collect()
        }
        "import" => {
            let names: Vec<&str> = library::names().collect();
            let mut all = Vec::new();
            for (mode, cell) in names
                .iter()
                .enumerate()
                .filter(|(_, n)| ["rnn", "gru", "lstm"].contains(n))
            {
                let gates = match *cell {
                    "lstm" => 4,
                    "gru" => 3,
                    _ => 1,
                };
                let zeros = [0; 4 * 4 * 2 * 3];
                let shapes = [
                    ("weight_ih_l0", vec![gates * 2, 3]),
                    ("weight_hh_l0", vec![gates * 2, 2]),
                    ("bias_ih_l0", vec![gates * 2]),
                    ("bias_hh_l0", vec![gates * 2]),
                    ("fc.weight", vec![3, 2]),
                    ("fc.bias", vec![3]),
                ];
                let views = shapes.map(|(name, shape)| {
                    let bytes = 4 * shape.iter().product::<usize>();
                    (
                        name,
                        TensorView::new(Dtype::F32, shape, &zeros[..bytes]).unwrap(),
                    )
                });
                let bytes = safetensors::serialize(views, None).unwrap();
                all.push(with(mode as u8, &bytes));
            }
            // Every form in which others save them, for the cell that most of them have.
            let lstm = names.iter().position(|name| *name == "lstm").unwrap();
            let modules = files("tests/golden/modules");
            all.extend(modules.iter().map(|file| with(lstm as u8, file)));
            all
        }
        _ => unreachable!("{name}"),
    }
}

/// Writes the seeds where the fuzzer takes them from.
#[test]
#[ignore = "a step of tests/long.sh"]
fn write_seeds() {
    for name in [
        "checkpoint",
        "settings",
        "cell",
        "tokenizer",
        "corpus",
        "import",
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fuzz/seeds")
            .join(name);
        fs::create_dir_all(&folder).unwrap();
        for (i, seed) in seeds(name).iter().enumerate() {
            fs::write(folder.join(format!("{i:02}")), seed).unwrap();
        }
    }
}

/// A change of a file: cut, doubled, overwritten or with something put in.
fn changed(file: &[u8], changes: &[(u8, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for (how, place, noise) in changes {
        let at = place % (bytes.len() + 1);
        let end = (at + noise.len()).min(bytes.len());
        match how % 5 {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..end, noise.iter().copied())),
            2 => drop(bytes.splice(at..at, noise.iter().copied())),
            3 => drop(bytes.drain(at..end)),
            _ => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(end..end, copy);
            }
        }
    }
    bytes
}

/// Tries `target` on what is known and on so many changed copies; `WGRNN_CASES` asks for more.
fn meets(name: &str, target: fn(&[u8])) {
    let cases = std::env::var("WGRNN_CASES").map_or(400, |text| text.parse().expect("WGRNN_CASES"));
    let mut known = seeds(name);
    assert!(known.len() > 2, "{name}: no seeds");
    known.extend(files(&format!("tests/fuzz/findings/{name}")));
    known.push(Vec::new());
    for bytes in &known {
        target(bytes);
    }
    let words = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "18446744073709551615",
            "-1",
            "1e999",
            "NaN",
            "null",
            "\u{0}",
            "\"",
            "{",
            "[[[[[[[[",
            "_l9",
            "\n",
            "= ",
            "h",
            "(",
            "\u{10ffff}",
            "4294967296",
            "0",
            "\x1f\u{8b}",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
    ];
    let change = (any::<u8>(), any::<usize>(), words);
    let input = (
        any::<prop::sample::Index>(),
        prop::collection::vec(change, 0..6),
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&input, |(which, changes)| {
        let bytes = changed(&known[which.index(known.len())], &changes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        std::panic::catch_unwind(|| target(&bytes))
            .map_err(|_| TestCaseError::fail(format!("{text:?}")))
    });
    if let Err(e) = outcome {
        panic!("{name}: {e}");
    }
    bounded();
}

/// What this process ever held in memory is far below what a header can ask for.
fn bounded() {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        println!("not checked: only Linux says how much memory a process took");
        return;
    };
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 1 << 20, "{kib} KiB were resident at once");
}

#[test]
fn a_hostile_checkpoint_is_refused_or_goes_on() {
    meets("checkpoint", hostile::checkpoint);
}

#[test]
fn hostile_settings_are_refused_or_come_back() {
    meets("settings", hostile::settings);
}

#[test]
fn a_hostile_cell_is_refused_or_compiles() {
    meets("cell", hostile::cell);
}

#[test]
fn a_hostile_tokenizer_is_refused_or_encodes() {
    meets("tokenizer", hostile::tokenizer);
}

#[test]
fn a_hostile_text_is_refused_or_read() {
    meets("corpus", hostile::corpus);
}

#[test]
fn hostile_weights_are_refused_or_taken() {
    meets("import", hostile::import);
}
