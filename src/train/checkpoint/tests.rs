use proptest::prelude::*;

use super::*;

fn small() -> Checkpoint {
    let tensors = [
        (
            "rnn.weight_ih_l0",
            StoredTensor::f32([2, 3], vec![0.0, -1.5, f32::MIN_POSITIVE, 1e30, 4.0, 5.0]),
        ),
        (
            "step",
            StoredTensor {
                shape: vec![],
                data: Data::F64(vec![1.0 / 3.0]),
            },
        ),
        (
            "bytes",
            StoredTensor {
                shape: vec![3],
                data: Data::U8(vec![1, 2, 255]),
            },
        ),
        ("empty", StoredTensor::f32([0, 4], vec![])),
    ];
    Checkpoint {
        tensors: tensors.map(|(n, t)| (n.to_string(), t)).into(),
        meta: json!({"step": 7, "text": "a \"quoted\" line\n", "none": null}),
    }
}

/// The checkpoint's bytes with another header, under a checksum that fits: what a forger can make.
fn forged(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    let digits = checksum(&bytes);
    bytes[DIGITS].copy_from_slice(digits.as_bytes());
    bytes
}

fn refused(bytes: &[u8]) -> String {
    let e = Checkpoint::from_bytes(bytes).unwrap_err();
    assert_eq!(e.kind, Kind::Checkpoint);
    assert_eq!(e.message.lines().count(), 1, "{e}");
    e.message
}

#[test]
fn what_was_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    small().save(&path).unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap(), small());
    assert_eq!(small().to_bytes().unwrap(), small().to_bytes().unwrap());
}

#[test]
fn any_reader_of_safetensors_reads_it() {
    let bytes = small().to_bytes().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let weight = file.tensor("rnn.weight_ih_l0").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (Dtype::F32, &[2, 3][..]));
    assert_eq!(weight.data()[4..8], (-1.5f32).to_le_bytes());
    assert_eq!(file.names().len(), 4);
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(header % 8, 0);
}

#[test]
fn every_flipped_byte_is_found() {
    let bytes = small().to_bytes().unwrap();
    for place in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[place] ^= flip;
            refused(&bytes);
        }
    }
}

#[test]
fn every_truncation_and_every_appendix_is_found() {
    let bytes = small().to_bytes().unwrap();
    for length in 0..bytes.len() {
        refused(&bytes[..length]);
    }
    refused(&[&bytes[..], &[0]].concat());
}

#[test]
fn a_foreign_file_is_told_from_a_damaged_one() {
    let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let foreign = safetensors::serialize([("a", view)], None).unwrap();
    let message = refused(&foreign);
    assert!(message.contains("without a checksum"), "{message}");

    let message = refused(b"It is a truth universally acknowledged");
    assert!(message.contains("not a checkpoint"), "{message}");

    let mut damaged = small().to_bytes().unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    let message = refused(&damaged);
    assert!(
        message.starts_with("damaged: expected checksum "),
        "{message}"
    );
}

