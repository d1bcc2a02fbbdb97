//! Sequences of vectors from files of every format, and what is refused on the way.

use std::io::Write;

use proptest::prelude::*;
use safetensors::Dtype;

use super::tests::{arrays, encode, items, read_files, read_text, rules};
use super::*;
use crate::error::{Error, Kind, Result};

fn reals() -> Vec<Field> {
    vec![Field::new("x", FieldKind::Reals)]
}

fn labelled() -> Vec<Field> {
    vec![
        Field::new("x", FieldKind::Reals),
        Field::new("label", FieldKind::Class),
    ]
}

fn tagged() -> Vec<Field> {
    vec![
        Field::new("x", FieldKind::Reals),
        Field::new("tags", FieldKind::ClassesAlong("x".into())),
    ]
}

fn bits() -> Vec<Field> {
    vec![Field::new("notes", FieldKind::Bits)]
}

fn build(examples: &Examples, steps: StepRules) -> Result<FieldCodes> {
    let rules = VocabularyRules {
        steps,
        ..VocabularyRules::default()
    };
    Ok(FieldCodes::build(examples, &rules)?.0)
}

/// The steps of every example, `[steps][width]`, read in two parts.
fn rows_of(rows: &StepRows) -> Vec<Vec<Vec<f32>>> {
    let one = |n: usize| {
        let (steps, width) = (rows.steps(n), rows.width());
        let mut all = vec![f32::NAN; steps * width];
        let (begin, end) = all.split_at_mut(steps / 2 * width);
        rows.read(n, 0, begin).unwrap();
        rows.read(n, steps / 2, end).unwrap();
        all.chunks(width).map(<[f32]>::to_vec).collect()
    };
    (0..rows.len()).map(one).collect()
}

fn step_rows(records: &Records, name: &str) -> StepRows {
    match records.rows(name) {
        Some(FieldRows::Steps(rows)) => rows.clone(),
        _ => panic!("no steps"),
    }
}

/// What the files have for the first field.
fn steps(
    fields: &[Field],
    files: &[(&str, &[u8])],
    rules: &ReadRules,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let examples = read_files(fields, files, rules)?;
    let codes = build(&examples, StepRules::default())?;
    let records = encode(&codes, &examples)?;
    Ok(rows_of(&step_rows(&records, &fields[0].name)))
}

/// An `.npy` file.
fn npy(kind: &str, fortran: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    [&bytes, text.as_bytes(), numbers].concat()
}

