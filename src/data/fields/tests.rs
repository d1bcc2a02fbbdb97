//! From files to encoded fields, and what is refused on the way.

use std::io::Write;

use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;
use crate::data::vocab::{VocabKind, VocabularyRecipe};
use crate::data::{Lines, Vocabulary};
use crate::error::{Error, Kind, Result};

fn classify() -> Vec<Field> {
    vec![
        Field::new("text", FieldKind::Tokens),
        Field::new("label", FieldKind::Class),
    ]
}

fn tag() -> Vec<Field> {
    vec![
        Field::new("text", FieldKind::Tokens),
        Field::new("tags", FieldKind::ClassesAlong("text".into())),
    ]
}

fn caption() -> Vec<Field> {
    vec![
        Field::new("image", FieldKind::Vector),
        Field::new("text", FieldKind::Tokens),
    ]
}

fn translate() -> Vec<Field> {
    vec![
        Field::new("source", FieldKind::Tokens),
        Field::new("target", FieldKind::Tokens),
    ]
}

/// Reads files, `NAME` or `FIELD=NAME`, with these contents.
pub(super) fn read_files(
    fields: &[Field],
    files: &[(&str, &[u8])],
    rules: &ReadRules,
) -> Result<Examples> {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (name, bytes) in files {
        let mut file = FieldFile::parse(name, fields);
        if file.path.to_string_lossy().contains('=') {
            // A field that there is not: no such file is there either.
        } else if file.path.as_os_str() != "-" {
            file.path = dir.path().join(&file.path);
            std::fs::write(&file.path, bytes).unwrap();
        }
        all.push(file);
    }
    let mut stdin = files.first().map_or(&[][..], |(_, bytes)| bytes);
    let shorter = |e: Error| {
        let folder = format!("{}/", dir.path().display());
        Error::new(e.kind, e.message.replace(&folder, ""))
    };
    read(fields, &all, rules, dir.path(), &mut stdin).map_err(shorter)
}

pub(super) fn read_text(fields: &[Field], name: &str, text: &str) -> Result<Examples> {
    read_files(fields, &[(name, text.as_bytes())], &ReadRules::default())
}

pub(super) fn rules(columns: &str, optional: &[&str]) -> ReadRules {
    ReadRules {
        columns: match columns {
            "" => ColumnChoice::default(),
            text => ColumnChoice::parse(text).unwrap(),
        },
        optional: optional.iter().map(|name| name.to_string()).collect(),
        ..ReadRules::default()
    }
}

fn words() -> VocabularyRules {
    VocabularyRules {
        default: VocabularyRecipe {
            kind: VocabKind::Word,
            ..VocabularyRecipe::default()
        },
        ..VocabularyRules::default()
    }
}

pub(super) fn items<'a>(examples: &'a Examples, name: &str) -> Vec<Vec<&'a str>> {
    let all = 0..examples.len();
    all.map(|n| examples.items(name, n).unwrap()).collect()
}

fn decoded(lines: &Lines, vocabulary: &Vocabulary) -> Vec<String> {
    let one = |n| {
        let mut ids = vec![0; lines.length(n)];
        lines.read(n, &mut ids).unwrap();
        String::from_utf8(vocabulary.decode(&ids)).unwrap()
    };
    (0..lines.len()).map(one).collect()
}

pub(super) fn encode(codes: &FieldCodes, examples: &Examples) -> Result<Records> {
    codes.encode(examples, &std::env::temp_dir())
}

/// A `.safetensors` file with these arrays.
pub(super) fn arrays(all: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let view = |(name, dtype, shape, bytes): &'_ (&str, Dtype, &[usize], Vec<u8>)| {
        let bytes: &'static [u8] = bytes.clone().leak();
        (
            name.to_string(),
            TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
        )
    };
    safetensors::serialize(all.iter().map(view), None).unwrap()
}

