//! Tokenizers of every kind, cut into small windows, against the crate's own ids of the whole text.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::*;
use crate::data::vocab::{Decoder, Encoded, Encoder, VocabKind, Vocabulary, VocabularyRecipe};
use crate::error::Kind;

/// Small windows; no token of these tests is longer than `agree`.
const SMALL: Cutting = Cutting {
    window: 200,
    reach: 40,
    agree: 40,
    block: 400,
    limit: 1 << 20,
};

/// Blank lines, spaces at both ends of lines, tabs, CRLF, a long line, characters of two to four bytes, no final line end.
fn text() -> String {
    let lines = "  the theatre in Ten  \n\n\nnähe 漢字 there\tthen\r\n\r\n 🙂🙂 the end.  \n<s>thin<s> hat hat\n";
    let long = "the hen in the thin tent ".repeat(40);
    format!("{}{long}\n{}no end ", lines.repeat(8), lines.repeat(6))
}

const LETTERS: &str = "adehintrsxT.\n\t\r▁";
const MERGES: [(&str, &str); 8] = [
    ("t", "h"),
    ("th", "e"),
    ("▁", "t"),
    ("▁", "the"),
    ("i", "n"),
    ("▁", "in"),
    ("▁", "▁"),
    ("h", "a"),
];

fn file(normalizer: Value, splitter: Value, decoder: Value, model: Value) -> String {
    let special = json!({"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true});
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [special], "normalizer": normalizer,
        "pre_tokenizer": splitter, "post_processor": null, "decoder": decoder, "model": model})
    .to_string()
}

fn metaspace(scheme: &str, split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split})
}

fn numbered(tokens: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for token in tokens {
        let next = ids.len();
        ids.entry(token).or_insert(next);
    }
    ids
}

/// Byte pairs over characters, bytes standing for those that are unknown.
fn pairs() -> Value {
    let bytes = (0..256).map(|b| format!("<0x{b:02X}>"));
    let merged = MERGES.iter().map(|(a, b)| format!("{a}{b}"));
    let first = ["<s>".to_string(), "<unk>".to_string()];
    let letters = LETTERS.chars().map(String::from);
    let vocab = numbered(first.into_iter().chain(bytes).chain(letters).chain(merged));
    json!({"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": MERGES})
}

fn unigram() -> Value {
    let words = [
        "▁the", "▁in", "the", "hat", "▁", "end", "▁t", "en", "\n\n", "▁▁",
    ];
    let mut vocab: Vec<(String, f64)> = vec![("<s>".into(), 0.0), ("<unk>".into(), 0.0)];
    vocab.extend(words.iter().map(|w| (w.to_string(), -3.0)));
    let letters = LETTERS.chars().filter(|c| *c != '▁');
    vocab.extend(letters.map(|c| (c.to_string(), -5.0)));
    json!({"type": "Unigram", "unk_id": 1, "vocab": vocab, "byte_fallback": false})
}

fn wordpiece() -> Value {
    let first = [
        "<s>", "[UNK]", "the", "##re", "in", "##in", "end", "hat", ".",
    ]
    .map(String::from);
    let letters = LETTERS
        .chars()
        .flat_map(|c| [c.to_string(), format!("##{c}")]);
    json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 10,
        "vocab": numbered(first.into_iter().chain(letters))})
}

fn wordlevel() -> Value {
    let words = ["<s>", "[UNK]", "the", "in", "end", ".", "there"].map(String::from);
    json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": numbered(words)})
}

/// Byte pairs over bytes, trained on the text.
fn bytes(prefix: bool) -> String {
    let recipe = VocabularyRecipe {
        kind: VocabKind::Piece,
        max_size: Some(300),
        min_count: 2,
        lines: false,
        ..VocabularyRecipe::default()
    };
    let trained = recipe.build(text().as_bytes()).unwrap();
    let stored = serde_json::to_value(&trained).unwrap();
    let mut file: Value = serde_json::from_str(stored["tokenizer"].as_str().unwrap()).unwrap();
    file["pre_tokenizer"]["add_prefix_space"] = prefix.into();
    file.to_string()
}

