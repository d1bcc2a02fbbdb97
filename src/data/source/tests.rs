use super::*;
use crate::data::vocab::VocabKind;
use crate::error::Kind;
use std::fs;
use std::io::Write;

fn files(names: &[PathBuf]) -> Result<Corpus> {
    Source::Files(names.to_vec()).open_with(&std::env::temp_dir(), &mut &b"from stdin"[..])
}

/// All bytes of a text, through the vocabulary of its bytes.
fn bytes(corpus: &Corpus) -> Vec<u8> {
    let recipe = Recipe {
        kind: VocabKind::Byte,
        ..Recipe::default()
    };
    let v = corpus.vocabulary(&recipe).unwrap();
    v.decode(&corpus.encode(&v).unwrap().to_vec().unwrap())
}

#[test]
fn files_join_in_the_order_given_and_keep_their_line_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.txt"), dir.path().join("b.txt"));
    fs::write(&a, "one\r\n").unwrap();
    fs::write(&b, "two\n\n").unwrap();
    let corpus = files(&[b.clone(), "-".into(), a.clone()]).unwrap();
    assert_eq!(bytes(&corpus), b"two\n\nfrom stdinone\r\n");
    assert_eq!(
        corpus.name,
        format!("{} + standard input + {}", b.display(), a.display())
    );
    assert_eq!(
        corpus.hash().unwrap(),
        blake3::hash(b"two\n\nfrom stdinone\r\n").to_hex().as_str()
    );
    assert_ne!(
        corpus.hash().unwrap(),
        files(&[a, b]).unwrap().hash().unwrap()
    );
    assert_eq!(corpus.floor(0..3), None);
}

#[test]
fn a_file_ends_its_last_line_of_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    fs::write(&path, "one two").unwrap();
    let corpus = files(&["-".into(), path]).unwrap();
    let kind = VocabKind::Word;
    let v = corpus
        .vocabulary(&Recipe {
            kind,
            ..Recipe::default()
        })
        .unwrap();
    let ids = corpus.encode(&v).unwrap().to_vec().unwrap();
    assert_eq!(v.decode(&ids), b"from stdin\none two\n");
}

#[test]
fn missing_and_unreadable_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("nowhere.txt"), dir.path().to_path_buf()] {
        let read = files(std::slice::from_ref(&path)).and_then(|c| c.hash().map(str::to_string));
        let e = read.unwrap_err();
        assert_eq!(e.kind, Kind::Io);
        assert!(e.message.contains(&path.display().to_string()), "{e}");
    }
}

#[test]
fn empty_text_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.txt");
    fs::write(&path, "").unwrap();
    let corpus = files(std::slice::from_ref(&path)).unwrap();
    let e = corpus.vocabulary(&Recipe::default()).unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    assert!(e.message.contains("empty.txt: the text is empty"), "{e}");
    assert_eq!(files(&[]).unwrap_err().kind, Kind::Data);
    let none = Source::Builtin { seed: 1, chars: 0 };
    let e = none.open(dir.path()).unwrap().hash().unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    // An empty file beside one that is not is no fault.
    assert_eq!(bytes(&files(&[path, "-".into()]).unwrap()), b"from stdin");
}

#[test]
fn invalid_utf8_names_the_file_and_the_offset_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    fs::write(&good, "höher").unwrap();
    fs::write(&bad, b"abc\xe9def").unwrap();
    let corpus = files(&[good, bad.clone()]).unwrap();
    let other = Vocabulary::build(VocabKind::Char, b"ab", 1).unwrap();
    for e in [
        corpus.vocabulary(&Recipe::default()).unwrap_err(),
        corpus.encode(&other).unwrap_err(),
    ] {
        assert_eq!(e.kind, Kind::Data);
        for part in [
            &bad.display().to_string(),
            "0xE9",
            "offset 3",
            "--vocab byte",
        ] {
            assert!(e.message.contains(part), "{e}");
        }
    }
    assert_eq!(
        bytes(&corpus),
        "höher".bytes().chain(*b"abc\xe9def").collect::<Vec<u8>>()
    );
}