#[test]
fn every_format_gives_the_same_labelled_texts() {
    let want = [
        vec!["a fine film"],
        vec!["a \"dull\" one, alas"],
        vec!["fine"],
    ];
    let labels = [vec!["good"], vec!["bad"], vec!["good"]];
    let csv = "label,text\r\ngood,a fine film\r\nbad,\"a \"\"dull\"\" one, alas\"\r\ngood,fine\r\n";
    let jsonl = "{\"text\":\"a fine film\",\"label\":\"good\"}\n\
                 {\"label\":\"bad\",\"text\":\"a \\\"dull\\\" one, alas\"}\n\
                 {\"text\":\"fine\",\"label\":\"good\"}\n";
    for (name, text) in [
        (
            "a.tsv",
            "good\ta fine film\nbad\ta \"dull\" one, alas\ngood\tfine\n",
        ),
        (
            "a.tsv",
            "\u{feff}text\tlabel\r\na fine film\tgood\r\na \"dull\" one, alas\tbad\r\nfine\tgood\r\n\r\n",
        ),
        ("a.csv", csv),
        ("a.jsonl", jsonl),
        (
            "a.txt",
            "__label__good a fine film\n__label__bad  a \"dull\" one, alas\n__label__good fine",
        ),
    ] {
        let examples = read_text(&classify(), name, text).unwrap();
        assert_eq!(items(&examples, "text"), want, "{name}");
        assert_eq!(items(&examples, "label"), labels, "{name}");
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(csv.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let examples = read_files(&classify(), &[("a.csv.gz", &gz)], &ReadRules::default()).unwrap();
    assert_eq!(items(&examples, "text"), want);
    assert_eq!(
        examples.place(1).rsplit('/').next(),
        Some("a.csv.gz: line 3")
    );
    // Standard input says by an option what it is.
    let rules = ReadRules {
        format: Some(FileFormat::Jsonl),
        ..ReadRules::default()
    };
    let examples = read_files(&classify(), &[("-", jsonl.as_bytes())], &rules).unwrap();
    assert_eq!(items(&examples, "text"), want);
}

#[test]
fn words_and_their_labels_come_from_columns_lists_and_lines() {
    let conllu = "# sent_id = 1\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tDo\tdo\tAUX\tVB\t_\t0\troot\t_\t_\n\
                  2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_\n2.1\tgo\tgo\tVERB\t_\t_\t_\t_\t_\t_\n\n\
                  # sent_id = 2\n1\t10 000\t10000\tNUM\tCD\t_\t0\troot\t_\t_\n\n";
    let want = [vec!["Do", "n't"], vec!["10 000"]];
    let tags = [vec!["AUX", "PART"], vec!["NUM"]];
    for (name, text, columns) in [
        ("a.conllu", conllu, ""),
        ("a.conllu", conllu, "tags=4"),
        ("a.conll", "Do\tAUX\r\nn't\tPART\r\n\r\n\r\n10 000\tNUM", ""),
        (
            "a.conll",
            "VB\tDo\tAUX\nRB\tn't\tPART\n \nCD\t10 000\tNUM\n",
            "text=2,tags=3",
        ),
        (
            "a.jsonl",
            "{\"text\":[\"Do\",\"n't\"],\"tags\":[\"AUX\",\"PART\"]}\n{\"text\":[\"10 000\"],\"tags\":[\"NUM\"]}",
            "",
        ),
    ] {
        let examples =
            read_files(&tag(), &[(name, text.as_bytes())], &rules(columns, &[])).unwrap();
        assert_eq!(items(&examples, "text"), want, "{name}");
        assert_eq!(items(&examples, "tags"), tags, "{name}");
    }
    // Spaces between columns, as in CoNLL-2003; white space between words in a cell.
    let examples = read_text(&tag(), "a.conll", "EU  NNP\nrejects VBZ\n").unwrap();
    assert_eq!(items(&examples, "tags"), [["NNP", "VBZ"]]);
    let examples = read_text(&tag(), "a.tsv", "EU  rejects\tNNP VBZ\n").unwrap();
    assert_eq!(items(&examples, "text"), [["EU", "rejects"]]);
    // Without labels, where they are asked for.
    let asked = rules("", &["tags"]);
    for (name, text) in [
        ("a.conll", "EU\nrejects\n"),
        ("a.txt", "EU rejects\n"),
        (
            "a.conllu",
            "1\tEU\t_\t_\t_\t_\t_\t_\t_\t_\n2\trejects\t_\t_\t_\t_\t_\t_\t_\t_\n",
        ),
        ("a.jsonl", "{\"text\":\"EU rejects\"}\n"),
        ("-", "EU rejects\n"),
    ] {
        let examples = read_files(&tag(), &[(name, text.as_bytes())], &asked).unwrap();
        assert_eq!(items(&examples, "text"), [["EU", "rejects"]], "{name}");
        assert!(!examples.has("tags"), "{name}");
    }
}

#[test]
fn encoded_words_have_ids_letters_and_classes() {
    let mut fields = tag();
    fields.push(Field::new(
        "letters",
        FieldKind::TokensWithin("text".into()),
    ));
    let examples = read_text(
        &fields,
        "a.conll",
        "Do\tAUX\nn't\tPART\n\n10 000\tNUM\nDo\tAUX\n",
    )
    .unwrap();
    let (codes, remarks) = FieldCodes::build(&examples, &words()).unwrap();
    assert_eq!(remarks.len(), 1);
    assert!(
        remarks[0].contains("2 of 3 classes have one example"),
        "{}",
        remarks[0]
    );
    assert!(
        remarks[0].contains("NUM (") && remarks[0].ends_with("a.conll: line 2)"),
        "{}",
        remarks[0]
    );
    let records = encode(&codes, &examples).unwrap();
    let Some(FieldRows::Tokens(text)) = records.rows("text") else {
        panic!("no tokens")
    };
    let vocabulary = codes.vocabulary("text").unwrap();
    assert_eq!(decoded(text, vocabulary), ["Do n't", "10_000 Do"]);
    let Some(FieldRows::ClassesAlong(tags)) = records.rows("tags") else {
        panic!("no classes")
    };
    let names: Vec<&str> = codes.classes("tags").unwrap().iter().collect();
    assert_eq!(names, ["AUX", "NUM", "PART"]);
    assert_eq!((tags.row(0), tags.row(1)), (&[0, 2][..], &[1, 0][..]));
    let Some(FieldRows::TokensWithin(letters)) = records.rows("letters") else {
        panic!("no letters")
    };
    assert_eq!((letters.words(0), letters.words(1)), (0..2, 2..4));
    let spelled = decoded(letters.lines(), codes.vocabulary("letters").unwrap());
    assert_eq!(spelled, ["Do", "n't", "10_000", "Do"]);
    assert_eq!(records.class_counts("tags", &[1], 3), Some(vec![1, 1, 0]));
    // The codes of a run read later files: unknown words and letters have an id, and labels may be missing.
    let kept = serde_json::to_string(&codes).unwrap();
    let codes: FieldCodes = serde_json::from_str(&kept).unwrap();
    let later = rules("", &["tags"]);
    let examples = read_files(&fields, &[("b.conll", b"Do\nxyz\n")], &later).unwrap();
    let records = encode(&codes, &examples).unwrap();
    let Some(FieldRows::Tokens(text)) = records.rows("text") else {
        panic!("no tokens")
    };
    assert_eq!(
        decoded(text, codes.vocabulary("text").unwrap()),
        ["Do <unk>"]
    );
    assert!(records.rows("tags").is_none() && records.bytes() > 0);
}

#[test]
fn labels_that_training_has_not_seen_are_named_with_those_it_has() {
    let train = "French\tBouchard\nFrench\tDupont\nCzech\tJanutka\nCzech\tNovak\n";
    let examples = read_text(&classify(), "train.tsv", train).unwrap();
    let (codes, remarks) = FieldCodes::build(&examples, &VocabularyRules::default()).unwrap();
    assert_eq!(remarks, Vec::<String>::new());
    let later = read_text(&classify(), "test.tsv", "Czech\tDvorak\nFrensh\tBlanc\n").unwrap();
    let e = encode(&codes, &later).unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    let want = "test.tsv: line 2: field label: expected one of the 2 classes of training (Czech, French), found \
                \"Frensh\" (is it French?)";
    assert!(e.message.ends_with(want), "{e}");
}

#[test]
fn parallel_files_must_have_as_many_sequences() {
    let of = |de: &str, en: &str| {
        let files = [
            ("source=a.de", de.as_bytes()),
            ("target=a.en", en.as_bytes()),
        ];
        read_files(&translate(), &files, &ReadRules::default())
    };
    let examples = of("eins\nzwei zwei\n", "one\ntwo two").unwrap();
    assert_eq!(items(&examples, "target"), [["one"], ["two two"]]);
    let e = of("eins\nzwei\ndrei\n", "one\ntwo\n").unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    let want = "expected as many sequences of source as of target, found 3 in a.de and 2 in a.en; the first that stands alone is \
                a.de: line 3";
    assert_eq!(e.message, want);
    // An empty line is an example without a text, at the end too.
    let e = of("eins\nzwei\n", "one\n\n").unwrap_err();
    assert_eq!(
        e.message,
        "a.en: line 2: field target: expected a text, found nothing"
    );
    let e = of("eins\n\ndrei\n", "one\ntwo\nthree\n").unwrap_err();
    assert_eq!(
        e.message,
        "a.de: line 2: field source: expected a text, found nothing"
    );
    // Several files of one field follow one another.
    let files: [(&str, &[u8]); 3] = [
        ("source=a.de", b"eins\n"),
        ("target=a.en", b"one\ntwo\n"),
        ("source=b.de", b"zwei\n"),
    ];
    let examples = read_files(&translate(), &files, &ReadRules::default()).unwrap();
    assert_eq!(items(&examples, "source"), [["eins"], ["zwei"]]);
}

#[test]
fn two_fields_share_a_vocabulary_where_they_can() {
    let examples = read_text(&translate(), "a.tsv", "a b\tb c\nd\te e\n").unwrap();
    let shared = |of: &[(&str, &str)]| {
        let mut rules = words();
        for (name, other) in of {
            let rule = VocabularyRule::SharedWith(other.to_string());
            rules.of.insert(name.to_string(), rule);
        }
        FieldCodes::build(&examples, &rules)
    };
    let (codes, _) = shared(&[("target", "source")]).unwrap();
    assert_eq!(codes.vocabulary("source"), codes.vocabulary("target"));
    // a to e, unknown, start and end.
    assert_eq!(codes.vocabulary("source").unwrap().len(), 8);
    let kept = serde_json::to_string(&codes).unwrap();
    assert_eq!(kept.matches("\"symbols\"").count(), 1, "{kept}");
    assert_eq!(serde_json::from_str::<FieldCodes>(&kept).unwrap(), codes);
    let damaged = kept.replace("\"same_as\":\"source\"", "\"same_as\":\"target\"");
    assert!(serde_json::from_str::<FieldCodes>(&damaged).is_err());
    let damaged = kept.replacen("\"kind\":\"tokens\"", "\"kind\":\"class\"", 1);
    assert!(serde_json::from_str::<FieldCodes>(&damaged).is_err());
    for (of, part) in [
        (&[("target", "target")][..], "they are one field"),
        (
            &[("target", "source"), ("source", "target")],
            "share that one",
        ),
        (&[("target", "sauce")], "is it source?"),
        (&[("tarjet", "source")], "is it target?"),
    ] {
        let e = shared(of).unwrap_err();
        assert!(e.kind == Kind::Usage && e.message.contains(part), "{e}");
    }
    // Words that others lie along are words in the vocabulary too.
    let mut rules = words();
    rules.default.kind = VocabKind::Char;
    let examples = read_text(&tag(), "a.conll", "a\tX\nb\tY\n").unwrap();
    let e = FieldCodes::build(&examples, &rules).unwrap_err();
    assert!(
        e.kind == Kind::Usage && e.message.contains("expected word"),
        "{e}"
    );
    rules.of.insert(
        "tags".into(),
        VocabularyRule::Build(VocabularyRecipe::default()),
    );
    let e = FieldCodes::build(&examples, &rules).unwrap_err();
    assert!(e.message.contains("found classes along text"), "{e}");
}

#[test]
fn vectors_come_from_arrays_and_columns() {
    let f32s = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let want: [&[f32]; 2] = [&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]];
    let six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let f64s: Vec<u8> = six
        .iter()
        .flat_map(|v: &f32| f64::from(*v).to_le_bytes())
        .collect();
    let f16s: Vec<u8> = six
        .iter()
        .flat_map(|v| half::f16::from_f32(*v).to_le_bytes())
        .collect();
    let i16s: Vec<u8> = six.iter().flat_map(|v| (*v as i16).to_le_bytes()).collect();
    let u8s = vec![1u8, 2, 3, 4, 5, 6];
    let text: (&str, &[u8]) = ("text=a.txt", b"one\ntwo\n");
    let vectors = |name: &str, bytes: &[u8], columns: &str| -> Result<(Vec<f32>, Vec<f32>)> {
        let files = [(name, bytes), text];
        let examples = read_files(&caption(), &files, &rules(columns, &[]))?;
        let (codes, _) = FieldCodes::build(&examples, &VocabularyRules::default())?;
        let records = encode(&codes, &examples)?;
        match records.rows("image") {
            Some(FieldRows::Vector(rows)) => Ok((rows.row(0).to_vec(), rows.row(1).to_vec())),
            _ => panic!("no vectors"),
        }
    };
    let name = "image=a.safetensors";
    for (array, dtype, shape, bytes, columns) in [
        ("x", Dtype::F32, &[2, 3][..], f32s(&six), ""),
        ("image", Dtype::F64, &[2, 3], f64s, ""),
        ("other", Dtype::F16, &[2, 1, 3], f16s, ""),
        ("b", Dtype::I16, &[2, 3], i16s, "image=b"),
        ("x", Dtype::U8, &[2, 3], u8s.clone(), ""),
    ] {
        let file = arrays(&[(array, dtype, shape, bytes)]);
        let (a, b) = vectors(name, &file, columns).unwrap();
        assert_eq!([&a[..], &b[..]], want, "{array} {dtype:?}");
    }
    for (name, file, columns) in [
        ("image=v.csv", "p0,p1,p2\n1,2,3\n4,5,6\n", "image=1-3"),
        ("image=v.csv", "a,image\n7,1 2 3\n7,4 5 6\n", "image=image"),
        ("image=v.tsv", "1\t2\t3\n4\t5\t6\n", ""),
        ("image=v.txt", "1 2 3\n4  5 6\n", ""),
        (
            "image=v.jsonl",
            "{\"image\":[1,2,3]}\n{\"image\":[4.0,5e0,6]}\n",
            "",
        ),
    ] {
        let (a, b) = vectors(name, file.as_bytes(), columns).unwrap();
        assert_eq!([&a[..], &b[..]], want, "{name}");
    }
    let two = arrays(&[
        ("b", Dtype::U8, &[2, 3], u8s.clone()),
        ("c", Dtype::U8, &[2, 3], u8s.clone()),
    ]);
    let nan = arrays(&[(
        "x",
        Dtype::F32,
        &[2, 3],
        f32s(&[0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0]),
    )]);
    let flat = arrays(&[("x", Dtype::U8, &[6], u8s.clone())]);
    let packed = arrays(&[
        ("x", Dtype::U8, &[2, 3], u8s.clone()),
        ("lengths", Dtype::U8, &[1], vec![2]),
    ]);
    let more = arrays(&[("x", Dtype::U8, &[3, 2], u8s)]);
    for (file, message) in [
        (
            &two[..],
            "a.safetensors: expected an array image or x, found b [2, 3], c [2, 3]; --columns image=ARRAY",
        ),
        (
            &nan,
            "a.safetensors: array x: row 1, column 1: expected a finite number, found NaN",
        ),
        (
            &flat,
            "a.safetensors: array x: expected a shape [N, D], found [6]",
        ),
        (
            &packed,
            "a.safetensors: array x: expected a vector a sequence",
        ),
        (
            &more,
            "expected as many sequences of image as of text, found 3 in a.safetensors and 2 in a.txt; the first that \
                 stands alone is a.safetensors: row 2",
        ),
        (&more[..30], "a.safetensors: expected a safetensors file"),
        (b"not one", "a.safetensors: expected a safetensors file"),
    ] {
        let e = vectors(name, file, "").unwrap_err();
        assert!(
            e.kind == Kind::Data && e.message.starts_with(message),
            "{e}"
        );
    }
}

#[test]
fn a_table_says_by_numbers_which_vector_a_text_has() {
    let file = arrays(&[("regions", Dtype::U8, &[2, 1, 2], vec![1, 2, 3, 4])]);
    let of = |table: &[u8]| {
        let files: [(&str, &[u8]); 2] = [("image=a.safetensors", &file), ("b.tsv", table)];
        read_files(&caption(), &files, &rules("image=1,text=3", &[]))
    };
    let examples = of(b"1\t?\tone\n0\t?\ttwo\n1\t?\tthree\n").unwrap();
    assert_eq!(items(&examples, "text"), [["one"], ["two"], ["three"]]);
    let (codes, _) = FieldCodes::build(&examples, &VocabularyRules::default()).unwrap();
    let records = encode(&codes, &examples).unwrap();
    let Some(FieldRows::Vector(rows)) = records.rows("image") else {
        panic!("no vectors")
    };
    assert_eq!(
        [rows.row(0), rows.row(1), rows.row(2)],
        [[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]]
    );
    for bad in ["2", "-1", "x", "1.5"] {
        let e = of(format!("0\t?\tone\n{bad}\t?\ttwo\n").as_bytes()).unwrap_err();
        let want = format!(
            "b.tsv: line 2: field image: expected the number of a row of a.safetensors, from 0 to 1, found {bad:?}"
        );
        assert_eq!((e.kind, e.message), (Kind::Data, want));
    }
}

#[test]
fn a_table_says_by_numbers_which_set_a_question_is_about() {
    let fields = [
        Field::new("image", FieldKind::Reals),
        Field::new("question", FieldKind::Tokens),
    ];
    let file = arrays(&[
        ("image", Dtype::U8, &[3, 2], vec![1, 2, 3, 4, 5, 6]),
        (
            "lengths",
            Dtype::I64,
            &[2],
            [1i64, 2].iter().flat_map(|n| n.to_le_bytes()).collect(),
        ),
    ]);
    let of = |table: &[u8]| {
        let files: [(&str, &[u8]); 2] = [("image=a.safetensors", &file), ("b.tsv", table)];
        read_files(&fields, &files, &rules("image=1,question=2", &[]))
    };
    let examples = of(b"1\tone\n0\ttwo\n1\tthree\n").unwrap();
    let (codes, _) = FieldCodes::build(&examples, &VocabularyRules::default()).unwrap();
    let records = encode(&codes, &examples).unwrap();
    let Some(FieldRows::Steps(rows)) = records.rows("image") else {
        panic!("no sets")
    };
    assert_eq!([rows.steps(0), rows.steps(1), rows.steps(2)], [2, 1, 2]);
    let e = of(b"2\tone\n").unwrap_err();
    let want = "b.tsv: line 1: field image: expected the number of a row of a.safetensors, from 0 to 1, found \"2\"";
    assert_eq!(e.message, want);
}

#[test]
fn labels_may_be_integers_in_arrays() {
    let fields = [
        Field::new("x", FieldKind::Vector),
        Field::new("label", FieldKind::Class),
    ];
    let labels: Vec<u8> = [7i64, 0, 7].iter().flat_map(|n| n.to_le_bytes()).collect();
    let file = arrays(&[
        ("x", Dtype::U8, &[3, 1], vec![1, 2, 3]),
        ("labels", Dtype::I64, &[3], labels),
    ]);
    let examples = read_files(&fields, &[("a.safetensors", &file)], &ReadRules::default()).unwrap();
    assert_eq!(items(&examples, "label"), [["7"], ["0"], ["7"]]);
}

#[test]
fn bad_files_are_refused_by_file_and_line() {
    let three = "1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n";
    for (fields, name, text, message) in [
        (classify(), "a.tsv", "", "a.tsv: the text is empty"),
        (
            classify(),
            "a.tsv",
            "\n\n",
            "a.tsv: expected rows of cells, found none",
        ),
        (
            classify(),
            "a.tsv",
            "text\tlabel\n",
            "a.tsv: expected examples, found none",
        ),
        (
            classify(),
            "a.tsv",
            "a\tx\nb\n",
            "a.tsv: line 2: expected 2 column(s) as in the first line, found 1",
        ),
        (
            classify(),
            "a.tsv",
            "a\tx\n\tx\n",
            "a.tsv: line 2: field label: expected a label, found nothing",
        ),
        (
            classify(),
            "a.tsv",
            "a\tx\na\t \n",
            "a.tsv: line 2: field text: expected a text, found nothing",
        ),
        (
            classify(),
            "a.tsv",
            "a\n",
            "a.tsv: line 1: expected a header, or a column for each of text, label",
        ),
        (
            classify(),
            "a.tsv",
            "x y\ta\nx z\ta\n",
            "a.tsv: without a header column 1 is label, but it has 2 different values and \
            column 2, text, 1; --columns label=2,text=1",
        ),
        (
            classify(),
            "a.csv",
            "review,label\nx,a\n",
            "a.csv: line 1: expected a header with a column text, found \"review, label\"",
        ),
        (
            classify(),
            "a.csv",
            "text,label,date\nx,a,1\n",
            "a.csv: line 1: the header has date beside the fields (text, label)",
        ),
        (
            classify(),
            "a.csv",
            "text,label\nx,\"a\n",
            "a.csv: line 2: column 2: expected the quote",
        ),
        (
            classify(),
            "a.jsonl",
            "{\"text\":\"x\",\"label\":\"a\"}\n{\"text\":\"x\"}\n",
            "a.jsonl: line 2: expected a member \"label\"",
        ),
        (
            classify(),
            "a.jsonl",
            "{\"text\":\"x\",\"lable\":\"a\"}\n",
            "a.jsonl: line 1: the member \"lable\" is no field of the model \
            (text, label) (is it label?)",
        ),
        (
            classify(),
            "a.jsonl",
            "{\"text\":\"x\",\"label\":null}\n",
            "a.jsonl: line 1: field label: expected a string or a number, found null",
        ),
        (
            classify(),
            "a.jsonl",
            "{\"text\":\"x\",\"text\":\"x\",\"label\":1}\n",
            "a.jsonl: line 1: expected a JSON object: the member \
            \"text\" stands there twice",
        ),
        (
            classify(),
            "a.jsonl",
            "[1]\n",
            "a.jsonl: line 1: expected a JSON object",
        ),
        (
            classify(),
            "a.jsonl",
            "{\"text\":[\"x\",\"\"],\"label\":1}\n",
            "a.jsonl: line 1: field text: item 2: expected a word or a label",
        ),
        (
            classify(),
            "a.txt",
            "__label__a x\ny\n",
            "a.txt: line 2: expected one label, __label__x, at the line's beginning, found 0",
        ),
        (
            classify(),
            "a.txt",
            "__label__a __label__b x\n",
            "a.txt: line 1: expected one label, __label__x, at the line's beginning, found 2",
        ),
        (
            classify(),
            "a.txt",
            "__label__ x\n",
            "a.txt: line 1: field label: expected a label, found nothing",
        ),
        (
            classify(),
            "a.conll",
            "a\tX\n",
            "a.conll: expected fields of words and of labels along them, found label: class",
        ),
        (
            classify(),
            "a.json",
            "{}",
            "a.json: expected a file of examples",
        ),
        (
            tag(),
            "a.conll",
            "a\tX\nb\n",
            "a.conll: line 2: expected 2 columns as in the first line, found 1",
        ),
        (
            tag(),
            "a.conll",
            "a\tX\n# b\n",
            "a.conll: line 2: expected 2 columns as in the first line, found 1; comments are of CoNLL-U",
        ),
        (
            tag(),
            "a.conll",
            "a\tX\n\t\n\nb\t\n",
            "a.conll: line 4: column 2: expected tags of a word, found \"\"",
        ),
        (
            tag(),
            "a.conll",
            three,
            "a.conll: line 1: expected a column for each of text, tags, found 10; ten are CoNLL-U",
        ),
        (
            tag(),
            "a.conllu",
            "a\tX\n",
            "a.conllu: line 1: expected the 10 columns of CoNLL-U",
        ),
        (
            tag(),
            "a.conllu",
            "x\ta\t_\tX\t_\t_\t_\t_\t_\t_\n",
            "a.conllu: line 1: column 1: expected the number of a word",
        ),
        (
            tag(),
            "a.conllu",
            &format!("{three}2\tb\t_\t_\t_\t_\t_\t_\t_\t_\n"),
            "a.conllu: line 2: column 4: expected tags of a word, found \"_\"",
        ),
        (
            tag(),
            "a.conll",
            "\n \n",
            "a.conll: expected words in columns, found none",
        ),
        (
            tag(),
            "a.tsv",
            "a b\tX Y\na b\tX\n",
            "a.tsv: line 2: text has 2 words, tags 1 labels; expected one for every word",
        ),
        (
            tag(),
            "a.tsv",
            "a b\tX Y\na b\t \n",
            "a.tsv: line 2: field tags: expected a label for every word, found nothing",
        ),
        (
            tag(),
            "a.txt",
            "a b\n",
            "a.txt: lines of text have one field",
        ),
        (
            caption(),
            "a.tsv",
            "1\tx\n1e99\ty\n",
            "a.tsv: line 2: field image: number 1: expected a finite number, found \"1e99\"",
        ),
        (
            caption(),
            "a.tsv",
            "1\t2\tx\n1\tnan\ty\n",
            "a.tsv: line 2: field image: number 2: expected a finite number, found \"nan\"",
        ),
        (
            caption(),
            "a.jsonl",
            "{\"image\":[1,2],\"text\":\"x\"}\n{\"image\":[1],\"text\":\"x\"}\n",
            "a.jsonl: line 2: field image: \
            expected 2 numbers as in the first vector, found 1",
        ),
        (
            caption(),
            "a.jsonl",
            "{\"image\":[],\"text\":\"x\"}\n",
            "a.jsonl: line 1: field image: expected at least one number, found 0",
        ),
    ] {
        let e = read_text(&fields, name, text).unwrap_err();
        assert_eq!(e.kind, Kind::Data, "{e}");
        assert!(e.message.starts_with(message), "{text:?}\n{e}\n{message}");
    }
    let e = read_files(
        &classify(),
        &[("a.tsv", b"a\tx\nb\t\xe9\n")],
        &ReadRules::default(),
    )
    .unwrap_err();
    assert!(
        e.message
            .starts_with("a.tsv: not UTF-8: byte 0xE9 at offset 6 (line 2)"),
        "{e}"
    );
    let e = read_files(
        &classify(),
        &[("a.tsv", b"PK\x03\x04")],
        &ReadRules::default(),
    )
    .unwrap_err();
    assert!(
        e.message
            .starts_with("a.tsv: expected a text, found a zip archive"),
        "{e}"
    );
    for (files, kind, message) in [
        (
            &[("a.xyz", &b"a\tx\n"[..])][..],
            Kind::Usage,
            "a.xyz: expected a name that ends in the file's format",
        ),
        (
            &[("text=a.txt", b"x\n")],
            Kind::Usage,
            "expected a file for field label, found none",
        ),
        (
            &[
                ("text=a.txt", b"x\n"),
                ("label=b.txt", b"x\n"),
                ("a.tsv", b"x\n"),
            ],
            Kind::Usage,
            "a.tsv: every field has a file of its own",
        ),
        (
            &[("sauce=a.txt", b"x\n")],
            Kind::Usage,
            "sauce=a.txt: no such file: expected a field of the model (text, label), found \"sauce\"",
        ),
        (
            &[("text=a.txt", b"x\ny\n"), ("label=b.txt", b"a\n \n")],
            Kind::Data,
            "b.txt: line 2: field label: expected a label",
        ),
    ] {
        let e = read_files(&classify(), files, &ReadRules::default()).unwrap_err();
        assert!(
            e.kind == kind && e.message.starts_with(message),
            "{e}\n{message}"
        );
    }
    let e = read_files(&classify(), &[("a.tsv", b"a\tx\n")], &rules("lable=1", &[])).unwrap_err();
    assert!(
        e.kind == Kind::Usage && e.message.contains("is it label?"),
        "{e}"
    );
}

#[test]
fn declarations_that_cannot_be_read_are_refused() {
    let along = FieldKind::ClassesAlong;
    for (fields, part) in [
        (vec![], "at least one"),
        (
            vec![Field::new("a b", FieldKind::Class)],
            "without white space",
        ),
        (
            vec![Field::new("", FieldKind::Class)],
            "without white space",
        ),
        (
            vec![
                Field::new("a", FieldKind::Class),
                Field::new("a", FieldKind::Vector),
            ],
            "found a again",
        ),
        (vec![Field::new("t", along("x".into()))], "no such field"),
        (
            vec![
                Field::new("x", FieldKind::Class),
                Field::new("t", along("x".into())),
            ],
            "found x: class",
        ),
    ] {
        let e = read_text(&fields, "a.tsv", "a\n").unwrap_err();
        assert!(e.kind == Kind::Data && e.message.contains(part), "{e}");
    }
}

#[test]
fn a_first_byte_order_mark_within_a_cell_is_a_character() {
    let examples = read_text(&classify(), "a.csv", "text,label\n\"\u{feff}\",x\nb,y\n").unwrap();
    let (codes, _) = FieldCodes::build(&examples, &VocabularyRules::default()).unwrap();
    let records = encode(&codes, &examples).unwrap();
    let Some(FieldRows::Tokens(text)) = records.rows("text") else {
        panic!("no tokens")
    };
    assert_eq!(
        decoded(text, codes.vocabulary("text").unwrap()),
        ["\u{feff}", "b"]
    );
}

/// Everything that a file may be read as.
fn all_ways(bytes: &[u8]) {
    for fields in [classify(), tag(), caption(), translate()] {
        for name in FileFormat::names() {
            let rules = ReadRules {
                format: Some(FileFormat::parse(name).unwrap()),
                optional: vec!["tags".into(), "label".into()],
                ..ReadRules::default()
            };
            let Ok(examples) = read_files(&fields, &[("-", bytes)], &rules) else {
                continue;
            };
            assert!(!examples.is_empty());
            if let Ok((codes, _)) = FieldCodes::build(&examples, &words()) {
                let records = encode(&codes, &examples).unwrap();
                assert_eq!(records.len(), examples.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn arbitrary_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        text in "[a1_\\-.\t\n\r ,\"{}\\[\\]:#é\u{feff}\u{a0}]{0,40}",
    ) {
        all_ways(&bytes);
        all_ways(text.as_bytes());
        all_ways(format!("1\ta{text}").as_bytes());
        all_ways(format!("{{\"text\":{text}}}").as_bytes());
    }

    #[test]
    fn what_was_written_comes_back(
        rows in prop::collection::vec(
            prop::collection::vec(("[a-z#\"',{é]{1,5}", "[A-Z_\\-]{1,3}"), 1..4), 1..6,
        ),
        label in "[a-z]{1,3}",
    ) {
        let words: Vec<Vec<&str>> = rows.iter().map(|r| r.iter().map(|(w, _)| w.as_str()).collect()).collect();
        let tags: Vec<Vec<&str>> = rows.iter().map(|r| r.iter().map(|(_, t)| t.as_str()).collect()).collect();
        let block = |line: &dyn Fn(usize, &str, &str) -> String| {
            let rows = words.iter().zip(&tags).map(|(words, tags)| {
                let lines = words.iter().zip(tags).enumerate();
                lines.map(|(n, (w, t))| line(n, w, t) + "\n").collect::<String>()
            });
            rows.collect::<Vec<_>>().join("\n")
        };
        let conll = block(&|_, word, tag| format!("{word}\t{tag}"));
        let json: Vec<String> = words.iter().zip(&tags)
            .map(|(words, tags)| serde_json::json!({"text": words, "tags": tags}).to_string()).collect();
        for (name, text) in [("a.conll", conll), ("a.jsonl", json.join("\n"))] {
            let examples = read_text(&tag(), name, &text).unwrap();
            prop_assert_eq!(&items(&examples, "text"), &words);
            prop_assert_eq!(&items(&examples, "tags"), &tags);
        }
        if tags.iter().flatten().all(|tag| *tag != "_") {
            let conllu = block(&|n, word, tag| format!("{}\t{word}\t_\t{tag}\t_\t_\t0\t_\t_\t_", n + 1));
            let examples = read_text(&tag(), "a.conllu", &conllu).unwrap();
            prop_assert_eq!(&items(&examples, "text"), &words);
        }
        // Texts with a label of their own.
        let texts: Vec<String> = words.iter().map(|words| words.join(" ")).collect();
        let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let all = |line: &dyn Fn(&String) -> String| texts.iter().map(|t| line(t) + "\n").collect::<String>();
        for (name, text) in [
            ("a.tsv", format!("text\tlabel\n{}", all(&|t| format!("{t}\t{label}")))),
            ("a.csv", format!("label,text\n{}", all(&|t| format!("{label},{}", quoted(t))))),
            ("a.jsonl", all(&|t| serde_json::json!({"text": t, "label": label}).to_string())),
            ("a.txt", all(&|t| format!("__label__{label} {t}"))),
        ] {
            let examples = read_text(&classify(), name, &text).unwrap();
            let want: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_str()]).collect();
            prop_assert_eq!(items(&examples, "text"), want, "{}", name);
            prop_assert!(items(&examples, "label").iter().all(|of| of[0] == label));
        }
    }
}
