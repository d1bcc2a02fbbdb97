//! What is refused, by its place, and files that were changed at random.

use super::*;

#[test]
fn bad_steps_are_refused_by_file_row_and_column() {
    let x = |shape: &str, bytes: usize| npy("<f4", false, shape, &vec![0; bytes]);
    let packed = |lengths: &[i64]| {
        arrays(&[
            ("x", Dtype::U8, &[4, 1], vec![1, 2, 3, 4]),
            ("lengths", Dtype::I64, &[lengths.len()], i64s(lengths)),
        ])
    };
    let large = npy(
        "<f8",
        false,
        "(1, 3)",
        &[1.0f64, 1e39, 2.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<_>>(),
    );
    let mut claims = b"\x93NUMPY\x02\x00".to_vec();
    claims.extend(0xC000_0000u32.to_le_bytes());
    let cases: Vec<(Vec<Field>, &str, Vec<u8>, &str)> = vec![
        (
            reals(),
            "a.safetensors",
            packed(&[1, 2]),
            "a.safetensors: array x: its lengths lengths: expected lengths whose sum is the number of steps, 4 (shape [4, 1]), or a length for each of 4 padded sequences, found 3 in 2 lengths",
        ),
        (
            reals(),
            "a.safetensors",
            packed(&[5, -1]),
            "a.safetensors: array x: its lengths lengths: row 1: expected a length of at least 1, found -1",
        ),
        (
            reals(),
            "a.safetensors",
            packed(&[4, 0]),
            "a.safetensors: array x: its lengths lengths: row 1: expected a length of at least 1, found 0",
        ),
        (
            reals(),
            "a.safetensors",
            packed(&[4])[..40].to_vec(),
            "a.safetensors: expected a safetensors file: its header is said to have",
        ),
        (
            reals(),
            "a.npy",
            claims,
            "a.npy: expected a header of at most 65536 bytes, found one that says it has 3221225472",
        ),
        (
            reals(),
            "a.npy",
            x("(2, 3)", 23),
            "a.npy: expected 24 bytes of numbers for its shape [2, 3], found 23",
        ),
        (
            reals(),
            "a.npy",
            x("(2, 3)", 25),
            "a.npy: expected 24 bytes of numbers for its shape [2, 3], found 25",
        ),
        (
            reals(),
            "a.npy",
            x("(1099511627776, 1, 1)", 25),
            "a.npy: expected 4398046511104 bytes of numbers",
        ),
        (
            reals(),
            "a.npy",
            x("(1099511627776, 1099511627776)", 25),
            "a.npy: expected a shape that memory can hold",
        ),
        (
            reals(),
            "a.npy",
            x("(1099511627776, 0, 3)", 0),
            "a.npy: expected steps of numbers, found a shape [1099511627776, 0, 3]",
        ),
        (
            reals(),
            "a.npy",
            x("()", 4),
            "a.npy: expected steps of numbers, found a shape []",
        ),
        (
            reals(),
            "a.npy",
            npy("<U4", false, "(2,)", &[0; 32]),
            "a.npy: expected numbers of 64, 32, 16 or 8 bits, found \"<U4\"",
        ),
        (
            reals(),
            "a.npy",
            large,
            "a.npy: field x: row 0, column 1: expected a number that 32 bits hold, found 1",
        ),
        (
            reals(),
            "a.npz",
            npz(&[("y", x("(2, 3)", 24)), ("z", x("(2, 3)", 24))], true),
            "a.npz: expected an array x, found y [2, 3], z [2, 3]; --columns x=ARRAY",
        ),
        (
            reals(),
            "a.npz",
            npz(&[("x", x("(2, 3)", 25))], true),
            "a.npz: array x: expected 24 bytes of numbers for its shape [2, 3], found more",
        ),
        (
            reals(),
            "a.npz",
            b"PK\x03\x04 and so on".to_vec(),
            "a.npz: expected an .npz file, a zip archive",
        ),
        (
            reals(),
            "a.idx",
            vec![0, 0, 8, 1, 0, 0, 0, 2, 1, 2],
            "a.idx: expected a shape [N, T, D]",
        ),
        (
            labelled(),
            "a.safetensors",
            packed(&[4]),
            "a.safetensors: expected an array label or labels, found lengths [1], x [4, 1]",
        ),
        (
            labelled(),
            "a.safetensors",
            arrays(&[
                ("x", Dtype::U8, &[2, 2], vec![0; 4]),
                ("labels", Dtype::U8, &[3], vec![0; 3]),
            ]),
            "expected as many sequences of x as of label, found 2 in a.safetensors and 3 in a.safetensors",
        ),
        (
            bits(),
            "a.npy",
            npy("|u1", false, "(2, 2)", &[0, 1, 2, 0]),
            "a.npy: row 1, column 0: expected 0 or 1, found 2",
        ),
        (
            reals(),
            "a.csv",
            SERIES.into(),
            "a.csv: line 2, column 1 (date): expected a finite number, found \"2016-07-01 00:00:00\"; --time 1 says that it is the time, --columns x=FIRST-LAST",
        ),
        (
            reals(),
            "a.csv",
            b"a,b\n1,2\n3,four\n".into(),
            "a.csv: line 3, column 2 (b): expected a finite number, found \"four\"",
        ),
        (
            reals(),
            "a.csv",
            b"a,b\n1,2\n3,inf\n".into(),
            "a.csv: line 3, column 2 (b): expected a finite number, found \"inf\"",
        ),
        (
            reals(),
            "a.csv",
            b"a,b\n1,2\n3,1e39\n".into(),
            "a.csv: field x: row 1, column b: expected a number that 32 bits hold",
        ),
        (
            reals(),
            "a.csv",
            b"a,b\n1,2\n3\n".into(),
            "a.csv: line 3: expected 2 column(s) as in the first line, found 1",
        ),
        (
            reals(),
            "a.csv",
            b"a,b,a\n1,2,3\n".into(),
            "a.csv: line 1: expected a header with each name once, found \"a\" again",
        ),
        (
            reals(),
            "a.csv",
            b"a,b\n".into(),
            "a.csv: expected rows of numbers, found a header alone",
        ),
        (
            reals(),
            "a.tsv",
            b"\n".into(),
            "a.tsv: expected rows of numbers, found none",
        ),
        (
            labelled(),
            "a.csv",
            b"label,a,b\n1,2,3\n1,4,five\n".into(),
            "a.csv: line 3, column 3 (b): expected a finite number, found \"five\"",
        ),
        (
            labelled(),
            "a.csv",
            b"label,a,b\n1,2,\n".into(),
            "a.csv: line 2, column 3 (b): expected a number, found an empty cell",
        ),
        (
            labelled(),
            "a.csv",
            b"label,a,b\n1,2\n".into(),
            "a.csv: line 2: expected 3 column(s) as in the first line, found 2",
        ),
        (
            labelled(),
            "a.csv",
            b"label,a,b\n1,2,3\n,2,3\n".into(),
            "a.csv: line 3: field label: expected a label, found nothing",
        ),
        (
            labelled(),
            "a.csv",
            b"label,a,b\n".into(),
            "a.csv: expected rows of numbers, found a header alone",
        ),
        (
            labelled(),
            "a.csv",
            b"kind,a,b\nu,2,3\n".into(),
            "a.csv: line 1: expected a column label for label (--columns label=COLUMN says another)",
        ),
        (
            labelled(),
            "a.tsv",
            b"3\n4\n".into(),
            "a.tsv: line 1: expected columns for x",
        ),
        (
            [labelled(), vec![Field::new("v", FieldKind::Vector)]].concat(),
            "a.csv",
            b"label,a,v\n1,2,3\n".into(),
            "a.csv: a table with an example a row has reals, and classes or texts beside them, found v: vector",
        ),
        (
            tagged(),
            "a.csv",
            b"a,tag\n1,2\n".into(),
            "a.csv: line 1: expected a column tags for tags (--columns tags=COLUMN says another), found \"a, tag\" (is it tag?)",
        ),
        (
            tagged(),
            "a.csv",
            b"a,tags,b\n1,u,2\n".into(),
            "a.csv: line 1: expected columns for x that stand side by side when the others are taken, found 2 of 3",
        ),
        (
            tagged(),
            "a.csv",
            b"a,tags\n1,u\n2,\n".into(),
            "a.csv: line 3: field tags: expected a label for every step, found nothing",
        ),
        (
            bits(),
            "a.csv",
            b"notes\n60\n".into(),
            "a.csv: line 2: field notes: expected a file of sequences",
        ),
        (
            reals(),
            "a.jsonl",
            b"[[1,2],[3]]\n".into(),
            "a.jsonl: line 1: field x: step 1: expected 2 numbers as in the first step, found 1",
        ),
        (
            reals(),
            "a.jsonl",
            b"[[1]]\n[[\"a\"]]\n".into(),
            "a.jsonl: line 2: field x: step 0, column 0: expected a finite number, found \"a\"",
        ),
        (
            reals(),
            "a.jsonl",
            b"[[1]]\n[]\n".into(),
            "a.jsonl: line 2: field x: expected a sequence of at least one step, found none",
        ),
        (
            reals(),
            "a.jsonl",
            b"[[]]\n".into(),
            "a.jsonl: line 1: field x: step 0: expected at least one number, found 0",
        ),
        (
            reals(),
            "a.jsonl",
            b"[[1],{}]\n".into(),
            "a.jsonl: line 1: field x: step 1: expected a list of steps, each a list of numbers, found {}",
        ),
        (
            reals(),
            "a.jsonl",
            b"[[1]\n".into(),
            "a.jsonl: line 1: expected a list of steps: EOF",
        ),
        (
            bits(),
            "a.jsonl",
            b"[[60],[1.5]]\n".into(),
            "a.jsonl: line 1: field notes: step 1, number 0: expected a whole number from 0 to 2^32 - 1, found 1.5",
        ),
        (
            bits(),
            "a.jsonl",
            b"[[60],[-1]]\n".into(),
            "a.jsonl: line 1: field notes: step 1, number 0: expected a whole number",
        ),
        (
            bits(),
            "a.jsonl",
            b"[[60,60]]\n".into(),
            "a.jsonl: line 1: field notes: step 0, number 1: expected each note of a step once, found 60",
        ),
        (
            bits(),
            "a.jsonl",
            b"[60]\n".into(),
            "a.jsonl: line 1: field notes: step 0: expected a list of steps, each a list of whole numbers, found 60",
        ),
    ];
    for (fields, name, bytes, message) in cases {
        for rules in both_ways(&ReadRules::default()) {
            let e = read_files(&fields, &[(name, &bytes)], &rules).unwrap_err();
            assert!(
                e.kind == Kind::Data && e.message.starts_with(message),
                "{e}\n{message}"
            );
        }
    }
    // A time that does not rise, is none, or changes its form.
    for (rows, message) in [
        (
            "2016-01-02,1\n2016-01-02,2\n",
            "line 3, column 1 (date): dates out of order: expected a time after \"2016-01-02\", found \"2016-01-02\"",
        ),
        (
            "2,1\n10,2\n9,3\n",
            "line 4, column 1 (date): dates out of order: expected a time after \"10\", found \"9\"",
        ),
        (
            "01.02.2016,1\n",
            "line 2, column 1 (date): expected a time, which is a number or a date such as",
        ),
        (
            "2016-01-02,1\n2016-01-03 10:00,2\n",
            "line 3, column 1 (date): expected a time written as the one before, \"2016-01-02\"",
        ),
    ] {
        let text = format!("date,a\n{rows}");
        let e = read_files(&reals(), &[("a.csv", text.as_bytes())], &timed()).unwrap_err();
        assert!(e.message.starts_with(&format!("a.csv: {message}")), "{e}");
    }
    for (columns, kind, message) in [
        (
            "x=1",
            Kind::Usage,
            "a.csv: --columns: x: column 1 is the time",
        ),
        (
            "x=5",
            Kind::Data,
            "a.csv: line 1: expected a column 5 for x (--columns), found 3 column(s)",
        ),
        (
            "x=c",
            Kind::Data,
            "a.csv: line 1: expected a column c for x, found",
        ),
        (
            "x=2,x.lengths=a",
            Kind::Usage,
            "a.csv: --columns x.lengths: lengths are of arrays, found csv",
        ),
    ] {
        let rules = ReadRules {
            time: Some("date".into()),
            ..rules(columns, &[])
        };
        let e = read_files(&reals(), &[("a.csv", SERIES.as_bytes())], &rules).unwrap_err();
        assert!(e.kind == kind && e.message.starts_with(message), "{e}");
    }
    let when = ReadRules {
        time: Some("when".into()),
        ..ReadRules::default()
    };
    let e = read_files(&reals(), &[("a.csv", SERIES.as_bytes())], &when).unwrap_err();
    assert!(
        e.message
            .starts_with("a.csv: line 1: expected a column when for the time, found"),
        "{e}"
    );
    let two = [
        Field::new("a", FieldKind::Reals),
        Field::new("b", FieldKind::Reals),
    ];
    let e = read_files(&two, &[("a.npy", &x("(2, 3)", 24))], &ReadRules::default()).unwrap_err();
    assert!(
        e.message
            .starts_with("a.npy: expected an array for each of a and b, found one for both"),
        "{e}"
    );
}

/// Good files, by the names of their formats.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let x = npy("<f4", false, "(3, 2)", &f32s(&SIX));
    let lengths = npy("<i8", false, "(2,)", &i64s(&[1, 2]));
    vec![
        ("npy", x.clone()),
        ("npy", npy(">i2", true, "(1, 3, 2)", &[0; 12])),
        (
            "npz",
            npz(&[("x", x.clone()), ("lengths", lengths.clone())], true),
        ),
        ("npz", npz(&[("x", x), ("lengths", lengths)], false)),
        (
            "safetensors",
            arrays(&[
                ("x", Dtype::F32, &[3, 2], f32s(&SIX)),
                ("lengths", Dtype::I64, &[2], i64s(&[1, 2])),
                ("tags", Dtype::U8, &[3], vec![1, 2, 1]),
            ]),
        ),
        (
            "idx",
            [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[0; 6]].concat(),
        ),
        ("csv", SERIES.into()),
        ("csv", b"a,tags\n1,u\nNA,v\n2,u\n".to_vec()),
        ("tsv", b"1\t2\n3\t4\n".to_vec()),
        ("jsonl", b"[[1,2],[3,null]]\n[[60,61]]\n".to_vec()),
    ]
}

