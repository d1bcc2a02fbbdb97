//! Vocabularies of every kind.

use super::*;
use crate::error::Kind;
use proptest::prelude::*;

fn build(text: &str, min_count: usize) -> Vocabulary {
    Vocabulary::build(VocabKind::Char, text.as_bytes(), min_count).unwrap()
}

#[test]
fn characters_are_sorted_by_code_point() {
    let v = build("héllo\r\nwörld𝄞", 1);
    let symbols: Vec<String> = (0..v.len() as u32)
        .map(|id| String::from_utf8(v.decode(&[id])).unwrap())
        .collect();
    assert_eq!(
        symbols,
        ["\n", "\r", "d", "h", "l", "o", "r", "w", "é", "ö", "𝄞"]
    );
    assert_eq!(v.encode("dh𝄞\r\n".as_bytes()).unwrap(), [2, 3, 10, 1, 0]);
    assert_eq!(v.unknown_id(), None);
}

#[test]
fn rare_symbols_fold_into_the_last_id() {
    let v = build("aabbcé", 2);
    assert_eq!((v.len(), v.unknown_id()), (3, Some(2)));
    assert_eq!(v.encode("abcéz".as_bytes()).unwrap(), [0, 1, 2, 2, 2]);
    assert_eq!(v.decode(&[0, 2, 7]), "a\u{FFFD}\u{FFFD}".as_bytes());
    // Nothing rare: no unknown symbol.
    assert_eq!(build("aabb", 2).unknown_id(), None);
}

#[test]
fn unknown_symbols_are_listed_with_their_places() {
    let e = build("abc", 1).encode("aé🙂béab~".as_bytes()).unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    assert_eq!(
        e.message,
        "the text has 4 symbol(s) that the vocabulary does not know: 'é' (U+00E9) at byte 1, '🙂' (U+1F642) at byte 3, \
         '~' (U+007E) at byte 12; it has no symbol for unknown ones, which training with --min-count 2 or more makes"
    );
}

#[test]
fn one_symbol_is_refused() {
    for (text, min_count) in [("", 1), ("a", 1), ("aaaa", 1), ("ab", 9)] {
        let e = Vocabulary::build(VocabKind::Char, text.as_bytes(), min_count).unwrap_err();
        assert_eq!(e.kind, Kind::Data, "{text}");
    }
    // A known symbol and the unknown one are two.
    assert_eq!(build("aab", 2).len(), 2);
}

#[test]
fn invalid_utf8_names_the_offset() {
    for r in [
        Vocabulary::build(VocabKind::Char, b"ab\xe9c", 1).map(|_| ()),
        build("abc", 1).encode(b"ab\xe9c").map(|_| ()),
    ] {
        let e = r.unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        assert!(
            e.message.contains("0xE9 at offset 2 (line 1)") && !e.message.contains("--"),
            "{e}"
        );
    }
}

