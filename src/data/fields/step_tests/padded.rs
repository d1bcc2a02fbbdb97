//! Sequences of different lengths that an array fills up to the longest.

use super::*;

/// Two sequences of 2 and 3 steps of two numbers, filled up to 4 by what no reader may look at.
fn of_reals(last: i64) -> Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)> {
    let pad = f32::NAN;
    let x = [
        [1.0, 2.0, 3.0, -4.0, pad, pad, pad, pad],
        [5.5, 6.0, 7.0, 8.0, 9.0, 10.0, pad, f32::INFINITY],
    ];
    vec![
        ("x", Dtype::F32, vec![2, 4, 2], f32s(&x.concat())),
        ("lengths", Dtype::I64, vec![2], i64s(&[2, last])),
    ]
}

fn file(tensors: &[(&'static str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let of = |(name, kind, shape, bytes): &(&'static str, Dtype, Vec<usize>, Vec<u8>)| {
        let shape: &'static [usize] = shape.clone().leak();
        (*name, *kind, shape, bytes.clone())
    };
    let tensors: Vec<_> = tensors.iter().map(of).collect();
    arrays(&tensors)
}

#[test]
fn what_fills_sequences_up_is_left_out() {
    let want = [
        vec![vec![1.0, 2.0], vec![3.0, -4.0]],
        vec![vec![5.5, 6.0], vec![7.0, 8.0], vec![9.0, 10.0]],
    ];
    let flat = want.clone().map(|steps| {
        let numbers = steps.concat().into_iter();
        numbers.map(|v| vec![v]).collect::<Vec<_>>()
    });
    let x = of_reals(3)[0].3.clone();
    let lengths = |n: &[i64]| npy("<i8", false, "(2,)", &i64s(n));
    // The same numbers with the first index running fastest.
    let mut moved = vec![];
    for k in 0..8 {
        for n in 0..2 {
            let at = 4 * (8 * n + [0, 2, 4, 6, 1, 3, 5, 7][k]);
            moved.extend_from_slice(&x[at..at + 4]);
        }
    }
    let files = [
        ("a.safetensors", file(&of_reals(3)), &want),
        (
            "a.npz",
            npz(
                &[
                    ("x", npy("<f4", false, "(2, 4, 2)", &x)),
                    ("lengths", lengths(&[2, 3])),
                ],
                true,
            ),
            &want,
        ),
        (
            "a.npz",
            npz(
                &[
                    ("x", npy("<f4", true, "(2, 4, 2)", &moved)),
                    ("lengths", lengths(&[2, 3])),
                ],
                false,
            ),
            &want,
        ),
        // One number a step.
        (
            "a.npz",
            npz(
                &[
                    ("x", npy("<f4", false, "(2, 8)", &x)),
                    ("lengths", lengths(&[4, 6])),
                ],
                true,
            ),
            &flat,
        ),
    ];
    for (name, bytes, want) in &files {
        for rules in both_ways(&ReadRules::default()) {
            let found = steps(&reals(), &[(name, bytes)], &rules).unwrap();
            assert_eq!(found, **want, "{name} {:?}", rules.in_memory);
        }
    }
}

#[test]
fn what_fills_up_counts_in_no_scale_set_label_or_message() {
    let of = |rules: StepRules| {
        let tensors = file(&of_reals(3));
        let files: [(&str, &[u8]); 1] = [("a.safetensors", &tensors)];
        let examples = read_files(&reals(), &files, &ReadRules::default()).unwrap();
        let codes = build(&examples, rules).unwrap();
        rows_of(&step_rows(&encode(&codes, &examples).unwrap(), "x"))
    };
    let scaled = of(StepRules {
        standardize: true,
        ..StepRules::default()
    });
    let sum: f32 = scaled.concat().concat().iter().sum();
    assert!(sum.abs() < 1e-6, "{sum}");

    // Notes that are none, and labels as PyTorch leaves them out.
    let notes = file(&[
        (
            "notes",
            Dtype::I8,
            vec![2, 2, 2],
            vec![1, 0, 255, 255, 0, 1, 1, 1],
        ),
        ("lengths", Dtype::U8, vec![2], vec![1, 2]),
    ]);
    let found = steps(&bits(), &[("a.safetensors", &notes)], &ReadRules::default()).unwrap();
    assert_eq!(
        found,
        [vec![vec![1.0, 0.0]], vec![vec![0.0, 1.0], vec![1.0, 1.0]]]
    );
    let mut tensors = of_reals(3);
    tensors.push((
        "targets",
        Dtype::I64,
        vec![2, 4],
        i64s(&[5, 6, -100, -100, 6, 6, 7, -100]),
    ));
    let labelled = file(&tensors);
    let files: [(&str, &[u8]); 1] = [("a.safetensors", &labelled)];
    let examples = read_files(&tagged(), &files, &ReadRules::default()).unwrap();
    assert_eq!(
        items(&examples, "tags"),
        [vec!["5", "6"], vec!["6", "6", "7"]]
    );

    // A number that is missing within a sequence is named by its place there.
    tensors[0].3[4 * 10..4 * 11].copy_from_slice(&f32::NAN.to_le_bytes());
    let files: [(&str, &[u8]); 1] = [("a.safetensors", &file(&tensors))];
    let e = read_files(&reals(), &files, &ReadRules::default()).unwrap_err();
    let place = "field x: row 3 (example 1, step 1), column 0: expected a finite number, found NaN";
    assert!(e.message.contains(place), "{e}");
}

#[test]
fn lengths_beyond_what_is_there_are_refused() {
    for (last, want) in [
        (
            5,
            "row 1: expected a length of at most 4, the steps that are there (shape [2, 4, 2]), found 5",
        ),
        (-3, "row 1: expected a length of at least 1, found -3"),
        (0, "row 1: expected a length of at least 1, found 0"),
        (
            i64::MAX,
            "row 1: expected a length of at most 4, the steps that are there (shape [2, 4, 2]), found 9223372036854775807",
        ),
    ] {
        let bytes = file(&of_reals(last));
        let e = steps(
            &reals(),
            &[("a.safetensors", &bytes)],
            &ReadRules::default(),
        )
        .unwrap_err();
        let want = format!("a.safetensors: array x: its lengths lengths: {want}");
        assert_eq!((e.kind, e.message), (Kind::Data, want));
    }
    let mut three = of_reals(3);
    three[1] = ("lengths", Dtype::U8, vec![3], vec![1, 2, 3]);
    let e = steps(
        &reals(),
        &[("a.safetensors", &file(&three))],
        &ReadRules::default(),
    );
    let want = "a.safetensors: array x: its lengths lengths: expected lengths whose sum is the number of steps, 2 (shape [2, 4, 2]), or a \
                length for each of 2 padded sequences, found 6 in 3 lengths";
    assert_eq!(e.unwrap_err().message, want);
}