/// Everything that a file of steps may be read as: it is read whole, or one error says why not.
fn all_ways(format: &str, bytes: &[u8]) {
    for fields in [reals(), labelled(), tagged(), bits()] {
        for (missing, in_memory) in [
            (Missing::Refuse, None),
            (Missing::Carry, Some(0)),
            (Missing::Drop, Some(4)),
        ] {
            let rules = ReadRules {
                format: Some(FileFormat::parse(format).unwrap()),
                missing,
                in_memory,
                ..ReadRules::default()
            };
            let examples = match read_files(&fields, &[("a.x", bytes)], &rules) {
                Ok(examples) => examples,
                Err(e) => {
                    assert!(
                        e.kind != Kind::Internal && !e.message.trim().contains('\n'),
                        "{e}"
                    );
                    continue;
                }
            };
            let standard = StepRules {
                standardize: true,
                ..StepRules::default()
            };
            for steps in [standard, StepRules::default()] {
                if let Ok(codes) = build(&examples, steps) {
                    let records = encode(&codes, &examples).unwrap();
                    let rows = step_rows(&records, &fields[0].name);
                    assert_eq!(rows.len(), examples.len());
                    assert!(
                        rows_of(&rows)
                            .concat()
                            .concat()
                            .iter()
                            .all(|v| v.is_finite())
                    );
                }
            }
        }
    }
}