/// An `.npz` file of these members.
fn npz(members: &[(&str, Vec<u8>)], packed: bool) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = match packed {
        true => zip::CompressionMethod::Deflated,
        false => zip::CompressionMethod::Stored,
    };
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn i64s(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Everything in memory, and everything in files.
fn both_ways(rules: &ReadRules) -> [ReadRules; 2] {
    let in_files = ReadRules {
        in_memory: Some(0),
        ..rules.clone()
    };
    [rules.clone(), in_files]
}

const SIX: [f32; 6] = [1.0, 2.0, 3.0, -4.0, 5.5, 6.0];

#[test]
fn packed_and_dense_arrays_give_the_same_steps_in_every_format() {
    let packed = vec![vec![vec![1.0, 2.0]], vec![vec![3.0, -4.0], vec![5.5, 6.0]]];
    let dense = vec![vec![vec![1.0, 2.0, 3.0]], vec![vec![-4.0, 5.5, 6.0]]];
    let flat = vec![
        vec![vec![1.0], vec![2.0], vec![3.0]],
        vec![vec![-4.0], vec![5.5], vec![6.0]],
    ];
    let x = |shape: &str| npy("<f4", false, shape, &f32s(&SIX));
    let lengths = npy("<i8", false, "(2,)", &i64s(&[1, 2]));
    let six = f32s(&SIX);
    let both: Vec<(&str, Vec<u8>, &Vec<Vec<Vec<f32>>>)> = vec![
        (
            "a.safetensors",
            arrays(&[
                ("x", Dtype::F32, &[3, 2], six.clone()),
                ("lengths", Dtype::I64, &[2], i64s(&[1, 2])),
            ]),
            &packed,
        ),
        (
            "a.npz",
            npz(&[("x", x("(3, 2)")), ("lengths", lengths.clone())], true),
            &packed,
        ),
        (
            "a.npz",
            npz(&[("x", x("(3, 2)")), ("lengths", lengths)], false),
            &packed,
        ),
        (
            "a.safetensors",
            arrays(&[("x", Dtype::F32, &[2, 1, 3], six.clone())]),
            &dense,
        ),
        ("a.npz", npz(&[("x", x("(2, 1, 3)"))], true), &dense),
        ("a.npy", x("(2, 1, 3)"), &dense),
        ("a.npy.gz", gzip(&x("(2, 1, 3)")), &dense),
        (
            "a.safetensors",
            arrays(&[("x", Dtype::F32, &[2, 3], six.clone())]),
            &flat,
        ),
        ("a.npz", npz(&[("x", x("(2, 3)"))], true), &flat),
    ];
    for (name, bytes, want) in both {
        for rules in both_ways(&ReadRules::default()) {
            let found = steps(&reals(), &[(name, &bytes)], &rules).unwrap();
            assert_eq!(found, *want, "{name} {:?}", rules.in_memory);
        }
    }
    // One series of an .npy: an example.
    let found = steps(&reals(), &[("a.npy", &x("(3, 2)"))], &ReadRules::default()).unwrap();
    assert_eq!(found, [packed.concat()]);
    let found = steps(&reals(), &[("a.npy", &x("(6,)"))], &ReadRules::default()).unwrap();
    assert_eq!(found, [flat.concat()]);
    // Names of arrays and of their lengths are chosen.
    let file = arrays(&[
        ("frames", Dtype::F32, &[3, 2], six),
        ("counts", Dtype::U8, &[2], vec![1, 2]),
        ("other", Dtype::U8, &[1], vec![1]),
    ]);
    let chosen = rules("x=frames,x.lengths=counts", &[]);
    let found = steps(&reals(), &[("a.safetensors", &file)], &chosen).unwrap();
    assert_eq!(found, packed);
}

#[test]
fn every_type_of_numbers_in_either_order_of_bytes_is_read() {
    let values = [1.0f64, 0.0, 2.0, 3.0];
    let of = |kind: &str| -> Vec<u8> {
        let number = |v: &f64| -> Vec<u8> {
            let v = *v;
            match &kind[1..] {
                "f8" => v.to_be_bytes().to_vec(),
                "f4" => (v as f32).to_be_bytes().to_vec(),
                "f2" => half::f16::from_f64(v).to_be_bytes().to_vec(),
                "i8" | "u8" => (v as i64).to_be_bytes().to_vec(),
                "i4" | "u4" => (v as i32).to_be_bytes().to_vec(),
                "i2" | "u2" => (v as i16).to_be_bytes().to_vec(),
                _ => vec![v as u8],
            }
        };
        let big = values.iter().map(number);
        let ordered = |mut n: Vec<u8>| {
            if !kind.starts_with('>') {
                n.reverse();
            }
            n
        };
        big.flat_map(ordered).collect()
    };
    for kind in ["f8", "f4", "f2", "i8", "i4", "i2", "u8", "u4", "u2"] {
        for order in ["<", ">"] {
            let kind = format!("{order}{kind}");
            let file = npy(&kind, false, "(2, 2)", &of(&kind));
            let found = steps(&reals(), &[("a.npy", &file)], &ReadRules::default()).unwrap();
            assert_eq!(found, [[[1.0, 0.0], [2.0, 3.0]]], "{kind}");
        }
    }
    for kind in ["|i1", "|u1"] {
        let file = npy(kind, false, "(2, 2)", &of(kind));
        let found = steps(&reals(), &[("a.npy", &file)], &ReadRules::default()).unwrap();
        assert_eq!(found, [[[1.0, 0.0], [2.0, 3.0]]], "{kind}");
    }
    let file = npy("|b1", false, "(3,)", &[1, 0, 1]);
    let found = steps(&reals(), &[("a.npy", &file)], &ReadRules::default()).unwrap();
    assert_eq!(found, [[[1.0], [0.0], [1.0]]]);
    let halves: Vec<u8> = values
        .iter()
        .flat_map(|v| half::bf16::from_f64(*v).to_le_bytes())
        .collect();
    let file = arrays(&[("x", Dtype::BF16, &[1, 2, 2], halves)]);
    let found = steps(&reals(), &[("a.safetensors", &file)], &ReadRules::default()).unwrap();
    assert_eq!(found, [[[1.0, 0.0], [2.0, 3.0]]]);
}

#[test]
fn what_lies_in_files_is_not_held() {
    let values: Vec<f32> = (0..60_000).map(|n| n as f32 / 7.0).collect();
    let file = npy("<f4", false, "(20, 1000, 3)", &f32s(&values));
    let found = |rules: &ReadRules| {
        let examples = read_files(&reals(), &[("a.npy", &file)], rules).unwrap();
        let codes = build(
            &examples,
            StepRules {
                standardize: true,
                ..StepRules::default()
            },
        )
        .unwrap();
        let records = encode(&codes, &examples).unwrap();
        (
            records.bytes(),
            records.hash().unwrap(),
            rows_of(&step_rows(&records, "x")),
        )
    };
    // The file is gone when it is read: an open one stays, as its folder is that of a test.
    let [held, lies] = both_ways(&ReadRules::default()).map(|rules| found(&rules));
    assert!(held.0 > 240_000 && lies.0 < 10_000, "{} {}", held.0, lies.0);
    assert_eq!((held.1, held.2), (lies.1, lies.2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn fortran_order_is_the_same_array(
        shape in prop::collection::vec(1usize..5, 1..5),
        in_files in any::<bool>(),
    ) {
        let count: usize = shape.iter().product();
        let place = |mut n: usize| {
            // The index of the n-th number of C order, and where it stands in Fortran order.
            let mut index = vec![0; shape.len()];
            for (i, size) in index.iter_mut().zip(&shape).rev() {
                *i = n % size;
                n /= size;
            }
            index.iter().zip(&shape).rev().fold(0, |at, (i, size)| at * size + i)
        };
        let values: Vec<i16> = (0..count as i16).collect();
        let mut moved = values.clone();
        for n in 0..count {
            moved[place(n)] = values[n];
        }
        let bytes = |all: &[i16]| all.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>();
        let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
        let sizes = format!("({sizes})");
        let rules = ReadRules { in_memory: in_files.then_some(0), ..ReadRules::default() };
        let read = |file: Vec<u8>| steps(&reals(), &[("a.npy", &file)], &rules).unwrap();
        let want = read(npy(">i2", false, &sizes, &bytes(&values)));
        prop_assert_eq!(&want.concat().concat(), &values.iter().map(|v| f32::from(*v)).collect::<Vec<_>>());
        prop_assert_eq!(read(npy(">i2", true, &sizes, &bytes(&moved))), want);
    }
}

#[test]
fn images_and_labels_of_idx_are_sequences_and_classes() {
    let images = [
        &[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2][..],
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255],
    ]
    .concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 7];
    let files: [(&str, &[u8]); 2] = [
        ("x=t-images-idx3-ubyte.gz", &gzip(&images)),
        ("label=t-labels-idx1-ubyte", &labels),
    ];
    let examples = read_files(&labelled(), &files, &ReadRules::default()).unwrap();
    assert_eq!(items(&examples, "label"), [["7"], ["0"], ["7"]]);
    assert_eq!(examples.steps("x"), Some(vec![2, 2, 2]));
    let codes = build(&examples, StepRules::default()).unwrap();
    let records = encode(&codes, &examples).unwrap();
    let rows = step_rows(&records, "x");
    assert_eq!(rows_of(&rows)[2], [[9.0, 10.0], [11.0, 255.0]]);
    assert!(rows.row_place(2).ends_with("t-images-idx3-ubyte.gz: row 2"));
    assert_eq!(
        records.class_counts("label", &[0, 1, 2], 2),
        Some(vec![2, 1])
    );
    // A class that training has not seen.
    let later: [(&str, &[u8]); 2] = [
        ("x=t-images-idx3-ubyte", &images),
        (
            "label=t-labels-idx1-ubyte",
            &[0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 4],
        ),
    ];
    let examples = read_files(&labelled(), &later, &ReadRules::default()).unwrap();
    let e = encode(&codes, &examples).unwrap_err();
    let part = "t-labels-idx1-ubyte: row 2: field label: expected one of the 2 classes of training (7, 0), found \"4\"";
    assert!(e.kind == Kind::Data && e.message.contains(part), "{e}");
}

#[test]
fn labels_lie_along_steps_in_arrays_and_tables() {
    let want = vec![vec!["5"], vec!["6", "5"]];
    let packed = arrays(&[
        ("x", Dtype::U8, &[3, 1], vec![1, 2, 3]),
        ("targets", Dtype::U8, &[3], vec![5, 6, 5]),
        ("lengths", Dtype::U8, &[2], vec![1, 2]),
    ]);
    let examples = read_files(
        &tagged(),
        &[("a.safetensors", &packed)],
        &ReadRules::default(),
    )
    .unwrap();
    assert_eq!(items(&examples, "tags"), want);
    let dense = npz(
        &[
            ("x", npy("|u1", false, "(2, 2, 1)", &[1, 2, 3, 4])),
            ("targets", npy("|u1", true, "(2, 2)", &[5, 7, 6, 8])),
        ],
        true,
    );
    let examples = read_files(&tagged(), &[("a.npz", &dense)], &ReadRules::default()).unwrap();
    assert_eq!(items(&examples, "tags"), [["5", "6"], ["7", "8"]]);
    let series: [(&str, &[u8]); 2] = [
        ("x=a.npy", &npy("|u1", false, "(2, 3)", &[1, 2, 3, 4, 5, 6])),
        ("tags=b.npy", &npy("|u1", false, "(2,)", &[8, 9])),
    ];
    let examples = read_files(&tagged(), &series, &ReadRules::default()).unwrap();
    assert_eq!(items(&examples, "tags"), [["8", "9"]]);
    let table = "a,b,tags\n1,2,up\n3,4,down\n5,6,up\n";
    let examples = read_text(&tagged(), "a.csv", table).unwrap();
    assert_eq!(items(&examples, "tags"), [["up", "down", "up"]]);
    assert_eq!(examples.column_names("x").unwrap(), ["a", "b"]);
    let codes = build(&examples, StepRules::default()).unwrap();
    let records = encode(&codes, &examples).unwrap();
    assert_eq!(
        rows_of(&step_rows(&records, "x")),
        [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]
    );
    assert_eq!(records.class_counts("tags", &[0], 2), Some(vec![2, 1]));
    let json = "{\"x\":[[1],[2]],\"tags\":[\"a\",\"b\"]}\n{\"x\":[3],\"tags\":[\"b\"]}\n";
    let examples = read_text(&tagged(), "a.jsonl", json).unwrap();
    assert_eq!(items(&examples, "tags"), [vec!["a", "b"], vec!["b"]]);
    // Labels that are not as many as their steps.
    let short = "{\"x\":[[1],[2]],\"tags\":[\"a\"]}\n";
    let e = read_text(&tagged(), "a.jsonl", short).unwrap_err();
    assert_eq!(
        e.message,
        "a.jsonl: line 1: x has 2 steps, tags 1 labels; expected one for every step"
    );
}

const SERIES: &str =
    "date,a,b\n2016-07-01 00:00:00,1,10\n2016-07-01 01:00:00,2,10.5\n2016-07-01 02:00:00,3,1e1\n";

fn timed() -> ReadRules {
    ReadRules {
        time: Some("date".into()),
        ..ReadRules::default()
    }
}

#[test]
fn a_table_is_a_series_with_names_and_a_time() {
    let want = [[[1.0, 10.0], [2.0, 10.5], [3.0, 10.0]]];
    let second = [[[10.0], [10.5], [10.0]]];
    let tabs = SERIES.replace(',', "\t");
    let bare = SERIES.split_once('\n').unwrap().1;
    let by_number = ReadRules {
        time: Some("1".into()),
        ..ReadRules::default()
    };
    for (name, text, rules, want) in [
        ("a.csv", SERIES, timed(), &want[..]),
        ("a.tsv", &tabs, timed(), &want),
        ("a.csv", SERIES, rules("x=2-3", &[]), &want),
        ("a.csv", bare, by_number, &want),
        ("a.csv", bare, rules("x=2-3", &[]), &want),
    ] {
        let found = steps(&reals(), &[(name, text.as_bytes())], &rules).unwrap();
        assert_eq!(found, want, "{name}");
    }
    for columns in ["x=b", "x=3"] {
        let found = steps(
            &reals(),
            &[("a.csv", SERIES.as_bytes())],
            &rules(columns, &[]),
        );
        assert_eq!(found.unwrap(), second);
    }
    // Two fields of the same table, one of which has the column that is to be foretold.
    let fields = [
        Field::new("x", FieldKind::Reals),
        Field::new("y", FieldKind::Reals),
    ];
    let examples = read_files(
        &fields,
        &[("a.csv", SERIES.as_bytes())],
        &rules("x=2-3,y=b", &[]),
    )
    .unwrap();
    assert_eq!(examples.column_names("y").unwrap(), ["b"]);
    assert_eq!(examples.steps("y"), Some(vec![3]));
    // Files follow one another, with the same columns.
    let files: [(&str, &[u8]); 2] = [("a.csv", b"a,b\n1,2\n"), ("b.csv", b"a,b\n3,4\n5,6\n")];
    let found = steps(&reals(), &files, &ReadRules::default()).unwrap();
    assert_eq!(
        found,
        [vec![vec![1.0, 2.0]], vec![vec![3.0, 4.0], vec![5.0, 6.0]]]
    );
    let files: [(&str, &[u8]); 2] = [("a.csv", b"a,b\n1,2\n"), ("b.csv", b"b,a\n3,4\n")];
    let e = steps(&reals(), &files, &ReadRules::default()).unwrap_err();
    assert_eq!(
        e.message,
        "field x: expected the columns a, b as in a.csv, found b, a in b.csv"
    );
}

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
        Ok::<(Vec<Vec<Vec<f32>>>, Vec<String>), Error>((rows_of(&step_rows(&records, "x")), tags))
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
        "a.csv: line 3, column 1 (a): expected a number, found an empty cell, which is a missing one"
    );
    let e = read("a.npz", &file, Missing::Refuse).unwrap_err();
    assert_eq!(
        e.message,
        "a.npz: field x: row 1 (example 0, step 1), column 0: expected a finite number, found NaN"
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
            "a.safetensors: array x: its lengths lengths: expected lengths whose sum is the number of steps, 4 (shape [4, 1]), found 3 in 2 lengths",
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
            "a.csv: line 2, column 1 (date): expected a finite number, found \"2016-07-01 00:00:00\"; --columns x=FIRST-LAST",
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
            b"a,label\n1,2\n".into(),
            "a.csv: a table with a step a row is one example, of reals and of labels along them, found label: class",
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
    #![proptest_config(ProptestConfig::with_cases(48))]

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