/// Each kind of tokenizer, by a name.
fn all() -> Vec<(&'static str, String)> {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let prepend = json!({"type": "Prepend", "prepend": "▁"});
    let llama = json!({"type": "Sequence", "normalizers": [prepend, replace]});
    let back = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let llama_back = json!({"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    let bert = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
        "lowercase": true});
    let strip = json!({"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": true, "strip_right": true},
        {"type": "NFKC"}, {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]});
    let t5 = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always", true)]});
    let gpt4 =
        r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let gpt4 = json!({"type": "Split", "pattern": {"Regex": gpt4}, "behavior": "Isolated", "invert": false});
    let m = metaspace;
    let wordpiece_back = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    let n = Value::Null;
    vec![
        ("bytes", bytes(false)),
        ("bytes, prefixed", bytes(true)),
        (
            "llama",
            file(llama.clone(), n.clone(), llama_back.clone(), pairs()),
        ),
        (
            "pairs, always",
            file(n.clone(), m("always", true), m("always", true), pairs()),
        ),
        (
            "pairs, first",
            file(n.clone(), m("first", true), m("first", true), pairs()),
        ),
        (
            "pairs, never",
            file(n.clone(), m("never", true), m("never", true), pairs()),
        ),
        (
            "pairs, unsplit",
            file(n.clone(), m("first", false), m("first", false), pairs()),
        ),
        ("pairs, gpt4", file(n.clone(), gpt4, llama_back, pairs())),
        (
            "unigram, always",
            file(
                json!({"type": "NFKC"}),
                m("always", true),
                m("always", true),
                unigram(),
            ),
        ),
        (
            "unigram, unsplit",
            file(n.clone(), m("always", false), m("always", false), unigram()),
        ),
        (
            "unigram, llama",
            file(llama, n.clone(), m("always", true), unigram()),
        ),
        ("t5", file(strip.clone(), t5, m("always", true), unigram())),
        (
            "bert",
            file(
                bert,
                json!({"type": "BertPreTokenizer"}),
                wordpiece_back.clone(),
                wordpiece(),
            ),
        ),
        (
            "words",
            file(
                n.clone(),
                json!({"type": "Whitespace"}),
                n.clone(),
                wordlevel(),
            ),
        ),
        (
            "words, strip",
            file(
                strip,
                json!({"type": "WhitespaceSplit"}),
                wordpiece_back,
                wordlevel(),
            ),
        ),
    ]
}

fn cut_small(json: &str, cutting: Cutting) -> Pieces {
    Pieces::new(json.as_bytes(), false).unwrap().cut_as(cutting)
}

fn library(json: &str) -> Tokenizer {
    Tokenizer::from_bytes(json.as_bytes()).unwrap()
}

fn whole(json: &str, text: &str) -> Vec<u32> {
    library(json)
        .encode(text, false)
        .unwrap()
        .get_ids()
        .to_vec()
}

/// The ids of a text that comes in blocks of about `block` bytes, and how many were found before its end.
fn in_blocks(
    pieces: &Pieces,
    text: &str,
    block: usize,
) -> Result<(Vec<u32>, usize, DecodingLosses)> {
    let (mut ids, mut lost, mut stream) = (
        Vec::new(),
        DecodingLosses::default(),
        PieceStream::default(),
    );
    let mut out = Out {
        ids: &mut ids,
        losses: &mut lost,
        dropped: &mut |c, at| panic!("{c} at {at} is dropped"),
    };
    let mut from = 0;
    while from < text.len() {
        let upto = floor(text, (from + block.max(4)).min(text.len()));
        stream.push(&text[from..upto], from as u64);
        stream.advance(pieces, &mut out)?;
        from = upto;
    }
    let early = out.ids.len();
    stream.finish(pieces, &mut out)?;
    Ok((ids, early, lost))
}

#[test]
fn ids_are_those_of_the_whole_text() {
    let text = text();
    for (name, json) in all() {
        let pieces = cut_small(&json, SMALL);
        let want = whole(&json, &text);
        for block in [7, 400, 10_000] {
            let (ids, early, lost) = in_blocks(&pieces, &text, block).unwrap();
            assert_eq!(ids, want, "{name}, blocks of {block}");
            assert_eq!(lost.uncut, 0, "{name}");
            // So that it is cut at all.
            assert!(early > want.len() / 2, "{name}: {early} of {}", want.len());
        }
        // The way of a text from a file, uncut, in pieces within characters.
        let vocabulary = Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap();
        let (mut found, mut encoder) = (Encoded::default(), Encoder::new(&vocabulary));
        for piece in text.as_bytes().chunks(13) {
            encoder.feed(piece, &mut found).unwrap();
        }
        // Files are joined with nothing between them.
        encoder.end_file(&mut found).unwrap();
        encoder.feed(b"the end", &mut found).unwrap();
        encoder.end_file(&mut found).unwrap();
        encoder.finish(&mut found).unwrap();
        assert_eq!(found.ids, whole(&json, &format!("{text}the end")), "{name}");
    }
}

