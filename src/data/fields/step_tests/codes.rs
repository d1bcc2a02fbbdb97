//! Missing numbers, scales, windows and ranges of notes.

use super::*;

#[test]
fn missing_numbers_are_refused_carried_or_their_steps_left_out() {
    let with = |missing: Missing| ReadRules {
        missing,
        ..ReadRules::default()
    };
    let text = "a,b,tags\n1,2,p\n,3,q\nNA,nan,r\n4,5,s\n";
    let read = |name: &str, bytes: &[u8], missing: Missing| {
        let examples = read_files(&tagged(), &[(name, bytes)], &with(missing))?;
        let codes = build(&examples, StepRules::default())?;
        let records = encode(&codes, &examples)?;
        let tags = items(&examples, "tags")
            .iter()
            .map(|t| t.concat())
            .collect();
        Ok::<(ExampleSteps, Vec<String>), Error>((rows_of(&step_rows(&records, "x")), tags))
    };
    let nan = f32::NAN;
    let numbers = f32s(&[1.0, 2.0, nan, 3.0, f32::INFINITY, nan, 4.0, 5.0]);
    let file = npz(
        &[
            ("x", npy("<f4", false, "(4, 2)", &numbers)),
            ("lengths", npy("|u1", false, "(2,)", &[3, 1])),
            ("tags", npy("|u1", false, "(4,)", &[1, 2, 3, 4])),
        ],
        true,
    );
    let e = read("a.csv", text.as_bytes(), Missing::Refuse).unwrap_err();
    assert_eq!(
        e.message,
        "a.csv: line 3, column 1 (a): expected a number, found an empty cell; --missing carry takes the last one there, --missing drop leaves the step out"
    );
    let e = read("a.npz", &file, Missing::Refuse).unwrap_err();
    assert_eq!(
        e.message,
        "a.npz: field x: row 1 (example 0, step 1), column 0: expected a finite number, found NaN; --missing carry takes the last one there, --missing drop leaves the step out"
    );
    let json = "{\"x\":[[1,2],[null,3],[null,null],[4,5]],\"tags\":[\"p\",\"q\",\"r\",\"s\"]}";
    let e = read("a.jsonl", json.as_bytes(), Missing::Refuse).unwrap_err();
    assert_eq!(
        e.message,
        "a.jsonl: line 1: field x: step 1, column 0: expected a finite number, found null"
    );
    let carried = [[1.0, 2.0], [1.0, 3.0], [1.0, 3.0], [4.0, 5.0]].map(|step| step.to_vec());
    let left = [[1.0, 2.0], [4.0, 5.0]].map(|step| step.to_vec());
    for (name, bytes) in [("a.csv", text), ("a.jsonl", json)] {
        let (found, tags) = read(name, bytes.as_bytes(), Missing::Carry).unwrap();
        assert_eq!(
            (&found[0][..], tags),
            (&carried[..], vec!["pqrs".to_string()])
        );
        let (found, tags) = read(name, bytes.as_bytes(), Missing::Drop).unwrap();
        assert_eq!((&found[0][..], tags), (&left[..], vec!["ps".to_string()]));
    }
    let (found, tags) = read("a.npz", &file, Missing::Carry).unwrap();
    assert_eq!(found.concat(), carried);
    assert_eq!(tags, ["123", "4"]);
    let (found, tags) = read("a.npz", &file, Missing::Drop).unwrap();
    assert_eq!(
        (found, tags),
        (
            vec![left[..1].to_vec(), left[1..].to_vec()],
            vec!["1".to_string(), "4".to_string()]
        )
    );
    // A number that nothing stands before; an example of which nothing is left.
    let e = read("a.csv", b"a,tags\nNA,p\n1,q\n", Missing::Carry).unwrap_err();
    assert_eq!(
        e.message,
        "a.csv: field x: row 0, column a: expected a number before it in its column, to be carried forward, found none"
    );
    let e = read("a.csv", b"a,tags\nNA,p\n,q\n", Missing::Drop).unwrap_err();
    assert_eq!(
        e.message,
        "a.csv: field x: example 0: expected a step that lacks no number, found none in 2"
    );
    // A step that one field lacks is left out of the others of the same table.
    let fields = [
        Field::new("x", FieldKind::Reals),
        Field::new("y", FieldKind::Reals),
    ];
    let chosen = ReadRules {
        missing: Missing::Drop,
        ..rules("x=a,y=b", &[])
    };
    let examples =
        read_files(&fields, &[("a.csv", b"a,b\n1,2\n,3\n4,NA\n5,6\n")], &chosen).unwrap();
    let codes = build(&examples, StepRules::default()).unwrap();
    let records = encode(&codes, &examples).unwrap();
    assert_eq!(rows_of(&step_rows(&records, "x")), [[[1.0], [5.0]]]);
    assert_eq!(rows_of(&step_rows(&records, "y")), [[[2.0], [6.0]]]);
}