#[test]
fn stored_as_readable_json_and_checked_when_read() {
    let json = serde_json::to_string(&build("abca\"", 2)).unwrap();
    assert_eq!(json, r#"{"kind":"char","symbols":"a","unknown":true}"#);
    for bad in [
        r#"{"kind":"char","symbols":"ba","unknown":false}"#,
        r#"{"kind":"char","symbols":"aa","unknown":false}"#,
        r#"{"kind":"char","symbols":"a","unknown":false}"#,
        r#"{"kind":"byte","symbols":[1,256],"unknown":false}"#,
        r#"{"kind":"byte","symbols":[1,2],"unknown":false,"more":1}"#,
        r#"{"kind":"word","symbols":"ab","unknown":false}"#,
        r#"{"kind":"word","symbols":"ab"}"#,
        r#"{"kind":"word","symbols":""}"#,
        r#"{"kind":"word","symbols":"a b"}"#,
        r#"{"kind":"word","symbols":"a <eos> a"}"#,
        r#"{"kind":"word","symbols":"a <eos> "}"#,
        r#"{"kind":"word","symbols":"a\tb <eos>"}"#,
        r#"{"kind":"word","symbols":"a <eos>","lines":true}"#,
        r#"{"kind":"word","symbols":"<s> </s>","lines":true}"#,
    ] {
        assert!(serde_json::from_str::<Vocabulary>(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_hash_tells_vocabularies_apart() {
    let all = [
        build("ab", 1),
        build("abc", 1),
        build("aabbc", 2),
        Vocabulary::build(VocabKind::Byte, b"ab", 1).unwrap(),
    ];
    for (i, a) in all.iter().enumerate() {
        assert_eq!(a.hash().len(), 64);
        assert!(all[..i].iter().all(|b| a.hash() != b.hash()));
    }
}

proptest! {
    #[test]
    fn text_and_vocabulary_round_trip(text in "[ -~\\r\\né𝄞中]{2,80}", min_count in 0usize..3) {
        let Ok(v) = Vocabulary::build(VocabKind::Char, text.as_bytes(), min_count) else {
            return Ok(());
        };
        let ids = v.encode(text.as_bytes()).unwrap();
        prop_assert!(ids.iter().all(|id| (*id as usize) < v.len()));
        if v.unknown_id().is_none() {
            prop_assert_eq!(v.decode(&ids), text.as_bytes());
        }
        let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
        prop_assert_eq!(&again, &v);
        prop_assert_eq!(again.hash(), v.hash());
    }

    #[test]
    fn bytes_round_trip(text in proptest::collection::vec(any::<u8>(), 2..300)) {
        let Ok(v) = Vocabulary::build(VocabKind::Byte, &text, 1) else {
            return Ok(());
        };
        prop_assert_eq!(v.decode(&v.encode(&text).unwrap()), text);
        let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
        prop_assert_eq!(again, v);
    }
}

fn words(text: &str, recipe: VocabularyRecipe) -> Vocabulary {
    let kind = VocabKind::Word;
    VocabularyRecipe { kind, ..recipe }
        .build(text.as_bytes())
        .unwrap()
}

fn names(v: &Vocabulary) -> Vec<String> {
    let Inner::Words(list) = &*v.0 else {
        panic!("{v:?}")
    };
    list.words
        .iter()
        .map(|w| String::from_utf8(w.to_vec()).unwrap())
        .collect()
}

#[test]
fn words_stand_by_falling_frequency() {
    let v = words("b a\nc a d\n\n c a\n", VocabularyRecipe::default());
    // Four lines, three a, two c; equal ones by their bytes.
    assert_eq!(names(&v), ["<eos>", "a", "c", "b", "d"]);
    assert_eq!(v.encode(b"b a\n\nd").unwrap(), [3, 1, 0, 0, 4]);
    assert_eq!(v.decode(&[3, 1, 0, 0, 4, 9]), b"b a\n\nd <unk>");
    assert_eq!(
        (v.unknown_id(), v.start_id(), v.end_id()),
        (None, None, None)
    );
    assert_eq!((v.before_text(), v.unit()), (0, "word"));
    let e = v.encode("a  né é né".as_bytes()).unwrap_err();
    assert!(
        e.message.contains(
            r#"3 symbol(s) that the vocabulary does not know: "né" at byte 3, "é" at byte 7;"#
        ),
        "{e}"
    );
    // The last line counts though nothing ends it.
    assert_eq!(words("b a\nc a d\n\n c a", VocabularyRecipe::default()), v);
}

#[test]
fn rare_words_fold_into_unk() {
    let text = "a a a b b c d\n";
    let v = words(
        text,
        VocabularyRecipe {
            min_count: 2,
            ..VocabularyRecipe::default()
        },
    );
    // c and d, each of them rare.
    assert_eq!(names(&v), ["a", "<unk>", "b", "<eos>"]);
    assert_eq!(v.unknown_id(), Some(1));
    assert_eq!(v.encode(b"c b x").unwrap(), [1, 2, 1]);
    for (most, want) in [
        // b is as frequent as what was folded, and <unk> comes before it.
        (4, vec!["a", "<unk>", "b", "<eos>"]),
        (3, vec!["<unk>", "a", "<eos>"]),
        (5, vec!["a", "b", "<eos>", "c", "d"]),
        (9, vec!["a", "b", "<eos>", "c", "d"]),
    ] {
        let recipe = VocabularyRecipe {
            max_size: Some(most),
            ..VocabularyRecipe::default()
        };
        assert_eq!(names(&words(text, recipe)), want, "{most}");
    }
}

#[test]
fn a_text_with_unk_keeps_it() {
    let v = words(
        "the <unk> sat on the <unk> <unk>\n",
        VocabularyRecipe::default(),
    );
    assert_eq!(names(&v), ["<unk>", "the", "<eos>", "on", "sat"]);
    assert_eq!(v.encode(b"the dog").unwrap(), [1, 0]);
    let v = words(
        "the <unk> sat on the <unk>\n",
        VocabularyRecipe {
            min_count: 2,
            ..VocabularyRecipe::default()
        },
    );
    assert_eq!(names(&v), ["<unk>", "the", "<eos>"]);
}

#[test]
fn lines_have_a_start_and_an_end() {
    let lines = VocabularyRecipe {
        lines: true,
        ..VocabularyRecipe::default()
    };
    let v = words("a b\r\n\na\n", lines.clone());
    // Two lines with words.
    assert_eq!(names(&v), ["</s>", "a", "b", "<s>"]);
    assert_eq!(
        (v.start_id(), v.end_id(), v.before_text()),
        (Some(3), Some(0), 3)
    );
    assert_eq!(v.encode(b"a\nb").unwrap(), [1, 2]);
    assert_eq!(v.decode(&[3, 1, 2, 0, 3, 2, 0]), b"a b\nb\n");
    let recipe = VocabularyRecipe {
        max_size: Some(4),
        ..lines.clone()
    };
    assert_eq!(
        names(&words("a b c", recipe)),
        ["<unk>", "</s>", "a", "<s>"]
    );
    for kind in [VocabKind::Char, VocabKind::Byte] {
        let v = VocabularyRecipe {
            kind,
            ..lines.clone()
        }
        .build(b"ab\r\n\na")
        .unwrap();
        // Of bytes there are all.
        let (symbols, a) = match kind {
            VocabKind::Byte => (256, u32::from(b'a')),
            _ => (2, 0),
        };
        assert_eq!(v.len(), symbols as usize + 2);
        assert_eq!(
            (v.start_id(), v.end_id()),
            (Some(symbols), Some(symbols + 1))
        );
        assert_eq!(v.encode(b"b\na").unwrap(), [a + 1, a]);
        assert_eq!(v.decode(&[symbols, a, a + 1, symbols + 1]), b"ab\n");
        let other = VocabularyRecipe {
            kind,
            ..VocabularyRecipe::default()
        }
        .build(b"ab")
        .unwrap();
        assert_ne!(v.hash(), other.hash());
        let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
        assert_eq!(again, v);
    }
}

/// A text whose words look like the program's own, some of them with the escape that makes others of these.
const MARKED: &str = "<s> a </s> <eos> b\n\\</s> \\\\</s> \\<eos> <unk> \\a\n<s> a </s> <eos> b\n";

#[test]
fn a_texts_own_marks_are_words_like_others() {
    for lines in [false, true] {
        let recipe = VocabularyRecipe {
            lines,
            ..VocabularyRecipe::default()
        };
        let v = words(MARKED, recipe);
        let ids = v.encode(MARKED.as_bytes()).unwrap();
        // What ends or begins a line comes from line ends alone.
        let ours = [v.start_id(), v.end_id()];
        let own = ids.iter().filter(|id| ours.contains(&Some(**id)));
        assert_eq!(own.count(), 0, "lines {lines}");
        let ends = ids.iter().filter(|id| **id == v.before_text()).count();
        assert_eq!(ends, if lines { 0 } else { 3 });
        // They print as they stand, and are told from one another.
        let plain = MARKED.replace('\n', if lines { " " } else { "\n" });
        assert_eq!(v.decode(&ids), plain.trim_end_matches(' ').as_bytes());
        let different: std::collections::HashSet<u32> = ids.iter().copied().collect();
        assert_eq!(different.len(), if lines { 10 } else { 11 });
        // Their frequency is that of words.
        let id = v.encode(b"</s>").unwrap()[0];
        assert_eq!(ids.iter().filter(|n| **n == id).count(), 2);
        let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
        assert_eq!(again, v);
        assert_eq!(again.encode(MARKED.as_bytes()).unwrap(), ids);
    }
    // A text without them knows none: they are unknown words, not ends of lines.
    let lines = VocabularyRecipe {
        lines: true,
        ..VocabularyRecipe::default()
    };
    let e = words("a b\n", lines).encode(b"a </s>").unwrap_err();
    assert!(e.message.contains(r#""</s>" at byte 2"#), "{e}");
}

#[test]
fn in_older_vocabularies_marks_stay_what_they_were() {
    for (json, end, text) in [
        (
            r#"{"kind":"word","symbols":"</s> a <s>","lines":true}"#,
            0,
            "a </s> a",
        ),
        (
            r#"{"kind":"word","symbols":"a <eos> \\</s>"}"#,
            1,
            "a <eos> a",
        ),
    ] {
        let v: Vocabulary = serde_json::from_str(json).unwrap();
        let ids = v.encode(text.as_bytes()).unwrap();
        assert_eq!(ids[1], end);
        let old = serde_json::to_string(&v).unwrap();
        assert_eq!(old, json, "an old run keeps its own");
    }
    let v: Vocabulary =
        serde_json::from_str(r#"{"kind":"word","symbols":"a <eos> \\<eos>"}"#).unwrap();
    assert_eq!(v.decode(&[2]), br"\<eos>");
}

#[test]
fn bytes_are_all_256_unless_some_are_folded() {
    let of = |min_count, max_size, lines| {
        VocabularyRecipe {
            kind: VocabKind::Byte,
            min_count,
            max_size,
            lines,
            ..VocabularyRecipe::default()
        }
        .build(b"aab\n")
        .unwrap()
    };
    let v = of(1, None, false);
    assert_eq!((v.len(), v.unknown_id()), (256, None));
    assert_eq!(v.encode(b"\xff\x00a").unwrap(), [255, 0, 97]);
    assert_eq!(v.decode(&[255, 0, 97, 300]), b"\xff\x00a?");
    assert_eq!(of(1, Some(256), false).len(), 256);
    assert_eq!(of(1, Some(300), true).len(), 258);
    // Those that were asked for alone.
    assert_eq!(of(1, Some(100), false).len(), 3);
    assert_eq!(
        (of(2, None, false).len(), of(2, None, false).unknown_id()),
        (2, Some(1))
    );
    // Runs that have only those that were seen are read as they are.
    let old = r#"{"kind":"byte","symbols":[10,97,98],"unknown":false}"#;
    let old: Vocabulary = serde_json::from_str(old).unwrap();
    assert_eq!(
        (old.len(), old.encode(b"ab\n").unwrap()),
        (3, vec![1, 2, 0])
    );
    let e = old.encode(b"abc").unwrap_err();
    assert!(
        e.message.contains("0x63 at byte 2") && e.message.contains("--min-count"),
        "{e}"
    );
}

#[test]
fn the_most_frequent_characters_are_kept() {
    let v = VocabularyRecipe {
        max_size: Some(3),
        ..VocabularyRecipe::default()
    }
    .build(b"aaabcccd")
    .unwrap();
    assert_eq!((v.len(), v.unknown_id()), (3, Some(2)));
    assert_eq!(v.encode(b"acbd").unwrap(), [0, 1, 2, 2]);
    assert_eq!(
        VocabularyRecipe {
            max_size: Some(4),
            ..VocabularyRecipe::default()
        }
        .build(b"abcd")
        .unwrap()
        .unknown_id(),
        None
    );
}

#[test]
fn a_text_begins_after_a_line_end_of_its_own_kind() {
    let before = |text: &str| {
        let v = build(text, 1);
        v.decode(&[v.before_text()])
    };
    assert_eq!(before("ab\n\r"), b"\n");
    // A tab, not a carriage return, is the first of its symbols.
    assert_eq!(before("\tab\r"), b"\r");
    assert_eq!(before("ab"), b"a");
}

#[test]
fn marks_alone_are_no_vocabulary() {
    for (text, lines) in [("\n\n", false), ("", false), (" \n", true), ("", true)] {
        let recipe = VocabularyRecipe {
            kind: VocabKind::Word,
            lines,
            ..VocabularyRecipe::default()
        };
        let e = recipe.build(text.as_bytes()).unwrap_err();
        assert_eq!(e.kind, Kind::Data, "{text:?}");
        assert!(
            e.message.starts_with("vocabulary: expected at least"),
            "{e}"
        );
    }
}

#[test]
fn a_million_words_are_read_in_seconds() {
    let list = (0..1_000_000).map(|n| format!("word{n}"));
    let text = format!("<eos> {}", list.collect::<Vec<_>>().join(" "));
    let json = format!(r#"{{"kind":"word","symbols":"{text}"}}"#);
    let start = std::time::Instant::now();
    let v: Vocabulary = serde_json::from_str(&json).unwrap();
    assert_eq!(v.len(), 1_000_001);
    assert_eq!(v.encode(b"word999999 word0").unwrap(), [1_000_000, 1]);
    // A tenth of that in a release build; slow machines have much to spare.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn words_round_trip(text in "[abcdé \n]{0,60}", lines: bool, min_count in 0u64..3) {
        let recipe = VocabularyRecipe { kind: VocabKind::Word, min_count, lines, ..VocabularyRecipe::default() };
        let Ok(v) = recipe.build(text.as_bytes()) else { return Ok(()) };
        let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
        prop_assert_eq!(&again, &v);
        prop_assert_eq!(again.hash(), v.hash());
        let ids = v.encode(text.as_bytes()).unwrap();
        prop_assert!(ids.iter().all(|id| (*id as usize) < v.len()));
        if v.unknown_id().is_none() && !lines {
            let plain: Vec<String> = text.split('\n').map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            prop_assert_eq!(v.decode(&ids), plain.join("\n").into_bytes());
        }
    }
}

#[cfg(feature = "subwords")]
mod pieces {
    use super::*;

    const TEXT: &str =
        "low lower lowest 🙂🙂 new newer newest\nwide wider widest — näher\n\n  low\n";

    fn trained(lines: bool, most: usize) -> Vocabulary {
        let recipe = VocabularyRecipe {
            kind: VocabKind::Piece,
            max_size: Some(most),
            lines,
            min_count: 2,
            ..VocabularyRecipe::default()
        };
        recipe.build(TEXT.repeat(3).as_bytes()).unwrap()
    }

    #[test]
    fn sub_words_are_trained_and_keep_every_byte() {
        let v = trained(false, 300);
        assert!(v.len() > 270 && v.len() <= 300, "{}", v.len());
        assert_eq!(
            (v.unit(), v.unknown_id(), v.end_id()),
            ("token", None, None)
        );
        assert_eq!(v, trained(false, 300));
        assert_eq!(v.hash(), trained(false, 300).hash());
        let ids = v.encode(TEXT.as_bytes()).unwrap();
        assert!(ids.len() < TEXT.len() / 2, "{}", ids.len());
        assert_eq!(v.decode(&ids), TEXT.as_bytes());
        // Never seen, and yet not lost.
        let strange = "Ω\u{0} \r\n\t𝄞 zzz";
        assert_eq!(
            v.decode(&v.encode(strange.as_bytes()).unwrap()),
            strange.as_bytes()
        );
        assert_eq!(v.decode(&[v.before_text()]), b"\n");
        let again: Vocabulary = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
        assert_eq!(again, v);
    }

    #[test]
    fn lines_of_sub_words_have_two_more_ids() {
        let v = trained(true, 300);
        assert!(v.len() <= 300);
        let (start, end) = (v.start_id().unwrap(), v.end_id().unwrap());
        assert_eq!((start as usize, end as usize), (v.len() - 2, v.len() - 1));
        let mut found = Encoded::default();
        let mut encoder = Encoder::new(&v);
        for piece in TEXT.as_bytes().chunks(5) {
            encoder.feed(piece, &mut found).unwrap();
        }
        encoder.end_file(&mut found).unwrap();
        encoder.finish(&mut found).unwrap();
        let mut from = 0;
        let lines: Vec<Vec<u8>> = found
            .ends
            .iter()
            .map(|end| v.decode(&found.ids[std::mem::replace(&mut from, *end)..*end]))
            .collect();
        let want: Vec<&[u8]> = TEXT
            .trim_end_matches('\n')
            .split('\n')
            .map(str::as_bytes)
            .collect();
        assert_eq!(lines, want);
        let mut ids = vec![start];
        ids.extend(v.encode(b"low \xf0\x9f\x99\x82").unwrap());
        ids.extend([end, start, end]);
        assert_eq!(v.decode(&ids), "low 🙂\n\n".as_bytes());
    }

    #[test]
    fn too_few_sub_words_and_no_text_are_refused() {
        let recipe = |most, lines| VocabularyRecipe {
            kind: VocabKind::Piece,
            max_size: Some(most),
            lines,
            min_count: 1,
            ..VocabularyRecipe::default()
        };
        let e = recipe(258, true).build(b"a b").unwrap_err();
        assert!(
            e.message
                .contains("at least 259 sub-words (--max-vocab), found 258"),
            "{e}"
        );
        assert_eq!(recipe(300, false).build(b"").unwrap_err().kind, Kind::Data);
    }

    #[test]
    fn a_foreign_file_is_refused_in_one_line() {
        let many = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
            "pre_tokenizer":null,"post_processor":null,"decoder":null,"model":{"type":"WordLevel","vocab":{"a":0,"b":VAST},
            "unk_token":"a"}}"#;
        for (json, part) in [
            (r#"{"hello": 1}"#.to_string(), "no tokenizer.json"),
            ("[1, 2]".into(), "no tokenizer.json"),
            ("\u{1}\u{2}sentencepiece".into(), "no tokenizer.json"),
            (String::new(), "no tokenizer.json"),
            (many.replace("WordLevel", "Magic"), "no tokenizer.json"),
            (many.replace("VAST", "4000000000"), "found 4000000000"),
            (many.replace(r#","b":VAST"#, ""), "at least 2 tokens"),
        ] {
            let e = Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap_err();
            assert_eq!(e.kind, Kind::Data);
            assert!(
                e.message.contains(part) && e.message.lines().count() == 1,
                "{e}"
            );
        }
        // The same file, but for its faults; its limit on the length is not ours.
        let good = many.replace("VAST", "1").replace(
            r#""truncation":null"#,
            r#""truncation":{"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0}"#,
        );
        let good = good.replace(
            r#""pre_tokenizer":null"#,
            r#""pre_tokenizer":{"type":"WhitespaceSplit"}"#,
        );
        let v = Vocabulary::from_tokenizer(good.as_bytes(), false).unwrap();
        assert_eq!(v.encode(b"a b b x b").unwrap(), [0, 1, 1, 0, 1]);
        assert_eq!(v.decode(&[0, 1, 1]), b"a b b");
    }

    #[test]
    fn what_byte_pairs_would_drop_is_told() {
        let json = |prefix: &str, unknown: &str, fallback: bool| {
            let prefix_json = match prefix {
                "" => "null".to_string(),
                p => format!("{p:?}"),
            };
            format!(
                r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{{"id":0,"content":"<hé>",
                "single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}],
                "normalizer":{{"type":"Lowercase"}},"pre_tokenizer":{{"type":"WhitespaceSplit"}},"post_processor":null,
                "decoder":null,"model":{{"type":"BPE","dropout":null,"unk_token":{unknown},
                "continuing_subword_prefix":{prefix_json},"end_of_word_suffix":null,"fuse_unk":false,
                "byte_fallback":{fallback},"vocab":{{"<hé>":0,"a":1,"{prefix}b":2,"c":3,"a{}":4,"<0xC3>":5,"<0xA9>":6}},
                "merges":[["a","{prefix}b"]]}}}}"#,
                "b"
            )
        };
        let of = |json: &str| Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap();
        let plain = of(&json("", "null", false));
        assert_eq!(
            plain.encode("ab C <hé> ba".as_bytes()).unwrap(),
            [4, 3, 0, 2, 1]
        );
        let e = plain.encode("ab\nAxé é x".as_bytes()).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        let want = "the text has 4 symbol(s) that the vocabulary does not know: 'x' (U+0078) at byte 4, 'é' (U+00E9) at byte 5";
        assert_eq!(e.message, want);
        // Known within a word and not at its beginning, or the other way round.
        let prefixed = of(&json("##", "null", false));
        assert_eq!(prefixed.encode(b"ab a").unwrap(), [4, 1]);
        assert!(
            prefixed
                .encode(b"ba")
                .unwrap_err()
                .message
                .contains("2 symbol(s)")
        );
        // Bytes, or an unknown token, stand for them.
        let fallback = of(&json("", "null", true));
        assert_eq!(fallback.encode("aé".as_bytes()).unwrap(), [1, 5, 6]);
        assert!(fallback.encode("ax".as_bytes()).is_err());
        let unknown = of(&json("", "\"c\"", false));
        assert_eq!(unknown.encode("axb".as_bytes()).unwrap(), [1, 3, 2]);
    }

    proptest! {
        #[test]
        fn id_by_id_is_the_whole(text in "[a-e 🙂é\\n]{0,30}", noise in proptest::collection::vec(0u32..300, 0..9)) {
            let v = trained(false, 300);
            let ids = v.encode(text.as_bytes()).unwrap();
            prop_assert_eq!(v.decode(&ids), text.as_bytes());
            // Ids in any order, half characters among them, are decoded to something.
            v.decode(&noise);
        }
    }
}
