use super::*;
use crate::data::vocab::VocabKind;
use crate::error::Kind;
use std::fs;
use std::io::Write;

fn files(names: &[PathBuf]) -> Result<Corpus> {
    TextSource::Files(names.to_vec()).open_with(&std::env::temp_dir(), &mut &b"from stdin"[..])
}

/// All bytes of a text, through the vocabulary of its bytes.
fn bytes(corpus: &Corpus) -> Vec<u8> {
    let recipe = VocabularyRecipe {
        kind: VocabKind::Byte,
        ..VocabularyRecipe::default()
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
        .vocabulary(&VocabularyRecipe {
            kind,
            ..VocabularyRecipe::default()
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
    let e = corpus.vocabulary(&VocabularyRecipe::default()).unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    assert!(e.message.contains("empty.txt: the text is empty"), "{e}");
    assert_eq!(files(&[]).unwrap_err().kind, Kind::Data);
    let none = TextSource::Builtin { seed: 1, chars: 0 };
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
        corpus.vocabulary(&VocabularyRecipe::default()).unwrap_err(),
        corpus.encode(&other).unwrap_err(),
    ] {
        assert_eq!(e.kind, Kind::Data);
        for part in [
            &bad.display().to_string(),
            "0xE9",
            "offset 3 (line 1)",
            "iconv -f WINDOWS-1252 -t UTF-8 ",
        ] {
            assert!(e.message.contains(part), "{e}");
        }
        assert!(!e.message.contains("--vocab"), "{e}");
    }
    let mut corpus = corpus;
    corpus.advise("--do this");
    let e = corpus.vocabulary(&VocabularyRecipe::default()).unwrap_err();
    assert!(e.message.ends_with("; --do this"), "{e}");
    assert_eq!(
        bytes(&corpus),
        "höher".bytes().chain(*b"abc\xe9def").collect::<Vec<u8>>()
    );
}

#[test]
fn a_generated_text_knows_its_floor() {
    let source = TextSource::Builtin {
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
    let v = corpus.vocabulary(&VocabularyRecipe::default()).unwrap();
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
        let piped = TextSource::Files(vec!["-".into()]);
        let corpus = piped.open_with(dir.path(), &mut packed.as_slice()).unwrap();
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
            let read = files(std::slice::from_ref(&path))
                .unwrap()
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

#[test]
fn zeros_after_gzip_are_padding_and_all_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text.gz");
    let text = text();
    let two = [gzip(&text[..9]), gzip(&text[9..])].concat();
    let with = |tail: &[u8]| {
        fs::write(&path, [&two, tail].concat()).unwrap();
        let corpus = files(std::slice::from_ref(&path)).unwrap();
        corpus.hash().map(str::to_string)
    };
    let want = blake3::hash(&text).to_hex().to_string();
    for zeros in [0, 1, 511, BLOCK + 1] {
        assert_eq!(with(&vec![0; zeros]), Ok(want.clone()), "{zeros}");
    }
    let far = [vec![0; BLOCK], vec![7]].concat();
    for tail in [&b"x"[..], b"\0\0x", b"more text\n", &far] {
        let e = with(tail).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        let told = e.message.contains("text.gz: ") && e.message.contains("after it come bytes");
        assert!(told, "{e}");
    }
    // The beginning of another member is one cut short, and one between zeros is no padding.
    let e = with(&[0x1f]).unwrap_err();
    assert!(e.message.contains("cut short"), "{e}");
    assert!(with(&[&[0, 0], &gzip(b"x")[..]].concat()).is_err());
}

fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
    let units = mark
        .then_some(0xfeff)
        .into_iter()
        .chain(text.encode_utf16());
    units
        .flat_map(|u| {
            if big {
                u.to_be_bytes()
            } else {
                u.to_le_bytes()
            }
        })
        .collect()
}

fn utf32(text: &str) -> Vec<u8> {
    let chars = "\u{feff}".chars().chain(text.chars());
    chars.flat_map(|c| u32::from(c).to_le_bytes()).collect()
}

/// The first header of a tar archive, as POSIX has it.
fn tar() -> Vec<u8> {
    let mut block = vec![0; 1024];
    block[..5].copy_from_slice(b"a.txt");
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[512..517].copy_from_slice(b"text\n");
    block
}

#[test]
fn what_is_no_text_is_named_with_the_command_that_helps() {
    let dir = tempfile::tempdir().unwrap();
    let words = "some words and lines\n".repeat(9);
    let byte = VocabularyRecipe {
        kind: VocabKind::Byte,
        ..VocabularyRecipe::default()
    };
    for (bytes, name, command) in [
        (
            utf16(&words, true, false),
            "UTF-16 text",
            "iconv -f UTF-16 -t UTF-8 {} >",
        ),
        (
            utf16(&words, true, true),
            "UTF-16 text",
            "iconv -f UTF-16 -t UTF-8 {} >",
        ),
        (
            utf32(&words),
            "UTF-32 text",
            "iconv -f UTF-32 -t UTF-8 {} >",
        ),
        (
            b"PK\x03\x04\x14\0\0\0".to_vec(),
            "a zip archive",
            "unzip -p {} >",
        ),
        (b"\xfd7zXZ\0\0".to_vec(), "xz data", "xz -dc {} >"),
        (b"BZh91AY&SY\xaa".to_vec(), "bzip2 data", "bzip2 -dc {} >"),
        (
            b"7z\xbc\xaf\x27\x1c\0".to_vec(),
            "a 7z archive",
            "7z x -so {} >",
        ),
        (
            b"Rar!\x1a\x07\x01".to_vec(),
            "a RAR archive",
            "unrar p -inul {} >",
        ),
        (b"%PDF-1.7\n".to_vec(), "a PDF document", "pdftotext {} - >"),
        (tar(), "a tar archive", "tar -xOf {} >"),
        (
            gzip(&tar()),
            "a tar archive within gzip data",
            "tar -xOf {} >",
        ),
        (
            zstd(&tar()),
            "a tar archive within zstd data",
            "tar -xOf {} >",
        ),
        (
            gzip(&utf16(&words, true, false)),
            "UTF-16 text within gzip data",
            "gzip -dc {} | iconv -f UTF-16 -t UTF-8 >",
        ),
        (
            gzip(&gzip(b"text")),
            "gzip data within gzip data",
            "gzip -dc {} | gzip -dc >",
        ),
    ] {
        for name_of in ["x.txt", "-"] {
            let path = match name_of {
                "-" => PathBuf::from("-"),
                name => dir.path().join(name),
            };
            fs::write(dir.path().join("x.txt"), &bytes).unwrap();
            let source = TextSource::Files(vec![path.clone()]);
            let open = || source.open_with(dir.path(), &mut bytes.as_slice()).unwrap();
            let shown = match name_of {
                "-" => "FILE".to_string(),
                _ => path.display().to_string(),
            };
            let command = command.replace("{}", &shown);
            for kind in [VocabKind::Char, VocabKind::Word, VocabKind::Piece] {
                if kind == VocabKind::Piece && !cfg!(feature = "subwords") {
                    continue;
                }
                let recipe = VocabularyRecipe {
                    kind,
                    ..VocabularyRecipe::default()
                };
                let e = open().vocabulary(&recipe).unwrap_err();
                assert_eq!(e.kind, Kind::Data);
                let found = format!("expected a text, found {name}; ");
                assert!(e.message.contains(&found), "{name}: {e}");
                assert!(e.message.contains(&command), "{command}: {e}");
                assert!(!e.message.contains("--"), "{e}");
            }
            // Its bytes are symbols all the same, and that is said.
            let corpus = open();
            let v = corpus.vocabulary(&byte).unwrap();
            let remarks = corpus.remarks(&v).unwrap();
            let name = name.split(" within").next().unwrap();
            let told =
                remarks.len() == 1 && remarks[0].ends_with(&format!("{name}, read byte by byte"));
            assert!(told, "{name}: {remarks:?}");
        }
    }
    // A text of one of their names is one.
    for text in [
        "PK and more\n",
        "BZhang\n",
        "ustar\n",
        "MZ\n",
        "GIF89a is old\n",
        "ID3 tags\n",
    ] {
        fs::write(dir.path().join("x.txt"), text).unwrap();
        let corpus = files(&[dir.path().join("x.txt")]).unwrap();
        assert!(
            corpus.vocabulary(&VocabularyRecipe::default()).is_ok(),
            "{text}"
        );
    }
}

/// What is said about texts, given as files of these contents.
fn remarks(texts: &[&[u8]], kind: VocabKind, lines: bool) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = |n: usize| dir.path().join(format!("{n}.txt"));
    for (n, text) in texts.iter().enumerate() {
        fs::write(path(n), text).unwrap();
    }
    let corpus = files(&(0..texts.len()).map(path).collect::<Vec<_>>()).unwrap();
    let recipe = VocabularyRecipe {
        kind,
        lines,
        ..VocabularyRecipe::default()
    };
    let v = corpus.vocabulary(&recipe).unwrap();
    corpus.remarks(&v).unwrap()
}

#[test]
fn what_is_strange_in_a_text_is_told() {
    use VocabKind::{Byte, Char, Word};
    let plain = "some words\nand lines\n".repeat(30);
    let (mac, dos) = (plain.replace('\n', "\r"), plain.replace('\n', "\r\n"));
    let wide = utf16(&plain, false, true);
    let nuls = format!("{plain}\0 and \0\n");
    let mixed = format!("{plain}10%\r20%\n");
    let one = "word ".repeat(200);
    for (text, kind, lines, want) in [
        (plain.as_bytes(), Char, false, &[][..]),
        (
            nuls.as_bytes(),
            Char,
            false,
            &["0.txt: 2 NUL characters: is it binary"],
        ),
        (
            &wide,
            Char,
            false,
            &[
                "630 NUL characters: it looks like UTF-16BE",
                "-f UTF-16BE -t",
            ],
        ),
        (&wide, Byte, false, &[]),
        (
            mac.as_bytes(),
            Char,
            false,
            &["no line feed, and 60 carriage returns", "tr '\\r' '\\n' <"],
        ),
        (mac.as_bytes(), Char, true, &[]),
        (mac.as_bytes(), Word, false, &[]),
        (mac.as_bytes(), Byte, false, &[]),
        (
            dos.as_bytes(),
            Char,
            false,
            &["60 line ends are a carriage return and", "tr -d '\\r' <"],
        ),
        (dos.as_bytes(), Char, true, &[]),
        (dos.as_bytes(), Word, false, &[]),
        (
            mixed.as_bytes(),
            Word,
            false,
            &["1 carriage returns without"],
        ),
        (
            one.as_bytes(),
            Char,
            false,
            &["no line feed: it is all one line"],
        ),
        (b"short", Char, false, &[]),
        (
            b"one line",
            Char,
            true,
            &["no line feed: it is all one line"],
        ),
    ] {
        let found = remarks(&[text], kind, lines);
        assert_eq!(found.len(), want.len().min(1), "{found:?}");
        for part in want {
            assert!(found[0].contains(part), "{part}: {found:?}");
        }
    }
    let found = remarks(
        &[plain.as_bytes(), b"", b"other\n", plain.as_bytes()],
        Char,
        false,
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("1.txt: it is empty"), "{found:?}");
    let twin = found[1].contains("3.txt: the same text as ") && found[1].ends_with("0.txt");
    assert!(twin, "{found:?}");
    let builtin = TextSource::Builtin {
        seed: 3,
        chars: 5000,
    };
    let corpus = builtin.open(&std::env::temp_dir()).unwrap();
    let v = corpus.vocabulary(&VocabularyRecipe::default()).unwrap();
    assert_eq!(corpus.remarks(&v), Ok(Vec::new()));
}

#[test]
fn the_way_out_suits_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.txt");
    let chinese = "\u{4e2d}\u{6587}\u{ff01} \u{4e8c}\n".repeat(20);
    let torn = [b"caf\xc3\xa9 na\xc3\xafve \xe9\n".as_slice(), b"more\n"].concat();
    for (bytes, want) in [
        (
            b"l\x92amour".to_vec(),
            "such as Windows-1252, iconv -f WINDOWS-1252 -t UTF-8 ",
        ),
        (torn, "most of it is UTF-8: iconv -c -f UTF-8 -t UTF-8 "),
        (
            b"a \xed\xa0\xbd b".to_vec(),
            "most of it is UTF-8: iconv -c -f UTF-8 -t UTF-8 ",
        ),
        (
            utf16(&chinese, false, false),
            "it looks like UTF-16LE without a mark; iconv -f UTF-16LE -t UTF-8 ",
        ),
    ] {
        fs::write(&path, &bytes).unwrap();
        let corpus = files(std::slice::from_ref(&path)).unwrap();
        let e = corpus.vocabulary(&VocabularyRecipe::default()).unwrap_err();
        assert!(e.message.contains("x.txt: not UTF-8: byte 0x"), "{e}");
        assert!(e.message.contains(want), "{want}: {e}");
    }
    // Symbols that a model does not know because they are those of another encoding.
    let words = "plain words\n".repeat(9);
    fs::write(&path, utf16(&words, false, true)).unwrap();
    let v = Vocabulary::build(VocabKind::Char, words.as_bytes(), 1).unwrap();
    let corpus = files(std::slice::from_ref(&path)).unwrap();
    let e = corpus.encode(&v).unwrap_err();
    let told = e.message.contains("does not know") && e.message.contains("looks like UTF-16BE");
    assert!(told, "{e}");
}

#[test]
fn marks_at_the_beginning_of_files_are_no_symbols() {
    let dir = tempfile::tempdir().unwrap();
    let marked = "\u{feff}one two\n".as_bytes();
    let (a, b) = (dir.path().join("a.txt"), dir.path().join("b.gz"));
    fs::write(&a, marked).unwrap();
    fs::write(&b, gzip(marked)).unwrap();
    let source = TextSource::Files(vec![a, b, "-".into()]);
    let corpus = source.open_with(dir.path(), &mut { marked }).unwrap();
    for kind in [VocabKind::Char, VocabKind::Word] {
        let recipe = VocabularyRecipe {
            kind,
            ..VocabularyRecipe::default()
        };
        let v = corpus.vocabulary(&recipe).unwrap();
        let ids = corpus.encode(&v).unwrap().to_vec().unwrap();
        assert_eq!(v.decode(&ids), b"one two\n".repeat(3), "{kind:?}");
    }
}
