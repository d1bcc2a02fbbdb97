//! Tables with an example a row, and steps of another width than a file's.

use super::*;

fn framed(width: usize) -> ReadRules {
    ReadRules {
        frame_width: Some(width),
        ..ReadRules::default()
    }
}

/// Steps of these numbers, `[examples][steps][width]`.
fn of(examples: &[&[f32]], width: usize) -> ExampleSteps {
    let steps = |numbers: &&[f32]| numbers.chunks(width).map(<[f32]>::to_vec).collect();
    examples.iter().map(steps).collect()
}

#[test]
fn a_row_with_a_class_is_an_example_of_steps_of_one_number() {
    let want = of(&[&[1.0, 2.0], &[3.0, 4.0]], 1);
    let file = |name: &str, text: &str, rules: &ReadRules| {
        let examples = read_files(&labelled(), &[(name, text.as_bytes())], rules)?;
        assert_eq!(items(&examples, "label"), [["u"], ["v"]]);
        let codes = build(&examples, StepRules::default())?;
        let rows = step_rows(&encode(&codes, &examples)?, "x");
        let line = if text.starts_with('u') { 2 } else { 3 };
        let place = rows.row_place(1);
        assert!(place.ends_with(&format!("{name}: line {line}")), "{place}");
        Ok::<ExampleSteps, Error>(rows_of(&rows))
    };
    let plain = ReadRules::default();
    for (name, text) in [
        ("a.csv", "label,a,b\nu,1,2\nv,3,4\n"),
        ("a.csv", "a,b,label\n1,2,u\n3,4,v\n"),
        // Columns of numbers may be called by numbers, and classes come first where nothing is called.
        ("a.csv", "label,0,1\nu,1,2\nv,3,4\n"),
        ("a.tsv", "u\t1\t2\nv\t3\t4\n"),
    ] {
        assert_eq!(file(name, text, &plain).unwrap(), want, "{text}");
    }
    let text = "n,kind,a,b,c\n9,u,1,2,0\n9,v,3,4,0\n";
    let chosen = rules("label=kind,x=3-4", &[]);
    assert_eq!(file("a.csv", text, &chosen).unwrap(), want);
    let pairs = file("a.csv", "label,a,b\nu,1,2\nv,3,4\n", &framed(2)).unwrap();
    assert_eq!(pairs, of(&[&[1.0, 2.0], &[3.0, 4.0]], 2));
}

#[test]
fn a_class_that_is_asked_for_may_be_missing() {
    let seen = b"label,a,b\nu,1,2\nv,3,4\n";
    let seen = read_files(&labelled(), &[("seen.csv", seen)], &rules("", &[])).unwrap();
    let codes = build(&seen, StepRules::default()).unwrap();
    let read = |name: &str, text: &str, choice: &str| {
        let rules = rules(choice, &["label"]);
        let examples = read_files(&labelled(), &[(name, text.as_bytes())], &rules)?;
        let reals = |field: &Field| field.kind == FieldKind::Reals;
        let records = codes.encode_some(&examples, &std::env::temp_dir(), reals)?;
        Ok::<ExampleSteps, Error>(rows_of(&step_rows(&records, "x")))
    };
    let want = of(&[&[1.0, 2.0]], 1);
    assert_eq!(read("a.csv", "a,b\n1,2\n", "").unwrap(), want);
    assert_eq!(read("a.csv", "label,a,b\nu,1,2\n", "").unwrap(), want);
    assert_eq!(read("a.csv", "a,b\n1,2\n", "label=kind").unwrap(), want);
    assert_eq!(read("a.tsv", "u\t1\t2\n", "x=2-3").unwrap(), want);
    // Whether the first of these is a class nobody knows.
    let e = read("a.tsv", "7\t1\t2\n", "").unwrap_err();
    assert!(
        e.message
            .contains("a header that says whether a column is label"),
        "{e}"
    );
    let e = steps(
        &labelled(),
        &[("a.tsv", b"7\t1\t2\n")],
        &rules("x=2-3", &[]),
    )
    .unwrap_err();
    assert!(
        e.kind == Kind::Usage && e.message.contains("a column for label too"),
        "{e}"
    );
}

#[test]
fn steps_are_cut_and_numbers_put_together() {
    let twelve: Vec<f32> = (0..12).map(|n| n as f32).collect();
    let (a, b) = twelve.split_at(6);
    let bytes = f32s(&twelve);
    let images = arrays(&[("x", Dtype::F32, &[2, 1, 6], bytes.clone())]);
    let rows = arrays(&[("x", Dtype::F32, &[2, 6], bytes.clone())]);
    let packed = arrays(&[
        ("x", Dtype::F32, &[3, 4], bytes),
        ("lengths", Dtype::I64, &[2], i64s(&[1, 2])),
    ]);
    for width in [1, 2, 3, 6] {
        for rules in both_ways(&framed(width)) {
            for file in [&images, &rows] {
                let found = steps(&reals(), &[("a.safetensors", file)], &rules).unwrap();
                assert_eq!(found, of(&[a, b], width), "{width}");
            }
        }
    }
    let found = steps(&reals(), &[("a.safetensors", &packed)], &framed(2)).unwrap();
    assert_eq!(found, of(&[&twelve[..4], &twelve[4..]], 2));
    for (file, width, part) in [
        (
            &images,
            4,
            "field x: frame-width: expected a divisor of 6, the numbers of a step, got 4",
        ),
        (
            &images,
            12,
            "expected a divisor of 6, the numbers of a step, got 12",
        ),
        (
            &rows,
            4,
            "expected a divisor of 6, the numbers of example 0 (from 0), got 4",
        ),
    ] {
        let e = steps(&reals(), &[("a.safetensors", file)], &framed(width)).unwrap_err();
        assert!(e.kind == Kind::Data && e.message.contains(part), "{e}");
    }
    // What is missing is named as the file has it; what is left out is a step of the model.
    let gap: &[(&str, &[u8])] = &[("a.jsonl", b"[[1,2],[null,4]]\n")];
    let with = |missing| ReadRules {
        missing,
        ..framed(1)
    };
    let carried = steps(&reals(), gap, &with(Missing::Carry)).unwrap();
    assert_eq!(carried, of(&[&[1.0, 2.0, 2.0, 4.0]], 1));
    let left = steps(&reals(), gap, &with(Missing::Drop)).unwrap();
    assert_eq!(left, of(&[&[1.0, 2.0, 4.0]], 1));
    let nan = arrays(&[(
        "x",
        Dtype::F32,
        &[1, 2, 2],
        f32s(&[1.0, 2.0, 3.0, f32::NAN]),
    )]);
    let e = steps(&reals(), &[("a.safetensors", &nan)], &framed(1)).unwrap_err();
    assert!(
        e.message
            .contains("row 1, column 1: expected a finite number"),
        "{e}"
    );
}