#[test]
fn a_line_is_a_text_of_its_own() {
    let text = text();
    for (name, json) in all() {
        let vocabulary = Vocabulary::from_tokenizer(json.as_bytes(), true).unwrap();
        let (mut found, mut encoder) = (Encoded::default(), Encoder::new(&vocabulary));
        for piece in text.as_bytes().chunks(100) {
            encoder.feed(piece, &mut found).unwrap();
        }
        encoder.end_file(&mut found).unwrap();
        encoder.finish(&mut found).unwrap();
        let mut from = 0;
        let lines: Vec<Vec<u32>> = found
            .ends
            .iter()
            .map(|end| found.ids[std::mem::replace(&mut from, *end)..*end].to_vec())
            .collect();
        let want: Vec<Vec<u32>> = text.lines().map(|line| whole(&json, line)).collect();
        assert_eq!(lines, want, "{name}");
    }
}

#[test]
fn a_line_longer_than_a_block_is_one() {
    let long = "the hen in the thin tent ".repeat(8000);
    let text = format!("the hat\n{long}\nin\n{long}");
    for (name, json) in all() {
        if !["unigram, always", "pairs, first", "bert"].contains(&name) {
            continue;
        }
        let vocabulary = Vocabulary::from_tokenizer(json.as_bytes(), true).unwrap();
        let (mut found, mut encoder) = (Encoded::default(), Encoder::new(&vocabulary));
        for piece in text.as_bytes().chunks(70_001) {
            encoder.feed(piece, &mut found).unwrap();
        }
        encoder.end_file(&mut found).unwrap();
        encoder.finish(&mut found).unwrap();
        let want: Vec<Vec<u32>> = text.lines().map(|line| whole(&json, line)).collect();
        let ends: Vec<usize> = want
            .iter()
            .scan(0, |end, ids| {
                *end += ids.len();
                Some(*end)
            })
            .collect();
        assert_eq!(found.ends, ends, "{name}");
        assert_eq!(found.ids, want.concat(), "{name}");
    }
}

/// What stands between quotes is a word, so that every window must know whether it begins between them: where two do not
/// agree about that, both have tokens that end at the same places.
#[test]
fn windows_that_do_not_agree_are_joined() {
    let quoted = json!({"type": "Split", "pattern": {"Regex": "\"[^\"]*\""}, "behavior": "Isolated", "invert": false});
    let vocab = numbered(["<s>", "\"", "a", "b", " ", "\"a", "b\"", "\" "].map(String::from));
    let model = json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
        "merges": [("\"", "a"), ("b", "\""), ("\"", " ")]});
    let json = file(Value::Null, quoted, Value::Null, model);
    let text: String = (0..400)
        .map(|n| format!("\"a{}b\" {}", "ba".repeat(n % 7), "a ".repeat(n % 3)))
        .collect();
    for skip in 0..8 {
        let text = &text[text.len() % 2 + skip..];
        let (ids, ..) = in_blocks(&cut_small(&json, SMALL), text, 500).unwrap();
        assert_eq!(ids, whole(&json, text), "{skip}");
    }
}

#[test]
fn what_cannot_be_cut_is_whole_or_refused() {
    let fixed = json!({"type": "FixedLength", "length": 7});
    let json = file(Value::Null, fixed, Value::Null, wordpiece());
    // Of the same phase by chance it may be cut; windows of a length that 7 does not divide are not.
    let text = "the hat is in the ten".repeat(100);
    let (ids, ..) = in_blocks(&cut_small(&json, SMALL), &text, 300).unwrap();
    assert_eq!(ids, whole(&json, &text));
    let json = file(Value::Null, Value::Null, Value::Null, wordlevel());
    let cutting = Cutting {
        limit: 1000,
        ..SMALL
    };
    let (ids, early, lost) = in_blocks(&cut_small(&json, SMALL), &text, 300).unwrap();
    assert_eq!((ids, early), (whole(&json, &text), 0));
    assert_eq!(lost.uncut, text.len() as u64);
    let e = in_blocks(&cut_small(&json, cutting), &text, 300).unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    assert!(e.message.contains("cannot be cut"), "{e}");
}