#[test]
fn scales_are_training_s_and_come_back_exactly() {
    let text = "a,b\n1,0.1\n2,0.3\n4,0.1\n1000,7\n";
    let examples = read_text(&reals(), "a.csv", text).unwrap();
    let standard = |training: TrainingSteps| StepRules {
        standardize: true,
        training,
        ..StepRules::default()
    };
    let codes = build(&examples, standard(TrainingSteps::Spans(vec![(0, 3)]))).unwrap();
    let Some(FieldCode::Steps {
        width: 2,
        names,
        scale: Some(scale),
    }) = codes.code("x")
    else {
        panic!("no scale")
    };
    assert_eq!(names, &["a", "b"]);
    let mean = 7.0 / 3.0;
    let variance = ((1.0f64 - mean).powi(2) + (2.0 - mean).powi(2) + (4.0 - mean).powi(2)) / 3.0;
    assert!((scale[0].mean - mean).abs() < 1e-15);
    assert!((scale[0].deviation - variance.sqrt()).abs() < 1e-15);
    let records = encode(&codes, &examples).unwrap();
    let rows = step_rows(&records, "x");
    let mut found = vec![0.0; 8];
    rows.read(0, 0, &mut found).unwrap();
    let want = ((1000.0 - mean) / variance.sqrt()) as f32;
    assert_eq!(found[6], want);
    codes.code("x").unwrap().unscale(&mut found);
    for (found, want) in found
        .iter()
        .zip([1.0, 0.1, 2.0, 0.3, 4.0, 0.1, 1000.0, 7.0f32])
    {
        assert!(
            (found - want).abs() <= 1e-6 * want.abs().max(1.0),
            "{found} {want}"
        );
    }
    // A run keeps them to the last bit.
    let kept = serde_json::to_string(&codes).unwrap();
    let back: FieldCodes = serde_json::from_str(&kept).unwrap();
    assert_eq!(back, codes);
    for (from, to) in [
        ("\"width\":2", "\"width\":3"),
        ("\"deviation\":", "\"deviation\":-"),
        ("\"a\",\"b\"", "\"a\""),
        ("\"kind\":\"reals\"", "\"kind\":\"bits\""),
        ("\"kind\":\"reals\"", "\"kind\":\"vector\""),
    ] {
        assert!(kept.contains(from), "{kept}");
        assert!(
            serde_json::from_str::<FieldCodes>(&kept.replacen(from, to, 1)).is_err(),
            "{to}"
        );
    }
    // Other examples, and none at all.
    let e = build(&examples, standard(TrainingSteps::Examples(vec![1]))).unwrap_err();
    assert_eq!(e.kind, Kind::Internal);
    let plain = build(&examples, StepRules::default()).unwrap();
    assert_ne!(
        encode(&plain, &examples).unwrap().hash().unwrap(),
        records.hash().unwrap()
    );
    // A column of one value.
    let flat = read_text(&reals(), "a.csv", "a,b\n1,0.1\n2,0.1\n4,0.1\n").unwrap();
    let e = build(&flat, standard(TrainingSteps::All)).unwrap_err();
    assert!(
        e.kind == Kind::Data
            && e.message.ends_with(
                "a.csv: field x: column b: expected different values, to standardise it, found 0.1 in all 3 steps of training"
            ),
        "{e}"
    );
    let tiny = read_text(&reals(), "a.csv", "a\n1e-200\n2e-200\n").unwrap();
    assert!(build(&tiny, standard(TrainingSteps::All)).is_err());
    // Later files have the same columns.
    for (text, part) in [
        (
            "a\n1\n",
            "expected steps of 2 numbers as in training, found 1",
        ),
        (
            "b,a\n1,2\n",
            "expected the columns a, b as in training, found b, a",
        ),
    ] {
        let later = read_text(&reals(), "b.csv", text).unwrap();
        let e = encode(&codes, &later).unwrap_err();
        assert!(
            e.kind == Kind::Data
                && e.message.contains("b.csv: field x: ")
                && e.message.ends_with(part),
            "{e}"
        );
    }
    let later = read_text(&reals(), "b.csv", "1,2\n").unwrap();
    assert_eq!(encode(&codes, &later).unwrap().len(), 1);
}