#[test]
fn forged_headers_are_refused() {
    let zeros = "0".repeat(64);
    let head = format!(r#"{{"__metadata__":{{"checksum":"{zeros}","wgrnn":"#);
    let whole = format!(r#"{head}"1"}}}}"#);
    assert_eq!(
        Checkpoint::from_bytes(&forged(&whole, &[])).unwrap().meta,
        json!(1)
    );
    let huge = u64::MAX;
    let cases = [
        (format!(r#"{head}"{{"}}}}"#), "cannot be read"),
        (format!(r#"{head}1}}}}"#), "cannot be read"),
        (
            format!(r#"{{"__metadata__":{{"checksum":"{zeros}"}}}}"#),
            "no key wgrnn",
        ),
        (
            format!(r#"{head}"{}"}}}}"#, "[".repeat(100_000)),
            "cannot be read",
        ),
        (
            format!(
                r#"{head}"1"}},"a":{{"dtype":"F32","shape":[{huge},{huge}],"data_offsets":[0,4]}}}}"#
            ),
            "cannot be read",
        ),
        (
            format!(r#"{head}"1"}},"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,{huge}]}}}}"#),
            "cannot be read",
        ),
        (
            format!(r#"{head}"1"}},"a":{{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}}}"#),
            "a: expected F32, F64 or U8, found F16",
        ),
    ];
    for (header, expected) in cases {
        let message = refused(&forged(&header, &[0; 4]));
        // 4 bytes of data without a tensor are a fault too, so the length must fit the case.
        let message = if header.contains("data_offsets") {
            message
        } else {
            refused(&forged(&header, &[]))
        };
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_tensor_is_asked_for_by_name_and_shape() {
    let checkpoint = small();
    assert_eq!(
        checkpoint.f32("rnn.weight_ih_l0", &[2, 3]).unwrap()[1],
        -1.5
    );
    let message = |name, shape: &[usize]| checkpoint.f32(name, shape).unwrap_err().message;
    assert_eq!(
        message("rnn.weight_ih_l0", &[3, 2]),
        "rnn.weight_ih_l0: expected f32 [3, 2], found f32 [2, 3]"
    );
    assert_eq!(message("step", &[]), "step: expected f32 [], found f64 []");
    assert_eq!(
        message("head", &[1]),
        "head: expected f32 [1], found no such tensor"
    );
}

#[test]
fn a_shape_that_does_not_fit_its_data_is_not_written() {
    let mut checkpoint = small();
    checkpoint
        .tensors
        .insert("bad".to_string(), StoredTensor::f32([2], vec![1.0]));
    assert_eq!(checkpoint.to_bytes().unwrap_err().kind, Kind::Internal);
    let mut checkpoint = small();
    checkpoint.tensors.insert(
        "__metadata__".to_string(),
        StoredTensor::f32([1], vec![1.0]),
    );
    assert_eq!(checkpoint.to_bytes().unwrap_err().kind, Kind::Internal);
}

#[test]
fn a_missing_file_is_no_checkpoint_and_an_unreadable_one_an_io_error() {
    let folder = tempfile::tempdir().unwrap();
    let e = Checkpoint::load(&folder.path().join("no")).unwrap_err();
    assert_eq!(e.kind, Kind::Checkpoint);
    let e = Checkpoint::load(folder.path()).unwrap_err();
    assert_eq!(e.kind, Kind::Io);
}

fn tensor() -> impl Strategy<Value = StoredTensor> {
    let shape = proptest::collection::vec(0usize..5, 0..4);
    (shape, 0..3, any::<u64>()).prop_map(|(shape, kind, seed)| {
        let n = shape.iter().product::<usize>() as u64;
        // Bits from a multiplication; NaN would not compare equal.
        let bits = |i: u64| {
            (i + 1)
                .wrapping_mul(seed | 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let data = match kind {
            0 => Data::F32((0..n).map(|i| bits(i) as i32 as f32 * 1e-5).collect()),
            1 => Data::F64((0..n).map(|i| bits(i) as i64 as f64 * 1e-9).collect()),
            _ => Data::U8((0..n).map(|i| (bits(i) >> 56) as u8).collect()),
        };
        StoredTensor { shape, data }
    })
}

proptest! {
    #[test]
    fn any_checkpoint_comes_back(
        tensors in proptest::collection::btree_map("\\PC{0,12}", tensor(), 0..6),
        text in "\\PC{0,40}",
        number in any::<i64>(),
    ) {
        let checkpoint = Checkpoint { tensors, meta: json!({"text": text, "number": number}) };
        let bytes = checkpoint.to_bytes().unwrap();
        prop_assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), checkpoint);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Checkpoint::from_bytes(&bytes).is_err());
    }

    // Behind a fitting checksum: the parser itself meets the noise.
    #[test]
    fn a_forger_gets_no_panic(place in 0usize..400, noise in proptest::collection::vec(any::<u8>(), 1..4)) {
        let mut bytes = small().to_bytes().unwrap();
        let place = DIGITS.end + place % (bytes.len() - DIGITS.end);
        for (i, byte) in noise.into_iter().enumerate() {
            if let Some(b) = bytes.get_mut(place + i) {
                *b = byte;
            }
        }
        let digits = checksum(&bytes);
        bytes[DIGITS].copy_from_slice(digits.as_bytes());
        let _ = Checkpoint::from_bytes(&bytes);
    }
}