#[test]
fn ids_one_by_one_give_the_text_of_all() {
    for (name, json) in all() {
        let vocabulary = Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap();
        let ids = whole(&json, &text());
        let want = library(&json).decode(&ids, false).unwrap();
        let got = String::from_utf8(vocabulary.decode(&ids)).unwrap();
        assert_eq!(got, want, "{name}");
        // And most of it at once.
        let (mut decoder, mut early) = (Decoder::new(&vocabulary), Vec::new());
        ids.iter().for_each(|id| decoder.push(*id, &mut early));
        assert!(early.len() + 16 > want.len(), "{name}");
    }
}

#[test]
fn what_is_lost_is_told() {
    let of = |name: &str, text: &str| {
        let all = all();
        let (_, json) = all.iter().find(|(n, _)| *n == name).unwrap();
        in_blocks(&cut_small(json, SMALL), text, 50).unwrap().2
    };
    let plain = "the hat\nin the tent\n".repeat(60);
    for kept in [
        "bytes",
        "bytes, prefixed",
        "llama",
        "unigram, always",
        "pairs, first",
    ] {
        let lost = of(kept, &plain);
        assert_eq!(
            (lost.line_ends, lost.lost_line_ends, lost.example),
            (120, 0, None),
            "{kept}"
        );
    }
    for gone in ["bert", "t5"] {
        let lost = of(gone, &plain);
        assert_eq!((lost.line_ends, lost.lost_line_ends), (120, 120), "{gone}");
        assert_eq!(lost.example, None, "{gone}");
    }
    let lost = of("bert", &plain.replacen("in the", "In the", 1));
    let example = lost.example.unwrap();
    assert_eq!(
        example,
        ("the hat In the tent ".into(), "the hat in the tent ".into())
    );
    let lost = of("unigram, always", &plain.replace("hat", "hat ﬁ"));
    assert!(lost.example.is_some_and(|(text, _)| text.contains('ﬁ')));
}

/// The error over a text of which not all has tokens.
#[track_caller]
fn no_token(json: &str, text: &str) -> String {
    let vocabulary = Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap();
    vocabulary.encode(text.as_bytes()).unwrap_err().message
}

/// A model without these of its tokens, and with nothing for what is unknown.
fn without(mut model: Value, tokens: &[&str]) -> Value {
    if let Some(list) = model["vocab"].as_array() {
        let left = list
            .iter()
            .filter(|one| !tokens.contains(&one[0].as_str().unwrap()));
        model["vocab"] = left.cloned().collect();
        model["unk_id"] = Value::Null;
    } else {
        let names = model["vocab"].as_object().unwrap().keys().cloned();
        let left = names.filter(|name| !tokens.contains(&name.as_str()));
        model["vocab"] = json!(numbered(left.collect::<Vec<_>>()));
        model["merges"] = json!([]);
        model["unk_token"] = Value::Null;
        model["byte_fallback"] = false.into();
    }
    model
}

#[test]
fn characters_that_byte_pairs_would_drop_are_named_as_they_stand_in_the_text() {
    let listed = |json: &str, text: &str, want: &str| {
        let e = no_token(json, text);
        let start = "the text has ";
        assert_eq!(e.strip_prefix(start), Some(want), "{text:?}: {e}");
    };
    let unknown = "symbol(s) that the vocabulary does not know:";
    // Of bytes: one of the two bytes of é is known, and one of the three of 漢, whose others are told once.
    for prefixed in [false, true] {
        let mut few: Value = serde_json::from_str(&bytes(prefixed)).unwrap();
        few["model"] = without(few["model"].take(), &["©", "¼", "¢"]);
        listed(
            &few.to_string(),
            "the é end 漢é\n",
            &format!("3 {unknown} 'é' (U+00E9) at byte 4, '漢' (U+6F22) at byte 11"),
        );
    }
    // Where ▁ stands for a space, with none of it before the text or one.
    for scheme in ["always", "never"] {
        let spaced = |tokens: &[&str], normalizer: Value| {
            let model = without(pairs(), tokens);
            file(normalizer, metaspace(scheme, true), Value::Null, model)
        };
        listed(
            &spaced(&[], Value::Null),
            "é the 漢🙂é",
            &format!(
                "4 {unknown} 'é' (U+00E9) at byte 0, '漢' (U+6F22) at byte 7, '🙂' (U+1F642) at byte 10"
            ),
        );
        // What a normalizer makes of a letter is not what the text has.
        listed(
            &spaced(&[], json!({"type": "Lowercase"})),
            "the TÉ",
            &format!("1 {unknown} 'É' (U+00C9) at byte 5"),
        );
        // The sign itself has no token: a space has none, and the one that is put before the text is no loss.
        listed(
            &spaced(&["▁"], Value::Null),
            "the hat é",
            &format!("3 {unknown} ' ' (U+0020) at byte 3, 'é' (U+00E9) at byte 8"),
        );
    }
}