#[test]
fn windows_are_spans_of_the_same_steps() {
    let text = "[[0],[1],[2],[3],[4]]\n[[10],[11],[12]]\n";
    let examples = read_text(&reals(), "a.jsonl", text).unwrap();
    let codes = build(&examples, StepRules::default()).unwrap();
    let records = encode(&codes, &examples).unwrap();
    let spans = [(0, 3), (1, 3), (2, 3), (5, 3), (6, 1)];
    let windows = records.windows(&spans).unwrap();
    assert_eq!(windows.len(), 5);
    let rows = step_rows(&windows, "x");
    let want: [&[f32]; 5] = [
        &[0.0, 1.0, 2.0],
        &[1.0, 2.0, 3.0],
        &[2.0, 3.0, 4.0],
        &[10.0, 11.0, 12.0],
        &[11.0],
    ];
    let found: Vec<Vec<f32>> = rows_of(&rows).iter().map(|steps| steps.concat()).collect();
    assert_eq!(found, want);
    assert_eq!(rows.all_steps(), 13);
    assert!(
        rows.row_place(2).ends_with("a.jsonl: line 1, step 2"),
        "{}",
        rows.row_place(2)
    );
    assert!(rows.row_place(3).ends_with("a.jsonl: line 2"));
    assert_ne!(windows.hash().unwrap(), records.hash().unwrap());
    // Windows of windows count the same steps.
    assert_eq!(rows_of(&rows.windows(vec![(4, 1)]).unwrap()), [[[4.0]]]);
    for span in [(4, 2), (0, 6), (7, 2), (8, 1), (0, 0), (usize::MAX, 1)] {
        let e = records.windows(&[span]).unwrap_err();
        assert_eq!(e.kind, Kind::Internal, "{span:?}");
    }
    for (n, from, len) in [(0, 1, 3), (5, 0, 1), (0, usize::MAX, 1)] {
        assert!(rows.read(n, from, &mut vec![0.0; len]).is_err());
    }
}

#[test]
fn notes_are_bits_of_training_s_range() {
    let text = "[[60,72],[],[59]]\n[[61]]\n";
    for text in [text, "{\"notes\":[[60,72],[],[59]]}\n{\"notes\":[[61]]}\n"] {
        let examples = read_text(&bits(), "a.jsonl", text).unwrap();
        let codes = build(&examples, StepRules::default()).unwrap();
        assert_eq!(
            codes.code("notes"),
            Some(&FieldCode::Bits {
                first: 59,
                width: 14
            })
        );
        let kept = serde_json::to_string(&codes).unwrap();
        assert_eq!(serde_json::from_str::<FieldCodes>(&kept).unwrap(), codes);
        let records = encode(&codes, &examples).unwrap();
        let rows = step_rows(&records, "notes");
        assert_eq!((rows.width(), rows.steps(0), rows.steps(1)), (14, 3, 1));
        let found = rows_of(&rows);
        let set = |step: &Vec<f32>| -> Vec<usize> {
            let ones = step.iter().enumerate().filter(|(_, bit)| **bit == 1.0);
            assert!(step.iter().all(|bit| *bit == 0.0 || *bit == 1.0));
            ones.map(|(n, _)| n + 59).collect()
        };
        let sets: Vec<Vec<Vec<usize>>> = found
            .iter()
            .map(|steps| steps.iter().map(set).collect())
            .collect();
        assert_eq!(sets, [vec![vec![60, 72], vec![], vec![59]], vec![vec![61]]]);
        // Outside the range, of training or of the rule.
        let later = read_text(&bits(), "b.jsonl", "[[60]]\n[[61],[60,73]]\n").unwrap();
        let e = encode(&codes, &later).unwrap_err();
        let part = "b.jsonl: line 2: field notes: step 1: expected notes of 59..72, found 73";
        assert!(e.kind == Kind::Data && e.message.ends_with(part), "{e}");
        let given = StepRules {
            ranges: [("notes".to_string(), (21, 108))].into(),
            ..StepRules::default()
        };
        let codes = build(&examples, given).unwrap();
        assert_eq!(
            codes.code("notes"),
            Some(&FieldCode::Bits {
                first: 21,
                width: 88
            })
        );
        assert_eq!(encode(&codes, &later).unwrap().len(), 2);
    }
    // Only training's examples make the range.
    let examples = read_text(&bits(), "a.jsonl", text).unwrap();
    let some = StepRules {
        training: TrainingSteps::Examples(vec![1]),
        ..StepRules::default()
    };
    let codes = build(&examples, some).unwrap();
    assert_eq!(
        codes.code("notes"),
        Some(&FieldCode::Bits {
            first: 61,
            width: 1
        })
    );
    assert!(encode(&codes, &examples).is_err());
    for range in [(3, 2), (0, u32::MAX)] {
        let given = StepRules {
            ranges: [("notes".to_string(), range)].into(),
            ..StepRules::default()
        };
        assert_eq!(build(&examples, given).unwrap_err().kind, Kind::Data);
    }
    // A matrix of 0 and 1.
    let roll = npy("|b1", false, "(2, 3)", &[0, 1, 1, 0, 0, 0]);
    let found = steps(&bits(), &[("a.npy", &roll)], &ReadRules::default()).unwrap();
    assert_eq!(found, [[[1.0, 1.0], [0.0, 0.0]]]);
    let rests = read_text(&bits(), "a.jsonl", "[[],[]]\n").unwrap();
    let e = build(&rests, StepRules::default()).unwrap_err();
    assert!(e.message.ends_with("found rests alone"), "{e}");
}