#[test]
fn good_seeds_are_read() {
    for (format, bytes) in seeds() {
        let rules = ReadRules {
            format: Some(FileFormat::parse(format).unwrap()),
            missing: Missing::Drop,
            time: (bytes == SERIES.as_bytes()).then(|| "date".to_string()),
            ..ReadRules::default()
        };
        let fields = if bytes.windows(4).any(|w| w == b"tags") {
            tagged()
        } else {
            reals()
        };
        let all = read_files(&fields, &[("a.x", &bytes)], &rules);
        assert!(all.is_ok(), "{format}: {all:?}");
        all_ways(format, &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn changed_files_of_steps_are_read_or_refused(
        seed in 0usize..10,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        more in prop::collection::vec(any::<u8>(), 0..4),
        noise in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let (format, mut bytes) = seeds().swap_remove(seed);
        for (place, byte) in &changes {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        if let Some(cut) = cut {
            let cut = cut.index(bytes.len());
            bytes.truncate(cut);
        }
        bytes.extend(more);
        all_ways(format, &bytes);
        all_ways(format, &noise);
    }

    #[test]
    fn changed_headers_are_read_or_refused(
        text in "[{}'(),: <>|a-fi0-9TruFals_]{0,30}",
        shape in "[0-9, ()L-]{0,14}",
        sizes in prop::collection::vec(0u32..5, 0..5),
    ) {
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend((text.len() as u16).to_le_bytes());
        header.extend(text.as_bytes());
        all_ways("npy", &header);
        all_ways("npy", &npy("<f2", true, &shape, &[0; 24]));
        let mut idx = vec![0, 0, 8, sizes.len() as u8];
        idx.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        idx.extend(vec![1; sizes.iter().product::<u32>() as usize]);
        all_ways("idx", &idx);
    }
}
