//! Sequences of vectors from files of every format, and what is refused on the way.

use std::io::Write;

use proptest::prelude::*;
use safetensors::Dtype;

mod codes;
mod faults;
mod frames;
mod padded;

use super::examples::RawContent;
use super::step_parts::FileSteps;
use super::tests::{arrays, encode, items, read_files, read_text, rules};
use super::*;
use crate::data::store::ByteStore;
use crate::error::{Error, Kind, Result};

/// The steps of all examples, `[steps][width]` each.
type ExampleSteps = Vec<Vec<Vec<f32>>>;

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
fn rows_of(rows: &StepRows) -> ExampleSteps {
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
fn steps(fields: &[Field], files: &[(&str, &[u8])], rules: &ReadRules) -> Result<ExampleSteps> {
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
    let both: Vec<(&str, Vec<u8>, &ExampleSteps)> = vec![
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
    let [held, lies] = both_ways(&ReadRules::default()).map(|rules| found(&rules));
    assert!(held.0 > 240_000 && lies.0 < 10_000, "{} {}", held.0, lies.0);
    assert_eq!((held.1, held.2), (lies.1, lies.2));
    // Of a file that is not compressed nothing is copied.
    let lie = |name: &str, bytes: &[u8], in_memory: u64| {
        let rules = ReadRules {
            in_memory: Some(in_memory),
            ..ReadRules::default()
        };
        let examples = read_files(&reals(), &[(name, bytes)], &rules).unwrap();
        let Some(RawContent::Steps(column)) = examples.content("x") else {
            panic!("no steps")
        };
        match &column.parts[0] {
            FileSteps::Numbers(rows) => match rows.store {
                ByteStore::Memory(_) => "memory",
                ByteStore::File { .. } => "a temporary file",
                ByteStore::Named { .. } => "its file",
            },
            FileSteps::Notes(_) => panic!("no numbers"),
        }
    };
    let tensors = arrays(&[("x", Dtype::F32, &[20, 1000, 3], f32s(&values))]);
    let size = file.len() as u64;
    for (name, bytes, in_memory, want) in [
        ("a.npy", &file, size, "memory"),
        ("a.npy", &file, size - 1, "its file"),
        ("a.safetensors", &tensors, size / 2, "its file"),
        ("a.npy.gz", &gzip(&file), size / 2, "a temporary file"),
        (
            "a.npz",
            &npz(&[("x", file.clone())], true),
            size / 2,
            "a temporary file",
        ),
    ] {
        assert_eq!(lie(name, bytes, in_memory), want, "{name} {in_memory}");
    }
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