#[test]
fn a_generated_text_knows_its_floor() {
    let source = Source::Builtin {
        seed: 3,
        chars: 5000,
    };
    let corpus = source.open(&std::env::temp_dir()).unwrap();
    assert_eq!(bytes(&corpus).len(), 5000);
    let (a, b) = (
        corpus.floor(0..2500).unwrap(),
        corpus.floor(2500..5000).unwrap(),
    );
    assert!((corpus.floor(0..5000).unwrap() - (a + b) / 2.0).abs() < 1e-6);
    assert_eq!(corpus.floor(7..7), None);
    assert_eq!(corpus.floor(4999..5001), None);
}

#[test]
fn a_text_that_changes_between_passes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.txt");
    fs::write(&path, "one two\n").unwrap();
    let corpus = files(std::slice::from_ref(&path)).unwrap();
    let v = corpus.vocabulary(&Recipe::default()).unwrap();
    assert_eq!(corpus.encode(&v).unwrap().len(), 8);
    // Its new symbols are not known, but that is not what went wrong; nor is the end within a character.
    for changed in [&b"one two\nthree\n"[..], b"two one\n", b"one two\n\xc3"] {
        fs::write(&path, changed).unwrap();
        let e = corpus.encode(&v).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        assert!(
            e.message
                .contains("log.txt: the text changed while it was read: expected BLAKE3"),
            "{e}"
        );
    }
    fs::write(&path, "one two\n").unwrap();
    assert_eq!(corpus.encode(&v).unwrap().len(), 8);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Frames with a checksum each, as the `zstd` program writes them.
fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A text that compresses badly enough to have several blocks.
fn text() -> Vec<u8> {
    let mut x = 1u32;
    let draw = |_| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (x >> 28) as u8
    };
    (0..600_000).map(draw).collect()
}

#[test]
fn compressed_files_are_known_by_their_first_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text");
    let text = text();
    let twice = [text.clone(), text.clone()].concat();
    let skipped = [
        &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..],
        &zstd(&text),
    ]
    .concat();
    for (packed, want) in [
        (gzip(&text), &text),
        (zstd(&text), &text),
        ([gzip(&text), gzip(&text)].concat(), &twice),
        ([zstd(&text), zstd(&text)].concat(), &twice),
        (skipped, &text),
    ] {
        fs::write(&path, &packed).unwrap();
        let corpus = files(std::slice::from_ref(&path)).unwrap();
        assert_eq!(corpus.hash().unwrap(), blake3::hash(want).to_hex().as_str());
        assert!(bytes(&corpus) == *want);
        let piped = Source::Files(vec!["-".into()]);
        let corpus = { piped.open_with(dir.path(), &mut packed.as_slice()) }.unwrap();
        assert_eq!(corpus.hash().unwrap(), blake3::hash(want).to_hex().as_str());
    }
}

#[test]
fn a_compressed_file_cut_short_or_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text.gz");
    let text = text();
    for (format, packed) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
        for keep in [5, 9, packed.len() / 2, packed.len() - 5, packed.len() - 1] {
            fs::write(&path, &packed[..keep]).unwrap();
            let corpus = files(std::slice::from_ref(&path)).unwrap();
            let e = corpus.hash().unwrap_err();
            assert_eq!(e.kind, Kind::Data);
            let want = format!("text.gz: the {format} data is cut short: ");
            assert!(e.message.contains(&want), "{keep} of {}: {e}", packed.len());
        }
        for at in (0..packed.len()).step_by(packed.len() / 40) {
            let mut bad = packed.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let read = { files(std::slice::from_ref(&path)).unwrap() }
                .hash()
                .map(str::to_string);
            match read {
                Err(e) => assert_eq!(e.kind, Kind::Data, "{at}: {e}"),
                // The first bytes make it another format; some fields of a header say nothing about the text.
                Ok(hash) => assert!(
                    at < 10 || hash == blake3::hash(&text).to_hex().as_str(),
                    "{format}, byte {at}"
                ),
            }
        }
    }
}