#[test]
fn what_other_models_have_no_token_for_is_named_as_it_stands_in_the_text() {
    let named = |splitter: &Value, model: &Value, text: &str, want: &str| {
        let json = file(Value::Null, splitter.clone(), Value::Null, model.clone());
        let e = no_token(&json, text);
        assert_eq!(
            e,
            format!("the tokenizer has no token for {want}, and none for what is unknown"),
            "{text:?}"
        );
    };
    let spaces = metaspace("always", true);
    // "ha" is a token, a alone is none.
    let mut model = without(unigram(), &["a"]);
    model["vocab"]
        .as_array_mut()
        .unwrap()
        .push(json!(["ha", -3.0]));
    named(&spaces, &model, "the hathé漢", "'é' (U+00E9) at byte 8");
    named(&spaces, &model, "the en漢 é", "'漢' (U+6F22) at byte 6");
    named(&spaces, &model, "the ea", "'a' (U+0061) at byte 5");
    // The words of a text without spaces are long.
    let long = "the".repeat(100) + "é";
    named(
        &metaspace("never", false),
        &model,
        &long,
        "'é' (U+00E9) at byte 300",
    );
    let model = without(unigram(), &["▁", "▁the", "▁t", "▁in", "▁▁"]);
    named(
        &spaces,
        &model,
        "hat",
        "'▁' (U+2581), which it puts before a word, at byte 0",
    );
    named(
        &metaspace("never", true),
        &model,
        "hat hat",
        "' ' (U+0020) at byte 3",
    );
    // Bytes are no characters.
    let mut model = without(unigram(), &[]);
    let more = ["Ġ", "Ã"].map(|token| json!([token, -5.0]));
    model["vocab"].as_array_mut().unwrap().extend(more);
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    named(&bytes, &model, "the é漢", "'é' (U+00E9) at byte 4");
    // Words are named as a whole.
    let mut model = wordlevel();
    model["unk_token"] = "nothing".into();
    for splitter in [json!({"type": "WhitespaceSplit"}), bytes] {
        named(&splitter, &model, "nähe the", "\"nähe\" at byte 0");
    }
    let mut model = wordlevel();
    model["unk_token"] = "nothing".into();
    model["vocab"]["▁the"] = 9.into();
    named(&spaces, &model, "the nähe", "\"nähe\" at byte 4");
}

#[test]
fn the_unknown_token_is_found_and_chance_is_refused() {
    let unknown = |json: &str| {
        let vocabulary = Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap();
        vocabulary.unknown_id()
    };
    for (name, json) in all() {
        let want = match name {
            "bytes" | "bytes, prefixed" => None,
            _ => Some(1),
        };
        assert_eq!(unknown(&json), want, "{name}");
    }
    let mut chance = pairs();
    chance["dropout"] = json!(0.1);
    let json = file(Value::Null, Value::Null, Value::Null, chance);
    let e = Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap_err();
    assert!(e.message.contains("dropout of 0.1"), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn cuts_change_nothing(words in proptest::collection::vec("(the|in|hat|x|thin|[ \\t\\r\\n]{1,3}|[ \\n]|<s>|[é漢🙂ﬁT.]|[a-z]{1,12}| ){1,3}", 1..220),
                           block in 1usize..700) {
        let text = words.concat();
        for (name, json) in all() {
            let (ids, ..) = in_blocks(&cut_small(&json, SMALL), &text, block).unwrap();
            prop_assert_eq!(ids, whole(&json, &text), "{} {:?}", name, text);
        }
    }

    #[test]
    fn any_ids_are_decoded_as_all_at_once(ids in proptest::collection::vec(0u32..290, 0..150)) {
        for (name, json) in all() {
            let vocabulary = Vocabulary::from_tokenizer(json.as_bytes(), false).unwrap();
            let ids: Vec<u32> = ids.iter().map(|id| id % vocabulary.len() as u32).collect();
            let want = library(&json).decode(&ids, false).unwrap();
            let got = vocabulary.decode(&ids);
            prop_assert_eq!(String::from_utf8_lossy(&got), want, "{}", name);
        }
    }
}
